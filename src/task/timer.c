#include "task/timer.h"

#include "base/memory.h"

#include <string.h>

enum { ROOM_FIRST = 16, LINE_BYTES = 64 };

/* ---- the heap ---- */

static bool before(const struct timer_slot *a, const struct timer_slot *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->timer->setting < b->timer->setting;
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
        if (first >= heap->ordered)
            break;
        if (last > heap->ordered)
            last = heap->ordered;
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

/* The last place of the heap becomes a gap in front of the pile. */
static __attribute__((noinline)) void heap_take_out(struct timer_heap *heap, size_t i)
{
    struct timer_slot last = heap->slots[--heap->ordered];
    heap->slots[heap->ordered].timer = NULL;
    if (heap->used == heap->ordered + 1)
        heap->used = heap->ordered;
    if (i == heap->ordered)
        return;
    if (i > 0 && before(&last, &heap->slots[(i - 1) / 4]))
        sift_up(heap, i, last);
    else
        sift_down(heap, i, last);
}

/* ---- the pile ---- */

/* The last place of a pile is never a gap, so that there is none when nothing is left in it. */
static void pile_take_out(struct timer_heap *heap, size_t i)
{
    heap->slots[i].timer = NULL;
    if (i + 1 < heap->used)
        return;
    while (heap->used > heap->ordered && !heap->slots[heap->used - 1].timer)
        heap->used--;
}

/* All of the pile goes into the heap. */
static void settle(struct timer_heap *heap)
{
    for (size_t i = heap->ordered; i < heap->used; i++) {
        struct timer_slot slot = heap->slots[i];
        if (!slot.timer)
            continue;
        slot.timer->setting = heap->setting++;
        sift_up(heap, heap->ordered++, slot);
    }
    heap->used = heap->ordered;
}

static void settle_if_due(struct timer_heap *heap, int64_t now)
{
    if (heap->used > heap->ordered && heap->soonest <= now)
        settle(heap);
}

/* ---- room ---- */

/* Slot 1 begins a line of the cache, and so do the children of each. */
static struct timer_slot *aligned(void *memory)
{
    uintptr_t first = (uintptr_t)memory + sizeof(struct timer_slot);
    first = (first + LINE_BYTES - 1) & ~(uintptr_t)(LINE_BYTES - 1);
    return (struct timer_slot *)first - 1;
}

static bool widen(struct timer_heap *heap)
{
    size_t room = heap->room ? 2 * heap->room : ROOM_FIRST;
    void *memory = memory_alloc(room * sizeof *heap->slots + LINE_BYTES);
    if (!memory)
        return false;
    struct timer_slot *slots = aligned(memory);
    if (heap->used)
        memcpy(slots, heap->slots, heap->used * sizeof *slots);
    memory_free(heap->memory);
    heap->memory = memory;
    heap->slots = slots;
    heap->room = room;
    return true;
}

/* Closes the gaps of the pile. */
static void compact(struct timer_heap *heap)
{
    size_t used = heap->ordered;
    for (size_t i = heap->ordered; i < heap->used; i++)
        if (heap->slots[i].timer)
            place(heap, used++, heap->slots[i]);
    heap->used = used;
}

/* For one more. The pile is compacted when half of all is gaps at least, so that this is O(1) a timer too. */
static __attribute__((noinline)) bool make_room(struct timer_heap *heap)
{
    if (heap->count >= heap->room / 2 && widen(heap))
        return true;
    if (heap->count == heap->room)
        return false;
    compact(heap);
    return true;
}

/* ---- timers ---- */

bool timer_set(struct timer_heap *heap, yoke_timer *timer, int64_t deadline)
{
    timer_unset(heap, timer);
    timer->deadline = deadline;
    if (deadline == YOKE_NEVER)
        return true;
    if (__builtin_expect(heap->used == heap->room, 0) && !make_room(heap))
        return false;
    if (heap->used == heap->ordered || deadline < heap->soonest)
        heap->soonest = deadline;
    place(heap, heap->used++, (struct timer_slot){deadline, timer});
    heap->count++;
    return true;
}

void timer_take_out(struct timer_heap *heap, yoke_timer *timer)
{
    size_t i = timer->slot - 1;
    timer->slot = 0;
    heap->count--;
    if (i < heap->ordered)
        heap_take_out(heap, i);
    else
        pile_take_out(heap, i);
}

int64_t timer_earliest(struct timer_heap *heap)
{
    settle_if_due(heap, timer_bound(heap));
    return heap->ordered ? heap->slots[0].deadline : YOKE_NEVER;
}

void timer_fire_due(struct timer_heap *heap, int64_t now)
{
    for (;;) {
        settle_if_due(heap, now); /* what has fired may have set others */
        if (!heap->ordered || heap->slots[0].deadline > now)
            return;
        yoke_timer *timer = heap->slots[0].timer;
        timer_take_out(heap, timer);
        timer->fire(timer);
    }
}

void timer_heap_free(struct timer_heap *heap)
{
    memory_free(heap->memory);
    *heap = (struct timer_heap){0};
}
