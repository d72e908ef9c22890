/* Starting with a handshake: what is returned to whom, who cancels whom, what holds a nursery open. */
#include "child.h"
#include "task/task.h"

#include <pthread.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static int ended, saw_cancel;
static char value[] = "value";

static void run(yoke_task_fn fn)
{
    ended = saw_cancel = 0;
    assert_success(yoke_run(fn, NULL, NULL));
}

/* On a clock that jumps when all are blocked: seconds cost nothing, and are exact. */
static void run_on_mock_clock(yoke_task_fn fn)
{
    yoke_mock_clock mock;
    yoke_mock_clock_init(&mock);
    assert_success(yoke_mock_clock_set_autojump(&mock, 0));
    ended = saw_cancel = 0;
    assert_success(yoke_run(fn, NULL, &(yoke_run_options){.clock = &mock.clock}));
}

static yoke_error *sleeper(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    saw_cancel += yoke_error_is_cancelled(e);
    ended++;
    return e;
}

/* ---- the handshake ---- */

static size_t children_of(yoke_nursery *n)
{
    size_t count = 0;
    list_for_each(node, &n->children)
        count++;
    return count;
}

static yoke_error *ready_after_a_while(void *arg)
{
    YOKE_TRY(yoke_sleep(*(int64_t *)arg));
    YOKE_TRY(yoke_started(value));
    YOKE_TRY(yoke_sleep(*(int64_t *)arg));
    ended++;
    return NULL;
}

static yoke_error *handshake(void *arg)
{
    for (int64_t s = YOKE_S(1); s <= YOKE_S(2); s += YOKE_S(1)) {
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        int64_t begun = yoke_now();
        void *got = NULL;
        ended = 0;
        YOKE_TRY(yoke_start(&n, ready_after_a_while, &s, &got));
        CHECK(got == value && ended == 0 && children_of(&n) == 1);
        CHECK(yoke_now() - begun == s);
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        CHECK(yoke_now() - begun == 2 * s && ended == 1);
    }
    return NULL;
}

static void test_nurs_11_start_and_started(void **state)
{
    run_on_mock_clock(handshake);
}

static yoke_error *fail_with(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    return arg;
}

static yoke_error *ready_then_fail(void *arg)
{
    YOKE_TRY(yoke_started(NULL));
    YOKE_TRY(yoke_checkpoint());
    return arg;
}

static yoke_error *fails_before(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *mine = yoke_raise(&APP_K, "mine");
    yoke_error *e = yoke_start(&n, fail_with, mine, NULL);
    CHECK(e == mine && !yoke_scope_cancel_called(&n.scope));
    yoke_error_free(e);
    YOKE_TRY(yoke_checkpoint());
    return yoke_nursery_close(&n, NULL);
}

static void test_nurs_12_error_before_started(void **state)
{
    run(fails_before);
}

static yoke_error *never_says_so(void *arg)
{
    return yoke_checkpoint();
}

static yoke_error *returns_before(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_start(&n, never_says_so, NULL, NULL);
    CHECK(strstr(yoke_error_message(e), "`never_says_so` ended without yoke_started"));
    CHECK(was_kind(e, &YOKE_USAGE));
    return yoke_nursery_close(&n, NULL);
}

static void test_nurs_13_returns_before_started(void **state)
{
    run(returns_before);
}

static yoke_error *says_so_twice(void *arg)
{
    YOKE_TRY(yoke_started(value));
    CHECK(was_kind(yoke_started(NULL), &YOKE_USAGE));
    YOKE_TRY(yoke_checkpoint());
    CHECK(was_kind(yoke_started(NULL), &YOKE_USAGE));
    ended++;
    return NULL;
}

static yoke_error *started_twice(void *arg)
{
    yoke_nursery n;
    void *got = NULL;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_start(&n, says_so_twice, NULL, &got));
    CHECK(got == value);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(ended == 1);
    return NULL;
}

static void test_nurs_14_started_twice(void **state)
{
    run(started_twice);
}

static yoke_error *plainly_spawned(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, ready_then_fail, NULL));
    YOKE_TRY(yoke_started(NULL));
    return yoke_nursery_close(&n, NULL);
}

static void test_nurs_35_started_without_start(void **state)
{
    run(plainly_spawned);
    assert_error(yoke_started(NULL), &YOKE_USAGE);
}

static yoke_error *touch(void *arg)
{
    ended++;
    return NULL;
}

static yoke_error *start_into_closed(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(was_kind(yoke_start(&n, touch, NULL, NULL), &YOKE_CLOSED));
    YOKE_TRY(yoke_checkpoint());
    CHECK(ended == 0);
    return NULL;
}

static void test_nurs_34_start_into_a_closed_nursery(void **state)
{
    run(start_into_closed);
    yoke_nursery n = {.closed = false};
    assert_error(yoke_start(&n, touch, NULL, NULL), &YOKE_USAGE);
}

static yoke_error *opener_here(void *arg)
{
    yoke_nursery *other = arg;
    CHECK(was_kind(yoke_start(other, touch, NULL, NULL), &YOKE_USAGE));
    return NULL;
}

static void *run_elsewhere(void *arg)
{
    return yoke_run(opener_here, arg, NULL);
}

static yoke_error *from_another_thread(void *arg)
{
    yoke_nursery n;
    void *e = NULL;
    pthread_t thread;
    YOKE_TRY(yoke_nursery_open(&n));
    CHECK(!pthread_create(&thread, NULL, run_elsewhere, &n));
    pthread_join(thread, &e);
    CHECK(ended == 0 && n.pending_starts == 0);
    return yoke_nursery_close(&n, e);
}

static void test_nurs_40_start_from_another_thread(void **state)
{
    run(from_another_thread);
}

/* ---- cancelled meanwhile ---- */

static yoke_error *starter_is_cancelled(void *arg)
{
    yoke_nursery n;
    yoke_scope s;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(10)));
    yoke_error *e = yoke_start(&n, sleeper, NULL, NULL);
    CHECK(yoke_error_is_cancelled(e) && saw_cancel == 1);
    YOKE_TRY(yoke_scope_close(&s, e));
    CHECK(yoke_scope_cancelled_caught(&s) && !yoke_scope_cancel_called(&n.scope));
    YOKE_TRY(yoke_checkpoint());
    return yoke_nursery_close(&n, NULL);
}

static void test_nurs_15_caller_cancelled_while_waiting(void **state)
{
    run(starter_is_cancelled);
}

/* Opens a nursery with two sleepers, says that it is ready when `go` is set, and sleeps. */
static yoke_event go;

static yoke_error *family(void *arg)
{
    yoke_nursery mine;
    YOKE_TRY(yoke_nursery_open(&mine));
    yoke_error *e = yoke_spawn(&mine, sleeper, NULL);
    if (!e)
        e = yoke_spawn(&mine, sleeper, NULL);
    if (!e)
        e = yoke_event_wait(&go);
    if (!e)
        e = yoke_started(value);
    if (!e)
        e = sleeper(NULL);
    return yoke_nursery_close(&mine, e);
}

struct pending {
    yoke_nursery *target;
    yoke_scope scope;
    bool done;
    void *got;
};

static yoke_error *start_family(void *arg)
{
    struct pending *p = arg;
    YOKE_TRY(yoke_scope_open(&p->scope));
    yoke_error *e = yoke_start(p->target, family, NULL, &p->got);
    p->done = !e;
    if (!e)
        e = yoke_sleep_forever(); /* in the scope that the started task is in no more */
    return yoke_scope_close(&p->scope, e);
}

/* The target is cancelled a moment before started. */
static yoke_error *target_is_cancelled(void *arg)
{
    yoke_nursery outer, n;
    yoke_event_init(&go);
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_nursery_open(&n));
    struct pending p = {.target = &n};
    YOKE_TRY(yoke_spawn(&outer, start_family, &p));
    settle();
    yoke_nursery_cancel(&n, NULL);
    settle();
    CHECK(!p.done && saw_cancel == 0); /* the task is not there yet */
    yoke_event_set(&go);
    settle();
    CHECK(p.done && p.got == value && saw_cancel == 3 && ended == 3);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    yoke_nursery_cancel(&outer, NULL);
    return yoke_nursery_close(&outer, NULL);
}

static void test_nurs_16_the_target_is_cancelled_meanwhile(void **state)
{
    run(target_is_cancelled);
}

/* Those asleep in the family are told though they have no next checkpoint; the shielded one is not. */
static yoke_error *shielded_family(void *arg)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = yoke_started(NULL);
    if (!e)
        e = yoke_sleep(YOKE_MS(5));
    ended += !e;
    return yoke_scope_close(&shield, e);
}

static yoke_error *shield_moves_along(void *arg)
{
    yoke_nursery n;
    yoke_scope outer;
    YOKE_TRY(yoke_scope_open(&outer));
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_start(&n, shielded_family, NULL, NULL));
    yoke_scope_cancel(&outer, NULL);
    yoke_error *e = yoke_nursery_close(&n, NULL);
    CHECK(!e && ended == 1);
    return yoke_scope_close(&outer, e);
}

static void test_nurs_16_a_shield_moves_along(void **state)
{
    run(shield_moves_along);
}

static yoke_error *subtree_moves(void *arg)
{
    yoke_nursery outer, n;
    yoke_event_init(&go);
    yoke_event_set(&go);
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_nursery_open(&n));
    struct pending p = {.target = &n};
    YOKE_TRY(yoke_spawn(&outer, start_family, &p));
    settle();
    CHECK(p.done && children_of(&n) == 1);
    yoke_scope_cancel(&p.scope, NULL);
    settle();
    CHECK(saw_cancel == 0 && children_of(&outer) == 0);
    yoke_nursery_cancel(&n, NULL);
    settle();
    CHECK(saw_cancel == 3);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    return yoke_nursery_close(&outer, NULL);
}

static void test_nurs_37_started_moves_the_whole_subtree(void **state)
{
    run(subtree_moves);
}

static yoke_error *ready_and_cancel_the_starter(void *arg)
{
    struct pending *p = arg;
    YOKE_TRY(yoke_started(value));
    yoke_scope_cancel(&p->scope, NULL);
    return yoke_checkpoint();
}

static yoke_error *start_it(void *arg)
{
    struct pending *p = arg;
    YOKE_TRY(yoke_scope_open(&p->scope));
    yoke_error *e = yoke_start(p->target, ready_and_cancel_the_starter, p, &p->got);
    p->done = !e;
    if (!e)
        e = yoke_checkpoint();
    return yoke_scope_close(&p->scope, e);
}

static yoke_error *cancel_after_started(void *arg)
{
    yoke_nursery outer, n;
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_nursery_open(&n));
    struct pending p = {.target = &n};
    YOKE_TRY(yoke_spawn(&outer, start_it, &p));
    settle();
    CHECK(p.done && p.got == value && yoke_scope_cancelled_caught(&p.scope));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    return yoke_nursery_close(&outer, NULL);
}

static void test_nurs_17_cancel_between_started_and_return(void **state)
{
    run(cancel_after_started);
}

enum ending { WITHOUT_CHECKPOINT, WITH_CHECKPOINT, WITH_ERROR };

static yoke_error *ready_too_late(void *arg)
{
    enum ending how = *(enum ending *)arg;
    YOKE_TRY(yoke_started(value));
    CHECK(was_kind(yoke_started(value), &YOKE_USAGE));
    if (how == WITH_CHECKPOINT)
        return yoke_checkpoint();
    return how == WITH_ERROR ? yoke_raise(&APP_K, "mine") : NULL;
}

static yoke_error *started_in_cancelled(void *arg)
{
    for (enum ending how = WITHOUT_CHECKPOINT; how <= WITH_ERROR; how++) {
        yoke_nursery n;
        yoke_scope s;
        void *got = &got;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_scope_open(&s));
        yoke_scope_cancel(&s, NULL);
        yoke_error *e = yoke_start(&n, ready_too_late, &how, &got);
        CHECK((e == NULL) == (how == WITHOUT_CHECKPOINT));
        CHECK(e || got == NULL);
        CHECK(how != WITH_CHECKPOINT || yoke_error_is_cancelled(e));
        CHECK(how != WITH_ERROR || yoke_error_is(e, &APP_K));
        CHECK(children_of(&n) == 0);
        e = yoke_scope_close(&s, e);
        CHECK(yoke_scope_cancelled_caught(&s) == (how == WITH_CHECKPOINT));
        yoke_error_free(e);
        YOKE_TRY(yoke_nursery_close(&n, NULL));
    }
    return NULL;
}

static void test_nurs_18_started_in_a_cancelled_scope(void **state)
{
    run(started_in_cancelled);
}

/* ---- holding open ---- */

struct late {
    yoke_nursery *target;
    int64_t begin, ready, work;
    yoke_error *fails;
    yoke_error *told;
};

static yoke_error *work_late(void *arg)
{
    struct late *l = arg;
    YOKE_TRY(yoke_sleep(l->ready));
    if (l->fails)
        return l->fails;
    YOKE_TRY(yoke_started(NULL));
    return yoke_sleep(l->work);
}

static yoke_error *start_late(void *arg)
{
    struct late *l = arg;
    YOKE_TRY(yoke_sleep(l->begin));
    l->told = yoke_start(l->target, work_late, l, NULL);
    return NULL;
}

static yoke_error *pending_holds(void *arg)
{
    yoke_nursery outer, n;
    int64_t begun = yoke_now();
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_nursery_open(&n));
    struct late a = {&n, 0, YOKE_S(2), YOKE_S(3), NULL, NULL},
                b = {&n, YOKE_S(1), YOKE_S(2), YOKE_S(3), NULL, NULL};
    YOKE_TRY(yoke_spawn(&outer, start_late, &a));
    YOKE_TRY(yoke_spawn(&outer, start_late, &b));
    YOKE_TRY(yoke_sleep(YOKE_S(1)));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(!a.told && !b.told && yoke_now() - begun == YOKE_S(6));
    YOKE_TRY(yoke_nursery_close(&outer, NULL));

    begun = yoke_now();
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_nursery_open(&n));
    struct late c = {&n, 0, YOKE_S(7), 0, yoke_raise(&APP_K, "late"), NULL};
    YOKE_TRY(yoke_spawn(&outer, start_late, &c));
    YOKE_TRY(yoke_checkpoint());
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(yoke_now() - begun == YOKE_S(7));
    YOKE_TRY(yoke_nursery_close(&outer, NULL));
    CHECK(was_kind(c.told, &APP_K));
    return NULL;
}

static void test_nurs_33_a_pending_start_holds_the_nursery_open(void **state)
{
    run_on_mock_clock(pending_holds);
}

/* ---- whose failure ---- */

static yoke_error *swallow(void *arg)
{
    yoke_error_free(yoke_sleep_forever());
    return NULL;
}

static yoke_error *sibling_fails(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *mine = yoke_raise(&APP_K, "mine");
    YOKE_TRY(yoke_spawn(&n, fail_with, mine));
    yoke_error *e = yoke_start(&n, swallow, NULL, NULL);
    CHECK(yoke_error_is_cancelled(e));
    e = yoke_nursery_close(&n, e);
    CHECK(yoke_error_count(e) == 1 && yoke_error_member(e, 0) == mine);
    return drop(e);
}

static yoke_error *outer_is_cancelled(void *arg)
{
    yoke_nursery n;
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_scope_set_deadline(&s, yoke_now() + YOKE_MS(5)));
    yoke_error *e = yoke_start(&n, swallow, NULL, NULL);
    CHECK(yoke_error_is_cancelled(e));
    e = yoke_nursery_close(&n, e);
    CHECK(yoke_error_is_cancelled(e));
    return yoke_scope_close(&s, e);
}

static void test_nurs_36_a_cancel_in_flight_is_no_start_failure(void **state)
{
    run(sibling_fails);
    run(outer_is_cancelled);
}

/* Of a task that fails before or after it is ready, with an error or a group of its own. */
static yoke_error *comes_bare(void *arg)
{
    for (int i = 0; i < 8; i++) {
        bool flat = i & 1, after = i & 2, group = i & 4;
        yoke_error *mine = yoke_raise(&APP_K, "mine");
        if (group)
            mine = yoke_error_group((yoke_error *[]){mine, yoke_raise(&APP_K, "too")}, 2, "the user's");
        yoke_error_note(mine, "noted");
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        yoke_error *e = yoke_start(&n, after ? ready_then_fail : fail_with, mine, NULL);
        CHECK(e == (after ? NULL : mine));
        e = flat ? yoke_nursery_close_flat(&n, e) : yoke_nursery_close(&n, e);
        CHECK(flat || (yoke_error_count(e) == 1 && yoke_error_is(e, &YOKE_GROUP)));
        CHECK((flat ? e : yoke_error_member(e, 0)) == mine);
        yoke_error_free(e);
    }
    /* A group of one that the user made stays one, on its way through start. */
    yoke_nursery n;
    yoke_error *one = yoke_error_group((yoke_error *[]){yoke_raise(&APP_K, "mine")}, 1, "one");
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_start(&n, fail_with, one, NULL);
    CHECK(e == one && yoke_error_count(e) == 1);
    yoke_error_free(e);
    return yoke_nursery_close(&n, NULL);
}

static void test_nurs_32_an_error_before_started_comes_bare(void **state)
{
    run(comes_bare);
}

/* A stray task in start's own nursery. */
static yoke_error *fail_at_once(void *arg)
{
    return arg;
}

static yoke_error *leaves_a_task(void *arg)
{
    YOKE_TRY(yoke_spawn(yoke_task_nursery(yoke_current_task()), fail_at_once, yoke_raise(&APP_K, "stray")));
    return yoke_raise(&APP_K, "own");
}

static yoke_error *stray(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_start(&n, leaves_a_task, NULL, NULL);
    CHECK(yoke_error_is(e, &YOKE_INTERNAL) && yoke_error_count(yoke_error_cause(e)) == 2);
    yoke_error_free(e);
    return yoke_nursery_close(&n, NULL);
}

static void test_nurs_38_tasks_left_in_starts_own_nursery(void **state)
{
    run(stray);
}

/* A nursery that a service hands on: a task in it fails while another start into it is pending. */
static yoke_error *service(void *arg)
{
    yoke_nursery mine;
    YOKE_TRY(yoke_nursery_open(&mine));
    yoke_error *e = yoke_started(&mine);
    if (!e)
        e = yoke_sleep_forever();
    return yoke_nursery_close(&mine, e);
}

static yoke_error *handed_on(void *arg)
{
    yoke_nursery n;
    yoke_scope patience;
    void *theirs = NULL;
    int64_t begun = yoke_now();
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_start(&n, service, NULL, &theirs));
    YOKE_TRY(yoke_start(theirs, ready_then_fail, yoke_raise(&APP_K, "the task's"), NULL));
    /* It is the starter's till it is ready: the end of `theirs` does not reach it, and waits for it. */
    YOKE_TRY(yoke_fail_after(&patience, YOKE_MS(30)));
    yoke_error *e = yoke_scope_close(&patience, yoke_start(theirs, sleeper, NULL, NULL));
    CHECK(yoke_error_is(e, &YOKE_TOO_SLOW) && saw_cancel == 1);
    e = yoke_nursery_close(&n, e);
    CHECK(yoke_now() - begun < YOKE_S(1));
    CHECK(yoke_error_find(e, &APP_K) && !yoke_error_find(e, &YOKE_CANCELLED));
    return drop(e);
}

static void test_nurs_41_a_nursery_handed_on(void **state)
{
    run(handed_on);
}

/* ---- links upward ---- */

static yoke_nursery *the_target;

static yoke_error *look_up(void *arg)
{
    yoke_task *me = yoke_current_task(), *starter = arg;
    yoke_nursery *first = yoke_task_nursery(me);
    CHECK(first != the_target && yoke_task_eventual_nursery(me) == the_target);
    CHECK(yoke_nursery_opener(first) == starter);
    YOKE_TRY(yoke_started(NULL));
    CHECK(yoke_task_nursery(me) == the_target && !yoke_task_eventual_nursery(me));
    int levels = 0;
    for (const yoke_task *t = me; t; t = yoke_nursery_opener(yoke_task_nursery(t)))
        CHECK(++levels < 10);
    CHECK(levels == 3); /* this one, the main task, the first one */
    return NULL;
}

static yoke_error *links(void *arg)
{
    yoke_task *me = yoke_current_task();
    yoke_nursery a, b, *found[2] = {NULL, NULL};
    yoke_scope s;
    CHECK(yoke_task_nurseries(me, found, 2) == 0);
    YOKE_TRY(yoke_nursery_open(&a));
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_nursery_open(&b));
    CHECK(yoke_task_nurseries(me, found, 2) == 2 && found[0] == &a && found[1] == &b);
    found[1] = NULL;
    CHECK(yoke_task_nurseries(me, found, 1) == 2 && found[0] == &a && !found[1]);
    the_target = &a;
    YOKE_TRY(yoke_start(&a, look_up, me, NULL));
    YOKE_TRY(yoke_nursery_close(&b, NULL));
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(yoke_task_nurseries(me, found, 2) == 1);
    YOKE_TRY(yoke_nursery_close(&a, NULL));
    CHECK(yoke_task_nurseries(me, found, 2) == 0 && yoke_task_nurseries(NULL, found, 2) == 0);
    CHECK(!yoke_task_nursery(NULL) && !yoke_nursery_opener(NULL) && !yoke_task_eventual_nursery(NULL));
    return NULL;
}

static void test_task_20_links_upward(void **state)
{
    run(links);
}

/* ---- without memory ---- */

static yoke_error *ready_at_once(void *arg)
{
    YOKE_TRY(yoke_started(value));
    return yoke_checkpoint();
}

static yoke_error *start_some(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_spawn_options large = {.stack_bytes = 4 << 20};
    yoke_error *e = yoke_start_with(&n, ready_at_once, NULL, NULL, &large);
    if (!e)
        e = yoke_start(&n, ready_at_once, NULL, NULL);
    return yoke_nursery_close(&n, e);
}

static void test_sys_03_start_without_memory(void **state)
{
    refuse_each_allocation(start_some, NULL);
}

HARNESS_MAIN(TEST(test_nurs_11_start_and_started), TEST(test_nurs_12_error_before_started),
             TEST(test_nurs_13_returns_before_started), TEST(test_nurs_14_started_twice),
             TEST(test_nurs_35_started_without_start), TEST(test_nurs_34_start_into_a_closed_nursery),
             TEST(test_nurs_40_start_from_another_thread), TEST(test_nurs_15_caller_cancelled_while_waiting),
             TEST(test_nurs_16_the_target_is_cancelled_meanwhile), TEST(test_nurs_16_a_shield_moves_along),
             TEST(test_nurs_37_started_moves_the_whole_subtree),
             TEST(test_nurs_17_cancel_between_started_and_return),
             TEST(test_nurs_18_started_in_a_cancelled_scope),
             TEST(test_nurs_33_a_pending_start_holds_the_nursery_open),
             TEST(test_nurs_36_a_cancel_in_flight_is_no_start_failure),
             TEST(test_nurs_32_an_error_before_started_comes_bare),
             TEST(test_nurs_38_tasks_left_in_starts_own_nursery), TEST(test_nurs_41_a_nursery_handed_on),
             TEST(test_task_20_links_upward), TEST(test_sys_03_start_without_memory))
