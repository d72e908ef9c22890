/* Records: each basic type at its limits, structs and lists, and what does not fit, told by its path. */
#include "base/memory.h"
#include "harness.h"
#include "msg/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

YOKE_RECORD(point, (f64, x), (f64, y))
YOKE_RECORD(shape, (str, name), (list, point, points), (boolean, filled))
YOKE_RECORD(drawing, (list, shape, shapes), (list, str, notes), (any, extra), (bytes, blob), (none, gap))
YOKE_RECORD(narrow, (u8, a), (i8, b))
YOKE_RECORD(deep, (drawing, first), (u64, count))
YOKE_RECORD(wide, (u8, a1), (u8, a2), (u8, a3), (u8, a4), (u8, a5), (u8, a6), (u8, a7), (u8, a8), (u8, a9),
            (u8, a10), (u8, a11), (u8, a12), (u8, a13), (u8, a14), (u8, a15), (u8, a16), (u8, a17), (u8, a18),
            (u8, a19), (u8, a20), (u8, a21), (u8, a22), (u8, a23), (u8, a24))

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

static void expect_bytes(const yoke_record *record, const void *item, const uint8_t *bytes, size_t size)
{
    struct buffer out = BUFFER_EMPTY;
    assert_success(record_encode(&out, record, item, "args"));
    assert_int_equal(buffer_size(&out), size);
    assert_memory_equal(buffer_begin(&out), bytes, size);
    buffer_free(&out);
}
#define EXPECT_BYTES(record, item, literal) expect_bytes(&yoke_record_##record, (item), BYTES(literal))

/* The bytes end where their memory ends, and the item is zero after a refusal. */
static void expect_misfit(const yoke_record *record, const uint8_t *bytes, size_t size, const char *text)
{
    uint8_t *copy = malloc(size + !size), *item = malloc(record->size);
    memcpy(copy, bytes, size);
    memset(item, 0x5a, record->size);
    assert_error_text(record_decode(record, copy, size, "args", item), &YOKE_MSG_TYPE, text);
    for (size_t i = 0; i < record->size; i++)
        assert_int_equal(item[i], 0);
    assert_int_equal(memory_live(), 0);
    free(copy);
    free(item);
}
#define EXPECT_MISFIT(record, literal, text) expect_misfit(&yoke_record_##record, BYTES(literal), (text))

/* ---- basic types ---- */

static void test_integers(void **state)
{
    static const struct {
        const yoke_record *record;
        int64_t value;
        const char *bytes;
        size_t size;
    } rows[] = {
        {&yoke_record_u8, 0, "\x00", 1},
        {&yoke_record_u8, 255, "\xcc\xff", 2},
        {&yoke_record_i8, 127, "\x7f", 1},
        {&yoke_record_i8, -128, "\xd0\x80", 2},
        {&yoke_record_u16, 65535, "\xcd\xff\xff", 3},
        {&yoke_record_i16, -32768, "\xd1\x80\x00", 3},
        {&yoke_record_i16, 128, "\xcc\x80", 2},
        {&yoke_record_u32, 4294967295, "\xce\xff\xff\xff\xff", 5},
        {&yoke_record_i32, -2147483647 - 1, "\xd2\x80\x00\x00\x00", 5},
        {&yoke_record_u64, -1, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9},
        {&yoke_record_i64, INT64_MIN, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9},
        {&yoke_record_i64, INT64_MAX, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
        {&yoke_record_i64, -32, "\xe0", 1},
        {&yoke_record_i64, -33, "\xd0\xdf", 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t back = 0;
        /* On a little-endian machine the low bytes of the value are the narrow integer. */
        expect_bytes(rows[i].record, &rows[i].value, (const uint8_t *)rows[i].bytes, rows[i].size);
        assert_success(
            record_decode(rows[i].record, (const uint8_t *)rows[i].bytes, rows[i].size, "x", &back));
        assert_memory_equal(&back, &rows[i].value, rows[i].record->size);
    }
}

static void test_integers_of_any_form_in_range(void **state)
{
    uint8_t narrow8;
    int64_t wide64;
    assert_success(
        record_decode(&yoke_record_u8, BYTES("\xd3\x00\x00\x00\x00\x00\x00\x00\xff"), "x", &narrow8));
    assert_int_equal(narrow8, 255);
    assert_success(record_decode(&yoke_record_i64, BYTES("\xd1\xff\xff"), "x", &wide64));
    assert_int_equal(wide64, -1);
    EXPECT_MISFIT(u8, "\xcd\x01\x2c", "args: 300 does not fit u8");
    EXPECT_MISFIT(u8, "\xff", "args: -1 does not fit u8");
    EXPECT_MISFIT(i8, "\xcc\x80", "args: 128 does not fit i8");
    EXPECT_MISFIT(i8, "\xd1\xff\x7f", "args: -129 does not fit i8");
    EXPECT_MISFIT(i16, "\xce\x00\x00\x80\x00", "args: 32768 does not fit i16");
    EXPECT_MISFIT(i32, "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", "args: -2147483649 does not fit i32");
    EXPECT_MISFIT(u64, "\xff", "args: -1 does not fit u64");
    EXPECT_MISFIT(i64, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "args: 18446744073709551615 does not fit i64");
    EXPECT_MISFIT(u8, "\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", "args: expected int, got float");
    EXPECT_MISFIT(u8, "\xc3", "args: expected int, got bool");
}

static void test_floats(void **state)
{
    double real = 1.0, back;
    EXPECT_BYTES(f64, &real, "\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00");
    assert_success(record_decode(&yoke_record_f64, BYTES("\xca\x3f\xc0\x00\x00"), "x", &back));
    assert_true(back == 1.5);
    assert_success(record_decode(&yoke_record_f64, BYTES("\xff"), "x", &back));
    assert_true(back == -1.0);
    assert_success(record_decode(&yoke_record_f64, BYTES("\xcc\xff"), "x", &back));
    assert_true(back == 255.0);
    EXPECT_MISFIT(f64,
                  "\xa3"
                  "1.0",
                  "args: expected float, got str");
}

static void test_booleans_and_none(void **state)
{
    bool yes = true, back = false;
    EXPECT_BYTES(boolean, &yes, "\xc3");
    assert_success(record_decode(&yoke_record_boolean, BYTES("\xc3"), "x", &back));
    assert_true(back);
    EXPECT_MISFIT(boolean, "\x01", "args: expected bool, got int");
    EXPECT_BYTES(none, NULL, "\xc0");
    assert_success(record_decode(&yoke_record_none, BYTES("\xc0"), "x", NULL));
    EXPECT_MISFIT(none, "\x80", "args: expected nil, got map");
}

static void test_texts(void **state)
{
    yoke_type_str text = "h\xc3\xa9", null = NULL, back;
    EXPECT_BYTES(str, &text, "\xa3h\xc3\xa9");
    EXPECT_BYTES(str, &null, "\xa0");
    assert_success(record_decode(&yoke_record_str, BYTES("\xdb\x00\x00\x00\x02hi"), "x", &back));
    assert_string_equal(back, "hi");
    yoke_record_free(&yoke_record_str, &back);
    assert_null(back);
    EXPECT_MISFIT(str,
                  "\xa3"
                  "a\0b",
                  "args: a str with a zero byte inside");
    EXPECT_MISFIT(str, "\xa2\xc3\x28", "args: not UTF-8");
    EXPECT_MISFIT(str, "\xc4\x01x", "args: expected str, got bytes");
    EXPECT_MISFIT(str, "\xc0", "args: expected str, got nil");
}

static void test_bytes(void **state)
{
    yoke_bytes blob = {(const uint8_t *)"\0\xff", 2}, empty = {NULL, 0}, back;
    EXPECT_BYTES(bytes, &blob, "\xc4\x02\x00\xff");
    EXPECT_BYTES(bytes, &empty, "\xc4\x00");
    assert_success(record_decode(&yoke_record_bytes, BYTES("\xc5\x00\x02\x00\xff"), "x", &back));
    assert_int_equal(back.size, 2);
    assert_memory_equal(back.data, "\0\xff", 2);
    yoke_record_free(&yoke_record_bytes, &back);
    EXPECT_MISFIT(bytes, "\xa1x", "args: expected bytes, got str");
}

static void test_any(void **state)
{
    yoke_value nil = {NULL, 0}, back;
    EXPECT_BYTES(any, &nil, "\xc0");
    EXPECT_BYTES(any, NULL, "\xc0");
    assert_success(record_decode(&yoke_record_any, BYTES("\xc0"), "x", &back));
    assert_null(back.data);
    assert_success(record_decode(&yoke_record_any, BYTES("\x81\x01\x92\xc0\xc7\x01\x05x"), "x", &back));
    assert_int_equal(back.size, 8);
    expect_bytes(&yoke_record_any, &back, back.data, back.size);
    yoke_value_free(&back);
    EXPECT_MISFIT(any, "\x92\x01", "args: not enough bytes");
    EXPECT_MISFIT(any, "\xa1\xff", "args: a str that is not UTF-8");
    EXPECT_MISFIT(any, "\x01\x02", "args: 1 bytes behind the value");
    EXPECT_MISFIT(any, "", "args: not enough bytes at byte 0");

    static const char *const broken[] = {"\x92\x01", "\xc1", "\x01\x02", "\xa1\xff"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct buffer out = BUFFER_EMPTY;
        yoke_value bad = {(uint8_t *)broken[i], strlen(broken[i])};
        assert_error(record_encode(&out, &yoke_record_any, &bad, "args"), &YOKE_MSG_TYPE);
        assert_int_equal(buffer_size(&out), 0);
        buffer_free(&out);
    }
}

/* ---- structs and lists ---- */

static void test_struct_round_trip(void **state)
{
    point points[] = {{1, 2}, {3, 4}};
    shape shapes[] = {{"line", {points, 2}, true}, {"nothing", {NULL, 0}, false}};
    yoke_type_str notes[] = {"a", "b", "c"};
    deep item = {{{shapes, 2}, {notes, 3}, {NULL, 0}, {(const uint8_t *)"xyz", 3}, {0}}, 7}, back;
    struct buffer out = BUFFER_EMPTY, again = BUFFER_EMPTY;
    assert_success(record_encode(&out, &yoke_record_deep, &item, "args"));
    assert_success(record_decode(&yoke_record_deep, buffer_begin(&out), buffer_size(&out), "args", &back));
    assert_int_equal(back.first.shapes.count, 2);
    assert_string_equal(back.first.shapes.items[0].name, "line");
    assert_true(back.first.shapes.items[0].points.items[1].y == 4);
    assert_null(back.first.shapes.items[1].points.items);
    assert_string_equal(back.first.notes.items[2], "c");
    assert_memory_equal(back.first.blob.data, "xyz", 3);
    assert_int_equal(back.count, 7);
    assert_success(record_encode(&again, &yoke_record_deep, &back, "args"));
    assert_int_equal(buffer_size(&again), buffer_size(&out));
    assert_memory_equal(buffer_begin(&again), buffer_begin(&out), buffer_size(&out));
    deep_free(&back);
    deep_free(NULL);
    assert_null(back.first.shapes.items);
    assert_int_equal(back.count, 0);
    buffer_free(&out);
    buffer_free(&again);
}

static void test_struct_form(void **state)
{
    point p = {0, 1};
    narrow back;
    EXPECT_BYTES(point, &p,
                 "\x82\xa1x\xcb\x00\x00\x00\x00\x00\x00\x00\x00\xa1y\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00");
    assert_success(record_decode(&yoke_record_narrow,
                                 BYTES("\x82\xa1"
                                       "b\xff\xa1"
                                       "a\x02"),
                                 "x", &back));
    assert_int_equal(back.a, 2);
    assert_int_equal(back.b, -1);
}

static void test_struct_misfits(void **state)
{
    EXPECT_MISFIT(narrow,
                  "\x81\xa1"
                  "a\x01",
                  "args.b: missing");
    EXPECT_MISFIT(narrow,
                  "\x83\xa1"
                  "a\x01\xa1"
                  "b\x01\xa1"
                  "a\x01",
                  "args.a: twice");
    EXPECT_MISFIT(narrow,
                  "\x82\xa1"
                  "a\xcd\x01\x2c\xa1"
                  "b\x01",
                  "args.a: 300 does not fit u8");
    EXPECT_MISFIT(narrow, "\x82\x01\x01\x02\x02", "args: expected str as a key, got int");
    EXPECT_MISFIT(narrow, "\x82\xa1\xff\x01\x02\x02", "args: expected str as a key, got int");
    EXPECT_MISFIT(narrow, "\x92\x01\x02", "args: expected map, got array");
    EXPECT_MISFIT(narrow,
                  "\x82\xa1"
                  "a",
                  "args: not enough bytes");
    EXPECT_MISFIT(shape,
                  "\x81\xa6points\x93\x82\xa1x\x01\xa1y\x01\x82\xa1x\x01\xa1y\x01\x82\xa1x\xa1?\xa1y\x01",
                  "args.points[2].x: expected float, got str");
    EXPECT_MISFIT(drawing,
                  "\x81\xa5notes\x92\xa1"
                  "a\x01",
                  "args.notes[1]: expected str, got int");
    EXPECT_MISFIT(drawing, "\x81\xa5notes\x80", "args.notes: expected array, got map");
    EXPECT_MISFIT(drawing,
                  "\x81\xa5"
                  "extra\x91\xc1",
                  "args.extra: a byte that msgpack does not have");
}

/* After some strings and lists came something wrong: expect_misfit sees that none is kept. */
static void test_each_truncation_of_a_struct(void **state)
{
    point points[] = {{1, 2}, {3, 4}};
    shape shapes[] = {{"line", {points, 2}, true}};
    yoke_type_str notes[] = {"a", "b"};
    drawing item = {{shapes, 1}, {notes, 2}, {(uint8_t *)"\x91\x01", 2}, {(const uint8_t *)"xyz", 3}, {0}};
    struct buffer out = BUFFER_EMPTY;
    assert_success(record_encode(&out, &yoke_record_drawing, &item, "args"));
    size_t size = buffer_size(&out);
    uint8_t *bytes = malloc(size);
    memcpy(bytes, buffer_begin(&out), size);
    buffer_free(&out);
    for (size_t n = 0; n < size; n++)
        expect_misfit(&yoke_record_drawing, bytes, n, "not enough bytes");
    free(bytes);
}

static void test_text_that_is_not_sent(void **state)
{
    shape shapes[] = {{"fine", {NULL, 0}, false}, {"\xff", {NULL, 0}, false}};
    drawing item = {.shapes = {shapes, 2}};
    struct buffer out = BUFFER_EMPTY;
    assert_true(buffer_append(&out, "x", 1));
    assert_error_text(record_encode(&out, &yoke_record_drawing, &item, "args"), &YOKE_MSG_TYPE,
                      "args.shapes[1].name: not UTF-8");
    item = (drawing){.notes = {NULL, 2}};
    assert_error_text(record_encode(&out, &yoke_record_drawing, &item, "args"), &YOKE_MSG_TYPE,
                      "args.notes: a list");
    assert_error_text(record_encode(&out, &yoke_record_drawing, NULL, "args"), &YOKE_USAGE, "drawing");
    assert_int_equal(buffer_size(&out), 1);
    buffer_free(&out);
}

static void test_twenty_four_fields(void **state)
{
    wide item = {.a1 = 1, .a24 = 24}, back;
    struct buffer out = BUFFER_EMPTY;
    assert_int_equal(yoke_record_wide.count, 24);
    assert_success(record_encode(&out, &yoke_record_wide, &item, "args"));
    assert_success(record_decode(&yoke_record_wide, buffer_begin(&out), buffer_size(&out), "args", &back));
    assert_memory_equal(&item, &back, sizeof item);
    buffer_free(&out);
}

/* A count that the bytes cannot hold is refused before anything is allocated for it. */
static void test_announced_lists_take_no_memory(void **state)
{
    EXPECT_MISFIT(drawing, "\x81\xa5notes\xdd\x80\x00\x00\x00", "args.notes: not enough bytes");
    EXPECT_MISFIT(drawing,
                  "\x81\xa4"
                  "blob\xc6\xff\xff\xff\xff",
                  "args.blob: not enough bytes");
}

/* A record may be made by hand; one that holds itself ends at the bound, not at the stack's. */
static void test_nesting_bound(void **state)
{
    yoke_record list = {"list", sizeof(yoke_items), YOKE_SHAPE_LIST, NULL, 0, NULL};
    list.element = &list;
    uint8_t bytes[100];
    yoke_items item;
    memset(bytes, 0x91, sizeof bytes);
    bytes[63] = 0x90;
    assert_success(record_decode(&list, bytes, 64, "args", &item));
    struct buffer out = BUFFER_EMPTY;
    assert_success(record_encode(&out, &list, &item, "args"));
    assert_memory_equal(buffer_begin(&out), bytes, 64);
    yoke_record_free(&list, &item);
    buffer_free(&out);
    bytes[63] = 0x91;
    bytes[64] = 0x90;
    assert_error_text(record_decode(&list, bytes, 65, "args", &item), &YOKE_MSG_TYPE,
                      "[0][0]: nested deeper than 64");
    assert_error(record_decode(&yoke_record_any, bytes, 65, "args", &(yoke_value){NULL, 0}), &YOKE_MSG_TYPE);
}

static void test_no_memory(void **state)
{
    static const char bytes[] = "\x85\xa6shapes\x91\x83\xa4name\xa1n\xa6points\x90\xa6"
                                "filled\xc2\xa5notes\x92\xa1"
                                "a\xa1"
                                "b\xa5"
                                "extra\x91\x01\xa4"
                                "blob\xc4\x01x\xa3gap\xc0";
    size_t n = 0;
    for (bool fired = true; fired; n++) {
        drawing item;
        memory_fail_after(n);
        yoke_error *e = record_decode(&yoke_record_drawing, BYTES(bytes), "args", &item);
        fired = memory_fail_after(SIZE_MAX);
        if (fired)
            assert_error(e, &YOKE_NO_MEMORY);
        else
            assert_success(e);
        drawing_free(&item);
        assert_int_equal(memory_live(), 0);
    }
    assert_true(n > 6);
}

/* ---- arguments ---- */

static void test_arguments(void **state)
{
    struct buffer out = BUFFER_EMPTY;
    narrow item = {1, 2}, back;
    yoke_type_u64 number = 1;
    assert_success(record_encode_args(&out, &yoke_record_none, NULL));
    assert_memory_equal(buffer_begin(&out), "\x80", 1);
    assert_success(record_decode_args(&yoke_record_none, buffer_begin(&out), 1, NULL));
    buffer_consume(&out, 1);
    assert_success(record_encode_args(&out, &yoke_record_narrow, &item));
    assert_success(record_decode_args(&yoke_record_narrow, buffer_begin(&out), buffer_size(&out), &back));
    assert_int_equal(back.b, 2);
    buffer_free(&out);
    assert_error_text(record_decode_args(&yoke_record_none, BYTES("\x81\xa1x\x01"), NULL), &YOKE_MSG_TYPE,
                      "args.x: unknown");
    assert_error(record_decode_args(&yoke_record_none, BYTES("\xc0"), NULL), &YOKE_MSG_TYPE);
    assert_error(record_encode_args(&out, &yoke_record_u64, &number), &YOKE_USAGE);
    assert_error(record_decode_args(&yoke_record_u64, BYTES("\x01"), &number), &YOKE_USAGE);
}

/* ---- values ---- */

static void test_values(void **state)
{
    narrow item = {200, -3}, back;
    yoke_value value, nil = {NULL, 0};
    yoke_type_none none;
    assert_success(yoke_value_from(&value, &yoke_record_narrow, &item));
    assert_success(yoke_value_to(&value, &yoke_record_narrow, &back));
    assert_int_equal(back.a, 200);
    assert_int_equal(back.b, -3);
    assert_error_text(yoke_value_to(&value, &yoke_record_u8, &back), &YOKE_MSG_TYPE,
                      "value: expected int, got map");
    yoke_value_free(&value);
    assert_null(value.data);
    yoke_value_free(NULL);
    assert_success(yoke_value_from(&value, &yoke_record_none, NULL));
    assert_null(value.data);
    assert_success(yoke_value_to(&nil, &yoke_record_none, &none));
    assert_error(yoke_value_to(&nil, &yoke_record_narrow, &back), &YOKE_MSG_TYPE);
}

static void expect_value_text(const uint8_t *bytes, size_t size, const char *text)
{
    yoke_value value = {(uint8_t *)bytes, size};
    char *got = yoke_value_text(&value);
    assert_string_equal(got, text);
    free(got);
}

static void test_value_text(void **state)
{
    expect_value_text(NULL, 0, "null");
    expect_value_text(BYTES("\x82\xa1k\x93\x01\xff\xc3\x02\x80"), "{\"k\": [1, -1, true], 2: {}}");
    expect_value_text(BYTES("\x92\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"),
                      "[1.0, 0.1]");
    expect_value_text(BYTES("\xa8\"\\\n\x1b\xc3\xa9\xff\x7f"),
                      "\"\\\"\\\\\\u000a\\u001b\xc3\xa9\\xff\\u007f\"");
    expect_value_text(BYTES("\x92\xc4\x02\x00\xff\xd4\x05x"), "[<bytes 00ff>, <ext 5 78>]");
    expect_value_text(BYTES("\x92\x01"), "<not enough bytes>");
    expect_value_text(BYTES("\x91\x91\xc1"), "[[<a byte that msgpack does not have>");
}

static void test_value_text_is_bounded(void **state)
{
    size_t size = 1u << 20;
    uint8_t *bytes = malloc(size);
    yoke_value value = {bytes, size};
    memset(bytes, 0x91, size);
    char *nested = yoke_value_text(&value);
    assert_non_null(strstr(nested, "[<nested too deep>"));
    free(nested);
    memset(bytes, 'x', size);
    memcpy(bytes, "\xdb\x00\x0f\xff\xfb", 5);
    char *longer = yoke_value_text(&value);
    assert_true(strlen(longer) < 65 * 1024);
    assert_string_equal(longer + strlen(longer) - 4, "...\"");
    free(longer);
    memset(bytes, 1, size);
    memcpy(bytes, "\xdd\x00\x0f\xff\xfb", 5);
    longer = yoke_value_text(&value);
    assert_true(strlen(longer) < 65 * 1024);
    assert_string_equal(longer + strlen(longer) - 3, "...");
    free(longer);
    free(bytes);
}

/* ---- the recorded values ---- */

static size_t from_hex(const char *hex, uint8_t *bytes)
{
    size_t size = 0;
    for (unsigned byte; sscanf(hex + 2 * size, "%2x", &byte) == 1; size++)
        bytes[size] = (uint8_t)byte;
    return size;
}

/* The basic record that a recorded value belongs to, by its first byte; NULL: containers of mixed types. */
static const yoke_record *record_of(uint8_t first)
{
    if (first == 0xc0)
        return &yoke_record_none;
    if (first == 0xc2 || first == 0xc3)
        return &yoke_record_boolean;
    if (first == 0xcb)
        return &yoke_record_f64;
    if (first >= 0xc4 && first <= 0xc6)
        return &yoke_record_bytes;
    if ((first >= 0xa0 && first < 0xc0) || (first >= 0xd9 && first <= 0xdb))
        return &yoke_record_str;
    if (first >= 0xd0 && first <= 0xd3)
        return &yoke_record_i64;
    if (first < 0x80 || (first >= 0xcc && first <= 0xcf))
        return &yoke_record_u64;
    return first >= 0xe0 ? &yoke_record_i64 : NULL;
}

static void expect_same_form(const yoke_record *record, const uint8_t *bytes, size_t size)
{
    uint64_t item[4];
    assert_true(record->size <= sizeof item);
    assert_success(record_decode(record, bytes, size, "value", item));
    expect_bytes(record, item, bytes, size);
    yoke_record_free(record, item);
}

static void test_recorded_values_keep_their_form(void **state)
{
    FILE *file = fopen("values.tsv", "r");
    char *line = NULL;
    size_t room = 0, basic = 0, all = 0;
    uint8_t bytes[70000];
    assert_non_null(file);
    assert_true(getline(&line, &room, file) > 0);
    while (getline(&line, &room, file) > 0) {
        size_t size = from_hex(strchr(line, '\t') + 1, bytes);
        assert_true(size > 0);
        expect_same_form(&yoke_record_any, bytes, size);
        const yoke_record *record = record_of(bytes[0]);
        if (record)
            expect_same_form(record, bytes, size);
        basic += record != NULL;
        all++;
    }
    free(line);
    fclose(file);
    assert_int_equal(all, 40);
    assert_true(basic >= 30);
}

HARNESS_MAIN(TEST(test_integers), TEST(test_integers_of_any_form_in_range), TEST(test_floats),
             TEST(test_booleans_and_none), TEST(test_texts), TEST(test_bytes), TEST(test_any),
             TEST(test_struct_round_trip), TEST(test_struct_form), TEST(test_struct_misfits),
             TEST(test_each_truncation_of_a_struct), TEST(test_text_that_is_not_sent),
             TEST(test_twenty_four_fields), TEST(test_announced_lists_take_no_memory),
             TEST(test_nesting_bound), TEST(test_no_memory), TEST(test_arguments), TEST(test_values),
             TEST(test_value_text), TEST(test_value_text_is_bounded),
             TEST(test_recorded_values_keep_their_form))
