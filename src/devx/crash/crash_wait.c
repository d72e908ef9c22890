#include "devx/crash/crash_wait.h"

#include "devx/crash/core_file.h"
#include "devx/debugger/direct.h"

#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { POLL_NS = 20 * 1000 * 1000 };
/* For all that its parent does beside. */
#define SLACK_NS (INT64_C(30) * 1000 * 1000 * 1000)

static struct {
    unsigned wants; /* enum crash_wait_for */
    int64_t core_bound_ns;
    pid_t parent;
    atomic_bool waiting;
    volatile int answer; /* the debugger writes it */
    volatile int owed;   /* a `quit` after that, which changes nothing here */
} wait;

void crash_wait_set(unsigned wants)
{
    wait.parent = getppid();
    wait.wants = wants;
    wait.core_bound_ns = core_file_bound_ns() + SLACK_NS;
}

unsigned crash_wait_wants(void)
{
    return wait.wants;
}

__attribute__((noinline)) struct report_wait crash_wait_begin(void)
{
    wait.answer = PAUSE_WAITING;
    atomic_store(&wait.waiting, true);
    /* Who comes is not known here, and this process does nothing any more. */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    return (struct report_wait){.answer = (uint64_t)(uintptr_t)&wait.answer,
                                .owed = (uint64_t)(uintptr_t)&wait.owed,
                                .frame = (uint64_t)(uintptr_t)__builtin_frame_address(0),
                                .wants = wait.wants};
}

/* A parent that has not been told to write cores does not look. */
static bool is_over(int64_t waited_ns)
{
    return !(wait.wants & CRASH_WAIT_DEBUGGER) && waited_ns > wait.core_bound_ns;
}

void crash_wait(void)
{
    int64_t waited = 0;
    for (; wait.answer == PAUSE_WAITING && getppid() == wait.parent && !is_over(waited); waited += POLL_NS)
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
}

void crash_wait_directly(const struct debugger_target *target)
{
    direct_debug(target, &wait.answer, NULL, NULL);
}

bool crash_wait_is_release(const siginfo_t *info)
{
    if (!atomic_load(&wait.waiting) || info->si_code != SI_USER || info->si_pid != wait.parent)
        return false;
    wait.answer = PAUSE_ABANDONED;
    return true;
}
