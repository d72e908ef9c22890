/* Names and UUIDs of actors. */
#include "harness.h"
#include "msg/uid.h"

#include <string.h>

static void test_make(void **state)
{
    yoke_uid a, b;
    uid_make(&a, "worker");
    uid_make(&b, "worker");
    assert_string_equal(a.name, "worker");
    assert_string_not_equal(a.uuid, b.uuid);
    assert_int_equal(strlen(a.uuid), 36);
    for (int i = 0; i < 36; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(a.uuid[i], '-');
        else
            assert_non_null(strchr("0123456789abcdef", a.uuid[i]));
    assert_int_equal(a.uuid[14], '4');
    assert_non_null(strchr("89ab", a.uuid[19]));
}

/* Byte 64 is in the middle of a character of three bytes: the whole character goes. */
static void test_long_name_is_cut_between_characters(void **state)
{
    char name[80];
    yoke_uid uid;
    memset(name, 'x', sizeof name);
    name[79] = 0;
    uid_make(&uid, name);
    assert_int_equal(strlen(uid.name), 64);
    memcpy(name + 62, "\xe2\x9c\x93", 3);
    uid_make(&uid, name);
    assert_int_equal(strlen(uid.name), 62);
}

static void test_equal(void **state)
{
    yoke_uid a, b;
    uid_make(&a, "n");
    b = a;
    assert_true(yoke_uid_equal(&a, &b));
    b.name[0] = 'm';
    assert_false(yoke_uid_equal(&a, &b));
    b = a;
    b.uuid[0] ^= 1;
    assert_false(yoke_uid_equal(&a, &b));
    assert_false(yoke_uid_equal(NULL, NULL));
    assert_false(yoke_uid_equal(&a, NULL));
}

static void test_views(void **state)
{
    yoke_uid a, b;
    char longer[66];
    uid_make(&a, "worker");
    assert_success(uid_from_view(&b, uid_view(&a)));
    assert_true(yoke_uid_equal(&a, &b));
    memset(longer, 'x', 65);
    longer[65] = 0;
    assert_error_text(uid_from_view(&b, (struct uid_view){text_view(longer), text_view("u")}), &YOKE_PROTOCOL,
                      "65 bytes");
    longer[37] = 0;
    assert_error(uid_from_view(&b, (struct uid_view){text_view("n"), text_view(longer)}), &YOKE_PROTOCOL);
    assert_error_text(uid_from_view(&b, (struct uid_view){{NULL, 0}, {NULL, 0}}), &YOKE_PROTOCOL, "nil");
    assert_error(uid_from_view(&b, (struct uid_view){text_view("\xff"), text_view("u")}), &YOKE_PROTOCOL);
    assert_error(uid_from_view(&b, (struct uid_view){{"a\0b", 3}, text_view("u")}), &YOKE_PROTOCOL);
}

static void test_names_of_people(void **state)
{
    char longer[66];
    memset(longer, 'x', 65);
    longer[65] = 0;
    assert_success(uid_check_name("worker-1 ✓"));
    assert_error_text(uid_check_name(longer), &YOKE_USAGE, "65 bytes");
    longer[64] = 0;
    assert_success(uid_check_name(longer));
    assert_error(uid_check_name(""), &YOKE_USAGE);
    assert_error(uid_check_name(NULL), &YOKE_USAGE);
    assert_error_text(uid_check_name("a/b"), &YOKE_USAGE, "'/' at byte 1");
    assert_error_text(uid_check_name("ab\n"), &YOKE_USAGE, "control character at byte 2");
    assert_error(uid_check_name("\x7f"), &YOKE_USAGE);
    assert_error(uid_check_name("\xc2\x9b"), &YOKE_USAGE);
    assert_error_text(uid_check_name("a\xc3"), &YOKE_USAGE, "no UTF-8 at byte 1");
}

HARNESS_MAIN(TEST(test_make), TEST(test_long_name_is_cut_between_characters), TEST(test_equal),
             TEST(test_views), TEST(test_names_of_people))
