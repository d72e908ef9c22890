/* The table of the dialog: what must hold for every pair of it, and some rows word by word. */
#include "harness.h"

#include "actor/dialog.h"

#include <string.h>

static bool is_final(unsigned state)
{
    return state == DIALOG_DONE || state == DIALOG_ENDED;
}

/* Of the side that serves the task. */
static bool is_served(unsigned state)
{
    return state == DIALOG_SERVED || state == DIALOG_SERVED_OPEN || state == DIALOG_ENDED;
}

static void show_pair(unsigned state, unsigned event, enum dialog_kind kind)
{
    print_error("# in state `%s`, event %u, %s\n", dialog_state_name((enum dialog_state)state), event,
                (const char *[]){"a context", "a call", "a one-way stream"}[kind]);
}

/* Fails with the pair shown if check is false for it. */
static void walk(bool (*check)(unsigned state, unsigned event, enum dialog_kind kind,
                               struct dialog_step step))
{
    for (unsigned kind = 0; kind < DIALOG_KINDS; kind++)
        for (unsigned state = 0; state < DIALOG_STATES; state++)
            for (unsigned event = 0; event < DIALOG_EVENTS; event++) {
                struct dialog_step step =
                    dialog_step((enum dialog_kind)kind, (enum dialog_state)state, (enum dialog_event)event);
                if (check(state, event, (enum dialog_kind)kind, step))
                    continue;
                show_pair(state, event, (enum dialog_kind)kind);
                fail();
            }
}

static bool stays_in_range(unsigned state, unsigned event, enum dialog_kind kind, struct dialog_step s)
{
    return (unsigned)s.next < DIALOG_STATES && (unsigned)s.action <= DIALOG_BREAK;
}

static bool final_absorbs(unsigned state, unsigned event, enum dialog_kind kind, struct dialog_step s)
{
    return !is_final(state) || (s.action == DIALOG_DROP && (unsigned)s.next == state);
}

static bool sides_are_kept(unsigned state, unsigned event, enum dialog_kind kind, struct dialog_step s)
{
    return is_served(state) == is_served(s.next);
}

/* An action of the one side never happens on the other. */
static bool actions_fit_the_side(unsigned state, unsigned event, enum dialog_kind kind, struct dialog_step s)
{
    switch (s.action) {
    case DIALOG_NOTE_ACK:
    case DIALOG_TAKE_FIRST:
    case DIALOG_TAKE_RESULT:
    case DIALOG_TAKE_END:
    case DIALOG_TAKE_ERROR:
    case DIALOG_TAKE_LOSS:
    case DIALOG_FAIL_BODY:
        return !is_served(state);
    case DIALOG_FAIL_TASK:
    case DIALOG_CANCEL_TASK:
        return is_served(state);
    case DIALOG_DROP:
    case DIALOG_TAKE_CREDIT:
    case DIALOG_QUEUE:
    case DIALOG_BREAK:
        break;
    }
    return true;
}

static bool takes_end(struct dialog_step s)
{
    return s.action == DIALOG_TAKE_RESULT || s.action == DIALOG_TAKE_END || s.action == DIALOG_TAKE_ERROR ||
           s.action == DIALOG_TAKE_LOSS;
}

/* What takes an end leads to DONE, and nothing else does. */
static bool ends_are_ends(unsigned state, unsigned event, enum dialog_kind kind, struct dialog_step s)
{
    return state == DIALOG_DONE || takes_end(s) == (s.next == DIALOG_DONE);
}

/* The channel's end is told to each dialog that lives, once. */
static bool loss_is_told(unsigned state, unsigned event, enum dialog_kind kind, struct dialog_step s)
{
    if (event != DIALOG_LOST || is_final(state))
        return s.action != DIALOG_TAKE_LOSS && s.action != DIALOG_CANCEL_TASK;
    return is_served(state) ? s.action == DIALOG_CANCEL_TASK
                            : s.action == DIALOG_TAKE_LOSS && s.next == DIALOG_DONE;
}

/* A call is never open, and a one-way stream is so when it is accepted. */
static bool is_never(unsigned state, enum dialog_kind kind)
{
    return (kind == DIALOG_IS_CALL && state == DIALOG_OPEN) ||
           (kind == DIALOG_IS_ONE_WAY && state == DIALOG_ACKED);
}

/* An Error ends the opener's side, and fails a served task. */
static bool errors_are_told(unsigned state, unsigned event, enum dialog_kind kind, struct dialog_step s)
{
    if (event != DIALOG_ERROR || is_final(state) || is_never(state, kind))
        return true;
    return is_served(state) ? s.action == DIALOG_FAIL_TASK
                            : s.action == DIALOG_TAKE_ERROR && s.next == DIALOG_DONE;
}

/* A refusal ends nothing: the far task lives. */
static bool refusals_end_nothing(unsigned state, unsigned event, enum dialog_kind kind, struct dialog_step s)
{
    if (event != DIALOG_REFUSED)
        return s.action != DIALOG_FAIL_BODY;
    return (unsigned)s.next == state &&
           (s.action == DIALOG_FAIL_BODY) == (state == DIALOG_OPEN && kind == DIALOG_IS_CONTEXT);
}

/* Where the channel breaks the state stays: the loss that follows ends the dialog. */
static bool a_break_leaves_the_end_to_the_loss(unsigned state, unsigned event, enum dialog_kind kind,
                                               struct dialog_step s)
{
    return s.action != DIALOG_BREAK ||
           ((unsigned)s.next == state && event != DIALOG_LOST && !is_served(state));
}

/* A peer that opened a dialog is never cut off for a message in it: Python's say some that mean nothing. */
static bool only_streams_are_queued(unsigned state, unsigned event, enum dialog_kind kind,
                                    struct dialog_step s)
{
    bool context = kind == DIALOG_IS_CONTEXT && (event == DIALOG_YIELD || event == DIALOG_STOP) &&
                   (state == DIALOG_OPEN || state == DIALOG_SERVED_OPEN);
    bool one_way = kind == DIALOG_IS_ONE_WAY && event == DIALOG_YIELD && state == DIALOG_OPEN;
    return (s.action == DIALOG_QUEUE) == (context || one_way);
}

/* Who may send is told so: both sides of an open context, and the endpoint of a one-way stream. */
static bool credits_go_to_senders(unsigned state, unsigned event, enum dialog_kind kind, struct dialog_step s)
{
    bool context = kind == DIALOG_IS_CONTEXT && (state == DIALOG_OPEN || state == DIALOG_SERVED_OPEN);
    bool one_way = kind == DIALOG_IS_ONE_WAY && state == DIALOG_SERVED;
    bool sends = event == DIALOG_CREDIT && (context || one_way);
    return (s.action == DIALOG_TAKE_CREDIT) == sends && (!sends || (unsigned)s.next == state);
}

/* A state is entered only by the message that it is named for; served ones change by what we send alone. */
static bool states_are_entered_in_order(unsigned state, unsigned event, enum dialog_kind kind,
                                        struct dialog_step s)
{
    if ((unsigned)s.next == state || s.next == DIALOG_DONE)
        return true;
    if (s.next == DIALOG_ACKED)
        return kind != DIALOG_IS_ONE_WAY && state == DIALOG_STARTING && event == DIALOG_START_ACK &&
               s.action == DIALOG_NOTE_ACK;
    if (kind == DIALOG_IS_ONE_WAY)
        return s.next == DIALOG_OPEN && state == DIALOG_STARTING && event == DIALOG_START_ACK &&
               s.action == DIALOG_NOTE_ACK;
    return s.next == DIALOG_OPEN && kind == DIALOG_IS_CONTEXT && state == DIALOG_ACKED &&
           event == DIALOG_STARTED && s.action == DIALOG_TAKE_FIRST;
}

static void test_every_pair(void **state)
{
    walk(stays_in_range);
    walk(final_absorbs);
    walk(sides_are_kept);
    walk(actions_fit_the_side);
    walk(ends_are_ends);
    walk(loss_is_told);
    walk(errors_are_told);
    walk(refusals_end_nothing);
    walk(a_break_leaves_the_end_to_the_loss);
    walk(only_streams_are_queued);
    walk(credits_go_to_senders);
    walk(states_are_entered_in_order);
}

/* Any messages in any order: each dialog is over after the loss, and takes one end at the most. */
static void test_every_short_dialog_ends_once(void **state)
{
    const unsigned starts[] = {DIALOG_STARTING, DIALOG_SERVED, DIALOG_SERVED_OPEN};
    enum { LENGTH = 5 };
    unsigned total = 1;
    for (unsigned i = 0; i < LENGTH; i++)
        total *= DIALOG_EVENTS;
    for (unsigned way = 0; way < total; way++)
        for (unsigned begin = 0; begin < 3 * DIALOG_KINDS; begin++) {
            enum dialog_state at = (enum dialog_state)starts[begin / DIALOG_KINDS];
            unsigned ends = 0;
            for (unsigned i = 0, rest = way; i <= LENGTH; i++, rest /= DIALOG_EVENTS) {
                unsigned event = i < LENGTH ? rest % DIALOG_EVENTS : DIALOG_LOST;
                struct dialog_step s =
                    dialog_step((enum dialog_kind)(begin % DIALOG_KINDS), at, (enum dialog_event)event);
                ends += takes_end(s);
                at = s.next;
            }
            if (is_served(starts[begin / DIALOG_KINDS]))
                assert_int_equal(ends, 0);
            else
                assert_true(ends == 1 && at == DIALOG_DONE);
        }
}

static void expect_step(enum dialog_state state, enum dialog_event event, enum dialog_kind kind,
                        enum dialog_action action, enum dialog_state next)
{
    struct dialog_step s = dialog_step(kind, state, event);
    if (s.action == action && s.next == next)
        return;
    show_pair(state, event, kind);
    fail();
}

static void test_a_call(void **state)
{
    expect_step(DIALOG_STARTING, DIALOG_START_ACK, DIALOG_IS_CALL, DIALOG_NOTE_ACK, DIALOG_ACKED);
    expect_step(DIALOG_ACKED, DIALOG_RETURN, DIALOG_IS_CALL, DIALOG_TAKE_RESULT, DIALOG_DONE);
    expect_step(DIALOG_ACKED, DIALOG_CANCEL_ACK, DIALOG_IS_CALL, DIALOG_TAKE_RESULT, DIALOG_DONE);
    expect_step(DIALOG_STARTING, DIALOG_ERROR, DIALOG_IS_CALL, DIALOG_TAKE_ERROR, DIALOG_DONE);
    expect_step(DIALOG_STARTING, DIALOG_RETURN, DIALOG_IS_CALL, DIALOG_BREAK, DIALOG_STARTING);
    expect_step(DIALOG_ACKED, DIALOG_YIELD, DIALOG_IS_CALL, DIALOG_BREAK, DIALOG_ACKED);
    expect_step(DIALOG_SERVED, DIALOG_LOST, DIALOG_IS_CALL, DIALOG_CANCEL_TASK, DIALOG_SERVED);
}

static void test_a_context(void **state)
{
    expect_step(DIALOG_STARTING, DIALOG_START_ACK, DIALOG_IS_CONTEXT, DIALOG_NOTE_ACK, DIALOG_ACKED);
    expect_step(DIALOG_ACKED, DIALOG_STARTED, DIALOG_IS_CONTEXT, DIALOG_TAKE_FIRST, DIALOG_OPEN);
    expect_step(DIALOG_OPEN, DIALOG_YIELD, DIALOG_IS_CONTEXT, DIALOG_QUEUE, DIALOG_OPEN);
    expect_step(DIALOG_OPEN, DIALOG_STOP, DIALOG_IS_CONTEXT, DIALOG_QUEUE, DIALOG_OPEN);
    expect_step(DIALOG_OPEN, DIALOG_RETURN, DIALOG_IS_CONTEXT, DIALOG_TAKE_RESULT, DIALOG_DONE);
    expect_step(DIALOG_OPEN, DIALOG_STARTED, DIALOG_IS_CONTEXT, DIALOG_BREAK, DIALOG_OPEN);
    expect_step(DIALOG_ACKED, DIALOG_RETURN, DIALOG_IS_CONTEXT, DIALOG_TAKE_RESULT, DIALOG_DONE);
    expect_step(DIALOG_SERVED, DIALOG_YIELD, DIALOG_IS_CONTEXT, DIALOG_DROP, DIALOG_SERVED);
    expect_step(DIALOG_SERVED_OPEN, DIALOG_YIELD, DIALOG_IS_CONTEXT, DIALOG_QUEUE, DIALOG_SERVED_OPEN);
    expect_step(DIALOG_SERVED_OPEN, DIALOG_RETURN, DIALOG_IS_CONTEXT, DIALOG_DROP, DIALOG_SERVED_OPEN);
    expect_step(DIALOG_SERVED_OPEN, DIALOG_ERROR, DIALOG_IS_CONTEXT, DIALOG_FAIL_TASK, DIALOG_SERVED_OPEN);
}

static void test_a_one_way_stream(void **state)
{
    expect_step(DIALOG_STARTING, DIALOG_START_ACK, DIALOG_IS_ONE_WAY, DIALOG_NOTE_ACK, DIALOG_OPEN);
    expect_step(DIALOG_STARTING, DIALOG_ERROR, DIALOG_IS_ONE_WAY, DIALOG_TAKE_ERROR, DIALOG_DONE);
    expect_step(DIALOG_OPEN, DIALOG_YIELD, DIALOG_IS_ONE_WAY, DIALOG_QUEUE, DIALOG_OPEN);
    expect_step(DIALOG_OPEN, DIALOG_STOP, DIALOG_IS_ONE_WAY, DIALOG_TAKE_END, DIALOG_DONE);
    expect_step(DIALOG_OPEN, DIALOG_RETURN, DIALOG_IS_ONE_WAY, DIALOG_BREAK, DIALOG_OPEN);
    expect_step(DIALOG_SERVED, DIALOG_STOP, DIALOG_IS_ONE_WAY, DIALOG_DROP, DIALOG_SERVED);
    expect_step(DIALOG_SERVED, DIALOG_REFUSED, DIALOG_IS_ONE_WAY, DIALOG_FAIL_TASK, DIALOG_SERVED);
}

static void test_messages_and_events(void **state)
{
    bool seen[DIALOG_EVENTS] = {false};
    for (unsigned type = 0; type < MSG_TYPE_COUNT; type++) {
        enum dialog_event event;
        bool belongs = type != MSG_AID && type != MSG_SPAWN_SPEC && type != MSG_START;
        assert_int_equal(dialog_event_of(&(struct msg){.type = (enum msg_type)type}, &event), belongs);
        if (!belongs)
            continue;
        assert_false(seen[event]);
        seen[event] = true;
    }
    /* An Error that names the sender of what it refuses; one that was relayed is none, whatever it names. */
    struct msg refusal = {.type = MSG_ERROR};
    enum dialog_event event;
    refusal.error.sender.name = refusal.error.sender.uuid = text_view("x");
    refusal.error.src_type = refusal.error.boxed_type = text_view("yoke.StreamOverrun");
    assert_true(dialog_event_of(&refusal, &event));
    assert_int_equal(event, DIALOG_REFUSED);
    refusal.error.boxed_type = text_view("yoke.Remote");
    assert_true(dialog_event_of(&refusal, &event));
    assert_int_equal(event, DIALOG_ERROR);
    for (unsigned i = 0; i < DIALOG_EVENTS; i++)
        assert_int_equal(seen[i], i != DIALOG_LOST && i != DIALOG_REFUSED);
    for (unsigned a = 0; a < DIALOG_STATES; a++)
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(dialog_state_name((enum dialog_state)a),
                                    dialog_state_name((enum dialog_state)b));
}

/* ---- what this side does ---- */

static bool is_of_endpoint(unsigned at)
{
    return at >= DIALOG_AT_SERVED && at <= DIALOG_AT_SERVED_FAILED;
}

static bool is_error(enum dialog_answer answer)
{
    return answer >= DIALOG_WRONG_SIDE && answer <= DIALOG_HAS_FAILED;
}

/* The rules of the table of calls; CTX-44: no pair is missing. */
static bool call_is_ruled(unsigned at, unsigned call)
{
    enum dialog_answer a = dialog_answer((enum dialog_standing)at, (enum dialog_call)call);
    bool failed = at == DIALOG_AT_REFUSED || at == DIALOG_AT_FAILED || at == DIALOG_AT_SERVED_FAILED;
    bool over = at == DIALOG_AT_CLOSED, served = is_of_endpoint(at);
    bool is_stream = call >= DIALOG_CALLS_STREAM_OPEN && call <= DIALOG_CALLS_RECEIVE;
    if (a <= DIALOG_UNSET || a >= DIALOG_ANSWERS)
        return false;
    if (call == DIALOG_CALLS_CLOSE || call == DIALOG_CALLS_FAIL) {
        bool tells = a == DIALOG_TELL_VALUE || a == DIALOG_TELL_ERROR;
        bool ends = a == DIALOG_AWAIT || a == DIALOG_CANCEL_FAR || a == DIALOG_SETTLE;
        /* A body that failed, or asked for it, never waits for a result, and one that did not never cancels
         * a far side that is well. */
        if (call == DIALOG_CALLS_FAIL && (a == DIALOG_AWAIT || a == DIALOG_TELL_VALUE))
            return false;
        if (call == DIALOG_CALLS_CLOSE && a == DIALOG_CANCEL_FAR && at != DIALOG_AT_CANCELLING &&
            at != DIALOG_AT_REFUSED)
            return false;
        return over ? a == DIALOG_AGAIN : served ? tells : ends;
    }
    if (a >= DIALOG_AWAIT)
        return false;
    if (is_stream && failed) /* a known failure comes before all else */
        return a == DIALOG_HAS_FAILED;
    if (is_stream && over)
        return a == DIALOG_IS_CLOSED;
    if (call == DIALOG_CALLS_STREAM_CLOSE || call == DIALOG_CALLS_CANCEL) /* these never fail */
        return !is_error(a);
    if (call == DIALOG_CALLS_STARTED)
        return over || (served ? at == DIALOG_AT_SERVED ? a == DIALOG_DO : a == DIALOG_AGAIN
                               : a == DIALOG_WRONG_SIDE);
    if (call == DIALOG_CALLS_RESULT)
        return (a == DIALOG_WRONG_SIDE) == served;
    return a != DIALOG_HAS_FAILED && a != DIALOG_WRONG_SIDE;
}

static void test_ctx_44_every_call_at_every_place(void **state)
{
    for (unsigned at = 0; at < DIALOG_STANDINGS; at++)
        for (unsigned call = 0; call < DIALOG_CALLS; call++) {
            if (call_is_ruled(at, call))
                continue;
            print_error("# call %u at `%s`\n", call, dialog_standing_name((enum dialog_standing)at));
            fail();
        }
    for (unsigned a = 0; a < DIALOG_STANDINGS; a++)
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(dialog_standing_name((enum dialog_standing)a),
                                    dialog_standing_name((enum dialog_standing)b));
}

HARNESS_MAIN(TEST(test_every_pair), TEST(test_every_short_dialog_ends_once), TEST(test_a_call),
             TEST(test_a_context), TEST(test_a_one_way_stream), TEST(test_messages_and_events),
             TEST(test_ctx_44_every_call_at_every_place))
