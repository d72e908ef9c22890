/*
 * The lock on the terminal: one debugger at a time in the whole tree.
 *
 * It is a context endpoint of the runtime, `yoke.devx:lock_tty`, that every actor serves: the root runs the
 * debugger, the others pass the dialog on to their parent. Its `started` says: the terminal is yours. Who
 * holds it or waits for it is not taken down by its supervisors (child_hold).
 *
 *     the one who pauses                     the root
 *       lock_tty(request) ------------------> waits for its turn, first in, first out
 *       <---------------------------- started
 *       <------------- pid of the debugger-to-be, which waits
 *       lets it attach; "allowed" ----------> lets it begin
 *       (stands still)                        (the session)
 *       <----------------------------- result
 */
#ifndef DEVX_LOCK_H
#define DEVX_LOCK_H

#include "actor/runtime.h"
#include "devx/pause.h"

/*
 * Runs one session for this actor's pausing task: asks for the terminal, lets the debugger attach, calls
 * `stop(arg, debugger)` while it is there, and returns when the terminal is free again. Shielded. An error
 * says why there was no session.
 */
YOKE_MUST_USE yoke_error *lock_session(struct actor *a, const struct pause_request *request,
                                       void (*stop)(void *arg, pid_t debugger), void *arg);

#endif
