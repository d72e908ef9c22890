#include "actor/serve.h"

#include "actor/child.h"
#include "actor/context.h"
#include "actor/credit.h"
#include "actor/freeze.h"
#include "actor/module.h"
#include "actor/relay.h"
#include "actor/stream.h"
#include "base/memory.h"
#include "msg/record.h"
#include "msg/uid.h"

#include <string.h>

/* ---- answers ---- */

static struct msg start_ack(struct text_view cid, enum msg_functype functype)
{
    return (struct msg){.type = MSG_START_ACK, .cid = cid, .start_ack = {functype}};
}

static void post_ack(struct peer *peer, struct text_view cid, enum msg_functype functype)
{
    struct msg m = start_ack(cid, functype);
    peer_post(peer, &m);
}

static void post_cancel_ack(struct peer *peer, struct text_view cid)
{
    static const uint8_t yes[] = {0xc3}; /* msgpack's true */
    struct msg m = {.type = MSG_CANCEL_ACK, .cid = cid, .pld = {yes, 1}};
    peer_post(peer, &m);
}

static void refuse(struct peer *peer, struct text_view cid, yoke_error *e)
{
    relay_post(peer, cid, e, NULL);
    yoke_error_free(e);
}

/* ---- the end of an endpoint's task ---- */

/* The actor ends because its parent is gone, and nobody has cancelled it: who is not below it loses it, as he
 * would an actor that was killed itself. */
static bool is_going_with_parent(const struct actor *a)
{
    return a->parent && a->parent->lost && a->cancel_called && yoke_uid_equal(&a->canceller, &a->uid);
}

static void post_cancelled(struct yoke_context *ctx)
{
    struct actor *a = ctx->peer->actor;
    if (is_going_with_parent(a) && (!ctx->has_canceller || yoke_uid_equal(&ctx->canceller, &a->uid)))
        return;
    /* Python callers of plain calls expect no message: theirs ends with the acknowledgement alone. */
    if (ctx->kind == DIALOG_IS_CALL && !ctx->peer->channel->peer_is_yoke)
        return;
    /* Who left a one-way stream early expects its end, and no error. */
    if (ctx->kind == DIALOG_IS_ONE_WAY && !list_empty(&ctx->pending_acks)) {
        stream_say_stop(ctx);
        return;
    }
    const yoke_uid *canceller = ctx->has_canceller ? &ctx->canceller : &a->uid;
    yoke_error *e =
        relay_cancelled(&a->uid, canceller, "`%s` was cancelled by actor `%s`", ctx->name, canceller->name);
    relay_post(ctx->peer, text_view(ctx->cid), e, NULL);
    yoke_error_free(e);
}

static yoke_error *post_result(struct yoke_context *ctx, const void *result)
{
    if (ctx->kind == DIALOG_IS_ONE_WAY) {
        stream_say_stop(ctx);
        return NULL;
    }
    if (ctx->kind == DIALOG_IS_CONTEXT && context_answer(ctx, DIALOG_CALLS_CLOSE) == DIALOG_TELL_ERROR)
        return yoke_raise(&YOKE_USAGE, "`%s` returned without calling yoke_context_started", ctx->name);
    struct buffer payload = BUFFER_EMPTY;
    yoke_error *e = record_encode_with(&payload, ctx->endpoint->result, result, "result", ctx->unchecked);
    if (!e)
        e = channel_post(ctx->peer->channel,
                         &(struct msg){.type = MSG_RETURN,
                                       .cid = text_view(ctx->cid),
                                       .pld = {buffer_begin(&payload), buffer_size(&payload)}});
    buffer_free(&payload);
    return e;
}

static void note_cancelled_group(struct yoke_context *ctx, const yoke_error *e)
{
    const yoke_uid *canceller = yoke_error_canceller(yoke_error_find(e, &YOKE_CONTEXT_CANCELLED));
    if (!ctx->has_canceller && canceller)
        context_note_canceller(ctx, canceller);
    yoke_log(YOKE_CANCEL, "all that `%s` was waiting for was cancelled: %s", ctx->name,
             yoke_error_message(e));
}

/* The last message of a dialog, then the answers to those who asked for its end. */
static void finish(struct yoke_context *ctx, yoke_error *e, const void *result)
{
    struct peer *peer = ctx->peer;
    bool was_cancelled = !e && yoke_scope_cancelled_caught(&ctx->scope);
    if (yoke_error_is_cancelled(e)) { /* of the run itself: it ends */
        yoke_error_free(e);
        e = NULL;
        was_cancelled = true;
    }
    /* What it had asked others for was cancelled: that is no failure of its own. */
    if (relay_is_all_cancelled(e) && (ctx->has_canceller || peer->channel->peer_is_yoke)) {
        note_cancelled_group(ctx, e);
        yoke_error_free(e);
        e = NULL;
        was_cancelled = true;
    }
    if (!e && ctx->remote)
        e = context_remote_error(ctx);
    /* An error ends the stream as well, and says why. */
    if (ctx->kind == DIALOG_IS_CONTEXT && !e)
        stream_say_stop(ctx);
    if (!e && !was_cancelled)
        e = post_result(ctx, result);
    if (e && peer->lost)
        yoke_log(relay_is_news(peer, e) ? YOKE_ERROR : YOKE_RUNTIME,
                 "`%s` failed, and the actor that had asked for it is gone: %s", ctx->name,
                 yoke_error_message(e));
    else if (e)
        relay_post(peer, text_view(ctx->cid), e, NULL);
    else if (was_cancelled)
        post_cancelled(ctx);
    yoke_error_free(e);
    ctx->state = DIALOG_ENDED;
    list_for_each(node, &ctx->pending_acks)
        post_cancel_ack(peer, text_view(container_of(node, struct pending_ack, link)->cid));
}

/* ---- the task ---- */

static yoke_error *run_endpoint(struct yoke_context *ctx, void *result)
{
    const yoke_endpoint *ep = ctx->endpoint;
    switch (ep->type) {
    case YOKE_ENDPOINT_CALL:
        return ep->call(ctx->args, result);
    case YOKE_ENDPOINT_CONTEXT:
        return ep->context(ctx, ctx->args, result);
    case YOKE_ENDPOINT_STREAM:
        return ep->stream(&ctx->stream, ctx->args);
    case YOKE_ENDPOINT_OPEN: /* nobody finds one of these by its name (module_endpoint) */
        break;
    }
    return yoke_raise(&YOKE_INTERNAL, "`%s` is no endpoint", ctx->name);
}

static yoke_error *run_scoped(struct yoke_context *ctx, void *result)
{
    YOKE_TRY(context_open_scope(ctx, __FILE__, __LINE__));
    if (ctx->has_canceller) /* asked for before the task had begun */
        context_cancel_served(ctx, &ctx->canceller, (struct text_view){0});
    yoke_error *e = task_join_owed(task_here(), run_endpoint(ctx, result));
    if (strncmp(ctx->name, "yoke.", 5) != 0) /* none of the runtime's own */
        actor_error_leaves(ctx->peer->actor, e, &(struct error_way){ERROR_LEAVES_TASK, NULL, NULL});
    ctx->scope_open = false;
    return yoke_scope_close(&ctx->scope, e);
}

static yoke_error *serve_task(void *arg)
{
    struct yoke_context *ctx = arg;
    struct actor *a = ctx->peer->actor;
    const yoke_endpoint *ep = ctx->endpoint;
    void *result = memory_calloc(1, ep->result->size);
    yoke_error *e =
        result ? run_scoped(ctx, result) : yoke_raise(&YOKE_NO_MEMORY, "the result of `%s`", ctx->name);
    finish(ctx, e, result);
    yoke_record_free(ep->result, result);
    memory_free(result);
    yoke_record_free(ep->args, ctx->args);
    context_end(ctx);
    actor_served(a);
    return NULL;
}

struct peer *serve_asker(void)
{
    return container_of(scope_marked(NULL), struct yoke_context, scope)->peer;
}

/* ---- the beginning of one ---- */

static const struct {
    enum dialog_kind kind;
    enum msg_functype functype;
} types[] = {
    [YOKE_ENDPOINT_CALL] = {DIALOG_IS_CALL, MSG_FUNC_ASYNCFUNC},
    [YOKE_ENDPOINT_CONTEXT] = {DIALOG_IS_CONTEXT, MSG_FUNC_CONTEXT},
    [YOKE_ENDPOINT_STREAM] = {DIALOG_IS_ONE_WAY, MSG_FUNC_ASYNCGEN},
};

static yoke_error *prepare(struct peer *peer, const struct msg *m, const yoke_endpoint *ep,
                           struct yoke_context **out)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s:%s", (int)(m->start.ns.size < 128 ? m->start.ns.size : 128),
             m->start.ns.data, ep->name);
    YOKE_TRY(context_new_served(out, peer, m->cid, name));
    struct yoke_context *ctx = *out;
    ctx->endpoint = ep;
    ctx->kind = types[ep->type].kind;
    ctx->stream.opened = ctx->kind == DIALOG_IS_ONE_WAY;
    if (ctx->kind == DIALOG_IS_ONE_WAY)
        YOKE_TRY(credit_read_start(ctx, m->start.yoke));
    ctx->args = memory_calloc(1, ep->args->size);
    if (!ctx->args)
        return yoke_raise(&YOKE_NO_MEMORY, "the arguments of `%s`", ctx->name);
    return record_decode_args(ep->args, m->start.kwargs.data, m->start.kwargs.size, ctx->args);
}

static void serve_endpoint(struct peer *peer, const struct msg *m)
{
    struct actor *a = peer->actor;
    if (is_going_with_parent(a))
        return;
    /* A tree that hangs while it ends is what a dump is asked of most. */
    bool is_dump = text_view_is(m->start.ns, "yoke.dump");
    if (a->cancel_called && !is_dump) {
        refuse(peer, m->cid, relay_cancelled(&a->uid, &a->canceller, "actor `%s` is ending", a->uid.name));
        return;
    }
    const yoke_endpoint *ep;
    struct yoke_context *ctx = NULL;
    yoke_error *e = module_served(a, m->start.ns, m->start.func, &ep);
    if (!e)
        e = prepare(peer, m, ep, &ctx);
    if (!e)
        e = yoke_spawn_system_at(__FILE__, __LINE__, "endpoint", serve_task, ctx,
                                 &(yoke_spawn_options){.name = ctx->name});
    if (e) {
        context_free(ctx);
        refuse(peer, m->cid, e);
        return;
    }
    actor_serves(a);
    /* The task is ready: a short one's answer comes in the next pass. */
    struct msg ack = start_ack(m->cid, types[ep->type].functype);
    peer_post_ahead(peer, &ack);
}

/* ---- the runtime's own calls ---- */

YOKE_RECORD(cancel_task_kwargs, (str, cid));
/* In the name of a third actor. */
YOKE_RECORD(cancel_task_for_kwargs, (str, cid), (str, name), (str, uuid));

/* What a cancel request says: the task, and who first asked for its end. The texts are the caller's. */
static yoke_error *read_cancel_request(const struct peer *peer, const struct msg *m,
                                       cancel_task_for_kwargs *args)
{
    struct raw_view raw = m->start.kwargs;
    yoke_error *e = record_decode_args(&yoke_record_cancel_task_for_kwargs, raw.data, raw.size, args);
    if (!e)
        return NULL;
    yoke_error_free(e);
    cancel_task_kwargs plain;
    YOKE_TRY(record_decode_args(&yoke_record_cancel_task_kwargs, raw.data, raw.size, &plain));
    *args = (cancel_task_for_kwargs){plain.cid, NULL, NULL};
    return NULL;
}

/* Whom a request names, or the peer itself. */
static yoke_uid asker_of(const struct peer *peer, const char *name, const char *uuid)
{
    yoke_uid asker;
    yoke_error *e = name ? uid_from_view(&asker, (struct uid_view){text_view(name), text_view(uuid)}) : NULL;
    bool names = name && !e;
    yoke_error_free(e);
    return names ? asker : peer->channel->peer;
}

/* The peer that started the task of this id, if it is not `but`. */
static const struct peer *owner_of_task(const struct peer *but, const char *cid)
{
    list_for_each(node, &but->actor->peers) {
        struct peer *other = container_of(node, struct peer, in_actor);
        if (other != but && table_find(&other->served, cid, strlen(cid)))
            return other;
    }
    return NULL;
}

static void refuse_cancel(struct peer *peer, const struct msg *m, const char *cid, const struct peer *owner)
{
    const char *name = peer->channel->peer.name;
    yoke_log(YOKE_WARNING, "actor `%s` may not cancel the task %s: actor `%s` has started it", name, cid,
             owner->channel->peer.name);
    refuse(peer, m->cid,
           yoke_raise(&YOKE_PERMISSION, "actor `%s` may not cancel this task: another has started it", name));
}

static void serve_cancel_task(struct peer *peer, const struct msg *m)
{
    cancel_task_for_kwargs args;
    yoke_error *e = read_cancel_request(peer, m, &args);
    if (e) {
        refuse(peer, m->cid, e);
        return;
    }
    struct table_node *node = table_find(&peer->served, args.cid, strlen(args.cid));
    const struct peer *owner = node ? NULL : owner_of_task(peer, args.cid);
    if (owner) {
        refuse_cancel(peer, m, args.cid, owner);
    } else {
        post_ack(peer, m->cid, MSG_FUNC_ASYNCFUNC);
        yoke_uid asker = asker_of(peer, args.name, args.uuid);
        if (node)
            context_cancel_served(container_of(node, struct yoke_context, in_peer), &asker, m->cid);
        else /* it has ended: true all the same, as the protocol has it */
            post_cancel_ack(peer, m->cid);
    }
    cancel_task_for_kwargs_free(&args);
}

/* Who has asked for an actor's end. */
YOKE_RECORD(asker_kwargs, (str, name), (str, uuid));

/* The call has no argument, or the third actor that it is made for. */
static void cancel_this_actor(struct peer *peer, const struct msg *m)
{
    asker_kwargs args;
    yoke_error *e =
        record_decode_args(&yoke_record_asker_kwargs, m->start.kwargs.data, m->start.kwargs.size, &args);
    if (e)
        args = (asker_kwargs){NULL, NULL};
    yoke_error_free(e);
    yoke_uid asker = asker_of(peer, args.name, args.uuid);
    asker_kwargs_free(&args);
    actor_cancel(peer->actor, &asker);
}

/* Who asked for the actor's end waits in peer->end_requests till it has come. */
static void serve_cancel_actor(struct peer *peer, const struct msg *m)
{
    struct pending_ack *ack = memory_calloc(1, sizeof *ack);
    char *cid = memory_alloc(m->cid.size + 1);
    if (!ack || !cid) {
        memory_free(ack);
        memory_free(cid);
        peer_break_without_memory(peer, "a cancel request", m->cid.size);
        return;
    }
    memcpy(cid, m->cid.data, m->cid.size);
    cid[m->cid.size] = '\0';
    ack->cid = cid;
    list_append(&peer->end_requests, &ack->link);
    post_ack(peer, m->cid, MSG_FUNC_ASYNCFUNC);
    cancel_this_actor(peer, m);
}

void serve_acknowledge_end(struct actor *a)
{
    list_for_each(node, &a->peers) {
        struct peer *peer = container_of(node, struct peer, in_actor);
        while (!list_empty(&peer->end_requests)) {
            struct pending_ack *ack = container_of(list_pop(&peer->end_requests), struct pending_ack, link);
            post_cancel_ack(peer, text_view(ack->cid));
            memory_free(ack->cid);
            memory_free(ack);
        }
    }
}

static void post_nil(struct peer *peer, struct text_view cid)
{
    static const uint8_t nil[] = {0xc0};
    post_ack(peer, cid, MSG_FUNC_ASYNCFUNC);
    peer_post(peer, &(struct msg){.type = MSG_RETURN, .cid = cid, .pld = {nil, sizeof nil}});
}

/* A child says that it ends, and who has asked for that. */
static void serve_cancelled_by(struct peer *peer, const struct msg *m)
{
    asker_kwargs by;
    yoke_error *e =
        record_decode_args(&yoke_record_asker_kwargs, m->start.kwargs.data, m->start.kwargs.size, &by);
    if (e) {
        refuse(peer, m->cid, e);
        return;
    }
    if (peer->child) {
        yoke_log(YOKE_CANCEL, "actor `%s` (pid %d) ends: actor `%s` asked for it", peer->child->uid.name,
                 (int)peer->child->pid, by.name);
        peer->child->asked = true;
    }
    asker_kwargs_free(&by);
    post_nil(peer, m->cid);
}

YOKE_RECORD(freeze_kwargs, (boolean, still));

static void serve_freeze(struct peer *peer, const struct msg *m)
{
    freeze_kwargs args;
    yoke_error *e = peer->is_parent
                        ? record_decode_args(&yoke_record_freeze_kwargs, m->start.kwargs.data,
                                             m->start.kwargs.size, &args)
                        : yoke_raise(&YOKE_PERMISSION, "an actor's clock is its parent's to stop");
    if (e) {
        refuse(peer, m->cid, e);
        return;
    }
    freeze_by_parent(peer->actor, args.still);
    post_nil(peer, m->cid);
}

/* A call of the runtime's whose answer nobody waits for, between yoke actors alone. */
static void tell(struct peer *peer, const char *func, const yoke_record *record, const void *args)
{
    struct actor *a = peer->actor;
    if (peer->lost || !peer->channel->peer_is_yoke)
        return;
    struct buffer kwargs = BUFFER_EMPTY;
    char cid[37];
    actor_dialog_id(a, cid);
    yoke_error *e = record_encode_args(&kwargs, record, args);
    if (!e)
        peer_post(peer, &(struct msg){.type = MSG_START,
                                      .cid = text_view(cid),
                                      .start = {.ns = text_view("self"),
                                                .func = text_view(func),
                                                .kwargs = {buffer_begin(&kwargs), buffer_size(&kwargs)},
                                                .uid = uid_view(&a->uid)}});
    buffer_free(&kwargs);
    yoke_error_free(e);
}

void serve_tell_canceller(struct actor *a)
{
    if (!yoke_uid_equal(&a->canceller, &a->parent->channel->peer))
        tell(a->parent, "yoke_cancelled_by", &yoke_record_asker_kwargs,
             &(asker_kwargs){a->canceller.name, a->canceller.uuid});
}

void serve_tell_freeze(struct peer *child, bool still)
{
    tell(child, "yoke_freeze", &yoke_record_freeze_kwargs, &(freeze_kwargs){still});
}

static void serve_runtime(struct peer *peer, const struct msg *m)
{
    if (text_view_is(m->start.func, "_cancel_task"))
        serve_cancel_task(peer, m);
    else if (text_view_is(m->start.func, "cancel") && !peer->child)
        serve_cancel_actor(peer, m);
    else if (text_view_is(m->start.func, "cancel"))
        refuse(peer, m->cid,
               yoke_raise(&YOKE_PERMISSION, "actor `%s` may not cancel this one: it is its child",
                          peer->channel->peer.name));
    else if (text_view_is(m->start.func, "yoke_cancelled_by"))
        serve_cancelled_by(peer, m);
    else if (text_view_is(m->start.func, "yoke_freeze"))
        serve_freeze(peer, m);
    else
        serve_endpoint(peer, m);
}

/* Of the runtime a stranger is served the end of its own tasks alone. */
static bool may_ask(const struct peer *peer, const struct msg *m)
{
    return !peer->channel->peer_is_stranger || !module_is_runtime(m->start.ns) ||
           text_view_is(m->start.func, "_cancel_task");
}

void serve_start(struct peer *peer, const struct msg *m)
{
    struct uid_view peer_uid = uid_view(&peer->channel->peer);
    if (!uid_view_equal(m->start.uid, peer_uid)) {
        peer_break(peer, "a Start in the name of another actor");
        return;
    }
    if (table_find(&peer->served, m->cid.data, m->cid.size)) {
        refuse(peer, m->cid, yoke_raise(&YOKE_USAGE, "a second start under the id of a running task"));
        return;
    }
    if (!may_ask(peer, m))
        refuse(peer, m->cid,
               yoke_raise(&YOKE_PERMISSION, "actor `%s` may not ask this: it does not know the tree's secret",
                          peer->channel->peer.name));
    else if (text_view_is(m->start.ns, "self"))
        serve_runtime(peer, m);
    else
        serve_endpoint(peer, m);
}
