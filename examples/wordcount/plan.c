/* Chunks are filled one after the other, in the order of the files. */
#include "plan.h"

#include "words.h"

#include <stdlib.h>

/* Enough chunks that the workers end at about the same time, and few enough that a chunk costs more to count
 * than to send. */
#define CHUNKS_A_WORKER 32
#define CHUNK_LEAST     (4u << 10)
#define CHUNK_MOST      (1u << 20)

uint64_t plan_chunk_bytes(uint64_t bytes, unsigned workers)
{
    uint64_t wanted = bytes / CHUNKS_A_WORKER / (workers ? workers : 1);
    return wanted < CHUNK_LEAST ? CHUNK_LEAST : wanted > CHUNK_MOST ? CHUNK_MOST : wanted;
}

static yoke_error *begin_chunk(struct plan *plan)
{
    YOKE_TRY(array_reserve(&plan->chunks, &plan->chunk_room, plan->chunk_count + 1, sizeof *plan->chunks));
    plan->chunks[plan->chunk_count++] = (struct chunk){.first = plan->part_count};
    return NULL;
}

/* Puts a part of `bytes` into the last chunk, or into a new one if it is too full. */
static yoke_error *add_part(struct plan *plan, struct part part, uint64_t bytes, uint64_t chunk_bytes)
{
    const struct chunk *last = plan->chunk_count ? &plan->chunks[plan->chunk_count - 1] : NULL;
    if (!last || last->count == PLAN_PARTS_MOST || (last->count && last->bytes + bytes > chunk_bytes))
        YOKE_TRY(begin_chunk(plan));
    YOKE_TRY(array_reserve(&plan->parts, &plan->part_room, plan->part_count + 1, sizeof *plan->parts));
    plan->parts[plan->part_count++] = part;
    struct chunk *chunk = &plan->chunks[plan->chunk_count - 1];
    chunk->count++;
    chunk->bytes += bytes;
    return NULL;
}

static yoke_error *add_file(struct plan *plan, const struct file *file, uint64_t chunk_bytes)
{
    uint64_t from = 0;
    for (; file->size - from > chunk_bytes; from += chunk_bytes)
        YOKE_TRY(add_part(plan, (struct part){file, from, from + chunk_bytes}, chunk_bytes, chunk_bytes));
    return add_part(plan, (struct part){file, from, UINT64_MAX}, file->size - from, chunk_bytes);
}

yoke_error *plan_make(struct plan *plan, const struct files *files, uint64_t chunk_bytes)
{
    *plan = (struct plan){.parts = NULL};
    for (size_t i = 0; i < files->count; i++)
        YOKE_TRY(add_file(plan, &files->items[i], chunk_bytes));
    return NULL;
}

void plan_free(struct plan *plan)
{
    free(plan->parts);
    free(plan->chunks);
    *plan = (struct plan){.parts = NULL};
}
