#include "ipc/handshake.h"

#include "base/buffer.h"
#include "msg/record.h"
#include "msg/uid.h"

#include <string.h>
#include <unistd.h>

/* Our extra key in an Aid. `child_*`: the name that a parent gives its child; empty otherwise. */
YOKE_RECORD(aid_extra, (u32, version), (str, child_name), (str, child_uuid));

enum { WIRE_VERSION = 1 };

static yoke_error *send_aid(struct channel *c, const struct identity *self, const yoke_uid *child)
{
    struct buffer extra = BUFFER_EMPTY;
    aid_extra item = {WIRE_VERSION, child ? child->name : "", child ? child->uuid : ""};
    yoke_error *e = record_encode(&extra, &yoke_record_aid_extra, &item, "yoke");
    struct msg m = {
        .type = MSG_AID,
        .aid =
            {
                .uid = uid_view(&self->uid),
                .has_pid = true,
                .pid = getpid(),
                .is_registrar = self->is_registrar ? MSG_FLAG_TRUE : MSG_FLAG_FALSE,
                .is_probe = MSG_FLAG_FALSE,
                .yoke = {buffer_begin(&extra), buffer_size(&extra)},
            },
    };
    if (!e)
        e = channel_post(c, &m);
    buffer_free(&extra);
    return e;
}

/* The peer's Aid; `extra` is its key of ours, all empty from others. Whoever says something else first is no
 * actor: the channel ends. */
static yoke_error *receive_aid(struct channel *c, aid_extra *extra)
{
    struct msg m;
    yoke_uid peer;
    memset(extra, 0, sizeof *extra);
    YOKE_TRY(channel_receive(c, &m));
    yoke_error *e = NULL;
    if (m.type != MSG_AID)
        e = yoke_raise(&YOKE_PROTOCOL, "the first message is a %s and not an Aid", msg_type_name(m.type));
    if (!e)
        e = uid_from_view(&peer, m.aid.uid);
    if (!e && m.aid.yoke.data)
        e = record_decode(&yoke_record_aid_extra, m.aid.yoke.data, m.aid.yoke.size, "Aid.yoke", extra);
    if (e) {
        channel_break(c, yoke_error_dup(e));
        return e;
    }
    c->peer = peer;
    c->peer_pid = m.aid.has_pid ? m.aid.pid : 0;
    c->peer_is_yoke = m.aid.yoke.data != NULL;
    c->peer_is_probe = m.aid.is_probe == MSG_FLAG_TRUE;
    c->peer_is_registrar = m.aid.is_registrar;
    return NULL;
}

static yoke_error *bounded(struct channel *c, yoke_error *(*dialog)(struct channel *c, void *arg), void *arg,
                           int64_t bound)
{
    yoke_scope s;
    YOKE_TRY(yoke_fail_after(&s, bound));
    return yoke_scope_close(&s, dialog(c, arg));
}

/* ---- a parent's ---- */

struct parent_side {
    const struct identity *self;
    const yoke_uid *child;
};

static yoke_error *parent_dialog(struct channel *c, void *arg)
{
    const struct parent_side *side = arg;
    YOKE_TRY(send_aid(c, side->self, side->child));
    aid_extra extra;
    YOKE_TRY(receive_aid(c, &extra));
    aid_extra_free(&extra);
    if (yoke_uid_equal(&c->peer, side->child))
        return NULL;
    yoke_error *e =
        yoke_raise(&YOKE_PROTOCOL, "the child calls itself `%s`, not `%s`", c->peer.name, side->child->name);
    channel_break(c, yoke_error_dup(e));
    return e;
}

yoke_error *handshake_parent(struct channel *c, const struct identity *self, const yoke_uid *child,
                             int64_t bound)
{
    struct parent_side side = {self, child};
    c->peer = *child; /* who it is expected to be, for what an error says of it */
    return bounded(c, parent_dialog, &side, bound);
}

/* ---- a child's ---- */

static yoke_error *learn_name(yoke_uid *self, const aid_extra *extra)
{
    struct uid_view given = {text_view(extra->child_name), text_view(extra->child_uuid)};
    if (!given.name.size)
        return yoke_raise(&YOKE_PROTOCOL, "the parent gave no name");
    return uid_from_view(self, given);
}

static yoke_error *child_dialog(struct channel *c, void *arg)
{
    yoke_uid *self = arg;
    aid_extra extra;
    YOKE_TRY(receive_aid(c, &extra));
    yoke_error *e = learn_name(self, &extra);
    aid_extra_free(&extra);
    if (e)
        return e;
    return send_aid(c, &(struct identity){*self, false}, NULL);
}

yoke_error *handshake_child(struct channel *c, yoke_uid *self, int64_t bound)
{
    return bounded(c, child_dialog, self, bound);
}

/* ---- one who is neither ---- */

static yoke_error *peer_dialog(struct channel *c, void *arg)
{
    aid_extra extra;
    YOKE_TRY(send_aid(c, arg, NULL));
    YOKE_TRY(receive_aid(c, &extra));
    aid_extra_free(&extra);
    return NULL;
}

yoke_error *handshake_peer(struct channel *c, struct identity *self, int64_t bound)
{
    return bounded(c, peer_dialog, self, bound);
}
