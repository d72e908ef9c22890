/*
 * The dialog as a table: state by event. Every pair is there, so that a missing one can be seen; context.c
 * carries the actions out.
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

#endif
