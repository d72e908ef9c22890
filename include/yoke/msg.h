/*
 * Floor 2: what a message carries: records (C structs that know how to travel) and generic values.
 *
 * No function here blocks; all may be called from any thread, inside of a task or not.
 */
#ifndef YOKE_MSG_H
#define YOKE_MSG_H

#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

extern const yoke_error_kind YOKE_PROTOCOL;  /* a peer's bytes break the protocol */
extern const yoke_error_kind YOKE_TOO_LARGE; /* a message over the limit (64 MiB) */
extern const yoke_error_kind YOKE_MSG_TYPE;  /* a payload that does not fit its record: the text names the path of the bad field */

/* An actor: its name (not unique) and its UUID (unique). Zero-terminated. */
typedef struct yoke_uid {
    char name[65];
    char uuid[37];
} yoke_uid;
/* NULL equals nothing. */
bool yoke_uid_equal(const yoke_uid *a, const yoke_uid *b);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
