/* Waiting for descriptors; the two sorts of watch are told of in poller.h. */
#include "task/poller.h"

#include "base/memory.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_PER_WAIT = 64 };

yoke_error *poller_open(struct poller *p)
{
    *p = (struct poller){.epoll_fd = -1, .wake_fd = -1};
    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll_fd < 0)
        return yoke_raise_errno(errno, "epoll_create1");
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake_fd < 0) {
        yoke_error *e = yoke_raise_errno(errno, "eventfd");
        poller_close(p);
        return e;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, p->wake_fd, &event) < 0) {
        yoke_error *e = yoke_raise_errno(errno, "epoll_ctl");
        poller_close(p);
        return e;
    }
    return NULL;
}

void poller_close(struct poller *p)
{
    if (p->epoll_fd >= 0)
        close(p->epoll_fd);
    if (p->wake_fd >= 0)
        close(p->wake_fd);
    for (size_t fd = 0; fd < p->by_fd_count; fd++)
        memory_free(p->by_fd[fd]);
    memory_free(p->by_fd);
    *p = (struct poller){.epoll_fd = -1, .wake_fd = -1};
}

void poller_wake(struct poller *p)
{
    int saved = errno;
    uint64_t one = 1;
    /* EAGAIN: the counter is full, so it is readable anyway. */
    ssize_t ignored = write(p->wake_fd, &one, sizeof one);
    (void)ignored;
    errno = saved;
}

static void wake(struct poller *p, yoke_task **waiter, yoke_error *outcome)
{
    yoke_task *task = *waiter;
    *waiter = NULL;
    p->waiting--;
    yoke_reschedule(task, outcome);
}

/*
 * A kept watch asks for EPOLLOUT only while someone writes to a full socket: else each message that the peer
 * reads would wake us for room that nobody waits for. Asking looks anew, so no edge is missed meanwhile.
 */
static bool ask_for_room(struct poller *p, struct poll_watch *w, bool ask)
{
    if (ask == !!(w->registered & EPOLLOUT))
        return true;
    uint32_t events = ask ? w->registered | EPOLLOUT : w->registered & ~(uint32_t)EPOLLOUT;
    struct epoll_event event = {.events = events, .data.ptr = w};
    if (epoll_ctl(p->epoll_fd, EPOLL_CTL_MOD, w->fd, &event) < 0)
        return false;
    w->registered = events;
    return true;
}

/* Hang-up and error wake both directions: the next read or write tells what it was. */
static void saw(struct poller *p, struct poll_watch *w, uint32_t events)
{
    bool in = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI);
    bool out = events & (EPOLLOUT | EPOLLHUP | EPOLLERR);
    if (w->one_shot)
        w->registered = 0; /* disarmed by the kernel, and armed again below for whom it did not wake */
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        w->ended = true;
    if (in && w->reader)
        wake(p, &w->reader, NULL);
    else if (in && !w->one_shot)
        w->readable = true;
    if (out && w->writer)
        wake(p, &w->writer, NULL);
    else if (out && !w->one_shot) {
        w->writable = true;
        ask_for_room(p, w, false); /* where that fails, it wakes us once more for nothing */
    }
}

static bool arm(struct poller *p, struct poll_watch *w);

static int wait_for_events(struct poller *p, struct epoll_event *events, int64_t timeout_ns)
{
    if (timeout_ns <= 0)
        return epoll_wait(p->epoll_fd, events, EVENTS_PER_WAIT, timeout_ns < 0 ? -1 : 0);
    struct timespec ts = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    /* epoll_pwait2 is Linux 5.11, and younger than many sandboxes; else whole milliseconds, rounded up. */
    static atomic_bool coarse;
    if (!atomic_load_explicit(&coarse, memory_order_relaxed)) {
        int n = epoll_pwait2(p->epoll_fd, events, EVENTS_PER_WAIT, &ts, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        atomic_store_explicit(&coarse, true, memory_order_relaxed);
    }
    int64_t ms = (timeout_ns + 999999) / 1000000;
    return epoll_wait(p->epoll_fd, events, EVENTS_PER_WAIT, ms > 3600000 ? 3600000 : (int)ms);
}

yoke_error *poller_wait(struct poller *p, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    int n = wait_for_events(p, events, timeout_ns);
    if (n < 0)
        return errno == EINTR ? NULL : yoke_raise_errno(errno, "epoll_wait");
    for (int i = 0; i < n; i++) {
        struct poll_watch *w = events[i].data.ptr;
        if (!w) {
            uint64_t count;
            ssize_t ignored = read(p->wake_fd, &count, sizeof count);
            (void)ignored;
            continue;
        }
        saw(p, w, events[i].events);
        if (w->one_shot && (w->reader || w->writer) && !arm(p, w)) {
            if (w->reader)
                wake(p, &w->reader, NULL);
            if (w->writer)
                wake(p, &w->writer, NULL);
        }
    }
    return NULL;
}

/* ---- parking ---- */

static enum yoke_abort stop_waiting(yoke_task *task, void *arg)
{
    yoke_task **waiter = arg;
    *waiter = NULL;
    task->scheduler->poller.waiting--;
    return YOKE_ABORT_DONE;
}

static yoke_error *wait_as(struct poller *p, yoke_task *task, yoke_task **waiter)
{
    *waiter = task;
    p->waiting++;
    return task_park(task, stop_waiting, waiter);
}

/* ---- kept watches ---- */

yoke_error *poll_watch_open(struct poll_watch *w, int fd)
{
    *w = (struct poll_watch){.fd = fd};
    struct scheduler *s = scheduler_here;
    if (!s)
        return task_outside("poll_watch_open");
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = w};
    if (epoll_ctl(s->poller.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return yoke_raise_errno(errno, "epoll_ctl on descriptor %d", fd);
    w->registered = event.events;
    return NULL;
}

static yoke_error *watch_wait(struct poll_watch *w, yoke_task **waiter, bool *seen)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("poll_watch");
    YOKE_TRY(task_operation(task));
    if (w->closed)
        return yoke_raise(&YOKE_CLOSED, "the descriptor was closed");
    if (*seen || (w->ended && waiter == &w->reader)) {
        *seen = false;
        return NULL;
    }
    if (*waiter)
        return yoke_raise(&YOKE_BUSY_RESOURCE, "task `%s` waits for descriptor %d already", (*waiter)->name,
                          w->fd);
    struct poller *p = &task->scheduler->poller;
    if (waiter == &w->writer && !ask_for_room(p, w, true))
        return yoke_raise_errno(errno, "waiting for descriptor %d", w->fd);
    return wait_as(p, task, waiter);
}

yoke_error *poll_watch_readable(struct poll_watch *w)
{
    return watch_wait(w, &w->reader, &w->readable);
}

yoke_error *poll_watch_writable(struct poll_watch *w)
{
    return watch_wait(w, &w->writer, &w->writable);
}

static void wake_closed(struct poller *p, yoke_task **waiter)
{
    if (*waiter)
        wake(p, waiter, yoke_raise(&YOKE_CLOSED, "the descriptor was closed"));
}

void poll_watch_close(struct poll_watch *w)
{
    struct scheduler *s = scheduler_here;
    if (w->closed || !s)
        return;
    w->closed = true;
    if (w->registered)
        epoll_ctl(s->poller.epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->registered = 0;
    wake_closed(&s->poller, &w->reader);
    wake_closed(&s->poller, &w->writer);
}

/* ---- one-shot watches, by the number of the fd ---- */

static struct poll_watch *watch_of(struct poller *p, int fd)
{
    if ((size_t)fd >= p->by_fd_count) {
        size_t count = (size_t)fd + 32 > 2 * p->by_fd_count ? (size_t)fd + 32 : 2 * p->by_fd_count;
        struct poll_watch **grown = memory_realloc(p->by_fd, count * sizeof *grown);
        if (!grown)
            return NULL;
        for (size_t i = p->by_fd_count; i < count; i++)
            grown[i] = NULL;
        p->by_fd = grown;
        p->by_fd_count = count;
    }
    if (!p->by_fd[fd]) {
        p->by_fd[fd] = memory_calloc(1, sizeof **p->by_fd);
        if (p->by_fd[fd])
            *p->by_fd[fd] = (struct poll_watch){.fd = fd, .one_shot = true};
    }
    return p->by_fd[fd];
}

static bool arm(struct poller *p, struct poll_watch *w)
{
    uint32_t events = EPOLLONESHOT | (w->reader ? EPOLLIN | EPOLLRDHUP : 0u) | (w->writer ? EPOLLOUT : 0u);
    struct epoll_event event = {.events = events, .data.ptr = w};
    /* The number may have been closed and opened anew behind our back: what epoll knows of it decides, not
     * what we remember. */
    if (epoll_ctl(p->epoll_fd, EPOLL_CTL_MOD, w->fd, &event) < 0 &&
        (errno != ENOENT || epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, w->fd, &event) < 0))
        return false;
    w->registered = events;
    return true;
}

static yoke_error *wait_for_fd(int fd, bool write)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside(write ? "yoke_wait_writable" : "yoke_wait_readable");
    if (fd < 0)
        return yoke_raise(&YOKE_USAGE, "%d is no descriptor", fd);
    YOKE_TRY(task_operation(task));
    struct poller *p = &task->scheduler->poller;
    /* Asked first, so that a number out of the air does not make a table of its size. */
    if ((size_t)fd >= p->by_fd_count && fcntl(fd, F_GETFD) < 0)
        return yoke_raise_errno(errno, "waiting for descriptor %d", fd);
    struct poll_watch *w = watch_of(p, fd);
    if (!w)
        return yoke_raise(&YOKE_NO_MEMORY, "waiting for descriptor %d", fd);
    yoke_task **waiter = write ? &w->writer : &w->reader;
    if (*waiter)
        return yoke_raise(&YOKE_BUSY_RESOURCE, "task `%s` waits for descriptor %d already", (*waiter)->name,
                          fd);
    *waiter = task;
    bool armed = arm(p, w);
    *waiter = NULL;
    if (!armed)
        return errno == EPERM ? yoke_raise(&YOKE_USAGE, "descriptor %d is a file that is always ready", fd)
                              : yoke_raise_errno(errno, "waiting for descriptor %d", fd);
    return wait_as(p, task, waiter);
}

yoke_error *yoke_wait_readable(int fd)
{
    return wait_for_fd(fd, false);
}

yoke_error *yoke_wait_writable(int fd)
{
    return wait_for_fd(fd, true);
}

void yoke_close(int fd)
{
    int saved = errno;
    struct scheduler *s = scheduler_here;
    if (s && fd >= 0 && (size_t)fd < s->poller.by_fd_count && s->poller.by_fd[fd]) {
        struct poll_watch *w = s->poller.by_fd[fd];
        epoll_ctl(s->poller.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        w->registered = 0;
        wake_closed(&s->poller, &w->reader);
        wake_closed(&s->poller, &w->writer);
    }
    close(fd);
    errno = saved;
}
