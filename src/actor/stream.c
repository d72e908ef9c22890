/*
 * Streams: the messages of a context after its first value. A stream is opened and closed on each side by
 * itself; closing is no cancellation, and cancellation closes nothing. The queue of what came belongs to the
 * context and is filled by the peer's loop alone: a close here only says that this side reads and sends no
 * more, so the final result still comes through.
 */
#include "actor/stream.h"

#include "actor/credit.h"
#include "actor/fanout.h"
#include "base/error.h"
#include "base/memory.h"
#include "msg/record.h"

/* ---- its end ---- */

static void end_free(void *number)
{
}

/* The data is the context's number: the error may outlive it. */
static const struct error_details_ops end_ops = {.free = end_free};

yoke_error *stream_end(const struct yoke_context *ctx)
{
    yoke_error *e = yoke_raise(&YOKE_END_OF_CHANNEL, "the far side of `%s` has closed its stream", ctx->name);
    error_set_details(e, &end_ops, (void *)(uintptr_t)ctx->number);
    return e;
}

bool stream_is_end_of(const yoke_error *e, const struct yoke_context *ctx)
{
    return (uintptr_t)error_details(e, &end_ops) == (uintptr_t)ctx->number;
}

/* ---- open ---- */

struct yoke_context *stream_context(yoke_stream *stream)
{
    return container_of(stream, struct yoke_context, stream);
}

void stream_begin(struct yoke_context *ctx, const yoke_stream_options *options)
{
    static const yoke_stream_options defaults;
    if (!options)
        options = &defaults;
    ctx->stream.opened = true;
    ctx->stream.allow_overruns = options->allow_overruns;
    if (options->buffer)
        ctx->stream.room = options->buffer == YOKE_NO_BUFFER ? 0 : options->buffer;
    ctx->stream.keep_on_type_error = options->keep_on_type_error;
}

yoke_error *yoke_stream_open(yoke_context *ctx, yoke_stream **stream, const yoke_stream_options *options)
{
    *stream = NULL;
    YOKE_TRY(context_expect("yoke_stream_open", "context", ctx));
    YOKE_TRY(context_may(ctx, DIALOG_CALLS_STREAM_OPEN));
    if (options && options->backpressure)
        YOKE_TRY(credit_count(ctx));
    stream_begin(ctx, options);
    credit_give(ctx); /* the room may be another one now */
    *stream = &ctx->stream;
    return NULL;
}

/* ---- send ---- */

static const yoke_record *sent_record(const struct yoke_context *ctx)
{
    return ctx->is_opener ? ctx->endpoint->down : ctx->endpoint->up;
}

const yoke_record *stream_received_record(const struct yoke_context *ctx)
{
    return ctx->is_opener ? ctx->endpoint->up : ctx->endpoint->down;
}

/* Why nothing can be sent, or NULL. */
static yoke_error *send_refused(struct yoke_context *ctx)
{
    if (ctx->kind == DIALOG_IS_ONE_WAY && ctx->is_opener)
        return yoke_raise(&YOKE_USAGE, "`%s` is a one-way stream: it is sent by the endpoint alone",
                          ctx->name);
    YOKE_TRY(context_may(ctx, DIALOG_CALLS_SEND));
    if (ctx->peer->lost)
        return peer_lost(ctx->peer);
    return NULL;
}

static yoke_error *wait_for_credit(struct yoke_context *ctx)
{
    while (!credit_take(ctx)) {
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(context_wait(ctx));
        YOKE_TRY(send_refused(ctx));
    }
    return NULL;
}

static yoke_error *send_item(struct yoke_context *ctx, const void *item)
{
    YOKE_TRY(send_refused(ctx));
    if (ctx->stream.counts)
        YOKE_TRY(wait_for_credit(ctx));
    yoke_error *e = channel_send(ctx->peer->channel,
                                 &(struct msg){.type = MSG_YIELD,
                                               .cid = text_view(ctx->cid),
                                               .pld_item = {sent_record(ctx), item, "item", ctx->unchecked}});
    if (e && ctx->stream.counts)
        credit_untake(ctx);
    YOKE_TRY(e);
    return channel_takes(ctx->peer->channel); /* it may have found the peer gone just now */
}

yoke_error *yoke_send(yoke_stream *stream, const void *item)
{
    YOKE_TRY(context_expect("yoke_send", "stream", stream));
    struct yoke_context *ctx = stream_context(stream);
    context_enter(ctx);
    return context_leave(ctx, send_item(ctx, item));
}

/* ---- receive ---- */

/* `ctx` NULL: the stream is closed, there is nobody to be told. */
yoke_error *stream_decode(struct yoke_context *ctx, const yoke_record *record, struct inbox_item *from,
                          void *item, bool last)
{
    from->aside.to_take = last;
    yoke_error *e = record_decode_aside(record, from->payload, from->size, "item", item, &from->aside);
    if (yoke_error_is(e, &YOKE_MSG_TYPE) && ctx && !ctx->stream.keep_on_type_error && !ctx->peer->lost)
        context_refuse(ctx, e);
    return e;
}

static yoke_error *take_first(struct yoke_context *ctx, struct inbox_item **item)
{
    struct inbox_item *first = container_of(list_pop(&ctx->inbox), struct inbox_item, link);
    ctx->inbox_count--;
    if (!first->is_stop) {
        credit_give(ctx);
        *item = first;
        return NULL;
    }
    inbox_item_free(ctx->peer, first);
    ctx->stream.ended = true;
    return stream_end(ctx);
}

/* Why nothing can be received, or NULL. A one-way stream is nothing but its values: those that were sent
 * before the far side failed come first. */
static yoke_error *receive_refused(struct yoke_context *ctx)
{
    if (ctx->kind == DIALOG_IS_CONTEXT)
        return context_may(ctx, DIALOG_CALLS_RECEIVE);
    if (ctx->stream.closed)
        return yoke_raise(&YOKE_CLOSED, "the stream of `%s` was closed on this side", ctx->name);
    if (!ctx->remote || !list_empty(&ctx->inbox))
        return NULL;
    ctx->stream.failure_told = true;
    return context_while_open(ctx, context_remote_error(ctx));
}

/* Is what comes next the Stop of a far task that this side has asked to end? Then the outcome, which is on
 * its way, says more than that Stop. */
static bool is_end_by_cancel(const struct yoke_context *ctx)
{
    const struct inbox_item *first = container_of(ctx->inbox.next, struct inbox_item, link);
    return first->is_stop && ctx->cancel_sent && ctx->state != DIALOG_DONE;
}

yoke_error *stream_take(struct yoke_context *ctx, struct inbox_item **item)
{
    yoke_task *task = task_here();
    bool looked = false;
    for (;;) {
        YOKE_TRY(receive_refused(ctx));
        if (task_has_news(task))
            return task_news(task);
        if (!looked) {
            looked = true;
            YOKE_TRY(task_operation(task));
            if (task->scheduler->operations == 0)
                continue; /* its turn has just begun: it has yielded, and what was true before need not be */
        }
        if (!list_empty(&ctx->inbox) && !is_end_by_cancel(ctx))
            return take_first(ctx, item);
        if (ctx->overrun && ctx->state == DIALOG_DONE)
            return context_overrun(ctx); /* the far side had ended before it could learn of that */
        if (ctx->stream.ended || ctx->state == DIALOG_DONE) {
            ctx->stream.ended = true;
            return stream_end(ctx);
        }
        ctx->stream.receiving++;
        yoke_error *e = context_wait(ctx);
        ctx->stream.receiving--;
        if (e)
            return e;
    }
}

yoke_error *stream_take_nowait(struct yoke_context *ctx, struct inbox_item **item)
{
    YOKE_TRY(receive_refused(ctx));
    if (!list_empty(&ctx->inbox))
        return take_first(ctx, item);
    if (ctx->stream.ended || ctx->state == DIALOG_DONE)
        return ctx->overrun ? context_overrun(ctx) : stream_end(ctx);
    return yoke_raise(&YOKE_WOULD_BLOCK, "no message of `%s` has come that was not received", ctx->name);
}

yoke_error *stream_check_reading(const struct yoke_context *ctx)
{
    if (ctx->kind == DIALOG_IS_ONE_WAY && !ctx->is_opener)
        return yoke_raise(&YOKE_USAGE, "`%s` is a one-way stream: nothing comes in to its endpoint",
                          ctx->name);
    if (ctx->stream.closed)
        return yoke_raise(&YOKE_CLOSED, "the stream of `%s` was closed on this side", ctx->name);
    return NULL;
}

static yoke_error *receive(struct yoke_context *ctx, void *item, bool wait)
{
    YOKE_TRY(stream_check_reading(ctx));
    if (ctx->stream.fanout)
        return fanout_receive(ctx->stream.fanout, item, wait);
    struct inbox_item *first;
    YOKE_TRY(wait ? stream_take(ctx, &first) : stream_take_nowait(ctx, &first));
    yoke_error *e = stream_decode(ctx, stream_received_record(ctx), first, item, true);
    inbox_item_free(ctx->peer, first);
    return e;
}

yoke_error *yoke_recv(yoke_stream *stream, void *item)
{
    YOKE_TRY(context_expect("yoke_recv", "stream", stream));
    struct yoke_context *ctx = stream_context(stream);
    context_enter(ctx);
    return context_leave(ctx, receive(ctx, item, true));
}

yoke_error *yoke_recv_nowait(yoke_stream *stream, void *item)
{
    if (!stream)
        return yoke_raise(&YOKE_USAGE, "yoke_recv_nowait: no stream");
    return receive(stream_context(stream), item, false);
}

/* ---- close ---- */

static void say_stop(struct yoke_context *ctx)
{
    bool peer_has_ended = ctx->stream.ended || ctx->state == DIALOG_DONE || ctx->state == DIALOG_ENDED;
    if (ctx->stream.stop_sent || peer_has_ended || ctx->peer->lost)
        return;
    ctx->stream.stop_sent = true;
    struct msg m = {.type = MSG_STOP, .cid = text_view(ctx->cid)};
    /* Posted, not sent: it neither waits nor looks for cancellation, so it goes out in a cancelled scope too.
     */
    peer_post(ctx->peer, &m);
}

void stream_say_stop(struct yoke_context *ctx)
{
    if (ctx->stream.opened)
        say_stop(ctx);
}

void stream_say_none(struct yoke_context *ctx)
{
    if (ctx->stream.opened || ctx->peer->channel->peer_is_yoke)
        say_stop(ctx);
}

static yoke_error *close_one_way(struct yoke_context *ctx, yoke_error *e)
{
    if (!task_here())
        return yoke_error_join(e, task_outside("yoke_stream_close"));
    if (ctx->is_opener)
        return stream_close_one_way(ctx, e);
    return yoke_error_join(
        e, yoke_raise(&YOKE_USAGE, "the stream of `%s` is closed by the end of its endpoint", ctx->name));
}

yoke_error *yoke_stream_close(yoke_stream *stream, yoke_error *e)
{
    if (!stream)
        return e;
    struct yoke_context *ctx = stream_context(stream);
    if (ctx->kind == DIALOG_IS_ONE_WAY)
        return close_one_way(ctx, e);
    if (context_answer(ctx, DIALOG_CALLS_STREAM_CLOSE) == DIALOG_DO)
        stream_say_stop(ctx);
    ctx->stream.closed = true;
    ctx->stream.cut = e != NULL;
    context_drop_inbox(ctx);
    fanout_end(ctx->stream.fanout);
    context_wake(ctx); /* other tasks that wait in a receive */
    return e;
}
