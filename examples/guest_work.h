/*
 * What guest_poll.c, guest_uv.c and guest_glib.c have in common: tasks that sleep and talk over a socket, and
 * a host with a timer and a socket of its own, on one thread. How late each of them is, is measured.
 */
#ifndef GUEST_WORK_H
#define GUEST_WORK_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <yoke/task.h>

enum { ROUNDS = 50, PERIOD_MS = 4 };

struct times {
    int count;
    int64_t ns[ROUNDS];
};

struct work {
    int task_end, host_end; /* of a socket */
    int64_t due;            /* of the host's timer; 0: not yet known */
    struct times beats, sleeps, trips;
    bool over; /* the guest's run */
    yoke_error *error;
};

static inline int64_t clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * YOKE_S(1) + ts.tv_nsec;
}

static inline void times_add(struct times *t, int64_t ns)
{
    if (t->count < ROUNDS)
        t->ns[t->count++] = ns;
}

static inline int times_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static inline void times_print(const char *what, struct times *t)
{
    if (!t->count)
        return;
    qsort(t->ns, (size_t)t->count, sizeof *t->ns, times_compare);
    printf("%-40s %d times, median %.2f ms, at most %.2f ms\n", what, t->count,
           (double)t->ns[t->count / 2] / 1e6, (double)t->ns[t->count - 1] / 1e6);
}

/* ---- the tasks ---- */

static yoke_error *sleep_often(void *arg)
{
    struct work *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t due = yoke_now() + YOKE_MS(PERIOD_MS);
        YOKE_TRY(yoke_sleep_until(due));
        times_add(&w->sleeps, yoke_now() - due);
    }
    return NULL;
}

static yoke_error *talk_to_host(void *arg)
{
    struct work *w = arg;
    char byte = 'x';
    for (int i = 0; i < ROUNDS; i++) {
        int64_t begun = yoke_now();
        if (write(w->task_end, &byte, 1) != 1)
            return yoke_raise(&YOKE_INTERNAL, "the host does not listen");
        YOKE_TRY(yoke_wait_readable(w->task_end));
        if (read(w->task_end, &byte, 1) != 1)
            return yoke_raise(&YOKE_INTERNAL, "the host does not answer");
        times_add(&w->trips, yoke_now() - begun);
    }
    return NULL;
}

static inline yoke_error *work_main(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, sleep_often, arg);
    if (!e)
        e = yoke_spawn(&n, talk_to_host, arg);
    return yoke_nursery_close(&n, e);
}

/* ---- the host's part, whatever its loop ---- */

static inline bool work_open(struct work *w)
{
    int ends[2];
    *w = (struct work){.over = false};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    w->task_end = ends[0];
    w->host_end = ends[1];
    return true;
}

/* Its socket is readable. */
static inline void work_answer(struct work *w)
{
    char byte;
    if (read(w->host_end, &byte, 1) == 1 && write(w->host_end, &byte, 1) != 1)
        fprintf(stderr, "the task does not listen\n");
}

/* Its timer, of PERIOD_MS, has come. */
static inline void work_beat(struct work *w)
{
    int64_t now = clock_now();
    if (w->due)
        times_add(&w->beats, now - w->due);
    w->due = now + YOKE_MS(PERIOD_MS);
}

/* For the guest. */
static inline void work_ended(void *arg, yoke_error *e)
{
    struct work *w = arg;
    w->error = e;
    w->over = true;
}

static inline bool work_is_done(const struct work *w)
{
    return w->over && (w->error || w->beats.count == ROUNDS);
}

/* The exit status. `e`: what else went wrong. */
static inline int work_close(struct work *w, yoke_error *e)
{
    times_print("the host's timer was late", &w->beats);
    times_print("a task's sleep was late", &w->sleeps);
    times_print("from a task to the host's socket and back", &w->trips);
    close(w->task_end);
    close(w->host_end);
    e = yoke_error_join(e, w->error);
    if (!e)
        return 0;
    yoke_error_print(stderr, e);
    yoke_error_free(e);
    return 1;
}

#endif
