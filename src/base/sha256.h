/* SHA-256 (FIPS 180-4) and what proves that one knows a secret without saying it: HMAC (RFC 2104). */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_HEX_BYTES = 2 * SHA256_BYTES + 1 };

struct sha256 {
    uint32_t state[8];
    uint64_t count; /* bytes taken so far */
    uint8_t block[64];
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *bytes, size_t count);
void sha256_end(struct sha256 *s, uint8_t digest[SHA256_BYTES]);

void hmac_sha256(const void *key, size_t key_bytes, const void *text, size_t text_bytes,
                 uint8_t code[SHA256_BYTES]);

#endif
