/*
 * A one-way stream that its reader leaves early: the far task is cancelled, and cleans up.
 *
 *     cc asynchronous_generators.c $(pkg-config --cflags --libs yoke) -o generators && ./generators
 */
#include <inttypes.h>
#include <yoke.h>

/* Two processes print to one place: each line goes out at once. */
#define SAY(...) (printf(__VA_ARGS__), fflush(stdout))

/* ---- in the child ---- */

static yoke_error *count_for_ever(yoke_stream *stream)
{
    for (uint64_t i = 0;; i++) {
        YOKE_TRY(yoke_send(stream, &i));
        YOKE_TRY(yoke_sleep(YOKE_MS(10)));
    }
}

static yoke_error *stream_forever(yoke_stream *stream, const yoke_type_none *args)
{
    yoke_error *e = count_for_ever(stream);
    SAY("child: cleaning up\n"); /* however it ended */
    return e;
}
YOKE_MODULE(numbers, YOKE_STREAM(stream_forever, none, u64))

/* ---- in the parent ---- */

static yoke_error *read_some(yoke_stream *stream)
{
    uint64_t number = 0;
    while (number < 50)
        YOKE_TRY(yoke_recv(stream, &number));
    SAY("parent: got 0 to %" PRIu64 ", that is enough; the stream ends\n", number);
    return NULL;
}

static yoke_error *with_child(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_stream *stream;
    YOKE_TRY(yoke_actors_start(actors, "donny", &(yoke_actor_options){.modules = "numbers"}, &portal));
    YOKE_TRY(yoke_portal_stream_open(portal, &stream, "numbers:stream_forever", NULL, NULL));
    YOKE_TRY(yoke_stream_close(stream, read_some(stream))); /* returns when the far task has ended */
    SAY("parent: cancelling the actor\n");
    return yoke_portal_cancel_actor(portal, 0, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors));
}
YOKE_MAIN(app)
