#include "actor/actors.h"
#include "actor/child.h"
#include "actor/context.h"
#include "actor/peer.h"

const yoke_uid *yoke_portal_peer(const yoke_portal *portal)
{
    return &portal->peer->channel->peer;
}

pid_t yoke_portal_pid(const yoke_portal *portal)
{
    return (pid_t)portal->peer->channel->peer_pid;
}

uid_t yoke_portal_user(const yoke_portal *portal)
{
    return portal->peer->channel->peer_user;
}

bool yoke_portal_is_connected(const yoke_portal *portal)
{
    const struct channel *c = portal->peer->channel;
    return !portal->peer->lost && !c->broken && !c->mute;
}

YOKE_ERROR_KIND(YOKE_ACTOR_TOO_SLOW, "yoke.ActorTooSlow", NULL);

/* Waits for the answer to the request, undisturbed, within the bound. */
static bool acknowledged_within(struct yoke_context *request, int64_t bound)
{
    yoke_scope s;
    yoke_error *e = task_shield_open(&s, (yoke_scope_options){.after = bound});
    if (!e) {
        while (!e && request->state != DIALOG_DONE)
            e = context_wait(request);
        e = task_shield_close(&s, e);
    }
    yoke_error_free(e);
    return request->has_result;
}

/* One that may not ask for it is told so; whoever is gone, or fails in its end, ends all the same. */
static yoke_error *refusal(struct yoke_context *request)
{
    return yoke_error_find(request->remote, &YOKE_PERMISSION) ? context_remote_error(request) : NULL;
}

yoke_error *yoke_portal_cancel_actor(yoke_portal *portal, int64_t bound, bool *acknowledged)
{
    if (acknowledged)
        *acknowledged = false;
    struct actor *a;
    YOKE_TRY(actor_expect("yoke_portal_cancel_actor", &a));
    if (!portal || bound < 0)
        return yoke_raise(&YOKE_USAGE, "yoke_portal_cancel_actor: %s",
                          portal ? "the bound is negative" : "no portal");
    struct peer *peer = portal->peer;
    if (!yoke_portal_is_connected(portal))
        return NULL;
    if (peer->child)
        peer->child->asked = true;
    struct yoke_context *request;
    YOKE_TRY(context_new(&request, peer, "self:cancel", DIALOG_IS_CALL));
    yoke_error *e = context_send_actor_cancel(request, &a->uid);
    bool answered = !e && acknowledged_within(request, bound ? bound : ACKNOWLEDGE_BOUND);
    if (acknowledged)
        *acknowledged = answered;
    if (!e)
        e = refusal(request);
    context_end(request);
    if (!e || !yoke_error_is(e, &YOKE_TRANSPORT_CLOSED))
        return e;
    yoke_error_free(e);
    return NULL;
}

yoke_error *yoke_portal_must_cancel_actor(yoke_portal *portal, int64_t bound)
{
    bool acknowledged, was_there = portal && yoke_portal_is_connected(portal);
    YOKE_TRY(yoke_portal_cancel_actor(portal, bound, &acknowledged));
    /* One that is gone has nothing to acknowledge. */
    if (acknowledged || !was_there || !yoke_portal_is_connected(portal))
        return NULL;
    const struct channel *c = portal->peer->channel;
    return yoke_raise(&YOKE_ACTOR_TOO_SLOW,
                      "actor `%s` (pid %lld) did not acknowledge a cancel within %lld ms", c->peer.name,
                      (long long)c->peer_pid, (long long)((bound ? bound : ACKNOWLEDGE_BOUND) / 1000000));
}
