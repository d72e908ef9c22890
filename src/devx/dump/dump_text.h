/* A dump of one actor in words, or as JSON. Needs no scheduler: see devx/trace/aside.h. */
#ifndef DEVX_DUMP_TEXT_H
#define DEVX_DUMP_TEXT_H

#include "devx/dump/capture.h"

#include <sys/types.h>

struct dump_actor {
    const char *name, *uuid;
    const char *path; /* the names of the actors above, each with " / " behind it; "" */
    pid_t pid;
    bool cancelled; /* it is ending */
};

/*
 * Appends to `out`: a line for the actor, then a line for each item of the capture, and the calls of each
 * task. JSON: an object that is still open at its field `children`, an array; dump_end_json closes both.
 * False without memory.
 */
bool dump_write(struct buffer *out, const struct dump_actor *actor, const struct capture *c, bool json);
/* For an actor that has not told anything: `why`, and lines of what could be had from outside ("" for
 * nothing). JSON: whole. */
bool dump_write_silent(struct buffer *out, const struct dump_actor *actor, const char *why,
                       const char *outside, bool json);
bool dump_end_json(struct buffer *out);

#endif
