#include "devx/debugger/terminal.h"

#include "task/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SAY_MS = 20, RETRY_NS = 100000 };

static int open_controlling(int flags)
{
    return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | flags);
}

yoke_error *terminal_open(struct terminal *t)
{
    t->fd = open_controlling(0);
    if (t->fd < 0)
        return yoke_raise(&YOKE_NOT_FOUND, "no terminal for the debugger: /dev/tty can't be opened (%s)",
                          strerrordesc_np(errno));
    if (tcgetpgrp(t->fd) != getpgrp())
        return yoke_raise(&YOKE_NOT_FOUND, "no terminal for the debugger: this program is in its background");
    if (tcgetattr(t->fd, &t->modes) < 0)
        return yoke_raise_errno(errno, "the terminal's modes");
    return NULL;
}

void terminal_close(struct terminal *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

bool terminal_is_gone(void)
{
    int fd = open_controlling(0);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

/* Ctrl-z is off: the debugger would stop, and no shell would know of it. Not waiting for what is on its way
 * out, which a terminal may have stopped. */
bool terminal_give(const struct terminal *t, pid_t group)
{
    struct termios modes = t->modes;
    modes.c_cc[VSUSP] = _POSIX_VDISABLE;
    return tcsetattr(t->fd, TCSANOW, &modes) == 0 && tcsetpgrp(t->fd, group) == 0;
}

yoke_error *terminal_lend(const struct terminal *t, pid_t group)
{
    if (!terminal_give(t, group))
        return yoke_raise_errno(errno, "giving the terminal to the debugger");
    return NULL;
}

/* From the background, where writing to the terminal's state would stop us (SIGTTOU). */
static void block_ttou(sigset_t *old)
{
    sigset_t ttou;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, old);
}

void terminal_take_back(const struct terminal *t)
{
    sigset_t old;
    block_ttou(&old);
    tcsetpgrp(t->fd, getpgrp());
    tcsetattr(t->fd, TCSANOW, &t->modes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* A readline that is told of another size draws its line again. */
static void draw_again(pid_t debugger)
{
    if (debugger)
        kill(debugger, SIGWINCH);
}

/*
 * Not blocking: stopped by ctrl-s the terminal would keep the root waiting. But it refuses (EAGAIN) also
 * while another's write goes on, such as that of a debugger that draws its prompt: so there may be room, and
 * no way in. True: some of it has been written.
 */
static bool write_soon(int fd, const char *text, size_t size)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    int64_t end = clock_real() + YOKE_MS(SAY_MS);
    size_t written = 0;
    for (;;) {
        ssize_t n = write(fd, text + written, size - written);
        written += n > 0 ? (size_t)n : 0;
        int64_t left = end - clock_real();
        if (written == size || (n < 0 && errno != EAGAIN && errno != EINTR) || left <= 0)
            return written;
        if (poll(&room, 1, (int)(left / YOKE_MS(1)) + 1) == 1)
            nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
    }
}

void terminal_say(pid_t debugger, const char *fmt, ...)
{
    char line[512] = "\r\n";
    int fd = open_controlling(O_NONBLOCK);
    if (fd < 0)
        return;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line + 2, sizeof line - 4, fmt, args);
    va_end(args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof line - 4 ? (size_t)n : sizeof line - 5;
    for (size_t i = 2; i < 2 + size; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = '?';
    line[2 + size] = '\r';
    line[3 + size] = '\n';
    sigset_t old;
    block_ttou(&old);
    bool is_said = write_soon(fd, line, size + 4);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(fd);
    if (is_said)
        draw_again(debugger);
}
