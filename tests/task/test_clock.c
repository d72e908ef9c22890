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

/* ---- a clock that stands still ---- */

struct frozen {
    yoke_event slept;
    int64_t slept_at; /* by the run's clock */
};

static yoke_error *sleep_then_tell(void *arg)
{
    struct frozen *f = arg;
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    f->slept_at = yoke_now();
    yoke_event_set(&f->slept);
    return NULL;
}

/* Real time passes, and the others may run. */
static yoke_error *pass_real_time(int64_t ns)
{
    for (int64_t begun = monotonic(); monotonic() - begun < ns;)
        YOKE_TRY(yoke_checkpoint());
    return NULL;
}

static yoke_error *freeze_for_a_while(void *arg)
{
    struct scheduler *s = scheduler_here;
    struct frozen f = {.slept_at = 0};
    yoke_event_init(&f.slept);
    yoke_scope scope;
    YOKE_TRY(yoke_spawn_system_at(__FILE__, __LINE__, "sleeper", sleep_then_tell, &f, NULL));
    YOKE_TRY(yoke_move_on_after(&scope, YOKE_MS(20)));
    YOKE_TRY(yoke_cancel_shielded_checkpoint()); /* it sleeps */
    int64_t begun = monotonic();
    clock_freeze(s);
    int64_t at = yoke_now();
    clock_freeze(s); /* again: nothing */
    YOKE_TRY(pass_real_time(YOKE_MS(100)));
    CHECK(yoke_now() == at && !yoke_event_is_set(&f.slept) && !yoke_scope_cancel_called(&scope));
    CHECK(clock_real_until(s, at + 1) == YOKE_NEVER);
    CHECK(clock_real_until(s, at) == 1);
    clock_thaw(s);
    int64_t stood = monotonic() - begun;
    clock_thaw(s);
    CHECK(yoke_now() >= at && monotonic() - yoke_now() >= YOKE_MS(100) && monotonic() - yoke_now() <= stood);
    CHECK(!yoke_scope_cancel_called(&scope)); /* what was left of it is left */
    YOKE_TRY(yoke_scope_close(&scope, yoke_sleep_forever()));
    YOKE_TRY(yoke_event_wait(&f.slept));
    CHECK(f.slept_at - at <= YOKE_MS(20) + (monotonic() - begun - stood)); /* no more than the rest */
    return NULL;
}

static void test_teardown_22_a_clock_that_stands_still(void **state)
{
    assert_success(yoke_run(freeze_for_a_while, NULL, NULL));
}

static yoke_error *freeze_a_clock_of_ones_own(void *arg)
{
    yoke_mock_clock *mock = arg;
    clock_freeze(scheduler_here);
    YOKE_TRY(yoke_mock_clock_jump(mock, YOKE_S(1)));
    CHECK(yoke_now() == YOKE_S(1));
    YOKE_TRY(yoke_sleep(YOKE_S(5))); /* it jumps by itself */
    CHECK(yoke_now() == YOKE_S(6));
    clock_thaw(scheduler_here);
    CHECK(yoke_now() == YOKE_S(6));
    return NULL;
}

static void test_teardown_22_a_mock_clock_goes_on(void **state)
{
    yoke_mock_clock mock;
    yoke_mock_clock_init(&mock);
    assert_success(yoke_mock_clock_set_autojump(&mock, 0));
    assert_success(yoke_run(freeze_a_clock_of_ones_own, &mock, &(yoke_run_options){.clock = &mock.clock}));
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
             TEST(test_teardown_22_a_clock_that_stands_still), TEST(test_teardown_22_a_mock_clock_goes_on),
             TEST(test_sched_34_a_clock_without_its_functions))
