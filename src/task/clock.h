/* The run's clock: CLOCK_MONOTONIC, or what the options gave. */
#ifndef TASK_CLOCK_H
#define TASK_CLOCK_H

#include "task/task.h"

/* CLOCK_MONOTONIC in ns, whatever the run's clock is. Any thread. */
int64_t clock_real(void);

/* The run's time when the real one is `real`. */
static inline int64_t clock_at(struct scheduler *s, int64_t real)
{
    if (__builtin_expect(s->clock != NULL, 0))
        return s->clock->ops->now(s->clock);
    return __builtin_expect(s->frozen, 0) ? s->frozen_at : real - s->frozen_for;
}

static inline int64_t clock_now(struct scheduler *s)
{
    return clock_at(s, s->clock || s->frozen ? 0 : clock_real());
}

/*
 * The run's time stands still till the thaw, and goes on from there: nothing that is set for a later time
 * comes due meanwhile. Again does nothing, nor does either in a run that has a clock of its own: that one's
 * time is whatever the program says. On the scheduler's thread, in a task or outside.
 */
void clock_freeze(struct scheduler *s);
void clock_thaw(struct scheduler *s);

/* Real ns till `deadline`: 1 at least, YOKE_NEVER if it does not come by itself. */
int64_t clock_real_until(struct scheduler *s, int64_t deadline);
/* From `now` till `deadline`, of one clock: 1 at least, YOKE_NEVER for YOKE_NEVER. */
int64_t clock_ahead(int64_t deadline, int64_t now);
/* For how much real time nobody may have been able to run before the clock jumps; YOKE_NEVER: it does not
 * jump. */
int64_t clock_jump_threshold(struct scheduler *s);

/* a + b, YOKE_NEVER where that is beyond. */
static inline int64_t clock_add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? YOKE_NEVER : sum;
}

#endif
