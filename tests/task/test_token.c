/* Posts into a run: their order, merging, what they may do, and how they meet the run's end. */
#include "child.h"
#include "task/clock.h"
#include "task/task.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

enum { MANY = 1000 };

static intptr_t calls[2 * MANY];
static size_t call_count;

static yoke_error *note(void *arg)
{
    calls[call_count++ % (2 * MANY)] = (intptr_t)arg;
    return NULL;
}

static yoke_token *token;

/* ---- from threads and handlers ---- */

static yoke_task *waiter;
static pthread_t scheduler_thread;
static bool in_run, in_task;

static yoke_error *wake_waiter(void *arg)
{
    in_run = yoke_in_run() && pthread_equal(pthread_self(), scheduler_thread);
    in_task = yoke_in_task();
    yoke_reschedule(waiter, NULL);
    return NULL;
}

static void *post_from_thread(void *arg)
{
    usleep(20000);
    return yoke_token_post(arg, wake_waiter, NULL);
}

static void post_from_handler(int number)
{
    yoke_error_free(yoke_token_post(token, wake_waiter, NULL));
}

static yoke_error *woken_from_outside(void *arg)
{
    waiter = yoke_current_task();
    scheduler_thread = pthread_self();
    YOKE_TRY(yoke_token_get(&token));
    pthread_t thread;
    void *e = NULL;
    CHECK(pthread_create(&thread, NULL, post_from_thread, token) == 0);
    YOKE_TRY(yoke_park(NULL, NULL));
    pthread_join(thread, &e);
    YOKE_TRY((yoke_error *)e);
    CHECK(in_run && !in_task);

    struct sigaction before, now = {.sa_handler = post_from_handler};
    sigaction(SIGALRM, &now, &before);
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    YOKE_TRY(yoke_park(NULL, NULL));
    sigaction(SIGALRM, &before, NULL);
    yoke_token_free(token);
    return NULL;
}

static void test_sched_15_threads_and_handlers_wake_the_scheduler(void **state)
{
    assert_success(yoke_run(woken_from_outside, NULL, NULL));
}

static yoke_error *never_inside_the_call(void *arg)
{
    YOKE_TRY(yoke_token_get(&token));
    call_count = 0;
    YOKE_TRY(yoke_token_post(token, note, NULL));
    CHECK(call_count == 0);
    YOKE_TRY(yoke_checkpoint());
    CHECK(call_count == 1);
    yoke_token_free(token);
    return NULL;
}

static void test_sched_15_never_inside_the_call(void **state)
{
    assert_success(yoke_run(never_inside_the_call, NULL, NULL));
}

/* ---- order and merging ---- */

static yoke_error *hundred_in_order(void *arg)
{
    YOKE_TRY(yoke_token_get(&token));
    call_count = 0;
    for (intptr_t i = 0; i < 100; i++)
        YOKE_TRY(yoke_token_post(token, note, (void *)i));
    YOKE_TRY(yoke_checkpoint());
    CHECK(call_count == 100);
    for (intptr_t i = 0; i < 100; i++)
        CHECK(calls[i] == i);

    call_count = 0;
    YOKE_TRY(yoke_token_post(token, note, (void *)1));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_token_post_once(token, note, (void *)1));
    for (int i = 0; i < 2; i++)
        YOKE_TRY(yoke_token_post_once(token, note, (void *)2));
    YOKE_TRY(yoke_checkpoint());
    CHECK(call_count == 3 && calls[0] == 1 && calls[1] == 1 && calls[2] == 2);

    call_count = 0;
    for (int round = 0; round < 3; round++)
        for (intptr_t i = 0; i < 100; i++)
            YOKE_TRY(yoke_token_post_once(token, note, (void *)i));
    YOKE_TRY(yoke_checkpoint());
    CHECK(call_count == 100);
    for (intptr_t i = 0; i < 100; i++)
        CHECK(calls[i] == i);
    yoke_token_free(token);
    return NULL;
}

static void test_sched_23_posts_keep_their_order(void **state)
{
    assert_success(yoke_run(hundred_in_order, NULL, NULL));
}

static int rounds;

static yoke_error *post_again_once(void *arg)
{
    rounds++;
    return rounds < 3 ? yoke_token_post_once(token, post_again_once, NULL) : NULL;
}

static yoke_error *post_the_later_one(void *arg)
{
    return yoke_token_post_once(token, note, NULL); /* one that is pending behind this one */
}

static yoke_error *merging_ends_at_the_call(void *arg)
{
    YOKE_TRY(yoke_token_get(&token));
    rounds = 0;
    YOKE_TRY(yoke_token_post_once(token, post_again_once, NULL));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_checkpoint());
    CHECK(rounds == 3);
    call_count = 0;
    YOKE_TRY(yoke_token_post(token, post_the_later_one, NULL));
    YOKE_TRY(yoke_token_post_once(token, note, NULL));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_checkpoint());
    CHECK(call_count == 1);
    yoke_token_free(token);
    return NULL;
}

static void test_sched_24_a_started_post_can_be_posted_again(void **state)
{
    assert_success(yoke_run(merging_ends_at_the_call, NULL, NULL));
}

/* ---- for ever ---- */

static int refused;

static yoke_error *post_for_ever(void *arg)
{
    rounds++;
    yoke_error *e = yoke_token_post(token, post_for_ever, NULL);
    if (was_kind(e, &YOKE_RUN_FINISHED))
        refused++;
    return NULL;
}

static yoke_error *twenty_checkpoints(void *arg)
{
    YOKE_TRY(yoke_token_get(&token));
    rounds = refused = 0;
    YOKE_TRY(yoke_token_post(token, post_for_ever, NULL));
    for (int i = 0; i < 20; i++) {
        int before = rounds;
        YOKE_TRY(yoke_checkpoint());
        CHECK(rounds == before + 1);
    }
    return NULL;
}

static void test_sched_25_posts_starve_nobody(void **state)
{
    assert_success(yoke_run(twenty_checkpoints, NULL, NULL));
    assert_int_equal(refused, 1);
    yoke_token_free(token);
}

/* ---- the end ---- */

static yoke_error *post_and_fail(void *arg)
{
    YOKE_TRY(yoke_token_get(&token));
    call_count = 0;
    YOKE_TRY(yoke_token_post(token, note, NULL));
    return yoke_raise(&YOKE_NOT_FOUND, "mine");
}

static void test_sched_26_accepted_is_run_when_main_has_failed(void **state)
{
    assert_error(yoke_run(post_and_fail, NULL, NULL), &YOKE_NOT_FOUND);
    assert_int_equal(call_count, 1);
    assert_error(yoke_token_post(token, note, NULL), &YOKE_RUN_FINISHED);
    assert_error(yoke_token_post_once(token, note, NULL), &YOKE_RUN_FINISHED);
    assert_int_equal(call_count, 1);
    yoke_token_free(token);
}

static atomic_size_t accepted, executed;
static atomic_int posters_ready;

static yoke_error *count_executed(void *arg)
{
    atomic_fetch_add(&executed, 1);
    return NULL;
}

/* Each holds the token of the moment, and posts till it is refused. */
static void *post_till_the_end(void *arg)
{
    yoke_token *t = arg;
    atomic_fetch_add(&posters_ready, 1);
    for (;;) {
        yoke_error *e = yoke_token_post(t, count_executed, NULL);
        if (e) {
            yoke_error_free(e);
            break;
        }
        atomic_fetch_add(&accepted, 1);
        usleep(1);
    }
    yoke_token_free(t);
    return NULL;
}

enum { POSTERS = 8 };
static pthread_t posters[POSTERS];

static yoke_error *end_under_posts(void *arg)
{
    for (int i = 0; i < POSTERS; i++) {
        YOKE_TRY(yoke_token_get(&token));
        CHECK(pthread_create(&posters[i], NULL, post_till_the_end, token) == 0);
    }
    while (atomic_load(&posters_ready) < POSTERS)
        YOKE_TRY(yoke_checkpoint());
    return NULL;
}

static void test_sched_26_accepted_equals_executed(void **state)
{
    int times = RUNNING_ON_VALGRIND ? 20 : 1000;
    for (int i = 0; i < times; i++) {
        atomic_store(&accepted, 0);
        atomic_store(&executed, 0);
        atomic_store(&posters_ready, 0);
        assert_success(yoke_run(end_under_posts, NULL, NULL));
        size_t run = atomic_load(&executed);
        for (int p = 0; p < POSTERS; p++)
            pthread_join(posters[p], NULL);
        assert_int_equal(run, atomic_load(&accepted));
        assert_int_equal(run, atomic_load(&executed));
    }
}

/* ---- load ---- */

static yoke_error *burst(void *arg)
{
    YOKE_TRY(yoke_token_get(&token));
    /* The wake-up descriptor is full already. */
    uint64_t full = UINT64_MAX - 1;
    CHECK(write(scheduler_here->poller.wake_fd, &full, sizeof full) == sizeof full);
    call_count = 0;
    for (intptr_t i = 0; i < MANY; i++)
        YOKE_TRY(yoke_token_post(token, note, (void *)i));
    YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(call_count == MANY);
    for (intptr_t i = 0; i < MANY; i++)
        CHECK(calls[i] == i);
    yoke_token_free(token);
    return NULL;
}

static void test_sched_27_a_burst_keeps_its_order(void **state)
{
    assert_success(yoke_run(burst, NULL, NULL));
}

static void *post_without_pause(void *arg)
{
    int64_t end = clock_real() + YOKE_MS(100);
    yoke_error *e = NULL;
    while (!e && clock_real() < end)
        e = yoke_token_post(arg, count_executed, NULL);
    yoke_error_free(e);
    return NULL;
}

static yoke_error *sleep_under_posts(void *arg)
{
    YOKE_TRY(yoke_token_get(&token));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, post_without_pause, token) == 0);
    int64_t begun = clock_real();
    for (int i = 0; i < 5; i++)
        YOKE_TRY(yoke_sleep(YOKE_MS(10)));
    int64_t took = clock_real() - begun;
    pthread_join(thread, NULL);
    yoke_token_free(token);
    CHECK(took < YOKE_S(5));
    return NULL;
}

static void test_sched_27_a_flood_keeps_no_sleep_from_ending(void **state)
{
    assert_success(yoke_run(sleep_under_posts, NULL, NULL));
}

/* ---- failures ---- */

static yoke_error *fail_in_post(void *arg)
{
    return yoke_raise(&YOKE_NOT_FOUND, "in a post");
}

static yoke_error *a_post_fails(void *arg)
{
    YOKE_TRY(yoke_token_get(&token));
    call_count = 0;
    YOKE_TRY(yoke_token_post(token, fail_in_post, NULL));
    YOKE_TRY(yoke_token_post(token, note, NULL));
    yoke_token_free(token);
    if (arg)
        return NULL; /* it happens while the run is ending */
    yoke_error *e = yoke_sleep_forever();
    CHECK(yoke_error_is_cancelled(e));
    return e;
}

static void test_sched_28_a_posted_function_fails(void **state)
{
    for (int ending = 0; ending < 2; ending++) {
        yoke_error *e = yoke_run(a_post_fails, ending ? &ending : NULL, NULL);
        assert_true(yoke_error_is(e, &YOKE_INTERNAL));
        assert_non_null(yoke_error_find(e, &YOKE_NOT_FOUND));
        assert_int_equal(call_count, 1);
        yoke_error_free(e);
    }
}

/* ---- the token itself ---- */

static yoke_error *same_token(void *arg)
{
    yoke_token *again;
    YOKE_TRY(yoke_token_get(&token));
    YOKE_TRY(yoke_token_get(&again));
    CHECK(token == again && token != *(yoke_token **)arg);
    yoke_token_free(again);
    return NULL;
}

static void *refused_in_thread(void *arg)
{
    return yoke_token_post(arg, note, NULL);
}

static void test_sched_29_one_token_a_run(void **state)
{
    yoke_token *first = NULL, *none;
    assert_error(yoke_token_get(&none), &YOKE_USAGE);
    assert_success(yoke_run(same_token, &first, NULL));
    first = token;
    assert_success(yoke_run(same_token, &first, NULL));
    pthread_t thread;
    void *e;
    pthread_create(&thread, NULL, refused_in_thread, first);
    pthread_join(thread, &e);
    assert_error(e, &YOKE_RUN_FINISHED);
    yoke_token_free(first);
    yoke_token_free(token);
    yoke_token_free(NULL);
}

HARNESS_MAIN(TEST(test_sched_15_threads_and_handlers_wake_the_scheduler),
             TEST(test_sched_15_never_inside_the_call), TEST(test_sched_23_posts_keep_their_order),
             TEST(test_sched_24_a_started_post_can_be_posted_again), TEST(test_sched_25_posts_starve_nobody),
             TEST(test_sched_26_accepted_is_run_when_main_has_failed),
             TEST(test_sched_26_accepted_equals_executed), TEST(test_sched_27_a_burst_keeps_its_order),
             TEST(test_sched_27_a_flood_keeps_no_sleep_from_ending),
             TEST(test_sched_28_a_posted_function_fails), TEST(test_sched_29_one_token_a_run))
