/*
 * Readiness of file descriptors, by epoll. Two sorts of watch share one struct:
 *   kept      registered once, edge-triggered, with the readiness that was seen kept in flags: no system call
 *             for a wait. Whoever owns one reads (writes) till EAGAIN, or till less came (went) than asked,
 *             before he waits: channels and the runtime. Room to write is asked for by the wait that needs it
 *             (a system call), and no more once nobody waited when it came.
 *   one-shot  for any fd of the user's: level-triggered, armed anew by each wait.
 */
#ifndef TASK_POLLER_H
#define TASK_POLLER_H

#include <yoke/task.h>

struct poller;

struct poll_watch {
    int fd;
    uint32_t registered; /* the events that epoll has for it; 0: none */
    bool one_shot;
    bool readable, writable; /* kept: seen and not yet consumed */
    bool ended; /* kept: the peer's end or an error was seen, for which no second edge comes: reads do not
                   wait any more */
    bool closed;
    yoke_task *reader, *writer;
};

struct poller {
    int epoll_fd, wake_fd;
    size_t waiting;            /* tasks parked here, and a guest's host */
    struct poll_watch **by_fd; /* the one-shot watches */
    size_t by_fd_count;
};

YOKE_MUST_USE yoke_error *poller_open(struct poller *p);
void poller_close(struct poller *p);
/* Waits till an fd is ready, wake_fd is written to, or `timeout_ns` has passed (0: only looks; negative: for
 * ever). */
YOKE_MUST_USE yoke_error *poller_wait(struct poller *p, int64_t timeout_ns);
/* From any thread and from signal handlers: ends a wait. */
void poller_wake(struct poller *p);

/* Kept watches. The fd is non-blocking and stays the caller's; poll_watch_close must come before close(2). */
YOKE_MUST_USE yoke_error *poll_watch_open(struct poll_watch *w, int fd);
/* Checkpoints. Woken with YOKE_CLOSED when the watch is closed meanwhile. */
YOKE_MUST_USE yoke_error *poll_watch_readable(struct poll_watch *w);
YOKE_MUST_USE yoke_error *poll_watch_writable(struct poll_watch *w);
void poll_watch_close(struct poll_watch *w);

#endif
