/*
 * Nobody can run. Then time decides: the next timer's; or that of a task that waits for quiet; or, with a
 * clock that jumps, that of the clock. And if nothing at all can make a task ready any more, the run is dead.
 *
 * Quiet is measured from the moment at which nobody was ready, by the real clock, over all wake-ups that made
 * nobody ready: the kernel may end a wait early.
 */
#include "base/die.h"
#include "base/error.h"
#include "base/memory.h"
#include "task/clock.h"
#include "task/pass.h"
#include "task/signal.h"
#include "task/token.h"
#include "task/tree.h"

/* ---- waiting till all tasks are blocked ---- */

struct idler {
    list link; /* in scheduler->idlers */
    yoke_task *task;
    int64_t cushion;
};

static struct idler *first_idler(struct scheduler *s)
{
    return list_empty(&s->idlers) ? NULL : container_of(s->idlers.next, struct idler, link);
}

static enum yoke_abort stop_idling(yoke_task *task, void *arg)
{
    (void)task;
    list_remove(&((struct idler *)arg)->link);
    return YOKE_ABORT_DONE;
}

yoke_error *yoke_wait_all_tasks_blocked(int64_t cushion)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_wait_all_tasks_blocked");
    if (cushion < 0)
        return yoke_raise(&YOKE_USAGE, "a cushion of %lld ns", (long long)cushion);
    YOKE_TRY(task_operation(task));
    struct idler self = {.task = task, .cushion = cushion};
    list *after = &task->scheduler->idlers;
    while (after->prev != &task->scheduler->idlers &&
           container_of(after->prev, struct idler, link)->cushion > cushion)
        after = after->prev;
    list_append(after, &self.link);
    return task_park(task, stop_idling, &self);
}

/* Those with the least cushion; for the others the quiet begins anew. */
static void wake_idlers(struct scheduler *s)
{
    int64_t cushion = first_idler(s)->cushion;
    for (struct idler *i; (i = first_idler(s)) && i->cushion == cushion;) {
        list_remove(&i->link);
        yoke_reschedule(i->task, NULL);
    }
}

/* ---- deadlock ---- */

static bool is_dead(struct scheduler *s)
{
    if (s->may_deadlock || s->timers.count || s->bounds.count || s->poller.waiting || s->answers ||
        !list_empty(&s->idlers))
        return false;
    if (!list_empty(&s->pass_hooks) || token_is_held(s))
        return false;
    if (signal_is_watched(s, true))
        return false;
    /* Who sleeps for ever waits for ctrl-c on purpose. */
    return !s->for_ever || !signal_is_watched(s, false);
}

/* Tells the tree of tasks, and cancels them all. If that wakes nobody either, there is nothing left to do. */
static void end_of_all(struct scheduler *s)
{
    char *tree = tree_text(s);
    if (s->deadlock || !s->system)
        die("deadlock: all tasks wait, and do so though they are cancelled\n%s", tree ? tree : "");
    s->deadlock = yoke_raise(&YOKE_DEADLOCK, "all tasks wait, and nothing is left that could wake one");
    error_set_backtrace(s->deadlock, tree);
    memory_free(tree);
    scope_cancel_with(&s->system->scope, error_make_cancelled("cancelled: the run is in a deadlock"));
}

/* ---- the wait ---- */

static int64_t quiet_asked_for(struct scheduler *s)
{
    if (first_idler(s))
        return first_idler(s)->cushion;
    if (s->answers || !s->timers.count)
        return YOKE_NEVER;
    return clock_jump_threshold(s);
}

static void quiet_has_lasted(struct scheduler *s)
{
    s->quiet_at = 0;
    if (first_idler(s))
        wake_idlers(s);
    else
        s->clock->ops->jump_to(s->clock, timer_earliest(&s->timers));
}

/* A host that waits asks for the timer itself, and not for what none is due before. */
static int64_t next_of(const struct scheduler *s, struct timer_heap *heap)
{
    return s->guest ? timer_earliest(heap) : timer_bound(heap);
}

/* Real ns till the next timer. */
static int64_t time_till_timer(struct scheduler *s)
{
    int64_t timer = clock_real_until(s, next_of(s, &s->timers));
    int64_t bound = s->bounds.count ? clock_ahead(next_of(s, &s->bounds), clock_real()) : YOKE_NEVER;
    return bound < timer ? bound : timer;
}

/* Real ns till the quiet, which begins now if it has not yet, has lasted. */
static int64_t time_of_quiet(struct scheduler *s, int64_t quiet)
{
    int64_t now = clock_real();
    if (!s->quiet_at)
        s->quiet_at = now;
    int64_t end = clock_add(s->quiet_at, quiet);
    return end > now ? end - now : 0;
}

int64_t idle_time(struct scheduler *s)
{
    int64_t until_timer = time_till_timer(s), quiet = quiet_asked_for(s);
    return quiet < until_timer ? time_of_quiet(s, quiet) : until_timer;
}

void idle_wait(struct scheduler *s)
{
    if (is_dead(s)) {
        end_of_all(s);
        return;
    }
    int64_t until_timer = time_till_timer(s), quiet = quiet_asked_for(s);
    if (quiet >= until_timer) {
        pass_look(s, until_timer == YOKE_NEVER ? -1 : until_timer);
        return;
    }
    pass_look(s, time_of_quiet(s, quiet));
    bool posted = atomic_load_explicit(&s->posted, memory_order_acquire);
    bool due = (s->timers.count && timer_bound(&s->timers) <= clock_now(s)) ||
               (s->bounds.count && timer_bound(&s->bounds) <= clock_real());
    if (list_empty(&s->ready) && !posted && !due && time_of_quiet(s, quiet) == 0)
        quiet_has_lasted(s);
}
