/* The helpers for tests: the sequencer, and the assertions about checkpoints. */
#include "child.h"
#include "task/task.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

/* ---- the sequencer ---- */

static yoke_sequencer sequence;
static char order[32];

static yoke_error *at_positions(void *arg)
{
    const char *positions = *(const char **)arg;
    for (; *positions; positions++) {
        YOKE_TRY(yoke_sequencer_enter(&sequence, (unsigned)(*positions - '0')));
        YOKE_TRY(yoke_checkpoint());
        strncat(order, positions, 1);
        yoke_sequencer_leave(&sequence);
    }
    return NULL;
}

static yoke_error *interleave(void *arg)
{
    static const char *const parts[] = {"148", "036", "257"};
    yoke_sequencer_init(&sequence);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_spawn_value(&n, at_positions, &parts[i], sizeof parts[i]));
    return yoke_nursery_close(&n, NULL);
}

static void test_clock_08_sequencer(void **state)
{
    order[0] = '\0';
    assert_success(yoke_run(interleave, NULL, NULL));
    assert_string_equal(order, "012345678");
}

static yoke_error *enter_one(void *arg)
{
    return yoke_sequencer_enter(&sequence, 1);
}

static yoke_error *use_twice(void *arg)
{
    yoke_sequencer_init(&sequence);
    YOKE_TRY(yoke_sequencer_enter(&sequence, 0));
    CHECK(was_kind(yoke_sequencer_enter(&sequence, 0), &YOKE_USAGE));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, enter_one, NULL));
    settle();
    CHECK(was_kind(yoke_sequencer_enter(&sequence, 1), &YOKE_USAGE)); /* another waits for it */
    yoke_sequencer_leave(&sequence);
    CHECK(was_kind(yoke_sequencer_enter(&sequence, 0), &YOKE_USAGE)); /* it is over */
    return yoke_nursery_close(&n, NULL);
}

static void test_clock_08_a_position_used_twice(void **state)
{
    assert_success(yoke_run(use_twice, NULL, NULL));
}

static yoke_error *enter_three(void *arg)
{
    CHECK(was_kind(yoke_sequencer_enter(&sequence, 3), &YOKE_BROKEN_RESOURCE));
    *(bool *)arg = true;
    return NULL;
}

static yoke_error *break_it(void *arg)
{
    bool told = false;
    yoke_sequencer_init(&sequence);
    yoke_nursery n, cancelled;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, enter_three, &told));
    YOKE_TRY(yoke_nursery_open(&cancelled));
    YOKE_TRY(yoke_spawn(&cancelled, enter_one, NULL));
    settle();
    yoke_nursery_cancel(&cancelled, NULL);
    YOKE_TRY(yoke_nursery_close(&cancelled, NULL));
    settle();
    CHECK(told);
    CHECK(was_kind(yoke_sequencer_enter(&sequence, 0), &YOKE_BROKEN_RESOURCE));
    return yoke_nursery_close(&n, NULL);
}

static void test_clock_08_one_cancelled_breaks_the_sequence(void **state)
{
    assert_success(yoke_run(break_it, NULL, NULL));
}

/* ---- checkpoints or not ---- */

static yoke_error *whole(void *arg)
{
    return yoke_checkpoint();
}

static yoke_error *no_look(void *arg)
{
    return yoke_cancel_shielded_checkpoint();
}

static yoke_error *no_yield(void *arg)
{
    return yoke_checkpoint_if_cancelled();
}

static yoke_error *neither(void *arg)
{
    return NULL;
}

static yoke_error *both_halves(void *arg)
{
    YOKE_TRY(yoke_cancel_shielded_checkpoint());
    return yoke_checkpoint_if_cancelled();
}

static yoke_error *ready_event(void *arg)
{
    yoke_event event;
    yoke_event_init(&event);
    yoke_event_set(&event);
    return yoke_event_wait(&event);
}

static yoke_error *fail_after_checkpoint(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    return yoke_raise(&YOKE_NOT_FOUND, "its own error");
}

static yoke_error *assert_all(void *arg)
{
    static const struct {
        yoke_task_fn fn;
        bool is, is_not;
    } table[] = {
        {whole, true, false},   {no_look, false, false},    {no_yield, false, false},
        {neither, false, true}, {both_halves, true, false}, {ready_event, true, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        yoke_error *e = yoke_assert_checkpoint(table[i].fn, NULL);
        bool is = !e;
        yoke_error_free(e);
        e = yoke_assert_no_checkpoint(table[i].fn, NULL);
        bool is_not = !e;
        yoke_error_free(e);
        if (is != table[i].is || is_not != table[i].is_not)
            return yoke_raise(&YOKE_INTERNAL, "row %zu of the table: %d %d", i, is, is_not);
    }
    CHECK(was_kind(yoke_assert_checkpoint(fail_after_checkpoint, NULL), &YOKE_NOT_FOUND));
    yoke_error *e = yoke_assert_no_checkpoint(fail_after_checkpoint, NULL);
    CHECK(yoke_error_find(e, &YOKE_NOT_FOUND) && yoke_error_find(e, &YOKE_INTERNAL));
    yoke_error_free(e);
    return NULL;
}

static void test_clock_08_assert_checkpoints(void **state)
{
    assert_success(yoke_run(assert_all, NULL, NULL));
}

/* One after the other they count as a whole one, in either order; alone neither does. */
static yoke_error *halves_the_other_way(void *arg)
{
    YOKE_TRY(yoke_checkpoint_if_cancelled());
    return yoke_cancel_shielded_checkpoint();
}

static yoke_error *assert_halves(void *arg)
{
    YOKE_TRY(yoke_assert_checkpoint(both_halves, NULL));
    YOKE_TRY(yoke_assert_checkpoint(halves_the_other_way, NULL));
    CHECK(was_kind(yoke_assert_checkpoint(no_look, NULL), &YOKE_INTERNAL));
    CHECK(was_kind(yoke_assert_checkpoint(no_yield, NULL), &YOKE_INTERNAL));
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    YOKE_TRY(no_look(NULL)); /* does not look */
    yoke_error *e = yoke_assert_checkpoint(no_yield, NULL);
    CHECK(yoke_error_is_cancelled(e)); /* looks, and yields since it is cancelled */
    return yoke_scope_close(&s, e);
}

static void test_sched_11_halves_of_a_checkpoint(void **state)
{
    assert_success(yoke_run(assert_halves, NULL, NULL));
}

static yoke_error *assert_inside(void *arg)
{
    return yoke_assert_no_checkpoint(neither, NULL);
}

static yoke_error *assert_whole_inside(void *arg)
{
    return yoke_assert_checkpoint(whole, NULL);
}

static yoke_error *nested(void *arg)
{
    YOKE_TRY(yoke_assert_no_checkpoint(assert_inside, NULL));
    return yoke_assert_checkpoint(assert_whole_inside, NULL);
}

static void test_clock_08_assertions_nest(void **state)
{
    assert_success(yoke_run(nested, NULL, NULL));
}

/* Cancelled, a look tells it, and is a look all the same. */
static yoke_error *cancelled_whole(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    yoke_error *e = yoke_assert_checkpoint(whole, NULL);
    CHECK(yoke_error_is_cancelled(e));
    return yoke_scope_close(&s, e);
}

static void test_clock_08_assertion_in_a_cancelled_scope(void **state)
{
    assert_success(yoke_run(cancelled_whole, NULL, NULL));
}

HARNESS_MAIN(TEST(test_clock_08_sequencer), TEST(test_clock_08_a_position_used_twice),
             TEST(test_clock_08_one_cancelled_breaks_the_sequence), TEST(test_clock_08_assert_checkpoints),
             TEST(test_sched_11_halves_of_a_checkpoint), TEST(test_clock_08_assertions_nest),
             TEST(test_clock_08_assertion_in_a_cancelled_scope))
