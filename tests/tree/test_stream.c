/* Streams: order, ends, closing apart from cancelling, overruns, sizes. */
#include "tree.h"

#include <signal.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- endpoints ---- */

YOKE_RECORD(amount, (u32, count));
YOKE_RECORD(blob, (bytes, data));
YOKE_RECORD(word, (str, text));

enum { HANG, RETURN, FAIL };
/* What a `send` does: so many items, then it closes its stream and returns, fails, or hangs before or after
 * that. */
YOKE_RECORD(plan, (u32, count), (u8, then), (boolean, close_first));
YOKE_RECORD(where, (boolean, below));

static yoke_error *wait_long(void)
{
    return yoke_sleep(YOKE_S(100));
}

static yoke_error *end_as(uint8_t then)
{
    if (then == FAIL)
        return yoke_raise(&APP_K, "the sender failed");
    return then == HANG ? wait_long() : NULL;
}

static yoke_error *echo(yoke_context *ctx, const yoke_type_none *args, amount *result)
{
    yoke_stream *stream;
    amount item;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.allow_overruns = true}));
    yoke_error *e;
    while (!(e = yoke_recv(stream, &item))) {
        result->count++;
        e = yoke_send(stream, &item);
        if (e)
            break;
    }
    return yoke_stream_close(stream, yoke_end_is_fine(e));
}

static yoke_error *send_planned(yoke_stream *stream, const plan *args)
{
    for (uint32_t i = 0; i < args->count; i++)
        YOKE_TRY(yoke_send(stream, &(amount){i}));
    return args->close_first ? NULL : end_as(args->then);
}
static yoke_error *send(yoke_context *ctx, const plan *args, word *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_stream_close(stream, send_planned(stream, args)));
    if (args->close_first)
        YOKE_TRY(end_as(args->then));
    result->text = strdup("yo");
    return NULL;
}

/* Counts what comes till the end. */
static yoke_error *count_all(yoke_context *ctx, const yoke_type_none *args, amount *result)
{
    yoke_stream *stream;
    amount item;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e;
    while (!(e = yoke_recv(stream, &item)))
        result->count++;
    return yoke_stream_close(stream, yoke_end_is_fine(e));
}

/* Takes the end of the stream for an error: by itself, or by a task below it. */
static yoke_error *read_on(void *stream)
{
    amount item;
    for (;;)
        YOKE_TRY(yoke_recv(stream, &item));
}
static yoke_error *read_below(yoke_stream *stream)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return yoke_nursery_close(&n, yoke_spawn(&n, read_on, stream));
}
static yoke_error *want_more(yoke_context *ctx, const where *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, args->below ? read_below(stream) : read_on(stream));
}

/* Opens no stream at all. */
static uint32_t ignored;

static yoke_error *ignore(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = wait_long();
    ignored += yoke_error_is_cancelled(e);
    return e;
}
static yoke_error *count_ignored(const yoke_type_none *args, yoke_type_u32 *result)
{
    *result = ignored;
    return NULL;
}

/* Reads nothing for a time, and then all. */
static yoke_error *read_late(yoke_context *ctx, const plan *args, amount *result)
{
    yoke_stream *stream;
    amount item;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.allow_overruns = args->then}));
    yoke_error *e = yoke_sleep(YOKE_MS(100));
    while (!e && !(e = yoke_recv(stream, &item)))
        result->count++;
    return yoke_stream_close(stream, yoke_end_is_fine(e));
}

static yoke_error *echo_blobs(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    blob item;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.allow_overruns = true}));
    yoke_error *e;
    while (!(e = yoke_recv(stream, &item))) {
        e = yoke_send(stream, &item);
        blob_free(&item);
        if (e)
            break;
    }
    return yoke_stream_close(stream, yoke_end_is_fine(e));
}

/* Its stream carries any value; the openers below have another idea of what it is. */
static yoke_error *send_any(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    static uint8_t bytes[] = {0xc0};
    yoke_error *e = yoke_send(stream, &(yoke_value){bytes, 1});
    if (!e)
        e = yoke_send(stream, &(yoke_value){NULL, 0});
    return yoke_stream_close(stream, e);
}

YOKE_MODULE(ends, YOKE_CALL(count_ignored, none, u32),
            YOKE_CONTEXT_STREAM(echo, none, none, amount, amount, amount),
            YOKE_CONTEXT_STREAM(send, plan, none, word, amount, amount),
            YOKE_CONTEXT_STREAM(count_all, none, none, amount, amount, none),
            YOKE_CONTEXT_STREAM(want_more, where, none, none, amount, none),
            YOKE_CONTEXT_STREAM(ignore, none, none, none, amount, none),
            YOKE_CONTEXT_STREAM(read_late, plan, none, amount, amount, none),
            YOKE_CONTEXT_STREAM(echo_blobs, none, none, none, blob, blob),
            YOKE_CONTEXT(send_any, none, none, none));

/* ---- helpers ---- */

/* In a context of `endpoint`, in a stream; and the result's count or text is given to `s->arg` by the body.
 */
struct streaming {
    const yoke_stream_options *options;
    scene_fn body, after;
};
static yoke_error *open_stream(struct scene *s)
{
    const struct streaming *t = s->arg;
    YOKE_TRY(with_stream(s, t->options, t->body));
    return t->after ? t->after(s) : NULL;
}
/* `after` runs in the context when the stream is closed. */
static yoke_error *streamed(struct scene *s, const char *endpoint, const void *args, scene_fn body,
                            scene_fn after)
{
    struct streaming t = {NULL, body, after};
    void *arg = s->arg;
    s->arg = &t;
    yoke_error *e = with_context(s, endpoint, args, open_stream);
    s->arg = arg;
    return e;
}

static yoke_error *receive_run(struct scene *s, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        amount item;
        YOKE_TRY(yoke_recv(s->stream, &item));
        CHECK(item.count == i);
    }
    return NULL;
}
static yoke_error *receive_end(struct scene *s)
{
    amount item;
    for (int i = 0; i < 2; i++) {
        int64_t begin = yoke_now();
        EXPECT(yoke_recv(s->stream, &item), &YOKE_END_OF_CHANNEL, NULL);
        CHECK(i == 0 || tree_ms_since(begin) < 20);
    }
    return NULL;
}
static yoke_error *send_run(struct scene *s, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        YOKE_TRY(yoke_send(s->stream, &(amount){i}));
    return NULL;
}
static yoke_error *count_is(struct scene *s, uint32_t count)
{
    amount result;
    YOKE_TRY(yoke_context_result(s->ctx, &result));
    CHECK(result.count == count);
    return NULL;
}
static yoke_error *result_is_yo(struct scene *s)
{
    word result;
    YOKE_TRY(yoke_context_result(s->ctx, &result));
    bool same = result.text && strcmp(result.text, "yo") == 0;
    word_free(&result);
    CHECK(same);
    return NULL;
}

/* ---- order and ends ---- */

static yoke_error *ping_pong(struct scene *s)
{
    for (uint32_t i = 0; i < 1000; i++) {
        YOKE_TRY(send_run(s, i, i + 1));
        YOKE_TRY(receive_run(s, i, i + 1));
    }
    return NULL;
}
static yoke_error *thousand(struct scene *s)
{
    return count_is(s, 1000);
}
static yoke_error *play(struct scene *s)
{
    return streamed(s, "ends:echo", NULL, ping_pong, thousand);
}
/* STR-01, STR-02, STR-20 */
static void test_str_01_02_20_ping_pong_till_the_parent_closes(void **state)
{
    assert_success(tree_with_child("ends", play, NULL));
}

static yoke_error *receive_late(struct scene *s)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(30)));
    YOKE_TRY(receive_run(s, 0, 60));
    YOKE_TRY(receive_end(s));
    EXPECT(yoke_send(s->stream, &(amount){1}), &YOKE_END_OF_CHANNEL, NULL); /* STR-14 */
    return NULL;
}
static yoke_error *gather(struct scene *s)
{
    YOKE_TRY(streamed(s, "ends:send", &(plan){60, RETURN, false}, receive_late, result_is_yo));
    return streamed(s, "ends:send", &(plan){60, RETURN, true}, receive_late, result_is_yo);
}
static void test_str_07_08_10_14_the_end_comes_after_what_was_sent(void **state)
{
    assert_success(tree_with_child("ends", gather, NULL));
}

static yoke_error *send_first(struct scene *s)
{
    yoke_error *e = send_run(s, 0, 1); /* it may cross with the far close */
    if (e)
        EXPECT(e, &YOKE_END_OF_CHANNEL, NULL);
    return receive_end(s);
}
static yoke_error *far_closes_at_once(struct scene *s)
{
    int64_t begin = yoke_now();
    YOKE_TRY(streamed(s, "ends:send", &(plan){0, RETURN, true}, receive_end, NULL));
    YOKE_TRY(streamed(s, "ends:send", &(plan){0, RETURN, true}, send_first, NULL));
    CHECK(tree_ms_since(begin) < 300 * TREE_SLOW);
    return NULL;
}
static void test_str_19_child_closes_at_once(void **state)
{
    assert_success(tree_with_child("ends", far_closes_at_once, NULL));
}

static yoke_error *nothing(struct scene *s)
{
    return NULL;
}
static yoke_error *close_both_kinds(struct scene *s)
{
    YOKE_TRY(with_context(s, "ends:count_all", NULL, nothing));
    /* One that takes the end for an error has failed. */
    EXPECT(with_context(s, "ends:want_more", &(where){false}, nothing), &YOKE_REMOTE, NULL);
    return NULL;
}
static yoke_error *never_open(struct scene *s)
{
    yoke_scope hangs;
    YOKE_TRY(yoke_fail_after(&hangs, YOKE_S(10) * TREE_SLOW));
    return yoke_scope_close(&hangs, close_both_kinds(s));
}
static void test_str_20_the_far_loop_ends_without_a_stream_here(void **state)
{
    assert_success(tree_with_child("ends", never_open, NULL));
}

static yoke_error *leave_early(struct scene *s)
{
    return receive_run(s, 0, 3);
}
static yoke_error *half_close(struct scene *s)
{
    return streamed(s, "ends:send", &(plan){2000, RETURN, false}, leave_early, result_is_yo);
}
static void test_str_18_half_close(void **state)
{
    assert_success(tree_with_child("ends", half_close, NULL));
}

static yoke_error *open_again(struct scene *s)
{
    yoke_stream *stream;
    EXPECT(yoke_stream_open(s->ctx, &stream, NULL), &YOKE_CLOSED, NULL);
    return NULL;
}
static yoke_error *open_inside(struct scene *s)
{
    yoke_stream *stream;
    EXPECT(yoke_stream_open(s->ctx, &stream, NULL), &YOKE_USAGE, "has one");
    return NULL;
}
static yoke_error *reopen(struct scene *s)
{
    return streamed(s, "ends:echo", NULL, open_inside, open_again);
}
static void test_str_16_a_stream_is_opened_once(void **state)
{
    assert_success(tree_with_child("ends", reopen, NULL));
}

static yoke_error *fails_after_stop(struct scene *s)
{
    amount item;
    YOKE_TRY(yoke_sleep(YOKE_MS(50)));
    return yoke_recv(s->stream, &item);
}
static yoke_error *stop_and_fail(struct scene *s)
{
    EXPECT_REMOTE(streamed(s, "ends:send", &(plan){0, FAIL, true}, fails_after_stop, NULL), &APP_K, "failed");
    return NULL;
}
static void test_str_17_remote_error_wins_over_the_end(void **state)
{
    assert_success(tree_with_child("ends", stop_and_fail, NULL));
}

static yoke_error *send_to_the_failed(struct scene *s)
{
    yoke_error *e = NULL;
    for (int i = 0; i < 1000 && !e; i++) {
        e = yoke_send(s->stream, &(amount){1});
        if (!e)
            e = yoke_sleep(YOKE_MS(1));
    }
    /* The body's scope is cancelled as well; whichever it was, the next send says what happened. */
    yoke_error_free(e);
    EXPECT_REMOTE(yoke_send(s->stream, &(amount){1}), &APP_K, "failed");
    return NULL;
}
static yoke_error *far_fails(struct scene *s)
{
    EXPECT_REMOTE(streamed(s, "ends:send", &(plan){0, FAIL, false}, send_to_the_failed, NULL), &APP_K,
                  "failed");
    return NULL;
}
static void test_str_15_send_tells_the_remote_error(void **state)
{
    assert_success(tree_with_child("ends", far_fails, NULL));
}

/* ---- closing and cancelling are two things ---- */

static yoke_error *close_in_cancelled_scope(struct scene *s)
{
    yoke_scope over;
    YOKE_TRY(yoke_stream_open(s->ctx, &s->stream, NULL));
    yoke_error *e = send_run(s, 0, 10);
    YOKE_TRY(yoke_scope_open(&over));
    yoke_scope_cancel(&over, NULL);
    e = yoke_stream_close(s->stream, e);
    bool silent = e == NULL;
    YOKE_TRY(yoke_scope_close(&over, e));
    CHECK(silent);
    return count_is(s, 10); /* the far loop ended well */
}
static yoke_error *cancelled_close(struct scene *s)
{
    return with_context(s, "ends:count_all", NULL, close_in_cancelled_scope);
}

/* The body is cancelled, or fails, and closes its stream on the way: that the far task, which hears of the
 * end before it is cancelled, fails of that is no news. */
struct way_out {
    where far;
    yoke_scope *scope; /* that is cancelled; NULL: the body fails */
};
static yoke_error *leave_stream(struct scene *s)
{
    const struct way_out *w = s->arg;
    YOKE_TRY(send_run(s, 0, 3));
    if (!w->scope)
        return yoke_raise(&APP_K, "the body's own");
    yoke_scope_cancel(w->scope, NULL);
    return yoke_checkpoint();
}
static yoke_error *leave_and_let_it_fail(struct scene *s)
{
    yoke_scope shield;
    yoke_error *e = with_stream(s, NULL, leave_stream);
    CHECK(!yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    while (!yoke_context_has_ended(s->ctx))
        yoke_error_free(yoke_sleep(YOKE_MS(1)));
    return yoke_scope_close(&shield, e);
}
static yoke_error *let_go_each_way(struct scene *s)
{
    for (int below = 0; below < 2; below++) {
        yoke_scope scope;
        struct way_out w = {{below}, &scope};
        s->arg = &w;
        YOKE_TRY(yoke_scope_open(&scope));
        YOKE_TRY(yoke_scope_close(&scope, with_context(s, "ends:want_more", &w.far, leave_and_let_it_fail)));
        CHECK(yoke_scope_cancelled_caught(&scope));
        w.scope = NULL;
        yoke_error *e = with_context(s, "ends:want_more", &w.far, leave_and_let_it_fail);
        char *text = yoke_error_text(e);
        bool noted = !text || strstr(text, "failed too");
        free(text);
        EXPECT(e, &APP_K, "the body's own");
        CHECK(!noted);
    }
    return NULL;
}
static void test_end_of_a_stream_that_was_left_is_no_failure(void **state)
{
    assert_success(tree_with_child("ends", let_go_each_way, NULL));
}

static void test_str_03_04_close_tells_the_peer_in_a_cancelled_scope(void **state)
{
    assert_success(tree_with_child("ends", cancelled_close, NULL));
}

static yoke_error *receive_with_timeouts(struct scene *s)
{
    for (uint32_t i = 0; i < 10; i++) {
        yoke_scope hurry;
        amount item;
        YOKE_TRY(yoke_move_on_after(&hurry, YOKE_MS(5)));
        YOKE_TRY(yoke_scope_close(&hurry, yoke_recv(s->stream, &item)));
        CHECK(yoke_scope_cancelled_caught(&hurry));
        YOKE_TRY(send_run(s, i, i + 1));
        YOKE_TRY(receive_run(s, i, i + 1));
    }
    return NULL;
}
static yoke_error *ten(struct scene *s)
{
    return count_is(s, 10);
}
static yoke_error *time_out(struct scene *s)
{
    return streamed(s, "ends:echo", NULL, receive_with_timeouts, ten);
}
static void test_str_05_cancellation_closes_nothing(void **state)
{
    assert_success(tree_with_child("ends", time_out, NULL));
}

struct reader {
    struct scene *s;
    yoke_nursery *n;
    uint32_t *seen, *count;
};
static yoke_error *read_till_cancelled(void *arg)
{
    struct reader *r = arg;
    for (;;) {
        amount item;
        YOKE_TRY(yoke_recv(r->s->stream, &item));
        r->seen[item.count]++;
        ++*r->count;
    }
}
enum { READ_OVER = 500 };
static yoke_error *read_by_ten(struct scene *s)
{
    uint32_t seen[READ_OVER] = {0}, count = 0, sent = 0;
    for (int i = 0; i < 10; i++) {
        yoke_nursery n;
        struct reader r = {s, &n, seen, &count};
        YOKE_TRY(yoke_nursery_open(&n));
        yoke_error *e = yoke_spawn(&n, read_till_cancelled, &r);
        for (int k = 0; k < 50 && !e; k++)
            e = send_run(s, sent, sent + 1), sent++;
        if (!e)
            e = yoke_sleep(YOKE_US(200));
        yoke_nursery_cancel(&n, NULL); /* in the middle of what comes */
        YOKE_TRY(yoke_nursery_close(&n, e));
    }
    while (count < READ_OVER) {
        amount item;
        YOKE_TRY(yoke_recv(s->stream, &item));
        seen[item.count]++;
        count++;
    }
    for (int i = 0; i < READ_OVER; i++)
        CHECK(seen[i] == 1);
    return NULL;
}
static yoke_error *changing_readers(struct scene *s)
{
    struct streaming t = {&(yoke_stream_options){.allow_overruns = true}, read_by_ten, NULL};
    s->arg = &t;
    return with_context(s, "ends:echo", NULL, open_stream);
}
static void test_str_06_readers_come_and_go(void **state)
{
    assert_success(tree_with_child("ends", changing_readers, NULL));
}

static yoke_error *receive_aside(void *arg)
{
    struct scene *s = arg;
    amount item;
    s->arg = NULL;
    yoke_error *e = yoke_recv(s->stream, &item);
    s->arg = s;
    EXPECT(e, &YOKE_CLOSED, NULL);
    return NULL;
}
static yoke_error *close_under_a_reader(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_stream_open(s->ctx, &s->stream, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, receive_aside, s);
    if (!e)
        e = yoke_sleep(YOKE_MS(10));
    e = yoke_stream_close(s->stream, e);
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(s->arg == s);
    return count_is(s, 0);
}
static yoke_error *closed_aside(struct scene *s)
{
    return with_context(s, "ends:echo", NULL, close_under_a_reader);
}
static void test_str_13_39_close_wakes_a_reader(void **state)
{
    assert_success(tree_with_child("ends", closed_aside, NULL));
}

static yoke_error *receive_from_the_dead(struct scene *s)
{
    amount item;
    YOKE_TRY(receive_run(s, 0, 3));
    kill(yoke_portal_pid(s->portal), SIGKILL);
    return yoke_recv(s->stream, &item);
}
static yoke_error *kill_under_stream(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    EXPECT(streamed(s, "ends:send", &(plan){3, HANG, false}, receive_from_the_dead, NULL),
           &YOKE_TRANSPORT_CLOSED, "worker");
    return NULL;
}
static void test_str_11_the_far_process_dies(void **state)
{
    assert_error_text(tree_with_actors(kill_under_stream, NULL), &YOKE_ACTOR_DIED, "SIGKILL");
}

enum { NEVER, BEFORE_THE_STREAM, IN_THE_STREAM, AFTER_THE_STREAM, WHENS };
struct leaving {
    bool far_sends, waits;
    int when;
};
static yoke_error *leave_in_stream(struct scene *s)
{
    const struct leaving *l = s->arg;
    if (l->waits) {
        yoke_scope hurry;
        amount item;
        YOKE_TRY(yoke_move_on_after(&hurry, l->far_sends ? YOKE_S(10) : YOKE_MS(20)));
        YOKE_TRY(yoke_scope_close(&hurry, yoke_recv(s->stream, &item)));
        CHECK(yoke_scope_cancelled_caught(&hurry) == !l->far_sends);
    }
    return l->when == IN_THE_STREAM ? yoke_context_cancel(s->ctx) : NULL;
}
static yoke_error *leave_uncancelled(struct scene *s)
{
    yoke_scope hurry;
    YOKE_TRY(yoke_move_on_after(&hurry, YOKE_MS(200)));
    YOKE_TRY(yoke_scope_close(&hurry, yoke_context_result(s->ctx, NULL)));
    CHECK(yoke_scope_cancelled_caught(&hurry));
    return yoke_context_cancel(s->ctx);
}
static yoke_error *leave(struct scene *s)
{
    const struct leaving *l = s->arg;
    yoke_stream *late;
    if (l->when == BEFORE_THE_STREAM)
        YOKE_TRY(yoke_context_cancel(s->ctx));
    else
        YOKE_TRY(with_stream(s, NULL, leave_in_stream));
    if (l->when == AFTER_THE_STREAM)
        YOKE_TRY(yoke_context_cancel(s->ctx));
    if (l->when == NEVER)
        YOKE_TRY(leave_uncancelled(s));
    CHECK(yoke_uid_equal(yoke_context_canceller(s->ctx), yoke_current_actor()));
    CHECK(yoke_context_cancel_acked(s->ctx) && yoke_portal_is_connected(s->portal));
    EXPECT(yoke_stream_open(s->ctx, &late, NULL), &YOKE_CONTEXT_CANCELLED, NULL);
    return NULL;
}
static yoke_error *leave_each_way(struct scene *s)
{
    for (int i = 0; i < 4 * WHENS; i++) {
        struct leaving l = {i & 1, i & 2, i / 4};
        s->arg = &l;
        YOKE_TRY(with_context(s, "ends:send", &(plan){l.far_sends, HANG, false}, leave));
    }
    return NULL;
}
static void test_ctx_49_matrix_of_leaving_a_streaming_child(void **state)
{
    assert_success(tree_with_child("ends", leave_each_way, NULL));
}

/* ---- types ---- */

static yoke_error *receive_nils(struct scene *s)
{
    for (int i = 0; i < 2; i++) {
        yoke_value item;
        YOKE_TRY(yoke_recv(s->stream, &item));
        bool nil = item.size == 0 || (item.size == 1 && item.data[0] == 0xc0);
        yoke_value_free(&item);
        CHECK(nil);
    }
    return receive_end(s);
}
static yoke_error *nils(struct scene *s)
{
    return streamed(s, "ends:send_any", NULL, receive_nils, NULL);
}
static void test_str_33_nil_is_a_message(void **state)
{
    assert_success(tree_with_child("ends", nils, NULL));
}

/* ---- several tasks, sizes ---- */

enum { SENDERS = 100, EACH = 10 };
static yoke_error *send_block(void *arg)
{
    struct reader *r = arg;
    uint32_t block = (*r->count)++;
    for (uint32_t i = 0; i < EACH; i++) {
        YOKE_TRY(send_run(r->s, block * EACH + i, block * EACH + i + 1));
        YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}
static yoke_error *send_from_many(struct scene *s)
{
    uint32_t next[SENDERS] = {0}, block = 0;
    struct reader r = {.s = s, .count = &block};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < SENDERS && !e; i++)
        e = yoke_spawn(&n, send_block, &r);
    bool ordered = true;
    for (int i = 0; i < SENDERS * EACH && !e; i++) {
        amount item;
        e = yoke_recv(s->stream, &item);
        ordered &= !e && item.count % EACH == next[item.count / EACH]++;
    }
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(ordered);
    return NULL;
}
static yoke_error *many_senders(struct scene *s)
{
    struct streaming t = {&(yoke_stream_options){.allow_overruns = true}, send_from_many, NULL};
    s->arg = &t;
    return with_context(s, "ends:echo", NULL, open_stream);
}
static void test_str_28_many_tasks_send(void **state)
{
    assert_success(tree_with_child("ends", many_senders, NULL));
}

static yoke_error *send_five_thousand(struct scene *s)
{
    return send_run(s, 0, 5000);
}
static yoke_error *receive_five_thousand(struct scene *s)
{
    YOKE_TRY(receive_run(s, 0, 5000));
    return receive_end(s);
}
static yoke_error *five_thousand(struct scene *s)
{
    return count_is(s, 5000);
}
static yoke_error *burst(struct scene *s)
{
    YOKE_TRY(streamed(s, "ends:send", &(plan){5000, RETURN, true}, receive_five_thousand, result_is_yo));
    /* The result would drop what is still under way to this side, not what is under way to the other. */
    return streamed(s, "ends:count_all", NULL, send_five_thousand, five_thousand);
}
static void test_a_burst_overruns_no_reader_that_keeps_up(void **state)
{
    assert_success(tree_with_child("ends", burst, NULL));
}

static yoke_error *check_blob(struct scene *s, const blob *sent)
{
    blob back;
    YOKE_TRY(yoke_recv(s->stream, &back));
    bool same = tree_same_bytes(back.data.data, back.data.size, sent->data.data, sent->data.size);
    blob_free(&back);
    CHECK(same);
    return NULL;
}
static yoke_error *send_blob_aside(void *arg)
{
    struct scene *s = arg;
    return yoke_send(s->stream, s->arg);
}
static yoke_error *exchange_blob(struct scene *s, size_t size)
{
    blob sent = {{calloc(size, 1), size}};
    yoke_nursery n;
    memset((uint8_t *)sent.data.data, 0xa5, size / 2);
    s->arg = &sent;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 2 && !e; i++) /* so that both directions are full at once */
        e = yoke_spawn(&n, send_blob_aside, s);
    for (int i = 0; i < 2 && !e; i++)
        e = check_blob(s, &sent);
    e = yoke_nursery_close(&n, e);
    free((void *)sent.data.data);
    return e;
}
static yoke_error *exchange_blobs(struct scene *s)
{
    YOKE_TRY(exchange_blob(s, 0));
    YOKE_TRY(exchange_blob(s, 1));
    YOKE_TRY(exchange_blob(s, 1 << 16));
    YOKE_TRY(exchange_blob(s, 1 << 20));
    YOKE_TRY(exchange_blob(s, 63 << 20));
    blob large = {{calloc(64 << 20, 1), 64 << 20}};
    yoke_error *e = yoke_send(s->stream, &large);
    free((void *)large.data.data);
    EXPECT(e, &YOKE_TOO_LARGE, NULL);
    return exchange_blob(s, 1);
}
static yoke_error *blobs(struct scene *s)
{
    return streamed(s, "ends:echo_blobs", NULL, exchange_blobs, NULL);
}
/* STR-31, STR-32 */
static void test_str_31_32_sizes(void **state)
{
    assert_success(tree_with_child("ends", blobs, NULL));
}

static yoke_error *send_megabyte(struct scene *s)
{
    blob item = {{calloc(1 << 20, 1), 1 << 20}};
    yoke_error *e = yoke_send(s->stream, &item);
    free((void *)item.data.data);
    return e;
}
static yoke_error *send_against_the_stopped(struct scene *s)
{
    yoke_scope hurry;
    int sent = 0;
    kill(yoke_portal_pid(s->portal), SIGSTOP);
    YOKE_TRY(yoke_move_on_after(&hurry, YOKE_MS(100)));
    yoke_error *e = NULL;
    while (!e && sent < 50 && !(e = send_megabyte(s)))
        sent++;
    YOKE_TRY(yoke_scope_close(&hurry, e));
    kill(yoke_portal_pid(s->portal), SIGCONT);
    CHECK(yoke_scope_cancelled_caught(&hurry) && sent >= 1 && sent < 50);
    for (int i = 0; i < sent; i++) {
        blob back;
        YOKE_TRY(yoke_recv(s->stream, &back));
        bool whole = back.data.size == 1 << 20;
        blob_free(&back);
        CHECK(whole);
    }
    return exchange_blob(s, 5);
}
static yoke_error *backpressure(struct scene *s)
{
    return streamed(s, "ends:echo_blobs", NULL, send_against_the_stopped, NULL);
}
static void test_str_34_a_peer_that_does_not_read(void **state)
{
    assert_success(tree_with_child("ends", backpressure, NULL));
}

/* ---- overruns ---- */

static yoke_error *send_beyond(struct scene *s)
{
    YOKE_TRY(send_run(s, 0, 65));
    return wait_long();
}
static yoke_error *overrun_ignorant(struct scene *s)
{
    EXPECT_REMOTE(streamed(s, "ends:ignore", NULL, send_beyond, NULL), &YOKE_STREAM_OVERRUN,
                  "no stream was opened");
    /* The error was no end of the far task: it had to be cancelled. */
    uint32_t count;
    YOKE_TRY(yoke_call(s->portal, "ends:count_ignored", NULL, &count));
    CHECK(count == 1);
    return NULL;
}
static void test_ovr_02_child_without_a_stream(void **state)
{
    assert_success(tree_with_child("ends", overrun_ignorant, NULL));
}

static yoke_error *open_none(struct scene *s)
{
    return wait_long();
}
static yoke_error *overrun_here(struct scene *s)
{
    yoke_error *e = with_context(s, "ends:send", &(plan){5000, HANG, false}, open_none);
    EXPECT_REMOTE(e, &YOKE_STREAM_OVERRUN, "no stream was opened");
    return NULL;
}
static void test_ovr_03_parent_without_a_stream(void **state)
{
    assert_success(tree_with_child("ends", overrun_here, NULL));
}

static yoke_error *send_exactly(struct scene *s)
{
    YOKE_TRY(send_run(s, 0, 64));
    return yoke_sleep(YOKE_MS(50));
}
static yoke_error *sixty_four(struct scene *s)
{
    return count_is(s, 64);
}
static yoke_error *fill(struct scene *s)
{
    return streamed(s, "ends:read_late", &(plan){0}, send_exactly, sixty_four);
}
static void test_ovr_04_exactly_the_buffer(void **state)
{
    assert_success(tree_with_child("ends", fill, NULL));
}

static yoke_error *send_thousand(struct scene *s)
{
    YOKE_TRY(send_run(s, 0, 1000));
    return yoke_sleep(YOKE_MS(50));
}
static yoke_error *slow_child(struct scene *s)
{
    YOKE_TRY(streamed(s, "ends:read_late", &(plan){.then = true}, send_thousand, thousand));
    EXPECT_REMOTE(streamed(s, "ends:read_late", &(plan){.then = false}, send_thousand, thousand),
                  &YOKE_STREAM_OVERRUN, "too slow");
    return NULL;
}
static yoke_error *receive_slowly(struct scene *s)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(100)));
    return receive_run(s, 0, 1000);
}
static yoke_error *slow_parent(struct scene *s)
{
    struct streaming t = {&(yoke_stream_options){.allow_overruns = true}, receive_slowly, result_is_yo};
    s->arg = &t;
    plan args = {1000, RETURN, true};
    YOKE_TRY(with_context(s, "ends:send", &args, open_stream));
    t.options = NULL;
    /* The far side fails with it, or had returned before it could be told: then it is found here. */
    yoke_error *e = with_context(s, "ends:send", &args, open_stream);
    bool told = yoke_error_find(e, &YOKE_STREAM_OVERRUN) != NULL;
    yoke_error_free(e);
    CHECK(told);
    return NULL;
}
static yoke_error *both_slow(struct scene *s)
{
    YOKE_TRY(slow_child(s));
    return slow_parent(s);
}
static void test_ovr_05_overruns_where_they_are_allowed(void **state)
{
    assert_success(tree_with_child("ends", both_slow, NULL));
}

/* A reader that reads on is given its time, in whatever order tasks run. */
static yoke_error *read_thousands(struct scene *s)
{
    return receive_run(s, 0, 5000);
}
static yoke_error *flood(struct scene *s)
{
    return streamed(s, "ends:send", &(plan){5000, RETURN, false}, read_thousands, result_is_yo);
}
static void test_a_random_order_makes_no_slow_reader(void **state)
{
    const char *given = getenv("YOKE_SEED");
    char *kept = given ? strdup(given) : NULL;
    for (int seed = 1; seed <= 5; seed++) {
        setenv("YOKE_SEED", (char[]){(char)('0' + seed), '\0'}, 1);
        assert_success(tree_with_child("ends", flood, NULL));
    }
    unsetenv("YOKE_SEED");
    if (kept)
        setenv("YOKE_SEED", kept, 1);
    free(kept);
}

static yoke_error *cancel_overrun(struct scene *s)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    return yoke_context_cancel(s->ctx);
}
static yoke_error *overrun_and_cancel(struct scene *s)
{
    /* The far side hangs after its 64 messages; more would have failed before the cancel. */
    return with_context(s, "ends:send", &(plan){64, HANG, false}, cancel_overrun);
}
static void test_a_full_queue_does_not_hold_up_a_cancel(void **state)
{
    assert_success(tree_with_child("ends", overrun_and_cancel, NULL));
}

/* ---- misuse ---- */

static yoke_error *use_null_handles(struct scene *s)
{
    yoke_stream *stream;
    yoke_stream_subscriber reader;
    amount item;
    EXPECT(yoke_context_started(NULL, NULL), &YOKE_USAGE, "yoke_context_started: no context");
    EXPECT(yoke_context_result(NULL, NULL), &YOKE_USAGE, "yoke_context_result: no context");
    EXPECT(yoke_context_cancel(NULL), &YOKE_USAGE, "yoke_context_cancel: no context");
    EXPECT(yoke_stream_open(NULL, &stream, NULL), &YOKE_USAGE, "yoke_stream_open: no context");
    CHECK(!stream);
    EXPECT(yoke_send(NULL, &item), &YOKE_USAGE, "yoke_send: no stream");
    EXPECT(yoke_recv(NULL, &item), &YOKE_USAGE, "yoke_recv: no stream");
    EXPECT(yoke_recv_nowait(NULL, &item), &YOKE_USAGE, "yoke_recv_nowait: no stream");
    EXPECT(yoke_stream_subscribe(NULL, &reader, NULL), &YOKE_USAGE, "yoke_stream_subscribe: no stream");
    return yoke_context_close(NULL, yoke_stream_close(NULL, NULL));
}
static void test_null_handles(void **state)
{
    assert_success(tree_with_child("ends", use_null_handles, NULL));
}

TREE_MAIN(TEST(test_str_01_02_20_ping_pong_till_the_parent_closes),
          TEST(test_str_07_08_10_14_the_end_comes_after_what_was_sent),
          TEST(test_str_19_child_closes_at_once), TEST(test_str_20_the_far_loop_ends_without_a_stream_here),
          TEST(test_str_18_half_close), TEST(test_str_16_a_stream_is_opened_once),
          TEST(test_str_17_remote_error_wins_over_the_end), TEST(test_str_15_send_tells_the_remote_error),
          TEST(test_str_03_04_close_tells_the_peer_in_a_cancelled_scope),
          TEST(test_end_of_a_stream_that_was_left_is_no_failure),
          TEST(test_a_random_order_makes_no_slow_reader), TEST(test_str_05_cancellation_closes_nothing),
          TEST(test_str_06_readers_come_and_go), TEST(test_str_13_39_close_wakes_a_reader),
          TEST(test_str_11_the_far_process_dies), TEST(test_ctx_49_matrix_of_leaving_a_streaming_child),
          TEST(test_str_33_nil_is_a_message), TEST(test_str_28_many_tasks_send),
          TEST(test_a_burst_overruns_no_reader_that_keeps_up), TEST(test_str_31_32_sizes),
          TEST(test_str_34_a_peer_that_does_not_read), TEST(test_ovr_02_child_without_a_stream),
          TEST(test_ovr_03_parent_without_a_stream), TEST(test_ovr_04_exactly_the_buffer),
          TEST(test_ovr_05_overruns_where_they_are_allowed),
          TEST(test_a_full_queue_does_not_hold_up_a_cancel), TEST(test_null_handles))
