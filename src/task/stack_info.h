/* The running task's stack, for whoever has to tell of a crash on it. */
#ifndef TASK_STACK_INFO_H
#define TASK_STACK_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task_stack_info {
    const char *task;
    const char *spawn_file;
    int spawn_line;
    uintptr_t low, high; /* [low, high) is usable, the guard is [low - guard_bytes, low) */
    size_t guard_bytes;
};

/* Async-signal-safe. False if the thread runs no task at this moment. */
bool task_stack_info(struct task_stack_info *out);

/* Between two tasks their callbacks (of signals, timers, the abort of a wait) run on the stack of the last
 * one. Its bounds, without a name, for a stack pointer there. Async-signal-safe. False: it is no task's. */
bool task_stack_of_callback(uintptr_t sp, struct task_stack_info *out);

/* Where a task was spawned; "" and 0 of the first task of a run. */
struct task_spawn {
    const char *task, *file;
    int line;
};

/* The running task, the one that opened the nursery it is in, and so on; returns how many, `max` at most.
 * Async-signal-safe. */
size_t task_spawn_chain(struct task_spawn *out, size_t max);

#endif
