/*
 * From msgpack to an item, checked against the record. The walk goes as deep as the record is nested,
 * whatever the bytes hold. The item is zero before, and what is decoded is in it at once: on an error
 * yoke_record_free finds all of it.
 */
#include "base/memory.h"
#include "msg/cursor.h"
#include "msg/record.h"
#include "msg/record_path.h"
#include "msg/record_scalar.h"
#include "msg/utf8.h"

#include <stdlib.h>
#include <string.h>

static yoke_error *decode(struct cursor *c, const yoke_record *record, void *item,
                          const struct record_path *path);

static yoke_error *malformed(const struct cursor *c, enum cursor_fault fault, const struct record_path *path)
{
    return record_misfit(path, "%s at byte %zu", cursor_fault_text(fault), cursor_offset(c));
}

/* The whole of a value that has an aside inside. */
static yoke_error *copy_around(const struct aside *aside, const uint8_t *begin, size_t size, yoke_value *item)
{
    size_t before = (size_t)(aside->at - begin);
    uint8_t *whole = memory_alloc(size + aside->size);
    if (!whole)
        return record_no_memory();
    memcpy(whole, begin, before);
    memcpy(whole + before, aside->data, aside->size);
    if (size > before)
        memcpy(whole + before + aside->size, aside->at, size - before);
    *item = (yoke_value){whole, size + aside->size};
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
    if (aside_is_in(c->aside, begin, c->at))
        return copy_around(c->aside, begin, size, item);
    YOKE_TRY(record_copy_bytes(begin, size, &item->data));
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
            return record_no_memory();
        YOKE_TRY(decode(c, element, item, &here));
    }
    return NULL;
}

static yoke_error *decode_list(struct cursor *c, const yoke_record *record, const struct token *t, void *item,
                               const struct record_path *path)
{
    if (t->type != TOKEN_ARRAY)
        return record_unexpected(YOKE_SHAPE_LIST, t, path);
    /* The member's own struct type is not known here, its layout is. */
    yoke_items list = {NULL, 0};
    yoke_error *e = decode_elements(c, record->element, t->count, &list, path);
    memcpy(item, &list, sizeof list);
    return e;
}

static yoke_error *key_text(const struct token *key, const struct record_path *path)
{
    if (key->type == TOKEN_STR)
        return NULL;
    return record_misfit(path, "expected str as a key, got %s", token_type_name(key->type));
}

/* ---- maps ---- */

static yoke_error *decode_key(struct cursor *c, yoke_type_str *key, const struct record_path *path)
{
    struct token t;
    enum cursor_fault fault = cursor_next(c, &t);
    if (fault)
        return malformed(c, fault, path);
    YOKE_TRY(key_text(&t, path));
    return record_decode_str(&t, key, path);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(**(const yoke_type_str *const *)a, **(const yoke_type_str *const *)b);
}

/* Sorted, so that a peer can't make this cost the square of what it sends. */
static yoke_error *refuse_twins(const yoke_items *list, size_t width, const struct record_path *path)
{
    if (list->count < 2)
        return NULL;
    const yoke_type_str **keys = memory_alloc(list->count * sizeof *keys), *twin = NULL;
    if (!keys)
        return record_no_memory();
    for (size_t i = 0; i < list->count; i++)
        keys[i] = (const yoke_type_str *)(const void *)((const char *)list->items + i * width);
    qsort(keys, list->count, sizeof *keys, by_key);
    for (size_t i = 1; i < list->count && !twin; i++)
        if (strcmp(*keys[i - 1], *keys[i]) == 0)
            twin = keys[i];
    memory_free(keys);
    if (!twin)
        return NULL;
    struct record_path here = record_path_field(path, *twin);
    return record_misfit(&here, "twice");
}

static yoke_error *decode_map_pairs(struct cursor *c, const yoke_record *pair, uint32_t count,
                                    yoke_items *list, const struct record_path *path)
{
    const yoke_field *value = &pair->fields[1];
    size_t room = 0;
    for (uint32_t i = 0; i < count; i++) {
        char *item = list_grow(list, &room, pair->size);
        if (!item)
            return record_no_memory();
        yoke_type_str *key = (yoke_type_str *)(void *)item;
        YOKE_TRY(decode_key(c, key, path));
        struct record_path here = record_path_field(path, *key);
        YOKE_TRY(decode(c, value->record, item + value->offset, &here));
    }
    return refuse_twins(list, pair->size, path);
}

static yoke_error *decode_map(struct cursor *c, const yoke_record *record, const struct token *t, void *item,
                              const struct record_path *path)
{
    if (t->type != TOKEN_MAP)
        return record_unexpected(YOKE_SHAPE_MAP, t, path);
    yoke_items list = {NULL, 0};
    yoke_error *e = decode_map_pairs(c, record->element, t->count, &list, path);
    memcpy(item, &list, sizeof list);
    return e;
}

/* ---- structs and unions ---- */

/* Names are short: two calls for each would take longer. */
static inline bool is_name(const char *name, const struct token *key)
{
    size_t i = 0;
    while (i < key->size && name[i] && name[i] == (char)key->bytes[i])
        i++;
    return i == key->size && !name[i];
}

/* Keys mostly come in the record's order, so the one after the last is tried first. */
static size_t find_field(const yoke_record *record, const struct token *key, size_t guess)
{
    for (size_t i = 0; i < record->count; i++) {
        size_t n = (guess + i) % record->count;
        if (is_name(record->fields[n].name, key))
            return n;
    }
    return record->count;
}

static yoke_error *skip(struct cursor *c, const struct record_path *path)
{
    c->nesting = RECORD_NESTING - path->depth;
    enum cursor_fault fault = cursor_skip(c);
    return fault ? malformed(c, fault, path) : NULL;
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

/* How far the decoding of a struct has come. */
struct fields {
    const yoke_record *record;
    void *item;
    bool strict;
    bool tagged; /* it is in a union, whose tag is beside its fields */
    uint64_t seen;
    size_t guess;
};

static bool is_tag(const struct token *key)
{
    return key->size == strlen(RECORD_TAG) && memcmp(key->bytes, RECORD_TAG, key->size) == 0;
}

static yoke_error *decode_pair(struct cursor *c, struct fields *f, const struct record_path *path)
{
    struct token key;
    enum cursor_fault fault = cursor_next(c, &key);
    if (fault)
        return malformed(c, fault, path);
    YOKE_TRY(key_text(&key, path));
    if (f->tagged && is_tag(&key))
        return skip(c, path);
    size_t n = find_field(f->record, &key, f->guess);
    if (n == f->record->count)
        return f->strict ? unknown_key(&key, path) : skip(c, path);
    const yoke_field *field = &f->record->fields[n];
    struct record_path here = record_path_field(path, field->name);
    if (f->seen & 1ull << n)
        return record_misfit(&here, "twice");
    f->seen |= 1ull << n;
    f->guess = n + 1;
    void *part = (char *)f->item + field->offset;
    YOKE_TRY(decode(c, field->record, part, &here));
    return record_check_limit(field, part, &here);
}

/* An item of its own, as if it had come. */
static yoke_error *take_default(const yoke_field *field, void *item)
{
    struct buffer encoded = BUFFER_EMPTY;
    yoke_error *e = record_encode(&encoded, field->record, field->fallback, field->name);
    if (!e)
        e = record_decode(field->record, buffer_begin(&encoded), buffer_size(&encoded), field->name, item);
    buffer_free(&encoded);
    return e;
}

static yoke_error *fill_missing(const struct fields *f, const struct record_path *path)
{
    for (size_t n = 0; n < f->record->count; n++) {
        const yoke_field *field = &f->record->fields[n];
        struct record_path here = record_path_field(path, field->name);
        if (f->seen & 1ull << n || field->record->shape == YOKE_SHAPE_OPTIONAL)
            continue;
        if (!field->fallback)
            return record_misfit(&here, "missing");
        YOKE_TRY(take_default(field, (char *)f->item + field->offset));
    }
    return NULL;
}

static yoke_error *decode_fields(struct cursor *c, struct fields *f, uint32_t count,
                                 const struct record_path *path)
{
    if (f->record->count > 64)
        return yoke_raise(&YOKE_USAGE, "record %s: %zu fields, at most 64 are allowed", f->record->name,
                          f->record->count);
    for (uint32_t i = 0; i < count; i++)
        YOKE_TRY(decode_pair(c, f, path));
    return fill_missing(f, path);
}

static yoke_error *decode_struct(struct cursor *c, const yoke_record *record, const struct token *t,
                                 void *item, const struct record_path *path)
{
    struct fields f = {.record = record, .item = item, .strict = record->strict || path->strict};
    if (t->type != TOKEN_MAP)
        return record_unexpected(YOKE_SHAPE_STRUCT, t, path);
    return decode_fields(c, &f, t->count, path);
}

/* Looks the tag up, wherever it stands. By value: the fields are read from the first again. */
static yoke_error *find_tag(struct cursor c, uint32_t count, struct token *tag,
                            const struct record_path *path)
{
    struct record_path here = record_path_field(path, RECORD_TAG);
    for (uint32_t i = 0; i < count; i++) {
        struct token key;
        enum cursor_fault fault = cursor_next(&c, &key);
        if (fault)
            return malformed(&c, fault, path);
        YOKE_TRY(key_text(&key, path));
        if (!is_tag(&key)) {
            YOKE_TRY(skip(&c, path));
            continue;
        }
        fault = cursor_next(&c, tag);
        if (fault)
            return malformed(&c, fault, path);
        return tag->type == TOKEN_STR ? NULL : record_unexpected(YOKE_SHAPE_STR, tag, &here);
    }
    return record_misfit(&here, "missing");
}

static yoke_error *decode_union(struct cursor *c, const yoke_record *record, const struct token *t,
                                void *item, const struct record_path *path)
{
    struct token tag;
    if (t->type != TOKEN_MAP)
        return record_unexpected(YOKE_SHAPE_UNION, t, path);
    YOKE_TRY(find_tag(*c, t->count, &tag, path));
    const yoke_field *member = record_find_name(record, &tag);
    struct record_path here = record_path_field(path, RECORD_TAG);
    if (!member)
        return record_none_of_them(record, &tag, &here);
    memcpy(item, &(unsigned){(unsigned)(member - record->fields)}, sizeof(unsigned));
    struct fields f = {.record = member->record,
                       .item = (char *)item + member->offset,
                       .strict = member->record->strict,
                       .tagged = true};
    return decode_fields(c, &f, t->count, path);
}

/* ---- the walk ---- */

static bool is_nil(const struct cursor *c)
{
    return c->at < c->end && *c->at == 0xc0;
}

static yoke_error *decode_optional(struct cursor *c, const yoke_record *element, void *item,
                                   const struct record_path *path)
{
    if (is_nil(c))
        return skip(c, path);
    void *value = memory_calloc(1, element->size);
    if (!value)
        return record_no_memory();
    memcpy(item, &value, sizeof value);
    return decode(c, element, value, path);
}

static yoke_error *decode_container(struct cursor *c, const yoke_record *record, const struct token *t,
                                    void *item, const struct record_path *path)
{
    if (path->depth >= RECORD_NESTING)
        return record_misfit(path, "nested deeper than %d", RECORD_NESTING);
    if (record->shape == YOKE_SHAPE_STRUCT)
        return decode_struct(c, record, t, item, path);
    if (record->shape == YOKE_SHAPE_UNION)
        return decode_union(c, record, t, item, path);
    return (record->shape == YOKE_SHAPE_MAP ? decode_map : decode_list)(c, record, t, item, path);
}

static yoke_error *decode(struct cursor *c, const yoke_record *record, void *item,
                          const struct record_path *path)
{
    if (record->shape == YOKE_SHAPE_ANY)
        return decode_any(c, item, path);
    if (record->shape == YOKE_SHAPE_OPTIONAL)
        return decode_optional(c, record->element, item, path);
    struct token t;
    enum cursor_fault fault = cursor_next(c, &t);
    if (fault)
        return malformed(c, fault, path);
    if (record_is_scalar(record))
        return record_decode_scalar(record, &t, item, path);
    return decode_container(c, record, &t, item, path);
}

static yoke_error *decode_whole(const yoke_record *record, const uint8_t *data, size_t size,
                                const struct record_path *root, void *item, struct aside *aside)
{
    if (!item && record->shape != YOKE_SHAPE_NONE)
        return yoke_raise(&YOKE_USAGE, "%s: nowhere to put the %s", root->name, record->name);
    if (item)
        memset(item, 0, record->size);
    struct cursor c = cursor_over(data, size, SIZE_MAX, RECORD_NESTING);
    c.aside = aside;
    yoke_error *e = decode(&c, record, item, root);
    if (!e && c.at != c.end)
        e = record_misfit(root, "%zu bytes behind the value", (size_t)(c.end - c.at));
    if (e)
        yoke_record_free(record, item);
    return e;
}

yoke_error *record_decode(const yoke_record *record, const uint8_t *data, size_t size, const char *path,
                          void *item)
{
    return record_decode_aside(record, data, size, path, item, NULL);
}

yoke_error *record_decode_aside(const yoke_record *record, const uint8_t *data, size_t size, const char *path,
                                void *item, struct aside *aside)
{
    struct record_path root = {.name = path};
    return decode_whole(record, data, size, &root, item, aside);
}

yoke_error *record_decode_args(const yoke_record *record, const uint8_t *data, size_t size, void *item)
{
    static const yoke_record no_arguments = {.name = "none", .shape = YOKE_SHAPE_STRUCT};
    struct record_path root = {.name = "args", .strict = true};
    char nothing;
    if (record->shape == YOKE_SHAPE_NONE)
        return decode_whole(&no_arguments, data, size, &root, &nothing, NULL);
    if (record->shape != YOKE_SHAPE_STRUCT)
        return yoke_raise(&YOKE_USAGE, "arguments are a record of YOKE_RECORD or none, not %s", record->name);
    return decode_whole(record, data, size, &root, item, NULL);
}
