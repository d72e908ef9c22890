/* Conditions. */
#include "child.h"
#include "task/task.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static yoke_lock lock;
static yoke_condition changed;
static int order[8], woken, cancelled, broken;

static void run(yoke_task_fn fn)
{
    woken = cancelled = broken = 0;
    yoke_lock_init(&lock);
    yoke_condition_init(&changed, &lock);
    assert_success(yoke_run(fn, NULL, NULL));
}

static yoke_condition_statistics look(void)
{
    yoke_condition_statistics now;
    yoke_condition_get_statistics(&changed, &now);
    return now;
}

/* Whatever wait returns, the lock is the task's again, unless it is broken. */
static yoke_error *wait_once(void *arg)
{
    YOKE_TRY(yoke_lock_acquire(&lock));
    yoke_error *e = yoke_condition_wait(&changed);
    if (yoke_error_find(e, &YOKE_BROKEN_RESOURCE)) {
        broken++;
        return drop(e);
    }
    CHECK(look().lock.owner == yoke_current_task());
    if (yoke_error_is_cancelled(e))
        cancelled++;
    else if (!e)
        order[woken++] = *(int *)arg;
    YOKE_TRY(yoke_lock_release(&lock));
    return e;
}

static yoke_error *spawn_waiters(yoke_nursery *n, int first, int count)
{
    for (int i = first; i < first + count; i++)
        YOKE_TRY(yoke_spawn_value(n, wait_once, &i, sizeof i));
    settle();
    return NULL;
}

static yoke_error *needs_the_lock(void *arg)
{
    CHECK(was_kind(yoke_condition_wait(&changed), &YOKE_USAGE));
    CHECK(was_kind(yoke_condition_notify(&changed, 1), &YOKE_USAGE));
    CHECK(was_kind(yoke_condition_notify(&changed, YOKE_ALL), &YOKE_USAGE));
    return NULL;
}

static yoke_error *basics(void *arg)
{
    YOKE_TRY(needs_the_lock(NULL));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_condition_notify(&changed, YOKE_ALL)); /* nobody waits: nothing */
    YOKE_TRY(yoke_spawn(&n, needs_the_lock, NULL));      /* held, but by another */
    settle();
    YOKE_TRY(yoke_lock_release(&lock));
    YOKE_TRY(spawn_waiters(&n, 0, 1));
    CHECK(look().waiting == 1 && !look().lock.locked);
    YOKE_TRY(yoke_lock_acquire(&lock)); /* it was given back */
    YOKE_TRY(yoke_condition_notify(&changed, 1));
    settle();
    CHECK(woken == 0 && look().waiting == 0 && look().lock.waiting == 1);
    YOKE_TRY(yoke_lock_release(&lock));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(woken == 1 && !look().lock.locked);
    return NULL;
}

static void test_sync_06_condition(void **state)
{
    run(basics);
}

static yoke_error *in_order(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_waiters(&n, 0, 3));
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_condition_notify(&changed, 1));
    YOKE_TRY(yoke_lock_release(&lock));
    settle();
    CHECK(woken == 1 && order[0] == 0 && look().waiting == 2);
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_condition_notify(&changed, YOKE_ALL));
    YOKE_TRY(yoke_lock_release(&lock));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(woken == 3 && order[1] == 1 && order[2] == 2);

    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_waiters(&n, 3, 3));
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_condition_notify(&changed, 0));
    CHECK(look().waiting == 3);
    YOKE_TRY(yoke_condition_notify(&changed, 2));
    settle();
    CHECK(look().waiting == 1 && look().lock.waiting == 2 && woken == 3);
    YOKE_TRY(yoke_lock_release(&lock));
    settle();
    CHECK(woken == 5 && order[3] == 3 && order[4] == 4 && look().waiting == 1);
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_condition_notify(&changed, 5));
    YOKE_TRY(yoke_lock_release(&lock));
    return yoke_nursery_close(&n, NULL);
}

static void test_sync_17_in_order(void **state)
{
    run(in_order);
}

/* Cancelled while another holds the lock: it goes on waiting, and is its owner when it returns. */
static yoke_error *cancelled_while_locked(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_waiters(&n, 0, 2));
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_lock_acquire(&lock));
    yoke_nursery_cancel(&n, "enough");
    for (int i = 0; i < 4; i++)
        settle();
    CHECK(cancelled == 0 && look().waiting == 0 && look().lock.waiting == 2);
    YOKE_TRY(yoke_condition_notify(&changed, YOKE_ALL)); /* too late for both */
    YOKE_TRY(yoke_lock_release(&lock));
    settle();
    CHECK(cancelled == 2 && woken == 0 && !look().lock.locked);
    YOKE_TRY(yoke_scope_close(&shield, NULL));
    return yoke_nursery_close(&n, NULL);
}

static void test_sync_18_cancelled_while_another_holds_the_lock(void **state)
{
    run(cancelled_while_locked);
}

static yoke_error *cancelled_while_free(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_waiters(&n, 0, 3));
    yoke_nursery_cancel(&n, NULL);
    CHECK(look().waiting == 0 && look().lock.locked && look().lock.waiting == 2);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(cancelled == 3 && !look().lock.locked);
    return NULL;
}

static void test_sync_18_cancelled_while_the_lock_is_free(void **state)
{
    run(cancelled_while_free);
}

/* What it was told stays, and is not told again, though shields go up and down before it has the lock. */
static yoke_error *shields_come_and_go(void *arg)
{
    yoke_scope outer, shield;
    yoke_nursery n;
    YOKE_TRY(yoke_scope_open(&outer));
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_waiters(&n, 0, 1));
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_lock_acquire(&lock));
    yoke_scope_cancel(&outer, "with a reason");
    for (int i = 0; i < 3; i++)
        yoke_scope_set_shield(yoke_nursery_scope(&n), i != 1);
    CHECK(look().lock.waiting == 1);
    YOKE_TRY(yoke_lock_release(&lock));
    settle();
    CHECK(cancelled == 1 && !look().lock.locked);
    YOKE_TRY(yoke_scope_close(&shield, NULL));
    return yoke_scope_close(&outer, yoke_nursery_close(&n, NULL));
}

static void test_sync_18_a_cancellation_is_told_once(void **state)
{
    run(shields_come_and_go);
}

/* The notified one is cancelled before it has the lock: the next gets the notification, and only one does. */
static yoke_error *handed_on(void *arg)
{
    yoke_nursery n, doomed;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_open(&doomed));
    YOKE_TRY(spawn_waiters(&doomed, 0, 2));
    YOKE_TRY(spawn_waiters(&n, 2, 2));
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_condition_notify(&changed, 1));
    yoke_nursery_cancel(&doomed, NULL);
    CHECK(look().waiting == 1 && look().lock.waiting == 3);
    YOKE_TRY(yoke_lock_release(&lock));
    settle();
    CHECK(cancelled == 2 && woken == 1 && order[0] == 2 && look().waiting == 1);
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_condition_notify(&changed, 1));
    YOKE_TRY(yoke_lock_release(&lock));
    YOKE_TRY(yoke_scope_close(&shield, NULL));
    YOKE_TRY(yoke_nursery_close(&doomed, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(woken == 2 && order[1] == 3 && !look().lock.locked);
    return NULL;
}

static void test_sync_19_a_notification_is_not_lost(void **state)
{
    run(handed_on);
}

static yoke_error *take_notify_and_end(void *arg)
{
    YOKE_TRY(yoke_lock_acquire(&lock));
    return yoke_condition_notify(&changed, 1);
}

/* The notifier ends with the lock: who waits for it, notified or cancelled, is told. */
static yoke_error *lock_breaks(void *arg)
{
    yoke_nursery n, doomed;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_open(&doomed));
    YOKE_TRY(spawn_waiters(&n, 0, 1));
    YOKE_TRY(spawn_waiters(&doomed, 1, 1));
    YOKE_TRY(yoke_spawn(&n, take_notify_and_end, NULL));
    settle();
    CHECK(broken == 1 && look().waiting == 1 && look().lock.broken);
    yoke_nursery_cancel(&doomed, NULL);
    YOKE_TRY(yoke_nursery_close(&doomed, NULL));
    CHECK(broken == 2 && look().waiting == 0);
    return yoke_nursery_close(&n, NULL);
}

static void test_sync_15_the_lock_of_a_condition_breaks(void **state)
{
    run(lock_breaks);
}

HARNESS_MAIN(TEST(test_sync_06_condition), TEST(test_sync_17_in_order),
             TEST(test_sync_18_cancelled_while_another_holds_the_lock),
             TEST(test_sync_18_cancelled_while_the_lock_is_free),
             TEST(test_sync_18_a_cancellation_is_told_once), TEST(test_sync_19_a_notification_is_not_lost),
             TEST(test_sync_15_the_lock_of_a_condition_breaks))
