/*
 * A walk of a run's tasks and their open scopes: a task, its scopes from the outermost inwards, and the tasks
 * of each nursery after the nursery, in the order of their spawning. By the links that all of them have
 * anyway: no recursion and no memory, since a tree may be as deep as it is large.
 *
 * Between two steps the walk may rest, and other tasks run: what ends meanwhile takes the walk along to where
 * it would have gone next. What moves or is spawned meanwhile may be passed by, or met twice.
 */
#ifndef TASK_WALK_H
#define TASK_WALK_H

#include "task/task.h"

struct task_walk {
    yoke_task *task;
    yoke_scope *scope; /* one of the task's, where the walk stands; NULL: at the task itself */
    unsigned depth;
    bool begun;
    bool done; /* the walk has been inside of the scope, or the task */
    list resting;
};

/* On the scheduler's thread, as all of these. */
void task_walk_begin(struct task_walk *w, const struct scheduler *s);
/* The next spot, the run's first task at first; false at the end. */
bool task_walk_next(struct task_walk *w);
/* Does not go into the task or scope where the walk stands. */
void task_walk_pass_by(struct task_walk *w);
/* Around what lets other tasks run. At a task. */
void task_walk_rest(struct task_walk *w, struct scheduler *s);
void task_walk_resume(struct task_walk *w);
/* The task is about to leave its nursery for good; its scopes are closed. */
void task_walk_task_ends(struct scheduler *s, const yoke_task *task);

#endif
