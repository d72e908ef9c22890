/*
 * Both ends of a socketpair for the tests of this floor: two channels, or a channel and a raw descriptor that
 * the test writes to by hand. A body runs in a task, inside of a nursery.
 */
#ifndef TESTS_IPC_ENDS_H
#define TESTS_IPC_ENDS_H

#include "base/memory.h"
#include "harness.h"
#include "ipc/channel.h"
#include "msg/cursor.h"
#include "msg/pack.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

struct ends {
    struct channel *a, *b; /* b NULL if the far end is raw */
    int raw;               /* -1 if it is a channel */
    yoke_nursery n;
    yoke_error *(*body)(struct ends *ends);
    const struct transport *transport;
    const struct msg_limits *limits;
};

static yoke_error *run_body(struct ends *x)
{
    YOKE_TRY(yoke_nursery_open(&x->n));
    yoke_error *e = x->body(x);
    if (e)
        yoke_nursery_cancel(&x->n, "the body failed");
    return yoke_nursery_close_flat(&x->n, e);
}

/* Sockets that are full soon. */
static yoke_error *pair_of_ends(int fds[2])
{
    YOKE_TRY(transport_uds.pair(fds));
    for (int i = 0; i < 2; i++)
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &(int){104 << 10}, sizeof(int)); /* the kernel doubles it */
    return NULL;
}

static yoke_error *with_channels(void *arg)
{
    struct ends *x = arg;
    int fds[2];
    YOKE_TRY(pair_of_ends(fds));
    YOKE_TRY(channel_open(&x->a, fds[0], x->transport ? x->transport : &transport_uds, x->limits));
    YOKE_TRY(channel_open(&x->b, fds[1], x->transport ? x->transport : &transport_uds, x->limits));
    x->raw = -1;
    yoke_error *e = run_body(x);
    channel_close(x->a);
    channel_close(x->b);
    return e;
}

static yoke_error *with_raw(void *arg)
{
    struct ends *x = arg;
    int fds[2];
    YOKE_TRY(pair_of_ends(fds));
    x->raw = fds[1];
    YOKE_TRY(channel_open(&x->a, fds[0], x->transport ? x->transport : &transport_uds, x->limits));
    yoke_error *e = run_body(x);
    channel_close(x->a);
    if (x->raw >= 0)
        yoke_close(x->raw);
    return e;
}

/* Two channels. */
__attribute__((unused)) static void run_pair(yoke_error *(*body)(struct ends *))
{
    struct ends x = {.body = body};
    assert_success(yoke_run(with_channels, &x, NULL));
}

/* A channel and its far end as a descriptor. */
__attribute__((unused)) static void run_raw(yoke_error *(*body)(struct ends *))
{
    struct ends x = {.body = body};
    assert_success(yoke_run(with_raw, &x, NULL));
}

/* Lets the other tasks run till they are blocked; descriptors are looked at meanwhile. */
__attribute__((unused)) static void settle(void)
{
    for (int i = 0; i < 8; i++)
        yoke_error_free(yoke_cancel_shielded_checkpoint());
}

/* Is e of this kind, and does its message hold `text` (NULL: any)? Frees it. */
__attribute__((unused)) static bool was(yoke_error *e, const yoke_error_kind *kind, const char *text)
{
    bool yes = yoke_error_is(e, kind) && (!text || strstr(yoke_error_message(e), text));
    if (!yes && e)
        yoke_error_print(stderr, e);
    yoke_error_free(e);
    return yes;
}

__attribute__((unused)) static bool was_cancelled(yoke_error *e)
{
    bool yes = yoke_error_is_cancelled(e);
    yoke_error_free(e);
    return yes;
}

__attribute__((unused)) static void close_raw(struct ends *x)
{
    yoke_close(x->raw);
    x->raw = -1;
}

__attribute__((unused)) static bool write_raw(struct ends *x, const void *bytes, size_t count)
{
    return write(x->raw, bytes, count) == (ssize_t)count;
}

/* ---- messages that can be told apart: a Yield of [number, filler] ---- */

struct numbered {
    struct msg m;
    struct buffer payload;
};

__attribute__((unused)) static const struct msg *numbered_make(struct numbered *x, uint32_t number,
                                                               size_t filler)
{
    static const uint8_t fill[1 << 18];
    struct pack p;
    x->payload = BUFFER_EMPTY;
    pack_begin(&p, &x->payload, SIZE_MAX);
    msgpack_pack_array(&p.packer, 2);
    pack_int(&p, number);
    msgpack_pack_bin(&p.packer, filler);
    pack_raw(&p, fill, filler);
    x->m = (struct msg){.type = MSG_YIELD,
                        .cid = text_view("dialog"),
                        .pld = {buffer_begin(&x->payload), buffer_size(&x->payload)}};
    return &x->m;
}

__attribute__((unused)) static yoke_error *send_number(struct channel *c, uint32_t number, size_t filler)
{
    struct numbered x;
    yoke_error *e = channel_send(c, numbered_make(&x, number, filler));
    buffer_free(&x.payload);
    return e;
}

__attribute__((unused)) static yoke_error *post_number(struct channel *c, uint32_t number, size_t filler)
{
    struct numbered x;
    yoke_error *e = channel_post(c, numbered_make(&x, number, filler));
    buffer_free(&x.payload);
    return e;
}

/* The frame as bytes, appended to `out`. */
__attribute__((unused)) static yoke_error *frame_number(struct buffer *out, uint32_t number, size_t filler)
{
    struct numbered x;
    yoke_error *e = msg_encode(out, numbered_make(&x, number, filler), &msg_limits_default);
    buffer_free(&x.payload);
    return e;
}

/* The number of a message, and how much filler it has. */
__attribute__((unused)) static yoke_error *read_number(const struct msg *m, uint32_t *number, size_t *filler)
{
    struct cursor c = cursor_over(m->pld.data, m->pld.size, 8, 8);
    struct token array, count, fill;
    c.aside = m->aside;
    CHECK(m->type == MSG_YIELD && text_view_is(m->cid, "dialog"));
    CHECK(!cursor_next(&c, &array) && array.type == TOKEN_ARRAY && array.count == 2);
    CHECK(!cursor_next(&c, &count) && count.type == TOKEN_UINT);
    CHECK(!cursor_next(&c, &fill) && fill.type == TOKEN_BYTES);
    *number = (uint32_t)count.uint;
    *filler = fill.size;
    return NULL;
}

__attribute__((unused)) static yoke_error *expect_number(struct channel *c, uint32_t number, size_t filler)
{
    struct msg m;
    uint32_t got = 0;
    size_t size = 0;
    YOKE_TRY(channel_receive(c, &m));
    YOKE_TRY(read_number(&m, &got, &size));
    if (got != number || size != filler)
        return yoke_raise(&YOKE_INTERNAL, "message %u of %zu bytes and not %u of %zu", got, size, number,
                          filler);
    return NULL;
}

/* ---- no memory ---- */

/* fn(arg) in a run, with each of its allocations refused in turn: nothing is left of it. */
__attribute__((unused)) static void refuse_each_allocation(yoke_error *(*fn)(void *), void *arg)
{
    size_t live = memory_live();
    bool refused = true;
    for (size_t n = 0; refused; n++) {
        assert_true(n < 500);
        memory_fail_after(n);
        yoke_error *e = yoke_run(fn, arg, NULL);
        refused = memory_fail_after(SIZE_MAX);
        if (!refused)
            assert_null(e);
        yoke_error_free(e);
        assert_int_equal(memory_live(), live);
    }
}

struct exchange {
    yoke_error *(*body)(struct channel *a, struct channel *b);
};

/* Opens both ends of a pair for the body of a struct exchange; any step of it may find no memory. */
__attribute__((unused)) static yoke_error *exchange_over_pair(void *arg)
{
    const struct exchange *x = arg;
    int fds[2];
    struct channel *a = NULL, *b = NULL;
    YOKE_TRY(transport_uds.pair(fds));
    yoke_error *e = channel_open(&a, fds[0], &transport_uds, NULL);
    if (e)
        close(fds[1]);
    else
        e = channel_open(&b, fds[1], &transport_uds, NULL);
    if (!e) {
        yoke_scope s; /* of two ends one may be broken, and the other wait */
        e = yoke_move_on_after(&s, YOKE_MS(200));
        if (!e)
            e = yoke_scope_close(&s, x->body(a, b));
    }
    channel_close(a);
    channel_close(b);
    return e;
}

#endif
