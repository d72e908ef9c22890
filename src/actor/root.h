/*
 * A root inside of a run that is there already: what yoke_actors_open opens where there is no runtime, and
 * its close ends. A program of YOKE_MAIN has one around its app (main.c).
 */
#ifndef ACTOR_ROOT_H
#define ACTOR_ROOT_H

#include "actor/runtime.h"

struct root;

/* What environment and options say of a root's actor. YOKE_USAGE: what is wrong with them; nothing is changed
 * then. options may be NULL. */
YOKE_MUST_USE yoke_error *root_configure(struct actor *a, const yoke_root_options *options);
/* In the calling task, which is in a scope of the root's till the close. As root_configure, YOKE_NO_MEMORY.
 */
YOKE_MUST_USE yoke_error *root_open(struct root **root, const char *file, int line,
                                    const yoke_root_options *options);
/* Ends what peers had asked for, leaves the registry, and puts everything back as it was. Returns `e`. */
YOKE_MUST_USE yoke_error *root_close(struct root *root, yoke_error *e);
/* The part of it that any root's end has: nobody is served any more, its server and its zygote end. Shielded.
 */
void root_end(struct actor *a);

#endif
