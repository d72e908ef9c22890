/*
 * Credits: how a send waits while the far side has as many unread messages as it keeps, instead of failing it
 * (yoke_stream_options.backpressure). Both are yoke and have said so in the handshake; then a sender says
 * once that it counts (a Credit of 0; of a one-way stream its reader asks for that, in the Start), and has
 * CREDIT_FIRST messages to send. The reader gives more, half its room at a time, as it takes messages out of
 * its queue or drops them. The other messages of the dialog, its end above all, are not counted and wait for
 * nothing; and it is a task that waits, never the channel.
 */
#ifndef ACTOR_CREDIT_H
#define ACTOR_CREDIT_H

#include "actor/context.h"

/* What each queue has room for before its stream is open. */
enum { CREDIT_FIRST = CONTEXT_QUEUE_MESSAGES };

/* ---- who sends ---- */

/* This side's sends count from here on, if the peer knows of credits; else nothing happens. Before the first
 * send. */
YOKE_MUST_USE yoke_error *credit_count(struct yoke_context *ctx);
/* The same, because the Start of a one-way stream asks for it. */
YOKE_MUST_USE yoke_error *credit_read_start(struct yoke_context *ctx, struct raw_view extra);
/* Takes the right to send one message; false: there is none now. */
bool credit_take(struct yoke_context *ctx);
/* It was not sent after all. */
void credit_untake(struct yoke_context *ctx);

/* ---- who reads ---- */

/* The far side's sends of a one-way stream shall count: what the Start is to say; or the view of nothing: the
 * peer does not know of credits. */
struct raw_view credit_ask(struct yoke_context *ctx);
/* A message that counts has come. */
void credit_use(struct yoke_context *ctx);
/* The queue has become shorter, or its room larger. */
void credit_give(struct yoke_context *ctx);

/* ---- both ---- */

/* A Credit has come. */
void credit_arrived(struct yoke_context *ctx, const struct msg *m);

#endif
