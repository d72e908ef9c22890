/*
 * How the actors of a tree reach each other beside the channels of the tree itself: what its root decides,
 * and each SpawnSpec takes down.
 */
#ifndef ACTOR_NETWORK_H
#define ACTOR_NETWORK_H

#include "ipc/transport.h"

#include <yoke/actor.h>

struct channel;

enum { NETWORK_SECRET_BYTES = 129 }; /* its zero included */

#define NETWORK_LOST_BOUND YOKE_S(60)
#define NETWORK_LOST_LEAST YOKE_S(2)

struct network {
    const struct transport *transport; /* that an actor listens on when it is found */
    bool lets_strangers_in; /* who can't be known by the kernel, nor knows the secret, is a peer with no
                               rights */
    int64_t lost_bound;     /* ns: a host that vanishes is found within it */
    char secret[NETWORK_SECRET_BYTES]; /* of the tree, and of those that were given the same */
};

/* What stands for a root that decides nothing: uds, a secret of its own. */
void network_init(struct network *n);
/*
 * As environment and options (NULL: none) have it; the environment wins. listen: where the root is to listen
 * from its open on; kind ADDRESS_NONE: nowhere yet. YOKE_USAGE: what can't be, or what contradicts; `n` is
 * then as it was.
 */
YOKE_MUST_USE yoke_error *network_configure(struct network *n, struct address *listen,
                                            const yoke_root_options *options);
/* What the transport is to know of a new connection. */
void network_prepare(const struct network *n, const struct channel *c);

#endif
