/* Signals: the process' dispositions, and who watches them. */
#include "task/signal.h"

#include "task/task.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

enum { SIGNAL_MAX = 65 };

static struct {
    struct scheduler *_Atomic owner;
    atomic_uint count, in_handler;
    struct sigaction earlier;
    void (*fn)(void *arg, unsigned count);
    void *arg;
} watches[SIGNAL_MAX];

static void on_signal(int number)
{
    atomic_fetch_add(&watches[number].in_handler, 1);
    struct scheduler *s = atomic_load(&watches[number].owner);
    if (s) {
        atomic_fetch_add(&watches[number].count, 1);
        atomic_store(&s->posted, true);
        poller_wake(&s->poller);
    }
    atomic_fetch_sub(&watches[number].in_handler, 1);
}

yoke_error *signal_watch(struct scheduler *s, int number, bool even_if_taken,
                         void (*fn)(void *arg, unsigned count), void *arg, bool *watching)
{
    struct scheduler *none = NULL;
    if (watching)
        *watching = false;
    if (number < 1 || number >= SIGNAL_MAX)
        return yoke_raise(&YOKE_USAGE, "%d is no signal", number);
    if (!atomic_compare_exchange_strong(&watches[number].owner, &none, s))
        return NULL;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    watches[number].fn = fn;
    watches[number].arg = arg;
    atomic_store(&watches[number].count, 0);
    if (sigaction(number, NULL, &watches[number].earlier) < 0)
        goto failed;
    if (watches[number].earlier.sa_handler != SIG_DFL && !even_if_taken) {
        atomic_store(&watches[number].owner, NULL);
        return NULL;
    }
    if (sigaction(number, &action, NULL) < 0)
        goto failed;
    if (watching)
        *watching = true;
    return NULL;
failed:
    atomic_store(&watches[number].owner, NULL);
    return yoke_raise_errno(errno, "sigaction for signal %d", number);
}

unsigned signal_unwatch(struct scheduler *s, int number)
{
    if (atomic_load(&watches[number].owner) != s)
        return 0;
    struct sigaction now;
    if (sigaction(number, NULL, &now) == 0 && now.sa_handler == on_signal)
        sigaction(number, &watches[number].earlier, NULL);
    unsigned left = atomic_exchange(&watches[number].count, 0);
    atomic_store(&watches[number].owner, NULL);
    /* Another thread may stand in the handler with `s` in its hand, and `s` is about to go. Not for ever: a
       fork may have copied the count without the thread. */
    for (int i = 0; i < 100000 && atomic_load(&watches[number].in_handler); i++)
        sched_yield();
    return left;
}

bool signal_is_watched(const struct scheduler *s, bool but_interrupt)
{
    for (int number = 1; number < SIGNAL_MAX; number++)
        if (atomic_load(&watches[number].owner) == s && !(but_interrupt && number == SIGINT))
            return true;
    return false;
}

void signal_dispatch(struct scheduler *s)
{
    for (int number = 1; number < SIGNAL_MAX; number++) {
        if (atomic_load(&watches[number].owner) != s)
            continue;
        unsigned count = atomic_exchange(&watches[number].count, 0);
        if (count)
            watches[number].fn(watches[number].arg, count);
    }
}
