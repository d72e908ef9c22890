/* The stack on which a thread's crash is handled, since its own may be what has run out. */
#ifndef DEVX_ALTERNATE_STACK_H
#define DEVX_ALTERNATE_STACK_H

#include <stdbool.h>
#include <stdint.h>

/* The thread's own stack: [low, high) is usable; what its guard takes lies below. All 0: not known. */
struct thread_stack {
    uintptr_t low, high;
    uintptr_t guard_bytes;
};

/*
 * Gives the calling thread one, if it has none of ours, and notes the bounds of its own stack. It is taken
 * back when the thread ends, or by alternate_stack_remove. An errno, or 0.
 */
int alternate_stack_install(void);
void alternate_stack_remove(void);
/* Of the calling thread, if that has called alternate_stack_install. Async-signal-safe. */
struct thread_stack alternate_stack_of_thread(void);

#endif
