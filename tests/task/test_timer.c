/* The timer heap, by itself. */
#include "task/timer.h"

#include "child.h"

enum { COUNT = 20000 };

struct tick {
    yoke_timer timer;
    int number;
};

static int fired[COUNT], fired_count;

static void note(yoke_timer *timer)
{
    fired[fired_count++] = ((struct tick *)(void *)timer)->number;
}

static uint32_t seed;

static uint32_t random_number(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static void test_fire_in_order_of_deadlines_then_of_setting(void **state)
{
    static struct tick ticks[COUNT];
    struct timer_heap heap = {0};
    memset(ticks, 0, sizeof ticks);
    fired_count = 0;
    seed = 7;
    for (int i = 0; i < COUNT; i++) {
        ticks[i].number = i;
        ticks[i].timer.fire = note;
        assert_true(timer_set(&heap, &ticks[i].timer, random_number() % 1000));
    }
    assert_int_equal(heap.count, COUNT);
    timer_fire_due(&heap, 499);
    int before = fired_count;
    for (int i = 0; i < before; i++)
        assert_true(ticks[fired[i]].timer.deadline <= 499);
    timer_fire_due(&heap, 999);
    assert_int_equal(fired_count, COUNT);
    for (int i = 1; i < COUNT; i++) {
        const struct tick *a = &ticks[fired[i - 1]], *b = &ticks[fired[i]];
        assert_true(a->timer.deadline < b->timer.deadline ||
                    (a->timer.deadline == b->timer.deadline && a->number < b->number));
    }
    assert_int_equal(timer_earliest(&heap), YOKE_NEVER);
    timer_heap_free(&heap);
}

static void check_heap(const struct timer_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        assert_int_equal(heap->slots[i].timer->slot, i + 1);
        if (i)
            assert_true(heap->slots[(i - 1) / 4].deadline <= heap->slots[i].deadline);
    }
}

static void test_clock_09_set_moved_and_unset_at_random(void **state)
{
    static struct tick ticks[1000];
    struct timer_heap heap = {0};
    memset(ticks, 0, sizeof ticks);
    seed = 11;
    size_t set = 0;
    for (int i = 0; i < 200000; i++) {
        struct tick *t = &ticks[random_number() % 1000];
        bool was = t->timer.slot;
        if (random_number() % 3) {
            assert_true(timer_set(&heap, &t->timer, random_number()));
            set += !was;
        } else {
            timer_unset(&heap, &t->timer);
            set -= was;
            assert_int_equal(t->timer.slot, 0);
        }
        assert_int_equal(heap.count, set);
        if (i % 1000 == 0)
            check_heap(&heap);
    }
    for (int i = 0; i < 1000; i++)
        timer_unset(&heap, &ticks[i].timer);
    assert_int_equal(heap.count, 0);
    timer_heap_free(&heap);
}

static void test_never_is_unset(void **state)
{
    struct timer_heap heap = {0};
    yoke_timer timer = {.fire = note};
    timer_unset(&heap, &timer);
    assert_true(timer_set(&heap, &timer, 5));
    assert_true(timer_set(&heap, &timer, YOKE_NEVER));
    assert_int_equal(heap.count, 0);
    assert_int_equal(timer.slot, 0);
    timer_heap_free(&heap);
}

static void test_sys_03_no_memory_to_grow(void **state)
{
    static struct tick ticks[17];
    struct timer_heap heap = {0};
    memset(ticks, 0, sizeof ticks);
    memory_fail_after(0);
    assert_false(timer_set(&heap, &ticks[0].timer, 1));
    assert_int_equal(ticks[0].timer.slot, 0);
    for (int i = 0; i < 16; i++)
        assert_true(timer_set(&heap, &ticks[i].timer, i));
    memory_fail_after(0);
    assert_false(timer_set(&heap, &ticks[16].timer, 0));
    /* One that is set already is moved without memory. */
    assert_true(timer_set(&heap, &ticks[3].timer, 100));
    assert_true(memory_fail_after(SIZE_MAX));
    assert_int_equal(heap.count, 16);
    check_heap(&heap);
    timer_heap_free(&heap);
}

HARNESS_MAIN(TEST(test_fire_in_order_of_deadlines_then_of_setting),
             TEST(test_clock_09_set_moved_and_unset_at_random), TEST(test_never_is_unset),
             TEST(test_sys_03_no_memory_to_grow))
