/* Actor nurseries: actors for one call, what comes out when several fail, nurseries in nurseries and in
 * children. */
#include "tree.h"

#include <errno.h>
#include <signal.h>

YOKE_ERROR_KIND(APP_ASSERTION, "test.Assertion", NULL);
YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- endpoints ---- */

YOKE_RECORD(pair, (i64, a), (i64, b));
YOKE_RECORD(triple, (i64, a), (i64, b), (i64, c));
YOKE_RECORD(sum, (i64, n), (i64, pid));
YOKE_RECORD(word, (str, s));
YOKE_RECORD(nap, (i64, ns));

static yoke_error *add(const pair *args, sum *result)
{
    *result = (sum){args->a + args->b, getpid()};
    return NULL;
}
static yoke_error *who_am_i(const yoke_type_none *args, word *result)
{
    result->s = strdup(yoke_current_actor()->name);
    return NULL;
}
static yoke_error *nothing(const yoke_type_none *args, yoke_type_none *result)
{
    return NULL;
}
static yoke_error *doze(const nap *args, yoke_type_none *result)
{
    return yoke_sleep(args->ns);
}
static yoke_error *claim_wrong(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&APP_ASSERTION, "1 is not 2");
}
static yoke_error *link_up(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep_forever();
}
YOKE_MODULE(ends, YOKE_CALL(add, pair, sum), YOKE_CALL(who_am_i, none, word), YOKE_CALL(nothing, none, none),
            YOKE_CALL(doze, nap, none), YOKE_CALL(claim_wrong, none, none),
            YOKE_CONTEXT(link_up, none, none, none));

/* ---- helpers ---- */

static yoke_error *start_one(struct scene *s, const char *name, yoke_portal **portal)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "ends"}, portal);
}

static yoke_error *wait_count(struct scene *s, size_t left)
{
    int64_t begin = yoke_now();
    while (yoke_actors_count(s->actors) != left) {
        CHECK(tree_ms_since(begin) < 2000 * TREE_SLOW);
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return NULL;
}

/* ---- actors for one call ---- */

static yoke_error *value_and_reaped(struct scene *s)
{
    yoke_portal *daemon;
    sum got;
    YOKE_TRY(start_one(s, "daemon", &daemon));
    YOKE_TRY(yoke_actors_run(s->actors, "adder", "ends:add", &(pair){40, 2}, &got));
    YOKE_TRY(wait_count(s, 1)); /* the daemon is left */
    CHECK(got.n == 42 && got.pid != getpid());
    CHECK(kill((pid_t)got.pid, 0) < 0 && errno == ESRCH);
    return yoke_call(daemon, "ends:nothing", NULL, NULL);
}
static void test_rpc_21_value_arrives_and_the_actor_is_reaped(void **state)
{
    assert_success(tree_with_actors(value_and_reaped, NULL));
}

struct answers {
    sum added;
    word name;
    yoke_type_none none;
};
/* No cancel here: the close waits for the tasks, and they are no daemons. */
static yoke_error *run_three(void *arg)
{
    struct answers *a = arg;
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e = yoke_actors_run(actors, "adder", "ends:add", &(pair){1, 2}, &a->added);
    if (!e)
        e = yoke_actors_run(actors, NULL, "ends:who_am_i", NULL, &a->name);
    if (!e)
        e = yoke_actors_run(actors, "idle", "ends:nothing", NULL, NULL);
    return yoke_actors_close(actors, e);
}
static yoke_error *run_and_look(void *arg)
{
    struct answers a;
    sum here;
    int64_t begin = yoke_now();
    YOKE_TRY(run_three(&a));
    int took = tree_ms_since(begin);
    bool named = strcmp(a.name.s, "who_am_i") == 0;
    word_free(&a.name);
    CHECK(named && a.added.n == 3 && took < 3000 * TREE_SLOW);
    YOKE_TRY(add(&(pair){1, 2}, &here)); /* the same function works here, too */
    CHECK(here.n == a.added.n && here.pid == getpid() && a.added.pid != getpid());
    return NULL;
}
static void test_spawn_07_an_actor_for_one_call(void **state)
{
    assert_success(tree_run(run_and_look, NULL));
}

static yoke_error *ask_for_result(struct scene *s)
{
    yoke_portal *p;
    sum kept, got;
    YOKE_TRY(start_one(s, "adder", &p));
    YOKE_TRY(yoke_portal_run(p, "ends:add", &(pair){2, 3}, &kept));
    for (int i = 0; i < 2; i++) {
        YOKE_TRY(yoke_portal_result(p, &got));
        CHECK(got.n == 5);
    }
    YOKE_TRY(wait_count(s, 0));
    YOKE_TRY(yoke_portal_result(p, &got)); /* the actor is gone, its result is not */
    CHECK(got.n == 5 && kept.n == 5);
    return yoke_portal_result(p, NULL);
}
static void test_result_as_often_as_asked(void **state)
{
    assert_success(tree_with_actors(ask_for_result, NULL));
}

static yoke_error *failing_task_asked(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(start_one(s, "asserter", &p));
    YOKE_TRY(yoke_portal_run(p, "ends:claim_wrong", NULL, NULL));
    yoke_scope shield; /* the nursery's failure cancels its body */
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    return yoke_scope_close(&shield, yoke_portal_result(p, NULL));
}
static yoke_error *failing_task_not_asked(struct scene *s)
{
    YOKE_TRY(yoke_actors_run(s->actors, "asserter", "ends:claim_wrong", NULL, NULL));
    return yoke_sleep_forever();
}
/* A caller that was built with another record than the child's. */
static yoke_error *failing_arguments(struct scene *s)
{
    yoke_endpoint other = yoke_endpoints_ends_[0];
    const yoke_endpoint *before = yoke_module_ends_.endpoints;
    size_t count = yoke_module_ends_.count;
    other.args = &yoke_record_triple;
    yoke_module_ends_.endpoints = &other;
    yoke_module_ends_.count = 1;
    sum got;
    yoke_error *e = yoke_actors_run(s->actors, "adder", "ends:add", &(triple){1, 2, 3}, &got);
    yoke_module_ends_.endpoints = before;
    yoke_module_ends_.count = count;
    return e ? e : yoke_sleep_forever();
}
/* One error, and not a group of the same twice. */
static void expect_one_remote(scene_fn body, const yoke_error_kind *kind, const char *text)
{
    yoke_error *e = tree_with_actors(body, NULL);
    assert_true(yoke_error_is(e, &YOKE_REMOTE));
    assert_true(yoke_error_is(yoke_error_cause(e), kind));
    assert_error_text(e, &YOKE_REMOTE, text);
}
static void test_sup_03_error_of_a_main_task_comes_out_once(void **state)
{
    expect_one_remote(failing_task_asked, &APP_ASSERTION, "was the main task of actor `asserter`");
    expect_one_remote(failing_task_not_asked, &APP_ASSERTION, "1 is not 2");
    expect_one_remote(failing_arguments, &YOKE_MSG_TYPE, "args.c: unknown");
}

static yoke_error *daemon_has_no_result(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(start_one(s, "daemon", &p));
    EXPECT(yoke_portal_result(p, NULL), &YOKE_NO_RESULT, "yoke_actors_run");
    return NULL;
}
static void test_portal_09_result_of_a_daemon(void **state)
{
    assert_success(tree_with_actors(daemon_has_no_result, NULL));
}

static yoke_error *two_main_tasks(struct scene *s)
{
    yoke_portal *p;
    sum got;
    YOKE_TRY(start_one(s, "adder", &p));
    YOKE_TRY(yoke_portal_run(p, "ends:add", &(pair){2, 3}, NULL));
    EXPECT(yoke_portal_run(p, "ends:add", &(pair){4, 5}, NULL), &YOKE_USAGE, "which has one: `ends:add`");
    YOKE_TRY(yoke_portal_result(p, &got));
    CHECK(got.n == 5);
    return NULL;
}
static void test_portal_10_one_main_task(void **state)
{
    assert_success(tree_with_actors(two_main_tasks, NULL));
}

static yoke_error *what_is_no_main_task(struct scene *s)
{
    yoke_actors *a = s->actors;
    EXPECT(yoke_actors_run(a, "x", "ends:link_up", NULL, NULL), &YOKE_USAGE, "is no call");
    EXPECT(yoke_actors_run(a, "x", "ends:no_such", NULL, NULL), &YOKE_USAGE, "no endpoint `no_such`");
    EXPECT(yoke_actors_run(a, "x", "no_such:add", NULL, NULL), &YOKE_USAGE, "no module `no_such`");
    EXPECT(yoke_actors_run(a, "x", "add", NULL, NULL), &YOKE_USAGE, "module:function");
    EXPECT(yoke_actors_run(a, "a/b", "ends:nothing", NULL, NULL), &YOKE_USAGE, NULL);
    CHECK(yoke_actors_count(a) == 0);
    return NULL;
}
static void test_what_is_no_main_task(void **state)
{
    assert_success(tree_with_actors(what_is_no_main_task, NULL));
}

static yoke_error *cancel_a_long_task(struct scene *s)
{
    YOKE_TRY(yoke_actors_run(s->actors, "long", "ends:doze", &(nap){YOKE_S(100)}, NULL));
    YOKE_TRY(yoke_actors_cancel(s->actors));
    CHECK(yoke_actors_count(s->actors) == 0);
    return NULL;
}
static void test_main_task_that_is_cancelled_is_no_failure(void **state)
{
    assert_success(tree_with_actors(cancel_a_long_task, NULL));
}

static yoke_error *kill_a_long_task(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(start_one(s, "long", &p));
    YOKE_TRY(yoke_portal_run(p, "ends:doze", &(nap){YOKE_S(100)}, NULL));
    kill(yoke_portal_pid(p), SIGKILL);
    return yoke_portal_result(p, NULL);
}
static void test_actor_that_dies_in_its_main_task(void **state)
{
    yoke_error *e = tree_with_actors(kill_a_long_task, NULL);
    assert_int_equal(yoke_error_signal(e), SIGKILL); /* the death itself, and no group */
    assert_error_text(e, &YOKE_ACTOR_DIED, "`ends:doze` was the main task of actor `long`");
}

TREE_MAIN(TEST(test_rpc_21_value_arrives_and_the_actor_is_reaped), TEST(test_spawn_07_an_actor_for_one_call),
          TEST(test_result_as_often_as_asked), TEST(test_sup_03_error_of_a_main_task_comes_out_once),
          TEST(test_portal_09_result_of_a_daemon), TEST(test_portal_10_one_main_task),
          TEST(test_what_is_no_main_task), TEST(test_main_task_that_is_cancelled_is_no_failure),
          TEST(test_actor_that_dies_in_its_main_task))
