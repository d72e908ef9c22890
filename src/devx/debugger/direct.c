#include "devx/debugger/direct.h"

#include "devx/debugger/debugger_child.h"
#include "devx/debugger/output.h"
#include "devx/debugger/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SCRIPT_BYTES = 256 << 10, POLL_NS = 20 * 1000 * 1000 };

/* The stream writes into `text`, with a buffer of its own: so printing to it allocates nothing. */
static struct {
    struct debugger_command command;
    struct debugger_child child;
    FILE *stream;
    char text[SCRIPT_BYTES], buffer[4096];
    volatile pid_t other;
    int status; /* of the last one, as wait(2) has it */
} direct;

yoke_error *direct_begin(void)
{
    direct_end();
    YOKE_TRY(debugger_command_find(&direct.command, getenv("YOKE_DEBUGGER")));
    debugger_child_init(&direct.child, &direct.command);
    direct.stream = fmemopen(direct.text, sizeof direct.text, "w");
    if (!direct.stream)
        return yoke_raise_errno(errno, "the debugger's script");
    setvbuf(direct.stream, direct.buffer, _IOFBF, sizeof direct.buffer);
    return NULL;
}

void direct_end(void)
{
    if (direct.stream)
        fclose(direct.stream);
    direct.stream = NULL;
}

yoke_error *direct_failure(void)
{
    return debugger_failure(&direct.command, getpid(), direct.status);
}

void direct_note_other(pid_t debugger)
{
    direct.other = debugger;
}

/* ---- the terminal ---- */

/* The other one is this process' child, whom nobody reaps while this waits. */
static bool wait_for_other(void)
{
    siginfo_t info;
    pid_t other = direct.other;
    while (other && waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    return other != 0;
}

static bool open_terminal(struct terminal *t)
{
    bool was_lent = wait_for_other();
    t->fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    return t->fd >= 0 && (was_lent || tcgetpgrp(t->fd) == getpgrp()) && tcgetattr(t->fd, &t->modes) == 0;
}

/* ---- the script ---- */

static bool write_all(int fd, const char *at, size_t size)
{
    while (size) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool make_script(const struct debugger_target *t)
{
    memset(direct.text, 0, sizeof direct.text);
    rewind(direct.stream);
    direct.command.kind->write_script(direct.stream, t);
    if (fflush(direct.stream) != 0)
        return false;
    direct.child.script = memfd_create("yoke-debugger", MFD_CLOEXEC);
    return direct.child.script >= 0 && write_all(direct.child.script, direct.text, strlen(direct.text));
}

/* ---- the debugger ---- */

pid_t direct_fork(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Over is it also when it was killed, and has left no answer. */
static enum direct_end wait_for_end(pid_t pid, const volatile int *answer)
{
    int status = 0;
    pid_t ended = 0;
    while (!(ended = waitpid(pid, &status, WNOHANG)) || (ended < 0 && errno == EINTR))
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    direct.status = status;
    bool failed = debugger_has_failed(direct.command.kind, status);
    return failed && *answer == PAUSE_WAITING ? DIRECT_FAILED : DIRECT_OVER;
}

/* It waits at the gate while it is let in, and given the terminal. */
static bool begin(const struct terminal *t, pid_t pid, int gate)
{
    if (pid < 0)
        return false;
    setpgid(pid, pid);
    prctl(PR_SET_PTRACER, (unsigned long)pid); /* or it fails to attach, and says so */
    return terminal_give(t, pid) && write(gate, "g", 1) == 1;
}

static enum direct_end run(const struct terminal *t, const volatile int *answer,
                           void (*ready)(void *arg, pid_t debugger), void *arg)
{
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) < 0)
        return DIRECT_FAILED;
    pid_t self = getpid();
    pid_t pid = direct_fork();
    if (pid == 0) {
        close(gate[1]);
        debugger_child_run(&direct.child, gate[0], self);
    }
    close(gate[0]);
    if (pid > 0 && ready)
        ready(arg, pid);
    bool begun = begin(t, pid, gate[1]);
    close(gate[1]);
    enum direct_end end = pid > 0 ? wait_for_end(pid, answer) : DIRECT_FAILED;
    terminal_take_back(t);
    return begun ? end : DIRECT_FAILED;
}

enum direct_end direct_debug(const struct debugger_target *target, volatile int *answer,
                             void (*ready)(void *arg, pid_t debugger), void *arg)
{
    struct terminal t;
    sigset_t ttou, old;
    enum direct_end end = DIRECT_NO_TERMINAL;
    direct.child.script = -1;
    direct.status = W_EXITCODE(DEBUGGER_NO_EXEC, 0);
    if (!direct.stream)
        return DIRECT_FAILED;
    /* When another one has left, its group is the foreground still. */
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    sigprocmask(SIG_BLOCK, &ttou, &old);
    if (open_terminal(&t)) {
        direct.child.terminal = t.fd;
        output_hold_directly();
        end = make_script(target) ? run(&t, answer, ready, arg) : DIRECT_FAILED;
        output_go();
    }
    if (direct.child.script >= 0)
        close(direct.child.script);
    if (t.fd >= 0)
        close(t.fd);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return end;
}
