/*
 * Peers that break their channel in the middle of a stream, or say what they should not: one clear error on
 * the right side, that channel or that dialog ended, all else unharmed.
 *
 * What is said wrongly is put in by a proxy between two correct actors (proxy.h); `beside` is another child,
 * which must not notice.
 */
#include "fault.h"

#include "actor/peer.h"
#include "ipc/channel.h"

/* ---- beside ---- */

struct trouble {
    const char *name;
    struct proxy_plan plan;
    scene_fn dialog;
    const yoke_error_kind *kind; /* of the dialog's error; NULL: there is none */
    const char *text;
    unsigned warnings; /* in the log of the two */
    yoke_error *met;
};

static yoke_error *with_worker(struct scene *s)
{
    struct trouble *t = s->arg;
    yoke_actor_options options = {.modules = "faults", .log_filter = "info"};
    proxy_arm(&t->plan);
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &options, &s->portal));
    t->met = t->dialog(s);
    if (t->met &&
        yoke_portal_is_connected(s->portal)) /* the error was the dialog's alone: the channel goes on */
        return call(s);
    return t->met ? yoke_error_dup(t->met) : NULL;
}

/* The worker has a nursery of its own; its end is not beside's. */
static yoke_error *with_beside(struct scene *s)
{
    struct scene inner = {.arg = s->arg};
    YOKE_TRY(yoke_actors_start(s->actors, "beside", &(yoke_actor_options){.modules = "tree"}, &s->portal));
    yoke_error *e = with_actors(&inner, NULL, with_worker);
    yoke_error_free(yoke_call(s->portal, "tree:ping", NULL, NULL));
    yoke_error *alive = yoke_call(s->portal, "tree:ping", NULL, NULL);
    if (!alive)
        return e;
    yoke_error_free(e);
    return alive;
}

static yoke_error *beside_app(void *arg)
{
    struct scene s = {.arg = arg};
    return with_actors(&s, NULL, with_beside);
}

static const char *judge(const struct trouble *x, const struct told *t)
{
    if (!proxy.acted)
        return "nothing was put in";
    if (!x->kind)
        return t->error || x->met ? "an error of what does no harm" : NULL;
    if (!yoke_error_find(x->met, x->kind) || !says(x->met, x->text))
        return "the dialog's error is another one";
    if (yoke_error_is(x->met, &YOKE_TRANSPORT_CLOSED) && !(t->error && says(t->error, "actor `worker`")))
        return "the nursery's error does not name the actor";
    if (!yoke_error_is(x->met, &YOKE_TRANSPORT_CLOSED) && t->error)
        return "an error of one dialog ended more than that";
    return NULL;
}

static void try(struct trouble x)
{
    static struct told t;
    run_told(beside_app, &x, &t);
    proxy_disarm();
    const char *wrong = judge(&x, &t);
    unsigned warnings = times(t.log, " WARNING ");
    if (!wrong && warnings != x.warnings)
        wrong = "there are more warnings, or fewer";
    if (wrong) {
        fprintf(stderr, "# %s: %s (%s, %s)\n%s", x.name, wrong, x.met ? "an error" : "no error",
                t.error ? "the nursery's" : "none of the nursery's", t.log);
        if (x.met)
            yoke_error_print(stderr, x.met);
        if (t.error)
            yoke_error_print(stderr, t.error);
    }
    yoke_error_free(x.met);
    yoke_error_free(t.error);
    assert_null(wrong);
}

#define UP(message)   .plan = {.way = PROXY_UP, .type = (message),
#define DOWN(message) .plan = {.way = PROXY_DOWN, .type = (message),
#define BYTES(text)   .bytes = (text), .size = sizeof(text) - 1
#define SAY(message)  .say = (message), BYTES("\x07")

/* ---- messages out of turn ---- */

/* The child says what makes no sense: its channel ends, and the reason is told. FAULT-13 */
static void test_fault_13_messages_that_make_no_sense(void **state){
    static const struct trouble rows[] = {{"Yield before Started", UP(MSG_STARTED).deed = PROXY_BEFORE,
                                           SAY("Yield")},
                                          context_two_way,
                                          &YOKE_PROTOCOL,
                                          "a Yield for `faults:echo` which is accepted",
                                          1,
                                          NULL},
    {"Started twice", UP(MSG_STARTED).deed = PROXY_TWICE},
    context_two_way,
    &YOKE_PROTOCOL,
    "a Started for `faults:echo` which is open",
    1,
    NULL},
    {"StartAck twice", UP(MSG_START_ACK).deed = PROXY_TWICE}, context_two_way, &YOKE_PROTOCOL,
    "a StartAck for `faults:echo` which is accepted", 1, NULL
}
, {"Return before StartAck", UP(MSG_START_ACK).deed = PROXY_BEFORE, SAY("Return")}, call, &YOKE_PROTOCOL,
    "a Return for `faults:twice` which is starting", 1, NULL
}
, {"CancelAck for a context", UP(MSG_YIELD).deed = PROXY_BEFORE, .say = "CancelAck", BYTES("\xc3")},
    context_two_way, &YOKE_PROTOCOL, "a CancelAck for `faults:echo` which is open", 1, NULL
}
,
}
;
for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    try(rows[i]);
}

/* What crosses on the way, or comes late, is dropped. FAULT-12, FAULT-13 */
static void test_fault_12_messages_that_come_late(void **state){
    static const struct trouble rows[] =
        {{"Return twice", UP(MSG_RETURN).deed = PROXY_TWICE}, call, NULL, NULL, 0, NULL},
    {"Return of a context twice", UP(MSG_RETURN).deed = PROXY_TWICE},
    context_two_way,
    NULL,
    NULL,
    0,
    NULL},
    {"Yield after Return", UP(MSG_RETURN).deed = PROXY_AFTER, SAY("Yield")}, context_one_way, NULL, NULL,
    0, NULL
}
, {"Stop twice", UP(MSG_STOP).deed = PROXY_TWICE}, context_one_way, NULL, NULL, 0, NULL
}
, {"the parent's Stop twice", DOWN(MSG_STOP).deed = PROXY_TWICE}, context_two_way, NULL, NULL, 0, NULL
}
, {"a Return from the parent", DOWN(MSG_YIELD).deed = PROXY_BEFORE, SAY("Return")}, context_two_way, NULL,
    NULL, 0, NULL
}
,
}
;
for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    try(rows[i]);
}

static void test_a_second_start_under_one_id(void **state)
{
    try((struct trouble){"Start twice", DOWN(MSG_START) .deed = PROXY_TWICE}, context_two_way, &YOKE_USAGE,
                         "a second start under the id of a running task", 0, NULL});
}

/* ---- bytes that are no messages ---- */

#define NO_MESSAGE                                                                                           \
    "\x04\x00\x00\x00"                                                                                       \
    "abcd"
#define NO_TYPE  "\x0f\x00\x00\x00\x81\xa8msg_type\xa4Nope"
#define TOO_LONG "\xff\xff\xff\xff"

/* FAULT-09: one warning that names the peer, on the side that has read it */
static void test_fault_09_garbage_after_a_good_handshake(void **state){
    static const struct trouble rows[] = {{"not msgpack, to the parent", UP(MSG_YIELD).deed = PROXY_BEFORE,
                                           BYTES(NO_MESSAGE)},
                                          context_two_way,
                                          &YOKE_PROTOCOL,
                                          "the channel to actor `worker`",
                                          1,
                                          NULL},
    {"no message, to the parent", UP(MSG_STARTED).deed = PROXY_BEFORE, BYTES(NO_TYPE)},
    context_two_way,
    &YOKE_PROTOCOL,
    "unknown msg_type 'Nope'",
    1,
    NULL},
    {"nil, to the parent", UP(MSG_START_ACK).deed = PROXY_AFTER, BYTES("\x01\x00\x00\x00\xc0")}, call,
    &YOKE_PROTOCOL, "expected a map", 1, NULL
}
, {"not msgpack, to the child", DOWN(MSG_YIELD).deed = PROXY_BEFORE, BYTES(NO_MESSAGE)}, context_two_way,
    &YOKE_TRANSPORT_CLOSED, "the channel to actor `worker`", 1, NULL
}
, {"no message, to the child", DOWN(MSG_START).deed = PROXY_BEFORE, BYTES(NO_TYPE)}, call,
    &YOKE_TRANSPORT_CLOSED, "the channel to actor `worker`", 1, NULL
}
,
}
;
for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    try(rows[i]);
}

/* FAULT-10 */
static void test_fault_10_length_over_the_limit(void **state){
    static const struct trouble rows[] = {{"4 GiB to the parent", UP(MSG_STARTED).deed = PROXY_AFTER,
                                           BYTES(TOO_LONG)},
                                          context_two_way,
                                          &YOKE_PROTOCOL,
                                          "a frame of 4294967295 bytes is over the limit of 67108864",
                                          1,
                                          NULL},
    {"one byte too much, to the parent", UP(MSG_START_ACK).deed = PROXY_AFTER, BYTES("\x01\x00\x00\x04")},
    call,
    &YOKE_PROTOCOL,
    "a frame of 67108865 bytes is over the limit",
    1,
    NULL},
    {"4 GiB to the child", DOWN(MSG_YIELD).deed = PROXY_BEFORE, BYTES(TOO_LONG)}, context_two_way,
    &YOKE_TRANSPORT_CLOSED, "the channel to actor `worker`", 1, NULL
}
,
}
;
for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    try(rows[i]);
}

/* RELAY-11: an Error without a cid */
static void test_relay_11_the_peer_s_runtime_fails(void **state)
{
    static const uint8_t path[] = "\x91\x92\xa6"
                                  "worker"
                                  "\xa1"
                                  "u";
    struct msg m = {.type = MSG_ERROR};
    m.error.src_uid = (struct uid_view){text_view("worker"), text_view("u")};
    m.error.src_type = m.error.boxed_type = text_view("test.K");
    m.error.relay_path = (struct raw_view){path, sizeof path - 1};
    m.error.message = text_view("out of everything");
    struct buffer b = BUFFER_EMPTY;
    assert_success(msg_encode(&b, &m, &msg_limits_default));
    struct trouble x = {"Error without a cid", UP(MSG_STARTED).deed = PROXY_AFTER}, context_two_way, &APP_K,
                   "the peer's runtime failed: out of everything", 0, NULL
};
x.plan.bytes = buffer_begin(&b);
x.plan.size = buffer_size(&b);
try(x);
x.name = "the same, in a call";
x.dialog = call;
x.plan.type = MSG_START_ACK;
try(x);
buffer_free(&b);
}

/* ---- a frame that stalls, a channel that is slow ---- */

/* Only who is spoken to over it waits. */
static yoke_error *stalled_worker(struct scene *s)
{
    yoke_portal *beside = s->portal;
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "faults"}, &s->portal));
    yoke_scope scope;
    YOKE_TRY(yoke_move_on_after(&scope, YOKE_MS(100)));
    yoke_error *e = yoke_scope_close(&scope, call(s));
    CHECK(yoke_scope_cancelled_caught(&scope) && !e);
    for (int i = 0; i < 10; i++)
        YOKE_TRY(yoke_call(beside, "tree:ping", NULL, NULL));
    CHECK(yoke_portal_is_connected(s->portal));
    return NULL;
}

static yoke_error *stall(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "beside", &(yoke_actor_options){.modules = "tree"}, &s->portal));
    proxy_arm(s->arg);
    return stalled_worker(s);
}

static yoke_error *stall_app(void *arg)
{
    struct scene s = {.arg = arg};
    /* The one that is stalled upward has answered nobody when it ends. */
    return with_actors(&s, &(yoke_actors_options){.acknowledge_bound = YOKE_MS(200)}, stall);
}

/* FAULT-11: after the handshake */
static void test_a_stalled_frame_holds_its_own_channel_alone(void **state)
{
    for (int part = 0; part < PROXY_PARTS; part++) {
        struct proxy_plan plan = {
            .way = PROXY_UP, .type = MSG_RETURN, .deed = PROXY_STALL, .part = (enum proxy_part)part};
        yoke_error *e = tree_run(stall_app, &plan);
        proxy_disarm();
        assert_success(e);
        assert_true(proxy.acted);
    }
}

/* Beside is far faster than the worker, whose every frame takes its time; each channel keeps its order. */
static yoke_error *dialogs_of(void *arg)
{
    struct scene s = {.portal = arg};
    for (size_t i = 0; i < DIALOGS; i++)
        if (dialogs[i].fn != call_given_up)
            YOKE_TRY(dialogs[i].fn(&s));
    return NULL;
}

static yoke_error *delayed(struct scene *s)
{
    static const char *const names[] = {"slow", "fast", "faster"};
    yoke_portal *portals[3];
    for (int i = 0; i < 3; i++)
        YOKE_TRY(
            yoke_actors_start(s->actors, names[i], &(yoke_actor_options){.modules = "faults"}, &portals[i]));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_spawn(&n, dialogs_of, portals[i]);
    return yoke_nursery_close(&n, e);
}

/* FAULT-15 */
static void test_fault_15_one_channel_is_delayed(void **state)
{
    proxy_arm(&(struct proxy_plan){.delay_ms = 200 / DIALOGS});
    yoke_error *e = tree_with_actors(delayed, NULL);
    proxy_disarm();
    assert_success(e);
    assert_true(proxy.frames[PROXY_UP] > 20 && proxy.frames[PROXY_DOWN] > 20);
}

/* ---- a channel that its own side breaks ---- */

enum break_how { BREAK_NOT, BREAK_CLOSE, BREAK_SHUTDOWN };
enum { BREAK_NEVER = 1000000000, CHANNEL_FD = 3 };

YOKE_RECORD(breaking, (u64, after), (u8, how), (boolean, close_stream), (boolean, hang));

static void break_own_channel(const breaking *b)
{
    if (b->how == BREAK_CLOSE)
        close(CHANNEL_FD);
    else
        shutdown(CHANNEL_FD, SHUT_RDWR);
}

static yoke_error *hang(const breaking *b)
{
    if (b->hang)
        signal(SIGTERM, SIG_IGN);
    for (volatile bool on = b->hang; on;)
        ;
    return yoke_sleep_forever();
}

static yoke_error *send_and_break(const breaking *b, yoke_stream *stream)
{
    for (uint64_t i = 0; i < b->after; i++)
        YOKE_TRY(yoke_send(stream, &(number){i}));
    YOKE_TRY(yoke_sleep(YOKE_MS(5))); /* till all of it is on its way */
    if (b->close_stream)
        return NULL;
    break_own_channel(b);
    return hang(b);
}

static yoke_error *break_there(yoke_context *ctx, const breaking *b, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    if (!b->after) {
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
        break_own_channel(b);
        return hang(b);
    }
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_stream_close(stream, send_and_break(b, stream)));
    break_own_channel(b);
    return hang(b);
}
YOKE_MODULE(breaks, YOKE_CONTEXT_STREAM(break_there, breaking, none, none, none, number));

struct both {
    breaking there;
    uint64_t here_after; /* of the root's messages; 0: before it reads any */
    bool here_closes;
    bool interrupts; /* ctrl-c as soon as a side has broken it */
    yoke_error *met;
    uint64_t got;
};

static void break_here(const struct scene *s)
{
    shutdown(s->portal->peer->channel->fd, SHUT_RDWR);
}

static yoke_error *read_till_broken(struct scene *s)
{
    struct both *b = s->arg;
    for (;; b->got++) {
        number item;
        if (b->got == b->here_after) {
            if (b->here_closes)
                return NULL;
            break_here(s);
        }
        YOKE_TRY(yoke_recv(s->stream, &item));
        CHECK(item.value == b->got);
    }
}

static yoke_error *both_in_context(struct scene *s)
{
    struct both *b = s->arg;
    b->met = with_stream(s, &(yoke_stream_options){.allow_overruns = true}, read_till_broken);
    if (b->here_closes && b->got == b->here_after)
        break_here(s);
    if (b->interrupts)
        kill(getpid(), SIGINT);
    return b->met ? yoke_error_dup(b->met) : NULL;
}

static yoke_error *both_in_nursery(struct scene *s)
{
    struct both *b = s->arg;
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "breaks"}, &s->portal));
    return with_context(s, "breaks:break_there", &b->there, both_in_context);
}

static yoke_error *both_app(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_actors_options options = {.acknowledge_bound = YOKE_MS(100), .kill_bound = YOKE_MS(300)};
    return with_actors(&s, &options, both_in_nursery);
}

/* FAULT-01: by close(2) and by shutdown(2); the child goes on, or does not */
static void test_fault_01_the_child_breaks_the_channel(void **state)
{
    for (int how = BREAK_CLOSE; how <= BREAK_SHUTDOWN; how++)
        for (int hangs = 0; hangs < 2; hangs++) {
            struct both b = {.there = {500, (uint8_t)how, false, hangs}, .here_after = BREAK_NEVER};
            yoke_error *e = tree_run(both_app, &b);
            assert_int_equal(b.got, 500);
            assert_error_text(b.met, &YOKE_TRANSPORT_CLOSED, "the channel to actor `worker`");
            assert_true(says(e, "actor `worker`"));
            assert_true(!hangs || yoke_error_signal(yoke_error_find(e, &YOKE_ACTOR_DIED)) == SIGKILL);
            yoke_error_free(e);
        }
}

static yoke_error *send_after_break(struct scene *s)
{
    struct both *b = s->arg;
    for (; b->got < 500; b->got++) {
        number item = {b->got};
        YOKE_TRY(yoke_send(s->stream, &item));
        YOKE_TRY(yoke_recv(s->stream, &item));
    }
    break_here(s);
    yoke_error *e = yoke_send(s->stream, &(number){7});
    if (yoke_portal_is_connected(s->portal))
        return yoke_error_join(e, yoke_raise(&CHECK_FAILED, "the portal says that it is connected"));
    return e;
}

static yoke_error *sends_in_context(struct scene *s)
{
    struct both *b = s->arg;
    b->met = with_stream(s, NULL, send_after_break);
    return b->met ? yoke_error_dup(b->met) : NULL;
}

static yoke_error *sends_in_nursery(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "faults"}, &s->portal));
    return with_context(s, "faults:echo", NULL, sends_in_context);
}

static yoke_error *sends_app(void *arg)
{
    struct scene s = {.arg = arg};
    return with_actors(&s, NULL, sends_in_nursery);
}

/* FAULT-02: the very next send says so */
static void test_fault_02_the_parent_breaks_it(void **state)
{
    struct both b = {.got = 0};
    yoke_error *e = tree_run(sends_app, &b);
    assert_int_equal(b.got, 500);
    assert_error_text(b.met, &YOKE_TRANSPORT_CLOSED, "the channel to actor `worker`");
    assert_true(says(e, "actor `worker`"));
    yoke_error_free(e);
}

/* FAULT-03 */
static void test_fault_03_both_break(void **state)
{
    static const struct {
        uint64_t there, here;
    } rows[] = {{BREAK_NEVER, 500}, {500, BREAK_NEVER}, {500, 500}, {400, 500}, {500, 400}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int closes = 0; closes < 2; closes++)
            for (int interrupts = 0; interrupts < 2; interrupts++) {
                struct both b = {.there = {rows[i].there, BREAK_CLOSE, closes, false},
                                 .here_after = rows[i].here,
                                 .here_closes = closes,
                                 .interrupts = interrupts};
                char text[4096];
                int64_t begin = yoke_now();
                int status = tree_status(both_app, &b, text, sizeof text);
                bool fine = (status == 130 && interrupts) || (status == 1 && strstr(text, "actor `worker`"));
                if (!fine || tree_ms_since(begin) > 2500 * TREE_SLOW)
                    fprintf(stderr, "# row %zu, closes %d, ctrl-c %d: status %d\n%s", i, closes, interrupts,
                            status, text);
                assert_true(fine && tree_ms_since(begin) <= 2500 * TREE_SLOW);
                assert_true(b.got >= (rows[i].there < rows[i].here ? rows[i].there : rows[i].here));
                if (b.met && !interrupts && !closes)
                    assert_true(lost_worker(b.met));
                yoke_error_free(b.met);
            }
}

static yoke_error *read_and_interrupt(struct scene *s)
{
    struct both *b = s->arg;
    for (; b->got < 500; b->got++) {
        number item;
        YOKE_TRY(yoke_recv(s->stream, &item));
    }
    kill(getpid(), SIGINT);
    return read_till_broken(s);
}

static yoke_error *endless_in_context(struct scene *s)
{
    return with_stream(s, &(yoke_stream_options){.allow_overruns = true}, read_and_interrupt);
}

static yoke_error *endless(struct scene *s)
{
    struct both *b = s->arg;
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "breaks"}, &s->portal));
    return with_context(s, "breaks:break_there", &b->there, endless_in_context);
}

static yoke_error *endless_app(void *arg)
{
    struct scene s = {.arg = arg};
    return with_actors(&s, NULL, endless);
}

static void test_ctrl_c_ends_a_stream_that_nobody_breaks(void **state)
{
    struct both b = {.there = {BREAK_NEVER, BREAK_NOT, false, false}, .here_after = BREAK_NEVER};
    char text[4096];
    assert_int_equal(tree_status(endless_app, &b, text, sizeof text), 130);
    assert_string_equal(text, "interrupted\n");
}

static yoke_error *open_on_broken(struct scene *s)
{
    struct both *b = s->arg;
    number item;
    YOKE_TRY(yoke_stream_open(s->ctx, &s->stream, NULL));
    b->met = yoke_recv(s->stream, &item);
    kill(getpid(), SIGINT);
    return yoke_stream_close(s->stream, yoke_error_dup(b->met));
}

static yoke_error *break_after_started(struct scene *s)
{
    struct both *b = s->arg;
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "breaks"}, &s->portal));
    return with_context(s, "breaks:break_there", &b->there, open_on_broken);
}

static yoke_error *break_after_started_app(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_actors_options options = {.acknowledge_bound = YOKE_MS(100), .kill_bound = YOKE_MS(300)};
    return with_actors(&s, &options, break_after_started);
}

/* FAULT-04 */
static void test_fault_04_break_right_after_started(void **state)
{
    struct both b = {.there = {0, BREAK_CLOSE, false, true}};
    char text[4096];
    int status = tree_status(break_after_started_app, &b, text, sizeof text);
    assert_true(status == 130 || status == 1);
    assert_error_text(b.met, &YOKE_TRANSPORT_CLOSED, "the channel to actor `worker`");
}

/* ---- an end between two frames ---- */

static yoke_error *nap_there(void *portal)
{
    return yoke_call(portal, "faults:nap", NULL, NULL);
}

/* The last call's Start is where the channel ends. */
static yoke_error *call_beside_a_nap(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, nap_there, s->portal);
    if (!e)
        e = yoke_checkpoint(); /* it asks first */
    if (!e)
        e = call(
            s); /* when this is answered the nap has begun, and all that the child had to say has been read */
    return yoke_nursery_close_flat(&n, e ? e : call(s));
}

static yoke_error *graceful(struct scene *s)
{
    yoke_actor_options options = {.modules = "faults", .log_filter = "runtime"};
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &options, &s->portal));
    return call_beside_a_nap(s);
}

static yoke_error *graceful_app(void *arg)
{
    struct scene s = {.arg = arg};
    return with_actors(&s, NULL, graceful);
}

/* FAULT-07 */
static void test_fault_07_a_peer_closes_gracefully(void **state)
{
    static struct told t;
    proxy_arm(&(struct proxy_plan){
        .way = PROXY_DOWN, .type = MSG_START, .nth = 2, .deed = PROXY_CUT, .part = PART_NONE});
    run_told(graceful_app, NULL, &t);
    proxy_disarm();
    bool named = t.error && says(t.error, "actor `worker`");
    yoke_error_free(t.error);
    bool told = strstr(t.log, "RUNTIME worker") && strstr(t.log, "the channel to actor `root`") &&
                strstr(t.log, "the peer closed it") && strstr(t.log, "the nap was cancelled");
    bool quiet = !times(t.log, " WARNING ") && !times(t.log, " ERROR ");
    if (!told || !quiet)
        fputs(t.log, stderr);
    assert_true(named && told && quiet);
}

/* ---- SIGKILL for one who is a parent, and a peer ---- */

YOKE_RECORD(place, (str, address));

static uint64_t naps_ended;

static yoke_error *nap_and_count(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_error *e = yoke_sleep_forever();
    naps_ended++;
    return e;
}

static yoke_error *ended_naps(const yoke_type_none *args, number *result)
{
    result->value = naps_ended;
    return NULL;
}

static yoke_error *where(const yoke_type_none *args, place *result)
{
    char *address;
    YOKE_TRY(yoke_listen(&address));
    result->address = address;
    return NULL;
}

static yoke_error *nap_over(void *portal)
{
    return yoke_call(portal, "naps:nap_and_count", NULL, NULL);
}

static yoke_error *die_among_dialogs(struct scene *s)
{
    yoke_portal *leaf;
    YOKE_TRY(yoke_actors_start(s->actors, "leaf", &(yoke_actor_options){.modules = "naps"}, &leaf));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, nap_over, leaf);
    if (!e)
        e = yoke_spawn(&n, nap_over, s->portal);
    number none;
    for (int i = 0; i < 2 && !e; i++) /* when these are answered the naps have begun */
        e = yoke_call(i ? leaf : s->portal, "naps:ended_naps", NULL, &none);
    if (!e)
        kill(getpid(), SIGKILL);
    return yoke_nursery_close(&n, e);
}

static yoke_error *lead_and_die(const place *args, yoke_type_none *result)
{
    struct scene s = {0};
    YOKE_TRY(yoke_connect(args->address, &s.portal, NULL));
    return yoke_portal_close(s.portal, with_actors(&s, NULL, die_among_dialogs));
}

YOKE_MODULE(naps, YOKE_CALL(nap_and_count, none, none), YOKE_CALL(ended_naps, none, number),
            YOKE_CALL(where, none, place), YOKE_CALL(lead_and_die, place, none));

static yoke_error *kill_the_leader(struct scene *s)
{
    yoke_portal *leader;
    YOKE_TRY(yoke_actors_start(s->actors, "leader", &(yoke_actor_options){.modules = "naps"}, &leader));
    return yoke_call(leader, "naps:lead_and_die", s->arg, NULL);
}

static yoke_error *with_other(struct scene *s)
{
    place at;
    YOKE_TRY(yoke_actors_start(s->actors, "other", &(yoke_actor_options){.modules = "naps"}, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "naps:where", NULL, &at));
    struct scene inner = {.arg = &at};
    yoke_error *e = with_actors(&inner, NULL, kill_the_leader);
    place_free(&at);
    const yoke_error *died = yoke_error_find(e, &YOKE_ACTOR_DIED);
    bool named = died && yoke_error_signal(died) == SIGKILL && says(died, "`leader`");
    if (!named)
        return yoke_wrap(e, &CHECK_FAILED, "the leader's death is not told");
    yoke_error_free(e);
    /* The peer goes on; what the dead one had asked of it does not. */
    number ended = {0};
    for (int64_t begin = yoke_now(); !ended.value && tree_ms_since(begin) < 2000 * TREE_SLOW;)
        YOKE_TRY(yoke_call(s->portal, "naps:ended_naps", NULL, &ended));
    CHECK(ended.value == 1);
    return NULL;
}

static yoke_error *other_app(void *arg)
{
    struct scene s = {.arg = arg};
    return with_actors(&s, NULL, with_other);
}

/* FAULT-06 */
static void test_fault_06_kill_of_a_parent_that_is_a_peer(void **state)
{
    assert_success(tree_run(other_app, NULL));
}

/* ---- the reader of a channel never waits ---- */

static yoke_error *sleep_deaf(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.allow_overruns = true}));
    return yoke_stream_close(stream, yoke_sleep_forever());
}

static yoke_error *spin_and_look(const yoke_type_none *args, yoke_type_none *result)
{
    for (;;) {
        for (int64_t begin = yoke_now(); yoke_now() - begin < YOKE_MS(200);)
            ;
        YOKE_TRY(yoke_checkpoint());
    }
}

static yoke_error *send_without_end(yoke_stream *stream)
{
    for (uint64_t i = 0;; i++)
        YOKE_TRY(yoke_send(stream, &(number){i}));
}

static yoke_error *flood(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, send_without_end(stream));
}

YOKE_MODULE(busy, YOKE_CONTEXT_STREAM(sleep_deaf, none, none, none, number, none),
            YOKE_CALL(spin_and_look, none, none), YOKE_CONTEXT_STREAM(flood, none, none, none, none, number));

/* More than its queue has room for. */
static yoke_error *overfill(struct scene *s)
{
    YOKE_TRY(send_all(s->stream, 200));
    return yoke_sleep_forever();
}

static yoke_error *overfill_stream(struct scene *s)
{
    return with_stream(s, NULL, overfill);
}

static yoke_error *keep_filled(void *portal)
{
    struct scene s = {.portal = portal};
    return with_context(&s, "busy:sleep_deaf", NULL, overfill_stream);
}

static yoke_error *read_without_end(struct scene *s)
{
    for (;;) {
        number item;
        YOKE_TRY(yoke_recv(s->stream, &item));
    }
}

static yoke_error *read_flood(struct scene *s)
{
    return with_stream(s, &(yoke_stream_options){.allow_overruns = true}, read_without_end);
}

static yoke_error *keep_flooded(void *portal)
{
    struct scene s = {.portal = portal};
    return with_context(&s, "busy:flood", NULL, read_flood);
}

static yoke_error *keep_spinning(void *portal)
{
    return yoke_call(portal, "busy:spin_and_look", NULL, NULL);
}

static yoke_error *cancel_among_busy(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "busy"}, &s->portal));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, keep_flooded, s->portal);
    if (!e)
        e = yoke_spawn(&n, keep_filled, s->portal);
    if (!e)
        e = yoke_spawn(&n, keep_spinning, s->portal);
    if (!e)
        e = yoke_sleep(YOKE_MS(300));
    bool acknowledged = false;
    if (!e)
        e = yoke_portal_cancel_actor(s->portal, YOKE_MS(500) * TREE_SLOW, &acknowledged);
    yoke_nursery_cancel(&n, "seen");
    yoke_error_free(yoke_nursery_close(&n, NULL)); /* their dialogs were ended by the actor's end */
    YOKE_TRY(e);
    CHECK(acknowledged);
    return NULL;
}

static yoke_error *busy_app(void *arg)
{
    struct scene s = {.arg = arg};
    return with_actors(&s, NULL, cancel_among_busy);
}

/* IPC-16 */
static void test_ipc_16_the_message_loop_never_blocks_on_a_user(void **state)
{
    assert_success(tree_run(busy_app, NULL));
}

/* ---- what had come before the end ---- */

static yoke_error *take_thousand(struct scene *s)
{
    uint64_t *got = s->arg;
    number item;
    YOKE_TRY(yoke_sleep(YOKE_MS(50))); /* till all of it is here, and the peer gone */
    for (; *got < 1000; ++*got)
        YOKE_TRY(yoke_recv(s->stream, &item));
    return yoke_end_is_fine(yoke_recv(s->stream, &item));
}

/* In a shield: the actor's death cancels what is around. */
static yoke_error *thousand_and_result(struct scene *s)
{
    number result = {0};
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_scope_close(&shield,
                              with_stream(s, &(yoke_stream_options){.allow_overruns = true}, take_thousand)));
    YOKE_TRY(yoke_context_result(s->ctx, &result));
    CHECK(result.value == 1000);
    return NULL;
}

static yoke_error *burst(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "faults"}, &s->portal));
    return with_context(s, "faults:count", &(number){1000}, thousand_and_result);
}

static yoke_error *burst_app(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_error *e = with_actors(&s, NULL, burst);
    const yoke_error *died = yoke_error_find(e, &YOKE_ACTOR_DIED);
    CHECK(died && yoke_error_signal(died) == SIGKILL);
    yoke_error_free(e);
    return NULL;
}

/* IPC-21: the process is gone as soon as its last message is on its way */
static void test_ipc_21_messages_in_flight_at_the_end(void **state)
{
    uint64_t got = 0;
    proxy_arm(
        &(struct proxy_plan){.way = PROXY_UP, .type = MSG_RETURN, .deed = PROXY_STRIKE, .signal = SIGKILL});
    yoke_error *e = tree_run(burst_app, &got);
    proxy_disarm();
    assert_success(e);
    assert_int_equal(got, 1000);
}

/* ---- instead of the SpawnSpec ---- */

static bool is_prepared;

static yoke_error *prepare(void)
{
    is_prepared = true;
    return NULL;
}
static yoke_error *prepared(const yoke_type_none *args, yoke_type_boolean *result)
{
    *result = is_prepared;
    return NULL;
}
YOKE_MODULE(careful, YOKE_OPEN(prepare), YOKE_CALL(prepared, none, boolean));

/* A daemon's start may have returned before the child has read anything. */
static yoke_error *start_daemon(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", NULL, &s->portal));
    return yoke_sleep_forever();
}

static yoke_error *start_careful(struct scene *s)
{
    return yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "careful"}, &s->portal);
}

static yoke_error *dialog_of_start(struct scene *s)
{
    bool is;
    YOKE_TRY(start_careful(s));
    CHECK(proxy.first[PROXY_DOWN][0] == MSG_AID && proxy.first[PROXY_UP][0] == MSG_AID);
    CHECK(proxy.first[PROXY_DOWN][1] == MSG_SPAWN_SPEC && proxy.first[PROXY_DOWN][2] == MSG_START);
    CHECK(proxy.first[PROXY_UP][1] == MSG_START_ACK && proxy.first[PROXY_UP][2] == MSG_RETURN);
    CHECK(proxy.frames[PROXY_DOWN] == 3 && proxy.frames[PROXY_UP] == 3);
    YOKE_TRY(yoke_call(s->portal, "careful:prepared", NULL, &is));
    yoke_portal *found; /* it is registered, and listens for who looks for it */
    YOKE_TRY(yoke_find("worker", &found));
    bool listens = found && yoke_uid_equal(yoke_portal_peer(found), yoke_portal_peer(s->portal));
    YOKE_TRY(yoke_portal_close(found, NULL));
    CHECK(is && listens);
    return NULL;
}

/* A message of `type` that is correct but for its place. */
static void make_message(struct msg *m, enum msg_type type)
{
    static const uint8_t nil[] = {0xc0}, yes[] = {0xc3}, empty_map[] = {0x80}, path[] = "\x91\x92\xa1x\xa1u";
    static const struct uid_view uid = {{"x", 1}, {"u", 1}};
    *m = (struct msg){.type = type, .cid = text_view("c")};
    m->pld = (struct raw_view){type == MSG_CANCEL_ACK ? yes : nil, 1};
    if (type == MSG_AID)
        m->aid.uid = uid;
    if (type == MSG_START) {
        m->start.ns = m->start.func = text_view("x");
        m->start.kwargs = (struct raw_view){empty_map, 1};
        m->start.uid = uid;
    }
    if (type == MSG_START_ACK)
        m->start_ack.functype = MSG_FUNC_CONTEXT;
    if (type != MSG_ERROR)
        return;
    m->error.src_uid = uid;
    m->error.src_type = m->error.boxed_type = text_view("test.K");
    m->error.relay_path = (struct raw_view){path, sizeof path - 1};
}

static void start_wrongly(enum msg_type type, scene_fn start, bool itself)
{
    static struct told t;
    struct tree_child c = {NULL, start, {.arg = NULL}};
    struct buffer b = BUFFER_EMPTY;
    struct msg m;
    char says_what[80];
    make_message(&m, type);
    assert_success(msg_encode(&b, &m, &msg_limits_default));
    proxy_arm(&(struct proxy_plan){
        .type = MSG_SPAWN_SPEC, .deed = PROXY_INSTEAD, .bytes = buffer_begin(&b), .size = buffer_size(&b)});
    run_told(tree_actors_app, &c, &t);
    proxy_disarm();
    buffer_free(&b);
    snprintf(says_what, sizeof says_what, "the parent sent a %s and not the SpawnSpec", msg_type_name(type));
    assert_true(proxy.acted && yoke_error_find(t.error, &YOKE_PROTOCOL) && says(t.error, says_what));
    assert_true(proxy.first[PROXY_UP][1] == MSG_ERROR && proxy.frames[PROXY_UP] == 2);
    assert_error_text(t.error, itself ? &YOKE_SPAWN_FAILED : &YOKE_ACTOR_EXITED, "actor `worker`");
}

/* SPAWN-05 */
static void test_spawn_05_dialog(void **state)
{
    proxy_arm(&(struct proxy_plan){.type = PROXY_ANY_TYPE});
    yoke_error *e = tree_with_actors(dialog_of_start, NULL);
    proxy_disarm();
    assert_success(e);
    for (int type = 0; type < MSG_TYPE_COUNT; type++)
        if (type != MSG_SPAWN_SPEC)
            start_wrongly((enum msg_type)type, start_careful, true);
    start_wrongly(MSG_YIELD, start_daemon, false);
}

TREE_MAIN(TEST(test_spawn_05_dialog), TEST(test_fault_13_messages_that_make_no_sense),
          TEST(test_fault_12_messages_that_come_late), TEST(test_a_second_start_under_one_id),
          TEST(test_fault_09_garbage_after_a_good_handshake), TEST(test_fault_10_length_over_the_limit),
          TEST(test_relay_11_the_peer_s_runtime_fails),
          TEST(test_a_stalled_frame_holds_its_own_channel_alone), TEST(test_fault_15_one_channel_is_delayed),
          TEST(test_fault_01_the_child_breaks_the_channel), TEST(test_fault_02_the_parent_breaks_it),
          TEST(test_fault_03_both_break), TEST(test_ctrl_c_ends_a_stream_that_nobody_breaks),
          TEST(test_fault_04_break_right_after_started), TEST(test_fault_07_a_peer_closes_gracefully),
          TEST(test_fault_06_kill_of_a_parent_that_is_a_peer),
          TEST(test_ipc_16_the_message_loop_never_blocks_on_a_user),
          TEST(test_ipc_21_messages_in_flight_at_the_end))
