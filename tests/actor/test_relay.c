/* Errors over a channel: what a peer of each make is told, and what becomes of what one tells us. */
#include "harness.h"

#include "actor/error_tree.h"
#include "actor/relay.h"
#include "base/error.h"
#include "msg/cursor.h"
#include "msg/uid.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

YOKE_ERROR_KIND(TEST_KIND, "test.Kind", NULL);
YOKE_ERROR_KIND(TEST_SLOWER, "test.Slower", &YOKE_TOO_SLOW);

/* Two actors and the channel between them: `here` tells, `there` is told. */
struct line {
    struct actor here, there;
    struct peer to_there, to_here; /* as each of the two sees the other */
    yoke_error *(*body)(struct line *line);
};

static yoke_error *run_line(void *arg)
{
    struct line *l = arg;
    int fds[2];
    struct channel *a, *b;
    YOKE_TRY(transport_uds.pair(fds));
    YOKE_TRY(channel_open(&a, fds[0], &transport_uds, NULL));
    YOKE_TRY(channel_open(&b, fds[1], &transport_uds, NULL));
    uid_make(&l->here.uid, "here");
    uid_make(&l->there.uid, "there");
    a->peer = l->there.uid;
    b->peer = l->here.uid;
    l->to_there = (struct peer){.actor = &l->here, .channel = a};
    l->to_here = (struct peer){.actor = &l->there, .channel = b};
    yoke_error *e = l->body(l);
    channel_close(a);
    channel_close(b);
    return e;
}

static void run(yoke_error *(*body)(struct line *))
{
    struct line l = {.body = body};
    assert_success(yoke_run(run_line, &l, NULL));
}

/* Posts `e` (frees it) and receives the message. */
static yoke_error *post(struct line *l, yoke_error *e, const yoke_uid *sender, struct msg *m)
{
    relay_post(&l->to_there, text_view("the-cid"), e, sender);
    yoke_error_free(e);
    YOKE_TRY(channel_receive(l->to_here.channel, m));
    CHECK(m->type == MSG_ERROR && text_view_is(m->cid, "the-cid"));
    return NULL;
}

static uint32_t path_length(const struct msg *m)
{
    struct cursor c =
        cursor_over(m->error.relay_path.data, m->error.relay_path.size, SIZE_MAX, CURSOR_NESTING);
    struct token t;
    return !cursor_next(&c, &t) && t.type == TOKEN_ARRAY ? t.count : 0;
}

/* ---- to a Python peer ---- */

static yoke_error *python_names(struct line *l)
{
    static const struct {
        const yoke_error_kind *kind;
        const char *name;
    } rows[] = {
        {&YOKE_STREAM_OVERRUN, "StreamOverrun"},
        {&YOKE_MODULE_NOT_EXPOSED, "ModuleNotExposed"},
        {&YOKE_ENDPOINT_NOT_FOUND, "AttributeError"},
        {&YOKE_MSG_TYPE, "MsgTypeError"},
        {&YOKE_USAGE, "RuntimeError"},
        {&YOKE_TOO_SLOW, "TooSlowError"},
        {&YOKE_INTERRUPTED, "KeyboardInterrupt"},
        {&YOKE_ACTOR_DIED, "ActorFailure"},
        {&YOKE_ACTOR_EXITED, "ActorFailure"},
        {&YOKE_SPAWN_FAILED, "ActorFailure"},
        {&YOKE_TRANSPORT_CLOSED, "TransportClosed"},
        {&YOKE_NOT_FOUND, "OSError"},
        {&TEST_SLOWER, "TooSlowError"},
        {&TEST_KIND, "RuntimeFailure"},
        {&YOKE_NO_MEMORY, "RuntimeFailure"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct msg m;
        YOKE_TRY(post(l, yoke_raise(rows[i].kind, "text %zu", i), NULL, &m));
        if (!text_view_is(m.error.src_type, rows[i].name))
            return yoke_raise(&YOKE_INTERNAL, "%s goes as %.*s", rows[i].kind->name,
                              (int)m.error.src_type.size, m.error.src_type.data);
        CHECK(text_view_is(m.error.boxed_type, rows[i].name));
        CHECK(uid_view_equal(m.error.src_uid, uid_view(&l->here.uid)));
        CHECK(path_length(&m) == 1 && !m.error.yoke.data);
        CHECK(m.error.tb.size && memmem(m.error.tb.data, m.error.tb.size, "text", 4));
    }
    return NULL;
}

static yoke_error *python_group(struct line *l)
{
    yoke_error *members[] = {yoke_raise(&TEST_KIND, "first"), yoke_raise(&TEST_KIND, "second")};
    struct msg m;
    YOKE_TRY(post(l, yoke_error_group(members, 2, "both"), NULL, &m));
    CHECK(text_view_is(m.error.src_type, "ExceptionGroup") &&
          text_view_is(m.error.boxed_type, "ExceptionGroup"));
    CHECK(memmem(m.error.tb.data, m.error.tb.size, "second", 6));
    return NULL;
}

/* A Python peer ends when these are nil. */
static yoke_error *python_uids(struct line *l)
{
    struct msg m;
    yoke_uid sender;
    uid_make(&sender, "sender");
    YOKE_TRY(post(l, yoke_raise(&YOKE_STREAM_OVERRUN, "too much"), &sender, &m));
    CHECK(uid_view_equal(m.error.sender, uid_view(&sender)));
    YOKE_TRY(post(l, yoke_raise(&YOKE_STREAM_OVERRUN, "too much"), NULL, &m));
    CHECK(uid_view_equal(m.error.sender, uid_view(&l->here.uid)));
    YOKE_TRY(post(l, yoke_raise(&YOKE_CONTEXT_CANCELLED, "by nobody known"), NULL, &m));
    CHECK(uid_view_equal(m.error.canceller, uid_view(&l->here.uid)));
    YOKE_TRY(post(l, relay_cancelled(&l->here.uid, &sender, "by %s", "sender"), NULL, &m));
    CHECK(uid_view_equal(m.error.canceller, uid_view(&sender)) &&
          text_view_is(m.error.boxed_type, "ContextCancelled"));
    return NULL;
}

static void test_to_a_python_peer(void **state)
{
    run(python_names);
    run(python_group);
    run(python_uids);
}

/* ---- to a yoke peer ---- */

static yoke_error *whole_tree(struct line *l)
{
    l->to_there.channel->peer_is_yoke = true;
    struct msg m;
    yoke_error *e = yoke_wrap(yoke_raise(&YOKE_TOO_SLOW, "the cause"), &TEST_KIND, "the error");
    yoke_error_note(e, "a note");
    YOKE_TRY(post(l, e, NULL, &m));
    CHECK(text_view_is(m.error.src_type, "test.Kind") && text_view_is(m.error.boxed_type, "test.Kind"));
    e = relay_unpack(&m, &l->to_here);
    const yoke_error *inner = yoke_error_cause(e);
    bool fine = yoke_error_is(e, &YOKE_REMOTE) && yoke_uid_equal(yoke_error_source(e), &l->here.uid) &&
                yoke_error_kind_of(inner) == &TEST_KIND && strcmp(error_note_at(inner, 0), "a note") == 0 &&
                yoke_error_is(yoke_error_cause(inner), &YOKE_TOO_SLOW) && relay_is_same(e, e) &&
                !relay_is_same(inner, inner) && !yoke_error_canceller(e);
    yoke_error_free(e);
    CHECK(fine);
    return NULL;
}

/* Whatever is in an error, its dialog's end is told. */
static yoke_error *broken_text(struct line *l)
{
    for (int yoke = 0; yoke < 2; yoke++) {
        struct msg m;
        l->to_there.channel->peer_is_yoke = yoke;
        YOKE_TRY(post(l, yoke_raise(&YOKE_USAGE, "caf\xe9"), NULL, &m));
        CHECK(text_view_is(m.error.message, "caf\\xe9"));
        YOKE_TRY(post(l, yoke_wrap(yoke_raise(&YOKE_USAGE, "caf\xe9"), &YOKE_USAGE, "outer"), NULL, &m));
        CHECK(text_view_is(m.error.message, "outer") && (m.error.yoke.data != NULL) == yoke);
    }
    return NULL;
}

/* A tree over the channel's limit is left out, and the error still told. */
static yoke_error *too_large(struct line *l)
{
    l->to_there.channel->peer_is_yoke = true;
    l->to_there.channel->limits.frame_bytes = 2000;
    yoke_error *e = yoke_raise(&TEST_KIND, "short");
    for (int i = 0; i < 50; i++)
        yoke_error_note(e, "a note that takes its room in the tree, and the more the more there are: %d", i);
    struct msg m;
    YOKE_TRY(post(l, e, NULL, &m));
    CHECK(!m.error.yoke.data && text_view_is(m.error.src_type, "test.Kind"));
    return NULL;
}

/* One that can't be told at all ends the channel, since the peer would wait for ever. */
static yoke_error *untellable(struct line *l)
{
    struct msg m;
    l->to_there.channel->limits.frame_bytes = 20;
    yoke_error *e = yoke_raise(&TEST_KIND, "short");
    relay_post(&l->to_there, text_view("the-cid"), e, NULL);
    yoke_error_free(e);
    e = channel_receive(l->to_there.channel, &m);
    bool broken = yoke_error_is(e, &YOKE_TRANSPORT_CLOSED);
    yoke_error_free(e);
    CHECK(broken);
    return NULL;
}

static void test_to_a_yoke_peer(void **state)
{
    run(whole_tree);
    run(broken_text);
    run(too_large);
    assert_success(yoke_log_set("critical"));
    run(untellable);
    assert_success(yoke_log_set("warning"));
}

/* ---- over several hops ---- */

static yoke_error *hops(struct line *l)
{
    for (int yoke = 0; yoke < 2; yoke++) {
        yoke_error *e = yoke_raise(&TEST_KIND, "at the leaf");
        l->to_there.channel->peer_is_yoke = yoke;
        yoke_uid first = l->here.uid;
        for (uint32_t hop = 1; hop <= 70; hop++) {
            struct msg m;
            YOKE_TRY(post(l, e, NULL, &m));
            bool fine = path_length(&m) == (hop <= 65 ? hop : 65) &&
                        uid_view_equal(m.error.src_uid, uid_view(&first)) &&
                        text_view_is(m.error.src_type, yoke ? "test.Kind" : "RuntimeFailure") &&
                        text_view_is(m.error.boxed_type, hop > 1 ? yoke ? "yoke.Remote" : "RemoteActorError"
                                                         : yoke  ? "test.Kind"
                                                                 : "RuntimeFailure");
            CHECK(fine);
            e = relay_unpack(&m, &l->to_here);
            if (hop == 3)
                uid_make(&l->here.uid, "another");
        }
        yoke_error_free(e);
    }
    return NULL;
}

/* A cancellation keeps who asked for it; its source is who tells it. */
static yoke_error *cancelled_hops(struct line *l)
{
    yoke_uid canceller;
    uid_make(&canceller, "third");
    yoke_error *e = relay_cancelled(&l->here.uid, &canceller, "cancelled");
    for (uint32_t hop = 1; hop <= 5; hop++) {
        struct msg m;
        uid_make(&l->here.uid, "one more");
        YOKE_TRY(post(l, e, NULL, &m));
        bool fine = text_view_is(m.error.boxed_type, "ContextCancelled") &&
                    text_view_is(m.error.src_type, "ContextCancelled") &&
                    uid_view_equal(m.error.canceller, uid_view(&canceller)) &&
                    uid_view_equal(m.error.src_uid, uid_view(&l->here.uid)) && path_length(&m) == hop;
        CHECK(fine);
        e = relay_unpack(&m, &l->to_here);
    }
    bool kept =
        yoke_error_is(e, &YOKE_CONTEXT_CANCELLED) && yoke_uid_equal(yoke_error_canceller(e), &canceller);
    yoke_error_free(e);
    CHECK(kept);
    return NULL;
}

/* A yoke leaf, a yoke actor in the middle, a Python root. */
static yoke_error *from_yoke_to_python(struct line *l)
{
    struct msg m;
    l->to_there.channel->peer_is_yoke = true;
    YOKE_TRY(post(l, yoke_raise(&TEST_SLOWER, "at the leaf"), NULL, &m));
    CHECK(text_view_is(m.error.src_type, "test.Slower"));
    yoke_error *e = relay_unpack(&m, &l->to_here);
    l->to_there.channel->peer_is_yoke = false;
    YOKE_TRY(post(l, e, NULL, &m));
    CHECK(text_view_is(m.error.src_type, "TooSlowError") &&
          text_view_is(m.error.boxed_type, "RemoteActorError"));
    return NULL;
}

static void test_hops(void **state)
{
    run(from_yoke_to_python);
    run(hops);
    run(cancelled_hops);
}

/* One of this kind keeps it on its way; to a Python actor it is then the relaying one's (wire.md, 6). */
static yoke_error *type_error_hops(struct line *l)
{
    for (int to_yoke = 0; to_yoke < 2; to_yoke++) {
        struct msg m;
        l->to_there.channel->peer_is_yoke = true;
        YOKE_TRY(post(l, yoke_raise(&YOKE_MSG_TYPE, "args.x: missing"), NULL, &m));
        yoke_error *e = relay_unpack(&m, &l->to_here);
        error_set_place(e, "", 0, "", "leaf", "");
        l->to_there.actor = &l->there; /* who relays is another one */
        l->to_there.channel->peer_is_yoke = to_yoke;
        YOKE_TRY(post(l, e, NULL, &m));
        l->to_there.actor = &l->here;
        CHECK(text_view_is(m.error.src_type, to_yoke ? "yoke.MsgType" : "MsgTypeError"));
        CHECK(text_view_is(m.error.boxed_type, to_yoke ? "yoke.MsgType" : "MsgTypeError"));
        CHECK(uid_view_equal(m.error.src_uid, uid_view(to_yoke ? &l->here.uid : &l->there.uid)));
        CHECK(path_length(&m) == 2);
        e = relay_unpack(&m, &l->to_here);
        bool kept = yoke_error_is(e, &YOKE_REMOTE) && yoke_error_is(yoke_error_cause(e), &YOKE_MSG_TYPE);
        yoke_error_free(e);
        CHECK(kept);
    }
    return NULL;
}

static void test_type_errors_keep_their_kind(void **state)
{
    run(type_error_hops);
}

/* A kind that this program does not know: no kind is made up, its name and its texts are kept, over hops too.
 */
static yoke_error *unregistered(struct line *l)
{
    static const yoke_error_kind unheard = {"other.Unheard", NULL};
    struct msg m;
    l->to_there.channel->peer_is_yoke = true;
    YOKE_TRY(post(l, yoke_raise(&unheard, "of this"), NULL, &m));
    for (int hop = 1; hop < 3; hop++) {
        CHECK(text_view_is(m.error.src_type, "other.Unheard"));
        yoke_error *e = relay_unpack(&m, &l->to_here);
        const yoke_error *there = yoke_error_cause(e);
        bool kept = yoke_error_is(e, &YOKE_REMOTE) && yoke_error_kind_of(there) == &YOKE_REMOTE &&
                    strcmp(yoke_error_message(there), "other.Unheard: of this") == 0 &&
                    strcmp(yoke_error_function(there), "unregistered") == 0;
        if (hop == 1)
            YOKE_TRY(post(l, e, NULL, &m));
        else
            yoke_error_free(e);
        CHECK(kept);
    }
    l->to_there.channel->peer_is_yoke = false;
    YOKE_TRY(
        post(l, yoke_raise(&unheard, "of this"), NULL, &m)); /* a Python peer would end for such a name */
    CHECK(text_view_is(m.error.src_type, "RuntimeFailure"));
    return NULL;
}

/* RELAY-04 */
static void test_relay_04_unregistered_kinds(void **state)
{
    run(unregistered);
}

/* ---- huge texts ---- */

enum { HUGE_TEXT = 300 << 10, SHORT_TEXT = 64 << 10 };

static bool is_shortened(const char *text)
{
    char left_out[64];
    snprintf(left_out, sizeof left_out, "(%d bytes left out)", HUGE_TEXT - SHORT_TEXT);
    return strlen(text) < SHORT_TEXT + 100 && strncmp(text, "begin", 5) == 0 && strstr(text, left_out) &&
           strcmp(text + strlen(text) - 3, "end") == 0;
}

static yoke_error *huge(struct line *l)
{
    char *text = malloc(HUGE_TEXT + 1);
    struct msg m;
    memset(text, '.', HUGE_TEXT);
    memcpy(text, "begin", 5);
    memcpy(text + HUGE_TEXT - 3, "end", 4);
    l->to_there.channel->peer_is_yoke = true;
    yoke_error *e = yoke_raise(&TEST_KIND, "%s", text);
    error_set_backtrace(e, text);
    YOKE_TRY(post(l, e, NULL, &m));
    free(text);
    CHECK(m.error.message.size < SHORT_TEXT + 100);
    e = relay_unpack(&m, &l->to_here);
    const yoke_error *there = yoke_error_cause(e);
    bool fine = is_shortened(yoke_error_message(there)) && is_shortened(error_backtrace(there));
    yoke_error_free(e);
    CHECK(fine);
    return NULL;
}

/* RELAY-09 */
static void test_relay_09_huge_texts(void **state)
{
    run(huge);
}

/* ---- from a Python peer: its recorded Errors ---- */

static uint8_t frame[1 << 16];

static yoke_error *load(const char *path, struct msg *m)
{
    FILE *f = fopen(path, "rb");
    CHECK(f);
    size_t size = fread(frame, 1, sizeof frame, f);
    fclose(f);
    CHECK(size > 4 && size < sizeof frame);
    return msg_decode(frame + 4, size - 4, &msg_limits_default, m);
}

static yoke_error *all_recorded(struct line *l)
{
    glob_t files;
    CHECK(glob("../msg/frames/*-Error.frame", 0, NULL, &files) == 0);
    yoke_error *e = NULL;
    size_t cancelled = 0, remote = 0;
    for (size_t i = 0; i < files.gl_pathc && !e; i++) {
        struct msg m, again;
        e = load(files.gl_pathv[i], &m);
        if (e)
            break;
        yoke_uid source;
        e = uid_from_view(&source, m.error.src_uid);
        yoke_error *told = relay_unpack(&m, &l->to_here);
        bool is_cancel = text_view_is(m.error.boxed_type, "ContextCancelled");
        cancelled += is_cancel;
        remote += !is_cancel;
        bool fine = yoke_error_is(told, is_cancel ? &YOKE_CONTEXT_CANCELLED : &YOKE_REMOTE) &&
                    yoke_uid_equal(yoke_error_source(told), &source) &&
                    (yoke_error_canceller(told) != NULL) == (m.error.canceller.name.data != NULL);
        uint32_t before = path_length(&m);
        if (!e) /* and we can relay each of them */
            e = post(l, told, NULL, &again);
        else
            yoke_error_free(told);
        if (!e && (!fine || path_length(&again) != before + 1))
            e = yoke_raise(&YOKE_INTERNAL, "%s came out wrong", files.gl_pathv[i]);
    }
    globfree(&files);
    YOKE_TRY(e);
    CHECK(cancelled >= 5 && remote >= 20);
    return NULL;
}

static yoke_error *one_recorded(struct line *l)
{
    struct msg m;
    YOKE_TRY(load("../msg/frames/error-over-two-hops-10-worker-to-root-Error.frame", &m));
    yoke_error *e = relay_unpack(&m, &l->to_here);
    bool fine = strcmp(yoke_error_source(e)->name, "leaf") == 0 &&
                strstr(yoke_error_message(yoke_error_cause(e)), "ValueError: ") &&
                error_backtrace(yoke_error_cause(e));
    yoke_error_free(e);
    CHECK(fine);
    YOKE_TRY(load("../msg/frames/call-module-not-exposed-02-worker-to-root-Error.frame", &m));
    e = relay_unpack(&m, &l->to_here);
    fine = yoke_error_is(yoke_error_cause(e), &YOKE_MODULE_NOT_EXPOSED);
    yoke_error_free(e);
    CHECK(fine);
    return NULL;
}

static void test_from_a_python_peer(void **state)
{
    run(all_recorded);
    run(one_recorded);
}

/* ---- hostile ---- */

static yoke_error *hostile(struct line *l)
{
    static const uint8_t long_name[] = {
        0x91, 0x92, 0xd9, 70,  'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n',  'n',
        'n',  'n',  'n',  'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n',  'n',
        'n',  'n',  'n',  'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n',  'n',
        'n',  'n',  'n',  'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 0xa1, 'u'};
    char long_kind[300];
    memset(long_kind, 'k', sizeof long_kind);
    struct msg m = {.type = MSG_ERROR, .cid = text_view("the-cid")};
    m.error.src_uid = (struct uid_view){{long_kind, 65}, {long_kind, 300}};
    m.error.src_type = (struct text_view){long_kind, sizeof long_kind};
    m.error.boxed_type = (struct text_view){long_kind, sizeof long_kind};
    m.error.relay_path = (struct raw_view){long_name, sizeof long_name};
    m.error.canceller = m.error.src_uid;
    m.error.yoke = (struct raw_view){(const uint8_t *)"\x81\xa5parts\x90", 8};
    yoke_error *e = relay_unpack(&m, &l->to_here);
    /* Names that can't be taken over are replaced by the peer's own, or left out. */
    bool fine = yoke_error_is(e, &YOKE_REMOTE) && yoke_uid_equal(yoke_error_source(e), &l->here.uid) &&
                !yoke_error_canceller(e);
    struct msg again;
    YOKE_TRY(post(l, e, NULL, &again));
    CHECK(fine && path_length(&again) == 1);

    /* A Cancelled of another process is no cancellation here, in whatever clothes it comes. */
    m.error.src_uid = uid_view(&l->here.uid);
    m.error.canceller = (struct uid_view){{0}};
    m.error.src_type = m.error.boxed_type = text_view("Cancelled");
    m.error.yoke = (struct raw_view){0};
    e = relay_unpack(&m, &l->to_here);
    fine = yoke_error_is(e, &YOKE_REMOTE) && !yoke_error_is_cancelled(e) &&
           yoke_error_is(yoke_error_cause(e), &YOKE_REMOTE) && !yoke_error_find(e, &YOKE_CANCELLED);
    yoke_error_free(e);
    CHECK(fine);
    struct buffer tree = BUFFER_EMPTY;
    YOKE_TRY(error_tree_encode(&tree, error_cancelled));
    m.error.src_type = m.error.boxed_type = text_view("yoke.Cancelled");
    m.error.yoke = (struct raw_view){buffer_begin(&tree), buffer_size(&tree)};
    e = relay_unpack(&m, &l->to_here);
    buffer_free(&tree);
    yoke_error *taken;
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    fine = yoke_error_is(e, &YOKE_REMOTE) && !taken;
    yoke_error_free(e);
    CHECK(fine);
    return NULL;
}

static void test_hostile_errors(void **state)
{
    assert_success(yoke_log_set("error"));
    run(hostile);
    assert_success(yoke_log_set("warning"));
}

HARNESS_MAIN(TEST(test_type_errors_keep_their_kind), TEST(test_relay_04_unregistered_kinds),
             TEST(test_relay_09_huge_texts), TEST(test_to_a_python_peer), TEST(test_to_a_yoke_peer),
             TEST(test_hops), TEST(test_from_a_python_peer), TEST(test_hostile_errors))
