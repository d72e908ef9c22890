/* Streams and what stands around them: slow readers on either side, several tasks, a close under a receive,
 * servers. */
#include "tree.h"

#include "actor/context.h"

#include <signal.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- endpoints ---- */

enum { TICK, REQUEST, ANSWER };
enum { MANY = 200 };
YOKE_RECORD(note, (u8, what), (u32, number));
YOKE_RECORD(side, (boolean, allows), (boolean, slow));
YOKE_RECORD(word, (str, text));
YOKE_RECORD(flood, (u32, count), (boolean, fails));
YOKE_RECORD(ends_of, (u32, ticking), (u32, answering), (u32, streaming));

static ends_of ended; /* tasks of `tick_and_answer`, of `ticks` */

static yoke_error *send_notes(yoke_stream *stream, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        YOKE_TRY(yoke_send(stream, &(note){TICK, i}));
    return NULL;
}
static yoke_error *take_notes(yoke_stream *stream, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        note item;
        YOKE_TRY(yoke_recv(stream, &item));
        CHECK(item.number == i);
    }
    return NULL;
}
/* Reads nothing before so many messages wait; for ever, if so many are not kept. */
static yoke_error *be_slow(yoke_context *ctx, size_t count)
{
    while (ctx->inbox_count < count)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}
static yoke_error *wait_for_end(yoke_stream *stream)
{
    note item;
    yoke_error *e;
    while (!(e = yoke_recv(stream, &item)))
        ;
    return yoke_end_is_fine(e);
}
static yoke_error *far_body(yoke_context *ctx, yoke_stream *stream, const side *args)
{
    if (args->slow) {
        YOKE_TRY(be_slow(ctx, MANY));
        YOKE_TRY(take_notes(stream, MANY));
    } else {
        YOKE_TRY(send_notes(stream, MANY));
    }
    return wait_for_end(stream);
}
static yoke_error *far_side(yoke_context *ctx, const side *args, word *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.allow_overruns = args->allows}));
    YOKE_TRY(yoke_stream_close(stream, far_body(ctx, stream, args)));
    result->text = strdup("yo");
    return NULL;
}

static yoke_error *pour(yoke_context *ctx, const flood *args, word *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = send_notes(stream, args->count);
    if (!e && !args->count)
        e = take_notes(stream,
                       1); /* fails when it is told: with its stream open, whose end is no news then */
    if (!e && !args->count && args->fails)
        return yoke_raise(&APP_K, "told to");
    YOKE_TRY(yoke_stream_close(stream, e));
    if (args->fails)
        return yoke_raise(&APP_K, "behind a full queue");
    result->text = strdup("yo");
    return NULL;
}

/* Servers of requests, as a loop and word by word. */
static yoke_error *answer(yoke_stream *stream, const note *request)
{
    return yoke_send(stream, &(note){ANSWER, request->number * 2});
}
static yoke_error *serve_by_loop(yoke_context *ctx, const yoke_type_none *args, yoke_type_u32 *result)
{
    yoke_stream *stream;
    note request;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e;
    for (; !(e = yoke_recv(stream, &request)); ++*result) {
        e = answer(stream, &request);
        if (e)
            break;
    }
    return yoke_stream_close(stream, yoke_end_is_fine(e));
}
static yoke_error *serve_three(yoke_stream *stream, uint32_t *served)
{
    note request;
    for (; *served < 3; ++*served) {
        YOKE_TRY(yoke_recv(stream, &request));
        YOKE_TRY(answer(stream, &request));
    }
    EXPECT(yoke_recv(stream, &request), &YOKE_END_OF_CHANNEL, NULL);
    return NULL;
}
static yoke_error *serve_by_receives(yoke_context *ctx, const yoke_type_none *args, yoke_type_u32 *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, serve_three(stream, result));
}

/* One task streams, another answers requests, over the same stream. */
static yoke_error *tick(void *arg)
{
    yoke_error *e = NULL;
    for (uint32_t i = 0; !e; i++) {
        e = yoke_send(arg, &(note){TICK, i});
        if (!e)
            e = yoke_sleep(YOKE_MS(1));
    }
    ended.ticking++;
    return e;
}
static yoke_error *answer_on(void *arg)
{
    note request;
    yoke_error *e = NULL;
    while (!e && !(e = yoke_recv(arg, &request)))
        e = answer(arg, &request);
    ended.answering++;
    return e;
}
static yoke_error *tick_and_answer(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    yoke_nursery n;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, tick, stream);
    if (!e)
        e = yoke_spawn(&n, answer_on, stream);
    return yoke_stream_close(stream, yoke_nursery_close(&n, e));
}
static yoke_error *ticks(yoke_stream *stream, const yoke_type_none *args)
{
    yoke_error *e = NULL;
    for (uint32_t i = 0; !e; i++) {
        e = yoke_send(stream, &(note){TICK, i});
        if (!e)
            e = yoke_sleep(YOKE_MS(1));
    }
    ended.streaming++;
    return e;
}
static yoke_error *have_ended(const yoke_type_none *args, ends_of *result)
{
    *result = ended;
    return NULL;
}
YOKE_MODULE(ends, YOKE_CONTEXT_STREAM(far_side, side, none, word, note, note),
            YOKE_CONTEXT_STREAM(pour, flood, none, word, note, note),
            YOKE_CONTEXT_STREAM(serve_by_loop, none, none, u32, note, note),
            YOKE_CONTEXT_STREAM(serve_by_receives, none, none, u32, note, note),
            YOKE_CONTEXT_STREAM(tick_and_answer, none, none, none, note, note),
            YOKE_STREAM(ticks, none, note), YOKE_CALL(have_ended, none, ends_of))

/* ---- helpers ---- */

static yoke_error *result_is_yo(struct scene *s)
{
    word result;
    YOKE_TRY(yoke_context_result(s->ctx, &result));
    bool same = result.text && strcmp(result.text, "yo") == 0;
    word_free(&result);
    CHECK(same);
    return NULL;
}
static yoke_error *wait_long(void)
{
    return yoke_sleep(YOKE_S(100));
}

/* ---- overruns ---- */

struct matrix {
    bool parent_allows, child_allows, parent_slow, cancels;
};
static bool slow_allows(const struct matrix *m)
{
    return m->parent_slow ? m->parent_allows : m->child_allows;
}
static yoke_error *near_streams(struct scene *s)
{
    const struct matrix *m = s->arg;
    if (m->parent_slow) {
        YOKE_TRY(be_slow(s->ctx, MANY));
        return take_notes(s->stream, MANY);
    }
    YOKE_TRY(send_notes(s->stream, MANY));
    return slow_allows(m) ? NULL : wait_long(); /* for the error */
}
static yoke_error *near_side(struct scene *s)
{
    const struct matrix *m = s->arg;
    const yoke_stream_options options = {.allow_overruns = m->parent_allows};
    if (!m->cancels) {
        YOKE_TRY(with_stream(s, &options, near_streams));
        return result_is_yo(s);
    }
    YOKE_TRY(yoke_stream_open(s->ctx, &s->stream, &options));
    YOKE_TRY(near_streams(s));
    YOKE_TRY(yoke_context_cancel(s->ctx));
    const yoke_error *outcome = yoke_context_outcome(s->ctx);
    CHECK(yoke_error_is(outcome, &YOKE_CONTEXT_CANCELLED));
    CHECK(yoke_uid_equal(yoke_error_canceller(outcome), yoke_current_actor()));
    return NULL;
}
static yoke_error *one_case(struct scene *s, const struct matrix *m)
{
    yoke_error *e = with_context(s, "ends:far_side", &(side){m->child_allows, !m->parent_slow}, near_side);
    if (slow_allows(m))
        return e;
    /* The far side did not take it; or the near one did not, and the far task failed with that. */
    EXPECT_REMOTE(e, &YOKE_STREAM_OVERRUN,
                  m->parent_slow ? "messages of actor `worker` wait" : "messages of actor `root` wait");
    return NULL;
}
static yoke_error *every_case(struct scene *s)
{
    for (int i = 0; i < 16; i++) {
        struct matrix m = {i & 1, i & 2, i & 4, i & 8};
        s->arg = &m;
        yoke_error *e = one_case(s, &m);
        yoke_error_note(e, "case %d", i);
        YOKE_TRY(e);
    }
    return NULL;
}
static void test_ovr_06_the_matrix(void **state)
{
    assert_success(tree_with_child("ends", every_case, NULL));
}

static yoke_error *read_nothing(struct scene *s)
{
    yoke_error *e = wait_long(); /* interrupted by the far failure, though nothing is read */
    CHECK(s->ctx->inbox_count >= 64 && yoke_context_outcome(s->ctx));
    return e;
}
static yoke_error *till_the_result(struct scene *s)
{
    while (!s->ctx->has_result)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(s->ctx->inbox_count >= 64);
    return NULL;
}
static yoke_error *not_reading(struct scene *s)
{
    return with_stream(s, NULL, s->arg);
}
static yoke_error *behind_a_full_queue(struct scene *s)
{
    s->arg = read_nothing;
    EXPECT_REMOTE(with_context(s, "ends:pour", &(flood){64, true}, not_reading), &APP_K, "full queue");
    s->arg = till_the_result;
    return with_context(s, "ends:pour", &(flood){64, false}, not_reading);
}
static void test_ovr_09_the_end_is_not_stuck_behind_a_full_queue(void **state)
{
    assert_success(tree_with_child("ends", behind_a_full_queue, NULL));
}

/* ---- a context that ends under a receive ---- */

struct receiver {
    struct scene *s;
    yoke_error *met;
    bool has_met;
};
static yoke_error *receive_aside(void *arg)
{
    struct receiver *r = arg;
    note item;
    yoke_error *e;
    while (!(e = yoke_recv(r->s->stream, &item)))
        ;
    r->met = e;
    r->has_met = true;
    return NULL;
}
/* Opens a context, has a task outside of its scope receive in it, ends the context by `end`, and says what
 * that task met. */
static yoke_error *end_under_a_receive(struct scene *s, const char *endpoint, const void *args, scene_fn end,
                                       struct receiver *r)
{
    yoke_nursery n;
    *r = (struct receiver){.s = s};
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_context_open(s->portal, &s->ctx, endpoint, args, NULL);
    if (!e) {
        e = yoke_stream_open(s->ctx, &s->stream, NULL);
        if (!e)
            e = yoke_spawn(&n, receive_aside, r);
        if (!e)
            e = yoke_checkpoint();
        e = yoke_context_close(s->ctx, e ? e : end(s));
    }
    /* The task is left alone by its nursery: it ends by what the context came to. */
    yoke_error *waited = NULL;
    while (!waited && !r->has_met)
        waited = yoke_sleep(YOKE_MS(1));
    return yoke_nursery_close(&n, yoke_error_join(e, waited));
}
static yoke_error *just_end(struct scene *s)
{
    return NULL;
}
static yoke_error *cancel_it(struct scene *s)
{
    YOKE_TRY(yoke_context_cancel(s->ctx));
    return NULL;
}
static yoke_error *fail_it(struct scene *s)
{
    YOKE_TRY(yoke_send(s->stream, &(note){REQUEST, 0}));
    return wait_long();
}
static yoke_error *closed_under_receives(struct scene *s)
{
    struct receiver r;
    YOKE_TRY(end_under_a_receive(s, "ends:serve_by_loop", NULL, just_end, &r));
    CHECK(yoke_error_is(r.met, &YOKE_END_OF_CHANNEL) || yoke_error_is(r.met, &YOKE_CLOSED));
    yoke_error_free(r.met);
    YOKE_TRY(end_under_a_receive(s, "ends:serve_by_loop", NULL, cancel_it, &r));
    EXPECT(r.met, &YOKE_CONTEXT_CANCELLED, NULL);
    yoke_error *e = end_under_a_receive(s, "ends:pour", &(flood){0, true}, fail_it, &r);
    EXPECT_REMOTE(r.met, &APP_K, NULL);
    bool told = yoke_error_find(e, &APP_K) != NULL;
    yoke_error_free(e);
    CHECK(told);
    return NULL;
}
static void test_str_39_a_context_ends_under_a_receive(void **state)
{
    assert_success(tree_with_child("ends", closed_under_receives, NULL));
}

/* ---- kinds ---- */

static yoke_error *kinds_of_ends(struct scene *s)
{
    note item;
    yoke_portal *p = s->portal;
    YOKE_TRY(yoke_portal_stream_open(p, &s->stream, "ends:ticks", NULL, NULL));
    yoke_error *e = yoke_recv(s->stream, &item);
    kill(yoke_portal_pid(p), SIGKILL);
    while (!e)
        e = yoke_recv(s->stream, &item);
    bool lost = yoke_error_is(e, &YOKE_TRANSPORT_CLOSED);
    EXPECT(yoke_stream_close(s->stream, e), &YOKE_TRANSPORT_CLOSED, NULL);
    CHECK(lost);
    return NULL;
}
static yoke_error *meet(struct scene *s, const flood *args, const yoke_error_kind *kind)
{
    note item;
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:pour", args, NULL));
    yoke_error *e = yoke_stream_open(s->ctx, &s->stream, NULL);
    if (!e && !args->fails)
        e = yoke_recv(s->stream, &item);
    if (!e && args->fails)
        e = fail_it(s); /* till it is known */
    yoke_error_free(e);
    e = yoke_recv(s->stream, &item);
    bool right = yoke_error_kind_of(e) == kind;
    yoke_error_free(e);
    yoke_error_free(yoke_context_close(s->ctx, NULL));
    CHECK(right);
    return NULL;
}
static yoke_error *tell_apart(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    YOKE_TRY(meet(s, &(flood){1, false}, &YOKE_END_OF_CHANNEL));
    YOKE_TRY(meet(s, &(flood){0, true}, &YOKE_REMOTE));
    struct receiver r;
    YOKE_TRY(end_under_a_receive(s, "ends:serve_by_loop", NULL, cancel_it, &r));
    bool cancelled = yoke_error_kind_of(r.met) == &YOKE_CONTEXT_CANCELLED;
    yoke_error_free(r.met);
    CHECK(cancelled);
    return kinds_of_ends(s);
}
/* STR-09 (a stream closed on this side, YOKE_CLOSED: test_str_13_39) */
static void test_ends_are_told_apart_by_kind(void **state)
{
    assert_error_text(tree_with_actors(tell_apart, NULL), &YOKE_ACTOR_DIED, "SIGKILL");
}

/* ---- servers ---- */

static yoke_error *ask_by_loop(struct scene *s)
{
    note item;
    for (uint32_t i = 0; i < 3; i++)
        YOKE_TRY(yoke_send(s->stream, &(note){REQUEST, i}));
    uint32_t got = 0;
    yoke_error *e = NULL;
    while (got < 3 && !(e = yoke_recv(s->stream, &item)))
        CHECK(item.number == 2 * got++);
    return e;
}
static yoke_error *ask_by_receives(struct scene *s)
{
    note item;
    for (uint32_t i = 0; i < 3; i++) {
        YOKE_TRY(yoke_send(s->stream, &(note){REQUEST, i}));
        YOKE_TRY(yoke_recv(s->stream, &item));
        CHECK(item.number == 2 * i);
    }
    return NULL;
}
static yoke_error *ask_three(struct scene *s)
{
    uint32_t served;
    YOKE_TRY(with_stream(s, NULL, s->arg));
    YOKE_TRY(yoke_context_result(s->ctx, &served));
    CHECK(served == 3);
    return NULL;
}
static yoke_error *four_ways(struct scene *s)
{
    scene_fn ways[] = {ask_by_loop, ask_by_receives};
    for (int i = 0; i < 2; i++) {
        s->arg = ways[i];
        YOKE_TRY(with_context(s, "ends:serve_by_loop", NULL, ask_three));
        YOKE_TRY(with_context(s, "ends:serve_by_receives", NULL, ask_three));
    }
    return NULL;
}
static void test_str_21_loops_and_receives(void **state)
{
    assert_success(tree_with_child("ends", four_ways, NULL));
}

struct share {
    yoke_stream *stream;
    uint8_t *seen;
    uint32_t count;
};
static yoke_error *take_share(void *arg)
{
    struct share *share = arg;
    note item;
    yoke_error *e;
    while (!(e = yoke_recv(share->stream, &item))) {
        share->seen[item.number]++;
        share->count++;
        YOKE_TRY(yoke_checkpoint());
    }
    return yoke_end_is_fine(e);
}
static yoke_error *share_two(struct scene *s)
{
    uint8_t seen[MANY] = {0};
    struct share shares[2] = {{s->stream, seen, 0}, {s->stream, seen, 0}};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, take_share, &shares[0]);
    if (!e)
        e = yoke_spawn(&n, take_share, &shares[1]);
    YOKE_TRY(yoke_nursery_close(&n, e));
    for (int i = 0; i < MANY; i++)
        CHECK(seen[i] == 1);
    CHECK(shares[0].count + shares[1].count == MANY);
    return NULL;
}
static yoke_error *share_patiently(struct scene *s)
{
    return with_stream(s, &(yoke_stream_options){.allow_overruns = true}, share_two);
}
static yoke_error *two_receive(struct scene *s)
{
    return with_context(s, "ends:pour", &(flood){MANY, false}, share_patiently);
}
static void test_str_22_two_tasks_receive(void **state)
{
    assert_success(tree_with_child("ends", two_receive, NULL));
}

static yoke_error *tasks_have_ended(struct scene *s, uint32_t both, uint32_t streaming)
{
    ends_of seen;
    YOKE_TRY(yoke_call(s->portal, "ends:have_ended", NULL, &seen));
    CHECK(seen.ticking == both && seen.answering == both && seen.streaming == streaming);
    return NULL;
}
static yoke_error *ask_between_ticks(struct scene *s)
{
    uint32_t answers = 0, next_tick = 0;
    YOKE_TRY(yoke_send(s->stream, &(note){REQUEST, 0}));
    while (answers < 5 || next_tick < 10) {
        note item;
        YOKE_TRY(yoke_recv(s->stream, &item));
        if (item.what == TICK) {
            CHECK(item.number == next_tick++);
            continue;
        }
        CHECK(item.number == 2 * answers++);
        if (answers < 5)
            YOKE_TRY(yoke_send(s->stream, &(note){REQUEST, answers}));
    }
    return yoke_context_cancel(s->ctx);
}
static yoke_error *ask_in_stream(struct scene *s)
{
    return with_stream(s, &(yoke_stream_options){.allow_overruns = true}, ask_between_ticks);
}
static yoke_error *ask_while_it_streams(struct scene *s)
{
    YOKE_TRY(with_context(s, "ends:tick_and_answer", NULL, ask_in_stream));
    return tasks_have_ended(s, 1, 0);
}
static void test_str_29_requests_on_top_of_a_stream(void **state)
{
    assert_success(tree_with_child("ends", ask_while_it_streams, NULL));
}

/* ---- a stream and a one-way stream side by side ---- */

struct beside {
    struct scene *s;
    yoke_stream *one_way;
    bool both_run;
};
static yoke_error *read_one_way(void *arg)
{
    struct beside *b = arg;
    note item;
    YOKE_TRY(yoke_portal_stream_open(b->s->portal, &b->one_way, "ends:ticks", NULL,
                                     &(yoke_stream_options){.allow_overruns = true}));
    yoke_error *e;
    while (!(e = yoke_recv(b->one_way, &item)))
        b->both_run = true;
    return yoke_stream_close(b->one_way, e);
}
static yoke_error *read_both_ways(struct scene *s)
{
    struct beside *b = s->arg;
    for (;;) {
        note item;
        YOKE_TRY(yoke_recv(s->stream, &item));
        if (b->both_run && item.number == 20)
            kill(getpid(), SIGINT);
    }
}
static yoke_error *read_in_stream(struct scene *s)
{
    return with_stream(s, &(yoke_stream_options){.allow_overruns = true}, read_both_ways);
}
static yoke_error *side_by_side(struct scene *s)
{
    struct beside b = {.s = s};
    yoke_nursery n;
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, read_one_way, &b);
    while (!e && !b.both_run)
        e = yoke_sleep(YOKE_MS(1));
    s->arg = &b;
    if (!e)
        e = with_context(s, "ends:tick_and_answer", NULL, read_in_stream);
    return yoke_nursery_close(&n, e);
}
static yoke_error *side_by_side_app(void *arg)
{
    struct scene s = {0};
    return with_actors(&s, NULL, side_by_side);
}
static void test_str_30_ctrl_c_ends_both(void **state)
{
    char text[4096];
    assert_int_equal(tree_status(side_by_side_app, NULL, text, sizeof text), 130);
    assert_string_equal(text, "interrupted\n");
}

TREE_MAIN(TEST(test_ovr_06_the_matrix), TEST(test_ovr_09_the_end_is_not_stuck_behind_a_full_queue),
          TEST(test_str_39_a_context_ends_under_a_receive), TEST(test_ends_are_told_apart_by_kind),
          TEST(test_str_21_loops_and_receives), TEST(test_str_22_two_tasks_receive),
          TEST(test_str_29_requests_on_top_of_a_stream), TEST(test_str_30_ctrl_c_ends_both))
