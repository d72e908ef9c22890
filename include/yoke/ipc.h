/*
 * Floor 3: channels between processes. What a user sees of it are the kinds of its errors.
 */
#ifndef YOKE_IPC_H
#define YOKE_IPC_H

#include <yoke/msg.h>
#include <yoke/task.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * The connection to the peer is gone. The text names the peer and says how; so do the kinds below this one. A
 * connection that failed for a reason of the system's (EIO, say) is of that kind, since it tells nothing of
 * the peer.
 */
extern const yoke_error_kind YOKE_TRANSPORT_CLOSED;
extern const yoke_error_kind YOKE_TRANSPORT_ENDED;    /* the peer closed it, between two frames */
extern const yoke_error_kind YOKE_TRANSPORT_RESET;    /* the peer was gone when it was spoken to */
extern const yoke_error_kind YOKE_TRANSPORT_VANISHED; /* its host does not answer any more */
extern const yoke_error_kind YOKE_TRANSPORT_TORN;     /* it ended in the middle of a frame */
extern const yoke_error_kind YOKE_TRANSPORT_LOCAL;    /* this side closed it */
extern const yoke_error_kind YOKE_TRANSPORT_PROTOCOL; /* the peer broke the protocol; the cause says how */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
