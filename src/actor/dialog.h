/*
 * The dialog as a table: state by event. Every pair is there, so that a missing one can be seen. Events are
 * the messages that come in (feeder.c carries their actions out), and what this side does (standing.c).
 *
 *   opener's side          STARTING -> ACKED -> OPEN -> DONE       (a call: STARTING -> ACKED -> DONE)
 *   endpoint's side        SERVED -> SERVED_OPEN -> ENDED          (a call: SERVED -> ENDED)
 *
 * A one-way stream has no first value and no result: STARTING -> OPEN -> DONE, where the Stop is the last
 * message, and SERVED -> ENDED.
 */
#ifndef ACTOR_DIALOG_H
#define ACTOR_DIALOG_H

#include "msg/wire.h"

enum dialog_kind {
    DIALOG_IS_CONTEXT,
    DIALOG_IS_CALL, /* a cancel request is one, whose result is its CancelAck */
    DIALOG_IS_ONE_WAY,
    DIALOG_KINDS
};

enum dialog_state {
    DIALOG_STARTING,    /* Start was sent */
    DIALOG_ACKED,       /* StartAck came */
    DIALOG_OPEN,        /* Started came; of a one-way stream: StartAck */
    DIALOG_DONE,        /* the last message came, or the channel is gone */
    DIALOG_SERVED,      /* the task runs */
    DIALOG_SERVED_OPEN, /* it has said started */
    DIALOG_ENDED,       /* our last message went */
    DIALOG_STATES
};

enum dialog_event {
    DIALOG_START_ACK,
    DIALOG_STARTED,
    DIALOG_YIELD,
    DIALOG_STOP,
    DIALOG_RETURN,
    DIALOG_CANCEL_ACK,
    DIALOG_ERROR,
    DIALOG_REFUSED, /* an Error that says: one of your messages was not taken. The far task goes on */
    DIALOG_CREDIT,  /* of the stream's flow control (credit.h) */
    DIALOG_LOST,    /* the channel is gone */
    DIALOG_EVENTS
};

enum dialog_action {
    DIALOG_DROP,        /* late or needless: logged at `runtime` */
    DIALOG_NOTE_ACK,    /* the task exists there */
    DIALOG_TAKE_FIRST,  /* the first value: open returns */
    DIALOG_QUEUE,       /* for the stream */
    DIALOG_TAKE_RESULT, /* the last message: a value */
    DIALOG_TAKE_END,    /* the last message: the Stop of a one-way stream */
    DIALOG_TAKE_ERROR,  /* the last message: an error */
    DIALOG_TAKE_LOSS,   /* the channel's end is the dialog's */
    DIALOG_FAIL_TASK,   /* an error sent to a task of ours: it fails with it */
    DIALOG_FAIL_BODY,   /* the opener fails; the far task goes on till the close cancels it */
    DIALOG_TAKE_CREDIT, /* so many messages more may be sent */
    DIALOG_CANCEL_TASK, /* who started our task is gone */
    DIALOG_BREAK        /* against the protocol: the channel ends */
};

struct dialog_step {
    enum dialog_action action;
    enum dialog_state next;
};

struct dialog_step dialog_step(enum dialog_kind kind, enum dialog_state state, enum dialog_event event);
/* The event of a message; false for types that belong to no dialog. */
bool dialog_event_of(const struct msg *m, enum dialog_event *event);
const char *dialog_state_name(enum dialog_state state);

/*
 * The other half: what this side does in a context. Where it stands is more than the state of the dialog:
 * also what became of the stream's two ends, and what was asked for here. A failure of the far side that is
 * known comes before all of that.
 */
enum dialog_standing {
    DIALOG_AT_OPENING,    /* the opener's: no first value yet */
    DIALOG_AT_STARTED,    /* no stream */
    DIALOG_AT_STREAMING,  /* open on both sides, for all that is known */
    DIALOG_AT_FAR_CLOSED, /* the end of the far side's stream was received */
    DIALOG_AT_NEAR_CLOSED,
    DIALOG_AT_CANCELLING, /* this side asked for the end, and has no stream */
    DIALOG_AT_DRAINING,   /* it asked for the result, and has no stream */
    DIALOG_AT_DONE,       /* the result is here; no stream was opened */
    DIALOG_AT_DONE_STREAMING,
    DIALOG_AT_DONE_NEAR_CLOSED,
    DIALOG_AT_REFUSED, /* the far side did not take a message; its task goes on */
    DIALOG_AT_FAILED,  /* the far side has failed */
    DIALOG_AT_SERVED,  /* the endpoint's, in the same order: before its first value */
    DIALOG_AT_SERVED_STARTED,
    DIALOG_AT_SERVED_STREAMING,
    DIALOG_AT_SERVED_FAR_CLOSED,
    DIALOG_AT_SERVED_NEAR_CLOSED,
    DIALOG_AT_SERVED_CANCELLING,
    DIALOG_AT_SERVED_FAILED,
    DIALOG_AT_CLOSED, /* over on this side; the handle is kept */
    DIALOG_STANDINGS
};

enum dialog_call {
    DIALOG_CALLS_STARTED,
    DIALOG_CALLS_STREAM_OPEN,
    DIALOG_CALLS_SEND,
    DIALOG_CALLS_RECEIVE,
    DIALOG_CALLS_STREAM_CLOSE,
    DIALOG_CALLS_CANCEL,
    DIALOG_CALLS_RESULT,
    DIALOG_CALLS_CLOSE, /* the body has ended well, or the endpoint has returned a value */
    DIALOG_CALLS_FAIL,  /* it has failed or was cancelled, or asked for a cancel */
    DIALOG_CALLS
};

enum dialog_answer {
    DIALOG_UNSET, /* none of the table */
    DIALOG_DO,
    DIALOG_NOTHING,    /* is left to do: no error */
    DIALOG_WRONG_SIDE, /* errors from here on: YOKE_USAGE */
    DIALOG_TOO_EARLY,  /* YOKE_USAGE */
    DIALOG_TOO_LATE,   /* YOKE_USAGE */
    DIALOG_AGAIN,      /* YOKE_USAGE */
    DIALOG_IS_CLOSED,  /* YOKE_CLOSED */
    DIALOG_IS_AT_END,  /* YOKE_END_OF_CHANNEL */
    DIALOG_HAS_FAILED, /* the far side's error */
    DIALOG_AWAIT,      /* ends, from here on: the far side's result is waited for */
    DIALOG_CANCEL_FAR, /* the far side is cancelled */
    DIALOG_SETTLE,     /* the far side has ended */
    DIALOG_TELL_VALUE, /* the endpoint's last message: its value */
    DIALOG_TELL_ERROR, /* or why there is none */
    DIALOG_ANSWERS
};

enum dialog_answer dialog_answer(enum dialog_standing standing, enum dialog_call call);
const char *dialog_standing_name(enum dialog_standing standing);

#endif
