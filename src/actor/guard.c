#include "actor/guard.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

void guard_birth(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getppid() != parent)
        _exit(1);
}

static void *watch(void *arg)
{
    struct pollfd parent = {.fd = (int)(intptr_t)arg, .events = POLLIN};
    while (poll(&parent, 1, -1) < 0 && errno == EINTR)
        ;
    struct timespec bound = {0, GUARD_BOUND};
    while (nanosleep(&bound, &bound) < 0 && errno == EINTR)
        ;
    yoke_log(YOKE_CRITICAL,
             "the parent of this actor is gone, and its tasks have not ended in %lld ms: SIGKILL",
             (long long)(GUARD_BOUND / 1000000));
    kill(getpid(), SIGKILL);
    return NULL;
}

/* It takes no signals, so that those of the process reach the scheduler's thread. */
static int start_thread(int parent_fd)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_attr_init(&attributes);
    if (!error) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN + (64 << 10));
        error = pthread_create(&thread, &attributes, watch, (void *)(intptr_t)parent_fd);
        pthread_attr_destroy(&attributes);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

yoke_error *guard_begin(pid_t parent)
{
    int fd = pidfd_open(parent, 0);
    if (fd < 0)
        return yoke_raise_errno(errno, "watching the parent, process %d", (int)parent);
    int error = start_thread(fd);
    if (error) {
        close(fd);
        return yoke_raise_errno(error, "the guard's thread");
    }
    prctl(PR_SET_PDEATHSIG, SIGCONT);
    return NULL;
}
