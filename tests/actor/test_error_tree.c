/* A whole error as bytes and back: what it says, what hangs on it, its shape; and trees that no yoke peer
 * sends. */
#include "harness.h"

#include "actor/death.h"
#include "actor/error_tree.h"
#include "base/error.h"
#include "base/memory.h"
#include "msg/record.h"

#include <yoke/actor.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

YOKE_ERROR_KIND(TEST_KIND, "test.Kind", NULL);

/* The same records as the code under test has: the wire form is a contract between two programs. */
YOKE_RECORD(test_hop, (str, file), (i32, line), (str, function));
YOKE_RECORD(test_part, (i32, parent), (boolean, is_cause), (str, kind), (str, message), (i32, number),
            (str, file), (i32, line), (str, function), (str, actor), (str, task), (str, backtrace),
            (list, str, notes), (list, test_hop, hops));
YOKE_RECORD(test_tree, (list, test_part, parts));

/* There and back; frees `e`. */
static yoke_error *travel(yoke_error *e)
{
    struct buffer b = BUFFER_EMPTY;
    yoke_error *out;
    assert_success(error_tree_encode(&b, e));
    yoke_error_free(e);
    assert_success(error_tree_decode(buffer_begin(&b), buffer_size(&b), &out));
    buffer_free(&b);
    assert_non_null(out);
    return out;
}

static yoke_error *decode_parts(test_part *parts, size_t count, yoke_error **out)
{
    struct buffer b = BUFFER_EMPTY;
    test_tree tree = {.parts = {parts, count}};
    assert_success(record_encode(&b, &yoke_record_test_tree, &tree, "test"));
    yoke_error *e = error_tree_decode(buffer_begin(&b), buffer_size(&b), out);
    buffer_free(&b);
    return e;
}

static void test_a_plain_error(void **state)
{
    yoke_error *e = yoke_raise_at("src/words.c", 42, "count", &TEST_KIND, "no such word: %s", "x");
    error_set_place(e, "src/words.c", 42, "count", "worker", "words:count");
    e = yoke_error_trace(e, "src/a.c", 7, "a");
    e = yoke_error_trace(e, "src/b.c", 8, "b");
    yoke_error_note(e, "first note");
    yoke_error_note(e, "second note");
    error_set_backtrace(e, "#0 here\n#1 there");
    e = travel(e);
    assert_ptr_equal(yoke_error_kind_of(e), &TEST_KIND);
    assert_string_equal(yoke_error_message(e), "no such word: x");
    assert_string_equal(yoke_error_file(e), "src/words.c");
    assert_int_equal(yoke_error_line(e), 42);
    assert_string_equal(yoke_error_function(e), "count");
    assert_string_equal(yoke_error_actor(e), "worker");
    assert_string_equal(yoke_error_task(e), "words:count");
    assert_string_equal(error_backtrace(e), "#0 here\n#1 there");
    assert_string_equal(error_note_at(e, 0), "first note");
    assert_string_equal(error_note_at(e, 1), "second note");
    assert_null(error_note_at(e, 2));
    struct error_hop hop;
    assert_true(error_hop_at(e, 0, &hop) && hop.line == 7 && strcmp(hop.file, "src/a.c") == 0);
    assert_true(error_hop_at(e, 1, &hop) && hop.line == 8 && strcmp(hop.function, "b") == 0);
    assert_false(error_hop_at(e, 2, &hop));
    yoke_error_free(e);
}

/* The printed tree is the same on both sides. */
static void test_causes_and_members(void **state)
{
    yoke_error *leaf = yoke_raise(&YOKE_TOO_SLOW, "leaf");
    yoke_error *chain = yoke_wrap(yoke_wrap(leaf, &TEST_KIND, "middle"), &YOKE_USAGE, "top");
    yoke_error *members[] = {
        chain, yoke_raise(&TEST_KIND, "second"),
        yoke_error_join(yoke_raise(&TEST_KIND, "third"), yoke_raise(&TEST_KIND, "fourth"))};
    yoke_error *e = yoke_error_group(members, 3, "three failed");
    yoke_error_note(e, "a note on the group");
    char *before = yoke_error_text(e);
    e = travel(e);
    char *after = yoke_error_text(e);
    assert_string_equal(after, before);
    free(before);
    free(after);
    assert_int_equal(yoke_error_count(e), 3);
    assert_int_equal(yoke_error_count(yoke_error_member(e, 2)), 2);
    assert_ptr_equal(yoke_error_kind_of(e), &YOKE_GROUP);
    const yoke_error *top = yoke_error_member(e, 0);
    assert_true(yoke_error_is(yoke_error_cause(yoke_error_cause(top)), &YOKE_TOO_SLOW));
    yoke_error_free(e);
}

static void test_a_signal_is_kept(void **state)
{
    yoke_uid uid = {.name = "left", .uuid = "u"};
    yoke_error *e = travel(death_error(&uid, 4121, SIGSEGV, false, NULL));
    assert_int_equal(yoke_error_signal(e), SIGSEGV);
    assert_string_equal(yoke_error_message(e), "actor `left` (pid 4121) died of SIGSEGV");
    yoke_error_free(e);
    e = travel(death_error(&uid, 4121, 3 << 8, false, NULL));
    assert_int_equal(yoke_error_signal(e), -3);
    yoke_error_free(e);
}

static void test_a_cancelled_inside(void **state)
{
    yoke_error *members[] = {error_make_cancelled("because"), yoke_raise(&TEST_KIND, "failed")};
    yoke_error *e = travel(yoke_error_group(members, 2, NULL));
    assert_true(yoke_error_is(yoke_error_member(e, 0), &YOKE_CANCELLED));
    assert_string_equal(yoke_error_message(yoke_error_member(e, 0)), "because");
    assert_false(yoke_error_is_cancelled(e));
    yoke_error_free(e);
    e = travel(yoke_error_dup(error_cancelled)); /* the static one */
    assert_true(yoke_error_is_cancelled(e));
    yoke_error_free(e);
}

static void test_a_kind_that_is_not_known(void **state)
{
    test_part parts[] = {{.parent = -1, .kind = "other.Program", .message = "its own"}};
    yoke_error *e;
    assert_success(decode_parts(parts, 1, &e));
    assert_error_text(e, &YOKE_REMOTE, "other.Program: its own");
}

/* File names of old encodings, and whatever else is in a text. */
static void test_broken_texts_travel_escaped(void **state)
{
    yoke_error *e = yoke_raise(&TEST_KIND, "caf\xe9: \xc3\xa9 \xff");
    error_set_place(e, "d\xe9.c", 1, "f\xe9", "a\xe9", "t\xe9");
    error_set_backtrace(e, "b\xe9");
    yoke_error_note(e, "n\xe9");
    e = yoke_error_trace(e, "h\xe9", 2, "g\xe9");
    e = travel(e);
    assert_string_equal(yoke_error_message(e), "caf\\xe9: \xc3\xa9 \\xff");
    assert_string_equal(yoke_error_file(e), "d\\xe9.c");
    assert_string_equal(yoke_error_task(e), "t\\xe9");
    assert_string_equal(error_backtrace(e), "b\\xe9");
    assert_string_equal(error_note_at(e, 0), "n\\xe9");
    yoke_error_free(e);
}

static void test_a_large_tree_is_cut(void **state)
{
    yoke_error *members[300];
    for (size_t i = 0; i < 300; i++)
        members[i] = yoke_raise(&TEST_KIND, "member %zu", i);
    yoke_error *e = travel(yoke_error_group(members, 300, "many"));
    assert_int_equal(yoke_error_count(e), ERROR_TREE_PARTS - 1);
    assert_string_equal(yoke_error_message(yoke_error_member(e, 254)), "member 254");
    assert_string_equal(error_note_at(e, 0), "45 more errors were left out on the way");
    assert_null(error_note_at(e, 1));
    yoke_error_free(e);

    e = yoke_raise(&TEST_KIND, "deepest");
    for (int i = 0; i < 299; i++)
        e = yoke_wrap(e, &TEST_KIND, "level %d", i);
    e = travel(e);
    size_t depth = 0;
    for (const yoke_error *at = e; at; at = yoke_error_cause(at))
        depth++;
    assert_int_equal(depth, ERROR_TREE_PARTS);
    yoke_error_free(e);

    for (size_t i = 0; i < 255; i++) /* as many as go: nothing is left out */
        members[i] = yoke_raise(&TEST_KIND, "member %zu", i);
    e = travel(yoke_error_group(members, 255, "many"));
    assert_int_equal(yoke_error_count(e), 255);
    assert_null(error_note_at(e, 0));
    yoke_error_free(e);
}

/* ---- trees that no yoke peer sends ---- */

static void expect_refused(test_part *parts, size_t count, const char *text)
{
    yoke_error *e;
    assert_error_text(decode_parts(parts, count, &e), &YOKE_PROTOCOL, text);
    assert_null(e);
}

static void test_parents_out_of_range(void **state)
{
    test_part one = {.parent = -1, .kind = "test.Kind", .message = "m"};
    static const int32_t bad_first[] = {0, 1, -2, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof bad_first / sizeof bad_first[0]; i++) {
        test_part part = one;
        part.parent = bad_first[i];
        expect_refused(&part, 1, "part 0");
    }
    static const int32_t bad_third[] = {2,  3,         -1,
                                        -2, INT32_MAX, INT32_MIN}; /* itself, a later one, a second root */
    for (size_t i = 0; i < sizeof bad_third / sizeof bad_third[0]; i++) {
        test_part parts[] = {one, one, one, one};
        parts[1].parent = 0;
        parts[2].parent = bad_third[i];
        parts[3].parent = 0;
        expect_refused(parts, 4, "part 2");
    }
    expect_refused(NULL, 0, "0 parts");
    test_part *many = calloc(257, sizeof *many);
    assert_non_null(many);
    for (int32_t i = 0; i < 257; i++) {
        many[i] = one;
        many[i].parent = i - 1;
    }
    expect_refused(many, 257, "257 parts");
    free(many);
}

/* Shapes that an error can't have are brought into one that it can, and nothing is lost of the memory. */
static void test_odd_shapes(void **state)
{
    yoke_error *e;
    test_part two_causes[] = {{.parent = -1, .kind = "test.Kind", .message = "top"},
                              {.parent = 0, .is_cause = true, .kind = "test.Kind", .message = "one"},
                              {.parent = 0, .is_cause = true, .kind = "test.Kind", .message = "two"}};
    assert_success(decode_parts(two_causes, 3, &e));
    assert_int_equal(yoke_error_count(yoke_error_cause(e)), 2);
    yoke_error_free(e);

    test_part cause_of_cancelled[] = {{.parent = -1, .kind = "yoke.Cancelled", .message = "top"},
                                      {.parent = 0, .is_cause = true, .kind = "test.Kind", .message = "one"}};
    assert_success(decode_parts(cause_of_cancelled, 2, &e));
    assert_true(yoke_error_is_cancelled(e));
    yoke_error_free(e);

    test_part both[] = {{.parent = -1, .kind = "test.Kind", .message = "top"},
                        {.parent = 0, .kind = "test.Kind", .message = "member"},
                        {.parent = 0, .is_cause = true, .kind = "test.Kind", .message = "cause"}};
    assert_success(decode_parts(both, 3, &e));
    assert_true(yoke_error_count(e) >= 1);
    yoke_error_free(e);

    test_part empty_group[] = {{.parent = -1, .kind = "yoke.Group", .message = "of nothing"}};
    assert_success(decode_parts(empty_group, 1, &e));
    assert_string_equal(yoke_error_message(e), "of nothing");
    yoke_error_free(e);

    test_part death[] = {{.parent = -1, .kind = "yoke.ActorDied", .message = "m", .number = INT32_MIN}};
    assert_success(decode_parts(death, 1, &e));
    assert_int_equal(yoke_error_signal(e), INT32_MIN);
    yoke_error_free(e);
}

static void test_no_tree_at_all(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {{"", 0}, {"\xc0", 1}, {"\x80", 1}, {"\x81\xa5parts\x01", 8}, {"\x81\xa5parts\x91\x80", 9}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        yoke_error *e;
        yoke_error *refused = error_tree_decode((const uint8_t *)bad[i].bytes, bad[i].size, &e);
        assert_true(yoke_error_is(refused, &YOKE_MSG_TYPE) || yoke_error_is(refused, &YOKE_PROTOCOL));
        yoke_error_free(refused);
        assert_null(e);
    }
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Bytes of a good tree, changed here and there: an error, or a refusal. */
static void test_changed_bytes(void **state)
{
    yoke_error *members[] = {yoke_wrap(yoke_raise(&TEST_KIND, "inner"), &YOKE_USAGE, "outer"),
                             error_make_cancelled("because"), yoke_raise(&YOKE_ACTOR_DIED, "died")};
    yoke_error *e = yoke_error_group(members, 3, "group");
    yoke_error_note(e, "note");
    struct buffer b = BUFFER_EMPTY;
    assert_success(error_tree_encode(&b, e));
    yoke_error_free(e);
    size_t size = buffer_size(&b), good = 0;
    uint32_t seed = 4711;
    for (int round = 0; round < 5000; round++) {
        size_t length = next_random(&seed) % 16 ? size : next_random(&seed) % size;
        uint8_t *copy = malloc(length + 1); /* a sanitizer sees what is read behind it */
        assert_non_null(copy);
        memcpy(copy, buffer_begin(&b), length);
        for (uint32_t changes = next_random(&seed) % 4 + 1; changes && length; changes--)
            copy[next_random(&seed) % length] = (uint8_t)next_random(&seed);
        yoke_error *bad = error_tree_decode(copy, length, &e);
        assert_true(!bad == !!e);
        if (e) {
            char *text = yoke_error_text(e);
            assert_non_null(text);
            free(text);
            good++;
        }
        yoke_error_free(bad);
        yoke_error_free(e);
        free(copy);
    }
    assert_true(good > 100 && good < 4900);
    buffer_free(&b);
}

/* Random trees: each part's parent is any earlier one. */
static void test_random_shapes(void **state)
{
    static const char *kinds[] = {"test.Kind", "yoke.Cancelled", "yoke.Group", "yoke.NoMemory",
                                  "nobody.Knows"};
    uint32_t seed = 99;
    for (int round = 0; round < 300; round++) {
        test_part parts[64] = {{.parent = -1}};
        size_t count = next_random(&seed) % 64 + 1;
        for (size_t i = 0; i < count; i++) {
            parts[i].kind = kinds[next_random(&seed) % 5];
            parts[i].message = "m";
            parts[i].is_cause = next_random(&seed) % 3 == 0;
            if (i)
                parts[i].parent = (int32_t)(next_random(&seed) % i);
        }
        yoke_error *e;
        assert_success(decode_parts(parts, count, &e));
        assert_non_null(e);
        yoke_error_free(e);
    }
}

static void test_each_allocation_refused(void **state)
{
    yoke_error *e = yoke_wrap(yoke_raise(&TEST_KIND, "caf\xe9"), &YOKE_USAGE, "outer");
    yoke_error_note(e, "note");
    struct buffer good = BUFFER_EMPTY;
    assert_success(error_tree_encode(&good, e));
    size_t live = memory_live();
    bool refused = true;
    for (size_t n = 0; refused; n++) {
        struct buffer b = BUFFER_EMPTY;
        assert_true(n < 200);
        memory_fail_after(n);
        yoke_error *failed = error_tree_encode(&b, e);
        refused = memory_fail_after(SIZE_MAX);
        assert_int_equal(failed != NULL, refused);
        yoke_error_free(failed);
        buffer_free(&b);
        assert_int_equal(memory_live(), live);
    }
    refused = true;
    for (size_t n = 0; refused; n++) {
        yoke_error *out;
        assert_true(n < 400);
        memory_fail_after(n);
        yoke_error *failed = error_tree_decode(buffer_begin(&good), buffer_size(&good), &out);
        refused = memory_fail_after(SIZE_MAX);
        assert_true(failed || out); /* one that lost a note is as good as it gets */
        yoke_error_free(failed);
        yoke_error_free(out);
        assert_int_equal(memory_live(), live);
    }
    buffer_free(&good);
    yoke_error_free(e);
}

HARNESS_MAIN(TEST(test_a_plain_error), TEST(test_causes_and_members), TEST(test_a_signal_is_kept),
             TEST(test_a_cancelled_inside), TEST(test_a_kind_that_is_not_known),
             TEST(test_broken_texts_travel_escaped), TEST(test_a_large_tree_is_cut),
             TEST(test_parents_out_of_range), TEST(test_odd_shapes), TEST(test_no_tree_at_all),
             TEST(test_changed_bytes), TEST(test_random_shapes), TEST(test_each_allocation_refused))
