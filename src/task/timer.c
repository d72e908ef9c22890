#include "task/timer.h"

#include "base/memory.h"

static bool before(const struct timer_slot *a, const struct timer_slot *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->sequence < b->sequence;
}

static void place(struct timer_heap *heap, size_t i, struct timer_slot slot)
{
    heap->slots[i] = slot;
    slot.timer->slot = i + 1;
}

static void sift_up(struct timer_heap *heap, size_t i, struct timer_slot slot)
{
    while (i > 0) {
        size_t up = (i - 1) / 4;
        if (!before(&slot, &heap->slots[up]))
            break;
        place(heap, i, heap->slots[up]);
        i = up;
    }
    place(heap, i, slot);
}

static void sift_down(struct timer_heap *heap, size_t i, struct timer_slot slot)
{
    for (;;) {
        size_t first = 4 * i + 1, last = first + 4, least = first;
        if (first >= heap->count)
            break;
        if (last > heap->count)
            last = heap->count;
        for (size_t child = first + 1; child < last; child++)
            if (before(&heap->slots[child], &heap->slots[least]))
                least = child;
        if (!before(&heap->slots[least], &slot))
            break;
        place(heap, i, heap->slots[least]);
        i = least;
    }
    place(heap, i, slot);
}

static bool grow(struct timer_heap *heap)
{
    if (heap->count < heap->room)
        return true;
    size_t room = heap->room ? 2 * heap->room : 16;
    struct timer_slot *slots = memory_realloc(heap->slots, room * sizeof *slots);
    if (!slots)
        return false;
    heap->slots = slots;
    heap->room = room;
    return true;
}

bool timer_set(struct timer_heap *heap, yoke_timer *timer, int64_t deadline)
{
    timer_unset(heap, timer);
    timer->deadline = deadline;
    if (deadline == YOKE_NEVER)
        return true;
    if (!grow(heap))
        return false;
    struct timer_slot slot = {deadline, heap->sequence++, timer};
    sift_up(heap, heap->count++, slot);
    return true;
}

void timer_take_out(struct timer_heap *heap, yoke_timer *timer)
{
    size_t i = timer->slot - 1;
    timer->slot = 0;
    struct timer_slot last = heap->slots[--heap->count];
    if (i == heap->count)
        return;
    if (i > 0 && before(&last, &heap->slots[(i - 1) / 4]))
        sift_up(heap, i, last);
    else
        sift_down(heap, i, last);
}

void timer_fire_due(struct timer_heap *heap, int64_t now)
{
    while (heap->count && heap->slots[0].deadline <= now) {
        yoke_timer *timer = heap->slots[0].timer;
        timer_unset(heap, timer);
        timer->fire(timer);
    }
}

void timer_heap_free(struct timer_heap *heap)
{
    memory_free(heap->slots);
    *heap = (struct timer_heap){0};
}
