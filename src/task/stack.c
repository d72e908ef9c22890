#include "task/stack.h"

#include "base/memory.h"
#include "task/sanitizer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* linux/mman.h of 6.13 */
#endif

struct stack_slab {
    struct stack_slab *next;
    void *memory;
    size_t bytes, block_bytes;
};

#define SLAB_FIRST_BYTES ((size_t)1 << 20)
#define SLAB_MAX_BYTES   ((size_t)256 << 20)

/* Each guard of the old kind is two mappings more, of which a process has 65,530 as a rule. */
enum { GUARDS_FOR_CORES = 8192, UNKNOWN = -1000 };

/*
 * gdb can't read memory that has guards of the new kind, and leaves it out of a core: where cores are asked
 * for (YOKE_CORE), the first stacks have those of the old one.
 */
static bool is_for_cores(void)
{
    static atomic_int left = UNKNOWN;
    if (atomic_load(&left) == UNKNOWN)
        atomic_store(&left, getenv("YOKE_CORE") ? GUARDS_FOR_CORES : 0);
    return atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) > 0; /* threads may go below, by a few */
}

/* YOKE_MPROTECT_GUARDS makes new kernels behave like old ones, for the tests. */
static bool guard_install(void *at)
{
    static atomic_int has_madvise = -1; /* every thread finds the same */
    if (atomic_load(&has_madvise) < 0)
        atomic_store(&has_madvise, getenv("YOKE_MPROTECT_GUARDS") == NULL);
    if (atomic_load(&has_madvise) && !is_for_cores()) {
        if (madvise(at, STACK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0)
            return true;
        if (errno == ENOMEM || errno == EAGAIN)
            return false;
        /* An older kernel, a sandbox, or locked memory, for which there is no other way. */
        atomic_store(&has_madvise, 0);
    }
    return mprotect(at, STACK_GUARD_BYTES, PROT_NONE) == 0;
}

/* Slabs double in size as the pool grows, so that few tasks take little address space and many take few
 * mappings. */
static size_t slab_bytes_for(struct stack_pool *pool, unsigned class)
{
    size_t block = (size_t)1 << class;
    size_t count = pool->next_count[class] ? pool->next_count[class] : 1;
    size_t bytes = count * block;
    if (bytes < SLAB_FIRST_BYTES && block < SLAB_FIRST_BYTES)
        bytes = SLAB_FIRST_BYTES;
    if (bytes > SLAB_MAX_BYTES)
        bytes = block > SLAB_MAX_BYTES ? block : SLAB_MAX_BYTES;
    return bytes;
}

bool stack_more(struct stack_pool *pool, unsigned class)
{
    size_t block = (size_t)1 << class, bytes = slab_bytes_for(pool, class);
    struct stack_slab *slab = memory_alloc(sizeof *slab);
    if (!slab)
        return false;
    slab->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab->memory == MAP_FAILED) {
        memory_free(slab);
        return false;
    }
    slab->bytes = bytes;
    slab->block_bytes = block;
    /* A huge page under a stack of which a task touches 4 KiB would cost 500 times as much. */
    madvise(slab->memory, bytes, MADV_NOHUGEPAGE);
    for (char *b = slab->memory; b < (char *)slab->memory + bytes; b += block)
        if (!guard_install(b)) {
            munmap(slab->memory, bytes);
            memory_free(slab);
            return false;
        }
    /* From the last to the first, so that they are handed out in the order of their addresses. */
    for (char *b = (char *)slab->memory + bytes - block; b >= (char *)slab->memory; b -= block) {
        *stack_link(b, block) = pool->free[class];
        pool->free[class] = b;
        if (b == slab->memory)
            break;
    }
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->mapped_bytes += bytes;
    pool->next_count[class] = 2 * bytes / block;
    return true;
}

void *stack_block_at(const struct stack_pool *pool, uintptr_t address, size_t *block_bytes)
{
    for (const struct stack_slab *slab = pool->slabs; slab; slab = slab->next) {
        uintptr_t low = (uintptr_t)slab->memory;
        if (address < low || address - low >= slab->bytes)
            continue;
        *block_bytes = slab->block_bytes;
        return (char *)slab->memory + (address - low) / slab->block_bytes * slab->block_bytes;
    }
    return NULL;
}

void stack_pool_free(struct stack_pool *pool)
{
    while (pool->slabs) {
        struct stack_slab *slab = pool->slabs;
        pool->slabs = slab->next;
        sanitizer_stack_clean(slab->memory, slab->bytes);
        munmap(slab->memory, slab->bytes);
        memory_free(slab);
    }
    for (unsigned class = 0; class < STACK_CLASSES; class ++)
        pool->free[class] = NULL;
}
