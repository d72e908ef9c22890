/*
 * Errors that travel. On the wire an error is the protocol's Error message, which tells its source, its kind
 * and a text; between two yoke peers the extra key `yoke` holds the whole tree besides: every cause and
 * member with its place, task, trace, notes and backtrace.
 *
 * What arrives is of kind YOKE_REMOTE, with the error as it was there as its cause; or, if the far task was
 * cancelled, of kind YOKE_CONTEXT_CANCELLED.
 */
#ifndef ACTOR_RELAY_H
#define ACTOR_RELAY_H

#include "actor/peer.h"

/* Sends `e` as the last message of dialog `cid` (stays the caller's). sender: of what was
 * refused, too much of it or what does not fit; else NULL. */
void relay_post(struct peer *peer, struct text_view cid, const yoke_error *e, const yoke_uid *sender);
/* The error that an Error message tells of. Never fails; without memory it is one that says so. */
yoke_error *relay_unpack(const struct msg *m, struct peer *peer);
/* One of kind YOKE_CONTEXT_CANCELLED, raised in actor `source`. */
yoke_error *relay_cancelled(const yoke_uid *source, const yoke_uid *canceller, const char *fmt, ...)
    YOKE_PRINTF(3, 4);
/* Does `e` say more than that a task was cancelled, or that `peer` is gone? What nobody can be told of is
 * logged accordingly. */
bool relay_is_news(struct peer *peer, const yoke_error *e);
/* Is `e` a group of nothing but cancellations, of whatever origin? */
bool relay_is_all_cancelled(const yoke_error *e);
/* Are these one error, which came over the wire once? False for errors that did not. */
bool relay_is_same(const yoke_error *a, const yoke_error *b);

#endif
