/*
 * One-way streams, as their reader has them: a dialog that is nothing but a stream. There is no scope around
 * the reader's body: what the far task sent is received first, whatever came of that task then.
 */
#include "actor/ask.h"
#include "actor/credit.h"
#include "actor/fanout.h"
#include "actor/stream.h"

/* Till the far task is there, or it is known that it never will be. */
static yoke_error *wait_for_begin(struct yoke_context *ctx)
{
    while (ctx->state == DIALOG_STARTING) {
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(context_wait(ctx));
    }
    /* Values may have come together with the error that followed them: those are for the receives. */
    return ctx->remote && list_empty(&ctx->inbox) ? context_remote_error(ctx) : NULL;
}

static yoke_error *begin(struct ask *ask, struct yoke_context *ctx)
{
    yoke_error *e = ask_send(ask, ctx, true);
    if (!e)
        return wait_for_begin(ctx);
    ctx->state = DIALOG_DONE; /* the far side knows nothing of it: there is no end to wait for */
    return e;
}

yoke_error *yoke_portal_stream_open_at(const char *file, int line, yoke_portal *portal, yoke_stream **stream,
                                       const char *endpoint, const void *args,
                                       const yoke_stream_options *options)
{
    struct ask ask = {"yoke_portal_stream_open", file, line, portal, endpoint, args,
                      .kind = DIALOG_IS_ONE_WAY};
    struct yoke_context *ctx;
    *stream = NULL;
    yoke_error *e = ask_open(&ask, &ctx);
    if (e)
        return e;
    stream_begin(ctx, options);
    if (options && options->backpressure)
        ctx->start_extra = credit_ask(ctx);
    e = begin(&ask, ctx);
    if (e)
        return ask_note(&ask, stream_close_one_way(ctx, e));
    *stream = &ctx->stream;
    return NULL;
}

yoke_error *stream_close_one_way(struct yoke_context *ctx, yoke_error *e)
{
    stream_say_stop(ctx);
    ctx->stream.closed = true;
    fanout_end(ctx->stream.fanout);
    context_drop_inbox(ctx);
    context_wake(ctx); /* other tasks that wait in a receive */
    if (ctx->state != DIALOG_DONE)
        context_cancel_and_wait(ctx, yoke_error_is_cancelled(e) ? context_asker(ctx->peer->actor) : NULL);
    if (!ctx->stream.failure_told)
        e = context_settle(ctx, e);
    context_end(ctx);
    return e;
}
