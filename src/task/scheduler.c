/*
 * The scheduler: one a thread, a queue of ready tasks, passes.
 *
 * A pass is what trio calls a tick: the tasks that are ready when it begins run once each, and what they make
 * ready runs in the next. There is no scheduler stack: the task that yields or parks runs the next pass
 * itself when the batch is used up, and switches right to the next task (or goes on, if that is itself). So a
 * yield is one switch.
 *
 * What a pass looks at costs system calls, so it looks at
 *   timers        whenever one is set (a clock read),
 *   descriptors   when a task waits for one, in each pass that follows one which has not looked,
 *   posts         always: a flag in memory, for signals,
 * which serves what is due in the second pass at the latest, and lets tasks that only pass items to each
 * other run undisturbed.
 */
#include "task/task.h"

#include "base/die.h"
#include "base/error.h"
#include "task/sanitizer.h"
#include "task/signal.h"
#include "task/stack_info.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

_Thread_local struct scheduler *scheduler_here;

enum { DEFAULT_BUDGET = 128 };
#define DEFAULT_TASK_BYTES ((size_t)64 << 10)
#define DEFAULT_MAIN_BYTES ((size_t)8 << 20)
#ifdef YOKE_ASAN
enum { STACK_FACTOR = 4 }; /* red zones */
#else
enum { STACK_FACTOR = 1 };
#endif

int64_t yoke_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

bool yoke_in_run(void)
{
    return scheduler_here != NULL;
}

bool yoke_in_task(void)
{
    return task_here() != NULL;
}

yoke_task *yoke_current_task(void)
{
    return task_here();
}

yoke_error *task_outside(const char *call)
{
    if (!scheduler_here)
        return yoke_raise(&YOKE_USAGE, "%s: not inside yoke_run", call);
    return yoke_raise(&YOKE_USAGE, "%s: not inside a task", call);
}

bool task_stack_info(struct task_stack_info *out)
{
    yoke_task *task = task_here();
    if (!task)
        return false;
    *out = (struct task_stack_info){
        .task = task->name,
        .spawn_file = task->file,
        .spawn_line = task->line,
        .low = (uintptr_t)task->block + STACK_GUARD_BYTES,
        .high = (uintptr_t)task,
        .guard_bytes = STACK_GUARD_BYTES,
    };
    return true;
}

/* ---- the run queue ---- */

/* At the end of the next batch. */
static inline void append(struct scheduler *s, yoke_task *task)
{
    task->next_ready = NULL;
    *s->ready_end = task;
    s->ready_end = &task->next_ready;
}

void task_make_ready(yoke_task *task)
{
    task->state = TASK_READY;
    append(task->scheduler, task);
}

/* ---- a pass ---- */

void pass_hook_set(struct scheduler *s, struct pass_hook *hook)
{
    if (hook->set)
        return;
    hook->set = true;
    list_append(&s->pass_hooks, &hook->link);
}

void pass_hook_unset(struct pass_hook *hook)
{
    if (hook->set)
        list_remove(&hook->link);
    hook->set = false;
}

static void run_hooks(struct scheduler *s)
{
    list due;
    list_init(&due);
    list_splice(&due, &s->pass_hooks);
    while (!list_empty(&due)) {
        struct pass_hook *hook = container_of(list_pop(&due), struct pass_hook, link);
        hook->set = false;
        hook->fn(hook);
    }
}

/* Ctrl-c is the main task's. */
static void interrupted(void *arg, unsigned count)
{
    struct scheduler *s = arg;
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

static int64_t time_to_wait(struct scheduler *s)
{
    int64_t earliest = timer_earliest(&s->timers);
    if (earliest == YOKE_NEVER)
        return -1;
    int64_t now = yoke_now();
    /* One nanosecond at least: zero would only look, and the loop in pass would spin till the clock has
     * moved. */
    return earliest > now ? earliest - now : 1;
}

static void look(struct scheduler *s, int64_t timeout)
{
    s->looked = true;
    yoke_error *e = poller_wait(&s->poller, timeout);
    if (e) {
        char *text = yoke_error_text(e);
        die("the scheduler can't wait for descriptors: %s", text ? text : "");
    }
}

static void __attribute__((noinline)) pass(struct scheduler *s)
{
    int saved_errno = *s->errno_at; /* of the task on whose stack this runs */
    s->current = NULL;
    s->passes++;
    /* A message wakes the channel's task in one pass and its reader in the next: a look between the two would
     * be a system call a message. */
    bool looked = s->looked;
    s->looked = false;
    for (;;) {
        if (!list_empty(&s->pass_hooks))
            run_hooks(s);
        bool idle = !s->ready;
        if (idle && !atomic_load_explicit(&s->posted, memory_order_acquire))
            look(s, time_to_wait(s));
        else if (s->poller.waiting && !looked)
            look(s, 0);
        if (atomic_load_explicit(&s->posted, memory_order_acquire)) {
            atomic_store(&s->posted, false);
            signal_dispatch(s);
        }
        if (s->timers.count)
            timer_fire_due(&s->timers, yoke_now());
        if (s->ready)
            break;
    }
    *s->errno_at = saved_errno;
}

/* The next batch, when there is nothing to look at and somebody to run: most passes of busy tasks. */
static inline yoke_task *next_batch(struct scheduler *s)
{
    bool something = s->timers.count || s->poller.waiting || !list_empty(&s->pass_hooks) ||
                     atomic_load_explicit(&s->posted, memory_order_relaxed);
    if (__builtin_expect(something || !s->ready, 0))
        pass(s);
    else
        s->passes++;
    yoke_task *first = s->ready;
    s->ready = NULL;
    s->ready_end = &s->ready;
    return first;
}

static inline yoke_task *take_ready(struct scheduler *s)
{
    yoke_task *task = s->batch;
    if (!task)
        task = next_batch(s);
    s->batch = task->next_ready;
    task->budget = s->budget;
    return task;
}

/* ---- switching ---- */

static inline void switch_task(struct scheduler *s, yoke_task *from, yoke_task *to)
{
    int saved_errno = *s->errno_at;
    s->current = to;
    sanitizer_leave(&from->sanitizer, to->block, (size_t)((char *)to - (char *)to->block), to->sanitizer);
    switch_stack(&from->context, &to->context);
    sanitizer_arrive(from->sanitizer, NULL, NULL);
    *s->errno_at = saved_errno;
}

/* The calling task has put itself wherever it is to be found, and lets the next one run. */
static inline void schedule(struct scheduler *s, yoke_task *self)
{
    yoke_task *next = take_ready(s);
    if (next == self)
        s->current = self;
    else
        switch_task(s, self, next);
}

static inline void yield(struct scheduler *s, yoke_task *task)
{
    append(s, task);
    schedule(s, task);
}

void task_yield(yoke_task *task)
{
    yield(task->scheduler, task);
}

yoke_error *yoke_checkpoint(void)
{
    struct scheduler *s = scheduler_here; /* and not by the task: one load less to wait for */
    yoke_task *task = s ? s->current : NULL;
    if (__builtin_expect(!task, 0))
        return task_outside("yoke_checkpoint");
    yield(s, task);
    return task_has_news(task) ? task_news(task) : NULL;
}

yoke_error *yoke_checkpoint_if_cancelled(void)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_checkpoint_if_cancelled");
    if (!task_has_news(task))
        return NULL;
    task_yield(task);
    return task_has_news(task) ? task_news(task) : NULL; /* another task may have raised a shield */
}

yoke_error *yoke_cancel_shielded_checkpoint(void)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_cancel_shielded_checkpoint");
    task_yield(task);
    return NULL;
}

/* ---- parking ---- */

yoke_error *task_park(yoke_task *task, yoke_abort_fn abort_fn, void *arg)
{
    task->state = TASK_PARKED;
    task->abort = abort_fn;
    task->abort_arg = arg;
    schedule(task->scheduler, task);
    yoke_error *outcome = task->outcome;
    task->outcome = NULL;
    return outcome;
}

yoke_error *yoke_park(yoke_abort_fn abort_fn, void *arg)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_park");
    /* No yield here: whoever is to wake the task may know of it already. */
    if (task_has_news(task))
        return task_news(task);
    return task_park(task, abort_fn, arg);
}

void yoke_reschedule(yoke_task *task, yoke_error *outcome)
{
    if (task->scheduler != scheduler_here)
        die("yoke_reschedule: called on another thread than that of task `%s`", task->name);
    if (task->state != TASK_PARKED)
        die("yoke_reschedule: task `%s` is not parked", task->name);
    task->abort = NULL;
    task->outcome = outcome;
    task_make_ready(task);
}

yoke_error *task_news(yoke_task *task)
{
    if (task->interrupts) {
        task->interrupts--;
        return yoke_raise(&YOKE_INTERRUPTED, "interrupted by ctrl-c");
    }
    /* The outermost cancelled scope, up to the first shield, is the one that will absorb it: its reason is
     * told. */
    yoke_scope *why = NULL;
    for (yoke_scope *s = task->scope; s; s = s->parent) {
        if (s->cancel_called)
            why = s;
        if (s->shield)
            break;
    }
    return why && why->reason ? yoke_error_dup(why->reason) : error_cancelled;
}

void task_hold_interrupts(yoke_task *task)
{
    task->holds++;
    task->held_interrupts += task->interrupts;
    task->interrupts = 0;
}

void task_release_interrupts(yoke_task *task)
{
    if (--task->holds)
        return;
    task->interrupts += task->held_interrupts;
    task->held_interrupts = 0;
}

void task_deliver(yoke_task *task)
{
    if (task->state != TASK_PARKED || !task->abort || !task_has_news(task))
        return;
    yoke_abort_fn abort_fn = task->abort;
    task->abort = NULL;
    struct scheduler *s = task->scheduler;
    yoke_task *caller = s->current;
    s->current = NULL;
    enum yoke_abort answer = abort_fn(task, task->abort_arg);
    s->current = caller;
    if (answer == YOKE_ABORT_DONE)
        yoke_reschedule(task, task_news(task));
}

/* ---- lists of parked tasks ---- */

static enum yoke_abort leave_list(yoke_task *task, void *arg)
{
    (void)task;
    struct waiter *w = arg;
    list_remove(&w->link);
    return YOKE_ABORT_DONE;
}

yoke_error *wait_in(list *waiters, void *data)
{
    struct waiter w = {.task = task_here(), .data = data};
    list_append(waiters, &w.link);
    return task_park(w.task, leave_list, &w);
}

bool wake_first(list *waiters, yoke_error *outcome)
{
    if (list_empty(waiters))
        return false;
    yoke_reschedule(container_of(list_pop(waiters), struct waiter, link)->task, outcome);
    return true;
}

/* ---- tasks ---- */

/*
 * The first frame of a task. The library's part of a task's life, and the end of its stack.
 */
static void task_entry(void *arg)
{
    yoke_task *task = arg;
    const void *host_low = NULL;
    size_t host_bytes = 0;
    sanitizer_arrive(NULL, &host_low, &host_bytes);
    if (!task->scheduler->host_stack) {
        task->scheduler->host_stack = host_low;
        task->scheduler->host_stack_bytes = host_bytes;
    }
    task_end(task, task->fn(task->arg));
}

/*
 * How far below the end of its block a task lies. Blocks are aligned, so without it the same field of all
 * tasks would fall into the same few sets of the cache, and a load from the next task right after a store to
 * this one would be taken for a load of what was stored (the low 12 bits of their addresses are alike).
 */
static size_t colour(const void *block)
{
    return ((uintptr_t)block >> 16 & 7) * 192;
}

yoke_task *task_create(struct scheduler *s, yoke_task_fn fn, void *arg, const char *name, size_t stack_bytes)
{
    size_t block_bytes;
    void *block = stack_take(&s->stacks, stack_bytes ? stack_bytes : s->task_bytes, &block_bytes);
    if (!block)
        return NULL;
    yoke_task *task = (yoke_task *)(((uintptr_t)block + block_bytes - sizeof(yoke_task) - 8 - colour(block)) &
                                    ~(uintptr_t)63);
    *task = (yoke_task){
        .scheduler = s,
        .state = TASK_PARKED,
        .budget = s->budget,
        .fn = fn,
        .arg = arg,
        .name = name,
        .file = "",
        .block = block,
        .block_bytes = block_bytes,
        .sanitizer = sanitizer_fiber(),
    };
    void *low = (char *)block + STACK_GUARD_BYTES;
    sanitizer_stack_clean(low, (size_t)((char *)task - (char *)low));
    task->valgrind_id = VALGRIND_STACK_REGISTER(low, task);
    switch_prepare(&task->context, low, task, task_entry, task);
    s->live++;
    return task;
}

void task_move_entry(yoke_task *task, char *top)
{
    switch_prepare(&task->context, (char *)task->block + STACK_GUARD_BYTES, top, task_entry, task);
}

void task_begin(yoke_task *task, yoke_nursery *n)
{
    task->nursery = n;
    n->spawned++;
    list_append(&n->children, &task->in_nursery);
    task->scope = &n->scope;
    list_append(&n->scope.tasks, &task->in_scope);
    task_make_ready(task);
}

static void leave_host(struct scheduler *s, yoke_task *last) __attribute__((noreturn));

void task_end(yoke_task *task, yoke_error *e)
{
    struct scheduler *s = task->scheduler;
    yoke_nursery *n = task->nursery;
    if (n && task->scope != &n->scope)
        die("task `%s` ended with a %s open that it opened at %s:%d", task->name,
            task->scope->is_nursery ? "nursery" : "scope", task->scope->file, task->scope->line);
    if (task->breakers)
        parking_task_ended(task);
    list_remove(&task->in_scope);
    task->state = TASK_ENDED;
    if (task == s->main_task)
        s->main_task = NULL;
    if (!n)
        leave_host(s, task);
    list_remove(&task->in_nursery);
    nursery_child_ended(n, task, e);
    VALGRIND_STACK_DEREGISTER(task->valgrind_id);
    s->live--;
    yoke_task *next = take_ready(s);
    s->current = next;
    /* From here to the switch nothing takes a stack, so this one may be given back while we stand on it. */
    void *block = task->block;
    size_t block_bytes = task->block_bytes;
#ifdef YOKE_TSAN
    sanitizer_leave(NULL, NULL, 0, next->sanitizer);
    sanitizer_fiber_free(task->sanitizer);
#else
    sanitizer_leave(NULL, next->block, (size_t)((char *)next - (char *)next->block), NULL);
#endif
    struct switch_context nowhere;
    stack_give(&s->stacks, block, block_bytes);
    switch_stack(&nowhere, &next->context);
    __builtin_unreachable();
}

/* ---- the run ---- */

struct run {
    yoke_task_fn main_fn;
    void *arg;
    size_t main_bytes;
    yoke_error *result;
};

/* The main task's own last words, so that its error is returned by yoke_run as it is, and not in a group. */
static yoke_error *run_main(void *arg)
{
    struct run *run = arg;
    run->result = run->main_fn(run->arg);
    yoke_task *task = task_here();
    task->scheduler->late_interrupts += task->interrupts;
    return NULL;
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
            task_begin(main_task, &inner);
        } else {
            e = yoke_raise(&YOKE_NO_MEMORY, "the main task's stack of %zu bytes", run->main_bytes);
        }
        e = yoke_nursery_close_flat(&inner, e);
    }
    yoke_nursery_cancel(&system, "the main task has ended");
    yoke_error *system_error = yoke_nursery_close(&system, NULL);
    s->system = NULL;
    run->result = yoke_error_join(run->result, e);
    if (system_error) {
        /* The Cancelled that it sent through the main task ends here. */
        yoke_error *caused;
        yoke_error_split(&run->result, &YOKE_CANCELLED, &caused);
        yoke_error_free(caused);
        system_error = yoke_wrap(system_error, &YOKE_INTERNAL, "a task of the runtime failed");
        run->result = yoke_error_join(run->result, system_error);
    } else if (yoke_error_is_cancelled(run->result)) {
        run->result = yoke_wrap(run->result, &YOKE_INTERNAL,
                                "the main task returned a Cancelled that none of its scopes had caused");
    }
    return NULL;
}

/* A task without a nursery is the first one: its end is the run's. */
static void leave_host(struct scheduler *s, yoke_task *last)
{
    s->live--;
    s->current = NULL;
    VALGRIND_STACK_DEREGISTER(last->valgrind_id);
    sanitizer_leave(NULL, s->host_stack, s->host_stack_bytes, s->host_sanitizer);
    switch_stack(&last->context, &s->host);
    __builtin_unreachable();
}

/* A ctrl-c that no checkpoint has told: the run was interrupted all the same. */
static yoke_error *tell_late_interrupts(struct scheduler *s, yoke_error *e)
{
    if (!s->late_interrupts || yoke_error_find(e, &YOKE_INTERRUPTED))
        return e;
    if (e)
        return yoke_wrap(e, &YOKE_INTERRUPTED, "interrupted by ctrl-c");
    return yoke_raise(&YOKE_INTERRUPTED, "interrupted by ctrl-c");
}

static yoke_error *check_stack(const char *field, size_t bytes)
{
    if (bytes && (bytes < STACK_MIN_BYTES || bytes > STACK_MAX_BYTES))
        return yoke_raise(&YOKE_USAGE, "%s is %zu: a stack has 16 KiB to 1 GiB", field, bytes);
    return NULL;
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

yoke_error *yoke_run(yoke_task_fn main_fn, void *arg, const yoke_run_options *options)
{
    static const yoke_run_options defaults;
    const yoke_run_options *o = options ? options : &defaults;
    if (scheduler_here)
        return yoke_raise(&YOKE_USAGE, "yoke_run inside of yoke_run: task `%s` runs already",
                          scheduler_here->current ? scheduler_here->current->name : "");
    if (!main_fn)
        return yoke_raise(&YOKE_USAGE, "yoke_run: no function");
    YOKE_TRY(check_stack("stack_bytes", o->stack_bytes));
    YOKE_TRY(check_stack("main_stack_bytes", o->main_stack_bytes));

    struct scheduler s = {
        .budget = o->budget ? o->budget : DEFAULT_BUDGET,
        .task_bytes = o->stack_bytes ? o->stack_bytes : DEFAULT_TASK_BYTES * STACK_FACTOR,
    };
    s.errno_at = &errno;
    s.ready_end = &s.ready;
    list_init(&s.pass_hooks);
    struct run run = {.main_fn = main_fn,
                      .arg = arg,
                      .main_bytes =
                          o->main_stack_bytes ? o->main_stack_bytes : DEFAULT_MAIN_BYTES * STACK_FACTOR};
    YOKE_TRY(poller_open(&s.poller));
    scheduler_here = &s;
    struct error_identity identity = {.actor = identity_actor, .task = identity_task, .arg = &s};
    s.outer_identity = error_identity_set(&identity);
    yoke_error *e = o->ignore_interrupt ? NULL : signal_watch(&s, SIGINT, false, interrupted, &s, NULL);
    yoke_scope outermost;
    scope_init_outermost(&outermost);
    yoke_task *first = e ? NULL : task_create(&s, run_init, &run, "init", s.task_bytes);
    if (!e && !first)
        e = yoke_raise(&YOKE_NO_MEMORY, "the first task's stack");
    if (first) {
        first->scope = &outermost;
        list_append(&outermost.tasks, &first->in_scope);
        first->state = TASK_READY;
        s.current = first;
        s.host_sanitizer = sanitizer_own_fiber();
        void *fake = NULL;
        sanitizer_leave(&fake, first->block, (size_t)((char *)first - (char *)first->block),
                        first->sanitizer);
        switch_stack(&s.host, &first->context);
        sanitizer_arrive(fake, NULL, NULL);
        sanitizer_fiber_free(first->sanitizer);
        stack_give(&s.stacks, first->block, first->block_bytes);
    }
    if (!o->ignore_interrupt)
        s.late_interrupts += signal_unwatch(&s, SIGINT);
    scheduler_here = NULL;
    error_identity_set(s.outer_identity);
    stack_pool_free(&s.stacks);
    timer_heap_free(&s.timers);
    poller_close(&s.poller);
    return tell_late_interrupts(&s, e ? e : run.result);
}
