/*
 * The main task of an actor that was started for one call: nobody waits in it. What it returns or how it
 * fails is kept till the actor's nursery closes; its end is the actor's.
 */
#ifndef ACTOR_MAIN_TASK_H
#define ACTOR_MAIN_TASK_H

#include "actor/child.h"

/* NULL is fine. The peer's loop has ended. */
void main_task_free(struct main_task *task);
/* The child is reaped, and `death` (may be NULL) is how it failed: says on it what was asked of it. */
void main_task_note_death(const struct main_task *task, yoke_error *death);
/* Did it fail with an error of its own? */
bool main_task_failed(const struct main_task *task);

#endif
