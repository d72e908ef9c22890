/* Records on the wire: from the C struct to msgpack and back, checked. */
#ifndef MSG_RECORD_H
#define MSG_RECORD_H

#include "base/loan.h"

#include <yoke/msg.h>

/*
 * Appends `item` (may be NULL for `none` and `any`: nil). YOKE_NO_MEMORY; YOKE_MSG_TYPE with its path: a text
 * that is not UTF-8, an `any` that is not one well-formed value, a list that counts items and has none;
 * YOKE_USAGE: NULL for another record. Nothing is appended then.
 */
YOKE_MUST_USE yoke_error *record_encode(struct buffer *out, const yoke_record *record, const void *item,
                                        const char *path);
struct aside;

/* The same; unchecked: whether texts are UTF-8 and within their limits is left for the receiver to see. */
YOKE_MUST_USE yoke_error *record_encode_with(struct buffer *out, const yoke_record *record, const void *item,
                                             const char *path, bool unchecked);
/* The same; what is large of the item may be lent to `loan` (of size 0; NULL: nothing) instead of being
 * copied. */
YOKE_MUST_USE yoke_error *record_encode_lending(struct buffer *out, const yoke_record *record,
                                                const void *item, const char *path, bool unchecked,
                                                struct loan *loan);
/*
 * Fills `item` (record->size bytes; may be NULL for `none`) from one msgpack value. What it then owns is
 * freed by yoke_record_free. Does not fit: YOKE_MSG_TYPE that names the path, begun with `path`:
 * `args.points[3].x: expected float, got str`; `args.b: missing`; `args.c: unknown`; `args.x: 300 does not
 * fit u8 (0 to 255)`. Or YOKE_NO_MEMORY. Nothing is owned then, the item is zero.
 */
YOKE_MUST_USE yoke_error *record_decode(const yoke_record *record, const uint8_t *data, size_t size,
                                        const char *path, void *item);
/* The same for a value that may have an aside (NULL: none). */
YOKE_MUST_USE yoke_error *record_decode_aside(const yoke_record *record, const uint8_t *data, size_t size,
                                              const char *path, void *item, struct aside *aside);
/*
 * As record_decode for the arguments of an endpoint, whose path is `args`: `none` is the empty map (`item`
 * may be NULL then); any record but it and a struct is YOKE_USAGE.
 */
YOKE_MUST_USE yoke_error *record_encode_args(struct buffer *out, const yoke_record *record, const void *item);
YOKE_MUST_USE yoke_error *record_decode_args(const yoke_record *record, const uint8_t *data, size_t size,
                                             void *item);

#endif
