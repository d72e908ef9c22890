/*
 * The work as chunks: what one message asks of a worker. A chunk is a range of a large file, or several small
 * files.
 */
#ifndef WORDCOUNT_PLAN_H
#define WORDCOUNT_PLAN_H

#include "files.h"

/* Small files in one chunk: opening that many takes about as long as counting a large chunk. */
#define PLAN_PARTS_MOST 128

struct part {
    const struct file *file;
    uint64_t from, to; /* bytes; the last part of a file goes to its end, wherever that then is: UINT64_MAX */
};

struct chunk {
    size_t first, count; /* of the plan's parts */
    uint64_t bytes;      /* as the files' sizes were when they were listed */
};

struct plan {
    struct part *parts;
    size_t part_count, part_room;
    struct chunk *chunks;
    size_t chunk_count, chunk_room;
};

/* The bytes of a chunk so that each worker gets some dozens: 4 KiB to 1 MiB. */
uint64_t plan_chunk_bytes(uint64_t bytes, unsigned workers);
/* Files of up to `chunk_bytes` stay whole; larger ones are split there. The files must outlive the plan. */
YOKE_MUST_USE yoke_error *plan_make(struct plan *plan, const struct files *files, uint64_t chunk_bytes);
void plan_free(struct plan *plan);

#endif
