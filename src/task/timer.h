/*
 * Timers. Most are set and taken back long before they are due: so one that is set is only laid on a pile,
 * and one that is taken back leaves a gap there, both in O(1) and without a look at any other timer. When the
 * pile may hold one that is due, what is left of it goes into a heap, which is in order: an implicit 4-ary
 * one, with half the levels of a binary heap, and the four children in one line of the cache (LaMarca and
 * Ladner, "The Influence of Caches on the Performance of Heaps", 1996). So a timer costs O(log n) if it comes
 * near its deadline, and once at most. Equal deadlines fire in the order of setting.
 */
#ifndef TASK_TIMER_H
#define TASK_TIMER_H

#include <yoke/task.h>

struct timer_slot {
    int64_t deadline;
    yoke_timer *timer; /* whose slot knows this place; NULL: a gap */
};

struct timer_heap {
    struct timer_slot *slots; /* [0, ordered): the heap, [ordered, used): the pile, in the order of setting */
    size_t ordered, used, room;
    size_t count;     /* of timers that are set */
    int64_t soonest;  /* with a pile: none of it is due before */
    uint64_t setting; /* the number of the next one that goes into the heap */
    void *memory;     /* that the slots lie in */
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
/* No timer is due before; it may be that of one that was taken back. YOKE_NEVER without timers. */
static inline int64_t timer_bound(const struct timer_heap *heap)
{
    int64_t bound = heap->ordered ? heap->slots[0].deadline : YOKE_NEVER;
    return heap->used > heap->ordered && heap->soonest < bound ? heap->soonest : bound;
}
/* The earliest deadline, or YOKE_NEVER. Brings the pile in order. */
int64_t timer_earliest(struct timer_heap *heap);
/* Takes out and fires all that is due at `now`. */
void timer_fire_due(struct timer_heap *heap, int64_t now);
void timer_heap_free(struct timer_heap *heap);

#endif
