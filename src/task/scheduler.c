/*
 * The scheduler: one a thread, a ring of ready tasks, passes.
 *
 * A pass is what trio calls a tick: the tasks that are ready when it begins run once each, and what they make
 * ready runs in the next. There is no scheduler stack: the task that yields or parks runs the next pass
 * itself when all have run, and switches right to the next task (or goes on, if that is itself). So a yield
 * is one switch.
 *
 *   ready -> A -> B -> C -> D -> ready      a ring; `hand` is at C, which runs
 *
 * Behind the hand stand those that have had their turn, and what was made ready since, in the order in which
 * that came to be: the next pass. What is made ready now comes right before C; so when C yields, it stays
 * where it is, and is the last of the next pass so far. A yield writes nothing to the ring.
 *
 * What happens between two batches is in pass.c; a run's beginning and end in run.c.
 */
#include "task/task.h"

#include "base/die.h"
#include "base/error.h"
#include "task/pass.h"
#include "task/sanitizer.h"
#include "task/stack_info.h"
#include "task/walk.h"

#include <errno.h>
#include <signal.h>

_Thread_local struct scheduler *scheduler_here;

bool yoke_in_run(void)
{
    return scheduler_here != NULL;
}

bool yoke_in_task(void)
{
    return task_here() || (scheduler_here && scheduler_here->aborting_for);
}

yoke_task *yoke_current_task(void)
{
    return task_here();
}

yoke_error *task_outside(const char *call)
{
    if (!scheduler_here)
        return yoke_raise(&YOKE_USAGE, "%s: not inside yoke_run", call);
    if (scheduler_here->aborting)
        die("%s: called by the abort function of task `%s`, which must not block", call,
            scheduler_here->aborting->name);
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

bool task_stack_of_callback(uintptr_t sp, struct task_stack_info *out)
{
    size_t bytes;
    void *block = scheduler_here ? stack_block_at(&scheduler_here->stacks, sp, &bytes) : NULL;
    if (!block)
        return false;
    *out = (struct task_stack_info){.low = (uintptr_t)block + STACK_GUARD_BYTES,
                                    .high = (uintptr_t)block + bytes,
                                    .guard_bytes = STACK_GUARD_BYTES};
    return true;
}

size_t task_spawn_chain(struct task_spawn *out, size_t max)
{
    size_t count = 0;
    for (const yoke_task *t = task_here(); t && count < max; t = t->nursery ? t->nursery->scope.owner : NULL)
        out[count++] = (struct task_spawn){t->name, t->file, t->line};
    return count;
}

/* ---- the ring ---- */

/* Passes that look at nothing look at the time once in so many, less one. */
enum { TIME_EVERY = 255 };

/* A pass, when there is something to look at or nobody to run: most of busy tasks have neither. */
static inline list *next_pass(struct scheduler *s)
{
    bool posted = atomic_load_explicit(&s->posted, memory_order_relaxed);
    uint64_t something = s->timers.count | s->bounds.count | s->poller.waiting | s->random | posted;
    if (__builtin_expect(something || !list_empty(&s->pass_hooks) || list_empty(&s->ready), 0))
        pass(s);
    else if (__builtin_expect((++s->passes & TIME_EVERY) == 0, 0))
        pass_note_time(s);
    return s->ready.next;
}

/* Whose turn it is at `next`, a place in the ring. It is the current task from here on. */
static inline yoke_task *take_turn(struct scheduler *s, list *next)
{
    if (__builtin_expect(s->step.bound != 0, 0))
        next = pass_timed(s, next);
    else if (next == &s->ready)
        next = next_pass(s);
    yoke_task *task = container_of(next, yoke_task, turn);
    s->hand = next;
    s->operations = 0;
    s->current = task;
    return task;
}

/* ---- switching ---- */

/*
 * Lets the one at `next` run. Returns the calling task again, and changes nothing of `*s`: but both come out
 * of the switch, so that they need not be kept.
 */
static inline yoke_task *schedule(struct scheduler **s, yoke_task *self, list *next)
{
    yoke_task *to = take_turn(*s, next);
    if (to == self)
        return self;
    int saved_errno = *(*s)->errno_at;
    sanitizer_leave(&self->sanitizer, to->block, (size_t)((char *)to - (char *)to->block), to->sanitizer);
    void *keep = *s;
    self = container_of(switch_stack(&self->context, &to->context, &keep), yoke_task, context);
    *s = keep;
    sanitizer_arrive(self->sanitizer, NULL, NULL);
    *(*s)->errno_at = saved_errno;
    return self;
}

void task_yield(yoke_task *task)
{
    struct scheduler *s = task->scheduler;
    schedule(&s, task, task->turn.next);
}

yoke_error *yoke_checkpoint(void)
{
    struct scheduler *s = scheduler_here; /* and not by the task: one load less to wait for */
    yoke_task *task = s ? s->current : NULL;
    if (__builtin_expect(!task, 0))
        return task_outside("yoke_checkpoint");
    task = schedule(&s, task, task->turn.next);
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
    struct scheduler *s = task->scheduler;
    list *next = task->turn.next;
    list_unlink(&task->turn);
    task->state = TASK_PARKED;
    task->abort = abort_fn;
    task->abort_arg = arg;
    task->parked_at = s->pass_at;
    task = schedule(&s, task, next);
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
    task_wake(task, outcome);
}

const char *scheduler_interrupt_name(const struct scheduler *s)
{
    switch (s->interrupt_signal) {
    case SIGTERM:
        return "SIGTERM";
    case SIGHUP:
        return "SIGHUP";
    case SIGPIPE:
        return "SIGPIPE";
    default:
        return "ctrl-c";
    }
}

yoke_error *task_news(yoke_task *task)
{
    if (task->interrupts) {
        task->interrupts--;
        return yoke_raise(&YOKE_INTERRUPTED, "interrupted by %s", scheduler_interrupt_name(task->scheduler));
    }
    if (task->owes && !task->holds)
        return task_join_owed(task, NULL);
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

bool task_note_look(const yoke_task *task)
{
    if (task->is_watched)
        *task->look = true;
    return task->scope->effective || task_is_interrupted(task);
}

void task_owe(yoke_task *task, yoke_error *e)
{
    task->owed = yoke_error_join(task->owed, e);
    task->owes = true;
}

yoke_error *task_join_owed(yoke_task *task, yoke_error *e)
{
    yoke_error *owed = task->owed;
    task->owed = NULL;
    task->owes = false;
    return yoke_error_join(e, owed);
}

static void hold_interrupts(yoke_task *task)
{
    task->holds++;
    task->held_interrupts += task->interrupts;
    task->interrupts = 0;
}

static void release_interrupts(yoke_task *task)
{
    if (--task->holds)
        return;
    task->interrupts += task->held_interrupts;
    task->held_interrupts = 0;
}

yoke_error *task_shield_open(yoke_scope *s, yoke_scope_options o)
{
    yoke_task *task = task_here();
    o.shield = true;
    hold_interrupts(task);
    yoke_error *e = yoke_scope_open_with(s, &o);
    if (e)
        release_interrupts(task);
    return e;
}

yoke_error *task_shield_close(yoke_scope *s, yoke_error *e)
{
    e = yoke_scope_close(s, e);
    release_interrupts(task_here());
    return e;
}

void task_wait_shielded(yoke_event *event)
{
    yoke_scope shield;
    yoke_error *e = task_shield_open(&shield, (yoke_scope_options){0});
    if (!e)
        e = task_shield_close(&shield, yoke_event_wait(event));
    yoke_error_free(e);
}

void task_deliver(yoke_task *task)
{
    if (task->state != TASK_PARKED || !task->abort || !task_has_news(task))
        return;
    yoke_abort_fn abort_fn = task->abort;
    task->abort = NULL;
    struct scheduler *s = task->scheduler;
    yoke_task *caller = s->current, *outer_caller = s->aborting_for, *outer = s->aborting;
    s->current = NULL;
    s->aborting = task;
    if (caller)
        s->aborting_for = caller;
    enum yoke_abort answer = abort_fn(task, task->abort_arg);
    s->current = caller;
    s->aborting = outer;
    s->aborting_for = outer_caller;
    if (answer == YOKE_ABORT_DONE)
        yoke_reschedule(task, task_news(task));
    else if (answer != YOKE_ABORT_REFUSED)
        scheduler_fail(s, yoke_raise(&YOKE_USAGE, "the abort function of task `%s` returned %d", task->name,
                                     (int)answer));
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
 * How far below the end of its block a task lies. Blocks are aligned, so without it the same field of all
 * tasks would fall into the same few sets of the cache, and a load from the next task right after a store to
 * this one would be taken for a load of what was stored (the low 12 bits of their addresses are alike).
 */
static size_t colour(const void *block)
{
    return ((uintptr_t)block >> 16 & 7) * 192;
}

static void task_entry(void *arg);

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
    if (s->on_valgrind)
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

/* A task without a nursery is the first one: its end is the run's. */
static void __attribute__((noreturn)) leave_host(struct scheduler *s, yoke_task *last)
{
    s->live--;
    s->current = NULL;
    if (s->on_valgrind)
        VALGRIND_STACK_DEREGISTER(last->valgrind_id);
    sanitizer_leave(NULL, s->host_stack, s->host_stack_bytes, s->host_sanitizer);
    switch_for_good(&s->host, s);
}

/*
 * Asks the memory for a task whose turn will come, itself and its innermost frames, while others are at work:
 * of many that are cancelled at once each would wait for its lines of the cache, one after the other. Up to
 * LIVE_IN_CACHE tasks it would find them there. `task` may be what comes of the ring's head.
 */
enum { LIVE_IN_CACHE = 4096, LINE_BYTES = 64, FRAME_LINES = 4 };
static inline void ask_for(const struct scheduler *s, const yoke_task *task)
{
    if (__builtin_expect(s->live <= LIVE_IN_CACHE, 1))
        return;
    const char *end = (const char *)(task + 1);
    for (const char *at = (const char *)task - FRAME_LINES * LINE_BYTES; at < end; at += LINE_BYTES)
        __builtin_prefetch(at, 1);
}

/* What a task does last: tells its nursery and never returns. */
static inline __attribute__((noreturn, always_inline)) void task_end(yoke_task *task, yoke_error *e)
{
    struct scheduler *s = task->scheduler;
    yoke_nursery *n = task->nursery;
    if (n && task->scope != &n->scope)
        die("task `%s` ended with a %s open that it opened at %s:%d", task->name,
            task->scope->is_nursery ? "nursery" : "scope", task->scope->file, task->scope->line);
    if (task->breakers)
        parking_task_ended(task);
    if (__builtin_expect(task->owes, 0))
        e = task_join_owed(task, e);
    if (__builtin_expect(!list_empty(&s->walks), 0))
        task_walk_task_ends(s, task);
    list_unlink(&task->in_scope);
    task->state = TASK_ENDED;
    if (task == s->main_task)
        s->main_task = NULL;
    if (!n)
        leave_host(s, task);
    list_unlink(&task->in_nursery);
    if (e)
        nursery_child_failed(n, task, e);
    nursery_released(n);
    if (s->on_valgrind)
        VALGRIND_STACK_DEREGISTER(task->valgrind_id);
    s->live--;
    list *after = task->turn.next;
    list_unlink(&task->turn);
    yoke_task *next = take_turn(s, after);
    ask_for(s, container_of(next->turn.next->next, yoke_task, turn));
    /* From here to the switch nothing takes a stack, so this one may be given back while we stand on it. */
    void *block = task->block;
    size_t block_bytes = task->block_bytes;
#ifdef YOKE_TSAN
    sanitizer_leave(NULL, NULL, 0, next->sanitizer);
    sanitizer_fiber_free(task->sanitizer);
#else
    sanitizer_leave(NULL, next->block, (size_t)((char *)next - (char *)next->block), NULL);
#endif
    stack_give(&s->stacks, block, block_bytes);
    switch_for_good(&next->context, s);
}

/*
 * The first frame of a task. The library's part of a task's life, and the end of its stack. task_end is part
 * of it, and not called: see switch_start.
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
