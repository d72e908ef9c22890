/* The life of a process of the tree, from its main() on. */
#ifndef ACTOR_MAIN_H
#define ACTOR_MAIN_H

#include "actor/hooks.h"

/* What yoke_main does: runs as the root, as a child, or as a zygote, as the command line says. Returns the
 * exit status. hooks: for the floor above. */
int actor_main(int argc, char **argv, yoke_error *(*app)(int argc, char **argv),
               const struct actor_hooks *hooks);

/* What yoke_child_main does: as actor_main in a child or a zygote; false, and nothing done, in another
 * process. */
bool actor_child_main(int argc, char **argv, const struct actor_hooks *hooks, int *status);

#endif
