/* Decoding of what is one token of msgpack, and the words of its misfits. */
#ifndef MSG_RECORD_SCALAR_H
#define MSG_RECORD_SCALAR_H

#include "msg/cursor.h"
#include "msg/record_path.h"

/* All shapes but `any`, optionals and containers. */
bool record_is_scalar(const yoke_record *record);
/* Into an item that is zero. YOKE_MSG_TYPE, YOKE_NO_MEMORY; what the item owns then is for yoke_record_free.
 */
YOKE_MUST_USE yoke_error *record_decode_scalar(const yoke_record *record, const struct token *t, void *item,
                                               const struct record_path *path);
YOKE_MUST_USE yoke_error *record_decode_str(const struct token *t, yoke_type_str *item,
                                            const struct record_path *path);
YOKE_MUST_USE yoke_error *record_copy_bytes(const uint8_t *from, size_t size, uint8_t **data);
/* The field of an enum or a union that the text names, or NULL. */
const yoke_field *record_find_name(const yoke_record *record, const struct token *t);

/* "expected int, got str" */
YOKE_MUST_USE yoke_error *record_unexpected(enum yoke_shape shape, const struct token *t,
                                            const struct record_path *path);
/* "expected color (red, green), got "pink"" */
YOKE_MUST_USE yoke_error *record_none_of_them(const yoke_record *record, const struct token *t,
                                              const struct record_path *path);
YOKE_MUST_USE yoke_error *record_no_memory(void);

#endif
