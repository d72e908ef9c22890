#include "ipc/listener.h"

#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define NO_DESCRIPTORS_PAUSE YOKE_MS(50)

yoke_error *listener_open(struct listener **out, const struct address *address)
{
    *out = NULL;
    const struct transport *transport;
    YOKE_TRY(transport_of(address, &transport));
    struct listener *l = memory_calloc(1, sizeof *l);
    if (!l)
        return yoke_raise(&YOKE_NO_MEMORY, "a listener");
    l->transport = transport;
    l->address = *address;
    yoke_error *e = transport->listen(&l->address, &l->fd, &l->mark);
    if (e) {
        memory_free(l);
        return e;
    }
    e = poll_watch_open(&l->watch, l->fd);
    if (e) {
        transport->unlisten(&l->address, &l->mark);
        close(l->fd);
        memory_free(l);
        return e;
    }
    *out = l;
    return NULL;
}

/* The connection stays in the backlog: it is taken when there is room again. */
static yoke_error *wait_for_room(struct listener *l, int number)
{
    int64_t now = yoke_now();
    if (!l->complained_at || now - l->complained_at >= YOKE_S(1)) {
        l->complained_at = now;
        yoke_log(YOKE_WARNING, "no connection can be accepted: %s", strerrordesc_np(number));
    }
    return yoke_sleep(NO_DESCRIPTORS_PAUSE);
}

/* Of accept(2): an error of the connection that is taken, and not of the listener. */
static bool is_of_the_connection(int number)
{
    return number == EINTR || number == ECONNABORTED || number == EPROTO || number == EPERM;
}

yoke_error *listener_accept(struct listener *l, int *fd)
{
    YOKE_TRY(yoke_checkpoint());
    for (;;) {
        if (l->fd < 0)
            return yoke_raise(&YOKE_CLOSED, "the listener was closed");
        *fd = l->transport->accept(l->fd);
        if (*fd >= 0)
            return NULL;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            YOKE_TRY(poll_watch_readable(&l->watch));
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            YOKE_TRY(wait_for_room(l, errno));
        else if (!is_of_the_connection(errno))
            return yoke_raise_errno(errno, "accepting a connection");
    }
}

void listener_close(struct listener *l)
{
    if (l->fd < 0)
        return;
    poll_watch_close(&l->watch);
    l->transport->unlisten(&l->address, &l->mark);
    close(l->fd);
    l->fd = -1;
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    listener_close(l);
    memory_free(l);
}
