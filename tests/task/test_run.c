/* Runs: options, the order of the end, who is in one. */
#include "child.h"
#include "task/task.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static yoke_error *nothing(void *arg)
{
    return NULL;
}

static void test_sched_34_bad_options(void **state)
{
    static const struct {
        yoke_run_options options;
        const char *field;
    } table[] = {
        {{.stack_bytes = 1}, "stack_bytes"},
        {{.stack_bytes = (size_t)2 << 30}, "stack_bytes"},
        {{.main_stack_bytes = 100}, "main_stack_bytes"},
        {{.main_stack_bytes = SIZE_MAX}, "main_stack_bytes"},
        {{.budget = (unsigned)-1}, "budget"},
        {{.long_step = -1}, "long_step"},
    };
    size_t live = memory_live();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_error_text(yoke_run(nothing, NULL, &table[i].options), &YOKE_USAGE, table[i].field);
        assert_int_equal(memory_live(), live);
    }
}

/* ---- am I in a run, in a task ---- */

static bool aborted_in_run, aborted_in_task;
static yoke_task *current_in_abort;

static enum yoke_abort look_around(yoke_task *task, void *arg)
{
    aborted_in_run = yoke_in_run();
    aborted_in_task = yoke_in_task();
    current_in_abort = yoke_current_task();
    return YOKE_ABORT_DONE;
}

static yoke_error *park_looking(void *arg)
{
    return yoke_park(look_around, NULL);
}

static void *in_thread(void *arg)
{
    *(bool *)arg = yoke_in_run() || yoke_in_task();
    return NULL;
}

static yoke_error *look_in_task(void *arg)
{
    CHECK(yoke_in_run() && yoke_in_task());
    bool in_worker = true;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, in_thread, &in_worker) == 0);
    pthread_join(thread, NULL);
    CHECK(!in_worker);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, park_looking, NULL));
    settle();
    yoke_nursery_cancel(&n, NULL);
    CHECK(aborted_in_run && aborted_in_task && !current_in_abort);
    CHECK(yoke_in_task());
    return yoke_nursery_close(&n, NULL);
}

static void test_sched_30_in_a_run_in_a_task(void **state)
{
    assert_false(yoke_in_run() || yoke_in_task());
    assert_success(yoke_run(look_in_task, NULL, NULL));
    assert_false(yoke_in_run() || yoke_in_task());
}

/* ---- the order of the end ---- */

static char order[64];
static yoke_token *token;

static yoke_error *post_at_the_end(void *arg)
{
    strcat(order, "post ");
    return NULL;
}

static yoke_error *late_child(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    strcat(order, "late ");
    return e;
}

static yoke_error *system_task(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    strcat(order, "system ");
    /* What it starts in the meantime is joined too. */
    e = yoke_error_join(e, yoke_spawn_system(late_child, NULL));
    return yoke_error_join(e, yoke_token_post(token, post_at_the_end, NULL));
}

static yoke_error *main_with_system(void *arg)
{
    YOKE_TRY(yoke_token_get(&token));
    YOKE_TRY(yoke_spawn_system(system_task, NULL));
    settle();
    strcat(order, "main ");
    return yoke_raise(&YOKE_NOT_FOUND, "the main task's");
}

static void test_sched_33_order_of_the_end(void **state)
{
    order[0] = '\0';
    yoke_error *e = yoke_run(main_with_system, NULL, &(yoke_run_options){.seed = YOKE_IN_ORDER});
    assert_error_text(e, &YOKE_NOT_FOUND, "the main task's");
    assert_memory_equal(order, "main system ", 12);
    assert_non_null(strstr(order, "late "));
    assert_non_null(strstr(order, "post "));
    assert_error(yoke_token_post(token, post_at_the_end, NULL), &YOKE_RUN_FINISHED);
    yoke_token_free(token);
}

/* ---- the wake-up descriptor is lost ---- */

static yoke_error *lose_the_wake_up(void *arg)
{
    struct rusage before, after;
    int fd = scheduler_here->poller.wake_fd;
    close(fd);
    getrusage(RUSAGE_THREAD, &before);
    YOKE_TRY(yoke_sleep(YOKE_MS(200)));
    getrusage(RUSAGE_THREAD, &after);
    int64_t us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
                 before.ru_utime.tv_usec + (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
                 after.ru_stime.tv_usec - before.ru_stime.tv_usec;
    CHECK(us < 50000 || RUNNING_ON_VALGRIND);
    scheduler_here->poller.wake_fd = -1;
    return NULL;
}

static void test_sched_32_a_lost_wake_up_descriptor_does_not_spin(void **state)
{
    assert_success(yoke_run(lose_the_wake_up, NULL, NULL));
}

/* ---- runs that begin and end at random moments, in threads ---- */

static yoke_error *yields_and_sleeps(void *arg)
{
    unsigned *state = arg;
    for (int i = rand_r(state) % 20; i > 0; i--)
        YOKE_TRY(rand_r(state) % 4 ? yoke_checkpoint() : yoke_sleep(YOKE_US(50)));
    return NULL;
}

static yoke_error *some_tasks(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 5 && !e; i++)
        e = yoke_spawn(&n, yields_and_sleeps, arg);
    if (!e && rand_r(arg) % 3 == 0)
        yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, e);
}

static void *random_runs(void *arg)
{
    unsigned state = (unsigned)(uintptr_t)arg;
    yoke_error *e = NULL;
    for (int i = 0; i < 50 && !e; i++)
        e = yoke_run(some_tasks, &state, &(yoke_run_options){.seed = state});
    return e;
}

static void test_sched_20_runs_in_threads_at_random_moments(void **state)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, random_runs, (void *)(i + 1)), 0);
    for (int i = 0; i < 4; i++) {
        void *e;
        pthread_join(threads[i], &e);
        assert_success(e);
    }
}

HARNESS_MAIN(TEST(test_sched_34_bad_options), TEST(test_sched_30_in_a_run_in_a_task),
             TEST(test_sched_33_order_of_the_end),
             TEST(test_sched_32_a_lost_wake_up_descriptor_does_not_spin),
             TEST(test_sched_20_runs_in_threads_at_random_moments))
