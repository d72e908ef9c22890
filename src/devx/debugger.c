/*
 * A debugger's life: the terminal is looked at, a child is forked that waits at a gate, the one who pauses
 * lets that child attach, the gate is opened, the child becomes gdb, and when it has ended the terminal is
 * put back. gdb is driven by a script in a memory file, which leaves nothing behind.
 */
#include "devx/debugger.h"

#include "base/memory.h"
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
#include <termios.h>
#include <unistd.h>

enum { STATUS_NO_EXEC = 127, STATUS_NO_ATTACH = 91, PATH_BYTES = 4096, SCRIPT_FD = 3 };

struct debugger {
    int tty;
    struct termios modes;
    char program[PATH_BYTES];
    int script;
    int gate; /* the write end: a byte opens it */
    pid_t pid;
    yoke_process *process;
};

/* ---- what it needs ---- */

static yoke_error *find_program(char path[PATH_BYTES])
{
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t length = strcspn(at, ":");
        int n = snprintf(path, PATH_BYTES, "%.*s/gdb", (int)length, at);
        if (length && n < PATH_BYTES && access(path, X_OK) == 0)
            return NULL;
        at += length + (at[length] == ':');
    }
    return yoke_raise(&YOKE_NOT_FOUND, "no gdb in PATH");
}

static yoke_error *look_at_terminal(struct debugger *d)
{
    if (!isatty(STDIN_FILENO))
        return yoke_raise(&YOKE_NOT_FOUND, "no terminal for the debugger: standard input is not one");
    d->tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (d->tty < 0)
        return yoke_raise_errno(errno, "no terminal for the debugger: /dev/tty");
    if (tcgetpgrp(d->tty) != getpgrp())
        return yoke_raise(&YOKE_NOT_FOUND, "no terminal for the debugger: this program is in its background");
    if (tcgetattr(d->tty, &d->modes) < 0)
        return yoke_raise_errno(errno, "the terminal's modes");
    return NULL;
}

/* ---- the script ---- */

/*
 * Hooks rather than redefinitions: `c`, `fg`, `q` and the end of input reach them too. A plain `detach` is a
 * `continue` that stays at the prompt. After a step the pause itself is over (the thread has left
 * yoke_pause), so all that moves the process first lets it go there, and answers `continue`.
 */
static void write_script(FILE *f, const struct pause_request *r, const char *actor)
{
    unsigned long long answer = r->answer, caller = r->caller;
    fprintf(f, "if $_thread == 0\n  quit %d\nend\n", STATUS_NO_ATTACH);
    fprintf(f, "set confirm off\nset $yoke_answered = 0\n");
    /* $arg0: what to answer. Nothing if that is done, or if the process has gone. */
    fprintf(f,
            "define yoke-answer\n"
            "  if $yoke_answered == 0 && $_thread != 0\n"
            "    set $yoke_answered = 1\n"
            "    set var *(int *)%#llx = $arg0\n"
            "    detach\n"
            "  end\n"
            "end\n",
            answer);
    fprintf(f,
            "define hook-detach\n"
            "  if $yoke_answered == 0 && $_thread != 0\n"
            "    set $yoke_answered = 1\n"
            "    set var *(int *)%#llx = %d\n"
            "  end\n"
            "end\n",
            answer, PAUSE_CONTINUE);
    fprintf(f, "define hook-continue\n  yoke-answer %d\n  quit\nend\n", PAUSE_CONTINUE);
    fprintf(f, "define hook-quit\n  yoke-answer %d\nend\n", PAUSE_QUIT);
    fprintf(f,
            "define yoke-leave\n"
            "  if $yoke_answered == 0\n"
            "    set $yoke_answered = 1\n"
            "    set var *(int *)%#llx = %d\n"
            "    advance *%#llx\n"
            "  end\n"
            "end\n",
            answer, PAUSE_CONTINUE, caller);
    static const char *const moves[] = {"next", "step", "nexti", "stepi", "until", "advance", "finish"};
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++)
        fprintf(f, "define hook-%s\n  yoke-leave\nend\n", moves[i]);
    /* Which thread has the caller on its stack? A walk that fails (another thread's) is silent, and others
     * follow. */
    fprintf(f,
            "define yoke-look\n"
            "  while $pc != %#llx\n"
            "    up-silently\n"
            "  end\n"
            "  set $yoke_thread = $_thread\n"
            "end\n"
            "set $yoke_thread = 1\n"
            "thread apply all -q -s yoke-look\n"
            "pipe thread $yoke_thread | cat >/dev/null\n",
            caller);
    fprintf(f, "set prompt (yoke ");
    for (; *actor; actor++)
        fputc((unsigned char)*actor < ' ' ? '?' : *actor, f);
    fprintf(f, ") \nyoke-look\nframe\n");
}

static yoke_error *make_script(struct debugger *d, const struct pause_request *r, const char *actor)
{
    d->script = memfd_create("yoke-gdb", MFD_CLOEXEC);
    int copy = d->script < 0 ? -1 : fcntl(d->script, F_DUPFD_CLOEXEC, 0);
    FILE *f = copy < 0 ? NULL : fdopen(copy, "w");
    if (!f) {
        yoke_error *e = yoke_raise_errno(errno, "the debugger's script");
        if (copy >= 0)
            close(copy);
        return e;
    }
    write_script(f, r, actor);
    return fclose(f) == 0 ? NULL : yoke_raise_errno(errno, "the debugger's script");
}

/* ---- the child that becomes gdb ---- */

/* Between fork and exec: async-signal-safe calls alone. */
static void become_gdb(const struct debugger *d, int gate, pid_t parent, char *const argv[])
    __attribute__((noreturn));
static void become_gdb(const struct debugger *d, int gate, pid_t parent, char *const argv[])
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char open_gate;
    if (getppid() != parent || read(gate, &open_gate, 1) != 1)
        _exit(STATUS_NO_EXEC);
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int fd = 0; fd < SCRIPT_FD; fd++)
        dup2(d->tty, fd);
    if (d->script == SCRIPT_FD)
        fcntl(SCRIPT_FD, F_SETFD, 0);
    else
        dup2(d->script, SCRIPT_FD);
    close_range(SCRIPT_FD + 1, ~0U, 0);
    execv(d->program, argv);
    _exit(STATUS_NO_EXEC);
}

static yoke_error *fork_debugger(struct debugger *d, pid_t target)
{
    char attach[64];
    snprintf(attach, sizeof attach, "pipe attach %d | cat >/dev/null", (int)target);
    /* What is said on the way is not of interest, errors are: those go past the pipe. Servers are not asked
     * for debug information. */
    char *const argv[] = {(char *)"gdb", (char *)"-q", (char *)"-iex", (char *)"set debuginfod enabled off",
                          (char *)"-ex", attach,       (char *)"-x",   (char *)"/proc/self/fd/3",
                          NULL};
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) < 0)
        return yoke_raise_errno(errno, "the debugger's gate");
    pid_t self = getpid();
    d->pid = fork();
    if (d->pid == 0) {
        /* Its own copy of the write end would keep the gate from closing. */
        close(gate[1]);
        become_gdb(d, gate[0], self, argv);
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

/* ---- the terminal changes hands ---- */

/* Ctrl-z is off: gdb would stop, and no shell would know of it. */
static yoke_error *hand_over(const struct debugger *d)
{
    struct termios modes = d->modes;
    modes.c_cc[VSUSP] = _POSIX_VDISABLE;
    if (tcsetattr(d->tty, TCSADRAIN, &modes) < 0 || tcsetpgrp(d->tty, d->pid) < 0)
        return yoke_raise_errno(errno, "giving the terminal to the debugger");
    return NULL;
}

/* From the background, where writing to the terminal's state would stop us (SIGTTOU). */
static void take_back(const struct debugger *d)
{
    sigset_t ttou, old;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &old);
    tcsetpgrp(d->tty, getpgrp());
    tcsetattr(d->tty, TCSADRAIN, &d->modes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static yoke_error *wait_for_end(struct debugger *d, pid_t target)
{
    if (write(d->gate, "g", 1) != 1)
        return yoke_raise_errno(errno, "starting the debugger");
    int status;
    YOKE_TRY(yoke_process_wait(d->process, &status));
    if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NO_EXEC)
        return yoke_raise(&YOKE_PROCESS_FAILED, "%s could not be started", d->program);
    if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NO_ATTACH)
        return yoke_raise(&YOKE_PROCESS_FAILED, "gdb could not attach to process %d", (int)target);
    return NULL;
}

static yoke_error *debug(struct debugger *d, pid_t target)
{
    yoke_error *e = hand_over(d);
    if (!e)
        e = wait_for_end(d, target);
    /* Only when gdb is dead is the terminal ours for good. */
    e = yoke_process_close(d->process, e);
    d->process = NULL;
    take_back(d);
    return e;
}

/* ---- all of it ---- */

static yoke_error *prepare(struct debugger *d, const struct pause_request *r, const char *actor)
{
    YOKE_TRY(look_at_terminal(d));
    YOKE_TRY(find_program(d->program));
    YOKE_TRY(make_script(d, r, actor));
    YOKE_TRY(fork_debugger(d, r->pid));
    return adopt(d);
}

yoke_error *debugger_run(const struct pause_request *request, const char *actor,
                         yoke_error *(*ready)(void *arg, pid_t debugger), void *arg)
{
    struct debugger *d = memory_calloc(1, sizeof *d);
    if (!d)
        return yoke_raise(&YOKE_NO_MEMORY, "a debugger");
    d->tty = d->script = d->gate = -1;
    yoke_error *e = prepare(d, request, actor);
    if (!e)
        e = ready(arg, d->pid);
    if (!e)
        e = debug(d, request->pid);
    /* Without a gate one that still waits at it goes. */
    const int fds[] = {d->gate, d->tty, d->script};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    e = yoke_process_close(d->process, e);
    memory_free(d);
    return e;
}
