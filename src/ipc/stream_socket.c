#include "ipc/stream_socket.h"

#include <sys/socket.h>

ssize_t stream_socket_read(int fd, void *bytes, size_t room)
{
    return recv(fd, bytes, room, MSG_DONTWAIT);
}

ssize_t stream_socket_write(int fd, const void *bytes, size_t count)
{
    return send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t stream_socket_read_parts(int fd, struct iovec *parts, size_t count)
{
    return recvmsg(fd, &(struct msghdr){.msg_iov = parts, .msg_iovlen = count}, MSG_DONTWAIT);
}

ssize_t stream_socket_write_parts(int fd, struct iovec *parts, size_t count)
{
    return sendmsg(fd, &(struct msghdr){.msg_iov = parts, .msg_iovlen = count}, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void stream_socket_end_reading(int fd)
{
    shutdown(fd, SHUT_RD);
}

void stream_socket_hang_up(int fd)
{
    shutdown(fd, SHUT_RDWR);
}
