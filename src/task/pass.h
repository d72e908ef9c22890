/* What lies between two batches of tasks. All on the scheduler's thread, while no task runs. */
#ifndef TASK_PASS_H
#define TASK_PASS_H

#include "task/task.h"

/* Looks at what may have become due, and waits for it if nobody is ready; afterwards somebody is. */
void pass(struct scheduler *s) __attribute__((noinline));
/* With a step.bound: tells of the step that ends here if it was long. `next`: where in the ring of those that
 * are ready comes whose turn it is next; returns that one, after a pass where it is the ring's end. */
list *pass_timed(struct scheduler *s, list *next) __attribute__((noinline));

/* Sets s->pass_at. */
void pass_note_time(struct scheduler *s) __attribute__((noinline));

/* Would a pass not have to wait for anything? */
bool pass_has_work(struct scheduler *s);

/* idle.c: nobody is ready, and nothing is posted. Waits for what comes first: time, a descriptor, a post, or
 * the quiet that somebody asked for. */
void idle_wait(struct scheduler *s);
/* For how many real ns idle_wait would wait, if no descriptor and no post ended that; YOKE_NEVER: for ever.
 */
int64_t idle_time(struct scheduler *s);
/* Looks at descriptors, for `timeout` ns (0: does not wait; negative: for ever). A guest's never waits. */
void pass_look(struct scheduler *s, int64_t timeout);

#endif
