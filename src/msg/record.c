/* Records: the basic ones, and what an item of one owns. */
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
