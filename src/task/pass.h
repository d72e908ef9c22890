/* What lies between two batches of tasks. All on the scheduler's thread, while no task runs. */
#ifndef TASK_PASS_H
#define TASK_PASS_H

#include "task/task.h"

/* Looks at what may have become due, and waits for it if nobody is ready; afterwards somebody is. */
void pass(struct scheduler *s) __attribute__((noinline));
/* The next batch where it is shuffled or handed out one by one, after a pass if one is due. */
yoke_task *batch_arranged(struct scheduler *s) __attribute__((noinline));

/* idle.c: nobody is ready, and nothing is posted. Waits for what comes first: time, a descriptor, a post, or
 * the quiet that somebody asked for. */
void idle_wait(struct scheduler *s);
/* Looks at descriptors, for `timeout` ns (0: does not wait; negative: for ever). */
void pass_look(struct scheduler *s, int64_t timeout);

#endif
