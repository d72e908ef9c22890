/*
 * A service in three layers: the root reads from an aggregator, which reads from two producers of its own.
 *
 *     cc full_fledged_streaming_service.c $(pkg-config --cflags --libs yoke) -o service && ./service
 */
#include <inttypes.h>
#include <yoke.h>

enum { NUMBERS = 1000, BUFFERED = 500, PRODUCERS = 2 };

/* ---- in a producer ---- */

static yoke_error *stream_data(yoke_stream *stream, const yoke_type_none *args)
{
    for (uint64_t i = 0; i < NUMBERS; i++)
        YOKE_TRY(yoke_send(stream, &i));
    return NULL;
}
YOKE_MODULE(producer, YOKE_STREAM(stream_data, none, u64))

/* ---- in the aggregator ---- */

YOKE_CHANNEL(number, uint64_t)

struct source {
    yoke_portal *portal;
    number_sender out; /* a clone: the channel ends when the last one is closed */
    bool *seen;        /* shared by the sources */
};

static yoke_error *pass_on(yoke_stream *stream, struct source *source)
{
    for (;;) {
        uint64_t i;
        YOKE_TRY(yoke_recv(stream, &i));
        if (source->seen[i])
            continue;
        source->seen[i] = true;
        YOKE_TRY(number_send(&source->out, i)); /* waits while the channel is full */
    }
}

/* An end of the stream is no failure here. */
static yoke_error *unless_end(yoke_error *e)
{
    if (!yoke_error_is(e, &YOKE_END_OF_CHANNEL))
        return e;
    yoke_error_free(e);
    return NULL;
}

static yoke_error *push_to_channel(void *arg)
{
    struct source *source = arg;
    yoke_stream *stream;
    yoke_error *e = yoke_portal_stream_open(source->portal, &stream, "producer:stream_data", NULL, NULL);
    if (!e)
        e = yoke_stream_close(stream, unless_end(pass_on(stream, source)));
    number_sender_close(&source->out);
    return e;
}

static yoke_error *forward(number_receiver *rx, yoke_stream *stream)
{
    for (;;) {
        uint64_t i;
        YOKE_TRY(number_recv(rx, &i));
        YOKE_TRY(yoke_send(stream, &i));
    }
}

static yoke_error *merge(yoke_portal **producers, number_sender *tx, number_receiver *rx, yoke_stream *stream)
{
    bool seen[NUMBERS] = {false};
    struct source sources[PRODUCERS];
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < PRODUCERS && !e; i++) {
        sources[i] = (struct source){.portal = producers[i], .seen = seen};
        e = yoke_sender_clone(&tx->end, &sources[i].out.end);
        if (!e)
            e = yoke_spawn(&n, push_to_channel, &sources[i]);
    }
    number_sender_close(tx);
    if (!e)
        e = unless_end(forward(rx, stream));
    return yoke_nursery_close(&n, e);
}

static yoke_error *with_producers(yoke_actors *actors, yoke_stream *stream)
{
    yoke_portal *producers[PRODUCERS];
    number_sender tx;
    number_receiver rx;
    for (int i = 0; i < PRODUCERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "streamer_%d", i + 1);
        YOKE_TRY(
            yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "producer"}, &producers[i]));
    }
    YOKE_TRY(number_channel(&tx, &rx, BUFFERED));
    yoke_error *e = merge(producers, &tx, &rx, stream);
    number_sender_close(&tx);
    number_receiver_close(&rx);
    YOKE_TRY(e);
    return yoke_actors_cancel(actors);
}

static yoke_error *aggregate(yoke_stream *stream, const yoke_type_none *args)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_producers(actors, stream));
}
YOKE_MODULE(aggregator, YOKE_STREAM(aggregate, none, u64))

/* ---- in the root ---- */

YOKE_ERROR_KIND(OUT_OF_ORDER, "example.OutOfOrder", NULL);

static yoke_error *consume(yoke_stream *stream, uint64_t *count)
{
    for (;; ++*count) {
        uint64_t number;
        YOKE_TRY(yoke_recv(stream, &number));
        if (number != *count)
            return yoke_raise(&OUT_OF_ORDER, "%" PRIu64 " came where %" PRIu64 " was due", number, *count);
    }
}

static yoke_error *with_aggregator(yoke_actors *actors, uint64_t *count)
{
    yoke_portal *portal;
    yoke_stream *stream;
    YOKE_TRY(
        yoke_actors_start(actors, "aggregator", &(yoke_actor_options){.modules = "aggregator"}, &portal));
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_portal_stream_open(portal, &stream, "aggregator:aggregate", NULL, NULL));
    YOKE_TRY(yoke_stream_close(stream, unless_end(consume(stream, count))));
    printf("streaming: %.2f s\n", (double)(yoke_now() - begin) / 1e9);
    return yoke_portal_cancel_actor(portal, 0, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    uint64_t count = 0;
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    YOKE_TRY(yoke_actors_close(actors, with_aggregator(actors, &count)));
    printf("with starting and ending of all actors: %.2f s\n", (double)(yoke_now() - begin) / 1e9);
    printf("%" PRIu64 " numbers, in order\n", count);
    return NULL;
}
YOKE_MAIN(app)
