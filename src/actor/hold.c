#include "actor/hold.h"

#include "actor/child.h"

void hold_begin(struct actor *a, struct peer *by)
{
    a->holds++;
    if (by)
        child_hold(peer_keep(by));
}

static void edge(struct actor *a)
{
    while (wake_first(&a->hold_waiters, NULL))
        ;
    child_look_again(a);
}

void hold_end(struct actor *a, struct peer *by)
{
    if (by)
        child_release(by);
    peer_release(by);
    if (!--a->holds)
        edge(a);
}

yoke_error *hold_wait_none(struct actor *a)
{
    YOKE_TRY(yoke_checkpoint());
    return hold_any(a) ? wait_in(&a->hold_waiters, NULL) : NULL;
}
