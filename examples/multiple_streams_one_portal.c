/*
 * Two streams over one portal: each is a task of its own over there, and neither waits for the other.
 *
 *     cc multiple_streams_one_portal.c $(pkg-config --cflags --libs yoke) -o streams && ./streams
 */
#include <inttypes.h>
#include <yoke.h>

enum { NUMBERS = 10 };

/* ---- in the child ---- */

static yoke_error *count(yoke_stream *stream, const yoke_type_none *args)
{
    for (uint64_t i = 0; i < NUMBERS; i++)
        YOKE_TRY(yoke_send(stream, &i));
    return NULL;
}
YOKE_MODULE(counter, YOKE_STREAM(count, none, u64))

/* ---- in the parent ---- */

struct reader {
    yoke_portal *portal;
    bool *seen; /* shared by the readers: tasks of one actor run one at a time */
};

static yoke_error *toggle_each(yoke_stream *stream, bool *seen)
{
    for (;;) {
        uint64_t number;
        yoke_error *e = yoke_recv(stream, &number);
        if (yoke_error_is(e, &YOKE_END_OF_CHANNEL)) {
            yoke_error_free(e);
            return NULL;
        }
        YOKE_TRY(e);
        seen[number] = !seen[number]; /* the first adds it, the second takes it out */
    }
}

static yoke_error *read_all(void *arg)
{
    struct reader *reader = arg;
    yoke_stream *stream;
    YOKE_TRY(yoke_portal_stream_open(reader->portal, &stream, "counter:count", NULL, NULL));
    return yoke_stream_close(stream, toggle_each(stream, reader->seen));
}

static yoke_error *read_twice(struct reader *reader)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, read_all, reader);
    if (!e)
        e = yoke_spawn(&n, read_all, reader);
    return yoke_nursery_close(&n, e);
}

static yoke_error *with_child(yoke_actors *actors)
{
    bool seen[NUMBERS] = {false};
    struct reader reader = {.seen = seen};
    int left = 0;
    YOKE_TRY(
        yoke_actors_start(actors, "counter", &(yoke_actor_options){.modules = "counter"}, &reader.portal));
    YOKE_TRY(read_twice(&reader));
    for (int i = 0; i < NUMBERS; i++)
        left += seen[i];
    printf("%d numbers were read by one reader alone\n", left);
    return yoke_portal_cancel_actor(reader.portal, 0, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors));
}
YOKE_MAIN(app)
