/* Who an actor is: its name and a random UUID. */
#ifndef MSG_UID_H
#define MSG_UID_H

#include "msg/wire.h"

#include <yoke/msg.h>

/* A new uid; the name is cut at 64 bytes. The UUID is of version 4 (RFC 9562), from getrandom(2). */
void uid_make(yoke_uid *uid, const char *name);
/* Views of `uid`, valid as long as it. */
struct uid_view uid_view(const yoke_uid *uid);
/* YOKE_PROTOCOL if it is nil, too long (64 and 36 bytes) or not UTF-8. */
YOKE_MUST_USE yoke_error *uid_from_view(yoke_uid *uid, struct uid_view view);
/* What a person may name an actor: 1 to 64 bytes of UTF-8 without '/' and control characters; else YOKE_USAGE
 * that says what is wrong. */
YOKE_MUST_USE yoke_error *uid_check_name(const char *name);

#endif
