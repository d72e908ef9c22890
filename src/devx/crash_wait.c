#include "devx/crash_wait.h"

#include "devx/direct.h"

#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { POLL_NS = 20 * 1000 * 1000 };

static struct {
    bool on;
    pid_t parent;
    atomic_bool waiting;
    volatile int answer; /* the debugger writes it */
    volatile int owed;   /* a `quit` after that, which changes nothing here */
} wait;

void crash_wait_set(bool on)
{
    wait.parent = getppid();
    wait.on = on;
}

bool crash_wait_is_on(void)
{
    return wait.on;
}

__attribute__((noinline)) struct report_wait crash_wait_begin(void)
{
    wait.answer = PAUSE_WAITING;
    atomic_store(&wait.waiting, true);
    /* Who comes is not known here, and this process does nothing any more. */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    return (struct report_wait){.answer = (uint64_t)(uintptr_t)&wait.answer,
                                .owed = (uint64_t)(uintptr_t)&wait.owed,
                                .frame = (uint64_t)(uintptr_t)__builtin_frame_address(0)};
}

void crash_wait(void)
{
    while (wait.answer == PAUSE_WAITING && getppid() == wait.parent)
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
}

void crash_wait_directly(const struct debugger_target *target)
{
    direct_debug(target, &wait.answer);
}

bool crash_wait_is_release(const siginfo_t *info)
{
    if (!atomic_load(&wait.waiting) || info->si_code != SI_USER || info->si_pid != wait.parent)
        return false;
    wait.answer = PAUSE_ABANDONED;
    return true;
}
