/* Tasks: names, arguments by value, when they begin, stacks used again, what errors and records say of them.
 */
#include "base/error.h"
#include "child.h"
#include "task/task.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static void run(yoke_task_fn fn)
{
    assert_success(yoke_run(fn, NULL, NULL));
}

static char names[4][80];
static int named;

static yoke_error *note_name(void *arg)
{
    snprintf(names[named++], sizeof names[0], "%s", yoke_task_name(yoke_current_task()));
    return NULL;
}

static yoke_error *spawn_named(void *arg)
{
    CHECK(!strcmp(yoke_task_name(yoke_current_task()), "main"));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, note_name, NULL));
    char given[] = "given", longer[100];
    yoke_spawn_options own = {.name = given}, cut = {.name = longer};
    YOKE_TRY(yoke_spawn_with(&n, note_name, NULL, &own));
    memset(given, 'x', 5); /* it was copied */
    memset(longer, 'l', 99);
    longer[99] = '\0';
    YOKE_TRY(yoke_spawn_with(&n, note_name, NULL, &cut));
    YOKE_TRY(yoke_spawn_system(note_name, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    settle();
    return NULL;
}

static void test_task_01_names(void **state)
{
    named = 0;
    run(spawn_named);
    assert_string_equal(names[0], "note_name");
    assert_string_equal(names[1], "given");
    assert_int_equal(strlen(names[2]), 63);
    assert_string_equal(names[3], "note_name");
    assert_string_equal(yoke_task_name(NULL), "");
}

static int values[10];

static yoke_error *note_value(void *arg)
{
    values[*(int *)arg]++;
    return NULL;
}

static yoke_error *check_bytes(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    unsigned char *bytes = arg;
    for (int i = 0; i < 1024; i++)
        CHECK(bytes[i] == (unsigned char)i);
    return NULL;
}

static yoke_error *by_value(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 10; i++)
        YOKE_TRY(yoke_spawn_value(&n, note_value, &i, sizeof i));
    unsigned char bytes[1025];
    for (int i = 0; i < 1025; i++)
        bytes[i] = (unsigned char)i;
    YOKE_TRY(yoke_spawn_value(&n, check_bytes, bytes, 1024));
    CHECK(was_kind(yoke_spawn_value(&n, check_bytes, bytes, 1025), &YOKE_USAGE));
    memset(bytes, 0, sizeof bytes);
    return yoke_nursery_close(&n, NULL);
}

static void test_task_02_argument_by_value(void **state)
{
    run(by_value);
    for (int i = 0; i < 10; i++)
        assert_int_equal(values[i], 1);
}

static int steps;

static yoke_error *two_steps(void *arg)
{
    steps = 1;
    steps = 2;
    YOKE_TRY(yoke_checkpoint());
    steps = 3;
    return NULL;
}

static yoke_error *next_batch(void *arg)
{
    yoke_nursery n;
    steps = 0;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, two_steps, NULL));
    CHECK(steps == 0);
    YOKE_TRY(yoke_checkpoint());
    CHECK(steps == 2);
    return yoke_nursery_close(&n, NULL);
}

static void test_task_03_begins_at_the_next_batch(void **state)
{
    run(next_batch);
}

static yoke_error *nothing(void *arg)
{
    return NULL;
}

static long resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long size, resident = 0;
    if (fscanf(f, "%ld %ld", &size, &resident) != 2)
        resident = -1;
    fclose(f);
    return resident * 4;
}

static yoke_error *spawn_and_join_often(void *arg)
{
    int count = *(int *)arg;
    long before = 0;
    for (int i = 0; i < count; i++) {
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_spawn(&n, nothing, NULL));
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        if (i == count / 10)
            before = resident_kib();
    }
    long grown = resident_kib() - before;
    if (grown > 1024)
        return yoke_raise(&YOKE_INTERNAL, "%ld KiB more after %d tasks", grown, count);
    return NULL;
}

static void test_task_08_stacks_are_reused(void **state)
{
    int count = 1000000;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
    count = 20000;
#endif
    if (RUNNING_ON_VALGRIND)
        count = 2000;
    assert_success(yoke_run(spawn_and_join_often, &count, NULL));
}

/* Deep use of a stack, ended in the middle of it, and again by the next: no red zone of the last one may
 * stay. */
static int __attribute__((noinline)) use_stack(int depth)
{
    volatile char frame[300];
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (char)depth;
    return depth ? use_stack(depth - 1) + frame[7] : frame[3];
}

static yoke_error *deep_or_shallow(void *arg)
{
    volatile char big[3000];
    int depth = *(int *)arg;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = 1;
    YOKE_TRY(yoke_checkpoint());
    return use_stack(depth) == 123456789 ? error_no_memory : NULL;
}

static yoke_error *mixed_depths(void *arg)
{
    for (int round = 0; round < 50; round++) {
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        for (int i = 0; i < 5; i++) {
            int depth = (round * 7 + i * 3) % 40;
            YOKE_TRY(yoke_spawn_value(&n, deep_or_shallow, &depth, sizeof depth));
        }
        YOKE_TRY(yoke_nursery_close(&n, NULL));
    }
    return NULL;
}

static void test_task_15_a_reused_stack_is_clean(void **state)
{
    for (int i = 0; i < 3; i++)
        run(mixed_depths);
    /* The same addresses, after munmap and mmap, as ordinary memory. */
    volatile int sum = use_stack(40);
    (void)sum;
}

static yoke_error *current(void *arg)
{
    yoke_task *mine = yoke_current_task();
    CHECK(mine && yoke_in_task() && yoke_in_run());
    YOKE_TRY(yoke_checkpoint());
    CHECK(yoke_current_task() == mine);
    return NULL;
}

static void test_task_16_current_task(void **state)
{
    assert_null(yoke_current_task());
    assert_false(yoke_in_task());
    assert_false(yoke_in_run());
    run(current);
    assert_null(yoke_current_task());
}

/* ---- who speaks ---- */

static const char *actor_name(void *arg)
{
    return "the actor";
}

static yoke_error *raise_here(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    return yoke_raise(&APP_K, "from a task");
}

static yoke_error *raise_in_child(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_spawn_options options = {.name = "worker-7"};
    yoke_error *e = yoke_spawn_with(&n, raise_here, NULL, &options);
    return yoke_nursery_close_flat(&n, e);
}

static void test_err_07_an_error_names_its_task_and_actor(void **state)
{
    yoke_error *e = yoke_run(raise_in_child, NULL, NULL);
    assert_string_equal(yoke_error_task(e), "worker-7");
    assert_string_equal(yoke_error_actor(e), "");
    assert_string_equal(yoke_error_function(e), "raise_here");
    assert_non_null(strstr(yoke_error_file(e), "test_task.c"));
    assert_true(yoke_error_line(e) > 0);
    yoke_error_free(e);
    static const struct error_identity identity = {.actor = actor_name};
    const struct error_identity *before = error_identity_set(&identity);
    e = yoke_run(raise_in_child, NULL, NULL);
    assert_string_equal(yoke_error_task(e), "worker-7");
    assert_string_equal(yoke_error_actor(e), "the actor");
    yoke_error_free(e);
    assert_ptr_equal(error_identity_set(before), &identity);
    e = yoke_raise(&APP_K, "outside");
    assert_string_equal(yoke_error_task(e), "");
    yoke_error_free(e);
}

static yoke_error *log_here(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    yoke_log(YOKE_ERROR, "a record");
    return NULL;
}

static yoke_error *log_in_child(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_spawn_options options = {.name = "logger-3"};
    yoke_error *e = yoke_spawn_with(&n, log_here, NULL, &options);
    return yoke_nursery_close(&n, e);
}

static void log_in_a_run(void)
{
    yoke_error_free(yoke_run(log_in_child, NULL, NULL));
}

static void test_a_record_names_its_task(void **state)
{
    static struct child_end end;
    run_child(&end, log_in_a_run);
    assert_int_equal(end.status, 0);
    assert_non_null(strstr(end.text, "a record"));
    assert_non_null(strstr(end.text, "logger-3"));
}

/* ---- never without a nursery ---- */

static int strays, seen;

static yoke_error *look_upward(void *arg)
{
    seen++;
    strays += !yoke_task_nursery(yoke_current_task());
    return NULL;
}

static yoke_error *look_upward_and_start(void *arg)
{
    YOKE_TRY(look_upward(NULL));
    return yoke_started(NULL);
}

static yoke_error *start_in_each_way(void *arg)
{
    int value = 1;
    yoke_nursery n;
    YOKE_TRY(look_upward(NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, look_upward, NULL);
    e = yoke_error_join(e, yoke_spawn_value(&n, look_upward, &value, sizeof value));
    e = yoke_error_join(e, yoke_spawn_system(look_upward, NULL));
    e = yoke_error_join(e, yoke_start(&n, look_upward_and_start, NULL, NULL));
    settle();
    if (!was_kind(yoke_spawn(NULL, look_upward, NULL), &YOKE_USAGE) ||
        !was_kind(yoke_spawn_value(NULL, look_upward, &value, sizeof value), &YOKE_USAGE) ||
        !was_kind(yoke_start(NULL, look_upward_and_start, NULL, NULL), &YOKE_USAGE))
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "a task without a nursery"));
    if (!was_kind(yoke_spawn(&n, NULL, NULL), &YOKE_USAGE) ||
        !was_kind(yoke_start(&n, NULL, NULL, NULL), &YOKE_USAGE) ||
        !was_kind(yoke_spawn_system(NULL, NULL), &YOKE_USAGE))
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "a task without a function"));
    return yoke_nursery_close(&n, e);
}

static void test_task_19_never_without_a_nursery(void **state)
{
    strays = seen = 0;
    assert_success(yoke_run(start_in_each_way, NULL, NULL));
    assert_int_equal(seen, 5);
    assert_int_equal(strays, 0);
}

/* ---- a million ---- */

/* Of the program's address space; the default vm.max_map_count is 65,530. */
static long count_mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    long lines = 0;
    for (int c; (c = fgetc(f)) != EOF;)
        lines += c == '\n';
    fclose(f);
    return lines;
}

/* What sanitizers and a ucontext cost a task is theirs. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(YOKE_UCONTEXT)
enum { PLAIN_MEMORY = false };
#else
enum { PLAIN_MEMORY = true };
#endif

static yoke_event all_wait;
static long parked_tasks, woken_tasks;

static yoke_error *park_till_all_wait(void *arg)
{
    parked_tasks++;
    yoke_error *e = yoke_event_wait(&all_wait);
    woken_tasks += !e;
    return e;
}

static yoke_error *many_at_once(void *arg)
{
    long count = *(long *)arg, before = resident_kib();
    yoke_event_init(&all_wait);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (long i = 0; i < count && !e; i++)
        e = yoke_spawn(&n, park_till_all_wait, NULL);
    yoke_error_free(yoke_cancel_shielded_checkpoint());
    if (!e && parked_tasks != count)
        e = yoke_raise(&YOKE_INTERNAL, "%ld are parked", parked_tasks);
    long mappings = count_mappings(), kib = resident_kib() - before;
    bool plain = PLAIN_MEMORY && !RUNNING_ON_VALGRIND;
    if (!e && plain && !getenv("YOKE_MPROTECT_GUARDS") && mappings > 2000)
        e = yoke_raise(&YOKE_INTERNAL, "%ld mappings", mappings);
    if (!e && plain && count >= 100000 && kib > 5 * count)
        e = yoke_raise(&YOKE_INTERNAL, "%ld KiB for %ld tasks", kib, count);
    yoke_event_set(&all_wait);
    return yoke_nursery_close(&n, e);
}

/* A hundred thousand, or YOKE_MANY_TASKS: the million takes 4.5 GiB and some ten seconds. */
static void test_task_17_one_million(void **state)
{
    const char *asked = getenv("YOKE_MANY_TASKS");
    long count = asked ? atol(asked) : harness_tasks(100000);
    parked_tasks = woken_tasks = 0;
    assert_success(yoke_run(many_at_once, &count, NULL));
    assert_int_equal(woken_tasks, count);
}

HARNESS_MAIN(TEST(test_task_19_never_without_a_nursery), TEST(test_task_17_one_million),
             TEST(test_task_01_names), TEST(test_task_02_argument_by_value),
             TEST(test_task_03_begins_at_the_next_batch), TEST(test_task_08_stacks_are_reused),
             TEST(test_task_15_a_reused_stack_is_clean), TEST(test_task_16_current_task),
             TEST(test_err_07_an_error_names_its_task_and_actor), TEST(test_a_record_names_its_task))
