/* Sleeping, on the real clock, and where an order is asked for on one that stands still. */
#include "child.h"
#include "task/task.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static int order[1000], woken;

static yoke_error *sleep_for(void *arg)
{
    int ms = *(int *)arg;
    int64_t begun = yoke_now();
    YOKE_TRY(yoke_sleep(YOKE_MS(ms)));
    CHECK(yoke_now() - begun >= YOKE_MS(ms));
    order[woken++] = ms;
    return NULL;
}

static yoke_error *sleep_in_order(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    static const int delays[] = {30, 40, 10, 20};
    yoke_error *e = NULL;
    for (int i = 0; i < 4 && !e; i++)
        e = yoke_spawn_value(&n, sleep_for, &delays[i], sizeof delays[i]);
    return yoke_nursery_close(&n, e);
}

static void test_clock_01_order_by_deadline(void **state)
{
    woken = 0;
    assert_success(yoke_run(sleep_in_order, NULL, NULL)); /* the order is that of when each began, too */
    assert_int_equal(woken, 4);
    yoke_mock_clock clock;
    yoke_mock_clock_init(&clock);
    assert_success(yoke_mock_clock_set_autojump(&clock, 0));
    woken = 0;
    assert_success(yoke_run(sleep_in_order, NULL, &(yoke_run_options){.clock = &clock.clock}));
    assert_int_equal(woken, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(order[i], 10 * (i + 1));
}

static yoke_error *count_turns(void *arg)
{
    for (long *turns = arg;; (*turns)++)
        YOKE_TRY(yoke_checkpoint());
}

static yoke_error *zero_yields_once(void *arg)
{
    long turns = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, count_turns, &turns));
    settle();
    long before = turns;
    YOKE_TRY(yoke_sleep(0));
    CHECK(turns == before + 1);
    YOKE_TRY(yoke_sleep_until(yoke_now() - YOKE_S(1)));
    CHECK(turns == before + 2);
    YOKE_TRY(yoke_sleep_until(INT64_MIN));
    CHECK(turns == before + 3);
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, NULL);
}

static void test_clock_01_zero_and_past_yield_once(void **state)
{
    assert_success(yoke_run(zero_yields_once, NULL, NULL));
}

static yoke_error *negative(void *arg)
{
    CHECK(was_kind(yoke_sleep(-1), &YOKE_USAGE));
    CHECK(was_kind(yoke_sleep(INT64_MIN), &YOKE_USAGE));
    return yoke_sleep_until(-1);
}

static void test_clock_02_negative(void **state)
{
    assert_success(yoke_run(negative, NULL, NULL));
}

static yoke_error *far_times(void *arg)
{
    static const int64_t delays[] = {INT64_MAX, INT64_MAX - 1, YOKE_S(100LL * 365 * 24 * 3600)};
    for (int i = 0; i < 3; i++) {
        yoke_scope s;
        struct rusage before, after;
        YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(10)));
        getrusage(RUSAGE_THREAD, &before);
        yoke_error *e = yoke_sleep(delays[i]);
        getrusage(RUSAGE_THREAD, &after);
        CHECK(after.ru_nvcsw - before.ru_nvcsw < 20); /* no spinning */
        CHECK(yoke_error_is_cancelled(e));
        YOKE_TRY(yoke_scope_close(&s, e));
    }
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, INT64_MAX));
    CHECK(yoke_current_effective_deadline() == YOKE_NEVER);
    YOKE_TRY(yoke_checkpoint());
    return yoke_scope_close(&s, NULL);
}

static void test_clock_11_far_times(void **state)
{
    assert_success(yoke_run(far_times, NULL, NULL));
}

static int64_t common;

static yoke_error *sleep_till_common(void *arg)
{
    int number = *(int *)arg;
    YOKE_TRY(yoke_sleep_until(common));
    order[woken++] = number;
    return NULL;
}

static yoke_error *equal_deadlines(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    common = yoke_now() + (RUNNING_ON_VALGRIND ? YOKE_S(3) : YOKE_MS(200));
    yoke_error *e = NULL;
    for (int i = 0; i < 1000 && !e; i++)
        e = yoke_spawn_value(&n, sleep_till_common, &i, sizeof i);
    return yoke_nursery_close(&n, e);
}

static void test_clock_17_equal_deadlines(void **state)
{
    woken = 0;
    assert_success(yoke_run(equal_deadlines, NULL, NULL));
    assert_int_equal(woken, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(order[i], i);
}

static yoke_error *cancelled_leaves_no_timer(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(2)));
    yoke_error *e = yoke_sleep(YOKE_S(100));
    YOKE_TRY(yoke_scope_close(&s, e));
    CHECK(scheduler_here->timers.count == 0);
    return NULL;
}

static void test_a_cancelled_sleep_leaves_no_timer(void **state)
{
    assert_success(yoke_run(cancelled_leaves_no_timer, NULL, NULL));
}

static yoke_error *sleep_without_end(void *arg)
{
    *(yoke_task **)arg = yoke_current_task();
    return yoke_sleep_forever();
}

static yoke_error *wake_the_sleeper(void *arg)
{
    yoke_task *sleeper;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, sleep_without_end, &sleeper));
    settle();
    yoke_reschedule(sleeper, NULL);
    return yoke_nursery_close(&n, NULL);
}

static void die_woken(void)
{
    yoke_error_free(yoke_run(wake_the_sleeper, NULL, NULL));
}

static void test_clock_10_woken_from_sleeping_for_ever_dies(void **state)
{
    assert_death(die_woken, "sleep_without_end", "for ever");
}

HARNESS_MAIN(TEST(test_clock_01_order_by_deadline), TEST(test_clock_01_zero_and_past_yield_once),
             TEST(test_clock_02_negative), TEST(test_clock_11_far_times), TEST(test_clock_17_equal_deadlines),
             TEST(test_a_cancelled_sleep_leaves_no_timer),
             TEST(test_clock_10_woken_from_sleeping_for_ever_dies))
