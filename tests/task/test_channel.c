/* Memory channels: order, who waits comes first, closing, cancelling. */
#include "child.h"
#include "task/task.h"

YOKE_CHANNEL(number, int);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static void run(yoke_task_fn fn)
{
    assert_success(yoke_run(fn, NULL, NULL));
}

/* One parked sender or receiver. */
struct end {
    number_sender *tx;
    number_receiver *rx;
    int item;
    bool done;
    yoke_error *outcome;
};

static yoke_error *send_it(void *arg)
{
    struct end *x = arg;
    x->outcome = number_send(x->tx, x->item);
    x->done = true;
    return NULL;
}

static yoke_error *receive_it(void *arg)
{
    struct end *x = arg;
    x->outcome = number_recv(x->rx, &x->item);
    x->done = true;
    return NULL;
}

static bool would_block(yoke_error *e)
{
    return was_kind(e, &YOKE_WOULD_BLOCK);
}

static yoke_error *hand_over(void *arg)
{
    number_sender tx;
    number_receiver rx;
    yoke_nursery n;
    int item = 0;
    YOKE_TRY(number_channel(&tx, &rx, 0));
    YOKE_TRY(yoke_nursery_open(&n));
    CHECK(would_block(number_send_nowait(&tx, 1)) && would_block(number_recv_nowait(&rx, &item)));
    struct end sender = {.tx = &tx, .item = 5};
    YOKE_TRY(yoke_spawn(&n, send_it, &sender));
    settle();
    CHECK(!sender.done && would_block(number_send_nowait(&tx, 1)));
    YOKE_TRY(number_recv_nowait(&rx, &item));
    CHECK(item == 5 && !sender.done);
    settle();
    CHECK(sender.done && !sender.outcome);
    struct end receiver = {.rx = &rx};
    YOKE_TRY(yoke_spawn(&n, receive_it, &receiver));
    settle();
    CHECK(!receiver.done && would_block(number_recv_nowait(&rx, &item)));
    YOKE_TRY(number_send_nowait(&tx, 6));
    settle();
    CHECK(receiver.done && !receiver.outcome && receiver.item == 6);
    number_sender_close(&tx);
    number_receiver_close(&rx);
    return yoke_nursery_close(&n, NULL);
}

static void test_chan_01_hand_over_at_zero(void **state)
{
    run(hand_over);
}

static yoke_error *bounded_unbounded(void *arg)
{
    number_sender tx;
    number_receiver rx;
    int item;
    YOKE_TRY(number_channel(&tx, &rx, 2));
    YOKE_TRY(number_send_nowait(&tx, 1));
    YOKE_TRY(number_send(&tx, 2));
    CHECK(would_block(number_send_nowait(&tx, 3)));
    YOKE_TRY(number_recv(&rx, &item));
    CHECK(item == 1);
    YOKE_TRY(number_recv_nowait(&rx, &item));
    CHECK(item == 2 && would_block(number_recv_nowait(&rx, &item)));
    number_sender_close(&tx);
    number_receiver_close(&rx);

    YOKE_TRY(number_channel(&tx, &rx, YOKE_UNBOUNDED));
    for (int i = 0; i < 1000; i++)
        YOKE_TRY(number_send_nowait(&tx, i));
    for (int i = 0; i < 1000; i++) { /* the ring wraps and grows between */
        YOKE_TRY(number_recv(&rx, &item));
        CHECK(item == i);
        YOKE_TRY(number_send(&tx, 1000 + 2 * i));
        YOKE_TRY(number_send(&tx, 1001 + 2 * i));
    }
    for (int i = 1000; i < 3000; i++) {
        YOKE_TRY(number_recv_nowait(&rx, &item));
        CHECK(item == i);
    }
    number_sender_close(&tx);
    number_receiver_close(&rx);
    return NULL;
}

static void test_chan_02_bounded_and_unbounded(void **state)
{
    run(bounded_unbounded);
}

static void test_chan_04_nowait_forms(void **state)
{
    run(bounded_unbounded);
}

static yoke_error *first_in_first_out(void *arg)
{
    number_sender tx;
    number_receiver rx;
    yoke_nursery n;
    int item;
    struct end senders[4], receivers[4];
    YOKE_TRY(number_channel(&tx, &rx, 1));
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 4; i++) {
        senders[i] = (struct end){.tx = &tx, .item = i};
        YOKE_TRY(yoke_spawn(&n, send_it, &senders[i]));
    }
    settle();
    for (int i = 0; i < 4; i++) {
        YOKE_TRY(number_recv_nowait(&rx, &item));
        CHECK(item == i);
    }
    for (int i = 0; i < 4; i++) {
        receivers[i] = (struct end){.rx = &rx, .item = -1};
        YOKE_TRY(yoke_spawn(&n, receive_it, &receivers[i]));
    }
    settle();
    for (int i = 0; i < 4; i++)
        YOKE_TRY(number_send_nowait(&tx, 10 + i));
    settle();
    for (int i = 0; i < 4; i++)
        CHECK(receivers[i].item == 10 + i && !senders[i].outcome && !receivers[i].outcome);
    number_sender_close(&tx);
    number_receiver_close(&rx);
    return yoke_nursery_close(&n, NULL);
}

static void test_chan_03_order(void **state)
{
    run(first_in_first_out);
}

static yoke_error *who_waits_comes_first(void *arg)
{
    number_sender tx;
    number_receiver rx;
    yoke_nursery n;
    int item;
    YOKE_TRY(number_channel(&tx, &rx, 1));
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(number_send_nowait(&tx, 1));
    YOKE_TRY(number_recv_nowait(&rx, &item));
    struct end receiver = {.rx = &rx};
    YOKE_TRY(yoke_spawn(&n, receive_it, &receiver));
    settle();
    YOKE_TRY(number_send_nowait(&tx, 2));
    CHECK(would_block(number_recv_nowait(&rx, &item)));
    settle();
    CHECK(receiver.item == 2);
    YOKE_TRY(number_send_nowait(&tx, 3));
    struct end sender = {.tx = &tx, .item = 4};
    YOKE_TRY(yoke_spawn(&n, send_it, &sender));
    settle();
    YOKE_TRY(number_recv_nowait(&rx, &item));
    CHECK(item == 3 && would_block(number_send_nowait(&tx, 5)));
    YOKE_TRY(number_recv_nowait(&rx, &item));
    CHECK(item == 4);
    number_sender_close(&tx);
    number_receiver_close(&rx);
    return yoke_nursery_close(&n, NULL);
}

static void test_chan_19_who_waits_comes_first(void **state)
{
    run(who_waits_comes_first);
}

/* ---- closing ---- */

static yoke_error *clones_and_ends(void *arg)
{
    number_sender tx, tx2;
    number_receiver rx, rx2;
    int item;
    YOKE_TRY(number_channel(&tx, &rx, 2));
    YOKE_TRY(yoke_sender_clone(&tx.end, &tx2.end));
    YOKE_TRY(yoke_receiver_clone(&rx.end, &rx2.end));
    YOKE_TRY(number_send(&tx, 1));
    number_sender_close(&tx);
    number_sender_close(&tx);
    CHECK(was_kind(number_send(&tx, 2), &YOKE_CLOSED) && was_kind(number_send_nowait(&tx, 2), &YOKE_CLOSED));
    CHECK(was_kind(yoke_sender_clone(&tx.end, &tx.end), &YOKE_CLOSED));
    YOKE_TRY(number_send(&tx2, 2));
    number_sender_close(&tx2);
    YOKE_TRY(number_recv(&rx, &item));
    YOKE_TRY(number_recv(&rx2, &item));
    CHECK(item == 2);
    for (int i = 0; i < 3; i++)
        CHECK(was_kind(number_recv(&rx, &item), &YOKE_END_OF_CHANNEL) &&
              was_kind(number_recv_nowait(&rx2, &item), &YOKE_END_OF_CHANNEL));
    number_receiver_close(&rx);
    CHECK(was_kind(number_recv(&rx, &item), &YOKE_CLOSED));
    CHECK(was_kind(yoke_receiver_clone(&rx.end, &rx.end), &YOKE_CLOSED));
    CHECK(was_kind(number_recv(&rx2, &item), &YOKE_END_OF_CHANNEL));
    number_receiver_close(&rx2);

    YOKE_TRY(number_channel(&tx, &rx, 2));
    number_receiver_close(&rx);
    for (int i = 0; i < 3; i++)
        CHECK(was_kind(number_send(&tx, 1), &YOKE_BROKEN_RESOURCE) &&
              was_kind(number_send_nowait(&tx, 1), &YOKE_BROKEN_RESOURCE));
    number_sender_close(&tx);
    return NULL;
}

static void test_chan_05_clones(void **state)
{
    run(clones_and_ends);
}

static void test_chan_06_receive_after_all_senders_closed(void **state)
{
    run(clones_and_ends);
}

static void test_chan_07_send_after_all_receivers_closed(void **state)
{
    run(clones_and_ends);
}

enum closing { OWN_CLONE, ANOTHER_CLONE, LAST_SENDER, LAST_RECEIVER };

/* Parked on `tx` (`rx`), and then one of the four is closed. */
static yoke_error *parked_while_closing(enum closing what, bool sending, const yoke_error_kind *expected)
{
    number_sender tx, tx2;
    number_receiver rx, rx2;
    yoke_nursery n;
    YOKE_TRY(number_channel(&tx, &rx, 0));
    YOKE_TRY(yoke_sender_clone(&tx.end, &tx2.end));
    YOKE_TRY(yoke_receiver_clone(&rx.end, &rx2.end));
    YOKE_TRY(yoke_nursery_open(&n));
    struct end x = {.tx = &tx, .rx = &rx};
    YOKE_TRY(yoke_spawn_at(__FILE__, __LINE__, "x", &n, sending ? send_it : receive_it, &x, NULL));
    settle();
    switch (what) {
    case OWN_CLONE:
        number_sender_close(sending ? &tx : &tx2);
        number_receiver_close(sending ? &rx2 : &rx);
        break;
    case ANOTHER_CLONE:
        number_sender_close(&tx2);
        number_receiver_close(&rx2);
        break;
    case LAST_SENDER:
        number_sender_close(&tx);
        number_sender_close(&tx2);
        break;
    case LAST_RECEIVER:
        number_receiver_close(&rx);
        number_receiver_close(&rx2);
        break;
    }
    settle();
    CHECK(x.done == (expected != NULL));
    CHECK(!expected || yoke_error_is(x.outcome, expected));
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    yoke_error_free(x.outcome);
    number_sender_close(&tx);
    number_sender_close(&tx2);
    number_receiver_close(&rx);
    number_receiver_close(&rx2);
    return NULL;
}

static yoke_error *closing_table(void *arg)
{
    YOKE_TRY(parked_while_closing(OWN_CLONE, true, &YOKE_CLOSED));
    YOKE_TRY(parked_while_closing(OWN_CLONE, false, &YOKE_CLOSED));
    YOKE_TRY(parked_while_closing(ANOTHER_CLONE, true, NULL));
    YOKE_TRY(parked_while_closing(ANOTHER_CLONE, false, NULL));
    YOKE_TRY(parked_while_closing(LAST_SENDER, true, &YOKE_CLOSED));
    YOKE_TRY(parked_while_closing(LAST_SENDER, false, &YOKE_END_OF_CHANNEL));
    YOKE_TRY(parked_while_closing(LAST_RECEIVER, true, &YOKE_BROKEN_RESOURCE));
    YOKE_TRY(parked_while_closing(LAST_RECEIVER, false, &YOKE_CLOSED));
    return NULL;
}

static void test_chan_08_own_end_closed(void **state)
{
    run(closing_table);
}

static void test_chan_22_closing_the_table(void **state)
{
    run(closing_table);
    run(clones_and_ends);
}

static yoke_error *close_in_cancelled(void *arg)
{
    number_sender tx;
    number_receiver rx;
    yoke_scope s;
    YOKE_TRY(number_channel(&tx, &rx, 1));
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    uint64_t passes = scheduler_here->passes;
    number_sender_close(&tx);
    number_sender_close(&tx);
    number_receiver_close(&rx);
    number_receiver_close(&rx);
    CHECK(scheduler_here->passes == passes);
    return yoke_scope_close(&s, NULL);
}

static void test_chan_09_close_is_no_checkpoint_and_idempotent(void **state)
{
    run(close_in_cancelled);
}

/* ---- cancelling ---- */

enum { ITEMS = 20000 };
static unsigned char seen[ITEMS];
static uint32_t seed;

static unsigned random_number(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 10;
}

static yoke_error *send_all(void *arg)
{
    number_sender *tx = arg;
    for (int i = 0; i < ITEMS;) {
        yoke_scope s;
        YOKE_TRY(yoke_scope_open(&s));
        YOKE_TRY(yoke_scope_set_deadline(&s, random_number() % 3 ? YOKE_NEVER
                                                                 : yoke_now() + 1 + random_number() % 2000));
        yoke_error *e = number_send(tx, i);
        i += !e;
        YOKE_TRY(yoke_scope_close(&s, e));
    }
    number_sender_close(tx);
    return NULL;
}

static yoke_error *receive_all(void *arg)
{
    number_receiver *rx = arg;
    for (;;) {
        yoke_scope s;
        int item;
        YOKE_TRY(yoke_scope_open(&s));
        YOKE_TRY(yoke_scope_set_deadline(&s, random_number() % 3 ? YOKE_NEVER
                                                                 : yoke_now() + 1 + random_number() % 2000));
        yoke_error *e = number_recv(rx, &item);
        if (!e)
            seen[item]++;
        bool end = yoke_error_is(e, &YOKE_END_OF_CHANNEL);
        e = yoke_scope_close(&s, yoke_end_is_fine(e));
        if (end || e) {
            number_receiver_close(rx);
            return e;
        }
    }
}

static yoke_error *random_cancels(void *arg)
{
    size_t capacities[] = {0, 1, 3, YOKE_UNBOUNDED};
    for (int c = 0; c < 4; c++) {
        memset(seen, 0, sizeof seen);
        number_sender tx;
        number_receiver rx, rx2;
        yoke_nursery n;
        YOKE_TRY(number_channel(&tx, &rx, capacities[c]));
        YOKE_TRY(yoke_receiver_clone(&rx.end, &rx2.end));
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_spawn(&n, send_all, &tx));
        YOKE_TRY(yoke_spawn(&n, receive_all, &rx));
        YOKE_TRY(yoke_spawn(&n, receive_all, &rx2));
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        for (int i = 0; i < ITEMS; i++)
            CHECK(seen[i] == 1);
    }
    return NULL;
}

static void test_chan_10_cancelled_while_waiting_loses_nothing(void **state)
{
    seed = 99;
    run(random_cancels);
}

/* The partner comes and the cancel comes in one pass: who came first counts. */
static yoke_error *exchange_and_cancel(void *arg)
{
    for (int cancel_first = 0; cancel_first < 2; cancel_first++)
        for (int sending = 0; sending < 2; sending++) {
            number_sender tx;
            number_receiver rx;
            yoke_nursery n;
            int item = 0;
            YOKE_TRY(number_channel(&tx, &rx, 0));
            YOKE_TRY(yoke_nursery_open(&n));
            struct end x = {.tx = &tx, .rx = &rx, .item = 3};
            YOKE_TRY(yoke_spawn_at(__FILE__, __LINE__, "x", &n, sending ? send_it : receive_it, &x, NULL));
            settle();
            if (cancel_first)
                yoke_nursery_cancel(&n, NULL);
            yoke_error *e = sending ? number_recv_nowait(&rx, &item) : number_send_nowait(&tx, 4);
            yoke_nursery_cancel(&n, NULL);
            CHECK(would_block(e) == cancel_first);
            YOKE_TRY(yoke_nursery_close(&n, NULL));
            CHECK(was_cancelled(x.outcome) == cancel_first);
            CHECK(cancel_first || (sending ? item == 3 : x.item == 4));
            number_sender_close(&tx);
            number_receiver_close(&rx);
        }
    return NULL;
}

static void test_sched_10_an_exchange_is_never_reported_as_cancelled(void **state)
{
    run(exchange_and_cancel);
}

static yoke_error *no_ghost(void *arg)
{
    number_sender tx;
    number_receiver rx;
    yoke_scope s;
    int item = 0;
    YOKE_TRY(number_channel(&tx, &rx, 1));
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(1)));
    YOKE_TRY(yoke_scope_close(&s, number_recv(&rx, &item)));
    CHECK(yoke_scope_cancelled_caught(&s));
    YOKE_TRY(number_send_nowait(&tx, 7));
    YOKE_TRY(number_recv_nowait(&rx, &item));
    CHECK(item == 7);
    number_sender_close(&tx);
    number_receiver_close(&rx);
    return NULL;
}

static void test_chan_21_no_ghost_of_a_cancelled_waiter(void **state)
{
    run(no_ghost);
}

/* ---- loops ---- */

static yoke_error *produce(void *arg)
{
    number_sender tx;
    YOKE_TRY(yoke_sender_clone(arg, &tx.end));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(number_send(&tx, i));
    number_sender_close(&tx);
    return NULL;
}

static yoke_error *consume(void *arg)
{
    number_receiver rx = {.end = *(yoke_receiver *)((void **)arg)[0]};
    int item, *count = ((void **)arg)[1];
    YOKE_TRY(yoke_receiver_clone(&rx.end, &rx.end));
    yoke_error *e;
    while (!(e = number_recv(&rx, &item)))
        (*count)++;
    number_receiver_close(&rx);
    return yoke_end_is_fine(e);
}

static yoke_error *many_to_many(void *arg)
{
    number_sender tx;
    number_receiver rx;
    yoke_nursery n;
    int item, sum = 0, counts[5] = {0};
    YOKE_TRY(number_channel(&tx, &rx, 0));
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 10; i++)
        YOKE_TRY(yoke_spawn(&n, produce, &tx.end));
    YOKE_TRY(yoke_checkpoint());
    number_sender_close(&tx);
    yoke_error *e;
    while (!(e = number_recv(&rx, &item)))
        sum += 1 + item;
    YOKE_TRY(yoke_end_is_fine(e));
    CHECK(sum == 60);
    number_receiver_close(&rx);
    YOKE_TRY(yoke_nursery_close(&n, NULL));

    YOKE_TRY(number_channel(&tx, &rx, 1));
    YOKE_TRY(yoke_nursery_open(&n));
    void *args[5][2];
    for (int i = 0; i < 5; i++) {
        args[i][0] = &rx.end;
        args[i][1] = &counts[i];
        YOKE_TRY(yoke_spawn(&n, consume, args[i]));
    }
    settle();
    for (int i = 0; i < 10; i++)
        YOKE_TRY(number_send(&tx, i));
    number_sender_close(&tx);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    number_receiver_close(&rx);
    int all = 0;
    for (int i = 0; i < 5; i++) {
        CHECK(counts[i] >= 1);
        all += counts[i];
    }
    CHECK(all == 10);
    return NULL;
}

static void test_chan_20_many_to_many(void **state)
{
    run(many_to_many);
}

static void test_chan_11_iteration(void **state)
{
    run(many_to_many);
    assert_null(yoke_end_is_fine(NULL));
    assert_error(yoke_end_is_fine(yoke_raise(&YOKE_CLOSED, "other")), &YOKE_CLOSED);
}

struct relay {
    number_receiver *from;
    number_sender *to;
};

static yoke_error *relay(void *arg)
{
    struct relay *r = arg;
    for (;;) {
        int item;
        YOKE_TRY(number_recv(r->from, &item));
        YOKE_TRY(number_send(r->to, item + 1));
    }
}

static yoke_error *count_turns(void *arg)
{
    for (long *turns = arg;; (*turns)++)
        YOKE_TRY(yoke_checkpoint());
}

static yoke_error *circle(void *arg)
{
    number_sender a_tx, b_tx;
    number_receiver a_rx, b_rx;
    yoke_nursery n;
    long turns = 0;
    YOKE_TRY(number_channel(&a_tx, &a_rx, 1));
    YOKE_TRY(number_channel(&b_tx, &b_rx, 1));
    struct relay there = {&a_rx, &b_tx}, back = {&b_rx, &a_tx};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, relay, &there));
    YOKE_TRY(yoke_spawn(&n, relay, &back));
    YOKE_TRY(yoke_spawn(&n, count_turns, &turns));
    YOKE_TRY(number_send(&a_tx, 0));
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    CHECK(turns > 10);
    int64_t begun = yoke_now();
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(yoke_now() - begun < YOKE_S(1));
    number_sender_close(&a_tx);
    number_sender_close(&b_tx);
    number_receiver_close(&a_rx);
    number_receiver_close(&b_rx);
    return NULL;
}

static void test_chan_26_two_relays_in_a_circle(void **state)
{
    run(circle);
}

static yoke_error *send_without_end(void *arg)
{
    number_sender *tx = arg;
    for (int i = 0;; i++)
        YOKE_TRY(number_send(tx, i));
}

static yoke_error *receive_without_end(void *arg)
{
    number_receiver *rx = arg;
    for (int item;;)
        YOKE_TRY(number_recv(rx, &item));
}

static yoke_error *loops_and_a_third(void *arg)
{
    number_sender tx;
    number_receiver rx;
    yoke_nursery n;
    long turns = 0;
    YOKE_TRY(number_channel(&tx, &rx, 1000));
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, send_without_end, &tx));
    YOKE_TRY(yoke_spawn(&n, receive_without_end, &rx));
    YOKE_TRY(yoke_spawn(&n, count_turns, &turns));
    for (int i = 0; i < 100; i++)
        YOKE_TRY(yoke_checkpoint());
    CHECK(turns >= 99);
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    number_sender_close(&tx);
    number_receiver_close(&rx);
    return NULL;
}

static void test_chan_15_fairness(void **state)
{
    run(loops_and_a_third);
}

/* ---- items ---- */

static int destroyed;

static void destroy(void *item)
{
    destroyed += *(int *)item;
}

static yoke_error *left_over(void *arg)
{
    yoke_sender tx;
    yoke_receiver rx;
    yoke_channel_options options = {.destroy = destroy};
    YOKE_TRY(yoke_channel_open(&tx, &rx, 4, sizeof(int), &options));
    int items[] = {1, 10, 100}, item;
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_channel_send(&tx, &items[i]));
    YOKE_TRY(yoke_channel_receive(&rx, &item));
    yoke_sender_close(&tx);
    CHECK(destroyed == 0);
    yoke_receiver_close(&rx);
    CHECK(destroyed == 110);

    /* A refused item stays the sender's. */
    YOKE_TRY(yoke_channel_open(&tx, &rx, 4, sizeof(int), &options));
    yoke_receiver_close(&rx);
    CHECK(was_kind(yoke_channel_send(&tx, &items[0]), &YOKE_BROKEN_RESOURCE) && destroyed == 110);
    yoke_sender_close(&tx);
    return NULL;
}

static void test_chan_14_what_is_left_is_freed(void **state)
{
    destroyed = 0;
    run(left_over);
}

/* An item that holds an end of the channel in which it lies. */
static void close_the_end_inside(void *item)
{
    yoke_sender_close(*(yoke_sender **)item);
    destroyed++;
}

static yoke_error *ends_inside(void *arg)
{
    yoke_sender tx, inside[2], *item;
    yoke_receiver rx;
    yoke_channel_options options = {.destroy = close_the_end_inside};
    YOKE_TRY(yoke_channel_open(&tx, &rx, 4, sizeof item, &options));
    for (int i = 0; i < 2; i++) {
        YOKE_TRY(yoke_sender_clone(&tx, &inside[i]));
        item = &inside[i];
        YOKE_TRY(yoke_channel_send(&tx, &item));
    }
    yoke_sender_close(&tx);
    yoke_receiver_close(&rx);
    CHECK(destroyed == 2);
    return NULL;
}

static void test_chan_14_an_item_may_hold_the_last_sender(void **state)
{
    destroyed = 0;
    run(ends_inside);
}

static yoke_error *bad_sizes(void *arg)
{
    yoke_sender tx;
    yoke_receiver rx;
    CHECK(was_kind(yoke_channel_open(&tx, &rx, SIZE_MAX - 1, 2, NULL), &YOKE_USAGE));
    CHECK(was_kind(yoke_channel_open(&tx, &rx, (size_t)PTRDIFF_MAX + 1, 1, NULL), &YOKE_USAGE));
    CHECK(was_kind(yoke_channel_open(&tx, &rx, 1, ((size_t)16 << 20) + 1, NULL), &YOKE_USAGE));
    CHECK(!tx.channel && !rx.channel);
    yoke_sender_close(&tx);
    yoke_receiver_close(&rx);
    return NULL;
}

static void test_chan_18_bad_capacity(void **state)
{
    run(bad_sizes);
}

static yoke_error *send_bytes(void *arg)
{
    return yoke_channel_send(((void **)arg)[0], ((void **)arg)[1]);
}

static yoke_error *sizes_of_items(void *arg)
{
    static char in[1 << 20], out[1 << 20];
    memset(in, 'i', sizeof in);
    size_t sizes[] = {0, 1, 1024, 1 << 20};
    for (int i = 0; i < 4; i++)
        for (size_t capacity = 0; capacity < 2; capacity++) {
            yoke_sender tx;
            yoke_receiver rx;
            yoke_nursery n;
            YOKE_TRY(yoke_channel_open(&tx, &rx, capacity, sizes[i], NULL));
            void *args[] = {&tx, in};
            YOKE_TRY(yoke_nursery_open(&n));
            YOKE_TRY(yoke_spawn(&n, send_bytes, args)); /* comes second to the receive */
            memset(out, 'o', sizeof out);
            YOKE_TRY(yoke_channel_receive(&rx, out));
            CHECK(!memcmp(in, out, sizes[i]) && (sizes[i] == sizeof out || out[sizes[i]] == 'o'));
            YOKE_TRY(yoke_spawn(&n, send_bytes, args)); /* comes first */
            settle();
            YOKE_TRY(yoke_channel_receive(&rx, out));
            yoke_channel_statistics numbers;
            yoke_receiver_statistics(&rx, &numbers);
            CHECK(numbers.used == 0 && numbers.peak <= capacity && numbers.waiting_senders == 0);
            yoke_sender_close(&tx);
            yoke_receiver_close(&rx);
            YOKE_TRY(yoke_nursery_close(&n, NULL));
        }
    return NULL;
}

static void test_chan_25_sizes_of_items(void **state)
{
    run(sizes_of_items);
}

static yoke_error *statistics(void *arg)
{
    number_sender tx, tx2;
    number_receiver rx;
    yoke_nursery n;
    yoke_channel_statistics from_tx, from_rx;
    YOKE_TRY(number_channel(&tx, &rx, 2));
    YOKE_TRY(yoke_sender_clone(&tx.end, &tx2.end));
    YOKE_TRY(yoke_nursery_open(&n));
    struct end senders[4];
    for (int i = 0; i < 4; i++) {
        senders[i] = (struct end){.tx = &tx};
        YOKE_TRY(yoke_spawn(&n, send_it, &senders[i]));
    }
    settle();
    yoke_sender_statistics(&tx.end, &from_tx);
    yoke_receiver_statistics(&rx.end, &from_rx);
    CHECK(!memcmp(&from_tx, &from_rx, sizeof from_tx));
    CHECK(from_tx.used == 2 && from_tx.capacity == 2 && from_tx.peak == 2 && from_tx.open_senders == 2 &&
          from_tx.open_receivers == 1 && from_tx.waiting_senders == 2 && from_tx.waiting_receivers == 0);
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    for (int i = 0; i < 4; i++)
        yoke_error_free(senders[i].outcome);
    number_sender_close(&tx2);
    int item;
    YOKE_TRY(number_recv(&rx, &item));
    YOKE_TRY(number_recv(&rx, &item));
    yoke_sender_statistics(&tx.end, &from_tx);
    CHECK(from_tx.used == 0 && from_tx.peak == 2 && from_tx.open_senders == 1 &&
          from_tx.waiting_senders == 0);
    number_sender_close(&tx);
    yoke_sender_statistics(&tx.end, &from_tx);
    CHECK(from_tx.capacity == 0 && from_tx.open_receivers == 0);
    number_receiver_close(&rx);
    return NULL;
}

static void test_chan_13_statistics(void **state)
{
    run(statistics);
}

static yoke_error *one_allocation(void *arg)
{
    number_sender tx;
    number_receiver rx;
    int item;
    YOKE_TRY(number_channel(&tx, &rx, 4));
    memory_fail_after(0);
    yoke_error *e = NULL;
    for (int i = 0; i < 10 && !e; i++) {
        e = number_send(&tx, i);
        if (!e)
            e = number_recv(&rx, &item);
    }
    bool asked = memory_fail_after(SIZE_MAX);
    CHECK(!asked);
    number_sender_close(&tx);
    number_receiver_close(&rx);
    /* Unbounded and no room: the item stays the caller's, the channel is as it was. */
    YOKE_TRY(e);
    YOKE_TRY(number_channel(&tx, &rx, YOKE_UNBOUNDED));
    for (int i = 0; i < 16; i++)
        YOKE_TRY(number_send(&tx, i));
    memory_fail_after(0);
    e = number_send(&tx, 16);
    memory_fail_after(SIZE_MAX);
    CHECK(was_kind(e, &YOKE_NO_MEMORY));
    YOKE_TRY(number_send(&tx, 16));
    for (int i = 0; i < 17; i++) {
        YOKE_TRY(number_recv(&rx, &item));
        CHECK(item == i);
    }
    number_sender_close(&tx);
    number_receiver_close(&rx);
    return NULL;
}

static void test_sys_03_channels_without_memory(void **state)
{
    run(one_allocation);
}

/* ---- what is wider than one operation ---- */

/* The signatures are the item's type: a call with another one is a warning that stops the build. */
static void test_chan_12_typed_without_casts(void **state)
{
    assert_true(_Generic(&number_send, yoke_error * (*)(number_sender *, int) : true, default : false));
    assert_true(_Generic(&number_recv, yoke_error * (*)(number_receiver *, int *) : true, default : false));
    assert_true(_Generic(&number_recv_nowait, yoke_error * (*)(number_receiver *, int *)
                         : true, default
                         : false));
    assert_true(_Generic(&number_send_clause, yoke_clause(*)(number_sender *, const int *)
                         : true, default
                         : false));
    assert_true(_Generic(&number_recv_clause, yoke_clause(*)(number_receiver *, int *)
                         : true, default
                         : false));
}

static yoke_error *peak(void *arg)
{
    number_sender tx;
    number_receiver rx;
    yoke_channel_statistics now;
    int item;
    YOKE_TRY(number_channel(&tx, &rx, 8));
    for (int round = 1; round <= 5; round += 2) {
        for (int i = 0; i < round; i++)
            YOKE_TRY(number_send(&tx, i));
        for (int i = 0; i < round; i++)
            YOKE_TRY(number_recv(&rx, &item));
        yoke_sender_statistics(&tx.end, &now);
        CHECK(now.used == 0 && now.peak == (size_t)round);
    }
    YOKE_TRY(number_send(&tx, 0));
    yoke_receiver_statistics(&rx.end, &now);
    CHECK(now.used == 1 && now.peak == 5);
    number_sender_close(&tx);
    number_receiver_close(&rx);
    return NULL;
}

static void test_chan_23_peak(void **state)
{
    run(peak);
}

static yoke_error *refused_items(void *arg)
{
    yoke_sender tx;
    yoke_receiver rx;
    yoke_nursery n;
    yoke_channel_options options = {.destroy = destroy};
    int inside = 1, item = 10;
    YOKE_TRY(yoke_channel_open(&tx, &rx, 1, sizeof(int), &options));
    YOKE_TRY(yoke_channel_send(&tx, &inside));
    CHECK(would_block(yoke_channel_send_nowait(&tx, &item)) && destroyed == 0);
    YOKE_TRY(yoke_nursery_open(&n));
    void *args[] = {&tx, &item};
    YOKE_TRY(yoke_spawn(&n, send_bytes, args));
    settle();
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(destroyed == 0 && item == 10);
    /* A sender that waits when the last receiver closes keeps its item; the one inside is the channel's. */
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, send_bytes, args));
    settle();
    yoke_receiver_close(&rx);
    yoke_error *e = yoke_nursery_close_flat(&n, NULL);
    CHECK(was_kind(e, &YOKE_BROKEN_RESOURCE) && destroyed == 1);
    yoke_sender_close(&tx);
    CHECK(destroyed == 1);
    return NULL;
}

static void test_chan_24_a_refused_item_stays_the_callers(void **state)
{
    destroyed = 0;
    run(refused_items);
}

static yoke_error *ring_memory(void *arg)
{
    enum { MANY = 10000 };
    number_sender tx;
    number_receiver rx;
    int item;
    YOKE_TRY(number_channel(&tx, &rx, YOKE_UNBOUNDED));
    size_t empty = memory_live();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++)
            YOKE_TRY(number_send_nowait(&tx, i));
        CHECK(memory_live() == empty + 1);
        for (int i = 0; i < MANY; i++) {
            YOKE_TRY(number_recv_nowait(&rx, &item));
            CHECK(item == i);
        }
        CHECK(memory_live() == empty);
    }
    /* A small one is kept: passing items singly asks for memory once. */
    YOKE_TRY(number_send_nowait(&tx, 1));
    YOKE_TRY(number_recv_nowait(&rx, &item));
    memory_fail_after(0);
    yoke_error *e = NULL;
    for (int i = 0; i < 100 && !e; i++) {
        e = number_send_nowait(&tx, i);
        if (!e)
            e = number_recv_nowait(&rx, &item);
    }
    bool asked = memory_fail_after(SIZE_MAX);
    YOKE_TRY(e);
    CHECK(!asked);
    number_sender_close(&tx);
    number_receiver_close(&rx);
    return one_allocation(NULL);
}

static void test_chan_29_memory(void **state)
{
    run(ring_memory);
}

static yoke_error *no_idle_wakes(void *arg)
{
    number_sender tx;
    number_receiver rx;
    yoke_nursery n;
    YOKE_TRY(number_channel(&tx, &rx, 0));
    YOKE_TRY(yoke_nursery_open(&n));
    struct end a = {.rx = &rx, .item = -1}, b = {.rx = &rx, .item = -1};
    YOKE_TRY(yoke_spawn(&n, receive_it, &a));
    YOKE_TRY(yoke_spawn(&n, receive_it, &b));
    settle();
    yoke_task *second = container_of(n.children.prev, yoke_task, in_nursery);
    CHECK(second->state == TASK_PARKED);
    YOKE_TRY(number_send_nowait(&tx, 7));
    CHECK(second->state == TASK_PARKED); /* it was not even made ready */
    settle();
    CHECK(a.done && a.item == 7 && !b.done && second->state == TASK_PARKED);

    /* An item and the close in one pass: the first gets the item, the second the end. */
    a = (struct end){.rx = &rx, .item = -1};
    YOKE_TRY(yoke_spawn(&n, receive_it, &a));
    settle();
    YOKE_TRY(number_send_nowait(&tx, 8));
    number_sender_close(&tx);
    settle();
    CHECK(b.done && !b.outcome && b.item == 8);
    CHECK(a.done && a.item == -1 && was_kind(a.outcome, &YOKE_END_OF_CHANNEL));
    number_receiver_close(&rx);
    return yoke_nursery_close(&n, NULL);
}

static void test_chan_30_wakes_no_one_for_nothing(void **state)
{
    run(no_idle_wakes);
}

HARNESS_MAIN(TEST(test_chan_01_hand_over_at_zero), TEST(test_chan_02_bounded_and_unbounded),
             TEST(test_chan_04_nowait_forms), TEST(test_chan_03_order),
             TEST(test_chan_19_who_waits_comes_first), TEST(test_chan_05_clones),
             TEST(test_chan_06_receive_after_all_senders_closed),
             TEST(test_chan_07_send_after_all_receivers_closed), TEST(test_chan_08_own_end_closed),
             TEST(test_chan_22_closing_the_table), TEST(test_chan_09_close_is_no_checkpoint_and_idempotent),
             TEST(test_chan_10_cancelled_while_waiting_loses_nothing),
             TEST(test_sched_10_an_exchange_is_never_reported_as_cancelled),
             TEST(test_chan_21_no_ghost_of_a_cancelled_waiter), TEST(test_chan_20_many_to_many),
             TEST(test_chan_11_iteration), TEST(test_chan_26_two_relays_in_a_circle),
             TEST(test_chan_15_fairness), TEST(test_chan_14_what_is_left_is_freed),
             TEST(test_chan_14_an_item_may_hold_the_last_sender), TEST(test_chan_18_bad_capacity),
             TEST(test_chan_25_sizes_of_items), TEST(test_chan_13_statistics),
             TEST(test_sys_03_channels_without_memory), TEST(test_chan_12_typed_without_casts),
             TEST(test_chan_23_peak), TEST(test_chan_24_a_refused_item_stays_the_callers),
             TEST(test_chan_29_memory), TEST(test_chan_30_wakes_no_one_for_nothing))
