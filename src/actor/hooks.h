/* What the floor above adds to an actor's life; handed to actor_main, so that this floor calls up through
 * pointers alone. */
#ifndef ACTOR_HOOKS_H
#define ACTOR_HOOKS_H

#include <yoke/base.h>

#include <stdbool.h>
#include <sys/types.h>

struct actor;
struct child;

/* What an error leaves: the function of an endpoint, or the app; an actor nursery; the last one of an
 * implicit root. */
enum error_leaves { ERROR_LEAVES_TASK, ERROR_LEAVES_NURSERY, ERROR_LEAVES_ROOT };

struct error_way {
    enum error_leaves what;
    /* The call that it leaves: where that returns to, and its frame. NULL: nothing of the program's is left
     * on the stack. */
    void *caller, *frame;
};

struct actor_hooks {
    /* In a child, before its runtime starts; `crash_fd` is the write end of the pipe that its parent reads
     * when it has died. */
    void (*child_begins)(int crash_fd);
    /* In the root, before its runtime starts. */
    void (*root_begins)(void);
    /* In a task of the actor, when its runtime begins; and before the actor goes, if the run goes on without
     * it. */
    yoke_error *(*runtime_begins)(struct actor *a);
    void (*runtime_ends)(struct actor *a);
    /* In a task of an actor in debug mode, which may be kept there: an error is on its way out. */
    void (*error_leaves)(struct actor *a, yoke_error *e, const struct error_way *way);
    /* In the root: a signal has come that asks it to end. True: not now. Outside of any task. */
    bool (*root_signalled)(struct actor *a, int number);
    /* In a parent: a child in debug mode is about to be started. */
    void (*debugged_child_starts)(struct actor *a);
    /* In a parent: a child is there. */
    void (*child_starts)(struct child *c);
    /* In a parent, in a task of its own, if crash_pipe_watch was called: a living child has written into its
     * crash pipe (c->crash.report). It does not end before this returns. */
    void (*child_writes)(struct child *c);
    /*
     * In a parent: a child was killed by a signal and is reaped. c->crash.report is what it left in its pipe
     * (may be empty or cut). Adds what the report tells to `e` (of kind YOKE_ACTOR_DIED): address, task,
     * backtrace, notes.
     */
    void (*child_crashed)(yoke_error *e, struct child *c);
};

#endif
