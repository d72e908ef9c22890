/* What one token of msgpack holds: numbers, texts, bytes, names, and the user's own, checked against the
 * record. */
#include "msg/record_scalar.h"

#include "base/memory.h"
#include "msg/utf8.h"

#include <string.h>

yoke_error *record_no_memory(void)
{
    return yoke_raise(&YOKE_NO_MEMORY, "no memory for a received value");
}

/* The memory is a copy's owner; {NULL, 0} for no bytes at all. */
yoke_error *record_copy_bytes(const uint8_t *from, size_t size, uint8_t **data)
{
    *data = memory_alloc(size);
    if (!*data)
        return record_no_memory();
    memcpy(*data, from, size);
    return NULL;
}

/* What people read in errors for each shape. */
static const char *shape_name(enum yoke_shape shape)
{
    static const char *const names[] = {
        [YOKE_SHAPE_NONE] = "nil",   [YOKE_SHAPE_ANY] = "any value", [YOKE_SHAPE_BOOLEAN] = "bool",
        [YOKE_SHAPE_SIGNED] = "int", [YOKE_SHAPE_UNSIGNED] = "int",  [YOKE_SHAPE_F64] = "float",
        [YOKE_SHAPE_STR] = "str",    [YOKE_SHAPE_BYTES] = "bytes",   [YOKE_SHAPE_STRUCT] = "map",
        [YOKE_SHAPE_LIST] = "array", [YOKE_SHAPE_MAP] = "map",       [YOKE_SHAPE_OPTIONAL] = "a value or nil",
        [YOKE_SHAPE_ENUM] = "str",   [YOKE_SHAPE_UNION] = "map",     [YOKE_SHAPE_EXTENSION] = "ext",
    };
    return names[shape];
}

yoke_error *record_unexpected(enum yoke_shape shape, const struct token *t, const struct record_path *path)
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

/* "u8 (0 to 255)" */
static const char *range_text(const yoke_record *record, char out[64])
{
    unsigned unused = 64 - 8 * (unsigned)record->size;
    if (record->shape == YOKE_SHAPE_UNSIGNED)
        snprintf(out, 64, "%s (0 to %llu)", record->name, (unsigned long long)(UINT64_MAX >> unused));
    else
        snprintf(out, 64, "%s (%lld to %lld)", record->name, (long long)(INT64_MIN >> unused),
                 (long long)(INT64_MAX >> unused));
    return out;
}

static yoke_error *decode_int(const yoke_record *record, const struct token *t, void *item,
                              const struct record_path *path)
{
    char range[64];
    if (t->type == TOKEN_FLOAT)
        return record_misfit(path, "expected int, got float %g: %s", t->real, range_text(record, range));
    if (t->type != TOKEN_UINT && t->type != TOKEN_INT)
        return record_unexpected(record->shape, t, path);
    if (!fits(record, t)) {
        range_text(record, range);
        if (t->type == TOKEN_UINT)
            return record_misfit(path, "%llu does not fit %s", (unsigned long long)t->uint, range);
        return record_misfit(path, "%lld does not fit %s", (long long)t->sint, range);
    }
    store(item, record->size, t->uint);
    return NULL;
}

/* An integer that a double holds exactly has 53 bits at most between its first and its last one. */
static bool is_exact(uint64_t magnitude)
{
    while (magnitude >> 53 && !(magnitude & 1))
        magnitude >>= 1;
    return !(magnitude >> 53);
}

static yoke_error *decode_float(const struct token *t, double *item, const struct record_path *path)
{
    if (t->type == TOKEN_FLOAT) {
        *item = t->real;
        return NULL;
    }
    if (t->type == TOKEN_UINT && is_exact(t->uint)) {
        *item = (double)t->uint;
        return NULL;
    }
    if (t->type == TOKEN_INT && is_exact(0 - (uint64_t)t->sint)) {
        *item = (double)t->sint;
        return NULL;
    }
    if (t->type == TOKEN_UINT)
        return record_misfit(path, "%llu is no exact float", (unsigned long long)t->uint);
    if (t->type == TOKEN_INT)
        return record_misfit(path, "%lld is no exact float", (long long)t->sint);
    return record_unexpected(YOKE_SHAPE_F64, t, path);
}

yoke_error *record_decode_str(const struct token *t, yoke_type_str *item, const struct record_path *path)
{
    if (t->type != TOKEN_STR)
        return record_unexpected(YOKE_SHAPE_STR, t, path);
    if (!utf8_valid(t->bytes, t->size))
        return record_misfit(path, "not UTF-8");
    if (memchr(t->bytes, 0, t->size))
        return record_misfit(path, "a str with a zero byte inside");
    char *text = memory_alloc(t->size + 1);
    if (!text)
        return record_no_memory();
    memcpy(text, t->bytes, t->size);
    text[t->size] = 0;
    *item = text;
    return NULL;
}

static yoke_error *decode_bytes(const struct token *t, yoke_bytes *item, const struct record_path *path)
{
    if (t->type != TOKEN_BYTES)
        return record_unexpected(YOKE_SHAPE_BYTES, t, path);
    if (t->size == 0)
        return NULL;
    if (t->aside && t->aside->to_take) {
        *item = (yoke_bytes){t->aside->data, t->size};
        t->aside->data = NULL;
        return NULL;
    }
    uint8_t *data;
    YOKE_TRY(record_copy_bytes(t->bytes, t->size, &data));
    *item = (yoke_bytes){data, t->size};
    return NULL;
}

/* ---- names ---- */

const yoke_field *record_find_name(const yoke_record *record, const struct token *t)
{
    for (size_t i = 0; i < record->count; i++)
        if (strlen(record->fields[i].name) == t->size &&
            memcmp(record->fields[i].name, t->bytes, t->size) == 0)
            return &record->fields[i];
    return NULL;
}

/* A text of the wire in a misfit's words; in `out`. */
static const char *quoted(const struct token *t, char out[64])
{
    if (!utf8_valid(t->bytes, t->size) || memchr(t->bytes, 0, t->size))
        return "a str that is no text";
    snprintf(out, 64, "\"%.*s\"%s", t->size < 40 ? (int)t->size : 40, (const char *)t->bytes,
             t->size > 40 ? "..." : "");
    return out;
}

/* `names`: what is allowed: "red, green" */
yoke_error *record_none_of_them(const yoke_record *record, const struct token *t,
                                const struct record_path *path)
{
    char names[160] = "", got[64];
    size_t used = 0;
    for (size_t i = 0; i < record->count && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                                 record->fields[i].name);
    return record_misfit(path, "expected %s (%s), got %s", record->name, names, quoted(t, got));
}

static yoke_error *decode_enum(const yoke_record *record, const struct token *t, void *item,
                               const struct record_path *path)
{
    if (t->type != TOKEN_STR)
        return record_unexpected(record->shape, t, path);
    const yoke_field *value = record_find_name(record, t);
    if (!value)
        return record_none_of_them(record, t, path);
    memcpy(item, &(unsigned){(unsigned)(value - record->fields)}, sizeof(unsigned));
    return NULL;
}

/* ---- the user's own ---- */

static yoke_error *decode_extension(const yoke_record *record, const struct token *t, void *item,
                                    const struct record_path *path)
{
    const yoke_extension *extension = record->extension;
    if (t->type != TOKEN_EXT)
        return record_misfit(path, "expected ext %d (%s), got %s", extension->code, record->name,
                             token_type_name(t->type));
    if (t->ext != extension->code)
        return record_misfit(path, "expected ext %d (%s), got ext %d", extension->code, record->name, t->ext);
    yoke_error *e = extension->decode(t->bytes, t->size, item);
    return e ? record_misfit_because(path, e, record) : NULL;
}

/* ---- any of them ---- */

bool record_is_scalar(const yoke_record *record)
{
    return (record->shape >= YOKE_SHAPE_BOOLEAN && record->shape <= YOKE_SHAPE_BYTES) ||
           record->shape == YOKE_SHAPE_NONE || record->shape == YOKE_SHAPE_ENUM ||
           record->shape == YOKE_SHAPE_EXTENSION;
}

yoke_error *record_decode_scalar(const yoke_record *record, const struct token *t, void *item,
                                 const struct record_path *path)
{
    switch (record->shape) {
    case YOKE_SHAPE_NONE:
        return t->type == TOKEN_NIL ? NULL : record_unexpected(record->shape, t, path);
    case YOKE_SHAPE_BOOLEAN:
        if (t->type != TOKEN_BOOL)
            return record_unexpected(record->shape, t, path);
        *(bool *)item = t->boolean;
        return NULL;
    case YOKE_SHAPE_F64:
        return decode_float(t, item, path);
    case YOKE_SHAPE_STR:
        return record_decode_str(t, item, path);
    case YOKE_SHAPE_BYTES:
        return decode_bytes(t, item, path);
    case YOKE_SHAPE_ENUM:
        return decode_enum(record, t, item, path);
    case YOKE_SHAPE_EXTENSION:
        return decode_extension(record, t, item, path);
    default:
        return decode_int(record, t, item, path);
    }
}
