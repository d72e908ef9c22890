#include "actor/interrupt.h"

#include "actor/child.h"
#include "actor/hold.h"
#include "task/signal.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Within these a signal must come to a pass of the scheduler: how long a task may go without a checkpoint. */
#define ROOT_BOUND   YOKE_S(3)
#define REPEAT_BOUND YOKE_S(1)
#define CHILD_BOUND  YOKE_MS(500)
#define QUIT_BOUND   YOKE_MS(500)
/* And within this a child that was sent SIGTERM ends, whatever its tasks do. */
#define END_BOUND YOKE_S(3)

/* ---- birth ---- */

static void let_pass(int number)
{
}

/* Handlers, not SIG_IGN: a program that user code starts here has the defaults again. */
void interrupt_birth(void)
{
    static const int numbers[] = {SIGINT, SIGHUP, SIGPIPE};
    sigset_t all;
    sigemptyset(&all);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction earlier, action = {.sa_handler = let_pass, .sa_flags = SA_RESTART};
        sigaction(numbers[i], NULL, &earlier);
        if (earlier.sa_handler != SIG_IGN) /* nohup */
            sigaction(numbers[i], &action, NULL);
        sigaddset(&all, numbers[i]);
    }
    sigprocmask(SIG_UNBLOCK, &all, NULL);
}

/* ---- the root ---- */

/* True if there is a child that is being ended. */
static bool push_children(struct actor *a)
{
    bool any = false;
    list_for_each(node, &a->children)
        any = child_push(container_of(node, struct child, in_actor)) || any;
    return any;
}

static bool escalate(struct actor *a)
{
    enum hurry before = a->hurry;
    a->hurry = before ? HURRY_KILL : HURRY_TERM;
    if (!push_children(a)) {
        a->hurry = HURRY_NONE;
        return false;
    }
    yoke_log(YOKE_WARNING, "interrupted again: the actors that have not ended get SIG%s",
             a->hurry == HURRY_KILL ? "KILL" : "TERM");
    return true;
}

static void interrupt_root(void *arg, int number, unsigned count)
{
    struct actor *a = arg;
    for (; count; count--) {
        if (a->hooks && a->hooks->root_signalled && a->hooks->root_signalled(a, number))
            continue;
        bool first = !a->ended_by;
        a->ended_by = number;
        if (first || !escalate(a))
            scheduler_interrupt(scheduler_here, number, 1);
    }
}

bool interrupt_output_is_closed(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) == 1 && out.revents & POLLERR;
}

/* A write to any pipe or socket without a reader brings this; it matters when it was to standard output. */
static void pipe_closed(void *arg, int number, unsigned count)
{
    struct actor *a = arg;
    if (a->ended_by == number || !interrupt_output_is_closed())
        return;
    a->ended_by = number;
    scheduler_interrupt(scheduler_here, number, 1);
}

static void quit(void *arg, int number, unsigned count)
{
    yoke_print_tasks(stderr);
    signal_take_default(number);
}

static yoke_error *begin_root(struct actor *a, struct scheduler *s)
{
    YOKE_TRY(signal_watch(s, SIGINT, SIGNAL_ENDS, interrupt_root, a, NULL));
    YOKE_TRY(signal_watch(s, SIGTERM, SIGNAL_ENDS, interrupt_root, a, NULL));
    YOKE_TRY(signal_watch(s, SIGHUP, SIGNAL_ENDS, interrupt_root, a, NULL));
    YOKE_TRY(signal_watch(s, SIGPIPE, SIGNAL_ENDS, pipe_closed, a, NULL));
    YOKE_TRY(signal_watch(s, SIGQUIT, SIGNAL_ENDS | SIGNAL_ONCE, quit, a, NULL));
    YOKE_TRY(signal_bound(s, SIGINT, REPEAT_BOUND, true));
    YOKE_TRY(signal_bound(s, SIGTERM, ROOT_BOUND, false));
    YOKE_TRY(signal_bound(s, SIGHUP, ROOT_BOUND, false));
    return signal_bound(s, SIGQUIT, QUIT_BOUND, false);
}

/* ---- a child ---- */

/* One of the run's own tasks: it goes with the run. */
static yoke_error *end_in_bound(void *arg)
{
    struct actor *a = arg;
    do { /* a debugger's time is not counted */
        YOKE_TRY(hold_wait_none(a));
        YOKE_TRY(yoke_sleep(END_BOUND));
    } while (hold_any(a));
    yoke_log(YOKE_CRITICAL, "this actor was sent SIGTERM, and has not ended in %lld ms: it dies of it",
             (long long)(END_BOUND / 1000000));
    signal_take_default(SIGTERM);
    return NULL;
}

static void terminate_child(void *arg, int number, unsigned count)
{
    struct actor *a = arg;
    if (!a->parent) /* it has ended already */
        return;
    if (a->cancel_called) {
        a->hurry = HURRY_TERM;
        push_children(a);
        return;
    }
    a->ended_by = number;
    yoke_log(YOKE_CANCEL, "SIG%s: actor `%s` ends", sigabbrev_np(number), a->uid.name);
    actor_cancel(a, NULL);
    yoke_error *e = yoke_spawn_system_at(__FILE__, __LINE__, "end in a bounded time", end_in_bound, a, NULL);
    if (e)
        yoke_log(YOKE_ERROR, "without a bound for its end: %s", yoke_error_message(e));
    yoke_error_free(e);
}

static yoke_error *begin_child(struct actor *a, struct scheduler *s)
{
    YOKE_TRY(signal_watch(s, SIGTERM, SIGNAL_ENDS, terminate_child, a, NULL));
    return signal_bound(s, SIGTERM, CHILD_BOUND, false);
}

yoke_error *interrupt_begin(struct actor *a)
{
    return a->is_root ? begin_root(a, scheduler_here) : begin_child(a, scheduler_here);
}

/* ---- the end ---- */

static int dies_of;

static void die_of_signal(void)
{
    if (!dies_of)
        return;
    fflush(NULL);
    signal_take_default(dies_of);
}

/* Registered before the program's own: so it runs after them. */
void interrupt_prepare_exit(void)
{
    static bool registered;
    if (!registered)
        registered = atexit(die_of_signal) == 0;
}

void interrupt_exit_by(int signal_number)
{
    dies_of = signal_number;
}
