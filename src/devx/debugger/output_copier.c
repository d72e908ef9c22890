/*
 * One ring of bytes, in the order in which they were written. Normally all of it may go to the terminal as
 * fast as that takes it, and what does not fit waits in the pty, which keeps its writers waiting as a
 * terminal does. While output is held nothing goes out and everything is read: so nobody waits. What does not
 * fit then is dropped by whole lines, which are counted; a mark says so in their place.
 *
 * What was printed before a word has to be out before its answer. It is what can be read at once (the kernel
 * hands on what is on its way in a pty before it says that there is nothing), or, of busy writers, as much as
 * a pty can hold.
 */
#include "devx/debugger/output_copier.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL, TERMINAL, MASTER, RESIZED, FDS };
enum {
    KEPT_BYTES = 1 << 20,
    MARK_BYTES = 128,
    CHUNK_BYTES = 4096,   /* a read of a pty gives no more */
    PTY_BYTES = 64 << 10, /* and this is more than one can hold */
    LINE_MS = 20,         /* for the rest of a line that has begun */
};

struct copier {
    char *kept;
    size_t begin, size;
    char last; /* that went out */
    bool held;
    bool control_is_open, over; /* over: nobody has the pty */

    bool settling;  /* a word is to be answered, */
    bool absorbing; /* and what was printed before it is not all read yet */
    struct output_word word;
    size_t absorbed, before; /* before: what stands in front, and has to be out for the answer */
    int64_t line_end, stall_end, settle_end; /* line_end: 0 before the pty was empty */

    bool losing, in_line; /* the ring is full, and what comes is counted; in the middle of a line */
    bool skipping;        /* the rest of a line whose beginning was counted */
    unsigned long long lost;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the ring ---- */

/* That for a mark is left. */
static size_t room(const struct copier *c)
{
    return c->size < KEPT_BYTES - MARK_BYTES ? KEPT_BYTES - MARK_BYTES - c->size : 0;
}

static char *byte_at(const struct copier *c, size_t i)
{
    return &c->kept[(c->begin + i) % KEPT_BYTES];
}

static void append(struct copier *c, const char *bytes, size_t size)
{
    size_t end = (c->begin + c->size) % KEPT_BYTES;
    size_t first = size < KEPT_BYTES - end ? size : KEPT_BYTES - end;
    memcpy(c->kept + end, bytes, first);
    memcpy(c->kept, bytes + first, size - first);
    c->size += size;
}

static bool ends_in_line(const struct copier *c)
{
    return (c->size ? *byte_at(c, c->size - 1) : c->last) != '\n';
}

/* ---- what is lost ---- */

static void count_lost(struct copier *c, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        c->lost += bytes[i] == '\n';
    if (size)
        c->in_line = bytes[size - 1] != '\n';
}

/* A line whose end does not fit goes as a whole; one that has begun before anything was held, or fills
 * all, can't. */
static void cut_line(struct copier *c)
{
    size_t size = c->size;
    while (size > c->before && *byte_at(c, size - 1) != '\n')
        size--;
    if (size > c->before)
        c->size = size;
}

static void keep(struct copier *c, const char *bytes, size_t size)
{
    size_t fits = c->losing ? 0 : size < room(c) ? size : room(c);
    append(c, bytes, fits);
    if (fits == size)
        return;
    if (!c->losing) {
        cut_line(c);
        c->losing = true;
        c->in_line = true;
    }
    count_lost(c, bytes + fits, size - fits);
}

/* 1,312 */
static void print_number(char *out, size_t room, unsigned long long n)
{
    char digits[32], *to = out;
    int count = snprintf(digits, sizeof digits, "%llu", n);
    for (int i = 0; i < count && (size_t)(to - out) + 2 < room; i++) {
        if (i && (count - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
}

static void mark_lost(struct copier *c)
{
    char number[48], mark[MARK_BYTES];
    c->lost += c->in_line;
    c->skipping = c->in_line;
    print_number(number, sizeof number, c->lost);
    int n = snprintf(mark, sizeof mark, "%s[yoke: %s line%s dropped while the debugger was open]\n",
                     ends_in_line(c) ? "\n" : "", number, c->lost == 1 ? " was" : "s were");
    append(c, mark, (size_t)n);
    c->losing = c->in_line = false;
    c->lost = 0;
}

/* ---- a word ---- */

static bool wants_hold(const struct copier *c)
{
    return c->settling && c->word.what == OUTPUT_HOLD;
}

/* Nobody is to wait: all is read, and what does not fit is lost. */
static bool keeps_all(const struct copier *c)
{
    return c->held || (wants_hold(c) && !c->absorbing);
}

static void end_loss(struct copier *c)
{
    if (c->losing && !keeps_all(c) && KEPT_BYTES - c->size >= MARK_BYTES)
        mark_lost(c);
}

static void answer(struct output_word word)
{
    send(CONTROL, &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void settled(struct copier *c)
{
    c->held = wants_hold(c);
    c->settling = c->absorbing = false;
    c->before = 0;
    answer(c->word);
}

/* The first `before` bytes are what was printed before. */
static void absorbed(struct copier *c, size_t before)
{
    c->absorbing = false;
    c->before = before;
}

/* What was held may go; a terminal that took nothing has left no room for a mark yet. */
static void release(struct copier *c)
{
    c->held = c->settling = c->absorbing = false;
    c->before = 0;
    end_loss(c);
}

static void settle_begin(struct copier *c, struct output_word word)
{
    release(c);
    c->settling = c->absorbing = true;
    c->word = word;
    c->absorbed = 0;
    c->line_end = 0;
    c->stall_end = now_ms() + OUTPUT_STALL_MS;
    c->settle_end = now_ms() + OUTPUT_SETTLE_MS;
}

/* Up to a line's end, if there is one. */
static size_t up_to_last_line(const struct copier *c)
{
    size_t size = c->size;
    while (size && *byte_at(c, size - 1) != '\n')
        size--;
    return size ? size : c->size;
}

/* The pty is empty. */
static void absorbed_all(struct copier *c)
{
    if (!c->absorbing)
        return;
    if (!c->line_end)
        c->line_end = now_ms() + LINE_MS;
    if (!ends_in_line(c))
        absorbed(c, c->size);
}

/* `size` bytes more have come. */
static void absorb(struct copier *c, size_t size)
{
    if (!c->absorbing)
        return;
    c->absorbed += size;
    for (size_t i = c->size - size; c->line_end && i < c->size; i++)
        if (*byte_at(c, i) == '\n') {
            absorbed(c, i + 1);
            return;
        }
    if (c->absorbed >= PTY_BYTES)
        absorbed(c, up_to_last_line(c));
}

/* What a bound has cut short is held with the rest. */
static void settle(struct copier *c)
{
    if (!c->settling)
        return;
    if (c->absorbing && (c->over || (c->line_end && now_ms() >= c->line_end)))
        absorbed(c, c->size);
    /* To one who waits for the end of all, the copier's own end is the answer. */
    bool done = !c->absorbing && !c->before && !(c->over && c->word.what == OUTPUT_DRAIN);
    if (done || now_ms() >= c->stall_end || now_ms() >= c->settle_end)
        settled(c);
}

/* The window has another size: whoever asks for it asks the pty. */
static void resize(void)
{
    struct winsize size;
    if (ioctl(TERMINAL, TIOCGWINSZ, &size) == 0)
        ioctl(MASTER, TIOCSWINSZ, &size);
}

static void hear(struct copier *c)
{
    struct output_word word;
    ssize_t n = recv(CONTROL, &word, sizeof word, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != sizeof word) {
        c->control_is_open = false;
        word = (struct output_word){.what = OUTPUT_GO};
    }
    /* Nobody tells a background group of a new size, as the root's is while a debugger has the terminal. */
    resize();
    if (word.what != OUTPUT_GO) {
        settle_begin(c, word);
        return;
    }
    release(c);
}

/* ---- in and out ---- */

static bool wants_input(const struct copier *c)
{
    return !c->over && (keeps_all(c) || room(c) >= CHUNK_BYTES);
}

/* How much may go out. */
static size_t ready(const struct copier *c)
{
    if (c->held)
        return 0;
    return wants_hold(c) && !c->absorbing ? c->before : c->size;
}

static void take(struct copier *c, const char *bytes, size_t size)
{
    if (c->skipping) {
        const char *end = memchr(bytes, '\n', size);
        size_t skipped = end ? (size_t)(end + 1 - bytes) : size;
        c->skipping = !end;
        bytes += skipped;
        size -= skipped;
    }
    if (keeps_all(c)) {
        keep(c, bytes, size);
        return;
    }
    end_loss(c);
    append(c, bytes, size);
    absorb(c, size);
}

static bool read_some(struct copier *c)
{
    static char chunk[CHUNK_BYTES];
    if (!wants_input(c))
        return false;
    ssize_t n = read(MASTER, chunk, sizeof chunk);
    if (n > 0) {
        take(c, chunk, (size_t)n);
        return true;
    }
    c->over = n == 0 || (errno != EAGAIN && errno != EINTR);
    absorbed_all(c);
    return false;
}

static bool write_some(struct copier *c)
{
    size_t size = ready(c);
    if (size > KEPT_BYTES - c->begin)
        size = KEPT_BYTES - c->begin;
    if (!size)
        return false;
    ssize_t n = write(TERMINAL, c->kept + c->begin, size);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0)
        _exit(1); /* the terminal has gone, and whoever writes to the pty hears of it */
    if (n)
        c->last = c->kept[c->begin + (size_t)n - 1];
    c->begin = (c->begin + (size_t)n) % KEPT_BYTES;
    c->size -= (size_t)n;
    c->before -= c->before < (size_t)n ? c->before : (size_t)n;
    if (n)
        c->stall_end = now_ms() + OUTPUT_STALL_MS;
    return n > 0;
}

/* Not for ever: a word may have come. */
static void copy(struct copier *c)
{
    bool more = true;
    for (int i = 0; more && i < 16; i++) {
        more = read_some(c);
        more = write_some(c) || more;
    }
}

/* ---- its life ---- */

static int timeout(const struct copier *c)
{
    if (!c->settling)
        return -1;
    int64_t end = c->stall_end < c->settle_end ? c->stall_end : c->settle_end;
    if (c->absorbing && c->line_end)
        end = c->line_end;
    int64_t left = end - now_ms();
    return left > 0 ? (int)left : 0;
}

/* What is not wanted is not watched, or its end would wake for nothing; that of the terminal always does. */
static void wait_for_news(const struct copier *c, struct pollfd fds[FDS])
{
    fds[CONTROL] = (struct pollfd){.fd = c->control_is_open ? CONTROL : -1, .events = POLLIN};
    fds[TERMINAL] = (struct pollfd){.fd = TERMINAL, .events = ready(c) ? POLLOUT : 0};
    fds[MASTER] = (struct pollfd){.fd = wants_input(c) ? MASTER : -1, .events = POLLIN};
    fds[RESIZED] = (struct pollfd){.fd = RESIZED, .events = POLLIN};
    poll(fds, FDS, timeout(c));
}

static void look(struct copier *c, const struct pollfd fds[FDS])
{
    struct signalfd_siginfo info;
    if (fds[TERMINAL].revents & (POLLHUP | POLLERR | POLLNVAL))
        _exit(1);
    if (fds[RESIZED].revents && read(RESIZED, &info, sizeof info) > 0)
        resize();
    if (fds[CONTROL].revents)
        hear(c);
}

/* The descriptors have their numbers, and all others are closed. */
static void place(int control, int terminal, int master)
{
    int from[] = {control, terminal, master};
    for (int i = 0; i <= MASTER; i++)
        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FDS);
    for (int i = 0; i <= MASTER; i++)
        if (from[i] < 0 || dup2(from[i], i) < 0)
            _exit(1);
    sigset_t winch;
    sigemptyset(&winch);
    sigaddset(&winch, SIGWINCH);
    close(RESIZED);
    int fd = signalfd(-1, &winch, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0 || (fd != RESIZED && dup2(fd, RESIZED) < 0))
        _exit(1);
    close_range(FDS, ~0U, 0);
    fcntl(TERMINAL, F_SETFL, O_NONBLOCK);
    fcntl(MASTER, F_SETFL, O_NONBLOCK);
}

/* What `ps` shows: the memory that this program's command line began in is our own copy. */
static void set_title(void)
{
    enum { ARG_START = 48 };
    static char text[2048];
    static const char title[] = "yoke: output to the terminal";
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    char *at = strrchr(text, ')');
    for (int field = 2; at && field < ARG_START; field++)
        at = strchr(at + 1, ' ');
    unsigned long start = at ? strtoul(at, &at, 10) : 0, end = at ? strtoul(at, NULL, 10) : 0;
    if (start && end > start) {
        memset((char *)start, 0, end - start);
        snprintf((char *)start, end - start, "%s", title);
    }
    prctl(PR_SET_NAME, "yoke output");
}

void output_copier_run(int control, int terminal, int master)
{
    static struct copier c = {.last = '\n', .control_is_open = true};
    struct pollfd fds[FDS];
    place(control, terminal, master);
    set_title();
    c.kept = mmap(NULL, KEPT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c.kept == MAP_FAILED)
        _exit(1);
    resize();
    answer((struct output_word){.what = OUTPUT_READY});
    while (!c.over || c.size || c.losing) {
        wait_for_news(&c, fds);
        look(&c, fds);
        copy(&c);
        settle(&c);
        end_loss(&c);
    }
    _exit(0);
}
