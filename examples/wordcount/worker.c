/*
 * The worker's side: the endpoint `wordcount:count`. It lives in its own process, takes chunks from the
 * stream as they come, and sends the counts of each back.
 */
#include "words.h"
#include "work.h"

#include <yoke.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct worker {
    const work_orders *orders;
    struct counter counter;
    struct bytes packed; /* the last result */
    uint64_t chunks;     /* counted in this life */
};

/* The debugger shows this frame, with `word` in it. */
static yoke_error *pause_at(const char *word)
{
    YOKE_TRY(yoke_pause());
    yoke_log(YOKE_DEBUG, "goes on behind `%s`", word);
    return NULL;
}

static yoke_error *count_part(struct worker *w, const work_part *part, uint64_t *bytes)
{
    char path[4096], shown[512];
    if (part->path.size >= sizeof path)
        return yoke_raise(&WORDCOUNT_INPUT, "a path of %zu bytes is too long", part->path.size);
    memcpy(path, part->path.data, part->path.size);
    path[part->path.size] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return yoke_raise(&WORDCOUNT_INPUT, "cannot read %s: %s", path_shown(path, shown, sizeof shown),
                          strerror(errno));
    yoke_error *e = counter_read(&w->counter, fd, path, part->from, part->to, bytes);
    close(fd);
    return e;
}

/* Not instrumented: the crash must reach the kernel as it would in a program without sanitizers. */
__attribute__((noinline, no_sanitize("undefined"))) static yoke_error *
count_chunk(struct worker *w, const work_chunk *chunk, work_counts *counts)
{
    counts->number = chunk->number;
    for (size_t i = 0; i < chunk->parts.count; i++) {
        uint64_t bytes = 0;
        YOKE_TRY(yoke_checkpoint());
        YOKE_TRY(count_part(w, &chunk->parts.items[i], &bytes));
        counts->bytes += bytes;
    }
    if (++w->chunks == w->orders->crash_after) {
        volatile uint64_t *volatile nowhere = NULL;
        *nowhere = w->chunks; /* --crash-after: this is the crash */
    }
    w->packed.size = 0;
    YOKE_TRY(counter_take(&w->counter, &w->packed));
    counts->packed.data = w->packed.data;
    counts->packed.size = w->packed.size;
    return NULL;
}

static yoke_error *count_chunks(struct worker *w, yoke_stream *stream)
{
    for (;;) {
        work_chunk chunk;
        yoke_error *e = yoke_recv(stream, &chunk);
        if (e)
            return yoke_end_is_fine(e);
        work_counts counts = {.bytes = 0};
        e = count_chunk(w, &chunk, &counts);
        yoke_record_free(&yoke_record_work_chunk, &chunk);
        YOKE_TRY(e);
        YOKE_TRY(yoke_send(stream, &counts));
    }
}

static yoke_error *count(yoke_context *ctx, const work_orders *orders, yoke_type_none *result)
{
    struct worker w = {.orders = orders, .counter.found = pause_at};
    if (orders->pause_at[0])
        w.counter.watched = orders->pause_at;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = yoke_stream_close(stream, count_chunks(&w, stream));
    counter_free(&w.counter);
    bytes_free(&w.packed);
    return e;
}

YOKE_MODULE(wordcount, YOKE_CONTEXT_STREAM(count, work_orders, none, none, work_chunk, work_counts));
