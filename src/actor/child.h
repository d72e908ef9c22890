/*
 * A child actor, as its parent keeps it: the process, its channel, and the task that watches both till the
 * process is reaped.
 *
 * Its teardown is a table of states and events (child.c): cancel request, acknowledgement in a bounded time,
 * exit awaited, SIGTERM, SIGKILL; and none of the bounds passes while somebody in it or below it is at the
 * debugger's prompt, or waits for that.
 */
#ifndef ACTOR_CHILD_H
#define ACTOR_CHILD_H

#include "actor/crash_pipe.h"
#include "actor/peer.h"

enum child_state {
    CHILD_CLONED,    /* the process is there */
    CHILD_CONNECTED, /* it has said who it is, and is told what it is to be */
    CHILD_READY,     /* its start has returned */
    CHILD_ASKED,     /* the cancel request went out */
    CHILD_ENDING,    /* it has acknowledged, or closed its channel: its exit is awaited */
    CHILD_TERMED,    /* SIGTERM went out */
    CHILD_KILLED,    /* SIGKILL went out */
    CHILD_REAPED,
    CHILD_STATES
};

/* Of several at once the first is taken first. */
enum child_event {
    CHILD_MET,      /* the handshake is done */
    CHILD_UP,       /* the start is */
    CHILD_HELD,     /* it, or someone below it, is in the debugger or waits for that */
    CHILD_RELEASED, /* and now nobody */
    CHILD_CANCEL,   /* it is to end */
    CHILD_HARD,     /* at once */
    CHILD_ACK,      /* it answered the request */
    CHILD_EOF,      /* its channel has ended */
    CHILD_TIMEOUT,  /* the state's bound has passed */
    CHILD_EXIT,     /* the process has ended */
    CHILD_EVENTS
};

enum child_action {
    CHILD_NOTHING,
    CHILD_ASK,
    CHILD_AWAIT,
    CHILD_STOP_CLOCK, /* no bound runs */
    CHILD_GRANT,      /* a whole one, from now on */
    CHILD_TERM,
    CHILD_KILL,
    CHILD_REAP
};

struct main_task;

struct child_step {
    enum child_action action;
    enum child_state next;
};

struct child_step child_step(enum child_state state, enum child_event event);

struct child {
    list in_actor, in_nursery;
    struct actor *actor;
    yoke_actors *nursery;
    yoke_uid uid;
    pid_t pid;
    struct address address; /* where it was bidden to listen; kind ADDRESS_NONE: nowhere */
    yoke_process *process;
    struct crash_pipe crash; /* what it writes when it crashes */
    bool debug_mode;
    struct peer *peer;
    enum child_state state;
    unsigned pending;    /* events that the supervisor has not yet taken, or puts off: 1 << event */
    yoke_scope *wait;    /* that it sleeps in; cancelled to wake it */
    bool starting;       /* its end is the starter's business */
    bool is_through;     /* its main task has ended: it is asked to end whoever is being debugged */
    bool asked;          /* somebody of this actor asked it to end: that it ends is no failure */
    unsigned sent;       /* signals of ours: 1 << number */
    bool term_came_late; /* it had closed its channel before our SIGTERM */
    int64_t asked_at, deadline;
    struct yoke_context *request; /* the dialog of the cancel request */
    struct main_task *main_task;  /* of an actor that was started for one call; NULL: of a daemon */
    int status;                   /* of waitpid(2), when reaped */
    bool status_lost;             /* somebody else has reaped it */
    const yoke_error *loss;       /* of its channel, while how it ended is not known */
    yoke_error *death;            /* if it ended as it should not have */
    yoke_scope *opening;          /* of its start, while its modules open; NULL: it is past that */
    int64_t opening_bound;
    yoke_event verdict; /* set when that is known */
    yoke_event reaped;  /* set when nothing of it is left */
};

/* The supervisor for a process that was started. On an error the process is ended and reaped. */
YOKE_MUST_USE yoke_error *child_new(struct child **child, yoke_actors *nursery, const yoke_uid *uid,
                                    yoke_process *process, int crash_fd);
/* A step of its start, which is taken at once: what happens after it finds the child there. */
void child_advance(struct child *child, enum child_event event);
/* Tells the supervisor. Not a checkpoint. */
void child_post(struct child *child, enum child_event event);
/* Somebody at the other end of `peer`, or below it, wants the debugger's terminal; has no more use of it.
 * Counted; its supervisor, if it is a child, gives it time. */
void child_hold(struct peer *peer);
void child_release(struct peer *peer);
/* The supervisors of all children look again whether what they put off can be done now. */
void child_look_again(struct actor *a);
/* Its end has gone so far that it can't be debugged any more. */
bool child_is_past_debugging(const struct child *child);
/* Brings a child that is being ended, or owes the answer to a cancel of one of its tasks, to the rung that
 * its actor is in a hurry for; false for others. Not a checkpoint. */
bool child_push(struct child *child);
/* Waits, shielded, till it is reaped. */
void child_wait_reaped(struct child *child);
/* The child is reaped. */
void child_free(struct child *child);
/* Of the loss of its channel and its death one is the reason of the other: `e` (ownership passes), or an
 * error whose cause is the death. */
yoke_error *child_loss(const struct child *child, yoke_error *e);
/* Why the child's channel was lost: `e` (ownership passes), or, when its process has died, an error whose
 * cause is that. Checkpoint, bounded. */
yoke_error *child_explain_loss(struct child *child, yoke_error *e);

#endif
