/* A channel from this process to itself: what one end has queued the other reads, and how either ends. */
#include "ends.h"

static yoke_error *with_both_ends(void *arg)
{
    struct ends x = {.body = arg};
    struct channel *ends[2];
    YOKE_TRY(channel_open_here(ends));
    x.a = ends[0];
    x.b = ends[1];
    yoke_error *e = run_body(&x);
    channel_close(x.a);
    channel_close(x.b);
    return e;
}

static void run_here(yoke_error *(*body)(struct ends *))
{
    assert_success(yoke_run(with_both_ends, body, NULL));
}

static yoke_error *frames(struct ends *x)
{
    for (uint32_t i = 0; i < 3; i++) {
        YOKE_TRY(send_number(x->a, i, i * 30000));
        YOKE_TRY(send_number(x->b, 10 + i, i));
    }
    for (uint32_t i = 0; i < 3; i++) {
        YOKE_TRY(expect_number(x->b, i, i * 30000));
        YOKE_TRY(expect_number(x->a, 10 + i, i));
    }
    YOKE_TRY(channel_drain(x->a));
    CHECK(x->a->bytes_out == x->b->bytes_in && x->b->bytes_out == x->a->bytes_in && x->a->bytes_out > 90000);
    return NULL;
}

static void test_frames_go_both_ways(void **state)
{
    run_here(frames);
}

/* More than is kept for a reader that does not read. */
static yoke_error *send_much(void *arg)
{
    for (uint32_t i = 0; i < 40; i++)
        YOKE_TRY(send_number(arg, i, 100000));
    return NULL;
}

static yoke_error *senders_wait(struct ends *x)
{
    YOKE_TRY(yoke_spawn(&x->n, send_much, x->a));
    settle();
    CHECK(x->a->frames_out < 10);
    for (uint32_t i = 0; i < 40; i++)
        YOKE_TRY(expect_number(x->b, i, 100000));
    return NULL;
}

static void test_a_sender_waits_for_room(void **state)
{
    run_here(senders_wait);
}

static yoke_error *wait_for_end(void *arg)
{
    struct msg m;
    CHECK(was(channel_receive(arg, &m), &YOKE_TRANSPORT_ENDED, "the peer closed it"));
    return NULL;
}

/* What was said before is read first; who waits is told. */
static yoke_error *hung_up(struct ends *x)
{
    YOKE_TRY(send_number(x->a, 1, 1));
    channel_hang_up(x->a);
    YOKE_TRY(expect_number(x->b, 1, 1));
    YOKE_TRY(yoke_spawn(&x->n, wait_for_end, x->b));
    settle();
    CHECK(x->b->broken && x->b->ended_by_peer);
    return NULL;
}

static yoke_error *hung_up_while_waiting(struct ends *x)
{
    YOKE_TRY(yoke_spawn(&x->n, wait_for_end, x->b));
    settle();
    channel_hang_up(x->a);
    settle();
    CHECK(x->b->broken && x->b->ended_by_peer);
    return NULL;
}

static void test_hanging_up(void **state)
{
    run_here(hung_up);
    run_here(hung_up_while_waiting);
}

static yoke_error *closed(struct ends *x)
{
    YOKE_TRY(yoke_spawn(&x->n, wait_for_end, x->b));
    settle();
    channel_close(x->a);
    x->a = NULL;
    settle();
    CHECK(x->b->broken && x->b->ended_by_peer);
    return NULL;
}

static yoke_error *spoken_to(struct ends *x)
{
    channel_close(x->a);
    x->a = NULL;
    yoke_error_free(send_number(x->b, 1, 1)); /* the first finds it out */
    CHECK(was(send_number(x->b, 2, 1), &YOKE_TRANSPORT_RESET, "the other end is gone"));
    return NULL;
}

static void test_a_closed_end(void **state)
{
    run_here(closed);
    run_here(spoken_to);
}

static yoke_error *broken_here(struct ends *x)
{
    struct msg m;
    channel_break(x->b, yoke_raise(&YOKE_PROTOCOL, "enough"));
    CHECK(was(channel_receive(x->b, &m), &YOKE_TRANSPORT_PROTOCOL, "enough"));
    return NULL;
}

static yoke_error *wait_for_break(void *arg)
{
    struct msg m;
    CHECK(was(channel_receive(arg, &m), &YOKE_TRANSPORT_PROTOCOL, "enough"));
    return NULL;
}

static yoke_error *broken_while_waiting(struct ends *x)
{
    YOKE_TRY(yoke_spawn(&x->n, wait_for_break, x->b));
    settle();
    channel_break(x->b, yoke_raise(&YOKE_PROTOCOL, "enough"));
    return NULL;
}

static void test_a_broken_end(void **state)
{
    run_here(broken_here);
    run_here(broken_while_waiting);
}

static yoke_error *exchange(struct ends *x)
{
    yoke_scope s; /* of two ends one may be broken, and the other wait */
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(100)));
    return yoke_scope_close(&s, frames(x));
}

static void test_each_allocation_refused(void **state)
{
    refuse_each_allocation(with_both_ends, exchange);
}

HARNESS_MAIN(TEST(test_frames_go_both_ways), TEST(test_a_sender_waits_for_room), TEST(test_hanging_up),
             TEST(test_a_closed_end), TEST(test_a_broken_end), TEST(test_each_allocation_refused))
