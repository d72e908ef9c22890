/* Records on the wire: from the C struct to msgpack and back, checked. */
#ifndef MSG_RECORD_H
#define MSG_RECORD_H

#include "base/buffer.h"

#include <yoke/msg.h>

/* Appends `item` (NULL for `none`). YOKE_NO_MEMORY, YOKE_MSG_TYPE (a text that is not UTF-8, with its path); nothing is appended then. */
YOKE_MUST_USE yoke_error *record_encode(struct buffer *out, const yoke_record *record, const void *item, const char *path);
/*
 * Fills `item` (record->size bytes) from one msgpack value. What it then owns is freed by yoke_record_free. Does not fit: YOKE_MSG_TYPE
 * that names the path, begun with `path`: `args.points[3].x: expected float, got str`; `args.b: missing`; `args.c: unknown`. Nothing is owned then.
 */
YOKE_MUST_USE yoke_error *record_decode(const yoke_record *record, const uint8_t *data, size_t size, const char *path,
                                        void *item);

#endif
