/*
 * What passes whole, and how a channel ends: frames of all sizes, many senders, the kinds of the end, systems
 * that fail, messages that can't be said, closes at any moment.
 */
#include "ends.h"

#include "msg/record.h"

#include <stdlib.h>

/* ---- sizes ---- */

/* Of the frames' bodies; the payload is that much smaller. */
static const size_t bodies[] = {100, 255, 256, 65535, 65536, 1 << 20, (64 << 20) - 1, 64 << 20};
enum { SIZES = sizeof bodies / sizeof *bodies };

/* A Yield whose body has exactly `bytes`: the payload is a msgpack bin, after a cid. */
static struct msg sized(struct buffer *payload, size_t bytes)
{
    struct buffer probe = BUFFER_EMPTY;
    struct msg m = {.type = MSG_YIELD, .cid = text_view("dialog")};
    uint8_t nil = 0xc0;
    m.pld = (struct raw_view){&nil, 1};
    yoke_error_free(msg_encode(&probe, &m, &msg_limits_default));
    size_t around = buffer_size(&probe) - 4 - 1;
    buffer_free(&probe);
    size_t left = bytes - around;
    size_t head = left < 256 + 2 ? 2 : left < 65536 + 3 ? 3 : 5;
    *payload = BUFFER_EMPTY;
    if (!buffer_reserve(payload, left))
        abort();
    uint32_t count = (uint32_t)(left - head);
    uint8_t *to = payload->data;
    memset(to, 'x', left);
    to[0] = head == 2 ? 0xc4 : head == 3 ? 0xc5 : 0xc6;
    for (size_t i = 1; i < head; i++)
        to[i] = (uint8_t)(count >> 8 * (head - 1 - i));
    payload->end = left;
    m.pld = (struct raw_view){payload->data, left};
    return m;
}

static yoke_error *send_sizes(void *arg)
{
    for (size_t i = 0; i < SIZES; i++) {
        struct buffer payload;
        struct msg m = sized(&payload, bodies[i]);
        yoke_error *e = channel_send(arg, &m);
        buffer_free(&payload);
        YOKE_TRY(e);
    }
    return NULL;
}

static yoke_error *all_sizes(struct ends *x)
{
    YOKE_TRY(yoke_spawn(&x->n, send_sizes, x->a));
    for (size_t i = 0; i < SIZES; i++) {
        struct msg m;
        YOKE_TRY(channel_receive(x->b, &m));
        CHECK(x->b->frame_left + x->b->large.size == 4 + bodies[i]);
        const uint8_t *data = m.aside ? m.aside->data : m.pld.data;
        size_t size = m.aside ? m.aside->size : m.pld.size;
        CHECK(data[size - 1] == 'x' && size < bodies[i]);
    }
    struct buffer payload;
    struct msg m = sized(&payload, (64 << 20) + 1);
    bool refused = was(channel_send(x->a, &m), &YOKE_TOO_LARGE, NULL);
    buffer_free(&payload);
    CHECK(refused);
    return NULL;
}

static yoke_error *thousand_in_one_write(struct ends *x)
{
    struct buffer all = BUFFER_EMPTY;
    yoke_error *e = NULL;
    for (uint32_t i = 0; i < 1000 && !e; i++)
        e = frame_number(&all, i, i % 40);
    bool written = !e && write_raw(x, buffer_begin(&all), buffer_size(&all));
    size_t size = buffer_size(&all);
    buffer_free(&all);
    YOKE_TRY(e);
    CHECK(written);
    for (uint32_t i = 0; i < 1000; i++) {
        YOKE_TRY(expect_number(x->a, i, i % 40));
        CHECK(size > CHANNEL_READ_BYTES || x->a->bytes_in == size); /* one read has got all of it */
    }
    return NULL;
}

/* IPC-01: the sizes, and a thousand in one read. Every byte boundary: test_channel.c, one byte at a time and
 * in random splits, partial writes */
static void test_ipc_01_frames_of_all_sizes(void **state)
{
    run_pair(all_sizes);
    run_raw(thousand_in_one_write);
}

/* ---- many senders ---- */

enum { TASKS = 50, EACH = 1000, LARGEST = 200 << 10 };

/* 1 B to 200 KiB, most of them small. */
static size_t size_of(uint32_t task, uint32_t i)
{
    uint32_t r = (task * 2654435761u) ^ (i * 40503u);
    return i % 100 == 99 ? 1 + r % LARGEST : 1 + r % 300;
}

struct sender {
    struct channel *c;
    uint32_t task;
};

static yoke_error *send_each(void *arg)
{
    struct sender *s = arg;
    for (uint32_t i = 0; i < EACH; i++)
        YOKE_TRY(send_number(s->c, s->task * EACH + i, size_of(s->task, i)));
    return NULL;
}

static yoke_error *fifty_tasks(struct ends *x)
{
    uint32_t next[TASKS] = {0};
    for (uint32_t i = 0; i < TASKS; i++) {
        struct sender s = {x->a, i};
        YOKE_TRY(yoke_spawn_value(&x->n, send_each, &s, sizeof s));
    }
    for (uint32_t i = 0; i < TASKS * EACH; i++) {
        struct msg m;
        uint32_t number;
        size_t filler;
        YOKE_TRY(channel_receive(x->b, &m));
        YOKE_TRY(read_number(&m, &number, &filler));
        uint32_t task = number / EACH;
        CHECK(task < TASKS && number % EACH == next[task] && filler == size_of(task, next[task]));
        next[task]++;
    }
    return NULL;
}

struct waiting {
    struct channel *c;
    uint32_t number;
};

static yoke_error *send_one(void *arg)
{
    struct waiting *w = arg;
    return send_number(w->c, w->number, 20);
}

/* Who waits first is served first. */
static yoke_error *in_line(struct ends *x)
{
    uint32_t filled = 0;
    while (buffer_size(&x->a->out) <= CHANNEL_HIGH_WATER)
        YOKE_TRY(post_number(x->a, filled++, 30000));
    for (uint32_t i = 0; i < 20; i++) {
        struct waiting w = {x->a, 1000 + i};
        YOKE_TRY(yoke_spawn_value(&x->n, send_one, &w, sizeof w));
        settle();
    }
    for (uint32_t i = 0; i < filled; i++)
        YOKE_TRY(expect_number(x->b, i, 30000));
    for (uint32_t i = 0; i < 20; i++)
        YOKE_TRY(expect_number(x->b, 1000 + i, 20));
    return NULL;
}

/* IPC-06: whole, in order, first come first served. Senders that are cancelled: test_channel.c */
static void test_ipc_06_sends_of_many_tasks(void **state)
{
    run_pair(fifty_tasks);
    run_pair(in_line);
}

/* ---- kinds of the end ---- */

static yoke_error *kind_ended(struct ends *x)
{
    struct msg m;
    close_raw(x);
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_ENDED, "is closed: the peer closed it"));
    return NULL;
}

/* Unread bytes at the far end make its close a reset. */
static yoke_error *kind_reset(struct ends *x)
{
    struct msg m;
    YOKE_TRY(send_number(x->a, 1, 1));
    YOKE_TRY(channel_drain(x->a));
    close_raw(x);
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_RESET, "Connection reset by peer"));
    return NULL;
}

static yoke_error *kind_refused(struct ends *x)
{
    close_raw(x);
    YOKE_TRY(post_number(x->a, 1, 1));
    CHECK(was(post_number(x->a, 1, 1), &YOKE_TRANSPORT_RESET, "writing failed: Broken pipe"));
    return NULL;
}

/* FAULT-08 */
static yoke_error *kind_torn(struct ends *x)
{
    struct msg m;
    CHECK(write_raw(x,
                    "\x0a\x00\x00\x00"
                    "abc",
                    7));
    close_raw(x);
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_TORN, "in the middle of a frame: 3 of 10 bytes"));
    return NULL;
}

static yoke_error *kind_torn_length(struct ends *x)
{
    struct msg m;
    CHECK(write_raw(x, "\x0a\x00", 2));
    close_raw(x);
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_TORN,
              "in the middle of a frame's length: 2 of 4 bytes"));
    return NULL;
}

static yoke_error *torn_by_reset(struct ends *x)
{
    struct msg m;
    YOKE_TRY(send_number(x->a, 1, 1));
    YOKE_TRY(channel_drain(x->a));
    CHECK(write_raw(x,
                    "\x0a\x00\x00\x00"
                    "abc",
                    7));
    close_raw(x);
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_TORN, "in the middle of a frame: 3 of 10 bytes"));
    return NULL;
}

static yoke_error *kind_protocol(struct ends *x)
{
    struct msg m;
    CHECK(write_raw(x, "\x01\x00\x00\x00\xc0", 5));
    yoke_error *e = channel_receive(x->a, &m);
    bool cause = yoke_error_is(yoke_error_cause(e), &YOKE_PROTOCOL);
    CHECK(was(e, &YOKE_TRANSPORT_PROTOCOL, "expected a map") && cause);
    return NULL;
}

static yoke_error *close_later(void *arg)
{
    struct ends *x = arg;
    YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    channel_break(x->a, channel_error(&x->a->peer, 0, &YOKE_TRANSPORT_LOCAL, NULL, "closed by this side"));
    return NULL;
}

static yoke_error *kind_local(struct ends *x)
{
    struct msg m;
    YOKE_TRY(yoke_spawn(&x->n, close_later, x));
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_LOCAL, "closed by this side"));
    return NULL;
}

/* Each is one of kind YOKE_TRANSPORT_CLOSED, and names the peer. */
static yoke_error *name_the_peer(struct ends *x)
{
    static const yoke_uid peer = {.name = "worker", .uuid = "some-uuid"};
    struct msg m;
    x->a->peer = peer;
    x->a->peer_pid = 77;
    close_raw(x);
    yoke_error *e = channel_receive(x->a, &m);
    bool named = yoke_uid_equal(channel_error_peer(e), &peer);
    CHECK(was(e, &YOKE_TRANSPORT_CLOSED, "the channel to actor `worker` (pid 77) is closed: ") && named);
    return NULL;
}

/* IPC-05, FAULT-08 */
static void test_ipc_05_kinds_of_the_end(void **state)
{
    yoke_error *(*const bodies_of[])(struct ends *) = {kind_ended,    kind_reset,       kind_refused,
                                                       kind_torn,     kind_torn_length, torn_by_reset,
                                                       kind_protocol, kind_local,       name_the_peer};
    assert_success(yoke_log_set("error"));
    for (size_t i = 0; i < sizeof bodies_of / sizeof *bodies_of; i++)
        run_raw(bodies_of[i]);
    assert_success(yoke_log_set("warning"));
}

/* ---- what counts as closed by the peer ---- */

static int failure;

static ssize_t fail_writing(int fd, const void *bytes, size_t count)
{
    errno = failure;
    return -1;
}

static yoke_error *write_fails(struct ends *x)
{
    bool by_peer = failure == EPIPE || failure == ECONNRESET;
    YOKE_TRY(post_number(x->a, 1, 1));
    yoke_error *e = send_number(x->a, 2, 2);
    CHECK(yoke_error_is(e, &YOKE_TRANSPORT_CLOSED) == by_peer);
    CHECK(by_peer || yoke_error_errno(e) == failure);
    CHECK(strstr(yoke_error_message(e), "the channel to actor `?`") && channel_error_peer(e));
    yoke_error_free(e);
    return NULL;
}

/* IPC-13 */
static void test_ipc_13_what_counts_as_closed_by_the_peer(void **state)
{
    static const int numbers[] = {EPIPE, ECONNRESET, EIO, ENOBUFS, EACCES};
    struct transport bad = transport_uds;
    bad.write = fail_writing;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        failure = numbers[i];
        struct ends x = {.body = write_fails, .transport = &bad};
        assert_success(yoke_run(with_raw, &x, NULL));
    }
}

/* ---- no message ---- */

YOKE_RECORD(part, (str, text));
YOKE_RECORD(whole, (u32, number), (list, part, parts));

static yoke_error *not_a_message(struct ends *x)
{
    part parts[] = {{(char *)"good"}, {(char *)"bad \xff"}};
    whole item = {.number = 3};
    item.parts.items = parts;
    item.parts.count = 2;
    struct msg m = {
        .type = MSG_YIELD, .cid = text_view("dialog"), .pld_item = {&yoke_record_whole, &item, "item"}};
    YOKE_TRY(send_number(x->a, 1, 1));
    size_t queued = buffer_size(&x->a->out) + x->a->bytes_out;
    CHECK(was(channel_send(x->a, &m), &YOKE_MSG_TYPE, "item.parts[1].text"));
    CHECK(buffer_size(&x->a->out) + x->a->bytes_out == queued && x->a->frames_out == 1);
    YOKE_TRY(send_number(x->a, 2, 2));
    YOKE_TRY(expect_number(x->b, 1, 1));
    return expect_number(x->b, 2, 2);
}

/* IPC-14 */
static void test_ipc_14_not_a_message(void **state)
{
    run_pair(not_a_message);
}

/* ---- few calls of the system ---- */

static unsigned writes;

static ssize_t count_writes(int fd, const void *bytes, size_t count)
{
    writes++;
    return transport_uds.write(fd, bytes, count);
}

static void empty_raw(const struct ends *x)
{
    static char some[1 << 16];
    while (recv(x->raw, some, sizeof some, MSG_DONTWAIT) > 0)
        ;
}

static yoke_error *few_writes(struct ends *x)
{
    writes = 0;
    YOKE_TRY(post_number(x->a, 0, 10));
    CHECK(writes == 1 && !x->a->flushing); /* a lone one leaves at once */
    for (uint32_t i = 0; !x->a->flushing; i++) {
        YOKE_TRY(post_number(x->a, i, 30000));
        YOKE_TRY(yoke_cancel_shielded_checkpoint());
    }
    settle();
    writes = 0;
    for (uint32_t i = 0; i < 100; i++)
        YOKE_TRY(post_number(x->a, i, 10));
    settle();
    CHECK(writes == 0 && buffer_size(&x->a->out) > 100 * 10);
    empty_raw(x);
    settle();
    CHECK(writes >= 1 && writes <= 3 && buffer_size(&x->a->out) == 0);
    return NULL;
}

/* IPC-07 */
static void test_ipc_07_several_frames_leave_in_one_write(void **state)
{
    struct transport counting = transport_uds;
    counting.write = count_writes;
    struct ends x = {.body = few_writes, .transport = &counting};
    assert_success(yoke_run(with_raw, &x, NULL));
}

/* ---- a half that is closed ---- */

static yoke_error *half_closed(struct ends *x)
{
    struct msg m;
    char byte;
    struct buffer b = BUFFER_EMPTY;
    yoke_error *e = frame_number(&b, 7, 7);
    bool written = !e && write_raw(x, buffer_begin(&b), buffer_size(&b));
    buffer_free(&b);
    YOKE_TRY(e);
    CHECK(written && shutdown(x->raw, SHUT_WR) == 0);
    YOKE_TRY(expect_number(x->a, 7, 7));
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_ENDED, "the peer closed it"));
    CHECK(was(post_number(x->a, 1, 1), &YOKE_TRANSPORT_ENDED, NULL)); /* it reads on, and is told nothing */
    CHECK(was(send_number(x->a, 1, 1), &YOKE_TRANSPORT_ENDED, NULL));
    settle();
    CHECK(recv(x->raw, &byte, 1, MSG_DONTWAIT) <= 0 && x->a->bytes_out == 0);
    return NULL;
}

/* IPC-23 */
static void test_ipc_23_half_closed_sockets(void **state)
{
    run_raw(half_closed);
}

/* ---- close ---- */

struct attempt {
    struct channel *c;
    yoke_error *outcome;
    bool done;
};

static yoke_error *receive_one(void *arg)
{
    struct attempt *a = arg;
    struct msg m;
    a->outcome = channel_receive(a->c, &m);
    a->done = true;
    return NULL;
}

static yoke_error *send_waiting(void *arg)
{
    struct attempt *a = arg;
    a->outcome = send_number(a->c, 1, 100);
    a->done = true;
    return NULL;
}

static yoke_error *drain(void *arg)
{
    struct attempt *a = arg;
    a->outcome = channel_drain(a->c);
    a->done = true;
    return NULL;
}

static yoke_error *closes(void *arg)
{
    struct channel *c = arg;
    channel_break(c, channel_error(&c->peer, 0, &YOKE_TRANSPORT_LOCAL, NULL, "closed by this side"));
    return NULL;
}

/* The peer never reads; the first frame is half in the socket. */
static yoke_error *closed_twice(struct ends *x)
{
    struct attempt receiver = {.c = x->a}, sender = {.c = x->a}, drainer = {.c = x->a};
    YOKE_TRY(yoke_spawn(&x->n, receive_one, &receiver));
    for (uint32_t i = 0; i < 4; i++)
        YOKE_TRY(post_number(x->a, i, 250000));
    YOKE_TRY(yoke_spawn(&x->n, send_waiting, &sender));
    YOKE_TRY(yoke_spawn(&x->n, drain, &drainer));
    settle();
    CHECK(!receiver.done && !sender.done && !drainer.done && x->a->flushing && x->a->bytes_out > 0);
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_spawn(&x->n, closes, x->a));
    YOKE_TRY(yoke_spawn(&x->n, closes, x->a));
    settle();
    closes(x->a);
    CHECK(receiver.done && sender.done && drainer.done && yoke_now() - begin < YOKE_S(2));
    CHECK(was(receiver.outcome, &YOKE_TRANSPORT_LOCAL, "closed by this side"));
    CHECK(was(sender.outcome, &YOKE_TRANSPORT_LOCAL, NULL) &&
          was(drainer.outcome, &YOKE_TRANSPORT_LOCAL, NULL));
    channel_close(x->a);
    x->a = NULL;
    struct msg m;
    yoke_error *e = NULL;
    while (!e)
        e = channel_receive(x->b, &m);
    CHECK(was(e, &YOKE_TRANSPORT_TORN, "in the middle of a frame: "));
    return NULL;
}

/* IPC-15 */
static void test_ipc_15_close_is_idempotent_and_bounded(void **state)
{
    run_pair(closed_twice);
}

HARNESS_MAIN(TEST(test_ipc_01_frames_of_all_sizes), TEST(test_ipc_06_sends_of_many_tasks),
             TEST(test_ipc_05_kinds_of_the_end), TEST(test_ipc_13_what_counts_as_closed_by_the_peer),
             TEST(test_ipc_14_not_a_message), TEST(test_ipc_07_several_frames_leave_in_one_write),
             TEST(test_ipc_23_half_closed_sockets), TEST(test_ipc_15_close_is_idempotent_and_bounded))
