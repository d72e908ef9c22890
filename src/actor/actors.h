/* An actor nursery from inside. */
#ifndef ACTOR_ACTORS_H
#define ACTOR_ACTORS_H

#include "actor/child.h"

/* For the answer to a cancel request, where nobody asked for another. */
#define ACKNOWLEDGE_BOUND YOKE_MS(500)

struct yoke_actors {
    struct actor *actor;
    struct table_node in_actor;
    const yoke_actors *self; /* the key */
    struct root *root;       /* that it has opened and will close, or NULL */
    yoke_scope scope;
    list children;
    yoke_actors_options options;
    bool cancelled;
    int64_t cancelled_at;
    yoke_uid asker;      /* in whose name the children are cancelled */
    size_t started;      /* in all */
    size_t unreaped;     /* children */
    size_t starting;     /* tasks in the middle of a start, or waiting to begin it */
    size_t in_start;     /* those in the middle */
    list start_waiters;  /* the others */
    size_t cancelling;   /* tasks that wait in yoke_actors_cancel */
    list waiters;        /* for both to be 0 */
    yoke_error **errors; /* of children, in the order in which they came */
    size_t error_count;
    yoke_error *trouble;          /* `errors` could not be grown */
    bool failing;                 /* because of a child or of the body */
    struct buffer cancelled_with; /* struct ended_with: who was cancelled because of that */
    size_t left_out;              /* of them */
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
