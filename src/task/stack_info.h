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

#endif
