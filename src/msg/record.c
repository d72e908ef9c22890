/* Records: the basic ones, what an item owns, and the ways through a generic value. */
#include "msg/record.h"

#include "base/memory.h"
#include "msg/record_path.h"

#include <string.h>

#define BASIC(name, shape)                                                                                   \
    const yoke_record yoke_record_##name = {#name, sizeof(yoke_type_##name), shape, NULL, 0, NULL, false,    \
                                            NULL}

BASIC(none, YOKE_SHAPE_NONE);
BASIC(any, YOKE_SHAPE_ANY);
BASIC(boolean, YOKE_SHAPE_BOOLEAN);
BASIC(i8, YOKE_SHAPE_SIGNED);
BASIC(i16, YOKE_SHAPE_SIGNED);
BASIC(i32, YOKE_SHAPE_SIGNED);
BASIC(i64, YOKE_SHAPE_SIGNED);
BASIC(u8, YOKE_SHAPE_UNSIGNED);
BASIC(u16, YOKE_SHAPE_UNSIGNED);
BASIC(u32, YOKE_SHAPE_UNSIGNED);
BASIC(u64, YOKE_SHAPE_UNSIGNED);
BASIC(f64, YOKE_SHAPE_F64);
BASIC(str, YOKE_SHAPE_STR);
BASIC(bytes, YOKE_SHAPE_BYTES);

/* ---- paths ---- */

#define PATH_BYTES 512

static void append(char *out, size_t *used, const char *fmt, ...) YOKE_PRINTF(3, 4);
static void append(char *out, size_t *used, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int wrote = vsnprintf(out + *used, PATH_BYTES - *used, fmt, args);
    va_end(args);
    if (wrote > 0)
        *used = *used + (size_t)wrote < PATH_BYTES ? *used + (size_t)wrote : PATH_BYTES - 1;
}

static void write_path(char *out, const struct record_path *path)
{
    const struct record_path *steps[RECORD_NESTING + 2];
    size_t count = 0, used = 0;
    for (const struct record_path *step = path; step && count < RECORD_NESTING + 2; step = step->up)
        steps[count++] = step;
    out[0] = 0;
    while (count > 0) {
        const struct record_path *step = steps[--count];
        if (step->name)
            append(out, &used, "%s%s", step->up ? "." : "", step->name);
        else
            append(out, &used, "[%zu]", step->index);
    }
}

yoke_error *record_misfit(const struct record_path *path, const char *fmt, ...)
{
    char where[PATH_BYTES], what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    write_path(where, path);
    return yoke_raise(&YOKE_MSG_TYPE, "%s: %s", where, what);
}

yoke_error *record_misfit_because(const struct record_path *path, yoke_error *cause,
                                  const yoke_record *record)
{
    char where[PATH_BYTES];
    write_path(where, path);
    return yoke_wrap(cause, &YOKE_MSG_TYPE, "%s: no %s", where, record->name);
}

/* ---- what an item owns ---- */

static bool can_own(const yoke_record *record)
{
    switch (record->shape) {
    case YOKE_SHAPE_NONE:
    case YOKE_SHAPE_BOOLEAN:
    case YOKE_SHAPE_SIGNED:
    case YOKE_SHAPE_UNSIGNED:
    case YOKE_SHAPE_F64:
    case YOKE_SHAPE_ENUM:
        return false;
    default:
        return true;
    }
}

/* A map is a list of pairs. */
static void free_list(const yoke_record *element, const void *item)
{
    yoke_items list;
    memcpy(&list, item, sizeof list);
    if (can_own(element))
        for (size_t i = 0; i < list.count; i++)
            yoke_record_free(element, (char *)list.items + i * element->size);
    memory_free(list.items);
}

static void free_optional(const yoke_record *element, const void *item)
{
    void *value;
    memcpy(&value, item, sizeof value);
    yoke_record_free(element, value);
    memory_free(value);
}

static void free_fields(const yoke_record *record, void *item)
{
    for (size_t i = 0; i < record->count; i++)
        yoke_record_free(record->fields[i].record, (char *)item + record->fields[i].offset);
}

/* Goes as deep as the record is nested, which is the program's own doing. */
void yoke_record_free(const yoke_record *record, void *item)
{
    if (!item)
        return;
    const yoke_field *member;
    switch (record->shape) {
    case YOKE_SHAPE_ANY:
        memory_free(((yoke_value *)item)->data);
        break;
    case YOKE_SHAPE_STR:
        memory_free((void *)*(const yoke_type_str *)item);
        break;
    case YOKE_SHAPE_BYTES:
        memory_free((void *)((yoke_bytes *)item)->data);
        break;
    case YOKE_SHAPE_LIST:
    case YOKE_SHAPE_MAP:
        free_list(record->element, item);
        break;
    case YOKE_SHAPE_OPTIONAL:
        free_optional(record->element, item);
        break;
    case YOKE_SHAPE_STRUCT:
        free_fields(record, item);
        break;
    case YOKE_SHAPE_UNION:
        member = record_chosen(record, item);
        if (member)
            yoke_record_free(member->record, (char *)item + member->offset);
        break;
    case YOKE_SHAPE_EXTENSION:
        if (record->extension->free)
            record->extension->free(item);
        break;
    default:
        break;
    }
    memset(item, 0, record->size);
}

/* ---- fields ---- */

const yoke_field *record_chosen(const yoke_record *record, const void *item)
{
    unsigned number;
    memcpy(&number, item, sizeof number);
    return number < record->count ? &record->fields[number] : NULL;
}

static size_t length(const yoke_record *record, const void *item)
{
    yoke_items list;
    switch (record->shape) {
    case YOKE_SHAPE_STR:
        return *(const yoke_type_str *)item ? strlen(*(const yoke_type_str *)item) : 0;
    case YOKE_SHAPE_BYTES:
        return ((const yoke_bytes *)item)->size;
    case YOKE_SHAPE_LIST:
    case YOKE_SHAPE_MAP:
        memcpy(&list, item, sizeof list);
        return list.count;
    default:
        return 0;
    }
}

yoke_error *record_check_limit(const yoke_field *field, const void *item, const struct record_path *path)
{
    size_t size = field->limit ? length(field->record, item) : 0;
    if (size <= field->limit)
        return NULL;
    bool is_list = field->record->shape == YOKE_SHAPE_LIST || field->record->shape == YOKE_SHAPE_MAP;
    return record_misfit(path, "%zu %s, at most %zu are allowed", size, is_list ? "items" : "bytes",
                         field->limit);
}

/* ---- values ---- */

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
