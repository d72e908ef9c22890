/* How bytes move: one table of functions a transport. `uds` is the one there is: socketpairs to children. */
#ifndef IPC_TRANSPORT_H
#define IPC_TRANSPORT_H

#include <yoke/base.h>

#include <sys/types.h>

struct transport {
    const char *name;
    /* A connected pair, non-blocking and close-on-exec. */
    yoke_error *(*pair)(int fds[2]);
    /* As read(2) and write(2), never blocking, never raising SIGPIPE; what means "the peer is gone" is -1
     * with ECONNRESET or EPIPE. */
    ssize_t (*read)(int fd, void *bytes, size_t room);
    ssize_t (*write)(int fd, const void *bytes, size_t count);
    /* Nothing more is wanted from the peer: a read gives what has come already, and then 0, also to whoever
     * waits for the descriptor. */
    void (*end_reading)(int fd);
};

extern const struct transport transport_uds;

#endif
