/* Semaphores. */
#include "child.h"
#include "task/task.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static yoke_semaphore semaphore;
static int passed;

static yoke_semaphore_statistics look(void)
{
    yoke_semaphore_statistics now;
    yoke_semaphore_get_statistics(&semaphore, &now);
    return now;
}

static yoke_error *acquire(void *arg)
{
    YOKE_TRY(yoke_semaphore_acquire(&semaphore));
    passed++;
    return NULL;
}

static yoke_error *values(void *arg)
{
    CHECK(was_kind(yoke_semaphore_init(&semaphore, -1, YOKE_UNLIMITED), &YOKE_USAGE));
    CHECK(was_kind(yoke_semaphore_init(&semaphore, INT64_MIN, INT64_MIN), &YOKE_USAGE));
    CHECK(was_kind(yoke_semaphore_init(&semaphore, 2, 1), &YOKE_USAGE));
    YOKE_TRY(yoke_semaphore_init(&semaphore, 1, 2));
    CHECK(look().value == 1 && look().maximum == 2 && look().waiting == 0);
    YOKE_TRY(yoke_semaphore_release(&semaphore));
    CHECK(was_kind(yoke_semaphore_release(&semaphore), &YOKE_USAGE));
    CHECK(look().value == 2);
    YOKE_TRY(yoke_semaphore_acquire(&semaphore));
    YOKE_TRY(yoke_semaphore_acquire_nowait(&semaphore));
    CHECK(was_kind(yoke_semaphore_acquire_nowait(&semaphore), &YOKE_WOULD_BLOCK));
    CHECK(look().value == 0);

    YOKE_TRY(yoke_semaphore_init(&semaphore, 0, YOKE_UNLIMITED));
    for (int i = 1; i <= 1000; i++) {
        YOKE_TRY(yoke_semaphore_release(&semaphore));
        CHECK(look().value == i);
    }
    YOKE_TRY(yoke_semaphore_init(&semaphore, YOKE_UNLIMITED, YOKE_UNLIMITED));
    CHECK(was_kind(yoke_semaphore_release(&semaphore), &YOKE_USAGE));
    CHECK(look().value == YOKE_UNLIMITED);
    return NULL;
}

static yoke_error *waits(void *arg)
{
    YOKE_TRY(yoke_semaphore_init(&semaphore, 2, 2));
    passed = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 4; i++)
        YOKE_TRY(yoke_spawn(&n, acquire, NULL));
    settle();
    CHECK(passed == 2 && look().value == 0 && look().waiting == 2);
    YOKE_TRY(yoke_semaphore_release(&semaphore));
    settle();
    CHECK(passed == 3 && look().waiting == 1);
    YOKE_TRY(yoke_semaphore_release(&semaphore));
    return yoke_nursery_close(&n, NULL);
}

static void test_sync_05_semaphore(void **state)
{
    assert_success(yoke_run(values, NULL, NULL));
    assert_success(yoke_run(waits, NULL, NULL));
}

/* Released while one waits: the value stays 0, and nobody else can have it. */
static yoke_error *handed_over(void *arg)
{
    YOKE_TRY(yoke_semaphore_init(&semaphore, 0, 1));
    passed = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, acquire, NULL));
    settle();
    YOKE_TRY(yoke_semaphore_release(&semaphore));
    CHECK(look().value == 0 && look().waiting == 0 && passed == 0);
    CHECK(was_kind(yoke_semaphore_acquire_nowait(&semaphore), &YOKE_WOULD_BLOCK));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(passed == 1 && look().value == 0);
    return NULL;
}

static void test_sync_14_hand_over(void **state)
{
    assert_success(yoke_run(handed_over, NULL, NULL));
}

HARNESS_MAIN(TEST(test_sync_05_semaphore), TEST(test_sync_14_hand_over))
