#include "actor/context.h"

#include "actor/ask.h"
#include "actor/fanout.h"
#include "actor/relay.h"
#include "actor/stream.h"
#include "base/memory.h"
#include "msg/record.h"
#include "msg/uid.h"

#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static struct yoke_context *make(struct peer *peer, const char *cid, size_t cid_size, const char *name)
{
    struct yoke_context *ctx = memory_calloc(1, sizeof *ctx);
    if (!ctx)
        return NULL;
    ctx->cid = memory_alloc(cid_size + 1);
    ctx->name = memory_strdup(name);
    if (!ctx->cid || !ctx->name) {
        memory_free(ctx->cid);
        memory_free(ctx->name);
        memory_free(ctx);
        return NULL;
    }
    memcpy(ctx->cid, cid, cid_size);
    ctx->cid[cid_size] = '\0';
    ctx->peer = peer_keep(peer);
    ctx->far = peer->channel->peer;
    ctx->number = ++peer->actor->dialogs;
    ctx->file = "";
    list_init(&ctx->inbox);
    ctx->stream.room = CONTEXT_QUEUE_MESSAGES;
    list_init(&ctx->waiters);
    list_init(&ctx->pending_acks);
    return ctx;
}

static yoke_error *add(struct yoke_context **out, struct yoke_context *ctx, struct table *table,
                       const char *name)
{
    *out = ctx;
    if (ctx && table_insert(table, &ctx->in_peer, ctx->cid, strlen(ctx->cid)))
        return NULL;
    if (ctx) {
        ctx->in_peer.key = NULL;
        context_free(ctx);
    }
    *out = NULL;
    return yoke_raise(&YOKE_NO_MEMORY, "a dialog with `%s`", name);
}

yoke_error *context_new(struct yoke_context **out, struct peer *peer, const char *name, enum dialog_kind kind)
{
    char cid[37];
    actor_dialog_id(peer->actor, cid);
    struct yoke_context *ctx = make(peer, cid, 36, name);
    if (ctx) {
        ctx->is_opener = true;
        ctx->kind = kind;
        ctx->state = DIALOG_STARTING;
    }
    return add(out, ctx, &peer->opened, name);
}

yoke_error *context_new_served(struct yoke_context **out, struct peer *peer, struct text_view cid,
                               const char *name)
{
    struct yoke_context *ctx = make(peer, cid.data, cid.size, name);
    if (ctx)
        ctx->state = DIALOG_SERVED;
    return add(out, ctx, &peer->served, name);
}

/* Nothing of it hangs on the channel or the actor any more; what it came to stays. */
static void detach(struct yoke_context *ctx)
{
    if (!ctx->peer)
        return;
    if (ctx->in_peer.key) {
        table_remove(ctx->is_opener ? &ctx->peer->opened : &ctx->peer->served, &ctx->in_peer);
        if (!ctx->is_opener)
            peer_remember_end(ctx->peer, ctx->cid);
    }
    if (ctx->cancel_request) /* who closes the portal may be waiting for it */
        context_end(ctx->cancel_request);
    ctx->cancel_request = NULL;
    fanout_end(ctx->stream.fanout); /* of a stream that was left open */
    context_drop_inbox(ctx);
    peer_release(ctx->peer);
    ctx->peer = NULL;
}

void context_free(struct yoke_context *ctx)
{
    if (!ctx)
        return;
    detach(ctx);
    while (!list_empty(&ctx->pending_acks)) {
        struct pending_ack *ack = container_of(list_pop(&ctx->pending_acks), struct pending_ack, link);
        memory_free(ack->cid);
        memory_free(ack);
    }
    buffer_free(&ctx->first);
    buffer_free(&ctx->result);
    yoke_error_free(ctx->remote);
    memory_free(ctx->args);
    memory_free(ctx->name);
    memory_free(ctx->cid);
    memory_free(ctx);
}

/* ---- waiting ---- */

void context_wake(struct yoke_context *ctx)
{
    while (wake_first(&ctx->waiters, NULL))
        ;
}

static yoke_error *was_closed(const struct yoke_context *ctx)
{
    return yoke_raise(&YOKE_CLOSED, "the context `%s` was closed", ctx->name);
}

yoke_error *context_wait(struct yoke_context *ctx)
{
    if (ctx->closed)
        return was_closed(ctx);
    yoke_error *e = wait_in(&ctx->waiters, NULL);
    if (!ctx->closed)
        return e;
    yoke_error_free(e);
    return was_closed(ctx);
}

void context_enter(struct yoke_context *ctx)
{
    ctx->users++;
}

yoke_error *context_leave(struct yoke_context *ctx, yoke_error *e)
{
    if (--ctx->users || !ctx->closed)
        return e;
    detach(ctx);
    if (!ctx->kept)
        context_free(ctx);
    return e;
}

void context_end(struct yoke_context *ctx)
{
    context_enter(ctx);
    ctx->closed = true;
    context_wake(ctx);
    yoke_error *none = context_leave(ctx, NULL);
    yoke_error_free(none);
}

yoke_context *yoke_context_keep(yoke_context *ctx)
{
    ctx->kept++;
    return ctx;
}

void yoke_context_release(yoke_context *ctx)
{
    if (ctx && --ctx->kept == 0 && ctx->closed && !ctx->users)
        context_free(ctx);
}

/* Parks till the far side's last message has come; or, `or_failed`, till it is known that this dialog fails.
 */
static yoke_error *wait_for_end(struct yoke_context *ctx, bool or_failed)
{
    while (ctx->state != DIALOG_DONE && !(or_failed && ctx->remote)) {
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(context_wait(ctx));
    }
    return NULL;
}

/* The same, undisturbed, and for `bound` at most; what it means when that passes is the caller's to see from
 * the state. */
static void wait_for_end_shielded(struct yoke_context *ctx, int64_t bound)
{
    yoke_scope shield;
    yoke_error *e = task_shield_open(&shield, (yoke_scope_options){.after = bound, .at_once = true});
    if (!e)
        e = task_shield_close(&shield, wait_for_end(ctx, false));
    yoke_error_free(e);
}

/* ---- how the far side ended ---- */

yoke_error *context_remote_error(struct yoke_context *ctx)
{
    return yoke_error_dup(ctx->remote);
}

/* ---- start ---- */

yoke_error *context_send_start(struct yoke_context *ctx, struct text_view ns, struct text_view func,
                               const struct buffer *kwargs, bool wait)
{
    struct peer *peer = ctx->peer;
    if (peer->lost)
        return peer_lost(peer);
    struct msg m = {
        .type = MSG_START,
        .cid = text_view(ctx->cid),
        .start =
            {
                .ns = ns,
                .func = func,
                .kwargs = {buffer_begin(kwargs), buffer_size(kwargs)},
                .uid = uid_view(&peer->actor->uid),
                .pld_spec = text_view("typing.Any"),
                .yoke = ctx->start_extra,
            },
    };
    return wait ? channel_send(peer->channel, &m) : channel_post(peer->channel, &m);
}

/* ---- cancel, from the opener's side ---- */

void context_note_canceller(struct yoke_context *ctx, const yoke_uid *canceller)
{
    ctx->has_canceller = true;
    ctx->canceller = *canceller;
}

const yoke_uid *context_asker(const struct actor *a)
{
    for (const yoke_scope *s = scope_marked(NULL); s; s = scope_marked(s)) {
        const struct yoke_context *around = container_of(s, struct yoke_context, scope);
        const yoke_uid *named = yoke_error_canceller(around->remote);
        if (s->cancel_called && !around->is_opener && around->has_canceller)
            return &around->canceller;
        if (s->cancel_called && around->is_opener && named)
            return named;
    }
    return a->cancel_called ? &a->canceller : &a->uid;
}

YOKE_RECORD(cancel_task_args, (str, cid));
/* To another yoke actor, in the name of a third one. */
YOKE_RECORD(cancel_task_for_args, (str, cid), (str, name), (str, uuid));

/* A Python actor takes no more than it knows of. */
static bool names_asker(const struct peer *peer, const yoke_uid *asker)
{
    return peer->channel->peer_is_yoke && !yoke_uid_equal(asker, &peer->actor->uid);
}

static yoke_error *encode_cancel_request(struct buffer *out, const struct yoke_context *ctx)
{
    if (!names_asker(ctx->peer, &ctx->canceller))
        return record_encode_args(out, &yoke_record_cancel_task_args, &(cancel_task_args){ctx->cid});
    return record_encode_args(
        out, &yoke_record_cancel_task_for_args,
        &(cancel_task_for_args){ctx->cid, (char *)ctx->canceller.name, (char *)ctx->canceller.uuid});
}

static yoke_error *send_cancel_request(struct yoke_context *ctx)
{
    YOKE_TRY(context_new(&ctx->cancel_request, ctx->peer, "self:_cancel_task", DIALOG_IS_CALL));
    struct buffer kwargs = BUFFER_EMPTY;
    yoke_error *e = encode_cancel_request(&kwargs, ctx);
    if (!e)
        e = context_send_start(ctx->cancel_request, text_view("self"), text_view("_cancel_task"), &kwargs,
                               false);
    buffer_free(&kwargs);
    return e;
}

YOKE_RECORD(cancel_actor_for_args, (str, name), (str, uuid));

yoke_error *context_send_actor_cancel(struct yoke_context *request, const yoke_uid *asker)
{
    static uint8_t empty_map[] = {0x80};
    struct buffer kwargs = {empty_map, 0, sizeof empty_map, sizeof empty_map}, named = BUFFER_EMPTY;
    bool names = names_asker(request->peer, asker);
    yoke_error *e = NULL;
    if (names)
        e = record_encode_args(&named, &yoke_record_cancel_actor_for_args,
                               &(cancel_actor_for_args){(char *)asker->name, (char *)asker->uuid});
    if (!e)
        e = context_send_start(request, text_view("self"), text_view("cancel"), names ? &named : &kwargs,
                               false);
    buffer_free(&named);
    return e;
}

void context_request_cancel(struct yoke_context *ctx, const yoke_uid *asker)
{
    if (ctx->cancel_sent || ctx->state == DIALOG_DONE)
        return;
    ctx->cancel_sent = true;
    context_note_canceller(ctx, asker ? asker : &ctx->peer->actor->uid);
    yoke_log(YOKE_CANCEL, "asking actor `%s` to cancel `%s`", ctx->peer->channel->peer.name, ctx->name);
    yoke_error *e = send_cancel_request(ctx);
    if (!e)
        return;
    ctx->cancel_sent = false; /* so the channel's loss does not come of it, and is told */
    yoke_log(YOKE_CANCEL, "the request could not be sent: %s", yoke_error_message(e));
    yoke_error_free(e);
}

/* A dump is of a tree whose actors may stand in a debugger: it goes on to the next. */
static bool waits_for_nobody(const struct yoke_context *ctx)
{
    return strncmp(ctx->name, "yoke.dump:", 10) == 0;
}

void context_cancel_and_wait(struct yoke_context *ctx, const yoke_uid *asker)
{
    bool held;
    context_request_cancel(ctx, asker);
    if (waits_for_nobody(ctx))
        return;
    do { /* while a debugger has somebody there the bound does not run */
        held = ctx->peer->held;
        wait_for_end_shielded(ctx, CONTEXT_CANCEL_BOUND);
    } while (ctx->state != DIALOG_DONE && (held || ctx->peer->held));
    if (ctx->state != DIALOG_DONE)
        yoke_log(YOKE_CANCEL,
                 "actor `%s` did not say within %lld ms that `%s` has ended; the cancel may have failed",
                 ctx->peer->channel->peer.name, (long long)(CONTEXT_CANCEL_BOUND / 1000000), ctx->name);
}

/* ---- cancel, on the endpoint's side ---- */

static void keep_ack(struct yoke_context *ctx, struct text_view cid)
{
    struct pending_ack *ack = memory_calloc(1, sizeof *ack);
    if (ack)
        ack->cid = memory_alloc(cid.size + 1);
    if (!ack || !ack->cid) {
        memory_free(ack);
        peer_break_without_memory(ctx->peer, "a cancel request", cid.size);
        return;
    }
    memcpy(ack->cid, cid.data, cid.size);
    ack->cid[cid.size] = '\0';
    list_append(&ctx->pending_acks, &ack->link);
}

void context_cancel_served(struct yoke_context *ctx, const yoke_uid *canceller, struct text_view ack_cid)
{
    if (ack_cid.data)
        keep_ack(ctx, ack_cid);
    if (!ctx->has_canceller)
        context_note_canceller(ctx, canceller);
    if (ctx->scope_open)
        scope_cancel_with(&ctx->scope,
                          error_make_cancelled("cancelled: actor `%s` asked for it", canceller->name));
    context_wake(ctx);
}

yoke_error *yoke_context_cancel(yoke_context *ctx)
{
    YOKE_TRY(context_expect("yoke_context_cancel", "context", ctx));
    if (ctx->closed)
        return NULL;
    bool nothing = context_answer(ctx, DIALOG_CALLS_CANCEL) == DIALOG_NOTHING;
    ctx->cancel_called = true;
    if (nothing)
        return NULL;
    if (!ctx->is_opener) {
        context_cancel_served(ctx, &ctx->peer->actor->uid, (struct text_view){0});
        return NULL;
    }
    ctx->cancel_by_owner |= task_here() == ctx->owner;
    context_enter(ctx);
    context_cancel_and_wait(ctx, NULL);
    return context_leave(ctx, NULL);
}

/* ---- open ---- */

yoke_error *context_open_scope(struct yoke_context *ctx, const char *file, int line)
{
    YOKE_TRY(yoke_scope_open_at(file, line, &ctx->scope, NULL));
    ctx->scope.is_marked = true; /* so that yoke_context_current finds it */
    ctx->scope_open = true;
    ctx->owner = task_here();
    return NULL;
}

yoke_context *yoke_context_current(void)
{
    const yoke_scope *s = scope_marked(NULL);
    while (s && container_of(s, struct yoke_context, scope)->kind != DIALOG_IS_CONTEXT)
        s = scope_marked(s);
    return s ? (yoke_context *)container_of(s, struct yoke_context, scope) : NULL;
}

static yoke_error *returned_unstarted(const struct yoke_context *ctx)
{
    return yoke_raise_at(ctx->file, ctx->line, "", &YOKE_USAGE,
                         "`%s` in actor `%s` returned without calling yoke_context_started", ctx->name,
                         ctx->peer->channel->peer.name);
}

static yoke_error *wait_for_first(struct yoke_context *ctx)
{
    while (ctx->state != DIALOG_OPEN && ctx->state != DIALOG_DONE) {
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(context_wait(ctx));
    }
    if (ctx->remote)
        return context_remote_error(ctx);
    /* The first value and the result may have come together. */
    return buffer_size(&ctx->first) ? NULL : returned_unstarted(ctx);
}

static yoke_error *begin(struct ask *ask, struct yoke_context *ctx, void *started)
{
    yoke_error *e = ask_send(ask, ctx, true);
    if (e) {
        ctx->state = DIALOG_DONE; /* the far side knows nothing of it: there is no end to wait for */
        return e;
    }
    YOKE_TRY(wait_for_first(ctx));
    if (!started)
        return NULL;
    return record_decode(ctx->endpoint->started, buffer_begin(&ctx->first), buffer_size(&ctx->first),
                         "started", started);
}

yoke_error *yoke_context_open_at(const char *file, int line, yoke_portal *portal, yoke_context **out,
                                 const char *endpoint, const void *args, void *started,
                                 const yoke_context_options *options)
{
    struct ask ask = {"yoke_context_open", file, line, portal, endpoint, args, .kind = DIALOG_IS_CONTEXT};
    struct yoke_context *ctx;
    *out = NULL;
    yoke_error *e = ask_open(&ask, &ctx);
    if (e)
        return e;
    ctx->cancel_on_close = options && options->cancel_on_close;
    e = context_open_scope(ctx, file, line);
    if (e) {
        buffer_free(&ask.kwargs);
        context_free(ctx);
        return e;
    }
    e = begin(&ask, ctx, started);
    if (!e) {
        *out = ctx;
        return NULL;
    }
    e = yoke_context_close(ctx, e);
    return e ? e
             : yoke_raise_at(file, line, "", &YOKE_INTERNAL, "`%s` was cancelled before it was open",
                             endpoint);
}

/* ---- result and close ---- */

static void zero_result(const struct yoke_context *ctx, void *result)
{
    if (result)
        memset(result, 0, ctx->endpoint->result->size);
}

void context_refuse(struct yoke_context *ctx, const yoke_error *e)
{
    relay_post(ctx->peer, text_view(ctx->cid), e, &ctx->peer->channel->peer);
}

static yoke_error *decode_result(const struct yoke_context *ctx, void *result)
{
    return record_decode(ctx->endpoint->result, buffer_begin(&ctx->result), buffer_size(&ctx->result),
                         "result", result);
}

/* Nobody wants it; that it does not fit is told all the same. */
static yoke_error *try_result(const struct yoke_context *ctx)
{
    const yoke_record *record = ctx->endpoint->result;
    void *item = memory_calloc(1, record->size);
    if (!item)
        return yoke_raise(&YOKE_NO_MEMORY, "the result of `%s`", ctx->name);
    yoke_error *e = decode_result(ctx, item);
    yoke_record_free(record, item);
    memory_free(item);
    return e;
}

yoke_error *context_take_result(struct yoke_context *ctx, void *result)
{
    if (!result && ctx->result_fits)
        return NULL;
    yoke_error *e = result ? decode_result(ctx, result) : try_result(ctx);
    ctx->result_fits = !e;
    if (yoke_error_is(e, &YOKE_MSG_TYPE) && !ctx->result_refused && !ctx->closed && !ctx->peer->lost) {
        ctx->result_refused = true;
        context_refuse(ctx, e);
    }
    return e;
}

static yoke_error *take_result(struct yoke_context *ctx, void *result)
{
    ctx->draining = true;
    context_drop_inbox(ctx);
    YOKE_TRY(wait_for_end(ctx, true));
    if (ctx->remote)
        return ctx->cancel_acked ? NULL : context_remote_error(ctx);
    return context_take_result(ctx, result);
}

yoke_error *yoke_context_result(yoke_context *ctx, void *result)
{
    YOKE_TRY(context_expect("yoke_context_result", "context", ctx));
    zero_result(ctx, result);
    YOKE_TRY(context_may(ctx, DIALOG_CALLS_RESULT));
    context_enter(ctx);
    return context_leave(ctx, take_result(ctx, result));
}

/* What comes back from one's own request is absorbed. So is that the peer is gone, when one had asked it to
 * stop: it has stopped; how it died, its nursery tells. */
static bool is_absorbed(const struct yoke_context *ctx)
{
    return ctx->cancel_acked || (ctx->cancel_sent && yoke_error_is(ctx->remote, &YOKE_TRANSPORT_CLOSED));
}

/* What the body met of the far side's failure: that error, handed to it; the same loss of the channel; or the
 * end of the stream, which was but the first to be heard of it. */
static bool is_of_remote(const yoke_error *leaf, void *arg)
{
    const struct yoke_context *ctx = arg;
    if (relay_is_same(leaf, ctx->remote))
        return true;
    if (stream_is_end_of(leaf, ctx))
        return !is_absorbed(ctx);
    return yoke_error_is(leaf, &YOKE_TRANSPORT_CLOSED) &&
           yoke_error_is(ctx->remote, &YOKE_TRANSPORT_CLOSED) &&
           yoke_uid_equal(channel_error_peer(leaf), channel_error_peer(ctx->remote));
}

yoke_error *context_while_open(const struct yoke_context *ctx, yoke_error *e)
{
    yoke_error_note(e, "while: `%s` was asked of actor `%s` [%s:%d]", ctx->name,
                    ctx->peer->channel->peer.name, ctx->file, ctx->line);
    return e;
}

/* Has the far task failed of nothing but the end of the stream, which the body closed on its way out? The
 * Stop is ahead of the cancel request then, and what the far task makes of it is a matter of time. */
static bool is_of_our_way_out(const struct yoke_context *ctx)
{
    static const yoke_error_kind *const end[] = {&YOKE_END_OF_CHANNEL};
    return ctx->stream.cut && yoke_error_is(ctx->remote, &YOKE_REMOTE) &&
           yoke_error_is_only(yoke_error_cause(ctx->remote), end, 1);
}

yoke_error *context_settle(struct yoke_context *ctx, yoke_error *e)
{
    if (!ctx->remote)
        return e;
    /* It may have been handed to the body, which hands it on. */
    yoke_error *taken;
    yoke_error_split_by(&e, is_of_remote, ctx, &taken);
    if (is_absorbed(ctx)) {
        yoke_error_free(taken);
        return e;
    }
    if (taken && relay_is_same(ctx->remote, taken))
        return yoke_error_join(e, taken);
    bool was_met = taken != NULL;
    yoke_error_free(taken);
    if (was_met) /* the far side's own account says why */
        return yoke_error_join(e, context_while_open(ctx, context_remote_error(ctx)));
    if (e && is_of_our_way_out(ctx))
        return e;
    if (!e || yoke_error_is_cancelled(e)) {
        /* A real error is never masked by a cancellation. */
        yoke_error_free(e);
        return context_while_open(ctx, context_remote_error(ctx));
    }
    char *text = yoke_error_text(ctx->remote);
    yoke_error_note(e, "the far task `%s` failed too: %s", ctx->name,
                    text ? text : yoke_error_message(ctx->remote));
    free(text);
    return e;
}

/* Has the near side failed by itself? What it met of the far side's failure is none of its own, nor is that
 * it was interrupted by that. */
static bool near_failed(struct yoke_context *ctx, const yoke_error *e)
{
    if (!e || !ctx->remote)
        return e != NULL;
    yoke_error *own = yoke_error_dup(e), *met;
    yoke_error_split_by(&own, is_of_remote, ctx, &met);
    bool failed = own && !yoke_error_is_cancelled(own);
    yoke_error_free(own);
    yoke_error_free(met);
    return failed;
}

/* The far task has ended when this returns, or has not said so in the bound. It is cancelled only if the near
 * side failed or asked for that; else its result is waited for. Returns the body's error. */
static yoke_error *end_far_side(struct yoke_context *ctx, yoke_error *e)
{
    bool asks = e || ctx->cancel_called || ctx->cancel_on_close;
    if (context_answer(ctx, asks ? DIALOG_CALLS_FAIL : DIALOG_CALLS_CLOSE) == DIALOG_AWAIT) {
        stream_say_none(
            ctx); /* of a stream that the body left open, or never opened: the far task may wait */
        e = wait_for_end(ctx, true);
    }
    bool lives = context_answer(ctx, DIALOG_CALLS_FAIL) == DIALOG_CANCEL_FAR;
    ctx->cancel_called |= lives || near_failed(ctx, e);
    if (lives)
        context_cancel_and_wait(ctx, yoke_error_is_cancelled(e) ? context_asker(ctx->peer->actor) : NULL);
    return e;
}

yoke_error *yoke_context_close(yoke_context *ctx, yoke_error *e)
{
    if (!ctx)
        return e;
    if (!ctx->is_opener)
        return yoke_error_join(
            e, yoke_raise(&YOKE_USAGE, "yoke_context_close is for the side that opened the context"));
    yoke_error *again = context_may(ctx, DIALOG_CALLS_CLOSE);
    if (again)
        return yoke_error_join(e, again);
    ctx->draining = true;
    context_drop_inbox(ctx);
    e = end_far_side(ctx, e);
    if (!e && ctx->has_result && !ctx->result_refused) /* who has met it has been told */
        e = context_take_result(ctx, NULL);
    ctx->scope_open = false;
    e = context_settle(ctx, yoke_scope_close(&ctx->scope, e));
    context_end(ctx);
    return e;
}

/* ---- what is sent ---- */

void yoke_context_set_unchecked(yoke_context *ctx, bool unchecked)
{
    ctx->unchecked = unchecked;
}

yoke_error *yoke_context_started(yoke_context *ctx, const void *value)
{
    YOKE_TRY(context_expect("yoke_context_started", "context", ctx));
    YOKE_TRY(context_may(ctx, DIALOG_CALLS_STARTED));
    struct buffer payload = BUFFER_EMPTY;
    yoke_error *e = record_encode_with(&payload, ctx->endpoint->started, value, "started", ctx->unchecked);
    if (!e)
        e = channel_send(ctx->peer->channel,
                         &(struct msg){.type = MSG_STARTED,
                                       .cid = text_view(ctx->cid),
                                       .pld = {buffer_begin(&payload), buffer_size(&payload)}});
    buffer_free(&payload);
    if (!e)
        ctx->state = DIALOG_SERVED_OPEN;
    return e;
}
