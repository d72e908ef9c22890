/*
 * A channel: frames of messages over a connected descriptor, both ways.
 *
 * Sending. A frame is appended to the outgoing bytes as a whole, and so is never torn by a cancellation. The
 * first one of a batch is written at once; those that the same batch sends after it wait for the next pass
 * and leave in one write, or earlier when enough has gathered. What the socket does not take is written by a
 * task of the channel's own when it can. A sender waits while more than CHANNEL_HIGH_WATER bytes are queued;
 * the runtime's own answers never wait (channel_post). A large payload is not copied: its sender lends it,
 * and waits till the socket has taken it, or takes it back, by a copy, when it is cancelled meanwhile.
 *
 * Receiving. One task reads as much as there is and is handed message by message, decoded in place. A large
 * payload is read to memory of its own, which the message's taker may keep (large.h).
 *
 * A channel that broke stays broken: each later call returns an error of kind YOKE_TRANSPORT_CLOSED (or the
 * system's, see <yoke/ipc.h>) that names the peer and the reason. When the peer takes no more bytes only the
 * sending ends at once: what it had sent is received first, then the channel breaks.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include "base/loan.h"
#include "ipc/large.h"
#include "ipc/transport.h"
#include "msg/uid.h"
#include "msg/wire.h"
#include "task/poller.h"
#include "task/task.h"

#include <yoke/ipc.h>

enum { CHANNEL_HIGH_WATER = 1 << 18, CHANNEL_CORK_BYTES = 1 << 15, CHANNEL_READ_BYTES = 1 << 16 };

struct channel {
    int fd;
    const struct transport *transport;
    struct poll_watch watch;
    struct channel *twin; /* the other end, of one that is in this process and has no descriptor */
    bool is_here;         /* it is such a one; twin NULL: the other end was closed */
    bool hung_up;         /* nothing more comes from this end of it */
    list arrivals;        /* who waits for what the other end says */
    struct msg_limits limits;
    struct scheduler *scheduler;

    yoke_uid peer; /* from the handshake; the name is "?" before it */
    int64_t peer_pid;
    uid_t peer_user;       /* this one, until the kernel says otherwise; (uid_t)-1: nobody can say */
    bool peer_is_stranger; /* neither the kernel nor a secret tells who it is */
    bool peer_is_yoke;
    bool peer_has_credits;           /* it knows how a stream's sends wait (actor/credit.h) */
    bool peer_is_probe;              /* it only asks who is here */
    enum msg_flag peer_is_registrar; /* as it says of itself */

    struct buffer in;
    struct large large; /* what is read aside of `in` */
    bool exhausted;     /* the last read took all there was: the next one waits for an edge first */
    size_t frame_left;  /* of the message handed out last: consumed by the next receive */
    struct buffer out;
    struct loan loan; /* of the lender's, in `out` */
    list lenders;     /* one at most, till the loan is written */
    uint64_t written_in_pass;
    struct pass_hook flush;
    bool held;     /* what was queued last is soon followed by more: it leaves a pass later */
    bool flushing; /* the channel's own task waits for the socket */
    list senders;  /* waiting for room */
    yoke_event drained;

    yoke_error *broken;
    yoke_error *mute; /* why nothing can be sent any more, while the rest of what came is still read */
    bool cut;         /* frames that were sent did not reach the socket */
    bool closed, ended_by_peer;
    uint64_t frames_in, frames_out; /* handed out; queued */
    uint64_t bytes_in, bytes_out;   /* read; taken by the socket */
};

/* Takes `fd` (non-blocking; closed by channel_close, also when this fails). limits NULL: the defaults. */
YOKE_MUST_USE yoke_error *channel_open(struct channel **channel, int fd, const struct transport *transport,
                                       const struct msg_limits *limits);
/*
 * Both ends of one that leads from this process to itself, without a descriptor: each reads what the other
 * has queued. YOKE_NO_MEMORY: there is none.
 */
YOKE_MUST_USE yoke_error *channel_open_here(struct channel *ends[2]);
/* Sends a message. Checkpoint: a cancellation comes before the frame is queued, or not at all. What the
 * message points to is not needed after it. */
YOKE_MUST_USE yoke_error *channel_send(struct channel *c, const struct msg *m);
/* The same without waiting, ever. For the runtime's answers. Not a checkpoint. */
YOKE_MUST_USE yoke_error *channel_post(struct channel *c, const struct msg *m);
/* The same for one that another will soon follow from a task that is ready: they leave in one write, if that
 * comes in its turn. */
YOKE_MUST_USE yoke_error *channel_post_ahead(struct channel *c, const struct msg *m);
/* Why the channel takes no message any more, or NULL. */
YOKE_MUST_USE yoke_error *channel_takes(struct channel *c);
/*
 * The next message; its views are valid till the next call. Checkpoint. End of file between two frames:
 * YOKE_TRANSPORT_CLOSED with ended_by_peer set. Whatever breaks the protocol breaks the channel.
 */
YOKE_MUST_USE yoke_error *channel_receive(struct channel *c, struct msg *m);
/* Breaks the channel for `e` (ownership passes; if it does not speak of the peer it becomes the cause of one
 * of kind YOKE_TRANSPORT_CLOSED that does): waiting senders and the receiver are woken with it, what was
 * queued is not sent any more. The first reason stays. */
void channel_break(struct channel *c, yoke_error *e);
/* Waits till all that was sent has gone to the socket; YOKE_TRANSPORT_CLOSED if some of it never will.
 * Checkpoint. */
YOKE_MUST_USE yoke_error *channel_drain(struct channel *c);
/* The channel is broken, and the peer is to see its end now, though the struct is still needed here. */
void channel_hang_up(struct channel *c);
/* Closes the descriptor; what was not drained is lost; NULL is fine. The struct must have no task in a call
 * of it but the channel's own. */
void channel_close(struct channel *c);
/* The error for a call on the broken channel; a copy. */
yoke_error *channel_broken(struct channel *c);
/* An error that speaks of the peer of a channel. kind: YOKE_TRANSPORT_CLOSED or one below it. cause: why, or
 * NULL when `how` tells it all; ownership passes. */
yoke_error *channel_error(const yoke_uid *peer, int64_t pid, const yoke_error_kind *kind, yoke_error *cause,
                          const char *how);
/* The same loss told once more: an error like `e`, with notes of its own. */
yoke_error *channel_closed_again(struct channel *c, const yoke_error *e);
/* The peer that a channel's error speaks of, or NULL. */
const yoke_uid *channel_error_peer(const yoke_error *e);

#endif
