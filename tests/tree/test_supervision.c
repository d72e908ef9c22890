/* Actor nurseries: actors for one call, what comes out when several fail, nurseries in nurseries and in
 * children. */
#include "tree.h"

#include "actor/peer.h"
#include "devx/stop/lock.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

YOKE_ERROR_KIND(APP_ASSERTION, "test.Assertion", NULL);
YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- endpoints ---- */

YOKE_RECORD(pair, (i64, a), (i64, b));
YOKE_RECORD(triple, (i64, a), (i64, b), (i64, c));
YOKE_RECORD(sum, (i64, n), (i64, pid));
YOKE_RECORD(word, (str, s));
YOKE_RECORD(nap, (i64, ns));
YOKE_RECORD(ending, (i64, ns), (i32, signal));
YOKE_RECORD(plan, (i64, a), (boolean, fails), (boolean, waits), (str, file));
YOKE_RECORD(report, (i64, n), (i64, pid), (boolean, cancel_called), (u32, started));

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
static yoke_error *my_uuid(const yoke_type_none *args, word *result)
{
    result->s = strdup(yoke_current_actor()->uuid);
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
/* All that are given the same moment fail then, whether they are cancelled meanwhile or not. */
static yoke_error *fail_at(const nap *args, yoke_type_none *result)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_scope_close(&shield, yoke_sleep_until(args->ns)));
    return yoke_raise(&APP_ASSERTION, "1 is not 2");
}
/* Goes on for a while, whatever is asked of it, and then ends its process in some way. */
static yoke_error *end_soon(const ending *args, yoke_type_none *result)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_scope_close(&shield, yoke_sleep(args->ns)));
    if (args->signal)
        kill(getpid(), args->signal);
    _exit(0);
}
/* Asks its parent to end. */
static yoke_error *end_parent(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_portal *parent;
    bool acknowledged = true;
    YOKE_TRY(yoke_find_existing("root", &parent));
    yoke_error *e = yoke_portal_cancel_actor(parent, 0, &acknowledged);
    if (acknowledged || !yoke_error_find(e, &YOKE_PERMISSION))
        return yoke_portal_close(parent, yoke_error_join(e, yoke_raise(&CHECK_FAILED, "no refusal")));
    yoke_error_free(e);
    return yoke_portal_close(parent, yoke_portal_must_cancel_actor(parent, 0));
}
static yoke_error *stop_for_debugger(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_pause();
}
static void leave_word(const char *file, const char *line)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
    dprintf(fd, "%s\n", line);
    close(fd);
}
/* Sleeps till it is cancelled, and says so. */
static yoke_error *wait_and_tell(const word *args, yoke_type_none *result)
{
    yoke_error *e = yoke_sleep_forever();
    leave_word(args->s, "the task was cancelled");
    return e;
}
static yoke_error *flow(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = NULL;
    for (sum item = {0}; !e; item.n++) {
        e = yoke_send(stream, &item);
        if (!e)
            e = yoke_sleep(YOKE_MS(1));
    }
    return yoke_stream_close(stream, e);
}
static yoke_error *trickle(yoke_stream *stream, const yoke_type_none *args)
{
    return yoke_send(stream, &(sum){0});
}

/* A nursery in a child: what it returns is told to the child's caller. */
static yoke_error *in_the_middle(const plan *args, report *result)
{
    yoke_actors *actors;
    yoke_portal *p;
    sum got = {0};
    yoke_actors_outcome outcome = {0};
    yoke_actors_options options = {.outcome = &outcome, .debug_mode = 1};
    YOKE_TRY(yoke_actors_open(&actors, &options));
    yoke_error *e = yoke_actors_start(actors, "below", &(yoke_actor_options){.modules = "ends"}, &p);
    if (!e)
        e = yoke_call(p, "ends:add", &(pair){args->a, 1}, &got);
    if (!e && args->fails)
        e = yoke_call(p, "ends:claim_wrong", NULL, NULL);
    if (!e && args->waits)
        e = yoke_call(p, "ends:wait_and_tell", &(word){args->file}, NULL);
    if (!e)
        e = yoke_actors_cancel(actors);
    e = yoke_actors_close(actors, e);
    if (args->file[0])
        leave_word(args->file, "the nursery has closed");
    *result = (report){got.n, got.pid, outcome.cancel_called, (uint32_t)outcome.started};
    return e;
}
static yoke_error *link_up(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep_forever();
}
YOKE_MODULE(ends, YOKE_CALL(add, pair, sum), YOKE_CALL(who_am_i, none, word), YOKE_CALL(my_uuid, none, word),
            YOKE_CALL(nothing, none, none), YOKE_CALL(doze, nap, none), YOKE_CALL(claim_wrong, none, none),
            YOKE_CALL(fail_at, nap, none), YOKE_CALL(end_soon, ending, none),
            YOKE_CALL(end_parent, none, none), YOKE_CALL(stop_for_debugger, none, none),
            YOKE_CALL(wait_and_tell, word, none), YOKE_CALL(in_the_middle, plan, report),
            YOKE_CONTEXT(link_up, none, none, none), YOKE_CONTEXT_STREAM(flow, none, none, none, none, sum),
            YOKE_STREAM(trickle, none, sum));

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

/* Grows with each child that has been waited for. */
static long ended_children_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return usage.ru_minflt;
}

static yoke_error *what_is_no_main_task(struct scene *s)
{
    yoke_actors *a = s->actors;
    long faults = ended_children_faults();
    EXPECT(yoke_actors_run(a, "x", "ends:link_up", NULL, NULL), &YOKE_USAGE, "is no call");
    EXPECT(yoke_actors_run(a, "x", "ends:trickle", NULL, NULL), &YOKE_USAGE, "is no call");
    EXPECT(yoke_actors_run(a, "x", "ends:no_such", NULL, NULL), &YOKE_USAGE, "no endpoint `no_such`");
    EXPECT(yoke_actors_run(a, "x", "no_such:add", NULL, NULL), &YOKE_USAGE, "no module `no_such`");
    EXPECT(yoke_actors_run(a, "x", "add", NULL, NULL), &YOKE_USAGE, "module:function");
    EXPECT(yoke_actors_run(a, "a/b", "ends:nothing", NULL, NULL), &YOKE_USAGE, NULL);
    CHECK(yoke_actors_count(a) == 0);
    EXPECT(yoke_actors_run(a, "x", "ends:wait_and_tell", &(word){"\xff"}, NULL), &YOKE_MSG_TYPE, "args.s");
    CHECK(yoke_actors_count(a) == 0);
    CHECK(ended_children_faults() == faults);
    return NULL;
}
static void test_spawn_36_what_is_no_main_task(void **state)
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

/* ---- what a close waits for ---- */

/* A nursery that closes in a task of its own, with a daemon and a main task in it. */
struct closer {
    struct scene scene;
    yoke_event started;
    bool closed;
};
static yoke_error *daemon_and_task(struct closer *c)
{
    yoke_portal *p;
    YOKE_TRY(start_one(&c->scene, "daemon", &p));
    YOKE_TRY(yoke_actors_run(c->scene.actors, "task", "ends:doze", &(nap){YOKE_MS(50)}, NULL));
    yoke_event_set(&c->started);
    return NULL;
}
static yoke_error *close_waits(void *arg)
{
    struct closer *c = arg;
    YOKE_TRY(yoke_actors_open(&c->scene.actors, NULL));
    yoke_error *e = yoke_actors_close(c->scene.actors, daemon_and_task(c));
    c->closed = true;
    return e;
}
static yoke_error *wait_then_cancel(struct closer *c)
{
    YOKE_TRY(yoke_event_wait(&c->started));
    YOKE_TRY(wait_count(&c->scene, 1)); /* the task's actor is reaped, the daemon lives */
    YOKE_TRY(yoke_sleep(YOKE_MS(100)));
    CHECK(!c->closed && yoke_actors_count(c->scene.actors) == 1);
    return yoke_actors_cancel(c->scene.actors);
}
static yoke_error *close_in_a_task(void *arg)
{
    struct closer *c = arg;
    yoke_nursery n;
    YOKE_TRY(yoke_log_set("cancel"));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, close_waits, c);
    if (!e)
        e = wait_then_cancel(c);
    return yoke_error_join(yoke_nursery_close_flat(&n, e), yoke_log_set("warning"));
}
static yoke_error *failing_task_beside_a_daemon(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(start_one(s, "daemon", &p));
    return yoke_actors_run(s->actors, "task", "ends:claim_wrong", NULL, NULL);
}
static yoke_error *never_cancelled(void *arg)
{
    struct scene s;
    YOKE_TRY(yoke_actors_open(&s.actors, NULL));
    return yoke_actors_close(s.actors, failing_task_beside_a_daemon(&s));
}
/* SUP-01 */
static void test_close_waits_for_tasks_and_daemons(void **state)
{
    char text[4096];
    struct closer c = {.closed = false};
    yoke_event_init(&c.started);
    assert_int_equal(tree_status(close_in_a_task, &c, text, sizeof text), 0);
    assert_true(c.closed);
    assert_non_null(strstr(text, "waits for actor `daemon`, which ends when it is cancelled"));
    assert_null(strstr(text, "waits for actor `task`"));
    /* An error of a task is acted upon before: this close does not wait for the daemon's own end. */
    yoke_error *e = tree_run(never_cancelled, NULL);
    assert_true(yoke_error_is(yoke_error_cause(e), &APP_ASSERTION));
    assert_error(e, &YOKE_REMOTE);
}

/* ---- one cancels all ---- */

/* Slow to take a missing acknowledgement for an answer: fail_at is in its shield till its moment. */
static const yoke_actors_options patient = {.acknowledge_bound = YOKE_S(30), .kill_bound = YOKE_S(60)};

struct table_row {
    int count;                     /* of daemons, and of actors for one call */
    bool fail_at_once, fail_later; /* those for one call; else they end at once or, */
    bool sleep;                    /* this */
    const char *call;              /* on each daemon, one after another */
    int64_t before_the_call;
    size_t errors;
};

static yoke_error *start_both(struct scene *s, const struct table_row *row, yoke_portal **daemons)
{
    int64_t moment = yoke_now() + (row->fail_later ? YOKE_S(2) : YOKE_S(1)) * TREE_SLOW;
    for (int i = 0; i < row->count; i++)
        YOKE_TRY(start_one(s, (char[]){'d', (char)('0' + i), '\0'}, &daemons[i]));
    for (int i = 0; i < row->count; i++) {
        const char *name = (char[]){'t', (char)('0' + i), '\0'};
        bool fails = row->fail_at_once || row->fail_later;
        const char *endpoint = fails ? "ends:fail_at" : "ends:doze";
        nap args = {fails ? moment : row->sleep ? YOKE_S(1000) : 0};
        YOKE_TRY(yoke_actors_run(s->actors, name, endpoint, &args, NULL));
    }
    return NULL;
}
static yoke_error *play_row(struct scene *s)
{
    const struct table_row *row = s->arg;
    yoke_portal *daemons[3];
    YOKE_TRY(start_both(s, row, daemons));
    YOKE_TRY(yoke_sleep(row->before_the_call));
    for (int i = 0; i < row->count && row->call; i++)
        YOKE_TRY(yoke_call(daemons[i], row->call, NULL, NULL));
    return NULL;
}
/* No cancel: what ends the daemons is the failure. */
static yoke_error *close_row(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_actors_outcome outcome;
    yoke_actors_options options = patient;
    options.outcome = &outcome;
    YOKE_TRY(yoke_actors_open(&s.actors, &options));
    yoke_error *e = yoke_actors_close(s.actors, play_row(&s));
    const struct table_row *row = arg;
    if (outcome.cancel_called && outcome.started == 2 * (size_t)row->count)
        return e;
    return yoke_wrap(e, &CHECK_FAILED, "cancel_called %d, %zu started", outcome.cancel_called,
                     outcome.started);
}
static bool is_assertion(const yoke_error *e)
{
    return yoke_error_is(e, &YOKE_REMOTE) && yoke_error_is(yoke_error_cause(e), &APP_ASSERTION);
}
/* As many errors as the row says: one as it is, more in a group. Of a called daemon it is the first one's. */
static bool is_outcome(const struct table_row *row, const yoke_error *e)
{
    if (row->errors == 1)
        return is_assertion(e) &&
               (!row->call || (strcmp(yoke_error_source(e)->name, "d0") == 0 && yoke_error_count(e) == 0));
    bool fits = yoke_error_count(e) == row->errors;
    for (size_t i = 0; i < yoke_error_count(e); i++)
        fits &= is_assertion(yoke_error_member(e, i));
    return fits;
}
static void play(const struct table_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        yoke_error *e = tree_run(close_row, (void *)&rows[i]);
        bool fits = is_outcome(&rows[i], e);
        if (!fits) {
            fprintf(stderr, "# row %zu gives:\n", i);
            yoke_error_print(stderr, e);
        }
        yoke_error_free(e);
        assert_true(fits);
    }
}
static void test_sup_16_table_of_one_cancels_all(void **state)
{
    static const struct table_row rows[] = {
        {1, .fail_at_once = true, .errors = 1},
        {2, .fail_at_once = true, .errors = 2},
        {3, .fail_at_once = true, .errors = 3},
        {3, .sleep = true, .call = "ends:claim_wrong", .errors = 1},
        {3, .call = "ends:claim_wrong", .before_the_call = YOKE_S(1), .errors = 1},
        {3, .fail_later = true, .call = "ends:nothing", .errors = 3},
    };
    play(rows, sizeof rows / sizeof rows[0]);
}

static yoke_error *one_of_three(struct scene *s)
{
    yoke_portal *daemon;
    YOKE_TRY(start_one(s, "daemon", &daemon));
    YOKE_TRY(yoke_actors_run(s->actors, "a", "ends:doze", &(nap){YOKE_S(1000)}, NULL));
    YOKE_TRY(yoke_actors_run(s->actors, "b", "ends:doze", &(nap){YOKE_S(1000)}, NULL));
    return yoke_actors_run(s->actors, "c", "ends:claim_wrong", NULL, NULL);
}
static yoke_error *mixed(void *arg)
{
    struct scene s;
    yoke_actors_outcome outcome;
    YOKE_TRY(yoke_actors_open(&s.actors, &(yoke_actors_options){.outcome = &outcome}));
    yoke_error *e = yoke_actors_close(s.actors, one_of_three(&s));
    bool fits = outcome.cancel_called && outcome.cancelled_caught && outcome.failed == 1;
    return fits || !e ? e : yoke_wrap(e, &CHECK_FAILED, "the outcome does not fit");
}
/* SUP-02: one with an error and two with errors are the first rows of the table */
static void test_one_of_three_fails_beside_a_daemon(void **state)
{
    static const struct table_row rows[] = {{1, .fail_at_once = true, .errors = 1},
                                            {2, .fail_at_once = true, .errors = 2}};
    play(rows, 2);
    yoke_error *e = tree_run(mixed, NULL);
    bool fits = is_assertion(e) && strcmp(yoke_error_source(e)->name, "c") == 0;
    yoke_error_free(e);
    assert_true(fits);
}

static yoke_error *second_of_three(struct scene *s)
{
    yoke_portal *team[3];
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        YOKE_TRY(start_one(s, names[i], &team[i]));
    return yoke_call(team[1], "ends:claim_wrong", NULL, NULL);
}
static yoke_error *second_of_three_by_its_task(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(start_one(s, "a", &p));
    YOKE_TRY(start_one(s, "c", &p));
    YOKE_TRY(yoke_actors_run(s->actors, "b", "ends:claim_wrong", NULL, NULL));
    return yoke_sleep_forever();
}
static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        count++;
    return count;
}
static void expect_report(scene_fn body)
{
    yoke_error *e = tree_with_actors(body, NULL);
    char *text = yoke_error_text(e);
    yoke_error_free(e);
    const char *message = strstr(text, "1 is not 2"), *place = strstr(text, "test_supervision.c"),
               *a = strstr(text, "cancelled with it: actor `a` (graceful, "),
               *c = strstr(text, "cancelled with it: actor `c` (graceful, ");
    bool fits = message && place && a && c && count_of(text, "cancelled with it") == 2 &&
                count_of(text, "1 is not 2") == 1 && !strstr(text, "backtrace");
    if (!fits)
        fputs(text, stderr);
    free(text);
    assert_true(fits);
}
static void test_sup_12_the_text_shows_the_tree(void **state)
{
    expect_report(second_of_three);
    expect_report(second_of_three_by_its_task);
}

/* ---- nurseries in children ---- */

static yoke_error *nursery_in_a_child(struct scene *s)
{
    yoke_portal *middle;
    report got;
    YOKE_TRY(start_one(s, "middle", &middle));
    YOKE_TRY(yoke_call(middle, "ends:in_the_middle", &(plan){.a = 41, .file = ""}, &got));
    CHECK(got.n == 42 && got.cancel_called && got.started == 1);
    CHECK(kill((pid_t)got.pid, 0) < 0 && errno == ESRCH);
    yoke_error *e = yoke_call(middle, "ends:in_the_middle", &(plan){.fails = true, .file = ""}, &got);
    const yoke_error *there = yoke_error_is(e, &YOKE_REMOTE) ? yoke_error_cause(e) : NULL;
    bool fits =
        there && yoke_error_is(there, &APP_ASSERTION) && strcmp(yoke_error_source(e)->name, "below") == 0;
    fits |=
        there && yoke_error_is(there, &YOKE_REMOTE) && yoke_error_is(yoke_error_cause(there), &APP_ASSERTION);
    if (!fits)
        return yoke_wrap(e, &CHECK_FAILED, "not the error of the actor below");
    yoke_error_free(e);
    return NULL;
}
static yoke_error *call_middle(void *arg)
{
    struct scene *s = arg;
    report got;
    return yoke_call(s->portal, "ends:in_the_middle", &(plan){.waits = true, .file = s->arg}, &got);
}
/* The caller goes: the child's task ends, and its nursery before it. */
static yoke_error *nursery_ends_before_its_task(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(start_one(s, "middle", &s->portal));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_middle, s);
    struct stat before = {0}, now = {0};
    stat(s->arg, &before);
    if (!e)
        e = yoke_sleep(YOKE_MS(300) * TREE_SLOW);
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    int64_t begin = yoke_now();
    while (now.st_size < (off_t)strlen("the task was cancelled\nthe nursery has closed\n")) {
        CHECK(tree_ms_since(begin) < 3000 * TREE_SLOW);
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
        stat(s->arg, &now);
    }
    return NULL;
}
/* Runs `body` with the name of an empty file, and gives what is in it then. */
static yoke_error *with_file(scene_fn body, char *text, size_t size)
{
    char name[] = "/tmp/yoke-test-XXXXXX";
    int fd = mkstemp(name);
    yoke_error *e = tree_with_actors(body, name);
    ssize_t n = pread(fd, text, size - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    close(fd);
    unlink(name);
    return e;
}
/* SUP-07 */
static void test_nursery_in_a_child(void **state)
{
    char text[200];
    assert_success(tree_with_actors(nursery_in_a_child, NULL));
    assert_success(with_file(nursery_ends_before_its_task, text, sizeof text));
    assert_string_equal(text, "the task was cancelled\nthe nursery has closed\n");
}

static yoke_error *break_the_channel(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(start_one(s, "middle", &s->portal));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_middle, s);
    if (!e)
        e = yoke_sleep(YOKE_MS(300) * TREE_SLOW);
    shutdown(s->portal->peer->channel->fd, SHUT_RDWR);
    return yoke_nursery_close_flat(&n, e);
}
static yoke_error *patient_scene(struct scene *s)
{
    struct scene inner = {.arg = s->arg};
    return with_actors(&inner, &patient, break_the_channel);
}
/* SUP-28: the child's children are asked, and not killed: their cleanups run */
static void test_nursery_of_a_child_whose_channel_breaks(void **state)
{
    char text[200];
    yoke_error *e = with_file(patient_scene, text, sizeof text);
    bool fits = yoke_error_find(e, &YOKE_ACTOR_EXITED) || yoke_error_find(e, &YOKE_TRANSPORT_CLOSED);
    yoke_error_free(e);
    assert_true(fits);
    assert_string_equal(text, "the task was cancelled\nthe nursery has closed\n");
}

/* ---- misuse ---- */

struct stranger {
    yoke_actors *actors;
    yoke_error *refused;
};
static yoke_error *close_of_another(void *arg)
{
    struct stranger *s = arg;
    s->refused = yoke_actors_close(s->actors, NULL);
    return NULL;
}
static yoke_error *misuse(void *arg)
{
    struct scene s;
    struct stranger other = {NULL, NULL};
    yoke_portal *p;
    YOKE_TRY(yoke_actors_open(&s.actors, NULL));
    other.actors = s.actors;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_close(&n, yoke_spawn(&n, close_of_another, &other)));
    EXPECT(other.refused, &YOKE_USAGE, "task `main` has opened it");
    YOKE_TRY(start_one(&s, "a", &p)); /* it is as it was */
    YOKE_TRY(yoke_actors_cancel(s.actors));
    EXPECT(start_one(&s, "b", &p), &YOKE_CLOSED, "was cancelled");
    EXPECT(yoke_actors_run(s.actors, "b", "ends:nothing", NULL, NULL), &YOKE_CLOSED, "was cancelled");
    YOKE_TRY(yoke_actors_close(s.actors, NULL));
    EXPECT(yoke_actors_close(s.actors, NULL), &YOKE_USAGE, "no open actor nursery");
    EXPECT(start_one(&s, "b", &p), &YOKE_CLOSED, "no open actor nursery");
    EXPECT(yoke_actors_cancel(s.actors), &YOKE_CLOSED, "no open actor nursery");
    CHECK(tree_processes_left() == 0 || getenv("YOKE_BACKEND")[0] == 'f'); /* the zygote may be there */
    return NULL;
}
static void test_sup_09_nursery_that_is_closed(void **state)
{
    assert_success(tree_run(misuse, NULL));
}

static yoke_error *bad_filter(struct scene *s)
{
    yoke_portal *p;
    yoke_error *e = yoke_actors_start(s->actors, "a", &(yoke_actor_options){.log_filter = "loud"}, &p);
    EXPECT(e, &YOKE_USAGE, "`loud`");
    e = yoke_actors_start(s->actors, "a", &(yoke_actor_options){.log_filter = "cellar=debug"}, &p);
    EXPECT(e, &YOKE_USAGE, "`cellar` is no floor");
    CHECK(yoke_actors_count(s->actors) == 0 && !p);
    return NULL;
}
static void test_bad_log_filter_is_refused_before_the_start(void **state)
{
    assert_success(tree_with_actors(bad_filter, NULL));
}

/* ---- cancel ---- */

static yoke_error *cancel_idle(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(start_one(s, "daemon", &p));
    YOKE_TRY(yoke_call(p, "ends:nothing", NULL, NULL));
    return s->arg ? yoke_raise(&YOKE_INTERRUPTED, "by the test") : yoke_actors_cancel(s->actors);
}
static yoke_error *cancel_in_both_ways(void *arg)
{
    struct scene s = {.arg = arg};
    YOKE_TRY(yoke_log_set("cancel"));
    YOKE_TRY(yoke_actors_open(&s.actors, NULL));
    yoke_error *e = yoke_actors_close(s.actors, cancel_idle(&s));
    return yoke_error_join(e, yoke_log_set("warning"));
}
static void test_sup_17_cancel_of_one_idle_child(void **state)
{
    char text[4096];
    for (int interrupted = 0; interrupted < 2; interrupted++) {
        int status = tree_status(cancel_in_both_ways, interrupted ? text : NULL, text, sizeof text);
        assert_int_equal(status, interrupted ? 130 : 0);
        assert_true(!interrupted == !strstr(text, "\ninterrupted\n"));
        assert_non_null(strstr(text, "asking actor `daemon`"));
        assert_null(strstr(text, "SIGTERM"));
        assert_null(strstr(text, "SIGKILL"));
    }
}

static yoke_error *receive_all(struct scene *s)
{
    sum item;
    for (;;)
        YOKE_TRY(yoke_recv(s->stream, &item));
}
static yoke_error *stream_all(struct scene *s)
{
    return with_stream(s, NULL, receive_all);
}
static yoke_error *read_for_ever(struct scene *s)
{
    YOKE_TRY(start_one(s, "source", &s->portal));
    return with_context(s, "ends:flow", NULL, stream_all);
}
static yoke_error *deadline_around(void *arg)
{
    yoke_scope scope;
    struct scene s = {0};
    yoke_actors_outcome outcome;
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_move_on_after(&scope, YOKE_S(1)));
    yoke_error *e = yoke_actors_open(&s.actors, &(yoke_actors_options){.outcome = &outcome});
    if (!e)
        e = yoke_actors_close(s.actors, read_for_ever(&s));
    YOKE_TRY(yoke_scope_close(&scope, e));
    CHECK(yoke_scope_cancelled_caught(&scope) && outcome.cancel_called);
    CHECK(tree_ms_since(begin) >= 1000 && tree_ms_since(begin) < 4000 * TREE_SLOW);
    return NULL;
}
static void test_sup_18_deadline_around_a_streaming_child(void **state)
{
    assert_success(tree_run(deadline_around, NULL));
}

static yoke_error *call_end_soon(void *arg)
{
    struct scene *s = arg;
    return yoke_call(s->portal, "ends:end_soon", &(ending){YOKE_MS(300), *(int *)s->arg}, NULL);
}
/* The request stays unanswered, since the task goes on in its shield; the bound is far away. */
static yoke_error *end_while_asked(struct scene *s)
{
    yoke_nursery n;
    bool acknowledged = true;
    YOKE_TRY(start_one(s, "a", &s->portal));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_end_soon, s);
    if (!e)
        e = yoke_sleep(YOKE_MS(50));
    int64_t begin = yoke_now();
    yoke_scope shield;
    if (!e)
        e = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (!e)
        e = yoke_scope_close(&shield, yoke_portal_cancel_actor(s->portal, YOKE_S(100), &acknowledged));
    int took = tree_ms_since(begin);
    yoke_error_free(yoke_nursery_close_flat(&n, e)); /* its death is told by the nursery */
    CHECK(!acknowledged && took < 10000 * TREE_SLOW);
    return NULL;
}
static yoke_error *end_while_nursery_asks(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(start_one(s, "a", &s->portal));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_end_soon, s);
    if (!e)
        e = yoke_sleep(YOKE_MS(50));
    int64_t begin = yoke_now();
    if (!e)
        e = yoke_actors_cancel(s->actors);
    int took = tree_ms_since(begin);
    yoke_error_free(yoke_nursery_close_flat(&n, e));
    CHECK(took < 10000 * TREE_SLOW);
    return NULL;
}
/* That it died, is an error of the nursery. */
static yoke_error *without_death(yoke_error *e)
{
    if (yoke_error_find(e, &CHECK_FAILED))
        return e;
    yoke_error_free(e);
    return NULL;
}
static yoke_error *cancel_patiently(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_actors_options options = {.acknowledge_bound = YOKE_S(100)};
    YOKE_TRY(without_death(with_actors(&s, &options, end_while_asked)));
    return without_death(with_actors(&s, &options, end_while_nursery_asks));
}
static void test_sup_20_child_that_ends_while_it_is_asked_to(void **state)
{
    static const int ways[] = {0, SIGKILL, SIGSEGV};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        assert_success(tree_run(cancel_patiently, (void *)&ways[i]));
}

static yoke_error *wait_for_daemon(void *arg)
{
    struct scene s;
    yoke_portal *p;
    YOKE_TRY(yoke_actors_open(&s.actors, NULL));
    return yoke_actors_close(s.actors, start_one(&s, "daemon", &p));
}
static yoke_error *interrupt_soon(void *arg)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(500)));
    return yoke_raise(&YOKE_INTERRUPTED, "by the test");
}
static yoke_error *interrupt_the_wait(void *arg)
{
    yoke_nursery n;
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_log_set("cancel"));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, wait_for_daemon, NULL);
    if (!e)
        e = yoke_spawn(&n, interrupt_soon, NULL);
    e = yoke_nursery_close_flat(&n, e);
    YOKE_TRY(yoke_log_set("warning"));
    return tree_ms_since(begin) < 2900 * TREE_SLOW ? e : yoke_wrap(e, &CHECK_FAILED, "it took too long");
}
static void test_sup_21_cancel_in_the_soft_wait(void **state)
{
    char text[4096];
    assert_int_equal(tree_status(interrupt_the_wait, NULL, text, sizeof text), 130);
    assert_non_null(strstr(text, "asking actor `daemon`"));
    assert_null(strstr(text, "SIGKILL"));
}

/* ---- a failure and a cancellation at once ---- */

struct outer {
    yoke_scope *scope;
    bool by_deadline;
};
static yoke_error *start_and_fail_late(struct scene *s)
{
    const struct outer *o = s->arg;
    yoke_portal *p;
    YOKE_TRY(start_one(s, "daemon", &p));
    if (!o->by_deadline)
        yoke_scope_cancel(o->scope, "from outside");
    CHECK(tree_was_cancelled(yoke_sleep_forever()));
    return yoke_raise(&APP_K, "and then it failed");
}
static yoke_error *both_at_once(void *arg)
{
    yoke_scope scope;
    struct outer o = {&scope, arg != NULL};
    struct scene s = {.arg = &o};
    YOKE_TRY(o.by_deadline ? yoke_fail_after(&scope, YOKE_MS(400)) : yoke_scope_open(&scope));
    return yoke_scope_close(&scope, with_actors(&s, NULL, start_and_fail_late));
}
static yoke_error *stop_one_and_fail(struct scene *s)
{
    YOKE_TRY(start_one(s, "slow", &s->portal));
    kill(yoke_portal_pid(s->portal), SIGSTOP);
    YOKE_TRY(yoke_scope_set_deadline(s->arg, yoke_now() + YOKE_MS(100)));
    return yoke_raise(&APP_K, "it failed");
}
/* The children take longer than the deadline, which begins when they are to end. */
static yoke_error *deadline_while_they_end(void *arg)
{
    yoke_scope scope;
    struct scene s = {.arg = &scope};
    YOKE_TRY(yoke_fail_after(&scope, YOKE_S(1000)));
    return yoke_scope_close(&scope, with_actors(&s, NULL, stop_one_and_fail));
}
static void test_sup_22_failure_and_outer_cancellation(void **state)
{
    for (int by_deadline = 0; by_deadline < 2; by_deadline++) {
        yoke_error *e = tree_run(both_at_once, by_deadline ? state : NULL);
        assert_int_equal(yoke_error_count(e), 0);
        assert_error_text(e, &APP_K, "and then it failed");
    }
    yoke_error *e = tree_run(deadline_while_they_end, NULL);
    assert_int_equal(yoke_error_count(e), 0);
    assert_error_text(e, &APP_K, "while its children were ended: cancelled by its deadline");
}

/* That the nursery cancels its own body because of the child is nothing that came from outside. */
static yoke_error *call_one_that_dies(struct scene *s)
{
    YOKE_TRY(start_one(s, "mortal", &s->portal));
    return yoke_call(s->portal, "ends:end_soon", &(ending){0, SIGKILL}, NULL);
}
static void test_sup_22_own_cancellation_is_no_news(void **state)
{
    yoke_error *e = tree_with_actors(call_one_that_dies, NULL);
    assert_true(yoke_error_is(e, &YOKE_ACTOR_DIED));
    char *text = yoke_error_text(e);
    yoke_error_free(e);
    assert_null(strstr(text, "while its children were ended"));
    free(text);
}

static yoke_error *shielded_children(struct scene *s)
{
    yoke_scope *outer = s->arg, shield;
    YOKE_TRY(start_one(s, "daemon", &s->portal));
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_scope_cancel(outer, "from outside");
    yoke_error *e = NULL;
    for (int i = 0; i < 5 && !e; i++)
        e = yoke_call(s->portal, "ends:nothing", NULL, NULL);
    bool untouched = yoke_actors_count(s->actors) == 1 && !yoke_actors_cancel_called(s->actors);
    YOKE_TRY(yoke_scope_close(&shield, e));
    CHECK(untouched);
    return yoke_sleep_forever();
}
static yoke_error *shield_in_nursery(void *arg)
{
    yoke_scope outer;
    struct scene s = {.arg = &outer};
    YOKE_TRY(yoke_scope_open(&outer));
    YOKE_TRY(yoke_scope_close(&outer, with_actors(&s, NULL, shielded_children)));
    CHECK(yoke_scope_cancelled_caught(&outer));
    return NULL;
}
static void test_sup_13_shield_around_the_children(void **state)
{
    assert_success(tree_run(shield_in_nursery, NULL));
}

/* ---- a debugger, the hard way ---- */

static yoke_error *call_stop(void *arg)
{
    yoke_error *e = yoke_call(arg, "ends:stop_for_debugger", NULL, NULL);
    return e && yoke_error_is(e, &YOKE_CONTEXT_CANCELLED) ? (yoke_error_free(e), NULL) : e;
}
static yoke_error *cancel_aside(void *arg)
{
    return yoke_actors_cancel(arg);
}
/* Somebody has the terminal, and the child waits for it, in a shield: it can't acknowledge. */
static yoke_error *wait_for_terminal(struct scene *s)
{
    struct actor *a = actor_here();
    struct tty_request mine = {"root", "1", "test", "1"};
    yoke_nursery n;
    YOKE_TRY(lock_need(a));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = tty_lock_take(a->tty, &mine);
    if (!e)
        e = yoke_spawn(&n, call_stop, s->portal);
    while (!e && !a->tty->waiting)
        e = yoke_sleep(YOKE_MS(5));
    if (!e)
        e = yoke_spawn(&n, cancel_aside, s->actors);
    if (!e)
        e = yoke_sleep(YOKE_MS(400) * TREE_SLOW);
    bool waits = yoke_actors_count(s->actors) == 1 && yoke_portal_is_connected(s->portal);
    tty_lock_give_back(a->tty, &mine); /* the child's turn */
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(waits);
    return NULL;
}
struct debugged {
    int root, nursery, child;
};
static yoke_error *debug_a_child(void *arg)
{
    const struct debugged *d = arg;
    struct scene s;
    yoke_actors_options options = {
        .debug_mode = d->nursery, .acknowledge_bound = YOKE_MS(100) * TREE_SLOW, .kill_bound = YOKE_MS(1)};
    actor_here()->debug_mode = d->root;
    YOKE_TRY(yoke_log_set("cancel"));
    YOKE_TRY(yoke_actors_open(&s.actors, &options));
    yoke_error *e = yoke_actors_start(
        s.actors, "paused", &(yoke_actor_options){.modules = "ends", .debug_mode = d->child}, &s.portal);
    if (!e)
        e = wait_for_terminal(&s);
    e = yoke_actors_close(s.actors, e);
    return yoke_error_join(e, yoke_log_set("warning"));
}
static void test_sup_27_no_escalation_while_the_terminal_is_waited_for(void **state)
{
    static const struct debugged ways[] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char text[8192];
        int status = tree_status(debug_a_child, (void *)&ways[i], text, sizeof text);
        bool fits = !status && strstr(text, "asking actor `paused`") && !strstr(text, "SIGTERM") &&
                    !strstr(text, "SIGKILL");
        if (!fits)
            fputs(text, stderr);
        assert_true(fits);
    }
}

static yoke_error *kill_them(void *arg)
{
    struct scene s;
    yoke_portal *p;
    YOKE_TRY(yoke_log_set("cancel"));
    YOKE_TRY(yoke_actors_open(&s.actors, NULL));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++)
        e = start_one(&s, (char[]){(char)('a' + i), '\0'}, &p);
    int64_t begin = yoke_now();
    if (!e)
        e = yoke_actors_kill(s.actors);
    bool in_time = tree_ms_since(begin) < 500 * TREE_SLOW && yoke_actors_count(s.actors) == 0;
    YOKE_TRY(yoke_actors_close(s.actors, e));
    YOKE_TRY(yoke_log_set("warning"));
    CHECK(in_time);
    return NULL;
}
/* SUP-14: but for socket files, of which a child without a listener has none */
static void test_hard_kill_on_request(void **state)
{
    char text[4096];
    assert_int_equal(tree_status(kill_them, NULL, text, sizeof text), 0);
    assert_int_equal(count_of(text, "SIGKILL"), 3);
    assert_null(strstr(text, "asking actor"));
}

/* ---- portals ---- */

static yoke_error *is_it(struct scene *s)
{
    word name;
    yoke_portal *p;
    sum got;
    YOKE_TRY(start_one(s, "somebody", &p));
    YOKE_TRY(yoke_call(p, "ends:who_am_i", NULL, &name));
    bool same = strcmp(name.s, yoke_portal_peer(p)->name) == 0 && strcmp(name.s, "somebody") == 0;
    word_free(&name);
    YOKE_TRY(yoke_call(p, "ends:my_uuid", NULL, &name));
    same &= strcmp(name.s, yoke_portal_peer(p)->uuid) == 0;
    word_free(&name);
    YOKE_TRY(yoke_call(p, "ends:add", &(pair){1, 1}, &got));
    CHECK(same && got.pid == yoke_portal_pid(p) && yoke_portal_is_connected(p));
    yoke_scope shield; /* the death cancels the body */
    int64_t begin = yoke_now();
    kill(yoke_portal_pid(p), SIGKILL);
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = NULL;
    while (!e && yoke_portal_is_connected(p))
        e = yoke_sleep(YOKE_MS(1));
    int took = tree_ms_since(begin);
    YOKE_TRY(yoke_scope_close(&shield, e));
    CHECK(took < 100 * TREE_SLOW);
    return NULL;
}
static void test_portal_05_identity(void **state)
{
    yoke_error *e = tree_with_actors(is_it, NULL);
    assert_int_equal(yoke_error_signal(e), SIGKILL);
    assert_error(e, &YOKE_ACTOR_DIED);
}

static yoke_error *cancel_strictly(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(start_one(s, "quick", &p));
    YOKE_TRY(yoke_portal_must_cancel_actor(p, YOKE_S(10)));
    YOKE_TRY(wait_count(s, 0));
    YOKE_TRY(yoke_portal_must_cancel_actor(p, 0)); /* one that is gone */
    YOKE_TRY(start_one(s, "stopped", &p));
    kill(yoke_portal_pid(p), SIGSTOP);
    yoke_error *e = yoke_portal_must_cancel_actor(p, YOKE_MS(120));
    kill(yoke_portal_pid(p), SIGCONT);
    CHECK(!yoke_error_is(e, &YOKE_TOO_SLOW));
    EXPECT(e, &YOKE_ACTOR_TOO_SLOW, "actor `stopped`");
    return NULL;
}
static yoke_error *strict_text(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(start_one(s, "stopped", &p));
    kill(yoke_portal_pid(p), SIGSTOP);
    EXPECT(yoke_portal_must_cancel_actor(p, YOKE_MS(120)), &YOKE_ACTOR_TOO_SLOW, "within 120 ms");
    return NULL;
}
/* It is not that the parent is too slow, or gone: it refuses. */
static yoke_error *ask_to_end_parent(struct scene *s)
{
    YOKE_TRY(start_one(s, "child", &s->portal));
    EXPECT(yoke_call(s->portal, "ends:end_parent", NULL, NULL), &YOKE_REMOTE,
           "actor `child` may not cancel this one: it is its child");
    return yoke_call(s->portal, "ends:nothing", NULL, NULL);
}
static void test_child_that_asks_its_parent_to_end_is_refused(void **state)
{
    assert_success(tree_with_actors(ask_to_end_parent, NULL));
}

static void test_portal_07_strict_bound(void **state)
{
    assert_success(tree_with_actors(cancel_strictly, NULL));
    assert_success(tree_with_actors(strict_text, NULL));
}

TREE_MAIN(TEST(test_rpc_21_value_arrives_and_the_actor_is_reaped), TEST(test_spawn_07_an_actor_for_one_call),
          TEST(test_result_as_often_as_asked), TEST(test_sup_03_error_of_a_main_task_comes_out_once),
          TEST(test_portal_09_result_of_a_daemon), TEST(test_portal_10_one_main_task),
          TEST(test_spawn_36_what_is_no_main_task), TEST(test_main_task_that_is_cancelled_is_no_failure),
          TEST(test_actor_that_dies_in_its_main_task), TEST(test_close_waits_for_tasks_and_daemons),
          TEST(test_sup_16_table_of_one_cancels_all), TEST(test_one_of_three_fails_beside_a_daemon),
          TEST(test_sup_12_the_text_shows_the_tree), TEST(test_nursery_in_a_child),
          TEST(test_nursery_of_a_child_whose_channel_breaks), TEST(test_sup_09_nursery_that_is_closed),
          TEST(test_bad_log_filter_is_refused_before_the_start), TEST(test_sup_17_cancel_of_one_idle_child),
          TEST(test_sup_18_deadline_around_a_streaming_child),
          TEST(test_sup_20_child_that_ends_while_it_is_asked_to), TEST(test_sup_21_cancel_in_the_soft_wait),
          TEST(test_sup_22_failure_and_outer_cancellation), TEST(test_sup_22_own_cancellation_is_no_news),
          TEST(test_sup_13_shield_around_the_children),
          TEST(test_sup_27_no_escalation_while_the_terminal_is_waited_for), TEST(test_hard_kill_on_request),
          TEST(test_portal_05_identity), TEST(test_portal_07_strict_bound),
          TEST(test_child_that_asks_its_parent_to_end_is_refused))
