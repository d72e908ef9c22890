/*
 * Streams against a far side that is played by the test: what is said, what is kept, and what a message does
 * that comes at a certain moment.
 */
#include "raw_peer.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- endpoints ---- */

/* Known here so that it can be opened; the test plays it. */
static yoke_error *take(yoke_context *ctx, const yoke_type_none *args, yoke_type_u32 *result)
{
    return yoke_context_started(ctx, NULL);
}
static yoke_error *quick(const yoke_type_none *args, yoke_type_u32 *result)
{
    *result = 7;
    return NULL;
}

static bool body_ended, cleanup_ended;

/* Never looks for a cancellation. */
static yoke_error *run_through(const yoke_type_none *args, yoke_type_u32 *result)
{
    for (int i = 0; i < 10; i++)
        yoke_error_free(yoke_cancel_shielded_checkpoint());
    body_ended = true;
    return NULL;
}
/* Cleans up when it is cancelled, which takes time. */
static yoke_error *clean_up(const yoke_type_none *args, yoke_type_u32 *result)
{
    yoke_error *e = yoke_sleep(YOKE_S(100));
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *slept = yoke_sleep(YOKE_MS(20));
    cleanup_ended = true;
    return yoke_scope_close(&shield, yoke_error_join(e, slept));
}
static yoke_error *fail_late(const yoke_type_none *args, yoke_type_u32 *result)
{
    yoke_error_free(yoke_sleep(YOKE_S(100))); /* till its caller is gone */
    body_ended = true;
    return yoke_raise(&APP_K, "what really went wrong");
}
YOKE_MODULE(ends, YOKE_CONTEXT_STREAM(take, none, none, u32, u32, u32), YOKE_CALL(quick, none, u32),
            YOKE_CALL(run_through, none, u32), YOKE_CALL(clean_up, none, u32),
            YOKE_CALL(fail_late, none, u32))

/* ---- two sides ---- */

struct duet {
    struct raw_peer raw;
    char cid[40];
    struct scene s; /* the near side's */
    yoke_error *(*near)(struct duet *d);
    yoke_error *(*far)(struct duet *d);
    yoke_stream_options options;
    int got;   /* messages, by receive_ones */
    bool done; /* the far side's part */
};

static yoke_error *near_body(struct duet *d)
{
    YOKE_TRY(yoke_stream_open(d->s.ctx, &d->s.stream, &d->options));
    return d->near(d); /* which closes its stream */
}
static yoke_error *near_task(void *arg)
{
    struct duet *d = arg;
    YOKE_TRY(yoke_context_open(&d->raw.peer->portal, &d->s.ctx, "ends:take", NULL, NULL));
    return yoke_context_close(d->s.ctx, near_body(d));
}
static yoke_error *far_body(struct duet *d)
{
    struct msg m;
    HEAR(&d->raw, MSG_START, NULL, &m);
    snprintf(d->cid, sizeof d->cid, "%.*s", (int)m.cid.size, m.cid.data);
    YOKE_TRY(raw_say(&d->raw, MSG_START_ACK, d->cid));
    YOKE_TRY(raw_say(&d->raw, MSG_STARTED, d->cid));
    while (!d->s.stream)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return d->far(d);
}
static yoke_error *duet_sides(struct duet *d)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, near_task, d);
    return yoke_nursery_close(&n, e ? e : far_body(d));
}
static yoke_error *duet_app(void *arg)
{
    struct duet *d = arg;
    YOKE_TRY(raw_open(&d->raw, "ends"));
    return raw_close(&d->raw, duet_sides(d));
}
#define DUET(...) assert_success(tree_run(duet_app, &(struct duet){__VA_ARGS__}))

static yoke_error *say_yields(struct duet *d, int count)
{
    for (int i = 0; i < count; i++)
        YOKE_TRY(raw_say(&d->raw, MSG_YIELD, d->cid));
    return NULL;
}
/* Till so many messages, the Stop counted, wait for a receive. */
static yoke_error *wait_till_queued(struct duet *d, size_t count)
{
    while (d->s.ctx->inbox_count < count)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}
static yoke_error *receive_ones(struct duet *d, int count)
{
    for (int i = 0; i < count; i++) {
        uint32_t item = 0;
        YOKE_TRY(yoke_recv(d->s.stream, &item));
        CHECK(item == 1);
        d->got++;
    }
    return NULL;
}
static yoke_error *receive_end(struct duet *d)
{
    uint32_t item;
    EXPECT(yoke_recv(d->s.stream, &item), &YOKE_END_OF_CHANNEL, NULL);
    return NULL;
}
static yoke_error *say_end(struct duet *d)
{
    return raw_say(&d->raw, MSG_RETURN, d->cid);
}

/* ---- one Stop ---- */

static yoke_error *close_at_once(struct duet *d)
{
    return yoke_stream_close(d->s.stream, NULL);
}
static yoke_error *leave_open(struct duet *d)
{
    return NULL;
}
static yoke_error *close_cancelled(struct duet *d)
{
    yoke_scope over;
    YOKE_TRY(yoke_scope_open(&over));
    yoke_scope_cancel(&over, NULL);
    yoke_error *e = yoke_stream_close(d->s.stream, NULL);
    bool silent = e == NULL;
    YOKE_TRY(yoke_scope_close(&over, e));
    CHECK(silent);
    return NULL;
}
static yoke_error *hear_one_stop(struct duet *d)
{
    struct msg m;
    HEAR(&d->raw, MSG_STOP, d->cid, &m);
    YOKE_TRY(raw_silence(&d->raw)); /* the context is closing by now, and says no second one */
    YOKE_TRY(say_end(d));
    return raw_silence(&d->raw);
}
static yoke_error *close_after_the_end(struct duet *d)
{
    YOKE_TRY(receive_end(d));
    YOKE_TRY(receive_end(d));
    return yoke_stream_close(d->s.stream, NULL);
}
static yoke_error *stop_and_hear_none(struct duet *d)
{
    YOKE_TRY(raw_say(&d->raw, MSG_STOP, d->cid));
    YOKE_TRY(raw_silence(&d->raw));
    YOKE_TRY(say_end(d));
    return raw_silence(&d->raw);
}
/* STR-03, STR-04 */
static void test_close_says_one_stop(void **state)
{
    DUET(.near = close_at_once, .far = hear_one_stop);
    DUET(.near = leave_open, .far = hear_one_stop);
    DUET(.near = close_cancelled, .far = hear_one_stop);
    DUET(.near = close_after_the_end, .far = stop_and_hear_none);
}

/* ---- the end mark ---- */

static yoke_error *receive_to_the_end_one_by_one(struct duet *d)
{
    const struct yoke_stream *stream = &d->s.ctx->stream;
    YOKE_TRY(wait_till_queued(d, 3));
    CHECK(!stream->ended); /* the Stop has come */
    YOKE_TRY(receive_ones(d, 2));
    CHECK(!stream->ended);
    YOKE_TRY(receive_end(d));
    CHECK(stream->ended);
    return yoke_stream_close(d->s.stream, NULL);
}

struct elsewhere {
    struct duet *d;
    int got;
};
static yoke_error *receive_all_aside(void *arg)
{
    struct elsewhere *a = arg;
    uint32_t item;
    yoke_error *e;
    while (!(e = yoke_recv(a->d->s.stream, &item)))
        a->got++;
    EXPECT(e, &YOKE_END_OF_CHANNEL, NULL);
    return receive_end(a->d);
}
/* Two messages and the Stop come while two tasks wait: both messages are received, and both tasks meet the
 * end. */
static yoke_error *receive_by_two(struct duet *d)
{
    struct elsewhere a = {d, 0};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, receive_all_aside, &a);
    if (!e)
        e = yoke_spawn(&n, receive_all_aside, &a);
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(a.got == 2);
    return yoke_stream_close(d->s.stream, NULL);
}

static yoke_error *receive_shielded_body(struct duet *d)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = receive_ones(d, 2);
    return yoke_scope_close(&shield, e ? e : receive_end(d));
}
static yoke_error *receive_shielded(struct duet *d)
{
    yoke_scope over;
    YOKE_TRY(yoke_scope_open(&over));
    yoke_scope_cancel(&over, NULL);
    yoke_error *e = receive_shielded_body(d);
    bool received = e == NULL;
    YOKE_TRY(yoke_scope_close(&over, e));
    CHECK(received);
    return yoke_stream_close(d->s.stream, NULL);
}
static yoke_error *say_two_and_stop(struct duet *d)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(20))); /* whoever receives waits by then */
    YOKE_TRY(say_yields(d, 2));
    YOKE_TRY(raw_say(&d->raw, MSG_STOP, d->cid));
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    return say_end(d);
}
/* STR-08 */
static void test_the_end_mark_is_set_last(void **state)
{
    DUET(.near = receive_to_the_end_one_by_one, .far = say_two_and_stop);
    DUET(.near = receive_by_two, .far = say_two_and_stop);
    DUET(.near = receive_shielded, .far = say_two_and_stop);
}

/* ---- closing leaves the feeder alone, drains, and waits for nothing ---- */

static yoke_error *close_and_ask_the_result(struct duet *d)
{
    uint32_t result = 0;
    YOKE_TRY(receive_ones(d, 1));
    YOKE_TRY(yoke_stream_close(d->s.stream, NULL));
    YOKE_TRY(yoke_context_result(d->s.ctx, &result));
    CHECK(result == 1);
    return NULL;
}
static yoke_error *go_on_after_the_stop(struct duet *d)
{
    struct msg m;
    YOKE_TRY(say_yields(d, 1));
    HEAR(&d->raw, MSG_STOP, d->cid, &m);
    YOKE_TRY(say_yields(d, 100)); /* dropped, and no overrun */
    YOKE_TRY(raw_say(&d->raw, MSG_STOP, d->cid));
    YOKE_TRY(say_end(d));
    return raw_silence(&d->raw);
}
static void test_str_10_closing_leaves_the_feeder_alone(void **state)
{
    DUET(.near = close_and_ask_the_result, .far = go_on_after_the_stop);
}

static yoke_error *drain(struct duet *d)
{
    uint32_t item, result = 0;
    EXPECT(yoke_recv_nowait(d->s.stream, &item), &YOKE_WOULD_BLOCK, "take");
    while (!d->s.ctx->has_result)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(d->s.ctx->inbox_count == 3);
    YOKE_TRY(yoke_recv_nowait(d->s.stream, &item)); /* the drained, for who asks */
    CHECK(item == 1);
    uint64_t passes = scheduler_here->passes;
    YOKE_TRY(yoke_stream_close(d->s.stream, NULL));
    CHECK(scheduler_here->passes == passes && d->s.ctx->inbox_count == 0);
    YOKE_TRY(yoke_context_result(d->s.ctx, &result));
    CHECK(result == 1);
    return NULL;
}
static yoke_error *say_three_and_return(struct duet *d)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    YOKE_TRY(say_yields(d, 3));
    return say_end(d);
}
static yoke_error *close_with_more_to_come(struct duet *d)
{
    YOKE_TRY(wait_till_queued(d, 2));
    YOKE_TRY(yoke_stream_close(d->s.stream, NULL));
    CHECK(d->s.ctx->inbox_count == 0 && d->s.ctx->state == DIALOG_OPEN);
    return NULL;
}
static yoke_error *say_two_and_wait(struct duet *d)
{
    struct msg m;
    YOKE_TRY(say_yields(d, 2));
    HEAR(&d->raw, MSG_STOP, d->cid, &m);
    YOKE_TRY(say_yields(d, 2));
    return say_end(d);
}
static void test_str_12_close_drains_without_blocking(void **state)
{
    DUET(.near = drain, .far = say_three_and_return);
    DUET(.near = close_with_more_to_come, .far = say_two_and_wait);
}

/* ---- the buffer ---- */

/* Receives nothing till the far side has done its part. */
static yoke_error *sit(struct duet *d)
{
    while (!d->done)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return yoke_stream_close(d->s.stream, NULL);
}
static yoke_error *hear_overrun_after(struct duet *d, int fine)
{
    struct msg m;
    YOKE_TRY(say_yields(d, fine));
    YOKE_TRY(raw_silence(&d->raw));
    YOKE_TRY(say_yields(d, 1));
    HEAR(&d->raw, MSG_ERROR, d->cid, &m);
    CHECK(text_view_is(m.error.src_type, "StreamOverrun"));
    CHECK(m.error.sender.name.data != NULL);
    d->done = true;
    return say_end(d);
}
static yoke_error *overrun_64(struct duet *d)
{
    return hear_overrun_after(d, 64);
}
static yoke_error *overrun_3(struct duet *d)
{
    return hear_overrun_after(d, 3);
}
static yoke_error *overrun_0(struct duet *d)
{
    return hear_overrun_after(d, 0);
}
static yoke_error *receive_handed_over(struct duet *d)
{
    YOKE_TRY(receive_ones(d, 3));
    return sit(d);
}
static yoke_error *hand_over(struct duet *d)
{
    for (int i = 0; i < 3; i++) {
        while (!d->s.ctx->stream.receiving)
            YOKE_TRY(yoke_sleep(YOKE_MS(1)));
        YOKE_TRY(say_yields(d, 1));
        while (d->got == i)
            YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return overrun_0(d);
}
static void test_ovr_11_the_buffer_of_a_stream(void **state)
{
    DUET(.near = sit, .far = overrun_3, .options = {.buffer = 3});
    DUET(.near = sit, .far = overrun_64);
    DUET(.near = sit, .far = overrun_0, .options = {.buffer = YOKE_NO_BUFFER});
    DUET(.near = receive_handed_over, .far = hand_over, .options = {.buffer = YOKE_NO_BUFFER});
}

/* A context that reads nothing, and other dialogs of the same channel. */
static yoke_error *call_beside(struct duet *d, int messages)
{
    struct msg m;
    YOKE_TRY(say_yields(d, messages));
    YOKE_TRY(raw_start(&d->raw, "beside", "ends", "quick", &yoke_record_none, NULL));
    do
        YOKE_TRY(channel_receive(d->raw.far, &m));
    while (m.type == MSG_ERROR && text_view_is(m.cid, d->cid));
    CHECK(m.type == MSG_START_ACK && text_view_is(m.cid, "beside"));
    HEAR(&d->raw, MSG_RETURN, "beside", &m);
    d->done = true;
    return say_end(d);
}
static yoke_error *call_beside_64(struct duet *d)
{
    return call_beside(d, 64);
}
static yoke_error *call_beside_many(struct duet *d)
{
    return call_beside(d, 5000);
}
/* OVR-01 (how many are kept: test_ovr_11) */
static void test_a_slow_context_holds_up_no_other(void **state)
{
    char before[256];
    snprintf(before, sizeof before, "%s", yoke_log_filter());
    assert_null(yoke_log_set("error")); /* without the warning of OVR-08 */
    DUET(.near = sit, .far = call_beside_64);
    DUET(.near = sit, .far = call_beside_many);
    DUET(.near = sit, .far = call_beside_many, .options = {.allow_overruns = true});
    assert_null(yoke_log_set(before));
}

static yoke_error *close_in_overrun(struct duet *d)
{
    YOKE_TRY(wait_till_queued(d, 70));
    uint64_t passes = scheduler_here->passes;
    YOKE_TRY(yoke_stream_close(d->s.stream, NULL));
    CHECK(scheduler_here->passes == passes);
    return NULL;
}
static yoke_error *say_seventy(struct duet *d)
{
    struct msg m;
    YOKE_TRY(say_yields(d, 70));
    HEAR(&d->raw, MSG_STOP, d->cid, &m);
    return say_end(d);
}
static void test_ovr_08_closing_in_overrun(void **state)
{
    char text[4096];
    struct duet d = {.near = close_in_overrun, .far = say_seventy, .options = {.allow_overruns = true}};
    assert_int_equal(tree_status(duet_app, &d, text, sizeof text), 0);
    const char *warning = strstr(text, "dropped 70 unread messages");
    assert_non_null(warning);
    assert_null(strstr(warning + 1, "dropped"));
}

/* ---- callers that are gone ---- */

static yoke_error *call_works(void)
{
    struct raw_peer raw;
    struct msg m;
    YOKE_TRY(raw_open(&raw, "ends"));
    yoke_error *e = raw_start(&raw, "a", "ends", "quick", &yoke_record_none, NULL);
    if (!e)
        e = raw_hear_at(__FILE__, __LINE__, &raw, MSG_START_ACK, "a", &m);
    if (!e)
        e = raw_hear_at(__FILE__, __LINE__, &raw, MSG_RETURN, "a", &m);
    return raw_close(&raw, e);
}
/* Asks for `function` and hangs up before it can be told that this was accepted. */
static yoke_error *ask_and_hang_up(const char *function, bool *ended)
{
    struct raw_peer raw;
    *ended = false;
    YOKE_TRY(raw_open(&raw, "ends"));
    yoke_error *e = raw_start(&raw, "a", "ends", function, &yoke_record_none, NULL);
    if (!e)
        e = channel_drain(raw.far);
    raw_hang_up(&raw);
    while (!e && !*ended)
        e = yoke_sleep(YOKE_MS(1));
    return raw_close(&raw, e);
}
static yoke_error *hang_up_before_the_ack(void *arg)
{
    YOKE_TRY(ask_and_hang_up("run_through", &body_ended));
    YOKE_TRY(ask_and_hang_up("clean_up", &cleanup_ended));
    return call_works();
}
static void test_rpc_13_the_caller_is_gone_before_the_ack(void **state)
{
    char text[4096];
    assert_int_equal(tree_status(hang_up_before_the_ack, NULL, text, sizeof text), 0);
    assert_null(strstr(text, "error"));
}

static yoke_error *hang_up_before_the_error(void *arg)
{
    YOKE_TRY(ask_and_hang_up("fail_late", &body_ended));
    return call_works();
}
static void test_rpc_14_the_error_that_could_not_be_sent(void **state)
{
    char text[4096];
    assert_int_equal(tree_status(hang_up_before_the_error, NULL, text, sizeof text), 0);
    assert_non_null(strstr(text, "what really went wrong"));
}

TREE_MAIN(TEST(test_close_says_one_stop), TEST(test_the_end_mark_is_set_last),
          TEST(test_str_10_closing_leaves_the_feeder_alone), TEST(test_str_12_close_drains_without_blocking),
          TEST(test_ovr_11_the_buffer_of_a_stream), TEST(test_a_slow_context_holds_up_no_other),
          TEST(test_ovr_08_closing_in_overrun), TEST(test_rpc_13_the_caller_is_gone_before_the_ack),
          TEST(test_rpc_14_the_error_that_could_not_be_sent))
