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

/* The connection to the peer is gone: the peer ended, died, or broke the protocol. The text names the peer
 * and says how. */
extern const yoke_error_kind YOKE_TRANSPORT_CLOSED;

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
