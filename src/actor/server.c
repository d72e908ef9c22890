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
    struct listener *listener;
    list newcomers; /* connections in the handshake */
    size_t newcomer_count;
    size_t let_in; /* peers */
    list waiters;  /* tasks that wait for one of these counts to fall */
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

/* Only this user's processes, before a byte of theirs is read. */
static yoke_error *check_user(struct channel *c, struct transport_credentials *who)
{
    *who = (struct transport_credentials){0};
    if (!c->transport->credentials(c->fd, who))
        return NULL;
    c->peer_user = who->uid;
    if (who->uid == geteuid())
        return NULL;
    return yoke_raise(&YOKE_PERMISSION, "process %d of user %u is refused: it is another user's",
                      (int)who->pid, (unsigned)who->uid);
}

/* The kernel knows the process; and a name that is in use here is that process' alone. */
static yoke_error *check_identity(const struct actor *a, struct channel *c,
                                  const struct transport_credentials *who)
{
    if (who->pid && who->pid != c->peer_pid)
        return refuse(c, "the process is another one");
    list_for_each(node, &a->children) {
        const struct child *child = container_of(node, struct child, in_actor);
        if (strcmp(child->uid.uuid, c->peer.uuid) == 0 && child->pid != c->peer_pid)
            return refuse(c, "that is a child of this actor");
    }
    list_for_each(node, &a->peers) {
        const struct channel *other = container_of(node, struct peer, in_actor)->channel;
        if (!other->broken && strcmp(other->peer.uuid, c->peer.uuid) == 0 && other->peer_pid != c->peer_pid)
            return refuse(c, "an actor of that name is connected already");
    }
    if (strcmp(a->uid.uuid, c->peer.uuid) == 0 && c->peer_pid != getpid())
        return refuse(c, "that is this actor itself");
    return NULL;
}

static yoke_error *shake_hands(struct actor *a, struct channel *c, int64_t bound)
{
    struct transport_credentials who;
    struct identity self = {a->uid, a->is_root};
    YOKE_TRY(check_user(c, &who));
    c->limits.frame_bytes = NEWCOMER_FRAME_BYTES;
    YOKE_TRY(handshake_peer(c, &self, bound));
    YOKE_TRY(check_identity(a, c, &who));
    c->limits = msg_limits_default;
    return NULL;
}

yoke_error *server_meet(struct actor *a, struct channel *channel, int64_t bound, struct peer **out)
{
    *out = NULL;
    yoke_error *e = shake_hands(a, channel, bound);
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
    yoke_error *e = server_meet(s->actor, n->channel, HANDSHAKE_BOUND, &peer);
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

static yoke_error *begin_to_meet(struct server *s, int fd)
{
    struct newcomer *n = memory_calloc(1, sizeof *n);
    if (!n) {
        close(fd);
        return yoke_raise(&YOKE_NO_MEMORY, "a connection");
    }
    n->server = s;
    yoke_error *e = channel_open(&n->channel, fd, s->listener->transport, NULL);
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

static yoke_error *accept_all(struct server *s)
{
    for (;;) {
        int fd;
        while (s->newcomer_count >= NEWCOMERS_MAX)
            YOKE_TRY(wait_in(&s->waiters, NULL));
        YOKE_TRY(listener_accept(s->listener, &fd));
        yoke_error *e = begin_to_meet(s, fd);
        if (e)
            yoke_log(YOKE_WARNING, "a connection could not be taken: %s", yoke_error_message(e));
        yoke_error_free(e);
    }
}

static yoke_error *listen_task(void *arg)
{
    struct server *s = arg;
    yoke_error *e = accept_all(s);
    if (!yoke_error_is(e, &YOKE_CLOSED) && !yoke_error_is_cancelled(e))
        yoke_log(YOKE_ERROR, "this actor can't be reached any more: %s", yoke_error_message(e));
    yoke_error_free(e);
    yoke_event_set(&s->ended);
    return NULL;
}

/* ---- open ---- */

static yoke_error *know_directory(struct actor *a)
{
    return a->directory[0] ? NULL : directory_path(a->directory);
}

yoke_error *server_address_of(struct actor *a, const yoke_uid *uid, pid_t pid, struct address *address)
{
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
    return &a->server->listener->address;
}

static yoke_error *open_listener(struct actor *a, struct listener **listener)
{
    struct address address;
    YOKE_TRY(server_address_of(a, &a->uid, getpid(), &address));
    YOKE_TRY(directory_prepare(a->directory));
    if (a->is_root)
        directory_sweep(a->directory);
    return listener_open(listener, &address);
}

static yoke_error *open_server(struct actor *a)
{
    struct server *s = memory_calloc(1, sizeof *s);
    if (!s)
        return yoke_raise(&YOKE_NO_MEMORY, "a server");
    s->actor = a;
    list_init(&s->newcomers);
    list_init(&s->waiters);
    yoke_event_init(&s->ended);
    yoke_error *e = open_listener(a, &s->listener);
    if (!e)
        e = yoke_spawn_system_at(__FILE__, __LINE__, "listener", listen_task, s, NULL);
    if (e) {
        listener_free(s->listener);
        memory_free(s);
        return e;
    }
    a->server = s;
    guard_watch_file(s->listener->address.path);
    yoke_log(YOKE_RUNTIME, "this actor listens at unix:%s", s->listener->address.path);
    return NULL;
}

yoke_error *server_listen(struct actor *a)
{
    YOKE_TRY(yoke_checkpoint());
    while (a->server_opening)
        YOKE_TRY(wait_in(&a->server_waiters, NULL));
    if (a->server)
        return NULL;
    if (a->cancel_called || a->ending)
        return yoke_raise(&YOKE_CLOSED, "actor `%s` is ending", a->uid.name);
    a->server_opening = true;
    yoke_error *e = open_server(a);
    a->server_opening = false;
    while (wake_first(&a->server_waiters, NULL))
        ;
    return e;
}

/* ---- close ---- */

/* No more newcomers, and those who are in the door are sent away. */
static void stop(struct server *s)
{
    guard_watch_file("");
    listener_close(s->listener);
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
        if (!e)
            e = yoke_event_wait(&s->ended);
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
        listener_free(a->server->listener);
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
