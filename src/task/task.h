/* The scheduler, the task and what they share; private to the floor, and to floors above that park tasks
 * themselves. */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include "base/error.h"
#include "base/list.h"
#include "task/poller.h"
#include "task/stack.h"
#include "task/switch.h"
#include "task/timer.h"

#include <yoke/task.h>

#include <stdatomic.h>

enum task_state {
    TASK_READY, /* runs, or will: it is the scheduler's current one, or in its queue */
    TASK_PARKED,
    TASK_ENDED
};

/* Lies at the high end of its own stack's block, so that a task that only sleeps costs one page. */
struct yoke_task {
    /* A switch looks at these alone, one line of the cache. */
    struct switch_context context;
    list turn;         /* in scheduler->ready, while it is TASK_READY */
    yoke_scope *scope; /* the innermost that is open */
    union {
        struct {
            unsigned interrupts; /* ctrl-c that it has not been told of; the main task alone */
            bool is_watched;     /* `look` is set */
            bool owes;           /* `owed` is set */
        };
        uint64_t unusual; /* all in one, for a look in one load */
    };

    struct scheduler *scheduler;
    enum task_state state;
    list in_scope; /* among scope->tasks */
    yoke_error *outcome;
    yoke_abort_fn abort;
    void *abort_arg;
    int64_t parked_at; /* s->pass_at of the time: for who looks at it, not to be exact */

    yoke_nursery *nursery;
    list in_nursery;
    struct start *start; /* the pending yoke_start that it is under; start_done: it was; NULL: none */
    yoke_task_fn fn;
    void *arg;
    const char *name;
    const char *file;
    int line;
    yoke_timer sleep;
    yoke_parking_breaker *breakers; /* locks that it holds, and what else its end breaks */
    bool *look;                     /* set by each look for news: for who asserts that there is one */
    yoke_error *owed;               /* its next checkpoint returns that */
    unsigned held_interrupts;       /* those that wait till no call holds them off */
    unsigned holds;
    bool is_main, long_step_told;
    void *block;
    size_t block_bytes;
    void *sanitizer; /* ASan's fake stack, TSan's fiber */
    unsigned valgrind_id;
    void *local; /* of the floor above: the actor's context in force */
};

struct scheduler {
    yoke_task *current;  /* NULL while no task runs (a pass, an abort function) */
    list ready;          /* the ring of all that are ready, see scheduler.c; this is where a pass ends */
    list *hand;          /* in the ring: whose turn it is */
    int *errno_at;       /* of the scheduler's thread: errno without a call */
    unsigned operations; /* that the current task has completed since its turn began */
    unsigned budget;     /* how many it may, without yielding */
    uint64_t passes;
    int64_t pass_at; /* real time, when a pass has last looked at it */
    uint64_t random; /* 0: batches are not shuffled */
    struct {
        int64_t bound, begun; /* real ns; bound 0: steps are not measured */
        yoke_task *task;
    } step;
    bool looked;      /* the last pass that could look at descriptors did */
    bool on_valgrind; /* which is to be told of stacks: a request costs 20 instructions without it too */
    size_t task_bytes;
    struct timer_heap timers;
    struct timer_heap bounds; /* in real time (bound.h) */
    struct poller poller;
    struct stack_pool stacks;
    size_t live;     /* tasks */
    uint64_t chance; /* state of the generator that chooses draw from; 0: fresh */

    yoke_clock *clock; /* NULL: CLOCK_MONOTONIC, and what follows (clock.h) */
    bool frozen;
    int64_t frozen_at;  /* while it is: the run's time */
    int64_t frozen_for; /* while it is not: how long it was till now */
    list idlers;        /* who waits till all tasks are blocked, by their cushions */
    int64_t quiet_at;   /* real time since when nobody could run; 0: not yet */
    size_t answers;     /* expected from other threads: neither idle nor dead as long as there is one */
    size_t for_ever;    /* tasks in yoke_sleep_forever */
    bool may_deadlock;  /* do not look whether all tasks wait for each other */
    bool flat;          /* nurseries unwrap a group of one unless told otherwise */
    yoke_token *token;  /* or NULL: nobody has asked for it */
    yoke_error *deadlock, *failure; /* what ended the run before its time */
    yoke_task *aborting;            /* whose abort function runs, or NULL */
    yoke_task *aborting_for;        /* which task's call made it run, or NULL */

    yoke_task *main_task;
    unsigned late_interrupts; /* ctrl-c that the main task could not be told of any more */
    int interrupt_signal;     /* the last signal that interrupted it; 0: none yet */
    yoke_nursery *system;     /* of the run's own tasks, while open */
    void *above;              /* the runtime of the floor above; NULL here */
    atomic_bool posted;       /* something for the pass to look at: signals */
    list pass_hooks;
    list walks;                 /* struct task_walk, those that rest */
    struct scheduler *next_run; /* in scheduler_runs */
    yoke_task *first;           /* the root of the tree, while it lives */
    bool finished;              /* takes no more posts */
    bool blind;                 /* the kernel has failed to tell of descriptors: `failure` says so */
    struct yoke_guest *guest;   /* whose run it is; NULL: yoke_run's */
    yoke_task *at; /* of a guest, while the host has the thread: on whose stack the pass stands */
    struct switch_context host; /* the thread's own stack */
    void *host_sanitizer;
    const struct error_identity *outer_identity;
    const void *host_stack;
    size_t host_stack_bytes;
};

/* initial-exec: one load, no call, also in the shared library. */
extern _Thread_local struct scheduler *scheduler_here
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* All of this process, for a debugger, which finds them without a thread's variables. */
extern struct scheduler *scheduler_runs;

static inline yoke_task *task_here(void)
{
    return scheduler_here ? scheduler_here->current : NULL;
}

/* The runtime of the floor above on this thread, or NULL. */
static inline void *scheduler_above(void)
{
    return scheduler_here ? scheduler_here->above : NULL;
}

/* The error for a call outside of a task. */
yoke_error *task_outside(const char *call);

/* As task_has_news, for a task that has some, or whose looks are noted. */
bool task_note_look(const yoke_task *task);
/* Is a cancellation (or an interrupt) to be told to `task` now? */
static inline bool task_has_news(const yoke_task *task)
{
    return __builtin_expect(task->scope->effective || task->unusual, 0) && task_note_look(task);
}
/*
 * A shield that keeps ctrl-c out as well as cancellation: neither cuts the calling task's waits short from
 * the one to the other, and what came meanwhile is told by the next checkpoint after. For the runtime's own
 * waits; nest. close: as yoke_scope_close.
 */
YOKE_MUST_USE yoke_error *task_shield_open(yoke_scope *s, yoke_scope_options o);
YOKE_MUST_USE yoke_error *task_shield_close(yoke_scope *s, yoke_error *e);
/* Waits for it in such a scope, whatever comes. */
void task_wait_shielded(yoke_event *event);
/* Has it news that are no cancellation? */
static inline bool task_is_interrupted(const yoke_task *task)
{
    return task->interrupts || (task->owes && !task->holds);
}
/* The error to tell it by. */
yoke_error *task_news(yoke_task *task);
/* The calling task's next checkpoint returns `e`, which it takes, as one after an interrupt does. */
void task_owe(yoke_task *task, yoke_error *e);
/* For whoever hands on what a function of the program's has returned: `e`, joined with what no checkpoint of
 * `task` has told. */
YOKE_MUST_USE yoke_error *task_join_owed(yoke_task *task, yoke_error *e);
/* If the task is parked and has news, calls its abort function and, if that agrees, wakes it with the news.
 */
void task_deliver(yoke_task *task);
/* Parks without looking first: for those that have looked. abort NULL: not to be disturbed. */
yoke_error *task_park(yoke_task *task, yoke_abort_fn abort, void *arg);
void task_yield(yoke_task *task);
/* Puts a task that is in no ring into the next pass. */
static inline void task_make_ready(yoke_task *task)
{
    task->state = TASK_READY;
    list_append(task->scheduler->hand, &task->turn);
}
/* As yoke_reschedule, of a task that is known to be parked, and the scheduler's own. */
static inline void task_wake(yoke_task *task, yoke_error *outcome)
{
    task->abort = NULL;
    task->outcome = outcome;
    task_make_ready(task);
}
/*
 * How a checkpoint begins, before it looks at its own object: yields when the budget is used up, then looks.
 * Counts in a cancelled scope too, since a loop around a call that fails again and again must not keep the
 * others from running. After it, nothing may yield before the task parks: a cancellation that came meanwhile
 * would be told to nobody.
 */
static inline yoke_error *task_operation(yoke_task *task)
{
    struct scheduler *s = scheduler_here;
    if (__builtin_expect(++s->operations >= s->budget, 0))
        task_yield(task);
    return task_has_news(task) ? task_news(task) : NULL;
}

/* A list of parked tasks; the links lie on the waiters' stacks. */
struct waiter {
    list link;
    yoke_task *task;
    void *data; /* of the primitive */
};
/* Parks the calling task as the last of `waiters`, cancellable; it has looked already. The waker takes the
 * waiter out of the list. */
yoke_error *wait_in(list *waiters, void *data);
/* Takes out and wakes the first; false if there was none. */
bool wake_first(list *waiters, yoke_error *outcome);

/* The run ends with `e` (ownership passes), as after the error of one of its own tasks. */
void scheduler_fail(struct scheduler *s, yoke_error *e);
/* The main task is told of `count` signals, YOKE_INTERRUPTED at its next checkpoints. Outside of tasks. */
void scheduler_interrupt(struct scheduler *s, int signal_number, unsigned count);
/* What interrupted the run last, for a message. */
const char *scheduler_interrupt_name(const struct scheduler *s);
yoke_task *task_create(struct scheduler *s, yoke_task_fn fn, void *arg, const char *name, size_t stack_bytes);
/* A task that has not begun will begin below `top`, an address on its own stack: what lies above is kept for
 * it. */
void task_move_entry(yoke_task *task, char *top);
void task_begin(yoke_task *task, yoke_nursery *n);

/* Breaks what the task, which is ending and still the current one, holds. */
void parking_task_ended(yoke_task *task);

/* `child` (NULL: the body) has failed with `e`, which is the nursery's from here on. */
void nursery_child_failed(yoke_nursery *n, const yoke_task *child, yoke_error *e);
/* As yoke_nursery_close, but an only error comes as itself, whatever groups it has inside. */
yoke_error *nursery_close_bare(yoke_nursery *n, yoke_error *e);
static inline bool nursery_is_held(const yoke_nursery *n)
{
    return !list_empty(&n->children) || n->pending_starts;
}
/* Something that held `n` open is gone: wakes its close if that was the last. */
static inline void nursery_released(yoke_nursery *n)
{
    yoke_task *closer = n->closer;
    if (!closer || nursery_is_held(n))
        return;
    n->closer = NULL;
    task_wake(closer, NULL);
}
/* All that `from` holds, tasks and what is open in them, goes over to `to`; the opener of `from` stays where
 * it is. */
void nursery_move(yoke_nursery *from, yoke_nursery *to);

/* What task->start is when yoke_started() was called. */
extern struct start start_done;
/* Where the task goes with yoke_started(), or NULL. */
yoke_nursery *start_target(const struct start *start);

/* Cancels `s` with an error as reason (ownership passes; of kind YOKE_CANCELLED; NULL: none). */
void scope_cancel_with(yoke_scope *s, yoke_error *reason);
/* Cancels `s` as its own deadline does. */
void scope_deadline_passed(yoke_scope *s);
/* What remains of `e` when the Cancelled that is this scope's own is taken out. */
yoke_error *scope_absorb(yoke_scope *s, yoke_error *e);
/* As yoke_scope_close, also for a nursery's. */
yoke_error *scope_leave(yoke_scope *s, yoke_error *e);
/* All tasks and scopes directly in `from`, but the opener of `from`, are in `to` from here on. */
void scope_move(yoke_scope *from, yoke_scope *to);
/* The innermost scope around the calling task that a floor above has marked (s->is_marked), or, given
 * `inside`, the next one around that; NULL: none. */
yoke_scope *scope_marked(const yoke_scope *inside);
/* A scope that belongs to no task (the run's outermost). */
void scope_init_outermost(yoke_scope *s);

/*
 * Called once when the next pass begins, before it looks at descriptors, and then taken off: for what is
 * gathered during a pass and done at its end (frames that leave together). It may set itself again: for the
 * pass after that.
 */
struct pass_hook {
    list link;
    void (*fn)(struct pass_hook *hook);
    bool set;
};
void pass_hook_set(struct scheduler *s, struct pass_hook *hook);
void pass_hook_unset(struct pass_hook *hook);

#endif
