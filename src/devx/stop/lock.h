/*
 * The lock on the terminal, as the tree asks for it: two context endpoints of the runtime's.
 *
 * `yoke.devx:hold` goes up from parent to parent. It says that somebody below is about to ask, and lasts till
 * he is through; its `started` says where the root is reached. Whoever it comes through does not end who is
 * held (actor/hold.h).
 *
 * `yoke.devx:lock_tty` is asked of the root itself: an actor between, which may die meanwhile, or have no
 * debug mode, does not matter. Its `started`, a LockStatus, says: the terminal is yours.
 *
 *     the one who pauses                     the root
 *       lock_tty(request) ------------------> waits for its turn, first in, first out (tty_lock.h)
 *       <----------------- started: LockStatus
 *       <------------ Debugger: the pid of the debugger-to-be, which waits
 *       lets it attach; LockAllow ----------> lets it begin
 *       (stands still)                        (the debugger's session)
 *       <-------- DebuggerGone: how it has ended
 *       LockRelease ------------------------> passes the terminal on
 *       <------------------ result: LockStatus
 */
#ifndef DEVX_LOCK_H
#define DEVX_LOCK_H

#include "devx/debugger/debugger.h"
#include "devx/stop/tty_lock.h"

/* How a debugger's session has ended. */
enum lock_end { LOCK_LEFT, LOCK_KILLED, LOCK_CLOSED };

/* The one who stops, to the dialog. Called in the dialog's task. */
struct lock_client {
    struct debugger_target target;
    /* Lets the debugger attach, and tells the one who stops. */
    yoke_error *(*ready)(struct lock_client *client, pid_t debugger);
};

/*
 * The whole dialog, for an actor that is not the root, and the same without one for the root itself. Returns
 * when the terminal is another's again. To be called shielded. An error says why there was no session:
 * YOKE_DEBUGGER_REFUSED, those of debugger_run, or of the way to the root.
 */
YOKE_MUST_USE yoke_error *lock_ask(struct actor *a, struct lock_client *client, enum lock_end *how);
YOKE_MUST_USE yoke_error *lock_take_own(struct actor *a, struct lock_client *client, enum lock_end *how);
/* Makes a root's lock, a->tty, if nobody has asked for it yet. */
YOKE_MUST_USE yoke_error *lock_need(struct actor *a);

#endif
