/* Bounds, which pass while the run's clock stands still. */
#include "task/bound.h"

#include "child.h"
#include "task/clock.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static const yoke_scope_options fails = {.fail = true};

static yoke_error *pass_while_frozen(void *arg)
{
    struct bound b;
    int64_t begun = clock_real();
    clock_freeze(scheduler_here);
    YOKE_TRY(bound_sleep(YOKE_MS(5)));
    CHECK(clock_real() - begun >= YOKE_MS(5));
    YOKE_TRY(bound_open(&b, YOKE_MS(5), NULL));
    YOKE_TRY(bound_close(&b, yoke_sleep_forever()));
    CHECK(yoke_scope_cancelled_caught(&b.scope));
    YOKE_TRY(bound_open(&b, YOKE_MS(5), &fails));
    yoke_error *e = bound_close(&b, yoke_sleep_forever());
    CHECK(yoke_error_is(e, &YOKE_TOO_SLOW));
    yoke_error_free(e);
    clock_thaw(scheduler_here);
    return NULL;
}

static void test_passes_while_the_clock_stands_still(void **state)
{
    assert_success(yoke_run(pass_while_frozen, NULL, NULL));
}

static yoke_error *end_before(void *arg)
{
    struct bound b;
    YOKE_TRY(bound_open(&b, YOKE_S(100), &fails));
    YOKE_TRY(bound_close(&b, yoke_checkpoint()));
    CHECK(!yoke_scope_cancel_called(&b.scope) && scheduler_here->bounds.count == 0);
    YOKE_TRY(bound_open(&b, YOKE_S(100), &fails));
    yoke_error *e = bound_close(&b, yoke_raise(&YOKE_USAGE, "no luck"));
    CHECK(yoke_error_is(e, &YOKE_USAGE) && scheduler_here->bounds.count == 0);
    yoke_error_free(e);
    return NULL;
}

static void test_leaves_nothing_behind(void **state)
{
    assert_success(yoke_run(end_before, NULL, NULL));
}

/* Time jumps to the next of either sort. */
static yoke_error *sleep_by_mock(void *arg)
{
    YOKE_TRY(bound_sleep(YOKE_S(1000)));
    CHECK(yoke_now() == YOKE_S(1000) && scheduler_here->bounds.count == 0);
    return NULL;
}

static void test_is_of_the_runs_own_clock_where_it_has_one(void **state)
{
    yoke_mock_clock mock;
    yoke_mock_clock_init(&mock);
    assert_success(yoke_mock_clock_set_autojump(&mock, 0));
    assert_success(yoke_run(sleep_by_mock, NULL, &(yoke_run_options){.clock = &mock.clock}));
}

HARNESS_MAIN(TEST(test_passes_while_the_clock_stands_still), TEST(test_leaves_nothing_behind),
             TEST(test_is_of_the_runs_own_clock_where_it_has_one))
