#include "harness.h"

#include "base/error_body.h"
#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

YOKE_ERROR_KIND(TEST_LOAD, "test.Load", NULL);
YOKE_ERROR_KIND(TEST_SLOW, "test.Slow", &YOKE_TOO_SLOW);

static yoke_error *make(const char *text)
{
    return yoke_raise(&TEST_LOAD, "%s", text);
}

static yoke_error *cancel(const char *text)
{
    return error_make_cancelled("%s", text);
}

static yoke_error *group2(yoke_error *a, yoke_error *b)
{
    return yoke_error_group((yoke_error *[]){a, b}, 2, "group");
}

static void expect_text(const yoke_error *e, const char *expected)
{
    char *text = yoke_error_text(e);
    assert_string_equal(text, expected);
    free(text);
}

/* The shape in short: messages, groups in brackets. */
static void shape_of(const yoke_error *e, char *out)
{
    if (!e) {
        strcat(out, "-");
        return;
    }
    if (!yoke_error_count(e)) {
        strcat(out, yoke_error_message(e));
        return;
    }
    strcat(out, "(");
    for (size_t i = 0; i < yoke_error_count(e); i++) {
        if (i)
            strcat(out, " ");
        shape_of(yoke_error_member(e, i), out);
    }
    strcat(out, ")");
}

static void expect_shape(const yoke_error *e, const char *expected)
{
    char shape[512] = "";
    shape_of(e, shape);
    assert_string_equal(shape, expected);
}

/* ---- kinds ---- */

static void test_err_04_05_kinds(void **state)
{
    assert_ptr_equal(yoke_error_kind_find("yoke.NotFound"), &YOKE_NOT_FOUND);
    assert_ptr_equal(yoke_error_kind_find("test.Slow"), &TEST_SLOW);
    assert_null(yoke_error_kind_find("test.Nothing"));
    yoke_error_kind_register(&TEST_SLOW);
    yoke_error *e = yoke_raise(&TEST_SLOW, "x");
    assert_true(yoke_error_is(e, &TEST_SLOW));
    assert_true(yoke_error_is(e, &YOKE_TOO_SLOW));
    assert_false(yoke_error_is(e, &TEST_LOAD));
    assert_false(yoke_error_is(NULL, &TEST_SLOW));
    yoke_error_free(e);
}

/* In a child: kinds stay for good, and the second of one name ends the program. */
static void test_err_04_many_kinds_and_a_taken_name(void **state)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        static yoke_error_kind kinds[500], twin = {"test.Kind499", &TEST_SLOW};
        static char names[500][32];
        for (int i = 0; i < 500; i++) {
            snprintf(names[i], sizeof names[i], "test.Kind%d", i);
            memcpy(&kinds[i], &(yoke_error_kind){names[i], NULL}, sizeof kinds[i]);
            yoke_error_kind_register(&kinds[i]);
        }
        if (yoke_error_kind_find("test.Kind499") != &kinds[499] ||
            yoke_error_kind_find("test.Kind0") != &kinds[0])
            _exit(1);
        yoke_error_kind_register(&twin);
        _exit(2);
    }
    close(ends[1]);
    char text[1024];
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    text[n < 0 ? 0 : n] = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "named `test.Kind499`"));
    assert_non_null(strstr(text, "parent test.Slow"));
}

/* ---- raising ---- */

static void test_err_01_07_raise(void **state)
{
    char file[] = "some.c", function[] = "doing";
    errno = EINTR;
    yoke_error *e = yoke_raise_at(file, 12, function, &TEST_LOAD, "no %s in %d", "answer", 5);
    assert_int_equal(errno, EINTR);
    file[0] = function[0] = 'X';
    assert_string_equal(yoke_error_message(e), "no answer in 5");
    assert_string_equal(yoke_error_file(e), "some.c");
    assert_string_equal(yoke_error_function(e), "doing");
    assert_int_equal(yoke_error_line(e), 12);
    assert_string_equal(yoke_error_actor(e), "");
    assert_string_equal(yoke_error_task(e), "");
    assert_int_equal(yoke_error_errno(e), 0);
    assert_null(yoke_error_cause(e));
    assert_int_equal(yoke_error_count(e), 0);
    assert_null(yoke_error_member(e, 0));
    assert_ptr_equal(yoke_error_kind_of(e), &TEST_LOAD);
    yoke_error_free(e);
    yoke_error_free(NULL);
}

static void test_messages_in_full(void **state)
{
    for (size_t size = 250; size <= 262; size++) {
        yoke_error *e = yoke_raise(&TEST_LOAD, "%0*d", (int)size, 7);
        assert_int_equal(strlen(yoke_error_message(e)), size);
        assert_int_equal(yoke_error_message(e)[size - 1], '7');
        yoke_error_free(e);
    }
    yoke_error *e = yoke_raise_errno(ENOENT, "%0*d", 60000, 7);
    assert_int_equal(strlen(yoke_error_message(e)), 60000 + strlen(": No such file or directory"));
    yoke_error_free(e);
}

static void test_err_08_errno_kinds(void **state)
{
    static const struct {
        int number;
        const yoke_error_kind *kind;
    } rows[] = {{ENOENT, &YOKE_NOT_FOUND},
                {EPERM, &YOKE_PERMISSION},
                {EACCES, &YOKE_PERMISSION},
                {EEXIST, &YOKE_EXISTS},
                {ENFILE, &YOKE_NO_DESCRIPTORS},
                {EPIPE, &YOKE_CONNECTION_LOST},
                {ENETUNREACH, &YOKE_CONNECT_FAILED},
                {EADDRINUSE, &YOKE_ADDRESS_IN_USE},
                {ENOMEM, &YOKE_NO_MEMORY},
                {EIO, &YOKE_SYSTEM},
                {9999, &YOKE_SYSTEM}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        yoke_error *e = yoke_raise_errno(rows[i].number, "call");
        assert_ptr_equal(yoke_error_kind_of(e), rows[i].kind);
        assert_int_equal(yoke_error_errno(e), rows[i].number);
        yoke_error_free(e);
    }
    assert_true(yoke_error_is(NULL, &YOKE_SYSTEM) == false);
    assert_error_text(yoke_raise_errno(ENOENT, "open %s", "x"), &YOKE_SYSTEM,
                      "open x: No such file or directory");
}

static void test_cancelled_is_refused(void **state)
{
    assert_error_text(yoke_raise(&YOKE_CANCELLED, "x"), &YOKE_USAGE, "only a cancel scope");
    yoke_error *e = yoke_wrap(make("a"), &YOKE_CANCELLED, "x");
    assert_true(yoke_error_is(e, &YOKE_USAGE));
    assert_string_equal(yoke_error_message(yoke_error_cause(e)), "a");
    yoke_error_free(e);
    assert_error(cancel("why"), &YOKE_CANCELLED);
}

static void test_err_02_static_errors(void **state)
{
    yoke_error *both[] = {error_cancelled, error_no_memory};
    for (int i = 0; i < 2; i++) {
        yoke_error *e = both[i];
        assert_ptr_equal(yoke_error_dup(e), e);
        assert_ptr_equal(yoke_error_trace(e, "f", 1, "g"), e);
        yoke_error_note(e, "note");
        error_set_place(e, "f", 1, "g", "a", "t");
        error_set_backtrace(e, "b");
        yoke_error_free(e);
        yoke_error_free(e);
        assert_string_equal(yoke_error_file(e), "");
    }
    expect_text(error_no_memory, "error: out of memory [NoMemory]\n");
    expect_text(error_cancelled, "error: cancelled [Cancelled]\n");
}

static const char *actor_name(void *arg)
{
    return arg;
}

static void test_identity(void **state)
{
    char name[] = "root";
    const struct error_identity identity = {.actor = actor_name, .arg = name};
    assert_null(error_identity_set(&identity));
    yoke_error *e = make("x");
    assert_ptr_equal(error_identity_set(NULL), &identity);
    name[0] = 'X';
    assert_string_equal(yoke_error_actor(e), "root");
    assert_string_equal(yoke_error_task(e), "");
    yoke_error_free(e);
}

/* ---- trace, notes, details ---- */

static yoke_error *fails(void)
{
    return yoke_raise_at("a.c", 1, "inner", &TEST_LOAD, "x");
}

static yoke_error *passes(void)
{
    YOKE_TRY(NULL);
    YOKE_TRY(fails());
    return NULL;
}

static void test_err_18_try(void **state)
{
    char expected[256];
    snprintf(expected, sizeof expected, "via passes (%s:", __FILE__);
    assert_error_text(passes(), &TEST_LOAD, expected);
}

static void test_err_18_trace_keeps_first_and_last(void **state)
{
    yoke_error *e = make("x");
    assert_null(yoke_error_trace(NULL, "f", 1, "g"));
    for (int i = 1; i <= 100; i++)
        e = yoke_error_trace(e, "f.c", i, "hop");
    char *text = yoke_error_text(e);
    assert_non_null(strstr(text, "hop (f.c:1)"));
    assert_non_null(strstr(text, "hop (f.c:31)\n  … 68 more hops\n  via hop (f.c:100)\n"));
    assert_null(strstr(text, "hop (f.c:32)"));
    free(text);
    yoke_error_free(e);
}

static void test_err_20_dup_shares(void **state)
{
    yoke_error *a = make("x");
    yoke_error *b = yoke_error_dup(a);
    assert_null(yoke_error_dup(NULL));
    yoke_error_note(a, "seen by both");
    for (int i = 0; i < 40; i++)
        yoke_error_trace(b, "f.c", i, "hop");
    yoke_error_free(a);
    yoke_error_trace(b, "f.c", 77, "hop");
    char *text = yoke_error_text(b);
    assert_non_null(strstr(text, "note: seen by both\n"));
    assert_non_null(strstr(text, "via hop (f.c:77)"));
    free(text);
    yoke_error_free(b);
}

static void *hammer(void *arg)
{
    yoke_error *e = arg;
    for (int i = 0; i < 300; i++) {
        yoke_error *mine = yoke_error_dup(e);
        yoke_error_note(mine, "n%d", i);
        yoke_error_trace(mine, "f.c", i, "hop");
        yoke_error_free(mine);
        free(yoke_error_text(e));
    }
    yoke_error_free(e);
    return NULL;
}

static void test_err_19_shared_by_threads(void **state)
{
    yoke_error *e = make("x");
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, yoke_error_dup(e)), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    char *text = yoke_error_text(e);
    int notes = 0;
    for (char *at = text; (at = strstr(at, "note: ")); at++)
        notes++;
    assert_int_equal(notes, 900);
    free(text);
    yoke_error_free(e);
}

static int freed;
static void count_free(void *data)
{
    freed++;
}
static void print_details(const void *data, void (*line)(void *out, const char *text), void *out)
{
    line(out, data);
    line(out, "second line");
}
static const struct error_details_ops ops = {.free = count_free, .print = print_details},
                                      other_ops = {NULL, NULL};

static void test_details(void **state)
{
    static char first[] = "first", second[] = "second \x01";
    freed = 0;
    yoke_error *e = yoke_raise_at("a.c", 1, "f", &TEST_LOAD, "x");
    assert_null(error_details(e, &ops));
    error_set_details(e, &ops, first);
    error_set_details(e, &other_ops, &freed);
    assert_ptr_equal(error_details(e, &ops), first);
    assert_ptr_equal(error_details(e, &other_ops), &freed);
    error_set_details(e, &ops, second);
    assert_ptr_equal(error_details(e, &ops), second);
    expect_text(e, "error: x [test.Load]\n  at f (a.c:1)\n  second \\x01\n  second line\n");
    yoke_error_free(yoke_error_dup(e));
    assert_int_equal(freed, 0);
    yoke_error_free(e);
    assert_int_equal(freed, 2);
    error_set_details(error_cancelled, &ops, first);
    assert_int_equal(freed, 3);
}

static void test_place_and_backtrace(void **state)
{
    yoke_error *e = yoke_raise_at("a.c", 1, "f", &TEST_LOAD, "x");
    error_set_place(e, "b.py", 9, NULL, "left", "count");
    error_set_place(e, NULL, 10, "g", NULL, NULL);
    error_set_backtrace(e, "one\ntwo\n");
    assert_string_equal(error_backtrace(e), "one\ntwo\n");
    expect_text(e,
                "error: x [test.Load]\n  at g (b.py:10) in task `count` of actor `left`\n    one\n    two\n");
    yoke_error *shared = yoke_error_dup(e);
    const char *file = yoke_error_file(e);
    error_set_place(e, "c.c", 1, NULL, NULL, NULL);
    assert_string_equal(file, "b.py");
    yoke_error_free(shared);
    yoke_error_free(e);
    e = yoke_raise_at("a.c", 7, "", &TEST_LOAD, "x"); /* a place in no known function */
    expect_text(e, "error: x [test.Load]\n  at a.c:7\n");
    yoke_error_free(e);
}

/* ---- groups ---- */

static void test_err_09_group(void **state)
{
    assert_null(yoke_error_group(NULL, 0, "g"));
    assert_null(group2(NULL, NULL));
    yoke_error *e = yoke_error_group((yoke_error *[]){make("a"), NULL, make("b"), make("c")}, 4, "three");
    assert_string_equal(yoke_error_message(e), "three");
    assert_true(yoke_error_is(e, &YOKE_GROUP));
    expect_shape(e, "(a b c)");
    yoke_error_free(e);
    e = group2(make("a"), NULL);
    expect_shape(e, "(a)");
    yoke_error_free(e);
}

static void test_join(void **state)
{
    yoke_error *a = make("a");
    assert_null(yoke_error_join(NULL, NULL));
    assert_ptr_equal(yoke_error_join(NULL, a), a);
    assert_ptr_equal(yoke_error_join(a, NULL), a);
    yoke_error *e = yoke_error_join(a, make("b"));
    expect_shape(e, "(a b)");
    for (const char *c = "cdefg"; *c; c++)
        e = yoke_error_join(e, make((char[]){*c, 0}));
    expect_shape(e, "(a b c d e f g)");
    e = yoke_error_join(make("0"), e);
    expect_shape(e, "(0 a b c d e f g)");
    e = yoke_error_join(e, yoke_error_join(make("x"), make("y")));
    expect_shape(e, "(0 a b c d e f g x y)");
    e = yoke_error_join(e, group2(make("p"), make("q")));
    expect_shape(e, "(0 a b c d e f g x y (p q))");
    yoke_error_free(e);
    e = yoke_error_join(group2(make("p"), make("q")), make("r"));
    expect_shape(e, "((p q) r)");
    yoke_error_free(e);
}

static void test_join_leaves_what_is_shared(void **state)
{
    yoke_error *e = yoke_error_join(make("a"), make("b"));
    yoke_error *held = yoke_error_dup(e);
    e = yoke_error_join(e, make("c"));
    expect_shape(e, "(a b c)");
    expect_shape(held, "(a b)");
    yoke_error_free(e);
    expect_shape(held, "(a b)");
    yoke_error_free(held);
}

static void test_err_14_collapse(void **state)
{
    assert_null(yoke_error_collapse(NULL));
    yoke_error *a = make("a");
    assert_ptr_equal(yoke_error_collapse(a), a);
    yoke_error *e = group2(group2(a, NULL), NULL);
    assert_ptr_equal(yoke_error_collapse(e), a);
    e = group2(group2(a, NULL), group2(make("b"), make("c")));
    yoke_error *held = yoke_error_dup(e);
    e = yoke_error_collapse(e);
    expect_shape(e, "(a (b c))");
    expect_shape(held, "((a) (b c))");
    assert_ptr_equal(yoke_error_collapse(e), e);
    yoke_error_free(e);
    yoke_error_free(held);
    /* A cause of a group that goes is not lost. */
    e = yoke_error_group((yoke_error *[]){make("a")}, 1, "one");
    e = yoke_error_collapse(e);
    assert_null(error_note_at(e, 0));
    yoke_error_free(e);
    e = yoke_wrap(make("why"), &YOKE_GROUP, "one");
    assert_true(error_reserve(e, 1));
    error_add(e, make("a"));
    e = yoke_error_collapse(e);
    expect_shape(e, "a");
    assert_string_equal(error_note_at(e, 0), "the group that it was in was caused by: why [test.Load]");
    yoke_error_free(e);
}

static void test_err_13_split(void **state)
{
    yoke_error *taken, *e = NULL;
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    assert_null(taken);
    e = make("a");
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    assert_null(taken);
    expect_shape(e, "a");
    yoke_error_split(&e, &TEST_LOAD, &taken);
    assert_null(e);
    expect_shape(taken, "a");

    e = group2(group2(cancel("C1"), taken), group2(cancel("C2"), cancel("C3")));
    yoke_error_note(e, "noted");
    e = yoke_error_join(e, group2(make("b"), make("c")));
    yoke_error *held = yoke_error_dup(e);
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    expect_shape(e, "(((a)) (b c))");
    expect_shape(taken, "(((C1) (C2 C3)))");
    expect_shape(held, "(((C1 a) (C2 C3)) (b c))");
    assert_true(yoke_error_is_cancelled(taken));
    assert_false(yoke_error_is_cancelled(e));
    char *text = yoke_error_text(taken);
    assert_non_null(strstr(text, "note: noted"));
    free(text);
    yoke_error_free(held);
    yoke_error_free(taken);
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    assert_null(taken);
    yoke_error_free(e);
}

/* What a scope has absorbed leaves no group behind. */
static void test_split_undoes_a_join(void **state)
{
    yoke_error *taken, *a = make("a");
    yoke_error *e = yoke_error_join(a, cancel("C1"));
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    assert_ptr_equal(e, a);
    yoke_error_free(taken);
    e = yoke_error_join(group2(e, NULL), cancel("C1")); /* a group of one that was there before stays */
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    expect_shape(e, "(a)");
    yoke_error_free(taken);
    e = yoke_error_join(yoke_error_join(e, make("b")), cancel("C1"));
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    expect_shape(e, "((a) b)");
    yoke_error_free(taken);
    yoke_error_free(e);
}

static void test_split_takes_families_and_leaves_causes(void **state)
{
    yoke_error *taken,
        *e = group2(yoke_raise(&TEST_SLOW, "s"), yoke_wrap(yoke_raise(&TEST_SLOW, "t"), &TEST_LOAD, "w"));
    yoke_error_split(&e, &YOKE_TOO_SLOW, &taken);
    expect_shape(e, "(w)");
    expect_shape(taken, "(s)");
    assert_non_null(yoke_error_cause(yoke_error_member(e, 0)));
    yoke_error_free(e);
    yoke_error_free(taken);
}

static void test_err_15_is_cancelled(void **state)
{
    assert_false(yoke_error_is_cancelled(NULL));
    assert_true(yoke_error_is_cancelled(error_cancelled));
    yoke_error *e = group2(error_cancelled, group2(cancel("x"), NULL));
    assert_true(yoke_error_is_cancelled(e));
    e = yoke_error_join(e, make("a"));
    assert_false(yoke_error_is_cancelled(e));
    e = yoke_error_join(e, error_cancelled);
    assert_false(yoke_error_is_cancelled(e));
    yoke_error_free(e);
    e = yoke_wrap(cancel("x"), &TEST_LOAD, "w");
    assert_false(yoke_error_is_cancelled(e));
    yoke_error_free(e);
    /* With a list of kinds to ignore. */
    const yoke_error_kind *fine[] = {&YOKE_CANCELLED, &YOKE_TOO_SLOW};
    assert_false(yoke_error_is_only(NULL, fine, 2));
    e = group2(cancel("x"), group2(yoke_raise(&TEST_SLOW, "s"), NULL));
    assert_true(yoke_error_is_only(e, fine, 2));
    assert_false(yoke_error_is_only(e, fine, 1));
    e = yoke_error_join(e, make("a"));
    assert_false(yoke_error_is_only(e, fine, 2));
    yoke_error_free(e);
}

static void test_find(void **state)
{
    assert_null(yoke_error_find(NULL, &TEST_SLOW));
    yoke_error *e =
        group2(make("a"), yoke_wrap(group2(make("b"), yoke_raise(&TEST_SLOW, "s")), &TEST_LOAD, "w"));
    assert_string_equal(yoke_error_message(yoke_error_find(e, &YOKE_TOO_SLOW)), "s");
    assert_string_equal(yoke_error_message(yoke_error_find(e, &TEST_LOAD)), "a");
    assert_ptr_equal(yoke_error_find(e, &YOKE_GROUP), e);
    assert_null(yoke_error_find(e, &YOKE_CLOSED));
    yoke_error_free(e);
}

static bool begins_with(const yoke_error *leaf, void *arg)
{
    return yoke_error_message(leaf)[0] == *(char *)arg;
}

static void test_err_13_split_by(void **state)
{
    char letter = 'b';
    yoke_error *taken, *e = group2(group2(make("a"), make("b1")), make("b2"));
    yoke_error_split_by(&e, begins_with, &letter, &taken);
    expect_shape(e, "((a))");
    expect_shape(taken, "((b1) b2)");
    yoke_error_free(taken);
    yoke_error_split_by(&e, begins_with, &letter, &taken);
    assert_null(taken);
    letter = 'a';
    yoke_error_split_by(&e, begins_with, &letter, &taken);
    assert_null(e);
    expect_shape(taken, "((a))");
    yoke_error_free(taken);
}

static void test_hop_at(void **state)
{
    struct error_hop hop;
    yoke_error *e = make("x");
    assert_false(error_hop_at(e, 0, &hop));
    for (int i = 0; i < 50; i++)
        e = yoke_error_trace(e, "f.c", i, "hop");
    for (int i = 0; i < 32; i++) {
        assert_true(error_hop_at(e, (size_t)i, &hop));
        assert_int_equal(hop.line, i < 31 ? i : 49);
        assert_string_equal(hop.function, "hop");
        assert_string_equal(hop.file, "f.c");
    }
    assert_false(error_hop_at(e, 32, &hop));
    yoke_error_free(e);
}

static void test_err_16_notes(void **state)
{
    yoke_error *e = make("x");
    assert_null(error_note_at(e, 0));
    assert_true(yoke_error_note(e, "one"));
    assert_true(yoke_error_note(e, "two"));
    assert_false(yoke_error_note(error_cancelled, "none"));
    assert_string_equal(error_note_at(e, 0), "one");
    assert_string_equal(error_note_at(e, 1), "two");
    assert_null(error_note_at(e, 2));
    yoke_error_free(e);
}

/* ---- printing ---- */

static yoke_error *at(int line, yoke_error *cause, const char *text)
{
    return cause ? yoke_wrap_at("a.c", line, "f", cause, &TEST_LOAD, "%s", text)
                 : yoke_raise_at("a.c", line, "f", &YOKE_NOT_FOUND, "%s", text);
}

static void test_err_10_tree(void **state)
{
    yoke_error *first = at(2, at(1, NULL, "open"), "load");
    yoke_error_note(first, "tried %d times\nin vain", 3);
    yoke_error *inner = group2(at(3, NULL, "x"), at(4, NULL, "y"));
    yoke_error *e = yoke_wrap_at("a.c", 9, "main", group2(first, inner), &TEST_LOAD, "outer");
    expect_text(e, "error: outer [test.Load]\n"
                   "  at main (a.c:9)\n"
                   "caused by: group [Group]\n"
                   "  ├─ load [test.Load]\n"
                   "  │    at f (a.c:2)\n"
                   "  │    note: tried 3 times\n"
                   "  │          in vain\n"
                   "  │  caused by: open [NotFound]\n"
                   "  │    at f (a.c:1)\n"
                   "  └─ group [Group]\n"
                   "       ├─ x [NotFound]\n"
                   "       │    at f (a.c:3)\n"
                   "       └─ y [NotFound]\n"
                   "            at f (a.c:4)\n");
    yoke_error_free(e);
    expect_text(NULL, "no error\n");
}

static void test_err_10_print_is_text_without_colours(void **state)
{
    yoke_error *e = at(2, at(1, NULL, "open"), "load");
    char *printed = NULL, *text = yoke_error_text(e);
    size_t size;
    FILE *f = open_memstream(&printed, &size);
    errno = EINTR;
    yoke_error_print(f, e);
    assert_int_equal(errno, EINTR);
    fclose(f);
    assert_string_equal(printed, text);
    free(printed);
    free(text);
    yoke_error_free(e);
}

static void test_err_21_hostile_text(void **state)
{
    yoke_error *e = yoke_raise_at(
        "a\n.c", 1, "\x1b]0;f\a", &TEST_LOAD, "%s",
        "\x1b[2J\r\n\x7f ok é € 😀 \xff \xc0\x80 \xed\xa0\x80 \xc2\x9b \xf4\x90\x80\x80 \xe2\x82");
    expect_text(e, "error: \\x1b[2J\\x0d\\x0a\\x7f ok é € 😀 \\xff \\xc0\\x80 \\xed\\xa0\\x80 \\xc2\\x9b "
                   "\\xf4\\x90\\x80\\x80 \\xe2\\x82 [test.Load]\n"
                   "  at \\x1b]0;f\\x07 (a\\x0a.c:1)\n");
    yoke_error_free(e);
}

static void test_err_21_long_message_is_cut_in_the_middle(void **state)
{
    size_t size = 200000;
    char *message = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        message[i] = "é"[i % 2];
    message[0] = 'A';
    message[1] = 'B';
    message[2] = 'c';
    message[3] = 'c';
    message[size] = 0;
    yoke_error *e = make(message);
    assert_string_equal(yoke_error_message(e), message);
    char *text = yoke_error_text(e);
    assert_true(strlen(text) < 66000);
    assert_non_null(strstr(text, "error: AB"));
    assert_non_null(strstr(text, "é … ("));
    assert_non_null(strstr(text, " bytes left out) … é"));
    assert_null(strstr(text, "\\x"));
    free(text);
    free(message);
    yoke_error_free(e);
}

/* ---- golden files ---- */

/* The file of that name holds the text; with GOLDEN_WRITE in the environment it is written. */
static void expect_golden(const char *name, char *text)
{
    char path[128], held[16384];
    assert_non_null(text);
    snprintf(path, sizeof path, "golden/%s", name);
    FILE *f = fopen(path, getenv("GOLDEN_WRITE") ? "w+" : "r");
    assert_non_null(f);
    if (getenv("GOLDEN_WRITE")) {
        fputs(text, f);
        rewind(f);
    }
    size_t size = fread(held, 1, sizeof held - 1, f);
    held[size] = 0;
    fclose(f);
    assert_string_equal(text, held);
    free(text);
}

static void expect_both(const char *name, yoke_error *e)
{
    char file[64];
    snprintf(file, sizeof file, "%s.txt", name);
    expect_golden(file, yoke_error_text(e));
    snprintf(file, sizeof file, "%s.json", name);
    expect_golden(file, yoke_error_json(e));
    yoke_error_free(e);
}

static void test_err_10_golden_files(void **state)
{
    expect_both("single", at(1, NULL, "open x.conf"));
    expect_both("causes", at(3, at(2, at(1, NULL, "open x.conf"), "read"), "load"));
    yoke_error *noted = at(1, NULL, "say \"hi\"\\");
    yoke_error_note(noted, "first line\nsecond line");
    yoke_error_note(noted, "not text: \x01 \xff é");
    noted = yoke_error_trace(yoke_error_trace(noted, "b.c", 7, "g"), "c.c", 8, "h");
    expect_both("notes", noted);
    yoke_error *left = at(4, NULL, "left");
    yoke_error *inner = group2(at(2, at(1, NULL, "why"), "inner"), at(3, NULL, "other"));
    expect_both("groups", yoke_wrap_at("a.c", 5, "main", group2(left, inner), &TEST_LOAD, "outer"));
    /* Equal ones that follow each other are one line with a count. */
    yoke_error *many = NULL;
    for (int i = 0; i < 12; i++)
        many = yoke_error_join(many, at(i == 9 ? 2 : 1, i < 4 ? at(9, NULL, "why") : NULL, "same"));
    expect_both("folded", many);
    yoke_error *deeply = at(1, NULL, "bottom");
    for (int i = 0; i < 100; i++)
        deeply = group2(deeply, NULL);
    expect_both("cut", deeply);
    char *none = yoke_error_json(NULL);
    assert_string_equal(none, "null");
    free(none);
}

#define DEEP 10000

static yoke_error *deep(bool groups, bool causes)
{
    yoke_error *e = yoke_raise(&YOKE_CLOSED, "bottom");
    for (int i = 0; i < DEEP; i++) {
        if (groups)
            e = group2(e, i % 3 ? NULL : make("m"));
        if (causes)
            e = yoke_wrap(e, &TEST_LOAD, "w");
    }
    return e;
}

/* Prints, searches, splits, collapses and frees what is nested deeply, on a stack that a task has. */
static void *use_deep(void *arg)
{
    for (int i = 1; i < 4; i++) {
        yoke_error *taken, *e = deep(i & 1, i & 2);
        char *text = yoke_error_text(e);
        if (!text || !strstr(text, "… cut: ") || strlen(text) > 1 << 20)
            return (void *)"text";
        free(text);
        text = yoke_error_json(e);
        if (!text || !strstr(text, "{\"cut\":true}"))
            return (void *)"json";
        free(text);
        const yoke_error *bottom = yoke_error_find(e, &YOKE_CLOSED);
        if (!bottom || strcmp(yoke_error_message(bottom), "bottom"))
            return (void *)"find";
        e = yoke_error_collapse(e);
        yoke_error_split(&e, &YOKE_CLOSED, &taken);
        if ((taken != NULL) != (i == 1))
            return (void *)"split";
        yoke_error_free(taken);
        yoke_error_free(e);
    }
    return NULL;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES (1024 * 1024) /* their frames are larger */
#else
#define STACK_BYTES (64 * 1024)
#endif
#define GUARD_BYTES (64 * 1024)

static void test_err_06_deep(void **state)
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *failed;
    char *stack =
        mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stack != MAP_FAILED);
    assert_int_equal(mprotect(stack, GUARD_BYTES, PROT_NONE), 0);
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstack(&attributes, stack + GUARD_BYTES, STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, use_deep, NULL), 0);
    pthread_attr_destroy(&attributes);
    pthread_join(thread, &failed);
    munmap(stack, GUARD_BYTES + STACK_BYTES);
    assert_null(failed);
}

/* ---- without memory ---- */

/* Runs `fn` with each of its allocations failing in turn, until none is left to fail. */
static void each_fails(void (*fn)(void))
{
    size_t pieces = memory_live();
    for (size_t i = 0;; i++) {
        memory_fail_after(i);
        fn();
        bool fired = memory_fail_after(SIZE_MAX);
        assert_int_equal(memory_live(), pieces);
        if (!fired) {
            assert_true(i > 0);
            return;
        }
        assert_true(i < 1000);
    }
}

static void raise_one(void)
{
    yoke_error *e = yoke_raise(&TEST_LOAD, "x");
    assert_true(e == error_no_memory || yoke_error_is(e, &TEST_LOAD));
    yoke_error_free(e);
    e = yoke_raise_errno(EIO, "x");
    assert_true(e == error_no_memory || yoke_error_errno(e) == EIO);
    yoke_error_free(e);
    e = cancel("x");
    assert_true(yoke_error_is_cancelled(e));
    yoke_error_free(e);
}

static void wrap_one(void)
{
    yoke_error *e = yoke_wrap(make("cause"), &TEST_SLOW, "wrapped %d", 5);
    assert_true(yoke_error_is(e, &TEST_SLOW));
    assert_string_equal(yoke_error_message(e), "wrapped 5");
    assert_non_null(yoke_error_cause(e));
    yoke_error_free(e);
}

static void decorate(void)
{
    yoke_error *e = make("x");
    freed = 0;
    yoke_error_note(e, "note %d", 1);
    for (int i = 0; i < 40; i++)
        e = yoke_error_trace(e, "f", i, "g");
    error_set_details(e, &ops, &freed);
    error_set_place(e, "f", 1, "g", "a", "t");
    error_set_backtrace(e, "b");
    error_set_backtrace(e, "c");
    yoke_error *same = yoke_error_dup(e);
    assert_non_null(same);
    yoke_error_free(same);
    yoke_error_free(e);
    assert_int_equal(freed, 1);
}

static yoke_error *parts_of[12];

static size_t count_leaves(const yoke_error *e)
{
    size_t count = e && !yoke_error_count(e);
    for (size_t i = 0; e && i < yoke_error_count(e); i++)
        count += count_leaves(yoke_error_member(e, i));
    return count;
}

static void group_some(void)
{
    yoke_error *members[12];
    for (int i = 0; i < 12; i++)
        members[i] = yoke_error_dup(parts_of[i]);
    yoke_error *e = yoke_error_group(members, 12, "twelve");
    assert_int_equal(count_leaves(e), 12);
    yoke_error_free(e);
}

static void join_some(void)
{
    yoke_error *e = NULL;
    for (int i = 0; i < 12; i++)
        e = yoke_error_join(e, yoke_error_dup(parts_of[i]));
    yoke_error *held = yoke_error_dup(e);
    e = yoke_error_join(e, yoke_error_dup(parts_of[0]));
    assert_int_equal(count_leaves(held), 12);
    assert_int_equal(count_leaves(e), 13);
    yoke_error_free(held);
    yoke_error_free(e);
}

static yoke_error *mixed;

static void say_it(void)
{
    free(yoke_error_text(mixed));
    free(yoke_error_json(mixed));
}

static void split_some(void)
{
    yoke_error *taken, *e = yoke_error_dup(mixed);
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    assert_int_equal(count_leaves(e) + count_leaves(taken), count_leaves(mixed));
    yoke_error_free(taken);
    e = yoke_error_collapse(e);
    assert_non_null(e);
    (void)yoke_error_find(e, &YOKE_CLOSED);
    yoke_error_free(e);
}

static void test_err_11_without_memory(void **state)
{
    each_fails(raise_one);
    each_fails(wrap_one);
    each_fails(decorate);
    for (int i = 0; i < 12; i++)
        parts_of[i] = make("x");
    each_fails(group_some);
    each_fails(join_some);
    for (int i = 0; i < 12; i++)
        yoke_error_free(parts_of[i]);
    for (int depth = 3; depth < 200; depth += 150) {
        mixed = make("bottom");
        for (int i = 0; i < depth; i++)
            mixed = group2(mixed, i % 2 ? cancel("c") : i % 3 ? NULL : make("m"));
        each_fails(split_some);
        each_fails(say_it);
        yoke_error_free(mixed);
    }
}

/* What could not be raised is told as far as there is room for it. */
static void test_err_11_what_there_was_no_memory_for(void **state)
{
    memory_fail_after(0);
    yoke_error *e = yoke_raise(&TEST_LOAD, "loading %s", "x.conf");
    memory_fail_after(SIZE_MAX);
    assert_ptr_equal(e, error_no_memory);
    expect_text(e, "error: out of memory [NoMemory]\n  note: [test.Load] loading x.conf\n");
    memory_fail_after(0);
    e = yoke_raise_errno(EIO, "%0*d", 1000, 7);
    memory_fail_after(SIZE_MAX);
    char *text = yoke_error_text(e);
    assert_non_null(strstr(text, "note: [yoke.System] 0000"));
    assert_true(strlen(text) < 250);
    free(text);
}

/* ---- misuse ---- */

/* Each in a child that keeps freed errors; what it says must name the first free's place. */
static void free_twice(yoke_error *e)
{
    yoke_error_free(e);
    yoke_error_free(e);
}

static void use_after_hand_over(yoke_error *e)
{
    yoke_error *joined = yoke_error_join(make("other"), e);
    yoke_error_free(joined);
    (void)yoke_error_message(e);
}

static void print_after_free(yoke_error *e)
{
    yoke_error_free(e);
    yoke_error_print(stderr, e);
}

static void join_after_free(yoke_error *e)
{
    yoke_error_free(e);
    yoke_error_free(yoke_error_join(e, make("other")));
}

static const struct {
    const char *name;
    void (*fn)(yoke_error *e);
} misuses[] = {{"free_twice", free_twice},
               {"use_after_hand_over", use_after_hand_over},
               {"print_after_free", print_after_free},
               {"join_after_free", join_after_free}};

/* In the new program: the environment is read when it begins. */
static void misuse(const char *name)
{
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++) {
        if (strcmp(misuses[i].name, name))
            continue;
        for (int k = 0; k < 3000; k++) /* far more than are kept */
            yoke_error_free(make("before"));
        misuses[i].fn(make("x"));
    }
    _exit(0);
}

static void test_err_22_misuse_is_caught(void **state)
{
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++) {
        int ends[2], status;
        assert_int_equal(pipe(ends), 0);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGABRT, SIG_DFL);
            dup2(ends[1], STDERR_FILENO);
            setenv("YOKE_CHECK_ERRORS", "1", 1);
            setenv("MISUSE", misuses[i].name, 1);
            harness_exec_self((char *[]){(char *)"test_error", NULL});
            _exit(1);
        }
        close(ends[1]);
        char text[2048];
        size_t size = 0;
        for (ssize_t n; (n = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
            size += (size_t)n;
        close(ends[0]);
        text[size] = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_non_null(strstr(text, "was freed before, at "));
        assert_non_null(strstr(text, "test_error.c:"));
    }
}

__attribute__((constructor)) static void begin_misuse(void)
{
    if (getenv("MISUSE"))
        misuse(getenv("MISUSE"));
}

static void test_err_22_free_and_errno(void **state)
{
    errno = EINTR;
    yoke_error_free(NULL);
    void (*by_pointer)(yoke_error *) = yoke_error_free;
    by_pointer(make("x"));
    yoke_error *taken, *e = group2(make("a"), cancel("c"));
    yoke_error_note(e, "n");
    e = yoke_error_trace(e, "f", 1, "g");
    free(yoke_error_json(e));
    free(yoke_error_text(e));
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    yoke_error_free(taken);
    yoke_error_free(yoke_error_collapse(e));
    assert_int_equal(errno, EINTR);
}

/* ---- across threads ---- */

static const char *thread_name(void *arg)
{
    return arg;
}

static void *raise_in_thread(void *arg)
{
    static const struct error_identity worker = {.task = thread_name, .arg = (void *)(uintptr_t) "worker 7"};
    error_identity_set(&worker);
    yoke_error *e = yoke_wrap(arg, &TEST_LOAD, "in the thread");
    yoke_error_note(e, "noted there");
    return e;
}

/* Made here, wrapped there, printed and freed here; each place names who speaks. */
static void test_err_19_made_in_another_thread(void **state)
{
    pthread_t thread;
    void *e;
    assert_int_equal(pthread_create(&thread, NULL, raise_in_thread, make("made here")), 0);
    pthread_join(thread, &e);
    assert_string_equal(yoke_error_task(e), "worker 7");
    assert_string_equal(yoke_error_task(yoke_error_cause(e)), "");
    char *text = yoke_error_text(e);
    assert_non_null(strstr(text, "in task `worker 7`\n  note: noted there\ncaused by: made here"));
    free(text);
    yoke_error_free(e);
}

/* ---- the reserve ---- */

/* The reserve comes back: far more failures than it has places for, one after the other. */
static void test_reserve_is_given_back(void **state)
{
    for (int i = 0; i < 200; i++) {
        yoke_error *a = make("a"), *b = cancel("c");
        memory_fail_after(0);
        yoke_error *e = yoke_error_join(a, b);
        expect_shape(e, "(a c)");
        memory_fail_after(0);
        e = yoke_wrap(e, &TEST_LOAD, "w");
        assert_int_equal(yoke_error_count(yoke_error_cause(e)), 2);
        memory_fail_after(SIZE_MAX);
        yoke_error_free(e);
    }
}

/* When the reserve is used up, the one that is no cancellation is kept. */
static void test_reserve_used_up(void **state)
{
    yoke_error *held[40];
    for (int i = 0; i < 40; i++) {
        yoke_error *c = cancel("c"), *a = make("a");
        memory_fail_after(0);
        held[i] = yoke_error_join(c, a);
        memory_fail_after(SIZE_MAX);
        assert_false(yoke_error_is_cancelled(held[i]));
    }
    expect_shape(held[0], "(c a)");
    expect_shape(held[39], "a");
    for (int i = 0; i < 40; i++)
        yoke_error_free(held[i]);
}

HARNESS_MAIN(TEST(test_err_04_05_kinds), TEST(test_err_04_many_kinds_and_a_taken_name),
             TEST(test_err_01_07_raise), TEST(test_messages_in_full), TEST(test_err_08_errno_kinds),
             TEST(test_cancelled_is_refused), TEST(test_err_02_static_errors), TEST(test_identity),
             TEST(test_err_18_try), TEST(test_err_18_trace_keeps_first_and_last),
             TEST(test_err_20_dup_shares), TEST(test_err_19_shared_by_threads), TEST(test_details),
             TEST(test_place_and_backtrace), TEST(test_err_09_group), TEST(test_join),
             TEST(test_join_leaves_what_is_shared), TEST(test_err_14_collapse), TEST(test_err_13_split),
             TEST(test_split_undoes_a_join), TEST(test_split_takes_families_and_leaves_causes),
             TEST(test_err_15_is_cancelled), TEST(test_find), TEST(test_err_16_notes),
             TEST(test_err_13_split_by), TEST(test_hop_at), TEST(test_err_10_tree),
             TEST(test_err_10_print_is_text_without_colours), TEST(test_err_21_hostile_text),
             TEST(test_err_21_long_message_is_cut_in_the_middle), TEST(test_err_06_deep),
             TEST(test_err_11_without_memory), TEST(test_reserve_is_given_back), TEST(test_reserve_used_up),
             TEST(test_err_10_golden_files), TEST(test_err_11_what_there_was_no_memory_for),
             TEST(test_err_22_misuse_is_caught), TEST(test_err_22_free_and_errno),
             TEST(test_err_19_made_in_another_thread))
