/*
 * From msgpack to an item, checked against the record. The walk goes as deep as the record is nested,
 * whatever the bytes hold. The item is zero before, and what is decoded is in it at once: on an error
 * yoke_record_free finds all of it.
 */
#include "base/memory.h"
#include "msg/cursor.h"
#include "msg/record.h"
#include "msg/record_path.h"
#include "msg/utf8.h"

#include <string.h>

static yoke_error *decode(struct cursor *c, const yoke_record *record, void *item,
                          const struct record_path *path);

static yoke_error *no_memory(void)
{
    return yoke_raise(&YOKE_NO_MEMORY, "no memory for a received value");
}

static yoke_error *malformed(const struct cursor *c, enum cursor_fault fault, const struct record_path *path)
{
    return record_misfit(path, "%s at byte %zu", cursor_fault_text(fault), cursor_offset(c));
}

/* What people read in errors for each shape. */
static const char *shape_name(enum yoke_shape shape)
{
    static const char *const names[] = {"nil",   "any value", "bool",  "int", "int",
                                        "float", "str",       "bytes", "map", "array"};
    return names[shape];
}

static yoke_error *unexpected(enum yoke_shape shape, const struct token *t, const struct record_path *path)
{
    return record_misfit(path, "expected %s, got %s", shape_name(shape), token_type_name(t->type));
}

/* ---- scalars ---- */

static void store(void *item, size_t width, uint64_t bits)
{
    switch (width) {
    case 1:
        *(uint8_t *)item = (uint8_t)bits;
        break;
    case 2:
        *(uint16_t *)item = (uint16_t)bits;
        break;
    case 4:
        *(uint32_t *)item = (uint32_t)bits;
        break;
    default:
        *(uint64_t *)item = bits;
    }
}

static bool fits(const yoke_record *record, const struct token *t)
{
    unsigned bits = 8 * (unsigned)record->size;
    if (record->shape == YOKE_SHAPE_UNSIGNED)
        return t->type == TOKEN_UINT && (bits == 64 || t->uint >> bits == 0);
    if (t->type == TOKEN_UINT)
        return t->uint >> (bits - 1) == 0;
    return bits == 64 || t->sint >= -(int64_t)(1ull << (bits - 1));
}

static yoke_error *decode_int(const yoke_record *record, const struct token *t, void *item,
                              const struct record_path *path)
{
    if (t->type != TOKEN_UINT && t->type != TOKEN_INT)
        return unexpected(record->shape, t, path);
    if (!fits(record, t)) {
        if (t->type == TOKEN_UINT)
            return record_misfit(path, "%llu does not fit %s", (unsigned long long)t->uint, record->name);
        return record_misfit(path, "%lld does not fit %s", (long long)t->sint, record->name);
    }
    store(item, record->size, t->uint);
    return NULL;
}

static yoke_error *decode_float(const struct token *t, double *item, const struct record_path *path)
{
    if (t->type == TOKEN_FLOAT)
        *item = t->real;
    else if (t->type == TOKEN_UINT)
        *item = (double)t->uint;
    else if (t->type == TOKEN_INT)
        *item = (double)t->sint;
    else
        return unexpected(YOKE_SHAPE_F64, t, path);
    return NULL;
}

static yoke_error *decode_str(const struct token *t, yoke_type_str *item, const struct record_path *path)
{
    if (t->type != TOKEN_STR)
        return unexpected(YOKE_SHAPE_STR, t, path);
    if (!utf8_valid(t->bytes, t->size))
        return record_misfit(path, "not UTF-8");
    if (memchr(t->bytes, 0, t->size))
        return record_misfit(path, "a str with a zero byte inside");
    char *text = memory_alloc(t->size + 1);
    if (!text)
        return no_memory();
    memcpy(text, t->bytes, t->size);
    text[t->size] = 0;
    *item = text;
    return NULL;
}

/* The memory is a copy's owner; {NULL, 0} for no bytes at all. */
static yoke_error *copy_bytes(const uint8_t *from, size_t size, uint8_t **data)
{
    *data = memory_alloc(size);
    if (!*data)
        return no_memory();
    memcpy(*data, from, size);
    return NULL;
}

static yoke_error *decode_bytes(const struct token *t, yoke_bytes *item, const struct record_path *path)
{
    if (t->type != TOKEN_BYTES)
        return unexpected(YOKE_SHAPE_BYTES, t, path);
    if (t->size == 0)
        return NULL;
    uint8_t *data;
    YOKE_TRY(copy_bytes(t->bytes, t->size, &data));
    *item = (yoke_bytes){data, t->size};
    return NULL;
}

static yoke_error *decode_any(struct cursor *c, yoke_value *item, const struct record_path *path)
{
    const uint8_t *begin = c->at;
    c->nesting = RECORD_NESTING - path->depth;
    c->texts = true;
    enum cursor_fault fault = cursor_skip(c);
    c->texts = false;
    if (fault)
        return malformed(c, fault, path);
    size_t size = (size_t)(c->at - begin);
    if (size == 1 && *begin == 0xc0)
        return NULL;
    YOKE_TRY(copy_bytes(begin, size, &item->data));
    item->size = size;
    return NULL;
}

/* ---- containers ---- */

/* Room for one more item, zeroed. Grows with what has come: the count that the array announces is not
 * believed. */
static void *list_grow(yoke_items *list, size_t *room, size_t width)
{
    if (list->count == *room) {
        size_t more = *room ? 2 * *room : 8;
        if (more > SIZE_MAX / width)
            return NULL;
        void *items = memory_realloc(list->items, more * width);
        if (!items)
            return NULL;
        list->items = items;
        *room = more;
    }
    return memset((char *)list->items + list->count++ * width, 0, width);
}

static yoke_error *decode_elements(struct cursor *c, const yoke_record *element, uint32_t count,
                                   yoke_items *list, const struct record_path *path)
{
    size_t room = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct record_path here = record_path_element(path, i);
        void *item = list_grow(list, &room, element->size);
        if (!item)
            return no_memory();
        YOKE_TRY(decode(c, element, item, &here));
    }
    return NULL;
}

static yoke_error *decode_list(struct cursor *c, const yoke_record *record, const struct token *t, void *item,
                               const struct record_path *path)
{
    if (t->type != TOKEN_ARRAY)
        return unexpected(YOKE_SHAPE_LIST, t, path);
    /* The member's own struct type is not known here, its layout is. */
    yoke_items list = {NULL, 0};
    yoke_error *e = decode_elements(c, record->element, t->count, &list, path);
    memcpy(item, &list, sizeof list);
    return e;
}

/* Keys mostly come in the record's order, so the one after the last is tried first. */
static size_t find_field(const yoke_record *record, const struct token *key, size_t guess)
{
    for (size_t i = 0; i < record->count; i++) {
        size_t n = (guess + i) % record->count;
        const char *name = record->fields[n].name;
        if (strlen(name) == key->size && memcmp(name, key->bytes, key->size) == 0)
            return n;
    }
    return record->count;
}

static yoke_error *unknown_key(const struct token *key, const struct record_path *path)
{
    char name[64];
    if (!utf8_valid(key->bytes, key->size) || memchr(key->bytes, 0, key->size))
        return record_misfit(path, "an unknown key that is no text");
    snprintf(name, sizeof name, "%.*s", key->size < 60 ? (int)key->size : 60, (const char *)key->bytes);
    struct record_path here = record_path_field(path, name);
    return record_misfit(&here, "unknown");
}

static yoke_error *decode_pair(struct cursor *c, const yoke_record *record, void *item, uint64_t *seen,
                               size_t *guess, const struct record_path *path)
{
    struct token key;
    enum cursor_fault fault = cursor_next(c, &key);
    if (fault)
        return malformed(c, fault, path);
    if (key.type != TOKEN_STR)
        return record_misfit(path, "expected str as a key, got %s", token_type_name(key.type));
    size_t n = find_field(record, &key, *guess);
    if (n == record->count)
        return unknown_key(&key, path);
    const yoke_field *field = &record->fields[n];
    struct record_path here = record_path_field(path, field->name);
    if (*seen & 1ull << n)
        return record_misfit(&here, "twice");
    *seen |= 1ull << n;
    *guess = n + 1;
    return decode(c, field->record, (char *)item + field->offset, &here);
}

static yoke_error *decode_struct(struct cursor *c, const yoke_record *record, const struct token *t,
                                 void *item, const struct record_path *path)
{
    uint64_t seen = 0;
    size_t guess = 0;
    if (t->type != TOKEN_MAP)
        return unexpected(YOKE_SHAPE_STRUCT, t, path);
    if (record->count > 64)
        return yoke_raise(&YOKE_USAGE, "record %s: %zu fields, at most 64 are allowed", record->name,
                          record->count);
    for (uint32_t i = 0; i < t->count; i++)
        YOKE_TRY(decode_pair(c, record, item, &seen, &guess, path));
    for (size_t n = 0; n < record->count; n++) {
        struct record_path here = record_path_field(path, record->fields[n].name);
        if (!(seen & 1ull << n))
            return record_misfit(&here, "missing");
    }
    return NULL;
}

/* ---- the walk ---- */

static yoke_error *decode(struct cursor *c, const yoke_record *record, void *item,
                          const struct record_path *path)
{
    if (record->shape == YOKE_SHAPE_ANY)
        return decode_any(c, item, path);
    struct token t;
    enum cursor_fault fault = cursor_next(c, &t);
    if (fault)
        return malformed(c, fault, path);
    switch (record->shape) {
    case YOKE_SHAPE_NONE:
        return t.type == TOKEN_NIL ? NULL : unexpected(record->shape, &t, path);
    case YOKE_SHAPE_BOOLEAN:
        if (t.type != TOKEN_BOOL)
            return unexpected(record->shape, &t, path);
        *(bool *)item = t.boolean;
        return NULL;
    case YOKE_SHAPE_SIGNED:
    case YOKE_SHAPE_UNSIGNED:
        return decode_int(record, &t, item, path);
    case YOKE_SHAPE_F64:
        return decode_float(&t, item, path);
    case YOKE_SHAPE_STR:
        return decode_str(&t, item, path);
    case YOKE_SHAPE_BYTES:
        return decode_bytes(&t, item, path);
    default:
        break;
    }
    if (path->depth >= RECORD_NESTING)
        return record_misfit(path, "nested deeper than %d", RECORD_NESTING);
    if (record->shape == YOKE_SHAPE_STRUCT)
        return decode_struct(c, record, &t, item, path);
    return decode_list(c, record, &t, item, path);
}

yoke_error *record_decode(const yoke_record *record, const uint8_t *data, size_t size, const char *path,
                          void *item)
{
    struct record_path root = {NULL, path, 0, 0};
    if (!item && record->shape != YOKE_SHAPE_NONE)
        return yoke_raise(&YOKE_USAGE, "%s: nowhere to put the %s", path, record->name);
    if (item)
        memset(item, 0, record->size);
    struct cursor c = cursor_over(data, size, SIZE_MAX, RECORD_NESTING);
    yoke_error *e = decode(&c, record, item, &root);
    if (!e && c.at != c.end)
        e = record_misfit(&root, "%zu bytes behind the value", (size_t)(c.end - c.at));
    if (e)
        yoke_record_free(record, item);
    return e;
}

yoke_error *record_decode_args(const yoke_record *record, const uint8_t *data, size_t size, void *item)
{
    static const yoke_record no_arguments = {"none", 0, YOKE_SHAPE_STRUCT, NULL, 0, NULL};
    char nothing;
    if (record->shape == YOKE_SHAPE_NONE)
        return record_decode(&no_arguments, data, size, "args", &nothing);
    if (record->shape != YOKE_SHAPE_STRUCT)
        return yoke_raise(&YOKE_USAGE, "arguments are a record of YOKE_RECORD or none, not %s", record->name);
    return record_decode(record, data, size, "args", item);
}
