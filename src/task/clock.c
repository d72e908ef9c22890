/* The clock that a run has when it is given none: the kernel's monotonic one, which no change of the date
 * moves. */
#include "task/clock.h"

#include <time.h>

int64_t clock_real(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t yoke_now(void)
{
    struct scheduler *s = scheduler_here;
    return s ? clock_now(s) : clock_real();
}

void clock_freeze(struct scheduler *s)
{
    if (s->clock || s->frozen)
        return;
    s->frozen_at = clock_now(s);
    s->frozen = true;
}

void clock_thaw(struct scheduler *s)
{
    if (!s->frozen)
        return;
    s->frozen = false;
    s->frozen_for = clock_real() - s->frozen_at;
}

int64_t clock_ahead(int64_t deadline, int64_t now)
{
    int64_t ns;
    if (deadline == YOKE_NEVER)
        return YOKE_NEVER;
    if (__builtin_sub_overflow(deadline, now, &ns))
        return deadline < 0 ? 1 : YOKE_NEVER;
    /* Zero would only look, and the loop in pass would spin till the clock has moved. */
    return ns > 0 ? ns : 1;
}

int64_t clock_real_until(struct scheduler *s, int64_t deadline)
{
    if (deadline == YOKE_NEVER)
        return YOKE_NEVER;
    if (s->clock) {
        int64_t ns = s->clock->ops->real_until(s->clock, deadline);
        return ns > 0 ? ns : 1;
    }
    if (s->frozen)
        return deadline <= s->frozen_at ? 1 : YOKE_NEVER;
    return clock_ahead(deadline, clock_now(s));
}

int64_t clock_jump_threshold(struct scheduler *s)
{
    if (!s->clock || !s->clock->ops->jump_threshold)
        return YOKE_NEVER;
    return s->clock->ops->jump_threshold(s->clock);
}
