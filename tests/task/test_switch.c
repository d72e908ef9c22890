/* Switches between stacks: what a call must preserve, how an entry finds its stack, where a backtrace ends.
 */
#include "task/switch.h"

#include "child.h"

#if defined(__x86_64__)
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <xmmintrin.h>
#endif

/* ---- callee-saved registers ---- */

#if defined(__x86_64__)
/* Fills rbx, rbp, r12 to r15 with pattern + 1 to + 6, calls fn, and returns 0 if all still hold it. */
int keeps_registers(void (*fn)(void), uint64_t pattern);
__asm__(".text\n"
        ".globl keeps_registers\n"
        ".type keeps_registers, @function\n"
        "keeps_registers:\n"
        "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n  push %rsi\n"
        "  lea 1(%rsi), %rbx\n  lea 2(%rsi), %rbp\n  lea 3(%rsi), %r12\n"
        "  lea 4(%rsi), %r13\n  lea 5(%rsi), %r14\n  lea 6(%rsi), %r15\n"
        "  call *%rdi\n"
        "  pop %rsi\n"
        "  mov $1, %eax\n"
        "  lea 1(%rsi), %rcx\n  cmp %rcx, %rbx\n  jne 1f\n"
        "  lea 2(%rsi), %rcx\n  cmp %rcx, %rbp\n  jne 1f\n"
        "  lea 3(%rsi), %rcx\n  cmp %rcx, %r12\n  jne 1f\n"
        "  lea 4(%rsi), %rcx\n  cmp %rcx, %r13\n  jne 1f\n"
        "  lea 5(%rsi), %rcx\n  cmp %rcx, %r14\n  jne 1f\n"
        "  lea 6(%rsi), %rcx\n  cmp %rcx, %r15\n  jne 1f\n"
        "  xor %eax, %eax\n"
        "1:\n"
        "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n"
        "  ret\n"
        ".size keeps_registers, .-keeps_registers\n");

static void yield_once(void)
{
    yoke_error_free(yoke_checkpoint());
}

static yoke_error *hold_registers(void *arg)
{
    uint64_t pattern = 0x1111111111111111u * (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < 10; i++)
        if (keeps_registers(yield_once, pattern))
            return yoke_raise(&YOKE_INTERNAL, "a register was lost");
    return NULL;
}

static yoke_error *two_register_holders(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, hold_registers, (void *)3);
    if (!e)
        e = yoke_spawn(&n, hold_registers, (void *)5);
    return yoke_nursery_close(&n, e);
}

static void test_task_10_callee_saved_registers_survive(void **state)
{
    assert_success(yoke_run(two_register_holders, NULL, NULL));
}
#else
static void test_task_10_callee_saved_registers_survive(void **state)
{
    skip();
}
#endif

/* ---- floating point ---- */

#if defined(__x86_64__)
/* The rounding field of both control words: 0 nearest, 1 down, 2 up, 3 to zero. */
static void set_rounding(unsigned mode)
{
    _mm_setcsr((_mm_getcsr() & ~0x6000u) | mode << 13);
    uint16_t word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    word = (uint16_t)((word & ~0x0c00u) | mode << 10);
    __asm__ volatile("fldcw %0" : : "m"(word));
}

static bool rounding_is(unsigned mode)
{
    uint16_t word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return (_mm_getcsr() >> 13 & 3) == mode && (word >> 10 & 3) == mode;
}

static yoke_error *round_as(void *arg)
{
    unsigned mode = (unsigned)(uintptr_t)arg;
    if (!rounding_is(0))
        return yoke_raise(&YOKE_INTERNAL, "a new task does not begin with the ABI's control words");
    set_rounding(mode);
    for (int i = 0; i < 5; i++) {
        YOKE_TRY(yoke_checkpoint());
        if (!rounding_is(mode))
            return yoke_raise(&YOKE_INTERNAL, "the rounding mode is another task's");
    }
    return NULL;
}

static yoke_error *three_rounders(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (uintptr_t mode = 1; mode <= 3 && !e; mode++)
        e = yoke_spawn(&n, round_as, (void *)mode);
    e = yoke_nursery_close(&n, e);
    return rounding_is(0) ? e : yoke_raise(&YOKE_INTERNAL, "the main task's rounding mode is another's");
}

static void test_task_10_floating_point_control_survives(void **state)
{
    assert_success(yoke_run(three_rounders, NULL, NULL));
    assert_true(rounding_is(0));
}
#else
static void test_task_10_floating_point_control_survives(void **state)
{
    skip();
}
#endif

/* ---- entry ---- */

static yoke_error *use_aligned_memory(void *arg)
{
    struct {
        _Alignas(16) char bytes[32];
    } local;
    if ((uintptr_t)&local % 16 || (uintptr_t)__builtin_frame_address(0) % 16)
        return yoke_raise(&YOKE_INTERNAL, "the frame is not aligned");
#if defined(__x86_64__)
    _mm_store_ps((float *)local.bytes, _mm_set1_ps(1.5f)); /* movaps: traps if it is not aligned */
#endif
    char text[32];
    snprintf(text, sizeof text, "%.2f", 1.25);
    return strcmp(text, "1.25") ? yoke_raise(&YOKE_INTERNAL, "a double is printed as %s", text) : NULL;
}

static yoke_error *spawn_aligned(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, use_aligned_memory, NULL);
    /* What is kept above the first frame moves it: names and values of each length. */
    char name[] = "0123456789abcdefghi";
    for (size_t size = 1; size < sizeof name && !e; size++) {
        yoke_spawn_options named = {.name = name + size};
        e = yoke_spawn_value_at(__FILE__, __LINE__, "aligned", &n, use_aligned_memory, name, size, &named);
    }
    return yoke_nursery_close(&n, e);
}

static void test_task_23_entry_is_aligned(void **state)
{
    assert_success(yoke_run(spawn_aligned, NULL, NULL));
}

/* ---- unwinding ---- */

#if defined(__x86_64__)
static int __attribute__((noinline)) backtrace_depth(void)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    int depth = 1, step;
    while ((step = unw_step(&cursor)) > 0 && depth < 1000)
        depth++;
    return step == 0 ? depth : -1;
}

/* What libunwind opens at its first use stays open: not in a test. */
__attribute__((constructor)) static void warm_up(void)
{
    if (!RUNNING_ON_VALGRIND)
        (void)backtrace_depth();
}

static int __attribute__((noinline)) deeper(int levels)
{
    int depth = levels ? deeper(levels - 1) : backtrace_depth();
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return depth;
}

static yoke_error *measure(void *arg)
{
    int *depths = arg;
    depths[0] = deeper(0);
    depths[1] = deeper(10);
    return NULL;
}

static void test_task_14_backtrace_ends_at_the_entry(void **state)
{
    int depths[2];
    if (RUNNING_ON_VALGRIND) /* libunwind probes memory in ways that valgrind reports */
        skip();
    assert_success(yoke_run(measure, depths, NULL));
    assert_in_range(depths[0], 3, 12);
    assert_int_equal(depths[1], depths[0] + 10);
}
#else
static void test_task_14_backtrace_ends_at_the_entry(void **state)
{
    skip();
}
#endif

HARNESS_MAIN(TEST(test_task_10_callee_saved_registers_survive),
             TEST(test_task_10_floating_point_control_survives), TEST(test_task_23_entry_is_aligned),
             TEST(test_task_14_backtrace_ends_at_the_entry))
