/*
 * A clock for tests. Its time is a line over real time, time = at + rate * (real - since), that is bent by
 * jumps and by new rates.
 */
#include "base/error.h"
#include "task/clock.h"

#include <math.h>

static yoke_mock_clock *of(yoke_clock *clock)
{
    return (yoke_mock_clock *)((char *)clock - offsetof(yoke_mock_clock, clock));
}

static int64_t real_now(const yoke_mock_clock *c)
{
    return c->real ? c->real() : clock_real();
}

/* `ns` as a whole number, at the ends of the range if it is beyond. */
static int64_t whole(double ns)
{
    if (ns >= 0x1p63)
        return YOKE_NEVER;
    return ns <= -0x1p63 ? INT64_MIN : (int64_t)ns;
}

static int64_t mock_now(yoke_clock *clock)
{
    yoke_mock_clock *c = of(clock);
    if (c->rate == 0)
        return c->at;
    return clock_add(c->at, whole(c->rate * (double)(real_now(c) - c->since)));
}

static int64_t mock_real_until(yoke_clock *clock, int64_t deadline)
{
    yoke_mock_clock *c = of(clock);
    int64_t now = mock_now(clock), ahead;
    if (deadline <= now)
        return 0;
    if (c->rate == 0 || __builtin_sub_overflow(deadline, now, &ahead))
        return YOKE_NEVER;
    double real = (double)ahead / c->rate;
    int64_t ns = whole(real);
    return (double)ns < real ? ns + 1 : ns;
}

static int64_t mock_jump_threshold(yoke_clock *clock)
{
    return of(clock)->threshold;
}

static void mock_jump_to(yoke_clock *clock, int64_t deadline)
{
    yoke_mock_clock *c = of(clock);
    if (deadline <= mock_now(clock))
        return;
    c->at = deadline;
    c->since = real_now(c);
}

static const yoke_clock_ops mock_ops = {mock_now, mock_real_until, mock_jump_threshold, mock_jump_to};

void yoke_mock_clock_init(yoke_mock_clock *c)
{
    *c = (yoke_mock_clock){.clock = {&mock_ops}, .threshold = YOKE_NEVER};
}

yoke_error *yoke_mock_clock_jump(yoke_mock_clock *c, int64_t ns)
{
    if (ns < 0)
        return yoke_raise(&YOKE_USAGE, "a clock jumps forward, and not by %lld ns", (long long)ns);
    c->at = clock_add(mock_now(&c->clock), ns);
    c->since = real_now(c);
    return NULL;
}

yoke_error *yoke_mock_clock_set_rate(yoke_mock_clock *c, double rate)
{
    if (!(rate >= 0) || isinf(rate))
        return yoke_raise(&YOKE_USAGE, "a clock's rate is %g: it is 0, or positive and finite", rate);
    c->at = mock_now(&c->clock);
    c->since = real_now(c);
    c->rate = rate;
    return NULL;
}

yoke_error *yoke_mock_clock_set_autojump(yoke_mock_clock *c, int64_t threshold)
{
    if (threshold < 0)
        return yoke_raise(&YOKE_USAGE, "an autojump threshold of %lld ns", (long long)threshold);
    c->threshold = threshold;
    return NULL;
}
