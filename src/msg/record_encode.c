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
    text = text ? text : "";
    size_t size = strlen(text);
    if (size > UINT32_MAX)
        return too_long(path, size);
    if (!path->unchecked && !utf8_valid(text, size))
        return record_misfit(path, "not UTF-8");
    pack_text(p, text, size);
    return NULL;
}

static yoke_error *encode_bytes(struct pack *p, const yoke_bytes *bytes, const struct record_path *path)
{
    if (bytes->size > UINT32_MAX)
        return too_long(path, bytes->size);
    if (!bytes->data && bytes->size)
        return record_misfit(path, "%zu bytes without memory", bytes->size);
    msgpack_pack_bin(&p->packer, bytes->size);
    pack_lasting(p, bytes->data, bytes->size);
    return NULL;
}

/* ---- the user's own ---- */

struct yoke_sink {
    struct buffer bytes;
    bool no_memory;
};

void yoke_sink_put(yoke_sink *sink, const void *bytes, size_t size)
{
    if (size && !buffer_append(&sink->bytes, bytes, size))
        sink->no_memory = true;
}

static yoke_error *encode_extension(struct pack *p, const yoke_record *record, const void *item,
                                    const struct record_path *path)
{
    struct yoke_sink sink = {BUFFER_EMPTY, false};
    yoke_error *e = record->extension->encode(item, &sink);
    size_t size = buffer_size(&sink.bytes);
    if (e)
        e = record_misfit_because(path, e, record);
    else if (sink.no_memory)
        e = yoke_raise(&YOKE_NO_MEMORY, "no memory to encode a %s", record->name);
    else if (size > UINT32_MAX)
        e = too_long(path, size);
    if (!e) {
        msgpack_pack_ext(&p->packer, size, record->extension->code);
        pack_raw(p, buffer_begin(&sink.bytes), size);
    }
    buffer_free(&sink.bytes);
    return e;
}

/* ---- containers ---- */

static yoke_error *encode_fields(struct pack *p, const yoke_record *record, const void *item,
                                 const struct record_path *path)
{
    for (size_t i = 0; i < record->count; i++) {
        const yoke_field *field = &record->fields[i];
        const void *part = (const char *)item + field->offset;
        struct record_path here = record_path_field(path, field->name);
        if (!path->unchecked)
            YOKE_TRY(record_check_limit(field, part, &here));
        pack_text(p, field->name, strlen(field->name));
        YOKE_TRY(encode(p, field->record, part, &here));
    }
    return NULL;
}

static yoke_error *encode_struct(struct pack *p, const yoke_record *record, const void *item,
                                 const struct record_path *path)
{
    msgpack_pack_map(&p->packer, record->count);
    return encode_fields(p, record, item, path);
}

static yoke_error *none_of_them(const yoke_record *record, const void *item, const struct record_path *path)
{
    int number;
    memcpy(&number, item, sizeof number);
    return record_misfit(path, "%d is none of the %zu of %s", number, record->count, record->name);
}

static yoke_error *encode_union(struct pack *p, const yoke_record *record, const void *item,
                                const struct record_path *path)
{
    const yoke_field *member = record_chosen(record, item);
    if (!member)
        return none_of_them(record, item, path);
    msgpack_pack_map(&p->packer, member->record->count + 1);
    pack_text(p, RECORD_TAG, strlen(RECORD_TAG));
    pack_text(p, member->name, strlen(member->name));
    return encode_fields(p, member->record, (const char *)item + member->offset, path);
}

static yoke_error *encode_enum(struct pack *p, const yoke_record *record, const void *item,
                               const struct record_path *path)
{
    const yoke_field *value = record_chosen(record, item);
    if (!value)
        return none_of_them(record, item, path);
    pack_text(p, value->name, strlen(value->name));
    return NULL;
}

static yoke_error *encode_optional(struct pack *p, const yoke_record *element, const void *item,
                                   const struct record_path *path)
{
    void *value;
    memcpy(&value, item, sizeof value);
    if (value)
        return encode(p, element, value, path);
    msgpack_pack_nil(&p->packer);
    return NULL;
}

static yoke_error *take_list(const void *item, yoke_items *list, const struct record_path *path)
{
    memcpy(list, item, sizeof *list);
    if (list->count > UINT32_MAX)
        return too_long(path, list->count);
    if (!list->items && list->count > 0)
        return record_misfit(path, "a list of %zu items without memory", list->count);
    return NULL;
}

static yoke_error *encode_list(struct pack *p, const yoke_record *element, const void *item,
                               const struct record_path *path)
{
    yoke_items list;
    YOKE_TRY(take_list(item, &list, path));
    msgpack_pack_array(&p->packer, list.count);
    for (size_t i = 0; i < list.count && !p->fault; i++) {
        struct record_path here = record_path_element(path, i);
        YOKE_TRY(encode(p, element, (const char *)list.items + i * element->size, &here));
    }
    return NULL;
}

static yoke_error *encode_map(struct pack *p, const yoke_record *pair, const void *item,
                              const struct record_path *path)
{
    const yoke_field *value = &pair->fields[1];
    yoke_items list;
    YOKE_TRY(take_list(item, &list, path));
    msgpack_pack_map(&p->packer, list.count);
    for (size_t i = 0; i < list.count && !p->fault; i++) {
        const char *at = (const char *)list.items + i * pair->size;
        const char *key = *(const yoke_type_str *)(const void *)at;
        struct record_path here = record_path_field(path, key ? key : "");
        YOKE_TRY(encode_str(p, key, &here));
        YOKE_TRY(encode(p, value->record, at + value->offset, &here));
    }
    return NULL;
}

/* ---- the walk ---- */

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
    case YOKE_SHAPE_ENUM:
        return encode_enum(p, record, item, path);
    case YOKE_SHAPE_OPTIONAL:
        return encode_optional(p, record->element, item, path);
    case YOKE_SHAPE_EXTENSION:
        return encode_extension(p, record, item, path);
    case YOKE_SHAPE_STRUCT:
    case YOKE_SHAPE_UNION:
    case YOKE_SHAPE_LIST:
    case YOKE_SHAPE_MAP:
        break;
    }
    if (path->depth >= RECORD_NESTING)
        return record_misfit(path, "nested deeper than %d", RECORD_NESTING);
    if (record->shape == YOKE_SHAPE_STRUCT)
        return encode_struct(p, record, item, path);
    if (record->shape == YOKE_SHAPE_UNION)
        return encode_union(p, record, item, path);
    return (record->shape == YOKE_SHAPE_MAP ? encode_map : encode_list)(p, record->element, item, path);
}

yoke_error *record_encode(struct buffer *out, const yoke_record *record, const void *item, const char *path)
{
    return record_encode_with(out, record, item, path, false);
}

yoke_error *record_encode_with(struct buffer *out, const yoke_record *record, const void *item,
                               const char *path, bool unchecked)
{
    return record_encode_lending(out, record, item, path, unchecked, NULL);
}

yoke_error *record_encode_lending(struct buffer *out, const yoke_record *record, const void *item,
                                  const char *path, bool unchecked, struct loan *loan)
{
    if (!item && record->shape != YOKE_SHAPE_NONE && record->shape != YOKE_SHAPE_ANY)
        return yoke_raise(&YOKE_USAGE, "%s: expected %s, got NULL", path, record->name);
    struct record_path root = {.name = path, .unchecked = unchecked};
    struct pack p;
    pack_begin(&p, out, SIZE_MAX);
    p.loan = loan;
    yoke_error *e = encode(&p, record, item, &root);
    if (!e && p.fault)
        e = yoke_raise(&YOKE_NO_MEMORY, "%s: no memory to encode it", path);
    if (!e)
        return NULL;
    pack_undo(&p);
    if (loan)
        loan->size = 0;
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
