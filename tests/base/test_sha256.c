/* The published examples: FIPS 180-4 (its examples document) and RFC 4231. */
#include "harness.h"

#include "base/sha256.h"

#include <string.h>

static const char *hex(const uint8_t digest[SHA256_BYTES])
{
    static char text[SHA256_HEX_BYTES];
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return text;
}

static const char *digest_of(const char *text, size_t times)
{
    struct sha256 s;
    uint8_t digest[SHA256_BYTES];
    sha256_begin(&s);
    for (size_t i = 0; i < times; i++)
        sha256_add(&s, text, strlen(text));
    sha256_end(&s, digest);
    return hex(digest);
}

static void test_digests(void **state)
{
    assert_string_equal(digest_of("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(digest_of("abc", 1),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1),
                        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_string_equal(digest_of("a", 1000000),
                        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static const char *code_of(const char *key, size_t key_bytes, const char *text)
{
    uint8_t code[SHA256_BYTES];
    hmac_sha256(key, key_bytes, text, strlen(text), code);
    return hex(code);
}

static void test_codes(void **state)
{
    char long_key[131];
    memset(long_key, 0xaa, sizeof long_key);
    assert_string_equal(code_of("Jefe", 4, "what do ya want for nothing?"),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_string_equal(
        code_of(long_key, sizeof long_key, "Test Using Larger Than Block-Size Key - Hash Key First"),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

HARNESS_MAIN(TEST(test_digests), TEST(test_codes))
