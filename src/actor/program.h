/*
 * What a process knows of its program: whether its main() can be a child's, and what it was called by. The
 * only such state of this floor beside the list of modules; and which actor it is.
 */
#ifndef ACTOR_PROGRAM_H
#define ACTOR_PROGRAM_H

#include "actor/runtime.h"

/* main() has handed its command line over: its executable, started again, can be a child. */
void program_take(char **argv, const struct actor_hooks *hooks);
bool program_can_be_child(void);
/* The first word of its command line, and a NULL; nothing before that. */
char **program_argv(void);
const struct actor_hooks *program_hooks(void);

/* One actor a process: begins this one's time. YOKE_USAGE that names the one there is; nothing changes then.
 */
YOKE_MUST_USE yoke_error *program_actor_begins(const struct actor *a);
/* Its time has ended. */
void program_actor_ends(const struct actor *a);
/* The name of the last whose time has ended; "" if there was none. */
const char *program_last_actor(void);

#endif
