#include "actor/ask.h"

#include "actor/module.h"
#include "msg/record.h"

/* By enum yoke_endpoint_type: what opens such an endpoint. */
static const struct {
    enum dialog_kind kind;
    const char *word, *opened_by;
} types[] = {
    [YOKE_ENDPOINT_CALL] = {DIALOG_IS_CALL, "call", "yoke_call"},
    [YOKE_ENDPOINT_CONTEXT] = {DIALOG_IS_CONTEXT, "context", "yoke_context_open"},
    [YOKE_ENDPOINT_STREAM] = {DIALOG_IS_ONE_WAY, "one-way stream", "yoke_portal_stream_open"},
};

static yoke_error *wrong_kind(const struct ask *ask)
{
    size_t asked = 0;
    while (types[asked].kind != ask->kind)
        asked++;
    return yoke_raise_at(ask->file, ask->line, "", &YOKE_USAGE, "`%s` is a %s and no %s: %s is for those",
                         ask->name, types[ask->endpoint->type].word, types[asked].word,
                         types[ask->endpoint->type].opened_by);
}

yoke_error *ask_note(const struct ask *ask, yoke_error *e)
{
    if (e && !yoke_error_is_cancelled(e))
        yoke_error_note(e, "while: `%s` was %s actor `%s` [%s:%d]", ask->name ? ask->name : "",
                        ask->kind == DIALOG_IS_CALL ? "called in" : "asked of",
                        yoke_portal_peer(ask->portal)->name, ask->file, ask->line);
    return e;
}

yoke_error *ask_make_dialog(const struct ask *ask, struct yoke_context **out)
{
    YOKE_TRY(context_new(out, ask->portal->peer, ask->name, ask->kind));
    struct yoke_context *ctx = *out;
    ctx->endpoint = ask->endpoint;
    ctx->file = ask->file;
    ctx->line = ask->line;
    ctx->owner = task_here();
    return NULL;
}

yoke_error *ask_open(struct ask *ask, struct yoke_context **ctx)
{
    struct actor *a;
    YOKE_TRY(actor_expect(ask->function, &a));
    if (!ask->portal)
        return yoke_raise_at(ask->file, ask->line, "", &YOKE_USAGE, "%s: no portal", ask->function);
    yoke_error *e = module_resolve(ask->name, &ask->module, &ask->endpoint);
    if (e)
        return ask_note(ask, e);
    if (types[ask->endpoint->type].kind != ask->kind)
        return wrong_kind(ask);
    ask->kwargs = BUFFER_EMPTY;
    e = record_encode_args(&ask->kwargs, ask->endpoint->args, ask->args);
    if (!e)
        e = ask_make_dialog(ask, ctx);
    if (e)
        buffer_free(&ask->kwargs);
    return ask_note(ask, e);
}

yoke_error *ask_send(struct ask *ask, struct yoke_context *ctx, bool wait)
{
    yoke_error *e = context_send_start(ctx, ask->module, text_view(ask->endpoint->name), &ask->kwargs, wait);
    buffer_free(&ask->kwargs);
    return e;
}
