/*
 * What comes in for a dialog: the peer's loop hands each message over, the table says what it does
 * (dialog.h), and this file does it. Nothing here waits. The queue of the stream is filled here alone, and
 * emptied by the stream's receives.
 */
#include "actor/context.h"

#include "actor/credit.h"
#include "actor/relay.h"
#include "base/memory.h"

#include <string.h>

YOKE_ERROR_KIND(YOKE_STREAM_OVERRUN, "yoke.StreamOverrun", NULL);

/* ---- the stream's queue ---- */

static struct inbox_item *allocate(struct peer *peer, size_t size)
{
    if (size <= INBOX_SMALL && !list_empty(&peer->spare)) {
        peer->spare_count--;
        return container_of(list_pop(&peer->spare), struct inbox_item, link);
    }
    return memory_alloc(sizeof(struct inbox_item) + (size < INBOX_SMALL ? INBOX_SMALL : size));
}

void inbox_item_free(struct peer *peer, struct inbox_item *item)
{
    memory_free((void *)item->aside.data);
    if (!peer || item->size > INBOX_SMALL || peer->spare_count == PEER_SPARE) {
        memory_free(item);
        return;
    }
    list_prepend(&peer->spare, &item->link);
    peer->spare_count++;
}

void context_free_spare(struct peer *peer)
{
    while (!list_empty(&peer->spare))
        memory_free(container_of(list_pop(&peer->spare), struct inbox_item, link));
}

/* The message's own copy, but for what it can keep of the channel's. */
static struct inbox_item *make_item(struct peer *peer, const struct msg *m)
{
    bool is_stop = m->type == MSG_STOP;
    size_t size = is_stop ? 0 : m->pld.size;
    struct inbox_item *item = allocate(peer, size);
    if (!item)
        return NULL;
    *item = (struct inbox_item){.is_stop = is_stop, .size = size};
    if (size)
        memcpy(item->payload, m->pld.data, size);
    if (size && aside_is_in(m->aside, m->pld.data, m->pld.data + size)) {
        item->aside = *m->aside;
        item->aside.at = item->payload + (m->aside->at - m->pld.data);
        m->aside->data = NULL;
    }
    return item;
}

void context_drop_inbox(struct yoke_context *ctx)
{
    size_t messages = 0;
    while (!list_empty(&ctx->inbox)) {
        struct inbox_item *item = container_of(list_pop(&ctx->inbox), struct inbox_item, link);
        messages += !item->is_stop;
        inbox_item_free(ctx->peer, item);
    }
    ctx->inbox_count = 0;
    credit_give(ctx);
    if (messages)
        yoke_log(messages > ctx->stream.room ? YOKE_WARNING : YOKE_RUNTIME,
                 "dropped %zu unread messages of actor `%s` for `%s`: its stream was closed", messages,
                 ctx->far.name, ctx->name);
}

/* Is there no place for one more? Without a buffer there is one for each task that waits for a message. A
 * sender that counts has kept to what it was given. */
static bool is_full(const struct yoke_context *ctx)
{
    if (ctx->stream.far_counts)
        return ctx->stream.given == 0;
    size_t room = ctx->stream.room ? ctx->stream.room : ctx->stream.receiving;
    return ctx->inbox_count >= room && !ctx->stream.allow_overruns;
}

yoke_error *context_overrun(const struct yoke_context *ctx)
{
    const char *why =
        ctx->stream.opened
            ? "its reader is too slow (allow_overruns keeps more; a sender with backpressure waits)"
            : "no stream was opened here";
    return yoke_raise(&YOKE_STREAM_OVERRUN, "more than %zu messages of actor `%s` wait in `%s`: %s",
                      ctx->stream.room, ctx->peer->channel->peer.name, ctx->name, why);
}

static void post_overrun(struct yoke_context *ctx)
{
    yoke_error *e = context_overrun(ctx);
    relay_post(ctx->peer, text_view(ctx->cid), e, &ctx->peer->channel->peer);
    yoke_error_free(e);
}

/* The reader is given time when its queue fills, as long as it makes use of that. */
static void give_time(struct yoke_context *ctx)
{
    size_t waiting = ctx->inbox_count;
    if (waiting < CONTEXT_QUEUE_MESSAGES / 2) {
        ctx->crowded_at = 0;
        return;
    }
    if (waiting > CONTEXT_QUEUE_MESSAGES || (ctx->crowded_at && waiting > ctx->crowded_at))
        return;
    ctx->crowded_at = waiting;
    ctx->peer->crowded = true;
}

static void queue(struct yoke_context *ctx, const struct msg *m)
{
    bool is_stop = m->type == MSG_STOP;
    if (ctx->stream.closed || ctx->draining) {
        if (!is_stop) /* the two sides' Stops may cross */
            yoke_log(YOKE_RUNTIME,
                     "dropped a message of actor `%s` for `%s`: nobody reads the stream any more",
                     ctx->peer->channel->peer.name, ctx->name);
        if (!is_stop)
            credit_use(ctx);
        credit_give(ctx);
        return;
    }
    /* After the first message that was lost none is taken, the Stop neither: the reader shall not see a gap,
     * nor an end that looks like a good one. */
    if (ctx->overrun || (!is_stop && is_full(ctx))) {
        if (!ctx->overrun && !ctx->cancel_called)
            post_overrun(ctx); /* once: the sender fails by it */
        ctx->overrun = true;
        return;
    }
    struct inbox_item *item = make_item(ctx->peer, m);
    if (!item) {
        peer_break_without_memory(ctx->peer, "a message", is_stop ? 0 : m->pld.size);
        return;
    }
    list_append(&ctx->inbox, &item->link);
    ctx->inbox_count++;
    if (!is_stop)
        credit_use(ctx);
    give_time(ctx);
}

/* ---- the far side's last message ---- */

static bool owner_waits_here(const struct yoke_context *ctx)
{
    list_for_each(node, &ctx->waiters)
        if (container_of(node, struct waiter, link)->task == ctx->owner)
            return true;
    return false;
}

/* Is it the answer to this side's own request? */
static bool answers_request(const struct yoke_context *ctx, const yoke_error *e)
{
    if (!ctx->cancel_sent || !yoke_error_is(e, &YOKE_CONTEXT_CANCELLED))
        return false;
    const yoke_uid *named = yoke_error_canceller(e);
    bool names_asker = yoke_uid_equal(named, &ctx->canceller) ||
                       yoke_uid_equal(named, &ctx->peer->actor->uid); /* all that a Python peer can name */
    return names_asker && yoke_uid_equal(yoke_error_source(e), &ctx->far);
}

/* The body is interrupted: it waits elsewhere, or there are other tasks in it. */
static void interrupt_body(struct yoke_context *ctx, bool owner_was_told)
{
    if (!ctx->scope_open)
        return;
    /* The answer to one's own request disturbs nobody who knows of it. */
    if (ctx->cancel_acked && (ctx->cancel_by_owner || owner_was_told))
        return;
    scope_cancel_with(&ctx->scope,
                      error_make_cancelled("cancelled: the far task `%s` of actor `%s` has failed", ctx->name,
                                           ctx->peer->channel->peer.name));
}

static void fail(struct yoke_context *ctx, yoke_error *e)
{
    if (ctx->remote) {
        yoke_error_free(e);
        return;
    }
    ctx->remote = e;
    ctx->cancel_acked = answers_request(ctx, e);
    /* Whoever asked there (the error says that), what reached this side is the far actor's end. */
    if (ctx->is_opener && yoke_error_is(e, &YOKE_CONTEXT_CANCELLED) && !ctx->cancel_acked)
        context_note_canceller(ctx, &ctx->far);
    bool owner_was_told = owner_waits_here(ctx);
    context_wake(ctx);
    interrupt_body(ctx, owner_was_told);
}

/* The far task goes on, so without its first value the two sides would not know the same. */
static void keep_first(struct yoke_context *ctx, const struct msg *m)
{
    if (!buffer_append(&ctx->first, m->pld.data, m->pld.size))
        peer_break_without_memory(ctx->peer, "a value", m->pld.size);
}

/* The far task is over: what can't be kept of it is the failure of this dialog alone. */
static void keep_result(struct yoke_context *ctx, const struct msg *m)
{
    if (buffer_append(&ctx->result, m->pld.data, m->pld.size))
        ctx->has_result = true;
    else
        fail(ctx, yoke_raise(&YOKE_NO_MEMORY, "what `%s` has returned: %zu bytes", ctx->name, m->pld.size));
}

static void ended(struct yoke_context *ctx)
{
    context_wake(ctx);
    if (ctx->on_end)
        ctx->on_end(ctx, ctx->on_end_arg);
}

/* ---- the table's actions ---- */

static void act(struct yoke_context *ctx, enum dialog_action action, const struct msg *m)
{
    struct peer *peer = ctx->peer;
    switch (action) {
    case DIALOG_DROP:
        yoke_log(YOKE_RUNTIME, "dropped a late %s of actor `%s` for `%s`",
                 m ? msg_type_name(m->type) : "loss", peer->channel->peer.name, ctx->name);
        break;
    case DIALOG_NOTE_ACK:
        if (ctx->kind == DIALOG_IS_ONE_WAY) /* open waits for nothing else; the others for more */
            context_wake(ctx);
        break;
    case DIALOG_TAKE_FIRST:
        keep_first(ctx, m);
        context_wake(ctx);
        break;
    case DIALOG_QUEUE:
        queue(ctx, m);
        context_wake(ctx);
        break;
    case DIALOG_TAKE_RESULT:
        keep_result(ctx, m);
        ended(ctx);
        break;
    case DIALOG_TAKE_END:
        ended(ctx);
        break;
    case DIALOG_TAKE_ERROR:
        fail(ctx, relay_unpack(m, peer));
        ended(ctx);
        break;
    case DIALOG_TAKE_LOSS:
        fail(ctx, peer_lost(peer));
        ended(ctx);
        break;
    case DIALOG_FAIL_TASK:
    case DIALOG_FAIL_BODY:
        fail(ctx, relay_unpack(m, peer));
        break;
    case DIALOG_TAKE_CREDIT:
        credit_arrived(ctx, m);
        break;
    case DIALOG_CANCEL_TASK:
        context_cancel_served(ctx, &peer->channel->peer, (struct text_view){0});
        break;
    case DIALOG_BREAK:
        peer_break(peer, "a %s for `%s` which is %s", msg_type_name(m->type), ctx->name,
                   dialog_state_name(ctx->state));
        break;
    }
}

void context_take(struct yoke_context *ctx, const struct msg *m)
{
    enum dialog_event event;
    if (!dialog_event_of(m, &event))
        return;
    struct dialog_step step = dialog_step(ctx->kind, ctx->state, event);
    ctx->state = step.next;
    act(ctx, step.action, m);
}

void context_take_loss(struct yoke_context *ctx)
{
    struct dialog_step step = dialog_step(ctx->kind, ctx->state, DIALOG_LOST);
    ctx->state = step.next;
    if (step.action != DIALOG_DROP)
        act(ctx, step.action, NULL);
}
