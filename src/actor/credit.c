#include "actor/credit.h"

#include "msg/record.h"

/* ---- who sends ---- */

static bool peer_knows(const struct yoke_context *ctx)
{
    return ctx->peer->channel->peer_has_credits;
}

static yoke_error *post(struct yoke_context *ctx, uint64_t count)
{
    return channel_post(ctx->peer->channel,
                        &(struct msg){.type = MSG_CREDIT, .cid = text_view(ctx->cid), .credit = {count}});
}

static void begin_to_count(struct yoke_context *ctx)
{
    ctx->stream.counts = true;
    ctx->stream.credits = CREDIT_FIRST;
}

yoke_error *credit_count(struct yoke_context *ctx)
{
    if (!peer_knows(ctx))
        return NULL;
    YOKE_TRY(post(ctx, 0));
    begin_to_count(ctx);
    return NULL;
}

bool credit_take(struct yoke_context *ctx)
{
    if (ctx->stream.credits == 0)
        return false;
    ctx->stream.credits--;
    return true;
}

static void more(struct yoke_context *ctx, uint64_t count)
{
    size_t most = SIZE_MAX - ctx->stream.credits;
    ctx->stream.credits += count < most ? (size_t)count : most;
    context_wake(ctx);
}

void credit_untake(struct yoke_context *ctx)
{
    more(ctx, 1);
}

/* ---- what a Start says of it ---- */

YOKE_RECORD(start_extra, (boolean, credits));

struct raw_view credit_ask(struct yoke_context *ctx)
{
    static const uint8_t extra[] = "\x81\xa7"
                                   "credits\xc3";
    if (!peer_knows(ctx))
        return (struct raw_view){0};
    ctx->stream.far_counts = true;
    ctx->stream.given = CREDIT_FIRST;
    return (struct raw_view){extra, sizeof extra - 1};
}

yoke_error *credit_read_start(struct yoke_context *ctx, struct raw_view extra)
{
    start_extra says;
    if (!extra.data || !peer_knows(ctx))
        return NULL;
    YOKE_TRY(record_decode(&yoke_record_start_extra, extra.data, extra.size, "Start.yoke", &says));
    if (says.credits)
        begin_to_count(ctx);
    return NULL;
}

/* ---- who reads ---- */

void credit_use(struct yoke_context *ctx)
{
    if (ctx->stream.given)
        ctx->stream.given--;
}

/* A queue without room takes what tasks wait for: there is one message on its way to the next of them. */
static size_t room_of(const struct yoke_context *ctx)
{
    return ctx->stream.room ? ctx->stream.room : 1;
}

void credit_give(struct yoke_context *ctx)
{
    if (!ctx->stream.far_counts || !ctx->peer || ctx->peer->lost || yoke_context_has_ended(ctx))
        return;
    size_t room = room_of(ctx), taken = ctx->inbox_count + ctx->stream.given;
    if (taken >= room || room - taken < (room + 1) / 2)
        return;
    yoke_error *e = post(ctx, room - taken);
    if (!e)
        ctx->stream.given = room - ctx->inbox_count;
    else if (yoke_error_is(e, &YOKE_NO_MEMORY)) /* the sender would wait for ever */
        channel_break(ctx->peer->channel, yoke_error_dup(e));
    yoke_error_free(e);
}

/* ---- both ---- */

static void far_begins_to_count(struct yoke_context *ctx)
{
    ctx->stream.far_counts = true;
    ctx->stream.given = CREDIT_FIRST;
    credit_give(ctx); /* the room may be larger */
}

void credit_arrived(struct yoke_context *ctx, const struct msg *m)
{
    if (!peer_knows(ctx))
        peer_break(ctx->peer, "a Credit for `%s` from an actor that does not know of credits", ctx->name);
    else if (m->credit.count && ctx->stream.counts)
        more(ctx, m->credit.count);
    else if (!m->credit.count && !ctx->stream.far_counts && ctx->kind == DIALOG_IS_CONTEXT)
        far_begins_to_count(ctx);
}
