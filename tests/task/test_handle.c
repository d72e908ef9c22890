/* One cancels one: a handle's task alone is cancelled, its outcome is told to who asks. */
#include "child.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static void run(yoke_task_fn fn)
{
    assert_success(yoke_run(fn, NULL, NULL));
}

static int begun, ended;

static yoke_error *sleeper(void *arg)
{
    begun++;
    yoke_error *e = yoke_sleep_forever();
    ended++;
    return e;
}

static yoke_error *fails(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    return yoke_raise(&APP_K, "mine");
}

static yoke_error *succeeds(void *arg)
{
    return yoke_checkpoint();
}

static const yoke_handle_options keep = {.keep_error = true};

static yoke_error *cancel_alone(void *arg)
{
    yoke_nursery n;
    yoke_handle a, b, early;
    begun = ended = 0;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_handle_open(&a, &n, sleeper, NULL));
    YOKE_TRY(yoke_handle_open(&b, &n, sleeper, NULL));
    settle();
    yoke_handle_cancel(&a, "enough");
    CHECK(was_kind(yoke_handle_wait(&a), &YOKE_CLOSED));
    CHECK(ended == 1 && yoke_scope_cancelled_caught(yoke_handle_scope(&a)));
    YOKE_TRY(yoke_checkpoint()); /* its nursery goes on */
    /* One that has not begun yet begins, and gets it at its first checkpoint. */
    YOKE_TRY(yoke_handle_open(&early, &n, sleeper, NULL));
    yoke_handle_cancel(&early, NULL);
    CHECK(was_kind(yoke_handle_wait(&early), &YOKE_CLOSED));
    CHECK(begun == 3 && ended == 2);
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(ended == 3);
    CHECK(was_kind(yoke_handle_wait(&b), &YOKE_CLOSED)); /* a Cancelled of the nursery's is not ours */
    YOKE_TRY(yoke_handle_close(&a));
    return yoke_handle_close(&b);
}

static void test_nurs_24_cancelling_one(void **state)
{
    run(cancel_alone);
}

static yoke_error *outcomes(void *arg)
{
    yoke_nursery n;
    yoke_handle good, kept;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_handle_open_with(&good, &n, succeeds, NULL, &keep));
    YOKE_TRY(yoke_handle_open_with(&kept, &n, fails, NULL, &keep));
    YOKE_TRY(yoke_handle_wait(&good));
    CHECK(was_kind(yoke_handle_wait(&kept), &APP_K));
    CHECK(was_kind(yoke_handle_wait(&kept), &APP_K)); /* again */
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    YOKE_TRY(yoke_handle_close(&good));
    YOKE_TRY(yoke_handle_close(&kept));

    /* Nobody has asked: close tells it. */
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_handle_open_with(&kept, &n, fails, NULL, &keep));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(was_kind(yoke_handle_close(&kept), &APP_K));
    return NULL;
}

static void test_nurs_24_an_error_is_kept(void **state)
{
    run(outcomes);
}

static yoke_error *error_cancels_all(void *arg)
{
    yoke_nursery n;
    yoke_handle bad, other, none;
    begun = ended = 0;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_handle_open(&other, &n, sleeper, NULL));
    YOKE_TRY(yoke_handle_open(&bad, &n, fails, NULL));
    CHECK(was_kind(yoke_handle_open(&none, &n, NULL, NULL), &YOKE_USAGE));
    yoke_error *e = yoke_nursery_close_flat(&n, NULL);
    CHECK(was_kind(e, &APP_K) && ended == 1);
    CHECK(was_kind(yoke_handle_wait(&bad), &APP_K));
    YOKE_TRY(yoke_handle_close(&other));
    return yoke_handle_close(&bad);
}

static void test_nurs_24_an_error_cancels_all(void **state)
{
    run(error_cancels_all);
}

static yoke_error *fails_when_cancelled(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    return yoke_error_join(yoke_raise(&APP_K, "mine"), e);
}

/* A kept error and a Cancelled from outside: each goes its way. */
static yoke_error *both(void *arg)
{
    yoke_nursery n;
    yoke_scope outer;
    yoke_handle h;
    YOKE_TRY(yoke_scope_open(&outer));
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_handle_open_with(&h, &n, fails_when_cancelled, NULL, &keep));
    settle();
    yoke_scope_cancel(&outer, NULL);
    yoke_error *e = yoke_nursery_close(&n, NULL);
    CHECK(yoke_error_is_cancelled(e));
    YOKE_TRY(yoke_scope_close(&outer, e));
    e = yoke_handle_close(&h);
    CHECK(yoke_error_find(e, &APP_K) && !yoke_error_find(e, &YOKE_CANCELLED));
    return drop(e);
}

static void test_an_error_and_a_cancelled(void **state)
{
    run(both);
}

static yoke_error *some(void *arg)
{
    yoke_nursery n;
    yoke_handle h;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_handle_open_with(&h, &n, fails, NULL, &keep);
    if (!e)
        yoke_handle_cancel(&h, "why");
    return yoke_error_join(yoke_nursery_close(&n, e), yoke_handle_close(&h));
}

static void test_sys_03_handles_without_memory(void **state)
{
    refuse_each_allocation(some, NULL);
}

static void test_handle_outside_of_a_run(void **state)
{
    yoke_nursery n = {.closed = false};
    yoke_handle h;
    assert_error_text(yoke_handle_open(&h, &n, sleeper, NULL), &YOKE_USAGE, "not inside yoke_run");
    assert_success(yoke_handle_close(&h));
}

HARNESS_MAIN(TEST(test_handle_outside_of_a_run), TEST(test_nurs_24_cancelling_one),
             TEST(test_nurs_24_an_error_is_kept), TEST(test_nurs_24_an_error_cancels_all),
             TEST(test_an_error_and_a_cancelled), TEST(test_sys_03_handles_without_memory))
