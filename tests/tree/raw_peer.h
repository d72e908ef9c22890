/*
 * A peer of the root that is played by the test: it says and hears messages one by one, over a socketpair in
 * this process. What a well-behaved actor would never say, and the order of what one does say, can be seen
 * so.
 */
#ifndef TESTS_TREE_RAW_PEER_H
#define TESTS_TREE_RAW_PEER_H

#include "tree.h"

#include "actor/context.h"
#include "msg/record.h"

#include <signal.h>
#include <sys/socket.h>

struct raw_peer {
    struct peer *peer;   /* as the root sees it; its portal speaks to the test */
    struct channel *far; /* the test's end */
    const char *modules[2];
};

/* The root serves `module` (NULL: nothing) to it. */
TREE_UNUSED static yoke_error *raw_open(struct raw_peer *raw, const char *module)
{
    struct actor *a = actor_here();
    int fds[2];
    struct channel *near;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    *raw = (struct raw_peer){.modules = {module, NULL}};
    YOKE_TRY(channel_open(&near, fds[0], &transport_uds, NULL));
    YOKE_TRY(channel_open(&raw->far, fds[1], &transport_uds, NULL));
    strcpy(near->peer.name, "raw");
    strcpy(near->peer.uuid, "00000000-0000-4000-8000-000000000000");
    near->peer_pid = getpid();
    a->modules = raw->modules;
    YOKE_TRY(peer_open(&raw->peer, a, near));
    return peer_begin(raw->peer);
}

/* Ends the connection from the test's end. */
TREE_UNUSED static void raw_hang_up(struct raw_peer *raw)
{
    channel_close(raw->far); /* once: NULL is fine */
    raw->far = NULL;
}

TREE_UNUSED static yoke_error *raw_close(struct raw_peer *raw, yoke_error *e)
{
    raw_hang_up(raw);
    e = yoke_error_join(e, yoke_event_wait(&raw->peer->ended));
    raw->peer->actor->modules = NULL;
    peer_close(raw->peer);
    return e;
}

TREE_UNUSED static yoke_error *raw_say(struct raw_peer *raw, enum msg_type type, const char *cid)
{
    static const uint8_t one[] = {0x01};
    struct msg m = {.type = type, .cid = text_view(cid)};
    if (type == MSG_YIELD || type == MSG_RETURN || type == MSG_STARTED)
        m.pld = (struct raw_view){one, 1};
    if (type == MSG_START_ACK)
        m.start_ack.functype = MSG_FUNC_CONTEXT;
    return channel_send(raw->far, &m);
}

TREE_UNUSED static yoke_error *raw_start(struct raw_peer *raw, const char *cid, const char *module,
                                         const char *function, const yoke_record *record, const void *args)
{
    struct buffer kwargs = BUFFER_EMPTY;
    YOKE_TRY(record_encode_args(&kwargs, record, args));
    struct msg m = {.type = MSG_START, .cid = text_view(cid)};
    m.start.ns = text_view(module);
    m.start.func = text_view(function);
    m.start.kwargs = (struct raw_view){buffer_begin(&kwargs), buffer_size(&kwargs)};
    m.start.uid = uid_view(&raw->peer->channel->peer);
    m.start.pld_spec = text_view("typing.Any");
    yoke_error *e = channel_send(raw->far, &m);
    buffer_free(&kwargs);
    return e;
}

YOKE_RECORD(raw_cancel_args, (str, cid));

/* Asks for the task of `cid` to be cancelled, by a request of the id `request`. */
TREE_UNUSED static yoke_error *raw_cancel(struct raw_peer *raw, const char *request, const char *cid)
{
    return raw_start(raw, request, "self", "_cancel_task", &yoke_record_raw_cancel_args,
                     &(raw_cancel_args){(char *)cid});
}

/* The next message is of `type`, in the dialog `cid` (NULL: any). */
TREE_UNUSED static yoke_error *raw_hear_at(const char *file, int line, struct raw_peer *raw,
                                           enum msg_type type, const char *cid, struct msg *m)
{
    YOKE_TRY(channel_receive(raw->far, m));
    if (m->type == type && (!cid || text_view_is(m->cid, cid)))
        return NULL;
    return yoke_raise_at(file, line, "", &CHECK_FAILED, "expected a %s for `%s`, heard a %s for `%.*s`",
                         msg_type_name(type), cid ? cid : "anything", msg_type_name(m->type),
                         (int)m->cid.size, m->cid.data);
}
#define HEAR(raw, type, cid, m) YOKE_TRY(raw_hear_at(__FILE__, __LINE__, (raw), (type), (cid), (m)))

/* Nothing more is said for a while. */
TREE_UNUSED static yoke_error *raw_silence(struct raw_peer *raw)
{
    yoke_scope hurry;
    struct msg m;
    YOKE_TRY(yoke_move_on_after(&hurry, YOKE_MS(20)));
    yoke_error *e = channel_receive(raw->far, &m);
    bool said = !e;
    YOKE_TRY(yoke_scope_close(&hurry, e));
    return said ? yoke_raise(&CHECK_FAILED, "heard a %s", msg_type_name(m.type)) : NULL;
}

#endif
