/*
 * A debugger that a process opens on itself, without a scheduler, a root, a lock: of a root that has crashed,
 * and of a program that runs no actor (session_stop_direct). One at a time.
 */
#ifndef DEVX_DIRECT_H
#define DEVX_DIRECT_H

#include "devx/debugger/debugger.h"

/* Finds the debugger, and makes ready all that direct_debug may not. YOKE_NOT_FOUND, YOKE_USAGE, YOKE_SYSTEM.
 * direct_end frees it. */
YOKE_MUST_USE yoke_error *direct_begin(void);
void direct_end(void);

enum direct_end {
    DIRECT_OVER, /* there was a debugger */
    DIRECT_NO_TERMINAL,
    DIRECT_FAILED, /* it could not be started, or could not attach */
};
/* Runs the debugger on this process and returns when it has ended. `answer` is what t->request.answer names.
 * `ready(arg, debugger)`, if that is not NULL, is called when it is there, and about to begin. If another
 * debugger has the terminal, waits for that one's end. After direct_begin, async-signal-safe. */
enum direct_end direct_debug(const struct debugger_target *t, volatile int *answer,
                             void (*ready)(void *arg, pid_t debugger), void *arg);
/* Why, after DIRECT_FAILED. */
YOKE_MUST_USE yoke_error *direct_failure(void);
/* Not the C library's fork, which takes locks that this process may be broken in. */
pid_t direct_fork(void);
/* The debugger that runs for an actor of this root, or 0, has the terminal from now on. */
void direct_note_other(pid_t debugger);

#endif
