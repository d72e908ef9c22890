/* What the other files of the floor need of streams. */
#ifndef ACTOR_STREAM_H
#define ACTOR_STREAM_H

#include "actor/context.h"

/* The error for who has received all of the stream, or sends to a far side that has ended it. */
yoke_error *stream_end(const struct yoke_context *ctx);
/* Is it the end of the stream of `ctx`, as its receives and sends tell of it? */
bool stream_is_end_of(const yoke_error *e, const struct yoke_context *ctx);
/* Tells the peer that this side sends no more, if it has a stream and has not said so and the peer has not
 * ended. */
void stream_say_stop(struct yoke_context *ctx);
/* Ends a one-way stream on its reader's side, and with it the dialog: the far task is asked to end if it has
 * not. Given the body's error, returns what remains. */
YOKE_MUST_USE yoke_error *stream_close_one_way(struct yoke_context *ctx, yoke_error *e);

#endif
