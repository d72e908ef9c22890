/*
 * Where an actor is reached by those who are neither its parent nor its child. It listens from the first time
 * that somebody wants its address, at a socket file of its user's (directory.h) or a port, and at more
 * addresses if it is told to. It takes in who shakes hands in time and is who he says: of the same user, as
 * far as the kernel can tell; where it can't (tcp), who knows the tree's secret.
 */
#ifndef ACTOR_SERVER_H
#define ACTOR_SERVER_H

#include "actor/peer.h"

/* At the end of an actor: for the peers to leave by themselves, and for what was sent to them to go out. */
#define SERVER_LEAVE_BOUND YOKE_S(3)
#define SERVER_DRAIN_BOUND YOKE_MS(400)

/* Begins to listen where it is found, if it does not yet. Checkpoint. YOKE_CLOSED: the actor is ending; else
 * as directory_prepare and listener_open. */
YOKE_MUST_USE yoke_error *server_listen(struct actor *a);
/* At `address` as well, which is completed. Checkpoint; the same errors. */
YOKE_MUST_USE yoke_error *server_listen_at(struct actor *a, struct address *address);
/* Where it is found; NULL: it does not listen for that yet. A view. */
const struct address *server_address(const struct actor *a);
/* Does this actor listen there? */
bool server_is_at(const struct actor *a, const struct address *address);
/* Where an actor of this tree listens, or would; kind ADDRESS_NONE: nobody knows before it does. */
YOKE_MUST_USE yoke_error *server_address_of(struct actor *a, const yoke_uid *uid, pid_t pid,
                                            struct address *address);
/* In the root: where it listens, or would, for those below; without a directory for sockets (the log says so)
 * there is no such place. */
void server_know_root(struct actor *a);
/* At a root's beginning: it listens, if it is to from then on. Checkpoint then; as server_listen. */
YOKE_MUST_USE yoke_error *server_begin_root(struct actor *a);
/*
 * Shakes hands over a connection, which this side has made (connects) or taken, and begins to serve it. Takes
 * the channel, also when this fails. Checkpoint; as handshake_peer; YOKE_PERMISSION: it is not who it says.
 */
YOKE_MUST_USE yoke_error *server_meet(struct actor *a, struct channel *channel, bool connects, int64_t bound,
                                      struct peer **peer);
/* A peer that was let in has gone. */
void server_peer_left(struct peer *peer);
/*
 * The end: nobody is let in any more; those who are there are given `patience` ns to leave, then their
 * channels are drained and closed; so are those which this side had opened. Children and the parent stay.
 * Shielded.
 */
void server_close(struct actor *a, int64_t patience);
/* This actor has lost its parent: the socket files that a parent which was killed could not remove. */
void server_remove_dead_parent(const struct actor *a, const yoke_uid *parent, pid_t pid);

#endif
