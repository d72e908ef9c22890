/* Connections to actors that are neither parent nor child: by address, and closed with their last portal. */
#include "actor/connect.h"

#include "actor/context.h"
#include "actor/server.h"
#include "ipc/handshake.h"

#include <unistd.h>

#define CONNECT_BOUND YOKE_S(3)

/* ---- connect ---- */

/* What it means that the other end was no actor who could be met. */
static yoke_error *explain(const struct address *address, int64_t bound, yoke_error *e)
{
    char text[ADDRESS_TEXT_BYTES];
    address_print(address, text);
    if (!e || yoke_error_is_cancelled(e) || yoke_error_is(e, &YOKE_INTERRUPTED))
        return e;
    if (yoke_error_is(e, &YOKE_TOO_SLOW))
        return yoke_wrap(e, &YOKE_CONNECT_FAILED, "%s: who listens there did not shake hands in %lld ms",
                         text, (long long)(bound / 1000000));
    if (yoke_error_is(e, &YOKE_PERMISSION))
        return yoke_wrap(e, &YOKE_CONNECT_FAILED, "%s: who listens there is not to be trusted", text);
    return yoke_wrap(e, &YOKE_CONNECT_FAILED, "%s: who listens there is no actor, or was ending", text);
}

/* ---- to oneself ---- */

static struct peer *own_peer(const struct actor *a)
{
    list_for_each(node, &a->peers) {
        struct peer *peer = container_of(node, struct peer, in_actor);
        if (peer->channel->is_here && peer->is_ours && peer->portals && !peer->lost && !peer->channel->broken)
            return peer;
    }
    return NULL;
}

static void introduce(const struct actor *a, struct channel *c)
{
    c->peer = a->uid;
    c->peer_pid = getpid();
    c->peer_is_yoke = c->peer_has_credits = true;
    c->peer_is_registrar = a->is_root ? MSG_FLAG_TRUE : MSG_FLAG_FALSE;
}

/* The end that serves; its loop keeps it. */
static yoke_error *open_far_end(struct actor *a, struct channel *c)
{
    struct peer *far;
    YOKE_TRY(peer_open(&far, a, c));
    yoke_error *e = peer_begin(far);
    peer_release(far);
    return e;
}

static yoke_error *open_near_end(struct actor *a, struct channel *c, struct peer **near)
{
    YOKE_TRY(peer_open(near, a, c));
    yoke_error *e = peer_begin(*near);
    if (!e)
        return NULL;
    peer_close(*near);
    *near = NULL;
    return e;
}

yoke_error *connect_here(struct actor *a, struct peer **near)
{
    struct channel *ends[2];
    *near = own_peer(a);
    if (*near) {
        connect_share(*near);
        return NULL;
    }
    YOKE_TRY(channel_open_here(ends));
    introduce(a, ends[0]);
    introduce(a, ends[1]);
    yoke_error *e = open_far_end(a, ends[1]);
    if (e) {
        channel_close(ends[0]);
        return e;
    }
    YOKE_TRY(open_near_end(a, ends[0], near));
    (*near)->is_ours = true;
    (*near)->portals = 1;
    return NULL;
}

/* ---- to others ---- */

yoke_error *connect_to(struct actor *a, const struct address *address, const yoke_connect_options *options,
                       struct peer **peer)
{
    static const yoke_connect_options defaults;
    const yoke_connect_options *o = options ? options : &defaults;
    int64_t bound = o->handshake_bound ? o->handshake_bound : HANDSHAKE_BOUND;
    const struct transport *transport;
    struct channel *channel;
    int fd;
    *peer = NULL;
    if (server_is_at(a, address)) {
        YOKE_TRY(yoke_checkpoint());
        return connect_here(a, peer);
    }
    YOKE_TRY(transport_of(address, &transport));
    YOKE_TRY(transport->connect(address, o->bound ? o->bound : CONNECT_BOUND, &fd));
    YOKE_TRY(channel_open(&channel, fd, transport, NULL));
    yoke_error *e = server_meet(a, channel, true, bound, peer);
    if (!e && !*peer)
        e = yoke_raise(&YOKE_PROTOCOL, "who listens there is a probe");
    if (e)
        return explain(address, bound, e);
    (*peer)->is_ours = true;
    (*peer)->portals = 1;
    return NULL;
}

yoke_error *yoke_connect(const char *text, yoke_portal **portal, const yoke_connect_options *options)
{
    struct actor *a;
    struct address address;
    struct peer *peer;
    *portal = NULL;
    YOKE_TRY(actor_expect("yoke_connect", &a));
    if (options && (options->bound < 0 || options->handshake_bound < 0))
        return yoke_raise(&YOKE_USAGE, "yoke_connect: a bound is negative");
    YOKE_TRY(address_parse(&address, text));
    YOKE_TRY(connect_to(a, &address, options, &peer));
    *portal = &peer->portal;
    return NULL;
}

yoke_portal *connect_share(struct peer *peer)
{
    if (!peer->portals++)
        peer_keep(peer);
    return &peer->portal;
}

/* ---- close ---- */

/* A dialog whose end has not come yet; those that were cancelled, and the requests for that, are such. */
static struct yoke_context *open_dialog(const struct peer *peer)
{
    for (struct table_node *node = table_first(&peer->opened); node; node = table_next(&peer->opened, node)) {
        struct yoke_context *ctx = container_of(node, struct yoke_context, in_peer);
        if (ctx->state != DIALOG_DONE)
            return ctx;
    }
    return NULL;
}

static void cancel_dialogs(struct peer *peer)
{
    /* A request is a dialog too, and may move the table: the dialogs are counted off by what was sent. */
    for (bool more = true; more && !peer->lost;) {
        more = false;
        for (struct table_node *node = table_first(&peer->opened); node && !more;
             node = table_next(&peer->opened, node)) {
            struct yoke_context *ctx = container_of(node, struct yoke_context, in_peer);
            if (ctx->state == DIALOG_DONE || ctx->cancel_sent || ctx->on_end || !ctx->endpoint)
                continue;
            context_request_cancel(ctx, NULL);
            more = true;
        }
    }
}

static yoke_error *wait_till_ended(struct peer *peer)
{
    struct yoke_context *ctx;
    while ((ctx = open_dialog(peer))) {
        context_enter(ctx);
        yoke_error *e = context_leave(ctx, context_wait(ctx));
        if (e && !yoke_error_is(e, &YOKE_CLOSED))
            return e;
        yoke_error_free(e);
    }
    return NULL;
}

static yoke_error *end_dialogs(struct peer *peer)
{
    yoke_scope bound;
    cancel_dialogs(peer);
    YOKE_TRY(yoke_move_on_after(&bound, CONTEXT_CANCEL_BOUND));
    YOKE_TRY(yoke_scope_close(&bound, wait_till_ended(peer)));
    YOKE_TRY(yoke_move_on_after(&bound, SERVER_DRAIN_BOUND));
    return yoke_scope_close(&bound, channel_drain(peer->channel));
}

static yoke_error *hang_up(struct peer *peer)
{
    yoke_error_free(end_dialogs(peer));
    channel_break(peer->channel, yoke_raise(&YOKE_TRANSPORT_CLOSED, "the portal to actor `%s` was closed",
                                            peer->channel->peer.name));
    return yoke_event_wait(&peer->ended);
}

yoke_error *yoke_portal_close(yoke_portal *portal, yoke_error *e)
{
    if (!portal || !task_here())
        return portal ? yoke_error_join(e, task_outside("yoke_portal_close")) : e;
    struct peer *peer = portal->peer;
    if (!peer->portals) /* a nursery's */
        return e;
    if (--peer->portals)
        return e;
    if (!peer->is_ours) {
        peer_release(peer);
        return e;
    }
    yoke_scope shield;
    yoke_error *failed = task_shield_open(&shield, (yoke_scope_options){0});
    if (!failed)
        failed = task_shield_close(&shield, hang_up(peer));
    peer_close(peer);
    return yoke_error_join(e, failed);
}
