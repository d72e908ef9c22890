/*
 * How bytes move: one table of functions a transport.
 *   uds   socketpairs to children, whatever other peers use; socket files for these
 *   tcp   ports of this host, for peers on any
 */
#ifndef IPC_TRANSPORT_H
#define IPC_TRANSPORT_H

#include "ipc/address.h"

#include <yoke/base.h>

#include <sys/types.h>
#include <sys/uio.h>

enum { TRANSPORT_BACKLOG = 128 };

/* Who stands at the other end, by the kernel's word. */
struct transport_credentials {
    pid_t pid; /* 0: not to be seen from here (another pid namespace) */
    uid_t uid;
};

/* What a listener left in the file system, if anything. */
struct transport_mark {
    dev_t device;
    ino_t inode;
};

struct transport {
    const char *name;
    enum address_kind kind;
    /* A connected pair, non-blocking and close-on-exec; NULL: it has none. */
    yoke_error *(*pair)(int fds[2]);
    /* As read(2) and write(2), never blocking, never raising SIGPIPE; what means "the peer is gone" is -1
     * with ECONNRESET or EPIPE, and "its host is", with ETIMEDOUT, EHOSTUNREACH or ENETUNREACH. */
    ssize_t (*read)(int fd, void *bytes, size_t room);
    ssize_t (*write)(int fd, const void *bytes, size_t count);
    /* The same for bytes in several places, as readv(2) and writev(2). */
    ssize_t (*read_parts)(int fd, struct iovec *parts, size_t count);
    ssize_t (*write_parts)(int fd, struct iovec *parts, size_t count);
    /* Nothing more is wanted from the peer: a read gives what has come already, and then 0, also to whoever
     * waits for the descriptor. */
    void (*end_reading)(int fd);
    /* The end of the connection, as the peer is to see it at once: after what was written already. */
    void (*hang_up)(int fd);
    /* A peer whose host has vanished is found within `bound` ns (2 s at least), whether anything is said or
     * not; so is one that takes nothing of what was sent to it for as long. NULL: a peer can't vanish so. */
    void (*set_lost_bound)(int fd, int64_t bound);
    /*
     * A descriptor that listens there, non-blocking and close-on-exec; `address` is completed (a port of the
     * kernel's choosing). Checkpoint. YOKE_ADDRESS_IN_USE that names the owner where it can be known; what a
     * dead process left is taken over.
     */
    yoke_error *(*listen)(struct address *address, int *fd, struct transport_mark *mark);
    /* The listener at `address` ends: what others can see of it goes, if it is still its own. Before the
     * descriptor is closed. */
    void (*unlisten)(const struct address *address, const struct transport_mark *mark);
    /* Takes away what a process that is dead left of its listener; nothing if somebody answers there. */
    void (*remove_stale)(const struct address *address);
    /* As accept4(2), non-blocking and close-on-exec. */
    int (*accept)(int fd);
    /* A connection, within `bound` ns. Checkpoint. YOKE_CONNECT_FAILED that names address and reason. */
    yoke_error *(*connect)(const struct address *address, int64_t bound, int *fd);
    /* False, or no function: this transport can't know. */
    bool (*credentials)(int fd, struct transport_credentials *who);
};

extern const struct transport transport_uds, transport_tcp;

/* The one of that name, or NULL. */
const struct transport *transport_called(const char *name);
/* The transport of an address. YOKE_USAGE: there is none. */
YOKE_MUST_USE yoke_error *transport_of(const struct address *address, const struct transport **out);

#endif
