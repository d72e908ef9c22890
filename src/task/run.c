/*
 * A run's beginning and its end. The order of the end: the main task's error is kept, the run's own tasks are
 * cancelled and joined, posts that were accepted run, and then all that the run held goes back.
 */
#include "task/run.h"

#include "base/die.h"
#include "task/clock.h"
#include "task/pass.h"
#include "task/sanitizer.h"
#include "task/signal.h"
#include "task/token.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { DEFAULT_BUDGET = 128 };
#define DEFAULT_TASK_BYTES ((size_t)64 << 10)
#define DEFAULT_MAIN_BYTES ((size_t)8 << 20)
#ifdef YOKE_ASAN
enum { STACK_FACTOR = 4 }; /* red zones */
#else
enum { STACK_FACTOR = 1 };
#endif

void scheduler_interrupt(struct scheduler *s, int signal_number, unsigned count)
{
    s->interrupt_signal = signal_number;
    if (!s->main_task) {
        s->late_interrupts += count;
        return;
    }
    if (s->main_task->holds) {
        s->main_task->held_interrupts += count;
        return;
    }
    s->main_task->interrupts += count;
    task_deliver(s->main_task);
}

static void interrupted(void *arg, int signal_number, unsigned count)
{
    scheduler_interrupt(arg, signal_number, count);
}

/* The main task's own last words, so that its error is returned by yoke_run as it is, and not in a group. */
static yoke_error *run_main(void *arg)
{
    struct run *run = arg;
    yoke_task *task = task_here();
    run->result = run->main_fn(run->arg);
    run->result = task_join_owed(task, run->result);
    task->scheduler->late_interrupts += task->interrupts;
    return NULL;
}

void scheduler_fail(struct scheduler *s, yoke_error *e)
{
    yoke_error *reason =
        s->failure ? NULL : error_make_cancelled("cancelled: the run failed: %s", yoke_error_message(e));
    s->failure = yoke_error_join(s->failure, e);
    if (s->system)
        scope_cancel_with(&s->system->scope, reason);
    else
        yoke_error_free(reason);
}

/* Outside of any task, as posts run always. */
static void run_last_posts(struct scheduler *s)
{
    yoke_task *task = s->current;
    int saved_errno = errno;
    s->current = NULL;
    token_close(s);
    s->current = task;
    errno = saved_errno;
}

/*
 * The first task of a run. The run's own tasks live in its nursery; the main task in one inside, so that they
 * outlive it.
 */
static yoke_error *run_init(void *arg)
{
    struct run *run = arg;
    struct scheduler *s = scheduler_here;
    yoke_nursery system, inner;
    YOKE_TRY(yoke_nursery_open(&system));
    s->system = &system;
    yoke_error *e = yoke_nursery_open(&inner);
    if (!e) {
        yoke_task *main_task = task_create(s, run_main, run, "main", run->main_bytes);
        if (main_task) {
            main_task->is_main = true;
            s->main_task = main_task;
            run->around_main = &inner;
            task_begin(main_task, &inner);
        } else {
            e = yoke_raise(&YOKE_NO_MEMORY, "the main task's stack of %zu bytes", run->main_bytes);
        }
        e = yoke_nursery_close_flat(&inner, e);
        run->around_main = NULL;
        run->result = scope_absorb(&inner.scope, run->result); /* of a guest that was aborted */
    }
    yoke_nursery_cancel(&system, "the main task has ended");
    yoke_error *system_error = yoke_nursery_close(&system, NULL);
    s->system = NULL;
    run_last_posts(s);
    run->result = yoke_error_join(run->result, e);
    system_error = yoke_error_join(system_error, s->failure);
    if (system_error || s->deadlock) {
        /* The Cancelled that they sent through the main task ends here. */
        yoke_error *caused;
        yoke_error_split(&run->result, &YOKE_CANCELLED, &caused);
        yoke_error_free(caused);
        if (system_error)
            system_error = yoke_wrap(system_error, &YOKE_INTERNAL, "a task of the runtime failed");
        run->result = yoke_error_join(yoke_error_join(s->deadlock, run->result), system_error);
    } else if (yoke_error_is_cancelled(run->result)) {
        run->result = yoke_wrap(run->result, &YOKE_INTERNAL,
                                "the main task returned a Cancelled that none of its scopes had caused");
    }
    return NULL;
}

/* A ctrl-c that no checkpoint has told: the run was interrupted all the same. */
static yoke_error *tell_late_interrupts(struct scheduler *s, yoke_error *e)
{
    if (!s->late_interrupts || yoke_error_find(e, &YOKE_INTERRUPTED))
        return e;
    const char *by = scheduler_interrupt_name(s);
    if (e)
        return yoke_wrap(e, &YOKE_INTERRUPTED, "interrupted by %s", by);
    return yoke_raise(&YOKE_INTERRUPTED, "interrupted by %s", by);
}

static yoke_error *check_stack(const char *field, size_t bytes)
{
    if (bytes && (bytes < STACK_MIN_BYTES || bytes > STACK_MAX_BYTES))
        return yoke_raise(&YOKE_USAGE, "%s is %zu: a stack has 16 KiB to 1 GiB", field, bytes);
    return NULL;
}

static yoke_error *check_options(const yoke_run_options *o)
{
    YOKE_TRY(check_stack("stack_bytes", o->stack_bytes));
    YOKE_TRY(check_stack("main_stack_bytes", o->main_stack_bytes));
    if (o->budget > INT_MAX)
        return yoke_raise(&YOKE_USAGE, "budget is %u: it is positive", o->budget);
    if (o->long_step < 0)
        return yoke_raise(&YOKE_USAGE, "long_step is %lld ns: it is positive", (long long)o->long_step);
    const yoke_clock_ops *ops = o->clock ? o->clock->ops : NULL;
    if (o->clock && (!ops || !ops->now || !ops->real_until || (ops->jump_threshold && !ops->jump_to)))
        return yoke_raise(&YOKE_USAGE, "clock has not all of its functions: it was not initialised");
    return NULL;
}

/* A number in the environment, for what can be set for any program; 0 without one. */
static uint64_t from_environment(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : 0;
}

static void take_options(struct scheduler *s, const yoke_run_options *o)
{
    s->budget = o->budget ? o->budget : DEFAULT_BUDGET;
    s->task_bytes = o->stack_bytes ? o->stack_bytes : DEFAULT_TASK_BYTES * STACK_FACTOR;
    s->clock = o->clock;
    s->may_deadlock = o->may_deadlock;
    s->flat = o->flat;
    s->random = o->seed ? o->seed : from_environment("YOKE_SEED");
    if (s->random == YOKE_IN_ORDER)
        s->random = 0;
    s->chance = s->random; /* what is chosen by chance comes from the seed too */
    s->step.bound = o->long_step;
    if (!s->step.bound)
        s->step.bound = YOKE_MS(from_environment("YOKE_LONG_STEP_MS"));
}

static const char *identity_task(void *arg)
{
    struct scheduler *s = arg;
    return s->current ? s->current->name : "";
}

static const char *identity_actor(void *arg)
{
    const struct error_identity *outer = ((struct scheduler *)arg)->outer_identity;
    return outer && outer->actor ? outer->actor(outer->arg) : "";
}

/* ---- all runs of the process ---- */

struct scheduler *scheduler_runs;
static pthread_mutex_t runs_lock = PTHREAD_MUTEX_INITIALIZER;

static void note_run(struct scheduler *s)
{
    pthread_mutex_lock(&runs_lock);
    s->next_run = scheduler_runs;
    scheduler_runs = s;
    pthread_mutex_unlock(&runs_lock);
}

static void forget_run(const struct scheduler *s)
{
    pthread_mutex_lock(&runs_lock);
    struct scheduler **at = &scheduler_runs;
    while (*at && *at != s)
        at = &(*at)->next_run;
    if (*at)
        *at = s->next_run;
    pthread_mutex_unlock(&runs_lock);
}

/* ---- begin, run, end ---- */

static yoke_error *check_alone(const char *call)
{
    if (!scheduler_here)
        return NULL;
    if (!scheduler_here->current)
        return yoke_raise(&YOKE_USAGE, "%s: this thread has a run already", call);
    return yoke_raise(&YOKE_USAGE, "%s inside of yoke_run: task `%s` runs already", call,
                      scheduler_here->current->name);
}

static void init_scheduler(struct scheduler *s, const yoke_run_options *o)
{
    *s = (struct scheduler){.errno_at = &errno, .on_valgrind = RUNNING_ON_VALGRIND};
    take_options(s, o);
    list_init(&s->ready);
    s->hand = &s->ready;
    list_init(&s->pass_hooks);
    list_init(&s->walks);
    list_init(&s->idlers);
}

static yoke_error *create_first(struct run *run)
{
    struct scheduler *s = &run->scheduler;
    scope_init_outermost(&run->outermost);
    yoke_task *first = task_create(s, run_init, run, "init", s->task_bytes);
    if (!first)
        return yoke_raise(&YOKE_NO_MEMORY, "the first task's stack");
    s->first = s->at = s->current = first;
    first->scope = &run->outermost;
    list_append(&run->outermost.tasks, &first->in_scope);
    task_make_ready(first);
    s->hand = &first->turn;
    return NULL;
}

yoke_error *run_begin(struct run *run, const char *call, yoke_task_fn main_fn, void *arg,
                      const yoke_run_options *o)
{
    YOKE_TRY(check_alone(call));
    if (!main_fn)
        return yoke_raise(&YOKE_USAGE, "%s: no function", call);
    YOKE_TRY(check_options(o));
    struct scheduler *s = &run->scheduler;
    init_scheduler(s, o);
    run->main_fn = main_fn;
    run->arg = arg;
    run->main_bytes = o->main_stack_bytes ? o->main_stack_bytes : DEFAULT_MAIN_BYTES * STACK_FACTOR;
    YOKE_TRY(poller_open(&s->poller));
    pass_note_time(s);
    note_run(s);
    scheduler_here = s;
    run->identity = (struct error_identity){.actor = identity_actor, .task = identity_task, .arg = s};
    s->outer_identity = error_identity_set(&run->identity);
    yoke_error *e = create_first(run);
    if (!e)
        return NULL;
    e = run_end(run, e);
    poller_close(&s->poller);
    return e;
}

yoke_error *run_take_interrupt(struct run *run, bool *taken)
{
    return signal_watch(&run->scheduler, SIGINT, SIGNAL_ENDS, interrupted, &run->scheduler, taken);
}

bool run_enter(struct run *run)
{
    struct scheduler *s = &run->scheduler;
    yoke_task *to = s->at, *first = s->first;
    void *fake = NULL, *keep = s;
    s->host_sanitizer = sanitizer_own_fiber();
    sanitizer_leave(&fake, to->block, (size_t)((char *)to - (char *)to->block), to->sanitizer);
    switch_stack(&s->host, &to->context, &keep);
    sanitizer_arrive(fake, NULL, NULL);
    if (first->state != TASK_ENDED)
        return false;
    sanitizer_fiber_free(first->sanitizer);
    stack_give(&s->stacks, first->block, first->block_bytes);
    s->first = NULL;
    return true;
}

void run_leave(struct scheduler *s, yoke_task *task)
{
    void *keep = s;
    s->at = task;
    sanitizer_leave(&task->sanitizer, s->host_stack, s->host_stack_bytes, s->host_sanitizer);
    switch_stack(&task->context, &s->host, &keep);
    sanitizer_arrive(task->sanitizer, &s->host_stack, &s->host_stack_bytes);
}

yoke_error *run_end(struct run *run, yoke_error *e)
{
    struct scheduler *s = &run->scheduler;
    signal_unwatch_all(s);
    forget_run(s);
    scheduler_here = NULL;
    error_identity_set(s->outer_identity);
    stack_pool_free(&s->stacks);
    timer_heap_free(&s->timers);
    timer_heap_free(&s->bounds);
    return tell_late_interrupts(s, e ? e : run->result);
}

yoke_error *yoke_run(yoke_task_fn main_fn, void *arg, const yoke_run_options *options)
{
    static const yoke_run_options defaults;
    const yoke_run_options *o = options ? options : &defaults;
    struct run run = {0};
    YOKE_TRY(run_begin(&run, "yoke_run", main_fn, arg, o));
    yoke_error *e = o->ignore_interrupt ? NULL : run_take_interrupt(&run, NULL);
    if (!e)
        run_enter(&run);
    e = run_end(&run, e);
    poller_close(&run.scheduler.poller);
    return e;
}
