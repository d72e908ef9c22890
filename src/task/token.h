/* Posts into a run, from other threads and signal handlers: the scheduler's side of yoke_token. */
#ifndef TASK_TOKEN_H
#define TASK_TOKEN_H

#include "task/task.h"

/* Runs what was posted before the call, in order, outside of any task. On the scheduler's thread. */
void token_run(struct scheduler *s);
/* Takes no more posts, runs the accepted ones, and parts with the scheduler. Harmless without a token. */
void token_close(struct scheduler *s);
/* Does anybody hold the run's token? Then a post may still come. */
bool token_is_held(const struct scheduler *s);

#endif
