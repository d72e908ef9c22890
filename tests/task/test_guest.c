/* Guests: a run on a host's loop. The host here is plain poll(2). */
#include "child.h"
#include "task/guest.h"
#include "task/task.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

/* ---- the host ---- */

struct host {
    yoke_guest *guest;
    unsigned ends;
    yoke_error *error; /* what the end was given */
    unsigned waits;
};

static void note_end(void *arg, yoke_error *e)
{
    struct host *h = arg;
    h->ends++;
    h->error = e;
}

static int64_t now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void start_with(struct host *h, yoke_task_fn main_fn, void *arg, const yoke_guest_options *options)
{
    *h = (struct host){0};
    assert_success(yoke_guest_start(&h->guest, main_fn, arg, note_end, h, options));
    assert_int_equal(h->ends, 0);
}

static void start(struct host *h, yoke_task_fn main_fn, void *arg)
{
    start_with(h, main_fn, arg, NULL);
}

static bool is_readable(const struct host *h)
{
    struct pollfd fd = {.fd = yoke_guest_fd(h->guest), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void tick(struct host *h)
{
    assert_success(yoke_guest_tick(h->guest));
}

static void ticks(struct host *h, int count)
{
    for (; count; count--)
        tick(h);
}

static bool has_work(const struct host *h)
{
    return is_readable(h) || yoke_guest_deadline(h->guest) == 0;
}

/* Waits for the guest as a host does, `most` ns. False: nothing came. */
static bool wait_for(struct host *h, int64_t most)
{
    int64_t deadline = yoke_guest_deadline(h->guest), ns = deadline == YOKE_NEVER ? most : deadline - now();
    ns = ns < 0 ? 0 : ns > most ? most : ns;
    struct pollfd fd = {.fd = yoke_guest_fd(h->guest), .events = POLLIN};
    h->waits++;
    return ppoll(&fd, 1, &(struct timespec){ns / 1000000000, ns % 1000000000}, NULL) == 1 ||
           yoke_guest_deadline(h->guest) <= now();
}

/* Till the guest has nothing to do. */
static void drain(struct host *h)
{
    while (!h->ends && has_work(h))
        tick(h);
}

/* Till the end, and what it was given. */
static yoke_error *finish(struct host *h)
{
    while (!h->ends) {
        assert_true(wait_for(h, YOKE_S(60)));
        tick(h);
    }
    assert_int_equal(h->ends, 1);
    assert_success(yoke_guest_close(h->guest, NULL));
    return h->error;
}

/* ---- GUEST-01 ---- */

struct pipe_and_count {
    int fds[2];
    int steps;
};

static yoke_error *read_then_sleep(void *arg)
{
    struct pipe_and_count *p = arg;
    char byte;
    YOKE_TRY(yoke_wait_readable(p->fds[0]));
    CHECK(read(p->fds[0], &byte, 1) == 1);
    p->steps = 1;
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    p->steps = 2;
    return NULL;
}

static void test_guest_01_one_fd_one_deadline_one_tick(void **state)
{
    struct pipe_and_count p = {.steps = 0};
    struct host h;
    assert_int_equal(pipe(p.fds), 0);
    start(&h, read_then_sleep, &p);
    assert_int_equal(yoke_guest_deadline(h.guest), 0);
    drain(&h);
    /* Its task waits for ever, its ticks do not. */
    assert_true(yoke_guest_deadline(h.guest) == YOKE_NEVER);
    ticks(&h, 100);
    assert_false(is_readable(&h));
    assert_int_equal(write(p.fds[1], "x", 1), 1);
    assert_true(is_readable(&h));
    drain(&h);
    assert_int_equal(p.steps, 1);
    int64_t deadline = yoke_guest_deadline(h.guest);
    assert_true(deadline > 0 && deadline < now() + YOKE_S(1));
    while (now() <= deadline + YOKE_MS(1)) /* the host has something else to do */
        usleep(1000);
    assert_int_equal(yoke_guest_deadline(h.guest), 0);
    assert_int_equal(p.steps, 1);
    assert_success(finish(&h));
    assert_int_equal(p.steps, 2);
    close(p.fds[0]);
    close(p.fds[1]);
}

/* ---- GUEST-02 ---- */

YOKE_ERROR_KIND(OWN, "test.Own", NULL);

static yoke_error *fail_with(void *arg)
{
    return arg;
}

static void test_guest_02_end_is_told_once_and_not_from_start(void **state)
{
    yoke_error *own = yoke_raise(&OWN, "own");
    struct host h;
    start(&h, fail_with, own); /* looks that nothing was told */
    for (int i = 0; i < 100 && !h.ends; i++)
        tick(&h);
    assert_int_equal(h.ends, 1);
    assert_ptr_equal(h.error, own);
    assert_error(yoke_guest_tick(h.guest), &YOKE_RUN_FINISHED);
    assert_int_equal(h.ends, 1);
    assert_error(finish(&h), &OWN);
}

static yoke_error *nothing(void *arg)
{
    return NULL;
}

static bool ran_in_end;

static void close_and_begin_another(void *arg, yoke_error *e)
{
    struct host *h = arg;
    assert_success(e);
    assert_false(yoke_in_run());
    assert_success(yoke_guest_close(h->guest, NULL));
    h->guest = NULL;
    assert_success(yoke_run(nothing, NULL, NULL));
    ran_in_end = true;
}

static void test_guest_02_thread_is_free_in_the_end(void **state)
{
    struct host h = {0};
    ran_in_end = false;
    assert_success(yoke_guest_start(&h.guest, nothing, NULL, close_and_begin_another, &h, NULL));
    for (int i = 0; i < 100 && h.guest; i++)
        tick(&h);
    assert_true(ran_in_end);
}

/* ---- GUEST-03 ---- */

static char told[256];

static yoke_error *clean_up_slowly(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    snprintf(told, sizeof told, "%s", yoke_error_message(e));
    yoke_scope shield;
    yoke_error *clean = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (!clean)
        clean = yoke_scope_close(&shield, yoke_sleep(YOKE_MS(20)));
    *(bool *)arg = !clean;
    return yoke_error_join(e, clean);
}

static yoke_error *with_child(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, clean_up_slowly, arg);
    return yoke_nursery_close(&n, e ? e : yoke_sleep_forever());
}

static void test_guest_03_abort_cancels_and_ticks_end_it(void **state)
{
    bool cleaned = false;
    struct host h;
    start(&h, with_child, &cleaned);
    drain(&h);
    yoke_guest_abort(h.guest, "the window was closed");
    yoke_guest_abort(h.guest, "again");
    assert_int_equal(h.ends, 0);
    assert_int_equal(yoke_guest_deadline(h.guest), 0);
    assert_success(finish(&h));
    assert_true(cleaned);
    assert_non_null(strstr(told, "the window was closed"));
}

static yoke_error *abort_own_guest(void *arg)
{
    struct host *h = arg;
    yoke_guest_abort(h->guest, NULL);
    yoke_error *e = yoke_checkpoint();
    CHECK(yoke_error_is_cancelled(e));
    return yoke_error_join(e, yoke_raise(&OWN, "own"));
}

static void test_guest_03_what_main_says_beside_it_is_told(void **state)
{
    struct host h;
    start(&h, abort_own_guest, &h);
    yoke_error *e = finish(&h);
    assert_null(yoke_error_find(e, &YOKE_CANCELLED));
    assert_non_null(yoke_error_find(e, &OWN));
    yoke_error_free(e);
}

static yoke_error *count_and_checkpoint(void *arg)
{
    ++*(int *)arg;
    return yoke_checkpoint();
}

static void test_guest_03_before_the_first_tick(void **state)
{
    int steps = 0;
    struct host h;
    start(&h, count_and_checkpoint, &steps);
    yoke_guest_abort(h.guest, NULL);
    assert_success(finish(&h));
    assert_int_equal(steps, 1);
}

/* ---- GUEST-05 ---- */

/* The host's own queue of things to call, of one place. */
struct ping_pong {
    yoke_token *token;
    yoke_event pong;
    bool asked;
    int rounds, pings, pongs;
};

static yoke_error *set_pong(void *arg)
{
    struct ping_pong *p = arg;
    p->pongs++;
    yoke_event_set(&p->pong);
    return NULL;
}

static yoke_error *ask_host(void *arg)
{
    struct ping_pong *p = arg;
    for (p->rounds = 0; p->rounds < 10; p->rounds++) {
        yoke_event_init(&p->pong);
        p->asked = true;
        YOKE_TRY(yoke_event_wait(&p->pong));
    }
    return NULL;
}

static void test_guest_05_ping_pong_of_task_and_host(void **state)
{
    struct ping_pong p = {0};
    struct host h;
    start(&h, ask_host, &p);
    assert_success(yoke_token_get(&p.token));
    while (!h.ends) {
        assert_true(wait_for(&h, YOKE_S(60)));
        tick(&h);
        if (!p.asked)
            continue;
        p.asked = false;
        p.pings++;
        assert_success(yoke_token_post(p.token, set_pong, &p));
        assert_true(is_readable(&h));
    }
    yoke_token_free(p.token);
    assert_success(finish(&h));
    assert_int_equal(p.rounds, 10);
    assert_int_equal(p.pings, 10);
    assert_int_equal(p.pongs, 10);
}

/* ---- GUEST-06 ---- */

static yoke_error *sleep_long(void *arg)
{
    return yoke_sleep(YOKE_S(999));
}

static yoke_error *read_beside_sleeper(void *arg)
{
    struct pipe_and_count *p = arg;
    char byte;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, sleep_long, NULL);
    while (!e && p->steps < 3) {
        e = yoke_wait_readable(p->fds[0]);
        p->steps += !e && read(p->fds[0], &byte, 1) == 1;
    }
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, e);
}

static void test_guest_06_idle_guest_wakes_nobody(void **state)
{
    struct pipe_and_count p = {.steps = 0};
    struct host h;
    assert_int_equal(pipe(p.fds), 0);
    start(&h, read_beside_sleeper, &p);
    for (int i = 1; i <= 3; i++) {
        drain(&h);
        assert_int_equal(p.steps, i - 1);
        assert_false(wait_for(&h, YOKE_MS(100)));
        assert_int_equal(write(p.fds[1], "x", 1), 1);
        h.waits = 0;
        while (p.steps < i) {
            assert_true(wait_for(&h, YOKE_S(60)));
            tick(&h);
        }
        assert_true(h.waits <= 3);
    }
    assert_success(finish(&h));
    close(p.fds[0]);
    close(p.fds[1]);
}

/* ---- GUEST-07 ---- */

struct busy {
    int fds[2];
    unsigned turns[2], posts;
    bool stop, read, slept;
};

static yoke_error *yield_on(struct busy *b, unsigned i)
{
    while (!b->stop) {
        b->turns[i]++;
        YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}

static yoke_error *first_yields(void *arg)
{
    return yield_on(arg, 0);
}

static yoke_error *second_yields(void *arg)
{
    return yield_on(arg, 1);
}

static yoke_error *read_one(void *arg)
{
    struct busy *b = arg;
    YOKE_TRY(yoke_wait_readable(b->fds[0]));
    b->read = true;
    return NULL;
}

static yoke_error *sleep_one(void *arg)
{
    YOKE_TRY(yoke_sleep(1));
    ((struct busy *)arg)->slept = true;
    return NULL;
}

static yoke_error *be_busy(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, first_yields, arg);
    if (!e)
        e = yoke_spawn(&n, second_yields, arg);
    if (!e)
        e = yoke_spawn(&n, read_one, arg);
    if (!e)
        e = yoke_spawn(&n, sleep_one, arg);
    return yoke_nursery_close(&n, e);
}

/* Posts itself again: it has its turn in each tick, and once in each. */
static yoke_error *post_again(void *arg)
{
    struct busy *b = arg;
    yoke_token *token;
    b->posts++;
    YOKE_TRY(yoke_token_get(&token));
    yoke_error *e = b->stop ? NULL : yoke_token_post(token, post_again, b);
    yoke_token_free(token);
    return e;
}

static void test_guest_07_a_tick_has_a_bound(void **state)
{
    struct busy b = {.stop = false};
    struct host h;
    assert_int_equal(pipe(b.fds), 0);
    start(&h, be_busy, &b);
    ticks(&h, 4);
    assert_true(b.turns[0] && b.turns[1] && b.slept && !b.read);
    assert_success(post_again(&b));
    ticks(&h, 2);
    struct busy before = b;
    for (unsigned i = 1; i <= 1000; i++) { /* the host has its turn in between */
        tick(&h);
        assert_int_equal(b.turns[0], before.turns[0] + i);
        assert_int_equal(b.turns[1], before.turns[1] + i);
        assert_int_equal(b.posts, before.posts + i);
    }
    assert_int_equal(write(b.fds[1], "x", 1), 1);
    ticks(&h, 3);
    assert_true(b.read);
    b.stop = true;
    assert_success(finish(&h));
    close(b.fds[0]);
    close(b.fds[1]);
}

/* ---- GUEST-08 ---- */

struct beginning {
    bool main_ran, system_ran, posted;
};

static yoke_error *note_main(void *arg)
{
    struct beginning *b = arg;
    CHECK(b->system_ran && b->posted);
    b->main_ran = true;
    return NULL;
}

static yoke_error *note_system(void *arg)
{
    struct beginning *b = arg;
    b->system_ran = !b->main_ran;
    return NULL;
}

static yoke_error *note_post(void *arg)
{
    ((struct beginning *)arg)->posted = true;
    return NULL;
}

static yoke_error *main_after_system(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    YOKE_TRY(yoke_checkpoint());
    return note_main(arg);
}

static void test_guest_08_all_is_there_when_start_returns(void **state)
{
    struct beginning b = {false};
    yoke_mock_clock clock;
    yoke_mock_clock_init(&clock);
    assert_success(yoke_mock_clock_jump(&clock, 77));
    struct host h;
    start_with(&h, main_after_system, &b, &(yoke_guest_options){.run.clock = &clock.clock});
    assert_true(yoke_in_run());
    assert_false(yoke_in_task());
    assert_int_equal(yoke_now(), 77);
    yoke_token *token;
    assert_success(yoke_token_get(&token));
    assert_success(yoke_token_post(token, note_post, &b));
    yoke_token_free(token);
    assert_success(yoke_spawn_system(note_system, &b));
    assert_false(b.main_ran || b.system_ran || b.posted);
    assert_success(finish(&h));
    assert_true(b.main_ran);
}

/* Fails in each of its steps once; nothing stays, and the end is not told of. */
static void test_guest_08_errors_of_the_set_up(void **state)
{
    struct host h = {0};
    assert_error_text(
        yoke_guest_start(&h.guest, nothing, NULL, note_end, &h, &(yoke_guest_options){.run.stack_bytes = 1}),
        &YOKE_USAGE, "stack_bytes");
    assert_error(yoke_guest_start(&h.guest, nothing, NULL, NULL, &h, NULL), &YOKE_USAGE);
    assert_error(yoke_guest_start(&h.guest, NULL, NULL, note_end, &h, NULL), &YOKE_USAGE);
    size_t live = memory_live();
    unsigned failed = 0;
    bool refused = true;
    for (size_t n = 0; refused; n++) {
        memory_fail_after(n);
        yoke_error *e = yoke_guest_start(&h.guest, nothing, NULL, note_end, &h, NULL);
        refused = memory_fail_after(SIZE_MAX);
        assert_true(refused == (e != NULL));
        assert_true(refused == (h.guest == NULL));
        assert_int_equal(h.ends, 0);
        assert_false(e && yoke_in_run());
        failed += e != NULL;
        if (e)
            assert_error(e, &YOKE_NO_MEMORY);
        assert_true(!refused || memory_live() == live);
    }
    assert_true(failed >= 2);
    assert_success(finish(&h));
}

/* ---- GUEST-09 ---- */

struct woken {
    yoke_event event;
    yoke_sender tx;
    yoke_receiver rx;
    yoke_scope *scope;
    int steps;
};

static yoke_error *be_woken(void *arg)
{
    struct woken *w = arg;
    int item = 0;
    YOKE_TRY(yoke_event_wait(&w->event));
    w->steps = 1;
    YOKE_TRY(yoke_channel_receive(&w->rx, &item));
    CHECK(item == 42);
    w->steps = 2;
    yoke_scope scope;
    YOKE_TRY(yoke_scope_open(&scope));
    w->scope = &scope;
    YOKE_TRY(yoke_scope_close(&scope, yoke_sleep_forever()));
    w->steps = 3;
    return NULL;
}

static yoke_error *make_and_be_woken(void *arg)
{
    struct woken *w = arg;
    YOKE_TRY(yoke_channel_open(&w->tx, &w->rx, 1, sizeof(int), NULL));
    yoke_error *e = be_woken(arg);
    yoke_receiver_close(&w->rx);
    yoke_sender_close(&w->tx);
    return e;
}

/* The next tick of a guest that something was just done to. */
static void expect_step(struct host *h, const struct woken *w, int step)
{
    assert_int_equal(yoke_guest_deadline(h->guest), 0);
    assert_int_equal(w->steps, step - 1);
    tick(h);
    assert_int_equal(w->steps, step);
    drain(h);
}

static void test_guest_09_host_wakes_a_task(void **state)
{
    struct woken w = {.steps = 0};
    struct host h;
    yoke_event_init(&w.event);
    start(&h, make_and_be_woken, &w);
    drain(&h);
    assert_true(yoke_guest_deadline(h.guest) == YOKE_NEVER);
    yoke_event_set(&w.event);
    expect_step(&h, &w, 1);
    int item = 42;
    assert_success(yoke_channel_send_nowait(&w.tx, &item));
    expect_step(&h, &w, 2);
    yoke_scope_cancel(w.scope, "by the host");
    expect_step(&h, &w, 3);
    assert_success(finish(&h));
}

/* ---- GUEST-10 ---- */

static yoke_error *sleep_in_scope(void *arg)
{
    yoke_scope scope;
    YOKE_TRY(yoke_scope_open(&scope));
    *(yoke_scope **)arg = &scope;
    yoke_error *e = yoke_scope_close(&scope, yoke_sleep(YOKE_S(999)));
    *(yoke_scope **)arg = NULL;
    CHECK(!e && yoke_scope_cancelled_caught(&scope));
    return NULL;
}

static void expect_deadline(struct host *h, int64_t wanted)
{
    int64_t got = yoke_guest_deadline(h->guest);
    assert_true(got >= wanted && got < wanted + YOKE_S(5));
}

static void test_guest_10_host_moves_a_deadline(void **state)
{
    yoke_scope *scope = NULL;
    struct host h;
    start(&h, sleep_in_scope, &scope);
    drain(&h);
    int64_t begun = now();
    expect_deadline(&h, begun + YOKE_S(995));
    assert_success(yoke_scope_set_deadline(scope, begun + YOKE_S(500)));
    expect_deadline(&h, begun + YOKE_S(500));
    assert_success(yoke_scope_set_deadline(scope, begun + YOKE_S(100000)));
    expect_deadline(&h, begun + YOKE_S(995));
    ticks(&h, 10);
    assert_non_null(scope);
    assert_success(yoke_scope_set_deadline(scope, now()));
    assert_int_equal(yoke_guest_deadline(h.guest), 0);
    assert_success(finish(&h));
    assert_null(scope);
    assert_true(now() - begun < YOKE_S(900));
}

/* ---- GUEST-11 ---- */

static yoke_error *tick_inside(void *arg)
{
    struct host *h = arg;
    CHECK(was_kind(yoke_guest_tick(h->guest), &YOKE_USAGE));
    CHECK(was_kind(yoke_guest_close(h->guest, NULL), &YOKE_USAGE));
    CHECK(yoke_guest_deadline(h->guest) == 0);
    CHECK(!guest_rests());
    return yoke_sleep_forever();
}

static yoke_error *tick_in_post(void *arg)
{
    CHECK(was_kind(yoke_guest_tick(((struct host *)arg)->guest), &YOKE_USAGE));
    return NULL;
}

static void *tick_in_thread(void *arg)
{
    struct host *h = arg;
    bool both = was_kind(yoke_guest_tick(h->guest), &YOKE_USAGE);
    both = was_kind(yoke_guest_close(h->guest, NULL), &YOKE_USAGE) && both;
    return both ? arg : NULL;
}

static void test_guest_11_ticks_in_excess_and_in_the_wrong_place(void **state)
{
    struct host h;
    yoke_token *token;
    start(&h, tick_inside, &h);
    drain(&h);
    struct scheduler before = *scheduler_here;
    ticks(&h, 1000);
    assert_int_equal(scheduler_here->passes, before.passes); /* the same pass still looks */
    assert_int_equal(scheduler_here->live, before.live);
    assert_true(yoke_guest_deadline(h.guest) == YOKE_NEVER);
    assert_true(guest_rests());
    assert_error_text(yoke_sleep(1), &YOKE_USAGE, "not inside a task");
    assert_success(yoke_token_get(&token));
    assert_success(yoke_token_post(token, tick_in_post, &h));
    yoke_token_free(token);
    tick(&h);
    pthread_t thread;
    void *was_right;
    assert_int_equal(pthread_create(&thread, NULL, tick_in_thread, &h), 0);
    pthread_join(thread, &was_right);
    assert_non_null(was_right);
    yoke_guest_abort(h.guest, NULL);
    while (!h.ends)
        tick(&h);
    assert_error(yoke_guest_tick(h.guest), &YOKE_RUN_FINISHED);
    assert_true(yoke_guest_deadline(h.guest) == YOKE_NEVER);
    yoke_guest_abort(h.guest, "too late");
    assert_success(finish(&h));
}

static void tick_keeps_errno(struct host *h)
{
    errno = ESTALE;
    tick(h);
    assert_int_equal(errno, ESTALE);
}

static yoke_error *spoil_errno(void *arg)
{
    errno = EXDEV;
    YOKE_TRY(yoke_checkpoint());
    CHECK(errno == EXDEV);
    return NULL;
}

static void test_guest_11_errno_is_each_sides_own(void **state)
{
    struct host h;
    start(&h, spoil_errno, NULL);
    while (!h.ends)
        tick_keeps_errno(&h);
    assert_success(finish(&h));
}

/* ---- GUEST-13 ---- */

static yoke_error *fail_in_post(void *arg)
{
    return yoke_raise(&OWN, "in a post");
}

static void test_guest_13_a_failed_post_is_told_as_internal(void **state)
{
    struct host h;
    yoke_token *token;
    start(&h, sleep_long, NULL);
    drain(&h);
    assert_success(yoke_token_get(&token));
    assert_success(yoke_token_post(token, fail_in_post, NULL));
    yoke_token_free(token);
    yoke_error *e = finish(&h);
    assert_non_null(yoke_error_find(e, &OWN));
    assert_error(e, &YOKE_INTERNAL);
}

static yoke_error *sleep_shielded(void *arg)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_scope_close(&shield, yoke_sleep(YOKE_MS(20))));
    *(bool *)arg = true;
    return yoke_sleep_forever();
}

static void break_wait(struct host *h)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(dup2(null, yoke_guest_fd(h->guest)), yoke_guest_fd(h->guest));
    close(null);
}

/* Time goes on without it, so that what is shielded comes to its end. */
static void test_guest_13_a_failed_wait_is_told_as_internal(void **state)
{
    struct host h;
    bool slept = false;
    start(&h, sleep_shielded, &slept);
    drain(&h);
    break_wait(&h);
    yoke_error *e = finish(&h);
    assert_true(slept);
    assert_error_text(e, &YOKE_INTERNAL, "can't wait for descriptors");
}

/* ---- GUEST-14 ---- */

static yoke_error *hold_on(void *arg)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.after = YOKE_S(9999), .shield = true}));
    return yoke_scope_close(&shield, yoke_sleep(YOKE_S(999)));
}

/* All that a run may hold memory for: timers, reasons, errors that wait for their nursery's end. */
static yoke_error *keep_open(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, hold_on, NULL);
    for (int i = 0; !e && i < 5; i++)
        e = yoke_spawn(&n, fail_with, yoke_raise(&OWN, "kept by the nursery"));
    return yoke_nursery_close(&n, e);
}

static void test_guest_14_abandoned_run_is_reported_and_freed(void **state)
{
    static const char *const texts[] = {"3 tasks of the run", "task `main` waits", "task `hold_on` waits",
                                        "nursery opened at"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct host h;
        yoke_token *token;
        start(&h, keep_open, NULL);
        assert_success(yoke_token_get(&token));
        drain(&h);
        yoke_error *e = yoke_guest_close(h.guest, NULL);
        assert_int_equal(h.ends, 0);
        assert_false(yoke_in_run());
        assert_error(yoke_token_post(token, note_post, NULL), &YOKE_RUN_FINISHED);
        yoke_token_free(token);
        assert_error_text(e, &YOKE_USAGE, texts[i]);
        assert_success(yoke_run(nothing, NULL, NULL));
    }
}

static void test_guest_14_a_post_that_was_accepted_runs(void **state)
{
    struct host h;
    struct beginning b = {false};
    yoke_token *token;
    start(&h, hold_on, NULL);
    assert_success(yoke_token_get(&token));
    assert_success(yoke_token_post(token, note_post, &b));
    yoke_token_free(token);
    yoke_error *e = yoke_guest_close(h.guest, NULL);
    assert_true(b.posted);
    assert_error(e, &YOKE_USAGE);
}

static void test_guest_14_before_the_first_tick_and_with_the_body_s_error(void **state)
{
    struct host h;
    start(&h, nothing, NULL);
    yoke_error *e = yoke_guest_close(h.guest, yoke_raise(&OWN, "own"));
    assert_non_null(yoke_error_find(e, &OWN));
    assert_non_null(yoke_error_find(e, &YOKE_USAGE));
    yoke_error_free(e);
    e = yoke_guest_close(NULL, yoke_raise(&OWN, "own"));
    assert_error(e, &OWN);
}

/* ---- GUEST-15 ---- */

static yoke_error *own_error_without_checkpoint(void *arg)
{
    return yoke_raise(&OWN, "main's own");
}

static void (*handler_of_sigint(void))(int)
{
    struct sigaction now_set;
    sigaction(SIGINT, NULL, &now_set);
    return now_set.sa_handler;
}

static void test_guest_15_sigint_in_host_code(void **state)
{
    struct host h;
    start_with(&h, own_error_without_checkpoint, NULL, &(yoke_guest_options){.interrupt = true});
    assert_true(handler_of_sigint() != SIG_DFL);
    raise(SIGINT);
    assert_true(is_readable(&h));
    yoke_error *e = finish(&h);
    assert_true(handler_of_sigint() == SIG_DFL);
    assert_non_null(yoke_error_cause(e));
    assert_true(yoke_error_is(yoke_error_cause(e), &OWN));
    assert_error(e, &YOKE_INTERRUPTED);
}

static void test_guest_15_a_waiting_main_is_told(void **state)
{
    struct host h;
    start_with(&h, sleep_long, NULL, &(yoke_guest_options){.interrupt = true});
    drain(&h);
    raise(SIGINT);
    assert_error(finish(&h), &YOKE_INTERRUPTED);
}

static void test_guest_15_only_if_asked(void **state)
{
    struct host h;
    start(&h, nothing, NULL);
    assert_true(handler_of_sigint() == SIG_DFL);
    assert_success(finish(&h));
}

static void on_sigint(int number)
{
}

static void host_has_sigint(void)
{
    struct host h;
    signal(SIGINT, on_sigint);
    start_with(&h, nothing, NULL, &(yoke_guest_options){.interrupt = true});
    CHILD_CHECK(handler_of_sigint() == on_sigint);
    drain(&h);
    CHILD_CHECK(h.ends == 1 && !h.error);
    CHILD_CHECK(handler_of_sigint() == on_sigint);
    yoke_error_free(yoke_guest_close(h.guest, NULL));
}

static void test_guest_15_a_warning_where_the_host_has_it(void **state)
{
    static struct child_end end;
    run_child(&end, host_has_sigint);
    assert_int_equal(end.status, 0);
    assert_non_null(strstr(end.text, "SIGINT"));
}

/* ---- GUEST-16 ---- */

static void test_guest_16_autojump_on_a_guest(void **state)
{
    for (int from_host = 0; from_host < 2; from_host++) {
        yoke_mock_clock clock;
        struct host h;
        yoke_mock_clock_init(&clock);
        if (!from_host)
            assert_success(yoke_mock_clock_set_autojump(&clock, 0));
        start_with(&h, sleep_long, NULL, &(yoke_guest_options){.run.clock = &clock.clock});
        if (from_host) {
            drain(&h);
            assert_true(yoke_guest_deadline(h.guest) == YOKE_NEVER);
            assert_success(yoke_mock_clock_set_autojump(&clock, 0));
        }
        assert_int_equal(yoke_guest_deadline(h.guest), 0);
        assert_success(finish(&h));
        assert_true(clock.at == YOKE_S(999));
        assert_true(h.waits < 10);
    }
}

static yoke_error *wait_blocked(void *arg)
{
    YOKE_TRY(yoke_wait_all_tasks_blocked(YOKE_MS(50)));
    *(int64_t *)arg = now();
    return NULL;
}

static void test_guest_16_a_wake_up_does_not_end_a_settle(void **state)
{
    int64_t ended = 0, begun = now();
    struct host h;
    start(&h, wait_blocked, &ended);
    ticks(&h, 2);
    assert_true(yoke_guest_deadline(h.guest) > begun + YOKE_MS(49));
    int64_t quiet_since = scheduler_here->quiet_at;
    while (!ended) { /* far more wake-ups than there is something to do */
        assert_true(quiet_since == scheduler_here->quiet_at);
        tick(&h);
    }
    assert_success(finish(&h));
    assert_true(ended - begun >= YOKE_MS(50));
}

/* ---- GUEST-17 ---- */

static void test_guest_17_two_in_one_thread(void **state)
{
    struct host h;
    yoke_guest *other = NULL;
    start(&h, nothing, NULL);
    assert_error_text(yoke_guest_start(&other, nothing, NULL, note_end, &h, NULL), &YOKE_USAGE,
                      "has a run already");
    assert_null(other);
    assert_error_text(yoke_run(nothing, NULL, NULL), &YOKE_USAGE, "has a run already");
    assert_success(finish(&h));
}

static yoke_error *start_inside(void *arg)
{
    yoke_guest *other;
    CHECK(was_kind(yoke_guest_start(&other, nothing, NULL, note_end, arg, NULL), &YOKE_USAGE));
    return NULL;
}

static void test_guest_17_inside_of_a_run(void **state)
{
    struct host h = {0};
    assert_success(yoke_run(start_inside, &h, NULL));
    assert_int_equal(h.ends, 0);
}

static yoke_error *sleep_often(void *arg)
{
    for (int i = 0; i < 20; i++)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    ++*(int *)arg;
    return NULL;
}

static void *own_loop(void *arg)
{
    struct host h = {0};
    yoke_error *e = yoke_guest_start(&h.guest, sleep_often, arg, note_end, &h, NULL);
    while (!e && !h.ends) {
        wait_for(&h, YOKE_S(60));
        e = yoke_guest_tick(h.guest);
    }
    e = yoke_error_join(yoke_guest_close(h.guest, e), h.error);
    bool fine = !e;
    yoke_error_free(e);
    return fine ? arg : NULL;
}

static void test_guest_17_two_threads_each_on_its_loop(void **state)
{
    pthread_t threads[2];
    int done[2] = {0, 0};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, own_loop, &done[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *fine;
        pthread_join(threads[i], &fine);
        assert_non_null(fine);
        assert_int_equal(done[i], 1);
    }
}

HARNESS_MAIN(
    TEST(test_guest_01_one_fd_one_deadline_one_tick), TEST(test_guest_02_end_is_told_once_and_not_from_start),
    TEST(test_guest_02_thread_is_free_in_the_end), TEST(test_guest_03_abort_cancels_and_ticks_end_it),
    TEST(test_guest_03_what_main_says_beside_it_is_told), TEST(test_guest_03_before_the_first_tick),
    TEST(test_guest_05_ping_pong_of_task_and_host), TEST(test_guest_06_idle_guest_wakes_nobody),
    TEST(test_guest_07_a_tick_has_a_bound), TEST(test_guest_08_all_is_there_when_start_returns),
    TEST(test_guest_08_errors_of_the_set_up), TEST(test_guest_09_host_wakes_a_task),
    TEST(test_guest_10_host_moves_a_deadline), TEST(test_guest_11_ticks_in_excess_and_in_the_wrong_place),
    TEST(test_guest_11_errno_is_each_sides_own), TEST(test_guest_13_a_failed_post_is_told_as_internal),
    TEST(test_guest_13_a_failed_wait_is_told_as_internal),
    TEST(test_guest_14_abandoned_run_is_reported_and_freed),
    TEST(test_guest_14_a_post_that_was_accepted_runs),
    TEST(test_guest_14_before_the_first_tick_and_with_the_body_s_error),
    TEST(test_guest_15_sigint_in_host_code), TEST(test_guest_15_a_waiting_main_is_told),
    TEST(test_guest_15_only_if_asked), TEST(test_guest_15_a_warning_where_the_host_has_it),
    TEST(test_guest_16_autojump_on_a_guest), TEST(test_guest_16_a_wake_up_does_not_end_a_settle),
    TEST(test_guest_17_two_in_one_thread), TEST(test_guest_17_inside_of_a_run),
    TEST(test_guest_17_two_threads_each_on_its_loop))
