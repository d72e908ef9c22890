/* Events. */
#include "child.h"
#include "task/task.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

struct waiting {
    yoke_event event;
    int woken, cancelled, order[8];
};

struct who {
    struct waiting *w;
    int number;
};

static yoke_error *wait_for_it(void *arg)
{
    struct who *who = arg;
    yoke_error *e = yoke_event_wait(&who->w->event);
    if (yoke_error_is_cancelled(e))
        who->w->cancelled++;
    else
        who->w->order[who->w->woken++] = who->number;
    return e;
}

static yoke_error *spawn_waiters(yoke_nursery *n, struct waiting *w, int count)
{
    for (int i = 0; i < count; i++) {
        struct who who = {w, i};
        YOKE_TRY(yoke_spawn_value(n, wait_for_it, &who, sizeof who));
    }
    settle();
    return NULL;
}

static yoke_error *wakes_all(void *arg)
{
    struct waiting w = {0};
    yoke_event_init(&w.event);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(spawn_waiters(&n, &w, 5));
    CHECK(w.woken == 0 && !yoke_event_is_set(&w.event));
    uint64_t passes = scheduler_here->passes;
    yoke_event_set(&w.event);
    yoke_event_set(&w.event);
    CHECK(scheduler_here->passes == passes && yoke_event_is_set(&w.event) && w.woken == 0);
    YOKE_TRY(yoke_checkpoint());
    CHECK(w.woken == 5);
    for (int i = 0; i < 5; i++)
        CHECK(w.order[i] == i);
    YOKE_TRY(yoke_event_wait(&w.event));
    CHECK(yoke_event_get_waiting(&w.event) == 0);
    return yoke_nursery_close(&n, NULL);
}

static void test_sync_01_event(void **state)
{
    assert_success(yoke_run(wakes_all, NULL, NULL));
}

static yoke_error *cancelled_waiters(void *arg)
{
    struct waiting w = {0};
    yoke_event_init(&w.event);
    yoke_nursery kept, gone;
    YOKE_TRY(yoke_nursery_open(&kept));
    YOKE_TRY(yoke_nursery_open(&gone));
    YOKE_TRY(spawn_waiters(&gone, &w, 2));
    YOKE_TRY(spawn_waiters(&kept, &w, 2));
    yoke_nursery_cancel(&gone, NULL);
    YOKE_TRY(yoke_nursery_close(&gone, NULL));
    CHECK(w.cancelled == 2 && w.woken == 0);
    yoke_event_set(&w.event);
    YOKE_TRY(yoke_nursery_close(&kept, NULL));
    CHECK(w.woken == 2 && yoke_event_get_waiting(&w.event) == 0);
    return NULL;
}

static void test_sync_10_cancelled_waiters_leave_the_event(void **state)
{
    assert_success(yoke_run(cancelled_waiters, NULL, NULL));
}

/* Set and cancelled in the same pass: who was woken first by the one is not reached by the other. */
static yoke_error *set_and_cancelled(void *arg)
{
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        struct waiting w = {0};
        yoke_event_init(&w.event);
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(spawn_waiters(&n, &w, 1));
        if (cancel_first)
            yoke_nursery_cancel(&n, NULL);
        yoke_event_set(&w.event);
        if (!cancel_first)
            yoke_nursery_cancel(&n, NULL);
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        CHECK(w.woken == !cancel_first && w.cancelled == cancel_first);
    }
    return NULL;
}

static void test_sched_10_set_is_never_reported_as_cancelled(void **state)
{
    assert_success(yoke_run(set_and_cancelled, NULL, NULL));
}

HARNESS_MAIN(TEST(test_sync_01_event), TEST(test_sync_10_cancelled_waiters_leave_the_event),
             TEST(test_sched_10_set_is_never_reported_as_cancelled))
