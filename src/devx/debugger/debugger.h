/* The debugger, in the root: gdb, or another (debugger_kind.h), on a process that pauses, in the root's
 * terminal. */
#ifndef DEVX_DEBUGGER_H
#define DEVX_DEBUGGER_H

#include "devx/debugger/debugger_command.h"
#include "devx/debugger/pause.h"

/* Whom it is for, and why: the texts are for the person. */
struct debugger_target {
    struct pause_request request;
    const char *actor, *task;
    const char *why;  /* "pause" */
    const char *text; /* printed above the prompt; NULL: nothing */
    const char *file; /* with a line: that is shown in place of the frame; NULL or "": the frame */
    int line;
    bool crashed; /* it can't go on: no step moves it, and its death is what follows the answer */
};

/*
 * Runs it on the process of `target` and returns when it has ended, with the terminal as it was before. The
 * frame that it shows is the caller of the pause; its prompt names actor and task; `continue` (or `detach`,
 * or ctrl-d) and `quit` write the answer, detach and leave. It has a process group of its own, in the
 * foreground: ctrl-c is its. What it ends without (it was killed, or told to `kill`) is an answer: the one
 * who pauses has to be told then. `*killed_by`: the signal that it died of, or 0.
 *
 * `ready(arg, debugger)` is called once, with the pid of the process that waits to become it, so that the
 * one who pauses can allow it; its error is returned, and it does not begin then. May park.
 *
 * Checkpoint: when cancelled it ends the debugger. The caller has the terminal's lock: one at a time. Errors:
 * YOKE_NOT_FOUND: no such program in PATH, or no terminal (none that controls this process, or it has another
 * foreground job); YOKE_PERMISSION: it may not attach, with what forbids it and how to allow it.
 */
YOKE_MUST_USE yoke_error *debugger_run(const struct debugger_target *target, int *killed_by,
                                       yoke_error *(*ready)(void *arg, pid_t debugger), void *arg);

/* Why one of that command has come to no prompt of process `target`, by its status (debugger_has_failed). */
YOKE_MUST_USE yoke_error *debugger_failure(const struct debugger_command *command, pid_t target, int status);

#endif
