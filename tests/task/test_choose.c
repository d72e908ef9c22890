/* Choosing among channels: exactly one clause takes effect, and nothing is lost to those that do not. */
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

/* Three channels, and a task that chooses among them. */
struct scene {
    number_sender tx[3];
    number_receiver rx[3];
    yoke_clause clauses[6];
    size_t count, chosen;
    yoke_choose_options options;
    int in, out;
    bool done;
    yoke_error *outcome;
};

static yoke_error *scene_open(struct scene *s, size_t capacity)
{
    *s = (struct scene){.in = -1, .chosen = 77};
    for (int i = 0; i < 3; i++)
        YOKE_TRY(number_channel(&s->tx[i], &s->rx[i], capacity));
    return NULL;
}

static void scene_close(struct scene *s)
{
    for (int i = 0; i < 3; i++) {
        number_sender_close(&s->tx[i]);
        number_receiver_close(&s->rx[i]);
    }
}

/* Receives from the first `count`. */
static void receive_clauses(struct scene *s, size_t count)
{
    for (size_t i = 0; i < count; i++)
        s->clauses[i] = number_recv_clause(&s->rx[i], &s->in);
    s->count = count;
}

static yoke_error *choose_it(void *arg)
{
    struct scene *s = arg;
    s->done = false;
    s->outcome = yoke_choose(s->clauses, s->count, &s->chosen, &s->options);
    s->done = true;
    return NULL;
}

static bool nobody_waits(const struct scene *s)
{
    for (int i = 0; i < 3; i++) {
        yoke_channel_statistics now;
        yoke_receiver_statistics(&s->rx[i].end, &now);
        if (now.waiting_senders || now.waiting_receivers)
            return false;
        yoke_sender_statistics(&s->tx[i].end, &now);
        if (now.waiting_senders || now.waiting_receivers)
            return false;
    }
    return true;
}

static yoke_error *one_takes_effect(void *arg)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        struct scene s;
        yoke_nursery n;
        int item;
        YOKE_TRY(scene_open(&s, capacity));
        YOKE_TRY(yoke_nursery_open(&n));

        /* Waited for: the second of three; the other two channels get none of it. */
        receive_clauses(&s, 3);
        YOKE_TRY(yoke_spawn(&n, choose_it, &s));
        settle();
        CHECK(!s.done);
        YOKE_TRY(number_send_nowait(&s.tx[1], 5));
        CHECK(nobody_waits(&s)); /* it left the lines before it ran */
        CHECK(was_kind(number_recv_nowait(&s.rx[1], &item), &YOKE_WOULD_BLOCK));
        if (capacity)
            YOKE_TRY(number_send_nowait(&s.tx[0], 6));
        else
            CHECK(was_kind(number_send_nowait(&s.tx[0], 6), &YOKE_WOULD_BLOCK));
        settle();
        CHECK(s.done && !s.outcome && s.chosen == 1 && s.in == 5);
        if (capacity) {
            YOKE_TRY(number_recv_nowait(&s.rx[0], &item));
            CHECK(item == 6);
        }

        /* A sending clause, while a receiving one waits too. */
        for (size_t i = 0; i < capacity; i++)
            YOKE_TRY(number_send_nowait(&s.tx[2], 10 + (int)i));
        s.out = 20;
        s.clauses[0] = number_recv_clause(&s.rx[0], &s.in);
        s.clauses[1] = number_send_clause(&s.tx[2], &s.out);
        s.count = 2;
        YOKE_TRY(yoke_spawn(&n, choose_it, &s));
        settle();
        CHECK(!s.done);
        for (int i = 0; i <= (int)capacity; i++) {
            YOKE_TRY(number_recv_nowait(&s.rx[2], &item));
            CHECK(item == (i < (int)capacity ? 10 + i : 20));
            CHECK(nobody_waits(&s));
        }
        settle();
        CHECK(s.done && !s.outcome && s.chosen == 1 && s.in == 5);

        /* Ready at once. */
        if (capacity) {
            YOKE_TRY(number_send_nowait(&s.tx[2], 30));
            receive_clauses(&s, 3);
            YOKE_TRY(yoke_choose(s.clauses, 3, &s.chosen, NULL));
            CHECK(s.chosen == 2 && s.in == 30);
            s.clauses[0] = number_send_clause(&s.tx[0], &s.out);
            YOKE_TRY(yoke_choose(s.clauses, 1, &s.chosen, NULL));
            YOKE_TRY(number_recv_nowait(&s.rx[0], &item));
            CHECK(item == 20);
        }
        scene_close(&s);
        YOKE_TRY(yoke_nursery_close(&n, NULL));
    }
    return NULL;
}

static void test_chan_17_exactly_one_clause_takes_effect(void **state)
{
    run(one_takes_effect);
}

static yoke_error *draw_fairly(void *arg)
{
    struct scene s;
    YOKE_TRY(scene_open(&s, 1));
    /* Two that are always ready, beside one that never is: neither starves. */
    int taken[3] = {0};
    receive_clauses(&s, 3);
    for (int i = 0; i < 2000; i++) {
        yoke_error_free(number_send_nowait(&s.tx[0], 0));
        yoke_error_free(number_send_nowait(&s.tx[2], 2));
        YOKE_TRY(yoke_choose(s.clauses, 3, &s.chosen, NULL));
        CHECK(s.chosen == (size_t)s.in);
        taken[s.chosen]++;
    }
    CHECK(taken[1] == 0 && taken[0] > 800 && taken[2] > 800);

    /* In order: the first that is ready, always. */
    s.options.in_order = true;
    for (int i = 0; i < 100; i++) {
        yoke_error_free(number_send_nowait(&s.tx[0], 0));
        yoke_error_free(number_send_nowait(&s.tx[2], 2));
        YOKE_TRY(yoke_choose(s.clauses, 3, &s.chosen, &s.options));
        CHECK(s.chosen == 0);
    }
    YOKE_TRY(yoke_choose(s.clauses, 3, &s.chosen, &s.options));
    CHECK(s.chosen == 2);
    scene_close(&s);
    return NULL;
}

static void test_chan_17_fair_among_ready_ones(void **state)
{
    run(draw_fairly);
}

static void test_chan_27_by_option_in_order(void **state)
{
    run(draw_fairly);
}

static yoke_error *no_clauses(void *arg)
{
    size_t chosen = 0;
    int64_t begin = yoke_now();
    yoke_choose_options soon = {.deadline = begin + YOKE_MS(10)};
    CHECK(was_kind(yoke_choose(NULL, 0, &chosen, &soon), &YOKE_TOO_SLOW));
    CHECK(yoke_now() - begin >= YOKE_MS(10) && chosen == YOKE_NO_CLAUSE);
    CHECK(was_kind(yoke_choose_nowait(NULL, 0, &chosen, NULL), &YOKE_WOULD_BLOCK));

    /* Clauses that are switched off are as none. */
    yoke_clause off[2] = {{0}};
    soon.deadline = yoke_now() + YOKE_MS(2);
    CHECK(was_kind(yoke_choose(off, 2, &chosen, &soon), &YOKE_TOO_SLOW));

    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(2)));
    CHECK(was_cancelled(yoke_choose(NULL, 0, &chosen, NULL)));
    YOKE_TRY(yoke_scope_close(&s, NULL));
    return NULL;
}

static void test_chan_27_no_clauses_wait_for_the_deadline(void **state)
{
    run(no_clauses);
}

static yoke_error *deadlines(void *arg)
{
    struct scene s;
    yoke_nursery n;
    YOKE_TRY(scene_open(&s, 1));
    receive_clauses(&s, 3);
    s.options.deadline = 1; /* long ago */
    CHECK(was_kind(yoke_choose(s.clauses, 3, &s.chosen, &s.options), &YOKE_TOO_SLOW));
    CHECK(s.chosen == YOKE_NO_CLAUSE && nobody_waits(&s));
    YOKE_TRY(number_send_nowait(&s.tx[1], 4));
    YOKE_TRY(yoke_choose(s.clauses, 3, &s.chosen, &s.options));
    CHECK(s.chosen == 1 && s.in == 4);
    CHECK(was_kind(yoke_choose_nowait(s.clauses, 3, &s.chosen, NULL), &YOKE_WOULD_BLOCK));
    CHECK(s.chosen == YOKE_NO_CLAUSE && nobody_waits(&s));

    /* It passes while the task waits: no clause took effect, and no line remembers it. */
    s.options.deadline = yoke_now() + YOKE_MS(3);
    CHECK(was_kind(yoke_choose(s.clauses, 3, &s.chosen, &s.options), &YOKE_TOO_SLOW));
    CHECK(s.chosen == YOKE_NO_CLAUSE && nobody_waits(&s));
    YOKE_TRY(number_send_nowait(&s.tx[1], 5));
    YOKE_TRY(yoke_choose_nowait(s.clauses, 3, &s.chosen, NULL));
    CHECK(s.chosen == 1 && s.in == 5);

    /* A clause comes first: the timer is gone, and wakes nobody later. */
    s.options.deadline = yoke_now() + YOKE_MS(5);
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, choose_it, &s));
    settle();
    YOKE_TRY(number_send(&s.tx[2], 6));
    CHECK(task_here()->scheduler->timers.count == 0);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(s.done && !s.outcome && s.chosen == 2 && s.in == 6);
    YOKE_TRY(yoke_sleep(YOKE_MS(6)));
    scene_close(&s);
    return NULL;
}

static void test_chan_27_deadlines(void **state)
{
    run(deadlines);
}

static yoke_error *cancelled(void *arg)
{
    struct scene s;
    yoke_nursery n;
    int item;
    YOKE_TRY(scene_open(&s, 0));
    s.out = 9;
    receive_clauses(&s, 2);
    s.clauses[2] = number_send_clause(&s.tx[2], &s.out);
    s.count = 3;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, choose_it, &s));
    settle();
    CHECK(!s.done && !nobody_waits(&s));
    yoke_nursery_cancel(&n, "enough");
    CHECK(nobody_waits(&s));
    CHECK(was_kind(number_send_nowait(&s.tx[0], 1), &YOKE_WOULD_BLOCK));
    CHECK(was_kind(number_recv_nowait(&s.rx[2], &item), &YOKE_WOULD_BLOCK));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(was_cancelled(s.outcome) && s.chosen == YOKE_NO_CLAUSE && s.in == -1);

    /* In a scope that is cancelled already it does nothing, though a clause is ready. */
    scene_close(&s);
    YOKE_TRY(scene_open(&s, 1));
    YOKE_TRY(number_send_nowait(&s.tx[0], 3));
    receive_clauses(&s, 3);
    yoke_scope scope;
    YOKE_TRY(yoke_scope_open(&scope));
    yoke_scope_cancel(&scope, NULL);
    CHECK(was_cancelled(yoke_choose(s.clauses, 3, &s.chosen, NULL)) && s.chosen == YOKE_NO_CLAUSE);
    YOKE_TRY(yoke_scope_close(&scope, NULL));
    YOKE_TRY(number_recv_nowait(&s.rx[0], &item));
    CHECK(item == 3);

    /* Both in one pass: what took effect first is what happened. */
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        receive_clauses(&s, 3);
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_spawn(&n, choose_it, &s));
        settle();
        if (cancel_first)
            yoke_nursery_cancel(&n, NULL);
        YOKE_TRY(number_send_nowait(&s.tx[1], 8));
        yoke_nursery_cancel(&n, NULL);
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        yoke_error *left = number_recv_nowait(&s.rx[1], &item);
        if (cancel_first)
            CHECK(was_cancelled(s.outcome) && !left && item == 8);
        else
            CHECK(!s.outcome && s.chosen == 1 && s.in == 8 && was_kind(left, &YOKE_WOULD_BLOCK));
    }
    scene_close(&s);
    return NULL;
}

static void test_chan_27_cancelled_no_clause_took_effect(void **state)
{
    run(cancelled);
}

static yoke_error *twice_in_one(void *arg)
{
    struct scene s;
    yoke_nursery n;
    int a = 0, b = 0, item = 0;
    YOKE_TRY(scene_open(&s, 0));
    YOKE_TRY(yoke_nursery_open(&n));
    /* Twice to receive: one item goes to one of them. */
    s.clauses[0] = number_recv_clause(&s.rx[0], &a);
    s.clauses[1] = number_recv_clause(&s.rx[0], &b);
    s.count = 2;
    YOKE_TRY(yoke_spawn(&n, choose_it, &s));
    settle();
    YOKE_TRY(number_send_nowait(&s.tx[0], 1));
    CHECK(was_kind(number_send_nowait(&s.tx[0], 2), &YOKE_WOULD_BLOCK));
    settle();
    CHECK(s.done && s.chosen == 0 && a == 1 && b == 0);

    /* To send and to receive: never with itself. */
    s.out = 4;
    s.clauses[0] = number_recv_clause(&s.rx[0], &a);
    s.clauses[1] = number_send_clause(&s.tx[0], &s.out);
    YOKE_TRY(yoke_spawn(&n, choose_it, &s));
    settle();
    CHECK(!s.done);
    YOKE_TRY(number_recv_nowait(&s.rx[0], &item));
    CHECK(item == 4 && nobody_waits(&s));
    settle();
    CHECK(s.done && s.chosen == 1);

    /* Closed while it stands in the line twice, and another behind it. */
    struct scene other = s;
    s.clauses[1] = number_recv_clause(&s.rx[0], &b);
    other.clauses[0] = number_recv_clause(&s.rx[0], &other.in);
    other.count = 1;
    YOKE_TRY(yoke_spawn(&n, choose_it, &s));
    YOKE_TRY(yoke_spawn(&n, choose_it, &other));
    settle();
    number_sender_close(&s.tx[0]);
    settle();
    CHECK(s.done && was_kind(s.outcome, &YOKE_END_OF_CHANNEL) && s.chosen == 0);
    CHECK(other.done && was_kind(other.outcome, &YOKE_END_OF_CHANNEL) && other.chosen == 0);
    scene_close(&s);
    return yoke_nursery_close(&n, NULL);
}

static void test_chan_27_the_same_channel_twice(void **state)
{
    run(twice_in_one);
}

/* What is closed, and what the clause of it tells. */
static yoke_error *closing(void *arg)
{
    enum { OWN_RECEIVER, ALL_SENDERS, OWN_SENDER, ALL_RECEIVERS, CASES };
    static const yoke_error_kind *const kinds[] = {&YOKE_CLOSED, &YOKE_END_OF_CHANNEL, &YOKE_CLOSED,
                                                   &YOKE_BROKEN_RESOURCE};
    for (int what = 0; what < CASES; what++)
        for (int waits = 0; waits < 2; waits++) {
            struct scene s;
            yoke_nursery n;
            YOKE_TRY(scene_open(&s, 0));
            YOKE_TRY(yoke_nursery_open(&n));
            s.clauses[0] = number_recv_clause(&s.rx[0], &s.in);
            s.clauses[1] = number_send_clause(&s.tx[1], &s.out);
            s.count = 2;
            if (waits) {
                YOKE_TRY(yoke_spawn(&n, choose_it, &s));
                settle();
            }
            if (what == OWN_RECEIVER)
                number_receiver_close(&s.rx[0]);
            else if (what == ALL_SENDERS)
                number_sender_close(&s.tx[0]);
            else if (what == OWN_SENDER)
                number_sender_close(&s.tx[1]);
            else
                number_receiver_close(&s.rx[1]);
            CHECK(nobody_waits(&s));
            if (!waits)
                YOKE_TRY(yoke_spawn(&n, choose_it, &s));
            YOKE_TRY(yoke_nursery_close(&n, NULL));
            CHECK(was_kind(s.outcome, kinds[what]));
            CHECK(s.chosen == (what < OWN_SENDER ? 0 : 1) && s.in == -1);
            scene_close(&s);
        }
    return NULL;
}

static void test_chan_27_a_closed_channel_fires_with_its_kind(void **state)
{
    run(closing);
}

/* Another clone of the end is closed: that is nobody's business. */
static yoke_error *a_clone_is_closed(void *arg)
{
    struct scene s;
    yoke_nursery n;
    YOKE_TRY(scene_open(&s, 0));
    yoke_receiver clone;
    YOKE_TRY(yoke_receiver_clone(&s.rx[0].end, &clone));
    receive_clauses(&s, 2);
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, choose_it, &s));
    settle();
    yoke_receiver_close(&clone);
    settle();
    CHECK(!s.done);
    YOKE_TRY(number_send_nowait(&s.tx[0], 2));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(s.chosen == 0 && s.in == 2 && !s.outcome);
    scene_close(&s);
    return NULL;
}

static void test_chan_27_another_clone_is_closed(void **state)
{
    run(a_clone_is_closed);
}

static yoke_error *choose_against_choose(void *arg)
{
    struct scene a, b;
    yoke_nursery n;
    YOKE_TRY(scene_open(&a, 0));
    YOKE_TRY(yoke_nursery_open(&n));
    /* Each can send or receive, on crossed channels: one exchange happens, once. */
    b = a;
    a.out = 1;
    b.out = 2;
    a.clauses[0] = number_send_clause(&a.tx[0], &a.out);
    a.clauses[1] = number_recv_clause(&a.rx[1], &a.in);
    b.clauses[0] = number_recv_clause(&a.rx[0], &b.in);
    b.clauses[1] = number_send_clause(&a.tx[1], &b.out);
    a.count = b.count = 2;
    YOKE_TRY(yoke_spawn(&n, choose_it, &a));
    YOKE_TRY(yoke_spawn(&n, choose_it, &b));
    settle();
    CHECK(a.done && b.done && !a.outcome && !b.outcome && a.chosen == b.chosen && nobody_waits(&a));
    CHECK(a.chosen == 0 ? b.in == 1 && a.in == -1 : a.in == 2 && b.in == -1);

    /* On one channel in both directions. */
    for (int i = 0; i < 2; i++) {
        struct scene *s = i ? &b : &a;
        s->in = -1;
        s->clauses[0] = number_send_clause(&a.tx[0], &s->out);
        s->clauses[1] = number_recv_clause(&a.rx[0], &s->in);
        YOKE_TRY(yoke_spawn(&n, choose_it, s));
    }
    settle();
    CHECK(a.done && b.done && a.chosen + b.chosen == 1 && nobody_waits(&a));
    CHECK(a.chosen == 0 ? b.in == 1 : a.in == 2);
    scene_close(&a);
    return yoke_nursery_close(&n, NULL);
}

static void test_chan_27_choose_against_choose(void **state)
{
    run(choose_against_choose);
}

struct sending {
    number_sender *tx;
    int item;
    bool done;
};

static yoke_error *send_it(void *arg)
{
    struct sending *s = arg;
    YOKE_TRY(number_send(s->tx, s->item));
    s->done = true;
    return NULL;
}

static yoke_error *served_in_order(void *arg)
{
    struct scene s;
    yoke_nursery n;
    YOKE_TRY(scene_open(&s, 0));
    YOKE_TRY(yoke_nursery_open(&n));
    receive_clauses(&s, 2);
    struct sending first = {&s.tx[0], 1, false}, second = {&s.tx[0], 2, false};
    YOKE_TRY(yoke_spawn(&n, send_it, &first));
    YOKE_TRY(yoke_spawn(&n, send_it, &second));
    settle();
    YOKE_TRY(yoke_choose(s.clauses, 2, &s.chosen, NULL));
    settle();
    CHECK(s.in == 1 && first.done && !second.done);
    YOKE_TRY(yoke_choose(s.clauses, 2, &s.chosen, NULL));
    CHECK(s.in == 2);
    settle();

    /* Two who wait for it the other way round: the line is of both sorts. */
    struct scene t = s;
    YOKE_TRY(yoke_spawn(&n, choose_it, &s));
    YOKE_TRY(yoke_spawn(&n, choose_it, &t));
    t.clauses[0].to = t.clauses[1].to = &t.in;
    settle();
    YOKE_TRY(number_send_nowait(&s.tx[0], 3));
    YOKE_TRY(number_send_nowait(&s.tx[0], 4));
    settle();
    CHECK(s.in == 3 && t.in == 4);
    scene_close(&s);
    return yoke_nursery_close(&n, NULL);
}

static void test_chan_27_two_senders_are_served_in_order(void **state)
{
    run(served_in_order);
}

static yoke_error *misuse(void *arg)
{
    struct scene s;
    YOKE_TRY(scene_open(&s, 1));
    YOKE_TRY(number_send_nowait(&s.tx[0], 1));
    s.clauses[0] = number_recv_clause(&s.rx[0], &s.in);
    s.clauses[1] = number_recv_clause(&s.rx[1], &s.in);
    s.clauses[1].send = &s.tx[1].end;
    CHECK(was_kind(yoke_choose(s.clauses, 2, &s.chosen, NULL), &YOKE_USAGE));
    CHECK(s.chosen == YOKE_NO_CLAUSE && s.in == -1);
    CHECK(was_kind(yoke_choose_nowait(s.clauses, 2, &s.chosen, NULL), &YOKE_USAGE));
    scene_close(&s);
    return NULL;
}

static void test_chan_27_misuse(void **state)
{
    run(misuse);
    size_t chosen = 1;
    assert_error(yoke_choose(NULL, 0, &chosen, NULL), &YOKE_USAGE);
    assert_int_equal(chosen, YOKE_NO_CLAUSE);
    assert_error(yoke_choose_nowait(NULL, 0, &chosen, NULL), &YOKE_USAGE);
}

/* A circle of two tasks that only choose: others run, and it can be cancelled. */
static yoke_error *endless(void *arg)
{
    struct scene *s = arg;
    int item = 0;
    for (;;) {
        yoke_clause clauses[] = {number_send_clause(&s->tx[0], &item), number_recv_clause(&s->rx[0], &item)};
        size_t chosen;
        YOKE_TRY(yoke_choose(clauses, 2, &chosen, NULL));
    }
}

static yoke_error *choosing_lets_others_run(void *arg)
{
    struct scene s;
    yoke_nursery n;
    YOKE_TRY(scene_open(&s, 1)); /* always ready for the one or the other */
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, endless, &s));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_checkpoint());
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    scene_close(&s);
    return NULL;
}

static void test_sched_09_choosing_counts_against_the_budget(void **state)
{
    run(choosing_lets_others_run);
}

/* No memory is asked for but for a deadline, and one that can't be kept leaves no trace. */
static yoke_error *without_memory(void *arg)
{
    struct scene s;
    yoke_nursery n;
    YOKE_TRY(scene_open(&s, 0));
    receive_clauses(&s, 3);
    s.options.deadline = yoke_now() + YOKE_S(60);
    memory_fail_after(0);
    yoke_error *e = yoke_choose(s.clauses, 3, &s.chosen, &s.options);
    memory_fail_after(SIZE_MAX);
    CHECK(was_kind(e, &YOKE_NO_MEMORY) && s.chosen == YOKE_NO_CLAUSE && nobody_waits(&s));

    YOKE_TRY(yoke_nursery_open(&n));
    s.options.deadline = 0;
    YOKE_TRY(yoke_spawn(&n, choose_it, &s));
    memory_fail_after(0);
    settle();
    e = number_send_nowait(&s.tx[2], 3);
    settle();
    bool asked = memory_fail_after(SIZE_MAX);
    YOKE_TRY(e);
    CHECK(!asked && s.done && !s.outcome && s.chosen == 2 && s.in == 3);
    scene_close(&s);
    return yoke_nursery_close(&n, NULL);
}

static void test_sys_03_choosing_without_memory(void **state)
{
    run(without_memory);
}

HARNESS_MAIN(TEST(test_chan_17_exactly_one_clause_takes_effect), TEST(test_chan_17_fair_among_ready_ones),
             TEST(test_chan_27_by_option_in_order), TEST(test_chan_27_no_clauses_wait_for_the_deadline),
             TEST(test_chan_27_deadlines), TEST(test_chan_27_cancelled_no_clause_took_effect),
             TEST(test_chan_27_the_same_channel_twice),
             TEST(test_chan_27_a_closed_channel_fires_with_its_kind),
             TEST(test_chan_27_another_clone_is_closed), TEST(test_chan_27_choose_against_choose),
             TEST(test_chan_27_two_senders_are_served_in_order), TEST(test_chan_27_misuse),
             TEST(test_sched_09_choosing_counts_against_the_budget),
             TEST(test_sys_03_choosing_without_memory))
