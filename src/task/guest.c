/*
 * A guest: a run on the loop of somebody else, the host. The host waits, for the guest's descriptor and till
 * its deadline, along with what it has of its own; a tick is one pass and the batch of tasks behind it. The
 * tasks do not see the difference: where a run waits by itself, in the middle of a pass, a guest's switches
 * to the host's stack, and the next tick switches back to there. So the host stands between two batches, as
 * timers, posts and signal handlers do: it may wake, cancel and spawn.
 *
 * The model is trio's guest mode; the host that drives, and needs no thread for it, is ours.
 */
#include "task/guest.h"

#include "base/die.h"
#include "base/memory.h"
#include "task/clock.h"
#include "task/pass.h"
#include "task/run.h"
#include "task/sanitizer.h"
#include "task/token.h"
#include "task/tree.h"
#include "task/walk.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

enum guest_state { GUEST_RESTS, GUEST_TICKS, GUEST_ENDED };

struct yoke_guest {
    struct run run;
    enum guest_state state;
    pthread_t thread;
    yoke_guest_ended_fn ended;
    void *ended_arg;
};

/* ---- ticks ---- */

/* True: the run is over. */
static bool enter(yoke_guest *g)
{
    int saved_errno = errno;
    g->state = GUEST_TICKS;
    bool over = run_enter(&g->run);
    g->state = over ? GUEST_ENDED : GUEST_RESTS;
    errno = saved_errno;
    return over;
}

static bool is_own_thread(const yoke_guest *g)
{
    return pthread_equal(g->thread, pthread_self());
}

static yoke_error *check_rests(const yoke_guest *g, const char *call)
{
    const yoke_task *task = task_here();
    if (!is_own_thread(g))
        return yoke_raise(&YOKE_USAGE, "%s: called on another thread than yoke_guest_start was", call);
    if (g->state == GUEST_TICKS)
        return yoke_raise(&YOKE_USAGE, "%s: called inside of a tick%s%s%s", call, task ? ", by task `" : "",
                          task ? task->name : "", task ? "`" : "");
    return NULL;
}

yoke_error *yoke_guest_tick(yoke_guest *g)
{
    YOKE_TRY(check_rests(g, "yoke_guest_tick"));
    if (g->state == GUEST_ENDED)
        return error_run_finished;
    if (enter(g))
        g->ended(g->ended_arg, run_end(&g->run, NULL)); /* which may have closed the guest */
    return NULL;
}

/* For calls that have no error to return. */
static void check_thread(const yoke_guest *g, const char *call)
{
    if (!is_own_thread(g))
        die("%s: called on another thread than yoke_guest_start was", call);
}

int yoke_guest_fd(const yoke_guest *g)
{
    return g->run.scheduler.poller.epoll_fd;
}

int64_t yoke_guest_deadline(yoke_guest *g)
{
    check_thread(g, "yoke_guest_deadline");
    struct scheduler *s = &g->run.scheduler;
    if (g->state == GUEST_ENDED)
        return YOKE_NEVER;
    if (g->state == GUEST_TICKS || pass_has_work(s))
        return 0;
    int64_t ns = idle_time(s);
    return ns > 1 ? clock_add(clock_real(), ns) : 0; /* 1: it has come */
}

void yoke_guest_abort(yoke_guest *g, const char *why)
{
    check_thread(g, "yoke_guest_abort");
    yoke_nursery *around = g->state == GUEST_ENDED ? NULL : g->run.around_main;
    if (around && !around->scope.cancel_called)
        scope_cancel_with(&around->scope, error_make_cancelled("cancelled by the host of the run%s%s",
                                                               why ? ": " : "", why ? why : ""));
}

/* ---- start ---- */

static yoke_error *take_interrupt(yoke_guest *g)
{
    bool taken;
    YOKE_TRY(run_take_interrupt(&g->run, &taken));
    if (!taken)
        yoke_log(YOKE_WARNING, "a guest was to take SIGINT, which the program has already: it is left alone");
    return NULL;
}

/* The main task is there, and has not begun; with an error (which is the caller's) it never will. */
static yoke_error *set_up(yoke_guest *g, bool interrupt)
{
    yoke_error *e = interrupt ? take_interrupt(g) : NULL;
    if (e)
        return run_end(&g->run, e);
    bool over = enter(g);
    if (!over && g->run.scheduler.main_task)
        return NULL;
    while (!over)
        over = enter(g);
    return run_end(&g->run, NULL);
}

yoke_error *yoke_guest_start(yoke_guest **guest, yoke_task_fn main_fn, void *arg, yoke_guest_ended_fn ended,
                             void *ended_arg, const yoke_guest_options *options)
{
    static const yoke_guest_options defaults;
    const yoke_guest_options *o = options ? options : &defaults;
    *guest = NULL;
    if (!ended)
        return yoke_raise(&YOKE_USAGE, "yoke_guest_start: no function for the end");
    yoke_guest *g = memory_calloc(1, sizeof *g);
    if (!g)
        return yoke_raise(&YOKE_NO_MEMORY, "a guest");
    g->ended = ended;
    g->ended_arg = ended_arg;
    g->thread = pthread_self();
    yoke_error *e = run_begin(&g->run, "yoke_guest_start", main_fn, arg, &o->run);
    if (e) {
        memory_free(g);
        return e;
    }
    g->run.scheduler.guest = g;
    /* The host counts as one who waits for descriptors: no turn of the ring goes without a pass, in which it
     * has its own; and it may wake anybody, so that no wait is a deadlock. */
    g->run.scheduler.poller.waiting++;
    e = set_up(g, o->interrupt);
    if (e) {
        poller_close(&g->run.scheduler.poller);
        memory_free(g);
        return e;
    }
    *guest = g;
    return NULL;
}

/* ---- close ---- */

static void forget_scope(yoke_scope *s)
{
    yoke_error_free(s->reason);
    if (!s->is_nursery)
        return;
    yoke_nursery *n = container_of(s, yoke_nursery, scope);
    yoke_error_free(n->cancelled);
    for (size_t i = 0; i < n->error_count; i++)
        yoke_error_free(n->errors[i]);
    if (n->errors != n->few)
        memory_free(n->errors);
}

/* Its stack goes with the others'. */
static void forget_task(const struct scheduler *s, const yoke_task *task)
{
    yoke_error_free(task->outcome);
    if (s->on_valgrind)
        VALGRIND_STACK_DEREGISTER(task->valgrind_id);
    sanitizer_fiber_free(task->sanitizer);
}

/* The tasks are on their stacks till the run ends. */
static void forget_all(struct scheduler *s)
{
    struct task_walk w;
    task_walk_begin(&w, s);
    while (task_walk_next(&w)) {
        if (w.scope)
            forget_scope(w.scope);
        else
            forget_task(s, w.task);
    }
}

/* Drops a run in its middle. */
static yoke_error *abandon(yoke_guest *g)
{
    struct scheduler *s = &g->run.scheduler;
    char *tree = tree_text(s);
    yoke_error *e = yoke_raise(&YOKE_USAGE, "yoke_guest_close: %zu tasks of the run had not ended", s->live);
    error_set_backtrace(e, tree);
    memory_free(tree);
    token_close(s);
    forget_all(s);
    yoke_error_free(s->failure);
    yoke_error *result = run_end(&g->run, NULL);
    return yoke_error_join(e, result);
}

yoke_error *yoke_guest_close(yoke_guest *g, yoke_error *e)
{
    if (!g)
        return e;
    yoke_error *wrong = check_rests(g, "yoke_guest_close");
    if (wrong)
        return yoke_error_join(e, wrong);
    if (g->state != GUEST_ENDED)
        e = yoke_error_join(e, abandon(g));
    poller_close(&g->run.scheduler.poller);
    memory_free(g);
    return e;
}

/* ---- in place of the host ---- */

bool guest_rests(void)
{
    return scheduler_here && scheduler_here->guest && scheduler_here->guest->state == GUEST_RESTS;
}

void guest_turn(int64_t most)
{
    yoke_guest *g = scheduler_here->guest;
    struct pollfd fd = {.fd = yoke_guest_fd(g), .events = POLLIN};
    int64_t deadline = yoke_guest_deadline(g), ns = deadline;
    if (deadline && deadline != YOKE_NEVER)
        ns = deadline - clock_real();
    ns = ns < 0 ? 0 : ns > most ? most : ns;
    ppoll(&fd, 1, ns == YOKE_NEVER ? NULL : &(struct timespec){ns / 1000000000, ns % 1000000000}, NULL);
    yoke_error_free(yoke_guest_tick(g));
}
