/*
 * The guard: a small thread that ends this process when its parent is gone and its tasks do not end it in
 * time. The runtime sees the loss of its parent's channel by itself; but a task that never reaches a
 * checkpoint would keep it from acting.
 *
 * The parent is watched by a pidfd (pidfd_open(2)), which no stray copy of a descriptor can keep open. A
 * process that is stopped has a stopped guard too, so the kernel wakes it with SIGCONT when the parent dies
 * (PR_SET_PDEATHSIG).
 */
#ifndef ACTOR_GUARD_H
#define ACTOR_GUARD_H

#include "actor/runtime.h"

#define GUARD_BOUND YOKE_MS(500)

/* At the very start of a child: it is called after its title (spawn_title), becomes a subreaper and dies with
 * its parent. Ends the process if the parent is gone already. */
void guard_birth(pid_t parent, const char *title);
/*
 * Starts the thread, once in a process. From here on a child whose parent dies has GUARD_BOUND to end by
 * itself; else it is killed, and with it the processes that its own code has started (orphan_end_rest). And a
 * task that calls pthread_exit(3), which would leave the guard's thread alone behind, ends the process.
 */
YOKE_MUST_USE yoke_error *guard_begin(pid_t parent, const yoke_uid *self);
/* The socket file of this process, which goes if the guard ends it; "": none. */
void guard_watch_file(const char *path);

#endif
