/* Actors by name. */
#include "actor/connect.h"
#include "actor/registrar.h"
#include "actor/server.h"
#include "base/memory.h"
#include "msg/cursor.h"

#include <stdlib.h>
#include <string.h>

YOKE_ERROR_KIND(YOKE_ACTOR_NOT_FOUND, "yoke.ActorNotFound", NULL);

static bool is_called(const yoke_uid *uid, const char *name)
{
    return strcmp(uid->name, name) == 0 || strcmp(uid->uuid, name) == 0;
}

/* A channel that is there already asks nobody; but one that the other side has opened may be closed by it at
 * any moment, so it is not lent out. */
static struct peer *live_peer(const struct actor *a, const char *name)
{
    list_for_each(node, &a->peers) {
        struct peer *peer = container_of(node, struct peer, in_actor);
        bool is_live = peer->reading && !peer->let_in && !peer->lost && !peer->channel->broken;
        if (is_live && is_called(&peer->channel->peer, name) &&
            !yoke_uid_equal(&peer->channel->peer, &a->uid))
            return peer;
    }
    return NULL;
}

/* The head of what the registrar has found: how many addresses follow. */
static yoke_error *read_found(const struct buffer *found, struct cursor *c, uint32_t *count)
{
    struct token head;
    *c = cursor_over(buffer_begin(found), buffer_size(found), SIZE_MAX, CURSOR_NESTING);
    if (cursor_next(c, &head) || (head.type != TOKEN_NIL && head.type != TOKEN_ARRAY))
        return yoke_raise(&YOKE_PROTOCOL, "the registrar's answer is no list of addresses");
    *count = head.type == TOKEN_ARRAY ? head.count : 0;
    return NULL;
}

/* Connects to the first of the found addresses where the actor is; NULL if it is at none. */
static yoke_error *connect_to_first(struct actor *a, const char *name, const struct buffer *found,
                                    struct peer **peer)
{
    struct cursor c;
    uint32_t listed;
    *peer = NULL;
    YOKE_TRY(read_found(found, &c, &listed));
    for (uint32_t i = 0; i < listed; i++) {
        struct address address;
        YOKE_TRY(address_unpack(&address, &c));
        yoke_error *e = connect_to(a, &address, NULL, peer);
        if (!e && is_called(&(*peer)->channel->peer, name))
            return NULL;
        if (!e) {
            yoke_log(YOKE_RUNTIME, "actor `%s` is where `%s` was", (*peer)->channel->peer.name, name);
            e = yoke_portal_close(&(*peer)->portal, NULL);
            *peer = NULL;
        }
        if (e && !yoke_error_is(e, &YOKE_CONNECT_FAILED))
            return e;
        yoke_error_free(e);
        YOKE_TRY(registrar_delete_address(a, &address));
    }
    return NULL;
}

/* The root is the first of its tree, and a uuid is nobody else's. */
static bool is_itself(const struct actor *a, const char *name)
{
    return strcmp(a->uid.uuid, name) == 0 || (!a->parent && strcmp(a->uid.name, name) == 0);
}

static yoke_error *ask(struct actor *a, const char *name, bool wait, struct peer **peer)
{
    if (is_itself(a, name))
        return connect_here(a, peer);
    struct buffer found = BUFFER_EMPTY;
    yoke_error *e = wait ? registrar_wait(a, name, &found) : registrar_find(a, name, false, &found);
    if (!e)
        e = connect_to_first(a, name, &found, peer);
    buffer_free(&found);
    return e;
}

static yoke_error *check_name(const char *call, const char *name)
{
    return name && *name ? NULL : yoke_raise(&YOKE_USAGE, "%s: no name", call);
}

yoke_error *yoke_find(const char *name, yoke_portal **portal)
{
    struct actor *a;
    struct peer *peer;
    *portal = NULL;
    YOKE_TRY(actor_expect("yoke_find", &a));
    YOKE_TRY(check_name("yoke_find", name));
    YOKE_TRY(yoke_checkpoint());
    peer = live_peer(a, name);
    if (peer) {
        *portal = connect_share(peer);
        return NULL;
    }
    YOKE_TRY(ask(a, name, false, &peer));
    *portal = peer ? &peer->portal : NULL;
    return NULL;
}

static yoke_error *not_found(struct actor *a, const char *name)
{
    struct buffer names = BUFFER_EMPTY;
    YOKE_TRY(registrar_names(a, &names));
    yoke_error *e =
        yoke_raise(&YOKE_ACTOR_NOT_FOUND, "no actor `%s` can be reached; there are: %.*s", name,
                   (int)buffer_size(&names), buffer_size(&names) ? (const char *)buffer_begin(&names) : "");
    buffer_free(&names);
    return e;
}

yoke_error *yoke_find_existing(const char *name, yoke_portal **portal)
{
    YOKE_TRY(yoke_find(name, portal));
    return *portal ? NULL : not_found(actor_here(), name);
}

/* ---- all of a name ---- */

yoke_error *yoke_portals_close(yoke_portal **portals, size_t count, yoke_error *e)
{
    for (size_t i = 0; i < count; i++)
        e = yoke_portal_close(portals[i], e);
    memory_free(portals);
    return e;
}

static yoke_error *connect_to_all(struct actor *a, const struct buffer *found, yoke_portal ***portals,
                                  size_t *count)
{
    struct cursor c;
    uint32_t listed;
    YOKE_TRY(read_found(found, &c, &listed));
    if (!listed)
        return NULL;
    *portals = memory_calloc(listed, sizeof **portals);
    if (!*portals)
        return yoke_raise(&YOKE_NO_MEMORY, "a list of portals");
    for (uint32_t i = 0; i < listed; i++) {
        struct address address;
        struct peer *peer;
        YOKE_TRY(address_unpack(&address, &c));
        yoke_error *e = connect_to(a, &address, NULL, &peer);
        if (e && !yoke_error_is(e, &YOKE_CONNECT_FAILED))
            return e;
        yoke_error_free(e);
        if (peer)
            (*portals)[(*count)++] = &peer->portal;
    }
    return NULL;
}

yoke_error *yoke_find_all(const char *name, yoke_portal ***portals, size_t *count)
{
    struct actor *a;
    struct buffer found = BUFFER_EMPTY;
    *portals = NULL;
    *count = 0;
    YOKE_TRY(actor_expect("yoke_find_all", &a));
    YOKE_TRY(check_name("yoke_find_all", name));
    YOKE_TRY(yoke_checkpoint());
    yoke_error *e = registrar_find(a, name, true, &found);
    if (!e)
        e = connect_to_all(a, &found, portals, count);
    buffer_free(&found);
    if (!e)
        return NULL;
    e = yoke_portals_close(*portals, *count, e);
    *portals = NULL;
    *count = 0;
    return e;
}

/* ---- waiting ---- */

yoke_error *yoke_wait_for(const char *name, yoke_portal **portal)
{
    struct actor *a;
    struct peer *peer;
    *portal = NULL;
    YOKE_TRY(actor_expect("yoke_wait_for", &a));
    YOKE_TRY(check_name("yoke_wait_for", name));
    for (;;) {
        YOKE_TRY(yoke_checkpoint());
        peer = live_peer(a, name);
        if (peer) {
            *portal = connect_share(peer);
            return NULL;
        }
        YOKE_TRY(ask(a, name, true, &peer));
        if (peer) {
            *portal = &peer->portal;
            return NULL;
        }
    }
}

/* ---- where actors are ---- */

static yoke_error *give_text(const struct address *address, char **out)
{
    char text[ADDRESS_TEXT_BYTES];
    address_print(address, text);
    *out = strdup(text);
    return *out ? NULL : yoke_raise(&YOKE_NO_MEMORY, "an address");
}

yoke_error *yoke_query(const char *name, char **text, int64_t *age)
{
    struct actor *a;
    struct address address;
    int64_t since = 0;
    *text = NULL;
    YOKE_TRY(actor_expect("yoke_query", &a));
    YOKE_TRY(check_name("yoke_query", name));
    YOKE_TRY(yoke_checkpoint());
    YOKE_TRY(registrar_query(a, name, &address, &since));
    if (age)
        *age = since;
    return address.kind == ADDRESS_NONE ? NULL : give_text(&address, text);
}

yoke_error *yoke_listen(char **address)
{
    struct actor *a;
    *address = NULL;
    YOKE_TRY(actor_expect("yoke_listen", &a));
    YOKE_TRY(server_listen(a));
    return give_text(server_address(a), address);
}

yoke_error *yoke_listen_at(const char *at, char **text)
{
    struct actor *a;
    struct address address;
    if (text)
        *text = NULL;
    YOKE_TRY(actor_expect("yoke_listen_at", &a));
    YOKE_TRY(address_parse(&address, at));
    YOKE_TRY(server_listen_at(a, &address));
    return text ? give_text(&address, text) : NULL;
}
