/* Generic values: one encoded item each, that carries no record with it. */
#include "msg/record.h"

static const uint8_t nil[1] = {0xc0};

yoke_error *yoke_value_from(yoke_value *out, const yoke_record *record, const void *item)
{
    *out = (yoke_value){NULL, 0};
    struct buffer encoded = BUFFER_EMPTY;
    YOKE_TRY(record_encode(&encoded, record, item, "value"));
    if (buffer_size(&encoded) == 1 && *buffer_begin(&encoded) == *nil) {
        buffer_free(&encoded);
        return NULL;
    }
    /* A buffer that was only appended to begins at its memory's start, so the memory can change hands. */
    *out = (yoke_value){encoded.data, buffer_size(&encoded)};
    return NULL;
}

yoke_error *yoke_value_to(const yoke_value *value, const yoke_record *record, void *item)
{
    if (!value->data)
        return record_decode(record, nil, sizeof nil, "value", item);
    return record_decode(record, value->data, value->size, "value", item);
}

void yoke_value_free(yoke_value *value)
{
    yoke_record_free(&yoke_record_any, value);
}
