/*
 * The clocks of a tree whose YOKE_DEBUG has `freeze`: they stand still while somebody has the terminal.
 *
 * The root is where that begins and ends; from there a call of the runtime's goes down from parent to child
 * (`self:yoke_freeze`, yoke's own, which nobody else is sent), and who is started meanwhile begins so (the
 * SpawnSpec says it). An actor that is about to stand still can't hand on what comes then: so it freezes
 * itself, and those below, before. An actor that has lost its parent is of no tree any more, and its clock
 * goes on.
 */
#ifndef ACTOR_FREEZE_H
#define ACTOR_FREEZE_H

#include "actor/peer.h"

/* Somebody has the terminal; has it no more. Of this actor and of all below it; counted, and nothing at all
 * where the tree does not freeze. Not checkpoints; in a task or outside. */
void freeze_begin(struct actor *a);
void freeze_end(struct actor *a);
/* The parent says that clocks stand still, or go on; again changes nothing. */
void freeze_by_parent(struct actor *a, bool still);
/* Does the clock stand still? */
static inline bool freeze_is_on(const struct actor *a)
{
    return a->freezes > 0;
}

#endif
