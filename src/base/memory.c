/* malloc(3) with a count of what is out, and a countdown that refuses one allocation for tests. */
#include "base/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/*
 * What is out is counted twice: by the first thread that takes memory, which is the one that takes nearly all
 * and counts without a locked instruction, and by all the others. Each may go below zero: the sum is what
 * counts.
 */
static atomic_size_t live_of_first, live_of_others;
static atomic_flag has_first = ATOMIC_FLAG_INIT;
static _Thread_local enum { UNKNOWN, FIRST, OTHER } thread __attribute__((tls_model("initial-exec")));

static __attribute__((noinline, cold)) void know_thread(void)
{
    thread = atomic_flag_test_and_set(&has_first) ? OTHER : FIRST;
}

static inline void count(size_t change)
{
    if (__builtin_expect(thread == UNKNOWN, 0))
        know_thread();
    if (thread == OTHER) {
        atomic_fetch_add_explicit(&live_of_others, change, memory_order_relaxed);
        return;
    }
    size_t before = atomic_load_explicit(&live_of_first, memory_order_relaxed);
    atomic_store_explicit(&live_of_first, before + change, memory_order_relaxed);
}

/* Allocations that still succeed before the one that fails; SIZE_MAX: none fails. */
static atomic_size_t countdown = SIZE_MAX;
static atomic_bool fired;

/* Out of the way of the usual path, which is one load and one branch. */
static __attribute__((noinline, cold)) bool count_down(void)
{
    size_t left = atomic_load(&countdown);
    while (left != SIZE_MAX) {
        if (!atomic_compare_exchange_weak(&countdown, &left, left ? left - 1 : SIZE_MAX))
            continue;
        if (left)
            return false;
        atomic_store(&fired, true);
        return true;
    }
    return false;
}

static inline bool refused(void)
{
    return __builtin_expect(atomic_load_explicit(&countdown, memory_order_relaxed) != SIZE_MAX, 0) &&
           count_down();
}

/* The C library may touch errno on its way to success; our callers hold system calls' errno across us. */
static inline void *handed_out(void *p, int saved)
{
    if (!p) {
        errno = ENOMEM;
        return NULL;
    }
    count(1);
    errno = saved;
    return p;
}

void *memory_alloc(size_t bytes)
{
    int saved = errno;
    return handed_out(refused() ? NULL : malloc(bytes ? bytes : 1), saved);
}

void *memory_calloc(size_t count, size_t bytes)
{
    int saved = errno;
    if (!count || !bytes)
        count = bytes = 1;
    bool too_large = count > SIZE_MAX / bytes; /* told apart here: sanitizers end the program for it */
    return handed_out(too_large || refused() ? NULL : calloc(count, bytes), saved);
}

void *memory_realloc(void *p, size_t bytes)
{
    if (!p)
        return memory_alloc(bytes);
    int saved = errno;
    void *moved = refused() ? NULL : realloc(p, bytes ? bytes : 1);
    errno = moved ? saved : ENOMEM;
    return moved;
}

void memory_free(void *p)
{
    free(memory_give_away(p));
}

void memory_expect_large(void)
{
    static atomic_flag shown = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&shown))
        return;
    int saved = errno;
    void *volatile large = malloc(8 << 20); /* volatile: else both calls are left out */
    free(large);
    errno = saved;
}

void *memory_give_away(void *p)
{
    if (p)
        count((size_t)-1);
    return p;
}

char *memory_strdup(const char *text)
{
    if (!text)
        return NULL;
    size_t bytes = strlen(text) + 1;
    char *copy = memory_alloc(bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

size_t memory_live(void)
{
    return atomic_load(&live_of_first) + atomic_load(&live_of_others);
}

bool memory_fail_after(size_t count)
{
    bool last = atomic_exchange(&fired, false);
    atomic_store(&countdown, count);
    return last;
}
