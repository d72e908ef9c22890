/* Starting the process of an actor: a table of backends, and what the parent tells it first. */
#ifndef ACTOR_SPAWN_H
#define ACTOR_SPAWN_H

#include "actor/actors.h"

/* The descriptors that a child finds its channel and its crash pipe on. */
enum { SPAWN_CHANNEL_FD = 3, SPAWN_CRASH_FD = 4, SPAWN_FDS_MAX };

#define SPAWN_CHILD_OPTION  "--yoke-child="
#define SPAWN_ZYGOTE_OPTION "--yoke-zygote="

struct spawned {
    yoke_process *process;
    int channel_fd, crash_fd; /* the parent's ends, non-blocking */
};

/* YOKE_USAGE: it is none. */
YOKE_MUST_USE yoke_error *spawn_check_backend(enum yoke_backend backend);
/* command: of another program, or NULL. Checkpoint for the fork backend. System errors, with a note of the
 * limit if it was one; nothing is left after one. */
YOKE_MUST_USE yoke_error *spawn_process(struct actor *a, enum yoke_backend backend, char *const *command,
                                        const yoke_uid *uid, struct spawned *out);
/* What `ps` shows of an actor: its name and six digits of its uuid. */
enum { SPAWN_TITLE_BYTES = 80 };
void spawn_title(const char *name, const char *uuid, char title[SPAWN_TITLE_BYTES]);
/* The environment of a child: this process' own, with the mark of `uid`. NULL-terminated, one block;
 * memory_free. NULL without memory. */
char **spawn_environment(const char *uuid);
/* A program of this tree: `command` and its arguments, or NULL for this very program, also when its file was
 * replaced or removed; `title` is its argv[0] then. `option` is its last argument; the descriptors become its
 * 0 to count-1 (SPAWN_FDS_MAX at most), one that is not open becomes /dev/null. */
struct spawn_plan {
    char *const *command;
    const char *title, *option, *uuid;
    const int *fds;
    size_t count;
};
YOKE_MUST_USE yoke_error *spawn_program(const struct spawn_plan *plan, yoke_process **out);
/* Is a child of these options to be in debug mode? */
bool spawn_debug_mode(const yoke_actors *actors, const yoke_actor_options *options);
/* Tells a child what it is to be. `modules`: those of the options, as module_parse gives them. Posted. */
YOKE_MUST_USE yoke_error *spawn_send_spec(struct peer *peer, yoke_actors *actors,
                                          const yoke_actor_options *options, const char **modules);
/* The child's side: takes the SpawnSpec in. */
YOKE_MUST_USE yoke_error *spawn_take_spec(struct actor *a, const struct msg *m);

#endif
