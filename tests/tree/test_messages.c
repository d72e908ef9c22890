/*
 * Messages that nobody expects: the tests and the endpoints here speak past the contexts, on the channel
 * itself. Whatever comes in a dialog does what the table says (dialog.h), late messages are dropped, and only
 * who has started a task may cancel it. Then: many contexts on one channel.
 */
#include "tree.h"

#include "actor/context.h"
#include "actor/relay.h"
#include "base/memory.h"
#include "msg/record.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

YOKE_RECORD(word, (str, text));
YOKE_RECORD(nap, (i64, ns));
YOKE_RECORD(number, (u32, n));
YOKE_RECORD(injection, (str, cid), (u32, event), (u32, times));

/* ---- what is sent ---- */

/* The message of an event of the table; DIALOG_LOST has none. */
static yoke_error *inject_one(struct peer *peer, const char *cid, enum dialog_event event)
{
    static const enum msg_type types[] = {
        [DIALOG_START_ACK] = MSG_START_ACK, [DIALOG_STARTED] = MSG_STARTED,
        [DIALOG_YIELD] = MSG_YIELD,         [DIALOG_STOP] = MSG_STOP,
        [DIALOG_RETURN] = MSG_RETURN,       [DIALOG_CANCEL_ACK] = MSG_CANCEL_ACK,
        [DIALOG_CREDIT] = MSG_CREDIT,
    };
    static const uint8_t yes[] = {0xc3}; /* msgpack's true: what a CancelAck has to carry */
    if (event == DIALOG_ERROR || event == DIALOG_REFUSED) {
        yoke_error *e = yoke_raise(&APP_K, "made up");
        relay_post(peer, text_view(cid), e, event == DIALOG_REFUSED ? &peer->actor->uid : NULL);
        yoke_error_free(e);
        return NULL;
    }
    struct msg m = {.type = types[event], .cid = text_view(cid)};
    if (m.type == MSG_START_ACK)
        m.start_ack.functype = MSG_FUNC_CONTEXT;
    else if (m.type == MSG_CREDIT)
        m.credit.count = 1;
    else if (m.type != MSG_STOP)
        m.pld = (struct raw_view){yes, sizeof yes};
    return channel_send(peer->channel, &m);
}
static yoke_error *inject(struct peer *peer, const injection *what)
{
    for (uint32_t i = 0; i < what->times; i++)
        YOKE_TRY(inject_one(peer, what->cid, (enum dialog_event)what->event));
    return NULL;
}

/* ---- endpoints ---- */

static yoke_error *inject_up(const injection *args, yoke_type_none *result)
{
    return inject(actor_here()->parent, args);
}
static yoke_error *state_of(const word *args, yoke_type_i32 *result)
{
    struct table_node *node = table_find(&actor_here()->parent->served, args->text, strlen(args->text));
    *result = node ? (int32_t)container_of(node, struct yoke_context, in_peer)->state : -1;
    return NULL;
}
static yoke_error *say(yoke_context *ctx, const word *args, word *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    result->text = strdup(args->text);
    return NULL;
}
static yoke_error *work(yoke_context *ctx, const nap *args, word *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_sleep(args->ns));
    result->text = strdup("yo");
    return NULL;
}
/* Stays before its first value, or behind it. */
static yoke_error *linger(yoke_context *ctx, const number *args, yoke_type_none *result)
{
    if (args->n)
        YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep(YOKE_S(100));
}
static yoke_error *once(yoke_context *ctx, const number *args, number *result)
{
    yoke_stream *stream;
    number item;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = yoke_recv(stream, &item);
    if (!e)
        e = yoke_send(stream, &(number){item.n + 1});
    result->n = args->n * 2;
    return yoke_stream_close(stream, e);
}
static yoke_error *live(const yoke_type_none *args, yoke_type_u64 *result)
{
    *result = memory_live();
    return NULL;
}

YOKE_RECORD(task_of, (str, cid));

/* Asks this actor's parent to cancel a task that somebody else has started there. */
static yoke_error *steal(const word *args, yoke_type_none *result)
{
    struct yoke_context *request;
    struct buffer kwargs = BUFFER_EMPTY;
    YOKE_TRY(record_encode_args(&kwargs, &yoke_record_task_of, &(task_of){args->text}));
    yoke_error *e = context_new(&request, actor_here()->parent, "self:_cancel_task", DIALOG_IS_CALL);
    if (!e) {
        e = context_send_start(request, text_view("self"), text_view("_cancel_task"), &kwargs, true);
        while (!e && request->state != DIALOG_DONE)
            e = context_wait(request);
        if (!e && request->remote)
            e = context_remote_error(request);
        context_free(request);
    }
    buffer_free(&kwargs);
    return e;
}
static yoke_error *call_thief(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "thief", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    return yoke_call(s->portal, "ends:steal", s->arg, NULL);
}
/* The actor below it tries that with a task of this one. */
static yoke_error *keep_thief(const word *args, yoke_type_none *result)
{
    struct scene s = {.arg = (word *)args};
    return with_actors(&s, NULL, call_thief);
}

YOKE_MODULE(ends, YOKE_CALL(inject_up, injection, none), YOKE_CALL(state_of, word, i32),
            YOKE_CONTEXT(say, word, none, word), YOKE_CONTEXT(work, nap, none, word),
            YOKE_CONTEXT(linger, number, none, none),
            YOKE_CONTEXT_STREAM(once, number, none, number, number, number), YOKE_CALL(live, none, u64),
            YOKE_CALL(steal, word, none), YOKE_CALL(keep_thief, word, none));

/* ---- what the trees write ---- */

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)); text++)
        n++;
    return n;
}

static char written[1 << 20];

/* Runs it in a tree that logs from `level` on; what the tree wrote is in `written`. */
static void run_logging(const char *level, scene_fn fn)
{
    struct tree_child c = {"ends", fn, {0}};
    char before[256];
    snprintf(before, sizeof before, "%s", yoke_log_filter());
    assert_null(yoke_log_set(level));
    int status = tree_status(tree_child_app, &c, written, sizeof written);
    assert_null(yoke_log_set(before));
    if (status)
        fputs(written, stderr);
    assert_int_equal(status, 0);
}

/* ---- who may cancel ---- */

static yoke_error *call_for_thief(struct scene *s)
{
    return yoke_call(s->portal, "ends:keep_thief", &(word){s->ctx->cid}, NULL);
}
static yoke_error *have_it_stolen(struct scene *s)
{
    EXPECT(call_for_thief(s), &YOKE_REMOTE, "may not cancel this task");
    word result;
    YOKE_TRY(yoke_context_result(s->ctx, &result)); /* it goes on */
    bool same = strcmp(result.text, "yo") == 0;
    word_free(&result);
    CHECK(same);
    return NULL;
}
static yoke_error *open_for_thief(struct scene *s)
{
    return with_context(s, "ends:work", &(nap){YOKE_MS(700)}, have_it_stolen);
}
static void test_ctx_35_only_the_owner_may_cancel_a_task(void **state)
{
    run_logging("warning", open_for_thief);
    assert_int_equal(count_of(written, "actor `thief` may not cancel the task"), 1);
    assert_non_null(strstr(written, "actor `root` has started it"));
}

/* ---- messages for dialogs that are over, or never were ---- */

static const enum dialog_event late[] = {DIALOG_YIELD, DIALOG_STOP, DIALOG_RETURN, DIALOG_ERROR};
enum { LATE = sizeof late / sizeof late[0] };

static yoke_error *note_cid(struct scene *s)
{
    snprintf(s->arg, 37, "%s", s->ctx->cid);
    return NULL;
}
static yoke_error *send_late(struct scene *s)
{
    char cid[37];
    s->arg = cid;
    YOKE_TRY(with_context(s, "ends:say", &(word){"x"}, note_cid));
    for (int i = 0; i < LATE; i++) {
        injection what = {cid, late[i], 1};
        YOKE_TRY(yoke_call(s->portal, "ends:inject_up", &what, NULL));
        YOKE_TRY(inject(s->portal->peer, &what));
    }
    return yoke_call(s->portal, "tree:ping", NULL, NULL); /* the channel lives */
}
static void test_ctx_36_late_messages(void **state)
{
    static const char *const names[LATE] = {"Yield", "Stop", "Return", "Error"};
    run_logging("runtime", send_late);
    for (int i = 0; i < LATE; i++) {
        char up[100], down[100];
        snprintf(up, sizeof up, "dropped a %s of actor `worker` for a dialog that is over", names[i]);
        snprintf(down, sizeof down, "dropped a %s of actor `root` for a dialog that is over", names[i]);
        assert_int_equal(count_of(written, up), 1);
        /* The root's own Stop, of its close, may meet the worker's end on the way. */
        int own = late[i] == DIALOG_STOP && count_of(written, down) == 2;
        assert_int_equal(count_of(written, down), 1 + own);
    }
    assert_null(strstr(written, "never was"));
    run_logging("warning", send_late);
    assert_string_equal(written, "");
}

static yoke_error *send_unknown(struct scene *s)
{
    injection what = {"00000000-0000-4000-8000-000000000000", DIALOG_YIELD, 2500};
    YOKE_TRY(yoke_call(s->portal, "ends:inject_up", &what, NULL));
    what = (injection){what.cid, DIALOG_STOP, 1};
    return yoke_call(s->portal, "ends:inject_up", &what, NULL);
}
static void test_ctx_37_unknown_dialogs(void **state)
{
    run_logging("warning", send_unknown);
    assert_int_equal(count_of(written, "dropped a Yield of actor `worker` for a dialog that never was"),
                     999 + 2);
    assert_non_null(strstr(written, "2000 by now; the next line comes after 1000 more"));
    assert_null(strstr(written, "Stop")); /* it falls under what is left out */
}

/* ---- every message in every state ---- */

struct pair {
    enum dialog_state state;
    enum dialog_event event;
};

static yoke_error *inject_in_opener(struct scene *s)
{
    const struct pair *p = s->arg;
    struct yoke_context *ctx;
    static const yoke_endpoint endpoint = {.name = "made_up"};
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    /* A dialog that nobody serves: all that comes in it is made up. */
    YOKE_TRY(context_new(&ctx, s->portal->peer, "ends:made_up", DIALOG_IS_CONTEXT));
    ctx->endpoint = &endpoint;
    ctx->state = p->state;
    struct dialog_step step = dialog_step(DIALOG_IS_CONTEXT, p->state, p->event);
    injection what = {ctx->cid, p->event, 1};
    yoke_error *e = yoke_call(s->portal, "ends:inject_up", &what, NULL);
    bool breaks = step.action == DIALOG_BREAK;
    bool fits = breaks ? yoke_error_is(e, &YOKE_TRANSPORT_CLOSED) && ctx->state == DIALOG_DONE
                       : !e && ctx->state == step.next;
    fits = fits && (ctx->inbox_count == 1) == (step.action == DIALOG_QUEUE) &&
           ctx->has_result == (step.action == DIALOG_TAKE_RESULT) &&
           (buffer_size(&ctx->first) > 0) == (step.action == DIALOG_TAKE_FIRST);
    bool fails = step.action == DIALOG_TAKE_ERROR || step.action == DIALOG_FAIL_BODY || breaks;
    fits = fits && fails == (ctx->remote != NULL);
    if (!fits)
        fprintf(stderr, "# event %d in state `%s`\n", (int)p->event, dialog_state_name(p->state));
    context_free(ctx);
    yoke_error_free(e);
    CHECK(fits);
    return NULL;
}
static yoke_error *opener_pair(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_error *e = with_actors(&s, NULL, inject_in_opener);
    if (!yoke_error_find(e, &CHECK_FAILED)) { /* a child whose channel broke may fail by that */
        yoke_error_free(e);
        e = NULL;
    }
    return e;
}
static void each_pair_of_the_opener(void)
{
    static const enum dialog_state states[] = {DIALOG_STARTING, DIALOG_ACKED, DIALOG_OPEN, DIALOG_DONE};
    char before[256];
    snprintf(before, sizeof before, "%s", yoke_log_filter());
    assert_null(yoke_log_set("critical"));
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        for (int event = 0; event < DIALOG_LOST; event++) {
            struct pair p = {states[i], (enum dialog_event)event};
            assert_success(tree_run(opener_pair, &p));
        }
    assert_null(yoke_log_set(before));
}

/* In the child: what has come is in its dialog before a later call's answer is here. */
static yoke_error *state_there(struct scene *s, int32_t *state)
{
    return yoke_call(s->portal, "ends:state_of", &(word){s->ctx->cid}, state);
}
static yoke_error *inject_in_endpoint(struct scene *s)
{
    const struct pair *p = s->arg;
    int32_t before, after;
    struct dialog_step step = dialog_step(DIALOG_IS_CONTEXT, p->state, p->event);
    YOKE_TRY(state_there(s, &before));
    injection what = {s->ctx->cid, p->event, 1};
    YOKE_TRY(inject(s->portal->peer, &what));
    YOKE_TRY(state_there(s, &after));
    /* A task that fails has ended meanwhile, and its dialog is gone. */
    bool fails = step.action == DIALOG_FAIL_TASK;
    CHECK(before == (int32_t)p->state && (after == (int32_t)step.next || (fails && after < 0)));
    return NULL;
}
static yoke_error *endpoint_pairs(struct scene *s)
{
    for (int event = 0; event < DIALOG_LOST; event++) {
        struct pair p = {DIALOG_SERVED_OPEN, (enum dialog_event)event};
        s->arg = &p;
        yoke_context_options options = {.cancel_on_close = true};
        YOKE_TRY(yoke_context_open_with(s->portal, &s->ctx, "ends:linger", &(number){1}, NULL, &options));
        yoke_error *e = yoke_context_close(s->ctx, inject_in_endpoint(s));
        if (event == DIALOG_ERROR || event == DIALOG_REFUSED)
            EXPECT(e, &YOKE_REMOTE, "made up"); /* and so it comes back */
        else
            YOKE_TRY(e);
    }
    return NULL;
}

/* ---- every call at every place ---- */

/* A dialog that stands there; nobody serves it. */
static yoke_error *stand(struct yoke_context **out, struct peer *peer, enum dialog_standing at)
{
    static const yoke_endpoint endpoint = {.name = "made_up",
                                           .args = &yoke_record_none,
                                           .started = &yoke_record_none,
                                           .result = &yoke_record_none,
                                           .down = &yoke_record_none,
                                           .up = &yoke_record_none};
    bool served = at >= DIALOG_AT_SERVED && at <= DIALOG_AT_SERVED_FAILED;
    if (served)
        YOKE_TRY(context_new_served(out, peer, text_view("made up"), "ends:made_up"));
    else
        YOKE_TRY(context_new(out, peer, "ends:made_up", DIALOG_IS_CONTEXT));
    struct yoke_context *ctx = *out;
    ctx->endpoint = &endpoint;
    ctx->state = at == DIALOG_AT_OPENING  ? DIALOG_STARTING
                 : at == DIALOG_AT_SERVED ? DIALOG_SERVED
                 : served                 ? DIALOG_SERVED_OPEN
                 : at == DIALOG_AT_FAILED || (at >= DIALOG_AT_DONE && at <= DIALOG_AT_DONE_NEAR_CLOSED)
                     ? DIALOG_DONE
                     : DIALOG_OPEN;
    ctx->stream.opened = at == DIALOG_AT_STREAMING || at == DIALOG_AT_FAR_CLOSED ||
                         at == DIALOG_AT_NEAR_CLOSED || at == DIALOG_AT_DONE_STREAMING ||
                         at == DIALOG_AT_DONE_NEAR_CLOSED || at == DIALOG_AT_SERVED_STREAMING ||
                         at == DIALOG_AT_SERVED_FAR_CLOSED || at == DIALOG_AT_SERVED_NEAR_CLOSED;
    ctx->stream.ended = at == DIALOG_AT_FAR_CLOSED || at == DIALOG_AT_SERVED_FAR_CLOSED;
    ctx->stream.closed =
        at == DIALOG_AT_NEAR_CLOSED || at == DIALOG_AT_DONE_NEAR_CLOSED || at == DIALOG_AT_SERVED_NEAR_CLOSED;
    ctx->cancel_called = at == DIALOG_AT_CANCELLING || at == DIALOG_AT_SERVED_CANCELLING;
    ctx->draining = at == DIALOG_AT_DRAINING;
    ctx->closed = at == DIALOG_AT_CLOSED;
    ctx->kept = 1;
    if (at == DIALOG_AT_REFUSED || at == DIALOG_AT_FAILED || at == DIALOG_AT_SERVED_FAILED)
        ctx->remote = yoke_raise(&APP_K, "made up");
    if (ctx->state == DIALOG_DONE && !ctx->remote && !buffer_append(&ctx->result, "\xc0", 1)) /* nil */
        return yoke_raise(&YOKE_NO_MEMORY, "a result");
    return NULL;
}

/* The call, for no time at all. */
static yoke_error *call_there(struct yoke_context *ctx, enum dialog_call call)
{
    yoke_stream *stream = &ctx->stream;
    switch (call) {
    case DIALOG_CALLS_STARTED:
        return yoke_context_started(ctx, NULL);
    case DIALOG_CALLS_STREAM_OPEN:
        return yoke_stream_open(ctx, &stream, NULL);
    case DIALOG_CALLS_SEND:
        return yoke_send(stream, NULL);
    case DIALOG_CALLS_RECEIVE:
        return yoke_recv(stream, NULL);
    case DIALOG_CALLS_STREAM_CLOSE:
        return yoke_stream_close(stream, NULL);
    case DIALOG_CALLS_CANCEL:
        return yoke_context_cancel(ctx);
    case DIALOG_CALLS_RESULT:
        return yoke_context_result(ctx, NULL);
    case DIALOG_CALLS_CLOSE:
    case DIALOG_CALLS_FAIL:
    case DIALOG_CALLS:
        break;
    }
    return NULL;
}

static bool answered(const struct yoke_context *ctx, const yoke_error *e, enum dialog_call call,
                     enum dialog_answer answer)
{
    switch (answer) {
    case DIALOG_NOTHING:
        return !e && !ctx->cancel_sent && !ctx->stream.stop_sent;
    case DIALOG_WRONG_SIDE:
    case DIALOG_TOO_EARLY:
    case DIALOG_TOO_LATE:
    case DIALOG_AGAIN:
        return yoke_error_is(e, &YOKE_USAGE);
    case DIALOG_IS_CLOSED:
        return yoke_error_is(e, &YOKE_CLOSED);
    case DIALOG_IS_AT_END:
        return yoke_error_is(e, &YOKE_END_OF_CHANNEL);
    case DIALOG_HAS_FAILED:
        return yoke_error_is(e, &APP_K);
    default: /* it is done, or waits */
        break;
    }
    if (call == DIALOG_CALLS_RECEIVE && (ctx->stream.ended || ctx->state == DIALOG_DONE))
        return yoke_error_is(e, &YOKE_END_OF_CHANNEL);
    if (call == DIALOG_CALLS_RESULT && ctx->closed)
        return yoke_error_is(e, &YOKE_CLOSED); /* it had not ended */
    if (call == DIALOG_CALLS_RESULT && ctx->remote)
        return yoke_error_is(e, &APP_K);
    return !e || yoke_error_is_cancelled(e);
}

static yoke_error *call_at(struct peer *peer, enum dialog_standing at, enum dialog_call call)
{
    struct yoke_context *ctx;
    yoke_scope no_time;
    YOKE_TRY(stand(&ctx, peer, at));
    enum dialog_answer answer = dialog_answer(at, call);
    bool fits = context_standing(ctx) == at;
    yoke_error *e = NULL;
    /* An opener's cancel waits for an answer that nobody gives. */
    if (call != DIALOG_CALLS_CANCEL || !ctx->is_opener || answer != DIALOG_DO) {
        YOKE_TRY(yoke_move_on_after(&no_time, YOKE_MS(2)));
        e = call_there(ctx, call);
        fits = fits && answered(ctx, e, call, answer);
        e = yoke_scope_close(&no_time, e);
    }
    if (!fits)
        fprintf(stderr, "# call %d at `%s`: %s\n", (int)call, dialog_standing_name(at),
                e ? yoke_error_message(e) : "no error");
    yoke_error_free(e);
    context_free(ctx);
    CHECK(fits);
    return NULL;
}
static yoke_error *call_everywhere(struct scene *s)
{
    for (int at = 0; at < DIALOG_STANDINGS; at++)
        for (int call = 0; call < DIALOG_CALLS_CLOSE; call++)
            YOKE_TRY(call_at(s->portal->peer, (enum dialog_standing)at, (enum dialog_call)call));
    return NULL;
}
/* CTX-44: what the ends of a body do is in test_context.c */
static void test_each_call_at_each_place(void **state)
{
    run_logging("critical", call_everywhere);
}

/* CTX-44: the rest of it is in tests/actor/test_dialog.c */
static void test_each_message_in_each_state(void **state)
{
    each_pair_of_the_opener();
    assert_success(tree_with_child("ends", endpoint_pairs, NULL));
}

/* ---- many ---- */

enum { MANY = TREE_SLOW > 3 ? 2000 : 10000 };

struct many {
    struct scene *scene;
    size_t open;
    yoke_event all, *turns; /* each closes in its turn, in a random order */
};
struct one {
    struct many *many;
    uint32_t i;
};

static yoke_error *exchange(struct many *m, struct scene *s, uint32_t i)
{
    number item;
    YOKE_TRY(yoke_send(s->stream, &(number){i}));
    YOKE_TRY(yoke_recv(s->stream, &item));
    CHECK(item.n == i + 1);
    if (++m->open == MANY)
        yoke_event_set(&m->all);
    YOKE_TRY(yoke_event_wait(&m->turns[i]));
    number result;
    YOKE_TRY(yoke_context_result(s->ctx, &result));
    CHECK(result.n == i * 2);
    return NULL;
}
static yoke_error *one_of_many(void *arg)
{
    struct one *o = arg;
    struct scene s = {.portal = o->many->scene->portal};
    YOKE_TRY(yoke_context_open(s.portal, &s.ctx, "ends:once", &(number){o->i}, NULL));
    yoke_error *e = yoke_stream_open(s.ctx, &s.stream, NULL);
    if (!e)
        e = yoke_stream_close(s.stream, exchange(o->many, &s, o->i));
    return yoke_context_close(s.ctx, e);
}
static yoke_error *close_in_random_order(struct many *m)
{
    static uint32_t order[MANY];
    uint64_t random = 88172645463325252u; /* Marsaglia's xorshift64 */
    YOKE_TRY(yoke_event_wait(&m->all));
    CHECK(m->scene->portal->peer->opened.count == MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint32_t k = (uint32_t)(random % (i + 1));
        order[i] = order[k];
        order[k] = i;
    }
    for (uint32_t i = 0; i < MANY; i++) {
        yoke_event_set(&m->turns[order[i]]);
        if (i % 64 == 0)
            YOKE_TRY(yoke_sleep(0));
    }
    return NULL;
}
static yoke_error *open_many(struct scene *s)
{
    static yoke_event turns[MANY];
    struct many m = {.scene = s, .turns = turns};
    yoke_nursery n;
    yoke_event_init(&m.all);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (uint32_t i = 0; i < MANY && !e; i++) {
        yoke_event_init(&turns[i]);
        e = yoke_spawn_value(&n, one_of_many, &((struct one){&m, i}), sizeof(struct one));
    }
    if (!e)
        e = close_in_random_order(&m);
    return yoke_nursery_close(&n, e);
}
/* Each side's pieces of memory, when neither changes any more: what ends here may still be ending there. */
static yoke_error *count_memory(struct scene *s, uint64_t *here, uint64_t *there)
{
    uint64_t before[2] = {0}, now[2];
    for (int equal = 0, i = 0; equal < 3 && i < 500; i++) {
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
        YOKE_TRY(yoke_call(s->portal, "ends:live", NULL, &now[1]));
        now[0] = memory_live();
        equal = memcmp(before, now, sizeof now) == 0 ? equal + 1 : 0;
        memcpy(before, now, sizeof now);
    }
    *here = before[0];
    *there = before[1];
    return NULL;
}
static yoke_error *many_contexts(struct scene *s)
{
    uint64_t there[2], here[2];
    for (int i = 0; i < 2; i++) { /* the first time pools and tables grow */
        YOKE_TRY(open_many(s));
        YOKE_TRY(count_memory(s, &here[i], &there[i]));
    }
    if (here[0] != here[1] || there[0] != there[1])
        return yoke_raise(&CHECK_FAILED, "pieces here: %llu, then %llu; there: %llu, then %llu",
                          (unsigned long long)here[0], (unsigned long long)here[1],
                          (unsigned long long)there[0], (unsigned long long)there[1]);
    CHECK(s->portal->peer->opened.count == 0);
    return NULL;
}
static void test_ctx_40_many_contexts_on_one_channel(void **state)
{
    assert_success(tree_with_child("ends", many_contexts, NULL));
}

TREE_MAIN(TEST(test_ctx_35_only_the_owner_may_cancel_a_task), TEST(test_ctx_36_late_messages),
          TEST(test_ctx_37_unknown_dialogs), TEST(test_each_message_in_each_state),
          TEST(test_each_call_at_each_place), TEST(test_ctx_40_many_contexts_on_one_channel))
