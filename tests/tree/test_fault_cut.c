/*
 * A channel that is cut at every boundary of every dialog, and in the middle of every frame, both ways: both
 * sides end in bounded time with an error that names the peer, and nothing is left.
 *
 * Each run is a tree of its own: the root, a proxy (proxy.h), a child. It has one of the dialogs below. When
 * a cut finds no frame any more all of that way are through.
 */
#include "tree.h"

#include "proxy.h"

YOKE_RECORD(number, (u64, value));
YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- what the child serves ---- */

static yoke_error *twice(const number *args, number *result)
{
    result->value = 2 * args->value;
    return NULL;
}

static yoke_error *refuse(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&APP_K, "asked to fail");
}

static yoke_error *nap(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_sleep_forever();
}

static yoke_error *send_back(yoke_stream *stream)
{
    for (;;) {
        number item;
        YOKE_TRY(yoke_recv(stream, &item));
        item.value *= 2;
        YOKE_TRY(yoke_send(stream, &item));
    }
}

static yoke_error *echo(yoke_context *ctx, const yoke_type_none *args, number *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, &(number){1}));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    result->value = 3;
    return yoke_stream_close(stream, yoke_end_is_fine(send_back(stream)));
}

static yoke_error *send_all(yoke_stream *stream, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        YOKE_TRY(yoke_send(stream, &(number){i}));
    return NULL;
}

static yoke_error *count(yoke_context *ctx, const number *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, send_all(stream, args->value));
}

YOKE_MODULE(faults, YOKE_CALL(twice, number, number), YOKE_CALL(refuse, none, none),
            YOKE_CALL(nap, none, none), YOKE_CONTEXT_STREAM(echo, none, number, number, number, number),
            YOKE_CONTEXT_STREAM(count, number, none, none, number, number));

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
    return yoke_call(s->portal, "faults:twice", &(number){4}, NULL);
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
    for (uint64_t i = 0; i < 3; i++) {
        number item;
        YOKE_TRY(yoke_recv(s->stream, &item));
        CHECK(item.value == i);
    }
    number item;
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
    return yoke_call(s->portal, "faults:twice", &(number){4}, NULL);
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
    return yoke_call(s->portal, "faults:twice", &(number){4}, NULL);
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

/* ---- one run ---- */

enum { FRAMES_OF_START = 2 }; /* of the parent's: its Aid, its SpawnSpec, which tells what is logged */

struct run {
    const struct dialog *dialog;
    yoke_error *met; /* what the start or the dialog itself came to */
    bool started;
    char log[1 << 15];
};

static yoke_error *in_nursery(struct scene *s)
{
    struct run *r = s->arg;
    yoke_actor_options options = {.modules = "faults", .log_filter = "runtime"};
    r->met = yoke_actors_start(s->actors, "worker", &options, &s->portal);
    r->started = !r->met;
    if (!r->met)
        r->met = r->dialog->fn(s);
    return r->met ? yoke_error_dup(r->met) : NULL;
}

/* Whoever needs a signal would be seen: the bounds are far. */
static yoke_error *app(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_actors_options options = {.acknowledge_bound = YOKE_S(20), .kill_bound = YOKE_S(40)};
    return with_actors(&s, &options, in_nursery);
}

static bool says(const yoke_error *e, const char *text)
{
    char *tree = yoke_error_text(e);
    bool found = tree && strstr(tree, text);
    free(tree);
    return found;
}

static bool lost_worker(const yoke_error *e)
{
    return yoke_error_find(e, &YOKE_TRANSPORT_CLOSED) && says(e, "the channel to actor `worker`");
}

/* What is wrong with how it ended, or NULL. */
static const char *judge(const struct run *r, const yoke_error *e)
{
    bool upward = proxy.plan.way == PROXY_UP, inside = proxy.plan.part != PART_NONE;
    if (!proxy.acted)
        return e ? "an error though nothing was cut" : NULL;
    if (!r->met) /* all was said: the actor was about to be asked to end, or had been */
        return e && !says(e, "`worker`") ? "the nursery's error does not name the actor" : NULL;
    if (!lost_worker(r->met))
        return "the dialog's error does not name the lost channel";
    if (inside && upward && !says(r->met, "in the middle of a frame"))
        return "the dialog's error does not say that a frame was cut";
    if (!e || !says(e, "`worker`"))
        return "the nursery's error does not name the actor";
    bool child_told = upward || proxy.plan.nth >= FRAMES_OF_START;
    if (child_told && r->started && !strstr(r->log, "the channel to actor `root`"))
        return "the child has not told of the lost channel";
    if (child_told && inside && !upward && !strstr(r->log, "in the middle of a frame"))
        return "the child has not told that a frame was cut";
    return strstr(r->log, "SIG") ? "a signal was needed" : NULL;
}

static yoke_error *run_with_log(struct run *r)
{
    FILE *f = tmpfile();
    int before = dup(STDERR_FILENO);
    dup2(fileno(f), STDERR_FILENO);
    yoke_error *e = tree_run(app, r);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(f);
    r->log[fread(r->log, 1, sizeof r->log - 1, f)] = '\0';
    fclose(f);
    return e;
}

/* Returns whether there was such a frame. */
static bool cut(const struct dialog *dialog, enum proxy_way way, unsigned nth, enum proxy_part part)
{
    struct run r = {.dialog = dialog};
    proxy_arm(&(struct proxy_plan){
        .way = way, .type = PROXY_ANY_TYPE, .nth = nth, .deed = PROXY_CUT, .part = part});
    int64_t begin = yoke_now();
    yoke_error *e = run_with_log(&r);
    int ms = tree_ms_since(begin);
    proxy_disarm();
    const char *wrong = judge(&r, e);
    if (!wrong && ms > 2000 * TREE_SLOW)
        wrong = "it took too long";
    if (!wrong && tree_processes_left())
        wrong = "processes are left";
    if (wrong) {
        fprintf(stderr, "# %s, %s frame %u, part %d, %d ms: %s\n", dialog->name,
                way == PROXY_UP ? "upward" : "downward", nth, (int)part, ms, wrong);
        fputs(r.log, stderr);
        if (r.met)
            yoke_error_print(stderr, r.met);
        if (e)
            yoke_error_print(stderr, e);
    }
    yoke_error_free(r.met);
    yoke_error_free(e);
    assert_null(wrong);
    return proxy.acted;
}

/* A sanitizer's build sees fewer of the cuts within a frame. */
enum { FRAMES_AT_LEAST = 2, PART_STEP = TREE_SLOW > 3 ? 3 : 1 };

static void cut_everywhere(enum proxy_way way)
{
    unsigned runs = 0;
    for (size_t i = 0; i < DIALOGS; i++) {
        unsigned nth = 0;
        bool acted = true;
        for (; acted; nth++)
            for (int part = 0; part < PROXY_PARTS && acted; part += PART_STEP, runs++)
                acted = cut(&dialogs[i], way, nth, (enum proxy_part)part);
        assert_true(nth > FRAMES_AT_LEAST);
    }
    fprintf(stderr, "# %u cuts\n", runs);
}

/* FAULT-14: at each boundary; FAULT-08: in each frame */
static void test_fault_14_cut_at_every_boundary_downward(void **state)
{
    cut_everywhere(PROXY_DOWN);
}

static void test_fault_14_cut_at_every_boundary_upward(void **state)
{
    cut_everywhere(PROXY_UP);
}

TREE_MAIN(TEST(test_fault_14_cut_at_every_boundary_downward),
          TEST(test_fault_14_cut_at_every_boundary_upward))
