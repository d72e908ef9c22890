/* Many to one and one to many, made of streams: two producers' values joined; news by topic. */
#include "tree.h"

#include "base/list.h"

#include <signal.h>

/* ---- fan-in: two producers, an aggregator, a consumer ---- */

YOKE_RECORD(run, (u32, first), (u32, count)); /* count 0: for ever, slowly */

static yoke_error *produce(yoke_stream *stream, const run *args)
{
    for (uint32_t i = 0; !args->count || i < args->count; i++) {
        YOKE_TRY(yoke_send(stream, &(uint32_t){args->first + 2 * i}));
        if (!args->count)
            YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return NULL;
}

static const yoke_stream_options patient = {.allow_overruns = true};

struct pipe {
    yoke_portal *from;
    yoke_stream *to;
    run run;
};
static yoke_error *copy_all(yoke_stream *from, yoke_stream *to)
{
    for (;;) {
        uint32_t item;
        YOKE_TRY(yoke_recv(from, &item));
        YOKE_TRY(yoke_send(to, &item));
    }
}
static yoke_error *copy(void *arg)
{
    struct pipe *pipe = arg;
    yoke_stream *from;
    YOKE_TRY(yoke_portal_stream_open(pipe->from, &from, "mill:produce", &pipe->run, &patient));
    return yoke_stream_close(from, yoke_end_is_fine(copy_all(from, pipe->to)));
}
static yoke_error *join(yoke_actors *actors, yoke_stream *stream, uint32_t count)
{
    struct pipe pipes[2];
    yoke_nursery n;
    for (uint32_t i = 0; i < 2; i++) {
        pipes[i] = (struct pipe){.to = stream, .run = {i, count}};
        YOKE_TRY(yoke_actors_start(actors, i ? "producer-2" : "producer-1",
                                   &(yoke_actor_options){.modules = "mill"}, &pipes[i].from));
    }
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, copy, &pipes[0]);
    if (!e)
        e = yoke_spawn(&n, copy, &pipes[1]);
    YOKE_TRY(yoke_nursery_close(&n, e));
    return yoke_actors_cancel(actors);
}
static yoke_error *aggregate(yoke_stream *stream, const run *args)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, join(actors, stream, args->count));
}
YOKE_MODULE(mill, YOKE_STREAM(produce, run, u32), YOKE_STREAM(aggregate, run, u32))

enum { EACH = 500 };
static yoke_error *consume_once(yoke_stream *stream)
{
    uint8_t seen[2 * EACH] = {0};
    yoke_error *e;
    for (;;) {
        uint32_t item;
        e = yoke_recv(stream, &item);
        if (e)
            break;
        CHECK(item < 2 * EACH);
        seen[item]++;
    }
    YOKE_TRY(yoke_end_is_fine(e));
    for (int i = 0; i < 2 * EACH; i++)
        CHECK(seen[i] == 1);
    return NULL;
}
static yoke_error *consume_on(yoke_stream *stream)
{
    for (;;) {
        uint32_t item;
        YOKE_TRY(yoke_recv(stream, &item));
    }
}
static yoke_error *consume(struct scene *s, uint32_t count, yoke_error *(*body)(yoke_stream *stream))
{
    YOKE_TRY(
        yoke_actors_start(s->actors, "aggregator", &(yoke_actor_options){.modules = "mill"}, &s->portal));
    YOKE_TRY(yoke_portal_stream_open(s->portal, &s->stream, "mill:aggregate", &(run){0, count}, &patient));
    return yoke_stream_close(s->stream, body(s->stream));
}
static yoke_error *consume_all(struct scene *s)
{
    return consume(s, EACH, consume_once);
}
static yoke_error *consume_for_a_time(struct scene *s)
{
    yoke_scope hurry;
    YOKE_TRY(yoke_move_on_after(&hurry, *(const int64_t *)s->arg));
    YOKE_TRY(yoke_scope_close(&hurry, consume(s, 0, consume_on)));
    CHECK(yoke_scope_cancelled_caught(&hurry));
    return NULL;
}
static void test_str_35_fan_in(void **state)
{
    assert_success(tree_with_actors(consume_all, NULL));
    for (int64_t ms = 300; ms <= 800; ms += 100) {
        int64_t time = YOKE_MS(ms);
        struct tree_child c = {NULL, consume_for_a_time, {.arg = &time}};
        assert_success(tree_run(tree_actors_app, &c));
    }
}

/* ---- news: one publisher for all subscribers ---- */

enum { TOPICS = 2 };
YOKE_RECORD(wish, (u32, topic), (boolean, on));
YOKE_RECORD(wishes, (u32, topics)); /* a bit each */
YOKE_RECORD(piece, (u32, topic), (u32, number));
YOKE_RECORD(press_state, (u32, begun), (u32, done), (u32, subscribers));
YOKE_CHANNEL(pieces, piece)

struct subscription {
    list in_press;
    uint32_t topics;
    pieces_sender tx;
    pieces_receiver rx;
    yoke_stream *stream;
};
static struct {
    yoke_cache cache;
    yoke_nursery nursery; /* of the publisher's task, while there are subscribers */
    list subscriptions;
    uint32_t begun, done;
} press;

static void give(const piece *one)
{
    list_for_each(node, &press.subscriptions) {
        struct subscription *s = container_of(node, struct subscription, in_press);
        if (s->topics & 1u << one->topic)
            yoke_error_free(pieces_send_nowait(&s->tx, *one)); /* one who is slow goes without */
    }
}
static yoke_error *publish(void *arg)
{
    for (uint32_t number = 0;; number++) {
        for (uint32_t topic = 0; topic < TOPICS; topic++)
            give(&(piece){topic, number});
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
}
static yoke_error *press_open(void *arg, void **value)
{
    press.begun++;
    YOKE_TRY(yoke_nursery_open(&press.nursery));
    yoke_error *e = yoke_spawn(&press.nursery, publish, NULL);
    return e ? yoke_nursery_close(&press.nursery, e) : NULL;
}
static yoke_error *press_close(void *arg, void *value, yoke_error *e)
{
    yoke_nursery_cancel(&press.nursery, "the last subscriber has left");
    press.done++;
    return yoke_nursery_close(&press.nursery, e);
}

static yoke_error *forward(void *arg)
{
    struct subscription *s = arg;
    yoke_error *e;
    piece one;
    while (!(e = pieces_recv(&s->rx, &one))) {
        e = yoke_send(s->stream, &one);
        if (e)
            break;
    }
    return yoke_end_is_fine(e); /* the subscriber may have closed its end */
}
static yoke_error *take_wishes(struct subscription *s)
{
    wish one;
    yoke_error *e;
    while (!(e = yoke_recv(s->stream, &one)))
        s->topics = one.on ? s->topics | 1u << one.topic : s->topics & ~(1u << one.topic);
    return yoke_end_is_fine(e);
}
static yoke_error *attend(struct subscription *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, forward, s);
    if (!e)
        e = take_wishes(s);
    yoke_nursery_cancel(&n, "the subscriber has left");
    return yoke_nursery_close(&n, e);
}
static yoke_error *with_press(struct subscription *s)
{
    static const yoke_resource resource = {.open = press_open, .close = press_close, .name = "press"};
    yoke_cached hold;
    if (!press.subscriptions.next)
        list_init(&press.subscriptions);
    YOKE_TRY(yoke_cached_open(&hold, &press.cache, "press", 5, &resource));
    list_append(&press.subscriptions, &s->in_press);
    yoke_error *e = attend(s);
    list_remove(&s->in_press);
    return yoke_cached_close(&hold, e);
}
static yoke_error *subscribe(yoke_context *ctx, const wishes *args, yoke_type_none *result)
{
    struct subscription s = {.topics = args->topics};
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &s.stream, NULL));
    YOKE_TRY(pieces_channel(&s.tx, &s.rx, 1000));
    yoke_error *e = with_press(&s);
    pieces_sender_close(&s.tx);
    pieces_receiver_close(&s.rx);
    return yoke_stream_close(s.stream, e);
}
static yoke_error *state(const yoke_type_none *args, press_state *result)
{
    *result = (press_state){press.begun, press.done, 0};
    if (press.subscriptions.next)
        list_for_each(node, &press.subscriptions)
            result->subscribers++;
    return NULL;
}
YOKE_MODULE(news, YOKE_CONTEXT_STREAM(subscribe, wishes, none, none, wish, piece),
            YOKE_CALL(state, none, press_state))

/* A subscriber: in a task of the root, or in an actor of its own. */
struct reader {
    yoke_portal *publisher;
    uint32_t topics;
    int count; /* of pieces that it takes; 0: for ever */
    int got;
    yoke_error *(*body)(struct reader *r);
    yoke_context *ctx;
    yoke_stream *stream;
};

/* Of the topics that were asked for alone, of each without a gap. */
static yoke_error *read_in_order(struct reader *r)
{
    uint32_t next[TOPICS] = {0};
    bool met[TOPICS] = {false};
    for (; !r->count || r->got < r->count; r->got++) {
        piece one;
        YOKE_TRY(yoke_recv(r->stream, &one));
        CHECK(one.topic < TOPICS && (r->topics & 1u << one.topic));
        CHECK(!met[one.topic] || one.number == next[one.topic]);
        met[one.topic] = true;
        next[one.topic] = one.number + 1;
    }
    return NULL;
}
static yoke_error *read_streamed(struct reader *r)
{
    YOKE_TRY(yoke_stream_open(r->ctx, &r->stream, &patient));
    return yoke_stream_close(r->stream, r->body ? r->body(r) : read_in_order(r));
}
static yoke_error *read_news(void *arg)
{
    struct reader *r = arg;
    YOKE_TRY(yoke_context_open(r->publisher, &r->ctx, "news:subscribe", &(wishes){r->topics}, NULL));
    return yoke_context_close(r->ctx, read_streamed(r));
}
static yoke_error *read_all(struct reader *readers, int count)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < count && !e; i++)
        e = yoke_spawn(&n, read_news, &readers[i]);
    return yoke_nursery_close(&n, e);
}
static yoke_error *press_is(yoke_portal *publisher, uint32_t begun, uint32_t done)
{
    press_state seen;
    YOKE_TRY(yoke_call(publisher, "news:state", NULL, &seen));
    CHECK(seen.begun == begun && seen.done == done && seen.subscribers == 0);
    return NULL;
}
static yoke_error *read_by_four(struct scene *s)
{
    yoke_portal *p = s->portal;
    for (uint32_t round = 0; round < 2; round++) {
        struct reader readers[] = {{p, 1, 20}, {p, 2, 30}, {p, 3, 40}, {p, 1, 50}};
        YOKE_TRY(press_is(p, round, round));
        YOKE_TRY(read_all(readers, 4));
        for (int i = 0; i < 4; i++)
            CHECK(readers[i].got == readers[i].count);
        YOKE_TRY(press_is(p, round + 1, round + 1)); /* one for all, from the first to the last */
    }
    return NULL;
}
/* PUBSUB-01, PUBSUB-04: the readers are tasks of one actor, two of them with the same topic */
static void test_publisher_of_topics(void **state)
{
    assert_success(tree_with_child("news", read_by_four, NULL));
}

/* ---- a subscriber that dies ---- */

static yoke_error *read_there(const wishes *args, yoke_type_none *result)
{
    struct reader r = {.topics = args->topics};
    YOKE_TRY(yoke_find_existing("worker", &r.publisher));
    return yoke_portal_close(r.publisher, read_news(&r));
}
YOKE_MODULE(readers, YOKE_CALL(read_there, wishes, none))

struct doomed {
    yoke_portal *portal;
    bool lost;
};
static yoke_error *have_it_read(void *arg)
{
    struct doomed *d = arg;
    EXPECT(yoke_call(d->portal, "readers:read_there", &(wishes){3}, NULL), &YOKE_TRANSPORT_CLOSED, NULL);
    d->lost = true;
    return NULL;
}
static yoke_error *subscribers_are(yoke_portal *publisher, uint32_t count)
{
    press_state seen = {0};
    do {
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
        YOKE_TRY(yoke_call(publisher, "news:state", NULL, &seen));
    } while (seen.subscribers != count);
    return NULL;
}
/* While the doomed one reads: it is killed, and this one reads on. */
static yoke_error *outlive(struct reader *r)
{
    r->count = 10;
    YOKE_TRY(read_in_order(r));
    return NULL;
}
static yoke_error *kill_one_of_two(struct scene *s, struct doomed *d)
{
    struct reader survivor = {s->portal, 3, .body = outlive};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, have_it_read, d);
    if (!e)
        e = subscribers_are(s->portal, 1);
    if (!e)
        kill(yoke_portal_pid(d->portal), SIGKILL);
    if (!e)
        e = read_news(&survivor);
    if (!e)
        e = subscribers_are(s->portal, 0); /* the dead one was dropped */
    return yoke_nursery_close(&n, e);
}
static yoke_error *in_a_nursery_of_its_own(struct scene *s)
{
    struct doomed d = {0};
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e =
        yoke_actors_start(actors, "reader", &(yoke_actor_options){.modules = "readers"}, &d.portal);
    if (!e)
        e = kill_one_of_two(s, &d);
    EXPECT(yoke_actors_close(actors, e), &YOKE_ACTOR_DIED, "SIGKILL");
    CHECK(d.lost);
    struct reader again = {s->portal, 1, 5};
    return read_news(&again);
}
static void test_pubsub_02_a_subscriber_dies(void **state)
{
    assert_success(tree_with_child("news", in_a_nursery_of_its_own, NULL));
}

/* ---- wishes that change ---- */

static yoke_error *wait_for_topic(struct reader *r, uint32_t topic)
{
    piece one;
    do
        YOKE_TRY(yoke_recv(r->stream, &one));
    while (one.topic != topic);
    return NULL;
}
static yoke_error *change_wishes(struct reader *r)
{
    piece one;
    YOKE_TRY(wait_for_topic(r, 0));
    YOKE_TRY(yoke_send(r->stream, &(wish){1, true}));
    YOKE_TRY(wait_for_topic(r, 1));
    YOKE_TRY(yoke_send(r->stream, &(wish){0, false}));
    for (int others = 0; others < 10;) { /* what was on its way comes first */
        YOKE_TRY(yoke_recv(r->stream, &one));
        others = one.topic == 1 ? others + 1 : 0;
    }
    r->got = 1;
    return r->count ? NULL : wait_for_topic(r, TOPICS); /* for ever */
}
static yoke_error *change_in_three(struct scene *s)
{
    struct reader readers[3];
    for (int i = 0; i < 3; i++)
        readers[i] = (struct reader){s->portal, 1, 1, .body = change_wishes};
    YOKE_TRY(read_all(readers, 3));
    for (int i = 0; i < 3; i++)
        CHECK(readers[i].got);
    /* And once more, till time is up. */
    yoke_scope hurry;
    for (int i = 0; i < 3; i++)
        readers[i] = (struct reader){s->portal, 1, .body = change_wishes};
    YOKE_TRY(yoke_move_on_after(&hurry, YOKE_MS(300)));
    YOKE_TRY(yoke_scope_close(&hurry, read_all(readers, 3)));
    CHECK(yoke_scope_cancelled_caught(&hurry));
    return press_is(s->portal, 2, 2);
}
static yoke_error *interrupt(struct reader *r)
{
    r->count = 10;
    YOKE_TRY(read_in_order(r));
    kill(getpid(), SIGINT);
    return wait_for_topic(r, TOPICS);
}
static yoke_error *interrupted(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "news"}, &s->portal));
    struct reader readers[2] = {{s->portal, 1, .body = change_wishes}, {s->portal, 1, .body = interrupt}};
    return read_all(readers, 2);
}
static yoke_error *interrupted_app(void *arg)
{
    struct scene s = {0};
    return with_actors(&s, NULL, interrupted);
}
static void test_str_36_wishes_change(void **state)
{
    char text[4096];
    assert_success(tree_with_child("news", change_in_three, NULL));
    assert_int_equal(tree_status(interrupted_app, NULL, text, sizeof text), 130);
    assert_string_equal(text, "interrupted\n");
}

TREE_MAIN(TEST(test_str_35_fan_in), TEST(test_publisher_of_topics), TEST(test_pubsub_02_a_subscriber_dies),
          TEST(test_str_36_wishes_change))
