/* A listener: an address that is taken, and the connections that come to it. */
#ifndef IPC_LISTENER_H
#define IPC_LISTENER_H

#include "ipc/transport.h"
#include "task/poller.h"

struct listener {
    int fd;
    const struct transport *transport;
    struct address address; /* complete */
    struct transport_mark mark;
    struct poll_watch watch;
    int64_t complained_at; /* of having no descriptors left; 0: never */
};

/* Checkpoint. Errors as of the transport's listen; nothing is left after one. */
YOKE_MUST_USE yoke_error *listener_open(struct listener **listener, const struct address *address);
/*
 * The next connection: a descriptor, non-blocking and close-on-exec, of the caller's. Checkpoint. A process
 * that has no more descriptors, or no memory for them, goes on when it has some again, and says so once a
 * second. YOKE_CLOSED: the listener was closed meanwhile.
 */
YOKE_MUST_USE yoke_error *listener_accept(struct listener *listener, int *fd);
/* Wakes who waits in accept, takes its file away; what connected and was not accepted is refused. The struct
 * stays till listener_free. */
void listener_close(struct listener *listener);
/* Closes it; NULL is fine. Nobody waits in it. */
void listener_free(struct listener *listener);

#endif
