/*
 * The algebra of close: what comes out of each close that is given the body's error, by what goes in and by
 * what is new. One table for all of them; where a sort answers in its own way, its column says so.
 */
#include "child.h"
#include "task/sanitizer.h"

YOKE_ERROR_KIND(APP_BODY, "test.Body", NULL);
YOKE_ERROR_KIND(APP_NEW, "test.New", NULL);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

enum in { NOTHING, ERROR, OWN_CANCELLED, FOREIGN_CANCELLED };

static yoke_error *fails_anew(void *arg)
{
    return yoke_raise(&APP_NEW, "new");
}

/* What the body returns, in a scope that is cancelled if it is to be. */
static yoke_error *body(enum in in, yoke_error *e, yoke_scope *own, yoke_scope *outer)
{
    if (in == OWN_CANCELLED)
        yoke_scope_cancel(own, NULL);
    if (in == FOREIGN_CANCELLED)
        yoke_scope_cancel(outer, NULL);
    if (in == OWN_CANCELLED || in == FOREIGN_CANCELLED)
        return yoke_checkpoint();
    return e;
}

/* The outcome in words. */
static void say(const yoke_error *e, const yoke_error *mine, char *out)
{
    if (!e) {
        strcat(out, "-");
    } else if (yoke_error_count(e)) {
        strcat(out, "(");
        for (size_t i = 0; i < yoke_error_count(e); i++) {
            strcat(out, i ? " " : "");
            say(yoke_error_member(e, i), mine, out);
        }
        strcat(out, ")");
    } else {
        bool is_new = yoke_error_is(e, &APP_NEW);
        strcat(out, e == mine ? "e" : is_new ? "n" : yoke_error_is_cancelled(e) ? "C" : "?");
    }
}

typedef yoke_error *(*close_fn)(enum in in, bool news, yoke_error *e, yoke_scope *outer);

/* Nothing new comes of a scope that is not timed. */
static yoke_error *close_scope(enum in in, bool news, yoke_error *e, yoke_scope *outer)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    return yoke_scope_close(&s, body(in, e, &s, outer));
}

static yoke_error *nursery(enum in in, bool news, yoke_error *e, yoke_scope *outer,
                           yoke_error *(*close)(yoke_nursery *n, yoke_error *e))
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    if (news)
        YOKE_TRY(yoke_spawn(&n, fails_anew, NULL));
    return close(&n, body(in, e, &n.scope, outer));
}

static yoke_error *close_nursery(enum in in, bool news, yoke_error *e, yoke_scope *outer)
{
    return nursery(in, news, e, outer, yoke_nursery_close);
}

static yoke_error *close_nursery_flat(enum in in, bool news, yoke_error *e, yoke_scope *outer)
{
    return nursery(in, news, e, outer, yoke_nursery_close_flat);
}

/* A process has no scope of its own; nothing new comes of its end. */
static yoke_error *close_process(enum in in, bool news, yoke_error *e, yoke_scope *outer)
{
    yoke_process *p;
    YOKE_TRY(yoke_process_open(&p, ARGV("/bin/sleep", "1000"), NULL));
    return yoke_process_close(p, body(in, e, NULL, outer));
}

static const struct {
    enum in in;
    bool news;
    const char *scope, *nursery, *flat, *process; /* NULL: can't be */
} rows[] = {
    {NOTHING, false, "-", "-", "-", "-"},           {ERROR, false, "e", "(e)", "e", "e"},
    {NOTHING, true, NULL, "(n)", "n", NULL},        {ERROR, true, NULL, "(e n)", "(e n)", NULL},
    {OWN_CANCELLED, false, "-", "-", "-", NULL},    {OWN_CANCELLED, true, NULL, "(n)", "n", NULL},
    {FOREIGN_CANCELLED, false, "C", "C", "C", "C"}, {FOREIGN_CANCELLED, true, NULL, "(n C)", "(n C)", NULL},
};

static yoke_error *check(size_t row, close_fn close, const char *expected)
{
    if (!expected)
        return NULL;
    yoke_scope outer;
    YOKE_TRY(yoke_scope_open(&outer));
    yoke_error *mine = rows[row].in == ERROR ? yoke_raise(&APP_BODY, "e") : NULL;
    yoke_error *e = close(rows[row].in, rows[row].news, mine, &outer);
    char got[64] = "";
    say(e, mine, got);
    yoke_error_free(yoke_scope_close(&outer, e));
    if (strcmp(got, expected))
        return yoke_raise(&YOKE_INTERNAL, "row %zu: %s, expected %s", row, got, expected);
    return NULL;
}

static yoke_error *table(void *arg)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        YOKE_TRY(check(i, close_scope, rows[i].scope));
        YOKE_TRY(check(i, close_nursery, rows[i].nursery));
        YOKE_TRY(check(i, close_nursery_flat, rows[i].flat));
        if (!RUNNING_ON_VALGRIND) /* knows no pidfd_open */
            YOKE_TRY(check(i, close_process, rows[i].process));
    }
    return NULL;
}

static void test_err_17_the_algebra_of_close(void **state)
{
    if (RUNNING_ON_VALGRIND)
        print_message("the column of processes is skipped: valgrind knows no pidfd_open\n");
    assert_success(yoke_run(table, NULL, NULL));
}

HARNESS_MAIN(TEST(test_err_17_the_algebra_of_close))
