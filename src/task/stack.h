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

/* A block of at least `bytes` (rounded up to a power of two, `*block_bytes` says what it became); NULL
 * without memory. */
void *stack_take(struct stack_pool *pool, size_t bytes, size_t *block_bytes);
/* Only the links are written: the caller may still stand on the stack till the next take. */
void stack_give(struct stack_pool *pool, void *block, size_t block_bytes);
/* Unmaps all; every stack must have been given back. */
void stack_pool_free(struct stack_pool *pool);

#endif
