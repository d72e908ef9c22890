/* Capacity limiters. */
#include "child.h"
#include "task/task.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

enum { BORROWERS = 5 };

static yoke_limiter limiter;
static yoke_borrower borrowers[BORROWERS];
static bool has[BORROWERS];
static int order[BORROWERS], served;

static void run(yoke_task_fn fn)
{
    memset(borrowers, 0, sizeof borrowers);
    memset(has, 0, sizeof has);
    served = 0;
    assert_success(yoke_run(fn, NULL, NULL));
}

static yoke_limiter_statistics look(void)
{
    yoke_limiter_statistics now;
    yoke_limiter_get_statistics(&limiter, &now);
    return now;
}

static yoke_error *borrow(void *arg)
{
    int i = *(int *)arg;
    YOKE_TRY(yoke_limiter_acquire(&limiter, &borrowers[i]));
    has[i] = true;
    order[served++] = i;
    return NULL;
}

static yoke_error *spawn_borrowers(yoke_nursery *n)
{
    for (int i = 0; i < BORROWERS; i++)
        YOKE_TRY(yoke_spawn_value(n, borrow, &i, sizeof i));
    settle();
    return NULL;
}

/* The first `count` have theirs and nobody else; after settling. */
static bool first_have(int count)
{
    settle();
    bool right = served == count;
    for (int i = 0; i < BORROWERS; i++)
        right = right && has[i] == (i < count) && (i >= count || order[i] == i);
    return right;
}

/* ---- tokens ---- */

static yoke_error *borrow_again(void *arg)
{
    CHECK(was_kind(yoke_limiter_acquire(&limiter, arg), &YOKE_USAGE));
    CHECK(was_kind(yoke_limiter_acquire_nowait(&limiter, arg), &YOKE_USAGE));
    return NULL;
}

static yoke_error *give_back(void *arg)
{
    return yoke_limiter_release(&limiter, arg);
}

static yoke_error *tokens(void *arg)
{
    CHECK(was_kind(yoke_limiter_init(&limiter, -1), &YOKE_USAGE));
    YOKE_TRY(yoke_limiter_init(&limiter, 2));
    yoke_limiter other;
    YOKE_TRY(yoke_limiter_init(&other, 1));
    yoke_borrower a = {0}, b = {0}, c = {0};
    CHECK(was_kind(yoke_limiter_release(&limiter, &a), &YOKE_USAGE));
    YOKE_TRY(yoke_limiter_acquire(&limiter, &a));
    YOKE_TRY(yoke_limiter_acquire_nowait(&limiter, &b));
    CHECK(look().total == 2 && look().borrowed == 2 && look().waiting == 0);
    CHECK(was_kind(yoke_limiter_acquire_nowait(&limiter, &c), &YOKE_WOULD_BLOCK));
    YOKE_TRY(borrow_again(&a));
    CHECK(was_kind(yoke_limiter_acquire(&other, &a), &YOKE_USAGE));
    CHECK(was_kind(yoke_limiter_release(&other, &a), &YOKE_USAGE));
    CHECK(was_kind(yoke_limiter_release(&limiter, &c), &YOKE_USAGE));
    CHECK(look().borrowed == 2);

    /* On behalf of another: any task may borrow with it, and give back what it has. */
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, borrow_again, &b));
    YOKE_TRY(yoke_spawn(&n, give_back, &b));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(look().borrowed == 1);
    CHECK(was_kind(yoke_limiter_release(&limiter, &b), &YOKE_USAGE));
    YOKE_TRY(yoke_limiter_acquire(&limiter, &b));
    YOKE_TRY(yoke_limiter_release(&limiter, &b));
    YOKE_TRY(yoke_limiter_release(&limiter, &a));
    CHECK(look().borrowed == 0);
    return NULL;
}

static yoke_error *waiting_borrower(void *arg)
{
    YOKE_TRY(yoke_limiter_init(&limiter, 0));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn_value(&n, borrow, &(int){0}, sizeof(int)));
    settle();
    CHECK(look().waiting == 1);
    YOKE_TRY(borrow_again(&borrowers[0]));
    CHECK(was_kind(yoke_limiter_release(&limiter, &borrowers[0]), &YOKE_USAGE));
    CHECK(look().waiting == 1 && look().borrowed == 0);
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(was_kind(yoke_limiter_release(&limiter, &borrowers[0]), &YOKE_USAGE));
    YOKE_TRY(yoke_limiter_set_total(&limiter, 1));
    return yoke_limiter_acquire_nowait(&limiter, &borrowers[0]);
}

static yoke_error *without_limit(void *arg)
{
    YOKE_TRY(yoke_limiter_init(&limiter, YOKE_UNLIMITED));
    yoke_borrower many[100] = {0};
    for (int i = 0; i < 100; i++)
        YOKE_TRY(yoke_limiter_acquire_nowait(&limiter, &many[i]));
    CHECK(look().total == YOKE_UNLIMITED && look().borrowed == 100);
    YOKE_TRY(yoke_limiter_set_total(&limiter, 100));
    CHECK(was_kind(yoke_limiter_acquire_nowait(&limiter, &borrowers[0]), &YOKE_WOULD_BLOCK));
    YOKE_TRY(yoke_limiter_set_total(&limiter, YOKE_UNLIMITED));
    return yoke_limiter_acquire_nowait(&limiter, &borrowers[0]);
}

static void test_sync_07_tokens_by_borrower(void **state)
{
    run(tokens);
}

static void test_sync_07_a_borrower_that_waits(void **state)
{
    run(waiting_borrower);
}

static void test_sync_07_without_limit(void **state)
{
    run(without_limit);
}

static yoke_error *handed_over(void *arg)
{
    YOKE_TRY(yoke_limiter_init(&limiter, 1));
    yoke_borrower mine = {0};
    YOKE_TRY(yoke_limiter_acquire(&limiter, &mine));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn_value(&n, borrow, &(int){0}, sizeof(int)));
    settle();
    YOKE_TRY(yoke_limiter_release(&limiter, &mine));
    CHECK(look().borrowed == 1 && look().waiting == 0 && served == 0);
    CHECK(was_kind(yoke_limiter_acquire_nowait(&limiter, &mine), &YOKE_WOULD_BLOCK));
    YOKE_TRY(yoke_limiter_release(&limiter, &borrowers[0])); /* it has it before its task has run */
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(served == 1 && look().borrowed == 0);
    return NULL;
}

static void test_sync_14_hand_over(void **state)
{
    run(handed_over);
}

/* ---- the total ---- */

static yoke_error *total_moves(void *arg)
{
    YOKE_TRY(yoke_limiter_init(&limiter, 2));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_borrowers(&n));
    CHECK(first_have(2) && look().waiting == 3);
    YOKE_TRY(yoke_limiter_set_total(&limiter, 4));
    CHECK(first_have(4) && look().waiting == 1);
    YOKE_TRY(yoke_limiter_set_total(&limiter, 1));
    CHECK(first_have(4) && look().borrowed == 4 && look().total == 1);
    for (int i = 0; i < 3; i++) {
        YOKE_TRY(yoke_limiter_release(&limiter, &borrowers[i]));
        CHECK(first_have(4) && look().waiting == 1);
    }
    CHECK(was_kind(yoke_limiter_set_total(&limiter, -1), &YOKE_USAGE));
    CHECK(look().total == 1 && look().borrowed == 1);
    YOKE_TRY(yoke_limiter_release(&limiter, &borrowers[3]));
    CHECK(first_have(5) && look().borrowed == 1 && look().waiting == 0);
    return yoke_nursery_close(&n, NULL);
}

static yoke_error *total_of_zero(void *arg)
{
    YOKE_TRY(yoke_limiter_init(&limiter, 0));
    yoke_borrower mine = {0};
    CHECK(was_kind(yoke_limiter_acquire_nowait(&limiter, &mine), &YOKE_WOULD_BLOCK));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_borrowers(&n));
    CHECK(first_have(0) && look().waiting == BORROWERS);
    YOKE_TRY(yoke_limiter_set_total(&limiter, 3));
    CHECK(served == 0 && first_have(3) && look().waiting == 2);
    YOKE_TRY(yoke_limiter_set_total(&limiter, YOKE_UNLIMITED));
    return yoke_nursery_close(&n, NULL);
}

static void test_sync_16_the_total_moves(void **state)
{
    run(total_moves);
}

static void test_sync_16_a_total_of_zero(void **state)
{
    run(total_of_zero);
}

HARNESS_MAIN(TEST(test_sync_07_tokens_by_borrower), TEST(test_sync_07_a_borrower_that_waits),
             TEST(test_sync_07_without_limit), TEST(test_sync_14_hand_over),
             TEST(test_sync_16_the_total_moves), TEST(test_sync_16_a_total_of_zero))
