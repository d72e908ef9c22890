/* Broadcast: every subscriber gets every item, lags are counted, readers hand over, ends reach all. */
#include "child.h"
#include "task/task.h"

YOKE_CHANNEL(number, int);
YOKE_BROADCAST(number, int);

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static void run(yoke_task_fn fn)
{
    assert_success(yoke_run(fn, NULL, NULL));
}

static number_sender tx;
static number_receiver rx;
static number_subscriber first;

static yoke_error *open_all(size_t capacity, size_t ring)
{
    YOKE_TRY(number_channel(&tx, &rx, capacity));
    return number_broadcast(&first, &rx, ring);
}

static void close_all(void)
{
    number_subscriber_close(&first);
    number_sender_close(&tx);
    number_receiver_close(&rx);
}

/* A task that reads a subscriber to the end, and what it saw. */
struct reader {
    number_subscriber *s;
    int work;     /* yields after each item */
    int enough;   /* leaves after so many items; 0: never */
    int expected; /* the next item, if none is missed */
    int seen;     /* items */
    int lags;
    int most_lags;   /* closes its subscriber and leaves after so many; 0: never */
    uint64_t missed; /* in all lags */
    bool disorder;
    bool done;
    yoke_scope scope;
    yoke_error *outcome;
};

static yoke_error *read_items(struct reader *r)
{
    for (;;) {
        int item;
        yoke_error *e = number_next(r->s, &item);
        if (yoke_error_is(e, &YOKE_LAGGED)) {
            yoke_error_free(e);
            r->missed += yoke_broadcast_missed(&r->s->end);
            r->expected += (int)yoke_broadcast_missed(&r->s->end);
            if (++r->lags == r->most_lags)
                return NULL;
            continue;
        }
        if (e)
            return e;
        r->disorder |= item != r->expected;
        r->expected = item + 1;
        if (++r->seen == r->enough)
            return NULL;
        for (int i = 0; i < r->work; i++)
            YOKE_TRY(yoke_checkpoint());
    }
}

static yoke_error *reader_run(void *arg)
{
    struct reader *r = arg;
    YOKE_TRY(yoke_scope_open(&r->scope));
    r->outcome = yoke_scope_close(&r->scope, read_items(r));
    if (r->most_lags && r->lags == r->most_lags)
        number_subscriber_close(r->s);
    r->done = true;
    return NULL;
}

static yoke_error *send_to(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++)
        YOKE_TRY(number_send(&tx, i));
    number_sender_close(&tx);
    return NULL;
}

/* One receive. */
struct receive {
    number_subscriber *s;
    int item;
    bool done;
    yoke_task *task;
    yoke_scope scope;
    yoke_error *outcome;
};

static yoke_error *receive_run(void *arg)
{
    struct receive *r = arg;
    r->task = yoke_current_task();
    YOKE_TRY(yoke_scope_open(&r->scope));
    yoke_error *e = number_next(r->s, &r->item);
    r->outcome = yoke_scope_close(&r->scope, e);
    r->done = true;
    return NULL;
}

static const yoke_task *who_reads(void)
{
    yoke_broadcast_statistics st;
    yoke_subscriber_statistics(&first.end, &st);
    return st.reader;
}

static bool next_is(number_subscriber *s, int wanted)
{
    int item = -1;
    yoke_error *e = number_next_nowait(s, &item);
    yoke_error_free(e);
    return !e && item == wanted;
}

static bool nothing_for(number_subscriber *s)
{
    int item;
    return was_kind(number_next_nowait(s, &item), &YOKE_WOULD_BLOCK);
}

/* ---- every item, in order, one read at a time ---- */

static int reads, most_reads;

static yoke_error *counted_receive(void *arg, void *item)
{
    if (++reads > most_reads)
        most_reads = reads;
    yoke_error *e = number_recv(arg, item);
    reads--;
    return e;
}

static yoke_error *every_item(void *arg)
{
    enum { READERS = 4 };
    int count = 500;
    yoke_nursery n;
    number_subscriber more[READERS - 1];
    struct reader readers[READERS];
    YOKE_TRY(number_channel(&tx, &rx, 3));
    yoke_broadcast_source source = {.receive = counted_receive, .arg = &rx, .item_bytes = sizeof(int)};
    YOKE_TRY(yoke_broadcast_open_source(&first.end, &source, 8, NULL));
    reads = most_reads = 0;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < READERS; i++) {
        if (i)
            YOKE_TRY(number_subscribe(&first, &more[i - 1]));
        readers[i] = (struct reader){.s = i ? &more[i - 1] : &first};
        YOKE_TRY(yoke_spawn(&n, reader_run, &readers[i]));
    }
    YOKE_TRY(yoke_spawn(&n, send_to, &count));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(most_reads == 1 && reads == 0);
    for (int i = 0; i < READERS; i++) {
        CHECK(was_kind(readers[i].outcome, &YOKE_END_OF_CHANNEL));
        CHECK(readers[i].seen == count && !readers[i].disorder && !readers[i].lags);
        if (i)
            number_subscriber_close(&more[i - 1]);
    }
    close_all();
    return NULL;
}

static void test_bcast_01_every_subscriber_gets_every_item(void **state)
{
    run(every_item);
}

/* More items at once than the ring keeps, from a channel that never makes its reader wait: who is ready lags
 * never. */
static yoke_error *fan_out(void *arg)
{
    enum { MORE = 10 };
    int count = 1000;
    yoke_nursery n;
    number_subscriber more[MORE];
    struct reader readers[MORE + 1];
    YOKE_TRY(open_all(YOKE_UNBOUNDED, 32));
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i <= MORE; i++) {
        if (i < MORE)
            YOKE_TRY(number_subscribe(&first, &more[i]));
        readers[i] = (struct reader){.s = i < MORE ? &more[i] : &first};
        YOKE_TRY(yoke_spawn(&n, reader_run, &readers[i]));
    }
    YOKE_TRY(yoke_spawn(&n, send_to, &count));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    for (int i = 0; i <= MORE; i++) {
        CHECK(was_kind(readers[i].outcome, &YOKE_END_OF_CHANNEL));
        CHECK(readers[i].seen == count && !readers[i].disorder && !readers[i].lags);
        if (i < MORE)
            number_subscriber_close(&more[i]);
    }
    close_all();
    return NULL;
}

static void test_bcast_08_fan_out(void **state)
{
    run(fan_out);
}

static yoke_error *begins_at_now(void *arg)
{
    number_subscriber late;
    YOKE_TRY(open_all(8, 4));
    YOKE_TRY(number_send(&tx, 1));
    YOKE_TRY(number_send(&tx, 2));
    CHECK(next_is(&first, 1));
    YOKE_TRY(number_subscribe(&first, &late));
    CHECK(next_is(&first, 2));
    CHECK(next_is(&late, 2)); /* was received after the subscription, though it was sent before */
    CHECK(nothing_for(&late) && nothing_for(&first));
    YOKE_TRY(number_send(&tx, 3));
    CHECK(next_is(&late, 3) && next_is(&first, 3));
    number_subscriber_close(&late);
    close_all();
    return NULL;
}

static void test_bcast_10_begins_at_now(void **state)
{
    run(begins_at_now);
}

/* ---- lag ---- */

static yoke_error *take_all(number_subscriber *s, int from, int to)
{
    for (int i = from; i <= to; i++) {
        int item = -1;
        YOKE_TRY(number_next(s, &item));
        CHECK(item == i);
    }
    return NULL;
}

static yoke_error *lag(void *arg)
{
    int item;
    number_subscriber slow;
    YOKE_TRY(open_all(YOKE_UNBOUNDED, 4));
    YOKE_TRY(number_subscribe(&first, &slow));
    for (int i = 1; i <= 4; i++)
        YOKE_TRY(number_send(&tx, i));
    YOKE_TRY(take_all(&first, 1, 4));
    YOKE_TRY(take_all(&slow, 1, 1)); /* four behind is no lag */
    for (int i = 5; i <= 10; i++)
        YOKE_TRY(number_send(&tx, i));
    YOKE_TRY(take_all(&first, 5, 10));
    yoke_error *e = number_next(&slow, &item);
    CHECK(yoke_error_is(e, &YOKE_LAGGED) && strstr(yoke_error_message(e), "5 items"));
    yoke_error_free(e);
    CHECK(yoke_broadcast_missed(&slow.end) == 5 && yoke_broadcast_missed(&first.end) == 0);
    YOKE_TRY(take_all(&slow, 7, 10));
    CHECK(nothing_for(&slow));
    number_subscriber_close(&slow);
    close_all();
    return NULL;
}

static void test_bcast_02_lag(void **state)
{
    run(lag);
}

static yoke_error *lag_without_error(void *arg)
{
    int item = 0;
    yoke_subscriber slow;
    YOKE_TRY(open_all(YOKE_UNBOUNDED, 4));
    YOKE_TRY(yoke_broadcast_subscribe(&first.end, &slow, &(yoke_broadcast_options){.no_lag = true}));
    for (int i = 1; i <= 10; i++)
        YOKE_TRY(number_send(&tx, i));
    YOKE_TRY(take_all(&first, 1, 10));
    for (int i = 7; i <= 10; i++) {
        YOKE_TRY(yoke_broadcast_receive(&slow, &item));
        CHECK(item == i && yoke_broadcast_missed(&slow) == 6);
    }
    yoke_broadcast_close(&slow);
    close_all();
    return NULL;
}

static void lag_without_error_child(void)
{
    yoke_error *e = yoke_run(lag_without_error, NULL, NULL);
    if (e)
        yoke_error_print(stderr, e);
    CHILD_CHECK(!e);
}

static void test_bcast_02_no_lag_is_logged(void **state)
{
    static struct child_end end;
    run_child(&end, lag_without_error_child);
    assert_int_equal(end.status, 0);
    char *line = strstr(end.text, "missed 6 items");
    assert_non_null(line);
    assert_null(strstr(line + 1, "missed"));
}

static yoke_error *count_of_a_lag(void *arg)
{
    int item;
    number_subscriber slow, never;
    YOKE_TRY(open_all(YOKE_UNBOUNDED, 100));
    for (int i = 1; i <= 251; i++)
        YOKE_TRY(number_send(&tx, i));
    YOKE_TRY(number_subscribe(&first, &slow));
    YOKE_TRY(take_all(&slow, 1, 1));
    YOKE_TRY(number_subscribe(&first, &never));
    YOKE_TRY(take_all(&first, 1, 251));
    CHECK(was_kind(number_next(&slow, &item), &YOKE_LAGGED));
    CHECK(yoke_broadcast_missed(&slow.end) == 150);
    YOKE_TRY(take_all(&slow, 152, 251));
    CHECK(was_kind(number_next(&never, &item), &YOKE_LAGGED));
    CHECK(yoke_broadcast_missed(&never.end) == 150); /* it came when one item had been received */
    YOKE_TRY(take_all(&never, 152, 251));
    number_subscriber_close(&slow);
    number_subscriber_close(&never);
    close_all();
    return NULL;
}

static void test_bcast_09_the_count_of_a_lag(void **state)
{
    run(count_of_a_lag);
}

static yoke_error *who_is_slow(void *arg)
{
    for (int slow = 0; slow < 2; slow++) {
        int count = 300;
        yoke_nursery n;
        number_subscriber other;
        YOKE_TRY(open_all(0, 100));
        YOKE_TRY(number_subscribe(&first, &other));
        struct reader readers[2] = {{.s = &first, .work = slow == 0 ? 10 : 1},
                                    {.s = &other, .work = slow == 1 ? 10 : 1}};
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_spawn(&n, reader_run, &readers[0]));
        YOKE_TRY(yoke_spawn(&n, reader_run, &readers[1]));
        YOKE_TRY(yoke_spawn(&n, send_to, &count));
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        for (int i = 0; i < 2; i++) {
            CHECK(was_kind(readers[i].outcome, &YOKE_END_OF_CHANNEL));
            CHECK((readers[i].lags > 0) == (i == slow) && !readers[i].disorder);
            CHECK(readers[i].seen + (int)readers[i].missed == count);
        }
        number_subscriber_close(&other);
        close_all();
    }
    return NULL;
}

static void test_bcast_11_who_is_slow_lags(void **state)
{
    run(who_is_slow);
}

static yoke_error *send_till_alone(void *arg)
{
    yoke_broadcast_statistics st;
    int i = 0;
    do {
        YOKE_TRY(number_send(&tx, i++));
        yoke_subscriber_statistics(&first.end, &st);
    } while (st.subscribers > 1);
    number_sender_close(&tx);
    return NULL;
}

static yoke_error *leaves_the_group(void *arg)
{
    yoke_nursery n;
    number_subscriber more[2];
    YOKE_TRY(open_all(0, 3));
    YOKE_TRY(number_subscribe(&first, &more[0]));
    YOKE_TRY(number_subscribe(&first, &more[1]));
    struct reader readers[3] = {{.s = &first, .work = 1, .most_lags = 4},
                                {.s = &more[0], .work = 3, .most_lags = 4},
                                {.s = &more[1], .work = 6, .most_lags = 4}};
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_spawn(&n, reader_run, &readers[i]));
    YOKE_TRY(yoke_spawn(&n, send_till_alone, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(readers[0].lags == 0 && was_kind(readers[0].outcome, &YOKE_END_OF_CHANNEL));
    CHECK(readers[1].lags == 4 && !readers[1].outcome && readers[1].seen > 0 && !readers[1].disorder);
    CHECK(readers[2].lags == 4 && !readers[2].outcome && readers[2].seen > 0 && !readers[2].disorder);
    close_all();
    return NULL;
}

static void test_bcast_12_leaves_the_group_after_too_many_lags(void **state)
{
    run(leaves_the_group);
}

/* ---- cancellation ---- */

static yoke_error *hands_over(void *arg)
{
    yoke_nursery n;
    number_subscriber other, third;
    YOKE_TRY(open_all(0, 8));
    YOKE_TRY(number_subscribe(&first, &other));
    YOKE_TRY(number_subscribe(&first, &third));
    struct receive a = {.s = &first}, b = {.s = &other}, c = {.s = &third};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    settle();
    YOKE_TRY(yoke_spawn(&n, receive_run, &b));
    YOKE_TRY(yoke_spawn(&n, receive_run, &c));
    settle();
    CHECK(who_reads() == a.task);
    yoke_scope_cancel(&a.scope, NULL);
    settle();
    CHECK(a.done && a.scope.caught && !b.done && !c.done && who_reads() == b.task);
    /* The next two in line are cancelled at once: the one that takes over is cancelled already. */
    struct receive d = {.s = &first};
    YOKE_TRY(yoke_spawn(&n, receive_run, &d));
    settle();
    yoke_scope_cancel(&b.scope, NULL);
    yoke_scope_cancel(&c.scope, NULL);
    settle();
    CHECK(b.done && b.scope.caught && c.done && c.scope.caught && who_reads() == d.task);
    YOKE_TRY(number_send_nowait(&tx, 7));
    /* It has the item, and keeps it. */
    yoke_scope_cancel(&d.scope, NULL);
    settle();
    CHECK(d.done && !d.outcome && d.item == 7 && !d.scope.caught);
    CHECK(next_is(&other, 7) && next_is(&third, 7));
    CHECK(nothing_for(&first) && nothing_for(&other) && nothing_for(&third));
    number_subscriber_close(&other);
    number_subscriber_close(&third);
    close_all();
    return yoke_nursery_close(&n, NULL);
}

static void test_bcast_03_cancelled_reader_hands_over(void **state)
{
    run(hands_over);
}

/* The waiter that is woken to take over, and cancelled before it runs, passes it on. */
static yoke_error *hands_over_twice(void *arg)
{
    yoke_nursery n;
    number_subscriber other, third;
    YOKE_TRY(open_all(0, 8));
    YOKE_TRY(number_subscribe(&first, &other));
    YOKE_TRY(number_subscribe(&first, &third));
    struct receive a = {.s = &first}, b = {.s = &other}, c = {.s = &third};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    settle();
    YOKE_TRY(yoke_spawn(&n, receive_run, &b));
    YOKE_TRY(yoke_spawn(&n, receive_run, &c));
    settle();
    yoke_scope_cancel(&a.scope, NULL);
    while (!a.done) /* from here b is to run next */
        YOKE_TRY(yoke_checkpoint());
    yoke_scope_cancel(&b.scope, NULL);
    settle();
    CHECK(b.done && !b.outcome && b.scope.caught && !c.done && who_reads() == c.task);
    YOKE_TRY(number_send_nowait(&tx, 1));
    settle();
    CHECK(c.done && !c.outcome && c.item == 1);
    number_subscriber_close(&other);
    number_subscriber_close(&third);
    close_all();
    return yoke_nursery_close(&n, NULL);
}

/* It is woken to take over, but another was quicker: then it does not wait again if it is cancelled. */
static yoke_error *comes_late(void *arg)
{
    yoke_nursery n;
    number_subscriber other, third;
    YOKE_TRY(open_all(0, 8));
    YOKE_TRY(number_subscribe(&first, &other));
    YOKE_TRY(number_subscribe(&first, &third));
    struct receive a = {.s = &first}, b = {.s = &other}, c = {.s = &third};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    settle();
    YOKE_TRY(yoke_spawn(&n, receive_run, &b));
    settle();
    yoke_scope_cancel(&a.scope, NULL);
    YOKE_TRY(yoke_spawn(&n, receive_run, &c));
    YOKE_TRY(yoke_checkpoint());
    CHECK(a.done && who_reads() == c.task && !b.done);
    yoke_scope_cancel(&b.scope, NULL);
    settle();
    CHECK(b.done && b.scope.caught && who_reads() == c.task);
    YOKE_TRY(number_send_nowait(&tx, 1));
    settle();
    CHECK(c.done && !c.outcome && c.item == 1);
    number_subscriber_close(&other);
    number_subscriber_close(&third);
    close_all();
    return yoke_nursery_close(&n, NULL);
}

static void test_bcast_03_the_one_that_takes_over_is_cancelled(void **state)
{
    run(hands_over_twice);
    run(comes_late);
}

static yoke_error *slow_goes_on(void *arg)
{
    int count = 1000;
    yoke_nursery n;
    number_subscriber slow;
    YOKE_TRY(open_all(1, 512));
    YOKE_TRY(number_subscribe(&first, &slow));
    struct reader fast_one = {.s = &first}, slow_one = {.s = &slow, .work = 3};
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, reader_run, &fast_one));
    YOKE_TRY(yoke_spawn(&n, reader_run, &slow_one));
    YOKE_TRY(yoke_spawn(&n, send_to, &count));
    while (fast_one.seen < 300)
        YOKE_TRY(yoke_checkpoint());
    CHECK(slow_one.seen < 300);
    yoke_scope_cancel(&fast_one.scope, NULL);
    settle();
    CHECK(fast_one.done && !fast_one.outcome && fast_one.scope.caught);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(was_kind(slow_one.outcome, &YOKE_END_OF_CHANNEL));
    CHECK(slow_one.seen == count && !slow_one.disorder && !slow_one.lags);
    CHECK(RUNNING_ON_VALGRIND || yoke_now() - begin < YOKE_MS(500));
    number_subscriber_close(&slow);
    close_all();
    return NULL;
}

static void test_bcast_04_slow_goes_on_after_fast_is_cancelled(void **state)
{
    run(slow_goes_on);
}

static yoke_error *first_is_cancelled(void *arg)
{
    yoke_nursery n;
    number_subscriber other;
    YOKE_TRY(open_all(0, 4));
    YOKE_TRY(number_subscribe(&first, &other));
    struct receive a = {.s = &first}, b = {.s = &other};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    YOKE_TRY(yoke_spawn(&n, receive_run, &b));
    settle();
    yoke_scope_cancel(&a.scope, NULL);
    yoke_scope limit;
    YOKE_TRY(yoke_fail_after(&limit, YOKE_MS(500)));
    YOKE_TRY(yoke_scope_close(&limit, number_send(&tx, 9)));
    settle();
    CHECK(a.done && a.scope.caught && b.done && !b.outcome && b.item == 9);
    number_subscriber_close(&other);
    close_all();
    return yoke_nursery_close(&n, NULL);
}

static void test_bcast_05_first_receiver_cancelled_before_anything_came(void **state)
{
    run(first_is_cancelled);
}

static yoke_error *cancelled_scope(void *arg)
{
    int item;
    yoke_scope s;
    number_subscriber other;
    YOKE_TRY(open_all(4, 4));
    YOKE_TRY(number_subscribe(&first, &other));
    YOKE_TRY(number_send(&tx, 1));
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    CHECK(was_cancelled(number_next(&first, &item))); /* of the source */
    CHECK(next_is(&first, 1));                        /* nowait works there, and nothing was lost */
    CHECK(was_cancelled(number_next(&other, &item))); /* of the ring */
    CHECK(next_is(&other, 1));
    number_subscriber_close(&other);
    close_all();
    return yoke_scope_close(&s, NULL);
}

static void test_sched_10_a_cancelled_scope_takes_no_item(void **state)
{
    run(cancelled_scope);
}

/* ---- ends ---- */

static yoke_error *closed_subscription(void *arg)
{
    int item;
    yoke_nursery n;
    number_subscriber other, third, fourth;
    YOKE_TRY(open_all(0, 4));
    YOKE_TRY(number_subscribe(&first, &other));
    YOKE_TRY(number_subscribe(&first, &third));
    struct receive a = {.s = &first}, b = {.s = &other}, c = {.s = &third};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    YOKE_TRY(yoke_spawn(&n, receive_run, &b));
    YOKE_TRY(yoke_spawn(&n, receive_run, &c));
    settle();
    CHECK(was_kind(number_next(&first, &item), &YOKE_BUSY_RESOURCE));
    CHECK(was_kind(number_next_nowait(&first, &item), &YOKE_BUSY_RESOURCE));
    /* First one that waits for the reader, then the reader itself. */
    CHECK(who_reads() == a.task);
    number_subscriber_close(&other);
    settle();
    CHECK(b.done && was_kind(b.outcome, &YOKE_CLOSED) && !a.done && !c.done);
    number_subscriber_close(&first);
    settle();
    CHECK(a.done && was_kind(a.outcome, &YOKE_CLOSED) && !a.scope.caught && !c.done);
    number_subscriber_close(&first);
    number_subscriber_close(&other);
    CHECK(was_kind(number_next(&first, &item), &YOKE_CLOSED));
    CHECK(was_kind(number_next_nowait(&first, &item), &YOKE_CLOSED));
    CHECK(was_kind(number_subscribe(&first, &fourth), &YOKE_CLOSED));
    number_subscriber_close(&fourth); /* was left closed */
    YOKE_TRY(number_send(&tx, 3));
    settle();
    CHECK(c.done && !c.outcome && c.item == 3);
    number_subscriber_close(&third);
    close_all();
    return yoke_nursery_close(&n, NULL);
}

static void test_bcast_06_closed_subscription(void **state)
{
    run(closed_subscription);
}

/* The reader has its item already when its subscriber, the last, is closed: the item is not lost. */
static yoke_error *closed_with_an_item(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(open_all(0, 4));
    struct receive a = {.s = &first};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    settle();
    YOKE_TRY(number_send_nowait(&tx, 5));
    number_subscriber_close(&first);
    settle();
    CHECK(a.done && !a.outcome && a.item == 5);
    close_all();
    return yoke_nursery_close(&n, NULL);
}

static void test_bcast_06_closed_with_an_item(void **state)
{
    run(closed_with_an_item);
}

static yoke_error *end_of_channel(void *arg)
{
    int item;
    yoke_nursery n;
    number_subscriber other, late;
    YOKE_TRY(open_all(8, 4));
    YOKE_TRY(number_subscribe(&first, &other));
    struct reader a = {.s = &first};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, reader_run, &a));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(number_send(&tx, i));
    number_sender_close(&tx);
    settle();
    CHECK(a.done && a.seen == 3 && was_kind(a.outcome, &YOKE_END_OF_CHANNEL));
    YOKE_TRY(take_all(&other, 0, 2));
    YOKE_TRY(number_subscribe(&other, &late));
    for (int i = 0; i < 2; i++) { /* again and again */
        CHECK(was_kind(number_next(&other, &item), &YOKE_END_OF_CHANNEL));
        CHECK(was_kind(number_next_nowait(&first, &item), &YOKE_END_OF_CHANNEL));
        CHECK(was_kind(number_next(&late, &item), &YOKE_END_OF_CHANNEL));
    }
    number_subscriber_close(&late);
    number_subscriber_close(&other);
    close_all();
    return yoke_nursery_close(&n, NULL);
}

/* A source that says it once: each subscriber is told all the same. */
static yoke_error *ends_once(void *arg, void *item)
{
    bool *ended = arg;
    YOKE_TRY(*ended ? yoke_sleep_forever() : yoke_checkpoint());
    *ended = true;
    return yoke_raise(&YOKE_END_OF_CHANNEL, "that was all");
}

static yoke_error *end_told_once(void *arg)
{
    bool ended = false;
    int item;
    yoke_nursery n;
    yoke_scope limit;
    number_subscriber other;
    yoke_broadcast_source source = {.receive = ends_once, .arg = &ended, .item_bytes = sizeof(int)};
    YOKE_TRY(yoke_broadcast_open_source(&first.end, &source, 4, NULL));
    YOKE_TRY(number_subscribe(&first, &other));
    struct receive a = {.s = &first}, b = {.s = &other};
    YOKE_TRY(yoke_fail_after(&limit, YOKE_S(5)));
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    YOKE_TRY(yoke_spawn(&n, receive_run, &b));
    YOKE_TRY(yoke_scope_close(&limit, yoke_nursery_close(&n, NULL)));
    CHECK(was_kind(a.outcome, &YOKE_END_OF_CHANNEL) && was_kind(b.outcome, &YOKE_END_OF_CHANNEL));
    CHECK(was_kind(number_next(&first, &item), &YOKE_END_OF_CHANNEL));
    number_subscriber_close(&other);
    number_subscriber_close(&first);
    return NULL;
}

static void test_bcast_07_end_of_channel(void **state)
{
    run(end_of_channel);
    run(end_told_once);
}

static yoke_error *source_is_closed(void *arg)
{
    int item;
    yoke_nursery n;
    number_subscriber other;
    YOKE_TRY(open_all(8, 4));
    YOKE_TRY(number_subscribe(&first, &other));
    struct receive a = {.s = &first}, b = {.s = &other};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    YOKE_TRY(yoke_spawn(&n, receive_run, &b));
    settle();
    number_receiver_close(&rx);
    settle();
    CHECK(was_kind(a.outcome, &YOKE_CLOSED) && was_kind(b.outcome, &YOKE_CLOSED));
    CHECK(was_kind(number_next(&first, &item), &YOKE_CLOSED));
    number_subscriber late;
    CHECK(was_kind(number_broadcast(&late, &rx, 4), &YOKE_CLOSED));
    number_subscriber_close(&other);
    close_all();
    return yoke_nursery_close(&n, NULL);
}

static void test_bcast_07_the_source_is_closed(void **state)
{
    run(source_is_closed);
}

/* Any other error of a source is one task's; the next one reads on. */
static yoke_error *fails_once(void *arg, void *item)
{
    static int calls;
    YOKE_TRY(yoke_checkpoint());
    if (calls++ % 2 == 0)
        return yoke_raise(&APP_K, "a bad item");
    *(int *)item = 5;
    return NULL;
}

static yoke_error *one_error_of_the_source(void *arg)
{
    yoke_nursery n;
    number_subscriber other;
    yoke_broadcast_source source = {.receive = fails_once, .item_bytes = sizeof(int)};
    YOKE_TRY(yoke_broadcast_open_source(&first.end, &source, 4, NULL));
    YOKE_TRY(number_subscribe(&first, &other));
    struct receive a = {.s = &first}, b = {.s = &other};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    YOKE_TRY(yoke_spawn(&n, receive_run, &b));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(was_kind(a.outcome, &APP_K) && !b.outcome && b.item == 5 && next_is(&first, 5));
    number_subscriber_close(&other);
    number_subscriber_close(&first);
    return NULL;
}

static void test_bcast_01_another_error_of_the_source_is_the_readers(void **state)
{
    run(one_error_of_the_source);
}

/* ---- statistics, memory, misuse ---- */

static yoke_error *statistics(void *arg)
{
    yoke_nursery n;
    number_subscriber other, third;
    yoke_broadcast_statistics st;
    YOKE_TRY(open_all(8, 4));
    YOKE_TRY(number_subscribe(&first, &other));
    YOKE_TRY(number_subscribe(&first, &third));
    for (int i = 0; i < 6; i++)
        YOKE_TRY(number_send(&tx, i));
    YOKE_TRY(take_all(&first, 0, 5));
    YOKE_TRY(number_send(&tx, 6));
    yoke_subscriber_statistics(&other.end, &st);
    CHECK(st.ring == 4 && st.subscribers == 3 && st.queued == 4 && st.missed == 2 && !st.reader);
    yoke_subscriber_statistics(&first.end, &st);
    CHECK(st.queued == 0 && st.missed == 0 && st.waiting == 0);
    YOKE_TRY(take_all(&first, 6, 6));
    number_subscriber_close(&other);
    struct receive a = {.s = &first}, b = {.s = &third};
    int item;
    CHECK(was_kind(number_next(&third, &item), &YOKE_LAGGED));
    YOKE_TRY(take_all(&third, 3, 6));
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    YOKE_TRY(yoke_spawn(&n, receive_run, &b));
    settle();
    yoke_subscriber_statistics(&third.end, &st);
    CHECK(st.subscribers == 2 && st.waiting == 1 && st.reader == a.task && st.queued == 0);
    number_subscriber_close(&third);
    close_all();
    yoke_subscriber_statistics(&third.end, &st);
    CHECK(!st.ring && !st.subscribers && !st.waiting && !st.queued && !st.reader);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    yoke_error_free(a.outcome);
    yoke_error_free(b.outcome);
    return NULL;
}

static void test_bcast_13_statistics(void **state)
{
    run(statistics);
}

static int destroyed[16];

static void destroy(void *item)
{
    destroyed[*(int *)item]++;
}

static yoke_error *items_are_destroyed(void *arg)
{
    number_subscriber other, third;
    int item;
    memset(destroyed, 0, sizeof destroyed);
    YOKE_TRY(number_channel(&tx, &rx, 16));
    YOKE_TRY(yoke_broadcast_open(&first.end, &rx.end, 2, &(yoke_broadcast_options){.destroy = destroy}));
    YOKE_TRY(number_subscribe(&first, &other));
    for (int i = 0; i < 6; i++)
        YOKE_TRY(number_send(&tx, i));
    YOKE_TRY(take_all(&first, 0, 0));
    YOKE_TRY(take_all(&other, 0, 0));
    YOKE_TRY(take_all(&first, 1, 1));
    CHECK(!destroyed[0]); /* other has it in hand */
    YOKE_TRY(number_subscribe(&first, &third));
    YOKE_TRY(
        take_all(&first, 2, 4)); /* 0 is overtaken, and still in hand; 1 and 2 were seen by first alone */
    CHECK(!destroyed[0] && destroyed[1] == 1 && destroyed[2] == 1 && !destroyed[3]);
    CHECK(was_kind(number_next(&other, &item), &YOKE_LAGGED));
    CHECK(destroyed[0] == 1);
    YOKE_TRY(take_all(&other, 3, 4));
    CHECK(!destroyed[3]); /* third has it before it */
    number_subscriber_close(&third);
    CHECK(destroyed[3] == 1 && !destroyed[4]);
    number_subscriber_close(&other);
    CHECK(!destroyed[4]);
    YOKE_TRY(take_all(&first, 5, 5));
    CHECK(destroyed[4] == 1 && !destroyed[5]);
    close_all();
    for (int i = 0; i < 6; i++)
        CHECK(destroyed[i] == 1);
    return NULL;
}

/* The last subscriber is closed while its task has just been given an item: that is destroyed, once. */
static yoke_error *destroyed_at_close(void *arg)
{
    yoke_nursery n;
    memset(destroyed, 0, sizeof destroyed);
    YOKE_TRY(number_channel(&tx, &rx, 0));
    YOKE_TRY(yoke_broadcast_open(&first.end, &rx.end, 2, &(yoke_broadcast_options){.destroy = destroy}));
    struct receive a = {.s = &first};
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, receive_run, &a));
    settle();
    YOKE_TRY(number_send_nowait(&tx, 5));
    number_subscriber_close(&first);
    settle();
    CHECK(a.done && was_kind(a.outcome, &YOKE_CLOSED) && destroyed[5] == 1);
    close_all();
    return yoke_nursery_close(&n, NULL);
}

/* The memory does not depend on how many subscribers there are. */
static yoke_error *memory_is_had_once(void *arg)
{
    number_subscriber more[50];
    YOKE_TRY(open_all(64, 16));
    size_t pieces = memory_live();
    for (int i = 0; i < 50; i++)
        YOKE_TRY(number_subscribe(&first, &more[i]));
    for (int i = 0; i < 64; i++)
        YOKE_TRY(number_send(&tx, i));
    YOKE_TRY(take_all(&first, 0, 63));
    CHECK(memory_live() == pieces);
    for (int i = 0; i < 50; i++)
        number_subscriber_close(&more[i]);
    close_all();
    return NULL;
}

static void test_bcast_14_bounded(void **state)
{
    run(items_are_destroyed);
    run(destroyed_at_close);
    run(memory_is_had_once);
}

static yoke_error *refusals(void *arg)
{
    YOKE_TRY(number_channel(&tx, &rx, 1));
    CHECK(was_kind(number_broadcast(&first, &rx, 0), &YOKE_USAGE));
    CHECK(was_kind(number_broadcast(&first, &rx, SIZE_MAX / 2), &YOKE_USAGE));
    YOKE_TRY(number_broadcast(&first, &rx, 1));
    yoke_subscriber other;
    yoke_broadcast_options options = {.destroy = destroy};
    CHECK(was_kind(yoke_broadcast_subscribe(&first.end, &other, &options), &YOKE_USAGE));
    close_all();
    return NULL;
}

static void test_bcast_refusals(void **state)
{
    int item;
    run(refusals);
    yoke_broadcast_source source = {.item_bytes = 1};
    assert_error(yoke_broadcast_open_source(&first.end, &source, 1, NULL), &YOKE_USAGE);
    assert_error(number_next(&first, &item), &YOKE_USAGE);
}

/* What can fail for want of memory may, and leaves everything as it was. */
static yoke_error *small_program(void *arg)
{
    yoke_nursery n;
    int item;
    YOKE_TRY(number_channel(&tx, &rx, 4));
    yoke_broadcast_options options = {.destroy = destroy};
    yoke_error *e = yoke_broadcast_open(&first.end, &rx.end, 2, &options);
    number_subscriber other = {0};
    if (!e)
        e = number_subscribe(&first, &other);
    for (int i = 0; i < 4 && !e; i++)
        e = number_send(&tx, i);
    for (int i = 0; i < 4 && !e; i++)
        e = number_next(&first, &item);
    if (!e && !(e = yoke_nursery_open(&n))) {
        struct receive a = {.s = &first};
        e = yoke_spawn(&n, receive_run, &a);
        settle();
        number_subscriber_close(&first);
        e = yoke_nursery_close(&n, e);
        yoke_error_free(a.outcome);
    }
    number_subscriber_close(&other);
    close_all();
    return e;
}

static void test_bcast_without_memory(void **state)
{
    refuse_each_allocation(small_program, NULL);
}

HARNESS_MAIN(TEST(test_bcast_01_every_subscriber_gets_every_item),
             TEST(test_bcast_01_another_error_of_the_source_is_the_readers), TEST(test_bcast_02_lag),
             TEST(test_bcast_02_no_lag_is_logged), TEST(test_bcast_03_cancelled_reader_hands_over),
             TEST(test_bcast_03_the_one_that_takes_over_is_cancelled),
             TEST(test_bcast_04_slow_goes_on_after_fast_is_cancelled),
             TEST(test_bcast_05_first_receiver_cancelled_before_anything_came),
             TEST(test_bcast_06_closed_subscription), TEST(test_bcast_06_closed_with_an_item),
             TEST(test_bcast_07_end_of_channel), TEST(test_bcast_07_the_source_is_closed),
             TEST(test_bcast_08_fan_out), TEST(test_bcast_09_the_count_of_a_lag),
             TEST(test_bcast_10_begins_at_now), TEST(test_bcast_11_who_is_slow_lags),
             TEST(test_bcast_12_leaves_the_group_after_too_many_lags), TEST(test_bcast_13_statistics),
             TEST(test_bcast_14_bounded), TEST(test_bcast_refusals), TEST(test_bcast_without_memory),
             TEST(test_sched_10_a_cancelled_scope_takes_no_item))
