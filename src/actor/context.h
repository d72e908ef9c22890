/*
 * A dialog: a task on each side of a channel, linked by an id. A call is one whose only messages are the
 * start and the result; a context has a first value and a stream besides; a one-way stream is nothing else.
 * One struct serves both sides; what each message does in each state is the table in dialog.c; feeder.c does
 * it.
 *
 * Who wakes whom. The peer's loop puts what came into the dialog and wakes the tasks that wait in it
 * (dialog_wake). The final message of the far side is kept apart from the queue of stream messages, and so is
 * never stuck behind it.
 */
#ifndef ACTOR_CONTEXT_H
#define ACTOR_CONTEXT_H

#include "actor/dialog.h"
#include "actor/peer.h"
#include "base/buffer.h"
#include "msg/cursor.h"

#define CONTEXT_QUEUE_MESSAGES 64
#define CONTEXT_CANCEL_BOUND   YOKE_MS(616)

/* A message of the stream that nobody has received yet. Small ones are all of one size, and the peer keeps
 * some that are over for those that come. */
enum { INBOX_SMALL = 192 };
struct inbox_item {
    list link;
    bool is_stop;
    size_t size;
    struct aside aside; /* a large part of the payload, owned; or of size 0 */
    uint8_t payload[];
};
/* peer: whose it was; NULL: that is gone, or not known. */
void inbox_item_free(struct peer *peer, struct inbox_item *item);

/* A request to cancel a dialog's task that is answered when the task has ended. */
struct pending_ack {
    list link;
    char *cid;
};

struct yoke_stream {
    bool opened, closed;
    bool allow_overruns;
    size_t room;      /* unread messages that are kept; 0: as many as tasks wait for one */
    size_t receiving; /* tasks that wait for one */
    bool stop_sent;
    bool cut; /* closed by a body that was failing, or being cancelled */
    bool keep_on_type_error;
    bool ended;                 /* the peer's Stop, or the end of the dialog, was met by a receive */
    struct yoke_fanout *fanout; /* once there are subscribers */
    bool failure_told;          /* of a one-way stream: a receive has returned how the far task failed */
    bool counts, far_counts;    /* this side's sends, the far side's, wait for credits (credit.h) */
    size_t credits, given;      /* how many messages each may still send */
};

struct yoke_context {
    struct peer *peer;
    struct table_node in_peer;
    char *cid;
    bool is_opener;
    enum dialog_kind kind;
    enum dialog_state state;
    const yoke_endpoint *endpoint;
    char *name;       /* "module:function" */
    const char *file; /* where it was opened */
    int line;

    struct raw_view start_extra; /* what its Start says to a yoke peer alone; a constant */
    struct buffer first;         /* Started's value */
    struct buffer result;        /* Return's value */
    bool has_result;
    bool result_fits;    /* somebody has decoded it */
    bool result_refused; /* it did not fit, and the far side was told */
    bool unchecked;      /* what this side sends */
    yoke_error *remote;  /* how the far side failed, or the channel's loss */
    list inbox;
    size_t inbox_count;
    size_t crowded_at; /* how many there were when its reader was last given time; 0: not since it was well */
    bool overrun;  /* a message did not fit in it any more: the reader gets what had come before, and an error
                    */
    bool draining; /* nobody will read it: what comes is dropped */
    list waiters;  /* tasks that wait for any change */
    unsigned users;  /* tasks inside of a call on it */
    unsigned kept;   /* yoke_context_keep */
    bool closed;     /* the dialog is over on this side: the last user and the last keeper free it */
    yoke_uid far;    /* the other actor */
    uint64_t number; /* of the dialogs of this actor */

    yoke_scope scope; /* around the body (opener), around the endpoint (served) */
    bool scope_open;
    yoke_task *owner;
    bool cancel_on_close;
    bool stays;         /* the end of this actor does not cancel it: it ends with its opener */
    bool cancel_called; /* by this side */
    bool cancel_by_owner;
    bool cancel_sent;                    /* in the name of `canceller` */
    bool cancel_acked;                   /* what came back is the answer to this side's own request */
    struct yoke_context *cancel_request; /* the dialog that carries our request */
    bool has_canceller;
    yoke_uid canceller;
    list pending_acks;
    struct yoke_stream stream;

    /* Served dialogs. */
    void *args;
    /* Dialogs without a task of their own (cancel requests): called when the last message came; frees
     * nothing. */
    void (*on_end)(struct yoke_context *ctx, void *arg);
    void *on_end_arg;
};

/* A dialog of the opening side, not yet started; in the peer's table. `name` is copied. */
YOKE_MUST_USE yoke_error *context_new(struct yoke_context **ctx, struct peer *peer, const char *name,
                                      enum dialog_kind kind);
/* One that the peer started under `cid`. */
YOKE_MUST_USE yoke_error *context_new_served(struct yoke_context **ctx, struct peer *peer,
                                             struct text_view cid, const char *name);
void context_free(struct yoke_context *ctx);
/* Opens the scope around the near task's body; the calling task is the one that owns it. */
YOKE_MUST_USE yoke_error *context_open_scope(struct yoke_context *ctx, const char *file, int line);
/* The dialog is over on this side; frees it as soon as no task is in it and nobody keeps it. */
void context_end(struct yoke_context *ctx);
/* Drops what is queued of the stream. */
void context_drop_inbox(struct yoke_context *ctx);
void context_free_spare(struct peer *peer);
/* Sends the Start; `args` are encoded kwargs. wait: as a checkpoint, else at once. */
YOKE_MUST_USE yoke_error *context_send_start(struct yoke_context *ctx, struct text_view ns,
                                             struct text_view func, const struct buffer *kwargs, bool wait);
/* What the peer's loop does with a message, or with the channel's loss. */
void context_take(struct yoke_context *ctx, const struct msg *m);
void context_take_loss(struct yoke_context *ctx);
/* The far side of a dialog is asked to cancel, in the name of `asker` (NULL: this actor); answers come by the
 * loop. Again does nothing. */
void context_request_cancel(struct yoke_context *ctx, const yoke_uid *asker);
/* Sends, as the start of the call `request`, that the peer's actor is to end, in the name of `asker`. */
YOKE_MUST_USE yoke_error *context_send_actor_cancel(struct yoke_context *request, const yoke_uid *asker);
/* The same, and waits for the far task's end, undisturbed, for CONTEXT_CANCEL_BOUND at most. */
void context_cancel_and_wait(struct yoke_context *ctx, const yoke_uid *asker);
/* What a close of the opening side returns, from its body's error and how the far side ended. */
YOKE_MUST_USE yoke_error *context_settle(struct yoke_context *ctx, yoke_error *e);
/* Someone asks for the task of a served dialog to end; `ack_cid` is answered then. */
void context_cancel_served(struct yoke_context *ctx, const yoke_uid *canceller, struct text_view ack_cid);
/* Parks the calling task till something of the dialog changed. Cancellable; it has looked. YOKE_CLOSED: the
 * opener has closed it. */
YOKE_MUST_USE yoke_error *context_wait(struct yoke_context *ctx);
/* Around a call that may wait: another task may close the context meanwhile. Leave returns `e`. */
void context_enter(struct yoke_context *ctx);
YOKE_MUST_USE yoke_error *context_leave(struct yoke_context *ctx, yoke_error *e);
/* The result's value into `result` (NULL: it is only looked at). YOKE_MSG_TYPE: it does not fit; the far side
 * is told. */
YOKE_MUST_USE yoke_error *context_take_result(struct yoke_context *ctx, void *result);
/* Tells the far side that a message of its does not fit its record. */
void context_refuse(struct yoke_context *ctx, const yoke_error *e);
/* The far side's error, for whoever is to be told of it: a copy. */
yoke_error *context_remote_error(struct yoke_context *ctx);
/* Says on `e` what was going on here. Returns `e`. */
YOKE_MUST_USE yoke_error *context_while_open(const struct yoke_context *ctx, yoke_error *e);
/* Where it stands for what this side does, and what the table says of that. */
enum dialog_standing context_standing(const struct yoke_context *ctx);
enum dialog_answer context_answer(const struct yoke_context *ctx, enum dialog_call call);
/* The error that the table has for a call of this side's, or NULL. */
YOKE_MUST_USE yoke_error *context_may(struct yoke_context *ctx, enum dialog_call call);
/* For a public call that takes that handle ("context", "stream"): YOKE_USAGE outside of tasks, and if it is
 * NULL. */
YOKE_MUST_USE yoke_error *context_expect(const char *call, const char *what, const void *handle);
/* The error for both sides when the queue is full. */
yoke_error *context_overrun(const struct yoke_context *ctx);
/* Sets who cancelled it, as this side sees it. */
void context_note_canceller(struct yoke_context *ctx, const yoke_uid *canceller);
/* Who is behind it when the calling task, being cancelled itself, has others cancelled: whoever asked for
 * that first, or this actor. */
const yoke_uid *context_asker(const struct actor *a);
/* Wakes whoever waits in the dialog. */
void context_wake(struct yoke_context *ctx);

#endif
