/* Parking lots; and what all that tasks wait in a line for have in common, primitive by primitive. */
#include "child.h"
#include "task/task.h"

#include <pthread.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

enum { MANY = 1000 };

static void run(yoke_task_fn fn)
{
    assert_success(yoke_run(fn, NULL, NULL));
}

/* ---- all primitives ---- */

static yoke_event event;
static yoke_lock lock;
static yoke_semaphore semaphore;
static yoke_condition condition;
static yoke_limiter limiter;
static yoke_parking parking;

/* `wait` waits once, and leaves everything to the next; `wake` lets one pass, and never waits for who has not
 * been cancelled. */
struct primitive {
    const char *name;
    yoke_error *(*init)(void);
    yoke_error *(*wait)(void);
    yoke_error *(*wake)(void);
    size_t (*waiting)(void);
    bool wakes_all;
};

static yoke_error *event_start(void)
{
    yoke_event_init(&event);
    return NULL;
}
static yoke_error *event_await(void)
{
    return yoke_event_wait(&event);
}
static yoke_error *event_wake(void)
{
    yoke_event_set(&event);
    return NULL;
}
static size_t event_waiting(void)
{
    return yoke_event_get_waiting(&event);
}

/* The test's main task holds the lock; who gets it passes it on. */
static yoke_error *lock_start(void)
{
    yoke_lock_init(&lock);
    return yoke_lock_acquire_nowait(&lock);
}
static yoke_error *lock_await(void)
{
    YOKE_TRY(yoke_lock_acquire(&lock));
    return yoke_lock_release(&lock);
}
static yoke_error *lock_wake(void)
{
    return yoke_lock_release(&lock);
}
static size_t lock_waiting(void)
{
    yoke_lock_statistics now;
    yoke_lock_get_statistics(&lock, &now);
    return now.waiting;
}

static yoke_error *semaphore_start(void)
{
    return yoke_semaphore_init(&semaphore, 0, YOKE_UNLIMITED);
}
static yoke_error *semaphore_await(void)
{
    return yoke_semaphore_acquire(&semaphore);
}
static yoke_error *semaphore_wake(void)
{
    return yoke_semaphore_release(&semaphore);
}
static size_t semaphore_waiting(void)
{
    yoke_semaphore_statistics now;
    yoke_semaphore_get_statistics(&semaphore, &now);
    return now.waiting;
}

static yoke_error *condition_start(void)
{
    yoke_lock_init(&lock);
    yoke_condition_init(&condition, &lock);
    return NULL;
}
static yoke_error *condition_await(void)
{
    YOKE_TRY(yoke_lock_acquire(&lock));
    yoke_error *e = yoke_condition_wait(&condition);
    return yoke_error_join(e, yoke_lock_release(&lock));
}
static yoke_error *condition_wake(void)
{
    /* One that was woken, or cancelled, may have it on its way out. */
    YOKE_TRY(lock.owner ? yoke_lock_acquire(&lock) : yoke_lock_acquire_nowait(&lock));
    YOKE_TRY(yoke_condition_notify(&condition, 1));
    return yoke_lock_release(&lock);
}
static size_t condition_waiting(void)
{
    yoke_condition_statistics now;
    yoke_condition_get_statistics(&condition, &now);
    return now.waiting + now.lock.waiting;
}

static yoke_error *limiter_start(void)
{
    return yoke_limiter_init(&limiter, 0);
}
static yoke_error *limiter_await(void)
{
    yoke_borrower borrower = {0};
    return yoke_limiter_acquire(&limiter, &borrower);
}
static yoke_error *limiter_wake(void)
{
    return yoke_limiter_set_total(&limiter, limiter.total + 1);
}
static size_t limiter_waiting(void)
{
    yoke_limiter_statistics now;
    yoke_limiter_get_statistics(&limiter, &now);
    return now.waiting;
}

static yoke_error *parking_start(void)
{
    yoke_parking_init(&parking);
    return NULL;
}
static yoke_error *parking_await(void)
{
    return yoke_parking_park(&parking);
}
static yoke_error *parking_wake(void)
{
    yoke_parking_unpark(&parking, 1);
    return NULL;
}
static size_t waiting_in(const yoke_parking *lot)
{
    yoke_parking_statistics now;
    yoke_parking_get_statistics(lot, &now);
    return now.waiting;
}
static size_t parking_waiting(void)
{
    return waiting_in(&parking);
}

static const struct primitive primitives[] = {
    {"event", event_start, event_await, event_wake, event_waiting, true},
    {"lock", lock_start, lock_await, lock_wake, lock_waiting, true},
    {"semaphore", semaphore_start, semaphore_await, semaphore_wake, semaphore_waiting, false},
    {"condition", condition_start, condition_await, condition_wake, condition_waiting, false},
    {"limiter", limiter_start, limiter_await, limiter_wake, limiter_waiting, false},
    {"parking lot", parking_start, parking_await, parking_wake, parking_waiting, false},
};

static int order[MANY], woken, cancelled;

struct who {
    const struct primitive *primitive;
    int number;
};

static yoke_error *wait_once(void *arg)
{
    const struct who *who = arg;
    yoke_error *e = who->primitive->wait();
    if (!e)
        order[woken++] = who->number;
    cancelled += yoke_error_is_cancelled(e);
    return e;
}

static yoke_error *spawn_waiter(yoke_nursery *n, const struct primitive *p, int number)
{
    struct who who = {p, number};
    YOKE_TRY(yoke_spawn_value(n, wait_once, &who, sizeof who));
    return yoke_cancel_shielded_checkpoint();
}

/* Runs `fn` for each primitive, in a run of its own. */
static void run_each(yoke_task_fn fn)
{
    for (size_t i = 0; i < sizeof primitives / sizeof primitives[0]; i++) {
        struct primitive p = primitives[i];
        woken = cancelled = 0;
        yoke_error *e = yoke_run(fn, &p, NULL);
        yoke_error_note(e, "primitive: %s", p.name);
        assert_success(e);
    }
}

/* Of three the one in the middle leaves, then the first; the third gets what is for one. */
static yoke_error *cancelled_leaves(void *arg)
{
    const struct primitive *p = arg;
    YOKE_TRY(p->init());
    CHECK(p->waiting() == 0);
    yoke_nursery n[3];
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_nursery_open(&n[i]));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(spawn_waiter(&n[i == 2 ? 0 : i + 1], p, i));
    CHECK(p->waiting() == 3);
    yoke_nursery_cancel(&n[2], NULL);
    CHECK(p->waiting() == 2);
    settle();
    yoke_nursery_cancel(&n[1], NULL);
    settle();
    CHECK(p->waiting() == 1 && cancelled == 2 && woken == 0);
    YOKE_TRY(p->wake());
    settle();
    CHECK(p->waiting() == 0 && woken == 1 && order[0] == 2);
    yoke_error *e = NULL;
    for (int i = 2; i >= 0; i--)
        e = yoke_nursery_close(&n[i], e);
    return e;
}

static void test_sync_10_cancelled_waiters_leave(void **state)
{
    run_each(cancelled_leaves);
}

/* Woken and cancelled in the same pass, in both orders. */
static yoke_error *woken_and_cancelled(void *arg)
{
    const struct primitive *p = arg;
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        woken = cancelled = 0;
        YOKE_TRY(p->init());
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(spawn_waiter(&n, p, 0));
        yoke_scope shield;
        YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
        if (cancel_first)
            yoke_nursery_cancel(&n, NULL);
        yoke_error *e = p->wake();
        if (!cancel_first)
            yoke_nursery_cancel(&n, NULL);
        e = yoke_scope_close(&shield, e);
        YOKE_TRY(yoke_nursery_close(&n, e));
        CHECK(woken == !cancel_first && cancelled == cancel_first && p->waiting() == 0);
    }
    return NULL;
}

static void test_sched_10_woken_is_never_reported_as_cancelled(void **state)
{
    run_each(woken_and_cancelled);
}

static yoke_error *wakes_many(void *arg)
{
    const struct primitive *p = arg;
    YOKE_TRY(p->init());
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < MANY; i++) {
        struct who who = {p, i};
        YOKE_TRY(yoke_spawn_value(&n, wait_once, &who, sizeof who));
    }
    settle();
    CHECK(p->waiting() == MANY && woken == 0);
    for (int i = 0; i < (p->wakes_all ? 1 : MANY); i++)
        YOKE_TRY(p->wake());
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(woken == MANY);
    for (int i = 0; i < MANY; i++)
        CHECK(order[i] == i);
    return NULL;
}

static void test_sync_24_a_thousand_waiters_in_order(void **state)
{
    run_each(wakes_many);
}

/* In a cancelled scope: waiting takes nothing, waking works and does not yield. */
static yoke_error *in_a_cancelled_scope(void *arg)
{
    const struct primitive *p = arg;
    YOKE_TRY(p->init());
    yoke_nursery n;
    yoke_scope s;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_waiter(&n, p, 0));
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    uint64_t passes = scheduler_here->passes;
    YOKE_TRY(p->wake());
    CHECK(scheduler_here->passes == passes && p->waiting() == 0);
    YOKE_TRY(yoke_cancel_shielded_checkpoint());
    CHECK(woken == 1);
    if (p->wait != parking_await)
        YOKE_TRY(p->wake == event_wake || p->wake == lock_wake ? NULL : p->wake());
    yoke_error *e = p->wait();
    CHECK(yoke_error_is_cancelled(e));
    YOKE_TRY(yoke_scope_close(&s, e));
    CHECK(p->waiting() == 0);
    return yoke_nursery_close(&n, NULL);
}

static void test_sync_25_in_a_cancelled_scope(void **state)
{
    run_each(in_a_cancelled_scope);
}

static yoke_error *free_but_cancelled(void *arg)
{
    yoke_lock_init(&lock);
    YOKE_TRY(yoke_semaphore_init(&semaphore, 1, 1));
    YOKE_TRY(yoke_limiter_init(&limiter, 1));
    yoke_borrower borrower = {0};
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    CHECK(was_cancelled(yoke_lock_acquire(&lock)));
    CHECK(was_cancelled(yoke_semaphore_acquire(&semaphore)));
    CHECK(was_cancelled(yoke_limiter_acquire(&limiter, &borrower)));
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(!lock.owner && semaphore.value == 1 && limiter.borrowed == 0 && !borrower.limiter);
    return NULL;
}

static void test_sync_25_what_is_free_is_not_taken(void **state)
{
    run(free_but_cancelled);
}

static yoke_error *without_memory(void *arg)
{
    const struct primitive *p = arg;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 2; i++) {
        struct who who = {p, i};
        YOKE_TRY(yoke_spawn_value(&n, wait_once, &who, sizeof who));
    }
    memory_fail_after(0);
    yoke_error *e = p->init();
    settle();
    size_t waiting = p->waiting();
    for (int i = 0; i < (p->wakes_all ? 1 : 2) && !e; i++)
        e = p->wake();
    settle();
    bool allocated = memory_fail_after(SIZE_MAX);
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(waiting == 2 && woken == 2 && !allocated);
    return NULL;
}

static void test_sync_26_nothing_is_allocated(void **state)
{
    run_each(without_memory);
}

/* ---- other threads, other memory ---- */

static bool says(yoke_error *e, const yoke_error_kind *kind, const char *text)
{
    bool yes = yoke_error_is(e, kind) && strstr(yoke_error_message(e), text);
    yoke_error_free(e);
    return yes;
}

static yoke_error *all_refuse(const char *text)
{
    static yoke_borrower borrower;
    CHECK(says(yoke_event_wait(&event), &YOKE_USAGE, text));
    CHECK(says(yoke_lock_acquire(&lock), &YOKE_USAGE, text));
    CHECK(says(yoke_lock_acquire_nowait(&lock), &YOKE_USAGE, text));
    CHECK(says(yoke_lock_release(&lock), &YOKE_USAGE, text));
    CHECK(says(yoke_condition_wait(&condition), &YOKE_USAGE, text));
    CHECK(says(yoke_condition_notify(&condition, 1), &YOKE_USAGE, text));
    CHECK(says(yoke_semaphore_acquire(&semaphore), &YOKE_USAGE, text));
    CHECK(says(yoke_semaphore_acquire_nowait(&semaphore), &YOKE_USAGE, text));
    CHECK(says(yoke_semaphore_release(&semaphore), &YOKE_USAGE, text));
    CHECK(says(yoke_limiter_acquire(&limiter, &borrower), &YOKE_USAGE, text));
    CHECK(says(yoke_limiter_acquire_nowait(&limiter, &borrower), &YOKE_USAGE, text));
    CHECK(says(yoke_limiter_release(&limiter, &borrower), &YOKE_USAGE, text));
    CHECK(says(yoke_limiter_set_total(&limiter, 1), &YOKE_USAGE, text));
    CHECK(says(yoke_parking_park(&parking), &YOKE_USAGE, text));
    static yoke_parking_breaker breaker;
    CHECK(says(yoke_parking_breaker_add(&breaker, &parking), &YOKE_USAGE, text));
    return NULL;
}

static yoke_error *refused_in_another_run(void *arg)
{
    return all_refuse("outside of the run");
}

static void *foreign(void *result)
{
    yoke_error *e = all_refuse("not inside yoke_run");
    *(yoke_error **)result = e ? e : yoke_run(refused_in_another_run, NULL, NULL);
    return NULL;
}

static yoke_error *init_all(void)
{
    YOKE_TRY(event_start());
    YOKE_TRY(semaphore_start());
    YOKE_TRY(condition_start());
    YOKE_TRY(limiter_start());
    return parking_start();
}

static yoke_error *other_thread(void *arg)
{
    YOKE_TRY(init_all());
    yoke_error *e = NULL;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, foreign, &e) == 0);
    pthread_join(thread, NULL);
    return e;
}

static void test_sync_23_other_threads_are_refused(void **state)
{
    run(other_thread);
}

static yoke_error *in_no_memory_of_ours(void *arg)
{
    memset(&event, 0, sizeof event);
    memset(&lock, 0, sizeof lock);
    memset(&condition, 0, sizeof condition);
    memset(&semaphore, 0, sizeof semaphore);
    memset(&limiter, 0, sizeof limiter);
    memset(&parking, 0, sizeof parking);
    return all_refuse("never initialised");
}

static void test_what_was_never_initialised_is_refused(void **state)
{
    run(in_no_memory_of_ours);
}

static yoke_error *use_all(void *arg)
{
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_condition_notify(&condition, 1));
    YOKE_TRY(yoke_lock_release(&lock));
    YOKE_TRY(yoke_semaphore_release(&semaphore));
    YOKE_TRY(yoke_limiter_set_total(&limiter, 1));
    CHECK(yoke_parking_unpark(&parking, 1) == 0);
    yoke_event_set(&event);
    return yoke_event_wait(&event);
}

static void test_initialised_before_the_run(void **state)
{
    assert_success(init_all());
    run(use_all);
}

static void *set_event(void *arg)
{
    yoke_event_set(&event);
    return NULL;
}

static void *unpark(void *arg)
{
    yoke_parking_unpark(&parking, 1);
    return NULL;
}

static yoke_error *in_a_thread(void *arg)
{
    YOKE_TRY(init_all());
    pthread_t thread;
    if (!pthread_create(&thread, NULL, (void *(*)(void *))arg, NULL))
        pthread_join(thread, NULL);
    return NULL;
}

static void die_setting(void)
{
    yoke_error_free(yoke_run(in_a_thread, (void *)set_event, NULL));
}

static void die_unparking(void)
{
    yoke_error_free(yoke_run(in_a_thread, (void *)unpark, NULL));
}

static void test_sync_23_without_an_error_to_return_it_dies(void **state)
{
    assert_death(die_setting, "yoke_event_set", "yoke_run");
    assert_death(die_unparking, "yoke_parking_unpark", "yoke_run");
}

/* ---- parking lots ---- */

static yoke_error *park_and_unpark(void *arg)
{
    const struct primitive *p = &primitives[5];
    YOKE_TRY(p->init());
    woken = 0;
    CHECK(yoke_parking_unpark(&parking, 1) == 0 && yoke_parking_unpark(&parking, YOKE_ALL) == 0);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 8; i++)
        YOKE_TRY(spawn_waiter(&n, p, i));
    CHECK(parking_waiting() == 8 && woken == 0);
    CHECK(yoke_parking_unpark(&parking, 0) == 0 && parking_waiting() == 8);
    for (int i = 0; i < 3; i++) {
        CHECK(yoke_parking_unpark(&parking, 1) == 1);
        settle();
        CHECK(woken == i + 1 && order[i] == i);
    }
    CHECK(yoke_parking_unpark(&parking, 2) == 2);
    settle();
    CHECK(woken == 5 && order[3] == 3 && order[4] == 4 && parking_waiting() == 3);
    uint64_t passes = scheduler_here->passes;
    CHECK(yoke_parking_unpark(&parking, YOKE_ALL) == 3 && parking_waiting() == 0);
    CHECK(scheduler_here->passes == passes && woken == 5);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(woken == 8 && order[5] == 5 && order[7] == 7);
    return NULL;
}

/* SYNC-08, SYNC-20 */
static void test_sync_08_parking_lot(void **state)
{
    run(park_and_unpark);
}

static yoke_error *repark(void *arg)
{
    const struct primitive *p = &primitives[5];
    YOKE_TRY(p->init());
    woken = cancelled = 0;
    yoke_parking to;
    yoke_parking_init(&to);
    CHECK(yoke_parking_repark(&parking, &to, YOKE_ALL) == 0);
    yoke_nursery n, doomed;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_open(&doomed));
    for (int i = 0; i < 4; i++)
        YOKE_TRY(spawn_waiter(i == 1 ? &doomed : &n, p, i));
    CHECK(yoke_parking_repark(&parking, &parking, YOKE_ALL) == 0 && parking_waiting() == 4);
    CHECK(yoke_parking_repark(&parking, &to, 1) == 1);
    settle();
    CHECK(parking_waiting() == 3 && waiting_in(&to) == 1 && woken == 0);
    CHECK(yoke_parking_repark(&parking, &to, YOKE_ALL) == 3);
    CHECK(parking_waiting() == 0 && waiting_in(&to) == 4);
    CHECK(yoke_parking_unpark(&parking, YOKE_ALL) == 0);
    yoke_nursery_cancel(&doomed, NULL);
    YOKE_TRY(yoke_nursery_close(&doomed, NULL));
    CHECK(waiting_in(&to) == 3 && cancelled == 1 && woken == 0);
    CHECK(yoke_parking_unpark(&to, YOKE_ALL) == 3);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(woken == 3 && order[0] == 0 && order[1] == 2 && order[2] == 3);
    return NULL;
}

static void test_sync_20_repark(void **state)
{
    run(repark);
}

/* ---- broken lots ---- */

static yoke_parking_breaker breakers[4];
static char texts[8][256];
static int broken;

static yoke_error *park_in_broken(void *arg)
{
    yoke_error *e = yoke_parking_park(&parking);
    CHECK(yoke_error_is(e, &YOKE_BROKEN_RESOURCE));
    snprintf(texts[broken++], sizeof texts[0], "%s", yoke_error_message(e));
    return drop(e);
}

static yoke_error *answer_for_it(void *arg)
{
    YOKE_TRY(yoke_parking_breaker_add(arg, &parking));
    return yoke_sleep_forever();
}

static yoke_error *spawn_named(yoke_nursery *n, const char *name, yoke_task_fn fn, void *arg)
{
    return yoke_spawn_with(n, fn, arg, &(yoke_spawn_options){.name = name});
}

static yoke_error *broken_by_an_end(void *arg)
{
    yoke_parking_init(&parking);
    broken = 0;
    yoke_nursery n, gone;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_open(&gone));
    YOKE_TRY(spawn_named(&gone, "answerer", answer_for_it, &breakers[0]));
    for (int i = 0; i < 2; i++)
        YOKE_TRY(yoke_spawn(&n, park_in_broken, NULL));
    settle();
    CHECK(parking_waiting() == 2 && broken == 0);
    yoke_nursery_cancel(&gone, NULL);
    YOKE_TRY(yoke_nursery_close(&gone, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(broken == 2 && strstr(texts[0], "`answerer`") && strstr(texts[1], "`answerer`"));
    CHECK(says(yoke_parking_park(&parking), &YOKE_BROKEN_RESOURCE, "`answerer`"));
    yoke_parking_statistics now;
    yoke_parking_get_statistics(&parking, &now);
    CHECK(now.broken && now.waiting == 0);
    return NULL;
}

static void test_sync_09_a_lot_broken_by_an_end(void **state)
{
    run(broken_by_an_end);
}

static yoke_error *repark_to_broken(void *arg)
{
    yoke_parking other;
    yoke_parking_init(&parking);
    yoke_parking_init(&other);
    broken = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, park_in_broken, NULL));
    settle();
    yoke_parking_break(&other);
    CHECK(yoke_parking_repark(&parking, &other, YOKE_ALL) == 1 && parking_waiting() == 0);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(broken == 1 && strstr(texts[0], "`main`"));
    return NULL;
}

static void test_sync_09_reparked_to_a_broken_lot(void **state)
{
    run(repark_to_broken);
}

static yoke_error *take_back(void *arg)
{
    CHECK(was_kind(yoke_parking_breaker_remove(arg), &YOKE_USAGE));
    return NULL;
}

static yoke_error *set_and_take_back(void *arg)
{
    for (int i = 0; i < 4; i++)
        YOKE_TRY(yoke_parking_breaker_add(&breakers[i], &parking));
    CHECK(was_kind(yoke_parking_breaker_add(&breakers[1], &parking), &YOKE_USAGE));
    static const int out_of_order[] = {2, 0, 3, 1};
    for (int i = 0; i < 4; i++)
        YOKE_TRY(yoke_parking_breaker_remove(&breakers[out_of_order[i]]));
    CHECK(was_kind(yoke_parking_breaker_remove(&breakers[0]), &YOKE_USAGE));
    return NULL;
}

static yoke_error *park_and_break(void *arg)
{
    YOKE_TRY(yoke_parking_breaker_add(arg, &parking));
    return park_in_broken(NULL);
}

static yoke_error *many_breakers(void *arg)
{
    yoke_parking_init(&parking);
    broken = 0;
    yoke_nursery n, gone;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, set_and_take_back, NULL));
    settle();
    YOKE_TRY(yoke_parking_breaker_add(&breakers[0], &parking));
    YOKE_TRY(yoke_spawn(&n, take_back, &breakers[0]));
    settle();
    YOKE_TRY(yoke_parking_breaker_remove(&breakers[0]));
    yoke_parking_statistics now;
    yoke_parking_get_statistics(&parking, &now);
    CHECK(!now.broken);

    /* One ends, and breaks it; another, that was parked in it, breaks it again by its own end. */
    YOKE_TRY(yoke_nursery_open(&gone));
    YOKE_TRY(spawn_named(&gone, "first", answer_for_it, &breakers[0]));
    YOKE_TRY(spawn_named(&n, "second", park_and_break, &breakers[1]));
    settle();
    yoke_nursery_cancel(&gone, NULL);
    YOKE_TRY(yoke_nursery_close(&gone, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(says(yoke_parking_park(&parking), &YOKE_BROKEN_RESOURCE, "`first`, `second`"));
    for (int i = 0; i < 100; i++)
        yoke_parking_break(&parking);
    yoke_error *e = yoke_parking_park(&parking);
    const char *text = yoke_error_message(e);
    CHECK(strstr(text, "`first`, `second`, `main`") && text[strlen(text) - 1] == '`');
    return drop(e);
}

static void test_sync_21_breakers(void **state)
{
    run(many_breakers);
}

/* ---- frames that are left ---- */

/* Not an array: an address on the stack itself under every sanitizer. */
static __attribute__((noinline)) yoke_error *hold_and_leave(void)
{
    yoke_lock *mine = __builtin_alloca(sizeof *mine);
    yoke_lock_init(mine);
    return yoke_lock_acquire(mine);
}

static yoke_error *leave_and_end(void *arg)
{
    return hold_and_leave();
}

/* The same memory, while the task still counts on the first. */
static yoke_error *hold_again(void *arg)
{
    yoke_lock_init(&lock);
    YOKE_TRY(yoke_lock_acquire(&lock));
    yoke_lock_init(&lock);
    YOKE_TRY(yoke_lock_acquire(&lock));
    dprintf(STDERR_FILENO, "not reached\n");
    _exit(1);
}

static yoke_lock second, third;

/* Its place in the middle of the list is not followed. */
static yoke_error *overwrite_and_release(void *arg)
{
    yoke_lock_init(&lock);
    yoke_lock_init(&second);
    yoke_lock_init(&third);
    YOKE_TRY(yoke_lock_acquire(&lock));
    YOKE_TRY(yoke_lock_acquire(&second));
    YOKE_TRY(yoke_lock_acquire(&third));
    memset(&second, 0xa5, sizeof second);
    YOKE_TRY(yoke_lock_release(&lock));
    dprintf(STDERR_FILENO, "not reached\n");
    _exit(1);
}

static void die_at_the_end(void)
{
    yoke_error_free(yoke_run(leave_and_end, NULL, NULL));
}

static void die_held_again(void)
{
    yoke_error_free(yoke_run(hold_again, NULL, NULL));
}

static void die_overwritten(void)
{
    yoke_error_free(yoke_run(overwrite_and_release, NULL, NULL));
}

static void test_sync_22_a_held_lock_whose_memory_is_gone(void **state)
{
    assert_death(die_at_the_end, "task `main`", "has left a frame with a lock in it that it holds");
    assert_death(die_held_again, "task `main`", "initialised again");
    assert_death(die_overwritten, "task `main`", "has left a frame with a lock in it that it holds");
}

HARNESS_MAIN(TEST(test_sync_10_cancelled_waiters_leave),
             TEST(test_sched_10_woken_is_never_reported_as_cancelled),
             TEST(test_sync_24_a_thousand_waiters_in_order), TEST(test_sync_25_in_a_cancelled_scope),
             TEST(test_sync_25_what_is_free_is_not_taken), TEST(test_sync_26_nothing_is_allocated),
             TEST(test_sync_23_other_threads_are_refused), TEST(test_what_was_never_initialised_is_refused),
             TEST(test_initialised_before_the_run), TEST(test_sync_23_without_an_error_to_return_it_dies),
             TEST(test_sync_08_parking_lot), TEST(test_sync_20_repark),
             TEST(test_sync_09_a_lot_broken_by_an_end), TEST(test_sync_09_reparked_to_a_broken_lot),
             TEST(test_sync_21_breakers), TEST(test_sync_22_a_held_lock_whose_memory_is_gone))
