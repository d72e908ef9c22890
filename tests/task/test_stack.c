/* Stacks: classes, reuse, guards that catch, no memory. */
#include "task/stack.h"

#include "child.h"
#include "task/stack_info.h"
#include "task/task.h"

#include <signal.h>
#include <sys/mman.h>

static void test_sizes_are_rounded_to_a_power_of_two(void **state)
{
    struct stack_pool pool = {0};
    static const size_t wanted[] = {1, 16 << 10, (16 << 10) + 1, 64 << 10, 100000, 8 << 20};
    static const size_t given[] = {16 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 8 << 20};
    for (size_t i = 0; i < 6; i++) {
        size_t bytes;
        char *block = stack_take(&pool, wanted[i], &bytes);
        assert_non_null(block);
        assert_int_equal(bytes, given[i]);
        memset(block + STACK_GUARD_BYTES, 1, bytes - STACK_GUARD_BYTES);
        stack_give(&pool, block, bytes);
    }
    assert_int_equal(pool.live, 0);
    stack_pool_free(&pool);
}

static void test_blocks_are_distinct_and_reused(void **state)
{
    enum { COUNT = 300 };
    struct stack_pool pool = {0};
    char *blocks[COUNT];
    size_t bytes;
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = stack_take(&pool, 64 << 10, &bytes);
        assert_non_null(blocks[i]);
        memset(blocks[i] + bytes - 64, (int)i, 64);
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal((unsigned char)blocks[i][bytes - 64], (unsigned char)i);
    size_t mapped = pool.mapped_bytes;
    for (size_t i = 0; i < COUNT; i++)
        stack_give(&pool, blocks[i], bytes);
    /* The one given last is warm: it is taken first. */
    assert_ptr_equal(stack_take(&pool, 64 << 10, &bytes), blocks[COUNT - 1]);
    for (size_t i = 1; i < COUNT; i++)
        assert_non_null(stack_take(&pool, 64 << 10, &bytes));
    assert_int_equal(pool.mapped_bytes, mapped);
    stack_pool_free(&pool);
}

static void test_no_memory_for_a_slab(void **state)
{
    struct stack_pool pool = {0};
    size_t bytes;
    memory_fail_after(0);
    assert_null(stack_take(&pool, 64 << 10, &bytes));
    assert_true(memory_fail_after(SIZE_MAX));
    void *block = stack_take(&pool, 64 << 10, &bytes);
    assert_non_null(block);
    stack_pool_free(&pool);
}

static size_t count_mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    size_t lines = 0;
    for (int c; (c = fgetc(f)) != EOF;)
        lines += c == '\n';
    fclose(f);
    return lines;
}

static void test_guards_split_no_mappings(void **state)
{
    char *probe = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool light = madvise(probe, 4096, 102) == 0 && !getenv("YOKE_MPROTECT_GUARDS");
    munmap(probe, 8192);
    if (!light)
        skip();
    struct stack_pool pool = {0};
    size_t before = count_mappings(), bytes;
    for (int i = 0; i < 10000; i++)
        assert_non_null(stack_take(&pool, 16 << 10, &bytes));
    assert_in_range(count_mappings(), before, before + 20);
    stack_pool_free(&pool);
}

/* ---- overflow, in children ---- */

static int spawn_line;

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

/* Tells where the fault was, and lets it happen again, deadly this time. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    struct task_stack_info stack;
    uintptr_t at = (uintptr_t)info->si_addr;
    if (!task_stack_info(&stack) || at < stack.low - stack.guard_bytes || at >= stack.low) {
        say("fault elsewhere");
        return;
    }
    say("guard of task `");
    say(stack.task);
    say(stack.spawn_line == spawn_line ? "` spawned where it was" : "` spawned elsewhere");
}

static void catch_faults(void)
{
    stack_t alternate = {.ss_size = 64 << 10};
    alternate.ss_sp =
        mmap(NULL, alternate.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHILD_CHECK(alternate.ss_sp != MAP_FAILED && sigaltstack(&alternate, NULL) == 0);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
    CHILD_CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
}

static int __attribute__((noinline)) recurse(int depth)
{
    volatile char frame[200];
    frame[0] = (char)depth;
    if (depth == 0)
        return 0;
    int below = recurse(depth - 1);
    return below + frame[0];
}

static yoke_error *overflow_by_recursion(void *arg)
{
    return recurse(1 << 24) == 42 ? error_no_memory : NULL;
}

/* One frame that reaches into the guard, touched at its low end alone. */
static yoke_error *overflow_by_frame(void *arg)
{
    struct task_stack_info stack;
    CHILD_CHECK(task_stack_info(&stack));
    volatile char *inside = (char *)(stack.low - STACK_GUARD_BYTES / 2);
    *inside = 1;
    return NULL;
}

static yoke_error *spawn_the_overflow(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_spawn_options deep = {.name = "deep"};
    spawn_line = __LINE__ + 1;
    yoke_error *e = yoke_spawn_with(&n, *(yoke_task_fn *)arg, NULL, &deep);
    return yoke_nursery_close(&n, e);
}

static void recursion(void)
{
    catch_faults();
    yoke_task_fn fn = overflow_by_recursion;
    yoke_error_free(yoke_run(spawn_the_overflow, &fn, NULL));
}

static void large_frame(void)
{
    catch_faults();
    yoke_task_fn fn = overflow_by_frame;
    yoke_error_free(yoke_run(spawn_the_overflow, &fn, NULL));
}

static void recursion_with_mprotect(void)
{
    setenv("YOKE_MPROTECT_GUARDS", "1", 1);
    recursion();
}

static void large_frame_with_mprotect(void)
{
    setenv("YOKE_MPROTECT_GUARDS", "1", 1);
    large_frame();
}

/* The choice of guards is made once a process: the children of a process that has made it would have no say.
 */
static void in_a_fresh_process(const char *what)
{
    static struct child_end end;
    void (*fn)(void) = !strcmp(what, "recursion")             ? recursion
                       : !strcmp(what, "frame")               ? large_frame
                       : !strcmp(what, "recursion, mprotect") ? recursion_with_mprotect
                                                              : large_frame_with_mprotect;
    run_child(&end, fn);
    if (!WIFSIGNALED(end.status) || WTERMSIG(end.status) != SIGSEGV ||
        !strstr(end.text, "guard of task `deep`"))
        print_error("%s: status %#x: %s\n", what, (unsigned)end.status, end.text);
    assert_true(WIFSIGNALED(end.status));
    assert_int_equal(WTERMSIG(end.status), SIGSEGV);
    assert_non_null(strstr(end.text, "guard of task `deep` spawned where it was"));
}

static void test_task_07_recursion_dies_in_the_guard(void **state)
{
    in_a_fresh_process("recursion");
}

static void test_task_07_a_large_frame_dies_in_the_guard(void **state)
{
    in_a_fresh_process("frame");
}

static void test_task_07_recursion_dies_in_an_mprotect_guard(void **state)
{
    in_a_fresh_process("recursion, mprotect");
}

static void test_task_07_a_large_frame_dies_in_an_mprotect_guard(void **state)
{
    in_a_fresh_process("frame, mprotect");
}

/* ---- sizes by way of the options ---- */

static yoke_error *touch(void *arg)
{
    size_t bytes = *(size_t *)arg;
    struct task_stack_info stack;
    if (!task_stack_info(&stack))
        return yoke_raise(&YOKE_INTERNAL, "no stack");
    /* All of what was asked for but guard, bookkeeping and these frames can be used. */
    size_t room = bytes - STACK_GUARD_BYTES - sizeof(yoke_task) - 3000;
    volatile char *low = (char *)__builtin_frame_address(0) - room;
    if ((uintptr_t)low < stack.low)
        return yoke_raise(&YOKE_INTERNAL, "of %zu bytes too little can be used", bytes);
    for (size_t i = 0; i < room - 4096; i += 4096)
        low[i] = 1;
    return NULL;
}

static yoke_error *spawn_sizes(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    static size_t sizes[] = {16 << 10, 20 << 10, 64 << 10, 1 << 20, 64 << 20, 1 << 30};
    for (size_t i = 0; i < 6 && !e; i++) {
        yoke_spawn_options options = {.stack_bytes = sizes[i]};
        size_t touched = sizes[i] > 1 << 20 ? 1 << 20 : sizes[i];
        sizes[i] = touched;
        e = yoke_spawn_with(&n, touch, &sizes[i], &options);
    }
    static const size_t bad[] = {1, (16 << 10) - 1, ((size_t)1 << 30) + 1, SIZE_MAX};
    for (size_t i = 0; i < 4 && !e; i++) {
        yoke_spawn_options options = {.stack_bytes = bad[i]};
        yoke_error *refused = yoke_spawn_with(&n, touch, NULL, &options);
        if (!was_kind(refused, &YOKE_USAGE))
            e = yoke_raise(&YOKE_INTERNAL, "a stack of %zu bytes was given", bad[i]);
    }
    return yoke_nursery_close(&n, e);
}

static void test_task_06_stack_sizes(void **state)
{
    assert_success(yoke_run(spawn_sizes, NULL, NULL));
    yoke_run_options small = {.stack_bytes = 100}, large = {.main_stack_bytes = SIZE_MAX};
    assert_error_text(yoke_run(spawn_sizes, NULL, &small), &YOKE_USAGE, "stack_bytes");
    assert_error_text(yoke_run(spawn_sizes, NULL, &large), &YOKE_USAGE, "main_stack_bytes");
}

/* First the deaths: they fork before this process has chosen its sort of guard. */
HARNESS_MAIN(TEST(test_task_07_recursion_dies_in_the_guard),
             TEST(test_task_07_a_large_frame_dies_in_the_guard),
             TEST(test_task_07_recursion_dies_in_an_mprotect_guard),
             TEST(test_task_07_a_large_frame_dies_in_an_mprotect_guard),
             TEST(test_sizes_are_rounded_to_a_power_of_two), TEST(test_blocks_are_distinct_and_reused),
             TEST(test_no_memory_for_a_slab), TEST(test_guards_split_no_mappings),
             TEST(test_task_06_stack_sizes))
