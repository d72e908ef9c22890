/* Calls: one request, one value. */
#include "actor/context.h"
#include "actor/module.h"
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

static yoke_error *call(struct yoke_context *ctx, struct text_view ns, const struct buffer *kwargs,
                        void *result)
{
    YOKE_TRY(context_send_start(ctx, ns, text_view(ctx->endpoint->name), kwargs, true));
    yoke_error *e = wait_for_result(ctx);
    if (e) {
        /* Nobody waits for it any more: the far task is asked to end. What it still answers is dropped. */
        if (ctx->state != DIALOG_DONE)
            context_request_cancel(ctx, context_asker(ctx->peer->actor));
        return e;
    }
    return context_take_result(ctx, result);
}

/* Says on `e` where the caller stands. */
static yoke_error *while_called(yoke_error *e, const yoke_portal *portal, const char *endpoint,
                                const char *file, int line)
{
    if (e && !yoke_error_is_cancelled(e))
        yoke_error_note(e, "while: `%s` was called in actor `%s` [%s:%d]", endpoint,
                        yoke_portal_peer(portal)->name, file, line);
    return e;
}

yoke_error *yoke_call_at(const char *file, int line, yoke_portal *portal, const char *endpoint,
                         const void *args, void *result)
{
    struct actor *a;
    YOKE_TRY(actor_expect("yoke_call", &a));
    if (!portal)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "yoke_call: no portal");
    struct text_view ns;
    const yoke_endpoint *ep;
    yoke_error *e = module_resolve(endpoint, &ns, &ep);
    if (e)
        return while_called(e, portal, endpoint ? endpoint : "", file, line);
    if (ep->type != YOKE_ENDPOINT_CALL)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "`%s` is a context: yoke_context_open is for those",
                             endpoint);
    if (result)
        memset(result, 0, ep->result->size);
    struct buffer kwargs = BUFFER_EMPTY;
    struct yoke_context *ctx;
    e = record_encode_args(&kwargs, ep->args, args);
    if (!e)
        e = context_new(&ctx, portal->peer, endpoint, true);
    if (!e) {
        ctx->endpoint = ep;
        ctx->file = file;
        ctx->line = line;
        e = while_called(call(ctx, ns, &kwargs, result), portal, endpoint, file, line);
        context_free(ctx);
    } else {
        e = while_called(e, portal, endpoint, file, line);
    }
    buffer_free(&kwargs);
    return e;
}
