/*
 * SIGKILL and SIGSTOP for each of two actors in each state of their dialogs: behind every frame, both ways.
 * The proxy of fault.h strikes when it has handed the frame on.
 */
#include "fault.h"

struct strike {
    uint32_t dialog;
    enum proxy_way way;
    unsigned nth;
    int signal;
};

struct run {
    const struct strike *strike;
    yoke_error *met;
    bool started;
};

static const char *way_name(enum proxy_way way)
{
    return way == PROXY_UP ? "upward" : "downward";
}

/* Fails the test for what is wrong, with all that is known. */
static void report_wrong(const struct strike *s, const struct told *t, const yoke_error *met,
                         const char *wrong)
{
    fprintf(stderr, "# %s, behind %s frame %u, %d ms: %s\n%s", dialogs[s->dialog].name, way_name(s->way),
            s->nth, t->ms, wrong, t->log);
    if (met)
        yoke_error_print(stderr, met);
    if (t->error)
        yoke_error_print(stderr, t->error);
}

/* ---- the child ---- */

/* A stopped child answers nothing; whoever waits for it bounds his patience. */
static yoke_error *bounded_dialog(struct scene *s, const struct strike *strike)
{
    if (strike->signal != SIGSTOP)
        return dialogs[strike->dialog].fn(s);
    yoke_scope scope;
    YOKE_TRY(yoke_fail_after(&scope, YOKE_MS(100 * TREE_SLOW)));
    return yoke_scope_close(&scope, dialogs[strike->dialog].fn(s));
}

static yoke_error *strike_child(struct scene *s)
{
    struct run *r = s->arg;
    const struct strike *k = r->strike;
    yoke_actor_options options = {.modules = "faults",
                                  .start_bound = k->signal == SIGSTOP ? YOKE_MS(200 * TREE_SLOW) : 0};
    r->met = yoke_actors_start(s->actors, "worker", &options, &s->portal);
    r->started = !r->met;
    if (!r->met)
        r->met = bounded_dialog(s, k);
    return r->met ? yoke_error_dup(r->met) : NULL;
}

static yoke_error *strike_child_app(void *arg)
{
    struct run *r = arg;
    struct scene s = {.arg = arg};
    bool stops = r->strike->signal == SIGSTOP;
    yoke_actors_options options = {.acknowledge_bound = stops ? YOKE_MS(50) : YOKE_S(20),
                                   .kill_bound = stops ? YOKE_MS(100) : YOKE_S(40)};
    return with_actors(&s, &options, strike_child);
}

static const char *judge_kill(const struct run *r, const struct told *t)
{
    const yoke_error *died = yoke_error_find(t->error, &YOKE_ACTOR_DIED);
    if (!r->met) /* all was said */
        return t->error && !says(t->error, "`worker`") ? "the nursery's error does not name the actor" : NULL;
    if (!lost_worker(r->met))
        return "the dialog's error does not name the lost channel";
    if (!died || yoke_error_signal(died) != SIGKILL || !says(died, "actor `worker`"))
        return "the nursery's error does not say of what the actor died";
    return NULL;
}

/* The bound of a start or of a wait has passed: the actor is then ended from outside. */
static const char *judge_stop(const struct run *r, const struct told *t)
{
    if (r->met && !yoke_error_find(r->met, &YOKE_TOO_SLOW))
        return "the dialog's error is not that of its bound";
    if (!r->met && t->error && !says(t->error, "`worker`"))
        return "the nursery's error does not name the actor";
    return NULL;
}

static bool child_is_struck(const struct strike *k)
{
    static struct told t;
    struct run r = {.strike = k};
    proxy_arm(&(struct proxy_plan){
        .way = k->way, .type = PROXY_ANY_TYPE, .nth = k->nth, .deed = PROXY_STRIKE, .signal = k->signal});
    run_told(strike_child_app, &r, &t);
    proxy_disarm();
    const char *wrong = NULL;
    if (!proxy.acted && t.error &&
        k->signal != SIGSTOP) /* a busy machine may be too slow for the bounds of a stop */
        wrong = "an error though nobody was struck";
    if (proxy.acted)
        wrong = k->signal == SIGKILL ? judge_kill(&r, &t) : judge_stop(&r, &t);
    if (!wrong && t.ms > 2500 * TREE_SLOW)
        wrong = "it took too long";
    if (!wrong && tree_processes_left())
        wrong = "processes are left";
    if (wrong)
        report_wrong(k, &t, r.met, wrong);
    yoke_error_free(r.met);
    yoke_error_free(t.error);
    assert_null(wrong);
    return proxy.acted;
}

enum { FRAMES_AT_MOST = 60 };

/* The first frame downward finds no child: it is not known yet. */
static unsigned strike_everywhere(uint32_t dialog, enum proxy_way way, int signal,
                                  bool (*strike)(const struct strike *))
{
    unsigned nth = way == PROXY_DOWN ? 1 : 0, runs = 0;
    while (nth < FRAMES_AT_MOST && strike(&(struct strike){dialog, way, nth++, signal}))
        runs++;
    return runs;
}

static void kill_everywhere(bool (*strike)(const struct strike *))
{
    unsigned runs = 0;
    for (uint32_t i = 0; i < DIALOGS; i++)
        for (int way = 0; way < PROXY_WAYS; way++)
            runs += strike_everywhere(i, (enum proxy_way)way, SIGKILL, strike);
    assert_true(runs > 8 * DIALOGS);
}

/* FAULT-05 */
static void test_fault_05_kill_of_the_child_in_each_state(void **state)
{
    kill_everywhere(child_is_struck);
}

static void test_stop_of_the_child_in_each_state(void **state)
{
    static const uint32_t some[] = {0, 1, 4, 6}; /* spawn, call, a context's whole life, a cancelled one's */
    unsigned runs = 0;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        runs += strike_everywhere(some[i], PROXY_UP, SIGSTOP, child_is_struck);
    runs += strike_everywhere(4, PROXY_DOWN, SIGSTOP, child_is_struck);
    assert_true(runs > 20);
}

/* ---- the parent: an actor between the root and the child ---- */

YOKE_RECORD(strike_args, (u32, dialog), (u8, way), (u32, nth), (i32, signal));

static yoke_error *lead_dialog(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "faults"}, &s->portal));
    return dialogs[((const strike_args *)s->arg)->dialog].fn(s);
}

/* Runs in the middle actor, which the proxy's thread strikes from within. */
static yoke_error *lead(const strike_args *args, yoke_type_none *result)
{
    struct scene s = {.arg = (void *)args};
    proxy_arm(&(struct proxy_plan){.way = (enum proxy_way)args->way,
                                   .type = PROXY_ANY_TYPE,
                                   .nth = args->nth,
                                   .deed = PROXY_SUICIDE,
                                   .signal = args->signal});
    /* Nobody of it is to be ended from outside but by the strike, however busy the machine is. */
    yoke_actors_options options = {.acknowledge_bound = YOKE_S(20), .kill_bound = YOKE_S(40)};
    yoke_error *e = with_actors(&s, &options, lead_dialog);
    proxy_disarm();
    return e;
}
YOKE_MODULE(leads, YOKE_CALL(lead, strike_args, none));

static yoke_error *call_lead(struct scene *s, const struct strike *k)
{
    strike_args args = {k->dialog, (uint8_t)k->way, k->nth, k->signal};
    yoke_scope scope;
    YOKE_TRY(yoke_fail_after(&scope, k->signal == SIGSTOP ? YOKE_MS(150 * TREE_SLOW) : YOKE_S(20)));
    return yoke_scope_close(&scope, yoke_call(s->portal, "leads:lead", &args, NULL));
}

static yoke_error *strike_parent(struct scene *s)
{
    struct run *r = s->arg;
    YOKE_TRY(yoke_actors_start(s->actors, "middle", &(yoke_actor_options){.modules = "leads"}, &s->portal));
    r->met = call_lead(s, r->strike);
    return r->met ? yoke_error_dup(r->met) : NULL;
}

static yoke_error *strike_parent_app(void *arg)
{
    struct run *r = arg;
    struct scene s = {.arg = arg};
    bool stops = r->strike->signal == SIGSTOP;
    yoke_actors_options options = {.acknowledge_bound = stops ? YOKE_MS(50) : 0,
                                   .kill_bound = stops ? YOKE_MS(100) : 0};
    return with_actors(&s, &options, strike_parent);
}

/* The child of the one that was struck ends with it, in whatever state it is. */
static bool parent_is_struck(const struct strike *k)
{
    static struct told t;
    struct run r = {.strike = k};
    run_told(strike_parent_app, &r, &t);
    const yoke_error *died = yoke_error_find(t.error, &YOKE_ACTOR_DIED);
    bool struck = t.error != NULL;
    const char *wrong = NULL;
    if (struck && k->signal == SIGKILL &&
        (!died || yoke_error_signal(died) != SIGKILL || !says(died, "`middle`")))
        wrong = "the error does not say of what the parent died";
    if (struck && k->signal == SIGSTOP && !yoke_error_find(t.error, &YOKE_TOO_SLOW))
        wrong = "the error is not that of the bound";
    if (!wrong && t.ms > 2500 * TREE_SLOW)
        wrong = "it took too long";
    if (!wrong && tree_processes_left())
        wrong = "processes are left";
    if (wrong)
        report_wrong(k, &t, r.met, wrong);
    yoke_error_free(r.met);
    yoke_error_free(t.error);
    assert_null(wrong);
    return struck;
}

static void test_kill_of_the_parent_in_each_state(void **state)
{
    kill_everywhere(parent_is_struck);
}

static void test_stop_of_the_parent_in_each_state(void **state)
{
    unsigned runs = 0;
    for (int way = 0; way < PROXY_WAYS; way++)
        runs += strike_everywhere(4, (enum proxy_way)way, SIGSTOP, parent_is_struck);
    assert_true(runs > 10);
}

TREE_MAIN(TEST(test_fault_05_kill_of_the_child_in_each_state), TEST(test_stop_of_the_child_in_each_state),
          TEST(test_kill_of_the_parent_in_each_state), TEST(test_stop_of_the_parent_in_each_state))
