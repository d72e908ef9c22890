/* Nurseries: waiting, one cancels all, groups, misuse. */
#include "child.h"
#include "task/task.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);
YOKE_ERROR_KIND(APP_L, "test.L", NULL);

static int ended, saw_cancel;

static yoke_error *wait_a_bit(void *arg)
{
    for (int i = 0; i < 5; i++)
        YOKE_TRY(yoke_checkpoint());
    ended++;
    return NULL;
}

static yoke_error *wait_forever(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    saw_cancel += yoke_error_is_cancelled(e);
    ended++;
    return e;
}

/* Fails with the error that it is given. */
static yoke_error *fail_with(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    ended++;
    return arg;
}

static yoke_error *fail_at_once(void *arg)
{
    return arg;
}

static yoke_error *no_checkpoint(void *arg)
{
    ended++;
    return NULL;
}

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static void run(yoke_task_fn fn)
{
    ended = saw_cancel = 0;
    assert_success(yoke_run(fn, NULL, NULL));
}

/* ---- waiting ---- */

static yoke_error *close_waits(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_spawn(&n, wait_a_bit, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(ended == 3);
    return NULL;
}

static void test_nurs_01_close_waits_for_all(void **state)
{
    run(close_waits);
}

/* ---- failures ---- */

static yoke_error *child_fails(void *arg)
{
    yoke_error *mine = yoke_raise(&APP_K, "the child's");
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    YOKE_TRY(yoke_spawn(&n, fail_with, mine));
    YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    yoke_error *e = yoke_nursery_close(&n, NULL);
    CHECK(saw_cancel == 2 && ended == 3);
    CHECK(yoke_error_is(e, &YOKE_GROUP) && yoke_error_count(e) == 1 && yoke_error_member(e, 0) == mine);
    CHECK(!yoke_error_find(e, &YOKE_CANCELLED));
    return drop(e);
}

static void test_nurs_02_a_childs_error_cancels_the_rest(void **state)
{
    run(child_fails);
}

static yoke_error *body_fails(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    yoke_error *mine = yoke_raise(&APP_K, "the body's");
    yoke_error *e = yoke_nursery_close(&n, mine);
    CHECK(saw_cancel == 1);
    CHECK(yoke_error_count(e) == 1 && yoke_error_member(e, 0) == mine);
    return drop(e);
}

static void test_nurs_03_the_bodys_error_cancels_the_children(void **state)
{
    run(body_fails);
}

static yoke_error *raise_own(void *arg)
{
    return yoke_raise(arg, "mine");
}

static yoke_error *several_fail(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_spawn_options first = {.name = "first"}, second = {.name = "second"};
    YOKE_TRY(yoke_spawn_with(&n, raise_own, (void *)(uintptr_t)&APP_K, &first));
    YOKE_TRY(yoke_spawn_with(&n, raise_own, (void *)(uintptr_t)&APP_L, &second));
    yoke_error *e = yoke_nursery_close(&n, NULL);
    CHECK(yoke_error_count(e) == 2);
    CHECK(yoke_error_is(yoke_error_member(e, 0), &APP_K) && yoke_error_is(yoke_error_member(e, 1), &APP_L));
    CHECK(!strcmp(yoke_error_task(yoke_error_member(e, 0)), "first"));
    CHECK(!strcmp(yoke_error_task(yoke_error_member(e, 1)), "second"));
    yoke_error_free(e);

    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, raise_own, (void *)(uintptr_t)&APP_K));
    e = yoke_nursery_close(&n, yoke_raise(&APP_L, "the body's"));
    CHECK(yoke_error_count(e) == 2);
    CHECK(!yoke_error_cause(yoke_error_member(e, 0)) && !yoke_error_cause(yoke_error_member(e, 1)));
    CHECK(yoke_error_is(yoke_error_member(e, 0), &APP_L) && yoke_error_is(yoke_error_member(e, 1), &APP_K));
    return drop(e);
}

static void test_nurs_04_several_errors(void **state)
{
    run(several_fail);
}

static bool printed(const yoke_error *e, const char *part)
{
    char *text = yoke_error_text(e);
    bool found = text && strstr(text, part);
    free(text);
    return found;
}

static yoke_error *flat(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *mine = yoke_raise(&APP_K, "mine");
    YOKE_TRY(yoke_spawn(&n, fail_with, mine));
    yoke_error *e = yoke_nursery_close_flat(&n, NULL);
    CHECK(e == mine && printed(e, "the only error of its group"));
    yoke_error_free(e);
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, raise_own, (void *)(uintptr_t)&APP_K));
    YOKE_TRY(yoke_spawn(&n, raise_own, (void *)(uintptr_t)&APP_L));
    e = yoke_nursery_close_flat(&n, NULL);
    CHECK(yoke_error_is(e, &YOKE_GROUP) && yoke_error_count(e) == 2);
    return drop(e);
}

static void test_nurs_05_flat_unwraps_a_group_of_one(void **state)
{
    run(flat);
}

static yoke_error *inner_group(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, raise_own, (void *)(uintptr_t)&APP_K));
    YOKE_TRY(yoke_spawn(&n, raise_own, (void *)(uintptr_t)&APP_L));
    return yoke_nursery_close(&n, NULL);
}

static yoke_error *nested_groups(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, inner_group, NULL));
    yoke_error *e = yoke_nursery_close(&n, NULL);
    CHECK(yoke_error_count(e) == 1);
    const yoke_error *inner = yoke_error_member(e, 0);
    CHECK(yoke_error_is(inner, &YOKE_GROUP) && yoke_error_count(inner) == 2);
    CHECK(yoke_error_find(e, &APP_L) == yoke_error_member(inner, 1));
    return drop(e);
}

static void test_nurs_06_nested_groups_keep_their_shape(void **state)
{
    run(nested_groups);
}

static yoke_error *fail_in_cleanup(void *arg)
{
    yoke_error_free(yoke_sleep_forever());
    return yoke_raise(&APP_L, "in the cleanup");
}

static yoke_error *cleanup_fails(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, fail_in_cleanup, NULL));
    YOKE_TRY(yoke_spawn(&n, raise_own, (void *)(uintptr_t)&APP_K));
    yoke_error *e = yoke_nursery_close(&n, NULL);
    CHECK(yoke_error_count(e) == 2 && yoke_error_find(e, &APP_K) && yoke_error_find(e, &APP_L));
    return drop(e);
}

static void test_nurs_07_errors_while_being_cancelled(void **state)
{
    run(cleanup_fails);
}

/* ---- spawning ---- */

static yoke_error *spawn_more(void *arg)
{
    yoke_nursery *n = arg;
    for (int i = 0; i < 3; i++) {
        YOKE_TRY(yoke_checkpoint());
        YOKE_TRY(yoke_spawn(n, wait_a_bit, NULL));
    }
    return NULL;
}

/* Spawns at the moment at which the last child has ended and the closer has not run yet. */
static yoke_error *spawn_late(void *arg)
{
    yoke_nursery *n = arg;
    while (!list_empty(&n->children))
        YOKE_TRY(yoke_checkpoint());
    if (n->closed)
        return yoke_raise(&YOKE_INTERNAL, "too late for this test");
    return yoke_spawn(n, wait_a_bit, NULL);
}

static yoke_error *spawn_while_closing(void *arg)
{
    yoke_nursery n, watching;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, spawn_more, &n));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(ended == 3);
    CHECK(was_kind(yoke_spawn(&n, wait_a_bit, NULL), &YOKE_CLOSED));

    ended = 0;
    YOKE_TRY(yoke_nursery_open(&watching));
    YOKE_TRY(yoke_nursery_open(&n));
    /* In the queue before the child: it looks in the very pass in which the child ends, after the child. */
    YOKE_TRY(yoke_spawn(&n, no_checkpoint, NULL));
    YOKE_TRY(yoke_spawn(&watching, spawn_late, &n));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(ended == 2);
    return yoke_nursery_close(&watching, NULL);
}

static void test_nurs_08_children_may_spawn_while_it_closes(void **state)
{
    run(spawn_while_closing);
}

static void test_task_04_spawn_into_a_closed_nursery(void **state)
{
    run(spawn_while_closing);
}

static yoke_error *count_and_wait(void *arg)
{
    (*(int *)arg)++;
    yoke_error *e = yoke_checkpoint();
    (*(int *)arg) += 10 * yoke_error_is_cancelled(e);
    return e;
}

static yoke_error *spawn_into_cancelled(void *arg)
{
    int count = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_nursery_cancel(&n, "before");
    YOKE_TRY(yoke_spawn(&n, count_and_wait, &count));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(count == 11);
    return NULL;
}

static void test_task_04_spawn_into_a_cancelled_nursery(void **state)
{
    run(spawn_into_cancelled);
}

static yoke_error *spawn_from_scope(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_spawn(&n, wait_a_bit, NULL));
    yoke_scope_cancel(&s, NULL);
    YOKE_TRY(yoke_scope_close(&s, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(ended == 1);
    return NULL;
}

static void test_scope_25_a_task_is_in_its_nurserys_scope(void **state)
{
    run(spawn_from_scope);
}

/* ---- cancelling ---- */

static yoke_error *cancel_it(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    settle();
    yoke_nursery_cancel(&n, "enough");
    yoke_error *e = yoke_checkpoint();
    CHECK(yoke_error_is_cancelled(e) && strstr(yoke_error_message(e), "enough"));
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(saw_cancel == 3 && yoke_scope_cancelled_caught(yoke_nursery_scope(&n)));
    return NULL;
}

static void test_nurs_09_cancel_by_its_scope(void **state)
{
    run(cancel_it);
}

static yoke_error *cancel_outer(void *arg)
{
    yoke_scope_cancel(arg, "outer");
    return NULL;
}

static yoke_error *outer_cancelled(void *arg)
{
    yoke_scope s;
    yoke_nursery outer, n;
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    YOKE_TRY(yoke_spawn(&outer, cancel_outer, &s));
    yoke_error *e = yoke_nursery_close(&n, NULL);
    CHECK(yoke_error_is_cancelled(e) && saw_cancel == 1);
    YOKE_TRY(yoke_scope_close(&s, e));
    CHECK(yoke_scope_cancelled_caught(&s));
    return yoke_nursery_close(&outer, NULL);
}

static void test_nurs_10_outer_cancellation(void **state)
{
    run(outer_cancelled);
}

static yoke_error *empty_in_cancelled(void *arg)
{
    yoke_scope s;
    yoke_nursery n;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    uint64_t passes = scheduler_here->passes;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(scheduler_here->passes > passes);
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, no_checkpoint, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(ended == 1);
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(!yoke_scope_cancelled_caught(&s));
    return NULL;
}

static void test_nurs_26_closing_yields_but_does_not_look(void **state)
{
    run(empty_in_cancelled);
}

static yoke_error *no_cancellation_of_its_own(void *arg)
{
    yoke_scope s;
    yoke_nursery n;
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_scope_cancel(&s, NULL);
    yoke_scope_cancel(&s, NULL);
    yoke_error *e = yoke_nursery_close(&n, yoke_raise(&APP_K, "the body's"));
    CHECK(yoke_error_count(e) == 1 && yoke_error_is(yoke_error_member(e, 0), &APP_K));
    return drop(yoke_scope_close(&s, e));
}

static void test_nurs_27_close_never_makes_a_cancellation(void **state)
{
    run(no_cancellation_of_its_own);
}

static yoke_error *body_parked(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, raise_own, (void *)(uintptr_t)&APP_K));
    yoke_error *e = yoke_sleep_forever();
    CHECK(yoke_error_is_cancelled(e));
    e = yoke_nursery_close(&n, e);
    CHECK(yoke_error_count(e) == 1 && yoke_error_is(yoke_error_member(e, 0), &APP_K));
    return drop(e);
}

static void test_nurs_28_a_childs_failure_wakes_the_body(void **state)
{
    run(body_parked);
}

static yoke_error *two_scopes_in_a_group(void *arg)
{
    for (int both = 0; both < 2; both++) {
        yoke_scope s;
        yoke_nursery n;
        YOKE_TRY(yoke_scope_open(&s));
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
        YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
        settle();
        yoke_nursery_cancel(&n, "N");
        settle();
        YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
        if (both)
            yoke_scope_cancel(&s, "S");
        YOKE_TRY(yoke_spawn(&n, fail_at_once, yoke_raise(&APP_K, "K")));
        yoke_error *e = yoke_nursery_close(&n, NULL);
        CHECK(yoke_error_find(e, &APP_K));
        CHECK(!yoke_error_find(e, &YOKE_CANCELLED) == !both);
        e = yoke_scope_close(&s, e);
        CHECK(yoke_error_count(e) == 1 && yoke_error_is(yoke_error_member(e, 0), &APP_K));
        CHECK(yoke_scope_cancelled_caught(&s) == both);
        yoke_error_free(e);
    }
    return NULL;
}

static void test_nurs_29_cancelled_of_two_scopes(void **state)
{
    run(two_scopes_in_a_group);
}

static yoke_error *shielded_nursery(void *arg)
{
    yoke_scope s, own;
    yoke_nursery n;
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_scope_set_shield(yoke_nursery_scope(&n), true);
    YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    settle();
    yoke_scope_cancel(&s, NULL);
    settle();
    CHECK(ended == 0);
    yoke_scope_options shield = {.shield = true};
    YOKE_TRY(yoke_scope_open_with(&own, &shield));
    yoke_scope_set_shield(yoke_nursery_scope(&n), false);
    YOKE_TRY(yoke_checkpoint());
    CHECK(saw_cancel == 1);
    YOKE_TRY(yoke_scope_close(&own, NULL));
    return yoke_scope_close(&s, yoke_nursery_close(&n, NULL));
}

static void test_nurs_39_shielded_nursery(void **state)
{
    run(shielded_nursery);
}

static yoke_error *spawn_for_another(void *arg)
{
    return yoke_spawn(arg, wait_forever, NULL);
}

static yoke_error *spawned_from_elsewhere(void *arg)
{
    yoke_nursery mine, other;
    YOKE_TRY(yoke_nursery_open(&mine));
    YOKE_TRY(yoke_nursery_open(&other));
    YOKE_TRY(yoke_spawn(&other, spawn_for_another, &mine));
    YOKE_TRY(yoke_nursery_close(&other, NULL));
    CHECK(!list_empty(&mine.children) && ended == 0);
    yoke_nursery_cancel(&mine, NULL);
    YOKE_TRY(yoke_nursery_close(&mine, NULL));
    CHECK(ended == 1);
    return NULL;
}

static void test_nurs_40_spawn_from_elsewhere(void **state)
{
    run(spawned_from_elsewhere);
}

static yoke_error *cancel_twice(void *arg)
{
    yoke_nursery *n = arg;
    yoke_nursery_cancel(n, "one");
    yoke_nursery_cancel(n, "two");
    return yoke_sleep_forever();
}

static yoke_error *cancelled_while_closing(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_scope_set_deadline(yoke_nursery_scope(&n), yoke_now() + YOKE_MS(2)));
    YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    YOKE_TRY(yoke_spawn(&n, cancel_twice, &n));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(saw_cancel == 1);
    YOKE_TRY(yoke_sleep(YOKE_MS(4)));
    return NULL;
}

static void test_scope_46_cancel_while_closing(void **state)
{
    run(cancelled_while_closing);
}

static yoke_error *deadline_of_a_nursery(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_scope_set_deadline(yoke_nursery_scope(&n), yoke_now() + YOKE_MS(2)));
    YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(saw_cancel == 1);
    return NULL;
}

static void test_deadline_of_a_nursery(void **state)
{
    run(deadline_of_a_nursery);
}

/* Cancelled from wherever: a child that was stopped ends its nursery, and is no error. */
static yoke_error *child_returns_cancelled(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    yoke_error *kept = yoke_checkpoint();
    YOKE_TRY(yoke_scope_close(&s, NULL));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    YOKE_TRY(yoke_spawn(&n, fail_with, kept));
    YOKE_TRY(yoke_scope_open_after_at(__FILE__, __LINE__, &s, YOKE_S(5), true));
    yoke_error *e = yoke_scope_close(&s, yoke_sleep_forever());
    CHECK(yoke_error_is_cancelled(e));
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(saw_cancel == 1);
    return NULL;
}

static void test_a_child_that_returns_cancelled_ends_the_nursery(void **state)
{
    run(child_returns_cancelled);
}

static yoke_error *reason_tells_who(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_spawn_options culprit = {.name = "culprit"};
    YOKE_TRY(yoke_spawn_with(&n, fail_at_once, yoke_raise(&APP_K, "no disk"), &culprit));
    yoke_error *e = yoke_sleep_forever();
    CHECK(strstr(yoke_error_message(e), "culprit") && strstr(yoke_error_message(e), "no disk"));
    yoke_error_free(e);
    return drop(yoke_nursery_close(&n, NULL));
}

static void test_the_cancelled_says_whose_failure_it_was(void **state)
{
    run(reason_tells_who);
}

/* ---- many ---- */

static yoke_error *park_forever(void *arg)
{
    return yoke_sleep_forever();
}

static yoke_error *many_children(void *arg)
{
    int count = *(int *)arg;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    int64_t begun = yoke_now();
    for (int i = 0; i < count; i++)
        YOKE_TRY(yoke_spawn(&n, park_forever, NULL));
    settle();
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(yoke_now() - begun < YOKE_S(60));
    CHECK(scheduler_here->live == 2);
    return NULL;
}

static void test_nurs_22_a_hundred_thousand_children(void **state)
{
    int count = (int)harness_tasks(100000);
    yoke_run_options small = {.stack_bytes = 16 << 10};
    assert_success(yoke_run(many_children, &count, &small));
}

/* ---- strict and flat ---- */

typedef yoke_error *(*close_fn)(yoke_nursery *n, yoke_error *e);
static const close_fn strict_flat_unset[] = {yoke_nursery_close_strict, yoke_nursery_close_flat,
                                             yoke_nursery_close};

static yoke_error *bare_or_not(void *arg)
{
    bool run_is_flat = *(bool *)arg;
    for (int i = 0; i < 3; i++) {
        for (int errors = 1; errors <= 2; errors++) {
            yoke_nursery n;
            YOKE_TRY(yoke_nursery_open(&n));
            YOKE_TRY(yoke_spawn(&n, raise_own, (void *)(uintptr_t)&APP_K));
            if (errors == 2)
                YOKE_TRY(yoke_spawn(&n, raise_own, (void *)(uintptr_t)&APP_L));
            yoke_error *e = strict_flat_unset[i](&n, NULL);
            bool bare = errors == 1 && (i == 1 || (i == 2 && run_is_flat));
            CHECK(yoke_error_is(e, bare ? &APP_K : &YOKE_GROUP));
            CHECK(yoke_error_count(e) == (bare ? 0 : (size_t)errors));
            yoke_error_free(e);
        }
    }
    return NULL;
}

static void test_nurs_30_strict_flat_and_the_runs_default(void **state)
{
    for (int flat_run = 0; flat_run < 2; flat_run++) {
        bool is_flat = flat_run;
        assert_success(yoke_run(bare_or_not, &is_flat, &(yoke_run_options){.flat = is_flat}));
    }
}

/* A nursery inside of another, each with one that fails and one that sleeps. */
static yoke_error *collapse_after_cancelled(void *arg)
{
    for (int i = 0; i < 2; i++) {
        yoke_nursery outer, inner;
        YOKE_TRY(yoke_nursery_open(&outer));
        YOKE_TRY(yoke_spawn(&outer, raise_own, (void *)(uintptr_t)&APP_K));
        YOKE_TRY(yoke_spawn(&outer, wait_forever, NULL));
        YOKE_TRY(yoke_nursery_open(&inner));
        YOKE_TRY(yoke_spawn(&inner, raise_own, (void *)(uintptr_t)&APP_L));
        YOKE_TRY(yoke_spawn(&inner, wait_forever, NULL));
        yoke_nursery_cancel(&outer, NULL);
        yoke_error *e = yoke_nursery_close(&outer, strict_flat_unset[i](&inner, NULL));
        /* Inner's group is one of one only when outer's close has taken the sleeper's Cancelled out. */
        CHECK(yoke_error_count(e) == 2 && !yoke_error_find(e, &YOKE_CANCELLED));
        CHECK(yoke_error_is(yoke_error_member(e, 0), &APP_K));
        CHECK(yoke_error_is(yoke_error_member(e, 1), i ? &APP_L : &YOKE_GROUP));
        CHECK(yoke_error_find(e, &APP_L));
        yoke_error_free(e);
    }
    return NULL;
}

static void test_nurs_31_collapse_after_cancelled_is_taken_out(void **state)
{
    run(collapse_after_cancelled);
}

/* ---- deep ---- */

struct deep {
    int levels;
    bool fails;
    yoke_event *bottom;
};

static yoke_error *go_deeper(void *arg)
{
    const struct deep *d = arg;
    if (!d->levels) {
        yoke_event_set(d->bottom);
        return d->fails ? yoke_raise(&APP_K, "at the bottom") : yoke_sleep_forever();
    }
    struct deep below = {d->levels - 1, d->fails, d->bottom};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return yoke_nursery_close(&n, yoke_spawn(&n, go_deeper, &below));
}

static yoke_error *deep_trees(void *arg)
{
    int levels = *(int *)arg;
    yoke_event bottom;
    yoke_event_init(&bottom);
    struct deep fails = {levels, true, &bottom}, sleeps = {levels, false, &bottom};
    yoke_error *e = go_deeper(&fails);
    CHECK(yoke_error_is(yoke_error_find(e, &APP_K), &APP_K));
    int depth = 0;
    for (const yoke_error *at = e; yoke_error_count(at); at = yoke_error_member(at, 0))
        depth++;
    CHECK(depth == levels);
    char *text = yoke_error_text(e);
    CHECK(text && strstr(text, "cut"));
    free(text);
    yoke_error_free(e);

    yoke_nursery n;
    yoke_event_init(&bottom);
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, go_deeper, &sleeps));
    YOKE_TRY(yoke_event_wait(&bottom));
    int64_t begun = yoke_now();
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(yoke_now() - begun < YOKE_S(20));
    return NULL;
}

static void test_nurs_42_deep_trees(void **state)
{
    int levels = RUNNING_ON_VALGRIND ? 500 : 10000;
#if defined(__SANITIZE_THREAD__)
    levels = 500; /* a fiber each */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    levels = 500;
#endif
#endif
    yoke_run_options options = {.stack_bytes = 64 << 10};
    assert_success(yoke_run(deep_trees, &levels, &options));
}

static yoke_error *numbers(void *arg)
{
    yoke_nursery n;
    yoke_nursery_statistics s;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, no_checkpoint, NULL));
    YOKE_TRY(yoke_spawn(&n, wait_forever, NULL));
    yoke_nursery_get_statistics(&n, &s);
    CHECK(s.children == 2 && s.spawned == 2 && s.pending_starts == 0);
    CHECK(!strcmp(yoke_task_name(s.oldest), "no_checkpoint"));
    settle();
    yoke_nursery_get_statistics(&n, &s);
    CHECK(s.children == 1 && s.spawned == 2 && !strcmp(yoke_task_name(s.oldest), "wait_forever"));
    yoke_nursery_cancel(&n, NULL);
    settle();
    yoke_nursery_get_statistics(&n, &s);
    CHECK(s.children == 0 && !s.oldest);
    return yoke_nursery_close(&n, NULL);
}

static void test_nurs_23_statistics(void **state)
{
    run(numbers);
}

/* ---- misuse ---- */

static void run_to_death(yoke_task_fn fn)
{
    yoke_error_free(yoke_run(fn, NULL, NULL));
}

static yoke_error *close_out_of_order(void *arg)
{
    yoke_nursery a, b;
    YOKE_TRY(yoke_nursery_open_at("outer.c", 11, &a));
    YOKE_TRY(yoke_nursery_open_at("inner.c", 22, &b));
    return yoke_nursery_close(&a, NULL);
}

static void die_out_of_order(void)
{
    run_to_death(close_out_of_order);
}

static void test_nurs_19_closing_out_of_order_dies(void **state)
{
    assert_death(die_out_of_order, "nursery", "outer.c:11", "inner.c:22", "main");
}

static yoke_error *leave_open(void *arg)
{
    static yoke_nursery n;
    YOKE_TRY(yoke_nursery_open_at("left.c", 33, &n));
    YOKE_TRY(yoke_spawn(&n, park_forever, NULL));
    return NULL;
}

static yoke_error *child_leaves_open(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, leave_open, NULL));
    return yoke_nursery_close(&n, NULL);
}

static void die_main_left_open(void)
{
    run_to_death(leave_open);
}

static void die_child_left_open(void)
{
    run_to_death(child_leaves_open);
}

static void test_nurs_20_a_task_ends_with_a_nursery_open(void **state)
{
    assert_death(die_main_left_open, "nursery", "left.c:33", "main");
    assert_death(die_child_left_open, "nursery", "left.c:33", "leave_open");
}

static yoke_error *close_twice(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open_at("twice.c", 44, &n));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    return yoke_nursery_close(&n, NULL);
}

static yoke_error *close_parents(void *arg)
{
    return yoke_nursery_close(arg, NULL);
}

static yoke_error *closed_by_its_child(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open_at("parent.c", 55, &n));
    YOKE_TRY(yoke_spawn(&n, close_parents, &n));
    return yoke_nursery_close(&n, NULL);
}

static yoke_error *close_as_scope(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open_at("asscope.c", 66, &n));
    return yoke_scope_close(yoke_nursery_scope(&n), NULL);
}

static void die_closed_twice(void)
{
    run_to_death(close_twice);
}
static void die_closed_by_child(void)
{
    run_to_death(closed_by_its_child);
}
static void die_closed_as_scope(void)
{
    run_to_death(close_as_scope);
}

static void test_nurs_21_use_after_close_dies(void **state)
{
    assert_death(die_closed_twice, "twice.c:44", "closed already");
    assert_death(die_closed_by_child, "close_parents", "parent.c:55", "main");
    assert_death(die_closed_as_scope, "asscope.c:66", "as a scope");
}

static yoke_error *nursery_without_memory(void *arg)
{
    size_t live = memory_live();
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(memory_live() == live);
    memory_fail_after(0);
    yoke_error *e = yoke_nursery_open(&n);
    bool asked = memory_fail_after(SIZE_MAX);
    CHECK(!e && !asked);
    return yoke_nursery_close(&n, NULL);
}

static void test_nurs_21_no_allocation_for_the_nursery(void **state)
{
    run(nursery_without_memory);
}

static yoke_error *out_of_stacks(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, wait_a_bit, NULL));
    yoke_spawn_options large = {.stack_bytes = 4 << 20};
    memory_fail_after(0);
    yoke_error *refused = yoke_spawn_with(&n, wait_a_bit, NULL, &large);
    memory_fail_after(SIZE_MAX);
    CHECK(was_kind(refused, &YOKE_NO_MEMORY));
    YOKE_TRY(yoke_spawn(&n, wait_a_bit, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(ended == 2);
    return NULL;
}

static void test_task_22_out_of_stacks(void **state)
{
    run(out_of_stacks);
}

/* Five real errors, and a Cancelled from outside, with every allocation refused once: whichever fails, an
 * error of each sort is told. */
static yoke_error *errors_without_memory(void *arg)
{
    yoke_error *real[5];
    for (int i = 0; i < 5; i++)
        real[i] = yoke_raise(&APP_K, "error %d", i);
    for (size_t at = 0; at < 3; at++) {
        yoke_nursery n;
        yoke_error *e = yoke_nursery_open(&n);
        for (int i = 0; i < 5 && !e; i++)
            e = yoke_spawn(&n, fail_at_once, yoke_error_dup(real[i]));
        memory_fail_after(at);
        e = yoke_nursery_close(&n, e);
        memory_fail_after(SIZE_MAX);
        bool told = yoke_error_find(e, &APP_K) != NULL;
        yoke_error_free(e);
        CHECK(told);
    }
    for (int i = 0; i < 5; i++)
        yoke_error_free(real[i]);
    return NULL;
}

static void test_sys_03_no_error_is_lost_without_memory(void **state)
{
    run(errors_without_memory);
}

HARNESS_MAIN(
    TEST(test_nurs_01_close_waits_for_all), TEST(test_nurs_02_a_childs_error_cancels_the_rest),
    TEST(test_nurs_03_the_bodys_error_cancels_the_children), TEST(test_nurs_04_several_errors),
    TEST(test_nurs_05_flat_unwraps_a_group_of_one), TEST(test_nurs_06_nested_groups_keep_their_shape),
    TEST(test_nurs_07_errors_while_being_cancelled), TEST(test_nurs_08_children_may_spawn_while_it_closes),
    TEST(test_task_04_spawn_into_a_closed_nursery), TEST(test_task_04_spawn_into_a_cancelled_nursery),
    TEST(test_scope_25_a_task_is_in_its_nurserys_scope), TEST(test_nurs_09_cancel_by_its_scope),
    TEST(test_nurs_10_outer_cancellation), TEST(test_nurs_26_closing_yields_but_does_not_look),
    TEST(test_nurs_27_close_never_makes_a_cancellation), TEST(test_nurs_28_a_childs_failure_wakes_the_body),
    TEST(test_nurs_29_cancelled_of_two_scopes), TEST(test_nurs_39_shielded_nursery),
    TEST(test_nurs_40_spawn_from_elsewhere), TEST(test_scope_46_cancel_while_closing),
    TEST(test_deadline_of_a_nursery), TEST(test_a_child_that_returns_cancelled_ends_the_nursery),
    TEST(test_the_cancelled_says_whose_failure_it_was), TEST(test_nurs_22_a_hundred_thousand_children),
    TEST(test_nurs_19_closing_out_of_order_dies), TEST(test_nurs_20_a_task_ends_with_a_nursery_open),
    TEST(test_nurs_21_use_after_close_dies), TEST(test_nurs_21_no_allocation_for_the_nursery),
    TEST(test_task_22_out_of_stacks), TEST(test_sys_03_no_error_is_lost_without_memory),
    TEST(test_nurs_30_strict_flat_and_the_runs_default),
    TEST(test_nurs_31_collapse_after_cancelled_is_taken_out), TEST(test_nurs_42_deep_trees),
    TEST(test_nurs_23_statistics))
