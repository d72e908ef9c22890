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
 *   DONE, ENDED x anything                    late: messages cross on the way
 */
static const struct dialog_step tables[DIALOG_KINDS][DIALOG_STATES][DIALOG_EVENTS] = {
    [DIALOG_IS_CONTEXT] = {
        /*                      StartAck           Started            Yield               Stop                Return              CancelAck           Error               refused             lost */
        [DIALOG_STARTING]    = {ACK(ACKED),        BREAK(STARTING),   BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    ERROR(DONE),        BREAK(STARTING),    LOSS(DONE)},
        [DIALOG_ACKED]       = {BREAK(ACKED),      FIRST(OPEN),       BREAK(ACKED),       DROP(ACKED),        RESULT(DONE),       RESULT(DONE),       ERROR(DONE),        BREAK(ACKED),       LOSS(DONE)},
        [DIALOG_OPEN]        = {BREAK(OPEN),       BREAK(OPEN),       QUEUE(OPEN),        QUEUE(OPEN),        RESULT(DONE),       BREAK(OPEN),        ERROR(DONE),        REFUSED(OPEN),      LOSS(DONE)},
        [DIALOG_DONE]        = {DROP(DONE),        DROP(DONE),        DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE)},
        [DIALOG_SERVED]      = {DROP(SERVED),      DROP(SERVED),      DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       FAIL(SERVED),       FAIL(SERVED),       CANCEL(SERVED)},
        [DIALOG_SERVED_OPEN] = {DROP(SERVED_OPEN), DROP(SERVED_OPEN), QUEUE(SERVED_OPEN), QUEUE(SERVED_OPEN), DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  FAIL(SERVED_OPEN),  FAIL(SERVED_OPEN),  CANCEL(SERVED_OPEN)},
        [DIALOG_ENDED]       = {DROP(ENDED),       DROP(ENDED),       DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED)},
    },
    /* No first value, no stream. A cancel request is a call whose result is its CancelAck. */
    [DIALOG_IS_CALL] = {
        /*                      StartAck           Started            Yield               Stop                Return              CancelAck           Error               refused             lost */
        [DIALOG_STARTING]    = {ACK(ACKED),        BREAK(STARTING),   BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    ERROR(DONE),        BREAK(STARTING),    LOSS(DONE)},
        [DIALOG_ACKED]       = {BREAK(ACKED),      BREAK(ACKED),      BREAK(ACKED),       BREAK(ACKED),       RESULT(DONE),       RESULT(DONE),       ERROR(DONE),        BREAK(ACKED),       LOSS(DONE)},
        [DIALOG_OPEN]        = {BREAK(OPEN),       BREAK(OPEN),       BREAK(OPEN),        BREAK(OPEN),        BREAK(OPEN),        BREAK(OPEN),        BREAK(OPEN),        BREAK(OPEN),        LOSS(DONE)},
        [DIALOG_DONE]        = {DROP(DONE),        DROP(DONE),        DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE)},
        [DIALOG_SERVED]      = {DROP(SERVED),      DROP(SERVED),      DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       FAIL(SERVED),       FAIL(SERVED),       CANCEL(SERVED)},
        [DIALOG_SERVED_OPEN] = {DROP(SERVED_OPEN), DROP(SERVED_OPEN), DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  FAIL(SERVED_OPEN),  FAIL(SERVED_OPEN),  CANCEL(SERVED_OPEN)},
        [DIALOG_ENDED]       = {DROP(ENDED),       DROP(ENDED),       DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED)},
    },
    /* No first value, no result: values, and a Stop. */
    [DIALOG_IS_ONE_WAY] = {
        /*                      StartAck           Started            Yield               Stop                Return              CancelAck           Error               refused             lost */
        [DIALOG_STARTING]    = {ACK(OPEN),         BREAK(STARTING),   BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    BREAK(STARTING),    ERROR(DONE),        BREAK(STARTING),    LOSS(DONE)},
        [DIALOG_ACKED]       = {BREAK(ACKED),      BREAK(ACKED),      BREAK(ACKED),       BREAK(ACKED),       BREAK(ACKED),       BREAK(ACKED),       BREAK(ACKED),       BREAK(ACKED),       LOSS(DONE)},
        [DIALOG_OPEN]        = {BREAK(OPEN),       BREAK(OPEN),       QUEUE(OPEN),        END(DONE),          BREAK(OPEN),        BREAK(OPEN),        ERROR(DONE),        BREAK(OPEN),        LOSS(DONE)},
        [DIALOG_DONE]        = {DROP(DONE),        DROP(DONE),        DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE),         DROP(DONE)},
        [DIALOG_SERVED]      = {DROP(SERVED),      DROP(SERVED),      DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       DROP(SERVED),       FAIL(SERVED),       FAIL(SERVED),       CANCEL(SERVED)},
        [DIALOG_SERVED_OPEN] = {DROP(SERVED_OPEN), DROP(SERVED_OPEN), DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  DROP(SERVED_OPEN),  FAIL(SERVED_OPEN),  FAIL(SERVED_OPEN),  CANCEL(SERVED_OPEN)},
        [DIALOG_ENDED]       = {DROP(ENDED),       DROP(ENDED),       DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED),        DROP(ENDED)},
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
