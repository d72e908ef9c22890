/* What can be seen of a context: how it stands, who cancelled it, how it ended; and all of that in words. */
#include "actor/context.h"

#include <stdio.h>

bool yoke_context_has_ended(const yoke_context *ctx)
{
    return ctx->state == DIALOG_DONE || ctx->state == DIALOG_ENDED;
}

const yoke_error *yoke_context_outcome(const yoke_context *ctx)
{
    return ctx->remote;
}

bool yoke_context_cancel_called(const yoke_context *ctx)
{
    return ctx->cancel_called;
}

bool yoke_context_cancel_acked(const yoke_context *ctx)
{
    return ctx->cancel_acked;
}

const yoke_uid *yoke_context_canceller(const yoke_context *ctx)
{
    return ctx->has_canceller ? &ctx->canceller : NULL;
}

const yoke_scope *yoke_context_scope(const yoke_context *ctx)
{
    return ctx->scope_open ? &ctx->scope : NULL;
}

/* ---- in words ---- */

static const char *stream_in_words(const struct yoke_context *ctx)
{
    const struct yoke_stream *s = &ctx->stream;
    if (!s->opened)
        return ctx->inbox_count ? "not opened here; messages wait" : "not opened here";
    if (s->closed)
        return s->ended ? "closed on both sides" : "closed on this side";
    if (s->ended)
        return "closed on the far side";
    return s->counts && !s->credits ? "open; a send waits for the far side to receive" : "open";
}

static void print_cancel(FILE *out, const struct yoke_context *ctx)
{
    const char *by_whom = ctx->has_canceller ? ctx->canceller.name : NULL;
    if (ctx->cancel_called)
        fprintf(out, "this side asked for it%s", ctx->cancel_acked ? ", and it was obeyed" : "");
    else if (by_whom)
        fprintf(out, "not asked for by this side");
    else
        fprintf(out, "no");
    if (by_whom)
        fprintf(out, "; by actor `%s`", by_whom);
}

static void print_outcome(FILE *out, const struct yoke_context *ctx)
{
    if (ctx->remote)
        fprintf(out, "%s [%s]", yoke_error_message(ctx->remote), yoke_error_kind_of(ctx->remote)->name);
    else
        fputs(!yoke_context_has_ended(ctx) ? "unresolved" : ctx->is_opener ? "a value" : "told", out);
}

void yoke_context_print(FILE *out, const yoke_context *ctx, bool lines)
{
    const char *side = ctx->is_opener ? "opener" : "endpoint";
    if (!lines) {
        fprintf(out, "context %s (%s) `%s` with actor `%s`: %s; stream %s; cancel: ", ctx->cid, side,
                ctx->name, ctx->far.name, dialog_state_name(ctx->state), stream_in_words(ctx));
        print_cancel(out, ctx);
        fputs("; outcome: ", out);
        print_outcome(out, ctx);
        fputc('\n', out);
        return;
    }
    fprintf(out, "context %s\n  side: %s\n  endpoint: `%s`", ctx->cid, side, ctx->name);
    if (ctx->file[0])
        fprintf(out, " [%s:%d]", ctx->file, ctx->line);
    fprintf(out, "\n  peer: actor `%s` (%s)\n  state: %s\n  stream: %s\n  cancel: ", ctx->far.name,
            ctx->far.uuid, dialog_state_name(ctx->state), stream_in_words(ctx));
    print_cancel(out, ctx);
    fputs("\n  outcome: ", out);
    print_outcome(out, ctx);
    fputc('\n', out);
}
