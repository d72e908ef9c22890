#include "devx/stop/signals.h"

#include "devx/debugger/terminal.h"
#include "devx/stop/lock.h"
#include "task/bound.h"

#include <signal.h>
#include <stdlib.h>

#define GRACE YOKE_S(10)

static int64_t grace(void)
{
    const char *text = getenv("YOKE_DEBUG_GRACE_MS");
    char *end;
    long long ms = text && *text ? strtoll(text, &end, 10) : -1;
    return ms >= 0 && ms < 1000000000 && !*end ? YOKE_MS(ms) : GRACE;
}

static yoke_error *close_after_grace(void *arg)
{
    struct actor *a = arg;
    YOKE_TRY(bound_sleep(grace()));
    tty_lock_close(a->tty, "the program was sent SIGTERM");
    return NULL;
}

/* One task for it, at the first; it goes with the run. */
static void begin_grace(struct actor *a)
{
    yoke_error *e =
        yoke_spawn_system_at(__FILE__, __LINE__, "grace of the debugger", close_after_grace, a, NULL);
    if (!e)
        return;
    yoke_error_free(e);
    tty_lock_close(a->tty, "the program was sent SIGTERM");
}

static bool terminated(struct actor *a, const struct tty_request *holder)
{
    if (a->ended_by) {
        tty_lock_close(a->tty, "the program was sent SIGTERM again");
        return true;
    }
    terminal_say(holder->debugger,
                 "SIGTERM: the program ends when `%s/%s` has left the debugger, in %lld s at most",
                 holder->actor, holder->task, (long long)((grace() + YOKE_S(1) - 1) / YOKE_S(1)));
    begin_grace(a);
    return false;
}

bool signals_at_prompt(struct actor *a, int number)
{
    struct tty_lock *lock = a->tty;
    if (!lock || lock->closed)
        return false;
    while (tty_lock_reclaim(lock))
        ;
    const struct tty_request *holder = lock->holder;
    if (!holder)
        return false;
    if (number == SIGTERM)
        return terminated(a, holder);
    if (number == SIGHUP) {
        tty_lock_close(lock, "the terminal has gone (SIGHUP)");
        return false;
    }
    terminal_say(holder->debugger, "ctrl-c: `%s/%s` has the debugger: it does not end the program",
                 holder->actor, holder->task);
    return true;
}
