/*
 * What the tasks of this run are doing at one time, as plain data: taken by a task in small steps, between
 * which the others run; put into words later, on another thread (devx/dump/dump_text.h).
 */
#ifndef DEVX_CAPTURE_H
#define DEVX_CAPTURE_H

#include "base/buffer.h"

#include <yoke/task.h>

enum capture_kind { CAPTURE_TASK, CAPTURE_SCOPE, CAPTURE_NURSERY };

enum { CAPTURE_FRAMES = 64 };

/* In the order of a walk (task/walk.h). Texts are offsets in capture.texts; 0: "". */
struct capture_item {
    uint8_t kind;
    bool is_ready;  /* of a task: it will run; else it waits */
    bool cancelled; /* of a task: it stands in a cancelled scope; of a scope: it was cancelled */
    bool shielded;  /* of a task: a shield is around it, inside of all that is its own */
    bool is_main;
    int line; /* where it was spawned, opened */
    unsigned depth;
    uint32_t name, file, reason;
    uint32_t frame_count;
    size_t frames;    /* the first of them, in capture.pcs */
    size_t alike;     /* how many more tasks there are, right after it, of which the same can be said */
    int64_t since;    /* for how many ns it has been waiting */
    int64_t deadline; /* of a scope: in how many ns; YOKE_NEVER: none */
    uint64_t address; /* of the task, the scope */
};

struct capture {
    struct buffer items; /* struct capture_item */
    struct buffer pcs;   /* uint64_t, as unwind_task gives them */
    struct buffer texts;
    size_t tasks;
    size_t left_out; /* tasks, of a tree that grew faster than this could look at it */
};

/* Takes it, but for the task `but`, which is the calling one or has it somewhere inside, and all that is in
 * that. Checkpoint. YOKE_NO_MEMORY. Also after an error capture_free frees it. */
YOKE_MUST_USE yoke_error *capture_take(struct capture *c, const yoke_task *but);
void capture_free(struct capture *c);

#endif
