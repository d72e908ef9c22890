/*
 * Names of actors, and where they listen.
 *
 * Every actor keeps a registry of those below it: a parent enters its child when it has started, and tells
 * its own parent, which tells its own; so the root's registry is of the whole tree, and the root is the
 * registrar. What asks for a name goes the same way up. When a child has ended its parent takes it out, with
 * all that was below it. No actor opens a connection for any of this.
 *
 * Nor does it listen before somebody has found it: the registrar then asks the found one to, along the way by
 * which it was entered, and answers when its address can be connected to.
 */
#ifndef ACTOR_REGISTRAR_H
#define ACTOR_REGISTRAR_H

#include <yoke/actor.h>

struct actor;
struct peer;
struct child;
struct buffer;
struct address;

/* A child is to listen at this address, and to be found there. Checkpoint; YOKE_REMOTE with what its
 * listening said, YOKE_TOO_SLOW. */
YOKE_MUST_USE yoke_error *registrar_bid_listen(struct child *child, const char *at);
/* A child of this actor has started; what fails is logged: it is not found then. Not a checkpoint. */
void registrar_enter_child(struct child *child);
/* It has ended and is reaped: it, and who was entered below it, goes, with the socket files that were left.
 * Not a checkpoint. */
void registrar_remove_child(struct child *child);
/* The channel of a peer that is no child has ended: what it had entered goes. */
void registrar_peer_lost(struct peer *peer);

/*
 * The addresses of the actors of that name (of the first entered if not `all`; a uuid will do then) as one
 * value: an array of pairs, or nil when there is none that can be reached. Appended to `out`. Checkpoint: the
 * registrar is asked, and the actors are.
 */
YOKE_MUST_USE yoke_error *registrar_find(struct actor *a, const char *name, bool all, struct buffer *out);
/* The same, waiting till there is one. */
YOKE_MUST_USE yoke_error *registrar_wait(struct actor *a, const char *name, struct buffer *out);
/* The first reachable one's address, and how long ago (ns) it was registered, without connecting to it; kind
 * ADDRESS_NONE: there is none. */
YOKE_MUST_USE yoke_error *registrar_query(struct actor *a, const char *name, struct address *address,
                                          int64_t *age);
/* The names that are registered, "root, a, b", for people: appended, without a zero. */
YOKE_MUST_USE yoke_error *registrar_names(struct actor *a, struct buffer *out);
/* Nobody answers at this address: who was entered with it goes. Checkpoint. */
YOKE_MUST_USE yoke_error *registrar_delete_address(struct actor *a, const struct address *address);

#endif
