/*
 * The first frame of each side: an Aid. Both are sent at once, neither waits for the other's; but a child of
 * ours that does not know its name yet reads its parent's first, which tells it (the extra key `yoke`, a
 * map).
 *
 * Where the kernel can't tell who the peer is (tcp), both prove that they know a secret without saying it:
 * each Aid brings a random text, the nonce, and a second Aid a code of both nonces, of who its sender is and
 * of the side on which it stands, made with the secret (HMAC-SHA-256). So what was heard of one handshake is
 * of no use in another, and nobody's proof can be handed back to him. Who brings no nonce is asked for no
 * proof.
 */
#ifndef IPC_HANDSHAKE_H
#define IPC_HANDSHAKE_H

#include "ipc/channel.h"

#define HANDSHAKE_BOUND YOKE_S(10) /* where nothing else is asked for */

/* Who we are towards this peer. */
struct identity {
    yoke_uid uid;
    bool is_registrar;
    const char *secret; /* what is to be proven, and to be asked for; NULL: the kernel says who is who */
    bool connects;      /* this side has connected, and not been connected to */
};

/*
 * Checkpoints. Not done within `bound` ns: YOKE_TOO_SLOW. A peer that says anything but a fitting Aid first:
 * YOKE_PROTOCOL, YOKE_MSG_TYPE (our key in it), or YOKE_TRANSPORT_CLOSED (no message at all), and the channel
 * is broken. On success the channel's peer fields are set; peer_is_stranger stays as it was where there is no
 * secret.
 */
/* A parent's: names the child, and takes back the same name. */
YOKE_MUST_USE yoke_error *handshake_parent(struct channel *c, const struct identity *self,
                                           const yoke_uid *child, int64_t bound);
/* A child's: learns its own name. */
YOKE_MUST_USE yoke_error *handshake_child(struct channel *c, yoke_uid *self, int64_t bound);
/* Of two who are neither parent nor child of each other, or meet beside that: both sides' is the same. */
YOKE_MUST_USE yoke_error *handshake_peer(struct channel *c, struct identity *self, int64_t bound);

#endif
