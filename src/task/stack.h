/*
 * Stacks: carved out of slabs, each with a guard at its low end, kept on free lists by size class.
 *
 *   block:  [guard][ usable ......................... ]   block_bytes, a power of two
 *
 * The guard is a lightweight guard region (MADV_GUARD_INSTALL, Linux 6.13: no mapping is split, so that a
 * million stacks need a few mappings), or mprotect on older kernels.
 */
#ifndef TASK_STACK_H
#define TASK_STACK_H

#include <yoke/base.h>

#include <stdbool.h>
#include <stdint.h>

#define STACK_MIN_BYTES   ((size_t)16 << 10)
#define STACK_MAX_BYTES   ((size_t)1 << 30)
#define STACK_GUARD_BYTES ((size_t)4096)
#define STACK_CLASSES     48

struct stack_slab;

struct stack_pool {
    struct stack_slab *slabs;
    void *free[STACK_CLASSES]; /* by log2 of the size; a free block's last word links to the next */
    size_t next_count[STACK_CLASSES];
    size_t live, mapped_bytes;
};

/* log2 of the block for `bytes`. */
static inline unsigned stack_class(size_t bytes)
{
    return bytes <= STACK_MIN_BYTES ? 14 : 64 - (unsigned)__builtin_clzll(bytes - 1);
}

static inline void **stack_link(void *block, size_t block_bytes)
{
    return (void **)((char *)block + block_bytes) - 1;
}

/* More blocks of a class that has none left. False without memory. */
bool stack_more(struct stack_pool *pool, unsigned class);

/* A block of at least `bytes` (rounded up to a power of two, `*block_bytes` says what it became); NULL
 * without memory. */
static inline void *stack_take(struct stack_pool *pool, size_t bytes, size_t *block_bytes)
{
    unsigned class = stack_class(bytes);
    *block_bytes = (size_t)1 << class;
    if (__builtin_expect(!pool->free[class], 0) && !stack_more(pool, class))
        return NULL;
    void *block = pool->free[class];
    pool->free[class] = *stack_link(block, *block_bytes);
    pool->live++;
    return block;
}

/* Only the link is written: the caller may still stand on the stack till the next take. */
static inline void stack_give(struct stack_pool *pool, void *block, size_t block_bytes)
{
    void **first = &pool->free[__builtin_ctzll(block_bytes)];
    *stack_link(block, block_bytes) = *first;
    *first = block;
    pool->live--;
}

/* The block that an address is in, its guard included; NULL: none of these. Async-signal-safe. */
void *stack_block_at(const struct stack_pool *pool, uintptr_t address, size_t *block_bytes);

/* Unmaps all; every stack must have been given back. */
void stack_pool_free(struct stack_pool *pool);

#endif
