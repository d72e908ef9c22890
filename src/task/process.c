/*
 * Child programs: started by posix_spawn (which runs on vfork, so that the size of this process does not
 * matter), watched and signalled by pidfd, so that a recycled number is never hit.
 */
#include "task/process.h"

#include "base/memory.h"
#include "task/bound.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { FDS_MAX = 1024 };

struct yoke_process {
    pid_t pid;
    int pidfd;
    bool reaped;
    int status;
    bool watched;  /* one of the waiting tasks waits for the pidfd, the others in `waiters` */
    bool closed;   /* nobody may wait any more */
    unsigned uses; /* the handle, and each waiting task */
    list waiters;
};

/* ---- open ---- */

/* Descriptors first move out of the way of the numbers that they are to have, then to them, then all else is
 * closed. */
static int plan_fds(posix_spawn_file_actions_t *actions, const yoke_process_options *o, int *moved)
{
    int error = 0;
    for (size_t i = 0; i < o->fd_count && !error; i++) {
        moved[i] = -1;
        if (o->fds[i] < 0) {
            error = posix_spawn_file_actions_addopen(actions, (int)i, "/dev/null", O_RDWR, 0);
            continue;
        }
        moved[i] = fcntl(o->fds[i], F_DUPFD_CLOEXEC, (int)o->fd_count);
        error = moved[i] < 0 ? errno : posix_spawn_file_actions_adddup2(actions, moved[i], (int)i);
    }
    int first_closed = o->fds ? (int)o->fd_count : 3;
    return error ? error : posix_spawn_file_actions_addclosefrom_np(actions, first_closed);
}

/* A child program starts with default dispositions and the mask given, whatever this process has set. */
static int plan_signals(posix_spawnattr_t *attributes, bool new_group, const sigset_t *mask)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == SIG_IGN)
        sigdelset(&all, SIGHUP); /* nohup */
    posix_spawnattr_setsigmask(attributes, mask);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setpgroup(attributes, 0);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    return posix_spawnattr_setflags(attributes, (short)(flags | (new_group ? POSIX_SPAWN_SETPGROUP : 0)));
}

static int start(pid_t *pid, char *const argv[], const yoke_process_options *o, const sigset_t *mask)
{
    int *moved = memory_alloc(o->fd_count * sizeof *moved);
    if (!moved)
        return ENOMEM;
    for (size_t i = 0; i < o->fd_count; i++)
        moved[i] = -1;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int error = plan_fds(&actions, o, moved);
    if (!error)
        error = plan_signals(&attributes, o->new_group, mask);
    if (!error)
        error = posix_spawnp(pid, o->program ? o->program : argv[0], &actions, &attributes, argv,
                             o->environment ? o->environment : environ);
    for (size_t i = 0; i < o->fd_count; i++)
        if (moved[i] >= 0)
            close(moved[i]);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    memory_free(moved);
    return error;
}

yoke_error *process_adopt(yoke_process **process, pid_t pid, int pidfd)
{
    yoke_process *p = *process = memory_calloc(1, sizeof *p);
    if (!p)
        return yoke_raise(&YOKE_NO_MEMORY, "a child process");
    p->pid = pid;
    p->pidfd = pidfd;
    p->uses = 1;
    list_init(&p->waiters);
    return NULL;
}

yoke_error *yoke_process_open(yoke_process **process, char *const argv[], const yoke_process_options *options)
{
    sigset_t none;
    sigemptyset(&none);
    return process_open_masked(process, argv, options, &none);
}

yoke_error *process_open_masked(yoke_process **process, char *const argv[],
                                const yoke_process_options *options, const sigset_t *mask)
{
    static const yoke_process_options defaults;
    const yoke_process_options *o = options ? options : &defaults;
    *process = NULL;
    if (!scheduler_here)
        return task_outside("yoke_process_open");
    if (!argv || !argv[0])
        return yoke_raise(&YOKE_USAGE, "yoke_process_open: no program");
    if (o->fd_count > FDS_MAX || (o->fd_count && !o->fds))
        return yoke_raise(&YOKE_USAGE, "starting %s: fd_count is %zu, and fds %s", argv[0], o->fd_count,
                          o->fds ? "has 1024 at most" : "is NULL");
    yoke_process *p;
    YOKE_TRY(process_adopt(&p, -1, -1));
    int error = start(&p->pid, argv, o, mask);
    if (error) {
        memory_free(p);
        return yoke_raise_errno(error, "starting %s", argv[0]);
    }
    p->pidfd = pidfd_open(p->pid, 0);
    if (p->pidfd < 0) {
        yoke_error *e = yoke_raise_errno(errno, "pidfd_open of %s", argv[0]);
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
        memory_free(p);
        return e;
    }
    *process = p;
    return NULL;
}

pid_t yoke_process_pid(const yoke_process *process)
{
    return process->pid;
}

int process_pidfd(const yoke_process *process)
{
    return process->pidfd;
}

/* ---- wait ---- */

/* waitid's answer in the form of waitpid(2). */
static int status_of(const siginfo_t *info)
{
    switch (info->si_code) {
    case CLD_EXITED:
        return W_EXITCODE(info->si_status & 0xff, 0);
    case CLD_DUMPED:
        return W_EXITCODE(0, info->si_status | WCOREFLAG);
    default:
        return W_EXITCODE(0, info->si_status);
    }
}

/* __WALL: a child that was cloned without an exit signal is waited for as well. */
static yoke_error *reap(yoke_process *p, int flags)
{
    siginfo_t info = {0};
    int got;
    do
        got = waitid((idtype_t)P_PIDFD, (id_t)p->pidfd, &info, WEXITED | __WALL | flags);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        p->reaped = true; /* by someone else */
        return yoke_raise_errno(errno, "waiting for process %d", (int)p->pid);
    }
    if (!info.si_pid)
        return NULL; /* not yet */
    p->reaped = true;
    p->status = status_of(&info);
    return NULL;
}

static void leave(yoke_process *p)
{
    if (--p->uses == 0)
        memory_free(p);
}

/* All of them when it has ended; else one, who waits for the pidfd from now on. */
static void wake_waiters(yoke_process *p)
{
    while (wake_first(&p->waiters, NULL) && (p->reaped || p->closed))
        ;
}

static yoke_error *watch(yoke_process *p)
{
    p->watched = true;
    yoke_error *e = yoke_wait_readable(p->pidfd);
    p->watched = false;
    if (!e && !p->reaped && !p->closed)
        e = reap(p, WNOHANG);
    wake_waiters(p);
    return e;
}

static yoke_error *wait_for_end(yoke_process *p, yoke_task *task)
{
    while (!p->reaped) {
        if (p->closed)
            return yoke_raise(&YOKE_CLOSED, "process %d was closed", (int)p->pid);
        if (!p->watched) {
            YOKE_TRY(watch(p));
            continue;
        }
        YOKE_TRY(task_operation(task));
        if (p->watched && !p->reaped && !p->closed)
            YOKE_TRY(wait_in(&p->waiters, NULL));
    }
    return NULL;
}

yoke_error *yoke_process_wait(yoke_process *process, int *status)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_process_wait");
    if (process->reaped) {
        *status = process->status;
        return yoke_checkpoint();
    }
    process->uses++;
    yoke_error *e = wait_for_end(process, task);
    *status = process->status;
    leave(process);
    return e;
}

/* ---- signal, close ---- */

yoke_error *yoke_process_signal(yoke_process *process, int signal_number)
{
    if (process->reaped || pidfd_send_signal(process->pidfd, signal_number, NULL, 0) == 0 || errno == ESRCH)
        return NULL;
    return yoke_raise_errno(errno, "signalling process %d", (int)process->pid);
}

static const yoke_scope_options shielded = {.shield = true};

static yoke_error *wait_shielded(yoke_process *p)
{
    yoke_scope s;
    int status;
    YOKE_TRY(yoke_scope_open_with(&s, &shielded));
    return yoke_scope_close(&s, yoke_process_wait(p, &status));
}

/* The debugger is such a process: a clock that stands still till it has ended would be no bound. */
static yoke_error *wait_at_most(yoke_process *p, int64_t ns)
{
    struct bound b;
    int status;
    YOKE_TRY(bound_open(&b, ns, &shielded));
    return bound_close(&b, yoke_process_wait(p, &status));
}

/*
 * Whatever goes wrong on the way (no memory for a deadline, a ctrl-c that cuts a wait short), the process is
 * ended and reaped; only one that we may not signal is left alone.
 */
static yoke_error *end(yoke_process *p)
{
    yoke_error *e = yoke_process_signal(p, SIGTERM);
    if (!e)
        e = wait_at_most(p, YOKE_S(1));
    if (p->reaped)
        return e;
    yoke_error *kill_error = yoke_process_signal(p, SIGKILL);
    if (kill_error)
        return yoke_error_join(e, kill_error);
    e = yoke_error_join(e, wait_shielded(p));
    return p->reaped ? e : yoke_error_join(e, reap(p, 0));
}

yoke_error *yoke_process_close(yoke_process *process, yoke_error *e)
{
    if (!process)
        return e;
    yoke_error *own = process->reaped ? NULL : end(process);
    process->closed = true;
    wake_waiters(process);
    yoke_close(process->pidfd);
    leave(process);
    return yoke_error_join(e, own);
}
