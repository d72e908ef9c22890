/* From an item to msgpack: the walk follows the record, the packer is msgpack-c's. */
#include "msg/cursor.h"
#include "msg/pack.h"
#include "msg/record.h"
#include "msg/record_path.h"
#include "msg/utf8.h"

#include <string.h>

static yoke_error *encode(struct pack *p, const yoke_record *record, const void *item,
                          const struct record_path *path);

static yoke_error *encode_any(struct pack *p, const yoke_value *value, const struct record_path *path)
{
    if (!value || !value->data) {
        msgpack_pack_nil(&p->packer);
        return NULL;
    }
    struct cursor c = cursor_over(value->data, value->size, SIZE_MAX, RECORD_NESTING - path->depth);
    c.texts = true;
    enum cursor_fault fault = cursor_skip(&c);
    if (fault)
        return record_misfit(path, "not well-formed: %s at byte %zu", cursor_fault_text(fault),
                             cursor_offset(&c));
    if (c.at != c.end)
        return record_misfit(path, "%zu bytes behind the value", (size_t)(c.end - c.at));
    pack_raw(p, value->data, value->size);
    return NULL;
}

static void encode_signed(struct pack *p, const void *item, size_t width)
{
    switch (width) {
    case 1:
        pack_int(p, *(const int8_t *)item);
        break;
    case 2:
        pack_int(p, *(const int16_t *)item);
        break;
    case 4:
        pack_int(p, *(const int32_t *)item);
        break;
    default:
        pack_int(p, *(const int64_t *)item);
    }
}

static void encode_unsigned(struct pack *p, const void *item, size_t width)
{
    switch (width) {
    case 1:
        msgpack_pack_uint8(&p->packer, *(const uint8_t *)item);
        break;
    case 2:
        msgpack_pack_uint16(&p->packer, *(const uint16_t *)item);
        break;
    case 4:
        msgpack_pack_uint32(&p->packer, *(const uint32_t *)item);
        break;
    default:
        msgpack_pack_uint64(&p->packer, *(const uint64_t *)item);
    }
}

static yoke_error *too_long(const struct record_path *path, size_t size)
{
    return record_misfit(path, "%zu: more than msgpack can count", size);
}

static yoke_error *encode_str(struct pack *p, const char *text, const struct record_path *path)
{
    size_t size = text ? strlen(text) : 0;
    if (size > UINT32_MAX)
        return too_long(path, size);
    if (!utf8_valid(text, size))
        return record_misfit(path, "not UTF-8");
    pack_text(p, text, size);
    return NULL;
}

static yoke_error *encode_bytes(struct pack *p, const yoke_bytes *bytes, const struct record_path *path)
{
    if (bytes->size > UINT32_MAX)
        return too_long(path, bytes->size);
    msgpack_pack_bin(&p->packer, bytes->size);
    pack_raw(p, bytes->data, bytes->size);
    return NULL;
}

static yoke_error *encode_struct(struct pack *p, const yoke_record *record, const void *item,
                                 const struct record_path *path)
{
    msgpack_pack_map(&p->packer, record->count);
    for (size_t i = 0; i < record->count; i++) {
        const yoke_field *field = &record->fields[i];
        struct record_path here = record_path_field(path, field->name);
        pack_text(p, field->name, strlen(field->name));
        YOKE_TRY(encode(p, field->record, (const char *)item + field->offset, &here));
    }
    return NULL;
}

static yoke_error *encode_list(struct pack *p, const yoke_record *element, const void *item,
                               const struct record_path *path)
{
    yoke_items list;
    memcpy(&list, item, sizeof list);
    if (list.count > UINT32_MAX)
        return too_long(path, list.count);
    if (!list.items && list.count > 0)
        return record_misfit(path, "a list of %zu items without memory", list.count);
    msgpack_pack_array(&p->packer, list.count);
    for (size_t i = 0; i < list.count && !p->fault; i++) {
        struct record_path here = record_path_element(path, i);
        YOKE_TRY(encode(p, element, (const char *)list.items + i * element->size, &here));
    }
    return NULL;
}

static yoke_error *encode(struct pack *p, const yoke_record *record, const void *item,
                          const struct record_path *path)
{
    switch (record->shape) {
    case YOKE_SHAPE_NONE:
        msgpack_pack_nil(&p->packer);
        return NULL;
    case YOKE_SHAPE_ANY:
        return encode_any(p, item, path);
    case YOKE_SHAPE_BOOLEAN:
        if (*(const bool *)item)
            msgpack_pack_true(&p->packer);
        else
            msgpack_pack_false(&p->packer);
        return NULL;
    case YOKE_SHAPE_SIGNED:
        encode_signed(p, item, record->size);
        return NULL;
    case YOKE_SHAPE_UNSIGNED:
        encode_unsigned(p, item, record->size);
        return NULL;
    case YOKE_SHAPE_F64:
        msgpack_pack_double(&p->packer, *(const double *)item);
        return NULL;
    case YOKE_SHAPE_STR:
        return encode_str(p, *(const yoke_type_str *)item, path);
    case YOKE_SHAPE_BYTES:
        return encode_bytes(p, item, path);
    default:
        break;
    }
    if (path->depth >= RECORD_NESTING)
        return record_misfit(path, "nested deeper than %d", RECORD_NESTING);
    if (record->shape == YOKE_SHAPE_STRUCT)
        return encode_struct(p, record, item, path);
    return encode_list(p, record->element, item, path);
}

yoke_error *record_encode(struct buffer *out, const yoke_record *record, const void *item, const char *path)
{
    if (!item && record->shape != YOKE_SHAPE_NONE && record->shape != YOKE_SHAPE_ANY)
        return yoke_raise(&YOKE_USAGE, "%s: expected %s, got NULL", path, record->name);
    struct record_path root = {NULL, path, 0, 0};
    struct pack p;
    pack_begin(&p, out, SIZE_MAX);
    yoke_error *e = encode(&p, record, item, &root);
    if (!e && p.fault)
        e = yoke_raise(&YOKE_NO_MEMORY, "%s: no memory to encode it", path);
    if (e)
        pack_undo(&p);
    return e;
}

yoke_error *record_encode_args(struct buffer *out, const yoke_record *record, const void *item)
{
    static const uint8_t empty_map[1] = {0x80};
    if (record->shape == YOKE_SHAPE_STRUCT)
        return record_encode(out, record, item, "args");
    if (record->shape != YOKE_SHAPE_NONE)
        return yoke_raise(&YOKE_USAGE, "arguments are a record of YOKE_RECORD or none, not %s", record->name);
    if (!buffer_append(out, empty_map, sizeof empty_map))
        return yoke_raise(&YOKE_NO_MEMORY, "args: no memory to encode it");
    return NULL;
}
