#include "devx/crash/alternate_stack.h"

#include "base/error.h"

#include <yoke/devx.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

enum { USABLE_BYTES = 256 << 10, GUARD_BYTES = 4096, ALL_BYTES = USABLE_BYTES + GUARD_BYTES };

static _Thread_local struct {
    char *memory; /* NULL: the thread has none of ours */
    stack_t old;
    struct thread_stack own;
} here;

/* A sanitizer's own is put back, which unmaps it when the thread has ended. */
void alternate_stack_remove(void)
{
    if (!here.memory || sigaltstack(&here.old, NULL) < 0)
        return;
    munmap(here.memory, ALL_BYTES);
    here.memory = NULL;
}

/* ---- at the thread's end ---- */

static pthread_key_t key;
static int key_error;

static void thread_ends(void *unused)
{
    alternate_stack_remove();
}

static void make_key(void)
{
    key_error = pthread_key_create(&key, thread_ends);
}

static int remove_at_end(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_key);
    return key_error ? key_error : pthread_setspecific(key, &here);
}

/* ---- installing it ---- */

static struct thread_stack bounds(void)
{
    pthread_attr_t attributes;
    void *low;
    size_t bytes, guard;
    struct thread_stack own = {0, 0, 0};
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return own;
    if (pthread_attr_getstack(&attributes, &low, &bytes) == 0 &&
        pthread_attr_getguardsize(&attributes, &guard) == 0)
        own = (struct thread_stack){(uintptr_t)low, (uintptr_t)low + bytes, guard};
    pthread_attr_destroy(&attributes);
    return own;
}

static int install(char *memory)
{
    stack_t stack = {.ss_sp = memory + GUARD_BYTES, .ss_size = USABLE_BYTES};
    if (mprotect(memory, GUARD_BYTES, PROT_NONE) < 0 || sigaltstack(&stack, &here.old) < 0)
        return errno;
    here.memory = memory;
    here.own = bounds();
    return 0;
}

int alternate_stack_install(void)
{
    if (here.memory)
        return 0;
    int error = remove_at_end();
    if (error)
        return error;
    char *memory = mmap(NULL, ALL_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return errno;
    error = install(memory);
    if (error)
        munmap(memory, ALL_BYTES);
    return error;
}

struct thread_stack alternate_stack_of_thread(void)
{
    return here.memory ? here.own : (struct thread_stack){0, 0, 0};
}

yoke_error *yoke_thread_alternate_stack(void)
{
    int error = alternate_stack_install();
    return error ? yoke_raise_errno(error, "an alternate signal stack") : NULL;
}
