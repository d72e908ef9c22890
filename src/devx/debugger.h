/* The debugger, in the root: gdb on a process that pauses, in the root's terminal. */
#ifndef DEVX_DEBUGGER_H
#define DEVX_DEBUGGER_H

#include "devx/pause.h"

/*
 * Runs gdb on the process of `request` and returns when it has ended, with the terminal as it was before. The
 * frame that gdb shows is the caller of the pause; its prompt names `actor`; `continue` and `quit` (or
 * ctrl-d) write the answer, detach and leave. gdb has a process group of its own, in the foreground: ctrl-c
 * is its. What it ends without (gdb was killed, or told to `kill`) is an answer: the one who pauses has to be
 * told then.
 *
 * `ready(arg, debugger)` is called once, with the pid of the process that waits to become gdb, so that the
 * one who pauses can allow it; its error is returned, and gdb does not begin then. May park.
 *
 * Checkpoint: when cancelled it ends gdb. The caller has the terminal's lock: one at a time. Errors:
 * YOKE_NOT_FOUND: no gdb in PATH, or no terminal (standard input is none, or it has another foreground job);
 * YOKE_PROCESS_FAILED: gdb could not attach, and has said why on the terminal.
 */
YOKE_MUST_USE yoke_error *debugger_run(const struct pause_request *request, const char *actor,
                                       yoke_error *(*ready)(void *arg, pid_t debugger), void *arg);

#endif
