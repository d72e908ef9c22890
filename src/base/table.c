/*
 * Chained hashing with SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; one
 * round a block and three at the end) under a random key: keys come from other processes, which must not be
 * able to choose ones that all fall in one bucket.
 */
#include "base/table.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define FIRST_BUCKETS 8

/* ---- the hash ---- */

static inline uint64_t rotated(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotated(v[1], 13) ^ v[0];
    v[3] = rotated(v[3], 16) ^ v[2];
    v[0] = rotated(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotated(v[1], 17) ^ v[2];
    v[3] = rotated(v[3], 21) ^ v[0];
    v[2] = rotated(v[2], 32);
}

static inline void sip_block(uint64_t v[4], uint64_t block)
{
    v[3] ^= block;
    sip_round(v);
    v[0] ^= block;
}

/* The 128-bit key is the seed and its complement turned by half: one random word is enough against guessing
 * buckets. */
static uint64_t hash_bytes(uint64_t seed, const void *key, size_t size)
{
    uint64_t other = rotated(~seed, 32);
    uint64_t v[4] = {seed ^ 0x736f6d6570736575u, other ^ 0x646f72616e646f6du, seed ^ 0x6c7967656e657261u,
                     other ^ 0x7465646279746573u};
    const uint8_t *p = key;
    size_t left = size;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t block;
        memcpy(&block, p, 8);
        sip_block(v, block);
    }
    uint64_t last = (uint64_t)size << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << (8 * i);
    sip_block(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* 0 means "not drawn yet". Early in a machine's life there may be no randomness: then time and place must do.
 */
static uint64_t draw_seed(const struct table *t)
{
    int saved = errno;
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        seed = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uint64_t)(uintptr_t)t;
    }
    errno = saved;
    return seed ? seed : 1;
}

/* ---- buckets ---- */

static inline struct table_node **bucket_of(const struct table *t, uint64_t hash)
{
    return &t->buckets[hash & (t->bucket_count - 1)];
}

static void put(struct table *t, struct table_node *node)
{
    struct table_node **bucket = bucket_of(t, node->hash);
    node->next = *bucket;
    *bucket = node;
}

static void grow(struct table *t)
{
    size_t old_count = t->bucket_count;
    struct table_node **old = t->buckets;
    size_t new_count = old_count ? old_count * 2 : FIRST_BUCKETS;
    struct table_node **buckets = memory_calloc(new_count, sizeof *buckets);
    if (!buckets)
        return;
    t->buckets = buckets;
    t->bucket_count = new_count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct table_node *node = old[i], *next; node; node = next) {
            next = node->next;
            put(t, node);
        }
    }
    memory_free(old);
}

void table_init(struct table *t)
{
    *t = (struct table){0};
}

bool table_insert(struct table *t, struct table_node *node, const void *key, size_t key_size)
{
    if (!t->seed)
        t->seed = draw_seed(t);
    if (t->count >= t->bucket_count)
        grow(t);
    if (!t->bucket_count)
        return false;
    node->key = key;
    node->key_size = key_size;
    node->hash = hash_bytes(t->seed, key, key_size);
    put(t, node);
    t->count++;
    return true;
}

static bool is_key(const struct table_node *node, const void *key, size_t key_size)
{
    return node->key_size == key_size && (!key_size || memcmp(node->key, key, key_size) == 0);
}

struct table_node *table_find_again(const struct table *t, const void *key, size_t key_size)
{
    return t->last && is_key(t->last, key, key_size) ? t->last : NULL;
}

struct table_node *table_find(const struct table *t, const void *key, size_t key_size)
{
    if (!t->count)
        return NULL;
    struct table_node *node = table_find_again(t, key, key_size);
    if (node)
        return node;
    uint64_t hash = hash_bytes(t->seed, key, key_size);
    for (node = *bucket_of(t, hash); node; node = node->next) {
        if (node->hash != hash || !is_key(node, key, key_size))
            continue;
        ((struct table *)t)->last = node; /* which changes nothing of what it holds */
        return node;
    }
    return NULL;
}

void table_remove(struct table *t, struct table_node *node)
{
    struct table_node **at = bucket_of(t, node->hash);
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    if (t->last == node)
        t->last = NULL;
    t->count--;
}

/* ---- the walk ---- */

static struct table_node *first_from(const struct table *t, size_t bucket)
{
    for (; bucket < t->bucket_count; bucket++) {
        if (t->buckets[bucket])
            return t->buckets[bucket];
    }
    return NULL;
}

struct table_node *table_first(const struct table *t)
{
    return t->count ? first_from(t, 0) : NULL;
}

struct table_node *table_next(const struct table *t, const struct table_node *node)
{
    return node->next ? node->next : first_from(t, (node->hash & (t->bucket_count - 1)) + 1);
}

void table_free(struct table *t)
{
    memory_free(t->buckets);
    table_init(t);
}
