/*
 * A debugger's life: the terminal is looked at, a child is forked that waits at a gate, the one who pauses
 * lets that child attach, the gate is opened, the child becomes the debugger, and when it has ended the
 * terminal is put back. It is driven by a script in a memory file, which leaves nothing behind.
 */
#include "devx/debugger/debugger.h"

#include "base/memory.h"
#include "devx/debugger/attach.h"
#include "devx/debugger/debugger_child.h"
#include "devx/debugger/direct.h"
#include "devx/debugger/output.h"
#include "devx/debugger/terminal.h"
#include "task/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct debugger {
    struct terminal terminal;
    struct debugger_command command;
    int script;
    int gate; /* the write end: a byte opens it */
    pid_t pid;
    yoke_process *process;
};

/* ---- the script ---- */

static yoke_error *make_script(struct debugger *d, const struct debugger_target *target)
{
    d->script = memfd_create("yoke-debugger", MFD_CLOEXEC);
    int copy = d->script < 0 ? -1 : fcntl(d->script, F_DUPFD_CLOEXEC, 0);
    FILE *f = copy < 0 ? NULL : fdopen(copy, "w");
    if (!f) {
        yoke_error *e = yoke_raise_errno(errno, "the debugger's script");
        if (copy >= 0)
            close(copy);
        return e;
    }
    d->command.kind->write_script(f, target);
    return fclose(f) == 0 ? NULL : yoke_raise_errno(errno, "the debugger's script");
}

/* ---- the child that becomes the debugger ---- */

static yoke_error *fork_debugger(struct debugger *d)
{
    struct debugger_child child;
    debugger_child_init(&child, &d->command);
    child.terminal = d->terminal.fd;
    child.script = d->script;
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) < 0)
        return yoke_raise_errno(errno, "the debugger's gate");
    pid_t self = getpid();
    d->pid = fork();
    if (d->pid == 0) {
        /* Its own copy of the write end would keep the gate from closing. */
        close(gate[1]);
        debugger_child_run(&child, gate[0], self);
    }
    int fork_error = errno;
    close(gate[0]);
    d->gate = gate[1];
    if (d->pid < 0)
        return yoke_raise_errno(fork_error, "forking the debugger");
    setpgid(d->pid, d->pid); /* the child does so too: whoever is first */
    return NULL;
}

static yoke_error *adopt(struct debugger *d)
{
    int pidfd = pidfd_open(d->pid, 0);
    yoke_error *e = pidfd < 0 ? yoke_raise_errno(errno, "pidfd_open of the debugger")
                              : process_adopt(&d->process, d->pid, pidfd);
    if (!e)
        return NULL;
    if (pidfd >= 0)
        close(pidfd);
    kill(d->pid, SIGKILL);
    waitpid(d->pid, NULL, 0);
    return e;
}

/* ---- its life ---- */

yoke_error *debugger_failure(const struct debugger_command *c, pid_t target, int status)
{
    switch (WEXITSTATUS(status)) {
    case DEBUGGER_NO_ATTACH:
        return attach_refused(c->kind->name, target, ATTACH_YAMA);
    case DEBUGGER_NO_EXEC:
        return yoke_raise(&YOKE_PROCESS_FAILED, "%s could not be started", c->program);
    default:
        return yoke_raise(&YOKE_NOT_FOUND, "%s is no %s", c->program, c->kind->wanted);
    }
}

static yoke_error *wait_for_end(struct debugger *d, pid_t target, int *killed_by)
{
    if (write(d->gate, "g", 1) != 1)
        return yoke_raise_errno(errno, "starting the debugger");
    int status;
    YOKE_TRY(yoke_process_wait(d->process, &status));
    if (WIFSIGNALED(status))
        *killed_by = WTERMSIG(status);
    return debugger_has_failed(d->command.kind, status) ? debugger_failure(&d->command, target, status)
                                                        : NULL;
}

/* One that debugs is asked to end, and detaches first. One that does not is on its way out, and a request
 * makes it crash there (Python's end in gdb); or it is at no process' prompt. */
static void end_early(const struct debugger *d, pid_t target)
{
    pid_t who[2];
    pause_debuggers(target, who);
    if (who[0] != d->pid && who[1] != d->pid)
        kill(d->pid, SIGKILL);
}

static yoke_error *debug(struct debugger *d, pid_t target, int *killed_by)
{
    direct_note_other(d->pid);
    yoke_error *e = terminal_lend(&d->terminal, d->pid);
    if (!e)
        e = wait_for_end(d, target, killed_by);
    if (yoke_error_is_cancelled(e))
        end_early(d, target);
    /* Only when it is dead is the terminal ours for good. */
    e = yoke_process_close(d->process, e);
    d->process = NULL;
    terminal_take_back(&d->terminal);
    direct_note_other(0);
    return e;
}

static yoke_error *prepare(struct debugger *d, const struct debugger_target *target)
{
    YOKE_TRY(terminal_open(&d->terminal));
    YOKE_TRY(debugger_command_find(&d->command, getenv("YOKE_DEBUGGER")));
    YOKE_TRY(make_script(d, target));
    YOKE_TRY(fork_debugger(d));
    return adopt(d);
}

yoke_error *debugger_run(const struct debugger_target *target, int *killed_by,
                         yoke_error *(*ready)(void *arg, pid_t debugger), void *arg)
{
    struct debugger *d = memory_calloc(1, sizeof *d);
    *killed_by = 0;
    if (!d)
        return yoke_raise(&YOKE_NO_MEMORY, "a debugger");
    d->terminal.fd = d->script = d->gate = -1;
    bool is_own = target->request.pid == getpid(); /* then all stands still from `ready` on */
    yoke_error *e = prepare(d, target);
    if (!e && is_own)
        e = output_hold();
    if (!e)
        e = ready(arg, d->pid);
    if (!e && !is_own)
        e = output_hold();
    if (!e)
        e = debug(d, target->request.pid, killed_by);
    output_go();
    /* Without a gate one that still waits at it goes. */
    if (d->gate >= 0)
        close(d->gate);
    if (d->script >= 0)
        close(d->script);
    terminal_close(&d->terminal);
    e = yoke_process_close(d->process, e);
    memory_free(d);
    return e;
}
