#include "ipc/transport.h"

#include <errno.h>
#include <sys/socket.h>

static yoke_error *uds_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return yoke_raise_errno(errno, "socketpair");
    return NULL;
}

static ssize_t uds_read(int fd, void *bytes, size_t room)
{
    return recv(fd, bytes, room, MSG_DONTWAIT);
}

static ssize_t uds_write(int fd, const void *bytes, size_t count)
{
    return send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void uds_end_reading(int fd)
{
    shutdown(fd, SHUT_RD);
}

const struct transport transport_uds = {
    .name = "uds",
    .pair = uds_pair,
    .read = uds_read,
    .write = uds_write,
    .end_reading = uds_end_reading,
};
