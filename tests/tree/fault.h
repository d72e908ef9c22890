/*
 * What the tests of broken channels have in common: a child's endpoints, the dialogs with it, and a tree
 * whose log is kept.
 */
#ifndef TESTS_TREE_FAULT_H
#define TESTS_TREE_FAULT_H

#include "tree.h"

#include "doubling.h"
#include "proxy.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- what the child serves ---- */

static yoke_error *refuse(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&APP_K, "asked to fail");
}

static yoke_error *nap(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_error *e = yoke_sleep_forever();
    yoke_log(YOKE_INFO, "the nap was cancelled");
    return e;
}

static yoke_error *send_all(yoke_stream *stream, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        YOKE_TRY(yoke_send(stream, &(number){i}));
    return NULL;
}

static yoke_error *count(yoke_context *ctx, const number *args, number *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    result->value = args->value;
    return yoke_stream_close(stream, send_all(stream, args->value));
}

YOKE_MODULE(faults, YOKE_CALL(twice, number, number), YOKE_CALL(refuse, none, none),
            YOKE_CALL(nap, none, none), YOKE_CONTEXT_STREAM(echo, none, number, number, number, number),
            YOKE_CONTEXT_STREAM(count, number, none, number, number, number));

/* ---- the dialogs ---- */

static yoke_error *only_start(struct scene *s)
{
    return NULL;
}

static yoke_error *call(struct scene *s)
{
    number result;
    YOKE_TRY(yoke_call(s->portal, "faults:twice", &(number){4}, &result));
    CHECK(result.value == 8);
    return NULL;
}

static yoke_error *call_that_fails(struct scene *s)
{
    yoke_error *e = yoke_call(s->portal, "faults:refuse", NULL, NULL);
    if (!yoke_error_is(e, &YOKE_REMOTE))
        return e;
    EXPECT_REMOTE(e, &APP_K, "asked to fail");
    return NULL;
}

/* The far task is asked to cancel; the channel's loss then is no error of a call that nobody waits for. */
static yoke_error *call_given_up(struct scene *s)
{
    yoke_scope scope;
    YOKE_TRY(yoke_move_on_after(&scope, YOKE_MS(5)));
    YOKE_TRY(yoke_scope_close(&scope, yoke_call(s->portal, "faults:nap", NULL, NULL)));
    return call(s);
}

static yoke_error *talk(struct scene *s)
{
    for (uint64_t i = 0; i < 3; i++) {
        number item = {i};
        YOKE_TRY(yoke_send(s->stream, &item));
        YOKE_TRY(yoke_recv(s->stream, &item));
        CHECK(item.value == 2 * i);
    }
    return NULL;
}

static yoke_error *two_way(struct scene *s)
{
    number result;
    YOKE_TRY(with_stream(s, NULL, talk));
    YOKE_TRY(yoke_context_result(s->ctx, &result));
    CHECK(result.value == 3);
    return NULL;
}

static yoke_error *context_two_way(struct scene *s)
{
    return with_context(s, "faults:echo", NULL, two_way);
}

static yoke_error *take_all(struct scene *s)
{
    number item;
    for (uint64_t i = 0; i < 3; i++) {
        YOKE_TRY(yoke_recv(s->stream, &item));
        CHECK(item.value == i);
    }
    yoke_error *e = yoke_recv(s->stream, &item);
    CHECK(e);
    return yoke_end_is_fine(e);
}

static yoke_error *read_one_way(struct scene *s)
{
    return with_stream(s, NULL, take_all);
}

static yoke_error *context_one_way(struct scene *s)
{
    return with_context(s, "faults:count", &(number){3}, read_one_way);
}

/* An own request and the loss of the channel mean the same; what tells of the loss is the next call. */
static yoke_error *cancel_context(struct scene *s)
{
    YOKE_TRY(with_stream(s, NULL, talk));
    return yoke_context_cancel(s->ctx);
}

static yoke_error *context_cancelled(struct scene *s)
{
    YOKE_TRY(with_context(s, "faults:echo", NULL, cancel_context));
    return call(s);
}

static yoke_error *fail_in_body(struct scene *s)
{
    YOKE_TRY(with_stream(s, NULL, talk));
    return yoke_raise(&APP_K, "the body fails");
}

static yoke_error *context_whose_body_fails(struct scene *s)
{
    yoke_error *e = with_context(s, "faults:echo", NULL, fail_in_body);
    if (!yoke_error_is(e, &APP_K))
        return e;
    yoke_error_free(e);
    return call(s);
}

static const struct dialog {
    const char *name;
    scene_fn fn;
} dialogs[] = {
    {"spawn and cancel of the actor", only_start},  {"call", call},
    {"call that fails", call_that_fails},           {"call given up", call_given_up},
    {"context, stream both ways", context_two_way}, {"context, one-way stream", context_one_way},
    {"context cancelled", context_cancelled},       {"context whose body fails", context_whose_body_fails},
};
#define DIALOGS (sizeof dialogs / sizeof *dialogs)

/* ---- errors ---- */

TREE_UNUSED static bool says(const yoke_error *e, const char *text)
{
    char *tree = yoke_error_text(e);
    bool found = tree && strstr(tree, text);
    free(tree);
    return found;
}

TREE_UNUSED static bool lost_worker(const yoke_error *e)
{
    return yoke_error_find(e, &YOKE_TRANSPORT_CLOSED) && says(e, "the channel to actor `worker`");
}

/* ---- a tree whose log is kept ---- */

struct told {
    yoke_error *error;
    int ms;
    char log[1 << 15];
};

TREE_UNUSED static void run_told(tree_body body, void *arg, struct told *t)
{
    FILE *f = tmpfile();
    int before = dup(STDERR_FILENO);
    dup2(fileno(f), STDERR_FILENO);
    int64_t begin = yoke_now();
    t->error = tree_run(body, arg);
    t->ms = tree_ms_since(begin);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(f);
    t->log[fread(t->log, 1, sizeof t->log - 1, f)] = '\0';
    fclose(f);
}

TREE_UNUSED static unsigned times(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

#endif
