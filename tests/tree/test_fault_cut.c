/*
 * A channel that is cut at every boundary of every dialog, and in the middle of every frame, both ways: both
 * sides end in bounded time with an error that names the peer, and nothing is left.
 *
 * Each run is a tree of its own: the root, a proxy (proxy.h), a child. It has one of the dialogs of fault.h.
 * When a cut finds no frame any more all of that way are through.
 */
#include "fault.h"

enum { FRAMES_OF_START = 2 }; /* of the parent's: its Aid, its SpawnSpec, which tells what is logged */

struct run {
    const struct dialog *dialog;
    yoke_error *met; /* what the start or the dialog itself came to */
    bool started;
};

static yoke_error *in_nursery(struct scene *s)
{
    struct run *r = s->arg;
    yoke_actor_options options = {.modules = "faults", .log_filter = "runtime"};
    r->met = yoke_actors_start(s->actors, "worker", &options, &s->portal);
    r->started = !r->met;
    if (!r->met)
        r->met = r->dialog->fn(s);
    return r->met ? yoke_error_dup(r->met) : NULL;
}

/* Whoever needs a signal would be seen: the bounds are far. */
static yoke_error *app(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_actors_options options = {.acknowledge_bound = YOKE_S(20), .kill_bound = YOKE_S(40)};
    return with_actors(&s, &options, in_nursery);
}

/* What is wrong with how it ended, or NULL. */
static const char *judge(const struct run *r, const struct told *t)
{
    bool upward = proxy.plan.way == PROXY_UP, inside = proxy.plan.part != PART_NONE;
    if (t->ms > 2000 * TREE_SLOW)
        return "it took too long";
    if (!proxy.acted)
        return t->error ? "an error though nothing was cut" : NULL;
    if (!r->met) /* all was said: the actor was about to be asked to end, or had been */
        return t->error && !says(t->error, "`worker`") ? "the nursery's error does not name the actor" : NULL;
    if (!lost_worker(r->met))
        return "the dialog's error does not name the lost channel";
    if (inside && upward && !says(r->met, "in the middle of a frame"))
        return "the dialog's error does not say that a frame was cut";
    if (!t->error || !says(t->error, "`worker`"))
        return "the nursery's error does not name the actor";
    bool child_told = upward || proxy.plan.nth >= FRAMES_OF_START;
    if (child_told && r->started && !strstr(t->log, "the channel to actor `root`"))
        return "the child has not told of the lost channel";
    if (child_told && inside && !upward && !strstr(t->log, "in the middle of a frame"))
        return "the child has not told that a frame was cut";
    return strstr(t->log, "SIG") ? "a signal was needed" : NULL;
}

/* Returns whether there was such a frame. */
static bool cut(const struct dialog *dialog, enum proxy_way way, unsigned nth, enum proxy_part part)
{
    static struct told t;
    struct run r = {.dialog = dialog};
    proxy_arm(&(struct proxy_plan){
        .way = way, .type = PROXY_ANY_TYPE, .nth = nth, .deed = PROXY_CUT, .part = part});
    run_told(app, &r, &t);
    proxy_disarm();
    const char *wrong = judge(&r, &t);
    if (!wrong && tree_processes_left())
        wrong = "processes are left";
    if (wrong) {
        fprintf(stderr, "# %s, %s frame %u, part %d, %d ms: %s\n%s", dialog->name,
                way == PROXY_UP ? "upward" : "downward", nth, (int)part, t.ms, wrong, t.log);
        if (r.met)
            yoke_error_print(stderr, r.met);
        if (t.error)
            yoke_error_print(stderr, t.error);
    }
    yoke_error_free(r.met);
    yoke_error_free(t.error);
    assert_null(wrong);
    return proxy.acted;
}

/* A sanitizer's build sees fewer of the cuts within a frame. */
enum { FRAMES_AT_LEAST = 2, PART_STEP = TREE_SLOW > 3 ? 3 : 1 };

static void cut_everywhere(enum proxy_way way)
{
    unsigned runs = 0;
    for (size_t i = 0; i < DIALOGS; i++) {
        unsigned nth = 0;
        bool acted = true;
        for (; acted; nth++)
            for (int part = 0; part < PROXY_PARTS && acted; part += PART_STEP, runs++)
                acted = cut(&dialogs[i], way, nth, (enum proxy_part)part);
        assert_true(nth > FRAMES_AT_LEAST);
    }
    fprintf(stderr, "# %u cuts\n", runs);
}

/* FAULT-14: at each boundary; FAULT-08: in each frame */
static void test_fault_14_cut_at_every_boundary_downward(void **state)
{
    cut_everywhere(PROXY_DOWN);
}

static void test_fault_14_cut_at_every_boundary_upward(void **state)
{
    cut_everywhere(PROXY_UP);
}

TREE_MAIN(TEST(test_fault_14_cut_at_every_boundary_downward),
          TEST(test_fault_14_cut_at_every_boundary_upward))
