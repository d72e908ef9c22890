/*
 * Two linked tasks, one in each process, that play ping-pong over a two-way stream.
 *
 *     cc rpc_bidir_streaming.c $(pkg-config --cflags --libs yoke) -o rpc && ./rpc
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yoke.h>

YOKE_ERROR_KIND(MISHEARD, "example.Misheard", NULL);

static yoke_error *expect(yoke_stream *stream, const char *word)
{
    yoke_type_str heard;
    YOKE_TRY(yoke_recv(stream, &heard));
    bool right = strcmp(heard, word) == 0;
    free((void *)heard);
    return right ? NULL : yoke_raise(&MISHEARD, "that was no %s", word);
}

static yoke_error *say(yoke_stream *stream, yoke_type_str word)
{
    return yoke_send(stream, &word);
}

/* ---- in the child ---- */

YOKE_RECORD(data, (u64, value))

static yoke_error *answer_pings(yoke_stream *stream, uint64_t *count)
{
    for (;;) {
        yoke_error *e = expect(stream, "ping");
        if (yoke_error_is(e, &YOKE_END_OF_CHANNEL)) { /* the other side has closed its stream */
            yoke_error_free(e);
            return NULL;
        }
        YOKE_TRY(e);
        ++*count;
        YOKE_TRY(say(stream, "pong"));
    }
}

static yoke_error *simple_rpc(yoke_context *ctx, const data *args, uint64_t *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, &(uint64_t){args->value + 1}));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, answer_pings(stream, result));
}
YOKE_MODULE(rpc, YOKE_CONTEXT_STREAM(simple_rpc, data, u64, u64, str, str))

/* ---- in the parent ---- */

static yoke_error *play(yoke_stream *stream)
{
    YOKE_TRY(say(stream, "ping"));
    for (int pongs = 1; pongs <= 9; pongs++) {
        YOKE_TRY(expect(stream, "pong"));
        printf("pong %d\n", pongs);
        YOKE_TRY(say(stream, "ping"));
    }
    return NULL; /* leaves with the tenth ping under way: the child gets it before its stream ends */
}

static yoke_error *in_context(yoke_context *ctx)
{
    yoke_stream *stream;
    uint64_t count;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_stream_close(stream, play(stream)));
    YOKE_TRY(yoke_context_result(ctx, &count));
    printf("the child counted %" PRIu64 " pings\n", count);
    return NULL;
}

static yoke_error *with_child(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    uint64_t first;
    YOKE_TRY(yoke_actors_start(actors, "rpc_server", &(yoke_actor_options){.modules = "rpc"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "rpc:simple_rpc", &(data){10}, &first));
    printf("started with %" PRIu64 "\n", first);
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
