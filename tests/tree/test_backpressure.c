/*
 * Streams whose sends wait for the reader (OVR-10). The readers here wait at a gate till the test opens it,
 * so that it is known when a send has to wait: nothing but the far side's receiving lets it go on.
 */
#include "raw_peer.h"

#include "actor/credit.h"
#include "actor/stream.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

enum { MANY = 100000, FEW = 300 };

/* ---- endpoints ---- */

/* The reader opens its stream and waits at a gate; opens it behind one and waits at the next; behind that it
 * reads all, or ends otherwise. */
enum { READ, OPEN_LATE, CLOSE, RETURN, FAIL };
YOKE_RECORD(manner, (u8, how), (u32, buffer), (u32, gates));
YOKE_RECORD(amount, (u32, count));
/* What was received, and how many messages were waiting at the most. */
YOKE_RECORD(report, (u32, count), (u64, sum), (u32, most));

static uint32_t opened_gates, sent; /* here: by `spring`, `trickle` */

static yoke_error *gate(uint32_t number)
{
    while (opened_gates < number)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}
static yoke_error *open_gate(const yoke_type_none *args, yoke_type_none *result)
{
    opened_gates++;
    return NULL;
}
static yoke_error *count_sent(const yoke_type_none *args, yoke_type_u32 *result)
{
    *result = sent;
    return NULL;
}

/* Falls behind again and again, till as much waits as ever will. */
static yoke_error *dawdle(const report *r)
{
    return r->count % 5000 == 0 ? yoke_sleep(YOKE_MS(2)) : NULL;
}
static yoke_error *read_all(const yoke_context *ctx, yoke_stream *stream, report *r)
{
    uint32_t item;
    yoke_error *e;
    for (; !(e = yoke_recv(stream, &item)); r->count++) {
        if (ctx->inbox_count + 1 > r->most)
            r->most = (uint32_t)ctx->inbox_count + 1;
        CHECK(item == r->count);
        r->sum += item;
        YOKE_TRY(dawdle(r));
    }
    return yoke_end_is_fine(e);
}
static yoke_error *read_as_told(yoke_context *ctx, yoke_stream *stream, const manner *args, report *result)
{
    YOKE_TRY(gate(args->gates + (args->how == OPEN_LATE)));
    if (args->how == FAIL)
        return yoke_raise(&APP_K, "the reader gave up");
    return args->how == READ || args->how == OPEN_LATE ? read_all(ctx, stream, result) : NULL;
}
static yoke_error *sink(yoke_context *ctx, const manner *args, report *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    if (args->how == OPEN_LATE)
        YOKE_TRY(gate(args->gates));
    YOKE_TRY(yoke_stream_open(
        ctx, &stream,
        &(yoke_stream_options){.buffer = args->buffer == UINT32_MAX ? YOKE_NO_BUFFER : args->buffer}));
    yoke_error *e = read_as_told(ctx, stream, args, result);
    if (args->how == RETURN || e)
        return e; /* with its stream open */
    YOKE_TRY(yoke_stream_close(stream, e));
    return args->how == CLOSE ? gate(args->gates + 1) : NULL;
}

static yoke_error *send_run(yoke_stream *stream, uint32_t count, uint32_t *done)
{
    for (*done = 0; *done < count; ++*done)
        YOKE_TRY(yoke_send(stream, done));
    return NULL;
}
static yoke_error *spring(yoke_context *ctx, const amount *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.backpressure = true}));
    return yoke_stream_close(stream, send_run(stream, args->count, &sent));
}
static yoke_error *trickle(yoke_stream *stream, const amount *args)
{
    return send_run(stream, args->count, &sent);
}
/* Both ways, each in its turn. */
static yoke_error *echo(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    uint32_t item;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.backpressure = true}));
    yoke_error *e;
    while (!(e = yoke_recv(stream, &item)))
        if ((e = yoke_send(stream, &item)))
            break;
    return yoke_stream_close(stream, yoke_end_is_fine(e));
}
YOKE_MODULE(flow, YOKE_CONTEXT_STREAM(sink, manner, none, report, u32, none),
            YOKE_CONTEXT_STREAM(spring, amount, none, none, none, u32), YOKE_STREAM(trickle, amount, u32),
            YOKE_CONTEXT_STREAM(echo, none, none, none, u32, u32), YOKE_CALL(open_gate, none, none),
            YOKE_CALL(count_sent, none, u32))

/* ---- a task that sends ---- */

struct sender {
    struct scene *s;
    uint32_t count, done;
    yoke_scope scope;
    bool has_met, closes;
    yoke_error *met; /* how its sends ended */
};

static const yoke_stream_options patient = {.backpressure = true};

static yoke_error *send_aside(void *arg)
{
    struct sender *r = arg;
    YOKE_TRY(yoke_scope_open(&r->scope));
    r->met = send_run(r->s->stream, r->count, &r->done);
    r->has_met = true;
    if (yoke_error_is_cancelled(r->met)) {
        yoke_error *e = r->met;
        r->met = NULL;
        return yoke_scope_close(&r->scope, e);
    }
    return yoke_scope_close(&r->scope, r->closes ? yoke_stream_close(r->s->stream, NULL) : NULL);
}

/* Other dialogs of the channel go their way. */
static yoke_error *calls_beside(struct scene *s)
{
    for (int i = 0; i < 20; i++)
        YOKE_TRY(yoke_call(s->portal, "tree:ping", NULL, NULL));
    return NULL;
}
static yoke_error *exchange(struct scene *s)
{
    for (uint32_t i = 0, back; i < 200; i++) {
        YOKE_TRY(yoke_send(s->stream, &i));
        YOKE_TRY(yoke_recv(s->stream, &back));
        CHECK(back == i);
    }
    return NULL;
}
static yoke_error *stream_beside(struct scene *s)
{
    return with_stream(s, &patient, exchange);
}
static yoke_error *others_are_unharmed(struct scene *s)
{
    struct scene other = {.actors = s->actors, .portal = s->portal};
    YOKE_TRY(calls_beside(&other));
    return with_context(&other, "flow:echo", NULL, stream_beside);
}

/* The task has sent what the far side keeps, and waits. */
static yoke_error *till_it_waits(struct sender *r, uint32_t kept)
{
    while (r->done < kept)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    YOKE_TRY(others_are_unharmed(r->s));
    CHECK(r->done == kept && !r->has_met);
    return NULL;
}
static yoke_error *till_it_has_met(struct sender *r)
{
    while (!r->has_met)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}
static yoke_error *let_go(struct scene *s)
{
    return yoke_call(s->portal, "flow:open_gate", NULL, NULL);
}

/* Sends from a task; `r->met` is taken care of by `then`, given a stream on which a send waits. */
struct wait_case {
    struct sender sender;
    yoke_error *(*then)(struct wait_case *c);
    uint32_t kept;
};
static yoke_error *with_sender(struct wait_case *c)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, send_aside, &c->sender);
    if (!e)
        e = till_it_waits(&c->sender, c->kept ? c->kept : CREDIT_FIRST);
    if (!e)
        e = c->then(c);
    e = yoke_nursery_close(&n, e);
    yoke_error *met = c->sender.met;
    c->sender.met = NULL;
    return met ? yoke_error_join(e, met) : e;
}
static yoke_error *open_and_send(struct scene *s)
{
    struct wait_case *c = s->arg;
    YOKE_TRY(yoke_stream_open(s->ctx, &s->stream, &patient));
    c->sender.s = s;
    return with_sender(c);
}
static yoke_error *wait_in_sink(struct scene *s, const manner *how, struct wait_case *c)
{
    s->arg = c;
    return with_context(s, "flow:sink", how, open_and_send);
}

/* ---- all arrives, and no more waits than is kept ---- */

static yoke_error *all_is_read(struct wait_case *c)
{
    report r;
    struct scene *s = c->sender.s;
    YOKE_TRY(let_go(s));
    YOKE_TRY(till_it_has_met(&c->sender));
    CHECK(c->sender.done == c->sender.count);
    YOKE_TRY(yoke_context_result(s->ctx, &r));
    CHECK(r.count == c->sender.count && r.sum == (uint64_t)r.count * (r.count - 1) / 2);
    CHECK(r.most <= CREDIT_FIRST);
    if (r.count > FEW)
        CHECK(r.most == CREDIT_FIRST); /* it did fall behind */
    return NULL;
}
static yoke_error *down_a_context(struct scene *s)
{
    return wait_in_sink(s, &(manner){READ, 0, 1},
                        &(struct wait_case){{.count = MANY, .closes = true}, all_is_read});
}
static void test_ovr_10_a_send_waits_for_a_slow_reader(void **state)
{
    assert_success(tree_with_child("flow", down_a_context, NULL));
}

/* The far side sends; how far it came is asked of it. */
static yoke_error *far_side_waits(struct scene *s)
{
    uint32_t there = 0;
    while (there < CREDIT_FIRST) {
        YOKE_TRY(yoke_call(s->portal, "flow:count_sent", NULL, &there));
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    YOKE_TRY(others_are_unharmed(s));
    YOKE_TRY(yoke_call(s->portal, "flow:count_sent", NULL, &there));
    CHECK(there == CREDIT_FIRST);
    return NULL;
}
static yoke_error *read_all_here(struct scene *s)
{
    report r = {0};
    YOKE_TRY(far_side_waits(s));
    YOKE_TRY(read_all(stream_context(s->stream), s->stream, &r));
    CHECK(r.count == MANY && r.most == CREDIT_FIRST);
    return NULL;
}
static yoke_error *with_open_stream(struct scene *s)
{
    return with_stream(s, NULL, read_all_here);
}
static yoke_error *up_a_context(struct scene *s)
{
    return with_context(s, "flow:spring", &(amount){MANY}, with_open_stream);
}
static void test_ovr_10_the_endpoint_s_sends_wait(void **state)
{
    assert_success(tree_with_child("flow", up_a_context, NULL));
}

static yoke_error *with_trickle(struct scene *s, uint32_t count, scene_fn fn)
{
    YOKE_TRY(yoke_portal_stream_open(s->portal, &s->stream, "flow:trickle", &(amount){count}, &patient));
    return yoke_stream_close(s->stream, fn(s));
}
static yoke_error *one_way(struct scene *s)
{
    YOKE_TRY(with_trickle(s, MANY, read_all_here));
    YOKE_TRY(with_trickle(s, MANY, far_side_waits)); /* left early: the endpoint is cancelled in its send */
    return with_trickle(s, MANY, read_all_here);
}
static void test_ovr_10_one_way_streams(void **state)
{
    assert_success(tree_with_child("flow", one_way, NULL));
}

/* ---- how a send that waits ends ---- */

/* Who looks for what hangs is told. */
static yoke_error *print_says_so(const yoke_context *ctx)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    CHECK(f);
    yoke_context_print(f, ctx, false);
    fclose(f);
    bool says = strstr(text, "a send waits for the far side to receive");
    free(text);
    CHECK(says);
    return NULL;
}
static yoke_error *cancel_the_send(struct wait_case *c)
{
    YOKE_TRY(print_says_so(c->sender.s->ctx));
    yoke_scope_cancel(&c->sender.scope, "enough");
    YOKE_TRY(till_it_has_met(&c->sender));
    CHECK(c->sender.done == CREDIT_FIRST && !c->sender.met);
    YOKE_TRY(let_go(c->sender.s));
    for (uint32_t i = CREDIT_FIRST; i < FEW; i++) /* no message is lost, nor was there one too many */
        YOKE_TRY(yoke_send(c->sender.s->stream, &i));
    c->sender.count = c->sender.done = FEW;
    YOKE_TRY(yoke_stream_close(c->sender.s->stream, NULL));
    report r;
    YOKE_TRY(yoke_context_result(c->sender.s->ctx, &r));
    CHECK(r.count == FEW);
    return NULL;
}
static yoke_error *cancelled(struct scene *s)
{
    return wait_in_sink(s, &(manner){READ, 0, 1}, &(struct wait_case){{.count = MANY}, cancel_the_send});
}
static void test_ovr_10_a_waiting_send_is_cancelled(void **state)
{
    assert_success(tree_with_child("flow", cancelled, NULL));
}

static yoke_error *close_here(struct wait_case *c)
{
    struct scene *s = c->sender.s;
    report r;
    YOKE_TRY(yoke_stream_close(s->stream, NULL));
    YOKE_TRY(till_it_has_met(&c->sender));
    yoke_error *met = c->sender.met;
    c->sender.met = NULL;
    EXPECT(met, &YOKE_CLOSED, "closed on this side");
    YOKE_TRY(let_go(s));
    YOKE_TRY(yoke_context_result(s->ctx, &r));
    CHECK(r.count == CREDIT_FIRST); /* what was sent is received all the same */
    return NULL;
}
static yoke_error *far_end(struct wait_case *c)
{
    YOKE_TRY(let_go(c->sender.s));
    YOKE_TRY(till_it_has_met(&c->sender));
    yoke_error *met = c->sender.met;
    c->sender.met = NULL;
    EXPECT(met, &YOKE_END_OF_CHANNEL, "flow:sink");
    return NULL;
}
/* Nobody reads there any more: what is sent is dropped, and nobody waits. */
static yoke_error *far_closes(struct wait_case *c)
{
    YOKE_TRY(let_go(c->sender.s));
    YOKE_TRY(till_it_has_met(&c->sender));
    CHECK(c->sender.done == c->sender.count && !c->sender.met);
    return let_go(c->sender.s);
}
static yoke_error *far_failure(struct wait_case *c)
{
    YOKE_TRY(let_go(c->sender.s));
    return yoke_sleep(YOKE_S(100)); /* interrupted */
}
static yoke_error *ends_of_sends(struct scene *s)
{
    YOKE_TRY(wait_in_sink(s, &(manner){READ, 0, 1}, &(struct wait_case){{.count = MANY}, close_here}));
    YOKE_TRY(wait_in_sink(s, &(manner){RETURN, 0, 2}, &(struct wait_case){{.count = MANY}, far_end}));
    YOKE_TRY(wait_in_sink(s, &(manner){CLOSE, 0, 3}, &(struct wait_case){{.count = FEW}, far_closes}));
    EXPECT_REMOTE(wait_in_sink(s, &(manner){FAIL, 0, 5}, &(struct wait_case){{.count = MANY}, far_failure}),
                  &APP_K, "gave up");
    return NULL;
}
static void test_ovr_10_how_a_waiting_send_ends(void **state)
{
    assert_success(tree_with_child("flow", ends_of_sends, NULL));
}

/* The body is left while the send of another task waits. */
static yoke_error *leave(struct wait_case *c)
{
    return yoke_raise(&APP_K, "the body failed");
}
static yoke_error *cancel_context(struct wait_case *c)
{
    YOKE_TRY(yoke_context_cancel(c->sender.s->ctx));
    YOKE_TRY(till_it_has_met(&c->sender));
    yoke_error *met = c->sender.met;
    c->sender.met = NULL;
    EXPECT(met, &YOKE_CONTEXT_CANCELLED, NULL);
    return NULL;
}
static yoke_error *left_waiting(struct scene *s)
{
    EXPECT(wait_in_sink(s, &(manner){READ, 0, 1}, &(struct wait_case){{.count = MANY}, leave}), &YOKE_GROUP,
           "the body failed");
    return wait_in_sink(s, &(manner){READ, 0, 1}, &(struct wait_case){{.count = MANY}, cancel_context});
}
static void test_ovr_10_a_context_ends_under_a_waiting_send(void **state)
{
    assert_success(tree_with_child("flow", left_waiting, NULL));
}

static yoke_error *kill_the_reader(struct wait_case *c)
{
    kill(yoke_portal_pid(c->sender.s->portal), SIGKILL);
    return yoke_sleep(YOKE_S(100));
}
static yoke_error *reader_dies(struct scene *s)
{
    YOKE_TRY(
        yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "flow,tree"}, &s->portal));
    EXPECT(wait_in_sink(s, &(manner){READ, 0, 1}, &(struct wait_case){{.count = MANY}, kill_the_reader}),
           &YOKE_TRANSPORT_CLOSED, "SIGKILL");
    return NULL;
}
static void test_ovr_10_the_reader_dies(void **state)
{
    assert_error_text(tree_with_actors(reader_dies, NULL), &YOKE_ACTOR_DIED, "SIGKILL");
}

/* ---- other buffers, other readers ---- */

static yoke_error *few_are_read(struct wait_case *c)
{
    report r;
    YOKE_TRY(let_go(c->sender.s));
    YOKE_TRY(till_it_has_met(&c->sender));
    YOKE_TRY(yoke_context_result(c->sender.s->ctx, &r));
    CHECK(r.count == c->sender.count);
    return NULL;
}
/* The larger room is made use of when it is there, before any message was received. */
static yoke_error *more_are_kept(struct wait_case *c)
{
    YOKE_TRY(let_go(c->sender.s));
    YOKE_TRY(till_it_waits(&c->sender, 1000));
    return few_are_read(c);
}
static yoke_error *buffers(struct scene *s)
{
    const struct sender many = {.count = 5000, .closes = true};
    YOKE_TRY(wait_in_sink(s, &(manner){READ, 1000, 1}, &(struct wait_case){many, few_are_read, 1000}));
    /* What was sent before the room was known is kept. */
    YOKE_TRY(wait_in_sink(s, &(manner){READ, 3, 2}, &(struct wait_case){many, few_are_read}));
    YOKE_TRY(wait_in_sink(s, &(manner){READ, 1, 3}, &(struct wait_case){many, few_are_read}));
    YOKE_TRY(wait_in_sink(s, &(manner){READ, UINT32_MAX, 4}, &(struct wait_case){many, few_are_read}));
    return wait_in_sink(s, &(manner){OPEN_LATE, 1000, 5}, &(struct wait_case){many, more_are_kept});
}
static void test_ovr_10_with_other_buffers(void **state)
{
    assert_success(tree_with_child("flow", buffers, NULL));
}

/* An actor that streams to itself: there is no handshake, and all is known. */
static yoke_error *to_itself(struct scene *s)
{
    YOKE_TRY(yoke_find("root", &s->portal));
    uint32_t gates = opened_gates;
    yoke_error *e = wait_in_sink(s, &(manner){READ, 0, gates + 1},
                                 &(struct wait_case){{.count = MANY / 10, .closes = true}, few_are_read});
    return yoke_portal_close(s->portal, e);
}
static yoke_error *root_that_serves(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_root_options root = {.modules = "flow,tree"};
    return with_actors(&s, &(yoke_actors_options){.root = &root}, to_itself);
}
static void test_ovr_10_to_oneself(void **state)
{
    assert_success(yoke_run(root_that_serves, NULL, NULL));
}

/* Several tasks send, and each of them goes on. */
static yoke_error *send_some(void *arg)
{
    struct scene *s = arg;
    for (uint32_t i = 0; i < FEW; i++)
        YOKE_TRY(yoke_send(s->stream, &i));
    return NULL;
}
static yoke_error *take_back(struct scene *s, uint32_t count)
{
    uint32_t item;
    for (uint32_t i = 0; i < count; i++)
        YOKE_TRY(yoke_recv(s->stream, &item));
    return NULL;
}
static yoke_error *three_send(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_spawn(&n, send_some, s);
    return yoke_nursery_close(&n, e ? e : take_back(s, 3 * FEW));
}
static yoke_error *with_patient_stream(struct scene *s)
{
    return with_stream(s, &patient, three_send);
}
static yoke_error *several_send(struct scene *s)
{
    return with_context(s, "flow:echo", NULL, with_patient_stream);
}
static void test_ovr_10_several_tasks_send(void **state)
{
    assert_success(tree_with_child("flow", several_send, NULL));
}

struct subscriber {
    struct scene *s;
    yoke_stream_subscriber end;
    uint32_t count;
};
static yoke_error *read_subscribed(void *arg)
{
    struct subscriber *r = arg;
    uint32_t item;
    yoke_error *e;
    for (; !(e = yoke_stream_next(&r->end, &item)); r->count++) {
        CHECK(item == r->count);
        if (r->count % 32 == 0)
            YOKE_TRY(yoke_sleep(0));
    }
    return yoke_end_is_fine(e);
}
static yoke_error *two_subscribe(struct scene *s)
{
    struct subscriber a = {.s = s}, b = {.s = s};
    yoke_nursery n;
    YOKE_TRY(far_side_waits(s));
    YOKE_TRY(yoke_stream_subscribe(s->stream, &a.end, &(yoke_subscribe_options){.keep = 5000}));
    YOKE_TRY(yoke_stream_subscribe(s->stream, &b.end, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, read_subscribed, &a);
    if (!e)
        e = yoke_spawn(&n, read_subscribed, &b);
    e = yoke_nursery_close(&n, e);
    yoke_stream_unsubscribe(&a.end);
    yoke_stream_unsubscribe(&b.end);
    YOKE_TRY(e);
    CHECK(a.count == 5000 && b.count == 5000);
    return NULL;
}
static yoke_error *subscribed(struct scene *s)
{
    return with_trickle(s, 5000, two_subscribe);
}
static void test_ovr_10_subscribers(void **state)
{
    assert_success(tree_with_child("flow", subscribed, NULL));
}

/* ---- what is said, and to whom ---- */

/* The near side sends FEW messages in a context that the test serves. */
struct duet {
    struct raw_peer raw;
    struct scene s;
    char cid[40];
    uint32_t done;
    yoke_error *(*far)(struct duet *d);
    yoke_error *(*near)(struct scene *s);
    bool knows; /* the far side, of credits */
};
static yoke_error *send_few(struct scene *s)
{
    struct duet *d = s->arg;
    return send_run(s->stream, FEW, &d->done);
}
static yoke_error *near_stream(struct scene *s)
{
    struct duet *d = s->arg;
    return with_stream(s, &patient, d->near);
}
static yoke_error *near_task(void *arg)
{
    struct duet *d = arg;
    return with_context(&d->s, "flow:echo", NULL, near_stream);
}
static yoke_error *say_credit(struct duet *d, uint64_t count)
{
    return channel_send(d->raw.far,
                        &(struct msg){.type = MSG_CREDIT, .cid = text_view(d->cid), .credit = {count}});
}
static yoke_error *far_begin(struct duet *d)
{
    struct msg m;
    static const uint8_t nil[] = {0xc0};
    HEAR(&d->raw, MSG_START, NULL, &m);
    CHECK(!m.start.yoke.data);
    snprintf(d->cid, sizeof d->cid, "%.*s", (int)m.cid.size, m.cid.data);
    YOKE_TRY(raw_say(&d->raw, MSG_START_ACK, d->cid));
    YOKE_TRY(channel_send(
        d->raw.far, &(struct msg){.type = MSG_STARTED, .cid = text_view(d->cid), .pld = {nil, sizeof nil}}));
    return d->far(d);
}
static yoke_error *duet_app(void *arg)
{
    struct duet *d = arg;
    yoke_nursery n;
    YOKE_TRY(raw_open(&d->raw, NULL));
    d->raw.peer->channel->peer_has_credits = d->knows;
    d->s.portal = &d->raw.peer->portal;
    d->s.arg = d;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, near_task, d);
    return raw_close(&d->raw, yoke_nursery_close(&n, e ? e : far_begin(d)));
}

static yoke_error *hear_yields(struct duet *d, uint32_t count)
{
    struct msg m;
    for (uint32_t i = 0; i < count; i++)
        HEAR(&d->raw, MSG_YIELD, d->cid, &m);
    return NULL;
}
static yoke_error *say_end(struct duet *d)
{
    static const uint8_t nil[] = {0xc0};
    return channel_send(d->raw.far,
                        &(struct msg){.type = MSG_RETURN, .cid = text_view(d->cid), .pld = {nil, 1}});
}
static yoke_error *hear_what_was_agreed(struct duet *d)
{
    struct msg m;
    HEAR(&d->raw, MSG_CREDIT, d->cid, &m);
    CHECK(m.credit.count == 0);
    YOKE_TRY(hear_yields(d, CREDIT_FIRST));
    YOKE_TRY(raw_silence(&d->raw));
    YOKE_TRY(say_credit(d, 1));
    YOKE_TRY(hear_yields(d, 1));
    YOKE_TRY(raw_silence(&d->raw));
    YOKE_TRY(say_credit(d, UINT64_MAX)); /* as good as no bound */
    YOKE_TRY(say_credit(d, FEW / 3));    /* and no less with these */
    YOKE_TRY(hear_yields(d, FEW - CREDIT_FIRST - 1));
    HEAR(&d->raw, MSG_STOP, d->cid, &m);
    return say_end(d);
}
/* A peer that has not said that it knows of credits sees nothing of them. */
static yoke_error *hear_nothing_new(struct duet *d)
{
    struct msg m;
    YOKE_TRY(hear_yields(d, FEW));
    HEAR(&d->raw, MSG_STOP, d->cid, &m);
    return say_end(d);
}
static void test_ovr_10_only_between_two_that_agreed(void **state)
{
    assert_success(
        tree_run(duet_app, &(struct duet){.far = hear_what_was_agreed, .near = send_few, .knows = true}));
    assert_success(tree_run(duet_app, &(struct duet){.far = hear_nothing_new, .near = send_few}));
}

/* A send that was cancelled before its message went has cost nothing. */
static yoke_error *send_cancelled(struct scene *s)
{
    yoke_scope scope;
    YOKE_TRY(yoke_scope_open(&scope));
    yoke_scope_cancel(&scope, "before it begins");
    yoke_error *e = yoke_send(s->stream, &(uint32_t){0});
    CHECK(yoke_error_is_cancelled(e));
    return yoke_scope_close(&scope, e);
}
static yoke_error *send_cancelled_and_few(struct scene *s)
{
    for (int i = 0; i < FEW; i++)
        YOKE_TRY(send_cancelled(s));
    return send_few(s);
}
static void test_ovr_10_a_cancelled_send_costs_nothing(void **state)
{
    assert_success(
        tree_run(duet_app,
                 &(struct duet){.far = hear_what_was_agreed, .near = send_cancelled_and_few, .knows = true}));
}

/* It sends more than it was given: that is an overrun, whoever it is. */
static yoke_error *say_too_many(struct duet *d)
{
    struct msg m;
    HEAR(&d->raw, MSG_CREDIT, d->cid, &m);
    YOKE_TRY(say_credit(d, 0));
    for (int i = 0; i < CREDIT_FIRST + 1; i++)
        YOKE_TRY(raw_say(&d->raw, MSG_YIELD, d->cid));
    HEAR(&d->raw, MSG_ERROR, d->cid, &m);
    CHECK(text_view_is(m.error.boxed_type, "StreamOverrun"));
    return say_end(d);
}
static yoke_error *sit(struct scene *s)
{
    while (!yoke_context_has_ended(s->ctx))
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}
/* Half of the room is given back when it is free, and again. */
static yoke_error *hear_credits(struct duet *d)
{
    struct msg m;
    HEAR(&d->raw, MSG_CREDIT, d->cid, &m);
    YOKE_TRY(say_credit(d, 0));
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CREDIT_FIRST / 2; i++)
            YOKE_TRY(raw_say(&d->raw, MSG_YIELD, d->cid));
        HEAR(&d->raw, MSG_CREDIT, d->cid, &m);
        CHECK(m.credit.count == CREDIT_FIRST / 2);
    }
    return say_end(d);
}
static yoke_error *receive_all(struct scene *s)
{
    uint32_t item;
    yoke_error *e;
    while (!(e = yoke_recv(s->stream, &item)))
        ;
    return yoke_end_is_fine(e);
}
static void test_ovr_10_what_a_reader_gives(void **state)
{
    assert_success(tree_run(duet_app, &(struct duet){.far = say_too_many, .near = sit, .knows = true}));
    assert_success(
        tree_run(duet_app, &(struct duet){.far = hear_credits, .near = receive_all, .knows = true}));
}

/* A Credit from a peer that knows of none: a message against the protocol. */
static yoke_error *say_credit_unasked(struct duet *d)
{
    return say_credit(d, 1);
}
static void test_ovr_10_a_credit_that_was_not_agreed(void **state)
{
    char before[256];
    snprintf(before, sizeof before, "%s", yoke_log_filter());
    assert_null(yoke_log_set("error"));
    assert_error_text(tree_run(duet_app, &(struct duet){.far = say_credit_unasked, .near = sit}), &YOKE_GROUP,
                      "does not know of credits");
    assert_null(yoke_log_set(before));
}

TREE_MAIN(TEST(test_ovr_10_a_send_waits_for_a_slow_reader), TEST(test_ovr_10_the_endpoint_s_sends_wait),
          TEST(test_ovr_10_one_way_streams), TEST(test_ovr_10_a_waiting_send_is_cancelled),
          TEST(test_ovr_10_how_a_waiting_send_ends), TEST(test_ovr_10_a_context_ends_under_a_waiting_send),
          TEST(test_ovr_10_the_reader_dies), TEST(test_ovr_10_with_other_buffers),
          TEST(test_ovr_10_to_oneself), TEST(test_ovr_10_several_tasks_send), TEST(test_ovr_10_subscribers),
          TEST(test_ovr_10_a_cancelled_send_costs_nothing), TEST(test_ovr_10_only_between_two_that_agreed),
          TEST(test_ovr_10_what_a_reader_gives), TEST(test_ovr_10_a_credit_that_was_not_agreed))
