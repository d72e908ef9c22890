/*
 * Large payloads: lent by the sender and read to memory of their own, they come as they were, whatever else
 * happens to the channel, to the sender, or to the pieces in which they come.
 */
#include "ends.h"

#include "base/memory.h"
#include "msg/record.h"

#include <stdlib.h>

YOKE_RECORD(parcel, (u32, number), (bytes, first), (str, label), (bytes, second));
YOKE_RECORD(holder, (any, first), (str, label));

enum { LARGE = 200000 };

/* Another content for each number. */
static uint8_t *content(uint32_t number, size_t size)
{
    uint8_t *data = malloc(size ? size : 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 31 + i / 251 + number);
    return data;
}

static bool is_content(const yoke_bytes *got, uint32_t number, size_t size)
{
    uint8_t *data = content(number, size);
    bool same = got->size == size && (!size || memcmp(got->data, data, size) == 0);
    free(data);
    return same;
}

static struct msg parcel_message(const parcel *item)
{
    return (struct msg){
        .type = MSG_YIELD, .cid = text_view("dialog"), .pld_item = {&yoke_record_parcel, item, "item"}};
}

static yoke_error *send_parcel(struct channel *c, uint32_t number, size_t first, size_t second)
{
    uint8_t *a = content(number, first), *b = content(number + 1, second);
    parcel item = {number, {a, first}, "the label", {b, second}};
    struct msg m = parcel_message(&item);
    yoke_error *e = channel_send(c, &m);
    memset(a, 0xee, first); /* what was lent is the sender's own again */
    memset(b, 0xee, second);
    free(a);
    free(b);
    return e;
}

static yoke_error *take_parcel(const struct msg *m, bool keep, parcel *item)
{
    if (m->aside)
        m->aside->to_take = keep;
    return record_decode_aside(&yoke_record_parcel, m->pld.data, m->pld.size, "item", item, m->aside);
}

static yoke_error *expect_parcel(struct channel *c, uint32_t number, size_t first, size_t second)
{
    struct msg m;
    parcel item;
    YOKE_TRY(channel_receive(c, &m));
    YOKE_TRY(take_parcel(&m, true, &item));
    bool fine = item.number == number && is_content(&item.first, number, first) &&
                strcmp(item.label, "the label") == 0 && is_content(&item.second, number + 1, second);
    parcel_free(&item);
    CHECK(fine);
    return NULL;
}

/* ---- as they were ---- */

static const size_t sizes[][2] = {
    {0, 0},          {LARGE, 0},  {0, LARGE},     {LARGE, LARGE}, {3, 5},     {LOAN_LEAST - 1, LOAN_LEAST},
    {LOAN_LEAST, 1}, {70000, 40}, {3 << 20, 100}, {100, 3 << 20}, {LARGE, 10}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static yoke_error *send_sizes(void *arg)
{
    for (uint32_t i = 0; i < 3 * SIZES; i++)
        YOKE_TRY(send_parcel(arg, i, sizes[i % SIZES][0], sizes[i % SIZES][1]));
    return NULL;
}

static yoke_error *expect_sizes(struct channel *c)
{
    for (uint32_t i = 0; i < 3 * SIZES; i++)
        YOKE_TRY(expect_parcel(c, i, sizes[i % SIZES][0], sizes[i % SIZES][1]));
    return NULL;
}

static yoke_error *all_sizes(struct ends *x)
{
    YOKE_TRY(yoke_spawn(&x->n, send_sizes, x->a));
    YOKE_TRY(expect_sizes(x->b));
    CHECK(x->a->bytes_out == x->b->bytes_in && x->b->frames_in == 3 * SIZES);
    return NULL;
}

static void test_large_and_small_ones_in_turn(void **state)
{
    run_pair(all_sizes);
}

/* Pieces of a writer's own choosing: xorshift. */
static yoke_error *write_in_pieces(struct ends *x, const struct buffer *all, uint32_t seed, size_t most)
{
    for (size_t at = 0, size = buffer_size(all); at < size;) {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        size_t piece = seed % 3 ? seed % most + 1 : seed % 7 + 1;
        ssize_t n = write(x->raw, buffer_begin(all) + at, piece < size - at ? piece : size - at);
        if (n > 0)
            at += (size_t)n;
        else
            YOKE_TRY(yoke_wait_writable(x->raw));
        if (seed & 1 << 20)
            YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}

static yoke_error *expect_sizes_task(void *arg)
{
    return expect_sizes(arg);
}

static yoke_error *encode_sizes(struct buffer *all)
{
    for (uint32_t i = 0; i < 3 * SIZES; i++) {
        uint8_t *a = content(i, sizes[i % SIZES][0]), *b = content(i + 1, sizes[i % SIZES][1]);
        parcel item = {i, {a, sizes[i % SIZES][0]}, "the label", {b, sizes[i % SIZES][1]}};
        struct msg m = parcel_message(&item);
        yoke_error *e = msg_encode(all, &m, &msg_limits_default);
        free(a);
        free(b);
        YOKE_TRY(e);
    }
    return NULL;
}

static yoke_error *in_pieces(struct ends *x)
{
    struct buffer all = BUFFER_EMPTY;
    yoke_error *e = encode_sizes(&all);
    for (uint32_t most = 40; most < 1000000 && !e; most *= 20) {
        yoke_nursery n;
        e = yoke_nursery_open(&n);
        if (!e)
            e = yoke_spawn(&n, expect_sizes_task, x->a);
        if (!e)
            e = yoke_nursery_close(&n, write_in_pieces(x, &all, most, most));
    }
    buffer_free(&all);
    return e;
}

static void test_in_pieces(void **state)
{
    run_raw(in_pieces);
}

struct receiver {
    struct channel *c;
    bool done;
};

static yoke_error *receive_third(void *arg)
{
    struct receiver *r = arg;
    YOKE_TRY(expect_parcel(r->c, 3, 30000, 50));
    r->done = true;
    return NULL;
}

/* All but the end of the frame is there when the payload is found. */
static yoke_error *end_is_missing(struct ends *x)
{
    struct buffer all = BUFFER_EMPTY;
    uint8_t *data = content(3, 30000), *more = content(4, 50);
    parcel item = {3, {data, 30000}, "the label", {more, 50}};
    struct msg m = parcel_message(&item);
    yoke_error *e = msg_encode(&all, &m, &msg_limits_default);
    size_t size = buffer_size(&all);
    for (size_t missing = 1; missing < 60 && !e; missing++) {
        yoke_nursery n;
        struct receiver r = {x->a, false};
        bool written = write_raw(x, buffer_begin(&all), size - missing);
        e = yoke_nursery_open(&n);
        if (!e)
            e = yoke_spawn(&n, receive_third, &r);
        settle();
        written &= !r.done && write_raw(x, buffer_begin(&all) + size - missing, missing);
        if (!e)
            e = yoke_nursery_close(&n, NULL);
        if (!e && !(written && r.done))
            e = yoke_raise(&YOKE_INTERNAL, "without the last %zu bytes", missing);
    }
    buffer_free(&all);
    free(data);
    free(more);
    return e;
}

static void test_the_end_comes_later(void **state)
{
    run_raw(end_is_missing);
}

/* ---- without copies ---- */

static yoke_error *send_one(void *arg)
{
    return send_parcel(arg, 7, 4 << 20, 10);
}

static yoke_error *no_copies(struct ends *x)
{
    struct msg m;
    parcel item;
    YOKE_TRY(yoke_spawn(&x->n, send_one, x->a));
    settle();
    CHECK(x->a->loan.size > 0 && buffer_size(&x->a->out) < 1000);
    YOKE_TRY(channel_receive(x->b, &m));
    CHECK(x->a->out.capacity <= LOAN_LEAST && x->b->in.capacity <= 4 * CHANNEL_READ_BYTES);
    CHECK(m.aside && m.aside->size == 4 << 20 && m.pld.size < 200);
    const uint8_t *read_to = m.aside->data;
    YOKE_TRY(take_parcel(&m, true, &item));
    bool kept = item.first.data == read_to && !m.aside->data;
    parcel_free(&item);
    CHECK(kept);
    return NULL;
}

static void test_nothing_is_copied(void **state)
{
    run_pair(no_copies);
}

/* A message may be decoded by several, and into other records: as one value, or not at all. */
static yoke_error *decoded_again(struct ends *x)
{
    struct msg m;
    parcel item;
    holder held;
    yoke_value value;
    YOKE_TRY(yoke_spawn(&x->n, send_one, x->a));
    YOKE_TRY(channel_receive(x->b, &m));
    for (int i = 0; i < 2; i++) {
        YOKE_TRY(take_parcel(&m, false, &item));
        bool fine = m.aside->data && item.first.data != m.aside->data && is_content(&item.first, 7, 4 << 20);
        parcel_free(&item);
        CHECK(fine);
    }
    YOKE_TRY(record_decode_aside(&yoke_record_any, m.pld.data, m.pld.size, "item", &value, m.aside));
    yoke_error *e = yoke_value_to(&value, &yoke_record_parcel, &item);
    yoke_value_free(&value);
    YOKE_TRY(e);
    bool fine = is_content(&item.first, 7, 4 << 20) && is_content(&item.second, 8, 10);
    parcel_free(&item);
    CHECK(fine);
    YOKE_TRY(record_decode_aside(&yoke_record_holder, m.pld.data, m.pld.size, "item", &held, m.aside));
    fine = held.first.size == (4 << 20) + 5 && strcmp(held.label, "the label") == 0;
    holder_free(&held);
    CHECK(fine);
    return NULL;
}

static void test_decoded_again(void **state)
{
    run_pair(decoded_again);
}

YOKE_RECORD(misfit, (bytes, first), (u32, label));

/* What was taken of a message that does not fit is freed: the harness counts. */
static yoke_error *does_not_fit(struct ends *x)
{
    struct msg m;
    misfit item;
    YOKE_TRY(yoke_spawn(&x->n, send_one, x->a));
    YOKE_TRY(channel_receive(x->b, &m));
    m.aside->to_take = true;
    CHECK(was(record_decode_aside(&yoke_record_misfit, m.pld.data, m.pld.size, "item", &item, m.aside),
              &YOKE_MSG_TYPE, "item.label: expected int, got str"));
    return NULL;
}

static void test_does_not_fit(void **state)
{
    run_pair(does_not_fit);
}

/* ---- a lender that waits ---- */

struct lender {
    struct channel *c;
    uint32_t number;
    yoke_scope scope;
    yoke_error *outcome;
    bool done;
};

static yoke_error *lend_one(void *arg)
{
    struct lender *l = arg;
    YOKE_TRY(yoke_scope_open(&l->scope));
    l->outcome = send_parcel(l->c, l->number, 2 << 20, 0);
    l->done = true;
    return yoke_scope_close(&l->scope, NULL);
}

/* Cancelled when a part is written already: the frame stays whole, and its send has not failed. */
static yoke_error *cancelled(struct ends *x)
{
    struct lender l = {.c = x->a, .number = 5};
    YOKE_TRY(yoke_spawn(&x->n, lend_one, &l));
    settle();
    CHECK(!l.done && x->a->loan.size > 0 && x->a->bytes_out > 1000);
    YOKE_TRY(post_number(x->a, 77, 100));
    yoke_scope_cancel(&l.scope, "the test does");
    YOKE_TRY(post_number(x->a, 78, 100));
    settle();
    CHECK(l.done && !l.outcome && x->a->loan.size == 0);
    YOKE_TRY(expect_parcel(x->b, 5, 2 << 20, 0));
    YOKE_TRY(expect_number(x->b, 77, 100));
    return expect_number(x->b, 78, 100);
}

static void test_a_lender_that_is_cancelled(void **state)
{
    run_pair(cancelled);
}

/* Without memory for the copy the frame can't be completed. */
static yoke_error *cancelled_without_memory(struct ends *x)
{
    struct lender l = {.c = x->a, .number = 5};
    struct msg m;
    YOKE_TRY(yoke_spawn(&x->n, lend_one, &l));
    settle();
    CHECK(!l.done && x->a->loan.size > 0);
    yoke_scope_cancel(&l.scope, "the test does");
    memory_fail_after(0);
    yoke_error *e = yoke_cancel_shielded_checkpoint();
    bool fired = memory_fail_after(SIZE_MAX);
    YOKE_TRY(e);
    settle();
    CHECK(fired && l.done && was(l.outcome, &YOKE_TRANSPORT_CLOSED, "no memory"));
    return was(channel_receive(x->a, &m), &YOKE_TRANSPORT_CLOSED, "no memory")
               ? NULL
               : yoke_raise(&YOKE_INTERNAL, "it is not broken");
}

static void test_a_lender_that_is_cancelled_without_memory(void **state)
{
    run_pair(cancelled_without_memory);
}

/* Another one meanwhile, and small ones behind: in the order in which they were sent. */
static yoke_error *several(struct ends *x)
{
    struct lender l[3] = {{.c = x->a, .number = 10}, {.c = x->a, .number = 20}, {.c = x->a, .number = 30}};
    YOKE_TRY(yoke_spawn(&x->n, lend_one, &l[0]));
    settle();
    YOKE_TRY(post_number(x->a, 1, 10));
    YOKE_TRY(yoke_spawn(&x->n, lend_one, &l[1]));
    settle();
    YOKE_TRY(post_number(x->a, 2, 10));
    YOKE_TRY(yoke_spawn(&x->n, lend_one, &l[2]));
    settle();
    CHECK(!l[0].done && l[1].done && !l[2].done); /* copied; over the high water */
    YOKE_TRY(expect_parcel(x->b, 10, 2 << 20, 0));
    YOKE_TRY(expect_number(x->b, 1, 10));
    YOKE_TRY(expect_parcel(x->b, 20, 2 << 20, 0));
    YOKE_TRY(expect_number(x->b, 2, 10));
    YOKE_TRY(expect_parcel(x->b, 30, 2 << 20, 0));
    settle();
    CHECK(l[0].done && l[2].done && !l[0].outcome && !l[1].outcome && !l[2].outcome);
    CHECK(x->a->loan.size == 0 && buffer_size(&x->a->out) == 0 && !x->a->flushing);
    return channel_drain(x->a);
}

static void test_several_lenders(void **state)
{
    run_pair(several);
}

static yoke_error *peer_gone(struct ends *x)
{
    struct lender l = {.c = x->a, .number = 5};
    YOKE_TRY(yoke_spawn(&x->n, lend_one, &l));
    settle();
    CHECK(!l.done);
    close_raw(x);
    for (int i = 0; i < 1000 && !l.done; i++)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(l.done && was(l.outcome, &YOKE_TRANSPORT_CLOSED, NULL) && x->a->loan.size == 0 && x->a->cut);
    return NULL;
}

static void test_a_peer_that_goes_while_it_is_lent_to(void **state)
{
    run_raw(peer_gone);
}

/* ---- hostile ---- */

static yoke_error *receive_task(void *arg)
{
    struct lender *l = arg;
    struct msg m;
    l->outcome = channel_receive(l->c, &m);
    l->done = true;
    return NULL;
}

/* 60 MiB are announced, and 300 bytes come. */
static yoke_error *announced(struct ends *x)
{
    uint8_t frame[400] = {0, 0, 0xc0, 3};
    static const char head[] = "\x83\xa8msg_type\xa5Yield\xa3"
                               "cid\xa1x\xa3pld\xc6\x03\xbf\xff\x00";
    struct lender l = {.c = x->a};
    memcpy(frame + 4, head, sizeof head - 1);
    YOKE_TRY(yoke_spawn(&x->n, receive_task, &l));
    CHECK(write_raw(x, frame, 304));
    settle();
    CHECK(!l.done && x->a->large.size == 0x03bfff00 && x->a->large.room <= LARGE_AT_ONCE);
    close_raw(x);
    settle();
    CHECK(l.done && was(l.outcome, &YOKE_TRANSPORT_TORN, "in the middle of a frame: 300 of 62914560 bytes"));
    return NULL;
}

/* A payload that is larger than its frame. */
static yoke_error *too_large_for_its_frame(struct ends *x)
{
    static uint8_t frame[70004] = {0x70, 0x11, 1, 0}; /* 70000 */
    static const char head[] = "\x83\xa8msg_type\xa5Yield\xa3"
                               "cid\xa1x\xa3pld\xc6\x00\xff\xff\xff";
    struct msg m;
    memcpy(frame + 4, head, sizeof head - 1);
    CHECK(write_raw(x, frame, 200));
    settle();
    CHECK(write_raw(x, frame + 200, sizeof frame - 200));
    CHECK(was(channel_receive(x->a, &m), &YOKE_TRANSPORT_PROTOCOL, "not enough bytes"));
    return NULL;
}

/* What is behind a payload is told at its place in the frame. */
static yoke_error *bad_behind_it(struct ends *x)
{
    static uint8_t frame[70004] = {0x70, 0x11, 1, 0};
    static const char head[] = "\x83\xa8msg_type\xa5Yield\xa3"
                               "cid\xa1x\xa3pld\xc6\x00\x01\x11\x00";
    struct lender l = {.c = x->a};
    memcpy(frame + 4, head, sizeof head - 1);
    YOKE_TRY(yoke_spawn(&x->n, receive_task, &l));
    CHECK(write_raw(x, frame, 200));
    settle();
    CHECK(x->a->large.size == 69888);
    CHECK(write_raw(x, frame + 200, sizeof frame - 200));
    settle();
    CHECK(l.done && was(l.outcome, &YOKE_TRANSPORT_PROTOCOL, "81 bytes behind the message at byte 69919"));
    return NULL;
}

static void test_hostile_payloads(void **state)
{
    assert_success(yoke_log_set("error"));
    run_raw(announced);
    run_raw(too_large_for_its_frame);
    run_raw(bad_behind_it);
    assert_success(yoke_log_set("warning"));
}

/* ---- no memory ---- */

static yoke_error *exchange(struct channel *a, struct channel *b)
{
    for (uint32_t i = 0; i < 3; i++) {
        YOKE_TRY(send_parcel(a, i, 40000, 5));
        YOKE_TRY(expect_parcel(b, i, 40000, 5));
    }
    return channel_drain(a);
}

static void test_each_allocation_refused(void **state)
{
    refuse_each_allocation(exchange_over_pair, &(struct exchange){exchange});
}

HARNESS_MAIN(TEST(test_large_and_small_ones_in_turn), TEST(test_in_pieces), TEST(test_the_end_comes_later),
             TEST(test_nothing_is_copied), TEST(test_decoded_again), TEST(test_does_not_fit),
             TEST(test_a_lender_that_is_cancelled), TEST(test_a_lender_that_is_cancelled_without_memory),
             TEST(test_several_lenders), TEST(test_a_peer_that_goes_while_it_is_lent_to),
             TEST(test_hostile_payloads), TEST(test_each_allocation_refused))
