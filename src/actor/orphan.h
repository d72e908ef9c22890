/*
 * What a dead actor leaves behind. Every actor is a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), so the
 * processes below a child that died become its own children: actors end by themselves (guard.c), others do
 * not. Both are ended and reaped here.
 *
 * How they are told from children that the program itself forked: each actor's environment says
 * YOKE_ACTOR=UUID, and what it starts inherits that. A child process that carries another mark than its
 * parent, and is no child actor of ours, was adopted. Of a zombie the environment is gone; but what it had
 * inherited as its RLIMIT_RSS is still to be seen (proc(5), stat), and Linux does nothing with that limit
 * (getrlimit(2)): so each actor sets a number there that no other has, so large that it says `no limit` to
 * whoever reads it.
 */
#ifndef ACTOR_ORPHAN_H
#define ACTOR_ORPHAN_H

#include "actor/runtime.h"

#define ORPHAN_MARK "YOKE_ACTOR"

/* At the very start of a child. */
void orphan_tag_self(void);
/* Gives what was adopted `grace` to end, not counted while a debugger has somebody, then SIGKILL; reaps all
 * of it. An actor that has lost its own parent has no time: it gives a fifth of a second at most. Checkpoint.
 */
void orphan_sweep(struct actor *a, int64_t grace);
/*
 * The actor `uuid` ends and nobody above will sweep: SIGKILL for the child processes that its own code has
 * started and left, and for the adopted ones that are no actors; actors end by themselves. Any thread; in
 * 0.1 s at most.
 */
void orphan_end_rest(const char *uuid);

#endif
