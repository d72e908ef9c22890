#include "actor/server.h"

#include "actor/child.h"
#include "actor/guard.h"
#include "base/memory.h"
#include "ipc/handshake.h"
#include "ipc/listener.h"

#include <string.h>
#include <unistd.h>

/* More than this many who have not yet said who they are wait in the kernel's backlog. */
enum { NEWCOMERS_MAX = 64 };
/* And none of them makes this process hold more than this. */
enum { NEWCOMER_FRAME_BYTES = 8192 };

struct server {
    struct actor *actor;
    list doors;
    const struct door *own; /* where it is found; NULL: nobody has looked yet */
    list newcomers;         /* connections in the handshake */
    size_t newcomer_count;
    size_t let_in; /* peers */
    list waiters;  /* tasks that wait for one of these counts to fall */
};

/* An address where it listens, and the task that takes in who comes there. */
struct door {
    list link;
    struct server *server;
    struct listener *listener;
    yoke_event ended;
};

struct newcomer {
    list link;
    struct server *server;
    struct channel *channel;
};

static void wake_all(struct server *s)
{
    while (wake_first(&s->waiters, NULL))
        ;
}

/* ---- who is it? ---- */

static yoke_error *refuse(const struct channel *c, const char *what)
{
    return yoke_raise(&YOKE_PERMISSION, "who calls itself actor `%s` (pid %lld) is refused: %s", c->peer.name,
                      (long long)c->peer_pid, what);
}

/* Only this user's processes, before a byte of theirs is read. Who can't be known so is to prove himself. */
static yoke_error *check_user(struct channel *c, struct transport_credentials *who)
{
    *who = (struct transport_credentials){0};
    c->peer_is_stranger = !c->transport->credentials || !c->transport->credentials(c->fd, who);
    c->peer_user = c->peer_is_stranger ? (uid_t)-1 : who->uid;
    if (c->peer_is_stranger)
        return NULL;
    if (who->uid == geteuid())
        return NULL;
    return yoke_raise(&YOKE_PERMISSION, "process %d of user %u is refused: it is another user's",
                      (int)who->pid, (unsigned)who->uid);
}

/* Is `pid` the process that the peer says, if its word is worth anything? */
static bool is_process(const struct channel *c, int64_t pid)
{
    return !c->peer_is_stranger && c->peer_pid == pid;
}

/* The kernel knows the process, or it knows the secret; and a name that is in use here is that process'
 * alone. */
static yoke_error *check_identity(const struct actor *a, struct channel *c,
                                  const struct transport_credentials *who)
{
    if (c->peer_is_stranger && !a->network.lets_strangers_in)
        return refuse(c, "it does not know this tree's secret");
    if (who->pid && who->pid != c->peer_pid)
        return refuse(c, "the process is another one");
    list_for_each(node, &a->children) {
        const struct child *child = container_of(node, struct child, in_actor);
        if (strcmp(child->uid.uuid, c->peer.uuid) == 0 && !is_process(c, child->pid))
            return refuse(c, "that is a child of this actor");
    }
    list_for_each(node, &a->peers) {
        const struct channel *other = container_of(node, struct peer, in_actor)->channel;
        if (!other->broken && strcmp(other->peer.uuid, c->peer.uuid) == 0 && !is_process(c, other->peer_pid))
            return refuse(c, "an actor of that name is connected already");
    }
    if (strcmp(a->uid.uuid, c->peer.uuid) == 0 && !is_process(c, getpid()))
        return refuse(c, "that is this actor itself");
    return NULL;
}

static yoke_error *shake_hands(struct actor *a, struct channel *c, bool connects, int64_t bound)
{
    struct transport_credentials who;
    network_prepare(&a->network, c);
    YOKE_TRY(check_user(c, &who));
    struct identity self = {a->uid, a->is_root, c->peer_is_stranger ? a->network.secret : NULL, connects};
    c->limits.frame_bytes = NEWCOMER_FRAME_BYTES;
    YOKE_TRY(handshake_peer(c, &self, bound));
    YOKE_TRY(check_identity(a, c, &who));
    c->limits = msg_limits_default;
    return NULL;
}

yoke_error *server_meet(struct actor *a, struct channel *channel, bool connects, int64_t bound,
                        struct peer **out)
{
    *out = NULL;
    yoke_error *e = shake_hands(a, channel, connects, bound);
    if (!e && channel->peer_is_probe) {
        e = channel_drain(channel);
        channel_close(channel);
        return e;
    }
    if (e) {
        channel_close(channel);
        return e;
    }
    YOKE_TRY(peer_open(out, a, channel));
    e = peer_begin(*out);
    if (e) {
        peer_close(*out);
        *out = NULL;
    }
    return e;
}

/* ---- letting in ---- */

static void let_in(struct server *s, struct peer *peer)
{
    peer->let_in = true;
    s->let_in++;
    yoke_log(YOKE_RUNTIME, "actor `%s` (pid %lld) has connected", peer->channel->peer.name,
             (long long)peer->channel->peer_pid);
    peer_release(peer); /* its loop keeps it */
}

void server_peer_left(struct peer *peer)
{
    struct server *s = peer->actor->server;
    if (!peer->let_in || !s)
        return;
    s->let_in--;
    wake_all(s);
}

static yoke_error *meet(void *arg)
{
    struct newcomer *n = arg;
    struct server *s = n->server;
    struct peer *peer;
    yoke_error *e = server_meet(s->actor, n->channel, false, HANDSHAKE_BOUND, &peer);
    if (e)
        yoke_log(yoke_error_is(e, &YOKE_TRANSPORT_CLOSED) ? YOKE_TRANSPORT : YOKE_WARNING,
                 "a connection was not let in: %s", yoke_error_message(e));
    yoke_error_free(e);
    if (peer)
        let_in(s, peer);
    list_remove(&n->link);
    s->newcomer_count--;
    memory_free(n);
    wake_all(s);
    return NULL;
}

static yoke_error *begin_to_meet(struct server *s, int fd, const struct transport *transport)
{
    struct newcomer *n = memory_calloc(1, sizeof *n);
    if (!n) {
        close(fd);
        return yoke_raise(&YOKE_NO_MEMORY, "a connection");
    }
    n->server = s;
    yoke_error *e = channel_open(&n->channel, fd, transport, NULL);
    if (e) {
        memory_free(n);
        return e;
    }
    e = yoke_spawn_system_at(__FILE__, __LINE__, "handshake", meet, n, NULL);
    if (e) {
        channel_close(n->channel);
        memory_free(n);
        return e;
    }
    list_append(&s->newcomers, &n->link);
    s->newcomer_count++;
    return NULL;
}

static yoke_error *accept_all(struct door *d)
{
    struct server *s = d->server;
    for (;;) {
        int fd;
        while (s->newcomer_count >= NEWCOMERS_MAX)
            YOKE_TRY(wait_in(&s->waiters, NULL));
        YOKE_TRY(listener_accept(d->listener, &fd));
        yoke_error *e = begin_to_meet(s, fd, d->listener->transport);
        if (e)
            yoke_log(YOKE_WARNING, "a connection could not be taken: %s", yoke_error_message(e));
        yoke_error_free(e);
    }
}

static yoke_error *listen_task(void *arg)
{
    struct door *d = arg;
    char text[ADDRESS_TEXT_BYTES];
    address_print(&d->listener->address, text);
    yoke_error *e = accept_all(d);
    if (!yoke_error_is(e, &YOKE_CLOSED) && !yoke_error_is_cancelled(e))
        yoke_log(YOKE_ERROR, "this actor can't be reached at %s any more: %s", text, yoke_error_message(e));
    yoke_error_free(e);
    yoke_event_set(&d->ended);
    return NULL;
}

/* ---- open ---- */

static yoke_error *know_directory(struct actor *a)
{
    return a->directory[0] ? NULL : directory_path(a->directory);
}

yoke_error *server_address_of(struct actor *a, const yoke_uid *uid, pid_t pid, struct address *address)
{
    *address = (struct address){.kind = ADDRESS_NONE};
    if (a->network.transport->kind != ADDRESS_UDS) /* a port of the kernel's choosing */
        return NULL;
    YOKE_TRY(know_directory(a));
    return address_of_actor(address, a->directory, uid->name, pid);
}

void server_know_root(struct actor *a)
{
    if (!a->is_root || a->root.kind != ADDRESS_NONE)
        return;
    yoke_error *e = server_address_of(a, &a->uid, getpid(), &a->root);
    if (e)
        yoke_log(YOKE_WARNING, "the actors of this tree can't be reached by others: %s",
                 yoke_error_message(e));
    yoke_error_free(e);
}

const struct address *server_address(const struct actor *a)
{
    return a->server && a->server->own ? &a->server->own->listener->address : NULL;
}

/* Where this actor is to be found. */
static yoke_error *choose_address(struct actor *a, struct address *address)
{
    *address = a->listen;
    if (address->kind != ADDRESS_NONE)
        return NULL;
    if (a->network.transport->kind == ADDRESS_TCP) {
        *address = (struct address){.kind = ADDRESS_TCP, .host = "127.0.0.1"};
        return NULL;
    }
    YOKE_TRY(server_address_of(a, &a->uid, getpid(), address));
    YOKE_TRY(directory_prepare(a->directory));
    if (a->is_root)
        directory_sweep(a->directory);
    return NULL;
}

static yoke_error *need_server(struct actor *a)
{
    if (a->server)
        return NULL;
    struct server *s = memory_calloc(1, sizeof *s);
    if (!s)
        return yoke_raise(&YOKE_NO_MEMORY, "a server");
    s->actor = a;
    list_init(&s->doors);
    list_init(&s->newcomers);
    list_init(&s->waiters);
    a->server = s;
    return NULL;
}

static void free_door(struct door *d)
{
    listener_free(d->listener);
    memory_free(d);
}

/* Who comes from elsewhere is no process of this user's, and what is said can be read on the way. */
static void tell(const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    address_print(address, text);
    yoke_log(YOKE_RUNTIME, "this actor listens at %s", text);
    if (address->kind == ADDRESS_TCP && !address_is_loopback(address))
        yoke_log(
            YOKE_WARNING,
            "this actor listens at %s, which other hosts may reach, and nothing that is said there is "
            "encrypted: listen at 127.0.0.1 and let `ssh -L` bring them, or leave it to a network that is "
            "trusted (YOKE_LOG=actor=error says no more of it)",
            text);
}

static yoke_error *open_door(struct actor *a, const struct address *address, struct door **out)
{
    YOKE_TRY(need_server(a));
    struct door *d = memory_calloc(1, sizeof *d);
    if (!d)
        return yoke_raise(&YOKE_NO_MEMORY, "a server");
    d->server = a->server;
    yoke_event_init(&d->ended);
    yoke_error *e = listener_open(&d->listener, address);
    if (!e)
        e = yoke_spawn_system_at(__FILE__, __LINE__, "listener", listen_task, d, NULL);
    if (e) {
        free_door(d);
        return e;
    }
    list_append(&a->server->doors, &d->link);
    tell(&d->listener->address);
    *out = d;
    return NULL;
}

static yoke_error *open_own(struct actor *a)
{
    struct address address;
    struct door *d;
    YOKE_TRY(choose_address(a, &address));
    YOKE_TRY(open_door(a, &address, &d));
    a->server->own = d;
    if (d->listener->address.kind == ADDRESS_UDS)
        guard_watch_file(d->listener->address.path);
    if (a->is_root)
        a->root = address_from_here(&d->listener->address);
    return NULL;
}

/* One opens a door at a time: the next one may want the same. */
static yoke_error *begin_to_open(struct actor *a)
{
    YOKE_TRY(yoke_checkpoint());
    while (a->server_opening)
        YOKE_TRY(wait_in(&a->server_waiters, NULL));
    if (a->cancel_called || a->ending)
        return yoke_raise(&YOKE_CLOSED, "actor `%s` is ending", a->uid.name);
    a->server_opening = true;
    return NULL;
}

static yoke_error *end_of_opening(struct actor *a, yoke_error *e)
{
    a->server_opening = false;
    while (wake_first(&a->server_waiters, NULL))
        ;
    return e;
}

yoke_error *server_listen(struct actor *a)
{
    if (server_address(a))
        return yoke_checkpoint();
    YOKE_TRY(begin_to_open(a));
    return end_of_opening(a, server_address(a) ? NULL : open_own(a));
}

static struct door *door_at(const struct actor *a, const struct address *address)
{
    if (!a->server)
        return NULL;
    list_for_each(node, &a->server->doors) {
        struct door *d = container_of(node, struct door, link);
        struct address from_here = address_from_here(&d->listener->address);
        if (address_equal(&d->listener->address, address) || address_equal(&from_here, address))
            return d;
    }
    return NULL;
}

bool server_is_at(const struct actor *a, const struct address *address)
{
    return door_at(a, address) != NULL;
}

yoke_error *server_listen_at(struct actor *a, struct address *address)
{
    YOKE_TRY(begin_to_open(a));
    struct door *d = door_at(a, address);
    yoke_error *e = d ? NULL : open_door(a, address, &d);
    if (!e)
        *address = d->listener->address;
    return end_of_opening(a, e);
}

yoke_error *server_begin_root(struct actor *a)
{
    /* Those below are told where it is reached, and a port is not known before it has one. */
    if (a->listen.kind != ADDRESS_NONE || a->network.transport->kind == ADDRESS_TCP)
        return server_listen(a);
    return NULL;
}

/* ---- close ---- */

/* No more newcomers, and those who are in the door are sent away. */
static void stop(struct server *s)
{
    guard_watch_file("");
    list_for_each(node, &s->doors)
        listener_close(container_of(node, struct door, link)->listener);
    yoke_log(YOKE_RUNTIME, "this actor listens no more");
    list_for_each(node, &s->newcomers)
        channel_break(container_of(node, struct newcomer, link)->channel,
                      yoke_raise(&YOKE_TRANSPORT_CLOSED, "this actor ends"));
}

static yoke_error *wait_for_none(struct server *s, const size_t *count)
{
    while (*count) {
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(wait_in(&s->waiters, NULL));
    }
    return NULL;
}

static yoke_error *wait_till_they_leave(struct server *s, int64_t patience)
{
    yoke_scope bound;
    YOKE_TRY(yoke_move_on_after(&bound, patience));
    return yoke_scope_close(&bound, wait_for_none(s, &s->let_in));
}

/* Neither the parent nor a child: theirs are closed by who opened them. */
static struct peer *next_to_close(const struct actor *a)
{
    list_for_each(node, &a->peers) {
        struct peer *peer = container_of(node, struct peer, in_actor);
        if (!peer->is_parent && !peer->child && peer->reading && !yoke_event_is_set(&peer->ended))
            return peer;
    }
    return NULL;
}

static yoke_error *drain_till(struct channel *c, int64_t deadline)
{
    yoke_scope bound;
    YOKE_TRY(yoke_scope_open(&bound));
    yoke_error *e = yoke_scope_set_deadline(&bound, deadline);
    return yoke_scope_close(&bound, e ? e : channel_drain(c));
}

/* One line for all who are still there. */
static void log_patience_lost(const struct actor *a, int64_t patience)
{
    char names[400] = "";
    size_t used = 0, count = 0;
    list_for_each(node, &a->peers) {
        const struct peer *peer = container_of(node, struct peer, in_actor);
        if (!peer->let_in || yoke_event_is_set(&peer->ended))
            continue;
        count++;
        if (used < sizeof names - 100)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s`%s`", used ? ", " : "",
                                     peer->channel->peer.name);
    }
    if (count)
        yoke_log(YOKE_WARNING, "%zu peers have not left within %lld ms, their channels are closed: %s", count,
                 (long long)(patience / 1000000), names);
}

/* One after the other, but one deadline is for all of them. */
static void close_peers(struct actor *a)
{
    int64_t deadline = yoke_now() + SERVER_DRAIN_BOUND;
    struct peer *peer;
    while ((peer = next_to_close(a))) {
        peer_keep(peer);
        yoke_error_free(drain_till(peer->channel, deadline));
        channel_break(peer->channel, yoke_raise(&YOKE_TRANSPORT_CLOSED, "this actor ends"));
        yoke_error_free(yoke_event_wait(&peer->ended));
        peer_release(peer);
    }
}

static yoke_error *close_all(struct actor *a, int64_t patience)
{
    struct server *s = a->server;
    yoke_error *e = NULL;
    if (s) {
        stop(s);
        e = wait_for_none(s, &s->newcomer_count);
        list_for_each(node, &s->doors)
            if (!e)
                e = yoke_event_wait(&container_of(node, struct door, link)->ended);
        if (!e && patience)
            e = wait_till_they_leave(s, patience);
        if (patience)
            log_patience_lost(a, patience);
    }
    close_peers(a);
    if (s)
        yoke_log(YOKE_RUNTIME, "all who had connected to this actor are gone");
    return e;
}

void server_close(struct actor *a, int64_t patience)
{
    yoke_scope shield;
    a->ending = true;
    yoke_error *e = task_shield_open(&shield, (yoke_scope_options){0});
    if (!e)
        e = task_shield_close(&shield, close_all(a, patience));
    if (e)
        yoke_log(YOKE_ERROR, "the end of this actor's server: %s", yoke_error_message(e));
    yoke_error_free(e);
    if (a->server) {
        while (!list_empty(&a->server->doors))
            free_door(container_of(list_pop(&a->server->doors), struct door, link));
        memory_free(a->server);
        a->server = NULL;
    }
}

void server_remove_dead_parent(const struct actor *a, const yoke_uid *parent, pid_t pid)
{
    struct address address;
    if (!a->directory[0])
        return;
    yoke_error *e = address_of_actor(&address, a->directory, parent->name, pid);
    if (!e)
        transport_uds.remove_stale(&address);
    yoke_error_free(e);
}
