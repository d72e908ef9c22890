/* Records: what a record may be made of beside basic types, each form there and back, each with its own error
 * that says where. */
#include "base/memory.h"
#include "harness.h"
#include "msg/record.h"
#include "msg/wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

YOKE_RECORD(point, (f64, x), (f64, y))
YOKE_RECORD(circle, (point, center), (f64, radius))
YOKE_RECORD(path, (list, point, pts, 4), (limit, str, label, 5))
YOKE_ENUM(color, red, green, blue)
YOKE_UNION(figure, circle, path, none)
YOKE_RECORD(style, (color, line), (optional, color, fill), (default, u32, width, 1),
            (default, str, font, "serif"))
YOKE_RECORD(drawing, (map, figure, figures), (optional, style, style), (list, color, palette))
YOKE_STRICT_RECORD(exact, (u8, a), (optional, u8, b))
YOKE_RECORD(loose, (u8, a), (optional, str, b))
YOKE_RECORD(limited, (limit, str, text, 3), (limit, bytes, blob, 2), (list, u8, few, 2), (map, u8, pairs))

/* ---- an extension: a text in < and >, which a decoded one owns ---- */

struct label {
    const char *text;
};

static yoke_error *put_label(const struct label *item, yoke_sink *sink)
{
    if (!item->text)
        return yoke_raise(&YOKE_USAGE, "a label without a text");
    yoke_sink_put(sink, "<", 1);
    yoke_sink_put(sink, item->text, strlen(item->text));
    yoke_sink_put(sink, ">", 1);
    return NULL;
}

static yoke_error *take_label(const void *bytes, size_t size, struct label *item)
{
    const char *text = bytes;
    if (size < 2 || text[0] != '<' || text[size - 1] != '>')
        return yoke_raise(&YOKE_USAGE, "a label stands in < and >");
    char *copy = memory_alloc(size - 1);
    memcpy(copy, text + 1, size - 2);
    copy[size - 2] = '\0';
    item->text = copy;
    return NULL;
}

static void free_label(struct label *item)
{
    memory_free((void *)item->text);
}
YOKE_EXTENSION(label, struct label, 5, put_label, take_label, free_label)
YOKE_RECORD(labelled, (label, name), (list, label, more))

/* ---- help ---- */

/* Encodes, decodes, and encodes again: the bytes are the same. The decoded item is in `back`. */
static void there_and_back(const yoke_record *record, const void *item, void *back)
{
    struct buffer out = BUFFER_EMPTY, again = BUFFER_EMPTY;
    assert_success(record_encode(&out, record, item, "args"));
    assert_success(record_decode(record, buffer_begin(&out), buffer_size(&out), "args", back));
    assert_success(record_encode(&again, record, back, "args"));
    assert_int_equal(buffer_size(&again), buffer_size(&out));
    assert_memory_equal(buffer_begin(&again), buffer_begin(&out), buffer_size(&out));
    buffer_free(&out);
    buffer_free(&again);
}

static void expect_bytes(const yoke_record *record, const void *item, const char *bytes, size_t size)
{
    struct buffer out = BUFFER_EMPTY;
    assert_success(record_encode(&out, record, item, "args"));
    assert_int_equal(buffer_size(&out), size);
    assert_memory_equal(buffer_begin(&out), bytes, size);
    buffer_free(&out);
}
#define EXPECT_BYTES(record, item, literal)                                                                  \
    expect_bytes(&yoke_record_##record, (item), (literal), sizeof(literal) - 1)

static void expect_misfit(const yoke_record *record, const char *bytes, size_t size, const char *text)
{
    uint8_t *copy = malloc(size + !size),
            *item = malloc(record->size); /* a read beyond is seen by the checkers */
    memcpy(copy, bytes, size);
    memset(item, 0x5a, record->size);
    assert_error_text(record_decode(record, copy, size, "args", item), &YOKE_MSG_TYPE, text);
    for (size_t i = 0; i < record->size; i++)
        assert_int_equal(item[i], 0);
    assert_int_equal(memory_live(), 0);
    free(copy);
    free(item);
}
#define EXPECT_MISFIT(record, literal, text)                                                                 \
    expect_misfit(&yoke_record_##record, (literal), sizeof(literal) - 1, (text))

static void expect_refused(const yoke_record *record, const void *item, const char *text)
{
    struct buffer out = BUFFER_EMPTY;
    assert_error_text(record_encode(&out, record, item, "args"), &YOKE_MSG_TYPE, text);
    assert_int_equal(buffer_size(&out), 0);
    buffer_free(&out);
}
#define EXPECT_REFUSED(record, item, text) expect_refused(&yoke_record_##record, (item), (text))

/* ---- numbers ---- */

static void expect_double(const char *bytes, size_t size, double value)
{
    double back = 0;
    assert_success(record_decode(&yoke_record_f64, (const uint8_t *)bytes, size, "x", &back));
    assert_true(back == value);
}

static void test_type_08_number_ranges(void **state)
{
    EXPECT_MISFIT(u8, "\xcd\x01\x2c", "args: 300 does not fit u8 (0 to 255)");
    EXPECT_MISFIT(u16, "\xff", "args: -1 does not fit u16 (0 to 65535)");
    EXPECT_MISFIT(u64, "\xff", "args: -1 does not fit u64 (0 to 18446744073709551615)");
    EXPECT_MISFIT(i8, "\xcc\x80", "args: 128 does not fit i8 (-128 to 127)");
    EXPECT_MISFIT(i64, "\xcf\x80\0\0\0\0\0\0\0",
                  "args: 9223372036854775808 does not fit i64 (-9223372036854775808 to 9223372036854775807)");
    EXPECT_MISFIT(i32, "\xcb\x3f\xf8\0\0\0\0\0\0",
                  "args: expected int, got float 1.5: i32 (-2147483648 to 2147483647)");
    EXPECT_MISFIT(u8, "\xcb\x7f\xf8\0\0\0\0\0\0", "args: expected int, got float nan: u8 (0 to 255)");
    /* an integer is a float when that is the same number */
    expect_double("\xcf\0\x20\0\0\0\0\0\0", 9, 9007199254740992.0);
    expect_double("\xcf\x80\0\0\0\0\0\0\0", 9, 9223372036854775808.0);
    expect_double("\xd3\x80\0\0\0\0\0\0\0", 9, -9223372036854775808.0);
    EXPECT_MISFIT(f64, "\xcf\0\x20\0\0\0\0\0\x01", "args: 9007199254740993 is no exact float");
    EXPECT_MISFIT(f64, "\xd3\xff\xdf\xff\xff\xff\xff\xff\xff", "args: -9007199254740993 is no exact float");
}

/* ---- texts ---- */

static void test_type_09_strings(void **state)
{
    yoke_type_str bad = "a\xff";
    yoke_bytes zero = {(const uint8_t *)"\0", 1}, back;
    EXPECT_MISFIT(str, "\xa2\xc3\x28", "args: not UTF-8");
    EXPECT_MISFIT(str, "\xa3\xed\xa0\x80", "args: not UTF-8"); /* half of a surrogate pair */
    EXPECT_REFUSED(str, &bad, "args: not UTF-8");
    EXPECT_MISFIT(str,
                  "\xa3"
                  "a\0b",
                  "args: a str with a zero byte inside");
    there_and_back(&yoke_record_bytes, &zero, &back);
    assert_int_equal(back.size, 1);
    yoke_record_free(&yoke_record_bytes, &back);

    uint8_t numbers[] = {1, 2, 3};
    limited item = {.text = "abc", .blob = {numbers, 2}, .few = {numbers, 2}}, limits;
    there_and_back(&yoke_record_limited, &item, &limits);
    assert_string_equal(limits.text, "abc");
    limited_free(&limits);
    item.text = "abcd";
    EXPECT_REFUSED(limited, &item, "args.text: 4 bytes, at most 3 are allowed");
    item.text = NULL;
    item.blob.size = 3;
    EXPECT_REFUSED(limited, &item, "args.blob: 3 bytes, at most 2 are allowed");
    item.blob.size = 0;
    item.few.count = 3;
    EXPECT_REFUSED(limited, &item, "args.few: 3 items, at most 2 are allowed");
    EXPECT_MISFIT(limited,
                  "\x81\xa4text\xa4"
                  "abcd",
                  "args.text: 4 bytes, at most 3 are allowed");
    EXPECT_MISFIT(limited,
                  "\x81\xa4"
                  "blob\xc4\x03xyz",
                  "args.blob: 3 bytes, at most 2 are allowed");
    EXPECT_MISFIT(limited,
                  "\x81\xa3"
                  "few\x93\x01\x02\x03",
                  "args.few: 3 items, at most 2 are allowed");
}

/* ---- sizes ---- */

/* How many allocations an error of such a text takes. */
static size_t raise_takes(const char *text)
{
    bool fired = true;
    size_t n = 0;
    for (; fired; n++) {
        memory_fail_after(n);
        yoke_error_free(yoke_raise(&YOKE_MSG_TYPE, "%s at byte 1234", text));
        fired = memory_fail_after(SIZE_MAX);
    }
    return n - 1;
}

/* Nothing is allocated before the error: there is memory for no more than that, and so it would not be the
 * one that is expected. */
static void expect_refused_early(const yoke_record *record, const char *bytes, size_t size, const char *text)
{
    uint8_t item[256];
    memory_fail_after(raise_takes(text));
    yoke_error *e = record_decode(record, (const uint8_t *)bytes, size, "args", item);
    memory_fail_after(SIZE_MAX);
    assert_error_text(e, &YOKE_MSG_TYPE, text);
}

static void test_type_10_nesting_and_sizes(void **state)
{
    char deep[70];
    memset(deep, 0x91, sizeof deep);
    deep[sizeof deep - 1] = '\xc0';
    expect_refused_early(&yoke_record_any, deep, sizeof deep, "args: nested too deep");
    expect_refused_early(&yoke_record_bytes, "\xc6\xff\xff\xff\xff", 5, "args: not enough bytes");
    expect_refused_early(&yoke_record_str, "\xdb\xff\xff\xff\xff", 5, "args: not enough bytes");
    expect_refused_early(&yoke_record_drawing, "\x81\xa7palette\xdd\xff\xff\xff\xff", 14,
                         "args.palette: not enough bytes");
    expect_refused_early(&yoke_record_drawing,
                         "\x81\xa7"
                         "figures\xdf\xff\xff\xff\xff",
                         14, "args.figures: not enough bytes");
    /* In a frame the whole message is looked at before a record is. */
    struct msg m;
    char frame[64 + 80] = "\x83\xa8msg_type\xa5Yield\xa3"
                          "cid\xa1"
                          "1\xa3pld";
    size_t head = strlen(frame);
    memset(frame + head, 0x91, 66);
    frame[head + 66] = '\xc0';
    memory_fail_after(raise_takes("nested too deep"));
    yoke_error *e = msg_decode((const uint8_t *)frame, head + 67, &msg_limits_default, &m);
    memory_fail_after(SIZE_MAX);
    assert_error_text(e, &YOKE_PROTOCOL, "nested too deep");
}

/* ---- fields that are not there, or not known ---- */

static void test_type_11_unknown_and_missing_fields(void **state)
{
    style back;
    loose l;
    exact x;
    EXPECT_MISFIT(exact,
                  "\x82\xa1"
                  "a\x01\xa1"
                  "c\x01",
                  "args.c: unknown");
    assert_success(record_decode(&yoke_record_loose,
                                 (const uint8_t *)"\x83\xa1"
                                                  "c\x92\x01\x80\xa1"
                                                  "a\x07\xa1"
                                                  "d\xc0",
                                 12, "args", &l));
    assert_int_equal(l.a, 7);
    assert_null(l.b);
    assert_success(record_decode(&yoke_record_exact,
                                 (const uint8_t *)"\x81\xa1"
                                                  "a\x01",
                                 4, "args", &x));
    assert_null(x.b);
    /* What is skipped is looked at all the same. */
    EXPECT_MISFIT(loose,
                  "\x82\xa1"
                  "a\x01\xa1"
                  "c\xc1",
                  "args: a byte that msgpack does not have");
    EXPECT_MISFIT(loose, "\x80", "args.a: missing");
    EXPECT_MISFIT(loose,
                  "\x82\xa1"
                  "a\x01\xa1"
                  "a\x02",
                  "args.a: twice");
    EXPECT_MISFIT(loose,
                  "\x83\xa1"
                  "a\x01\xa1"
                  "b\xa1x\xa1"
                  "b\xa1x",
                  "args.b: twice");
    /* Defaults; a default text is the item's own, as all of it. */
    assert_success(record_decode(&yoke_record_style,
                                 (const uint8_t *)"\x81\xa4line\xa4"
                                                  "blue",
                                 11, "args", &back));
    assert_int_equal(back.line, color_blue);
    assert_null(back.fill);
    assert_int_equal(back.width, 1);
    assert_string_equal(back.font, "serif");
    style_free(&back);
    EXPECT_MISFIT(style, "\x81\xa5width\x05", "args.line: missing");
    /* Arguments are as strict as a function's. */
    assert_error_text(record_decode_args(&yoke_record_loose,
                                         (const uint8_t *)"\x82\xa1"
                                                          "a\x01\xa1"
                                                          "c\x01",
                                         7, &l),
                      &YOKE_MSG_TYPE, "args.c: unknown");
}

/* ---- forms ---- */

static void test_type_12_records_lists_and_optionals(void **state)
{
    point pts[] = {{1, 2}, {3, 4}};
    color fill = color_green;
    style s = {color_blue, &fill, 3, "mono"}, s_back;
    path p = {{pts, 2}, "abc"}, p_back;
    there_and_back(&yoke_record_path, &p, &p_back);
    assert_true(p_back.pts.items[1].y == 4);
    path_free(&p_back);
    there_and_back(&yoke_record_style, &s, &s_back);
    assert_int_equal(*s_back.fill, color_green);
    assert_int_equal(s_back.width, 3);
    style_free(&s_back);
    s.fill = NULL;
    EXPECT_BYTES(style, &s,
                 "\x84\xa4line\xa4"
                 "blue\xa4"
                 "fill\xc0\xa5width\x03\xa4"
                 "font\xa4mono");
    EXPECT_MISFIT(path, "\x81\xa3pts\x92\x82\xa1x\x01\xa1y\x01\x82\xa1x\xa1?",
                  "args.pts[1].x: expected float, got str");
    EXPECT_MISFIT(style,
                  "\x81\xa4"
                  "fill\x01",
                  "args.fill: expected str, got int");
}

static void test_type_12_enums(void **state)
{
    color blue = color_blue, wrong = (color)3, back = color_red;
    EXPECT_BYTES(color, &blue,
                 "\xa4"
                 "blue");
    there_and_back(&yoke_record_color, &blue, &back);
    assert_int_equal(back, color_blue);
    EXPECT_REFUSED(color, &wrong, "args: 3 is none of the 3 of color");
    EXPECT_MISFIT(color, "\xa4pink", "args: expected color (red, green, blue), got \"pink\"");
    EXPECT_MISFIT(color, "\xa1\xff", "args: expected color (red, green, blue), got a str that is no text");
    EXPECT_MISFIT(drawing, "\x81\xa7palette\x92\xa3red\xa3tan",
                  "args.palette[1]: expected color (red, green, blue), got \"tan\"");
}

static void test_type_12_unions_by_tag(void **state)
{
    point pts[] = {{1, 2}};
    figure one = {.is = figure_circle, .circle = {{1, 2}, 3}}, back;
    figure two = {.is = figure_path, .path = {{pts, 1}, "abc"}}, none = {.is = figure_none};
    figure wrong = {.is = (enum figure_is)7};
    there_and_back(&yoke_record_figure, &one, &back);
    assert_int_equal(back.is, figure_circle);
    assert_true(back.circle.radius == 3);
    figure_free(&back);
    there_and_back(&yoke_record_figure, &two, &back);
    assert_int_equal(back.is, figure_path);
    assert_string_equal(back.path.label, "abc");
    figure_free(&back);
    EXPECT_BYTES(figure, &none, "\x81\xa4type\xa4none");
    /* The tag may come last. */
    static const char last[] = "\x83\xa3pts\x90\xa5label\xa1x\xa4type\xa4path";
    assert_success(record_decode(&yoke_record_figure, (const uint8_t *)last, sizeof last - 1, "args", &back));
    assert_string_equal(back.path.label, "x");
    figure_free(&back);
    EXPECT_REFUSED(figure, &wrong, "args: 7 is none of the 3 of figure");
    EXPECT_MISFIT(figure, "\x81\xa5label\xa1x", "args.type: missing");
    EXPECT_MISFIT(figure, "\x81\xa4type\x01", "args.type: expected str, got int");
    EXPECT_MISFIT(figure,
                  "\x81\xa4type\xa3"
                  "box",
                  "args.type: expected figure (circle, path, none), got \"box\"");
    EXPECT_MISFIT(figure,
                  "\x82\xa4type\xa6"
                  "circle\xa6radius\xa1x",
                  "args.radius: expected float, got str");
    EXPECT_MISFIT(figure, "\x90", "args: expected map, got array");
}

static void test_type_12_maps(void **state)
{
    point pts[] = {{1, 2}};
    yoke_pair_figure pairs[] = {{"wheel", {.is = figure_circle, .circle = {{0, 0}, 1}}},
                                {"rim", {.is = figure_path, .path = {{pts, 1}, "r"}}}};
    color palette[] = {color_red, color_blue};
    drawing item = {{pairs, 2}, NULL, {palette, 2}}, back;
    there_and_back(&yoke_record_drawing, &item, &back);
    assert_int_equal(back.figures.count, 2);
    assert_string_equal(back.figures.items[1].key, "rim");
    assert_true(back.figures.items[1].value.path.pts.items[0].y == 2);
    assert_int_equal(back.palette.items[1], color_blue);
    drawing_free(&back);
    pairs[1].key = "\xff";
    EXPECT_REFUSED(drawing, &item, "not UTF-8");
    item.figures.items = NULL;
    EXPECT_REFUSED(drawing, &item, "args.figures: a list of 2 items without memory");
    limited blobs = {.blob = {NULL, 2}};
    EXPECT_REFUSED(limited, &blobs, "args.blob: 2 bytes without memory");
    EXPECT_MISFIT(limited, "\x81\xa5pairs\x81\x01\x01", "args.pairs: expected str as a key, got int");
    EXPECT_MISFIT(limited,
                  "\x81\xa5pairs\x83\xa1"
                  "a\x01\xa1"
                  "b\x01\xa1"
                  "a\x02",
                  "args.pairs.a: twice");
    EXPECT_MISFIT(limited,
                  "\x81\xa5pairs\x81\xa1"
                  "a\xc3",
                  "args.pairs.a: expected int, got bool");
    EXPECT_MISFIT(limited, "\x81\xa5pairs\x90", "args.pairs: expected map, got array");
}

/* Whatever is cut off, and whichever allocation fails: nothing is kept. */
static void test_type_12_each_truncation_and_no_memory(void **state)
{
    point pts[] = {{1, 2}};
    color fill = color_green;
    style s = {color_red, &fill, 1, "x"};
    yoke_pair_figure pairs[] = {{"a", {.is = figure_path, .path = {{pts, 1}, "l"}}},
                                {"b", {.is = figure_none}}};
    drawing item = {{pairs, 2}, &s, {&fill, 1}}, back;
    struct buffer out = BUFFER_EMPTY;
    assert_success(record_encode(&out, &yoke_record_drawing, &item, "args"));
    size_t size = buffer_size(&out);
    char *bytes = malloc(size);
    memcpy(bytes, buffer_begin(&out), size);
    buffer_free(&out);
    for (size_t n = 0; n < size; n++)
        expect_misfit(&yoke_record_drawing, bytes, n, "not enough bytes");
    size_t n = 0;
    for (bool fired = true; fired; n++) {
        memory_fail_after(n);
        yoke_error *e = record_decode(&yoke_record_drawing, (uint8_t *)bytes, size, "args", &back);
        fired = memory_fail_after(SIZE_MAX);
        if (fired)
            assert_error(e, &YOKE_NO_MEMORY);
        else
            assert_success(e);
        drawing_free(&back);
        assert_int_equal(memory_live(), 0);
    }
    assert_true(n > 8);
    free(bytes);
}

/* ---- extensions ---- */

static void test_type_06_extension_types(void **state)
{
    struct label more[] = {{"b"}, {""}};
    labelled item = {{"abc"}, {more, 2}}, back;
    EXPECT_BYTES(label, &item.name, "\xc7\x05\x05<abc>");
    there_and_back(&yoke_record_labelled, &item, &back);
    assert_string_equal(back.name.text, "abc");
    assert_string_equal(back.more.items[1].text, "");
    labelled_free(&back);
    more[1].text = NULL;
    EXPECT_REFUSED(labelled, &item, "args.more[1]: no label");
    EXPECT_MISFIT(labelled, "\x81\xa4name\xa1x", "args.name: expected ext 5 (label), got str");
    EXPECT_MISFIT(labelled, "\x81\xa4name\xd4\x07x", "args.name: expected ext 5 (label), got ext 7");
    EXPECT_MISFIT(labelled, "\x81\xa4name\xd4\x05x", "a label stands in < and >");
    /* Who has no such type is told what came; `any` takes it. */
    EXPECT_MISFIT(str, "\xc7\x05\x05<abc>", "args: expected str, got ext");
}

/* ---- ownership ---- */

static void test_type_13_ownership(void **state)
{
    point pts[] = {{1, 2}};
    yoke_pair_figure pairs[] = {{"a", {.is = figure_path, .path = {{pts, 1}, "l"}}}};
    drawing item = {{pairs, 1}, NULL, {NULL, 0}}, back;
    struct buffer out = BUFFER_EMPTY;
    assert_success(record_encode(&out, &yoke_record_drawing, &item, "args"));
    assert_success(record_decode(&yoke_record_drawing, buffer_begin(&out), buffer_size(&out), "args", &back));
    /* It owns all of it: what it came from may go at once. */
    memset(out.data, 0, out.end);
    buffer_free(&out);
    assert_string_equal(back.figures.items[0].key, "a");
    assert_string_equal(back.figures.items[0].value.path.label, "l");
    /* One call frees all; a second one finds nothing. */
    drawing_free(&back);
    assert_int_equal(memory_live(), 0);
    drawing_free(&back);
    assert_null(back.figures.items);
}

/* ---- schemas ---- */

static void test_type_14_schema_text(void **state)
{
    char *ours = yoke_record_schema(&yoke_record_drawing), *number = yoke_record_schema(&yoke_record_u8);
    char *theirs = yoke_record_schema(&yoke_record_style), *same = yoke_schema_diff(ours, ours);
    assert_string_equal(ours, "record drawing\n"
                              "  figures: map to figure\n"
                              "  style: optional style\n"
                              "  palette: list of color\n"
                              "union figure\n"
                              "  circle\n"
                              "  path\n"
                              "  none\n"
                              "record style\n"
                              "  line: color\n"
                              "  fill: optional color\n"
                              "  width: u32, 1 if missing\n"
                              "  font: str, \"serif\" if missing\n"
                              "enum color\n"
                              "  red\n"
                              "  green\n"
                              "  blue\n"
                              "record circle\n"
                              "  center: point\n"
                              "  radius: f64\n"
                              "record path\n"
                              "  pts: list of point, at most 4 items\n"
                              "  label: str, at most 5 bytes\n"
                              "record point\n"
                              "  x: f64\n"
                              "  y: f64\n");
    assert_string_equal(number, "u8\n");
    assert_string_equal(same, "");
    free(theirs);
    theirs = yoke_record_schema(&yoke_record_exact);
    char *loosened = yoke_record_schema(&yoke_record_loose), *diff = yoke_schema_diff(theirs, loosened);
    assert_string_equal(diff, "- strict record exact\n"
                              "+ record loose\n"
                              "    a: u8\n"
                              "-   b: optional u8\n"
                              "+   b: optional str\n");
    free(diff);
    free(loosened);
    free(theirs);
    free(same);
    free(number);
    free(ours);
}

HARNESS_MAIN(TEST(test_type_08_number_ranges), TEST(test_type_09_strings),
             TEST(test_type_10_nesting_and_sizes), TEST(test_type_11_unknown_and_missing_fields),
             TEST(test_type_12_records_lists_and_optionals), TEST(test_type_12_enums),
             TEST(test_type_12_unions_by_tag), TEST(test_type_12_maps),
             TEST(test_type_12_each_truncation_and_no_memory), TEST(test_type_06_extension_types),
             TEST(test_type_13_ownership), TEST(test_type_14_schema_text))
