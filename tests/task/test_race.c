/* race, any, all: who wins, who is cancelled, which errors come back. */
#include "child.h"

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

/* Takes some steps, then ends with its result; counts. */
struct runner {
    int steps;
    const yoke_error_kind *fails, *fails_when_cancelled;
    bool was_cancelled, has_ended;
};

static yoke_error *go(void *arg)
{
    struct runner *r = arg;
    yoke_error *e = NULL;
    for (int i = 0; i < r->steps && !e; i++)
        e = yoke_checkpoint();
    r->has_ended = true;
    if (e) {
        r->was_cancelled = true;
        if (!r->fails_when_cancelled)
            return e;
        yoke_error_free(e);
        return yoke_raise(r->fails_when_cancelled, "in cleanup");
    }
    return r->fails ? yoke_raise(r->fails, "failed") : NULL;
}

enum { LONG = 1000000 };

static yoke_error *race(void *arg)
{
    size_t winner = 9;
    struct runner r[3] = {{.steps = LONG}, {.steps = 3}, {.steps = LONG}};
    yoke_branch b[] = {{go, &r[0]}, {go, &r[1], "quick"}, {go, &r[2]}};
    YOKE_TRY(yoke_race(b, 3, &winner));
    CHECK(winner == 1 && r[0].was_cancelled && r[2].was_cancelled && !r[1].was_cancelled);
    YOKE_TRY(yoke_checkpoint());

    struct runner f[2] = {{.steps = 2, .fails = &APP_K}, {.steps = LONG}};
    yoke_branch fb[] = {{go, &f[0]}, {go, &f[1]}};
    CHECK(was_kind(yoke_race(fb, 2, &winner), &APP_K) && winner == 0 && f[1].was_cancelled);

    /* The error of a loser's cleanup is not lost. */
    struct runner c[2] = {{.steps = 2}, {.steps = LONG, .fails_when_cancelled = &APP_L}};
    yoke_branch cb[] = {{go, &c[0]}, {go, &c[1]}};
    CHECK(was_kind(yoke_race(cb, 2, NULL), &APP_L));
    CHECK(was_kind(yoke_race(cb, 0, NULL), &YOKE_USAGE));
    struct runner g = {.steps = LONG};
    yoke_branch gb[] = {{go, &g}, {NULL, NULL}};
    CHECK(was_kind(yoke_race(gb, 2, NULL), &YOKE_USAGE));
    return NULL;
}

static void test_nurs_25_race(void **state)
{
    run(race);
}

static yoke_error *any(void *arg)
{
    size_t winner = 9;
    struct runner r[3] = {{.steps = 1, .fails = &APP_K}, {.steps = 4}, {.steps = LONG}};
    yoke_branch b[] = {{go, &r[0]}, {go, &r[1]}, {go, &r[2]}};
    YOKE_TRY(yoke_any(b, 3, &winner));
    CHECK(winner == 1 && !r[0].was_cancelled && r[2].was_cancelled);

    struct runner f[2] = {{.steps = 2, .fails = &APP_K}, {.steps = 1, .fails = &APP_L}};
    yoke_branch fb[] = {{go, &f[0]}, {go, &f[1]}};
    winner = 9;
    yoke_error *e = yoke_any(fb, 2, &winner);
    CHECK(winner == 9 && yoke_error_count(e) == 2);
    CHECK(yoke_error_is(yoke_error_member(e, 0), &APP_K) && yoke_error_is(yoke_error_member(e, 1), &APP_L));
    yoke_error_free(e);
    CHECK(was_kind(yoke_any(fb, 0, NULL), &YOKE_USAGE));
    return NULL;
}

static void test_nurs_25_any(void **state)
{
    run(any);
}

static yoke_error *all(void *arg)
{
    struct runner r[2] = {{.steps = 1}, {.steps = 4}};
    yoke_branch b[] = {{go, &r[0]}, {go, &r[1]}};
    YOKE_TRY(yoke_all(b, 2));
    CHECK(r[0].has_ended && r[1].has_ended && !r[1].was_cancelled);
    YOKE_TRY(yoke_all(b, 0));
    struct runner f[2] = {{.steps = 2, .fails = &APP_K}, {.steps = LONG}};
    yoke_branch fb[] = {{go, &f[0]}, {go, &f[1]}};
    CHECK(was_kind(yoke_all(fb, 2), &APP_K) && f[1].was_cancelled);
    return NULL;
}

static void test_nurs_25_all(void **state)
{
    run(all);
}

/* Cancelled from outside nobody wins; a winner stays one. */
static yoke_error *cancelled(void *arg)
{
    yoke_scope s;
    size_t winner = 9;
    struct runner r[2] = {{.steps = LONG}, {.steps = LONG}};
    yoke_branch b[] = {{go, &r[0]}, {go, &r[1]}};
    yoke_error *(*calls[])(const char *, int, const yoke_branch *, size_t, size_t *) = {yoke_race_at,
                                                                                        yoke_any_at};
    for (int i = 0; i < 2; i++) {
        YOKE_TRY(yoke_scope_open(&s));
        yoke_scope_cancel(&s, NULL);
        yoke_error *e = calls[i](__FILE__, __LINE__, b, 2, &winner);
        CHECK(yoke_error_is_cancelled(e) && winner == 9);
        YOKE_TRY(yoke_scope_close(&s, e));

        struct runner w[2] = {{.steps = 0}, {.steps = 1}};
        yoke_branch wb[] = {{go, &w[0]}, {go, &w[1]}};
        YOKE_TRY(yoke_scope_open(&s));
        yoke_scope_cancel(&s, NULL);
        YOKE_TRY(calls[i](__FILE__, __LINE__, wb, 2, &winner));
        CHECK(winner == 0);
        CHECK(was_cancelled(yoke_checkpoint()));
        YOKE_TRY(yoke_scope_close(&s, NULL));
        winner = 9;
    }
    return NULL;
}

static void test_nurs_25_cancelled_from_outside(void **state)
{
    run(cancelled);
}

static yoke_error *each(void *arg)
{
    struct runner r[2] = {{.steps = 1, .fails = &APP_K}, {.steps = 2}};
    yoke_branch b[] = {{go, &r[0]}, {go, &r[1], "second"}};
    yoke_error *e = yoke_any(b, 2, NULL);
    e = yoke_error_join(e, yoke_race(b, 2, NULL));
    return yoke_error_join(e, yoke_all(b, 2));
}

static void test_sys_03_races_without_memory(void **state)
{
    refuse_each_allocation(each, NULL);
}

HARNESS_MAIN(TEST(test_nurs_25_race), TEST(test_nurs_25_any), TEST(test_nurs_25_all),
             TEST(test_nurs_25_cancelled_from_outside), TEST(test_sys_03_races_without_memory))
