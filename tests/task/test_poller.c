/* Readiness of descriptors: both sorts of watch. */
#include "task/poller.h"

#include "child.h"
#include "task/task.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static void run(yoke_task_fn fn)
{
    assert_success(yoke_run(fn, NULL, NULL));
}

struct wait {
    int fd;
    bool writing, done;
    yoke_error *outcome;
};

static yoke_error *wait_for(void *arg)
{
    struct wait *w = arg;
    w->outcome = w->writing ? yoke_wait_writable(w->fd) : yoke_wait_readable(w->fd);
    w->done = true;
    return NULL;
}

static yoke_error *pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
        return yoke_raise_errno(errno, "socketpair");
    return NULL;
}

static void fill(int fd)
{
    char block[4096] = {0};
    while (write(fd, block, sizeof block) > 0)
        ;
}

static void drain(int fd)
{
    char block[4096];
    while (read(fd, block, sizeof block) > 0)
        ;
}

static yoke_error *readable_and_writable(void *arg)
{
    int fds[2];
    YOKE_TRY(pair(fds));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    fill(fds[0]);
    /* Both directions of one descriptor, by two tasks; one is served and the other waits on. */
    struct wait r = {.fd = fds[0]}, w = {.fd = fds[0], .writing = true};
    YOKE_TRY(yoke_spawn(&n, wait_for, &r));
    YOKE_TRY(yoke_spawn(&n, wait_for, &w));
    settle();
    CHECK(!r.done && !w.done);
    CHECK(write(fds[1], "x", 1) == 1);
    settle();
    CHECK(r.done && !r.outcome && !w.done);
    drain(fds[1]);
    settle();
    CHECK(w.done && !w.outcome);
    YOKE_TRY(yoke_wait_readable(fds[0]));
    YOKE_TRY(yoke_wait_readable(fds[0])); /* level-triggered: the byte is still there */
    yoke_close(fds[1]);
    drain(fds[0]);
    YOKE_TRY(yoke_wait_readable(fds[0])); /* at its end */
    yoke_close(fds[0]);
    CHECK(scheduler_here->poller.waiting == 0);
    return yoke_nursery_close(&n, NULL);
}

static void test_readable_and_writable(void **state)
{
    run(readable_and_writable);
}

static yoke_error *cancelled_waits(void *arg)
{
    int fds[2];
    YOKE_TRY(pair(fds));
    yoke_scope s;
    for (int i = 0; i < 5; i++) {
        YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(1)));
        YOKE_TRY(yoke_scope_close(&s, yoke_wait_readable(fds[0])));
        CHECK(yoke_scope_cancelled_caught(&s) && scheduler_here->poller.waiting == 0);
    }
    CHECK(write(fds[1], "x", 1) == 1);
    YOKE_TRY(yoke_wait_readable(fds[0]));
    yoke_close(fds[0]);
    yoke_close(fds[1]);
    return NULL;
}

static void test_a_cancelled_wait_leaves_nothing(void **state)
{
    run(cancelled_waits);
}

/* Ready and cancelled in one pass: what was seen first counts. */
static yoke_error *ready_then_cancelled(void *arg)
{
    int fds[2];
    YOKE_TRY(pair(fds));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    struct wait r = {.fd = fds[0]};
    YOKE_TRY(yoke_spawn(&n, wait_for, &r));
    settle();
    CHECK(write(fds[1], "x", 1) == 1);
    YOKE_TRY(poller_wait(&scheduler_here->poller, 0)); /* the task is ready from here on */
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(r.done && !r.outcome);
    yoke_close(fds[0]);
    yoke_close(fds[1]);
    return NULL;
}

static void test_sched_10_readiness_is_never_reported_as_cancelled(void **state)
{
    run(ready_then_cancelled);
}

static yoke_error *busy_and_closed(void *arg)
{
    int fds[2];
    YOKE_TRY(pair(fds));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    struct wait r = {.fd = fds[0]};
    yoke_spawn_options named = {.name = "reader"};
    YOKE_TRY(yoke_spawn_with(&n, wait_for, &r, &named));
    settle();
    yoke_error *e = yoke_wait_readable(fds[0]);
    CHECK(yoke_error_is(e, &YOKE_BUSY_RESOURCE) && strstr(yoke_error_message(e), "reader"));
    yoke_error_free(e);
    YOKE_TRY(yoke_wait_writable(fds[0]));
    errno = 55;
    yoke_close(fds[0]);
    CHECK(errno == 55 && fcntl(fds[0], F_GETFD) < 0);
    settle();
    CHECK(r.done && was_kind(r.outcome, &YOKE_CLOSED));
    yoke_close(fds[1]);
    return yoke_nursery_close(&n, NULL);
}

static void test_busy_and_closed(void **state)
{
    run(busy_and_closed);
}

static yoke_error *bad_descriptors(void *arg)
{
    CHECK(was_kind(yoke_wait_readable(-1), &YOKE_USAGE));
    size_t live = memory_live();
    CHECK(was_kind(yoke_wait_readable(1 << 30), &YOKE_SYSTEM));
    CHECK(was_kind(yoke_wait_readable(INT32_MAX), &YOKE_SYSTEM));
    CHECK(memory_live() == live);
    int file = memfd_create("file", MFD_CLOEXEC);
    CHECK(was_kind(yoke_wait_readable(file), &YOKE_USAGE));
    yoke_close(file);
    CHECK(was_kind(yoke_wait_readable(file), &YOKE_SYSTEM));
    return NULL;
}

static void test_bad_descriptors(void **state)
{
    run(bad_descriptors);
}

/* A number that is closed behind our back, and opened anew. */
static yoke_error *numbers_again(void *arg)
{
    int fds[2], other[2];
    YOKE_TRY(pair(fds));
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(1)));
    YOKE_TRY(yoke_scope_close(&s, yoke_wait_readable(fds[0])));
    close(fds[0]); /* armed, and not told */
    YOKE_TRY(pair(other));
    if (other[0] != fds[0]) {
        CHECK(dup3(other[0], fds[0], O_CLOEXEC) == fds[0]);
        close(other[0]);
    }
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    struct wait r = {.fd = fds[0]};
    YOKE_TRY(yoke_spawn(&n, wait_for, &r));
    settle();
    CHECK(!r.done);
    CHECK(write(other[1], "x", 1) == 1);
    settle();
    CHECK(r.done && !r.outcome);
    yoke_close(fds[0]);
    close(fds[1]);
    close(other[1]);
    return yoke_nursery_close(&n, NULL);
}

static void test_sched_17_a_number_used_again(void **state)
{
    run(numbers_again);
}

static yoke_error *many_numbers(void *arg)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int count = limit.rlim_cur > 6000 ? 2500 : 400;
    for (int i = 0; i < 5000; i++) {
        int fds[2];
        YOKE_TRY(pair(fds));
        CHECK(write(fds[1], "x", 1) == 1);
        YOKE_TRY(yoke_wait_readable(fds[0]));
        yoke_close(fds[0]);
        yoke_close(fds[1]);
    }
    int(*fds)[2] = calloc((size_t)count, sizeof *fds);
    struct wait *waits = calloc((size_t)count, sizeof *waits);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < count; i++) {
        YOKE_TRY(pair(fds[i]));
        waits[i].fd = fds[i][0];
        YOKE_TRY(yoke_spawn(&n, wait_for, &waits[i]));
    }
    settle();
    for (int i = 0; i < count; i += 2)
        CHECK(write(fds[i][1], "x", 1) == 1);
    for (int i = 0, tries = 0; i < count; i += 2)
        for (; !waits[i].done && tries < 1000; tries++)
            YOKE_TRY(yoke_sleep(YOKE_MS(10)));
    for (int i = 0; i < count; i++)
        CHECK(waits[i].done == (i % 2 == 0) && !waits[i].outcome);
    for (int i = 0; i < count; i++) {
        yoke_close(fds[i][0]);
        yoke_close(fds[i][1]);
    }
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    for (int i = 0; i < count; i++)
        yoke_error_free(waits[i].outcome);
    free(fds);
    free(waits);
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    YOKE_TRY(yoke_sleep(YOKE_MS(300)));
    getrusage(RUSAGE_THREAD, &after);
    CHECK(after.ru_nvcsw - before.ru_nvcsw < 10);
    return NULL;
}

static void test_sched_17_epoll_is_edge_clean(void **state)
{
    run(many_numbers);
}

/* ---- kept watches ---- */

struct kept {
    struct poll_watch *watch;
    bool done;
    yoke_error *outcome;
};

static yoke_error *wait_kept(void *arg)
{
    struct kept *k = arg;
    k->outcome = poll_watch_readable(k->watch);
    k->done = true;
    return NULL;
}

static yoke_error *kept_watches(void *arg)
{
    int fds[2];
    YOKE_TRY(pair(fds));
    struct poll_watch w;
    YOKE_TRY(poll_watch_open(&w, fds[0]));
    YOKE_TRY(poll_watch_writable(&w));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 3; i++) {
        struct kept k = {.watch = &w};
        YOKE_TRY(yoke_spawn(&n, wait_kept, &k));
        settle();
        CHECK(!k.done);
        CHECK(was_kind(poll_watch_readable(&w), &YOKE_BUSY_RESOURCE));
        CHECK(write(fds[1], "x", 1) == 1);
        settle();
        CHECK(k.done && !k.outcome);
        drain(fds[0]);
    }
    /* Seen while nobody waited: kept, also over a wait that is cancelled. */
    CHECK(write(fds[1], "x", 1) == 1);
    YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    YOKE_TRY(yoke_scope_close(&s, poll_watch_readable(&w)));
    CHECK(yoke_scope_cancelled_caught(&s));
    YOKE_TRY(yoke_fail_after(&s, YOKE_S(5)));
    YOKE_TRY(yoke_scope_close(&s, poll_watch_readable(&w)));
    drain(fds[0]);
    /* And consumed by that. */
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(2)));
    YOKE_TRY(yoke_scope_close(&s, poll_watch_readable(&w)));
    CHECK(yoke_scope_cancelled_caught(&s));
    /* The end is seen each time. */
    close(fds[1]);
    for (int i = 0; i < 3; i++) {
        YOKE_TRY(poll_watch_readable(&w));
        drain(fds[0]);
    }
    poll_watch_close(&w);
    poll_watch_close(&w);
    CHECK(was_kind(poll_watch_readable(&w), &YOKE_CLOSED));
    close(fds[0]);

    YOKE_TRY(pair(fds));
    YOKE_TRY(poll_watch_open(&w, fds[0]));
    struct kept k = {.watch = &w};
    YOKE_TRY(yoke_spawn(&n, wait_kept, &k));
    settle();
    poll_watch_close(&w);
    settle();
    CHECK(k.done && was_kind(k.outcome, &YOKE_CLOSED) && scheduler_here->poller.waiting == 0);
    close(fds[0]);
    close(fds[1]);
    CHECK(was_kind(poll_watch_open(&w, fds[0]), &YOKE_SYSTEM));
    return yoke_nursery_close(&n, NULL);
}

static void test_kept_watches(void **state)
{
    run(kept_watches);
}

static yoke_error *drain_soon(void *arg)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    drain(*(int *)arg);
    return NULL;
}

static yoke_error *wait_for_room(yoke_nursery *n, struct poll_watch *w, int *far)
{
    fill(w->fd);
    w->writable = false;
    YOKE_TRY(yoke_spawn(n, drain_soon, far));
    yoke_scope s;
    YOKE_TRY(yoke_fail_after(&s, YOKE_S(5)));
    return yoke_scope_close(&s, poll_watch_writable(w));
}

static yoke_error *rounds_of_room(yoke_nursery *n, struct poll_watch *w, int *far)
{
    CHECK(write(w->fd, "x", 1) == 1);
    drain(*far);
    YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(!w->writable);
    for (int i = 0; i < 2; i++) {
        YOKE_TRY(wait_for_room(n, w, far));
        /* Room that comes while nobody waits is kept, and then no more asked for. */
        fill(w->fd);
        drain(*far);
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
        CHECK(w->writable && !(w->registered & EPOLLOUT));
    }
    return NULL;
}

/* Nobody is woken for room that nobody waits for, and no wait for it is in vain. */
static yoke_error *room_is_asked_for(void *arg)
{
    int fds[2];
    YOKE_TRY(pair(fds));
    struct poll_watch w;
    YOKE_TRY(poll_watch_open(&w, fds[0]));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_nursery_close(&n, rounds_of_room(&n, &w, &fds[1]));
    poll_watch_close(&w);
    close(fds[0]);
    close(fds[1]);
    return e;
}

static void test_room_is_asked_for_by_who_waits(void **state)
{
    run(room_is_asked_for);
}

static yoke_error *kept_with_budget_of_one(void *arg)
{
    int fds[2];
    YOKE_TRY(pair(fds));
    struct poll_watch w;
    YOKE_TRY(poll_watch_open(&w, fds[0]));
    CHECK(write(fds[1], "x", 1) == 1);
    yoke_scope s;
    YOKE_TRY(yoke_fail_after(&s, YOKE_S(5)));
    for (int i = 0; i < 10; i++) {
        YOKE_TRY(poll_watch_readable(&w));
        drain(fds[0]);
        CHECK(write(fds[1], "x", 1) == 1);
    }
    YOKE_TRY(yoke_scope_close(&s, NULL));
    poll_watch_close(&w);
    close(fds[0]);
    close(fds[1]);
    return NULL;
}

static void test_kept_watches_with_a_budget_of_one(void **state)
{
    yoke_run_options one = {.budget = 1};
    assert_success(yoke_run(kept_with_budget_of_one, NULL, &one));
}

HARNESS_MAIN(TEST(test_readable_and_writable), TEST(test_a_cancelled_wait_leaves_nothing),
             TEST(test_sched_10_readiness_is_never_reported_as_cancelled), TEST(test_busy_and_closed),
             TEST(test_bad_descriptors), TEST(test_sched_17_a_number_used_again),
             TEST(test_sched_17_epoll_is_edge_clean), TEST(test_kept_watches),
             TEST(test_room_is_asked_for_by_who_waits), TEST(test_kept_watches_with_a_budget_of_one))
