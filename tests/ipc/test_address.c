/* Addresses: as texts, as pairs on the wire, and the one that an actor's name gives. */
#include "harness.h"
#include "ipc/address.h"

#include <stdlib.h>
#include <string.h>

static void expect_text(const char *text, const char *printed)
{
    struct address a, again;
    char out[ADDRESS_TEXT_BYTES];
    assert_success(address_parse(&a, text));
    address_print(&a, out);
    assert_string_equal(out, printed);
    assert_success(address_parse(&again, out));
    assert_true(address_equal(&a, &again));
}

static void test_texts(void **state)
{
    expect_text("unix:/run/a.sock", "unix:/run/a.sock");
    expect_text("uds:///run/a.sock", "unix:/run/a.sock");
    expect_text("/unix/run/a.sock", "unix:/run/a.sock");
    expect_text("unix:/run/b c@7.sock", "unix:/run/b c@7.sock");
    expect_text("tcp:127.0.0.1:80", "tcp:127.0.0.1:80");
    expect_text("tcp://127.0.0.1:0", "tcp:127.0.0.1:0");
    expect_text("tcp:some.host:65535", "tcp:some.host:65535");
    expect_text("tcp:[::1]:80", "tcp:[::1]:80");
    expect_text("/ip4/1.2.3.4/tcp/80", "tcp:1.2.3.4:80");
    expect_text("/ip6/::1/tcp/80", "tcp:[::1]:80");
}

static void expect_refused(const char *text, const char *why)
{
    struct address a;
    assert_error_text(address_parse(&a, text), &YOKE_USAGE, why);
}

static void test_refused_texts_name_the_place(void **state)
{
    expect_refused("tcp:host", "no port at column 9");
    expect_refused("tcp:host:", "no port at column 10");
    expect_refused("tcp:host:65536", "a port over 65535 at column 10");
    expect_refused("tcp:host:99999999999999999999", "a port over 65535 at column 10");
    expect_refused("tcp:host:80x", "more than an address at column 12");
    expect_refused("tcp::80", "no host at column 5");
    expect_refused("tcp:[::1", "no closing bracket at column 9");
    expect_refused("tcp:[nonsense]:80", "no IPv6 address at column 6");
    expect_refused("tcp:a/b:80", "more than a host at column 6");
    expect_refused("unix:", "no path at column 6");
    expect_refused("unix:/", "no path at column 6");
    expect_refused("unix:run/a.sock", "a path that is not absolute at column 6");
    expect_refused("/unix", "no path at column 6");
    expect_refused("/ip4/1.2.3.4", "no port at column 13");
    expect_refused("/ip4/1.2.3.4/udp/80", "a protocol that is not supported at column 13");
    expect_refused("/ip4/1.2.3/tcp/80", "no IPv4 address at column 6");
    expect_refused("/ip4/1.2.3.4/tcp/80/http", "more than an address at column 20");
    expect_refused("/udp/80", "a protocol that is not supported at column 1");
    expect_refused("", "a protocol that is not supported at column 1");
    expect_refused(NULL, "no address");
}

static void test_a_path_too_long(void **state)
{
    char text[200] = "unix:/";
    memset(text + 6, 'x', 107);
    expect_refused(text, "its path has 108 bytes, at most 107");
    text[5 + 107] = '\0';
    expect_text(text, text);
}

/* ---- pairs ---- */

static void expect_pair(const char *text)
{
    struct address a, back;
    struct buffer b = BUFFER_EMPTY;
    assert_success(address_parse(&a, text));
    assert_true(address_pack(&b, &a));
    struct cursor c = cursor_over(buffer_begin(&b), buffer_size(&b), 8, 2);
    assert_success(address_unpack(&back, &c));
    assert_true(c.at == c.end);
    assert_true(address_equal(&a, &back));
    buffer_free(&b);
}

static void test_pairs(void **state)
{
    expect_pair("unix:/run/user/1000/yoke/a@7.sock");
    expect_pair("unix:/a.sock");
    expect_pair("tcp:127.0.0.1:1616");
    expect_pair("tcp:[::1]:1616");
}

/* The order is directory, then file; as a recorded peer sends it. */
static void test_a_recorded_pair(void **state)
{
    static const uint8_t pair[] = "\x92\xb6/run/user/1000/tractor\xb0worker@8200.sock";
    struct address a;
    struct cursor c = cursor_over(pair, sizeof pair - 1, 8, 2);
    assert_success(address_unpack(&a, &c));
    assert_string_equal(a.path, "/run/user/1000/tractor/worker@8200.sock");
}

#define EXPECT_NO_PAIR(bytes, why) expect_no_pair((const uint8_t *)(bytes), sizeof(bytes) - 1, why)
static void expect_no_pair(const uint8_t *bytes, size_t size, const char *why)
{
    struct address a;
    struct cursor c = cursor_over(bytes, size, 8, 2);
    assert_error_text(address_unpack(&a, &c), &YOKE_MSG_TYPE, why);
}

static void test_hostile_pairs(void **state)
{
    EXPECT_NO_PAIR("", "expected a pair");
    EXPECT_NO_PAIR("\xc0", "expected a pair");
    EXPECT_NO_PAIR("\x91\xa1x", "expected a pair");
    EXPECT_NO_PAIR("\x92\xa1/\xc0", "expected a pair");
    EXPECT_NO_PAIR("\x92\x01\x02", "expected a pair");
    EXPECT_NO_PAIR("\x92\xa3run\xa1x", "an absolute directory");
    EXPECT_NO_PAIR("\x92\xa4/run\xa5../xy", "the name of a file");
    EXPECT_NO_PAIR("\x92\xa4/run\xa0", "the name of a file");
    EXPECT_NO_PAIR("\x92\xa5/r\x00un\xa1x", "expected a pair");
    EXPECT_NO_PAIR("\x92\xa4host\x50", "no literal address");
    EXPECT_NO_PAIR("\x92\xa7"
                   "1.2.3.4\xce\x00\x01\x00\x00",
                   "a host and a port");
    uint8_t deep[300] = "\x92\xd9\xc8/";
    memset(deep + 4, 'd', 199);
    memcpy(deep + 203, "\xa1x", 2);
    expect_no_pair(deep, 205, "too long for a socket");
}

/* ---- an actor's socket file ---- */

static const char *file_of(const char *directory, const char *name, struct address *a)
{
    assert_success(address_of_actor(a, directory, name, 4121));
    assert_true(strlen(a->path) < ADDRESS_PATH_BYTES);
    assert_memory_equal(a->path, directory, strlen(directory));
    return a->path + strlen(directory) + 1;
}

static bool is_compact(const char *file)
{
    return strncmp(file, "actor.", 6) == 0 && strspn(file + 6, "0123456789abcdef") == 32 &&
           strcmp(file + 38, "@4121.sock") == 0;
}

/* TPT-07 */
static void test_tpt_07_names_of_socket_files(void **state)
{
    struct address a, b;
    char deep[64] = "/", wide[65] = "", wider[65] = "";
    memset(deep + 1, 'd', 50);
    memset(wide, 'n', 64);
    memset(wider, 'n', 63);
    wider[63] = 'm';
    assert_string_equal(file_of("/run/yoke", "worker", &a), "worker@4121.sock");
    assert_string_equal(file_of("/run/yoke", "grüße", &a), "grüße@4121.sock");
    assert_string_equal(file_of("/run/yoke", "a.b..c", &a), "a.b..c@4121.sock");
    assert_string_equal(file_of("/run/yoke", wide, &a) + 64, "@4121.sock"); /* it still fits */
    assert_true(is_compact(file_of(deep, wide, &a)));
    assert_true(is_compact(file_of("/run/yoke", "../../etc/passwd", &a)));
    assert_true(is_compact(file_of("/run/yoke", "..", &a)));
    assert_true(is_compact(file_of("/run/yoke", ".hidden", &a)));
    assert_true(is_compact(file_of("/run/yoke", "a/b", &a)));
    file_of(deep, wide, &a);
    file_of(deep, wide, &b);
    assert_true(address_equal(&a, &b)); /* always the same */
    file_of(deep, wider, &b);
    assert_false(address_equal(&a, &b)); /* and each name another */
}

static void test_tpt_07_a_directory_that_is_too_deep(void **state)
{
    struct address a;
    char deep[120] = "/";
    memset(deep + 1, 'd', 70);
    assert_error_text(address_of_actor(&a, deep, "x/y", 4121), &YOKE_USAGE,
                      "a path of 120 bytes, at most 107");
    assert_success(address_of_actor(&a, deep, "short", 4121));
    memset(deep + 1, 'd', 110);
    assert_error_text(address_of_actor(&a, deep, "short", 4121), &YOKE_USAGE, "at most 107");
    assert_int_equal(a.kind, ADDRESS_NONE);
}

HARNESS_MAIN(TEST(test_texts), TEST(test_refused_texts_name_the_place), TEST(test_a_path_too_long),
             TEST(test_pairs), TEST(test_a_recorded_pair), TEST(test_hostile_pairs),
             TEST(test_tpt_07_names_of_socket_files), TEST(test_tpt_07_a_directory_that_is_too_deep))
