/*
 * Records: what does not fit is refused before it is sent, with the path of the field that is wrong.
 *
 *     cc typed_payloads.c $(pkg-config --cflags --libs yoke) -o typed && ./typed
 */
#include <inttypes.h>
#include <yoke.h>

YOKE_RECORD(point, (i64, x), (i64, y), (limit, str, label, 8))

/* ---- in the child ---- */

static yoke_error *double_each(yoke_stream *stream)
{
    for (;;) {
        point p;
        yoke_error *e = yoke_recv(stream, &p);
        if (yoke_error_is(e, &YOKE_END_OF_CHANNEL)) {
            yoke_error_free(e);
            return NULL;
        }
        YOKE_TRY(e);
        p.x *= 2;
        p.y *= 2;
        e = yoke_send(stream, &p);
        point_free(&p); /* its label was made by the receive */
        YOKE_TRY(e);
    }
}

static yoke_error *doubler(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    yoke_error *e = yoke_context_started(ctx, &(point){0, 0, "far too long for a label"});
    if (!yoke_error_is(e, &YOKE_MSG_TYPE))
        return e;
    printf("refused: %s\n", yoke_error_message(e)); /* nothing was sent: the parent still waits */
    fflush(stdout);
    yoke_error_free(e);
    YOKE_TRY(yoke_context_started(ctx, &(point){0, 0, "origin"}));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, double_each(stream));
}
YOKE_MODULE(points, YOKE_CONTEXT_STREAM(doubler, none, point, none, point, point))

/* ---- in the parent ---- */

static void show(const char *what, point *p)
{
    printf("%s: %s (%" PRId64 ", %" PRId64 ")\n", what, p->label, p->x, p->y);
    fflush(stdout);
    point_free(p);
}

static yoke_error *send_three(yoke_stream *stream)
{
    static const point points[] = {{1, 2, "a"}, {3, 4, "b"}, {-5, 6, "c"}};
    for (int i = 0; i < 3; i++) {
        point back;
        YOKE_TRY(yoke_send(stream, &points[i]));
        YOKE_TRY(yoke_recv(stream, &back));
        show("doubled", &back);
    }
    return NULL;
}

static yoke_error *in_context(yoke_context *ctx)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, send_three(stream));
}

static yoke_error *with_child(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    point first;
    YOKE_TRY(yoke_actors_start(actors, "doubler", &(yoke_actor_options){.modules = "points"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "points:doubler", NULL, &first));
    show("started", &first);
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
