#include "actor/fanout.h"

#include "actor/stream.h"
#include "base/memory.h"

struct yoke_fanout {
    struct yoke_context *ctx; /* NULL: the stream was closed on this side */
    const yoke_record *record;
    yoke_subscriber own; /* yoke_recv's */
    size_t references;   /* readers, and calls under way */
};

static void release(struct yoke_fanout *f)
{
    if (--f->references == 0)
        memory_free(f);
}

/* ---- what the broadcast reads ---- */

static yoke_error *closed_stream(void)
{
    return yoke_raise(&YOKE_CLOSED, "the stream was closed on this side");
}

static yoke_error *read_stream(void *arg, void *message)
{
    struct yoke_fanout *f = arg;
    struct yoke_context *ctx = f->ctx;
    if (!ctx)
        return closed_stream();
    context_enter(ctx);
    return context_leave(ctx, stream_take(ctx, message));
}

static yoke_error *read_stream_nowait(void *arg, void *message)
{
    struct yoke_fanout *f = arg;
    return f->ctx ? stream_take_nowait(f->ctx, message) : closed_stream();
}

static void free_message(void *message)
{
    inbox_item_free(NULL, *(struct inbox_item **)message);
}

/* ---- open and end ---- */

static yoke_error *make(struct yoke_context *ctx, const yoke_subscribe_options *options)
{
    struct yoke_fanout *f = memory_calloc(1, sizeof *f);
    if (!f)
        return yoke_raise(&YOKE_NO_MEMORY, "the readers of a stream");
    *f = (struct yoke_fanout){.ctx = ctx, .record = stream_received_record(ctx), .references = 1};
    const yoke_broadcast_source source = {.receive = read_stream,
                                          .receive_nowait = read_stream_nowait,
                                          .arg = f,
                                          .item_bytes = sizeof(struct inbox_item *)};
    size_t keep = options && options->keep ? options->keep : CONTEXT_QUEUE_MESSAGES;
    yoke_error *e = yoke_broadcast_open_source(&f->own, &source, keep,
                                               &(yoke_broadcast_options){.destroy = free_message});
    if (e)
        memory_free(f);
    else
        ctx->stream.fanout = f;
    return e;
}

void fanout_end(struct yoke_fanout *f)
{
    if (!f || !f->ctx)
        return;
    f->ctx->stream.fanout = NULL;
    f->ctx = NULL;
    yoke_broadcast_close(&f->own);
    release(f);
}

yoke_error *yoke_stream_subscribe(yoke_stream *stream, yoke_stream_subscriber *s,
                                  const yoke_subscribe_options *options)
{
    s->fanout = NULL;
    s->end.broadcast = NULL;
    YOKE_TRY(context_expect("yoke_stream_subscribe", "stream", stream));
    struct yoke_context *ctx = stream_context(stream);
    YOKE_TRY(stream_check_reading(ctx));
    if (!ctx->stream.fanout)
        YOKE_TRY(make(ctx, options));
    struct yoke_fanout *f = ctx->stream.fanout;
    YOKE_TRY(yoke_broadcast_subscribe(&f->own, &s->end,
                                      &(yoke_broadcast_options){.no_lag = options && options->no_lag}));
    s->fanout = f;
    f->references++;
    return NULL;
}

void yoke_stream_unsubscribe(yoke_stream_subscriber *s)
{
    if (!s->fanout)
        return;
    struct yoke_fanout *f = s->fanout;
    s->fanout = NULL;
    yoke_broadcast_close(&s->end);
    release(f);
}

/* ---- receive ---- */

static yoke_error *receive(struct yoke_fanout *f, yoke_subscriber *s, void *item, bool wait)
{
    struct inbox_item *message;
    f->references++; /* the stream, and the reader, may be closed meanwhile */
    yoke_error *e = wait ? yoke_broadcast_receive(s, &message) : yoke_broadcast_receive_nowait(s, &message);
    if (!e)
        e = stream_decode(f->ctx, f->record, message, item, false);
    release(f);
    return e;
}

yoke_error *fanout_receive(struct yoke_fanout *f, void *item, bool wait)
{
    return receive(f, &f->own, item, wait);
}

yoke_error *yoke_stream_next(yoke_stream_subscriber *s, void *item)
{
    if (!task_here())
        return task_outside("yoke_stream_next");
    if (!s->fanout)
        return yoke_raise(&YOKE_CLOSED, "this subscriber was closed");
    return receive(s->fanout, &s->end, item, true);
}
