/* The mock clock: its arithmetic on a real clock that is a mock itself, then in runs. */
#include "task/clock.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

#define SECONDS(s) ((int64_t)((s)*1e9))

static int64_t real;

static int64_t mock_real(void)
{
    return real;
}

static int64_t now_of(yoke_mock_clock *c)
{
    return c->clock.ops->now(&c->clock);
}

static int64_t away(yoke_mock_clock *c, int64_t deadline)
{
    return c->clock.ops->real_until(&c->clock, deadline);
}

static bool is_near(int64_t a, int64_t b)
{
    return a - b < 10 && b - a < 10;
}

static void test_clock_05_the_table(void **state)
{
    yoke_mock_clock c;
    real = SECONDS(1000);
    yoke_mock_clock_init(&c);
    c.real = mock_real;
    assert_int_equal(now_of(&c), 0);
    real += SECONDS(5);
    assert_int_equal(now_of(&c), 0);
    assert_success(yoke_mock_clock_jump(&c, SECONDS(1.2)));
    assert_int_equal(now_of(&c), SECONDS(1.2));
    assert_error(yoke_mock_clock_jump(&c, -1), &YOKE_USAGE);
    assert_error(yoke_mock_clock_set_rate(&c, -1), &YOKE_USAGE);
    assert_error(yoke_mock_clock_set_rate(&c, NAN), &YOKE_USAGE);
    assert_error(yoke_mock_clock_set_rate(&c, INFINITY), &YOKE_USAGE);
    assert_error(yoke_mock_clock_set_autojump(&c, -1), &YOKE_USAGE);
    assert_int_equal(now_of(&c), SECONDS(1.2));

    assert_success(yoke_mock_clock_set_rate(&c, 2));
    real += SECONDS(1);
    assert_true(is_near(now_of(&c), SECONDS(3.2)));
    assert_true(is_near(away(&c, SECONDS(4.2)), SECONDS(0.5)));
    assert_success(yoke_mock_clock_set_rate(&c, 0.5));
    assert_true(is_near(now_of(&c), SECONDS(3.2)));
    assert_true(is_near(away(&c, SECONDS(4.2)), SECONDS(2.0)));
    assert_success(yoke_mock_clock_jump(&c, SECONDS(0.8)));
    assert_true(is_near(now_of(&c), SECONDS(4.0)));
    real += SECONDS(1);
    assert_true(is_near(now_of(&c), SECONDS(4.5)));
    assert_success(yoke_mock_clock_set_rate(&c, 0));
    assert_true(away(&c, SECONDS(5)) == YOKE_NEVER);
    assert_int_equal(away(&c, SECONDS(4)), 0);
    real += SECONDS(100);
    assert_true(is_near(now_of(&c), SECONDS(4.5)));
    assert_success(yoke_mock_clock_jump(&c, INT64_MAX));
    assert_true(now_of(&c) == YOKE_NEVER);
}

/* ---- in runs ---- */

static yoke_error *run_mocked(yoke_task_fn fn, yoke_mock_clock *c)
{
    return yoke_run(fn, c, &(yoke_run_options){.clock = &c->clock, .seed = YOKE_IN_ORDER});
}

static int woken[16], woken_count;

static yoke_error *sleep_seconds(void *arg)
{
    int seconds = *(int *)arg;
    YOKE_TRY(yoke_sleep(YOKE_S(seconds)));
    woken[woken_count++] = seconds;
    return NULL;
}

static yoke_error *jump_by_hand(void *arg)
{
    yoke_nursery n;
    woken_count = 0;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 1; i <= 3; i++) {
        int seconds = 10 * i;
        YOKE_TRY(yoke_spawn_value(&n, sleep_seconds, &seconds, sizeof seconds));
    }
    YOKE_TRY(yoke_wait_all_tasks_blocked(0));
    CHECK(yoke_now() == 0 && woken_count == 0);
    YOKE_TRY(yoke_mock_clock_jump(arg, YOKE_S(20)));
    YOKE_TRY(yoke_wait_all_tasks_blocked(0));
    CHECK(yoke_now() == YOKE_S(20) && woken_count == 2);
    YOKE_TRY(yoke_mock_clock_jump(arg, YOKE_S(9)));
    YOKE_TRY(yoke_wait_all_tasks_blocked(YOKE_MS(20)));
    CHECK(woken_count == 2);
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, NULL);
}

static void test_clock_05_time_stands_still_till_it_jumps(void **state)
{
    yoke_mock_clock c;
    yoke_mock_clock_init(&c);
    assert_success(run_mocked(jump_by_hand, &c));
    assert_int_equal(woken[1], 20);
}

static yoke_error *sleep_at_rate(void *arg)
{
    yoke_mock_clock *c = arg;
    YOKE_TRY(yoke_mock_clock_set_rate(c, 1000));
    int64_t begun = clock_real();
    YOKE_TRY(yoke_sleep(YOKE_S(20)));
    int64_t took = clock_real() - begun;
    CHECK(took >= YOKE_MS(20) && took < YOKE_S(10));
    return NULL;
}

static void test_clock_05_sleeps_follow_the_rate(void **state)
{
    yoke_mock_clock c;
    yoke_mock_clock_init(&c);
    assert_success(run_mocked(sleep_at_rate, &c));
}

static yoke_mock_clock *jumping(int64_t threshold)
{
    static yoke_mock_clock c;
    yoke_mock_clock_init(&c);
    assert_success(yoke_mock_clock_set_autojump(&c, threshold));
    return &c;
}

static yoke_error *ten_sleeps(void *arg)
{
    int64_t begun = clock_real(), at = 0;
    for (int i = 0; i < 10; i++) {
        YOKE_TRY(yoke_sleep(YOKE_S(10 * i)));
        at += YOKE_S(10 * i);
        CHECK(yoke_now() == at);
    }
    CHECK(clock_real() - begun < YOKE_S(1));
    return NULL;
}

static void test_clock_12_exact_and_quick(void **state)
{
    assert_success(run_mocked(ten_sleeps, jumping(0)));
}

/* ---- what holds a jump, and what does not ---- */

struct wait_for_pipe {
    int fds[2];
    bool read;
    int64_t read_at;
};

static yoke_error *wait_readable(void *arg)
{
    struct wait_for_pipe *w = arg;
    YOKE_TRY(yoke_wait_readable(w->fds[0]));
    w->read = true;
    w->read_at = yoke_now();
    return NULL;
}

static yoke_error *sleep_beside_a_pipe(void *arg)
{
    struct wait_for_pipe w = {.read = false};
    if (pipe2(w.fds, O_CLOEXEC | O_NONBLOCK))
        return yoke_raise_errno(errno, "pipe");
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, wait_readable, &w));
    YOKE_TRY(yoke_sleep(YOKE_S(100)));
    CHECK(yoke_now() == YOKE_S(100) && !w.read); /* a silent descriptor does not hold it */
    if (write(w.fds[1], "x", 1) != 1)
        return yoke_raise_errno(errno, "write");
    YOKE_TRY(yoke_sleep(YOKE_S(100)));
    CHECK(w.read && w.read_at == YOKE_S(100)); /* one that speaks is heard before the jump */
    yoke_error *e = yoke_nursery_close(&n, NULL);
    yoke_close(w.fds[0]);
    close(w.fds[1]);
    return e;
}

static void test_clock_06_descriptors_are_asked_before_a_jump(void **state)
{
    assert_success(run_mocked(sleep_beside_a_pipe, jumping(0)));
}

struct job {
    yoke_token *token;
    struct scheduler *scheduler;
    yoke_task *waiter;
    int64_t done_at;
};

static yoke_error *job_done(void *arg)
{
    struct job *job = arg;
    job->scheduler->answers--;
    job->done_at = yoke_now();
    yoke_reschedule(job->waiter, NULL);
    return NULL;
}

static void *work(void *arg)
{
    struct job *job = arg;
    usleep(50000);
    yoke_error_free(yoke_token_post(job->token, job_done, job));
    return NULL;
}

/* As a pool's job does: the scheduler knows that a thread will answer. */
static yoke_error *wait_for_thread(void *arg)
{
    struct job *job = arg;
    pthread_t thread;
    job->scheduler = scheduler_here;
    job->waiter = yoke_current_task();
    YOKE_TRY(yoke_token_get(&job->token));
    job->scheduler->answers++;
    CHECK(pthread_create(&thread, NULL, work, job) == 0);
    yoke_error *e = yoke_park(NULL, NULL);
    pthread_join(thread, NULL);
    yoke_token_free(job->token);
    return e;
}

static yoke_error *sleep_beside_a_thread(void *arg)
{
    struct job job = {.done_at = -1};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, wait_for_thread, &job));
    YOKE_TRY(yoke_sleep(YOKE_S(100)));
    CHECK(job.done_at == 0);
    return yoke_nursery_close(&n, NULL);
}

static void test_clock_06_a_thread_that_will_answer_holds_the_jump(void **state)
{
    assert_success(run_mocked(sleep_beside_a_thread, jumping(0)));
}

/* ---- the threshold ---- */

static yoke_error *settle_below_the_threshold(void *arg)
{
    yoke_nursery n;
    int seconds = 100;
    woken_count = 0;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn_value(&n, sleep_seconds, &seconds, sizeof seconds));
    YOKE_TRY(yoke_wait_all_tasks_blocked(0));
    YOKE_TRY(yoke_wait_all_tasks_blocked(YOKE_MS(10)));
    CHECK(yoke_now() == 0 && woken_count == 0);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(yoke_now() == YOKE_S(100));
    return NULL;
}

static yoke_error *lower_it(void *arg)
{
    YOKE_TRY(yoke_wait_all_tasks_blocked(0));
    return yoke_mock_clock_set_autojump(arg, 0);
}

static yoke_error *lowered_while_waiting(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, lower_it, arg));
    int64_t begun = clock_real();
    YOKE_TRY(yoke_sleep(YOKE_S(100000)));
    CHECK(yoke_now() == YOKE_S(100000) && clock_real() - begun < YOKE_S(20));
    return yoke_nursery_close(&n, NULL);
}

static yoke_error *wrong_clock(void *arg)
{
    yoke_mock_clock other;
    yoke_mock_clock_init(&other);
    YOKE_TRY(yoke_mock_clock_set_autojump(&other, 0));
    int64_t begun = clock_real();
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    CHECK(clock_real() - begun >= YOKE_MS(20));
    return NULL;
}

static void test_clock_13_threshold(void **state)
{
    assert_success(run_mocked(settle_below_the_threshold, jumping(YOKE_MS(20))));
    assert_success(run_mocked(lowered_while_waiting, jumping(YOKE_S(10000))));
    assert_success(yoke_run(wrong_clock, NULL, NULL));
}

/* ---- quiet comes before a jump ---- */

static char order[64];

static yoke_error *settle_then_sleep(void *arg)
{
    YOKE_TRY(yoke_wait_all_tasks_blocked(*(int64_t *)arg));
    strcat(order, "settled ");
    YOKE_TRY(yoke_sleep(YOKE_S(1000)));
    strcat(order, "done");
    return NULL;
}

static yoke_error *sleeper(void *arg)
{
    YOKE_TRY(yoke_sleep(YOKE_S(100)));
    strcat(order, "sleeper ");
    return NULL;
}

static int64_t cushion;

static yoke_error *sleeper_and_settler(void *arg)
{
    yoke_nursery n;
    order[0] = '\0';
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, sleeper, NULL));
    YOKE_TRY(yoke_spawn(&n, settle_then_sleep, &cushion));
    return yoke_nursery_close(&n, NULL);
}

static void test_clock_14_settle_before_jump(void **state)
{
    for (cushion = 0; cushion <= YOKE_S(1); cushion += YOKE_S(1)) {
        assert_success(run_mocked(sleeper_and_settler, jumping(0)));
        assert_string_equal(order, "settled sleeper done");
    }
}

/* An hour of timeouts, in a moment. */
static yoke_error *time_out_for_an_hour(void *arg)
{
    for (int i = 0; i < 3600; i++) {
        yoke_scope s;
        YOKE_TRY(yoke_fail_after(&s, YOKE_S(1)));
        CHECK(was_kind(yoke_scope_close(&s, yoke_sleep_forever()), &YOKE_TOO_SLOW));
    }
    CHECK(yoke_now() == YOKE_S(3600));
    return NULL;
}

static void test_clock_12_deadlines_too(void **state)
{
    assert_success(run_mocked(time_out_for_an_hour, jumping(0)));
}

HARNESS_MAIN(TEST(test_clock_05_the_table), TEST(test_clock_05_time_stands_still_till_it_jumps),
             TEST(test_clock_05_sleeps_follow_the_rate), TEST(test_clock_12_exact_and_quick),
             TEST(test_clock_06_descriptors_are_asked_before_a_jump),
             TEST(test_clock_06_a_thread_that_will_answer_holds_the_jump), TEST(test_clock_13_threshold),
             TEST(test_clock_14_settle_before_jump), TEST(test_clock_12_deadlines_too))
