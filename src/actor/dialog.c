#include "actor/dialog.h"

#include <string.h>

/* Short names keep the rows of the table on one line each. */
#define DROP(s)                                                                                              \
    {                                                                                                        \
        DIALOG_DROP, DIALOG_##s                                                                              \
    }
#define BREAK(s)                                                                                             \
    {                                                                                                        \
        DIALOG_BREAK, DIALOG_##s                                                                             \
    }
#define ACK(s)                                                                                               \
    {                                                                                                        \
        DIALOG_NOTE_ACK, DIALOG_##s                                                                          \
    }
#define FIRST(s)                                                                                             \
    {                                                                                                        \
        DIALOG_TAKE_FIRST, DIALOG_##s                                                                        \
    }
#define QUEUE(s)                                                                                             \
    {                                                                                                        \
        DIALOG_QUEUE, DIALOG_##s                                                                             \
    }
#define RESULT(s)                                                                                            \
    {                                                                                                        \
        DIALOG_TAKE_RESULT, DIALOG_##s                                                                       \
    }
#define END(s)                                                                                               \
    {                                                                                                        \
        DIALOG_TAKE_END, DIALOG_##s                                                                          \
    }
#define ERROR(s)                                                                                             \
    {                                                                                                        \
        DIALOG_TAKE_ERROR, DIALOG_##s                                                                        \
    }
#define LOSS(s)                                                                                              \
    {                                                                                                        \
        DIALOG_TAKE_LOSS, DIALOG_##s                                                                         \
    }
#define FAIL(s)                                                                                              \
    {                                                                                                        \
        DIALOG_FAIL_TASK, DIALOG_##s                                                                         \
    }
#define REFUSED(s)                                                                                           \
    {                                                                                                        \
        DIALOG_FAIL_BODY, DIALOG_##s                                                                         \
    }
#define CREDIT(s)                                                                                            \
    {                                                                                                        \
        DIALOG_TAKE_CREDIT, DIALOG_##s                                                                       \
    }
#define CANCEL(s)                                                                                            \
    {                                                                                                        \
        DIALOG_CANCEL_TASK, DIALOG_##s                                                                       \
    }

/* clang-format off */
/*
 * Notes to the pairs that are not plain.
 *   STARTING x anything but StartAck, Error   a far side that answers without having begun: its channel is of no use
 *   ACKED x Return                            a context that returns without `started` has no first value: open must fail, not hang
 *   OPEN x refused                            the far task lives: this side fails, and its close cancels that task
 *   SERVED* x StartAck, Started, Return       the opener has no such message; Python peers ignore them, so do we
 *   SERVED x Yield, Stop                      the opener streams only after Started: what comes before is dropped
 *   OPEN x Credit                             of a one-way stream only its reader gives any
 *   DONE, ENDED x anything                    late: messages cross on the way
 */
static const struct dialog_step tables[DIALOG_KINDS][DIALOG_STATES][DIALOG_EVENTS] = {
    [DIALOG_IS_CONTEXT] = {
        /*                      StartAck           Started            Yield               Stop                Return              CancelAck           Error               refused             Credit              lost */
        [DIALOG_STARTING]    = {ACK(ACKED),        BREAK(STARTING),   BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    ERROR(DONE),        BREAK(STARTING),    BREAK(STARTING),    LOSS(DONE)},
        [DIALOG_ACKED]       = {BREAK(ACKED),      FIRST(OPEN),       BREAK(ACKED),       DROP(ACKED),        RESULT(DONE),       RESULT(DONE),       ERROR(DONE),        BREAK(ACKED),       BREAK(ACKED),       LOSS(DONE)},
        [DIALOG_OPEN]        = {BREAK(OPEN),       BREAK(OPEN),       QUEUE(OPEN),        QUEUE(OPEN),        RESULT(DONE),       BREAK(OPEN),        ERROR(DONE),        REFUSED(OPEN),      CREDIT(OPEN),       LOSS(DONE)},
        [DIALOG_DONE]        = {DROP(DONE),        DROP(DONE),        DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE)},
        [DIALOG_SERVED]      = {DROP(SERVED),      DROP(SERVED),      DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       FAIL(SERVED),       FAIL(SERVED),       DROP(SERVED),       CANCEL(SERVED)},
        [DIALOG_SERVED_OPEN] = {DROP(SERVED_OPEN), DROP(SERVED_OPEN), QUEUE(SERVED_OPEN), QUEUE(SERVED_OPEN), DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  FAIL(SERVED_OPEN),  FAIL(SERVED_OPEN),  CREDIT(SERVED_OPEN), CANCEL(SERVED_OPEN)},
        [DIALOG_ENDED]       = {DROP(ENDED),       DROP(ENDED),       DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED)},
    },
    /* No first value, no stream. A cancel request is a call whose result is its CancelAck. */
    [DIALOG_IS_CALL] = {
        /*                      StartAck           Started            Yield               Stop                Return              CancelAck           Error               refused             Credit              lost */
        [DIALOG_STARTING]    = {ACK(ACKED),        BREAK(STARTING),   BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    ERROR(DONE),        BREAK(STARTING),    BREAK(STARTING),    LOSS(DONE)},
        [DIALOG_ACKED]       = {BREAK(ACKED),      BREAK(ACKED),      BREAK(ACKED),       BREAK(ACKED),       RESULT(DONE),       RESULT(DONE),       ERROR(DONE),        BREAK(ACKED),       BREAK(ACKED),       LOSS(DONE)},
        [DIALOG_OPEN]        = {BREAK(OPEN),       BREAK(OPEN),       BREAK(OPEN),        BREAK(OPEN),        BREAK(OPEN),        BREAK(OPEN),        BREAK(OPEN),        BREAK(OPEN),        BREAK(OPEN),        LOSS(DONE)},
        [DIALOG_DONE]        = {DROP(DONE),        DROP(DONE),        DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE)},
        [DIALOG_SERVED]      = {DROP(SERVED),      DROP(SERVED),      DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       FAIL(SERVED),       FAIL(SERVED),       DROP(SERVED),       CANCEL(SERVED)},
        [DIALOG_SERVED_OPEN] = {DROP(SERVED_OPEN), DROP(SERVED_OPEN), DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  FAIL(SERVED_OPEN),  FAIL(SERVED_OPEN),  DROP(SERVED_OPEN),  CANCEL(SERVED_OPEN)},
        [DIALOG_ENDED]       = {DROP(ENDED),       DROP(ENDED),       DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED)},
    },
    /* No first value, no result: values, and a Stop. */
    [DIALOG_IS_ONE_WAY] = {
        /*                      StartAck           Started            Yield               Stop                Return              CancelAck           Error               refused             Credit              lost */
        [DIALOG_STARTING]    = {ACK(OPEN),         BREAK(STARTING),   BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    ERROR(DONE),        BREAK(STARTING),    BREAK(STARTING),    LOSS(DONE)},
        [DIALOG_ACKED]       = {BREAK(ACKED),      BREAK(ACKED),      BREAK(ACKED),       BREAK(ACKED),       BREAK(ACKED),       BREAK(ACKED),       BREAK(ACKED),       BREAK(ACKED),       BREAK(ACKED),       LOSS(DONE)},
        [DIALOG_OPEN]        = {BREAK(OPEN),       BREAK(OPEN),       QUEUE(OPEN),        END(DONE),          BREAK(OPEN),        BREAK(OPEN),        ERROR(DONE),        BREAK(OPEN),        BREAK(OPEN),        LOSS(DONE)},
        [DIALOG_DONE]        = {DROP(DONE),        DROP(DONE),        DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE)},
        [DIALOG_SERVED]      = {DROP(SERVED),      DROP(SERVED),      DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       FAIL(SERVED),       FAIL(SERVED),       CREDIT(SERVED),     CANCEL(SERVED)},
        [DIALOG_SERVED_OPEN] = {DROP(SERVED_OPEN), DROP(SERVED_OPEN), DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  FAIL(SERVED_OPEN),  FAIL(SERVED_OPEN),  DROP(SERVED_OPEN),  CANCEL(SERVED_OPEN)},
        [DIALOG_ENDED]       = {DROP(ENDED),       DROP(ENDED),       DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED)},
    },
};

/* clang-format on */

struct dialog_step dialog_step(enum dialog_kind kind, enum dialog_state state, enum dialog_event event)
{
    return tables[kind][state][event];
}

/* Only who did not take a message names its sender; an error that came to us over others is boxed. */
static bool is_refusal(const struct msg *m)
{
    return m->error.sender.name.data && m->error.boxed_type.size == m->error.src_type.size &&
           memcmp(m->error.boxed_type.data, m->error.src_type.data, m->error.src_type.size) == 0;
}

bool dialog_event_of(const struct msg *m, enum dialog_event *event)
{
    switch (m->type) {
    case MSG_START_ACK:
        *event = DIALOG_START_ACK;
        return true;
    case MSG_STARTED:
        *event = DIALOG_STARTED;
        return true;
    case MSG_YIELD:
        *event = DIALOG_YIELD;
        return true;
    case MSG_STOP:
        *event = DIALOG_STOP;
        return true;
    case MSG_RETURN:
        *event = DIALOG_RETURN;
        return true;
    case MSG_CANCEL_ACK:
        *event = DIALOG_CANCEL_ACK;
        return true;
    case MSG_ERROR:
        *event = is_refusal(m) ? DIALOG_REFUSED : DIALOG_ERROR;
        return true;
    case MSG_CREDIT:
        *event = DIALOG_CREDIT;
        return true;
    case MSG_AID:
    case MSG_SPAWN_SPEC:
    case MSG_START:
    case MSG_TYPE_COUNT:
        break;
    }
    return false;
}

const char *dialog_state_name(enum dialog_state state)
{
    static const char *const names[DIALOG_STATES] = {
        [DIALOG_STARTING] = "starting", [DIALOG_ACKED] = "accepted", [DIALOG_OPEN] = "open",
        [DIALOG_DONE] = "done",         [DIALOG_SERVED] = "served",  [DIALOG_SERVED_OPEN] = "served, open",
        [DIALOG_ENDED] = "ended",
    };
    return names[state];
}

/* ---- what this side does ---- */

#define DO         DIALOG_DO
#define NOTHING    DIALOG_NOTHING
#define SIDE       DIALOG_WRONG_SIDE
#define EARLY      DIALOG_TOO_EARLY
#define LATE       DIALOG_TOO_LATE
#define AGAIN      DIALOG_AGAIN
#define CLOSED     DIALOG_IS_CLOSED
#define AT_END     DIALOG_IS_AT_END
#define FAILED     DIALOG_HAS_FAILED
#define AWAIT      DIALOG_AWAIT
#define CANCEL_FAR DIALOG_CANCEL_FAR
#define SETTLE     DIALOG_SETTLE
#define VALUE      DIALOG_TELL_VALUE
#define TROUBLE    DIALOG_TELL_ERROR

/* clang-format off */
/*
 * Notes to what is not plain.
 *   AT_OPENING                       nobody has the handle yet, but the open that fails closes it
 *   AT_FAR_CLOSED x receive          gives the end, again and again
 *   AT_FAR_CLOSED x close            the stream's end is not the task's
 *   AT_CANCELLING x stream open      what it would bring can't be told from what is dropped
 *   AT_DRAINING x stream open        what had come was dropped for the result
 *   AT_DONE x stream open, receive   what the far side had sent before it ended waits in it
 *   AT_REFUSED x close               the far task does not know that this side has failed
 *   AT_SERVED x close                a context that returns a value without its first one has failed
 *   AT_SERVED_CANCELLING x close     a value that crosses a cancel is not lost
 */
static const enum dialog_answer answers[DIALOG_STANDINGS][DIALOG_CALLS] = {
    /*                                started  open     send     receive  close    cancel   result   end      fail */
    [DIALOG_AT_OPENING]            = {SIDE,    EARLY,   EARLY,   EARLY,   NOTHING, DO,      EARLY,   AWAIT,   CANCEL_FAR},
    [DIALOG_AT_STARTED]            = {SIDE,    DO,      EARLY,   EARLY,   NOTHING, DO,      DO,      AWAIT,   CANCEL_FAR},
    [DIALOG_AT_STREAMING]          = {SIDE,    AGAIN,   DO,      DO,      DO,      DO,      DO,      AWAIT,   CANCEL_FAR},
    [DIALOG_AT_FAR_CLOSED]         = {SIDE,    AGAIN,   AT_END,  DO,      DO,      DO,      DO,      AWAIT,   CANCEL_FAR},
    [DIALOG_AT_NEAR_CLOSED]        = {SIDE,    CLOSED,  CLOSED,  CLOSED,  NOTHING, DO,      DO,      AWAIT,   CANCEL_FAR},
    [DIALOG_AT_CANCELLING]         = {SIDE,    LATE,    EARLY,   EARLY,   NOTHING, DO,      DO,      CANCEL_FAR, CANCEL_FAR},
    [DIALOG_AT_DRAINING]           = {SIDE,    LATE,    EARLY,   EARLY,   NOTHING, DO,      DO,      AWAIT,   CANCEL_FAR},
    [DIALOG_AT_DONE]               = {SIDE,    DO,      EARLY,   EARLY,   NOTHING, NOTHING, DO,      SETTLE,  SETTLE},
    [DIALOG_AT_DONE_STREAMING]     = {SIDE,    AGAIN,   AT_END,  DO,      DO,      NOTHING, DO,      SETTLE,  SETTLE},
    [DIALOG_AT_DONE_NEAR_CLOSED]   = {SIDE,    CLOSED,  CLOSED,  CLOSED,  NOTHING, NOTHING, DO,      SETTLE,  SETTLE},
    [DIALOG_AT_REFUSED]            = {SIDE,    FAILED,  FAILED,  FAILED,  DO,      DO,      DO,      CANCEL_FAR, CANCEL_FAR},
    [DIALOG_AT_FAILED]             = {SIDE,    FAILED,  FAILED,  FAILED,  DO,      NOTHING, DO,      SETTLE,  SETTLE},
    [DIALOG_AT_SERVED]             = {DO,      EARLY,   EARLY,   EARLY,   NOTHING, DO,      SIDE,    TROUBLE, TROUBLE},
    [DIALOG_AT_SERVED_STARTED]     = {AGAIN,   DO,      EARLY,   EARLY,   NOTHING, DO,      SIDE,    VALUE,   TROUBLE},
    [DIALOG_AT_SERVED_STREAMING]   = {AGAIN,   AGAIN,   DO,      DO,      DO,      DO,      SIDE,    VALUE,   TROUBLE},
    [DIALOG_AT_SERVED_FAR_CLOSED]  = {AGAIN,   AGAIN,   AT_END,  DO,      DO,      DO,      SIDE,    VALUE,   TROUBLE},
    [DIALOG_AT_SERVED_NEAR_CLOSED] = {AGAIN,   CLOSED,  CLOSED,  CLOSED,  NOTHING, DO,      SIDE,    VALUE,   TROUBLE},
    [DIALOG_AT_SERVED_CANCELLING]  = {AGAIN,   LATE,    EARLY,   EARLY,   NOTHING, DO,      SIDE,    VALUE,   TROUBLE},
    [DIALOG_AT_SERVED_FAILED]      = {AGAIN,   FAILED,  FAILED,  FAILED,  DO,      DO,      SIDE,    TROUBLE, TROUBLE},
    [DIALOG_AT_CLOSED]             = {AGAIN,   CLOSED,  CLOSED,  CLOSED,  NOTHING, NOTHING, DO,      AGAIN,   AGAIN},
};
/* clang-format on */

enum dialog_answer dialog_answer(enum dialog_standing standing, enum dialog_call call)
{
    return answers[standing][call];
}

const char *dialog_standing_name(enum dialog_standing standing)
{
    static const char *const names[DIALOG_STANDINGS] = {
        [DIALOG_AT_OPENING] = "opening",
        [DIALOG_AT_STARTED] = "started",
        [DIALOG_AT_STREAMING] = "streaming",
        [DIALOG_AT_FAR_CLOSED] = "half-closed by the far side",
        [DIALOG_AT_NEAR_CLOSED] = "half-closed by this side",
        [DIALOG_AT_CANCELLING] = "cancelling",
        [DIALOG_AT_DRAINING] = "draining",
        [DIALOG_AT_DONE] = "done",
        [DIALOG_AT_DONE_STREAMING] = "done, its stream open here",
        [DIALOG_AT_DONE_NEAR_CLOSED] = "done, its stream closed",
        [DIALOG_AT_REFUSED] = "refused",
        [DIALOG_AT_FAILED] = "failed",
        [DIALOG_AT_SERVED] = "served",
        [DIALOG_AT_SERVED_STARTED] = "served, started",
        [DIALOG_AT_SERVED_STREAMING] = "served, streaming",
        [DIALOG_AT_SERVED_FAR_CLOSED] = "served, half-closed by the far side",
        [DIALOG_AT_SERVED_NEAR_CLOSED] = "served, half-closed by this side",
        [DIALOG_AT_SERVED_CANCELLING] = "served, cancelling",
        [DIALOG_AT_SERVED_FAILED] = "served, failed",
        [DIALOG_AT_CLOSED] = "closed",
    };
    return names[standing];
}
