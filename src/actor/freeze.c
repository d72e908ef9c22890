#include "actor/freeze.h"

#include "actor/child.h"
#include "actor/debug.h"
#include "actor/serve.h"
#include "task/clock.h"

/* A child hears of it behind its SpawnSpec, which says how it begins. */
static void tell_children(struct actor *a)
{
    list_for_each(node, &a->children) {
        struct child *c = container_of(node, struct child, in_actor);
        if (c->peer && c->peer->reading)
            serve_tell_freeze(c->peer, freeze_is_on(a));
    }
}

static void edge(struct actor *a)
{
    if (freeze_is_on(a))
        clock_freeze(scheduler_here);
    else
        clock_thaw(scheduler_here);
    yoke_log(YOKE_RUNTIME, "the clock of this actor %s",
             freeze_is_on(a) ? "stands still: somebody has the terminal" : "goes on");
    tell_children(a);
}

void freeze_begin(struct actor *a)
{
    if (a->debug_words & DEBUG_FREEZE && !a->freezes++)
        edge(a);
}

void freeze_end(struct actor *a)
{
    if (a->debug_words & DEBUG_FREEZE && !--a->freezes)
        edge(a);
}

void freeze_by_parent(struct actor *a, bool still)
{
    if (still == a->frozen_by_parent)
        return;
    a->frozen_by_parent = still;
    if (still)
        freeze_begin(a);
    else
        freeze_end(a);
}
