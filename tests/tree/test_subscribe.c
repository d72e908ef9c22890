/* Streams that several tasks read, each every message. */
#include "tree.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- endpoints ---- */

enum { CLOSE, FAIL, WAIT };
/* What a `send` does: so many items, and then it closes its stream, fails, or waits. */
YOKE_RECORD(plan, (u32, count), (u8, then));
YOKE_RECORD(word, (str, text), (u32, number));

static yoke_error *send_planned(yoke_stream *stream, const plan *args)
{
    for (uint32_t i = 0; i < args->count; i++)
        YOKE_TRY(yoke_send(stream, &(word){"a word", i}));
    if (args->then == FAIL)
        return yoke_raise(&APP_K, "the sender failed");
    return args->then == WAIT ? yoke_sleep(YOKE_S(100)) : NULL;
}
static yoke_error *send(yoke_context *ctx, const plan *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, send_planned(stream, args));
}
static yoke_error *count_on(yoke_stream *stream, const plan *args)
{
    return send_planned(stream, args);
}
/* Says back what is said to it. */
static yoke_error *echo(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    word item;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e;
    while (!(e = yoke_recv(stream, &item))) {
        e = yoke_send(stream, &item);
        word_free(&item);
        if (e)
            break;
    }
    return yoke_stream_close(stream, yoke_end_is_fine(e));
}
YOKE_MODULE(ends, YOKE_CONTEXT_STREAM(send, plan, none, none, none, word),
            YOKE_CONTEXT_STREAM(echo, none, none, none, word, word), YOKE_STREAM(count_on, plan, word))

/* ---- helpers ---- */

static const yoke_stream_options patient = {.allow_overruns = true};

/* A task that reads by a subscription, or by the stream's own receive. */
struct reader {
    yoke_stream *stream;
    yoke_stream_subscriber end;
    bool by_stream;
    uint32_t next; /* the item that it expects */
    yoke_task *task;
    yoke_scope scope;
};

static yoke_error *take(struct reader *r, uint32_t *number)
{
    word item = {0};
    YOKE_TRY(r->by_stream ? yoke_recv(r->stream, &item) : yoke_stream_next(&r->end, &item));
    bool right = strcmp(item.text, "a word") == 0;
    *number = item.number;
    word_free(&item); /* each has a copy of his own */
    CHECK(right);
    return NULL;
}
static yoke_error *take_run(struct reader *r, uint32_t end)
{
    for (; r->next < end; r->next++) {
        uint32_t number;
        YOKE_TRY(take(r, &number));
        CHECK(number == r->next);
    }
    return NULL;
}
/* Till an error comes. */
static yoke_error *take_on(struct reader *r)
{
    return take_run(r, UINT32_MAX);
}
static yoke_error *subscribe(struct reader *r, yoke_stream *stream, const yoke_subscribe_options *options)
{
    *r = (struct reader){.stream = stream};
    return yoke_stream_subscribe(stream, &r->end, options);
}
static yoke_error *say(struct scene *s, uint32_t from, uint32_t end)
{
    for (; from < end; from++)
        YOKE_TRY(yoke_send(s->stream, &(word){"a word", from}));
    return NULL;
}
static yoke_error *in_stream(struct scene *s)
{
    scene_fn *fn = s->arg;
    return with_stream(s, &patient, *fn);
}
/* In a context of `endpoint`, in its stream. */
static yoke_error *streamed(struct scene *s, const char *endpoint, const void *args, scene_fn fn)
{
    s->arg = &fn;
    return with_context(s, endpoint, args, in_stream);
}

/* ---- every task gets every message ---- */

enum { READERS = 3, MANY = 1000 };

static yoke_error *read_to_the_end(void *arg)
{
    struct reader *r = arg;
    for (int i = 0; i < 2; i++)
        EXPECT(take_on(r), &YOKE_END_OF_CHANNEL, NULL);
    CHECK(r->next == MANY);
    return NULL;
}
static yoke_error *read_by_four(struct scene *s, struct reader *readers)
{
    struct reader own = {.stream = s->stream, .by_stream = true};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < READERS && !e; i++)
        e = yoke_spawn(&n, read_to_the_end, &readers[i]);
    if (!e)
        e = read_to_the_end(&own);
    return yoke_nursery_close(&n, e);
}
static yoke_error *subscribe_three(struct scene *s)
{
    struct reader readers[READERS] = {0};
    yoke_error *e = NULL;
    for (int i = 0; i < READERS && !e; i++)
        e = subscribe(&readers[i], s->stream, NULL);
    if (!e)
        e = read_by_four(s, readers);
    for (int i = 0; i < READERS; i++)
        yoke_stream_unsubscribe(&readers[i].end);
    return e;
}
static yoke_error *every_task(struct scene *s)
{
    YOKE_TRY(streamed(s, "ends:send", &(plan){MANY, CLOSE}, subscribe_three));
    YOKE_TRY(yoke_portal_stream_open(s->portal, &s->stream, "ends:count_on", &(plan){MANY, CLOSE}, &patient));
    return yoke_stream_close(s->stream, subscribe_three(s));
}
static void test_str_23_every_task_gets_every_message(void **state)
{
    assert_success(tree_with_child("ends", every_task, NULL));
}

static yoke_error *read_to_the_failure(void *arg)
{
    struct reader *r = arg;
    EXPECT_REMOTE(take_on(r), &APP_K, "sender failed");
    return NULL;
}
static yoke_error *fail_under_two(struct scene *s)
{
    struct reader a, b;
    yoke_nursery n;
    YOKE_TRY(subscribe(&a, s->stream, NULL));
    YOKE_TRY(subscribe(&b, s->stream, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, read_to_the_failure, &a);
    if (!e)
        e = yoke_spawn(&n, read_to_the_failure, &b);
    e = yoke_nursery_close(&n, e);
    yoke_stream_unsubscribe(&a.end);
    yoke_stream_unsubscribe(&b.end);
    YOKE_TRY(e);
    CHECK(a.next == 10 && b.next == 10);
    return NULL;
}
static yoke_error *failing(struct scene *s)
{
    YOKE_TRY(yoke_portal_stream_open(s->portal, &s->stream, "ends:count_on", &(plan){10, FAIL}, NULL));
    return yoke_stream_close(s->stream, fail_under_two(s));
}
static void test_subscribe_a_failure_is_told_to_each(void **state)
{
    assert_success(tree_with_child("ends", failing, NULL));
}

/* ---- lags ---- */

static yoke_error *lag(struct scene *s)
{
    struct reader fast, slow, silent;
    uint32_t number;
    YOKE_TRY(subscribe(&fast, s->stream, NULL));
    YOKE_TRY(subscribe(&slow, s->stream, NULL));
    YOKE_TRY(subscribe(&silent, s->stream, &(yoke_subscribe_options){.no_lag = true}));
    YOKE_TRY(take_run(&fast, 200));
    EXPECT(take(&slow, &number), &YOKE_LAGGED, "136 items were missed");
    CHECK(yoke_broadcast_missed(&slow.end.end) == 136);
    slow.next = silent.next = 136;
    YOKE_TRY(take_run(&slow, 200));
    YOKE_TRY(take_run(&silent, 200));
    CHECK(yoke_broadcast_missed(&silent.end.end) == 136);
    EXPECT(take(&slow, &number), &YOKE_END_OF_CHANNEL, NULL);
    yoke_stream_unsubscribe(&fast.end);
    yoke_stream_unsubscribe(&slow.end);
    yoke_stream_unsubscribe(&silent.end);
    return NULL;
}
static yoke_error *lagging(struct scene *s)
{
    return streamed(s, "ends:send", &(plan){200, CLOSE}, lag);
}
static void test_str_24_a_slow_reader_lags(void **state)
{
    char before[256];
    snprintf(before, sizeof before, "%s", yoke_log_filter());
    assert_null(yoke_log_set("error")); /* the silent one's warning */
    assert_success(tree_with_child("ends", lagging, NULL));
    assert_null(yoke_log_set(before));
}

static yoke_error *keep_few(struct scene *s)
{
    struct reader fast, slow;
    uint32_t number;
    YOKE_TRY(subscribe(&fast, s->stream, &(yoke_subscribe_options){.keep = 5}));
    YOKE_TRY(subscribe(&slow, s->stream, NULL));
    YOKE_TRY(take_run(&fast, 20));
    EXPECT(take(&slow, &number), &YOKE_LAGGED, "15 items");
    slow.next = 15;
    YOKE_TRY(take_run(&slow, 20));
    yoke_stream_unsubscribe(&fast.end);
    yoke_stream_unsubscribe(&slow.end);
    return NULL;
}
static yoke_error *keeping_few(struct scene *s)
{
    return streamed(s, "ends:send", &(plan){20, CLOSE}, keep_few);
}
static void test_subscribe_keep(void **state)
{
    assert_success(tree_with_child("ends", keeping_few, NULL));
}

/* ---- readers that are cancelled ---- */

static yoke_error *read_in_scope(void *arg)
{
    struct reader *r = arg;
    YOKE_TRY(yoke_scope_open(&r->scope));
    r->task = yoke_current_task();
    return yoke_scope_close(&r->scope, take_on(r));
}
/* Till the task of `r` is the one that waits on the stream for all, and `waiting` others for it. */
static yoke_error *wait_till_reading(struct reader *r, size_t waiting)
{
    yoke_broadcast_statistics seen;
    do {
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
        yoke_subscriber_statistics(&r->end.end, &seen);
    } while (!r->task || seen.reader != r->task || seen.waiting != waiting || seen.queued);
    return NULL;
}
static yoke_error *wait_till_had(struct reader *r, uint32_t count)
{
    while (r->next < count)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}

static yoke_error *cancel_the_fast(struct scene *s, yoke_nursery *n, struct reader *fast, struct reader *slow)
{
    YOKE_TRY(yoke_spawn(n, read_in_scope, fast));
    YOKE_TRY(say(s, 0, 10));
    YOKE_TRY(wait_till_had(fast, 10));
    YOKE_TRY(take_run(slow, 3));
    YOKE_TRY(wait_till_reading(fast, 0));
    yoke_scope_cancel(&fast->scope, "no more");
    YOKE_TRY(say(s, 10, 20));
    YOKE_TRY(take_run(slow, 20));
    CHECK(fast->next == 10);
    return NULL;
}
static yoke_error *cancelled_fast(struct scene *s)
{
    struct reader fast, slow;
    yoke_nursery n;
    YOKE_TRY(subscribe(&fast, s->stream, NULL));
    YOKE_TRY(subscribe(&slow, s->stream, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_nursery_close(&n, cancel_the_fast(s, &n, &fast, &slow));
    yoke_stream_unsubscribe(&fast.end);
    yoke_stream_unsubscribe(&slow.end);
    return e;
}
static yoke_error *cancel_fast(struct scene *s)
{
    return streamed(s, "ends:echo", NULL, cancelled_fast);
}
static void test_str_25_the_fast_reader_is_cancelled(void **state)
{
    assert_success(tree_with_child("ends", cancel_fast, NULL));
}

/* `a` reads for both. It is cancelled before anything has come, or with messages under way; `b` takes over.
 */
static yoke_error *cancel_the_reader(struct scene *s, yoke_nursery *n, struct reader *a, struct reader *b,
                                     bool under_way)
{
    uint32_t said = b->next;
    YOKE_TRY(yoke_spawn(n, read_in_scope, a));
    YOKE_TRY(wait_till_reading(a, 0));
    YOKE_TRY(yoke_spawn(n, read_in_scope, b));
    YOKE_TRY(wait_till_reading(a, 1));
    if (under_way)
        YOKE_TRY(say(s, said, said + 3));
    yoke_scope_cancel(&a->scope, "no more");
    YOKE_TRY(say(s, under_way ? said + 3 : said, said + 5));
    YOKE_TRY(wait_till_had(b, said + 5));
    yoke_scope_cancel(&b->scope, "all done");
    return NULL;
}
static yoke_error *take_turns(struct scene *s)
{
    for (uint32_t i = 0; i < 10; i++) {
        struct reader a, b;
        yoke_nursery n;
        YOKE_TRY(subscribe(&a, s->stream, NULL));
        YOKE_TRY(subscribe(&b, s->stream, NULL));
        a.next = b.next = 5 * i;
        YOKE_TRY(yoke_nursery_open(&n));
        yoke_error *e = yoke_nursery_close(&n, cancel_the_reader(s, &n, &a, &b, i % 2));
        yoke_stream_unsubscribe(&a.end);
        yoke_stream_unsubscribe(&b.end);
        YOKE_TRY(e);
    }
    return NULL;
}
static yoke_error *cancel_reader(struct scene *s)
{
    return streamed(s, "ends:echo", NULL, take_turns);
}
static void test_str_26_the_task_that_reads_for_all_is_cancelled(void **state)
{
    assert_success(tree_with_child("ends", cancel_reader, NULL));
}

/* ---- closed ---- */

static yoke_error *read_till_closed(void *arg)
{
    struct reader *r = arg;
    r->task = yoke_current_task();
    EXPECT(take_on(r), &YOKE_CLOSED, NULL);
    return NULL;
}
static yoke_error *close_while_it_reads(struct scene *s, struct reader *r)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, read_till_closed, r);
    if (!e)
        e = wait_till_reading(r, 0);
    yoke_stream_unsubscribe(&r->end);
    return yoke_nursery_close(&n, e);
}
static yoke_error *close_subscribers(struct scene *s)
{
    struct reader a, b;
    uint32_t number;
    YOKE_TRY(subscribe(&a, s->stream, NULL));
    YOKE_TRY(subscribe(&b, s->stream, NULL));
    YOKE_TRY(say(s, 0, 3));
    YOKE_TRY(take_run(&a, 3));
    yoke_stream_unsubscribe(&b.end); /* with messages that it has not had */
    yoke_stream_unsubscribe(&b.end);
    EXPECT(take(&b, &number), &YOKE_CLOSED, NULL);
    YOKE_TRY(close_while_it_reads(s, &a));
    EXPECT(take(&a, &number), &YOKE_CLOSED, NULL);
    /* The stream is untouched. */
    struct reader own = {.stream = s->stream, .by_stream = true};
    YOKE_TRY(say(s, 3, 5));
    return take_run(&own, 5);
}
static yoke_error *close_the_stream(struct scene *s)
{
    struct reader a, b;
    uint32_t number;
    YOKE_TRY(yoke_stream_open(s->ctx, &s->stream, &patient));
    YOKE_TRY(subscribe(&a, s->stream, NULL));
    YOKE_TRY(subscribe(&b, s->stream, NULL));
    YOKE_TRY(say(s, 0, 4));
    YOKE_TRY(take_run(&a, 4));
    YOKE_TRY(yoke_stream_close(s->stream, NULL));
    YOKE_TRY(take_run(&b, 4)); /* what was read for all is there still */
    EXPECT(take(&a, &number), &YOKE_CLOSED, NULL);
    EXPECT(take(&b, &number), &YOKE_CLOSED, NULL);
    YOKE_TRY(yoke_context_close(s->ctx, NULL));
    EXPECT(take(&b, &number), &YOKE_CLOSED, NULL);
    yoke_stream_unsubscribe(&a.end);
    yoke_stream_unsubscribe(&b.end);
    return NULL;
}
static yoke_error *leave_it_open(struct scene *s)
{
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:echo", NULL, NULL));
    YOKE_TRY(yoke_stream_open(s->ctx, &s->stream, &patient));
    struct reader a;
    uint32_t number;
    YOKE_TRY(subscribe(&a, s->stream, NULL));
    YOKE_TRY(yoke_context_close(s->ctx, NULL));
    EXPECT(take(&a, &number), &YOKE_CLOSED, NULL);
    yoke_stream_unsubscribe(&a.end);
    return NULL;
}
static yoke_error *close_both(struct scene *s)
{
    YOKE_TRY(streamed(s, "ends:echo", NULL, close_subscribers));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:echo", NULL, NULL));
    YOKE_TRY(close_the_stream(s));
    return leave_it_open(s);
}
static void test_str_27_a_closed_subscriber(void **state)
{
    assert_success(tree_with_child("ends", close_both, NULL));
}

TREE_MAIN(TEST(test_str_23_every_task_gets_every_message), TEST(test_subscribe_a_failure_is_told_to_each),
          TEST(test_str_24_a_slow_reader_lags), TEST(test_subscribe_keep),
          TEST(test_str_25_the_fast_reader_is_cancelled),
          TEST(test_str_26_the_task_that_reads_for_all_is_cancelled), TEST(test_str_27_a_closed_subscriber))
