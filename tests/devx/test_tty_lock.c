/* The line for the terminal, without terminals: tasks of one run ask for it. */
#include "harness.h"

#include "actor/debug.h"
#include "devx/stop/lock.h"
#include "devx/stop/signals.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct actor root;
static struct tty_lock lock;

static void begin(void)
{
    actor_init(&root, &(yoke_uid){"root", "r"}, NULL, NULL);
    tty_lock_init(&lock, &root);
}

static void run(yoke_task_fn fn)
{
    begin();
    assert_success(yoke_run(fn, NULL, NULL));
    actor_free(&root);
}

/* On a task's stack cmocka's asserts can't be used. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "%s:%d: %s", __FILE__, __LINE__, #condition);                  \
    } while (0)

static struct tty_request request(const char *cid)
{
    return (struct tty_request){.actor = "a", .uuid = "u", .task = "t", .cid = cid};
}

/* ---- one after the other ---- */

static char order[16];

/* Takes it, notes that, gives it back. */
static yoke_error *take_once(void *cid)
{
    struct tty_request r = request(cid);
    yoke_error *e = tty_lock_take(&lock, &r);
    if (!e)
        strcat(order, cid);
    if (!e)
        e = yoke_checkpoint();
    tty_lock_give_back(&lock, &r);
    return e;
}

static yoke_error *wait_for_waiters(size_t count)
{
    while (lock.waiting != count)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}

static yoke_error *queue_up(yoke_nursery *n, const char *cids)
{
    static const char *const names[] = {"1", "2", "3", "4", "5"};
    for (size_t i = 0; cids[i]; i++) {
        YOKE_TRY(yoke_spawn(n, take_once, (void *)names[cids[i] - '1']));
        YOKE_TRY(wait_for_waiters(i + 1));
    }
    return NULL;
}

static yoke_error *five_behind_a_sixth(void *arg)
{
    struct tty_request sixth = request("6");
    yoke_nursery n;
    order[0] = '\0';
    YOKE_TRY(tty_lock_take(&lock, &sixth));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = queue_up(&n, "31524");
    bool early = order[0];
    tty_lock_give_back(&lock, &sixth);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(!early && strcmp(order, "31524") == 0);
    CHECK(!lock.holder && !lock.waiting && !hold_any(&root));
    return NULL;
}

static void test_lock_03_first_in_first_out(void **state)
{
    run(five_behind_a_sixth);
}

/* ---- one holder ---- */

static unsigned holders, most, takes;

static uint32_t chance(void)
{
    static uint32_t x = 2463534242u; /* Marsaglia's xorshift32 */
    x ^= x << 13;
    x ^= x >> 17;
    return x ^= x << 5;
}

/* One take; it is killed (cut short) by chance, as it waits or as it has it. */
static yoke_error *take_at_random(const char *cid)
{
    struct tty_request r = request(cid);
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, 1 + (int64_t)(chance() % 400) * 1000));
    yoke_error *e = tty_lock_take(&lock, &r);
    if (!e) {
        takes++;
        holders++;
        most = holders > most ? holders : most;
        e = yoke_sleep(chance() % 100 * 1000);
        holders--;
    }
    tty_lock_give_back(&lock, &r);
    return yoke_scope_close(&s, e);
}

static yoke_error *take_many(void *cid)
{
    while (takes < 1000)
        YOKE_TRY(take_at_random(cid));
    return NULL;
}

static yoke_error *eight_at_random(void *arg)
{
    static const char *const names[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
    yoke_nursery n;
    holders = most = takes = 0;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (size_t i = 0; i < 8 && !e; i++)
        e = yoke_spawn(&n, take_many, (void *)names[i]);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(takes >= 1000 && most == 1);
    CHECK(!lock.holder && !lock.waiting && list_empty(&lock.waiters) && !hold_any(&root));
    return NULL;
}

static void test_lock_04_one_holder(void **state)
{
    run(eight_at_random);
}

/* ---- the edge ---- */

static unsigned edges;

static yoke_error *count_edges(void *arg)
{
    for (;;) {
        YOKE_TRY(hold_wait_none(&root));
        edges++;
        while (!hold_any(&root))
            YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
}

static yoke_error *pass_some_time(void)
{
    for (int i = 0; i < 20; i++)
        YOKE_TRY(yoke_checkpoint());
    return NULL;
}

static yoke_error *two_edges(yoke_nursery *n)
{
    for (unsigned round = 0; round < 2; round++) {
        struct tty_request first = request("first");
        YOKE_TRY(tty_lock_take(&lock, &first));
        CHECK(hold_any(&root));
        if (!round)
            YOKE_TRY(yoke_spawn(n, count_edges, NULL));
        YOKE_TRY(queue_up(n, "12"));
        tty_lock_give_back(&lock, &first);
        CHECK(hold_any(&root) && edges == round); /* between two requests */
        while (hold_any(&root))
            YOKE_TRY(yoke_checkpoint());
        YOKE_TRY(pass_some_time());
        CHECK(edges == round + 1);
        YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    }
    return NULL;
}

static yoke_error *edge_body(void *arg)
{
    yoke_nursery n;
    edges = 0;
    order[0] = '\0';
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = two_edges(&n);
    yoke_nursery_cancel(&n, "done");
    return yoke_nursery_close_flat(&n, e);
}

static void test_lock_07_edge_at_which_nobody_holds_or_waits(void **state)
{
    run(edge_body);
}

/* ---- who leaves the line ---- */

static yoke_error *take_cancelled(void *scope_at)
{
    struct tty_request r = request("cut");
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    *(yoke_scope **)scope_at = &s;
    yoke_error *e = tty_lock_take(&lock, &r);
    tty_lock_give_back(&lock, &r);
    return yoke_scope_close(&s, e);
}

static yoke_error *one_leaves(void *arg)
{
    struct tty_request holder = request("holder");
    yoke_scope *cut = NULL;
    yoke_nursery n;
    order[0] = '\0';
    YOKE_TRY(tty_lock_take(&lock, &holder));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, take_cancelled, &cut);
    if (!e)
        e = wait_for_waiters(1);
    for (size_t i = 0; i < 2 && !e; i++) {
        e = yoke_spawn(&n, take_once, (void *)(i ? "2" : "1"));
        if (!e)
            e = wait_for_waiters(2 + i);
    }
    yoke_scope_cancel(cut, "its channel has broken");
    if (!e)
        e = wait_for_waiters(2);
    bool undisturbed = lock.holder == &holder && !order[0];
    tty_lock_give_back(&lock, &holder);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(undisturbed && strcmp(order, "12") == 0 && !hold_any(&root));
    return NULL;
}

static void test_lock_09_waiter_leaves_the_line(void **state)
{
    run(one_leaves);
}

static yoke_error *expect_kind(yoke_error *e, const yoke_error_kind *kind)
{
    bool fits = yoke_error_is(e, kind);
    if (!fits)
        return yoke_wrap(e, &YOKE_INTERNAL, "not of kind %s", kind->name);
    yoke_error_free(e);
    return NULL;
}

static yoke_error *same_cid_twice(void *arg)
{
    struct tty_request first = request("1"), again = request("1");
    YOKE_TRY(tty_lock_take(&lock, &first));
    YOKE_TRY(expect_kind(tty_lock_take(&lock, &again), &YOKE_USAGE));
    tty_lock_give_back(&lock, &again);
    CHECK(lock.holder == &first && first.holds && hold_any(&root));
    tty_lock_give_back(&lock, &first);
    CHECK(!lock.holder && !hold_any(&root));
    return NULL;
}

static void test_lock_11_second_request_of_a_context(void **state)
{
    run(same_cid_twice);
}

/* ---- a stale lock ---- */

static bool alive;

static bool is_alive(const struct tty_request *r)
{
    return alive;
}

static yoke_error *stale(void *arg)
{
    struct tty_request gone = request("gone"), next = request("next");
    gone.is_alive = is_alive;
    alive = true;
    YOKE_TRY(tty_lock_take(&lock, &gone));
    CHECK(!tty_lock_reclaim(&lock) && lock.holder == &gone);
    alive = false;
    YOKE_TRY(tty_lock_take(&lock, &next)); /* without a wait */
    CHECK(lock.holder == &next && !gone.holds);
    tty_lock_give_back(&lock, &gone); /* comes late: it has nothing to give back */
    CHECK(lock.holder == &next);
    tty_lock_give_back(&lock, &next);
    CHECK(!lock.holder && !hold_any(&root));
    return NULL;
}

static void test_lock_14_stale_lock_is_taken_back(void **state)
{
    run(stale);
}

/* A holder that is gone does not keep ctrl-c from the program; one that is there does. */
static yoke_error *stale_at_ctrl_c(void *arg)
{
    struct tty_request gone = request("gone");
    gone.is_alive = is_alive;
    YOKE_TRY(lock_need(&root));
    CHECK(!signals_at_prompt(&root, SIGINT)); /* nobody holds it */
    YOKE_TRY(tty_lock_take(root.tty, &gone));
    alive = true;
    CHECK(signals_at_prompt(&root, SIGINT) && root.tty->holder == &gone);
    alive = false;
    CHECK(!signals_at_prompt(&root, SIGINT) && !root.tty->holder);
    tty_lock_give_back(root.tty, &gone);
    return NULL;
}

static void test_teardown_15_stale_lock_does_not_take_ctrl_c(void **state)
{
    run(stale_at_ctrl_c);
}

/* ---- its end ---- */

static yoke_error *taken_result;

static yoke_error *take_and_keep_error(void *arg)
{
    struct tty_request r = request("waits");
    taken_result = tty_lock_take(&lock, &r);
    tty_lock_give_back(&lock, &r);
    return NULL;
}

static yoke_error *close_it(void *arg)
{
    struct tty_request holder = request("holder"), late = request("late");
    yoke_scope session;
    yoke_nursery n;
    YOKE_TRY(tty_lock_take(&lock, &holder));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, take_and_keep_error, NULL);
    if (!e)
        e = wait_for_waiters(1);
    YOKE_TRY(yoke_scope_open(&session));
    holder.session = &session;
    tty_lock_close(&lock, "the end");
    holder.session = NULL;
    YOKE_TRY(yoke_scope_close(&session, yoke_checkpoint()));
    bool ended = yoke_scope_cancelled_caught(&session);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    YOKE_TRY(expect_kind(taken_result, &YOKE_DEBUGGER_QUIT));
    YOKE_TRY(expect_kind(tty_lock_take(&lock, &late), &YOKE_DEBUGGER_REFUSED));
    tty_lock_give_back(&lock, &late);
    tty_lock_give_back(&lock, &holder);
    CHECK(ended && !lock.holder && !hold_any(&root));
    return NULL;
}

static void test_closed_lock_ends_its_session_and_sends_all_away(void **state)
{
    run(close_it);
}

/* ---- clocks ---- */

static yoke_error *hold_in_turn(void *arg)
{
    struct tty_request first = request("1"), second = request("2");
    yoke_nursery n;
    YOKE_TRY(tty_lock_take(&lock, &first));
    CHECK(freeze_is_on(&root));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, take_once, (char[]){"3"});
    while (!e && !lock.waiting)
        e = yoke_checkpoint(); /* no sleep would end */
    int64_t at = yoke_now();
    tty_lock_give_back(&lock, &first);
    CHECK(freeze_is_on(&root) && yoke_now() == at); /* passed on: no moment between the two */
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(!freeze_is_on(&root));
    YOKE_TRY(tty_lock_take(&lock, &second));
    tty_lock_close(&lock, "over"); /* what is left to do has its bounds */
    CHECK(!freeze_is_on(&root));
    tty_lock_give_back(&lock, &second);
    CHECK(!freeze_is_on(&root) && !hold_any(&root));
    return NULL;
}

static void test_teardown_22_clocks_stand_from_the_first_to_the_last(void **state)
{
    begin();
    root.debug_words = DEBUG_FREEZE;
    assert_success(yoke_run(hold_in_turn, NULL, NULL));
    actor_free(&root);
}

HARNESS_MAIN(TEST(test_lock_03_first_in_first_out), TEST(test_lock_04_one_holder),
             TEST(test_lock_07_edge_at_which_nobody_holds_or_waits),
             TEST(test_lock_09_waiter_leaves_the_line), TEST(test_lock_11_second_request_of_a_context),
             TEST(test_lock_14_stale_lock_is_taken_back),
             TEST(test_teardown_15_stale_lock_does_not_take_ctrl_c),
             TEST(test_closed_lock_ends_its_session_and_sends_all_away),
             TEST(test_teardown_22_clocks_stand_from_the_first_to_the_last))
