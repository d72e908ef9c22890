/* Errors over actors: what they carry, who is in them, how a person is shown them, and the program's exit
 * status. */
#include "tree.h"

#include "actor/relay.h"

#include <errno.h>
#include <signal.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);
YOKE_ERROR_KIND(APP_BELOW, "test.Below", &YOKE_TOO_SLOW);

/* ---- endpoints ---- */

YOKE_RECORD(place, (u32, left), (str, file));

static int raised_at_line;

static yoke_error *fail_here(void)
{
    raised_at_line = __LINE__ + 1;
    return yoke_raise(&APP_K, "no luck");
}
static yoke_error *give_up(const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(fail_here());
    return NULL;
}
static yoke_error *fail_line(const yoke_type_none *args, yoke_type_u32 *result)
{
    *result = (uint32_t)raised_at_line;
    return NULL;
}
static yoke_error *fail_with_all(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_error *e = yoke_raise_errno(EACCES, "open %s", "the door");
    e = yoke_wrap(e, &APP_BELOW, "waiting");
    yoke_error_note(e, "tried %d times", 3);
    yoke_error *members[] = {e, yoke_raise(&APP_K, "meanwhile")};
    return yoke_error_group(members, 2, "two things");
}
static yoke_error *die_of(const place *args, yoke_type_none *result)
{
    raise((int)args->left);
    return yoke_sleep(YOKE_S(100));
}

static yoke_error *call_below(struct scene *s)
{
    const place *args = s->arg;
    char name[16];
    snprintf(name, sizeof name, "level%u", args->left);
    YOKE_TRY(yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "ends"}, &s->portal));
    if (args->left == 1)
        return yoke_call(s->portal, "ends:give_up", NULL, NULL);
    return yoke_call(s->portal, "ends:pass_on", &(place){args->left - 1, ""}, NULL);
}
/* Fails as the one below it does. */
static yoke_error *pass_on(const place *args, yoke_type_none *result)
{
    struct scene s = {.arg = (void *)args};
    return with_actors(&s, NULL, call_below);
}
static yoke_error *cancelled_both(const yoke_type_none *args, yoke_type_none *result)
{
    const yoke_uid *self = yoke_current_actor();
    yoke_error *members[] = {relay_cancelled(self, self, "one was cancelled"),
                             relay_cancelled(self, self, "the other was cancelled")};
    return yoke_error_group(members, 2, "two that were cancelled");
}
static yoke_error *hide(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_error *e = yoke_raise(&APP_K, "line one\nline two \x1b[31mred\x07");
    return e;
}
YOKE_MODULE(ends, YOKE_CALL(give_up, none, none), YOKE_CALL(fail_line, none, u32),
            YOKE_CALL(fail_with_all, none, none), YOKE_CALL(die_of, place, none),
            YOKE_CALL(pass_on, place, none), YOKE_CALL(hide, none, none),
            YOKE_CALL(cancelled_both, none, none));

/* ---- what is carried ---- */

static yoke_error *check_fields(struct scene *s, const yoke_error *e, int line)
{
    const yoke_error *there = yoke_error_cause(e);
    CHECK(yoke_error_kind_of(e) == &YOKE_REMOTE && yoke_error_kind_of(there) == &APP_K);
    CHECK(strcmp(yoke_error_message(there), "no luck") == 0);
    CHECK(yoke_error_line(there) == line && strstr(yoke_error_file(there), "test_errors.c"));
    CHECK(strcmp(yoke_error_function(there), "fail_here") == 0);
    CHECK(strcmp(yoke_error_task(there), "ends:give_up") == 0);
    CHECK(strcmp(yoke_error_actor(there), "worker") == 0);
    CHECK(yoke_uid_equal(yoke_error_source(e), yoke_portal_peer(s->portal)));
    CHECK(yoke_error_canceller(e) == NULL && yoke_error_signal(e) == 0);
    return NULL;
}
static yoke_error *call_fail(struct scene *s)
{
    uint32_t line;
    yoke_error *e = yoke_call(s->portal, "ends:give_up", NULL, NULL);
    yoke_error *bad = yoke_call(s->portal, "ends:fail_line", NULL, &line);
    if (!bad)
        bad = check_fields(s, e, (int)line);
    char *text = yoke_error_text(e), via[80];
    snprintf(via, sizeof via, "via give_up ("); /* the hop in the child is kept */
    bool hops = strstr(text, via) && strstr(text, "while: `ends:give_up` was called in actor `worker`");
    if (!hops)
        fputs(text, stderr);
    free(text);
    yoke_error_free(e);
    YOKE_TRY(bad);
    CHECK(hops);
    return NULL;
}
/* RELAY-03: the kind there is this program's own, by its address */
static void test_relay_01_03_what_a_relayed_error_carries(void **state)
{
    assert_success(tree_with_child("ends", call_fail, NULL));
}

static yoke_error *check_all(const yoke_error *e)
{
    const yoke_error *group = yoke_error_cause(e);
    CHECK(yoke_error_is(group, &YOKE_GROUP) && yoke_error_count(group) == 2);
    CHECK(strcmp(yoke_error_message(group), "two things") == 0);
    const yoke_error *first = yoke_error_member(group, 0), *second = yoke_error_member(group, 1);
    CHECK(yoke_error_kind_of(first) == &APP_BELOW && yoke_error_is(first, &YOKE_TOO_SLOW));
    CHECK(yoke_error_kind_of(yoke_error_cause(first)) == &YOKE_PERMISSION);
    CHECK(yoke_error_errno(yoke_error_cause(first)) == EACCES);
    CHECK(yoke_error_kind_of(second) == &APP_K);
    CHECK(yoke_error_find(e, &APP_K) == second);
    char *text = yoke_error_text(e);
    bool noted = strstr(text, "tried 3 times") && strstr(text, "open the door");
    free(text);
    CHECK(noted);
    return NULL;
}
static yoke_error *call_all(struct scene *s)
{
    yoke_error *e = yoke_call(s->portal, "ends:fail_with_all", NULL, NULL);
    yoke_error *bad = check_all(e);
    yoke_error_free(e);
    return bad;
}
static void test_relay_05_groups_causes_notes_and_errno(void **state)
{
    assert_success(tree_with_child("ends", call_all, NULL));
}

static yoke_error *call_through(struct scene *s)
{
    return yoke_call(s->portal, "ends:pass_on", &(place){2, ""}, NULL);
}
static void test_relay_02_three_hops(void **state)
{
    yoke_error *e = tree_with_child("ends", call_through, NULL);
    char *text = yoke_error_text(e);
    assert_true(yoke_error_is(e, &YOKE_REMOTE));
    /* However many hops there were, the one that failed is the cause, and the source. */
    assert_true(yoke_error_kind_of(yoke_error_cause(e)) == &APP_K);
    assert_string_equal(yoke_error_source(e)->name, "level1");
    assert_string_equal(yoke_error_actor(yoke_error_cause(e)), "level1");
    if (!strstr(text, "came by actors `level1`, `level2`, `worker`"))
        fputs(text, stderr);
    assert_non_null(strstr(text, "came by actors `level1`, `level2`, `worker`"));
    free(text);
    yoke_error_free(e);
}

static yoke_error *call_hidden(struct scene *s)
{
    yoke_error *e = yoke_call(s->portal, "ends:hide", NULL, NULL);
    char *text = yoke_error_text(e);
    bool escaped = !strchr(text, 0x1b) && !strchr(text, 0x07) && strstr(text, "\\x1b");
    free(text);
    EXPECT_REMOTE(e, &APP_K, NULL);
    CHECK(escaped);
    return NULL;
}
static void test_relay_10_control_characters(void **state)
{
    assert_success(tree_with_child("ends", call_hidden, NULL));
}

/* A group of nothing but cancellations is one. */
static yoke_error *call_cancelled(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker",
                               &(yoke_actor_options){.modules = "ends", .log_filter = "cancel"}, &s->portal));
    yoke_error *e = yoke_call(s->portal, "ends:cancelled_both", NULL, NULL);
    const yoke_uid *canceller = yoke_error_canceller(e);
    bool named = canceller && strcmp(canceller->name, "worker") == 0;
    EXPECT(e, &YOKE_CONTEXT_CANCELLED, NULL);
    CHECK(named);
    return NULL;
}
static yoke_error *cancelled_app(void *arg)
{
    struct scene s = {0};
    return with_actors(&s, NULL, call_cancelled);
}
static void test_relay_07_cancellation_is_not_an_error_to_report(void **state)
{
    char text[8192];
    int status = tree_status(cancelled_app, NULL, text, sizeof text);
    bool told =
        strstr(text, "CANCEL worker") && strstr(text, "all that `ends:cancelled_both` was waiting for");
    bool quiet = !strstr(text, " ERROR ") && !strstr(text, "error: ");
    if (status || !told || !quiet)
        fputs(text, stderr);
    assert_true(!status && told && quiet);
}

/* ---- deaths ---- */

static yoke_error *call_death(struct scene *s)
{
    yoke_error *e = yoke_call(s->portal, "ends:die_of", s->arg, NULL);
    CHECK(yoke_error_is(e, &YOKE_TRANSPORT_CLOSED));
    CHECK(yoke_error_find(e, &YOKE_ACTOR_DIED) != NULL);
    return e;
}
static void test_relay_12_crash_of_the_far_process(void **state)
{
    static const struct {
        int number;
        const char *name;
    } signals[] = {{SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"}, {SIGFPE, "SIGFPE"}, {SIGKILL, "SIGKILL"}};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        yoke_error *e = tree_with_child("ends", call_death, &(place){(uint32_t)signals[i].number, ""});
        assert_true(yoke_error_is(e, &YOKE_ACTOR_DIED));
        assert_int_equal(yoke_error_signal(e), signals[i].number);
        char *text = yoke_error_text(e);
        bool told = strstr(text, signals[i].name) && strstr(text, "`worker`") &&
                    strstr(text, "`ends:die_of` was called");
        bool traced = signals[i].number == SIGKILL || strstr(text, "die_of (");
        if (!told || !traced)
            fputs(text, stderr);
        free(text);
        yoke_error_free(e);
        assert_true(told && traced);
    }
}

/* ---- what the program says ---- */

static yoke_error *succeed(void *arg)
{
    return NULL;
}
static yoke_error *fail_plainly(void *arg)
{
    if (arg)
        yoke_exit_status(*(int *)arg);
    return yoke_raise(&APP_K, "the app failed");
}
static yoke_error *pass_on_in_scene(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "beside", NULL, &s->portal));
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    return yoke_call(s->portal, "ends:give_up", NULL, NULL);
}
static yoke_error *fail_in_a_tree(void *arg)
{
    struct scene s = {0};
    return with_actors(&s, NULL, pass_on_in_scene);
}
static void test_status_and_report_of_the_program(void **state)
{
    char text[4096];
    int chosen = 7;
    assert_int_equal(tree_status(succeed, NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(tree_status(fail_plainly, NULL, text, sizeof text), 1);
    assert_non_null(strstr(text, "error: the app failed [test.K]"));
    assert_int_equal(tree_status(fail_plainly, &chosen, text, sizeof text), 7);
}

static void test_relay_06_tree_for_a_person(void **state)
{
    char text[4096];
    assert_int_equal(tree_status(fail_in_a_tree, NULL, text, sizeof text), 1);
    static const char *const parts[] = {"error: a task of actor `worker` failed [Remote]",
                                        "caused by: no luck [test.K]",
                                        "at fail_here (",
                                        "test_errors.c:",
                                        "in task `ends:give_up` of actor `worker`",
                                        "via give_up (",
                                        "while: `ends:give_up` was called in actor `worker` [",
                                        NULL};
    for (size_t i = 0; parts[i]; i++) {
        if (!strstr(text, parts[i]))
            fprintf(stderr, "# `%s` is not in:\n%s", parts[i], text);
        assert_non_null(strstr(text, parts[i]));
    }
    assert_null(strchr(text, 0x1b)); /* no colours: it is no terminal */
}

static yoke_error *interrupt_itself(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", NULL, &s->portal));
    kill(getpid(), SIGINT);
    return yoke_sleep(YOKE_S(100));
}
static yoke_error *interrupted(void *arg)
{
    struct scene s = {0};
    return with_actors(&s, NULL, interrupt_itself);
}
static void test_interrupt_ends_the_tree(void **state)
{
    char text[4096];
    int64_t begin = yoke_now();
    assert_int_equal(tree_status(interrupted, NULL, text, sizeof text), 130);
    assert_string_equal(text, "interrupted\n");
    assert_true(tree_ms_since(begin) < 500 * TREE_SLOW);
}

TREE_MAIN(TEST(test_relay_01_03_what_a_relayed_error_carries),
          TEST(test_relay_05_groups_causes_notes_and_errno), TEST(test_relay_02_three_hops),
          TEST(test_relay_10_control_characters), TEST(test_relay_07_cancellation_is_not_an_error_to_report),
          TEST(test_relay_12_crash_of_the_far_process), TEST(test_status_and_report_of_the_program),
          TEST(test_relay_06_tree_for_a_person), TEST(test_interrupt_ends_the_tree))
