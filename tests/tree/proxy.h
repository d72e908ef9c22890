/*
 * A proxy between an actor and its child, for channels that break. This program's socketpair(2) stands before
 * the C library's: of the channels that are made after proxy_arm, the one that the plan names goes through a
 * thread of this process. The thread hands on whole frames, and does its deed at one of them.
 *
 *     proxy_arm(&(struct proxy_plan){.way = PROXY_UP, .type = MSG_YIELD, .nth = 2, .deed = PROXY_CUT});
 *     ... start the child, talk with it ...
 *     proxy_disarm();      waits till the channel's ends are closed; proxy.acted and the counts stay
 *
 * When either end is closed the proxy closes the other, once it has handed on what was sent before.
 */
#ifndef TESTS_TREE_PROXY_H
#define TESTS_TREE_PROXY_H

#include "msg/wire.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum proxy_way { PROXY_DOWN, PROXY_UP, PROXY_WAYS }; /* to the child, to its parent */

enum proxy_deed {
    PROXY_NOTHING,
    PROXY_CUT,     /* a part of the frame passes, then both ends are closed */
    PROXY_STALL,   /* a part of the frame passes, then nothing more goes this way */
    PROXY_TWICE,   /* the frame passes twice */
    PROXY_BEFORE,  /* the plan's bytes, or the message that it says, go before it */
    PROXY_AFTER,   /* they go after it */
    PROXY_INSTEAD, /* they go, and it does not */
    PROXY_STRIKE,  /* it passes, then the plan's signal is sent to the child, if that has come so far */
    PROXY_SUICIDE  /* the same, to this process, which is the child's parent */
};

/* How much of the frame passes before a cut or a stall. */
enum proxy_part { PART_NONE, PART_OF_LENGTH, PART_LENGTH, PART_HALF, PART_ALL_BUT_ONE, PROXY_PARTS };

enum { PROXY_ANY_TYPE = MSG_TYPE_COUNT, PROXY_FRAMES_MAX = 4096, PROXY_FIRST = 8 };

struct proxy_plan {
    unsigned channel; /* which one of those that are made: 0 the first */
    enum proxy_way way;
    int type;     /* a message's, or PROXY_ANY_TYPE */
    unsigned nth; /* which one of those: 0 the first */
    enum proxy_deed deed;
    enum proxy_part part;
    int signal;
    int delay_ms; /* of each frame */
    const void *bytes;
    size_t size;
    const char *say; /* a message with a cid, and the bytes as its payload */
    const char *cid; /* NULL: the frame's */
};

static struct {
    struct proxy_plan plan;
    bool armed, running;
    unsigned channels; /* made since it was armed */
    pthread_t thread;
    int ends[PROXY_WAYS]; /* what goes down, what goes up is read from it */
    pid_t child;          /* as its Aid tells */
    unsigned frames[PROXY_WAYS], matching;
    enum msg_type first[PROXY_WAYS][PROXY_FIRST]; /* the types of the first frames */
    bool acted, stalled;
} proxy;

/* ---- bytes ---- */

struct proxy_bytes {
    uint8_t *data;
    size_t size;
};

static void proxy_need(bool condition)
{
    if (!condition)
        abort();
}

/* To whoever has closed his end nothing is said any more. */
static void proxy_write(enum proxy_way way, const uint8_t *bytes, size_t size)
{
    int to = proxy.ends[way == PROXY_DOWN ? PROXY_UP : PROXY_DOWN];
    while (size) {
        ssize_t n = send(to, bytes, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        bytes += n;
        size -= (size_t)n;
    }
}

static size_t proxy_frame_size(const struct proxy_bytes *in)
{
    uint32_t length;
    if (in->size < 4)
        return 0;
    memcpy(&length, in->data, 4);
    return in->size >= 4 + (size_t)length ? 4 + (size_t)length : 0;
}

static size_t proxy_part_size(size_t frame)
{
    const size_t sizes[PROXY_PARTS] = {0, 2, 4, 4 + (frame - 4) / 2, frame - 1};
    return sizes[proxy.plan.part];
}

/* ---- frames ---- */

static bool proxy_is_due(enum proxy_way way, const struct msg *m)
{
    const struct proxy_plan *p = &proxy.plan;
    if (p->deed == PROXY_NOTHING || way != p->way || proxy.acted)
        return false;
    return (p->type == PROXY_ANY_TYPE || m->type == (enum msg_type)p->type) && proxy.matching++ == p->nth;
}

/* Something is put in: the plan's bytes, or {msg_type: say, cid: ..., pld: bytes} for the dialog of the
 * frame. */
static void proxy_put_in(enum proxy_way way, const struct msg *m)
{
    const struct proxy_plan *p = &proxy.plan;
    if (!p->say) {
        proxy_write(way, p->bytes, p->size);
        return;
    }
    uint8_t frame[256];
    struct text_view cid = p->cid ? text_view(p->cid) : m->cid;
    proxy_need(cid.size < 64 && strlen(p->say) < 16 && p->size < 64);
    int n = snprintf((char *)frame + 4, sizeof frame - 4,
                     "%c\xa8msg_type%c%s\xa3"
                     "cid\xd9%c%.*s",
                     p->size ? 0x83 : 0x82, (int)(0xa0 + strlen(p->say)), p->say, (int)cid.size,
                     (int)cid.size, cid.data);
    size_t size = 4 + (size_t)n;
    if (p->size) {
        memcpy(frame + size,
               "\xa3"
               "pld",
               4);
        memcpy(frame + size + 4, p->bytes, p->size);
        size += 4 + p->size;
    }
    memcpy(frame, &(uint32_t){(uint32_t)size - 4}, 4);
    proxy_write(way, frame, size);
}

/* False: the ends are to be closed. */
static bool proxy_act(enum proxy_way way, const struct msg *m, const uint8_t *frame, size_t size)
{
    const struct proxy_plan *p = &proxy.plan;
    size_t part = p->deed == PROXY_CUT || p->deed == PROXY_STALL ? proxy_part_size(size) : size;
    proxy.acted = true;
    if (p->deed == PROXY_BEFORE || p->deed == PROXY_INSTEAD)
        proxy_put_in(way, m);
    if (p->deed != PROXY_INSTEAD)
        proxy_write(way, frame, part);
    if (p->deed == PROXY_TWICE)
        proxy_write(way, frame, size);
    if (p->deed == PROXY_AFTER)
        proxy_put_in(way, m);
    if (p->deed == PROXY_STRIKE && proxy.child > 0)
        kill(proxy.child, p->signal);
    if (p->deed == PROXY_SUICIDE)
        kill(getpid(), p->signal);
    proxy.stalled = p->deed == PROXY_STALL;
    return p->deed != PROXY_CUT;
}

static bool proxy_pass(enum proxy_way way, const uint8_t *frame, size_t size)
{
    struct msg m;
    yoke_error *e = msg_decode(frame + 4, size - 4, &msg_limits_default, &m);
    proxy_need(!e); /* what an actor says is correct */
    if (proxy.frames[way] < PROXY_FIRST)
        proxy.first[way][proxy.frames[way]] = m.type;
    proxy.frames[way]++;
    if (way == PROXY_UP && m.type == MSG_AID)
        proxy.child = (pid_t)m.aid.pid;
    if (proxy.plan.delay_ms)
        poll(NULL, 0, proxy.plan.delay_ms);
    if (proxy_is_due(way, &m))
        return proxy_act(way, &m, frame, size);
    proxy_write(way, frame, size);
    return true;
}

/* ---- the thread ---- */

/* Reads once what goes this way, hands on what is whole of it. */
static bool proxy_move(enum proxy_way way, struct proxy_bytes *in)
{
    size_t room = 1 << 16, frame;
    in->data = realloc(in->data, in->size + room);
    proxy_need(in->data != NULL);
    ssize_t n = recv(proxy.ends[way], in->data + in->size, room, 0);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    in->size += (size_t)n;
    while ((frame = proxy_frame_size(in))) {
        if (!proxy_pass(way, in->data, frame))
            return false;
        in->size -= frame;
        memmove(in->data, in->data + frame, in->size);
        if (proxy.stalled && way == proxy.plan.way)
            break;
    }
    return true;
}

static void *proxy_run(void *arg)
{
    struct proxy_bytes in[PROXY_WAYS] = {{0}};
    bool open = true;
    while (open) {
        struct pollfd ends[PROXY_WAYS];
        for (int way = 0; way < PROXY_WAYS; way++) {
            bool still = proxy.stalled && way == (int)proxy.plan.way;
            ends[way] = (struct pollfd){proxy.ends[way], still ? 0 : POLLIN, 0};
        }
        proxy_need(poll(ends, PROXY_WAYS, -1) > 0 || errno == EINTR);
        for (int way = 0; way < PROXY_WAYS && open; way++) {
            if (ends[way].events && ends[way].revents)
                open = proxy_move((enum proxy_way)way, &in[way]);
            else if (ends[way].revents & (POLLHUP | POLLERR))
                open = false;
        }
    }
    for (int way = 0; way < PROXY_WAYS; way++) {
        close(proxy.ends[way]);
        free(in[way].data);
    }
    return NULL;
}

/* Signals of the process are for its scheduler. */
static void proxy_start(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    proxy_need(pthread_create(&proxy.thread, NULL, proxy_run, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    proxy.running = true;
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
    bool is_channel = proxy.armed && type & SOCK_NONBLOCK;
    if (!is_channel || proxy.channels++ != proxy.plan.channel)
        return (int)syscall(SYS_socketpair, domain, type, protocol, fds);
    int parents[2], childs[2], on_one = type & SOCK_CLOEXEC;
    proxy_need(syscall(SYS_socketpair, domain, SOCK_STREAM | on_one, protocol, parents) == 0);
    proxy_need(syscall(SYS_socketpair, domain, SOCK_STREAM | on_one, protocol, childs) == 0);
    fds[0] = parents[0];
    fds[1] = childs[0];
    proxy_need(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
    proxy.ends[PROXY_DOWN] = parents[1];
    proxy.ends[PROXY_UP] = childs[1];
    proxy_start();
    return 0;
}

/* ---- by the test ---- */

static void proxy_arm(const struct proxy_plan *plan)
{
    memset(&proxy, 0, sizeof proxy);
    proxy.plan = *plan;
    proxy.armed = true;
}

__attribute__((unused)) static void proxy_disarm(void)
{
    proxy.armed = false;
    if (proxy.running)
        proxy_need(pthread_join(proxy.thread, NULL) == 0);
    proxy.running = false;
}

#endif
