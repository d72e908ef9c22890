/*
 * Floor 2: what a message carries: records (C structs that know how to travel) and generic values.
 *
 * No function here blocks; all may be called from any thread, inside of a task or not.
 */
#ifndef YOKE_MSG_H
#define YOKE_MSG_H

#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

extern const yoke_error_kind YOKE_PROTOCOL;  /* a peer's bytes break the protocol */
extern const yoke_error_kind YOKE_TOO_LARGE; /* a message over the limit (64 MiB) */
extern const yoke_error_kind
    YOKE_MSG_TYPE; /* a payload that does not fit its record: the text names the path of the bad field */

/* An actor: its name (not unique) and its UUID (unique). Zero-terminated. */
typedef struct yoke_uid {
    char name[65];
    char uuid[37];
} yoke_uid;
/* NULL equals nothing. */
bool yoke_uid_equal(const yoke_uid *a, const yoke_uid *b);

/* ---- records -------------------------------------------------------------------------------------- */

/* What a record is on the wire. */
enum yoke_shape {
    YOKE_SHAPE_NONE,     /* nil */
    YOKE_SHAPE_ANY,      /* any value */
    YOKE_SHAPE_BOOLEAN,  /* bool */
    YOKE_SHAPE_SIGNED,   /* an integer of `size` bytes */
    YOKE_SHAPE_UNSIGNED, /* an integer of `size` bytes */
    YOKE_SHAPE_F64,      /* float64 */
    YOKE_SHAPE_STR,      /* str */
    YOKE_SHAPE_BYTES,    /* bytes */
    YOKE_SHAPE_STRUCT,   /* a map of its fields */
    YOKE_SHAPE_LIST,     /* an array */
    YOKE_SHAPE_MAP,      /* a map of texts to values of one kind */
    YOKE_SHAPE_OPTIONAL, /* nil, or the value */
    YOKE_SHAPE_ENUM,     /* str: the name of one of its fields */
    YOKE_SHAPE_UNION,    /* a map: the fields of one of its records, and that one's name under `type` */
    YOKE_SHAPE_EXTENSION /* an ext of the user's own */
};

typedef struct yoke_record yoke_record;

typedef struct yoke_field {
    const char *name;
    const yoke_record *record;
    size_t offset;        /* in bytes, in the struct */
    size_t limit;         /* of a str or bytes: bytes; of a list or map: items; 0: none */
    const void *fallback; /* an item that stands for a field that did not come; NULL: it has to come */
} yoke_field;

/* Where the encoder of an extension puts its bytes: any number of times, in order. */
typedef struct yoke_sink yoke_sink;
void yoke_sink_put(yoke_sink *sink, const void *bytes, size_t size);

/* How an extension (YOKE_EXTENSION) is written and read. */
typedef struct yoke_extension {
    int8_t code; /* its ext code on the wire */
    yoke_error *(*encode)(const void *item, yoke_sink *sink);
    yoke_error *(*decode)(const void *bytes, size_t size, void *item); /* into an item that is zero */
    void (*free)(void *item); /* of what a decoded one owns; NULL: nothing */
} yoke_extension;

/* The description of a C type that can travel. Made by YOKE_RECORD; constant. Records may nest 64 deep. */
struct yoke_record {
    const char *name;
    size_t size; /* of one item, in bytes */
    enum yoke_shape shape;
    const yoke_field *fields; /* of a struct, 64 at most, in their order on the wire; the names of an enum;
                                 the records of a union */
    size_t count;
    const yoke_record *element; /* of a list, whose item is a yoke_items; of an optional, whose item is a
                                   pointer; of a map, whose item is a yoke_items: the pair of key and value */
    bool strict;                /* a struct: a field that it does not have is refused, not skipped */
    const yoke_extension *extension;
};

/* One msgpack value of any kind, as bytes. {NULL, 0} is nil. Owned by who holds it: yoke_value_free. */
typedef struct yoke_value {
    uint8_t *data;
    size_t size;
} yoke_value;

/* Bytes that are no text. A decoded one owns its data. */
typedef struct yoke_bytes {
    const uint8_t *data;
    size_t size;
} yoke_bytes;

/* How a list lies in memory, whatever the type of its items. */
typedef struct yoke_items {
    void *items;
    size_t count;
} yoke_items;

/*
 * The basic types: for each X the C type yoke_type_X and its record yoke_record_X. A yoke_type_str ends with
 * a zero; NULL is sent as ""; a decoded one is owned. A `none` holds nothing.
 */
typedef struct yoke_none {
    char nothing;
} yoke_type_none;
typedef yoke_value yoke_type_any;
typedef bool yoke_type_boolean;
typedef int8_t yoke_type_i8;
typedef int16_t yoke_type_i16;
typedef int32_t yoke_type_i32;
typedef int64_t yoke_type_i64;
typedef uint8_t yoke_type_u8;
typedef uint16_t yoke_type_u16;
typedef uint32_t yoke_type_u32;
typedef uint64_t yoke_type_u64;
typedef double yoke_type_f64;
typedef const char *yoke_type_str;
typedef yoke_bytes yoke_type_bytes;

extern const yoke_record yoke_record_none;
extern const yoke_record yoke_record_any;
extern const yoke_record yoke_record_boolean;
extern const yoke_record yoke_record_i8;
extern const yoke_record yoke_record_i16;
extern const yoke_record yoke_record_i32;
extern const yoke_record yoke_record_i64;
extern const yoke_record yoke_record_u8;
extern const yoke_record yoke_record_u16;
extern const yoke_record yoke_record_u32;
extern const yoke_record yoke_record_u64;
extern const yoke_record yoke_record_f64;
extern const yoke_record yoke_record_str;
extern const yoke_record yoke_record_bytes;

/* clang-format off */
/*
 * Defines a record of 1 to 24 fields, at file scope, before the endpoints that use it:
 *     YOKE_RECORD(word_count, (str, word), (u64, count))
 *     YOKE_RECORD(tally, (str, path), (list, word_count, words))
 * The second line expands to
 *     typedef struct tally {
 *         yoke_type_str path;
 *         struct { yoke_type_word_count *items; size_t count; } words;
 *     } tally;
 *     typedef tally yoke_type_tally;
 *     static const yoke_record yoke_record_tally;
 *     static inline void tally_free(tally *item);        as yoke_record_free
 * A type is basic, or defined by one of the macros here before. A field is one of
 *     (type, name)
 *     (limit, type, name, most)      a str or bytes of `most` bytes at most
 *     (default, type, name, value)   may be missing in what is received: it is `value` then, a constant
 *     (optional, type, name)         type *name: NULL is nil on the wire; may be missing
 *     (list, type, name)             struct { type *items; size_t count; } name
 *     (list, type, name, most)       the same, with `most` items at most
 *     (map, type, name)              struct { struct { const char *key; type value; } *items; size_t count; } name,
 *                                    whose pairs are of type yoke_pair_TYPE; keys are in any order, none is twice
 * A type that is not known is an error at the name yoke_type_TYPE. What is received may have fields that the
 * record has not: they are skipped, but for the arguments of an endpoint and for a record made by
 * YOKE_STRICT_RECORD.
 */
/* clang-format on */
#define YOKE_RECORD(record_name, ...)        YOKE_RECORD_(record_name, false, __VA_ARGS__)
#define YOKE_STRICT_RECORD(record_name, ...) YOKE_RECORD_(record_name, true, __VA_ARGS__)
#define YOKE_RECORD_(record_name, is_strict, ...)                                                            \
    typedef struct record_name {                                                                             \
        YOKE_EACH_(YOKE_MEMBER_, record_name, __VA_ARGS__)                                                   \
    } record_name;                                                                                           \
    typedef record_name yoke_type_##record_name;                                                             \
    YOKE_PAIR_(record_name)                                                                                  \
    YOKE_MAP_TYPE_(record_name)                                                                              \
    YOKE_EACH_(YOKE_LIST_, record_name, __VA_ARGS__)                                                         \
    static const yoke_field yoke_fields_##record_name##_[] = {                                               \
        YOKE_EACH_(YOKE_ENTRY_, record_name, __VA_ARGS__)};                                                  \
    __attribute__((unused)) static const yoke_record yoke_record_##record_name = {                           \
        #record_name,                                                                                        \
        sizeof(record_name),                                                                                 \
        YOKE_SHAPE_STRUCT,                                                                                   \
        yoke_fields_##record_name##_,                                                                        \
        sizeof yoke_fields_##record_name##_ / sizeof yoke_fields_##record_name##_[0],                        \
        NULL,                                                                                                \
        is_strict,                                                                                           \
        NULL};                                                                                               \
    YOKE_FREE_(record_name)

/*
 * YOKE_ENUM(color, red, green) defines, of 1 to 24 names,
 *     typedef enum color { color_red, color_green } color;
 * which travels as the name: "red". Otherwise as YOKE_RECORD does.
 */
#define YOKE_ENUM(enum_name, ...)                                                                            \
    typedef enum enum_name { YOKE_EACH_(YOKE_ENUM_VALUE_, enum_name, __VA_ARGS__) } enum_name;               \
    typedef enum_name yoke_type_##enum_name;                                                                 \
    YOKE_PAIR_(enum_name)                                                                                    \
    static const yoke_field yoke_fields_##enum_name##_[] = {                                                 \
        YOKE_EACH_(YOKE_ENUM_ENTRY_, enum_name, __VA_ARGS__)};                                               \
    __attribute__((unused)) static const yoke_record yoke_record_##enum_name = {                             \
        #enum_name,                                                                                          \
        sizeof(enum_name),                                                                                   \
        YOKE_SHAPE_ENUM,                                                                                     \
        yoke_fields_##enum_name##_,                                                                          \
        sizeof yoke_fields_##enum_name##_ / sizeof yoke_fields_##enum_name##_[0],                            \
        NULL,                                                                                                \
        false,                                                                                               \
        NULL};

/*
 * YOKE_UNION(figure, circle, square), of 1 to 24 records that were defined before and have no field `type`:
 *     typedef struct figure {
 *         enum figure_is { figure_circle, figure_square } is;
 *         union { circle circle; square square; };
 *     } figure;
 * It travels as that record's map, with its name besides: {"type": "circle", "radius": 2.0}. Otherwise as
 * YOKE_RECORD does.
 */
#define YOKE_UNION(union_name, ...)                                                                          \
    enum union_name##_is{YOKE_EACH_(YOKE_ENUM_VALUE_, union_name, __VA_ARGS__)};                             \
    typedef struct union_name {                                                                              \
        enum union_name##_is is;                                                                             \
        union {                                                                                              \
            YOKE_EACH_(YOKE_UNION_MEMBER_, union_name, __VA_ARGS__)                                          \
        };                                                                                                   \
    } union_name;                                                                                            \
    typedef union_name yoke_type_##union_name;                                                               \
    YOKE_PAIR_(union_name)                                                                                   \
    static const yoke_field yoke_fields_##union_name##_[] = {                                                \
        YOKE_EACH_(YOKE_UNION_ENTRY_, union_name, __VA_ARGS__)};                                             \
    __attribute__((unused)) static const yoke_record yoke_record_##union_name = {                            \
        #union_name,                                                                                         \
        sizeof(union_name),                                                                                  \
        YOKE_SHAPE_UNION,                                                                                    \
        yoke_fields_##union_name##_,                                                                         \
        sizeof yoke_fields_##union_name##_ / sizeof yoke_fields_##union_name##_[0],                          \
        NULL,                                                                                                \
        false,                                                                                               \
        NULL};                                                                                               \
    YOKE_FREE_(union_name)

/*
 * YOKE_EXTENSION(moment, struct timespec, 5, put_moment, take_moment, NULL) lets a type of one's own travel,
 * as an ext of that code (0 to 127) with the bytes that the functions write and read:
 *     yoke_error *put_moment(const struct timespec *item, yoke_sink *sink);
 *     yoke_error *take_moment(const void *bytes, size_t size, struct timespec *item);
 *     void free_moment(struct timespec *item);        NULL: it owns nothing
 * An error of theirs becomes the cause of one of kind YOKE_MSG_TYPE that names the path.
 */
#define YOKE_EXTENSION(type_name, c_type, ext_code, encode_fn, decode_fn, free_fn)                           \
    typedef c_type yoke_type_##type_name;                                                                    \
    YOKE_PAIR_(type_name)                                                                                    \
    static const yoke_extension yoke_extension_##type_name##_ = {                                            \
        ext_code,                                                                                            \
        (yoke_error * (*)(const void *, yoke_sink *))(1 ? (encode_fn)                                        \
                                                        : (yoke_error * (*)(const c_type *, yoke_sink *))0), \
        (yoke_error * (*)(const void *, size_t, void *))(                                                    \
            1 ? (decode_fn) : (yoke_error * (*)(const void *, size_t, c_type *))0),                          \
        (void (*)(void *))(1 ? (free_fn) : (void (*)(c_type *))0)};                                          \
    __attribute__((unused)) static const yoke_record yoke_record_##type_name = {                             \
        #type_name, sizeof(c_type), YOKE_SHAPE_EXTENSION,          NULL, 0,                                  \
        NULL,       false,          &yoke_extension_##type_name##_};

/*
 * What a record accepts, for people and for `diff`: a line for itself and one for each field, then the same
 * of each record that it is made of. To be freed with free(). NULL without memory.
 */
char *yoke_record_schema(const yoke_record *record);
/*
 * What differs of two schemas: all their lines, begun with "- " where only ours has it, with "+ " where only
 * theirs has, else with two blanks; "" when they are the same. To be freed with free(). NULL without memory.
 */
char *yoke_schema_diff(const char *ours, const char *theirs);

/* Frees what the item owns, as a decoded one does, and zeroes it. Items of one's own making may hold texts
 * that are not to be freed: not for them. NULL is fine. */
void yoke_record_free(const yoke_record *record, void *item);

/* The item as a value. YOKE_MSG_TYPE, YOKE_NO_MEMORY: `out` is nil then. */
YOKE_MUST_USE yoke_error *yoke_value_from(yoke_value *out, const yoke_record *record, const void *item);
/* Fills the item, which yoke_record_free then frees. A value that does not fit: YOKE_MSG_TYPE; the item is
 * zero then. The value stays. */
YOKE_MUST_USE yoke_error *yoke_value_to(const yoke_value *value, const yoke_record *record, void *item);
/* Makes it nil. NULL is fine. */
void yoke_value_free(yoke_value *value);
/* The value for people, in the manner of JSON, 64 KiB at most ("..." where it is cut); to be freed with
 * free(). NULL without memory. */
char *yoke_value_text(const yoke_value *value);

/* ---- how YOKE_RECORD does it ---------------------------------------------------------------------- */

/* clang-format off */
/* YOKE_EACH_(macro, record, fields...): macro(record, field) for each field. */
#define YOKE_EACH_(macro, record, ...) YOKE_EACH_JOIN_(YOKE_COUNT_(__VA_ARGS__))(macro, record, __VA_ARGS__)
#define YOKE_EACH_JOIN_(count)         YOKE_EACH_JOIN_2_(count)
#define YOKE_EACH_JOIN_2_(count)       YOKE_EACH_##count##_
#define YOKE_COUNT_(...) \
    YOKE_COUNT_PICK_(__VA_ARGS__, MORE_THAN_24_FIELDS, MORE_THAN_24_FIELDS, MORE_THAN_24_FIELDS, MORE_THAN_24_FIELDS, MORE_THAN_24_FIELDS, MORE_THAN_24_FIELDS, MORE_THAN_24_FIELDS, MORE_THAN_24_FIELDS, \
                     24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define YOKE_COUNT_PICK_(p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15, p16, p17, p18, p19, p20, p21, p22, p23, p24, p25, p26, p27, p28, p29, p30, p31, p32, count, ...) count

#define YOKE_EACH_1_(macro, record, field) macro(record, field)
#define YOKE_EACH_2_(macro, record, field, ...) macro(record, field) YOKE_EACH_1_(macro, record, __VA_ARGS__)
#define YOKE_EACH_3_(macro, record, field, ...) macro(record, field) YOKE_EACH_2_(macro, record, __VA_ARGS__)
#define YOKE_EACH_4_(macro, record, field, ...) macro(record, field) YOKE_EACH_3_(macro, record, __VA_ARGS__)
#define YOKE_EACH_5_(macro, record, field, ...) macro(record, field) YOKE_EACH_4_(macro, record, __VA_ARGS__)
#define YOKE_EACH_6_(macro, record, field, ...) macro(record, field) YOKE_EACH_5_(macro, record, __VA_ARGS__)
#define YOKE_EACH_7_(macro, record, field, ...) macro(record, field) YOKE_EACH_6_(macro, record, __VA_ARGS__)
#define YOKE_EACH_8_(macro, record, field, ...) macro(record, field) YOKE_EACH_7_(macro, record, __VA_ARGS__)
#define YOKE_EACH_9_(macro, record, field, ...) macro(record, field) YOKE_EACH_8_(macro, record, __VA_ARGS__)
#define YOKE_EACH_10_(macro, record, field, ...) macro(record, field) YOKE_EACH_9_(macro, record, __VA_ARGS__)
#define YOKE_EACH_11_(macro, record, field, ...) macro(record, field) YOKE_EACH_10_(macro, record, __VA_ARGS__)
#define YOKE_EACH_12_(macro, record, field, ...) macro(record, field) YOKE_EACH_11_(macro, record, __VA_ARGS__)
#define YOKE_EACH_13_(macro, record, field, ...) macro(record, field) YOKE_EACH_12_(macro, record, __VA_ARGS__)
#define YOKE_EACH_14_(macro, record, field, ...) macro(record, field) YOKE_EACH_13_(macro, record, __VA_ARGS__)
#define YOKE_EACH_15_(macro, record, field, ...) macro(record, field) YOKE_EACH_14_(macro, record, __VA_ARGS__)
#define YOKE_EACH_16_(macro, record, field, ...) macro(record, field) YOKE_EACH_15_(macro, record, __VA_ARGS__)
#define YOKE_EACH_17_(macro, record, field, ...) macro(record, field) YOKE_EACH_16_(macro, record, __VA_ARGS__)
#define YOKE_EACH_18_(macro, record, field, ...) macro(record, field) YOKE_EACH_17_(macro, record, __VA_ARGS__)
#define YOKE_EACH_19_(macro, record, field, ...) macro(record, field) YOKE_EACH_18_(macro, record, __VA_ARGS__)
#define YOKE_EACH_20_(macro, record, field, ...) macro(record, field) YOKE_EACH_19_(macro, record, __VA_ARGS__)
#define YOKE_EACH_21_(macro, record, field, ...) macro(record, field) YOKE_EACH_20_(macro, record, __VA_ARGS__)
#define YOKE_EACH_22_(macro, record, field, ...) macro(record, field) YOKE_EACH_21_(macro, record, __VA_ARGS__)
#define YOKE_EACH_23_(macro, record, field, ...) macro(record, field) YOKE_EACH_22_(macro, record, __VA_ARGS__)
#define YOKE_EACH_24_(macro, record, field, ...) macro(record, field) YOKE_EACH_23_(macro, record, __VA_ARGS__)

/* The pairs of a (map, type, name). */
#define YOKE_PAIR_(type) typedef struct yoke_pair_##type { yoke_type_str key; yoke_type_##type value; } yoke_pair_##type;
/* What YOKE_UNION and the endpoints look for, so that the compiler says what is wrong with another type. */
#define YOKE_MAP_TYPE_(type) enum { yoke_this_takes_a_record_or_none_but_not_##type = 0 };
#define YOKE_FREE_(type) \
    __attribute__((unused)) static inline void type##_free(type *item) { yoke_record_free(&yoke_record_##type, item); }

YOKE_PAIR_(any) YOKE_PAIR_(boolean) YOKE_PAIR_(i8) YOKE_PAIR_(i16) YOKE_PAIR_(i32) YOKE_PAIR_(i64) YOKE_PAIR_(u8)
YOKE_PAIR_(u16) YOKE_PAIR_(u32) YOKE_PAIR_(u64) YOKE_PAIR_(f64) YOKE_PAIR_(str) YOKE_PAIR_(bytes)
YOKE_MAP_TYPE_(none)

#define YOKE_ENUM_VALUE_(type, name)    type##_##name,
#define YOKE_ENUM_ENTRY_(type, name)    {#name, NULL, 0, 0, NULL},
#define YOKE_UNION_MEMBER_(type, name)  yoke_type_##name name;
#define YOKE_UNION_ENTRY_(type, name)   {#name, &yoke_record_##name, offsetof(type, name) + yoke_this_takes_a_record_or_none_but_not_##name, 0, NULL},

/* A field of two parts goes to the _2_ form, and so on. */
#define YOKE_MEMBER_(record, field) YOKE_FIELD_(YOKE_FIELD_JOIN_(YOKE_MEMBER_, YOKE_PARTS_ field), record, YOKE_OPEN_ field)
#define YOKE_LIST_(record, field)   YOKE_FIELD_(YOKE_FIELD_JOIN_(YOKE_LIST_, YOKE_PARTS_ field), record, YOKE_OPEN_ field)
#define YOKE_ENTRY_(record, field)  YOKE_FIELD_(YOKE_FIELD_JOIN_(YOKE_ENTRY_, YOKE_PARTS_ field), record, YOKE_OPEN_ field)
#define YOKE_FIELD_(macro, ...)     macro(__VA_ARGS__)
#define YOKE_FIELD_JOIN_(form, parts)   YOKE_FIELD_JOIN_2_(form, parts)
#define YOKE_FIELD_JOIN_2_(form, parts) form##parts##_
#define YOKE_OPEN_(...)             __VA_ARGS__
#define YOKE_PARTS_(...)            YOKE_PARTS_PICK_(__VA_ARGS__, 4, 3, 2, 1, 0)
#define YOKE_PARTS_PICK_(p1, p2, p3, p4, count, ...) count

#define YOKE_MEMBER_2_(record, type, name)             yoke_type_##type name;
#define YOKE_MEMBER_3_(record, kind, type, name)       YOKE_FIELD_OF_THREE_BEGINS_WITH_##kind(type) name;
#define YOKE_MEMBER_4_(record, kind, type, name, more) YOKE_FIELD_OF_FOUR_BEGINS_WITH_##kind(type) name;
#define YOKE_FIELD_OF_THREE_BEGINS_WITH_list(type)     struct { yoke_type_##type *items; size_t count; }
#define YOKE_FIELD_OF_THREE_BEGINS_WITH_map(type)      struct { yoke_pair_##type *items; size_t count; }
#define YOKE_FIELD_OF_THREE_BEGINS_WITH_optional(type) yoke_type_##type *
#define YOKE_FIELD_OF_FOUR_BEGINS_WITH_list(type)      struct { yoke_type_##type *items; size_t count; }
#define YOKE_FIELD_OF_FOUR_BEGINS_WITH_limit(type)     yoke_type_##type
#define YOKE_FIELD_OF_FOUR_BEGINS_WITH_default(type)   yoke_type_##type

/* What a field needs besides its entry: the record of a list, a default value. */
#define YOKE_LIST_2_(record, type, name)
#define YOKE_LIST_3_(record, kind, type, name)         YOKE_MORE_##kind##_(yoke_more_##record##_##name##_, type)
#define YOKE_LIST_4_(record, kind, type, name, more)   YOKE_MORE_4_##kind##_(yoke_more_##record##_##name##_, type, more)
#define YOKE_MORE_list_(id, type) \
    static const yoke_record id = {"list of " #type, sizeof(yoke_items), YOKE_SHAPE_LIST, NULL, 0, &yoke_record_##type, false, NULL};
#define YOKE_MORE_map_(id, type) \
    static const yoke_field id##fields_[2] = {{"key", &yoke_record_str, offsetof(yoke_pair_##type, key), 0, NULL}, \
                                              {"value", &yoke_record_##type, offsetof(yoke_pair_##type, value), 0, NULL}}; \
    static const yoke_record id##pair_ = {#type, sizeof(yoke_pair_##type), YOKE_SHAPE_STRUCT, id##fields_, 2, NULL, false, NULL}; \
    static const yoke_record id = {"map to " #type, sizeof(yoke_items), YOKE_SHAPE_MAP, NULL, 0, &id##pair_, false, NULL};
#define YOKE_MORE_optional_(id, type) \
    static const yoke_record id = {"optional " #type, sizeof(void *), YOKE_SHAPE_OPTIONAL, NULL, 0, &yoke_record_##type, false, NULL};
#define YOKE_MORE_4_list_(id, type, most)    YOKE_MORE_list_(id, type)
#define YOKE_MORE_4_limit_(id, type, most)
#define YOKE_MORE_4_default_(id, type, more) static const yoke_type_##type id = more;

#define YOKE_ENTRY_2_(record, type, name)       {#name, &yoke_record_##type, offsetof(record, name), 0, NULL},
#define YOKE_ENTRY_3_(record, kind, type, name) {#name, &yoke_more_##record##_##name##_, offsetof(record, name), 0, NULL},
#define YOKE_ENTRY_4_(record, kind, type, name, more)  YOKE_ENTRY_4_##kind##_(record, type, name, more)
#define YOKE_ENTRY_4_list_(record, type, name, most)   {#name, &yoke_more_##record##_##name##_, offsetof(record, name), most, NULL},
#define YOKE_ENTRY_4_limit_(record, type, name, most)  {#name, &yoke_record_##type, offsetof(record, name), most, NULL},
#define YOKE_ENTRY_4_default_(record, type, name, value) \
    {#name, &yoke_record_##type, offsetof(record, name), 0, &yoke_more_##record##_##name##_},
/* clang-format on */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
