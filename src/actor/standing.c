/*
 * Where a context stands for what this side does in it (dialog.h has the table), and how it says no. A known
 * failure comes first, then what became of the stream, then what was asked for here.
 */
#include "actor/context.h"
#include "actor/stream.h"

static enum dialog_standing standing_of_opener(const struct yoke_context *ctx)
{
    const struct yoke_stream *s = &ctx->stream;
    if (ctx->state == DIALOG_DONE)
        return ctx->remote  ? DIALOG_AT_FAILED
               : !s->opened ? DIALOG_AT_DONE
               : s->closed  ? DIALOG_AT_DONE_NEAR_CLOSED
                            : DIALOG_AT_DONE_STREAMING;
    if (ctx->remote)
        return DIALOG_AT_REFUSED;
    if (ctx->state != DIALOG_OPEN)
        return DIALOG_AT_OPENING;
    if (s->opened)
        return s->closed ? DIALOG_AT_NEAR_CLOSED : s->ended ? DIALOG_AT_FAR_CLOSED : DIALOG_AT_STREAMING;
    return ctx->cancel_called ? DIALOG_AT_CANCELLING : ctx->draining ? DIALOG_AT_DRAINING : DIALOG_AT_STARTED;
}

static enum dialog_standing standing_of_endpoint(const struct yoke_context *ctx)
{
    const struct yoke_stream *s = &ctx->stream;
    if (ctx->remote)
        return DIALOG_AT_SERVED_FAILED;
    if (s->opened)
        return s->closed  ? DIALOG_AT_SERVED_NEAR_CLOSED
               : s->ended ? DIALOG_AT_SERVED_FAR_CLOSED
                          : DIALOG_AT_SERVED_STREAMING;
    if (ctx->state == DIALOG_SERVED)
        return DIALOG_AT_SERVED;
    return ctx->cancel_called ? DIALOG_AT_SERVED_CANCELLING : DIALOG_AT_SERVED_STARTED;
}

enum dialog_standing context_standing(const struct yoke_context *ctx)
{
    if (ctx->closed)
        return DIALOG_AT_CLOSED;
    return ctx->is_opener ? standing_of_opener(ctx) : standing_of_endpoint(ctx);
}

enum dialog_answer context_answer(const struct yoke_context *ctx, enum dialog_call call)
{
    return dialog_answer(context_standing(ctx), call);
}

/* ---- no ---- */

static const char *const names[DIALOG_CALLS] = {
    [DIALOG_CALLS_STARTED] = "yoke_context_started",
    [DIALOG_CALLS_STREAM_OPEN] = "yoke_stream_open",
    [DIALOG_CALLS_SEND] = "yoke_send",
    [DIALOG_CALLS_RECEIVE] = "yoke_recv",
    [DIALOG_CALLS_STREAM_CLOSE] = "yoke_stream_close",
    [DIALOG_CALLS_CANCEL] = "yoke_context_cancel",
    [DIALOG_CALLS_RESULT] = "yoke_context_result",
    [DIALOG_CALLS_CLOSE] = "yoke_context_close",
    [DIALOG_CALLS_FAIL] = "yoke_context_close",
};

static yoke_error *is_closed(const struct yoke_context *ctx)
{
    return ctx->closed ? yoke_raise(&YOKE_CLOSED, "the context `%s` was closed", ctx->name)
                       : yoke_raise(&YOKE_CLOSED, "the stream of `%s` was closed on this side", ctx->name);
}

yoke_error *context_may(struct yoke_context *ctx, enum dialog_call call)
{
    switch (context_answer(ctx, call)) {
    case DIALOG_WRONG_SIDE:
        return yoke_raise(&YOKE_USAGE, "%s is for the %s", names[call],
                          ctx->is_opener ? "endpoint, not for the side that opened the context"
                                         : "side that opened the context");
    case DIALOG_TOO_EARLY:
        return yoke_raise(&YOKE_USAGE, "%s in `%s` comes after yoke_context_started", names[call], ctx->name);
    case DIALOG_TOO_LATE:
        return yoke_raise(&YOKE_USAGE, "%s in `%s` comes too late: %s", names[call], ctx->name,
                          ctx->cancel_called ? "it was cancelled" : "its result was asked for");
    case DIALOG_AGAIN:
        return yoke_raise(&YOKE_USAGE, "%s was called before in `%s`%s", names[call], ctx->name,
                          call == DIALOG_CALLS_STREAM_OPEN ? ": a context has one stream" : "");
    case DIALOG_IS_CLOSED:
        return is_closed(ctx);
    case DIALOG_IS_AT_END:
        return stream_end(ctx);
    case DIALOG_HAS_FAILED:
        return context_remote_error(ctx);
    case DIALOG_UNSET:
    case DIALOG_DO:
    case DIALOG_NOTHING:
    case DIALOG_AWAIT:
    case DIALOG_CANCEL_FAR:
    case DIALOG_SETTLE:
    case DIALOG_TELL_VALUE:
    case DIALOG_TELL_ERROR:
    case DIALOG_ANSWERS:
        break;
    }
    return NULL;
}

yoke_error *context_expect(const char *call, const char *what, const void *handle)
{
    if (!task_here())
        return task_outside(call);
    return handle ? NULL : yoke_raise(&YOKE_USAGE, "%s: no %s", call, what);
}
