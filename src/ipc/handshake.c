#include "ipc/handshake.h"

#include "base/buffer.h"
#include "msg/record.h"
#include "msg/uid.h"

#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <string.h>
#include <unistd.h>

enum { CODE_BYTES = BASE16_ENCODE_LENGTH(SHA256_DIGEST_SIZE) };

/*
 * Our extra key in an Aid. What is not said is empty. `child_*`: the name that a parent gives its child;
 * nonce, proof: see the header.
 */
YOKE_RECORD(aid_extra, (u32, version), (str, child_name), (str, child_uuid), (optional, str, nonce),
            (optional, str, proof));

/* 2: with credits. */
enum { WIRE_VERSION = 2, CREDITS_VERSION = 2 };

static yoke_error *send_aid(struct channel *c, const struct identity *self, aid_extra item)
{
    struct buffer extra = BUFFER_EMPTY;
    item.version = WIRE_VERSION;
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
    c->peer_has_credits = extra->version >= CREDITS_VERSION;
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
    YOKE_TRY(send_aid(c, side->self,
                      (aid_extra){.child_name = side->child->name, .child_uuid = side->child->uuid}));
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
    return send_aid(c, &(struct identity){.uid = *self}, (aid_extra){0});
}

yoke_error *handshake_child(struct channel *c, yoke_uid *self, int64_t bound)
{
    return bounded(c, child_dialog, self, bound);
}

/* ---- one who is neither ---- */

/* What each side has brought. */
struct nonces {
    char ours[sizeof((yoke_uid *)0)->uuid];
    const char *theirs;
};

/* The code (HMAC, RFC 2104) of the side that has connected, or of the one that listens; `prover` is who
 * stands there. */
static void code_of(const struct identity *self, const struct nonces *nonces, bool connects,
                    const yoke_uid *prover, int64_t pid, char hex[CODE_BYTES + 1])
{
    char text[1024];
    struct hmac_sha256_ctx hmac;
    uint8_t code[SHA256_DIGEST_SIZE];
    const char *connector = self->connects ? nonces->ours : nonces->theirs;
    const char *listener = self->connects ? nonces->theirs : nonces->ours;
    int size =
        snprintf(text, sizeof text, "yoke %s\n%s\n%s\n%s\n%s\n%lld\n", connects ? "connects" : "listens",
                 connector, listener, prover->name, prover->uuid, (long long)pid);
    hmac_sha256_set_key(&hmac, strlen(self->secret), (const uint8_t *)self->secret);
    hmac_sha256_update(&hmac, (size_t)size, (const uint8_t *)text);
    hmac_sha256_digest(&hmac, sizeof code, code);
    base16_encode_update(hex, sizeof code, code);
    hex[CODE_BYTES] = 0;
}

/* In a time that tells nothing of where they differ. */
static bool is_proof(const char *expected, const char *given)
{
    return strlen(given) == CODE_BYTES && memeql_sec(expected, given, CODE_BYTES);
}

/* The second Aid of each side; of the same actor as the first. */
static yoke_error *prove(struct channel *c, const struct identity *self, const struct nonces *nonces)
{
    char ours[CODE_BYTES + 1], theirs[CODE_BYTES + 1];
    yoke_uid first = c->peer;
    int64_t pid = c->peer_pid;
    aid_extra extra;
    code_of(self, nonces, self->connects, &self->uid, getpid(), ours);
    code_of(self, nonces, !self->connects, &first, pid, theirs);
    YOKE_TRY(send_aid(c, self, (aid_extra){.proof = &(yoke_type_str){ours}}));
    YOKE_TRY(channel_drain(c)); /* before this side judges: the other is to come to its own verdict */
    YOKE_TRY(receive_aid(c, &extra));
    bool same = yoke_uid_equal(&c->peer, &first) && c->peer_pid == pid;
    c->peer_is_stranger = !same || !extra.proof || !is_proof(theirs, *extra.proof);
    aid_extra_free(&extra);
    return NULL;
}

static yoke_error *exchange(struct channel *c, const struct identity *self, struct nonces *nonces,
                            aid_extra *theirs)
{
    yoke_type_str ours = nonces->ours;
    YOKE_TRY(send_aid(c, self, (aid_extra){.nonce = self->secret ? &ours : NULL}));
    return receive_aid(c, theirs);
}

static yoke_error *peer_dialog(struct channel *c, void *arg)
{
    const struct identity *self = arg;
    struct nonces nonces;
    yoke_uid random;
    aid_extra extra;
    uid_make(&random, "");
    memcpy(nonces.ours, random.uuid, sizeof nonces.ours);
    YOKE_TRY(exchange(c, self, &nonces, &extra));
    nonces.theirs = extra.nonce ? *extra.nonce : "";
    yoke_error *e = NULL;
    if (self->secret && strlen(nonces.theirs) == sizeof nonces.ours - 1)
        e = prove(c, self, &nonces);
    aid_extra_free(&extra);
    return e;
}

yoke_error *handshake_peer(struct channel *c, struct identity *self, int64_t bound)
{
    return bounded(c, peer_dialog, self, bound);
}
