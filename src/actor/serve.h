/* What a peer asks of this actor: endpoints, and the runtime's own calls. */
#ifndef ACTOR_SERVE_H
#define ACTOR_SERVE_H

#include "actor/peer.h"

/* Answers a Start: with a task, or with an error. Never waits. */
void serve_start(struct peer *peer, const struct msg *m);
/* Who asked for the endpoint that the calling task runs. */
struct peer *serve_asker(void);
/* This actor ends because another than its parent asked for it: the parent is told who, so that it does not
 * take the end for a failure. */
void serve_tell_canceller(struct actor *a);
/* A child is told that its clock is to stand still, or to go on (freeze.h). */
void serve_tell_freeze(struct peer *child, bool still);
/* Answers everybody who asked this actor to end that it has; when its tasks have ended. */
void serve_acknowledge_end(struct actor *a);

#endif
