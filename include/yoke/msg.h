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

/* What a record is on the wire: nil; any value; bool; an integer of `size` bytes; float64; str; bytes; a map;
 * an array. */
enum yoke_shape {
    YOKE_SHAPE_NONE,
    YOKE_SHAPE_ANY,
    YOKE_SHAPE_BOOLEAN,
    YOKE_SHAPE_SIGNED,
    YOKE_SHAPE_UNSIGNED,
    YOKE_SHAPE_F64,
    YOKE_SHAPE_STR,
    YOKE_SHAPE_BYTES,
    YOKE_SHAPE_STRUCT,
    YOKE_SHAPE_LIST
};

typedef struct yoke_record yoke_record;

typedef struct yoke_field {
    const char *name;
    const yoke_record *record;
    size_t offset; /* in bytes, in the struct */
} yoke_field;

/* The description of a C type that can travel. Made by YOKE_RECORD; constant. Records may nest 64 deep. */
struct yoke_record {
    const char *name;
    size_t size; /* of one item, in bytes */
    enum yoke_shape shape;
    const yoke_field *fields; /* of a struct, 64 at most; in their order on the wire */
    size_t count;
    const yoke_record *element; /* of a list, whose item is a yoke_items */
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

/*
 * Defines a record of 1 to 24 fields, at file scope, before the endpoints that use it:
 *     YOKE_RECORD(word_count, (str, word), (u64, count))
 *     YOKE_RECORD(tally, (str, path), (list, word_count, words))
 * A field is (type, name), where the type is basic or an earlier record, or (list, type, name). The second
 * line expands to typedef struct tally { yoke_type_str path; struct { yoke_type_word_count *items; size_t
 * count; } words; } tally; typedef tally yoke_type_tally; static const yoke_record yoke_record_tally; static
 * inline void tally_free(tally *item);        as yoke_record_free A type that is not known is an error at the
 * name yoke_type_TYPE.
 */
#define YOKE_RECORD(record_name, ...)                                                                        \
    typedef struct record_name {                                                                             \
        YOKE_EACH_(YOKE_MEMBER_, record_name, __VA_ARGS__)                                                   \
    } record_name;                                                                                           \
    typedef record_name yoke_type_##record_name;                                                             \
    YOKE_EACH_(YOKE_LIST_, record_name, __VA_ARGS__)                                                         \
    static const yoke_field yoke_fields_##record_name##_[] = {                                               \
        YOKE_EACH_(YOKE_ENTRY_, record_name, __VA_ARGS__)};                                                  \
    __attribute__((unused)) static const yoke_record yoke_record_##record_name = {                           \
        #record_name,                                                                                        \
        sizeof(record_name),                                                                                 \
        YOKE_SHAPE_STRUCT,                                                                                   \
        yoke_fields_##record_name##_,                                                                        \
        sizeof yoke_fields_##record_name##_ / sizeof yoke_fields_##record_name##_[0],                        \
        NULL};                                                                                               \
    __attribute__((unused)) static inline void record_name##_free(record_name *item)                         \
    {                                                                                                        \
        yoke_record_free(&yoke_record_##record_name, item);                                                  \
    }

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

/* A field of two parts goes to the _2_ form, one of three to the _3_ form. */
#define YOKE_MEMBER_(record, field) YOKE_FIELD_(YOKE_FIELD_JOIN_(YOKE_MEMBER_, YOKE_PARTS_ field), record, YOKE_OPEN_ field)
#define YOKE_LIST_(record, field)   YOKE_FIELD_(YOKE_FIELD_JOIN_(YOKE_LIST_, YOKE_PARTS_ field), record, YOKE_OPEN_ field)
#define YOKE_ENTRY_(record, field)  YOKE_FIELD_(YOKE_FIELD_JOIN_(YOKE_ENTRY_, YOKE_PARTS_ field), record, YOKE_OPEN_ field)
#define YOKE_FIELD_(macro, ...)     macro(__VA_ARGS__)
#define YOKE_FIELD_JOIN_(form, parts)   YOKE_FIELD_JOIN_2_(form, parts)
#define YOKE_FIELD_JOIN_2_(form, parts) form##parts##_
#define YOKE_OPEN_(...)             __VA_ARGS__
#define YOKE_PARTS_(...)            YOKE_PARTS_PICK_(__VA_ARGS__, 3, 2, 1, 0)
#define YOKE_PARTS_PICK_(p1, p2, p3, count, ...) count

#define YOKE_MEMBER_2_(record, type, name)       yoke_type_##type name;
#define YOKE_MEMBER_3_(record, kind, type, name) YOKE_FIELD_OF_THREE_BEGINS_WITH_##kind(type) name;
#define YOKE_FIELD_OF_THREE_BEGINS_WITH_list(type) struct { yoke_type_##type *items; size_t count; }
#define YOKE_LIST_2_(record, type, name)
#define YOKE_LIST_3_(record, kind, type, name) \
    static const yoke_record yoke_list_##record##_##name##_ = { \
        "list of " #type, sizeof(yoke_items), YOKE_SHAPE_LIST, NULL, 0, &yoke_record_##type};
#define YOKE_ENTRY_2_(record, type, name)       {#name, &yoke_record_##type, offsetof(record, name)},
#define YOKE_ENTRY_3_(record, kind, type, name) {#name, &yoke_list_##record##_##name##_, offsetof(record, name)},
/* clang-format on */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
