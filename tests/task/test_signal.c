/* Ctrl-c and signals: wherever the main task is, once, and nothing is left changed. */
#include "task/signal.h"

#include "child.h"
#include "task/sanitizer.h"
#include "task/task.h"

#include <pthread.h>
#include <signal.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static yoke_error *raise_soon(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    raise(SIGINT);
    return NULL;
}

static int cancelled;

static yoke_error *wait_forever(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    cancelled += yoke_error_is_cancelled(e);
    return e;
}

/* ---- where main is ---- */

static yoke_error *parked(void *arg)
{
    YOKE_TRY(yoke_spawn_system(raise_soon, NULL));
    return yoke_sleep_forever();
}

static yoke_error *ready(void *arg)
{
    raise(SIGINT);
    return yoke_checkpoint();
}

static enum yoke_abort refuse(yoke_task *task, void *arg)
{
    return YOKE_ABORT_REFUSED;
}

static yoke_error *wake_later(void *arg)
{
    raise(SIGINT);
    for (int i = 0; i < 5; i++)
        YOKE_TRY(yoke_checkpoint());
    yoke_reschedule(arg, NULL);
    return NULL;
}

static yoke_error *in_an_abort_that_refuses(void *arg)
{
    YOKE_TRY(yoke_spawn_system(wake_later, yoke_current_task()));
    YOKE_TRY(yoke_park(refuse, NULL));
    return yoke_checkpoint();
}

static yoke_error *ending(void *arg)
{
    raise(SIGINT);
    return NULL;
}

static yoke_error *ended_with_an_error(void *arg)
{
    raise(SIGINT);
    return yoke_raise(&APP_K, "K");
}

static yoke_error *in_a_cancelled_scope(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    raise(SIGINT);
    YOKE_TRY(yoke_cancel_shielded_checkpoint());
    return yoke_scope_close(&s, yoke_checkpoint());
}

static yoke_error *under_nurseries(void *arg)
{
    yoke_nursery outer, inner;
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_spawn(&outer, wait_forever, NULL));
    YOKE_TRY(yoke_nursery_open(&inner));
    YOKE_TRY(yoke_spawn(&inner, wait_forever, NULL));
    YOKE_TRY(yoke_spawn(&inner, raise_soon, NULL));
    return yoke_nursery_close_flat(&outer, yoke_nursery_close_flat(&inner, NULL));
}

static yoke_error *in_a_shield(void *arg)
{
    yoke_scope s;
    yoke_scope_options shield = {.shield = true};
    YOKE_TRY(yoke_spawn_system(raise_soon, NULL));
    YOKE_TRY(yoke_scope_open_with(&s, &shield));
    return yoke_scope_close(&s, yoke_sleep_forever());
}

static void expect_interrupted(yoke_task_fn fn, bool with_k)
{
    struct sigaction before, after;
    sigaction(SIGINT, NULL, &before);
    yoke_error *e = yoke_run(fn, NULL, NULL);
    sigaction(SIGINT, NULL, &after);
    assert_ptr_equal(before.sa_handler, after.sa_handler);
    assert_int_equal(yoke_error_is(yoke_error_cause(e), &APP_K), with_k);
    assert_error(e, &YOKE_INTERRUPTED);
}

static void test_sig_02_ctrl_c_ends_main(void **state)
{
    expect_interrupted(parked, false);
}

static void test_sig_12_wherever_main_is(void **state)
{
    expect_interrupted(parked, false);
    expect_interrupted(ready, false);
    expect_interrupted(in_an_abort_that_refuses, false);
    expect_interrupted(ending, false);
    expect_interrupted(ended_with_an_error, true);
    expect_interrupted(in_a_cancelled_scope, false);
    cancelled = 0;
    expect_interrupted(under_nurseries, false);
    assert_int_equal(cancelled, 2);
    expect_interrupted(in_a_shield, false);
}

static yoke_error *once_for_each(void *arg)
{
    for (int i = 0; i < 3; i++) {
        raise(SIGINT);
        YOKE_TRY(yoke_cancel_shielded_checkpoint());
        CHECK(was_kind(yoke_sleep_forever(), &YOKE_INTERRUPTED));
        YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}

static void test_ctrl_c_is_told_once_for_each(void **state)
{
    assert_success(yoke_run(once_for_each, NULL, NULL));
}

/* ---- from outside, by kill ---- */

static yoke_error *say_and_wait(void *arg)
{
    dprintf(STDERR_FILENO, "up\n");
    return yoke_sleep_forever();
}

static void test_sig_02_killed_from_outside(void **state)
{
    int fds[2];
    char byte;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        yoke_error *e = yoke_run(say_and_wait, NULL, NULL);
        _exit(was_kind(e, &YOKE_INTERRUPTED) ? 130 : 1);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    usleep(20000); /* into the wait for descriptors */
    kill(pid, SIGINT);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(fds[0]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
}

/* ---- neighbours ---- */

static int handled;

static void handle(int number)
{
    handled++;
}

static yoke_error *raise_and_look(void *arg)
{
    raise(SIGINT);
    return yoke_checkpoint();
}

static yoke_error *set_own_handler(void *arg)
{
    signal(SIGINT, handle);
    return NULL;
}

static void test_sig_14_good_neighbour(void **state)
{
    void (*before)(int) = signal(SIGINT, handle);
    handled = 0;
    assert_success(yoke_run(raise_and_look, NULL, NULL));
    assert_int_equal(handled, 1);
    assert_ptr_equal(signal(SIGINT, SIG_DFL), handle);
    /* Set inside the run: it stays. */
    assert_success(yoke_run(set_own_handler, NULL, NULL));
    assert_ptr_equal(signal(SIGINT, SIG_IGN), handle);
    /* Ignored, as in a shell's background job. */
    assert_success(yoke_run(raise_and_look, NULL, NULL));
    assert_ptr_equal(signal(SIGINT, SIG_DFL), SIG_IGN);
    handled = 0;
    signal(SIGINT, handle);
    yoke_run_options ignore = {.ignore_interrupt = true};
    assert_success(yoke_run(raise_and_look, NULL, &ignore));
    assert_int_equal(handled, 1);
    signal(SIGINT, before);
}

/* ---- watches ---- */

static unsigned told;

static void tell(void *arg, int signal_number, unsigned count)
{
    told += count;
}

static yoke_error *watches(void *arg)
{
    bool watching;
    struct scheduler *s = scheduler_here;
    CHECK(was_kind(signal_watch(s, 0, 0, tell, NULL, &watching), &YOKE_USAGE));
    CHECK(was_kind(signal_watch(s, 65, 0, tell, NULL, &watching), &YOKE_USAGE));
    CHECK(was_kind(signal_watch(s, SIGKILL, 0, tell, NULL, &watching), &YOKE_SYSTEM) && !watching);
    YOKE_TRY(signal_watch(s, SIGUSR1, 0, tell, NULL, &watching));
    CHECK(watching);
    YOKE_TRY(signal_watch(s, SIGUSR1, 0, tell, NULL, &watching));
    CHECK(!watching); /* someone has it */
    raise(SIGUSR1);
    raise(SIGUSR1);
    CHECK(told == 0);
    YOKE_TRY(yoke_checkpoint());
    CHECK(told == 2);
    raise(SIGUSR1);
    CHECK(signal_unwatch(s, SIGUSR1) == 1);
    CHECK(signal_unwatch(s, SIGUSR1) == 0);
    YOKE_TRY(yoke_checkpoint());
    CHECK(told == 2);
    signal(SIGUSR1, SIG_IGN);
    YOKE_TRY(signal_watch(s, SIGUSR1, 0, tell, NULL, &watching));
    CHECK(!watching);
    YOKE_TRY(signal_watch(s, SIGUSR1, SIGNAL_EVEN_IF_TAKEN, tell, NULL, &watching));
    CHECK(watching && signal_unwatch(s, SIGUSR1) == 0);
    CHECK(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    return NULL;
}

static void test_watches(void **state)
{
    told = 0;
    assert_success(yoke_run(watches, NULL, NULL));
}

/* ---- a task that comes to no checkpoint ---- */

/* A signal comes to user code that calls nothing; ThreadSanitizer keeps it till the next call. */
static void hog(void)
{
    for (volatile bool on = true; on;) {
#ifdef YOKE_TSAN
        usleep(1);
#endif
    }
}

static yoke_error *hog_bound(void *arg)
{
    struct scheduler *s = scheduler_here;
    bool if_repeated = arg;
    YOKE_TRY(signal_watch(s, SIGUSR1, 0, tell, NULL, NULL));
    YOKE_TRY(signal_bound(s, SIGUSR1, YOKE_MS(50), if_repeated));
    raise(SIGUSR1);
    YOKE_TRY(yoke_sleep(YOKE_MS(100))); /* taken in time, it does nothing */
    raise(SIGUSR1);
    raise(SIGUSR1); /* again, but before the bound */
    if (if_repeated) {
        usleep(60000);
        raise(SIGUSR1);
    }
    hog();
    return NULL;
}

static int status_of_hog(void *arg)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        yoke_error_free(yoke_run(hog_bound, arg, NULL));
        _exit(told == 3 ? 3 : 1);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void test_a_signal_that_no_pass_takes(void **state)
{
    int status = status_of_hog(NULL);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    status = status_of_hog((void *)"repeated");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

/* ---- runs that come and go while signals rain ---- */

static atomic_bool raining;

static void *rain(void *arg)
{
    while (atomic_load(&raining)) {
        kill(getpid(), SIGINT);
        usleep(50);
    }
    return NULL;
}

static yoke_error *short_run(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    return yoke_sleep(YOKE_US(20));
}

static void test_sys_11_runs_come_and_go_under_signals(void **state)
{
    pthread_t thread;
    void (*before)(int) = signal(SIGINT, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    /* Between two runs ctrl-c would end this process: it is held back there. */
    pthread_sigmask(SIG_BLOCK, &set, &old);
    atomic_store(&raining, true);
    assert_int_equal(pthread_create(&thread, NULL, rain, NULL), 0);
    int interrupted = 0;
    for (int i = 0; i < 200; i++) {
        signal(SIGINT, SIG_IGN);
        signal(SIGINT, SIG_DFL);
        yoke_error *e = yoke_run(short_run, NULL, NULL);
        assert_true(!e || yoke_error_is(e, &YOKE_INTERRUPTED));
        interrupted += e != NULL;
        yoke_error_free(e);
    }
    atomic_store(&raining, false);
    pthread_join(thread, NULL);
    signal(SIGINT, SIG_IGN); /* takes the pending one away */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    signal(SIGINT, before);
    (void)interrupted;
}

HARNESS_MAIN(TEST(test_sig_02_ctrl_c_ends_main), TEST(test_sig_12_wherever_main_is),
             TEST(test_ctrl_c_is_told_once_for_each), TEST(test_sig_02_killed_from_outside),
             TEST(test_sig_14_good_neighbour), TEST(test_watches), TEST(test_a_signal_that_no_pass_takes),
             TEST(test_sys_11_runs_come_and_go_under_signals))
