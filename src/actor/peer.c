#include "actor/peer.h"

#include "actor/child.h"
#include "actor/context.h"
#include "actor/freeze.h"
#include "actor/registrar.h"
#include "actor/relay.h"
#include "actor/serve.h"
#include "actor/server.h"
#include "base/memory.h"

#include <string.h>

/* What a peer may leave unread of the runtime's answers before its channel is given up: beside one message of
 * the application's, which may be of 64 MiB. */
#define UNREAD_ANSWERS_BYTES ((size_t)128 << 20)

/* ---- life ---- */

yoke_error *peer_open(struct peer **out, struct actor *actor, struct channel *channel)
{
    struct peer *peer = memory_calloc(1, sizeof *peer);
    *out = peer;
    if (!peer) {
        channel_close(channel);
        return yoke_raise(&YOKE_NO_MEMORY, "a peer");
    }
    peer->actor = actor;
    peer->channel = channel;
    peer->portal.peer = peer;
    peer->references = 1;
    list_init(&peer->end_requests);
    list_init(&peer->spare);
    table_init(&peer->opened);
    table_init(&peer->served);
    yoke_event_init(&peer->drained);
    yoke_event_init(&peer->ended);
    list_append(&actor->peers, &peer->in_actor);
    return NULL;
}

struct peer *peer_keep(struct peer *peer)
{
    peer->references++;
    return peer;
}

void peer_release(struct peer *peer)
{
    if (!peer || --peer->references)
        return;
    list_remove(&peer->in_actor);
    while (!list_empty(&peer->end_requests)) {
        struct pending_ack *ack = container_of(list_pop(&peer->end_requests), struct pending_ack, link);
        memory_free(ack->cid);
        memory_free(ack);
    }
    context_free_spare(peer);
    channel_close(peer->channel);
    table_free(&peer->opened);
    table_free(&peer->served);
    yoke_error_free(peer->lost);
    memory_free(peer);
}

void peer_close(struct peer *peer)
{
    if (!peer)
        return;
    channel_break(peer->channel, channel_error(&peer->channel->peer, peer->channel->peer_pid,
                                               &YOKE_TRANSPORT_LOCAL, NULL, "closed by this side"));
    peer_release(peer);
}

/* ---- errors ---- */

/* Not a dup: that shares its notes and its trace, and each who is told of the loss adds his own. */
yoke_error *peer_lost(struct peer *peer)
{
    if (!peer->lost)
        return channel_broken(peer->channel);
    return channel_closed_again(peer->channel, peer->lost);
}

void peer_break(struct peer *peer, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    yoke_log(YOKE_WARNING, "actor `%s` (pid %lld) broke the protocol, its channel is closed: %s",
             peer->channel->peer.name, (long long)peer->channel->peer_pid, text);
    channel_break(peer->channel, yoke_raise(&YOKE_PROTOCOL, "%s", text));
}

void peer_break_without_memory(struct peer *peer, const char *what, size_t bytes)
{
    yoke_log(YOKE_WARNING,
             "the channel to actor `%s` (pid %lld) is closed: no memory for %s of its, of %zu bytes",
             peer->channel->peer.name, (long long)peer->channel->peer_pid, what, bytes);
    channel_break(peer->channel, yoke_raise(&YOKE_NO_MEMORY, "no memory for %s of %zu bytes", what, bytes));
}

static void posted(struct peer *peer, const struct msg *m, yoke_error *e)
{
    if (e)
        yoke_log(YOKE_TRANSPORT, "a %s to actor `%s` could not be sent: %s", msg_type_name(m->type),
                 peer->channel->peer.name, yoke_error_message(e));
    yoke_error_free(e);
}

void peer_post(struct peer *peer, const struct msg *m)
{
    posted(peer, m, channel_post(peer->channel, m));
}

void peer_post_ahead(struct peer *peer, const struct msg *m)
{
    posted(peer, m, channel_post_ahead(peer->channel, m));
}

/* ---- messages for nobody ---- */

/* FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ . A collision costs a line of the log its level. */
static uint32_t hash_of(const char *text, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    return hash;
}

void peer_remember_end(struct peer *peer, const char *cid)
{
    peer->over[peer->over_count++ % PEER_REMEMBERED] = hash_of(cid, strlen(cid));
}

static bool has_been(const struct peer *peer, struct text_view cid)
{
    if (actor_made_dialog(peer->actor, cid.data, cid.size))
        return true;
    uint32_t hash = hash_of(cid.data, cid.size);
    unsigned count = peer->over_count < PEER_REMEMBERED ? peer->over_count : PEER_REMEMBERED;
    for (unsigned i = 0; i < count; i++)
        if (peer->over[i] == hash)
            return true;
    return false;
}

/* Messages cross on the way: what is late is nothing special. One for a dialog that never was is, but a peer
 * that sends many of them shall not fill the log. */
static void drop(struct peer *peer, const struct msg *m)
{
    enum { EACH = 1000 };
    if (has_been(peer, m->cid)) {
        yoke_log(YOKE_RUNTIME, "dropped a %s of actor `%s` for a dialog that is over", msg_type_name(m->type),
                 peer->channel->peer.name);
        return;
    }
    unsigned n = ++peer->unknown;
    if (n < EACH)
        yoke_log(YOKE_WARNING, "dropped a %s of actor `%s` for a dialog that never was",
                 msg_type_name(m->type), peer->channel->peer.name);
    else if (n % EACH == 0)
        yoke_log(
            YOKE_WARNING,
            "dropped a %s of actor `%s` for a dialog that never was: %u by now; the next line comes after "
            "%d more",
            msg_type_name(m->type), peer->channel->peer.name, n, EACH);
}

/* ---- the loop ---- */

/* An Error of no dialog: the peer's runtime itself has failed, and serves nobody any more. */
static void take_failure(struct peer *peer, const struct msg *m)
{
    struct channel *c = peer->channel;
    yoke_error *e = relay_unpack(m, peer);
    char how[512];
    snprintf(how, sizeof how, "the peer's runtime failed: %s", yoke_error_message(yoke_error_cause(e)));
    yoke_log(YOKE_ERROR, "actor `%s` (pid %lld): %s", c->peer.name, (long long)c->peer_pid, how);
    channel_break(c, channel_error(&c->peer, c->peer_pid, &YOKE_TRANSPORT_CLOSED, e, how));
}

/* Most often it is that of the message before. */
static struct table_node *find_dialog(struct peer *peer, struct text_view cid)
{
    struct table_node *node = table_find_again(&peer->opened, cid.data, cid.size);
    if (!node)
        node = table_find_again(&peer->served, cid.data, cid.size);
    if (!node)
        node = table_find(&peer->opened, cid.data, cid.size);
    return node ? node : table_find(&peer->served, cid.data, cid.size);
}

static void take(struct peer *peer, const struct msg *m)
{
    enum dialog_event event;
    if (m->type == MSG_START) {
        serve_start(peer, m);
        return;
    }
    if (!dialog_event_of(m, &event)) {
        peer_break(peer, "a %s in the middle of the connection", msg_type_name(m->type));
        return;
    }
    if (!m->cid.data) {
        take_failure(peer, m);
        return;
    }
    struct table_node *node = find_dialog(peer, m->cid);
    if (node)
        context_take(container_of(node, struct yoke_context, in_peer), m);
    else if (event == DIALOG_REFUSED)
        yoke_log(YOKE_WARNING, "actor `%s` did not take what a dialog that is over had sent: %.*s",
                 peer->channel->peer.name, (int)m->error.message.size, m->error.message.data);
    else
        drop(peer, m);
}

/*
 * How often the loop's budget is filled up in one turn. A task that hardly yields makes each turn wait for
 * it, and a cancel request may stand behind a flood: so a turn takes more messages than a task's turn does
 * elsewhere.
 */
enum { FILL_UPS = 32 };

struct turn {
    uint64_t pass;
    unsigned fill_ups;
};

static void prolong(struct turn *turn)
{
    struct scheduler *s = scheduler_here;
    if (turn->pass != s->passes)
        *turn = (struct turn){s->passes, 0};
    if (s->operations + 1 < s->budget || turn->fill_ups == FILL_UPS)
        return;
    turn->fill_ups++;
    s->operations = 0;
}

/* Returns when every task that can run has had a turn: where their order is random (YOKE_SEED), this one may
 * be the first of the next pass. */
static yoke_error *give_way(void)
{
    YOKE_TRY(yoke_cancel_shielded_checkpoint());
    return scheduler_here->random ? yoke_cancel_shielded_checkpoint() : NULL;
}

static yoke_error *read_all(struct peer *peer)
{
    struct turn turn = {0, 0};
    for (;;) {
        struct msg m;
        prolong(&turn);
        YOKE_TRY(channel_receive(peer->channel, &m));
        take(peer, &m);
        if (peer->crowded) {
            peer->crowded = false;
            YOKE_TRY(give_way());
        }
        if (buffer_size(&peer->channel->out) > UNREAD_ANSWERS_BYTES)
            peer_break(peer, "it reads none of its answers");
    }
}

static void end_dialogs(struct peer *peer)
{
    /* A dialog may be freed by its own action: the next one is found before. */
    struct table_node *node = table_first(&peer->opened);
    while (node) {
        struct table_node *next = table_next(&peer->opened, node);
        context_take_loss(container_of(node, struct yoke_context, in_peer));
        node = next;
    }
    node = table_first(&peer->served);
    while (node) {
        struct table_node *next = table_next(&peer->served, node);
        context_take_loss(container_of(node, struct yoke_context, in_peer));
        node = next;
    }
}

void peer_cancel_served(struct peer *peer, const yoke_uid *canceller)
{
    for (struct table_node *node = table_first(&peer->served); node; node = table_next(&peer->served, node)) {
        struct yoke_context *ctx = container_of(node, struct yoke_context, in_peer);
        if (!ctx->stays)
            context_cancel_served(ctx, canceller, (struct text_view){0});
    }
}

static yoke_error *loop(void *arg)
{
    struct peer *peer = arg;
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = read_all(peer);
    yoke_log(yoke_error_is(e, &YOKE_TRANSPORT_TORN) ? YOKE_WARNING : YOKE_RUNTIME, "%s",
             yoke_error_message(e));
    yoke_event_set(&peer->drained);
    /* Of a child the supervisor soon knows how it ended: that is the better reason. */
    peer->lost = peer->child ? child_explain_loss(peer->child, e) : e;
    end_dialogs(peer);
    channel_hang_up(peer->channel); /* dialogs that are still held here may keep it for long */
    if (!peer->child)
        registrar_peer_lost(peer);
    server_peer_left(peer);
    if (peer->is_parent) {
        freeze_by_parent(peer->actor, false);
        actor_cancel(peer->actor, NULL);
    }
    yoke_event_set(&peer->ended);
    e = yoke_scope_close(&shield, NULL);
    peer_release(peer);
    return e;
}

yoke_error *peer_begin(struct peer *peer)
{
    YOKE_TRY(yoke_spawn_system_at(__FILE__, __LINE__, "channel", loop, peer, NULL));
    peer_keep(peer); /* the loop's own */
    peer->reading = true;
    return NULL;
}
