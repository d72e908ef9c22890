/*
 * The table of who is below an actor: names, and where they listen. registrar.h is what fills it and asks it.
 */
#ifndef ACTOR_REGISTRY_H
#define ACTOR_REGISTRY_H

#include "base/list.h"
#include "base/table.h"
#include "ipc/address.h"
#include "msg/uid.h"

struct peer;

struct registry {
    list entries;         /* in the order in which they came */
    struct table by_uuid; /* the same */
    list waiters;         /* tasks that wait for the next one to come */
    uint64_t changes;
};

struct registry_entry {
    list in_order;
    struct table_node by_uuid;
    yoke_uid uid;
    struct address address; /* where it listens, or would; kind ADDRESS_NONE: not known before it does */
    struct peer *via;       /* who entered it, and can be asked to ask it; NULL: nobody who is still there */
    int64_t since;          /* yoke_now() when it was entered */
};

/* Allocates nothing. */
void registry_init(struct registry *r);
void registry_free(struct registry *r);
/* Enters or changes the entry of that actor, and wakes the waiters; another's with the same address goes. */
YOKE_MUST_USE yoke_error *registry_enter(struct registry *r, const yoke_uid *uid,
                                         const struct address *address, struct peer *via);
void registry_take_out(struct registry *r, struct registry_entry *x);
/* Or NULL. */
struct registry_entry *registry_entry_of(const struct registry *r, const char *uuid);
/* Who is at this address, and can't be there: nobody who is connected vouches for it. Or NULL. */
struct registry_entry *registry_stale_at(const struct registry *r, const struct address *address);

/* A copy of what fits: the table may change while the actors are asked. */
struct registry_match {
    yoke_uid uid;
    struct address address;
    struct peer *via; /* kept */
    int64_t since;
    bool is_self;
};

struct registry_matches {
    struct registry_match *items;
    size_t count;
};

/*
 * Those of that name, the actor itself (`self`) before all others; if not `all`, a uuid will do too.
 * registry_matches_free frees it.
 */
YOKE_MUST_USE yoke_error *registry_look_up(const struct registry *r, const yoke_uid *self, const char *name,
                                           bool all, struct registry_matches *m);
void registry_matches_free(struct registry_matches *m);

#endif
