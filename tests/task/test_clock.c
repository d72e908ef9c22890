/* The real clock of a run. What the mock clock does is in test_mock_clock.c. */
#include "task/clock.h"

#include "child.h"

#include <time.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static int64_t monotonic(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return YOKE_S(ts.tv_sec) + ts.tv_nsec;
}

static yoke_error *follow_monotonic(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        int64_t before = monotonic(), now = yoke_now(), after = monotonic();
        CHECK(before <= now && now <= after);
    }
    return NULL;
}

static void test_clock_03_monotonic(void **state)
{
    assert_success(follow_monotonic(NULL));
    assert_success(yoke_run(follow_monotonic, NULL, NULL));
}

/* The best of many: others use the machine, too. */
static yoke_error *sleep_a_millisecond(void *arg)
{
    int64_t *best = arg;
    for (int i = 0; i < 100; i++) {
        int64_t begun = monotonic();
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
        int64_t took = monotonic() - begun;
        CHECK(took >= YOKE_MS(1));
        *best = took < *best ? took : *best;
    }
    return NULL;
}

static void test_clock_04_resolution(void **state)
{
    int64_t best = INT64_MAX;
    assert_success(yoke_run(sleep_a_millisecond, &best, NULL));
    if (!RUNNING_ON_VALGRIND)
        assert_true(best < YOKE_US(1500));
}

static yoke_error *one_second_each(void *arg)
{
    int64_t *best = arg, begun = monotonic();
    YOKE_TRY(yoke_sleep(YOKE_S(1)));
    int64_t slept = monotonic();
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_S(1)));
    YOKE_TRY(yoke_scope_close(&s, yoke_sleep_forever()));
    int64_t moved_on = monotonic();
    CHECK(slept - begun >= YOKE_S(1) && moved_on - slept >= YOKE_S(1));
    best[0] = slept - begun < best[0] ? slept - begun : best[0];
    best[1] = moved_on - slept < best[1] ? moved_on - slept : best[1];
    return NULL;
}

static void test_clock_16_accuracy(void **state)
{
    int64_t best[2] = {INT64_MAX, INT64_MAX};
    for (int i = 0; i < 4 && (best[0] >= YOKE_S(2) || best[1] >= YOKE_S(2)); i++)
        assert_success(yoke_run(one_second_each, best, NULL));
    assert_true(best[0] < YOKE_S(2) && best[1] < YOKE_S(2));
}

/* ---- a clock of one's own ---- */

static int64_t broken_now(yoke_clock *clock)
{
    return 0;
}

static yoke_error *nothing(void *arg)
{
    return NULL;
}

static void test_sched_34_a_clock_without_its_functions(void **state)
{
    yoke_clock_ops ops = {.now = broken_now};
    yoke_clock clock = {&ops}, none = {NULL};
    assert_error_text(yoke_run(nothing, NULL, &(yoke_run_options){.clock = &clock}), &YOKE_USAGE, "clock");
    assert_error_text(yoke_run(nothing, NULL, &(yoke_run_options){.clock = &none}), &YOKE_USAGE, "clock");
}

HARNESS_MAIN(TEST(test_clock_03_monotonic), TEST(test_clock_04_resolution), TEST(test_clock_16_accuracy),
             TEST(test_sched_34_a_clock_without_its_functions))
