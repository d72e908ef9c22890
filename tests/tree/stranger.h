/*
 * A connection to an actor's listener that is played by the test, frame by frame or byte by byte: from this
 * process, or (stranger_process) from one of its own, which is no actor.
 */
#ifndef TESTS_TREE_STRANGER_H
#define TESTS_TREE_STRANGER_H

#include "tree.h"

#include "actor/peer.h"
#include "actor/server.h"
#include "ipc/handshake.h"
#include "msg/record.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- in this process ---- */

TREE_UNUSED static yoke_error *stranger_connect(struct channel **c, const char *text)
{
    struct address address;
    const struct transport *transport;
    int fd;
    YOKE_TRY(address_parse(&address, text));
    YOKE_TRY(transport_of(&address, &transport));
    YOKE_TRY(transport->connect(&address, YOKE_S(3), &fd));
    return channel_open(c, fd, transport, NULL);
}

/* Where a stranger reaches this actor: over tcp he would need the tree's secret. To be freed with free(). */
TREE_UNUSED static yoke_error *stranger_door(char **address)
{
    char text[ADDRESS_TEXT_BYTES];
    if (!tree_on_tcp())
        return yoke_listen(address);
    snprintf(text, sizeof text, "unix:%s/yoke/door.sock", getenv("XDG_RUNTIME_DIR"));
    return yoke_listen_at(text, address);
}

/* Without a key of ours, as a Python actor's; a pid of 0 is this process'. */
TREE_UNUSED static yoke_error *stranger_say_aid(struct channel *c, const yoke_uid *uid, pid_t pid, bool probe)
{
    return channel_send(c, &(struct msg){.type = MSG_AID,
                                         .aid = {.uid = uid_view(uid),
                                                 .has_pid = true,
                                                 .pid = pid ? pid : getpid(),
                                                 .is_registrar = MSG_FLAG_FALSE,
                                                 .is_probe = probe ? MSG_FLAG_TRUE : MSG_FLAG_FALSE}});
}

/* The other's Aid. */
TREE_UNUSED static yoke_error *stranger_hear_aid(struct channel *c, yoke_uid *uid, enum msg_flag *registrar)
{
    struct msg m;
    YOKE_TRY(channel_receive(c, &m));
    CHECK(m.type == MSG_AID);
    *registrar = m.aid.is_registrar;
    return uid_from_view(uid, m.aid.uid);
}

TREE_UNUSED static yoke_error *stranger_start(struct channel *c, const yoke_uid *self, const char *cid,
                                              const char *ns, const char *func, const yoke_record *record,
                                              const void *args)
{
    struct buffer kwargs = BUFFER_EMPTY;
    YOKE_TRY(record_encode_args(&kwargs, record, args));
    yoke_error *e =
        channel_send(c, &(struct msg){.type = MSG_START,
                                      .cid = text_view(cid),
                                      .start = {.ns = text_view(ns),
                                                .func = text_view(func),
                                                .kwargs = {buffer_begin(&kwargs), buffer_size(&kwargs)},
                                                .uid = uid_view(self)}});
    buffer_free(&kwargs);
    return e;
}

/* Is the next message of this type? It is left in `m`. */
TREE_UNUSED static yoke_error *stranger_expect(struct channel *c, enum msg_type type, struct msg *m)
{
    YOKE_TRY(channel_receive(c, m));
    if (m->type != type)
        return yoke_raise(&CHECK_FAILED, "a %s, and not a %s: %.*s", msg_type_name(m->type),
                          msg_type_name(type), m->type == MSG_ERROR ? (int)m->error.message.size : 0,
                          m->type == MSG_ERROR ? m->error.message.data : "");
    return NULL;
}

/* Is there nothing more but the end? */
TREE_UNUSED static yoke_error *stranger_expect_end(struct channel *c)
{
    struct msg m;
    yoke_error *e = channel_receive(c, &m);
    while (!e)
        e = channel_receive(c, &m);
    return tree_expect(__FILE__, __LINE__, e, &YOKE_TRANSPORT_CLOSED, NULL);
}

TREE_UNUSED static yoke_error *stranger_close(struct channel *c, yoke_error *e)
{
    channel_close(c);
    return e;
}

/* ---- in a process of its own ---- */

/* Runs `body` (which has no scheduler) in a new process; its result is the exit status. */
TREE_UNUSED static pid_t stranger_process(int (*body)(const char *path), const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(60);
        _exit(body(path));
    }
    return pid;
}

/* Waits for its end, without holding up the scheduler; its exit status. */
TREE_UNUSED static yoke_error *stranger_wait(pid_t pid, int *status)
{
    int raw;
    while (waitpid(pid, &raw, WNOHANG) == 0)
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    return NULL;
}

/* A blocking connection; -1 if there is none. */
TREE_UNUSED static int stranger_socket(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%.107s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Writes one message to a blocking connection. */
TREE_UNUSED static bool stranger_put(int fd, const struct msg *m)
{
    struct buffer b = BUFFER_EMPTY;
    yoke_error *e = msg_encode(&b, m, &msg_limits_default);
    bool sent = !e;
    for (size_t at = 0; sent && at < buffer_size(&b);) {
        ssize_t n = send(fd, buffer_begin(&b) + at, buffer_size(&b) - at, MSG_NOSIGNAL);
        sent = n > 0;
        at += n > 0 ? (size_t)n : 0;
    }
    yoke_error_free(e);
    buffer_free(&b);
    return sent;
}

/* Reads one frame; the body is in `body`. */
TREE_UNUSED static bool stranger_get(int fd, uint8_t *body, size_t room, struct msg *m)
{
    uint8_t head[4];
    if (recv(fd, head, 4, MSG_WAITALL) != 4)
        return false;
    size_t size = head[0] | (size_t)head[1] << 8;
    if (head[2] || head[3] || size > room || recv(fd, body, size, MSG_WAITALL) != (ssize_t)size)
        return false;
    yoke_error *e = msg_decode(body, size, &msg_limits_default, m);
    bool fine = !e;
    yoke_error_free(e);
    return fine;
}

/* A listener that accepts nobody by itself. */
TREE_UNUSED static int stranger_listen(const char *path, int backlog)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%.107s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, backlog) == 0)
        return fd;
    close(fd);
    return -1;
}

#endif
