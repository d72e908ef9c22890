/* The registers of a thread that a signal has interrupted, by the numbers that DWARF gives them. */
#ifndef DEVX_REGISTERS_H
#define DEVX_REGISTERS_H

#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

enum { REGISTERS_MAX = 40 };

/* Where the address of the instruction stands among them. */
#ifdef __aarch64__
enum { REGISTERS_PC = 32 };
#else
enum { REGISTERS_PC = 16 };
#endif

/* Writes all of them and returns their number; 0 for a processor that is not known. Async-signal-safe, as all
 * here is. */
size_t registers_read(uint64_t out[REGISTERS_MAX], const ucontext_t *context);
/* "rax"; NULL from the last one on. */
const char *registers_name(size_t i);
uint64_t registers_pc(const ucontext_t *context);
uint64_t registers_sp(const ucontext_t *context);
/* As if the call that has led to pc had just returned. */
void registers_leave_call(ucontext_t *context);

#endif
