/*
 * From one stack to another: the registers that a call must preserve go onto the old stack, the stack pointer
 * changes, and the new stack's registers come back. Written in assembly for x86-64 (System V
 * psABI 1.0, 3.2.1) and aarch64 (AAPCS64, 6.1.1); with ucontext elsewhere, or when YOKE_UCONTEXT is defined.
 */
#ifndef TASK_SWITCH_H
#define TASK_SWITCH_H

#include <stddef.h>

#if !defined(YOKE_UCONTEXT) && (defined(__x86_64__) || defined(__aarch64__))

struct switch_context {
    void *sp;
};

/* Saves the caller's registers and stack in `from`, and goes on where `to` was saved. */
void switch_stack(struct switch_context *from, struct switch_context *to);

#else

#include <ucontext.h>
struct switch_context {
    ucontext_t context;
};
void switch_stack(struct switch_context *from, struct switch_context *to);

#endif

/* Makes `context` begin at entry(arg) on the stack [low, high); entry must not return. */
void switch_prepare(struct switch_context *context, void *low, void *high, void (*entry)(void *), void *arg);

#endif
