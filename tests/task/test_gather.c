/* Gather: all or none, the body's time, closes, whose error arrives. */
#include "child.h"
#include "task/task.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);
YOKE_ERROR_KIND(APP_L, "test.L", NULL);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static void run(yoke_task_fn fn)
{
    assert_success(yoke_run(fn, NULL, NULL));
}

enum { AT_ONCE = -1 };

/* A resource that takes its time, and writes down what was done to it. The value is the part itself. */
struct part {
    int64_t open_takes, close_takes; /* ns; open_takes YOKE_NEVER hangs, AT_ONCE is no checkpoint */
    const yoke_error_kind *open_fails, *close_fails;
    bool shielded; /* its close waits whatever is cancelled */
    bool opened, closed, open_was_cancelled, close_got_cancelled;
    int64_t close_began, close_ended;
};

static yoke_error *part_open(void *arg, void **value)
{
    struct part *p = arg;
    yoke_error *e = NULL;
    if (p->open_takes == YOKE_NEVER)
        e = yoke_sleep_forever();
    else if (p->open_takes != AT_ONCE)
        e = yoke_sleep(p->open_takes);
    p->open_was_cancelled = yoke_error_is_cancelled(e);
    if (!e && p->open_fails)
        e = yoke_raise(p->open_fails, "can't be opened");
    if (e)
        return e;
    p->opened = true;
    *value = p;
    return NULL;
}

static yoke_error *part_close(void *arg, void *value, yoke_error *e)
{
    struct part *p = value;
    yoke_scope s;
    p->close_got_cancelled = yoke_error_is_cancelled(e);
    p->close_began = yoke_now();
    yoke_error *mine = yoke_scope_open_with(&s, &(yoke_scope_options){.shield = p->shielded});
    if (!mine)
        mine = yoke_scope_close(&s, yoke_sleep(p->close_takes));
    p->close_ended = yoke_now();
    p->closed = true;
    if (p->close_fails)
        mine = yoke_error_join(mine, yoke_raise(p->close_fails, "can't be closed"));
    return yoke_error_join(e, mine);
}

#define PART(p)                                                                                              \
    {                                                                                                        \
        .open = part_open, .close = part_close, .arg = (p)                                                   \
    }

/* Is `e` a single error of `kind`, with no Cancelled anywhere? Frees it. */
static bool is_alone(yoke_error *e, const yoke_error_kind *kind)
{
    bool yes = yoke_error_is(e, kind) && !yoke_error_count(e) && !yoke_error_find(e, &YOKE_CANCELLED);
    yoke_error_free(e);
    return yes;
}

static yoke_error *opens_all(void *arg)
{
    struct part parts[3] = {{.open_takes = YOKE_MS(3)}, {.open_takes = 0}, {.open_takes = YOKE_MS(1)}};
    yoke_resource all[] = {PART(&parts[0]), PART(&parts[1]), PART(&parts[2])};
    void *values[3] = {NULL};
    yoke_gather g;
    YOKE_TRY(yoke_gather_open(&g, all, 3, values));
    for (int i = 0; i < 3; i++)
        CHECK(values[i] == &parts[i] && parts[i].opened && !parts[i].closed);
    YOKE_TRY(yoke_gather_close(&g, NULL));
    for (int i = 0; i < 3; i++)
        CHECK(parts[i].closed && !parts[i].close_got_cancelled);
    return NULL;
}

/* One can't be opened: those that are open are closed, in a cancelled scope. */
static yoke_error *one_fails(void *arg)
{
    struct part parts[3] = {{.shielded = true, .close_takes = YOKE_MS(1)},
                            {.open_takes = YOKE_MS(2), .open_fails = &APP_K},
                            {.open_takes = YOKE_NEVER}};
    yoke_resource all[] = {PART(&parts[0]), PART(&parts[1]), PART(&parts[2])};
    void *values[3] = {NULL};
    yoke_gather g;
    CHECK(is_alone(yoke_gather_open(&g, all, 3, values), &APP_K));
    CHECK(parts[0].closed && parts[0].close_got_cancelled);
    CHECK(parts[0].close_ended - parts[0].close_began >= YOKE_MS(1));
    CHECK(!parts[1].opened && parts[2].open_was_cancelled && !parts[2].opened);
    CHECK(!values[0] && !values[1] && !values[2]);
    return NULL;
}

static yoke_error *two_fail(void *arg)
{
    struct part parts[2] = {{.open_takes = AT_ONCE, .open_fails = &APP_K},
                            {.open_takes = AT_ONCE, .open_fails = &APP_L}};
    yoke_resource all[] = {PART(&parts[0]), PART(&parts[1])};
    yoke_gather g;
    yoke_error *e = yoke_gather_open(&g, all, 2, NULL);
    CHECK(yoke_error_count(e) == 2 && yoke_error_is(yoke_error_member(e, 0), &APP_K) &&
          yoke_error_is(yoke_error_member(e, 1), &APP_L));
    return drop(e);
}

static void test_mngr_01_gather(void **state)
{
    run(opens_all);
    run(one_fails);
    run(two_fail);
}

/* A resource keeps a nursery open between its open and its close. */
struct engine {
    yoke_nursery n;
    int steps;
    int fails_at;
};

static yoke_error *engine_turn(void *arg)
{
    struct engine *m = arg;
    for (;;) {
        YOKE_TRY(yoke_checkpoint());
        if (++m->steps == m->fails_at)
            return yoke_raise(&APP_K, "the engine broke");
    }
}

static yoke_error *engine_open(void *arg, void **value)
{
    struct engine *m = arg;
    YOKE_TRY(yoke_nursery_open(&m->n));
    yoke_error *e = yoke_spawn(&m->n, engine_turn, m);
    if (e)
        return yoke_nursery_close(&m->n, e);
    *value = m;
    return NULL;
}

static yoke_error *engine_close(void *arg, void *value, yoke_error *e)
{
    struct engine *m = arg;
    yoke_nursery_cancel(&m->n, "its resource is closed");
    return yoke_nursery_close_flat(&m->n, e);
}

static yoke_error *resource_with_a_nursery(void *arg)
{
    struct engine engines[2] = {0};
    yoke_resource all[] = {
        {.open = engine_open, .close = engine_close, .arg = &engines[0]},
        {.open = engine_open, .close = engine_close, .arg = &engines[1], .name = "second"}};
    yoke_gather g;
    YOKE_TRY(yoke_gather_open(&g, all, 2, NULL));
    settle();
    CHECK(engines[0].steps && engines[1].steps);
    YOKE_TRY(yoke_gather_close(&g, NULL));
    /* It breaks while the body runs: the body is cancelled, and told. */
    engines[0].fails_at = engines[0].steps + 3;
    YOKE_TRY(yoke_gather_open(&g, all, 2, NULL));
    yoke_error *e = yoke_sleep_forever();
    CHECK(yoke_error_is_cancelled(e));
    CHECK(is_alone(yoke_gather_close(&g, e), &APP_K));
    return NULL;
}

static void test_mngr_01_a_resource_with_a_nursery(void **state)
{
    run(resource_with_a_nursery);
}

static yoke_error *closes_fail(void *arg)
{
    struct part parts[3] = {{.close_fails = &APP_K}, {.shielded = true}, {.close_fails = &APP_L}};
    yoke_resource all[] = {PART(&parts[0]), PART(&parts[1]), PART(&parts[2])};
    yoke_gather g;
    YOKE_TRY(yoke_gather_open(&g, all, 3, NULL));
    yoke_error *e = yoke_gather_close(&g, NULL);
    CHECK(parts[0].closed && parts[1].closed && parts[2].closed);
    CHECK(yoke_error_count(e) == 2 && yoke_error_find(e, &APP_K) && yoke_error_find(e, &APP_L));
    return drop(e);
}

static void test_mngr_01_closes_that_fail(void **state)
{
    run(closes_fail);
}

static yoke_error *none(void *arg)
{
    yoke_gather g;
    yoke_error *e = yoke_gather_open(&g, NULL, 0, NULL);
    CHECK(yoke_error_is(e, &YOKE_USAGE) && strstr(yoke_error_message(e), "list"));
    return drop(e);
}

static void test_mngr_02_gather_of_none(void **state)
{
    run(none);
}

/* Real time, and so with room above; that all wait at once shows by less than the sum. */
static yoke_error *body_begins(void *arg)
{
    const int64_t unit = YOKE_MS(RUNNING_ON_VALGRIND ? 100 : 30);
    struct part parts[3] = {{.open_takes = 3 * unit, .close_takes = unit},
                            {.open_takes = 1 * unit, .close_takes = unit},
                            {.open_takes = 2 * unit, .close_takes = unit}};
    yoke_resource all[] = {PART(&parts[0]), PART(&parts[1]), PART(&parts[2])};
    void *values[3] = {NULL};
    yoke_gather g;
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_gather_open(&g, all, 3, values));
    int64_t open = yoke_now();
    CHECK(open - begin >= 3 * unit && open - begin < 4 * unit + unit / 2);
    for (int i = 0; i < 3; i++)
        CHECK(values[i] == &parts[i]);
    YOKE_TRY(yoke_gather_close(&g, NULL));
    CHECK(yoke_now() - open >= unit && yoke_now() - open < 2 * unit + unit / 2);
    return NULL;
}

static void test_mngr_09_the_body_runs_when_all_are_open(void **state)
{
    run(body_begins);
}

/* When the other two are open. */
struct canceller {
    struct part *parts;
    yoke_scope *scope;
};

static yoke_error *cancel_when_two_are_open(void *arg)
{
    struct canceller *c = arg;
    while (!c->parts[0].opened || !c->parts[2].opened)
        YOKE_TRY(yoke_checkpoint());
    settle();
    yoke_scope_cancel(c->scope, NULL);
    return NULL;
}

static yoke_error *cancelled_while_opening(void *arg)
{
    struct part parts[3] = {{0}, {.open_takes = YOKE_NEVER}, {0}};
    yoke_resource all[] = {PART(&parts[0]), PART(&parts[1]), PART(&parts[2])};
    void *values[3] = {NULL};
    yoke_scope s;
    yoke_gather g;
    yoke_nursery n;
    struct canceller canceller = {parts, &s};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, cancel_when_two_are_open, &canceller));
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_scope_close(&s, yoke_gather_open(&g, all, 3, values)));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(yoke_scope_cancelled_caught(&s));
    CHECK(parts[0].closed && parts[0].close_got_cancelled && parts[2].closed && parts[2].close_got_cancelled);
    CHECK(parts[1].open_was_cancelled && !parts[1].closed);
    CHECK(!values[0] && !values[1] && !values[2]);
    return NULL;
}

static void test_mngr_10_cancelled_while_opening(void **state)
{
    run(cancelled_while_opening);
}

static yoke_error *bodys_error(void *arg)
{
    for (int shielded = 0; shielded < 2; shielded++) {
        struct part parts[2] = {{.close_takes = 0, .shielded = shielded},
                                {.close_takes = YOKE_MS(1), .shielded = shielded}};
        yoke_resource all[] = {PART(&parts[0]), PART(&parts[1])};
        yoke_gather g;
        YOKE_TRY(yoke_gather_open(&g, all, 2, NULL));
        yoke_error *mine = yoke_raise(&APP_K, "the body's");
        yoke_error *e = yoke_gather_close(&g, mine);
        CHECK(e == mine && is_alone(e, &APP_K));
        CHECK(parts[0].closed && parts[0].close_got_cancelled && parts[1].closed);
    }
    /* Together with a close's own. */
    struct part part = {.close_fails = &APP_L};
    yoke_resource one = PART(&part);
    yoke_gather g;
    YOKE_TRY(yoke_gather_open(&g, &one, 1, NULL));
    yoke_error *e = yoke_gather_close(&g, yoke_raise(&APP_K, "the body's"));
    CHECK(yoke_error_find(e, &APP_K) && yoke_error_find(e, &APP_L));
    CHECK(yoke_error_is(yoke_error_member(e, 0), &APP_K) && !yoke_error_find(e, &YOKE_CANCELLED));
    return drop(e);
}

static void test_mngr_11_the_bodys_error_is_not_covered(void **state)
{
    run(bodys_error);
}

static yoke_error *small_program(void *arg)
{
    struct part parts[3] = {{0}};
    yoke_resource all[] = {PART(&parts[0]), PART(&parts[1]), PART(&parts[2])};
    yoke_gather g;
    yoke_error *e = yoke_gather_open(&g, all, 3, NULL);
    e = e ? e : yoke_gather_close(&g, NULL);
    for (int i = 0; i < 3; i++)
        if (parts[i].opened != parts[i].closed)
            abort();
    return e;
}

static void test_mngr_gather_without_memory(void **state)
{
    refuse_each_allocation(small_program, NULL);
}

HARNESS_MAIN(TEST(test_mngr_01_gather), TEST(test_mngr_01_a_resource_with_a_nursery),
             TEST(test_mngr_01_closes_that_fail), TEST(test_mngr_02_gather_of_none),
             TEST(test_mngr_09_the_body_runs_when_all_are_open), TEST(test_mngr_10_cancelled_while_opening),
             TEST(test_mngr_11_the_bodys_error_is_not_covered), TEST(test_mngr_gather_without_memory))
