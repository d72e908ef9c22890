/* What a connected stream socket does whatever its family is: rows of the transports' tables (transport.h).
 */
#ifndef IPC_STREAM_SOCKET_H
#define IPC_STREAM_SOCKET_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t stream_socket_read(int fd, void *bytes, size_t room);
ssize_t stream_socket_write(int fd, const void *bytes, size_t count);
ssize_t stream_socket_read_parts(int fd, struct iovec *parts, size_t count);
ssize_t stream_socket_write_parts(int fd, struct iovec *parts, size_t count);
void stream_socket_end_reading(int fd);
void stream_socket_hang_up(int fd);

#endif
