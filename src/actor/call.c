/* Calls: one request, one value. */
#include "actor/ask.h"
#include "msg/record.h"

#include <string.h>

static yoke_error *wait_for_result(struct yoke_context *ctx)
{
    while (ctx->state != DIALOG_DONE) {
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(context_wait(ctx));
    }
    return ctx->remote ? context_remote_error(ctx) : NULL;
}

static yoke_error *call(struct ask *ask, struct yoke_context *ctx, void *result)
{
    YOKE_TRY(ask_send(ask, ctx, true));
    yoke_error *e = wait_for_result(ctx);
    if (e) {
        /* Nobody waits for it any more: the far task is asked to end. What it still answers is dropped. */
        if (ctx->state != DIALOG_DONE)
            context_request_cancel(ctx, context_asker(ctx->peer->actor));
        return e;
    }
    return context_take_result(ctx, result);
}

yoke_error *yoke_call_at(const char *file, int line, yoke_portal *portal, const char *endpoint,
                         const void *args, void *result)
{
    struct ask ask = {"yoke_call", file, line, portal, endpoint, args, .kind = DIALOG_IS_CALL};
    struct yoke_context *ctx;
    yoke_error *e = ask_open(&ask, &ctx);
    if (ask.endpoint && result)
        memset(result, 0, ask.endpoint->result->size);
    if (e)
        return e;
    e = ask_note(&ask, call(&ask, ctx, result));
    context_end(ctx); /* who closes the portal may be waiting for it */
    return e;
}
