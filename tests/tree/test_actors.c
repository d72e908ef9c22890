/* Actor nurseries: one cancels all, what a close returns, and how children are made to end. */
#include "tree.h"

#include <signal.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);
YOKE_ERROR_KIND(APP_L, "test.L", NULL);

/* ---- endpoints ---- */

YOKE_RECORD(nap, (i64, ns));
YOKE_RECORD(number, (i32, n));
YOKE_RECORD(path, (str, file));
YOKE_RECORD(growth, (u32, depth), (str, where));
YOKE_RECORD(word, (str, text));

/* A line in a file is what a dying actor can leave behind. */
static void leave_word(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
    dprintf(fd, "%s\n", text);
    close(fd);
}

static yoke_error *doze(const nap *args, yoke_type_none *result)
{
    return yoke_sleep(args->ns);
}
static yoke_error *fail_k(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&APP_K, "asked to fail");
}
static yoke_error *spin(const nap *args, yoke_type_none *result)
{
    for (int64_t end = yoke_now() + args->ns; yoke_now() < end;)
        ;
    return NULL;
}
static yoke_error *leave(const number *args, yoke_type_none *result)
{
    _exit(args->n);
}
static yoke_error *raise_signal(const number *args, yoke_type_none *result)
{
    return kill(getpid(), args->n) ? yoke_raise(&APP_L, "kill") : yoke_sleep(YOKE_S(100));
}
static yoke_error *wait_and_tell(const path *args, yoke_type_none *result)
{
    yoke_error *e = yoke_sleep_forever();
    leave_word(args->file, "task");
    return e;
}

static yoke_error *call_told(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "below", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    return yoke_call(s->portal, "ends:wait_and_tell", s->arg, NULL);
}
/* A task that has a child of its own, in which a task waits. */
static yoke_error *host(const path *args, yoke_type_none *result)
{
    struct scene s = {.arg = (void *)args};
    yoke_error *e = with_actors(&s, NULL, call_told);
    leave_word(args->file, "host");
    return e;
}

static yoke_error *call_spin(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "spinner", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    return yoke_call(s->portal, "ends:spin", &(nap){YOKE_S(20)}, NULL);
}
static yoke_error *host_spinner(const yoke_type_none *args, yoke_type_none *result)
{
    struct scene s = {0};
    return with_actors(&s, NULL, call_spin);
}

/* Two actors that do the same a level deeper; the leaves fail. */
static yoke_error *grow_two(struct scene *s)
{
    const growth *args = s->arg;
    yoke_error *e = NULL;
    for (int i = 0; i < 2; i++) {
        char where[64];
        yoke_portal *p;
        snprintf(where, sizeof where, "%s%d", args->where, i);
        YOKE_TRY(yoke_actors_start(s->actors, where, &(yoke_actor_options){.modules = "ends"}, &p));
        e = yoke_error_join(e, yoke_call(p, "ends:grow", &(growth){args->depth - 1, where}, NULL));
    }
    return e;
}
static yoke_error *grow(const growth *args, yoke_type_none *result)
{
    if (!args->depth)
        return yoke_raise(&APP_K, "leaf %s", args->where);
    struct scene s = {.arg = (void *)args};
    return with_actors(&s, NULL, grow_two);
}

static yoke_error *link_and_fail(yoke_context *ctx, const nap *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_sleep(args->ns));
    return yoke_raise(&APP_K, "asked to fail");
}
static yoke_error *link_and_clean_badly(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error_free(yoke_sleep_forever());
    return yoke_raise(&APP_L, "the cleanup failed");
}
static yoke_error *flow(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = NULL;
    for (int i = 0; !e; i++) {
        e = yoke_send(stream, &(number){i});
        if (!e)
            e = yoke_sleep(YOKE_US(500));
    }
    return yoke_stream_close(stream, e);
}
YOKE_MODULE(ends, YOKE_CALL(doze, nap, none), YOKE_CALL(fail_k, none, none), YOKE_CALL(spin, nap, none),
            YOKE_CALL(leave, number, none), YOKE_CALL(raise_signal, number, none),
            YOKE_CALL(wait_and_tell, path, none), YOKE_CALL(host, path, none),
            YOKE_CALL(host_spinner, none, none), YOKE_CALL(grow, growth, none),
            YOKE_CONTEXT(link_and_fail, nap, none, none),
            YOKE_CONTEXT(link_and_clean_badly, none, none, none),
            YOKE_CONTEXT_STREAM(flow, none, none, none, none, number));

/* ---- helpers ---- */

enum { TEAM = 3 };
/* Some actors named a, b, c, ...; the first is s->portal. */
static yoke_error *start_team(struct scene *s, yoke_portal **team, int count)
{
    for (int i = 0; i < count; i++)
        YOKE_TRY(yoke_actors_start(s->actors, (char[]){(char)('a' + i), '\0'},
                                   &(yoke_actor_options){.modules = "ends"}, &team[i]));
    s->portal = team[0];
    return NULL;
}

static yoke_error *wait_reaped(struct scene *s, size_t left, int bound_ms)
{
    int64_t begin = yoke_now();
    while (yoke_actors_count(s->actors) > left) {
        CHECK(tree_ms_since(begin) < bound_ms * TREE_SLOW);
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return NULL;
}

/* ---- cancel ---- */

static yoke_error *cancel_idle(struct scene *s)
{
    yoke_portal *team[1];
    bool acknowledged;
    YOKE_TRY(start_team(s, team, 1));
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_portal_cancel_actor(team[0], 0, &acknowledged));
    YOKE_TRY(wait_reaped(s, 0, 500));
    CHECK(acknowledged && tree_ms_since(begin) < 500 * TREE_SLOW);
    YOKE_TRY(yoke_portal_cancel_actor(team[0], 0, &acknowledged)); /* PORTAL-02: gone is no error */
    CHECK(!acknowledged);
    return NULL;
}
static void test_canc_01_21_cancel_an_idle_actor(void **state)
{
    assert_success(tree_with_actors(cancel_idle, NULL));
}

static yoke_error *call_host(void *arg)
{
    struct scene *s = arg;
    return yoke_call(s->portal, "ends:host", s->arg, NULL);
}
static yoke_error *cancel_busy(struct scene *s)
{
    yoke_portal *team[1];
    yoke_nursery n;
    YOKE_TRY(start_team(s, team, 1));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_host, s);
    if (!e)
        e = yoke_sleep(YOKE_MS(150) * TREE_SLOW); /* so that the one below is there */
    if (!e)
        e = yoke_portal_cancel_actor(s->portal, YOKE_S(5), NULL);
    EXPECT(yoke_nursery_close_flat(&n, e), &YOKE_CONTEXT_CANCELLED, "root");
    return wait_reaped(s, 0, 500);
}
static void test_canc_02_cancel_an_actor_with_tasks_and_children(void **state)
{
    char name[] = "/tmp/yoke-test-XXXXXX", text[100] = "";
    int fd = mkstemp(name);
    yoke_error *e = tree_with_actors(cancel_busy, &(path){name});
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    unlink(name);
    assert_success(e);
    assert_true(n > 0);
    assert_string_equal(text, "task\nhost\n");
}

static yoke_error *one_call_fails(struct scene *s)
{
    yoke_portal *team[TEAM];
    YOKE_TRY(start_team(s, team, TEAM));
    return yoke_call(team[1], "ends:fail_k", NULL, NULL);
}
static yoke_error *fail_in_scene(struct scene *s)
{
    yoke_error *e = with_actors(s, NULL, s->arg);
    return e;
}
static void test_canc_04_07_error_of_the_body_comes_as_it_is(void **state)
{
    yoke_error *e = tree_with_actors(one_call_fails, NULL);
    assert_true(yoke_error_is(e, &YOKE_REMOTE) && yoke_error_is(yoke_error_cause(e), &APP_K));
    assert_error_text(e, &YOKE_REMOTE, "actor `b`");
}

static yoke_error *body_before_start(struct scene *s)
{
    return yoke_raise(&APP_K, "before");
}
static yoke_error *body_after_end(struct scene *s)
{
    yoke_portal *team[1];
    YOKE_TRY(start_team(s, team, 1));
    YOKE_TRY(yoke_portal_cancel_actor(team[0], 0, NULL));
    YOKE_TRY(wait_reaped(s, 0, 500));
    return yoke_raise(&APP_K, "after");
}
static void test_sup_04_body_fails_before_and_after_the_children(void **state)
{
    assert_error_text(tree_with_actors(body_before_start, NULL), &APP_K, "before");
    assert_error_text(tree_with_actors(body_after_end, NULL), &APP_K, "after");
}

static yoke_error *team_and_sleep(struct scene *s)
{
    yoke_portal *team[TEAM];
    YOKE_TRY(start_team(s, team, TEAM));
    yoke_scope_cancel(s->arg, "from outside");
    return yoke_sleep(YOKE_S(100));
}
static yoke_error *nursery_in_scope(void *arg)
{
    yoke_scope outer;
    struct scene s = {.arg = &outer};
    YOKE_TRY(yoke_scope_open(&outer));
    yoke_error *e = with_actors(&s, NULL, team_and_sleep);
    bool handed_on = yoke_error_is_cancelled(e);
    YOKE_TRY(yoke_scope_close(&outer, e));
    CHECK(handed_on && yoke_scope_cancelled_caught(&outer));
    return NULL;
}
static void test_canc_08_nursery_cancelled_from_outside(void **state)
{
    assert_success(tree_run(nursery_in_scope, NULL));
}

static yoke_error *team_and_fail(struct scene *s)
{
    yoke_portal *team[TEAM];
    YOKE_TRY(start_team(s, team, TEAM));
    yoke_scope_cancel(s->arg, "from outside");
    return yoke_raise(&APP_K, "and then");
}
static yoke_error *cancelled_and_failed(void *arg)
{
    yoke_scope outer;
    struct scene s = {.arg = &outer};
    YOKE_TRY(yoke_scope_open(&outer));
    return yoke_scope_close(&outer, with_actors(&s, NULL, team_and_fail));
}
static void test_failure_is_not_hidden_by_an_outer_cancellation(void **state)
{
    assert_error_text(tree_run(cancelled_and_failed, NULL), &APP_K, "and then");
}

static yoke_error *cancel_nursery(struct scene *s)
{
    yoke_portal *team[TEAM], *late;
    YOKE_TRY(start_team(s, team, TEAM));
    CHECK(yoke_actors_count(s->actors) == TEAM);
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_actors_cancel(s->actors));
    CHECK(yoke_actors_count(s->actors) == 0 && tree_ms_since(begin) < 300 * TREE_SLOW);
    EXPECT(yoke_actors_start(s->actors, "late", NULL, &late), &YOKE_CLOSED, "cancelled");
    CHECK(late == NULL);
    return yoke_actors_cancel(s->actors);
}
static void test_canc_09_nursery_cancelled_by_a_call(void **state)
{
    assert_success(tree_with_actors(cancel_nursery, NULL));
}

static yoke_error *start_one(void *arg)
{
    struct scene *s = arg;
    yoke_portal *p;
    yoke_error *e = yoke_actors_start(s->actors, "x", &(yoke_actor_options){.modules = "ends"}, &p);
    if (!e)
        return NULL;
    EXPECT(e, &YOKE_CLOSED, "cancelled");
    return NULL;
}
static yoke_error *cancel_amid_starts(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 8 && !e; i++)
        e = yoke_spawn(&n, start_one, s);
    if (!e)
        e = yoke_sleep(*(int64_t *)s->arg);
    if (!e)
        e = yoke_actors_cancel(s->actors);
    return yoke_nursery_close_flat(&n, e);
}
static void test_canc_10_sup_23_cancel_while_children_start(void **state)
{
    static const int64_t after[] = {0, YOKE_MS(1), YOKE_MS(3), YOKE_MS(8), YOKE_MS(20), YOKE_MS(50)};
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++)
        assert_success(tree_with_actors(cancel_amid_starts, (void *)&after[i]));
}

static yoke_error *call_spin_host(void *arg)
{
    struct scene *s = arg;
    return yoke_call(s->portal, "ends:host_spinner", NULL, NULL);
}
static yoke_error *cancel_above_spinner(struct scene *s)
{
    yoke_portal *team[1];
    yoke_nursery n;
    YOKE_TRY(start_team(s, team, 1));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_spin_host, s);
    if (!e)
        e = yoke_sleep(YOKE_MS(200) * TREE_SLOW);
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_actors_cancel(s->actors));
    CHECK(tree_ms_since(begin) < 4000);
    return NULL;
}
static void test_grandchild_that_never_yields(void **state)
{
    assert_success(tree_with_actors(cancel_above_spinner, NULL));
}

static yoke_error *spin_long(void *arg)
{
    struct scene *s = arg;
    return yoke_call(s->portal, "ends:spin", &(nap){YOKE_S(20)}, NULL);
}
static yoke_error *cancel_spinner(struct scene *s)
{
    yoke_portal *team[1];
    yoke_nursery n;
    YOKE_TRY(start_team(s, team, 1));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, spin_long, s);
    if (!e)
        e = yoke_sleep(YOKE_MS(20));
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    bool acknowledged = true;
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_portal_cancel_actor(team[0], YOKE_MS(100), &acknowledged)); /* PORTAL-08 */
    CHECK(!acknowledged && tree_ms_since(begin) >= 100 && tree_ms_since(begin) < 500 * TREE_SLOW);
    YOKE_TRY(yoke_actors_cancel(s->actors));
    CHECK(tree_ms_since(begin) < 2500);
    return NULL;
}
static void test_reap_01_17_child_that_never_yields(void **state)
{
    assert_success(tree_with_actors(cancel_spinner, NULL));
}

/* ---- children that fail ---- */

static yoke_error *leave_with(struct scene *s)
{
    yoke_portal *team[TEAM];
    YOKE_TRY(start_team(s, team, TEAM));
    return yoke_call(team[1], "ends:leave", s->arg, NULL);
}
static void test_sup_10_reap_15_child_that_ends_by_itself(void **state)
{
    for (int status = 0; status < 4; status += 3) {
        yoke_error *e = tree_with_actors(leave_with, &(number){status});
        assert_true(yoke_error_is(e, &YOKE_ACTOR_EXITED));
        assert_int_equal(yoke_error_signal(e), -status);
        assert_error_text(e, &YOKE_ACTOR_EXITED, "`b`");
    }
}

static yoke_error *sleep_beside(struct scene *s)
{
    return yoke_sleep(YOKE_S(100));
}
static yoke_error *receive_all(struct scene *s)
{
    number item;
    for (;;)
        YOKE_TRY(yoke_recv(s->stream, &item));
}
static yoke_error *stream_all(struct scene *s)
{
    return with_stream(s, NULL, receive_all);
}
enum { IDLE, IN_A_CALL, STREAMING, MOMENTS };
static yoke_error *kill_soon(void *arg)
{
    yoke_portal *p = arg;
    YOKE_TRY(yoke_sleep(YOKE_MS(30)));
    kill(yoke_portal_pid(p), SIGKILL);
    return NULL;
}
static yoke_error *in_moment(struct scene *s, int moment)
{
    if (moment == IN_A_CALL)
        return yoke_call(s->portal, "ends:doze", &(nap){YOKE_S(100)}, NULL);
    return moment == STREAMING ? with_context(s, "ends:flow", NULL, stream_all) : sleep_beside(s);
}
static yoke_error *killed_in_moment(struct scene *s)
{
    yoke_portal *team[TEAM];
    yoke_nursery n;
    YOKE_TRY(start_team(s, team, TEAM));
    s->portal = team[1];
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, kill_soon, team[1]);
    if (!e)
        e = in_moment(s, *(int *)s->arg);
    return yoke_nursery_close_flat(&n, e);
}
static void test_sup_11_12_child_killed_from_outside(void **state)
{
    for (int moment = 0; moment < MOMENTS; moment++) {
        yoke_error *e = tree_with_actors(killed_in_moment, &moment);
        char *text = yoke_error_text(e);
        bool told = strstr(text, "`b`") && strstr(text, "cancelled with it: actor `a` (graceful") &&
                    strstr(text, "cancelled with it: actor `c` (graceful");
        if (!told)
            fputs(text, stderr);
        free(text);
        assert_int_equal(yoke_error_signal(e), SIGKILL); /* it is the death itself, and no group */
        assert_true(told);
        assert_error(e, &YOKE_ACTOR_DIED);
    }
}

static yoke_error *one_of_twenty_dies(struct scene *s)
{
    yoke_portal *portal;
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%d", i);
        YOKE_TRY(yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "ends"}, &portal));
    }
    kill(yoke_portal_pid(portal), SIGKILL);
    return yoke_sleep_forever();
}
static void test_a_report_names_not_everybody(void **state)
{
    yoke_error *e = tree_with_actors(one_of_twenty_dies, NULL);
    char *text = yoke_error_text(e);
    size_t named = 0;
    for (const char *at = text; (at = strstr(at, "cancelled with it: actor `")); at++)
        named++;
    assert_int_equal(named, 16);
    assert_non_null(strstr(text, "cancelled with it: 3 more"));
    free(text);
    assert_error(e, &YOKE_ACTOR_DIED);
}

static yoke_error *signal_itself(struct scene *s)
{
    yoke_portal *team[1];
    YOKE_TRY(start_team(s, team, 1));
    return yoke_call(team[0], "ends:raise_signal", s->arg, NULL);
}
static void test_child_that_dies_of_other_signals(void **state)
{
    static const int signals[] = {SIGALRM, SIGQUIT, SIGUSR2};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        yoke_error *e = tree_with_actors(signal_itself, &(number){signals[i]});
        assert_int_equal(yoke_error_signal(e), signals[i]);
        assert_error(e, &YOKE_ACTOR_DIED);
    }
}

static yoke_error *link_one(void *arg)
{
    struct scene s = *(struct scene *)arg;
    bool fails = s.arg != NULL;
    return with_context(&s, fails ? "ends:link_and_fail" : "ends:link_and_clean_badly",
                        fails ? &(nap){YOKE_MS(60)} : NULL, sleep_beside);
}
static yoke_error *fail_and_clean_badly(struct scene *s)
{
    yoke_portal *team[2];
    yoke_nursery n;
    YOKE_TRY(start_team(s, team, 2));
    struct scene first = {.portal = team[0], .arg = &n}, second = {.portal = team[1]};
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, link_one, &second);
    if (!e)
        e = yoke_spawn(&n, link_one, &first);
    return yoke_nursery_close_flat(&n, e);
}
static void test_sup_25_26_errors_of_cleanup_count(void **state)
{
    yoke_error *e = tree_with_actors(fail_and_clean_badly, NULL);
    assert_int_equal(yoke_error_count(e), 2);
    assert_true(yoke_error_is(yoke_error_cause(yoke_error_member(e, 0)), &APP_K));
    assert_true(yoke_error_is(yoke_error_cause(yoke_error_member(e, 1)), &APP_L));
    yoke_error_free(e);
}

/* A group of two errors of other actors at each level down to the leaves. */
static bool is_grown(const yoke_error *e, int depth)
{
    if (depth == 0)
        return yoke_error_is(e, &APP_K);
    if (yoke_error_count(e) != 2)
        return false;
    for (size_t i = 0; i < 2; i++) {
        const yoke_error *member = yoke_error_member(e, i);
        if (!yoke_error_is(member, &YOKE_REMOTE) || !is_grown(yoke_error_cause(member), depth - 1))
            return false;
    }
    return true;
}
static void test_sup_05_07_nested_trees(void **state)
{
    for (uint32_t depth = 1; depth <= 3; depth += 2) {
        yoke_error *e = tree_with_actors(grow_two, &(growth){depth, "n"});
        bool grown = is_grown(e, (int)depth);
        if (!grown)
            yoke_error_print(stderr, e);
        assert_true(grown);
        yoke_error_free(e);
    }
}

static yoke_error *inner_nursery(struct scene *s)
{
    yoke_portal *team[1];
    YOKE_TRY(start_team(s, team, 1));
    return yoke_call(team[0], "ends:doze", &(nap){0}, NULL);
}
static yoke_error *two_nurseries(struct scene *s)
{
    yoke_portal *team[1];
    YOKE_TRY(start_team(s, team, 1));
    s->arg = inner_nursery;
    struct scene inner = {.arg = inner_nursery};
    YOKE_TRY(fail_in_scene(&inner));
    YOKE_TRY(yoke_call(team[0], "ends:doze", &(nap){0}, NULL));
    CHECK(yoke_actors_count(s->actors) == 1);
    return NULL;
}
static void test_sup_08_two_nurseries(void **state)
{
    assert_success(tree_with_actors(two_nurseries, NULL));
}

/* ---- the ladder ---- */

static yoke_error *stop_some(struct scene *s)
{
    yoke_portal *team[10];
    YOKE_TRY(start_team(s, team, 10));
    for (int i = 0; i < 3; i++)
        kill(yoke_portal_pid(team[3 * i]), SIGSTOP);
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_actors_cancel(s->actors));
    CHECK(tree_ms_since(begin) < 3000);
    return NULL;
}
static void test_sup_19_reap_04_stopped_children(void **state)
{
    assert_success(tree_with_actors(stop_some, NULL));
}

static yoke_error *continue_soon(void *arg)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(200)));
    kill(yoke_portal_pid(arg), SIGCONT);
    return NULL;
}
static yoke_error *cancel_aside(void *arg)
{
    return yoke_actors_cancel(arg);
}
static yoke_error *stop_for_a_while(struct scene *s)
{
    yoke_portal *team[1];
    yoke_nursery n;
    YOKE_TRY(start_team(s, team, 1));
    kill(yoke_portal_pid(team[0]), SIGSTOP);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, continue_soon, team[0]);
    if (!e)
        e = yoke_spawn(&n, cancel_aside, s->actors);
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(tree_ms_since(begin) < 480); /* before the first rung that would be a signal */
    return NULL;
}
static void test_child_stopped_for_a_while_ends_well(void **state)
{
    assert_success(tree_with_actors(stop_for_a_while, NULL));
}

static yoke_error *doze_long(void *arg)
{
    struct scene *s = arg;
    yoke_error *e = yoke_call(s->portal, "ends:doze", &(nap){YOKE_S(100)}, NULL);
    EXPECT(e, &YOKE_CONTEXT_CANCELLED, "root");
    ++*(int *)s->arg;
    return NULL;
}
static yoke_error *cancel_under_calls(struct scene *s)
{
    yoke_portal *team[1];
    yoke_nursery n;
    YOKE_TRY(start_team(s, team, 1));
    int answered = 0;
    s->arg = &answered;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 20 && !e; i++)
        e = yoke_spawn(&n, doze_long, s);
    if (!e)
        e = yoke_sleep(YOKE_MS(50));
    if (!e)
        e = yoke_portal_cancel_actor(team[0], YOKE_S(5), NULL);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(answered == 20);
    return NULL;
}
static void test_reap_19_what_is_in_flight_arrives(void **state)
{
    assert_success(tree_with_actors(cancel_under_calls, NULL));
}

TREE_MAIN(TEST(test_canc_01_21_cancel_an_idle_actor),
          TEST(test_canc_02_cancel_an_actor_with_tasks_and_children),
          TEST(test_canc_04_07_error_of_the_body_comes_as_it_is),
          TEST(test_sup_04_body_fails_before_and_after_the_children),
          TEST(test_canc_08_nursery_cancelled_from_outside),
          TEST(test_failure_is_not_hidden_by_an_outer_cancellation),
          TEST(test_canc_09_nursery_cancelled_by_a_call),
          TEST(test_canc_10_sup_23_cancel_while_children_start), TEST(test_grandchild_that_never_yields),
          TEST(test_reap_01_17_child_that_never_yields), TEST(test_sup_10_reap_15_child_that_ends_by_itself),
          TEST(test_sup_11_12_child_killed_from_outside), TEST(test_a_report_names_not_everybody),
          TEST(test_child_that_dies_of_other_signals), TEST(test_sup_25_26_errors_of_cleanup_count),
          TEST(test_sup_05_07_nested_trees), TEST(test_sup_08_two_nurseries),
          TEST(test_sup_19_reap_04_stopped_children), TEST(test_child_stopped_for_a_while_ends_well),
          TEST(test_reap_19_what_is_in_flight_arrives))
