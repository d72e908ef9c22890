/* The run's clock: CLOCK_MONOTONIC, or what the options gave. */
#ifndef TASK_CLOCK_H
#define TASK_CLOCK_H

#include "task/task.h"

/* CLOCK_MONOTONIC in ns, whatever the run's clock is. Any thread. */
int64_t clock_real(void);

static inline int64_t clock_now(struct scheduler *s)
{
    return s->clock ? s->clock->ops->now(s->clock) : clock_real();
}

/* Real ns till `deadline`: 1 at least, YOKE_NEVER if it does not come by itself. */
int64_t clock_real_until(struct scheduler *s, int64_t deadline);
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
