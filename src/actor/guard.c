#include "actor/guard.h"

#include "actor/orphan.h"
#include "base/error.h"
#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LAST_WORDS YOKE_MS(200)

/* The actor's name is the title's up to the bracket (spawn_title); one that was started by a command of the
 * user's learns it later. */
static void take_name(const char *title)
{
    char comm[16];
    const char *end = title ? strrchr(title, '[') : NULL;
    int bytes = end ? (int)(end - title) : 0;
    snprintf(comm, sizeof comm, "yoke-%.*s", bytes > 10 ? 10 : bytes, bytes ? title : "");
    prctl(PR_SET_NAME, bytes ? comm : "yoke-?");
}

void guard_birth(pid_t parent, const char *title)
{
    take_name(title);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getppid() != parent)
        _exit(1);
}

/* The thread's own; a process has one guard. */
static struct guard {
    int parent;
    yoke_uid self;
    const struct scheduler *scheduler;
    char file[ADDRESS_PATH_BYTES];
    atomic_bool has_file;
} guard;

/* Written while the flag is off, and once in a process that has a guard. */
void guard_watch_file(const char *path)
{
    atomic_store(&guard.has_file, false);
    if (!*path)
        return;
    snprintf(guard.file, sizeof guard.file, "%s", path);
    atomic_store(&guard.has_file, true);
}

static const char *guard_actor(void *arg)
{
    return guard.self.name;
}

/* The task that runs, if it has been the same one since `passes` was read: then nothing moves that is read
 * here. */
static const char *stuck_task(uint64_t passes)
{
    const struct scheduler *s = guard.scheduler;
    return s->passes == passes && s->current ? s->current->name : NULL;
}

static void sleep_ns(int64_t ns)
{
    struct timespec left = {ns / 1000000000, ns % 1000000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

/* The kernel ends this process in LAST_WORDS, whatever its threads are stuck in then: stderr may be a pipe
 * that nobody reads, and a task may hold any lock. */
static void arm_kernel(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec bound = {.it_value = {0, LAST_WORDS}};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 || timer_settime(timer, 0, &bound, NULL) < 0)
        kill(getpid(), SIGKILL);
}

static void *watch(void *arg)
{
    struct error_identity identity = {.actor = guard_actor};
    struct pollfd parent = {.fd = guard.parent, .events = POLLIN};
    error_identity_set(&identity);
    while (poll(&parent, 1, -1) < 0 && errno == EINTR)
        ;
    uint64_t passes = guard.scheduler->passes;
    sleep_ns(GUARD_BOUND);
    arm_kernel();
    const char *task = stuck_task(passes);
    yoke_log(YOKE_CRITICAL,
             "the parent of this actor is gone, and its tasks have not ended in %lld ms%s%s%s: SIGKILL",
             (long long)(GUARD_BOUND / 1000000), task ? " (`" : "", task ? task : "",
             task ? "` has come to no checkpoint)" : "");
    if (atomic_load(&guard.has_file))
        unlink(guard.file);
    orphan_end_rest(guard.self.uuid);
    kill(getpid(), SIGKILL);
    return NULL;
}

static int start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN + (64 << 10));
    error = thread_start(&thread, &attributes, watch, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

/*
 * pthread_exit(3) in a task: no task runs any more, and this process would answer nobody and never end. The
 * frames of the run are gone, and with them what the log would ask for its names.
 */
static void tasks_have_ended(void *unused)
{
    error_identity_set(NULL);
    yoke_log(YOKE_CRITICAL, "a task has called pthread_exit: actor `%s` ends", guard.self.name);
    _exit(EXIT_FAILURE);
}

/* A value of the thread's own is destroyed when the thread ends, and not when the process does. */
static int watch_own_thread(void)
{
    pthread_key_t key;
    int error = pthread_key_create(&key, tasks_have_ended);
    return error ? error : pthread_setspecific(key, &guard);
}

yoke_error *guard_begin(pid_t parent, const yoke_uid *self)
{
    guard.self = *self;
    guard.scheduler = scheduler_here;
    guard.parent = pidfd_open(parent, 0);
    if (guard.parent < 0)
        return yoke_raise_errno(errno, "watching the parent, process %d", (int)parent);
    int error = watch_own_thread();
    if (!error)
        error = start_thread();
    if (error) {
        close(guard.parent);
        return yoke_raise_errno(error, "the guard's thread");
    }
    prctl(PR_SET_PDEATHSIG, SIGCONT);
    return NULL;
}
