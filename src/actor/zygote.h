/*
 * The zygote: a bare image of the program that waits to be cloned, for the fork backend. It is this
 * executable started anew, when the first child is forked, and has no tasks, threads or memory of its
 * parent's. A child is cloned with CLONE_PARENT, so it is the asker's own child, and with CLONE_PIDFD
 * (clone3(2)). It gets the asker's environment, working folder and standard descriptors as they are then;
 * what else a process inherits (umask, limits, priority) is as it was when the zygote was started.
 *
 * An actor that uses the fork backend has one; it ends when its socket is closed. One that was killed is
 * replaced at the next spawn.
 */
#ifndef ACTOR_ZYGOTE_H
#define ACTOR_ZYGOTE_H

#include "actor/runtime.h"

struct zygote;

/* Clones a child; the two descriptors become its channel and its crash pipe. Starts the zygote if there is
 * none. Checkpoint. */
YOKE_MUST_USE yoke_error *zygote_spawn(struct actor *a, const yoke_uid *uid, int channel_fd, int crash_fd,
                                       yoke_process **process);
/* Ends and reaps it; NULL is fine. Outside of a run too. */
void zygote_close(struct zygote *zygote);
/* -1 without one. */
pid_t zygote_pid(const struct zygote *zygote);

/* A request is under way: clones may be our children that we do not know of yet. */
bool zygote_is_asked(const struct zygote *zygote);
/* The same, for the child `uuid`. */
bool zygote_is_asked_for(const struct zygote *zygote, const char *uuid);

/*
 * The zygote's own side: serves requests that come on descriptor SPAWN_CHANNEL_FD. Returns in each clone, as
 * a child of `parent` with its descriptors in place; in the zygote itself it does not return. `argv` is the
 * command line that made this process a zygote; a clone's is changed in place.
 */
void zygote_serve(pid_t parent, char **argv);

#endif
