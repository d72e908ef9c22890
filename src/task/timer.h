/*
 * Timers: an implicit 4-ary heap of (deadline, sequence), whose nodes know their slot, so that one is taken
 * out in O(log n). Equal deadlines fire in the order of setting. 4-ary: half the levels of a binary heap, and
 * four children share a cache line pair (LaMarca and Ladner, "The Influence of Caches on the Performance of
 * Heaps", 1996).
 */
#ifndef TASK_TIMER_H
#define TASK_TIMER_H

#include <yoke/task.h>

struct timer_slot {
    int64_t deadline;
    uint64_t sequence;
    yoke_timer *timer;
};

struct timer_heap {
    struct timer_slot *slots; /* slots[0] is the earliest */
    size_t count, room;
    uint64_t sequence;
};

/* Sets or moves `timer`. False without memory (then it is not set). YOKE_NEVER: as timer_unset. */
bool timer_set(struct timer_heap *heap, yoke_timer *timer, int64_t deadline);
/* Of one that is set. */
void timer_take_out(struct timer_heap *heap, yoke_timer *timer);
/* Harmless if it is not set. */
static inline void timer_unset(struct timer_heap *heap, yoke_timer *timer)
{
    if (timer->slot)
        timer_take_out(heap, timer);
}
/* The earliest deadline, or YOKE_NEVER. */
static inline int64_t timer_earliest(const struct timer_heap *heap)
{
    return heap->count ? heap->slots[0].deadline : YOKE_NEVER;
}
/* Takes out and fires all that is due at `now`. */
void timer_fire_due(struct timer_heap *heap, int64_t now);
void timer_heap_free(struct timer_heap *heap);

#endif
