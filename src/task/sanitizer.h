/* Tells AddressSanitizer, ThreadSanitizer and valgrind of our stacks; nothing where none of them is there. */
#ifndef TASK_SANITIZER_H
#define TASK_SANITIZER_H

#include "task/task.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define YOKE_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define YOKE_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define YOKE_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define YOKE_TSAN 1
#endif

#if __has_include(<valgrind/valgrind.h>) && !defined(NVALGRIND)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(at, size) ((void)(at), 0)
#define VALGRIND_STACK_REGISTER(low, high)  0
#define VALGRIND_STACK_DEREGISTER(id)       ((void)(id))
#define RUNNING_ON_VALGRIND                 0
#endif

#ifdef YOKE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef YOKE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Before a switch: `save` keeps the left stack's state (NULL: it is left for good); the new stack is [low,
 * low + size). */
static inline void sanitizer_leave(void **save, const void *low, size_t size, void *fiber)
{
#ifdef YOKE_ASAN
    __sanitizer_start_switch_fiber(save, low, size);
#endif
#ifdef YOKE_TSAN
    __tsan_switch_to_fiber(fiber, 0);
#endif
    (void)save, (void)low, (void)size, (void)fiber;
}

/* After it, on the new stack, with what was saved when it was left (NULL at its first time). */
static inline void sanitizer_arrive(void *saved, const void **old_low, size_t *old_size)
{
#ifdef YOKE_ASAN
    __sanitizer_finish_switch_fiber(saved, old_low, old_size);
#endif
    (void)saved, (void)old_low, (void)old_size;
}

static inline void *sanitizer_fiber(void)
{
#ifdef YOKE_TSAN
    return __tsan_create_fiber(0);
#else
    return NULL;
#endif
}

static inline void *sanitizer_own_fiber(void)
{
#ifdef YOKE_TSAN
    return __tsan_get_current_fiber();
#else
    return NULL;
#endif
}

static inline void sanitizer_fiber_free(void *fiber)
{
#ifdef YOKE_TSAN
    __tsan_destroy_fiber(fiber);
#endif
    (void)fiber;
}

/* A stack that is used again must not keep the red zones of the last task. */
static inline void sanitizer_stack_clean(void *low, size_t size)
{
#ifdef YOKE_ASAN
    __asan_unpoison_memory_region(low, size);
#endif
    (void)low, (void)size;
}

#endif
