#include "actor/relay.h"

#include "actor/death.h"
#include "actor/error_tree.h"
#include "base/error.h"
#include "base/memory.h"
#include "msg/cursor.h"
#include "msg/pack.h"
#include "msg/record.h"
#include "msg/uid.h"
#include "msg/utf8.h"

#include <stdlib.h>
#include <string.h>

YOKE_ERROR_KIND(YOKE_REMOTE, "yoke.Remote", NULL);
YOKE_ERROR_KIND(YOKE_CONTEXT_CANCELLED, "yoke.ContextCancelled", NULL);

enum { PATH_MAX_HOPS = 64 };

/* ---- what hangs on an error that travelled ---- */

struct remote {
    yoke_uid source, canceller;
    bool has_canceller;
    char *source_type;
    size_t hops;
    yoke_uid path[];
};

static void remote_free(void *data)
{
    struct remote *r = data;
    memory_free(r->source_type);
    memory_free(r);
}

/* The way that the error took, when it is more than one step. */
static void remote_print(const void *data, void (*line)(void *out, const char *text), void *out)
{
    const struct remote *r = data;
    if (r->hops < 2)
        return;
    char text[512];
    size_t used = (size_t)snprintf(text, sizeof text, "came by actors");
    for (size_t i = 0; i < r->hops && used < sizeof text - 80; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s `%s`", i ? "," : "", r->path[i].name);
    line(out, text);
}

static const struct error_details_ops remote_ops = {remote_free, remote_print};

static struct remote *remote_new(const yoke_uid *source, const yoke_uid *canceller, size_t hops)
{
    struct remote *r = memory_calloc(1, sizeof *r + hops * sizeof r->path[0]);
    if (!r)
        return NULL;
    r->source = *source;
    r->has_canceller = canceller != NULL;
    if (canceller)
        r->canceller = *canceller;
    r->hops = hops;
    return r;
}

static const struct remote *remote_of(const yoke_error *e)
{
    return e ? error_details(e, &remote_ops) : NULL;
}

const yoke_uid *yoke_error_canceller(const yoke_error *e)
{
    const struct remote *r = remote_of(e);
    return r && r->has_canceller ? &r->canceller : NULL;
}

const yoke_uid *yoke_error_source(const yoke_error *e)
{
    const struct remote *r = remote_of(e);
    return r ? &r->source : NULL;
}

bool relay_is_same(const yoke_error *a, const yoke_error *b)
{
    const struct remote *r = remote_of(a);
    return r && r == remote_of(b);
}

yoke_error *relay_cancelled(const yoke_uid *source, const yoke_uid *canceller, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    yoke_error *e = yoke_raise_at("", 0, "", &YOKE_CONTEXT_CANCELLED, "%s", text);
    struct remote *r = remote_new(source, canceller, 0);
    if (r)
        error_set_details(e, &remote_ops, r);
    return e;
}

/* ---- kinds on the wire ---- */

/* Python actors know only these; a name that they do not find can end their process. */
static const struct {
    const yoke_error_kind *kind;
    const char *name;
} python_kinds[] = {
    {&YOKE_REMOTE, "RemoteActorError"},
    {&YOKE_CONTEXT_CANCELLED, "ContextCancelled"},
    {&YOKE_STREAM_OVERRUN, "StreamOverrun"},
    {&YOKE_MODULE_NOT_EXPOSED, "ModuleNotExposed"},
    {&YOKE_ENDPOINT_NOT_FOUND, "AttributeError"},
    {&YOKE_MSG_TYPE, "MsgTypeError"},
    {&YOKE_TOO_SLOW, "TooSlowError"},
    {&YOKE_INTERRUPTED, "KeyboardInterrupt"},
    {&YOKE_CANCELLED, "Cancelled"},
    {&YOKE_GROUP, "ExceptionGroup"},
    {&YOKE_ACTOR_DIED, "ActorFailure"},
    {&YOKE_ACTOR_EXITED, "ActorFailure"},
    {&YOKE_ACTOR_CANCELLED, "ActorFailure"},
    {&YOKE_SPAWN_FAILED, "ActorFailure"},
    {&YOKE_TRANSPORT_CLOSED, "TransportClosed"},
    {&YOKE_SYSTEM, "OSError"},
    {&YOKE_USAGE, "RuntimeError"},
};

static const char *wire_name(const yoke_error_kind *kind, bool to_yoke)
{
    if (to_yoke)
        return kind->name;
    for (const yoke_error_kind *k = kind; k; k = k->parent)
        for (size_t i = 0; i < sizeof python_kinds / sizeof python_kinds[0]; i++)
            if (python_kinds[i].kind == k)
                return python_kinds[i].name;
    return "RuntimeFailure";
}

/* The name that an error came with, on its way to the next peer: one of ours is no name to a Python actor. */
static const char *name_passed_on(const char *name, bool to_yoke)
{
    const yoke_error_kind *kind = to_yoke ? NULL : yoke_error_kind_find(name);
    return kind ? wire_name(kind, false) : name;
}

static const yoke_error_kind *kind_of_name(struct text_view name)
{
    char text[128];
    snprintf(text, sizeof text, "%.*s", (int)(name.size < 127 ? name.size : 127), name.data);
    const yoke_error_kind *kind = yoke_error_kind_find(text);
    if (kind)
        return kind;
    for (size_t i = 0; i < sizeof python_kinds / sizeof python_kinds[0]; i++)
        if (strcmp(python_kinds[i].name, text) == 0)
            return python_kinds[i].kind;
    return NULL;
}

/* ---- out ---- */

static void pack_uid(struct pack *p, const yoke_uid *uid)
{
    msgpack_pack_array(&p->packer, 2);
    pack_text(p, uid->name, strlen(uid->name));
    pack_text(p, uid->uuid, strlen(uid->uuid));
}

/* The actors that the error passed, this one as the last. */
static bool pack_path(struct buffer *out, const struct remote *r, const yoke_uid *self)
{
    size_t hops = r ? r->hops : 0;
    struct pack p;
    pack_begin(&p, out, SIZE_MAX);
    msgpack_pack_array(&p.packer, hops + 1);
    for (size_t i = 0; i < hops; i++)
        pack_uid(&p, &r->path[i]);
    pack_uid(&p, self);
    if (p.fault == PACK_FINE)
        return true;
    pack_undo(&p);
    return false;
}

struct outgoing {
    struct msg m;
    struct buffer path, tree;
    char *text, *message;
};

static void outgoing_free(struct outgoing *o)
{
    buffer_free(&o->path);
    buffer_free(&o->tree);
    free(o->text);
    memory_free(o->message);
}

/* Without its tree the error still tells its kind and message. */
static void add_tree(struct outgoing *o, const yoke_error *e)
{
    yoke_error *failed = error_tree_encode(&o->tree, e);
    if (failed)
        yoke_log(YOKE_WARNING, "an error is relayed without its tree: %s", yoke_error_message(failed));
    yoke_error_free(failed);
}

static yoke_error *fill(struct outgoing *o, struct peer *peer, struct text_view cid, const yoke_error *e,
                        const yoke_uid *sender)
{
    const struct actor *a = peer->actor;
    bool to_yoke = peer->channel->peer_is_yoke;
    const struct remote *r = remote_of(e);
    bool is_cancel = yoke_error_is(e, &YOKE_CONTEXT_CANCELLED);
    bool passes_on = r && !is_cancel; /* raised in another actor: this one only relays */
    const yoke_error *inner = passes_on && yoke_error_cause(e) ? yoke_error_cause(e) : e;
    if (!pack_path(&o->path, r, &a->uid))
        return yoke_raise(&YOKE_NO_MEMORY, "an error to relay");
    o->message = utf8_shortened(yoke_error_message(inner), ERROR_TREE_TEXT_BYTES);
    if (to_yoke)
        add_tree(o, inner);
    else
        o->text = yoke_error_text(e);
    const char *source_type = passes_on && r->source_type ? name_passed_on(r->source_type, to_yoke)
                                                          : wire_name(yoke_error_kind_of(inner), to_yoke);
    /* This one keeps its kind on its way; to a Python actor it is then the relaying actor's. */
    bool keeps_kind = yoke_error_is(inner, &YOKE_MSG_TYPE);
    bool is_own = !passes_on || (keeps_kind && !to_yoke);
    o->m = (struct msg){.type = MSG_ERROR, .cid = cid};
    o->m.error.src_uid = uid_view(is_own ? &a->uid : &r->source);
    o->m.error.src_type = text_view(source_type);
    o->m.error.boxed_type =
        text_view(passes_on && !keeps_kind ? wire_name(&YOKE_REMOTE, to_yoke) : source_type);
    o->m.error.relay_path = (struct raw_view){buffer_begin(&o->path), buffer_size(&o->path)};
    o->m.error.message = text_view(o->message ? o->message : "");
    o->m.error.tb = text_view(o->text ? o->text : "");
    if (is_cancel)
        o->m.error.canceller = uid_view(r && r->has_canceller ? &r->canceller : &a->uid);
    if (sender || text_view_is(o->m.error.boxed_type, "StreamOverrun"))
        o->m.error.sender = uid_view(sender ? sender : &a->uid);
    if (buffer_size(&o->tree))
        o->m.error.yoke = (struct raw_view){buffer_begin(&o->tree), buffer_size(&o->tree)};
    return NULL;
}

/* One of these kinds says no more than that somebody ended it. */
static bool is_plain_end(const yoke_error *leaf, void *arg)
{
    const struct peer *peer = arg;
    return yoke_error_is(leaf, &YOKE_CONTEXT_CANCELLED) || yoke_error_is(leaf, &YOKE_CANCELLED) ||
           (yoke_error_is(leaf, &YOKE_TRANSPORT_CLOSED) &&
            yoke_uid_equal(channel_error_peer(leaf), &peer->channel->peer));
}

bool relay_is_news(struct peer *peer, const yoke_error *e)
{
    yoke_error *rest = yoke_error_dup(e), *plain;
    yoke_error_split_by(&rest, is_plain_end, peer, &plain);
    bool is_news = rest != NULL;
    yoke_error_free(rest);
    yoke_error_free(plain);
    return is_news;
}

bool relay_is_all_cancelled(const yoke_error *e)
{
    static const yoke_error_kind *const kinds[] = {&YOKE_CANCELLED, &YOKE_CONTEXT_CANCELLED};
    return yoke_error_is(e, &YOKE_GROUP) && yoke_error_is_only(e, kinds, 2);
}

void relay_post(struct peer *peer, struct text_view cid, const yoke_error *e, const yoke_uid *sender)
{
    struct outgoing o = {0};
    yoke_error *failed = fill(&o, peer, cid, e, sender);
    if (!failed) {
        failed = channel_post(peer->channel, &o.m);
        if (failed && !yoke_error_is(failed, &YOKE_TRANSPORT_CLOSED)) {
            /* A text that the protocol does not take, or a tree over the limit: the kind and a plain sentence
             * go instead. */
            yoke_error_free(failed);
            o.m.error.yoke = (struct raw_view){0};
            o.m.error.tb = text_view("");
            o.m.error.message = text_view("the error's own text could not be sent");
            failed = channel_post(peer->channel, &o.m);
        }
    }
    /* The peer would wait for the end of this dialog for ever, so the channel ends. */
    if (failed && !yoke_error_is(failed, &YOKE_TRANSPORT_CLOSED))
        channel_break(peer->channel, yoke_error_dup(failed));
    if (failed)
        yoke_log(relay_is_news(peer, e) ? YOKE_ERROR : YOKE_RUNTIME,
                 "an error could not be told to actor `%s` (%s): %s", peer->channel->peer.name,
                 yoke_error_message(failed), yoke_error_message(e));
    yoke_error_free(failed);
    outgoing_free(&o);
}

/* ---- in ---- */

/* Reads the relay path: the hops that could be read, PATH_MAX_HOPS at the most. */
static size_t read_path(struct raw_view raw, yoke_uid *path)
{
    struct cursor c = cursor_over(raw.data, raw.size, SIZE_MAX, CURSOR_NESTING);
    struct token t;
    if (cursor_next(&c, &t) != CURSOR_FINE || t.type != TOKEN_ARRAY)
        return 0;
    size_t hops = 0;
    for (uint32_t i = 0, count = t.count; i < count && hops < PATH_MAX_HOPS; i++) {
        struct token pair, name, uuid;
        if (cursor_next(&c, &pair) != CURSOR_FINE || pair.type != TOKEN_ARRAY || pair.count != 2 ||
            cursor_next(&c, &name) != CURSOR_FINE || name.type != TOKEN_STR ||
            cursor_next(&c, &uuid) != CURSOR_FINE || uuid.type != TOKEN_STR)
            return hops;
        struct uid_view view = {{(const char *)name.bytes, name.size}, {(const char *)uuid.bytes, uuid.size}};
        yoke_error *e = uid_from_view(&path[hops], view);
        if (!e)
            hops++;
        yoke_error_free(e);
    }
    return hops;
}

/* The error as it was where it was raised: the tree between yoke peers, what the plain message tells
 * otherwise. */
static yoke_error *unpack_inner(const struct msg *m, const yoke_uid *source)
{
    yoke_error *e = NULL;
    if (m->error.yoke.data) {
        yoke_error *bad = error_tree_decode(m->error.yoke.data, m->error.yoke.size, &e);
        if (!bad)
            return e;
        yoke_log(YOKE_WARNING, "the tree of an error of actor `%s` can't be read: %s", source->name,
                 yoke_error_message(bad));
        yoke_error_free(bad);
    }
    const yoke_error_kind *kind = kind_of_name(m->error.src_type);
    struct text_view text = m->error.message;
    const struct text_view tb = m->error.tb;
    if (!text.size)
        text = m->error.src_type;
    e = kind && kind != &YOKE_CANCELLED
            ? yoke_raise_at("", 0, "", kind, "%.*s", (int)text.size, text.data)
            : yoke_raise_at("", 0, "", &YOKE_REMOTE, "%.*s: %.*s", (int)m->error.src_type.size,
                            m->error.src_type.data, (int)text.size, text.data);
    error_set_place(e, "", 0, "", source->name, "");
    if (tb.size) {
        char *copy = memory_alloc(tb.size + 1);
        if (copy) {
            memcpy(copy, tb.data, tb.size);
            copy[tb.size] = '\0';
            error_set_backtrace(e, copy);
            memory_free(copy);
        }
    }
    return e;
}

static struct remote *unpack_details(const struct msg *m, const yoke_uid *source)
{
    yoke_uid path[PATH_MAX_HOPS], canceller;
    size_t hops = read_path(m->error.relay_path, path);
    bool has_canceller = false;
    if (m->error.canceller.name.data) {
        yoke_error *e = uid_from_view(&canceller, m->error.canceller);
        has_canceller = !e;
        yoke_error_free(e);
    }
    struct remote *r = remote_new(source, has_canceller ? &canceller : NULL, hops);
    if (!r)
        return NULL;
    memcpy(r->path, path, hops * sizeof path[0]);
    r->source_type = memory_alloc(m->error.src_type.size + 1);
    if (r->source_type) {
        memcpy(r->source_type, m->error.src_type.data, m->error.src_type.size);
        r->source_type[m->error.src_type.size] = '\0';
    }
    return r;
}

yoke_error *relay_unpack(const struct msg *m, struct peer *peer)
{
    yoke_uid source;
    yoke_error *bad = uid_from_view(&source, m->error.src_uid);
    if (bad)
        source = peer->channel->peer;
    yoke_error_free(bad);
    yoke_error *inner = unpack_inner(m, &source), *e;
    if (kind_of_name(m->error.boxed_type) == &YOKE_CONTEXT_CANCELLED) {
        e = yoke_raise_at("", 0, "", &YOKE_CONTEXT_CANCELLED, "%s", yoke_error_message(inner));
        error_set_place(e, "", 0, "", source.name, yoke_error_task(inner));
        yoke_error_free(inner);
    } else {
        e = yoke_wrap_at("", 0, "", inner, &YOKE_REMOTE, "a task of actor `%s` failed", source.name);
        error_set_place(e, "", 0, "", "", "");
    }
    struct remote *r = unpack_details(m, &source);
    if (r)
        error_set_details(e, &remote_ops, r);
    return e;
}
