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
/* The same when the opener's body is over, so that it never will have a stream if it has none: a far task
 * that receives hears of that, if it is a yoke actor's. */
void stream_say_none(struct yoke_context *ctx);
struct yoke_context *stream_context(yoke_stream *stream);
/* This side's stream is open from here on. options NULL: defaults. */
void stream_begin(struct yoke_context *ctx, const yoke_stream_options *options);
/* Why nothing can be received, whatever comes; or NULL. */
YOKE_MUST_USE yoke_error *stream_check_reading(const struct yoke_context *ctx);
/* What the far side's messages are of. */
const yoke_record *stream_received_record(const struct yoke_context *ctx);
/* The next message as it came, the caller's to free. Checkpoint; the errors are those of yoke_recv. */
YOKE_MUST_USE yoke_error *stream_take(struct yoke_context *ctx, struct inbox_item **item);
/* The same at once or not at all: YOKE_WOULD_BLOCK. Not a checkpoint. */
YOKE_MUST_USE yoke_error *stream_take_nowait(struct yoke_context *ctx, struct inbox_item **item);
/* What is in it; that it does not fit is told to its sender. last: nobody decodes `from` again, so the item
 * may keep what there is of it. */
YOKE_MUST_USE yoke_error *stream_decode(struct yoke_context *ctx, const yoke_record *record,
                                        struct inbox_item *from, void *item, bool last);
/* Ends a one-way stream on its reader's side, and with it the dialog: the far task is asked to end if it has
 * not. Given the body's error, returns what remains. */
YOKE_MUST_USE yoke_error *stream_close_one_way(struct yoke_context *ctx, yoke_error *e);

#endif
