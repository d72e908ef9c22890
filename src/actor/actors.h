/* An actor nursery from inside. */
#ifndef ACTOR_ACTORS_H
#define ACTOR_ACTORS_H

#include "actor/child.h"

struct yoke_actors {
    struct actor *actor;
    yoke_scope scope;
    list children;
    yoke_actors_options options;
    bool cancelled, closed;
    int64_t cancelled_at;
    yoke_uid asker;      /* in whose name the children are cancelled */
    size_t unreaped;     /* children */
    size_t starting;     /* tasks in the middle of a start, or waiting to begin it */
    size_t in_start;     /* those in the middle */
    list start_waiters;  /* the others */
    list waiters;        /* for both to be 0 */
    yoke_error **errors; /* of children, in the order in which they came */
    size_t error_count;
    yoke_error *trouble;          /* `errors` could not be grown */
    struct buffer cancelled_with; /* lines: who was cancelled because another failed, NAMED_MOST of them */
    size_t cancelled_count;       /* how many were */
};

/* What can be known of a start's options before anything is started: YOKE_USAGE. */
YOKE_MUST_USE yoke_error *actors_check_options(const yoke_actor_options *options);
/* A child, or its main task, has failed: `e` (ownership passes) is kept for the close; the body and the other
 * children are cancelled. */
void actors_fail(yoke_actors *actors, yoke_error *e);
/* The process of a child has ended, and nothing that it had sent is still under way: it is known whether it
 * failed. */
void actors_child_died(yoke_actors *actors, struct child *child);
/* A child's supervisor has done its work: nothing that the child had left behind is there any more. */
void actors_child_reaped(yoke_actors *actors, struct child *child);

#endif
