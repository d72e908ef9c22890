/* Signals: the process' dispositions, and who watches them. */
#include "task/signal.h"

#include "task/clock.h"
#include "task/task.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SIGNAL_MAX = 65 };

static struct watch {
    struct scheduler *_Atomic owner;
    atomic_uint count, in_handler;
    struct sigaction earlier;
    unsigned flags;
    signal_fn fn;
    void *arg;
    pid_t pid;             /* a fork has the handler, but not the scheduler's thread */
    int64_t bound;         /* 0: none */
    _Atomic int64_t since; /* when the first of `count` came */
    bool has_timer;
    timer_t timer; /* sends the signal again at the bound */
    signal_overdue_fn overdue;
    pthread_t thread;        /* the scheduler's */
    _Atomic uint64_t queued; /* by whom and with which value: pid << 32 | value */
} watches[SIGNAL_MAX];

static void (*_Atomic before_default)(void);

void signal_before_default(void (*fn)(void))
{
    atomic_store(&before_default, fn);
}

void signal_take_default(int number)
{
    sigset_t only;
    void (*before)(void) = atomic_load(&before_default);
    if (before)
        before();
    signal(number, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, number);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    raise(number);
}

static void set_timer(const struct watch *w, int64_t ns)
{
    struct itimerspec at = {.it_value = {ns / 1000000000, ns % 1000000000}};
    if (w->has_timer)
        timer_settime(w->timer, 0, &at, NULL);
}

static bool is_overdue(const struct watch *w)
{
    return w->bound && atomic_load(&w->count) && clock_real() - atomic_load(&w->since) >= w->bound;
}

/* The log speaks from here too: it takes no lock, and allocates nothing. */
static void give_up(const struct watch *w, const struct scheduler *s, int number)
{
    const char *name = sigabbrev_np(number);
    yoke_log(YOKE_CRITICAL, "task `%s` has come to no checkpoint for %lld ms: SIG%s ends this process",
             s->current ? s->current->name : "", (long long)(w->bound / 1000000), name ? name : "?");
    signal_take_default(number);
}

static void count_one(struct watch *w, struct scheduler *s)
{
    if (atomic_fetch_add(&w->count, 1) == 0) {
        atomic_store(&w->since, clock_real());
        set_timer(w, w->bound);
    }
    atomic_store(&s->posted, true);
    poller_wake(&s->poller);
}

/* Signals come to any thread; what is to be seen is on the scheduler's. */
static void call_overdue(const struct watch *w, const struct scheduler *s, int number, void *context)
{
    if (scheduler_here == s)
        w->overdue(number, context);
    else
        pthread_kill(w->thread, number);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct watch *w = &watches[number];
    int saved_errno = errno;
    atomic_fetch_add(&w->in_handler, 1);
    struct scheduler *s = atomic_load(&w->owner);
    if (info->si_code == SI_QUEUE)
        atomic_store(&w->queued, (uint64_t)(uint32_t)info->si_pid << 32 | (uint32_t)info->si_value.sival_int);
    if (s && w->pid != getpid())
        signal_take_default(number);
    else if (s && is_overdue(w) && w->overdue)
        call_overdue(w, s, number, context);
    else if (s && is_overdue(w))
        give_up(w, s, number);
    else if (s && info->si_code != SI_TIMER)
        count_one(w, s);
    atomic_fetch_sub(&w->in_handler, 1);
    errno = saved_errno;
}

static bool is_ours(const struct sigaction *action)
{
    return action->sa_flags & SA_SIGINFO && action->sa_sigaction == on_signal;
}

/* Sets the handler; false: somebody has the signal already. */
static yoke_error *take_over(struct watch *w, int number, bool *taken)
{
    int flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO | (w->flags & SIGNAL_ONCE ? (int)SA_RESETHAND : 0);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    *taken = false;
    if (sigaction(number, NULL, &w->earlier) < 0)
        return yoke_raise_errno(errno, "sigaction for signal %d", number);
    if (w->earlier.sa_handler != SIG_DFL && !(w->flags & SIGNAL_EVEN_IF_TAKEN))
        return NULL;
    *taken = sigaction(number, &action, NULL) == 0;
    return *taken ? NULL : yoke_raise_errno(errno, "sigaction for signal %d", number);
}

yoke_error *signal_watch(struct scheduler *s, int number, unsigned flags, signal_fn fn, void *arg,
                         bool *watching)
{
    struct scheduler *none = NULL;
    if (watching)
        *watching = false;
    if (number < 1 || number >= SIGNAL_MAX)
        return yoke_raise(&YOKE_USAGE, "%d is no signal", number);
    struct watch *w = &watches[number];
    if (!atomic_compare_exchange_strong(&w->owner, &none, s))
        return NULL;
    w->flags = flags;
    w->fn = fn;
    w->arg = arg;
    w->pid = getpid();
    w->bound = 0;
    w->overdue = NULL;
    w->thread = pthread_self();
    atomic_store(&w->queued, 0);
    atomic_store(&w->count, 0);
    bool taken;
    yoke_error *e = take_over(w, number, &taken);
    if (!taken)
        atomic_store(&w->owner, NULL);
    if (watching)
        *watching = taken;
    return e;
}

yoke_error *signal_bound(struct scheduler *s, int number, int64_t bound, bool if_repeated)
{
    struct watch *w = &watches[number];
    if (atomic_load(&w->owner) != s)
        return NULL;
    struct sigevent again = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
    if (!if_repeated && timer_create(CLOCK_MONOTONIC, &again, &w->timer) < 0)
        return yoke_raise_errno(errno, "a timer for signal %d", number);
    w->has_timer = !if_repeated;
    w->bound = bound;
    return NULL;
}

void signal_overdue(struct scheduler *s, int number, signal_overdue_fn fn)
{
    if (atomic_load(&watches[number].owner) == s)
        watches[number].overdue = fn;
}

pid_t signal_last_queued(int number, union sigval *value)
{
    uint64_t queued = atomic_exchange(&watches[number].queued, 0);
    value->sival_int = (int)(uint32_t)queued;
    return (pid_t)(queued >> 32);
}

unsigned signal_unwatch(struct scheduler *s, int number)
{
    struct watch *w = &watches[number];
    if (atomic_load(&w->owner) != s)
        return 0;
    struct sigaction current;
    bool once = w->flags & SIGNAL_ONCE;
    if (sigaction(number, NULL, &current) == 0 &&
        (is_ours(&current) || (once && current.sa_handler == SIG_DFL)))
        sigaction(number, &w->earlier, NULL);
    if (w->has_timer)
        timer_delete(w->timer);
    w->has_timer = false;
    unsigned left = atomic_exchange(&w->count, 0);
    atomic_store(&w->owner, NULL);
    /* Another thread may stand in the handler with `s` in its hand, and `s` is about to go. Not for ever: a
       fork may have copied the count without the thread. */
    for (int i = 0; i < 100000 && atomic_load(&w->in_handler); i++)
        sched_yield();
    return left;
}

void signal_unwatch_all(struct scheduler *s)
{
    for (int number = 1; number < SIGNAL_MAX; number++) {
        struct watch *w = &watches[number];
        unsigned count = signal_unwatch(s, number);
        if (count && w->flags & SIGNAL_ENDS)
            w->fn(w->arg, number, count);
    }
}

bool signal_is_watched(const struct scheduler *s, bool but_ends)
{
    for (int number = 1; number < SIGNAL_MAX; number++)
        if (atomic_load(&watches[number].owner) == s && !(but_ends && watches[number].flags & SIGNAL_ENDS))
            return true;
    return false;
}

void signal_dispatch(struct scheduler *s)
{
    for (int number = 1; number < SIGNAL_MAX; number++) {
        struct watch *w = &watches[number];
        if (atomic_load(&w->owner) != s)
            continue;
        unsigned count = atomic_exchange(&w->count, 0);
        if (!count)
            continue;
        set_timer(w, 0);
        w->fn(w->arg, number, count);
    }
}
