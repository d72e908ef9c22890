/* What happens when nobody can run: who waits for quiet, and deadlocks. */
#include "task/clock.h"

#include "child.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

/* ---- all tasks blocked ---- */

static yoke_error *yield_ten(void *arg)
{
    int *turns = arg;
    while (*turns < 10) {
        YOKE_TRY(yoke_checkpoint());
        ++*turns;
    }
    return NULL;
}

static yoke_error *sleep_long(void *arg)
{
    return yoke_sleep(YOKE_S(1000));
}

static yoke_error *wait_silent(void *arg)
{
    return yoke_wait_readable(*(int *)arg);
}

static yoke_error *blocked_and_not(void *arg)
{
    int fds[2], turns = 0;
    CHECK(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, sleep_long, NULL));
    YOKE_TRY(yoke_spawn(&n, wait_silent, &fds[0]));
    YOKE_TRY(yoke_spawn(&n, yield_ten, &turns));
    YOKE_TRY(yoke_wait_all_tasks_blocked(0));
    CHECK(turns == 10);
    YOKE_TRY(yoke_wait_all_tasks_blocked(0));
    int64_t begun = clock_real();
    YOKE_TRY(yoke_wait_all_tasks_blocked(YOKE_MS(20)));
    CHECK(clock_real() - begun >= YOKE_MS(20));
    CHECK(was_kind(yoke_wait_all_tasks_blocked(-1), &YOKE_USAGE));
    yoke_nursery_cancel(&n, NULL);
    yoke_error *e = yoke_nursery_close(&n, NULL);
    yoke_close(fds[0]);
    close(fds[1]);
    return e;
}

static void test_clock_07_waits_till_the_others_are_blocked(void **state)
{
    assert_success(yoke_run(blocked_and_not, NULL, NULL));
}

static yoke_error *cancelled_while_waiting(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(5)));
    yoke_error *e = yoke_wait_all_tasks_blocked(YOKE_S(100));
    CHECK(yoke_error_is_cancelled(e));
    YOKE_TRY(yoke_scope_close(&s, e));
    CHECK(list_empty(&scheduler_here->idlers));
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    e = yoke_wait_all_tasks_blocked(0);
    CHECK(yoke_error_is_cancelled(e));
    return yoke_scope_close(&s, e);
}

static void test_clock_07_cancelled(void **state)
{
    assert_success(yoke_run(cancelled_while_waiting, NULL, NULL));
}

static char order[32];

static yoke_error *wait_for_quiet(void *arg)
{
    int ms = *(int *)arg;
    YOKE_TRY(yoke_wait_all_tasks_blocked(YOKE_MS(ms)));
    strcat(order, ms == 0 ? "0" : ms == 200 ? "2" : "3");
    return NULL;
}

static yoke_error *three_sleeps(void *arg)
{
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_sleep(YOKE_MS(50)));
    strcat(order, "s");
    return NULL;
}

/* Ten times slower than needs be, and so ten times surer on a busy machine. */
static yoke_error *several_cushions(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    static const int cushions[] = {300, 200, 0, 200};
    YOKE_TRY(yoke_spawn(&n, three_sleeps, NULL));
    for (int i = 0; i < 4; i++)
        YOKE_TRY(yoke_spawn_value(&n, wait_for_quiet, &cushions[i], sizeof cushions[i]));
    return yoke_nursery_close(&n, NULL);
}

static void test_clock_15_cushions(void **state)
{
    order[0] = '\0';
    assert_success(yoke_run(several_cushions, NULL, NULL));
    assert_string_equal(order, "0s223");
}

/* Wakes the kernel's wait again and again without making a task ready. */
static atomic_bool stop_waking;

static void *wake_in_vain(void *arg)
{
    while (!atomic_load(&stop_waking)) {
        poller_wake(arg);
        usleep(1000);
    }
    return NULL;
}

static yoke_error *woken_in_vain(void *arg)
{
    pthread_t thread;
    atomic_store(&stop_waking, false);
    CHECK(pthread_create(&thread, NULL, wake_in_vain, &scheduler_here->poller) == 0);
    int64_t begun = clock_real();
    yoke_error *e = yoke_wait_all_tasks_blocked(YOKE_MS(50));
    int64_t took = clock_real() - begun;
    atomic_store(&stop_waking, true);
    pthread_join(thread, NULL);
    CHECK(took >= YOKE_MS(50) && took < YOKE_S(5));
    return e;
}

static void test_clock_15_an_early_wake_up_is_not_quiet(void **state)
{
    assert_success(yoke_run(woken_in_vain, NULL, NULL));
}

/* ---- deadlock ---- */

static yoke_event never_set;

static yoke_error *wait_for_event(void *arg)
{
    return yoke_event_wait(&never_set);
}

static yoke_error *two_wait(void *arg)
{
    yoke_event_init(&never_set);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, wait_for_event, NULL));
    YOKE_TRY(yoke_spawn_with(&n, wait_for_event, NULL, &(yoke_spawn_options){.name = "the other"}));
    return yoke_nursery_close(&n, NULL);
}

static void test_sched_14_deadlock_is_told_with_the_tree(void **state)
{
    yoke_error *e = yoke_run(two_wait, NULL, NULL);
    char *text = yoke_error_text(e);
    static const char *const says[] = {"task `main` waits", "task `wait_for_event` waits, spawned at",
                                       "task `the other` waits", "nursery opened at", "test_idle.c:"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        assert_non_null(strstr(text, says[i]));
    free(text);
    assert_error_text(e, &YOKE_DEADLOCK, "all tasks wait");
}

static yoke_error *agree_not(void *arg)
{
    return drop(yoke_event_wait(&never_set)); /* eats its Cancelled: the end comes all the same */
}

static yoke_error *fails_when_cancelled(void *arg)
{
    yoke_event_init(&never_set);
    YOKE_TRY(agree_not(NULL));
    return yoke_raise(&YOKE_NOT_FOUND, "mine");
}

static void test_sched_14_errors_of_the_end_are_kept(void **state)
{
    yoke_error *e = yoke_run(fails_when_cancelled, NULL, NULL);
    assert_non_null(yoke_error_find(e, &YOKE_DEADLOCK));
    assert_non_null(yoke_error_find(e, &YOKE_NOT_FOUND));
    yoke_error_free(e);
}

static yoke_error *wait_shielded(void *arg)
{
    yoke_event_init(&never_set);
    yoke_scope s;
    YOKE_TRY(yoke_scope_open_with(&s, &(yoke_scope_options){.shield = true}));
    return yoke_scope_close(&s, yoke_event_wait(&never_set));
}

static void die_shielded(void)
{
    yoke_error_free(yoke_run(wait_shielded, NULL, NULL));
}

static void test_sched_14_a_shielded_deadlock_dies_with_the_tree(void **state)
{
    assert_death(die_shielded, "deadlock", "task `main` waits");
}

/* It hangs, as asked: only the alarm ends it. */
static void hang_as_asked(void)
{
    signal(SIGALRM, SIG_DFL);
    struct itimerval soon = {.it_value = {.tv_usec = 200000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    yoke_error_free(yoke_run(two_wait, NULL, &(yoke_run_options){.may_deadlock = true}));
}

static void test_sched_14_can_be_turned_off(void **state)
{
    static struct child_end end;
    run_child(&end, hang_as_asked);
    assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGALRM);
}

/* What may still wake somebody. */
static yoke_error *set_it(void *arg)
{
    yoke_event_set(&never_set);
    return NULL;
}

static void *post_later(void *arg)
{
    usleep(100000);
    yoke_error_free(yoke_token_post(arg, set_it, NULL));
    yoke_token_free(arg);
    return NULL;
}

static yoke_error *a_token_is_out(void *arg)
{
    yoke_event_init(&never_set);
    yoke_token *token;
    pthread_t thread;
    YOKE_TRY(yoke_token_get(&token));
    CHECK(pthread_create(&thread, NULL, post_later, token) == 0);
    yoke_error *e = yoke_event_wait(&never_set);
    pthread_join(thread, NULL);
    return e;
}

static void interrupt_later(void)
{
    struct itimerval soon = {.it_value = {.tv_usec = 100000}};
    setitimer(ITIMER_REAL, &soon, NULL);
}

static void on_alarm(int number)
{
    kill(getpid(), SIGINT);
}

static yoke_error *sleep_till_interrupted(void *arg)
{
    struct sigaction before, now = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &now, &before);
    interrupt_later();
    yoke_error *e = yoke_sleep_forever();
    sigaction(SIGALRM, &before, NULL);
    return e;
}

static void test_sched_14_what_can_still_wake_somebody_is_no_deadlock(void **state)
{
    assert_success(yoke_run(a_token_is_out, NULL, NULL));
    assert_error(yoke_run(sleep_till_interrupted, NULL, NULL), &YOKE_INTERRUPTED);
}

static yoke_error *sleep_for_ever(void *arg)
{
    return yoke_sleep_forever();
}

static void test_sched_14_for_ever_without_ctrl_c_is_one(void **state)
{
    assert_error(yoke_run(sleep_for_ever, NULL, &(yoke_run_options){.ignore_interrupt = true}),
                 &YOKE_DEADLOCK);
}

HARNESS_MAIN(TEST(test_clock_07_waits_till_the_others_are_blocked), TEST(test_clock_07_cancelled),
             TEST(test_clock_15_cushions), TEST(test_clock_15_an_early_wake_up_is_not_quiet),
             TEST(test_sched_14_deadlock_is_told_with_the_tree),
             TEST(test_sched_14_errors_of_the_end_are_kept),
             TEST(test_sched_14_a_shielded_deadlock_dies_with_the_tree),
             TEST(test_sched_14_can_be_turned_off),
             TEST(test_sched_14_what_can_still_wake_somebody_is_no_deadlock),
             TEST(test_sched_14_for_ever_without_ctrl_c_is_one))
