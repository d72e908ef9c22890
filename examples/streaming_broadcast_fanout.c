/*
 * One stream, several readers in one process: each is given every message, at its own pace.
 *
 *     cc streaming_broadcast_fanout.c $(pkg-config --cflags --libs yoke) -o fanout && ./fanout
 */
#include <inttypes.h>
#include <yoke.h>

enum { NUMBERS = 5, READERS = 3 };

/* ---- in the child ---- */

static yoke_error *send_numbers(yoke_stream *stream)
{
    uint64_t go;
    YOKE_TRY(yoke_recv(stream, &go)); /* nobody is to miss the first one */
    for (uint64_t i = 0; i < NUMBERS; i++)
        YOKE_TRY(yoke_send(stream, &i));
    return NULL;
}

static yoke_error *source(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, send_numbers(stream));
}
YOKE_MODULE(numbers, YOKE_CONTEXT_STREAM(source, none, none, none, u64, u64))

/* ---- in the parent ---- */

struct reader {
    yoke_stream *stream;
    int number;
    int64_t pause; /* after each message */
};

static yoke_error *print_all(struct reader *reader, yoke_stream_subscriber *s)
{
    char line[64] = "";
    for (size_t used = 0;;) {
        uint64_t i;
        yoke_error *e = yoke_stream_next(s, &i);
        if (yoke_error_is(e, &YOKE_END_OF_CHANNEL)) {
            yoke_error_free(e);
            printf("reader %d:%s\n", reader->number, line);
            return NULL;
        }
        YOKE_TRY(e);
        used += (size_t)snprintf(line + used, sizeof line - used, " %" PRIu64, i);
        YOKE_TRY(yoke_sleep(reader->pause));
    }
}

static yoke_error *read_all(void *arg)
{
    struct reader *reader = arg;
    yoke_stream_subscriber s;
    YOKE_TRY(yoke_stream_subscribe(reader->stream, &s, NULL));
    yoke_error *e = yoke_started(NULL); /* from here on it misses nothing */
    if (!e)
        e = print_all(reader, &s);
    yoke_stream_unsubscribe(&s);
    return e;
}

static yoke_error *with_readers(yoke_stream *stream)
{
    struct reader readers[READERS];
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < READERS && !e; i++) {
        readers[i] =
            (struct reader){stream, i + 1, i == READERS - 1 ? YOKE_MS(50) : 0}; /* the last is slow */
        e = yoke_start(&n, read_all, &readers[i], NULL);
    }
    if (!e)
        e = yoke_send(stream, &(uint64_t){1}); /* go */
    return yoke_nursery_close(&n, e);
}

static yoke_error *in_context(yoke_context *ctx)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, with_readers(stream));
}

static yoke_error *with_child(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "source", &(yoke_actor_options){.modules = "numbers"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "numbers:source", NULL, NULL));
    YOKE_TRY(yoke_context_close(ctx, in_context(ctx)));
    return yoke_portal_cancel_actor(portal, 0, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors));
}
YOKE_MAIN(app)
