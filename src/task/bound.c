#include "task/bound.h"

#include "task/clock.h"

static void passed(yoke_timer *timer)
{
    scope_deadline_passed(&container_of(timer, struct bound, timer)->scope);
}

static bool set(struct bound *b, struct scheduler *s, int64_t ns)
{
    b->heap = s->clock ? &s->timers : &s->bounds;
    b->timer = (yoke_timer){.fire = passed, .deadline = YOKE_NEVER};
    return timer_set(b->heap, &b->timer, clock_add(s->clock ? clock_now(s) : clock_real(), ns));
}

yoke_error *bound_open_at(const char *file, int line, struct bound *b, int64_t ns,
                          const yoke_scope_options *options)
{
    YOKE_TRY(yoke_scope_open_at(file, line, &b->scope, options));
    if (set(b, scheduler_here, ns))
        return NULL;
    return yoke_scope_close(&b->scope, yoke_raise(&YOKE_NO_MEMORY, "a bound"));
}

yoke_error *bound_close(struct bound *b, yoke_error *e)
{
    timer_unset(b->heap, &b->timer);
    return yoke_scope_close(&b->scope, e);
}

yoke_error *bound_sleep(int64_t ns)
{
    struct bound b;
    YOKE_TRY(bound_open(&b, ns, NULL));
    return bound_close(&b, yoke_sleep_forever());
}
