/* The timers' pile and heap, by themselves. */
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

/* Every place that is taken is known to its timer, the heap is one, and the pile's bound holds. */
static void check_heap(const struct timer_heap *heap)
{
    size_t set = 0;
    for (size_t i = 0; i < heap->used; i++) {
        const struct timer_slot *slot = &heap->slots[i];
        if (!slot->timer) {
            assert_true(i >= heap->ordered && i + 1 < heap->used);
            continue;
        }
        set++;
        assert_int_equal(slot->timer->slot, i + 1);
        assert_true(slot->deadline >= timer_bound(heap));
        if (i && i < heap->ordered)
            assert_true(heap->slots[(i - 1) / 4].deadline <= slot->deadline);
    }
    assert_int_equal(set, heap->count);
    assert_true(heap->used <= heap->room);
}

static void check_earliest(struct timer_heap *heap, const struct tick *ticks, size_t count)
{
    int64_t earliest = YOKE_NEVER;
    for (size_t i = 0; i < count; i++)
        if (ticks[i].timer.slot && ticks[i].timer.deadline < earliest)
            earliest = ticks[i].timer.deadline;
    assert_true(timer_bound(heap) <= earliest);
    assert_int_equal(timer_earliest(heap), earliest);
    assert_int_equal(timer_bound(heap), earliest);
    check_heap(heap);
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
        if (i % 1777 == 0) /* from here on some are in the heap, and others not */
            check_earliest(&heap, ticks, 1000);
    }
    for (int i = 0; i < 1000; i++)
        timer_unset(&heap, &ticks[i].timer);
    assert_int_equal(heap.count, 0);
    timer_heap_free(&heap);
}

/* Neither the pile's end nor its gaps grow with what is set and taken back again and again. */
static void test_memory_is_that_of_the_most_at_once(void **state)
{
    static struct tick ticks[8];
    struct timer_heap heap = {0};
    memset(ticks, 0, sizeof ticks);
    for (int i = 0; i < 100000; i++)
        assert_true(timer_set(&heap, &ticks[i % 8].timer, 1000000 - i));
    assert_int_equal(heap.room, 16);
    check_heap(&heap);
    check_earliest(&heap, ticks, 8);
    timer_heap_free(&heap);
}

/* One that was taken back does not make others early, and one that fires may set others that are due. */
static struct timer_heap *chained_heap;
static struct tick second;

static void set_second(yoke_timer *timer)
{
    note(timer);
    assert_true(timer_set(chained_heap, &second.timer, 3));
}

static void test_due_while_others_fire(void **state)
{
    struct timer_heap heap = {0};
    struct tick early = {.number = 1, .timer.fire = note}, first = {.number = 2, .timer.fire = set_second},
                late = {.number = 4, .timer.fire = note};
    chained_heap = &heap;
    second = (struct tick){.number = 3, .timer.fire = note};
    fired_count = 0;
    assert_true(timer_set(&heap, &early.timer, 1));
    assert_true(timer_set(&heap, &first.timer, 5));
    assert_true(timer_set(&heap, &late.timer, 7));
    timer_unset(&heap, &early.timer);
    timer_fire_due(&heap, 4);
    assert_int_equal(fired_count, 0);
    timer_fire_due(&heap, 6);
    assert_int_equal(fired_count, 2);
    assert_true(fired[0] == 2 && fired[1] == 3);
    assert_int_equal(timer_earliest(&heap), 7);
    assert_int_equal(heap.count, 1);
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
             TEST(test_memory_is_that_of_the_most_at_once), TEST(test_due_while_others_fire),
             TEST(test_sys_03_no_memory_to_grow))
