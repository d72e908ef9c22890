#include "devx/debugger/pause.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

YOKE_ERROR_KIND(YOKE_DEBUGGER_QUIT, "yoke.DebuggerQuit", NULL);

enum { POLL_NS = 20 * 1000 * 1000 };

/* Written by the debugger, for the whole process. */
static volatile int owed_quit;

struct pause_request pause_begin(volatile int *answer, void *caller, void *frame)
{
    *answer = PAUSE_WAITING;
    return (struct pause_request){.pid = getpid(),
                                  .answer = (uint64_t)(uintptr_t)answer,
                                  .owed = (uint64_t)(uintptr_t)&owed_quit,
                                  .caller = (uint64_t)(uintptr_t)caller,
                                  .frame = (uint64_t)(uintptr_t)frame};
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
enum pause_answer pause_stop(volatile int *answer, bool (*abandoned)(void *arg), void *arg)
{
    while (*answer == PAUSE_WAITING) {
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        if (*answer == PAUSE_WAITING && abandoned(arg))
            return PAUSE_ABANDONED;
    }
    return *answer == PAUSE_QUIT ? PAUSE_QUIT : PAUSE_CONTINUE;
}

__attribute__((noinline)) void pause_meets_debugger(struct pause_meeting *meeting)
{
    __asm__ volatile("" : : "r"(meeting) : "memory");
}

yoke_error *pause_result(enum pause_answer given)
{
    return given == PAUSE_QUIT ? yoke_raise(&YOKE_DEBUGGER_QUIT, "the debugger was told to quit") : NULL;
}

bool pause_owes_quit(void)
{
    bool owes = owed_quit;
    owed_quit = 0;
    return owes;
}

void pause_owe_quit(void)
{
    owed_quit = 1;
}

/* A line of proc(5), status; 0: it is not there. */
static pid_t read_status(pid_t pid, const char *field)
{
    char path[64] = "/proc/thread-self/status", text[2048];
    if (pid)
        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *at = strstr(text, field);
    return at ? (pid_t)strtol(at + strlen(field), NULL, 10) : 0;
}

void pause_debuggers(pid_t pid, pid_t who[2])
{
    who[0] = read_status(pid, "\nTracerPid:");
    who[1] = who[0] ? read_status(who[0], "\nPPid:") : 0;
}
