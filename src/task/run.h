/*
 * A run, from its beginning to its end: what yoke_run, which waits by itself, and a guest, whose host waits
 * (guest.c), are both made of.
 */
#ifndef TASK_RUN_H
#define TASK_RUN_H

#include "base/error.h"
#include "task/task.h"

/* At one place from run_begin to run_end; all zero before. */
struct run {
    struct scheduler scheduler;
    yoke_task_fn main_fn;
    void *arg;
    size_t main_bytes;
    yoke_nursery
        *around_main; /* while it is open; NULL after the set-up: there was no memory for a main task */
    yoke_error *result;
    yoke_scope outermost;
    struct error_identity identity;
};

/* Makes `run` the thread's run, with a first task that has not begun. `call`: for messages. After an error
 * nothing is left of it. */
YOKE_MUST_USE yoke_error *run_begin(struct run *run, const char *call, yoke_task_fn main_fn, void *arg,
                                    const yoke_run_options *options);
/* Ctrl-c goes to the main task from here on, unless somebody has the signal already (then *taken is false).
 */
YOKE_MUST_USE yoke_error *run_take_interrupt(struct run *run, bool *taken);
/* Lets the tasks run. True: all have ended; false: a pass of a guest has given the thread back. Again goes on
 * from there. */
bool run_enter(struct run *run);
/* In a pass of a guest, which runs on the stack of `task`: gives the thread back to who called run_enter. */
void run_leave(struct scheduler *s, yoke_task *task);
/* The thread has no run from here on; returns how it ended, given what went wrong outside of it (or NULL).
 * The poller stays, for the caller to close. */
YOKE_MUST_USE yoke_error *run_end(struct run *run, yoke_error *e);

#endif
