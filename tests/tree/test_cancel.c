/*
 * Who cancels whom: actors and their nurseries, cancelled by the body, by a failure, by ctrl-c, from two
 * levels up; and who is named for it.
 */
#include "told.h"

#include <signal.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);
YOKE_ERROR_KIND(APP_L, "test.L", NULL);

/* ---- endpoints ---- */

YOKE_RECORD(nap, (i64, ns));
YOKE_RECORD(path, (str, file));

static yoke_error *doze(const nap *args, yoke_type_none *result)
{
    return yoke_sleep(args->ns);
}
static yoke_error *fail_after(const nap *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_sleep(args->ns));
    return yoke_raise(&APP_K, "of its own");
}
/* Fails when it is cancelled. */
static yoke_error *fail_at_the_end(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_error_free(yoke_sleep_forever());
    return yoke_raise(&APP_L, "the cleanup failed");
}
/* Writes who cancelled it. */
static yoke_error *stay(yoke_context *ctx, const path *args, yoke_type_none *result)
{
    char line[200];
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = yoke_sleep_forever();
    const yoke_uid *canceller = yoke_context_canceller(ctx);
    snprintf(line, sizeof line, "%s cancelled by %s", yoke_current_actor()->name,
             canceller ? canceller->name : "nobody");
    tell_in(args->file, line);
    return e;
}
/* The same, and takes its time to clean up. */
static yoke_error *stay_and_clean(yoke_context *ctx, const path *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = yoke_sleep_forever();
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_scope_close(&shield, yoke_sleep(YOKE_MS(300))));
    tell_in(args->file, "clean");
    return e;
}
static yoke_error *spin(yoke_context *ctx, const nap *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_sleep(YOKE_MS(5))); /* the first value leaves the process */
    for (int64_t end = yoke_now() + args->ns; yoke_now() < end;)
        ;
    return NULL;
}

/* ---- an actor in the middle: with one below it, in whose endpoint it holds a context ---- */

struct middle {
    yoke_context *above;
    const path *args;
};

/* The outcome of its own context is told as it sees it. */
static void tell_outcome(const struct middle *m, const yoke_context *below)
{
    char line[300];
    const yoke_error *outcome = yoke_context_outcome(below);
    const yoke_uid *named = yoke_error_canceller(outcome), *source = yoke_error_source(outcome);
    snprintf(line, sizeof line, "%s sees %s of %s named %s, acked %d", yoke_current_actor()->name,
             outcome ? yoke_error_kind_of(outcome)->name : "no error", source ? source->name : "nobody",
             named ? named->name : "nobody", yoke_context_cancel_acked(below));
    tell_in(m->args->file, line);
}
static yoke_error *with_lower(struct scene *s)
{
    struct middle *m = s->arg;
    YOKE_TRY(yoke_actors_start(s->actors, "lower", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:stay", m->args, NULL));
    yoke_context *kept = yoke_context_keep(s->ctx);
    yoke_error *e = yoke_context_started(m->above, NULL);
    if (!e)
        e = yoke_sleep_forever();
    e = yoke_context_close(s->ctx, e);
    tell_outcome(m, kept);
    yoke_context_release(kept);
    return e;
}
static yoke_error *hold(yoke_context *ctx, const path *args, yoke_type_none *result)
{
    struct middle m = {ctx, args};
    struct scene s = {.arg = &m};
    return with_actors(&s, NULL, with_lower);
}

/* As `hold`, but hands on what the one below comes to by itself. */
static yoke_error *cancel_itself(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_context_cancel(ctx));
    return yoke_checkpoint();
}
static yoke_error *hand_on_below(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "lower", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:cancel_itself", NULL, NULL));
    return yoke_context_close(s->ctx, yoke_sleep_forever());
}
static yoke_error *hand_on(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    struct scene s = {0};
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return with_actors(&s, NULL, hand_on_below);
}

/* Has one below that reaches no checkpoint for ten seconds, and tells how that one ended. */
static yoke_error *with_spinner(struct scene *s)
{
    struct middle *m = s->arg;
    YOKE_TRY(yoke_actors_start(s->actors, "spinner", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:spin", &(nap){YOKE_S(10)}, NULL));
    yoke_error *e = yoke_context_started(m->above, NULL);
    if (!e)
        e = yoke_sleep_forever();
    return yoke_context_close(s->ctx, e);
}
static yoke_error *hold_spinner(yoke_context *ctx, const path *args, yoke_type_none *result)
{
    struct middle m = {ctx, args};
    struct scene s = {.arg = &m};
    int64_t begin = yoke_now();
    yoke_error *e = with_actors(&s, NULL, with_spinner);
    tell_in(args->file, yoke_error_is_cancelled(e) && tree_ms_since(begin) < 9000 ? "reaped the spinner"
                                                                                  : "failed by the spinner");
    return e;
}

/* A service with a nursery of its own, one of whose tasks fails. */
static yoke_error *fail_soon(void *arg)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(30)));
    return yoke_raise(&APP_K, "in the service");
}
static yoke_error *sleep_on(void *arg)
{
    return yoke_sleep_forever();
}
static yoke_error *service(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, sleep_on, NULL);
    if (!e)
        e = yoke_context_started(ctx, NULL);
    if (!e)
        e = yoke_spawn(&n, fail_soon, NULL);
    return yoke_nursery_close_flat(&n, e);
}

YOKE_MODULE(ends, YOKE_CALL(doze, nap, none), YOKE_CALL(fail_after, nap, none),
            YOKE_CALL(fail_at_the_end, none, none), YOKE_CONTEXT(stay, path, none, none),
            YOKE_CONTEXT(stay_and_clean, path, none, none), YOKE_CONTEXT(spin, nap, none, none),
            YOKE_CONTEXT(hold, path, none, none), YOKE_CONTEXT(cancel_itself, none, none, none),
            YOKE_CONTEXT(hand_on, none, none, none), YOKE_CONTEXT(hold_spinner, path, none, none),
            YOKE_CONTEXT(service, none, none, none));

/* ---- helpers ---- */

static yoke_error *start(struct scene *s, const char *name)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "tree ends"}, &s->portal);
}

static yoke_error *wait_reaped(struct scene *s)
{
    while (yoke_actors_count(s->actors))
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}

static yoke_error *sleep_long(struct scene *s)
{
    return yoke_sleep_forever();
}

/* ---- failures ---- */

static yoke_error *two_fail(struct scene *s)
{
    YOKE_TRY(yoke_actors_run(s->actors, "bystander", "ends:doze", &(nap){YOKE_S(100)}, NULL));
    YOKE_TRY(yoke_actors_run(s->actors, "second", "ends:fail_at_the_end", NULL, NULL));
    YOKE_TRY(yoke_actors_run(s->actors, "first", "ends:fail_after", &(nap){YOKE_MS(50)}, NULL));
    return yoke_sleep_forever();
}
static void test_canc_05_several_fail(void **state)
{
    yoke_error *e = tree_with_actors(two_fail, NULL);
    assert_int_equal(yoke_error_count(e), 2);
    const yoke_error *first = yoke_error_member(e, 0), *second = yoke_error_member(e, 1);
    assert_true(yoke_error_is(first, &YOKE_REMOTE) && yoke_error_is(yoke_error_cause(first), &APP_K));
    assert_true(yoke_error_is(second, &YOKE_REMOTE) && yoke_error_is(yoke_error_cause(second), &APP_L));
    assert_string_equal(yoke_error_source(first)->name, "first");
    assert_string_equal(yoke_error_source(second)->name, "second");
    yoke_error_free(e);
}

static yoke_error *many_fail(struct scene *s)
{
    for (int i = 0; i < 25; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        YOKE_TRY(yoke_actors_run(s->actors, name, "ends:fail_after", s->arg, NULL));
    }
    return yoke_sleep_forever(); /* when all have started before the first fails */
}
static bool is_k(const yoke_error *leaf, void *arg)
{
    return yoke_error_is(leaf, &YOKE_REMOTE) && yoke_error_is(yoke_error_cause(leaf), &APP_K);
}
static void test_canc_06_many_fail_while_more_start(void **state)
{
    for (int i = 0; i < 2; i++) {
        yoke_error *e = tree_with_actors(many_fail, &(nap){i * YOKE_MS(500)}), *failures;
        yoke_error_split_by(&e, is_k, NULL, &failures);
        assert_non_null(failures);
        yoke_error_free(failures);
        assert_success(e); /* nothing beside them: what was only cancelled is not told of */
    }
}

static yoke_error *body_fails(struct scene *s)
{
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_actors_run(s->actors, (char[]){(char)('a' + i), '\0'}, "ends:doze", &(nap){YOKE_S(100)},
                                 NULL));
    return yoke_raise(&APP_K, "the body");
}
static void test_canc_07_body_fails(void **state)
{
    yoke_error *e = tree_with_actors(body_fails, NULL);
    assert_ptr_equal(yoke_error_kind_of(e), &APP_K);
    assert_int_equal(yoke_error_count(e), 0);
    assert_error_text(e, &APP_K, "the body");
}

static yoke_error *hear_of_service(struct scene *s)
{
    YOKE_TRY(start(s, "worker"));
    EXPECT_REMOTE(with_context(s, "ends:service", NULL, sleep_long), &APP_K, "in the service");
    return yoke_call(s->portal, "tree:ping", NULL, NULL); /* the actor lives on */
}
static void test_canc_20_nursery_in_a_child(void **state)
{
    assert_success(tree_with_actors(hear_of_service, NULL));
}

/* ---- actors cancelled ---- */

static yoke_error *cancel_portal(void *portal)
{
    return yoke_portal_cancel_actor(portal, YOKE_S(10), NULL);
}
static yoke_error *cancel_the_ending(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(start(s, "worker"));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:stay_and_clean", &(path){told}, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, cancel_portal, s->portal);
    if (!e)
        e = yoke_sleep(YOKE_MS(50)); /* it is ending now */
    if (!e)
        e = cancel_portal(s->portal);
    YOKE_TRY(yoke_nursery_close(&n, e));
    EXPECT(yoke_context_close(s->ctx, NULL), &YOKE_CONTEXT_CANCELLED, "root");
    YOKE_TRY(cancel_portal(s->portal)); /* and gone */
    return wait_reaped(s);
}
static void test_canc_21_cancel_twice(void **state)
{
    told_begin();
    yoke_error *e = tree_with_actors(cancel_the_ending, NULL);
    assert_string_equal(told_end(), "clean\n");
    assert_success(e);
}

/* The close waits for a daemon's process when the cancellation comes. Were it not graceful it took a minute.
 */
static yoke_error *start_daemon(struct scene *s)
{
    YOKE_TRY(start(s, "daemon"));
    *(bool *)s->arg = true;
    return NULL;
}
static yoke_error *wait_softly(void *arg)
{
    struct scene s = {.arg = arg};
    YOKE_TRY(yoke_actors_open(
        &s.actors, &(yoke_actors_options){.acknowledge_bound = YOKE_S(60), .kill_bound = YOKE_S(60)}));
    return yoke_actors_close(s.actors, start_daemon(&s));
}
static yoke_error *cancel_a_soft_wait(void *arg)
{
    yoke_nursery n;
    bool started = false;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, wait_softly, &started);
    while (!e && !started)
        e = yoke_sleep(YOKE_MS(1));
    if (!e)
        e = yoke_sleep(YOKE_MS(50)); /* it waits */
    int64_t begin = yoke_now();
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(tree_ms_since(begin) < 20000);
    return NULL;
}
static void test_canc_19_cancel_in_the_soft_wait(void **state)
{
    assert_success(tree_run(cancel_a_soft_wait, NULL));
}

/* The root's bounds leave the middle its own. */
static yoke_error *cancel_above_a_spinner(struct scene *s)
{
    YOKE_TRY(start(s, "middle"));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:hold_spinner", &(path){told}, NULL));
    yoke_error *e = yoke_actors_cancel(s->actors);
    EXPECT(yoke_context_close(s->ctx, e), &YOKE_CONTEXT_CANCELLED, NULL);
    return NULL;
}
static yoke_error *root_of_a_spinner(void *arg)
{
    struct scene s = {0};
    return with_actors(&s, &(yoke_actors_options){.acknowledge_bound = YOKE_S(30), .kill_bound = YOKE_S(60)},
                       cancel_above_a_spinner);
}
static void test_canc_15_a_grandchild_without_checkpoints(void **state)
{
    told_begin();
    yoke_error *e = tree_run(root_of_a_spinner, NULL);
    assert_string_equal(told_end(), "reaped the spinner\n");
    assert_success(e);
}

/* ---- who is named ---- */

static yoke_error *cancel_the_middle(struct scene *s)
{
    YOKE_TRY(start(s, "middle"));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:hold", &(path){told}, NULL));
    yoke_context *kept = yoke_context_keep(s->ctx);
    yoke_error *e =
        s->arg ? yoke_context_cancel(s->ctx) : yoke_portal_cancel_actor(s->portal, YOKE_S(20), NULL);
    e = yoke_context_close(s->ctx, e);
    const yoke_error *outcome = yoke_context_outcome(kept);
    bool named = yoke_uid_equal(yoke_error_canceller(outcome), yoke_current_actor()) &&
                 yoke_uid_equal(yoke_error_source(outcome), yoke_portal_peer(s->portal));
    yoke_context_release(kept);
    CHECK(named);
    if (s->arg) /* its own request: absorbed */
        return e;
    EXPECT(e, &YOKE_CONTEXT_CANCELLED, "root");
    return NULL;
}
/* Root cancels the middle, its actor or its task; the context that the middle had below it ends by that. */
static void test_canc_16_every_hop_names_who_asked_first(void **state)
{
    for (int task = 0; task < 2; task++) {
        told_begin();
        yoke_error *e = tree_with_actors(cancel_the_middle, task ? told : NULL);
        const char *text = told_end();
        assert_non_null(strstr(text, "lower cancelled by root\n"));
        assert_non_null(strstr(text, "middle sees yoke.ContextCancelled of lower named root, acked 1\n"));
        assert_int_equal(lines_of(text), 2);
        assert_success(e);
    }
}

static yoke_error *hear_of_the_lower(struct scene *s)
{
    YOKE_TRY(start(s, "middle"));
    yoke_error *e = with_context(s, "ends:hand_on", NULL, sleep_long);
    const yoke_uid *named = yoke_error_canceller(e);
    bool is_lower = named && strcmp(named->name, "lower") == 0;
    EXPECT(e, &YOKE_CONTEXT_CANCELLED, "came by actors `lower`, `middle`");
    CHECK(is_lower);
    return NULL;
}
/* CANC-16: what one hands on keeps the name, and its way */
static void test_a_cancellation_handed_on(void **state)
{
    assert_success(tree_with_actors(hear_of_the_lower, NULL));
}

/* ---- ctrl-c ---- */

enum { ACTORS = 3 };

/* Contexts in some actors, all of which tell of their end. */
static yoke_error *open_some(struct scene *s, int left)
{
    char name[] = {(char)('a' + left), '\0'};
    if (!left) {
        tell_in(told, "ready");
        return yoke_sleep_forever();
    }
    YOKE_TRY(start(s, name));
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(s->portal, &ctx, "ends:stay", &(path){told}, NULL));
    return yoke_context_close(ctx, open_some(s, left - 1));
}
static yoke_error *open_all(struct scene *s)
{
    return open_some(s, ACTORS);
}
static yoke_error *interruptible(void *arg)
{
    struct scene s = {0};
    return with_actors(&s, NULL, open_all);
}
static yoke_error *interruptible_in_background(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return yoke_nursery_close(&n, yoke_spawn(&n, interruptible, NULL));
}

/* The root of a tree of its own, in a process group of its own. */
static pid_t fork_root(tree_body body, int err)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    setpgid(0, 0);
    dup2(err, STDERR_FILENO);
    _exit(tree_main(body, NULL, true));
}
static void is_interrupted(tree_body body)
{
    char text[1000];
    int status;
    FILE *err = tmpfile();
    told_begin();
    pid_t pid = fork_root(body, fileno(err));
    while (!strstr(told_read(), "ready"))
        usleep(2000);
    assert_int_equal(kill(-pid, SIGINT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    rewind(err);
    text[fread(text, 1, sizeof text - 1, err)] = '\0';
    fclose(err);
    assert_string_equal(text, "interrupted\n");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGINT);
    const char *lines = told_end(); /* each actor's task has ended by itself */
    assert_int_equal(lines_of(lines), 1 + ACTORS);
    for (int i = 1; i <= ACTORS; i++) {
        char line[40];
        snprintf(line, sizeof line, "%c cancelled by root\n", 'a' + i);
        assert_non_null(strstr(lines, line));
    }
}
static void test_canc_11_ctrl_c(void **state)
{
    is_interrupted(interruptible);
}
static void test_canc_12_ctrl_c_with_the_nursery_in_the_background(void **state)
{
    is_interrupted(interruptible_in_background);
}

TREE_MAIN(TEST(test_canc_05_several_fail), TEST(test_canc_06_many_fail_while_more_start),
          TEST(test_canc_07_body_fails), TEST(test_canc_20_nursery_in_a_child),
          TEST(test_canc_21_cancel_twice), TEST(test_canc_19_cancel_in_the_soft_wait),
          TEST(test_canc_15_a_grandchild_without_checkpoints),
          TEST(test_canc_16_every_hop_names_who_asked_first), TEST(test_a_cancellation_handed_on),
          TEST(test_canc_11_ctrl_c), TEST(test_canc_12_ctrl_c_with_the_nursery_in_the_background))
