#include "devx/pause.h"

#include <errno.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

YOKE_ERROR_KIND(YOKE_DEBUGGER_QUIT, "yoke.DebuggerQuit", NULL);

enum { POLL_NS = 20 * 1000 * 1000 };

/* Written by the debugger. The whole process stands still in a pause, so there is one. */
static volatile int answer;

struct pause_request pause_begin(void *caller)
{
    answer = PAUSE_WAITING;
    return (struct pause_request){
        .pid = getpid(), .answer = (uint64_t)(uintptr_t)&answer, .caller = (uint64_t)(uintptr_t)caller};
}

yoke_error *pause_allow(pid_t debugger)
{
    /* EINVAL: a kernel without Yama, which needs no leave. */
    if (prctl(PR_SET_PTRACER, (unsigned long)debugger) == 0 || errno == EINVAL)
        return NULL;
    return yoke_raise_errno(errno, "letting process %d debug this one", (int)debugger);
}

/* Polled, and not waited for with a futex or a pipe: a debugger can write memory, and calls nothing in a
 * process that stopped anywhere. */
enum pause_answer pause_stop(bool (*abandoned)(void *arg), void *arg)
{
    while (answer == PAUSE_WAITING) {
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        if (answer == PAUSE_WAITING && abandoned(arg))
            return PAUSE_ABANDONED;
    }
    return answer == PAUSE_QUIT ? PAUSE_QUIT : PAUSE_CONTINUE;
}

yoke_error *pause_result(enum pause_answer given)
{
    return given == PAUSE_QUIT ? yoke_raise(&YOKE_DEBUGGER_QUIT, "the debugger was told to quit") : NULL;
}
