/*
 * Holds: who is not to be disturbed, since a debugger has it or it waits for one. Each actor counts its own
 * and those that came through its peers, from anywhere below; the root's count is of the whole tree.
 *
 * While an actor counts any it asks none of its children to end, and no bound passes for a child that a hold
 * came through. When the count falls to zero the next one is asked: an edge, not a state, so whoever waits
 * for it looks again.
 */
#ifndef ACTOR_HOLD_H
#define ACTOR_HOLD_H

#include "actor/peer.h"

/* `by`: whose channel it came through; NULL: this actor's own. Not checkpoints. */
void hold_begin(struct actor *a, struct peer *by);
void hold_end(struct actor *a, struct peer *by);
static inline bool hold_any(const struct actor *a)
{
    return a->holds > 0;
}
/* Returns at once if there is none, else at the next edge. Checkpoint. */
YOKE_MUST_USE yoke_error *hold_wait_none(struct actor *a);

#endif
