/*
 * The first frame of each side: an Aid. Both are sent at once, neither waits for the other's; but a child of
 * ours that does not know its name yet reads its parent's first, which tells it (the extra key `yoke`, a
 * map).
 */
#ifndef IPC_HANDSHAKE_H
#define IPC_HANDSHAKE_H

#include "ipc/channel.h"

#define HANDSHAKE_BOUND YOKE_S(10) /* where nothing else is asked for */

/* Who we are towards this peer. */
struct identity {
    yoke_uid uid;
    bool is_registrar;
};

/*
 * Checkpoints. Not done within `bound` ns: YOKE_TOO_SLOW. A peer that says anything but a fitting Aid first:
 * YOKE_PROTOCOL, YOKE_MSG_TYPE (our key in it), or YOKE_TRANSPORT_CLOSED (no message at all), and the channel
 * is broken. On success the channel's peer fields are set.
 */
/* A parent's: names the child, and takes back the same name. */
YOKE_MUST_USE yoke_error *handshake_parent(struct channel *c, const struct identity *self,
                                           const yoke_uid *child, int64_t bound);
/* A child's: learns its own name. */
YOKE_MUST_USE yoke_error *handshake_child(struct channel *c, yoke_uid *self, int64_t bound);
/* Of two who are neither parent nor child of each other, or meet beside that: both sides' is the same. */
YOKE_MUST_USE yoke_error *handshake_peer(struct channel *c, struct identity *self, int64_t bound);

#endif
