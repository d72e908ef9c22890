#include "task/signal.h"

#include "task/task.h"

#include <errno.h>
#include <signal.h>

enum { SIGNAL_MAX = 65 };

static struct {
    struct scheduler *_Atomic owner;
    atomic_uint count;
    struct sigaction earlier;
    void (*fn)(void *arg, unsigned count);
    void *arg;
} watches[SIGNAL_MAX];

static void on_signal(int number)
{
    struct scheduler *s = atomic_load(&watches[number].owner);
    if (!s)
        return;
    atomic_fetch_add(&watches[number].count, 1);
    atomic_store(&s->posted, true);
    poller_wake(&s->poller);
}

yoke_error *signal_watch(struct scheduler *s, int number, bool even_if_ignored,
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
    if (watches[number].earlier.sa_handler == SIG_IGN && !even_if_ignored) {
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

void signal_unwatch(struct scheduler *s, int number)
{
    if (atomic_load(&watches[number].owner) != s)
        return;
    sigaction(number, &watches[number].earlier, NULL);
    atomic_store(&watches[number].owner, NULL);
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
