/*
 * A peer: another actor at the other end of a channel. One task reads the channel and hands each message to
 * the dialog that it belongs to; it never waits for a dialog, so that a slow one holds up nobody.
 *
 * When the channel ends every dialog in it ends with an error, and the tasks that the peer had started here
 * are cancelled.
 */
#ifndef ACTOR_PEER_H
#define ACTOR_PEER_H

#include "actor/runtime.h"
#include "base/table.h"
#include "ipc/channel.h"

struct child;

enum { PEER_REMEMBERED = 256, PEER_SPARE = 64 };

struct yoke_portal {
    struct peer *peer;
};

struct peer {
    struct actor *actor;
    struct channel *channel;
    list in_actor;
    struct table opened; /* dialogs that this side started, by id */
    struct table served; /* dialogs that the peer started */
    struct child *child; /* if it is one of ours */
    bool is_parent;
    bool is_ours;     /* this side has connected: closed with its last portal */
    bool let_in;      /* the other side has */
    unsigned portals; /* handed out by yoke_connect, yoke_find: all are the one below */
    unsigned held;    /* it, or someone below it, holds or waits for the debugger's terminal */
    bool reading;
    list spare; /* memory of stream messages that are over */
    unsigned spare_count;
    bool crowded;      /* a queue of the dialogs fills: its reader is given time before more is read */
    list end_requests; /* who asked this actor to end, and waits for the answer */
    yoke_error *lost;  /* why its dialogs ended; NULL while it lives */
    /* The hashes of the ids of the last dialogs of the peer's that have ended here, to tell a late message
     * from one for a dialog that never was. */
    uint32_t over[PEER_REMEMBERED];
    unsigned over_count;
    unsigned unknown;   /* messages for dialogs that never were */
    yoke_event drained; /* the last message was read */
    yoke_event
        ended; /* the loop has ended; nothing of this peer runs any more but tasks that it had started */
    unsigned references;
    struct yoke_portal portal;
};

/* Takes a channel whose handshake is done, also when this fails. The loop begins with peer_begin. */
YOKE_MUST_USE yoke_error *peer_open(struct peer **peer, struct actor *actor, struct channel *channel);
YOKE_MUST_USE yoke_error *peer_begin(struct peer *peer);
/* Ends the channel and drops the opener's reference; NULL is fine. Not a checkpoint. */
void peer_close(struct peer *peer);
struct peer *peer_keep(struct peer *peer);
void peer_release(struct peer *peer);
/* Cancels what the peer started here, in the name of `canceller`. */
void peer_cancel_served(struct peer *peer, const yoke_uid *canceller);
/* Ends the channel for a message that breaks the protocol. */
void peer_break(struct peer *peer, const char *fmt, ...) YOKE_PRINTF(2, 3);
/* The same for what can't be kept of what it sent, which no dialog could do without. */
void peer_break_without_memory(struct peer *peer, const char *what, size_t bytes);
/* A dialog of the peer's is over here. */
void peer_remember_end(struct peer *peer, const char *cid);
/* A message of the runtime's own; what can't be sent is logged. */
void peer_post(struct peer *peer, const struct msg *m);
/* By channel_post_ahead. */
void peer_post_ahead(struct peer *peer, const struct msg *m);
/* The error for a call on a peer that is gone: a copy. */
yoke_error *peer_lost(struct peer *peer);

#endif
