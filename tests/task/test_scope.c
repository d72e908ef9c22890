/* Cancel scopes: who sees, who absorbs, shields, deadlines, misuse. */
#include "child.h"
#include "task/task.h"

#include <pthread.h>

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

/* Does a checkpoint return Cancelled here? */
static bool cancelled_here(void)
{
    return was_cancelled(yoke_checkpoint());
}

static const yoke_scope_options shielded = {.shield = true};

/* ---- cancel, absorb ---- */

static yoke_error *plain_cancel(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_checkpoint());
    yoke_scope_cancel(&s, "first");
    yoke_scope_cancel(&s, "second");
    for (int i = 0; i < 3; i++)
        CHECK(cancelled_here());
    yoke_error *e = yoke_checkpoint();
    CHECK(strstr(yoke_error_message(e), "first"));
    YOKE_TRY(yoke_scope_close(&s, e));
    CHECK(yoke_scope_cancel_called(&s) && yoke_scope_cancelled_caught(&s));
    return yoke_checkpoint();
}

static void test_scope_01_cancel_ends_what_is_inside(void **state)
{
    run(plain_cancel);
}

static void test_scope_04_level_triggered(void **state)
{
    run(plain_cancel);
}

static void test_scope_22_the_first_reason_stays(void **state)
{
    run(plain_cancel);
}

static yoke_error *after_the_last_checkpoint(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_checkpoint());
    yoke_scope_cancel(&s, NULL);
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(yoke_scope_cancel_called(&s) && !yoke_scope_cancelled_caught(&s));
    return yoke_checkpoint();
}

static void test_scope_03_cancel_after_the_last_checkpoint(void **state)
{
    run(after_the_last_checkpoint);
}

/* Three scopes, cancelled by the bits of `arg`, in either order: the outermost cancelled one catches. */
static yoke_error *outermost_catches(void *arg)
{
    for (int bits = 1; bits < 8; bits++)
        for (int inner_first = 0; inner_first < 2; inner_first++) {
            yoke_scope s[3];
            for (int i = 0; i < 3; i++)
                YOKE_TRY(yoke_scope_open(&s[i]));
            for (int k = 0; k < 3; k++) {
                int i = inner_first ? 2 - k : k;
                if (bits & 1 << i)
                    yoke_scope_cancel(&s[i], NULL);
            }
            yoke_error *e = yoke_checkpoint();
            CHECK(yoke_error_is_cancelled(e));
            int outermost = __builtin_ctz((unsigned)bits);
            for (int i = 2; i >= 0; i--) {
                e = yoke_scope_close(&s[i], e);
                CHECK(yoke_scope_cancelled_caught(&s[i]) == (i == outermost));
                CHECK(yoke_scope_cancel_called(&s[i]) == (bits >> i & 1));
                CHECK((e == NULL) == (i <= outermost));
            }
        }
    return NULL;
}

static void test_scope_05_the_outermost_cancelled_scope_absorbs(void **state)
{
    run(outermost_catches);
}

static void test_scope_06_only_its_own(void **state)
{
    run(outermost_catches);
}

static yoke_error *others_pass(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    yoke_error *k = yoke_raise(&APP_K, "K");
    yoke_error *e = yoke_scope_close(&s, k);
    CHECK(e == k && !yoke_scope_cancelled_caught(&s));

    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    yoke_error *members[] = {yoke_checkpoint(), k, yoke_checkpoint()};
    e = yoke_scope_close(&s, yoke_error_group(members, 3, "mixed"));
    CHECK(yoke_error_find(e, &APP_K) && !yoke_error_find(e, &YOKE_CANCELLED) &&
          yoke_scope_cancelled_caught(&s));
    yoke_error_free(e);

    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    yoke_error *alone[] = {yoke_checkpoint(), yoke_checkpoint()};
    CHECK(yoke_scope_close(&s, yoke_error_group(alone, 2, "Cancelled alone")) == NULL);
    return NULL;
}

static void test_scope_07_other_errors_pass(void **state)
{
    run(others_pass);
}

static yoke_error *group_without_cancelled(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    yoke_error *members[] = {yoke_raise(&APP_K, "1"), yoke_raise(&APP_K, "2")};
    yoke_error *group = yoke_error_group(members, 2, "two");
    yoke_error *e = yoke_scope_close(&s, group);
    CHECK(e == group && yoke_error_count(e) == 2 && !yoke_scope_cancelled_caught(&s));
    return drop(e);
}

static void test_scope_33_a_group_without_cancelled(void **state)
{
    run(group_without_cancelled);
}

/* ---- shields ---- */

static yoke_error *shields(void *arg)
{
    yoke_scope outer, inner, inside;
    YOKE_TRY(yoke_scope_open(&outer));
    YOKE_TRY(yoke_scope_open(&inner));
    yoke_scope_cancel(&outer, NULL);
    CHECK(cancelled_here());
    yoke_scope_set_shield(&inner, true);
    CHECK(!cancelled_here());
    YOKE_TRY(yoke_scope_open(&inside));
    yoke_scope_cancel(&inside, NULL);
    CHECK(cancelled_here());
    YOKE_TRY(yoke_scope_close(&inside, yoke_checkpoint()));
    CHECK(yoke_scope_cancelled_caught(&inside));
    CHECK(!cancelled_here());
    yoke_scope_set_shield(&inner, false);
    CHECK(cancelled_here());
    yoke_scope_set_shield(&inner, true);
    CHECK(!cancelled_here());
    yoke_scope_cancel(&inner, NULL);
    YOKE_TRY(yoke_scope_close(&inner, yoke_checkpoint()));
    CHECK(yoke_scope_cancelled_caught(&inner));
    YOKE_TRY(yoke_scope_close(&outer, NULL));
    CHECK(!yoke_scope_cancelled_caught(&outer));

    YOKE_TRY(yoke_scope_open(&outer));
    yoke_scope_cancel(&outer, NULL);
    YOKE_TRY(yoke_scope_open_with(&inner, &shielded));
    CHECK(!cancelled_here());
    YOKE_TRY(yoke_scope_close(&inner, NULL));
    return yoke_scope_close(&outer, NULL);
}

static void test_scope_08_shield(void **state)
{
    run(shields);
}

struct shielded_wait {
    yoke_scope *scope;
    bool cancelled;
};

static yoke_error *wait_in_shield(void *arg)
{
    struct shielded_wait *w = arg;
    yoke_scope s;
    YOKE_TRY(yoke_scope_open_with(&s, &shielded));
    w->scope = &s;
    yoke_error *e = yoke_sleep_forever();
    w->cancelled = yoke_error_is_cancelled(e);
    return yoke_scope_close(&s, e);
}

static yoke_error *toggle_shield(void *arg)
{
    struct shielded_wait w = {0};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, wait_in_shield, &w));
    settle();
    yoke_nursery_cancel(&n, NULL);
    settle();
    CHECK(!list_empty(&n.children) && !w.cancelled);
    yoke_scope_set_shield(w.scope, false);
    /* Once woken it keeps its Cancelled, whatever is set meanwhile. */
    yoke_scope_set_shield(w.scope, true);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(w.cancelled);
    return NULL;
}

static void test_scope_09_toggle_shield_while_a_task_waits(void **state)
{
    run(toggle_shield);
}

static yoke_error *shield_on_the_way_out(void *arg)
{
    yoke_scope outer, inner;
    YOKE_TRY(yoke_scope_open(&outer));
    YOKE_TRY(yoke_scope_open(&inner));
    yoke_scope_cancel(&outer, NULL);
    yoke_error *e = yoke_checkpoint();
    yoke_scope_set_shield(&inner, true);
    e = yoke_scope_close(&inner, e);
    CHECK(yoke_error_is_cancelled(e) && !yoke_scope_cancelled_caught(&inner));
    YOKE_TRY(yoke_scope_close(&outer, e));
    CHECK(yoke_scope_cancelled_caught(&outer));
    return NULL;
}

static void test_scope_32_shield_raised_on_the_way_out(void **state)
{
    run(shield_on_the_way_out);
}

static yoke_error *raise_shield(void *arg)
{
    yoke_scope_set_shield(arg, true);
    return NULL;
}

/* checkpoint_if_cancelled yields, and another task raises a shield then: there is nothing to tell any more.
 */
static yoke_error *shield_during_half_a_checkpoint(void *arg)
{
    yoke_nursery n;
    yoke_scope outer, inner;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_scope_open(&outer));
    YOKE_TRY(yoke_scope_open(&inner));
    yoke_scope_cancel(&outer, NULL);
    YOKE_TRY(yoke_spawn(&n, raise_shield, &inner));
    YOKE_TRY(yoke_checkpoint_if_cancelled());
    YOKE_TRY(yoke_scope_close(&inner, NULL));
    YOKE_TRY(yoke_scope_close(&outer, NULL));
    return yoke_nursery_close(&n, NULL);
}

static void test_a_shield_raised_during_a_checkpoint(void **state)
{
    run(shield_during_half_a_checkpoint);
}

static yoke_error *shielded_timeouts(void *arg)
{
    yoke_scope outer, s;
    YOKE_TRY(yoke_scope_open(&outer));
    yoke_scope_cancel(&outer, NULL);
    yoke_scope_options move_on = {.after = YOKE_MS(5), .shield = true};
    yoke_scope_options fail_after = {.after = YOKE_MS(5), .shield = true, .fail = true};
    int64_t begun = yoke_now();
    YOKE_TRY(yoke_scope_open_with(&s, &move_on));
    YOKE_TRY(yoke_scope_close(&s, yoke_sleep_forever()));
    CHECK(yoke_now() - begun >= YOKE_MS(5) && yoke_scope_cancelled_caught(&s));
    YOKE_TRY(yoke_scope_open_with(&s, &fail_after));
    CHECK(was_kind(yoke_scope_close(&s, yoke_sleep_forever()), &YOKE_TOO_SLOW));
    YOKE_TRY(yoke_scope_open_with(&s, &move_on));
    yoke_scope_set_shield(&s, false);
    CHECK(cancelled_here());
    YOKE_TRY(yoke_scope_close(&s, NULL));
    return yoke_scope_close(&outer, NULL);
}

static void test_scope_38_shielded_timeouts(void **state)
{
    run(shielded_timeouts);
}

/* ---- deadlines ---- */

static yoke_error *deadlines(void *arg)
{
    yoke_scope s;
    int64_t begun = yoke_now();
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(5)));
    yoke_error *e = yoke_sleep_forever();
    CHECK(yoke_error_is_cancelled(e) && strstr(yoke_error_message(e), "deadline"));
    YOKE_TRY(yoke_scope_close(&s, e));
    CHECK(yoke_now() - begun >= YOKE_MS(5) && yoke_scope_cancelled_caught(&s));

    yoke_scope_options move_on_at = {.deadline = yoke_now() + YOKE_MS(5)};
    YOKE_TRY(yoke_scope_open_with(&s, &move_on_at));
    YOKE_TRY(yoke_scope_close(&s, yoke_sleep_forever()));

    YOKE_TRY(yoke_fail_after(&s, YOKE_MS(5)));
    e = yoke_scope_close(&s, yoke_sleep_forever());
    CHECK(yoke_error_is(e, &YOKE_TOO_SLOW) && strstr(yoke_error_message(e), "5.000 ms"));
    yoke_error_free(e);

    yoke_scope_options fail_at = {.deadline = yoke_now() + YOKE_MS(5), .fail = true};
    YOKE_TRY(yoke_scope_open_with(&s, &fail_at));
    CHECK(was_kind(yoke_scope_close(&s, yoke_sleep_forever()), &YOKE_TOO_SLOW));

    CHECK(was_kind(yoke_move_on_after(&s, -1), &YOKE_USAGE));
    yoke_scope_options both = {.deadline = 5, .after = 5};
    CHECK(was_kind(yoke_scope_open_with(&s, &both), &YOKE_USAGE));
    return NULL;
}

static void test_scope_10_deadline(void **state)
{
    run(deadlines);
}

struct timed {
    yoke_scope *scope;
    bool cancelled, ended;
};

static yoke_error *wait_timed(void *arg)
{
    struct timed *t = arg;
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_S(100)));
    t->scope = &s;
    yoke_error *e = yoke_sleep_forever();
    t->cancelled = yoke_error_is_cancelled(e);
    e = yoke_scope_close(&s, e);
    t->ended = true;
    return e;
}

static yoke_error *deadline_changed(void *arg)
{
    int64_t moved[] = {YOKE_MS(3), 0, -YOKE_S(5)};
    for (int i = 0; i < 3; i++) {
        struct timed t = {0};
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_spawn(&n, wait_timed, &t));
        settle();
        /* Later, none, and then earlier. */
        YOKE_TRY(yoke_scope_set_deadline(t.scope, yoke_now() + YOKE_S(500)));
        YOKE_TRY(yoke_scope_set_deadline(t.scope, YOKE_NEVER));
        settle();
        CHECK(!t.ended && scheduler_here->timers.count == 0);
        YOKE_TRY(yoke_scope_set_deadline(t.scope, yoke_now() + moved[i]));
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        CHECK(t.cancelled);
    }
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(2)));
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(scheduler_here->timers.count == 0);
    YOKE_TRY(yoke_sleep(YOKE_MS(4)));
    CHECK(!yoke_scope_cancel_called(&s));
    CHECK(was_kind(yoke_scope_set_deadline(&s, 1), &YOKE_USAGE));
    return NULL;
}

static void test_scope_11_deadline_changed(void **state)
{
    run(deadline_changed);
}

static yoke_error *deadline_in_the_past(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, 0));
    CHECK(was_cancelled(yoke_sleep(0)));
    CHECK(cancelled_here());
    YOKE_TRY(yoke_scope_close(&s, NULL));
    yoke_scope_options past = {.deadline = -7};
    YOKE_TRY(yoke_scope_open_with(&s, &past));
    CHECK(cancelled_here());
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(!yoke_scope_cancelled_caught(&s));
    return NULL;
}

static void test_scope_12_deadline_in_the_past_at_open(void **state)
{
    run(deadline_in_the_past);
}

static yoke_error *succeeded_late(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_fail_after(&s, YOKE_MS(1)));
    for (int64_t till = yoke_now() + YOKE_MS(3); yoke_now() < till;)
        ;
    return yoke_scope_close(&s, NULL);
}

static void test_scope_14_fail_after_whose_body_succeeded_late(void **state)
{
    run(succeeded_late);
}

static yoke_error *too_slow_only_for_its_own(void *arg)
{
    yoke_scope outer, s;
    YOKE_TRY(yoke_scope_open(&outer));
    YOKE_TRY(yoke_fail_after(&s, YOKE_MS(1)));
    yoke_scope_cancel(&outer, NULL);
    yoke_error *e = yoke_scope_close(&s, yoke_checkpoint());
    CHECK(yoke_error_is_cancelled(e));
    YOKE_TRY(yoke_scope_close(&outer, e));
    /* Cancelled by hand first, by the deadline later: not too slow. */
    YOKE_TRY(yoke_fail_after(&s, YOKE_MS(1)));
    yoke_scope_cancel(&s, "by hand");
    for (int64_t till = yoke_now() + YOKE_MS(2); yoke_now() < till;)
        ;
    return yoke_scope_close(&s, yoke_checkpoint());
}

static void test_scope_15_too_slow_only_for_its_own(void **state)
{
    run(too_slow_only_for_its_own);
}

static yoke_error *effective_deadline(void *arg)
{
    yoke_scope outer, inner;
    int64_t now = yoke_now() + YOKE_S(100);
    yoke_scope_options five = {.deadline = now + 5}, ten = {.deadline = now + 10},
                       three = {.deadline = now + 3};
    CHECK(yoke_current_effective_deadline() == YOKE_NEVER);
    YOKE_TRY(yoke_scope_open_with(&outer, &five));
    YOKE_TRY(yoke_scope_open_with(&inner, &ten));
    CHECK(yoke_current_effective_deadline() == now + 5);
    YOKE_TRY(yoke_scope_set_deadline(&inner, three.deadline));
    CHECK(yoke_current_effective_deadline() == now + 3);
    YOKE_TRY(yoke_scope_set_deadline(&inner, ten.deadline));
    yoke_scope_set_shield(&inner, true);
    CHECK(yoke_current_effective_deadline() == now + 10);
    yoke_scope_set_shield(&inner, false);
    CHECK(yoke_current_effective_deadline() == now + 5);
    yoke_scope_cancel(&outer, NULL);
    CHECK(yoke_current_effective_deadline() == INT64_MIN);
    yoke_scope_set_shield(&inner, true);
    CHECK(yoke_current_effective_deadline() == now + 10);
    YOKE_TRY(yoke_scope_close(&inner, NULL));
    YOKE_TRY(yoke_scope_close(&outer, NULL));
    CHECK(yoke_current_effective_deadline() == YOKE_NEVER);
    return NULL;
}

static void test_scope_16_effective_deadline(void **state)
{
    run(effective_deadline);
}

static yoke_error *no_way_back(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, 0));
    YOKE_TRY(yoke_scope_set_deadline(&s, yoke_now() + YOKE_S(100)));
    CHECK(cancelled_here());
    YOKE_TRY(yoke_scope_set_deadline(&s, YOKE_NEVER));
    CHECK(cancelled_here());
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(yoke_scope_cancel_called(&s) && scheduler_here->timers.count == 0);
    return NULL;
}

static void test_scope_35_no_way_back(void **state)
{
    run(no_way_back);
}

static yoke_error *seen_by_a_ready_task(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(1)));
    for (int64_t till = yoke_now() + YOKE_MS(2); yoke_now() < till;)
        ;
    CHECK(cancelled_here());
    return yoke_scope_close(&s, NULL);
}

static void test_scope_34_a_deadline_seen_by_a_ready_task(void **state)
{
    run(seen_by_a_ready_task);
}

/* ---- a Cancelled beside a real error ---- */

/* Nothing covers anything: the close that takes the Cancelled out leaves the real error, as it was. */
static yoke_error *cancelled_in_cleanup(void *arg)
{
    yoke_scope s;
    yoke_error *mine = yoke_raise(&APP_K, "on its way");
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    yoke_error *e = yoke_error_join(mine, yoke_checkpoint());
    e = yoke_error_collapse(yoke_scope_close(&s, e));
    CHECK(e == mine && yoke_scope_cancelled_caught(&s));
    return drop(e);
}

static void test_scope_29_a_cancelled_in_cleanup_masks_nothing(void **state)
{
    run(cancelled_in_cleanup);
}

/* ---- many ---- */

static yoke_error *deep(void *arg)
{
    enum { DEPTH = 5000 };
    static yoke_scope scopes[DEPTH];
    for (int i = 0; i < DEPTH; i++)
        YOKE_TRY(yoke_scope_open(&scopes[i]));
    yoke_scope_cancel(&scopes[0], NULL);
    yoke_error *e = yoke_checkpoint();
    CHECK(yoke_error_is_cancelled(e));
    for (int i = DEPTH - 1; i >= 0; i--)
        e = yoke_scope_close(&scopes[i], e);
    return e;
}

static void test_scope_23_deep_nesting(void **state)
{
    run(deep);
}

static yoke_error *two_sleepers(void *arg);
static int leaves;

static yoke_error *leaf(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    leaves++;
    return e;
}

static yoke_error *two_sleepers(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, leaf, NULL));
    YOKE_TRY(yoke_spawn(&n, leaf, NULL));
    return yoke_nursery_close(&n, NULL);
}

static yoke_error *every_depth(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, two_sleepers, NULL));
    YOKE_TRY(yoke_spawn(&n, two_sleepers, NULL));
    settle();
    leaves = 0;
    yoke_nursery_cancel(&n, NULL);
    YOKE_TRY(yoke_cancel_shielded_checkpoint());
    CHECK(leaves == 4);
    return yoke_nursery_close(&n, NULL);
}

static void test_scope_31_at_once_at_every_depth(void **state)
{
    run(every_depth);
}

static yoke_error *end_with(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    return arg;
}

static yoke_error *ended_is_not_reached(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *own = yoke_raise(&APP_K, "its own result");
    YOKE_TRY(yoke_spawn(&n, end_with, own));
    settle();
    yoke_nursery_cancel(&n, NULL);
    /* The stack of the one that has ended goes to this one. */
    YOKE_TRY(yoke_spawn(&n, leaf, NULL));
    yoke_error *e = yoke_nursery_close(&n, NULL);
    CHECK(yoke_error_count(e) == 1 && yoke_error_member(e, 0) == own);
    return drop(e);
}

static void test_scope_45_what_has_ended_is_not_reached(void **state)
{
    run(ended_is_not_reached);
}

/* Random trees: each scope knows who must absorb; the one that caught must be that one. */
static uint32_t seed;

static unsigned random_number(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 10;
}

static yoke_error *random_nest(void *arg)
{
    enum { DEPTH = 8 };
    for (int round = 0; round < 3000; round++) {
        yoke_scope s[DEPTH];
        bool cancelled[DEPTH] = {0}, shield[DEPTH] = {0};
        for (int i = 0; i < DEPTH; i++)
            YOKE_TRY(yoke_scope_open(&s[i]));
        for (int k = random_number() % 10; k > 0; k--) {
            int i = (int)(random_number() % DEPTH);
            if (random_number() % 2) {
                yoke_scope_cancel(&s[i], NULL);
                cancelled[i] = true;
            } else {
                shield[i] = random_number() % 2;
                yoke_scope_set_shield(&s[i], shield[i]);
            }
        }
        int catches = -1;
        for (int i = DEPTH - 1; i >= 0; i--) {
            if (cancelled[i])
                catches = i;
            if (shield[i])
                break;
        }
        yoke_error *e = yoke_checkpoint();
        CHECK((e != NULL) == (catches >= 0));
        for (int i = DEPTH - 1; i >= 0; i--) {
            e = yoke_scope_close(&s[i], e);
            CHECK(yoke_scope_cancelled_caught(&s[i]) == (i == catches));
        }
        CHECK(!e);
    }
    return NULL;
}

static void test_scope_27_absorbed_exactly_once(void **state)
{
    seed = 4711;
    run(random_nest);
}

/* ---- made first, entered later ---- */

static yoke_error *cancelled_before_entry(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_init(&s, NULL));
    CHECK(!yoke_scope_cancel_called(&s));
    yoke_scope_cancel(&s, "early");
    CHECK(yoke_scope_cancel_called(&s));
    YOKE_TRY(yoke_checkpoint()); /* not in it yet */
    YOKE_TRY(yoke_scope_enter(&s));
    yoke_error *e = yoke_checkpoint();
    CHECK(yoke_error_is_cancelled(e) && strstr(yoke_error_message(e), "before it was entered"));
    YOKE_TRY(yoke_scope_close(&s, e));
    CHECK(yoke_scope_cancelled_caught(&s));
    CHECK(was_kind(yoke_scope_enter(&s), &YOKE_USAGE));

    yoke_scope outer;
    YOKE_TRY(yoke_scope_open(&outer));
    yoke_scope_cancel(&outer, NULL);
    YOKE_TRY(yoke_scope_init(&s, NULL));
    yoke_scope_set_shield(&s, true);
    YOKE_TRY(yoke_scope_enter(&s));
    YOKE_TRY(yoke_checkpoint());
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(cancelled_here());
    return yoke_scope_close(&outer, NULL);
}

static void test_scope_02_cancel_before_entry(void **state)
{
    run(cancelled_before_entry);
    yoke_scope s;
    assert_success(yoke_scope_init(&s, NULL));
    assert_error(yoke_scope_enter(&s), &YOKE_USAGE);
}

static yoke_error *relative_deadline(void *arg)
{
    yoke_scope s;
    int64_t begun = yoke_now();
    YOKE_TRY(yoke_scope_init(&s, &(yoke_scope_options){.after = YOKE_S(5)}));
    YOKE_TRY(yoke_sleep(YOKE_S(3)));
    YOKE_TRY(yoke_scope_enter(&s));
    CHECK(yoke_current_effective_deadline() == begun + YOKE_S(8));
    return yoke_scope_close(&s, NULL);
}

static void test_scope_13_relative_deadline_starts_at_entry(void **state)
{
    yoke_mock_clock mock;
    yoke_mock_clock_init(&mock);
    assert_success(yoke_mock_clock_set_autojump(&mock, 0));
    assert_success(yoke_run(relative_deadline, NULL, &(yoke_run_options){.clock = &mock.clock}));
}

static yoke_error *absolute_and_relative(void *arg)
{
    yoke_scope s;
    yoke_scope_options both = {.deadline = 1, .after = 1}, negative = {.after = -1};
    CHECK(was_kind(yoke_scope_open_with(&s, &both), &YOKE_USAGE));
    CHECK(was_kind(yoke_scope_init(&s, &both), &YOKE_USAGE));
    CHECK(was_kind(yoke_scope_open_with(&s, &negative), &YOKE_USAGE));
    YOKE_TRY(yoke_scope_init(&s, &(yoke_scope_options){.after = YOKE_S(5)}));
    CHECK(was_kind(yoke_scope_set_deadline(&s, yoke_now()), &YOKE_USAGE));
    YOKE_TRY(yoke_scope_enter(&s));
    int64_t later = yoke_now() + YOKE_S(9);
    CHECK(yoke_current_effective_deadline() < later);
    YOKE_TRY(yoke_scope_set_deadline(&s, later));
    CHECK(yoke_current_effective_deadline() == later);
    YOKE_TRY(yoke_scope_close(&s, NULL));
    YOKE_TRY(yoke_scope_init(&s, &(yoke_scope_options){.deadline = later}));
    YOKE_TRY(yoke_scope_set_deadline(&s, later + 1));
    YOKE_TRY(yoke_scope_enter(&s));
    CHECK(yoke_current_effective_deadline() == later + 1);
    return yoke_scope_close(&s, NULL);
}

static void test_scope_37_absolute_and_relative(void **state)
{
    run(absolute_and_relative);
}

static void wait_on_the_clock(int64_t until)
{
    while (yoke_now() < until)
        usleep(500);
}

static yoke_error *called_after_the_deadline(void *arg)
{
    yoke_scope s;
    int64_t soon = yoke_now() + YOKE_MS(3);
    YOKE_TRY(yoke_scope_init(&s, &(yoke_scope_options){.deadline = soon}));
    CHECK(!yoke_scope_cancel_called(&s));
    wait_on_the_clock(soon);
    CHECK(yoke_scope_cancel_called(&s));

    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(3)));
    CHECK(!yoke_scope_cancel_called(&s));
    wait_on_the_clock(yoke_current_effective_deadline());
    CHECK(yoke_scope_cancel_called(&s));
    YOKE_TRY(yoke_scope_set_deadline(&s, YOKE_NEVER)); /* there is no way back */
    CHECK(yoke_scope_cancel_called(&s) && cancelled_here());
    return yoke_scope_close(&s, yoke_checkpoint());
}

static void test_scope_26_cancel_called_after_the_deadline(void **state)
{
    run(called_after_the_deadline);
}

static yoke_error *cancel_after_close(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_scope_close(&s, NULL));
    yoke_scope_cancel(&s, "late");
    CHECK(yoke_scope_cancel_called(&s) && !yoke_scope_cancelled_caught(&s));
    return yoke_checkpoint();
}

static void test_scope_36_cancel_after_close(void **state)
{
    run(cancel_after_close);
}

/* ---- many ---- */

static yoke_error *park(void *arg)
{
    return yoke_sleep_forever();
}

static yoke_error *wide_tree(void *arg)
{
    int64_t spent[2];
    for (int round = 0, count = *(int *)arg / 10; round < 2; round++, count *= 10) {
        yoke_scope s;
        yoke_nursery n;
        YOKE_TRY(yoke_scope_open(&s));
        YOKE_TRY(yoke_nursery_open(&n));
        for (int i = 0; i < count; i++)
            YOKE_TRY(yoke_spawn(&n, park, NULL));
        settle();
        int64_t begun = yoke_now();
        yoke_scope_cancel(&s, NULL);
        YOKE_TRY(yoke_scope_close(&s, yoke_nursery_close(&n, NULL)));
        CHECK(yoke_scope_cancelled_caught(&s));
        spent[round] = yoke_now() - begun;
    }
    /* Ten times as many: quadratic would take a hundred times as long. */
    CHECK(spent[1] < 50 * spent[0] + YOKE_MS(50));
    return NULL;
}

static void test_scope_24_cancelling_wide_trees(void **state)
{
    int count = (int)harness_tasks(100000);
    yoke_run_options small = {.stack_bytes = 16 << 10};
    assert_success(yoke_run(wide_tree, &count, &small));
}

static yoke_error *deadlines_in_a_loop(void *arg)
{
    yoke_scope s;
    int64_t far = yoke_now() + YOKE_S(3600);
    YOKE_TRY(yoke_scope_open(&s));
    for (int i = 0; i < 2000; i++)
        YOKE_TRY(yoke_scope_set_deadline(&s, far + (i & 1)));
    CHECK(scheduler_here->timers.count == 1);
    for (int i = 0; i < 100000; i++) {
        yoke_scope inner;
        YOKE_TRY(yoke_scope_open_with(&inner, &(yoke_scope_options){.deadline = far + i}));
        CHECK(scheduler_here->timers.count == 2);
        YOKE_TRY(yoke_scope_close(&inner, NULL));
    }
    YOKE_TRY(yoke_scope_close(&s, NULL));
    CHECK(scheduler_here->timers.count == 0);
    return NULL;
}

static void test_scope_39_deadlines_set_in_a_loop(void **state)
{
    run(deadlines_in_a_loop);
}

/* ---- who, in words ---- */

enum source { EXPLICIT, DEADLINE, CHILD, BODY, TWICE };

static yoke_error *fails_at_once(void *arg)
{
    return yoke_raise(&APP_K, "broke");
}

static yoke_error *keeps_the_reason(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    snprintf(arg, 256, "%s", yoke_error_message(e));
    return e;
}

static yoke_error *reason_of_source(enum source source, const char *why, char *text)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open_at("here.c", 7, &n));
    yoke_error *e = yoke_spawn_with(&n, keeps_the_reason, text, &(yoke_spawn_options){.name = "listener"});
    settle();
    if (!e && source == EXPLICIT)
        yoke_nursery_cancel(&n, why);
    if (!e && source == DEADLINE)
        e = yoke_scope_set_deadline(&n.scope, yoke_now());
    if (!e && source == CHILD)
        e = yoke_spawn(&n, fails_at_once, NULL);
    if (!e && source == BODY)
        e = yoke_raise(&APP_K, "broke");
    if (!e && source == TWICE) {
        e = yoke_scope_set_deadline(&n.scope, yoke_now());
        yoke_nursery_cancel(&n, "later");
    }
    yoke_error_free(yoke_nursery_close(&n, e));
    return NULL;
}

static yoke_error *in_words(void *arg)
{
    static const struct {
        enum source source;
        const char *why, *text;
    } rows[] = {
        {EXPLICIT, "enough", "cancelled by task `main`: enough (nursery opened at here.c:7)"},
        {EXPLICIT, NULL, "cancelled by task `main` (nursery opened at here.c:7)"},
        {DEADLINE, NULL, "cancelled by its deadline (scope opened at here.c:7)"},
        {CHILD, NULL, "cancelled by its nursery: task `fails_at_once` failed: broke"},
        {BODY, NULL, "cancelled by its nursery: the body failed: broke"},
        {TWICE, NULL, "cancelled by its deadline (scope opened at here.c:7)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256] = "";
        YOKE_TRY(reason_of_source(rows[i].source, rows[i].why, text));
        if (strcmp(text, rows[i].text))
            return yoke_raise(&YOKE_INTERNAL, "row %zu: %s", i, text);
    }
    return NULL;
}

static void test_scope_21_40_who_cancelled_in_words(void **state)
{
    run(in_words);
}

/* ---- from everywhere on the thread ---- */

static yoke_scope *to_cancel;

static void cancel_in_a_hook(struct pass_hook *hook)
{
    yoke_scope_cancel(to_cancel, "by a hook");
}

static enum yoke_abort cancel_in_an_abort(yoke_task *task, void *arg)
{
    yoke_scope_cancel(to_cancel, "by an abort");
    return YOKE_ABORT_DONE;
}

static yoke_error *park_with_that_abort(void *arg)
{
    return yoke_park(cancel_in_an_abort, NULL);
}

static yoke_error *from_everywhere(void *arg)
{
    yoke_scope s;
    struct pass_hook hook = {.fn = cancel_in_a_hook};
    YOKE_TRY(yoke_scope_open(&s));
    to_cancel = &s;
    pass_hook_set(scheduler_here, &hook);
    yoke_error *e = yoke_sleep_forever();
    CHECK(strstr(yoke_error_message(e), "by the scheduler: by a hook"));
    YOKE_TRY(yoke_scope_close(&s, e));

    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, park_with_that_abort, NULL));
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(yoke_checkpoint());
    yoke_nursery_cancel(&n, NULL);
    CHECK(yoke_scope_cancel_called(&s));
    return yoke_nursery_close(&n, yoke_scope_close(&s, yoke_checkpoint()));
}

static void test_scope_44_cancel_from_everywhere_on_the_thread(void **state)
{
    run(from_everywhere);
}

/* ---- misuse ---- */

static yoke_scope shared;

static yoke_error *open_shared(void *arg)
{
    CHECK(was_kind(yoke_scope_open(&shared), &YOKE_USAGE));
    return NULL;
}

static yoke_error *reuse(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_scope_open_at("shared.c", 77, &shared, NULL));
    yoke_error *e = yoke_scope_open(&shared);
    CHECK(yoke_error_is(e, &YOKE_USAGE) && strstr(yoke_error_message(e), "shared.c:77"));
    yoke_error_free(e);
    YOKE_TRY(yoke_spawn(&n, open_shared, NULL));
    settle();
    YOKE_TRY(yoke_checkpoint());
    yoke_scope_cancel(&shared, NULL);
    CHECK(cancelled_here());
    YOKE_TRY(yoke_scope_close(&shared, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    /* After its close the memory is free for another. */
    YOKE_TRY(yoke_scope_open(&shared));
    YOKE_TRY(yoke_checkpoint());
    YOKE_TRY(yoke_scope_close(&shared, NULL));
    yoke_scope_cancel(&shared, "late");
    CHECK(yoke_scope_cancel_called(&shared) && !yoke_scope_cancelled_caught(&shared));
    return NULL;
}

static void test_scope_17_open_twice(void **state)
{
    run(reuse);
}

static yoke_error *out_of_order(void *arg)
{
    yoke_scope a, b;
    YOKE_TRY(yoke_scope_open_at("outer.c", 11, &a, NULL));
    YOKE_TRY(yoke_scope_open_at("inner.c", 22, &b, NULL));
    return yoke_scope_close(&a, NULL);
}

static yoke_error *left_open(void *arg)
{
    static yoke_scope s;
    return yoke_scope_open_at("left.c", 33, &s, NULL);
}

static yoke_error *left_then_close(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open_at("right.c", 44, &s, NULL));
    YOKE_TRY(left_open(NULL));
    return yoke_scope_close(&s, NULL);
}

/* Its frame is gone when the next scope is opened or closed. */
__attribute__((noinline)) static yoke_error *leave_behind(int filler)
{
    yoke_scope s;
    char more[256];
    memset(more, filler, sizeof more);
    YOKE_TRY(yoke_scope_open_at("behind.c", 88, &s, NULL));
    __asm__ volatile("" : : "r"(more), "r"(&s) : "memory");
    return NULL;
}

static yoke_error *leave_behind_then_open(void *arg)
{
    yoke_scope s;
    YOKE_TRY(leave_behind(1));
    YOKE_TRY(yoke_scope_open(&s));
    return yoke_scope_close(&s, NULL);
}

static yoke_error *leave_behind_then_close(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    YOKE_TRY(leave_behind(1));
    return yoke_scope_close(&s, NULL);
}

static yoke_error *close_others(void *arg)
{
    return yoke_scope_close(arg, NULL);
}

static yoke_error *closed_by_another(void *arg)
{
    yoke_nursery n;
    yoke_scope s;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_scope_open_at("mine.c", 55, &s, NULL));
    YOKE_TRY(yoke_spawn(&n, close_others, &s));
    YOKE_TRY(yoke_checkpoint());
    YOKE_TRY(yoke_checkpoint());
    return NULL;
}

static void *cancel_from_thread(void *arg)
{
    yoke_scope_cancel(arg, NULL);
    return NULL;
}

static yoke_error *cancelled_from_thread(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open_at("thread.c", 66, &s, NULL));
    pthread_t thread;
    if (!pthread_create(&thread, NULL, cancel_from_thread, &s))
        pthread_join(thread, NULL);
    return yoke_scope_close(&s, NULL);
}

#define DEATH(name, fn)                                                                                      \
    static void name(void)                                                                                   \
    {                                                                                                        \
        yoke_error_free(yoke_run((fn), NULL, NULL));                                                         \
    }
DEATH(die_out_of_order, out_of_order)
DEATH(die_left_open, left_open)
DEATH(die_left_then_close, left_then_close)
DEATH(die_left_behind_open, leave_behind_then_open)
DEATH(die_left_behind_close, leave_behind_then_close)
DEATH(die_closed_by_another, closed_by_another)
DEATH(die_cancelled_from_thread, cancelled_from_thread)

static void test_scope_18_closing_out_of_order_dies(void **state)
{
    assert_death(die_out_of_order, "main", "scope", "outer.c:11", "inner.c:22");
}

static void test_scope_19_left_open_dies(void **state)
{
    assert_death(die_left_open, "main", "scope", "left.c:33");
    assert_death(die_left_then_close, "main", "left.c:33", "right.c:44");
}

static void test_scope_43_found_by_its_address(void **state)
{
    assert_death(die_left_behind_open, "main", "left", "open", "behind.c:88");
    assert_death(die_left_behind_close, "main", "open", "behind.c:88");
}

static void test_scope_42_closed_by_another_task_dies(void **state)
{
    assert_death(die_closed_by_another, "close_others", "main", "mine.c:55");
}

static void test_scope_20_cancelled_from_another_thread_dies(void **state)
{
    assert_death(die_cancelled_from_thread, "thread.c:66");
}

static yoke_error *only_scopes_make_cancelled(void *arg)
{
    CHECK(was_kind(yoke_raise(&YOKE_CANCELLED, "by hand"), &YOKE_USAGE));
    return NULL;
}

static void test_scope_41_cancelled_is_not_for_users_to_make(void **state)
{
    run(only_scopes_make_cancelled);
}

static yoke_error *deadline_without_memory(void *arg)
{
    yoke_scope s;
    memory_fail_after(0);
    yoke_error *e = yoke_move_on_after(&s, YOKE_S(1));
    memory_fail_after(SIZE_MAX);
    CHECK(was_kind(e, &YOKE_NO_MEMORY));
    CHECK(task_here()->scope != &s);
    YOKE_TRY(yoke_move_on_after(&s, 0));
    memory_fail_after(0);
    e = yoke_checkpoint();
    memory_fail_after(SIZE_MAX);
    CHECK(yoke_error_is_cancelled(e));
    return yoke_scope_close(&s, e);
}

static void test_sys_03_a_deadline_without_memory(void **state)
{
    run(deadline_without_memory);
}

HARNESS_MAIN(TEST(test_scope_01_cancel_ends_what_is_inside), TEST(test_scope_04_level_triggered),
             TEST(test_scope_22_the_first_reason_stays), TEST(test_scope_03_cancel_after_the_last_checkpoint),
             TEST(test_scope_05_the_outermost_cancelled_scope_absorbs), TEST(test_scope_06_only_its_own),
             TEST(test_scope_07_other_errors_pass), TEST(test_scope_33_a_group_without_cancelled),
             TEST(test_scope_08_shield), TEST(test_scope_09_toggle_shield_while_a_task_waits),
             TEST(test_scope_32_shield_raised_on_the_way_out), TEST(test_a_shield_raised_during_a_checkpoint),
             TEST(test_scope_38_shielded_timeouts), TEST(test_scope_10_deadline),
             TEST(test_scope_11_deadline_changed), TEST(test_scope_12_deadline_in_the_past_at_open),
             TEST(test_scope_14_fail_after_whose_body_succeeded_late),
             TEST(test_scope_15_too_slow_only_for_its_own), TEST(test_scope_16_effective_deadline),
             TEST(test_scope_35_no_way_back), TEST(test_scope_34_a_deadline_seen_by_a_ready_task),
             TEST(test_scope_23_deep_nesting), TEST(test_scope_31_at_once_at_every_depth),
             TEST(test_scope_45_what_has_ended_is_not_reached), TEST(test_scope_27_absorbed_exactly_once),
             TEST(test_scope_17_open_twice), TEST(test_scope_18_closing_out_of_order_dies),
             TEST(test_scope_19_left_open_dies), TEST(test_scope_42_closed_by_another_task_dies),
             TEST(test_scope_20_cancelled_from_another_thread_dies),
             TEST(test_scope_41_cancelled_is_not_for_users_to_make), TEST(test_scope_02_cancel_before_entry),
             TEST(test_scope_13_relative_deadline_starts_at_entry), TEST(test_scope_37_absolute_and_relative),
             TEST(test_scope_26_cancel_called_after_the_deadline), TEST(test_scope_36_cancel_after_close),
             TEST(test_scope_29_a_cancelled_in_cleanup_masks_nothing),
             TEST(test_scope_24_cancelling_wide_trees), TEST(test_scope_39_deadlines_set_in_a_loop),
             TEST(test_scope_21_40_who_cancelled_in_words),
             TEST(test_scope_44_cancel_from_everywhere_on_the_thread),
             TEST(test_scope_43_found_by_its_address), TEST(test_sys_03_a_deadline_without_memory))
