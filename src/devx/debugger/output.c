#include "devx/debugger/output.h"

#include "actor/debug.h"
#include "devx/debugger/output_copier.h"
#include "task/bound.h"
#include "task/clock.h"
#include "task/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MS = OUTPUT_SETTLE_MS + 1000, STREAMS = STDERR_FILENO + 1 };

/* Standard output and error are the process'. */
static struct {
    pid_t owner; /* a fork of it has no part in this */
    pid_t copier;
    int control;       /* -1: there is no copier */
    int real[STREAMS]; /* the terminal where the pty stands now; -1 elsewhere */
    uint64_t device;   /* the pty's */
    uint32_t number;   /* of the last word */
} output = {.control = -1};

static bool is_here(void)
{
    return output.control >= 0 && output.owner == getpid();
}

/* ---- words ---- */

static bool say(enum output_what what)
{
    struct output_word word = {++output.number, what};
    return send(output.control, &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof word;
}

enum heard { HEARD_NOTHING, HEARD_ANSWER, HEARD_END };

/* Answers to a word that nobody waits for any more are passed over. */
static enum heard hear(uint32_t number)
{
    for (;;) {
        struct output_word word;
        ssize_t n = recv(output.control, &word, sizeof word, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return HEARD_NOTHING;
        if (n != sizeof word)
            return HEARD_END;
        if (word.number == number)
            return HEARD_ANSWER;
    }
}

static int64_t now_ms(void)
{
    return clock_real() / 1000000;
}

static enum heard wait_for(uint32_t number)
{
    int64_t end = now_ms() + ANSWER_MS;
    enum heard heard;
    while (!(heard = hear(number)) && now_ms() < end) {
        struct pollfd fd = {.fd = output.control, .events = POLLIN};
        poll(&fd, 1, (int)(end - now_ms()) + 1);
    }
    return heard;
}

/* A copier that has ended can hold nothing. */
static enum heard ask_directly(enum output_what what)
{
    return say(what) ? wait_for(output.number) : HEARD_END;
}

static yoke_error *wait_in_task(uint32_t number, enum heard *heard)
{
    while (!(*heard = hear(number)))
        YOKE_TRY(yoke_wait_readable(output.control));
    return NULL;
}

static yoke_error *ask(enum output_what what, enum heard *heard)
{
    struct bound b; /* the next one's clock may stand still already */
    *heard = HEARD_END;
    if (!say(what))
        return NULL;
    YOKE_TRY(bound_open(&b, YOKE_MS(ANSWER_MS), NULL));
    scheduler_here->answers++; /* a clock that jumps does not jump over this */
    yoke_error *e = wait_in_task(output.number, heard);
    scheduler_here->answers--;
    return bound_close(&b, e);
}

yoke_error *output_hold(void)
{
    enum heard heard;
    return is_here() ? ask(OUTPUT_HOLD, &heard) : NULL;
}

void output_hold_directly(void)
{
    if (is_here())
        ask_directly(OUTPUT_HOLD);
}

void output_go(void)
{
    if (is_here())
        say(OUTPUT_GO);
}

void output_drain_directly(void)
{
    if (is_here())
        ask_directly(OUTPUT_DRAIN);
}

/* ---- begin ---- */

struct made {
    int master, slave, terminal, control[2];
};

/* The one that controls this process, and no other. */
static bool is_own_terminal(int fd)
{
    return isatty(fd) && tcgetsid(fd) >= 0;
}

/* As the terminal is, but that nothing is done to what is printed: the terminal does that. */
static bool set_up_pty(const struct made *m)
{
    struct termios modes;
    if (tcgetattr(m->terminal, &modes) < 0)
        return false;
    modes.c_oflag &= ~(tcflag_t)OPOST;
    modes.c_lflag &= ~(tcflag_t)ECHO;
    return tcsetattr(m->slave, TCSANOW, &modes) == 0;
}

static bool open_pty(struct made *m)
{
    int unlocked = 0;
    m->terminal = open("/dev/tty", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    m->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (m->terminal < 0 || m->master < 0 || ioctl(m->master, TIOCSPTLCK, &unlocked) < 0)
        return false;
    m->slave = ioctl(m->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return m->slave >= 0 && set_up_pty(m) &&
           socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, m->control) == 0;
}

static void close_all(const struct made *m)
{
    const int fds[] = {m->master, m->slave, m->terminal, m->control[0], m->control[1]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/*
 * Without an exit signal, so that no wait(2) of the program's own finds it; not the C library's fork, so that
 * nothing which is registered for forks runs in it. No signal is to be handled there.
 */
static bool start_copier(const struct made *m)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0)
        output_copier_run(m->control[1], m->terminal, m->master);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    output.copier = pid;
    return pid > 0;
}

/* One that is on its way out. */
static void reap_copier(void)
{
    enum { ROUNDS = 1000, ROUND_NS = 1000000 };
    for (int i = 0; i < ROUNDS && waitpid(output.copier, NULL, __WALL | WNOHANG) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
}

static uint64_t device_of(int fd)
{
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISCHR(s.st_mode) ? s.st_rdev : 0;
}

static void redirect(int slave)
{
    for (int fd = STDOUT_FILENO; fd < STREAMS; fd++) {
        output.real[fd] = is_own_terminal(fd) ? fcntl(fd, F_DUPFD_CLOEXEC, STREAMS) : -1;
        if (output.real[fd] >= 0)
            dup2(slave, fd);
    }
    output.device = device_of(slave);
}

static bool start(struct made *m)
{
    if (!open_pty(m) || !start_copier(m))
        return false;
    close(m->control[1]);
    m->control[1] = -1;
    output.control = m->control[0];
    output.number = 0;
    if (wait_for(0) == HEARD_ANSWER) {
        m->control[0] = -1;
        redirect(m->slave);
        return true;
    }
    output.control = -1;
    kill(output.copier, SIGKILL);
    reap_copier();
    return false;
}

void output_begin(struct actor *a)
{
    static bool at_exit;
    bool wanted = a->is_root && !(a->debug_words & DEBUG_DIRECT) &&
                  (is_own_terminal(STDOUT_FILENO) || is_own_terminal(STDERR_FILENO));
    if (is_here() || !wanted)
        return;
    struct made m = {-1, -1, -1, {-1, -1}};
    output.owner = getpid();
    bool started = start(&m);
    int error = errno;
    close_all(&m);
    a->output = started ? output.device : 0;
    if (!started)
        yoke_log(YOKE_WARNING, "what others print will stand between what is typed at a prompt: no pty (%s)",
                 strerrordesc_np(error));
    if (!started)
        return;
    signal_before_default(output_drain_directly);
    if (!at_exit)
        at_exit = atexit(output_end) == 0;
}

/* ---- end ---- */

static void put_back(void)
{
    for (int fd = STDOUT_FILENO; fd < STREAMS; fd++) {
        if (output.real[fd] < 0)
            continue;
        if (device_of(fd) == output.device)
            dup2(output.real[fd], fd);
        close(output.real[fd]);
        output.real[fd] = -1;
    }
}

/* The last word: a copier that ends on it is waited for. One that answers has others to copy for. */
static void leave(enum heard heard)
{
    int control = output.control;
    output.control = -1;
    if (heard == HEARD_END)
        reap_copier();
    if (scheduler_here)
        yoke_close(control);
    else
        close(control);
}

void output_end(void)
{
    if (!is_here())
        return;
    ask_directly(OUTPUT_DRAIN);
    put_back();
    leave(ask_directly(OUTPUT_DRAIN));
}

void output_end_in_task(void)
{
    enum heard heard;
    yoke_scope shield;
    if (!is_here())
        return;
    yoke_error *e = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (e) {
        yoke_error_free(e);
        output_end();
        return;
    }
    e = ask(OUTPUT_DRAIN, &heard);
    put_back();
    if (!e)
        e = ask(OUTPUT_DRAIN, &heard);
    yoke_error_free(yoke_scope_close(&shield, e));
    leave(heard);
}

/* ---- in the debugger ---- */

static struct {
    unsigned depth;
    int pty[STREAMS]; /* where the terminal stands now; -1 elsewhere */
} session = {.pty = {-1, -1, -1}};

void output_session_begin(const struct actor *a)
{
    if (session.depth++ || !a->output)
        return;
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    for (int fd = STDOUT_FILENO; terminal >= 0 && fd < STREAMS; fd++) {
        session.pty[fd] = device_of(fd) == a->output ? fcntl(fd, F_DUPFD_CLOEXEC, STREAMS) : -1;
        if (session.pty[fd] >= 0)
            dup2(terminal, fd);
    }
    if (terminal >= 0)
        close(terminal);
}

/* A stream that the program has put elsewhere meanwhile stays there. */
void output_session_end(void)
{
    if (--session.depth)
        return;
    for (int fd = STDOUT_FILENO; fd < STREAMS; fd++) {
        if (session.pty[fd] < 0)
            continue;
        if (is_own_terminal(fd))
            dup2(session.pty[fd], fd);
        close(session.pty[fd]);
        session.pty[fd] = -1;
    }
}
