#include "base/sha256.h"

#include <string.h>

enum { BLOCK = 64 };

/* FIPS 180-4, 4.2.2: of the cube roots of the first 64 primes. */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, unsigned bits)
{
    return x >> bits | x << (32 - bits);
}

static uint32_t load(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

static void store(uint8_t *b, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(x >> (24 - 8 * i));
}

static void schedule(uint32_t w[64], const uint8_t block[BLOCK])
{
    for (int t = 0; t < 16; t++)
        w[t] = load(block + 4 * t);
    for (int t = 16; t < 64; t++) {
        uint32_t a = w[t - 15], b = w[t - 2];
        w[t] = (turn(b, 17) ^ turn(b, 19) ^ b >> 10) + w[t - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) +
               w[t - 16];
    }
}

/* FIPS 180-4, 6.2.2; v[0..7] are its a to h. */
static void compress(uint32_t state[8], const uint8_t block[BLOCK])
{
    uint32_t w[64], v[8];
    schedule(w, block);
    memcpy(v, state, sizeof v);
    for (int t = 0; t < 64; t++) {
        uint32_t sum1 = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25);
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t first = v[7] + sum1 + choice + constants[t] + w[t];
        uint32_t sum0 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + sum0 + majority;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

void sha256_begin(struct sha256 *s)
{
    *s = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                                   0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(struct sha256 *s, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < count; i++) {
        s->block[s->count++ % BLOCK] = from[i];
        if (s->count % BLOCK == 0)
            compress(s->state, s->block);
    }
}

/* A one bit, zeros till 8 bytes are left of a block, the count of bits. */
void sha256_end(struct sha256 *s, uint8_t digest[SHA256_BYTES])
{
    uint8_t bits[8];
    store(bits, (uint32_t)(s->count >> 29));
    store(bits + 4, (uint32_t)(s->count << 3));
    sha256_add(s, "\x80", 1);
    while (s->count % BLOCK != BLOCK - sizeof bits)
        sha256_add(s, "", 1);
    sha256_add(s, bits, sizeof bits);
    for (int i = 0; i < 8; i++)
        store(digest + 4 * i, s->state[i]);
}

/* ---- HMAC ---- */

static void hash_behind(const uint8_t key[BLOCK], uint8_t pad, const void *text, size_t text_bytes,
                        uint8_t digest[SHA256_BYTES])
{
    struct sha256 s;
    uint8_t padded[BLOCK];
    for (size_t i = 0; i < BLOCK; i++)
        padded[i] = key[i] ^ pad;
    sha256_begin(&s);
    sha256_add(&s, padded, sizeof padded);
    sha256_add(&s, text, text_bytes);
    sha256_end(&s, digest);
}

void hmac_sha256(const void *key, size_t key_bytes, const void *text, size_t text_bytes,
                 uint8_t code[SHA256_BYTES])
{
    uint8_t block[BLOCK] = {0}, inner[SHA256_BYTES];
    if (key_bytes > BLOCK) {
        struct sha256 s;
        sha256_begin(&s);
        sha256_add(&s, key, key_bytes);
        sha256_end(&s, block);
    } else {
        memcpy(block, key, key_bytes);
    }
    hash_behind(block, 0x36, text, text_bytes, inner);
    hash_behind(block, 0x5c, inner, sizeof inner, code);
}
