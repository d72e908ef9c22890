/* Between two batches: their order by a seed, and steps that take too long. */
#include "child.h"
#include "task/clock.h"
#include "task/task.h"

#include <sys/wait.h>

/* ---- order ---- */

enum { TASKS = 5, STEPS = 50 };

struct trace {
    char text[TASKS * STEPS + 1];
    size_t length;
};

struct stepper {
    struct trace *trace;
    char name;
};

static yoke_error *take_steps(void *arg)
{
    struct stepper me = *(struct stepper *)arg;
    for (int i = 0; i < STEPS; i++) {
        me.trace->text[me.trace->length++] = me.name;
        YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}

static yoke_error *five_steppers(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < TASKS && !e; i++) {
        struct stepper s = {arg, (char)('a' + i)};
        e = yoke_spawn_value(&n, take_steps, &s, sizeof s);
    }
    return yoke_nursery_close(&n, e);
}

static struct trace traced(uint64_t seed)
{
    struct trace t = {.length = 0};
    assert_success(yoke_run(five_steppers, &t, &(yoke_run_options){.seed = seed}));
    assert_int_equal(t.length, TASKS * STEPS);
    return t;
}

static void test_sched_06_a_seed_decides_the_order(void **state)
{
    struct trace traces[10];
    for (int i = 0; i < 10; i++)
        traces[i] = traced(42);
    for (int i = 1; i < 10; i++)
        assert_string_equal(traces[i].text, traces[0].text);

    int different = 0;
    for (int i = 0; i < 10; i++) {
        traces[i] = traced((uint64_t)i + 1);
        int same = 0;
        for (int k = 0; k < i; k++)
            same += strcmp(traces[k].text, traces[i].text) == 0;
        different += same == 0;
    }
    assert_true(different >= 9);
}

static void test_sched_06_without_a_seed_first_in_first_out(void **state)
{
    struct trace t = traced(YOKE_IN_ORDER);
    for (size_t i = 0; i < t.length; i++)
        assert_int_equal(t.text[i], 'a' + i % TASKS);
}

/* Each task in each place of a batch about equally often: chi squared over 5 x 5 cells, 16 degrees of
 * freedom, below its 99.99 % quantile. The batches stay batches. */
static void test_sched_06_all_orders_are_alike(void **state)
{
    double cells[TASKS][TASKS] = {{0}}, chi = 0, batches = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct trace t = traced(seed);
        for (int step = 0; step < STEPS; step++, batches++) {
            unsigned seen = 0;
            for (int place = 0; place < TASKS; place++) {
                int task = t.text[step * TASKS + place] - 'a';
                seen |= 1u << task;
                cells[task][place]++;
            }
            assert_int_equal(seen, (1u << TASKS) - 1);
        }
    }
    double expected = batches / TASKS;
    for (int i = 0; i < TASKS * TASKS; i++)
        chi += (cells[i / TASKS][i % TASKS] - expected) * (cells[i / TASKS][i % TASKS] - expected) / expected;
    assert_true(chi < 45);
}

static void test_sched_06_the_environment_gives_a_seed(void **state)
{
    const char *given = getenv("YOKE_SEED");
    char kept[64];
    snprintf(kept, sizeof kept, "%s", given ? given : "");
    setenv("YOKE_SEED", "42", 1);
    struct trace by_environment = traced(0);
    unsetenv("YOKE_SEED");
    struct trace by_option = traced(42), plain = traced(0);
    if (given)
        setenv("YOKE_SEED", kept, 1);
    assert_string_equal(by_environment.text, by_option.text);
    assert_string_equal(plain.text, traced(YOKE_IN_ORDER).text);
}

static yoke_error *wait_a_moment(void *arg)
{
    return yoke_sleep(YOKE_MS(1));
}

static yoke_error *thousand_and_one(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 1001 && !e; i++)
        e = yoke_spawn(&n, wait_a_moment, NULL);
    return yoke_nursery_close(&n, e);
}

static void test_sched_06_large_batches_lose_nobody(void **state)
{
    for (uint64_t seed = 1; seed < 5; seed++) {
        yoke_run_options options = {.seed = seed, .long_step = seed % 2 ? 0 : YOKE_S(10)};
        assert_success(yoke_run(thousand_and_one, NULL, &options));
    }
}

/* ---- long steps ---- */

static yoke_error *compute(void *arg)
{
    for (int i = 0; i < 3; i++) {
        int64_t end = clock_real() + YOKE_MS(30);
        while (clock_real() < end)
            ;
        YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}

static yoke_error *block_and_end(void *arg)
{
    usleep(30000);
    return NULL;
}

static yoke_error *sleep_long(void *arg)
{
    return yoke_sleep(YOKE_MS(100));
}

static yoke_error *hogs(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, sleep_long, NULL);
    if (!e)
        e = yoke_spawn_with(&n, compute, NULL, &(yoke_spawn_options){.name = "number cruncher"});
    if (!e)
        e = yoke_spawn(&n, block_and_end, NULL);
    return yoke_nursery_close(&n, e);
}

static void run_hogs(void)
{
    yoke_error_free(yoke_log_set("warning"));
    CHILD_CHECK(!yoke_run(hogs, NULL, &(yoke_run_options){.long_step = YOKE_MS(20)}));
}

static void run_hogs_untold(void)
{
    yoke_error_free(yoke_log_set("warning"));
    CHILD_CHECK(!yoke_run(hogs, NULL, NULL));
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)); text++)
        n++;
    return n;
}

static void test_sched_16_long_steps_are_told_once(void **state)
{
    static struct child_end end;
    run_child(&end, run_hogs);
    assert_int_equal(end.status, 0);
    assert_int_equal(count(end.text, "task `number cruncher` (spawned at"), 1);
    assert_int_equal(count(end.text, "task `block_and_end` (spawned at"), 1);
    assert_non_null(strstr(end.text, "test_pass.c:"));
}

static void test_sched_16_off_unless_asked_for(void **state)
{
    static struct child_end end;
    unsetenv("YOKE_LONG_STEP_MS");
    run_child(&end, run_hogs_untold);
    assert_int_equal(end.status, 0);
    assert_int_equal(count(end.text, "without a checkpoint"), 0);
    setenv("YOKE_LONG_STEP_MS", "20", 1);
    run_child(&end, run_hogs_untold);
    unsetenv("YOKE_LONG_STEP_MS");
    assert_true(count(end.text, "without a checkpoint") >= 2);
}

HARNESS_MAIN(TEST(test_sched_06_a_seed_decides_the_order),
             TEST(test_sched_06_without_a_seed_first_in_first_out), TEST(test_sched_06_all_orders_are_alike),
             TEST(test_sched_06_the_environment_gives_a_seed), TEST(test_sched_06_large_batches_lose_nobody),
             TEST(test_sched_16_long_steps_are_told_once), TEST(test_sched_16_off_unless_asked_for))
