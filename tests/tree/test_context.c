/* Contexts: the first value, the result, who cancels whom, and what a close returns. */
#include "tree.h"

#include "actor/context.h"

#include <pthread.h>
#include <signal.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);
YOKE_ERROR_KIND(APP_L, "test.L", NULL);

/* ---- endpoints ---- */

YOKE_RECORD(word, (str, text));
YOKE_RECORD(nap, (i64, ns));
YOKE_RECORD(amount, (u32, count));
YOKE_RECORD(moment, (boolean, before));
YOKE_RECORD(far_state, (u32, begun), (u32, cancelled), (u32, finished), (u32, cleaned), (u32, serving),
            (str, canceller));
YOKE_RECORD(view, (boolean, ended), (boolean, cancel_called), (boolean, scope_called),
            (boolean, scope_caught), (str, canceller));

/* What the child has seen; its parent asks for it by `ends:state`. */
static struct {
    uint32_t begun, cancelled, finished, cleaned;
    char canceller[65];
} far;

static yoke_error *state(const yoke_type_none *args, far_state *result)
{
    *result = (far_state){far.begun,
                          far.cancelled,
                          far.finished,
                          far.cleaned,
                          (uint32_t)actor_here()->serving - 1, /* beside this call */
                          strdup(far.canceller)};
    return NULL;
}

static void note_end(yoke_context *ctx, const yoke_error *e)
{
    if (!yoke_error_is_cancelled(e))
        return;
    far.cancelled++;
    const yoke_uid *canceller = yoke_context_canceller(ctx);
    snprintf(far.canceller, sizeof far.canceller, "%s", canceller ? canceller->name : "nobody");
}

static yoke_error *say(yoke_context *ctx, const word *args, word *result)
{
    YOKE_TRY(yoke_context_started(ctx, &(word){"hello"}));
    result->text = strdup(args->text);
    return NULL;
}
static yoke_error *work(yoke_context *ctx, const nap *args, word *result)
{
    far.begun++;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = yoke_sleep(args->ns);
    note_end(ctx, e);
    far.finished += !e;
    far.cleaned++;
    result->text = strdup("yo");
    return e;
}
static yoke_error *forget(yoke_context *ctx, const yoke_type_none *args, word *result)
{
    result->text = strdup("yo");
    return NULL;
}
static yoke_error *fail_early(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&APP_K, "early");
}
static yoke_error *fail_later(yoke_context *ctx, const nap *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_sleep(args->ns));
    return yoke_raise(&APP_K, "later");
}
/* Sends what it sees of its context while its body still runs, cancelled. */
static yoke_error *look(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = yoke_sleep(YOKE_S(100));
    const yoke_uid *canceller = yoke_context_canceller(ctx);
    const yoke_scope *scope = yoke_context_scope(ctx);
    view seen = {yoke_context_has_ended(ctx), yoke_context_cancel_called(ctx),
                 scope && yoke_scope_cancel_called(scope), scope && yoke_scope_cancelled_caught(scope),
                 (char *)(canceller ? canceller->uuid : "nobody")};
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_scope_close(&shield, yoke_send(stream, &seen)));
    return yoke_stream_close(stream, e);
}
/* No task of the actor would run after that, and nobody be answered. */
static yoke_error *leave_thread(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_sleep(YOKE_MS(20))); /* the first value leaves the process */
    pthread_exit(NULL);
}
/* Fails right behind its Stop. */
static yoke_error *stop_and_fail(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_stream_close(stream, NULL));
    YOKE_TRY(yoke_sleep(YOKE_MS(100)));
    return yoke_raise(&APP_K, "behind the stop");
}
/* The contexts in force: in the endpoint, in a body, in a task of a nursery of it, and outside again. */
static yoke_error *is_current(void *ctx)
{
    CHECK(yoke_context_current() == ctx);
    return NULL;
}
static yoke_error *current(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(is_current(ctx));
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return is_current(ctx);
}
static yoke_error *start_twice(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_context_started(ctx, NULL);
}
static yoke_error *stream_early(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    return yoke_stream_open(ctx, &stream, NULL);
}
static yoke_error *spoil(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_context_started(ctx, &(word){"\xff"});
}
static yoke_error *flood(yoke_context *ctx, const amount *args, word *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = NULL;
    for (uint32_t i = 0; i < args->count && !e; i++)
        e = yoke_send(stream, &(amount){i});
    YOKE_TRY(yoke_stream_close(stream, e));
    result->text = strdup("yo");
    return NULL;
}
static yoke_error *quit(yoke_context *ctx, const moment *args, yoke_type_none *result)
{
    if (!args->before)
        YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_context_cancel(ctx));
    for (int i = 0; i < 2; i++) {
        yoke_error *e = yoke_checkpoint();
        note_end(ctx, e);
        yoke_error_free(e);
    }
    return yoke_checkpoint();
}
static yoke_error *clean_slowly(yoke_context *ctx, const nap *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = yoke_sleep_forever();
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_scope_close(&shield, yoke_sleep(args->ns)));
    far.cleaned++;
    return e;
}
static yoke_error *clean_badly(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error_free(yoke_sleep_forever());
    return yoke_raise(&APP_L, "the cleanup failed");
}

static yoke_error *cancel_third(struct scene *s)
{
    return yoke_context_cancel(s->ctx);
}
static yoke_error *with_third(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "third", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    return with_context(s, "ends:work", &(nap){YOKE_S(100)}, cancel_third);
}
/* Opens and cancels a context of its own, and then fails. */
static yoke_error *nest(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    struct scene s = {0};
    YOKE_TRY(with_actors(&s, NULL, with_third));
    return yoke_raise(&APP_K, "after the third");
}

YOKE_MODULE(ends, YOKE_CALL(state, none, far_state), YOKE_CONTEXT(say, word, word, word),
            YOKE_CONTEXT(work, nap, none, word), YOKE_CONTEXT(forget, none, none, word),
            YOKE_CONTEXT(fail_early, none, none, none), YOKE_CONTEXT(fail_later, nap, none, none),
            YOKE_CONTEXT(start_twice, none, none, none), YOKE_CONTEXT(stream_early, none, none, none),
            YOKE_CONTEXT(spoil, none, word, none), YOKE_CONTEXT_STREAM(look, none, none, none, none, view),
            YOKE_CONTEXT(stop_and_fail, none, none, none), YOKE_CONTEXT(current, none, none, none),
            YOKE_CONTEXT(leave_thread, none, none, none),
            YOKE_CONTEXT_STREAM(flood, amount, none, word, none, amount),
            YOKE_CONTEXT(quit, moment, none, none), YOKE_CONTEXT(clean_slowly, nap, none, none),
            YOKE_CONTEXT(clean_badly, none, none, none), YOKE_CONTEXT(nest, none, none, none));

#define LONG (&(nap){YOKE_S(100)})

static yoke_error *cancel_scene(void *arg)
{
    struct scene *s = arg;
    return yoke_context_cancel(s->ctx);
}

/* The child has seen `cancelled` cancellations, and `finished` of its tasks have come to their end. */
static yoke_error *far_was(struct scene *s, uint32_t cancelled, uint32_t finished, const char *canceller)
{
    far_state there;
    YOKE_TRY(yoke_call(s->portal, "ends:state", NULL, &there));
    bool fits =
        there.cancelled == cancelled && there.finished == finished && strcmp(there.canceller, canceller) == 0;
    yoke_error *e = fits ? NULL
                         : yoke_raise(&CHECK_FAILED, "in the child: %u cancelled by `%s`, %u finished",
                                      there.cancelled, there.canceller, there.finished);
    far_state_free(&there);
    return e;
}

static yoke_error *nothing(struct scene *s)
{
    return NULL;
}

/* ---- the first value and the result ---- */

static yoke_error *result_is(struct scene *s, const char *text)
{
    word result;
    YOKE_TRY(yoke_context_result(s->ctx, &result));
    bool same = result.text && strcmp(result.text, text) == 0;
    word_free(&result);
    CHECK(same);
    return NULL;
}

static yoke_error *open_with_value(struct scene *s)
{
    word first;
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:say", &(word){"x"}, &first));
    bool same = strcmp(first.text, "hello") == 0;
    word_free(&first);
    YOKE_TRY(yoke_context_close(s->ctx, NULL));
    CHECK(same);
    return NULL;
}
static void test_ctx_01_open_delivers_the_first_value(void **state)
{
    assert_success(tree_with_child("ends", open_with_value, NULL));
}

struct failing {
    const char *endpoint, *text;
    const yoke_error_kind *kind;
};
/* The open, or the close, returns the relayed error, and neither side keeps anything of the context. */
static yoke_error *open_failing(struct scene *s)
{
    const struct failing *f = s->arg;
    EXPECT_REMOTE(with_context(s, f->endpoint, NULL, nothing), f->kind, f->text);
    CHECK(yoke_context_current() == NULL && s->portal->peer->opened.count == 0);
    far_state there;
    YOKE_TRY(yoke_call(s->portal, "ends:state", NULL, &there));
    uint32_t serving = there.serving;
    far_state_free(&there);
    CHECK(serving == 0);
    return NULL;
}
static void fails_with(const char *endpoint, const yoke_error_kind *kind, const char *text)
{
    assert_success(tree_with_child("ends", open_failing, &(struct failing){endpoint, text, kind}));
}
static void test_ctx_02_child_ends_without_started(void **state)
{
    fails_with("ends:forget", &YOKE_USAGE, "without calling yoke_context_started");
}
static void test_ctx_03_child_fails_before_started(void **state)
{
    fails_with("ends:fail_early", &APP_K, "early");
}
static void test_ctx_04_started_twice(void **state)
{
    fails_with("ends:start_twice", &YOKE_USAGE, "called before");
}
static void test_ctx_06_stream_before_started(void **state)
{
    fails_with("ends:stream_early", &YOKE_USAGE, "comes after");
}
static void test_type_01_first_value_that_does_not_fit(void **state)
{
    fails_with("ends:spoil", &YOKE_MSG_TYPE, "started.text");
}

static yoke_error *started_here(struct scene *s)
{
    EXPECT(yoke_context_started(s->ctx, NULL), &YOKE_USAGE, "endpoint");
    return NULL;
}
static yoke_error *open_for_started(struct scene *s)
{
    return with_context(s, "ends:work", &(nap){0}, started_here);
}
static void test_ctx_05_started_on_the_openers_side(void **state)
{
    assert_success(tree_with_child("ends", open_for_started, NULL));
}

static yoke_error *result_twice(struct scene *s)
{
    YOKE_TRY(result_is(s, "yo"));
    int64_t begin = yoke_now();
    YOKE_TRY(result_is(s, "yo"));
    CHECK(tree_ms_since(begin) < 20);
    YOKE_TRY(yoke_context_result(s->ctx, NULL));
    CHECK(yoke_context_outcome(s->ctx) == NULL);
    return NULL;
}
static yoke_error *open_for_result(struct scene *s)
{
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:work", &(nap){YOKE_MS(50)}, NULL));
    yoke_context *kept = yoke_context_keep(s->ctx);
    YOKE_TRY(yoke_context_close(s->ctx, result_twice(s)));
    s->ctx = kept;
    yoke_error *e = result_twice(s); /* after the close too */
    YOKE_TRY(e);
    CHECK(yoke_context_has_ended(kept) && yoke_context_canceller(kept) == NULL);
    YOKE_TRY(yoke_context_cancel(kept)); /* nothing is left to cancel */
    EXPECT(yoke_context_close(kept, NULL), &YOKE_USAGE, "called before");
    yoke_stream *stream;
    EXPECT(yoke_stream_open(kept, &stream, NULL), &YOKE_CLOSED, NULL);
    s->arg = kept; /* it outlives its portal, too */
    return NULL;
}
static yoke_error *outlive_the_actor(void *arg)
{
    struct tree_child c = {"ends", open_for_result, {0}};
    struct scene s = {.arg = &c};
    YOKE_TRY(with_actors(&s, NULL, tree_child_body));
    s.ctx = c.scene.arg;
    YOKE_TRY(result_is(&s, "yo"));
    yoke_context_release(s.ctx);
    return NULL;
}
static void test_ctx_07_result_twice(void **state)
{
    assert_success(tree_run(outlive_the_actor, NULL));
}

static yoke_error *result_waits(struct scene *s)
{
    yoke_scope hurry;
    YOKE_TRY(yoke_move_on_after(&hurry, YOKE_MS(30)));
    YOKE_TRY(yoke_scope_close(&hurry, yoke_context_result(s->ctx, NULL)));
    CHECK(yoke_scope_cancelled_caught(&hurry));
    int64_t begin = yoke_now();
    YOKE_TRY(result_is(s, "yo"));
    CHECK(tree_ms_since(begin) > 100);
    return NULL;
}
static yoke_error *open_for_wait(struct scene *s)
{
    YOKE_TRY(with_context(s, "ends:work", &(nap){YOKE_MS(300)}, result_waits));
    return far_was(s, 0, 1, "");
}
static void test_ctx_08_result_waits_and_can_be_cancelled(void **state)
{
    assert_success(tree_with_child("ends", open_for_wait, NULL));
}

static yoke_error *receive_three(struct scene *s)
{
    for (uint32_t i = 0; i < 3; i++) {
        amount item;
        YOKE_TRY(yoke_recv(s->stream, &item));
        CHECK(item.count == i);
    }
    return result_is(s, "yo");
}
static yoke_error *stream_three(struct scene *s)
{
    return with_stream(s, NULL, receive_three);
}
static yoke_error *open_flood(struct scene *s)
{
    return with_context(s, "ends:flood", &(amount){1000}, stream_three);
}
static void test_ctx_09_result_drops_what_is_in_flight(void **state)
{
    assert_success(tree_with_child("ends", open_flood, NULL));
}

static yoke_error *result_at_once(struct scene *s)
{
    return result_is(s, "yo");
}
static yoke_error *open_flood_unread(struct scene *s)
{
    return with_context(s, "ends:flood", &(amount){1000}, result_at_once);
}
static void test_ovr_07_result_drains_a_flood(void **state)
{
    assert_success(tree_with_child("ends", open_flood_unread, NULL));
}

static yoke_error *open_and_close(struct scene *s)
{
    int64_t begin = yoke_now();
    YOKE_TRY(with_context(s, "ends:work", &(nap){YOKE_MS(300)}, nothing));
    CHECK(tree_ms_since(begin) >= 290);
    return far_was(s, 0, 1, "");
}
static void test_ctx_11_close_cancels_nobody(void **state)
{
    assert_success(tree_with_child("ends", open_and_close, NULL));
}

static yoke_error *close_and_ask(struct scene *s)
{
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:work", &(nap){YOKE_MS(300)}, NULL));
    yoke_context *kept = yoke_context_keep(s->ctx);
    YOKE_TRY(yoke_context_close(s->ctx, NULL));
    s->ctx = kept;
    YOKE_TRY(result_is(s, "yo"));
    CHECK(!yoke_context_cancel_called(kept));
    yoke_context_release(kept);
    return NULL;
}
static void test_ctx_10_close_waits_for_the_result(void **state)
{
    assert_success(tree_with_child("ends", close_and_ask, NULL));
}

/* ---- how it stands ---- */

static bool printed(const yoke_context *ctx, bool lines, const char *const *parts)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    yoke_context_print(f, ctx, lines);
    fclose(f);
    bool all = strchr(text, '\n') == text + size - 1 || lines;
    for (; *parts; parts++)
        all = all && strstr(text, *parts);
    if (!all)
        fprintf(stderr, "# not all of it is in: %s", text);
    free(text);
    return all;
}
static yoke_error *look_at_it(struct scene *s)
{
    const char *working[] = {
        "opener",       "`ends:work`",         "`worker`",  "state: open", "stream: not opened here",
        "cancel: no\n", "outcome: unresolved", s->ctx->cid, NULL};
    CHECK(!yoke_context_has_ended(s->ctx) && yoke_context_outcome(s->ctx) == NULL);
    CHECK(printed(s->ctx, true, working));
    CHECK(printed(s->ctx, false, (const char *[]){"open; stream not opened", "outcome: unresolved", NULL}));
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(s->ctx, &stream, NULL));
    CHECK(printed(s->ctx, false, (const char *[]){"stream open;", NULL}));
    YOKE_TRY(yoke_stream_close(stream, NULL));
    CHECK(printed(s->ctx, false, (const char *[]){"stream closed on this side", NULL}));
    YOKE_TRY(yoke_context_result(s->ctx, NULL));
    CHECK(yoke_context_has_ended(s->ctx));
    CHECK(printed(s->ctx, false, (const char *[]){": done;", "outcome: a value", NULL}));
    return NULL;
}
static yoke_error *look_at_a_cancelled(struct scene *s)
{
    YOKE_TRY(yoke_context_cancel(s->ctx));
    CHECK(printed(s->ctx, true,
                  (const char *[]){"this side asked for it, and it was obeyed; by actor `root`",
                                   "[yoke.ContextCancelled]", NULL}));
    return NULL;
}
static yoke_error *look_at_both(struct scene *s)
{
    YOKE_TRY(with_context(s, "ends:work", &(nap){YOKE_MS(300)}, look_at_it));
    return with_context(s, "ends:work", LONG, look_at_a_cancelled);
}
/* CTX-42, CTX-43 */
static void test_state_in_words(void **state)
{
    assert_success(tree_with_child("ends", look_at_both, NULL));
}

static yoke_error *inner_current(struct scene *s)
{
    yoke_context *inner = s->ctx, *outer = s->arg;
    CHECK(yoke_context_current() == inner && inner != outer);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_close(&n, yoke_spawn(&n, is_current, inner)));
    return NULL;
}
static yoke_error *outer_current(struct scene *s)
{
    yoke_context *outer = s->ctx;
    CHECK(yoke_context_current() == outer);
    struct scene inner = {.portal = s->portal, .arg = outer};
    YOKE_TRY(with_context(&inner, "ends:current", NULL, inner_current));
    CHECK(yoke_context_current() == outer);
    return NULL;
}
static yoke_error *open_current(struct scene *s)
{
    CHECK(yoke_context_current() == NULL);
    YOKE_TRY(with_context(s, "ends:current", NULL, outer_current));
    CHECK(yoke_context_current() == NULL);
    return NULL;
}
static void test_ctx_38_context_in_force(void **state)
{
    assert_success(tree_with_child("ends", open_current, NULL));
}

/* ---- this side ends it ---- */

static yoke_error *open_to_cancel_on_close(struct scene *s)
{
    yoke_context_options options = {.cancel_on_close = true};
    YOKE_TRY(yoke_context_open_with(s->portal, &s->ctx, "ends:work", LONG, NULL, &options));
    yoke_context *kept = yoke_context_keep(s->ctx);
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_context_close(s->ctx, NULL));
    CHECK(tree_ms_since(begin) < 500 * TREE_SLOW);
    CHECK(yoke_context_cancel_called(kept) && yoke_context_cancel_acked(kept));
    CHECK(yoke_error_is(yoke_context_outcome(kept), &YOKE_CONTEXT_CANCELLED));
    CHECK(yoke_uid_equal(yoke_error_canceller(yoke_context_outcome(kept)), yoke_current_actor()));
    yoke_context_release(kept);
    YOKE_TRY(far_was(s, 1, 0, "root"));
    /* A value that has come needs no cancel. */
    YOKE_TRY(yoke_context_open_with(s->portal, &s->ctx, "ends:work", &(nap){0}, NULL, &options));
    kept = yoke_context_keep(s->ctx);
    yoke_error *e = yoke_context_result(s->ctx, NULL);
    YOKE_TRY(yoke_context_close(s->ctx, e));
    bool called = yoke_context_cancel_called(kept);
    yoke_context_release(kept);
    CHECK(!called);
    return far_was(s, 1, 1, "root");
}
static void test_ctx_12_cancel_on_close(void **state)
{
    assert_success(tree_with_child("ends", open_to_cancel_on_close, NULL));
}

static yoke_error *fail_k(struct scene *s)
{
    return yoke_raise(&APP_K, "the body failed");
}
static yoke_error *body_fails(struct scene *s)
{
    yoke_error *e = with_context(s, "ends:work", LONG, fail_k);
    bool exact = yoke_error_kind_of(e) == &APP_K && !yoke_error_cause(e);
    EXPECT(e, &APP_K, "the body failed");
    CHECK(exact);
    return far_was(s, 1, 0, "root");
}
static void test_ctx_13_error_of_the_body_cancels_the_child(void **state)
{
    assert_success(tree_with_child("ends", body_fails, NULL));
}

static yoke_error *cancel_and_receive(struct scene *s)
{
    view seen;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, cancel_scene, s);
    if (!e)
        e = yoke_recv(s->stream, &seen);
    YOKE_TRY(yoke_nursery_close(&n, e));
    bool ours = strcmp(seen.canceller, yoke_current_actor()->uuid) == 0;
    CHECK(ours && seen.scope_called && !seen.scope_caught && !seen.cancel_called && !seen.ended);
    view_free(&seen);
    return NULL;
}
static yoke_error *stream_and_cancel(struct scene *s)
{
    return with_stream(s, NULL, cancel_and_receive);
}
static yoke_error *open_to_look(struct scene *s)
{
    return with_context(s, "ends:look", NULL, stream_and_cancel);
}
static void test_ctx_28_canceller_in_the_child(void **state)
{
    assert_success(tree_with_child("ends", open_to_look, NULL));
}

static yoke_error *sleep_long(struct scene *s)
{
    return yoke_sleep(YOKE_S(100));
}
static yoke_error *body_is_cancelled(struct scene *s)
{
    yoke_scope outer;
    YOKE_TRY(yoke_move_on_after(&outer, YOKE_MS(50)));
    yoke_error *e = with_context(s, "ends:work", LONG, sleep_long);
    bool handed_on = yoke_error_is_cancelled(e);
    YOKE_TRY(yoke_scope_close(&outer, e));
    CHECK(handed_on && yoke_scope_cancelled_caught(&outer));
    return far_was(s, 1, 0, "root");
}
static void test_ctx_14_cancelled_body_cancels_the_child(void **state)
{
    assert_success(tree_with_child("ends", body_is_cancelled, NULL));
}

static yoke_error *cancel_and_check(struct scene *s)
{
    YOKE_TRY(yoke_context_cancel(s->ctx));
    CHECK(yoke_context_cancel_called(s->ctx) && yoke_context_cancel_acked(s->ctx));
    const yoke_error *outcome = yoke_context_outcome(s->ctx);
    CHECK(yoke_error_is(outcome, &YOKE_CONTEXT_CANCELLED));
    CHECK(yoke_uid_equal(yoke_error_canceller(outcome), yoke_current_actor()));
    CHECK(yoke_uid_equal(yoke_context_canceller(s->ctx), yoke_current_actor()));
    return NULL;
}
/* The body is an own one each time; what it returns besides is for the close to absorb. */
static yoke_error *cancel_own(struct scene *s)
{
    int64_t begin = yoke_now();
    YOKE_TRY(with_context(s, "ends:work", LONG, (scene_fn)s->arg));
    CHECK(tree_ms_since(begin) < 500 * TREE_SLOW);
    return far_was(s, 1, 0, "root");
}
static void test_ctx_15_own_cancel_is_absorbed(void **state)
{
    assert_success(tree_with_child("ends", cancel_own, cancel_and_check));
}

static yoke_error *ask_for_no_result(struct scene *s)
{
    YOKE_TRY(cancel_and_check(s));
    for (int i = 0; i < 2; i++) {
        word result = {"not touched"};
        YOKE_TRY(yoke_context_result(s->ctx, &result)); /* there is none, and that is no error */
        CHECK(result.text == NULL);
        CHECK(yoke_error_is(yoke_context_outcome(s->ctx), &YOKE_CONTEXT_CANCELLED));
    }
    return NULL;
}
static void test_ctx_16_result_after_the_own_cancel(void **state)
{
    assert_success(tree_with_child("ends", cancel_own, ask_for_no_result));
}

static yoke_error *go_on_after_cancel(struct scene *s)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(s->ctx, &stream, NULL));
    YOKE_TRY(cancel_and_check(s));
    YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    YOKE_TRY(yoke_call(s->portal, "tree:ping", NULL, NULL));
    CHECK(!yoke_scope_cancel_called(yoke_context_scope(s->ctx)));
    yoke_value item;
    EXPECT(yoke_recv(stream, &item), &YOKE_CONTEXT_CANCELLED, NULL); /* what is of the context has ended */
    return yoke_stream_close(stream, NULL);
}
static void test_ctx_17_own_cancel_leaves_this_side_alone(void **state)
{
    assert_success(tree_with_child("ends", cancel_own, go_on_after_cancel));
}

static yoke_error *cancel_twice(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, cancel_scene, s);
    if (!e)
        e = yoke_spawn(&n, cancel_scene, s);
    YOKE_TRY(yoke_nursery_close(&n, e));
    YOKE_TRY(cancel_and_check(s));
    return cancel_and_check(s);
}
static void test_ctx_19_cancel_twice(void **state)
{
    assert_success(tree_with_child("ends", cancel_own, cancel_twice));
}

static yoke_error *stream_after_cancel(struct scene *s)
{
    yoke_stream *stream;
    kill(yoke_portal_pid(s->portal), SIGSTOP);
    yoke_error *e = yoke_context_cancel(s->ctx); /* its bound passes: no answer */
    if (!e)
        e = yoke_stream_open(s->ctx, &stream, NULL);
    bool refused = yoke_error_is(e, &YOKE_USAGE);
    yoke_error_free(e);
    kill(yoke_portal_pid(s->portal), SIGCONT);
    CHECK(refused);
    while (!yoke_context_has_ended(s->ctx))
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    e = yoke_stream_open(s->ctx, &stream, NULL);
    CHECK(yoke_error_is(e, &YOKE_CONTEXT_CANCELLED));
    return e; /* the close absorbs it */
}
static yoke_error *open_and_stop(struct scene *s)
{
    YOKE_TRY(with_context(s, "ends:work", LONG, stream_after_cancel));
    return far_was(s, 1, 0, "root");
}
static void test_ctx_24_stream_after_cancel(void **state)
{
    assert_success(tree_with_child("ends", open_and_stop, NULL));
}

static yoke_error *cancel_the_returned(struct scene *s)
{
    YOKE_TRY(result_is(s, "yo"));
    YOKE_TRY(yoke_context_cancel(s->ctx));
    CHECK(yoke_context_cancel_called(s->ctx) && !yoke_context_cancel_acked(s->ctx));
    return result_is(s, "yo");
}
static yoke_error *open_returned(struct scene *s)
{
    YOKE_TRY(with_context(s, "ends:work", &(nap){0}, cancel_the_returned));
    return far_was(s, 0, 1, "");
}
static void test_ctx_18_the_value_wins_over_a_late_cancel(void **state)
{
    assert_success(tree_with_child("ends", open_returned, NULL));
}

static yoke_error *cancel_soon(void *arg)
{
    struct scene *s = arg;
    YOKE_TRY(yoke_sleep(YOKE_MS(30)));
    return yoke_context_cancel(s->ctx);
}
static yoke_error *receive_one(struct scene *s)
{
    yoke_value item;
    yoke_error *e = yoke_recv(s->stream, &item);
    CHECK(yoke_error_is(e, &YOKE_CONTEXT_CANCELLED)); /* the receive has it by its own kind */
    CHECK(!yoke_scope_cancel_called(yoke_context_scope(s->ctx)));
    YOKE_TRY(yoke_checkpoint()); /* CTX-31: and nothing else interrupts the body */
    s->arg = s;
    return e;
}
static yoke_error *receive_in_stream(struct scene *s)
{
    return with_stream(s, NULL, receive_one);
}
static yoke_error *open_and_receive(void *arg)
{
    return with_context(arg, "ends:work", LONG, receive_in_stream);
}
static yoke_error *cancel_from_aside(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, open_and_receive, s);
    while (!e && !s->stream)
        e = yoke_sleep(YOKE_MS(1));
    if (!e)
        e = cancel_soon(s);
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(s->arg == s);
    return far_was(s, 1, 0, "root");
}
static void test_ctx_20_cancel_from_another_task(void **state)
{
    assert_success(tree_with_child("ends", cancel_from_aside, NULL));
}

static yoke_error *sleep_in_body(struct scene *s)
{
    yoke_error *e = yoke_sleep(YOKE_S(100));
    s->arg = yoke_error_is_cancelled(e) && yoke_scope_cancel_called(yoke_context_scope(s->ctx)) ? s : NULL;
    return e;
}
static yoke_error *open_and_sleep(void *arg)
{
    return with_context(arg, "ends:work", LONG, sleep_in_body);
}
static yoke_error *cancel_sleeping(struct scene *s)
{
    yoke_nursery n;
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, open_and_sleep, s);
    while (!e && !s->ctx)
        e = yoke_sleep(YOKE_MS(1));
    if (!e)
        e = cancel_soon(s);
    if (!e)
        e = yoke_sleep(YOKE_MS(5)); /* the owner is not disturbed */
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(s->arg == s && tree_ms_since(begin) < 2000 * TREE_SLOW);
    return NULL;
}
/* CTX-31: in a receive the message itself wakes the opener, as in the test before; elsewhere its scope does.
 */
static void test_answer_to_the_own_cancel_interrupts_a_sleeping_body(void **state)
{
    assert_success(tree_with_child("ends", cancel_sleeping, NULL));
}

/* The same with the actor cancelled: what comes out of the close is told here. */
static yoke_error *open_and_sleep_on(void *arg)
{
    struct scene *s = arg;
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:work", LONG, NULL));
    s->arg = yoke_context_keep(s->ctx);
    yoke_error *e = yoke_context_close(s->ctx, yoke_sleep(YOKE_S(100)));
    CHECK(yoke_error_is(e, &YOKE_CONTEXT_CANCELLED));
    CHECK(yoke_uid_equal(yoke_error_canceller(e), yoke_current_actor()));
    yoke_error_free(e);
    return NULL;
}
static yoke_error *cancel_actor_of_sleeping(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, open_and_sleep_on, s);
    while (!e && !s->arg)
        e = yoke_sleep(YOKE_MS(1));
    if (!e)
        e = yoke_portal_cancel_actor(s->portal, 0, NULL);
    if (!e) {
        e = yoke_context_result(s->arg, NULL); /* which the owner asks for */
        CHECK(yoke_error_is(e, &YOKE_CONTEXT_CANCELLED));
        CHECK(yoke_uid_equal(yoke_error_canceller(e), yoke_current_actor()));
        yoke_error_free(e);
        e = NULL;
    }
    YOKE_TRY(yoke_nursery_close(&n, e));
    yoke_context_release(s->arg);
    CHECK(tree_ms_since(begin) < 2000 * TREE_SLOW);
    return NULL;
}
/* CTX-21 */
static void test_opener_in_the_background(void **state)
{
    assert_success(tree_with_child("ends", cancel_sleeping, NULL));
    assert_success(tree_with_actors(cancel_actor_of_sleeping, NULL));
}

static yoke_error *cancel_in_cancelled_scope(struct scene *s)
{
    yoke_scope over;
    YOKE_TRY(yoke_scope_open(&over));
    yoke_scope_cancel(&over, NULL);
    yoke_error *e = yoke_context_cancel(s->ctx);
    YOKE_TRY(yoke_scope_close(&over, e));
    CHECK(yoke_context_cancel_acked(s->ctx));
    return NULL;
}
static yoke_error *open_for_shield(struct scene *s)
{
    return with_context(s, "ends:work", LONG, cancel_in_cancelled_scope);
}
static void test_ctx_34_cancel_is_shielded(void **state)
{
    assert_success(tree_with_child("ends", open_for_shield, NULL));
}

static yoke_error *cancel_the_stopped(struct scene *s)
{
    kill(yoke_portal_pid(s->portal), SIGSTOP);
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_context_cancel(s->ctx));
    int ms = tree_ms_since(begin);
    kill(yoke_portal_pid(s->portal), SIGCONT);
    CHECK(ms >= 600 && ms < 800 * TREE_SLOW);
    CHECK(yoke_context_cancel_called(s->ctx) && !yoke_context_cancel_acked(s->ctx));
    return NULL;
}
static yoke_error *open_for_stop(struct scene *s)
{
    return with_context(s, "ends:work", LONG, cancel_the_stopped);
}
static void test_ctx_32_a_cancel_that_is_not_answered(void **state)
{
    assert_success(tree_with_child("ends", open_for_stop, NULL));
}

/* ---- the far side ends it ---- */

static yoke_error *far_quits(struct scene *s)
{
    yoke_error *e = with_context(s, "ends:quit", &(moment){false}, sleep_long);
    bool named = yoke_uid_equal(yoke_error_canceller(e), yoke_portal_peer(s->portal));
    EXPECT(e, &YOKE_CONTEXT_CANCELLED, "worker");
    CHECK(named);
    return far_was(s, 2, 0, "worker"); /* each later checkpoint said so */
}
static void test_ctx_22_child_cancels_itself(void **state)
{
    assert_success(tree_with_child("ends", far_quits, NULL));
}

static yoke_error *far_quits_early(struct scene *s)
{
    yoke_error *e = with_context(s, "ends:quit", &(moment){true}, sleep_long);
    bool named = yoke_uid_equal(yoke_error_canceller(e), yoke_portal_peer(s->portal));
    EXPECT(e, &YOKE_CONTEXT_CANCELLED, NULL);
    CHECK(named);
    return NULL;
}
static void test_ctx_23_child_cancels_itself_before_started(void **state)
{
    assert_success(tree_with_child("ends", far_quits_early, NULL));
}

static yoke_error *cancel_the_actor(struct scene *s)
{
    bool acknowledged;
    YOKE_TRY(yoke_portal_cancel_actor(s->portal, 0, &acknowledged));
    CHECK(acknowledged);
    yoke_error *e = yoke_context_result(s->ctx, NULL);
    CHECK(yoke_error_is(e, &YOKE_CONTEXT_CANCELLED));
    CHECK(yoke_uid_equal(yoke_error_canceller(e), yoke_current_actor()));
    CHECK(!yoke_context_cancel_called(s->ctx) && !yoke_context_cancel_acked(s->ctx));
    return e;
}
static yoke_error *with_cancelled_actor(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    EXPECT(with_context(s, "ends:work", LONG, cancel_the_actor), &YOKE_CONTEXT_CANCELLED, "root");
    return NULL;
}
static void test_ctx_25_actor_cancelled_under_the_context(void **state)
{
    assert_success(tree_with_actors(with_cancelled_actor, NULL));
}

static yoke_error *sleep_and_note(struct scene *s)
{
    int64_t begin = yoke_now();
    yoke_error *e = yoke_sleep(YOKE_S(100));
    CHECK(yoke_error_is_cancelled(e) && tree_ms_since(begin) < 400 * TREE_SLOW);
    return e;
}
static yoke_error *far_fails(struct scene *s)
{
    EXPECT_REMOTE(with_context(s, "ends:fail_later", &(nap){YOKE_MS(50)}, sleep_and_note), &APP_K, "later");
    return NULL;
}
static void test_ctx_29_remote_error_interrupts_the_body(void **state)
{
    assert_success(tree_with_child("ends", far_fails, NULL));
}

static yoke_error *receive_the_end(struct scene *s)
{
    yoke_value item;
    yoke_error *e = yoke_recv(s->stream, &item);
    CHECK(yoke_error_is(e, &YOKE_END_OF_CHANNEL));
    while (!yoke_context_has_ended(s->ctx)) { /* its failure comes behind it */
        yoke_error_free(yoke_sleep(YOKE_MS(1)));
    }
    return e;
}
static yoke_error *stream_to_the_end(struct scene *s)
{
    return with_stream(s, NULL, receive_the_end);
}
static yoke_error *far_stops_and_fails(struct scene *s)
{
    EXPECT_REMOTE(with_context(s, "ends:stop_and_fail", NULL, stream_to_the_end), &APP_K, "behind the stop");
    return NULL;
}
static void test_end_of_the_stream_does_not_hide_why(void **state)
{
    assert_success(tree_with_child("ends", far_stops_and_fails, NULL));
}

static yoke_error *fail_too(struct scene *s)
{
    yoke_error_free(yoke_sleep(YOKE_S(100)));
    return yoke_raise(&APP_L, "here too");
}
static yoke_error *both_fail(struct scene *s)
{
    yoke_error *e = with_context(s, "ends:fail_later", &(nap){YOKE_MS(20)}, fail_too);
    char *text = yoke_error_text(e);
    bool kept = text && strstr(text, "here too") && strstr(text, "later [test.K]");
    free(text);
    EXPECT(e, &APP_L, "here too");
    CHECK(kept);
    return NULL;
}
static void test_ctx_30_both_sides_fail(void **state)
{
    assert_success(tree_with_child("ends", both_fail, NULL));
}

static yoke_error *kill_the_child(struct scene *s)
{
    kill(yoke_portal_pid(s->portal), SIGKILL);
    yoke_error_free(yoke_sleep(YOKE_S(100)));
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_context_cancel(s->ctx));
    CHECK(tree_ms_since(begin) < 100 * TREE_SLOW);
    return NULL;
}
static yoke_error *with_dead_channel(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    EXPECT(with_context(s, "ends:work", LONG, kill_the_child), &YOKE_TRANSPORT_CLOSED, "SIGKILL");
    return NULL;
}
static void test_ctx_33_cancel_on_a_broken_channel(void **state)
{
    assert_error_text(tree_with_actors(with_dead_channel, NULL), &YOKE_ACTOR_DIED, "SIGKILL");
}

static yoke_error *with_leaver(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    EXPECT(with_context(s, "ends:leave_thread", NULL, sleep_long), &YOKE_TRANSPORT_CLOSED, "status 1");
    return NULL;
}
static void test_endpoint_that_leaves_its_thread(void **state)
{
    if (TREE_SLOW > 3)
        skip(); /* AddressSanitizer takes the frames that the thread has left for ones that are there */
    assert_error_text(tree_with_actors(with_leaver, NULL), &YOKE_ACTOR_EXITED, "status 1");
}

/* ---- several ---- */

static yoke_error *second_goes_on(struct scene *s)
{
    yoke_context *first = s->ctx;
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:work", &(nap){YOKE_MS(150)}, NULL));
    yoke_error *e = yoke_context_cancel(first);
    if (!e)
        e = result_is(s, "yo");
    e = yoke_context_close(s->ctx, e);
    s->ctx = first;
    return e;
}
static yoke_error *open_two(struct scene *s)
{
    YOKE_TRY(with_context(s, "ends:work", LONG, second_goes_on));
    return far_was(s, 1, 1, "root");
}
static void test_ctx_39_two_contexts_to_one_endpoint(void **state)
{
    assert_success(tree_with_child("ends", open_two, NULL));
}

static yoke_error *far_nests(struct scene *s)
{
    yoke_error *e = with_context(s, "ends:nest", NULL, nothing);
    bool masked = yoke_error_find(e, &YOKE_CONTEXT_CANCELLED) != NULL;
    EXPECT_REMOTE(e, &APP_K, "after the third");
    CHECK(!masked);
    return NULL;
}
static void test_ctx_41_absorbed_cancel_of_a_nested_context(void **state)
{
    assert_success(tree_with_child("ends", far_nests, NULL));
}

static yoke_error *many_in_turn(struct scene *s)
{
    for (int i = 0; i < 500; i++)
        YOKE_TRY(with_context(s, "ends:say", &(word){"x"}, nothing));
    return NULL;
}
static void test_many_contexts_in_turn(void **state)
{
    assert_success(tree_with_child("ends", many_in_turn, NULL));
}

/* What could not be asked for has no end to wait for. */
static yoke_error *open_in_vain(struct scene *s)
{
    yoke_portal *gone;
    yoke_scope over;
    YOKE_TRY(yoke_actors_start(s->actors, "gone", &(yoke_actor_options){.modules = "ends"}, &gone));
    YOKE_TRY(yoke_portal_cancel_actor(gone, 0, NULL));
    while (yoke_actors_count(s->actors) > 1)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    int64_t begin = yoke_now();
    EXPECT(yoke_context_open(gone, &s->ctx, "ends:work", LONG, NULL), &YOKE_TRANSPORT_CLOSED, "`gone`");
    YOKE_TRY(yoke_scope_open(&over));
    yoke_scope_cancel(&over, NULL);
    yoke_error *e = yoke_context_open(s->portal, &s->ctx, "ends:work", LONG, NULL);
    bool cancelled = yoke_error_is_cancelled(e);
    YOKE_TRY(yoke_scope_close(&over, e));
    CHECK(cancelled && tree_ms_since(begin) < 300);
    return NULL;
}
static void test_open_that_could_not_ask_does_not_wait(void **state)
{
    assert_success(tree_with_child("ends", open_in_vain, NULL));
}

/* ---- cleanup of the far task ---- */

static yoke_error *cancel_it(struct scene *s)
{
    return yoke_context_cancel(s->ctx);
}
static yoke_error *slow_cleanup(struct scene *s)
{
    int64_t begin = yoke_now();
    YOKE_TRY(with_context(s, "ends:clean_slowly", &(nap){YOKE_MS(300)}, cancel_it));
    CHECK(tree_ms_since(begin) >= 290);
    far_state there;
    YOKE_TRY(yoke_call(s->portal, "ends:state", NULL, &there));
    uint32_t cleaned = there.cleaned;
    far_state_free(&there);
    CHECK(cleaned == 1);
    return NULL;
}
static void test_ctx_45_cleanup_is_waited_for(void **state)
{
    assert_success(tree_with_child("ends", slow_cleanup, NULL));
}

static yoke_error *bad_cleanup(struct scene *s)
{
    EXPECT_REMOTE(with_context(s, "ends:clean_badly", NULL, cancel_it), &APP_L, "the cleanup failed");
    return NULL;
}
static void test_ctx_46_relay_08_cleanup_that_fails(void **state)
{
    assert_success(tree_with_child("ends", bad_cleanup, NULL));
}

/* ---- matrices ---- */

enum { ENDS_WELL, FAILS, IS_INTERRUPTED };
struct simple_case {
    bool blocks, streams;
    int end;
};
static yoke_error *simple_end(struct scene *s)
{
    const struct simple_case *c = s->arg;
    if (c->end == FAILS)
        return yoke_raise(&APP_K, "the body failed");
    if (c->end == IS_INTERRUPTED) {
        kill(getpid(), SIGINT);
        return yoke_sleep(YOKE_S(100));
    }
    return c->blocks ? yoke_context_cancel(s->ctx) : NULL;
}
static yoke_error *simple_body(struct scene *s)
{
    const struct simple_case *c = s->arg;
    return c->streams ? with_stream(s, NULL, simple_end) : simple_end(s);
}
static yoke_error *simple_context(struct scene *s)
{
    const struct simple_case *c = s->arg;
    int64_t begin = yoke_now();
    yoke_error *e = with_context(s, "ends:work", c->blocks ? LONG : &(nap){0}, simple_body);
    if (c->end == FAILS)
        EXPECT(e, &APP_K, "the body failed");
    else if (c->end == IS_INTERRUPTED)
        EXPECT(e, &YOKE_INTERRUPTED, NULL);
    else
        YOKE_TRY(e);
    far_state there;
    YOKE_TRY(yoke_call(s->portal, "ends:state", NULL, &there));
    uint32_t open = there.begun - there.cleaned;
    far_state_free(&there);
    CHECK(open == 0 && tree_ms_since(begin) < 500 * TREE_SLOW);
    return NULL;
}
static void test_ctx_47_matrix_of_simple_contexts(void **state)
{
    for (int i = 0; i < 12; i++) {
        struct simple_case c = {i & 1, i & 2, i / 4};
        assert_success(tree_with_child("ends", simple_context, &c));
    }
}

struct cancel_case {
    bool actor, result_asked, returned;
};
static yoke_error *look_at_result(struct scene *s, const struct cancel_case *c)
{
    if (c->returned)
        return result_is(s, "yo");
    yoke_error *e = yoke_context_result(s->ctx, NULL);
    CHECK(c->actor ? yoke_error_is(e, &YOKE_CONTEXT_CANCELLED) : !e);
    return e;
}
static yoke_error *cancel_body(struct scene *s)
{
    const struct cancel_case *c = s->arg;
    if (c->returned)
        YOKE_TRY(yoke_context_result(s->ctx, NULL));
    YOKE_TRY(c->actor ? yoke_portal_cancel_actor(s->portal, 0, NULL) : yoke_context_cancel(s->ctx));
    return c->result_asked ? look_at_result(s, c) : NULL;
}
static yoke_error *parent_cancels(struct scene *s)
{
    const struct cancel_case *c = s->arg;
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    yoke_error *e = with_context(s, "ends:work", c->returned ? &(nap){0} : LONG, cancel_body);
    if (c->actor && !c->returned)
        EXPECT(e, &YOKE_CONTEXT_CANCELLED, "root");
    else
        YOKE_TRY(e);
    return NULL;
}
static void test_ctx_48_matrix_of_cancels(void **state)
{
    for (int i = 0; i < 8; i++) {
        struct cancel_case c = {i & 1, i & 2, i & 4};
        assert_success(tree_with_actors(parent_cancels, &c));
    }
}

TREE_MAIN(TEST(test_ctx_01_open_delivers_the_first_value), TEST(test_ctx_02_child_ends_without_started),
          TEST(test_ctx_03_child_fails_before_started), TEST(test_ctx_04_started_twice),
          TEST(test_ctx_06_stream_before_started), TEST(test_type_01_first_value_that_does_not_fit),
          TEST(test_ctx_05_started_on_the_openers_side), TEST(test_ctx_07_result_twice),
          TEST(test_ctx_08_result_waits_and_can_be_cancelled),
          TEST(test_ctx_09_result_drops_what_is_in_flight), TEST(test_ovr_07_result_drains_a_flood),
          TEST(test_ctx_11_close_cancels_nobody), TEST(test_ctx_10_close_waits_for_the_result),
          TEST(test_state_in_words), TEST(test_ctx_38_context_in_force), TEST(test_ctx_12_cancel_on_close),
          TEST(test_ctx_13_error_of_the_body_cancels_the_child), TEST(test_ctx_28_canceller_in_the_child),
          TEST(test_ctx_14_cancelled_body_cancels_the_child), TEST(test_ctx_15_own_cancel_is_absorbed),
          TEST(test_ctx_16_result_after_the_own_cancel), TEST(test_ctx_17_own_cancel_leaves_this_side_alone),
          TEST(test_ctx_19_cancel_twice), TEST(test_ctx_24_stream_after_cancel),
          TEST(test_ctx_18_the_value_wins_over_a_late_cancel), TEST(test_ctx_20_cancel_from_another_task),
          TEST(test_answer_to_the_own_cancel_interrupts_a_sleeping_body), TEST(test_opener_in_the_background),
          TEST(test_ctx_34_cancel_is_shielded), TEST(test_ctx_32_a_cancel_that_is_not_answered),
          TEST(test_ctx_22_child_cancels_itself), TEST(test_ctx_23_child_cancels_itself_before_started),
          TEST(test_ctx_25_actor_cancelled_under_the_context),
          TEST(test_ctx_29_remote_error_interrupts_the_body), TEST(test_end_of_the_stream_does_not_hide_why),
          TEST(test_ctx_30_both_sides_fail), TEST(test_ctx_33_cancel_on_a_broken_channel),
          TEST(test_endpoint_that_leaves_its_thread), TEST(test_ctx_39_two_contexts_to_one_endpoint),
          TEST(test_ctx_41_absorbed_cancel_of_a_nested_context), TEST(test_many_contexts_in_turn),
          TEST(test_open_that_could_not_ask_does_not_wait), TEST(test_ctx_45_cleanup_is_waited_for),
          TEST(test_ctx_46_relay_08_cleanup_that_fails), TEST(test_ctx_47_matrix_of_simple_contexts),
          TEST(test_ctx_48_matrix_of_cancels))
