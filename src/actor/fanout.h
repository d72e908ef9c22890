/*
 * A stream that several tasks read: each is given every message. On top of a broadcast of the messages as
 * they came; each reader decodes its own copy. The stream's own receive is one of the readers.
 */
#ifndef ACTOR_FANOUT_H
#define ACTOR_FANOUT_H

#include "actor/context.h"

/* What yoke_recv (wait) and yoke_recv_nowait do on a stream that has one. */
YOKE_MUST_USE yoke_error *fanout_receive(struct yoke_fanout *f, void *item, bool wait);
/* The stream is read no more: the readers get what they have not had yet of what was read of it, then
 * YOKE_CLOSED. NULL is fine. */
void fanout_end(struct yoke_fanout *f);

#endif
