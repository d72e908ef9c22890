#include "actor/registrar.h"

#include "actor/ask.h"
#include "actor/child.h"
#include "actor/context.h"
#include "actor/module.h"
#include "actor/registry.h"
#include "actor/serve.h"
#include "actor/server.h"
#include "msg/cursor.h"
#include "msg/pack.h"
#include "msg/record.h"

#include <string.h>

/* For a found actor to begin to listen: a busy one is not waited for longer. */
#define LISTEN_BOUND YOKE_S(3)

/* ---- upwards ---- */

/* Who is asked for what this actor does not know; NULL: it is the registrar. */
static struct peer *above(const struct actor *a)
{
    return a->parent;
}

YOKE_RECORD(register_args, (list, str, uid), (any, addr));
YOKE_RECORD(unregister_args, (list, str, uid));

static void told(struct yoke_context *dialog, void *arg)
{
    if (dialog->remote)
        yoke_log(YOKE_RUNTIME, "`%s`: %s", dialog->name, yoke_error_message(dialog->remote));
    context_free(dialog);
}

/* A call that nobody waits for. */
static yoke_error *tell(struct peer *peer, const char *endpoint, const void *args)
{
    struct ask ask = {"registrar", __FILE__, __LINE__, &peer->portal, endpoint, args, .kind = DIALOG_IS_CALL};
    struct yoke_context *dialog;
    YOKE_TRY(ask_open(&ask, &dialog));
    dialog->on_end = told;
    yoke_error *e = ask_send(&ask, dialog, false);
    if (e)
        context_free(dialog);
    return e;
}

static void log_failure(const char *what, const yoke_uid *uid, yoke_error *e)
{
    if (e)
        yoke_log(yoke_error_is(e, &YOKE_TRANSPORT_CLOSED) ? YOKE_RUNTIME : YOKE_WARNING,
                 "actor `%s` can't be %s: %s", uid->name, what, yoke_error_message(e));
    yoke_error_free(e);
}

static yoke_error *tell_entered(struct actor *a, const yoke_uid *uid, const struct address *address)
{
    struct buffer pair = BUFFER_EMPTY; /* empty: nil */
    const char *parts[] = {uid->name, uid->uuid};
    if (!above(a))
        return NULL;
    if (address->kind != ADDRESS_NONE && !address_pack(&pair, address))
        return yoke_raise(&YOKE_NO_MEMORY, "an address");
    register_args args = {.uid = {parts, 2}, .addr = {buffer_begin(&pair), buffer_size(&pair)}};
    yoke_error *e = tell(above(a), "self:register_actor", &args);
    buffer_free(&pair);
    return e;
}

/* An actor that ends says nothing more: whoever entered it takes out all that was below it. */
static yoke_error *tell_removed(struct actor *a, const yoke_uid *uid)
{
    const char *parts[] = {uid->name, uid->uuid};
    if (!above(a) || above(a)->lost || a->cancel_called)
        return NULL;
    return tell(above(a), "self:unregister_actor", &(unregister_args){.uid = {parts, 2}});
}

/* ---- those below ---- */

void registrar_enter_child(struct child *c)
{
    struct address address = c->address;
    yoke_error *e = NULL;
    if (address.kind == ADDRESS_NONE)
        e = server_address_of(c->actor, &c->uid, c->pid, &address);
    if (!e)
        e = registry_enter(&c->actor->registry, &c->uid, &address, c->peer);
    if (!e)
        e = tell_entered(c->actor, &c->uid, &address);
    log_failure("registered", &c->uid, e);
}

static void remove_via(struct actor *a, const struct peer *via, bool files)
{
    list_for_each_safe(node, &a->registry.entries) {
        struct registry_entry *x = container_of(node, struct registry_entry, in_order);
        if (x->via != via)
            continue;
        if (files && x->address.kind == ADDRESS_UDS)
            transport_uds.remove_stale(&x->address);
        log_failure("unregistered", &x->uid, tell_removed(a, &x->uid));
        registry_take_out(&a->registry, x);
    }
}

void registrar_remove_child(struct child *c)
{
    struct address address;
    const struct registry_entry *own = registry_entry_of(&c->actor->registry, c->uid.uuid);
    bool entered = own && own->via == c->peer;
    if (c->peer)
        remove_via(c->actor, c->peer, true);
    if (entered)
        return;
    /* One that had not got as far as to be entered may have begun to listen. */
    yoke_error *e = server_address_of(c->actor, &c->uid, c->pid, &address);
    if (!e && address.kind == ADDRESS_UDS)
        transport_uds.remove_stale(&address);
    else if (e && c->death) /* who ends by itself leaves nothing */
        yoke_log(YOKE_WARNING, "actor `%s` may have left a socket file: %s", c->uid.name,
                 yoke_error_message(e));
    yoke_error_free(e);
}

void registrar_peer_lost(struct peer *peer)
{
    remove_via(peer->actor, peer, false);
}

/* ---- finding: where they listen ---- */

/* at: where it is to be found from now on, an address' text; empty: where it is, or by its own choice. */
YOKE_RECORD(listen_args, (str, uuid), (str, at));

static yoke_error *read_pair(const yoke_value *value, struct address *address)
{
    struct cursor c = cursor_over(value->data, value->size, 8, 2);
    return address_unpack(address, &c);
}

static yoke_error *ask_to_listen(struct peer *via, const char *uuid, const char *at, struct address *address)
{
    yoke_value pair = {NULL, 0};
    yoke_scope s;
    YOKE_TRY(yoke_fail_after(&s, LISTEN_BOUND));
    YOKE_TRY(
        yoke_scope_close(&s, yoke_call(&via->portal, "self:listen_for", &(listen_args){uuid, at}, &pair)));
    yoke_error *e = read_pair(&pair, address);
    yoke_value_free(&pair);
    return e;
}

static yoke_error *own_address(struct actor *a, struct address *address)
{
    YOKE_TRY(server_listen(a));
    *address = address_from_here(server_address(a));
    return NULL;
}

/* Where a port is of the kernel's choosing nobody knew it till now. */
static void note_address(struct actor *a, const struct registry_match *m)
{
    struct registry_entry *x = registry_entry_of(&a->registry, m->uid.uuid);
    if (x)
        x->address = m->address;
}

yoke_error *registrar_bid_listen(struct child *c, const char *at)
{
    return ask_to_listen(c->peer, c->uid.uuid, at, &c->address);
}

/* Completes the match's address; `reachable` is false if it did not answer. */
static yoke_error *reach(struct actor *a, struct registry_match *m, bool *reachable)
{
    yoke_error *e = NULL;
    if (m->is_self)
        e = own_address(a, &m->address);
    else if (m->via)
        e = ask_to_listen(m->via, m->uid.uuid, "", &m->address);
    if (!e && m->via)
        note_address(a, m);
    *reachable = !e && m->address.kind != ADDRESS_NONE;
    if (!e || yoke_error_is_cancelled(e) || yoke_error_is(e, &YOKE_INTERRUPTED))
        return e;
    yoke_log(YOKE_RUNTIME, "actor `%s` can't be reached: %s", m->uid.name, yoke_error_message(e));
    yoke_error_free(e);
    return NULL;
}

static yoke_error *reach_each(struct actor *a, struct registry_matches *m, bool all, struct buffer *pairs,
                              size_t *count)
{
    for (size_t i = 0; i < m->count && (all || !*count); i++) {
        bool reachable;
        YOKE_TRY(reach(a, &m->items[i], &reachable));
        if (reachable && !address_pack(pairs, &m->items[i].address))
            return yoke_raise(&YOKE_NO_MEMORY, "what was found in the registry");
        *count += reachable;
    }
    return NULL;
}

/* [pair, ..], or nil. */
static bool pack_list(struct buffer *out, size_t count, const struct buffer *pairs)
{
    struct pack p;
    pack_begin(&p, out, SIZE_MAX);
    if (count) {
        msgpack_pack_array(&p.packer, count);
        pack_raw(&p, buffer_begin(pairs), buffer_size(pairs));
    } else {
        msgpack_pack_nil(&p.packer);
    }
    if (p.fault == PACK_FINE)
        return true;
    pack_undo(&p);
    return false;
}

static yoke_error *find_here(struct actor *a, const char *name, bool all, struct buffer *out, size_t *count)
{
    struct registry_matches m;
    struct buffer pairs = BUFFER_EMPTY;
    *count = 0;
    YOKE_TRY(registry_look_up(&a->registry, &a->uid, name, all, &m));
    yoke_error *e = reach_each(a, &m, all, &pairs, count);
    if (!e && !pack_list(out, *count, &pairs))
        e = yoke_raise(&YOKE_NO_MEMORY, "what was found in the registry");
    buffer_free(&pairs);
    registry_matches_free(&m);
    return e;
}

/* ---- finding: anywhere ---- */

YOKE_RECORD(name_args, (str, name));

static yoke_error *ask_above(struct actor *a, const char *endpoint, const void *args, struct buffer *out)
{
    yoke_value value = {NULL, 0};
    YOKE_TRY(yoke_call(&above(a)->portal, endpoint, args, &value));
    bool fine = value.data ? buffer_append(out, value.data, value.size) : pack_list(out, 0, NULL);
    yoke_value_free(&value);
    return fine ? NULL : yoke_raise(&YOKE_NO_MEMORY, "what was found in the registry");
}

yoke_error *registrar_find(struct actor *a, const char *name, bool all, struct buffer *out)
{
    size_t count;
    if (above(a))
        return ask_above(a, all ? "self:find_all" : "self:find_actor", &(name_args){name}, out);
    return find_here(a, name, all, out, &count);
}

yoke_error *registrar_wait(struct actor *a, const char *name, struct buffer *out)
{
    if (above(a))
        return ask_above(a, "self:wait_for_actor", &(name_args){name}, out);
    for (;;) {
        uint64_t before = a->registry.changes;
        size_t count;
        struct buffer found = BUFFER_EMPTY;
        yoke_error *e = find_here(a, name, true, &found, &count);
        if (!e && count && !buffer_append(out, buffer_begin(&found), buffer_size(&found)))
            e = yoke_raise(&YOKE_NO_MEMORY, "what was found in the registry");
        buffer_free(&found);
        if (e || count)
            return e;
        YOKE_TRY(yoke_checkpoint());
        if (a->registry.changes == before)
            YOKE_TRY(wait_in(&a->registry.waiters, NULL));
    }
}

/* ---- the whole ---- */

static void pack_entry(struct pack *p, const yoke_uid *uid, const struct address *address)
{
    char key[sizeof uid->name + sizeof uid->uuid];
    snprintf(key, sizeof key, "%s.%s", uid->name, uid->uuid);
    pack_text(p, key, strlen(key));
    msgpack_pack_array(&p->packer, address->kind != ADDRESS_NONE);
    struct buffer pair = BUFFER_EMPTY;
    if (address->kind != ADDRESS_NONE && !address_pack(&pair, address))
        p->fault = PACK_NO_MEMORY;
    pack_raw(p, buffer_begin(&pair), buffer_size(&pair));
    buffer_free(&pair);
}

/* What endpoints return is freed like a decoded value. */
static void give(yoke_value *value, const struct buffer *b)
{
    value->data = b->data;
    value->size = b->end;
}

/* {name.uuid: [address], ...}, in the order of registration. */
static yoke_error *list_here(struct actor *a, yoke_value *out)
{
    struct buffer listing = BUFFER_EMPTY;
    struct pack p;
    pack_begin(&p, &listing, SIZE_MAX);
    msgpack_pack_map(&p.packer, a->registry.by_uuid.count + 1);
    pack_entry(&p, &a->uid, server_address(a) ? server_address(a) : &a->root);
    list_for_each(node, &a->registry.entries) {
        const struct registry_entry *x = container_of(node, struct registry_entry, in_order);
        pack_entry(&p, &x->uid, &x->address);
    }
    give(out, &listing);
    return p.fault == PACK_FINE ? NULL : yoke_raise(&YOKE_NO_MEMORY, "a listing of the registry");
}

/* ---- without connecting ---- */

YOKE_RECORD(whereabouts, (any, addr), (i64, age));

static yoke_error *query_here(struct actor *a, const char *name, struct address *address, int64_t *age)
{
    struct registry_matches m;
    bool reachable = false;
    yoke_error *e = NULL;
    YOKE_TRY(registry_look_up(&a->registry, &a->uid, name, false, &m));
    for (size_t i = 0; i < m.count && !e && !reachable; i++) {
        e = reach(a, &m.items[i], &reachable);
        if (reachable) {
            *address = m.items[i].address;
            *age = m.items[i].is_self ? 0 : yoke_now() - m.items[i].since;
        }
    }
    registry_matches_free(&m);
    return e;
}

yoke_error *registrar_query(struct actor *a, const char *name, struct address *address, int64_t *age)
{
    whereabouts found;
    *address = (struct address){.kind = ADDRESS_NONE};
    if (!above(a))
        return query_here(a, name, address, age);
    YOKE_TRY(yoke_call(&above(a)->portal, "self:query_actor", &(name_args){name}, &found));
    yoke_error *e = found.addr.data ? read_pair(&found.addr, address) : NULL;
    *age = found.age;
    whereabouts_free(&found);
    return e;
}

yoke_error *registrar_names(struct actor *a, struct buffer *out)
{
    yoke_value listing = {NULL, 0};
    YOKE_TRY(above(a) ? yoke_call(&above(a)->portal, "self:get_registry", NULL, &listing)
                      : list_here(a, &listing));
    struct cursor c = cursor_over(listing.data, listing.size, SIZE_MAX, CURSOR_NESTING);
    struct token t;
    bool fine = !cursor_next(&c, &t) && t.type == TOKEN_MAP;
    for (uint32_t i = 0, count = fine ? t.count : 0; i < count && fine; i++) {
        fine = !cursor_next(&c, &t) && t.type == TOKEN_STR && !cursor_skip(&c);
        const uint8_t *dot = fine ? memrchr(t.bytes, '.', t.size) : NULL;
        if (dot && buffer_size(out))
            buffer_append(out, ", ", 2);
        if (dot)
            buffer_append(out, t.bytes, (size_t)(dot - t.bytes));
    }
    yoke_value_free(&listing);
    return fine ? NULL : yoke_raise(&YOKE_PROTOCOL, "the registrar's answer is no listing");
}

/* ---- what the registrar serves ---- */

static yoke_error *find_actor(const name_args *args, yoke_type_any *result)
{
    struct buffer found = BUFFER_EMPTY;
    yoke_error *e = registrar_find(actor_here(), args->name, false, &found);
    give(result, &found);
    return e;
}

static yoke_error *query_actor(const name_args *args, whereabouts *result)
{
    struct address address;
    struct buffer pair = BUFFER_EMPTY;
    YOKE_TRY(registrar_query(actor_here(), args->name, &address, &result->age));
    if (address.kind != ADDRESS_NONE && !address_pack(&pair, &address))
        return yoke_raise(&YOKE_NO_MEMORY, "an address");
    give(&result->addr, &pair);
    return NULL;
}

static yoke_error *find_all(const name_args *args, yoke_type_any *result)
{
    struct buffer found = BUFFER_EMPTY;
    yoke_error *e = registrar_find(actor_here(), args->name, true, &found);
    give(result, &found);
    return e;
}

static yoke_error *wait_for_actor(const name_args *args, yoke_type_any *result)
{
    struct buffer found = BUFFER_EMPTY;
    yoke_error *e = registrar_wait(actor_here(), args->name, &found);
    give(result, &found);
    return e;
}

/* A uid as the pair that it is on the wire. */
static yoke_error *read_uid(const yoke_type_str *parts, size_t count, yoke_uid *uid)
{
    if (count != 2)
        return yoke_raise(&YOKE_MSG_TYPE, "args.uid: expected a pair of texts, got %zu", count);
    return uid_from_view(uid, (struct uid_view){text_view(parts[0]), text_view(parts[1])});
}

/* Has all been read that it ever said? Then its loss takes out, or took out, what it had entered; of a child
 * the supervisor sees to that, perhaps before this is served. */
static bool is_gone(const struct peer *asker)
{
    return yoke_event_is_set(&asker->drained);
}

/* A peer enters itself; a child those below it as well. */
static yoke_error *check_asker(const struct peer *asker, const yoke_uid *uid)
{
    if (asker->child || yoke_uid_equal(&asker->channel->peer, uid))
        return NULL;
    return yoke_raise(&YOKE_PERMISSION, "actor `%s` is no part of actor `%s`", uid->name,
                      asker->channel->peer.name);
}

/* The registrar goes on, and says what was asked of it. Returns `e`. */
static yoke_error *odd(const struct peer *asker, yoke_error *e)
{
    if (e)
        yoke_log(YOKE_WARNING, "an odd request of actor `%s`: %s", asker->channel->peer.name,
                 yoke_error_message(e));
    return e;
}

static yoke_error *register_actor(const register_args *args, yoke_type_none *result)
{
    struct peer *asker = serve_asker();
    struct actor *a = asker->actor;
    yoke_uid uid;
    struct address address = {.kind = ADDRESS_NONE};
    YOKE_TRY(odd(asker, read_uid(args->uid.items, args->uid.count, &uid)));
    if (args->addr.data || !asker->child) /* one of ours may be there, and not know yet where it listens */
        YOKE_TRY(odd(asker, read_pair(&args->addr, &address)));
    YOKE_TRY(odd(asker, check_asker(asker, &uid)));
    if (is_gone(asker))
        return NULL;
    YOKE_TRY(registry_enter(&a->registry, &uid, &address, asker->channel->peer_is_yoke ? asker : NULL));
    return tell_entered(a, &uid, &address);
}

static yoke_error *unregister_actor(const unregister_args *args, yoke_type_none *result)
{
    struct peer *asker = serve_asker();
    yoke_uid uid;
    YOKE_TRY(odd(asker, read_uid(args->uid.items, args->uid.count, &uid)));
    YOKE_TRY(odd(asker, check_asker(asker, &uid)));
    struct registry_entry *x = registry_entry_of(&asker->actor->registry, uid.uuid);
    if (!x) {
        yoke_log(is_gone(asker) ? YOKE_RUNTIME : YOKE_WARNING,
                 "actor `%s` unregisters actor `%s`, which is not known", asker->channel->peer.name,
                 uid.name);
        return NULL;
    }
    registry_take_out(&asker->actor->registry, x);
    return tell_removed(asker->actor, &uid);
}

static yoke_error *get_registry(const yoke_type_none *args, yoke_type_any *result)
{
    struct actor *a = actor_here();
    return above(a) ? yoke_call(&above(a)->portal, "self:get_registry", NULL, result) : list_here(a, result);
}

YOKE_RECORD(address_args, (any, addr));

/* The uid that had the address, or nil. */
static yoke_error *delete_addr(const address_args *args, yoke_type_any *result)
{
    struct actor *a = actor_here();
    struct address address;
    struct buffer answer = BUFFER_EMPTY;
    YOKE_TRY(read_pair(&args->addr, &address));
    if (above(a)) {
        yoke_error *e = ask_above(a, "self:delete_addr", args, &answer);
        give(result, &answer);
        return e;
    }
    struct registry_entry *x = registry_stale_at(&a->registry, &address);
    if (!x) {
        yoke_log(YOKE_WARNING, "an address that is to be deleted is nobody's");
        return NULL;
    }
    struct pack p;
    pack_begin(&p, &answer, SIZE_MAX);
    msgpack_pack_array(&p.packer, 2);
    pack_text(&p, x->uid.name, strlen(x->uid.name));
    pack_text(&p, x->uid.uuid, strlen(x->uid.uuid));
    yoke_log(YOKE_RUNTIME, "nobody answers for actor `%s` any more: it is unregistered", x->uid.name);
    registry_take_out(&a->registry, x);
    give(result, &answer);
    return p.fault == PACK_FINE ? NULL : yoke_raise(&YOKE_NO_MEMORY, "an answer");
}

yoke_error *registrar_delete_address(struct actor *a, const struct address *address)
{
    struct buffer pair = BUFFER_EMPTY;
    yoke_value answer = {NULL, 0};
    if (!address_pack(&pair, address))
        return yoke_raise(&YOKE_NO_MEMORY, "an address");
    address_args args = {.addr = {buffer_begin(&pair), buffer_size(&pair)}};
    yoke_error *e = above(a) ? yoke_call(&above(a)->portal, "self:delete_addr", &args, &answer)
                             : delete_addr(&args, &answer);
    yoke_value_free(&answer);
    buffer_free(&pair);
    return e;
}

/* Between yoke actors: the actor of this uuid, which is this one or below it, is to listen; where it does. */
static yoke_error *listen_for(const listen_args *args, yoke_type_any *result)
{
    struct actor *a = actor_here();
    struct address address;
    struct buffer pair = BUFFER_EMPTY;
    if (strcmp(args->uuid, a->uid.uuid) == 0) {
        if (*args->at && !serve_asker()->is_parent)
            return yoke_raise(&YOKE_PERMISSION, "only its parent says where an actor listens");
        if (*args->at)
            YOKE_TRY(address_parse(&a->listen, args->at));
        YOKE_TRY(own_address(a, &address));
    } else {
        struct registry_entry *x = registry_entry_of(&a->registry, args->uuid);
        if (!x || !x->via)
            return yoke_raise(&YOKE_ACTOR_NOT_FOUND, "no actor %s below `%s`", args->uuid, a->uid.name);
        struct peer *via = peer_keep(x->via);
        yoke_error *e = ask_to_listen(via, args->uuid, "", &address);
        peer_release(via);
        if (e)
            return e;
    }
    if (!address_pack(&pair, &address))
        return yoke_raise(&YOKE_NO_MEMORY, "an address");
    give(result, &pair);
    return NULL;
}

/* The namespace `self` of the wire protocol. */
YOKE_MODULE(self, YOKE_CALL(find_actor, name_args, any), YOKE_CALL(wait_for_actor, name_args, any),
            YOKE_CALL(find_all, name_args, any), YOKE_CALL(query_actor, name_args, whereabouts),
            YOKE_CALL(register_actor, register_args, none),
            YOKE_CALL(unregister_actor, unregister_args, none), YOKE_CALL(get_registry, none, any),
            YOKE_CALL(delete_addr, address_args, any), YOKE_CALL(listen_for, listen_args, any));
