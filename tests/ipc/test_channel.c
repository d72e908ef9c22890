/*
 * Frames over a socketpair: whole and in order however the bytes come, what waits and who is woken, how a
 * channel breaks, and what a hostile peer can do.
 */
#include "ends.h"

#include <signal.h>

/* ---- order, counters ---- */

struct series {
    struct channel *c;
    uint32_t count;
    size_t filler;
};

static yoke_error *send_series(void *arg)
{
    struct series *s = arg;
    for (uint32_t i = 0; i < s->count; i++)
        YOKE_TRY(send_number(s->c, i, s->filler ? s->filler : i * 7 % 2000));
    return NULL;
}

static yoke_error *in_order(struct ends *x)
{
    struct series s = {x->a, 1000, 0};
    YOKE_TRY(yoke_spawn(&x->n, send_series, &s));
    for (uint32_t i = 0; i < 1000; i++)
        YOKE_TRY(expect_number(x->b, i, i * 7 % 2000));
    CHECK(x->a->frames_out == 1000 && x->b->frames_in == 1000);
    CHECK(x->a->bytes_out == x->b->bytes_in && x->a->bytes_out > 900 * 1000);
    CHECK(x->a->frames_in == 0 && x->a->bytes_in == 0 && x->b->frames_out == 0 && x->b->bytes_out == 0);
    YOKE_TRY(send_number(x->b, 5, 1));
    YOKE_TRY(expect_number(x->a, 5, 1));
    CHECK(x->b->bytes_out == x->a->bytes_in && x->a->frames_in == 1);
    return NULL;
}

static void test_frames_come_in_order(void **state)
{
    run_pair(in_order);
}

/* ---- how the bytes come ---- */

struct reading {
    struct channel *c;
    uint32_t count, got;
    size_t (*filler)(uint32_t i);
};

static yoke_error *read_series(void *arg)
{
    struct reading *r = arg;
    for (r->got = 0; r->got < r->count; r->got++)
        YOKE_TRY(expect_number(r->c, r->got, r->filler(r->got)));
    return NULL;
}

static size_t small(uint32_t i)
{
    return i * 13 % 50;
}

static yoke_error *one_byte(struct ends *x)
{
    struct reading r = {x->a, 20, 0, small};
    struct buffer all = BUFFER_EMPTY;
    yoke_error *e = yoke_spawn(&x->n, read_series, &r);
    for (uint32_t i = 0; i < 20 && !e; i++)
        e = frame_number(&all, i, small(i));
    size_t size = buffer_size(&all);
    bool early = false, written = true;
    for (size_t i = 0; i < size && !e; i++) {
        early |= r.got == 20;
        written &= write_raw(x, buffer_begin(&all) + i, 1);
        settle();
    }
    buffer_free(&all);
    if (e)
        return e;
    CHECK(written && !early && r.got == 20);
    CHECK(x->a->bytes_in == size);
    return NULL;
}

static void test_one_byte_at_a_time(void **state)
{
    run_raw(one_byte);
}

/* xorshift: the same splits in each run. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static size_t mixed(uint32_t i)
{
    uint32_t seed = i * 2654435761u + 1;
    uint32_t r = next_random(&seed);
    return r % 8 == 0 ? r / 8 % 150000 : r / 8 % 300;
}

static yoke_error *write_in_pieces(struct ends *x, const struct buffer *all)
{
    uint32_t seed = 20261;
    size_t at = 0, size = buffer_size(all);
    while (at < size) {
        uint32_t r = next_random(&seed);
        size_t piece = r % 4 == 0 ? r / 4 % 100000 + 1 : r / 4 % 200 + 1;
        if (piece > size - at)
            piece = size - at;
        ssize_t n = write(x->raw, buffer_begin(all) + at, piece);
        if (n > 0)
            at += (size_t)n;
        else
            YOKE_TRY(yoke_wait_writable(x->raw));
        if (r & 1 << 20)
            YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}

static yoke_error *random_splits(struct ends *x)
{
    struct reading r = {x->a, 400, 0, mixed};
    struct buffer all = BUFFER_EMPTY;
    yoke_error *e = yoke_spawn(&x->n, read_series, &r);
    for (uint32_t i = 0; i < r.count && !e; i++)
        e = frame_number(&all, i, mixed(i));
    if (!e)
        e = write_in_pieces(x, &all);
    buffer_free(&all);
    while (!e && r.got < r.count)
        e = yoke_sleep(YOKE_MS(1));
    return e;
}

static void test_random_splits(void **state)
{
    run_raw(random_splits);
}

/* ---- transports that misbehave within their contract ---- */

static unsigned calls;

static ssize_t write_a_little(int fd, const void *bytes, size_t count)
{
    size_t most = ++calls % 7 + 1;
    if (calls % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return transport_uds.write(fd, bytes, count < most ? count : most);
}

static ssize_t read_a_little(int fd, void *bytes, size_t room)
{
    if (++calls % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return transport_uds.read(fd, bytes, room);
}

static yoke_error *a_little(struct ends *x)
{
    struct series s = {x->a, 60, 0};
    YOKE_TRY(yoke_spawn(&x->n, send_series, &s));
    for (uint32_t i = 0; i < s.count; i++)
        YOKE_TRY(expect_number(x->b, i, i * 7 % 2000));
    return NULL;
}

static void test_partial_and_interrupted_calls(void **state)
{
    struct transport little = transport_uds;
    little.write = write_a_little;
    little.read = read_a_little;
    struct ends x = {.body = a_little, .transport = &little};
    assert_success(yoke_run(with_channels, &x, NULL));
}

static ssize_t fail_reading(int fd, void *bytes, size_t room)
{
    errno = EIO;
    return -1;
}

static yoke_error *failing(struct ends *x)
{
    struct msg m;
    CHECK(was(channel_receive(x->a, &m), &YOKE_SYSTEM, "reading failed: Input/output error"));
    CHECK(was(channel_receive(x->a, &m), &YOKE_SYSTEM, "reading failed"));
    CHECK(was(post_number(x->a, 1, 1), &YOKE_SYSTEM, "reading failed"));
    return NULL;
}

static void test_a_read_that_fails(void **state)
{
    struct transport bad = transport_uds;
    bad.read = fail_reading;
    struct ends x = {.body = failing, .transport = &bad};
    assert_success(yoke_run(with_raw, &x, NULL));
}

/* ---- corking ---- */

static unsigned writes;

static ssize_t counted_write(int fd, const void *bytes, size_t count)
{
    writes++;
    return transport_uds.write(fd, bytes, count);
}

static yoke_error *corked(struct ends *x)
{
    settle();
    writes = 0;
    YOKE_TRY(post_number(x->a, 0, 10));
    CHECK(writes == 1 && buffer_size(&x->a->out) == 0);
    for (uint32_t i = 1; i < 20; i++)
        YOKE_TRY(post_number(x->a, i, 10));
    CHECK(writes == 1 && buffer_size(&x->a->out) > 0);
    YOKE_TRY(yoke_checkpoint());
    CHECK(writes == 2 && buffer_size(&x->a->out) == 0);
    settle();
    CHECK(writes == 2);

    /* What has gathered to more than a little does not wait for the pass. */
    YOKE_TRY(post_number(x->a, 20, 10));
    CHECK(writes == 3);
    YOKE_TRY(post_number(x->a, 21, CHANNEL_CORK_BYTES / 2));
    CHECK(writes == 3);
    YOKE_TRY(post_number(x->a, 22, CHANNEL_CORK_BYTES / 2));
    CHECK(writes == 4 && buffer_size(&x->a->out) == 0);

    /* Nor does it wait when somebody drains. */
    YOKE_TRY(post_number(x->a, 23, 10));
    CHECK(buffer_size(&x->a->out) > 0);
    YOKE_TRY(channel_drain(x->a));
    CHECK(writes == 5 && buffer_size(&x->a->out) == 0);
    for (uint32_t i = 0; i < 24; i++)
        YOKE_TRY(expect_number(x->b, i, i == 21 || i == 22 ? CHANNEL_CORK_BYTES / 2 : 10));
    return NULL;
}

static void test_frames_of_one_pass_leave_in_one_write(void **state)
{
    struct transport counted = transport_uds;
    counted.write = counted_write;
    struct ends x = {.body = corked, .transport = &counted};
    assert_success(yoke_run(with_channels, &x, NULL));
}

static yoke_error *post_number_ahead(struct channel *c, uint32_t number)
{
    struct numbered x;
    yoke_error *e = channel_post_ahead(c, numbered_make(&x, number, 10));
    buffer_free(&x.payload);
    return e;
}

static yoke_error *follow(void *arg)
{
    struct ends *x = arg;
    if (writes)
        return yoke_raise(&YOKE_INTERNAL, "it has left already");
    return post_number(x->a, 1, 10);
}

/* With what follows in the next pass; without that in the pass after it; with nobody ready before the run
 * waits. */
static yoke_error *posted_ahead(struct ends *x)
{
    settle();
    writes = 0;
    YOKE_TRY(yoke_spawn(&x->n, follow, x));
    YOKE_TRY(post_number_ahead(x->a, 0));
    CHECK(writes == 0 && buffer_size(&x->a->out) > 0);
    YOKE_TRY(expect_number(x->b, 0, 10));
    YOKE_TRY(expect_number(x->b, 1, 10));
    CHECK(writes == 1);

    settle();
    YOKE_TRY(post_number_ahead(x->a, 2));
    YOKE_TRY(yoke_checkpoint());
    CHECK(writes == 1);
    YOKE_TRY(yoke_checkpoint());
    CHECK(writes == 2);
    YOKE_TRY(expect_number(x->b, 2, 10));

    settle();
    YOKE_TRY(post_number_ahead(x->a, 3));
    YOKE_TRY(expect_number(x->b, 3, 10)); /* this task waits, and no other is there */
    CHECK(writes == 3);

    /* Behind a frame that was not held it is none. */
    settle();
    YOKE_TRY(post_number(x->a, 4, 10));
    YOKE_TRY(post_number(x->a, 5, 10));
    YOKE_TRY(post_number_ahead(x->a, 6));
    CHECK(writes == 4);
    YOKE_TRY(yoke_checkpoint());
    CHECK(writes == 5);
    for (uint32_t i = 4; i < 7; i++)
        YOKE_TRY(expect_number(x->b, i, 10));
    YOKE_TRY(post_number_ahead(x->a, 7));
    return channel_drain(x->a);
}

static void test_a_frame_that_others_follow(void **state)
{
    struct transport counted = transport_uds;
    counted.write = counted_write;
    struct ends x = {.body = posted_ahead, .transport = &counted};
    assert_success(yoke_run(with_channels, &x, NULL));
}

/* A corked frame of a channel that is closed in the same pass: nobody looks at it again. */
static yoke_error *closed_while_corked(struct ends *x)
{
    YOKE_TRY(post_number(x->a, 0, 10));
    YOKE_TRY(post_number(x->a, 1, 10));
    channel_close(x->a);
    x->a = NULL;
    settle();
    YOKE_TRY(expect_number(x->b, 0, 10));
    struct msg m;
    CHECK(was(channel_receive(x->b, &m), &YOKE_TRANSPORT_CLOSED, "the peer closed it"));
    return NULL;
}

static void test_closed_while_corked(void **state)
{
    run_pair(closed_while_corked);
}

/* ---- senders that wait ---- */

static yoke_error *backpressure(struct ends *x)
{
    struct series s = {x->a, 2000, 1000};
    YOKE_TRY(yoke_spawn(&x->n, send_series, &s));
    settle();
    CHECK(!list_empty(&x->a->senders) && x->a->frames_out < 2000);
    CHECK(buffer_size(&x->a->out) > CHANNEL_HIGH_WATER &&
          buffer_size(&x->a->out) < CHANNEL_HIGH_WATER + 2000);
    uint64_t before = x->a->frames_out;
    settle();
    CHECK(x->a->frames_out == before);
    for (uint32_t i = 0; i < 2000; i++)
        YOKE_TRY(expect_number(x->b, i, 1000));
    CHECK(list_empty(&x->a->senders));
    settle();
    CHECK(!x->a->flushing && buffer_size(&x->a->out) == 0);
    CHECK(x->a->out.capacity <= 4 * CHANNEL_READ_BYTES && x->b->in.capacity <= 4 * CHANNEL_READ_BYTES);
    return NULL;
}

static void test_a_sender_waits_for_room(void **state)
{
    run_pair(backpressure);
}

enum { SENDERS = 100, EACH = 40 };

struct one_of_many {
    struct channel *c;
    uint32_t number;
};

static yoke_error *send_some(void *arg)
{
    struct one_of_many *s = arg;
    for (uint32_t i = 0; i < EACH; i++)
        YOKE_TRY(send_number(s->c, s->number * EACH + i, 3000 + i));
    return NULL;
}

static yoke_error *many_senders(struct ends *x)
{
    uint32_t next[SENDERS] = {0};
    size_t most_waiting = 0, most_queued = 0;
    for (uint32_t i = 0; i < SENDERS; i++) {
        struct one_of_many s = {x->a, i};
        YOKE_TRY(yoke_spawn_value(&x->n, send_some, &s, sizeof s));
    }
    for (uint32_t i = 0; i < SENDERS * EACH; i++) {
        size_t waiting = 0;
        list_for_each(node, &x->a->senders)
            waiting++;
        most_waiting = waiting > most_waiting ? waiting : most_waiting;
        most_queued = buffer_size(&x->a->out) > most_queued ? buffer_size(&x->a->out) : most_queued;
        struct msg m;
        uint32_t number;
        size_t filler;
        YOKE_TRY(channel_receive(x->b, &m));
        YOKE_TRY(read_number(&m, &number, &filler));
        uint32_t sender = number / EACH;
        CHECK(sender < SENDERS && number % EACH == next[sender] && filler == 3000 + next[sender]);
        next[sender]++;
        if (i % 16 == 0)
            YOKE_TRY(yoke_checkpoint());
    }
    CHECK(most_waiting > SENDERS / 2);
    CHECK(most_queued < CHANNEL_HIGH_WATER + 4000);
    return NULL;
}

static void test_a_hundred_senders(void **state)
{
    run_pair(many_senders);
}

/* The runtime's own answers never wait; a peer that reads none of them costs memory till the channel is
 * closed. */
static yoke_error *unread(struct ends *x)
{
    uint64_t passes = scheduler_here->passes;
    for (uint32_t i = 0; i < 100; i++)
        YOKE_TRY(post_number(x->a, i, 100000));
    CHECK(scheduler_here->passes == passes);
    CHECK(x->a->flushing && buffer_size(&x->a->out) > 8 << 20);
    struct series s = {x->a, 1, 1};
    YOKE_TRY(yoke_spawn(&x->n, send_series, &s));
    settle();
    CHECK(!list_empty(&x->a->senders));
    for (uint32_t i = 0; i < 100; i++)
        YOKE_TRY(expect_number(x->b, i, 100000));
    return expect_number(x->b, 0, 1);
}

static void test_posts_never_wait(void **state)
{
    run_pair(unread);
}

/* ---- cancelled ---- */

struct attempt {
    struct channel *c;
    yoke_scope scope;
    yoke_error *outcome;
    bool done;
};

static yoke_error *try_to_send(void *arg)
{
    struct attempt *a = arg;
    YOKE_TRY(yoke_scope_open(&a->scope));
    a->outcome = send_number(a->c, 4711, 50000);
    a->done = true;
    return yoke_scope_close(&a->scope, NULL);
}

static yoke_error *cancelled_send(struct ends *x)
{
    uint32_t posted = 0;
    while (buffer_size(&x->a->out) <= CHANNEL_HIGH_WATER)
        YOKE_TRY(post_number(x->a, posted++, 30000));
    struct attempt attempt = {.c = x->a}, patient = {.c = x->a};
    YOKE_TRY(yoke_spawn(&x->n, try_to_send, &attempt));
    YOKE_TRY(yoke_spawn(&x->n, try_to_send, &patient));
    settle();
    CHECK(!attempt.done && x->a->frames_out == posted);
    yoke_scope_cancel(&attempt.scope, "the test does");
    settle();
    CHECK(attempt.done && was_cancelled(attempt.outcome) && !patient.done && x->a->frames_out == posted);
    for (uint32_t i = 0; i < posted; i++)
        YOKE_TRY(expect_number(x->b, i, 30000));
    YOKE_TRY(expect_number(x->b, 4711, 50000));
    settle();
    CHECK(patient.done && !patient.outcome && x->a->frames_out == posted + 1 &&
          x->b->frames_in == posted + 1);
    return NULL;
}

static void test_a_send_that_is_cancelled(void **state)
{
    run_pair(cancelled_send);
}

/* Cancelled before it begins: nothing is queued either. */
static yoke_error *cancelled_at_once(struct ends *x)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, "the test does");
    yoke_error *e = send_number(x->a, 1, 1);
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(was_cancelled(e) && x->a->frames_out == 0 && buffer_size(&x->a->out) == 0);
    return NULL;
}

static void test_a_send_in_a_cancelled_scope(void **state)
{
    run_pair(cancelled_at_once);
}

static yoke_error *receive_for(struct channel *c, int64_t ns, bool *cancelled)
{
    yoke_scope s;
    struct msg m;
    YOKE_TRY(yoke_move_on_after(&s, ns));
    YOKE_TRY(yoke_scope_close(&s, channel_receive(c, &m)));
    *cancelled = yoke_scope_cancelled_caught(&s);
    return NULL;
}

static yoke_error *cancelled_receive(struct ends *x)
{
    struct buffer all = BUFFER_EMPTY;
    yoke_error *e = frame_number(&all, 0, 3000);
    if (!e)
        e = frame_number(&all, 1, 3);
    uint8_t bytes[4096];
    size_t size = buffer_size(&all), at = 0;
    memcpy(bytes, buffer_begin(&all), size);
    buffer_free(&all);
    /* In the middle of the length, behind it, in the body, and of the second frame. */
    const size_t stops[] = {2, 4, 1000, size - 5};
    YOKE_TRY(e);
    for (size_t i = 0; i < 4; i++) {
        bool cancelled;
        if (i == 3)
            break;
        CHECK(write_raw(x, bytes + at, stops[i] - at));
        at = stops[i];
        YOKE_TRY(receive_for(x->a, YOKE_MS(2), &cancelled));
        CHECK(cancelled && buffer_size(&x->a->in) == at && !x->a->broken);
    }
    CHECK(write_raw(x, bytes + at, stops[3] - at));
    at = stops[3];
    YOKE_TRY(expect_number(x->a, 0, 3000));
    bool cancelled;
    YOKE_TRY(receive_for(x->a, YOKE_MS(2), &cancelled));
    CHECK(cancelled && !x->a->broken);
    CHECK(write_raw(x, bytes + at, size - at));
    return expect_number(x->a, 1, 3);
}

static void test_a_receive_that_is_cancelled_loses_nothing(void **state)
{
    run_raw(cancelled_receive);
}

/* Ctrl-c is told to the task that waits, and is no fault of the channel. */
static yoke_error *interrupted(struct ends *x)
{
    struct msg m;
    raise(SIGINT);
    CHECK(was(channel_receive(x->a, &m), &YOKE_INTERRUPTED, NULL));
    raise(SIGINT);
    settle();
    CHECK(was(send_number(x->a, 1, 1), &YOKE_INTERRUPTED, NULL));
    CHECK(!x->a->broken && x->a->frames_out == 0);
    YOKE_TRY(send_number(x->b, 7, 7));
    return expect_number(x->a, 7, 7);
}

static void test_an_interrupt_breaks_nothing(void **state)
{
    run_pair(interrupted);
}

/* ---- the end ---- */

static yoke_error *wait_for_one(void *arg)
{
    struct attempt *a = arg;
    struct msg m;
    a->outcome = channel_receive(a->c, &m);
    a->done = true;
    return NULL;
}

static yoke_error *broken(struct ends *x)
{
    struct attempt receiver = {.c = x->a}, sender = {.c = x->a};
    yoke_uid peer = {.name = "worker", .uuid = "some-uuid"};
    x->a->peer = peer;
    x->a->peer_pid = 77;
    YOKE_TRY(yoke_spawn(&x->n, wait_for_one, &receiver));
    while (buffer_size(&x->a->out) <= CHANNEL_HIGH_WATER)
        YOKE_TRY(post_number(x->a, 0, 30000));
    YOKE_TRY(yoke_spawn(&x->n, try_to_send, &sender));
    settle();
    CHECK(!receiver.done && !sender.done && x->a->flushing);
    channel_break(x->a, yoke_raise(&YOKE_PROTOCOL, "the first reason"));
    channel_break(x->a, yoke_raise(&YOKE_PROTOCOL, "the second reason"));
    settle();
    CHECK(receiver.done && sender.done && !x->a->flushing && buffer_size(&x->a->out) == 0);
    const char *text = "the channel to actor `worker` (pid 77) is closed: the first reason";
    const yoke_uid *named = channel_error_peer(receiver.outcome);
    CHECK(named && yoke_uid_equal(named, &peer));
    CHECK(yoke_error_is(yoke_error_cause(receiver.outcome), &YOKE_PROTOCOL));
    CHECK(was(receiver.outcome, &YOKE_TRANSPORT_CLOSED, text) &&
          was(sender.outcome, &YOKE_TRANSPORT_CLOSED, text));
    struct msg m;
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_CLOSED, text));
    CHECK(was(send_number(x->a, 1, 1), &YOKE_TRANSPORT_CLOSED, text));
    CHECK(was(post_number(x->a, 1, 1), &YOKE_TRANSPORT_CLOSED, text));
    CHECK(was(channel_drain(x->a), &YOKE_TRANSPORT_CLOSED, text));
    CHECK(was(channel_broken(x->a), &YOKE_TRANSPORT_CLOSED, text));
    yoke_error *other = yoke_raise(&YOKE_USAGE, "of no peer");
    CHECK(!channel_error_peer(other));
    yoke_error_free(other);
    return NULL;
}

static void test_a_broken_channel_wakes_all(void **state)
{
    run_pair(broken);
}

/* The channel's own task waits for the socket, is about to run, or has not begun yet. */
static yoke_error *closed_while_flushing(struct ends *x)
{
    int fds[2];
    for (int passes = 0; passes < 4; passes++) {
        struct channel *c;
        YOKE_TRY(pair_of_ends(fds));
        YOKE_TRY(channel_open(&c, fds[0], &transport_uds, NULL));
        for (uint32_t i = 0; i < 20; i++)
            YOKE_TRY(post_number(c, i, 50000));
        CHECK(c->flushing);
        for (int i = 0; i < passes; i++)
            YOKE_TRY(yoke_checkpoint());
        if (passes == 3) { /* the socket has room: the task is woken and then overtaken */
            char some[4096];
            while (read(fds[1], some, sizeof some) > 0)
                ;
            YOKE_TRY(yoke_checkpoint());
        }
        channel_close(c);
        settle();
        close(fds[1]);
    }
    channel_close(NULL);
    return NULL;
}

static void test_closed_while_it_flushes(void **state)
{
    run_pair(closed_while_flushing);
}

static yoke_error *ended(struct channel *c, const char *how)
{
    struct msg m;
    CHECK(was(channel_receive(c, &m), &YOKE_TRANSPORT_CLOSED, how));
    CHECK(c->ended_by_peer);
    return NULL;
}

static yoke_error *clean_end(struct ends *x)
{
    struct buffer all = BUFFER_EMPTY;
    YOKE_TRY(frame_number(&all, 1, 10));
    bool written = write_raw(x, buffer_begin(&all), buffer_size(&all));
    buffer_free(&all);
    CHECK(written);
    close_raw(x);
    YOKE_TRY(expect_number(x->a, 1, 10));
    return ended(x->a, "the peer closed it");
}

static yoke_error *half_close(struct ends *x)
{
    shutdown(x->raw, SHUT_WR);
    return ended(x->a, "the peer closed it");
}

static yoke_error *end_in_length(struct ends *x)
{
    CHECK(write_raw(x, "\x40\x00", 2));
    close_raw(x);
    return ended(x->a, "in the middle of a frame's length: 2 of 4 bytes");
}

static yoke_error *end_in_body(struct ends *x)
{
    CHECK(write_raw(x, "\x40\x00\x00\x00\x81", 5));
    close_raw(x);
    return ended(x->a, "in the middle of a frame: 1 of 64 bytes");
}

static yoke_error *end_behind_length(struct ends *x)
{
    CHECK(write_raw(x, "\x40\x00\x00\x00", 4));
    close_raw(x);
    return ended(x->a, "in the middle of a frame: 0 of 64 bytes");
}

/* The end wakes who waits, and comes only after what was sent. */
static yoke_error *end_while_waiting(struct ends *x)
{
    struct attempt receiver = {.c = x->a};
    YOKE_TRY(yoke_spawn(&x->n, wait_for_one, &receiver));
    settle();
    CHECK(!receiver.done);
    close_raw(x);
    settle();
    CHECK(receiver.done && was(receiver.outcome, &YOKE_TRANSPORT_CLOSED, "the peer closed it"));
    return NULL;
}

static void test_end_of_file(void **state)
{
    run_raw(clean_end);
    run_raw(half_close);
    run_raw(end_in_length);
    run_raw(end_in_body);
    run_raw(end_behind_length);
    run_raw(end_while_waiting);
}

/* A peer that failed and ended: our write finds it gone first, but its last words are heard. */
static yoke_error *last_words(struct ends *x)
{
    struct buffer all = BUFFER_EMPTY;
    yoke_error *e = NULL;
    for (uint32_t i = 0; i < 3 && !e; i++)
        e = frame_number(&all, i, 40000);
    bool written = !e && write_raw(x, buffer_begin(&all), buffer_size(&all));
    buffer_free(&all);
    YOKE_TRY(e);
    CHECK(written);
    YOKE_TRY(expect_number(x->a, 0, 40000));
    close_raw(x);
    YOKE_TRY(post_number(x->a, 9, 9)); /* goes into the void */
    CHECK(was(post_number(x->a, 9, 9), &YOKE_TRANSPORT_CLOSED, "writing failed: Broken pipe"));
    CHECK(was(send_number(x->a, 9, 9), &YOKE_TRANSPORT_CLOSED, "writing failed"));
    CHECK(was(channel_drain(x->a), &YOKE_TRANSPORT_CLOSED, "writing failed"));
    YOKE_TRY(expect_number(x->a, 1, 40000));
    YOKE_TRY(expect_number(x->a, 2, 40000));
    return ended(x->a, "the peer closed it");
}

static void test_last_words_of_a_peer_that_is_gone(void **state)
{
    run_raw(last_words);
}

/* A peer that takes nothing any more, and stays: its channel ends all the same. */
static yoke_error *deaf_peer(struct ends *x)
{
    struct attempt receiver = {.c = x->a}, sender = {.c = x->a};
    YOKE_TRY(yoke_spawn(&x->n, wait_for_one, &receiver));
    while (buffer_size(&x->a->out) <= CHANNEL_HIGH_WATER)
        YOKE_TRY(post_number(x->a, 0, 30000));
    YOKE_TRY(yoke_spawn(&x->n, try_to_send, &sender));
    settle();
    CHECK(!receiver.done && !sender.done);
    shutdown(x->raw, SHUT_RD);
    char some[4096];
    while (read(x->raw, some, sizeof some) > 0) /* so that the socket has room, and is written to */
        ;
    for (int i = 0; i < 100 && !receiver.done; i++)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(receiver.done && was(receiver.outcome, &YOKE_TRANSPORT_CLOSED, NULL));
    CHECK(sender.done && was(sender.outcome, &YOKE_TRANSPORT_CLOSED, "writing failed: Broken pipe"));
    return NULL;
}

static void test_a_deaf_peer(void **state)
{
    run_raw(deaf_peer);
}

/* ---- drain ---- */

static yoke_error *drain_it(void *arg)
{
    struct attempt *a = arg;
    YOKE_TRY(yoke_scope_open(&a->scope));
    a->outcome = channel_drain(a->c);
    a->done = true;
    return yoke_scope_close(&a->scope, NULL);
}

static yoke_error *drained(struct ends *x)
{
    YOKE_TRY(channel_drain(x->a)); /* nothing was sent */
    struct attempt one = {.c = x->a}, two = {.c = x->a};
    for (uint32_t i = 0; i < 20; i++)
        YOKE_TRY(post_number(x->a, i, 50000));
    YOKE_TRY(yoke_spawn(&x->n, drain_it, &one));
    YOKE_TRY(yoke_spawn(&x->n, drain_it, &two));
    settle();
    CHECK(!one.done && !two.done);
    yoke_scope_cancel(&two.scope, "the test does");
    settle();
    CHECK(!one.done && two.done && was_cancelled(two.outcome));
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(!one.done || buffer_size(&x->a->out) == 0);
        YOKE_TRY(expect_number(x->b, i, 50000));
    }
    settle();
    CHECK(one.done && !one.outcome);
    channel_break(x->a, yoke_raise(&YOKE_TRANSPORT_CLOSED, "later"));
    return channel_drain(x->a); /* all had gone before */
}

static yoke_error *drain_fails(struct ends *x)
{
    struct attempt one = {.c = x->a};
    for (uint32_t i = 0; i < 20; i++)
        YOKE_TRY(post_number(x->a, i, 50000));
    YOKE_TRY(yoke_spawn(&x->n, drain_it, &one));
    settle();
    CHECK(!one.done);
    close_raw(x);
    settle();
    CHECK(one.done && was(one.outcome, &YOKE_TRANSPORT_CLOSED, "writing failed"));
    return NULL;
}

static void test_drain(void **state)
{
    run_pair(drained);
    run_raw(drain_fails);
}

/* ---- limits and hostile bytes ---- */

static const struct msg_limits small_limits = {1000, 64, 1000};

/* A frame whose body has exactly `bytes`. */
static yoke_error *frame_of(struct buffer *out, size_t bytes)
{
    struct buffer empty = BUFFER_EMPTY;
    YOKE_TRY(frame_number(&empty, 1, 300));
    size_t around = buffer_size(&empty) - 4 - 300;
    buffer_free(&empty);
    return frame_number(out, 1, bytes - around);
}

static yoke_error *at_the_limit(struct ends *x)
{
    struct buffer all = BUFFER_EMPTY;
    YOKE_TRY(frame_of(&all, 1000));
    size_t size = buffer_size(&all);
    bool written = write_raw(x, buffer_begin(&all), size);
    buffer_free(&all);
    CHECK(written && size == 1004);
    struct msg m;
    YOKE_TRY(channel_receive(x->a, &m));
    CHECK(x->a->frames_in == 1);
    /* One more is refused by its length alone. */
    CHECK(write_raw(x, "\xe9\x03\x00\x00", 4));
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_CLOSED,
              "a frame of 1001 bytes is over the limit of 1000"));
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_CLOSED, "1001"));
    return NULL;
}

static yoke_error *send_over_the_limit(struct ends *x)
{
    CHECK(was(send_number(x->a, 1, 1001), &YOKE_TOO_LARGE, NULL));
    CHECK(x->a->frames_out == 0 && buffer_size(&x->a->out) == 0 && !x->a->broken);
    YOKE_TRY(send_number(x->a, 2, 500));
    return expect_number(x->b, 2, 500);
}

static void test_the_limit_of_a_frame(void **state)
{
    assert_success(yoke_log_set("error"));
    struct ends in = {.body = at_the_limit, .limits = &small_limits};
    assert_success(yoke_run(with_raw, &in, NULL));
    struct ends out = {.body = send_over_the_limit, .limits = &small_limits};
    assert_success(yoke_run(with_channels, &out, NULL));
    assert_success(yoke_log_set("warning"));
}

/* 64 MiB are announced and ten bytes come; one more is refused at once. */
static yoke_error *announced(struct ends *x)
{
    struct attempt receiver = {.c = x->a};
    YOKE_TRY(yoke_spawn(&x->n, wait_for_one, &receiver));
    CHECK(write_raw(x, "\x00\x00\x00\x04 and more  ", 14));
    settle();
    CHECK(!receiver.done && buffer_size(&x->a->in) == 14 && x->a->in.capacity <= 2 * CHANNEL_READ_BYTES);
    close_raw(x);
    settle();
    CHECK(receiver.done &&
          was(receiver.outcome, &YOKE_TRANSPORT_CLOSED, "in the middle of a frame: 10 of 67108864 bytes"));
    return NULL;
}

static yoke_error *announced_too_much(struct ends *x)
{
    struct msg m;
    CHECK(write_raw(x, "\x01\x00\x00\x04", 4));
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_CLOSED,
              "67108865 bytes is over the limit of 67108864"));
    return NULL;
}

static yoke_error *announced_all(struct ends *x)
{
    struct msg m;
    CHECK(write_raw(x, "\xff\xff\xff\xff", 4));
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_CLOSED, "4294967295"));
    return NULL;
}

static void test_memory_follows_the_bytes_that_came(void **state)
{
    assert_success(yoke_log_set("error"));
    run_raw(announced);
    run_raw(announced_too_much);
    run_raw(announced_all);
    assert_success(yoke_log_set("warning"));
}

/* What stands before the bad frame is delivered; the other channel does not notice. */
static yoke_error *hostile(struct ends *x)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *says;
    } bad[] = {
        {"\x00\x00\x00\x00", 4, NULL},                   /* empty */
        {"\x01\x00\x00\x00\xc0", 5, "expected a map"},   /* nil */
        {"\x01\x00\x00\x00\xc1", 5, NULL},               /* never used */
        {"\x01\x00\x00\x00\x80", 5, "without msg_type"}, /* {} */
        {"\x0f\x00\x00\x00\x81\xa8msg_type\xa4Nope", 19, "unknown msg_type 'Nope'"},
        {"\x05\x00\x00\x00\xdf\xff\xff\xff\xff", 9, NULL}, /* a map of 4 billion pairs */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fds[2];
        struct channel *c;
        struct buffer all = BUFFER_EMPTY;
        YOKE_TRY(transport_uds.pair(fds));
        YOKE_TRY(channel_open(&c, fds[0], &transport_uds, NULL));
        YOKE_TRY(frame_number(&all, 1, 1));
        if (!buffer_append(&all, bad[i].bytes, bad[i].size))
            return yoke_raise(&YOKE_NO_MEMORY, "the test");
        bool written = write(fds[1], buffer_begin(&all), buffer_size(&all)) == (ssize_t)buffer_size(&all);
        buffer_free(&all);
        YOKE_TRY(expect_number(c, 1, 1));
        struct msg m;
        bool refused = was(channel_receive(c, &m), &YOKE_TRANSPORT_CLOSED, bad[i].says);
        CHECK(written && refused && yoke_error_is(yoke_error_cause(c->broken), &YOKE_PROTOCOL));
        channel_close(c);
        close(fds[1]);
        YOKE_TRY(send_number(x->a, (uint32_t)i, 10));
        YOKE_TRY(expect_number(x->b, (uint32_t)i, 10));
    }
    return NULL;
}

static void test_hostile_frames(void **state)
{
    assert_success(yoke_log_set("error"));
    run_pair(hostile);
    assert_success(yoke_log_set("warning"));
}

/* ---- wrong use, no memory ---- */

static yoke_error *two_receivers(struct ends *x)
{
    struct attempt receiver = {.c = x->a};
    struct msg m;
    YOKE_TRY(yoke_spawn(&x->n, wait_for_one, &receiver));
    settle();
    CHECK(was(channel_receive(x->a, &m), &YOKE_BUSY_RESOURCE, NULL));
    CHECK(!x->a->broken && !receiver.done);
    YOKE_TRY(send_number(x->b, 1, 1));
    settle();
    CHECK(receiver.done && !receiver.outcome);
    return NULL;
}

static void test_two_receivers(void **state)
{
    run_pair(two_receivers);
}

static void test_outside_of_a_run(void **state)
{
    int fds[2];
    struct channel *c;
    assert_success(transport_uds.pair(fds));
    assert_error(channel_open(&c, fds[0], &transport_uds, NULL), &YOKE_USAGE);
    assert_null(c);
    close(fds[1]);
}

static yoke_error *exchange(struct channel *a, struct channel *b)
{
    for (uint32_t i = 0; i < 3; i++)
        YOKE_TRY(send_number(a, i, 70000));
    for (uint32_t i = 0; i < 3; i++)
        YOKE_TRY(expect_number(b, i, 70000));
    return channel_drain(a);
}

static void test_each_allocation_refused(void **state)
{
    refuse_each_allocation(exchange_over_pair, &(struct exchange){exchange});
}

HARNESS_MAIN(TEST(test_frames_come_in_order), TEST(test_one_byte_at_a_time), TEST(test_random_splits),
             TEST(test_partial_and_interrupted_calls), TEST(test_a_read_that_fails),
             TEST(test_frames_of_one_pass_leave_in_one_write), TEST(test_a_frame_that_others_follow),
             TEST(test_closed_while_corked), TEST(test_a_sender_waits_for_room), TEST(test_a_hundred_senders),
             TEST(test_posts_never_wait), TEST(test_a_send_that_is_cancelled),
             TEST(test_a_send_in_a_cancelled_scope), TEST(test_a_receive_that_is_cancelled_loses_nothing),
             TEST(test_an_interrupt_breaks_nothing), TEST(test_a_broken_channel_wakes_all),
             TEST(test_closed_while_it_flushes), TEST(test_end_of_file),
             TEST(test_last_words_of_a_peer_that_is_gone), TEST(test_a_deaf_peer), TEST(test_drain),
             TEST(test_the_limit_of_a_frame), TEST(test_memory_follows_the_bytes_that_came),
             TEST(test_hostile_frames), TEST(test_two_receivers), TEST(test_outside_of_a_run),
             TEST(test_each_allocation_refused))
