/* Locks; and all that can be used as one. */
#include "child.h"
#include "task/task.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static void run(yoke_task_fn fn)
{
    assert_success(yoke_run(fn, NULL, NULL));
}

static yoke_lock lock;
static int order[16], taken;

static yoke_lock_statistics look(void)
{
    yoke_lock_statistics now;
    yoke_lock_get_statistics(&lock, &now);
    return now;
}

static yoke_error *take_and_release(void *arg)
{
    YOKE_TRY(yoke_lock_acquire(&lock));
    order[taken++] = *(int *)arg;
    YOKE_TRY(yoke_checkpoint());
    return yoke_lock_release(&lock);
}

static yoke_error *spawn_takers(yoke_nursery *n, int count)
{
    for (int i = 0; i < count; i++)
        YOKE_TRY(yoke_spawn_value(n, take_and_release, &i, sizeof i));
    settle();
    return NULL;
}

static bool says(yoke_error *e, const yoke_error_kind *kind, const char *text)
{
    bool yes = yoke_error_is(e, kind) && strstr(yoke_error_message(e), text);
    yoke_error_free(e);
    return yes;
}

static yoke_error *spawn_named(yoke_nursery *n, const char *name, yoke_task_fn fn, void *arg)
{
    return yoke_spawn_with(n, fn, arg, &(yoke_spawn_options){.name = name});
}

/* ---- owner, order ---- */

static yoke_error *misuse_by_another(void *arg)
{
    CHECK(says(yoke_lock_release(&lock), &YOKE_USAGE, "`misuse_by_another`"));
    CHECK(says(yoke_lock_acquire_nowait(&lock), &YOKE_WOULD_BLOCK, "`main`"));
    return NULL;
}

static yoke_error *owner_is_checked(void *arg)
{
    yoke_lock_init(&lock);
    CHECK(!look().locked && !look().owner);
    CHECK(was_kind(yoke_lock_release(&lock), &YOKE_USAGE));
    for (int i = 0; i < 2; i++) {
        YOKE_TRY(i ? yoke_lock_acquire(&lock) : yoke_lock_acquire_nowait(&lock));
        CHECK(look().locked && look().owner == yoke_current_task());
        CHECK(was_kind(yoke_lock_acquire(&lock), &YOKE_USAGE));
        CHECK(was_kind(yoke_lock_acquire_nowait(&lock), &YOKE_USAGE));
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_spawn(&n, misuse_by_another, NULL));
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        CHECK(look().owner == yoke_current_task() && look().waiting == 0);
        YOKE_TRY(yoke_lock_release(&lock));
        CHECK(!look().locked);
    }
    CHECK(was_kind(yoke_lock_release(&lock), &YOKE_USAGE));
    return NULL;
}

static void test_sync_02_the_owner_is_checked(void **state)
{
    run(owner_is_checked);
}

static yoke_error *first_come_first_served(void *arg)
{
    yoke_lock_init(&lock);
    taken = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(spawn_takers(&n, 5));
    CHECK(taken == 0 && look().waiting == 5);
    uint64_t passes = scheduler_here->passes;
    YOKE_TRY(yoke_lock_release(&lock));
    CHECK(scheduler_here->passes == passes && taken == 0);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(taken == 5);
    for (int i = 0; i < 5; i++)
        CHECK(order[i] == i);
    return NULL;
}

static void test_sync_02_first_come_first_served(void **state)
{
    run(first_come_first_served);
}

static yoke_error *try_at_once(void *arg)
{
    CHECK(was_kind(yoke_lock_acquire_nowait(&lock), &YOKE_WOULD_BLOCK));
    return NULL;
}

/* Released while one waits: it is his before he runs. Who released it, and a third, stand behind. */
static yoke_error *no_barging(void *arg)
{
    yoke_lock_init(&lock);
    taken = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_spawn(&n, try_at_once, NULL)); /* will run before the takers do */
    YOKE_TRY(spawn_takers(&n, 2));
    YOKE_TRY(yoke_spawn(&n, try_at_once, NULL));
    YOKE_TRY(yoke_lock_release(&lock));
    CHECK(look().locked && look().owner != yoke_current_task() && look().waiting == 1 && taken == 0);
    CHECK(was_kind(yoke_lock_acquire_nowait(&lock), &YOKE_WOULD_BLOCK));
    CHECK(was_kind(yoke_lock_release(&lock), &YOKE_USAGE));
    YOKE_TRY(yoke_lock_acquire(&lock));
    CHECK(taken == 2 && look().waiting == 0);
    YOKE_TRY(yoke_lock_release(&lock));
    return yoke_nursery_close(&n, NULL);
}

/* SYNC-03, SYNC-14 */
static void test_sync_03_no_barging(void **state)
{
    run(no_barging);
}

/* ---- owners that end ---- */

static yoke_error *take_and_end(void *arg)
{
    YOKE_TRY(yoke_lock_acquire(&lock));
    for (int i = 0; i < 10; i++)
        YOKE_TRY(yoke_cancel_shielded_checkpoint());
    return NULL;
}

static yoke_error *take_broken(void *arg)
{
    CHECK(says(yoke_lock_acquire(&lock), &YOKE_BROKEN_RESOURCE, arg));
    CHECK(was_kind(yoke_lock_release(&lock), &YOKE_USAGE));
    taken++;
    return NULL;
}

static yoke_error *check_broken(const char *owner)
{
    CHECK(says(yoke_lock_acquire(&lock), &YOKE_BROKEN_RESOURCE, owner));
    CHECK(says(yoke_lock_acquire_nowait(&lock), &YOKE_BROKEN_RESOURCE, owner));
    CHECK(was_kind(yoke_lock_release(&lock), &YOKE_USAGE));
    CHECK(look().broken && look().locked && !look().owner && look().waiting == 0);
    return NULL;
}

static yoke_error *ends_while_others_wait(void *arg)
{
    yoke_lock_init(&lock);
    taken = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_named(&n, "careless", take_and_end, NULL));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_spawn(&n, take_broken, (char *)"`careless`"));
    settle();
    CHECK(look().waiting == 3 && taken == 0);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(taken == 3);
    return check_broken("`careless`");
}

static void test_sync_04_an_owner_ends_while_others_wait(void **state)
{
    run(ends_while_others_wait);
}

static yoke_error *ends_while_nobody_waits(void *arg)
{
    yoke_lock_init(&lock);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_named(&n, "careless", take_and_end, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    YOKE_TRY(check_broken("`careless`"));
    /* A task on the same stack, at the same address, is not taken for the owner. */
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, take_broken, (char *)"`careless`"));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    yoke_lock_init(&lock);
    YOKE_TRY(yoke_lock_acquire(&lock));
    return yoke_lock_release(&lock);
}

static yoke_error *two_end(void *arg)
{
    yoke_lock_init(&lock);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 2; i++)
        YOKE_TRY(spawn_named(&n, i ? "second" : "first", take_and_end, NULL));
    yoke_error *e = yoke_nursery_close_flat(&n, NULL);
    CHECK(yoke_error_is(e, &YOKE_BROKEN_RESOURCE) && strstr(yoke_error_message(e), "`first`"));
    return drop(e);
}

static yoke_error *handed_over(void *arg)
{
    yoke_lock_init(&lock);
    taken = 0;
    yoke_nursery n, old;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_open(&old));
    YOKE_TRY(yoke_spawn_value(&old, take_and_release, &(int){0}, sizeof(int)));
    YOKE_TRY(spawn_named(&n, "heir", take_and_end, NULL));
    YOKE_TRY(yoke_nursery_close(&old, NULL));
    CHECK(taken == 1 && !look().broken && !strcmp(yoke_task_name(look().owner), "heir"));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    return check_broken("`heir`");
}

static yoke_error *cancelled_owner(void *arg)
{
    yoke_lock_init(&lock);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(spawn_named(&n, "cancelled", take_and_end, NULL));
    settle();
    YOKE_TRY(yoke_lock_release(&lock));
    yoke_nursery_cancel(&n, NULL); /* has it already, and ends with it */
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    return check_broken("`cancelled`");
}

/* Several at once, some of them released, in no order. */
static yoke_error *hold_several(void *arg)
{
    yoke_lock *locks = arg;
    for (int i = 0; i < 5; i++)
        YOKE_TRY(yoke_lock_acquire(&locks[i]));
    YOKE_TRY(yoke_lock_release(&locks[1]));
    YOKE_TRY(yoke_lock_release(&locks[4]));
    YOKE_TRY(yoke_lock_release(&locks[0]));
    return NULL;
}

static yoke_error *several(void *arg)
{
    yoke_lock locks[5];
    for (int i = 0; i < 5; i++)
        yoke_lock_init(&locks[i]);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, hold_several, locks));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    for (int i = 0; i < 5; i++) {
        bool broken = i == 2 || i == 3;
        yoke_error *e = yoke_lock_acquire(&locks[i]);
        CHECK(yoke_error_is(e, &YOKE_BROKEN_RESOURCE) == broken);
        YOKE_TRY(broken ? drop(e) : yoke_lock_release(&locks[i]));
    }
    return NULL;
}

static void test_sync_15_an_owner_ends_while_nobody_waits(void **state)
{
    run(ends_while_nobody_waits);
}

static void test_sync_15_two_owners_end(void **state)
{
    run(two_end);
}

static void test_sync_15_handed_over(void **state)
{
    run(handed_over);
}

static void test_sync_15_a_cancelled_owner(void **state)
{
    run(cancelled_owner);
}

static void test_sync_15_an_owner_of_several(void **state)
{
    run(several);
}

/* ---- whatever can be used as a lock ---- */

static yoke_limiter limiter;
static yoke_semaphore semaphore;
static yoke_sender tx;
static yoke_receiver rx;
static bool held; /* the rendezvous channel's */

struct lock_like {
    const char *name;
    yoke_error *(*init)(void);
    yoke_error *(*acquire)(yoke_borrower *b);
    yoke_error *(*acquire_nowait)(yoke_borrower *b);
    yoke_error *(*release)(yoke_borrower *b);
    bool is_channel;
};

static yoke_error *limiter_init(void)
{
    return yoke_limiter_init(&limiter, 1);
}
static yoke_error *limiter_acquire(yoke_borrower *b)
{
    return yoke_limiter_acquire(&limiter, b);
}
static yoke_error *limiter_nowait(yoke_borrower *b)
{
    return yoke_limiter_acquire_nowait(&limiter, b);
}
static yoke_error *limiter_release(yoke_borrower *b)
{
    return yoke_limiter_release(&limiter, b);
}

static yoke_error *semaphore_init(void)
{
    return yoke_semaphore_init(&semaphore, 1, 1);
}
static yoke_error *semaphore_acquire(yoke_borrower *b)
{
    return yoke_semaphore_acquire(&semaphore);
}
static yoke_error *semaphore_nowait(yoke_borrower *b)
{
    return yoke_semaphore_acquire_nowait(&semaphore);
}
static yoke_error *semaphore_release(yoke_borrower *b)
{
    return yoke_semaphore_release(&semaphore);
}

static yoke_error *lock_init(void)
{
    yoke_lock_init(&lock);
    return NULL;
}
static yoke_error *lock_acquire(yoke_borrower *b)
{
    return yoke_lock_acquire(&lock);
}
static yoke_error *lock_nowait(yoke_borrower *b)
{
    return yoke_lock_acquire_nowait(&lock);
}
static yoke_error *lock_release(yoke_borrower *b)
{
    return yoke_lock_release(&lock);
}

/* Filled up to one place: who puts the last item in has the lock. */
static yoke_error *full_init(size_t capacity)
{
    YOKE_TRY(yoke_channel_open(&tx, &rx, capacity, 0, NULL));
    for (size_t i = 0; i + 1 < capacity; i++)
        YOKE_TRY(yoke_channel_send_nowait(&tx, NULL));
    return NULL;
}
static yoke_error *full_of_10_init(void)
{
    return full_init(10);
}
static yoke_error *full_of_1_init(void)
{
    return full_init(1);
}
static yoke_error *put(yoke_borrower *b)
{
    return yoke_channel_send(&tx, NULL);
}
static yoke_error *put_nowait(yoke_borrower *b)
{
    return yoke_channel_send_nowait(&tx, NULL);
}
static yoke_error *take_nowait(yoke_borrower *b)
{
    return yoke_channel_receive_nowait(&rx, NULL);
}

/* One item in the channel: who has it has the lock. */
static yoke_error *token_init(void)
{
    YOKE_TRY(yoke_channel_open(&tx, &rx, 10, 0, NULL));
    return yoke_channel_send_nowait(&tx, NULL);
}
static yoke_error *take(yoke_borrower *b)
{
    return yoke_channel_receive(&rx, NULL);
}

/* A flag for the holder; those who find it set wait for each other in the channel. */
static yoke_error *rendezvous_init(void)
{
    held = false;
    return yoke_channel_open(&tx, &rx, 0, 0, NULL);
}
static yoke_error *rendezvous_acquire(yoke_borrower *b)
{
    if (held)
        return yoke_channel_send(&tx, NULL);
    held = true;
    return yoke_checkpoint();
}
static yoke_error *rendezvous_nowait(yoke_borrower *b)
{
    if (held)
        return yoke_raise(&YOKE_WOULD_BLOCK, "held");
    held = true;
    return NULL;
}
static yoke_error *rendezvous_release(yoke_borrower *b)
{
    yoke_error *e = yoke_channel_receive_nowait(&rx, NULL);
    if (!yoke_error_is(e, &YOKE_WOULD_BLOCK))
        return e;
    held = false;
    return drop(e);
}

static const struct lock_like lock_likes[] = {
    {"limiter", limiter_init, limiter_acquire, limiter_nowait, limiter_release, false},
    {"semaphore", semaphore_init, semaphore_acquire, semaphore_nowait, semaphore_release, false},
    {"lock, strict", lock_init, lock_acquire, lock_nowait, lock_release, false},
    {"full channel of 10", full_of_10_init, put, put_nowait, take_nowait, true},
    {"full channel of 1", full_of_1_init, put, put_nowait, take_nowait, true},
    {"token channel", token_init, take, take_nowait, put_nowait, true},
    {"rendezvous channel", rendezvous_init, rendezvous_acquire, rendezvous_nowait, rendezvous_release, true},
};

static void run_each(yoke_task_fn fn)
{
    for (size_t i = 0; i < sizeof lock_likes / sizeof lock_likes[0]; i++) {
        struct lock_like like = lock_likes[i];
        /* 1: each operation yields; 0: few do. */
        for (unsigned budget = 0; budget < 2; budget++) {
            taken = 0;
            yoke_error *e = yoke_run(fn, &like, &(yoke_run_options){.budget = budget});
            yoke_error_note(e, "as a lock: %s", like.name);
            assert_success(e);
        }
    }
}

static yoke_error *close_like(const struct lock_like *like)
{
    if (like->is_channel) {
        yoke_sender_close(&tx);
        yoke_receiver_close(&rx);
    }
    return NULL;
}

static bool inside;

struct turns {
    const struct lock_like *like;
    int count, number;
};

static yoke_error *take_turns(void *arg)
{
    const struct turns *t = arg;
    for (int i = 0; i < t->count; i++) {
        yoke_borrower b = {0};
        YOKE_TRY(t->like->acquire(&b));
        CHECK(!inside);
        inside = true;
        YOKE_TRY(yoke_checkpoint());
        YOKE_TRY(yoke_checkpoint());
        CHECK(inside);
        inside = false;
        if (t->count == 5)
            order[taken] = t->number;
        taken++;
        YOKE_TRY(t->like->release(&b));
    }
    return NULL;
}

static yoke_error *run_turns(const struct lock_like *like, int tasks, int count)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < tasks; i++) {
        struct turns turns = {like, count, i};
        YOKE_TRY(yoke_spawn_value(&n, take_turns, &turns, sizeof turns));
    }
    return yoke_nursery_close(&n, NULL);
}

static yoke_error *never_two(void *arg)
{
    const struct lock_like *like = arg;
    YOKE_TRY(like->init());
    YOKE_TRY(run_turns(like, 5, 10));
    CHECK(taken == 50 && !inside);
    return close_like(like);
}

static yoke_error *in_rounds(void *arg)
{
    const struct lock_like *like = arg;
    YOKE_TRY(like->init());
    YOKE_TRY(run_turns(like, 3, 5));
    CHECK(taken == 15);
    for (int i = 3; i < 15; i++)
        CHECK(order[i] == order[i - 3]);
    CHECK(order[0] != order[1] && order[1] != order[2] && order[2] != order[0]);
    return close_like(like);
}

static yoke_error *take_one(void *arg)
{
    const struct lock_like *like = arg;
    yoke_borrower b = {0};
    YOKE_TRY(like->acquire(&b));
    taken++;
    return like->release(&b);
}

static yoke_error *nowait_first(void *arg)
{
    const struct lock_like *like = arg;
    YOKE_TRY(like->init());
    yoke_borrower b = {0}, another = {0};
    YOKE_TRY(like->acquire_nowait(&b));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, take_one, arg));
    settle();
    CHECK(taken == 0);
    if (like->acquire != lock_acquire)
        CHECK(was_kind(like->acquire_nowait(&another), &YOKE_WOULD_BLOCK));
    YOKE_TRY(like->release(&b));
    CHECK(was_kind(like->acquire_nowait(&another), &YOKE_WOULD_BLOCK)); /* it is the waiter's already */
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(taken == 1);
    YOKE_TRY(like->acquire_nowait(&another));
    YOKE_TRY(like->release(&another));
    return close_like(like);
}

static void test_sync_13_never_two_at_once(void **state)
{
    run_each(never_two);
}

static void test_sync_13_in_rounds(void **state)
{
    run_each(in_rounds);
}

/* SYNC-13, SYNC-14 */
static void test_sync_13_taken_by_nowait_first(void **state)
{
    run_each(nowait_first);
}

HARNESS_MAIN(TEST(test_sync_02_the_owner_is_checked), TEST(test_sync_02_first_come_first_served),
             TEST(test_sync_03_no_barging), TEST(test_sync_04_an_owner_ends_while_others_wait),
             TEST(test_sync_15_an_owner_ends_while_nobody_waits), TEST(test_sync_15_two_owners_end),
             TEST(test_sync_15_handed_over), TEST(test_sync_15_a_cancelled_owner),
             TEST(test_sync_15_an_owner_of_several), TEST(test_sync_13_never_two_at_once),
             TEST(test_sync_13_in_rounds), TEST(test_sync_13_taken_by_nowait_first))
