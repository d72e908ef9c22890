/* Portals to actors that are neither parent nor child. */
#ifndef ACTOR_CONNECT_H
#define ACTOR_CONNECT_H

#include "actor/peer.h"

/* A new connection; the caller has its one portal. As yoke_connect. */
YOKE_MUST_USE yoke_error *connect_to(struct actor *a, const struct address *address,
                                     const yoke_connect_options *options, struct peer **peer);
/* To this actor itself, over a channel in this process; a portal of this one's that is there is shared. */
YOKE_MUST_USE yoke_error *connect_here(struct actor *a, struct peer **peer);
/* One more portal over a channel that is there. */
yoke_portal *connect_share(struct peer *peer);

#endif
