/*
 * Child programs: started by posix_spawn (which runs on vfork, so that the size of this process does not matter), watched and signalled by
 * pidfd, so that a recycled number is never hit.
 */
#include "base/memory.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct yoke_process {
    pid_t pid;
    int pidfd;
    bool reaped;
    int status;
};

/* ---- open ---- */

/* Descriptors first move out of the way of the numbers that they are to have, then to them, then all else is closed. */
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

/* A child program starts with default dispositions and an empty mask, whatever this process has set. */
static int plan_signals(posix_spawnattr_t *attributes, bool new_group)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == SIG_IGN)
        sigdelset(&all, SIGHUP); /* nohup */
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setpgroup(attributes, 0);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    return posix_spawnattr_setflags(attributes, (short)(flags | (new_group ? POSIX_SPAWN_SETPGROUP : 0)));
}

static int start(pid_t *pid, char *const argv[], const yoke_process_options *o)
{
    int moved[o->fd_count + 1];
    for (size_t i = 0; i < o->fd_count; i++)
        moved[i] = -1;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int error = plan_fds(&actions, o, moved);
    if (!error)
        error = plan_signals(&attributes, o->new_group);
    if (!error)
        error = posix_spawnp(pid, argv[0], &actions, &attributes, argv, o->environment ? o->environment : environ);
    for (size_t i = 0; i < o->fd_count; i++)
        if (moved[i] >= 0)
            close(moved[i]);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

yoke_error *yoke_process_open(yoke_process **process, char *const argv[], const yoke_process_options *options)
{
    static const yoke_process_options defaults;
    *process = NULL;
    if (!scheduler_here)
        return task_outside("yoke_process_open");
    if (!argv || !argv[0])
        return yoke_raise(&YOKE_USAGE, "yoke_process_open: no program");
    yoke_process *p = memory_calloc(1, sizeof *p);
    if (!p)
        return yoke_raise(&YOKE_NO_MEMORY, "starting %s", argv[0]);
    int error = start(&p->pid, argv, options ? options : &defaults);
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

/* ---- wait, signal, close ---- */

static yoke_error *reap(yoke_process *p)
{
    pid_t got;
    do
        got = waitpid(p->pid, &p->status, 0);
    while (got < 0 && errno == EINTR);
    p->reaped = true;
    return got < 0 ? yoke_raise_errno(errno, "waiting for process %d", (int)p->pid) : NULL;
}

yoke_error *yoke_process_wait(yoke_process *process, int *status)
{
    if (process->reaped) {
        *status = process->status;
        return yoke_checkpoint();
    }
    YOKE_TRY(yoke_wait_readable(process->pidfd));
    yoke_error *e = process->reaped ? NULL : reap(process);
    *status = process->status;
    return e;
}

yoke_error *yoke_process_signal(yoke_process *process, int signal_number)
{
    if (process->reaped || pidfd_send_signal(process->pidfd, signal_number, NULL, 0) == 0 || errno == ESRCH)
        return NULL;
    return yoke_raise_errno(errno, "signalling process %d", (int)process->pid);
}

static yoke_error *wait_at_most(yoke_process *p, int64_t ns)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open_with(&s, &(yoke_scope_options){.after = ns, .shield = true}));
    int status;
    return yoke_scope_close(&s, yoke_process_wait(p, &status));
}

static yoke_error *end(yoke_process *p)
{
    YOKE_TRY(yoke_process_signal(p, SIGTERM));
    YOKE_TRY(wait_at_most(p, YOKE_S(1)));
    if (p->reaped)
        return NULL;
    YOKE_TRY(yoke_process_signal(p, SIGKILL));
    return p->reaped ? NULL : reap(p);
}

yoke_error *yoke_process_close(yoke_process *process, yoke_error *e)
{
    if (!process)
        return e;
    yoke_error *own = process->reaped ? NULL : end(process);
    yoke_close(process->pidfd);
    memory_free(process);
    return yoke_error_join(e, own);
}
