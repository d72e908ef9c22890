/* The tree of a run's tasks as text. */
#ifndef TASK_TREE_H
#define TASK_TREE_H

#include "task/task.h"

/*
 * A line a task, below the nursery that it is in, below the task that opened that: name, what it does, where
 * it was spawned; and one for each open scope. After some thousand lines it says how many were left out. To
 * be freed with memory_free(); NULL without memory. On the scheduler's thread.
 */
char *tree_text(const struct scheduler *s);

#endif
