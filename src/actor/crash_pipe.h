/* The pipe into which a child that crashes writes its report, as its parent has it. */
#ifndef ACTOR_CRASH_PIPE_H
#define ACTOR_CRASH_PIPE_H

#include "base/buffer.h"

#include <yoke/task.h>

struct child;

struct crash_pipe {
    int fd;               /* the read end; -1: closed */
    struct buffer report; /* what has come so far */
    char *note;           /* what the floor above has to add to its error; freed with the pipe */
    bool watched;         /* a task waits for more */
    yoke_scope *wait;     /* that it waits in */
    yoke_event unwatched; /* it is through */
};

void crash_pipe_init(struct crash_pipe *pipe, int fd);
/* From now on actor_hooks.child_writes is called, in a task of its own, whenever the child has written. */
YOKE_MUST_USE yoke_error *crash_pipe_watch(struct child *c);
/* The child is dead: the rest is read, and nobody watches any more. Parks. */
void crash_pipe_finish(struct crash_pipe *pipe);
void crash_pipe_close(struct crash_pipe *pipe);

#endif
