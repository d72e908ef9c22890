/* Posts into a run, from other threads and signal handlers: the scheduler's side of yoke_token. */
#ifndef TASK_TOKEN_H
#define TASK_TOKEN_H

#include "task/task.h"

/* Runs what was posted before the call, in order, outside of any task. On the scheduler's thread. */
void token_run(struct scheduler *s);
/* Takes no more posts, runs the accepted ones, and parts with the scheduler. Harmless without a token. */
void token_close(struct scheduler *s);
/* yoke_token_post of what somebody in the run waits for, so that it can't end before: waits for memory where
 * there is none. On another thread, or in the run. */
void token_post_surely(yoke_token *token, yoke_post_fn fn, void *arg);
/* Does anybody hold the run's token? Then a post may still come. */
bool token_is_held(const struct scheduler *s);

#endif
