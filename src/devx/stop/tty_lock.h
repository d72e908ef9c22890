/*
 * The lock on the terminal, in the root: who has it, and who waits for it, first in, first out. How they came
 * to ask, and what they do with it, is not its business (lock.h).
 *
 * Each request is a hold of the root (actor/hold.h) from its beginning to its end: so the edge at which
 * nobody holds or waits any more is that one's. While one has the terminal the tree's clocks may stand still
 * (actor/freeze.h), and go on when no other has it after that one.
 */
#ifndef DEVX_TTY_LOCK_H
#define DEVX_TTY_LOCK_H

#include "actor/freeze.h"
#include "actor/hold.h"

#include <yoke/devx.h>

/* One who asks. Lives, with the texts that it shows, till tty_lock_give_back. */
struct tty_request {
    const char *actor, *uuid, *task, *cid;
    /* Is its channel there? NULL: it needs none. */
    bool (*is_alive)(const struct tty_request *request);
    const void *arg;
    yoke_scope *session; /* while a debugger runs for it: cancelled to end that */
    pid_t debugger;      /* 0: none yet */
    /* The lock's: */
    list link; /* in the line */
    list line; /* its task, while that waits */
    bool holds, freezes;
};

struct tty_lock {
    struct actor *actor;
    struct tty_request *holder;
    list waiters; /* struct tty_request, by link */
    size_t waiting;
    const char *closed; /* why nobody gets it any more; NULL: it is open */
    /* Called with each request that has to wait, and its place in the line (2 is the first behind the
     * holder); may be NULL. */
    void (*on_wait)(const struct tty_request *request, size_t place);
};

void tty_lock_init(struct tty_lock *lock, struct actor *actor);
/*
 * Returns when the terminal is the request's; to be followed by tty_lock_give_back, also after an error.
 * Checkpoint; one that is cancelled leaves the line. YOKE_USAGE: a request of that cid holds or waits
 * already; YOKE_DEBUGGER_REFUSED: the lock was closed before, YOKE_DEBUGGER_QUIT: it was meanwhile.
 */
YOKE_MUST_USE yoke_error *tty_lock_take(struct tty_lock *lock, struct tty_request *request);
/* The request is over: it gives the terminal back, if it has it, to the one who waits longest. */
void tty_lock_give_back(struct tty_lock *lock, struct tty_request *request);
/* Takes the terminal back, with a warning, from a holder whose channel is gone. Done by each take. True if it
 * was so. */
bool tty_lock_reclaim(struct tty_lock *lock);
/* Ends the holder's debugger, sends away who waits, and refuses whoever comes. `why` is kept. */
void tty_lock_close(struct tty_lock *lock, const char *why);

#endif
