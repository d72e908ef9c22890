/*
 * What the handler knows of the crash, and the two ways to tell it. All of it is in static memory, since the
 * stack may be small, and each function here may crash itself (devx/crash/crash.c). Async-signal-safe.
 */
#ifndef DEVX_CRASH_REPORT_H
#define DEVX_CRASH_REPORT_H

#include "devx/trace/report.h"
#include "devx/trace/trace.h"

#include <signal.h>
#include <stdbool.h>
#include <ucontext.h>

/* As glibc keeps it for debuggers. */
struct abort_message {
    unsigned size;
    char text[];
};

struct crash {
    int fd;                                           /* of the pipe; -1: on stderr */
    char name[64];                                    /* of the actor */
    volatile bool silent;                             /* the pipe, or stderr, is full or broken */
    bool registers;                                   /* are asked for */
    const struct abort_message *const *abort_message; /* of the C library, which sets it before it aborts */
    siginfo_t info;
    pid_t tid;
    ucontext_t *context;
    uint64_t pc, sp;
    bool has_task;
    struct report_task task;
    struct report_stack stack;
    struct trace trace;
};

/* ---- into the pipe: the sections of devx/trace/report.h ---- */

struct report_head crash_head(const struct crash *c);
void crash_report_head(struct crash *c);
void crash_report_task(struct crash *c);
void crash_report_registers(struct crash *c);
void crash_report_frames(struct crash *c);
void crash_report_text(struct crash *c);
void crash_report_spawns(struct crash *c);
void crash_report_maps(struct crash *c);
void crash_report_wait(struct crash *c, const struct report_wait *wait);

/* ---- on stderr ---- */

void crash_print_head(struct crash *c);
void crash_print_task(struct crash *c);
void crash_print_overflow(struct crash *c);
void crash_print_registers(struct crash *c);
void crash_print_frames(struct crash *c);
/* `path` NULL: why there is none. */
void crash_print_core(const char *path, const char *why_not);

/* "SIGSEGV"; "a signal" for one that is no crash's. */
const char *crash_signal_text(int number);

#endif
