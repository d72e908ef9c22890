/* Who is who: names given and taken back, peers that are no actors, peers that say nothing, peers of another
 * make. */
#include "ends.h"

#include "ipc/handshake.h"
#include "msg/uid.h"

#include <stdio.h>

static const struct identity parent = {{.name = "root", .uuid = "00000000-0000-4000-8000-000000000001"},
                                       false};
static const yoke_uid child = {.name = "worker", .uuid = "00000000-0000-4000-8000-000000000002"};

struct side {
    struct channel *c;
    yoke_uid self;
    int64_t bound;
    yoke_error *outcome;
    bool done;
};

static yoke_error *be_child(void *arg)
{
    struct side *s = arg;
    s->outcome = handshake_child(s->c, &s->self, s->bound ? s->bound : YOKE_S(5));
    s->done = true;
    return NULL;
}

static yoke_error *be_parent(void *arg)
{
    struct side *s = arg;
    s->outcome = handshake_parent(s->c, &parent, &child, s->bound ? s->bound : YOKE_S(5));
    s->done = true;
    return NULL;
}

static yoke_error *both(struct ends *x)
{
    struct side c = {.c = x->b};
    YOKE_TRY(yoke_spawn(&x->n, be_child, &c));
    YOKE_TRY(handshake_parent(x->a, &parent, &child, YOKE_S(5)));
    CHECK(c.done && !c.outcome);
    CHECK(yoke_uid_equal(&c.self, &child));
    CHECK(yoke_uid_equal(&x->a->peer, &child) && yoke_uid_equal(&x->b->peer, &parent.uid));
    CHECK(x->a->peer_pid == getpid() && x->b->peer_pid == getpid());
    CHECK(x->a->peer_is_yoke && x->b->peer_is_yoke);
    CHECK(x->a->peer_has_credits && x->b->peer_has_credits);
    CHECK(x->a->frames_in == 1 && x->a->frames_out == 1 && x->b->frames_in == 1 && x->b->frames_out == 1);
    YOKE_TRY(send_number(x->a, 3, 3)); /* and the channel goes on */
    return expect_number(x->b, 3, 3);
}

static void test_parent_and_child(void **state)
{
    run_pair(both);
}

/* ---- by hand ---- */

static yoke_error *aid_frame(struct buffer *out, const char *name, const char *uuid, const char *yoke,
                             size_t yoke_size)
{
    struct msg m = {.type = MSG_AID,
                    .aid = {.uid = {text_view(name), text_view(uuid)},
                            .has_pid = true,
                            .pid = 99,
                            .is_registrar = MSG_FLAG_FALSE,
                            .is_probe = MSG_FLAG_FALSE,
                            .yoke = {(const uint8_t *)yoke, yoke_size}}};
    return msg_encode(out, &m, &msg_limits_default);
}

static yoke_error *say(struct ends *x, const char *name, const char *uuid, const char *yoke, size_t yoke_size)
{
    struct buffer b = BUFFER_EMPTY;
    yoke_error *e = aid_frame(&b, name, uuid, yoke, yoke_size);
    bool written = !e && write_raw(x, buffer_begin(&b), buffer_size(&b));
    buffer_free(&b);
    YOKE_TRY(e);
    CHECK(written);
    return NULL;
}

#define LETTERS_64 "aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffgggggggghhhhhhhh"

/* The far end says what `fill` says; the parent refuses it for a reason that holds `text`. */
static yoke_error *parent_refuses(struct ends *x, const yoke_error_kind *kind, const char *text)
{
    struct msg m;
    CHECK(was(handshake_parent(x->a, &parent, &child, YOKE_S(5)), kind, text));
    CHECK(x->a->broken && was(channel_receive(x->a, &m), &YOKE_TRANSPORT_CLOSED, text));
    return NULL;
}

static yoke_error *another_name(struct ends *x)
{
    YOKE_TRY(say(x, "impostor", child.uuid, NULL, 0));
    return parent_refuses(x, &YOKE_PROTOCOL, "the child calls itself `impostor`, not `worker`");
}

static yoke_error *another_uuid(struct ends *x)
{
    YOKE_TRY(say(x, child.name, parent.uid.uuid, NULL, 0));
    return parent_refuses(x, &YOKE_PROTOCOL, "the child calls itself");
}

static yoke_error *name_too_long(struct ends *x)
{
    YOKE_TRY(say(x, LETTERS_64 "a", child.uuid, NULL, 0));
    YOKE_TRY(parent_refuses(x, &YOKE_PROTOCOL, "an actor's name: 65 bytes"));
    CHECK(yoke_uid_equal(&x->a->peer, &child)); /* nothing of it was taken over */
    return NULL;
}

static yoke_error *bad_extra(struct ends *x)
{
    YOKE_TRY(say(x, child.name, child.uuid, "\x81\xa7version\xa3one", 13));
    YOKE_TRY(parent_refuses(x, &YOKE_MSG_TYPE, "Aid.yoke.version"));
    CHECK(!x->a->peer_is_yoke);
    return NULL;
}

static yoke_error *no_aid(struct ends *x)
{
    struct buffer b = BUFFER_EMPTY;
    YOKE_TRY(frame_number(&b, 1, 1));
    bool written = write_raw(x, buffer_begin(&b), buffer_size(&b));
    buffer_free(&b);
    CHECK(written);
    return parent_refuses(x, &YOKE_PROTOCOL, "the first message is a Yield and not an Aid");
}

static yoke_error *another_protocol(struct ends *x)
{
    CHECK(write_raw(x, "GET / HTTP/1.1\r\n\r\n", 18));
    return parent_refuses(x, &YOKE_TRANSPORT_CLOSED, "over the limit");
}

static yoke_error *gone_at_once(struct ends *x)
{
    close_raw(x);
    struct msg m;
    yoke_error *e = handshake_parent(x->a, &parent, &child, YOKE_S(5));
    CHECK(was(e, &YOKE_TRANSPORT_CLOSED, NULL));
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_CLOSED, "the peer closed it"));
    return NULL;
}

static void test_a_parent_refuses(void **state)
{
    assert_success(yoke_log_set("error"));
    run_raw(another_name);
    run_raw(another_uuid);
    run_raw(name_too_long);
    run_raw(bad_extra);
    run_raw(no_aid);
    run_raw(another_protocol);
    run_raw(gone_at_once);
    assert_success(yoke_log_set("warning"));
}

/* A child needs a parent that names it: one of another make, or one that does not, is none. */
static yoke_error *no_name_given(struct ends *x)
{
    yoke_uid self;
    YOKE_TRY(say(x, "root", parent.uid.uuid,
                 "\x83\xa7version\x01\xaa"
                 "child_name\xa0\xaa"
                 "child_uuid\xa0",
                 34));
    CHECK(was(handshake_child(x->a, &self, YOKE_S(5)), &YOKE_PROTOCOL, "the parent gave no name"));
    CHECK(x->a->peer_is_yoke && x->a->frames_out == 0);
    CHECK(!x->a->peer_has_credits); /* of version 1 */
    return NULL;
}

static yoke_error *no_yoke_parent(struct ends *x)
{
    yoke_uid self;
    YOKE_TRY(say(x, "root", parent.uid.uuid, NULL, 0));
    CHECK(was(handshake_child(x->a, &self, YOKE_S(5)), &YOKE_PROTOCOL, "the parent gave no name"));
    CHECK(!x->a->peer_is_yoke);
    return NULL;
}

static void test_a_child_needs_a_name(void **state)
{
    run_raw(no_name_given);
    run_raw(no_yoke_parent);
}

/* A peer may say nothing, or only the beginning of an Aid. */
static yoke_error *silent(struct ends *x)
{
    struct side p = {.c = x->a, .bound = YOKE_MS(20)};
    YOKE_TRY(be_parent(&p));
    CHECK(was(p.outcome, &YOKE_TOO_SLOW, "20"));
    CHECK(write_raw(x, "\x40\x00\x00\x00\x86", 5));
    p.bound = YOKE_MS(10);
    int64_t begin = yoke_now();
    YOKE_TRY(be_parent(&p));
    CHECK(was(p.outcome, &YOKE_TOO_SLOW, NULL) && yoke_now() - begin < YOKE_S(5));
    struct side c = {.c = x->a, .bound = YOKE_MS(10)};
    YOKE_TRY(be_child(&c));
    CHECK(was(c.outcome, &YOKE_TOO_SLOW, NULL));
    return NULL;
}

static void test_a_peer_that_says_nothing(void **state)
{
    run_raw(silent);
}

/* One byte after the other comes, and not all of them in time. */
static yoke_error *write_slowly(void *arg)
{
    struct ends *x = arg;
    struct buffer b = BUFFER_EMPTY;
    yoke_error *e = aid_frame(&b, child.name, child.uuid, NULL, 0);
    for (size_t i = 0; i < buffer_size(&b) && !e; i++) {
        e = yoke_sleep(YOKE_MS(5));
        if (!e && !write_raw(x, buffer_begin(&b) + i, 1))
            e = yoke_raise(&YOKE_INTERNAL, "the test can't write");
    }
    buffer_free(&b);
    return e;
}

static yoke_error *slow_bytes(struct ends *x)
{
    YOKE_TRY(yoke_spawn(&x->n, write_slowly, x));
    int64_t begin = yoke_now();
    CHECK(was(handshake_parent(x->a, &parent, &child, YOKE_MS(100)), &YOKE_TOO_SLOW, NULL));
    CHECK(x->a->bytes_in > 0 && yoke_now() - begin < YOKE_S(5));
    yoke_nursery_cancel(&x->n, "seen");
    return NULL;
}

/* FAULT-11: the handshake. After it: test_fault_peer.c */
static void test_fault_11_slow_bytes(void **state)
{
    run_raw(slow_bytes);
}

/* Aid and first message come in one segment. */
static yoke_error *in_one_segment(struct ends *x)
{
    struct buffer b = BUFFER_EMPTY;
    yoke_error *e = aid_frame(&b, child.name, child.uuid, NULL, 0);
    if (!e)
        e = frame_number(&b, 5, 50);
    bool written = !e && write_raw(x, buffer_begin(&b), buffer_size(&b));
    buffer_free(&b);
    YOKE_TRY(e);
    CHECK(written);
    YOKE_TRY(handshake_parent(x->a, &parent, &child, YOKE_S(5)));
    return expect_number(x->a, 5, 50);
}

/* IPC-18: all at once, and (below) not before the other's is there */
static void test_ipc_18_the_order_of_the_two_aids_is_free(void **state)
{
    run_raw(in_one_segment);
}

/* IPC-18. Neither waits for the other's: the parent's Aid is there before the far end has said anything. */
static yoke_error *sends_first(struct ends *x)
{
    struct side p = {.c = x->a};
    YOKE_TRY(yoke_spawn(&x->n, be_parent, &p));
    settle();
    uint8_t bytes[512];
    ssize_t n = read(x->raw, bytes, sizeof bytes);
    struct msg m;
    CHECK(n > 4 && !p.done);
    YOKE_TRY(msg_decode(bytes + 4, (size_t)n - 4, &msg_limits_default, &m));
    CHECK(m.type == MSG_AID && text_view_is(m.aid.uid.name, "root") && m.aid.pid == getpid());
    CHECK(m.aid.is_registrar == MSG_FLAG_FALSE && m.aid.is_probe == MSG_FLAG_FALSE && m.aid.yoke.data);
    YOKE_TRY(say(x, child.name, child.uuid, NULL, 0));
    settle();
    CHECK(p.done && !p.outcome && !x->a->peer_is_yoke && x->a->peer_pid == 99);
    return NULL;
}

static void test_a_parent_sends_before_it_reads(void **state)
{
    run_raw(sends_first);
}

/* ---- recorded peers ---- */

static const char *recorded[] = {
    "spawn-uds-01-worker-to-root-Aid",
    "spawn-uds-2025-01-worker-to-root-Aid",
    "spawn-tcp-01-worker-to-root-Aid",
    "spawn-tcp-2025-01-worker-to-root-Aid",
};

static uint8_t frame[4096];
static size_t frame_size;

static void load(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "../msg/frames/%s.frame", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    frame_size = fread(frame, 1, sizeof frame, f);
    fclose(f);
    assert_true(frame_size > 4);
}

/* A Python child says who it is; the parent that named it so takes it, and no other. */
static yoke_error *python_child(struct ends *x)
{
    struct msg m;
    yoke_uid named;
    YOKE_TRY(msg_decode(frame + 4, frame_size - 4, &msg_limits_default, &m));
    YOKE_TRY(uid_from_view(&named, m.aid.uid));
    CHECK(write_raw(x, frame, frame_size));
    YOKE_TRY(handshake_parent(x->a, &parent, &named, YOKE_S(5)));
    CHECK(yoke_uid_equal(&x->a->peer, &named) && !x->a->peer_is_yoke && x->a->peer_pid > 0);
    CHECK(!x->a->peer_has_credits);
    return NULL;
}

static yoke_error *python_stranger(struct ends *x)
{
    CHECK(write_raw(x, frame, frame_size));
    return parent_refuses(x, &YOKE_PROTOCOL, "the child calls itself `worker`");
}

static void test_recorded_peers(void **state)
{
    for (size_t i = 0; i < sizeof recorded / sizeof recorded[0]; i++) {
        load(recorded[i]);
        run_raw(python_child);
        run_raw(python_stranger);
    }
    load("spawn-uds-02-root-to-worker-Aid");
    run_raw(python_child);
}

HARNESS_MAIN(TEST(test_parent_and_child), TEST(test_a_parent_refuses), TEST(test_a_child_needs_a_name),
             TEST(test_a_peer_that_says_nothing), TEST(test_a_parent_sends_before_it_reads),
             TEST(test_recorded_peers), TEST(test_fault_11_slow_bytes),
             TEST(test_ipc_18_the_order_of_the_two_aids_is_free))
