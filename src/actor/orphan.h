/*
 * What a dead actor leaves behind. Every actor is a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), so the
 * processes below a child that died become its own children: actors end by themselves (guard.c), others do
 * not. Both are ended and reaped here.
 *
 * How they are told from children that the program itself forked: each actor's environment says
 * YOKE_ACTOR=UUID, and what it starts inherits that. A child process that carries another actor's mark, and
 * is no child actor of ours, was adopted. Of a zombie only the name is left to see: actors call themselves
 * `yoke-NAME`.
 */
#ifndef ACTOR_ORPHAN_H
#define ACTOR_ORPHAN_H

#include "actor/runtime.h"

#define ORPHAN_MARK "YOKE_ACTOR"

/* Gives what was adopted `grace` to end, then SIGKILL; reaps all of it. Checkpoint. */
void orphan_sweep(struct actor *a, int64_t grace);

#endif
