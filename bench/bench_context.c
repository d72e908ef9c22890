/*
 * Many contexts open on one channel, beside one: what each costs to open and close, and what a message to and
 * fro costs in one of them while the others are open.
 */
#include "measure.h"

#include <yoke.h>

#include <stdio.h>
#include <stdlib.h>

enum { MANY = 10000, ROUNDS = 5, TRIPS = 10000 };

/* ---- the far side ---- */

static yoke_error *return_words(yoke_stream *stream)
{
    for (;;) {
        uint64_t word;
        YOKE_TRY(yoke_recv(stream, &word));
        YOKE_TRY(yoke_send(stream, &word));
    }
}

static yoke_error *echo(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_end_is_fine(yoke_stream_close(stream, return_words(stream)));
}

static yoke_error *hold(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    uint64_t word;
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_end_is_fine(yoke_stream_close(stream, yoke_recv(stream, &word)));
}

YOKE_MODULE(far, YOKE_CONTEXT_STREAM(echo, none, none, none, u64, u64),
            YOKE_CONTEXT_STREAM(hold, none, none, none, u64, u64));

/* ---- the near side ---- */

/* The far task ends when this side's stream is closed, so no cancellation is in the figure. */
static yoke_error *end(yoke_context *ctx, yoke_error *e)
{
    yoke_stream *stream;
    if (!e)
        e = yoke_stream_open(ctx, &stream, NULL);
    if (!e)
        e = yoke_stream_close(stream, NULL);
    return yoke_context_close(ctx, e);
}

static yoke_error *trips(yoke_stream *stream, double *ns)
{
    double begun = measure_now_ns();
    for (uint64_t i = 0, word; i < TRIPS; i++) {
        YOKE_TRY(yoke_send(stream, &i));
        YOKE_TRY(yoke_recv(stream, &word));
    }
    *ns = (measure_now_ns() - begun) / TRIPS;
    return NULL;
}

/* One after the other; the figure is for each. */
static yoke_error *one_at_a_time(yoke_portal *portal, double *ns)
{
    double begun = measure_now_ns();
    for (int i = 0; i < MANY; i++) {
        yoke_context *ctx;
        YOKE_TRY(yoke_context_open(portal, &ctx, "far:hold", NULL, NULL));
        YOKE_TRY(end(ctx, NULL));
    }
    *ns = (measure_now_ns() - begun) / MANY;
    return NULL;
}

/* All of them open; `trip` is that of a message in `stream` meanwhile. */
static yoke_error *all_at_once(yoke_portal *portal, yoke_stream *stream, yoke_context **open, double *ns,
                               double *trip)
{
    double begun = measure_now_ns(), paused = 0;
    yoke_error *e = NULL;
    int count = 0;
    for (; count < MANY && !e; count += !e)
        e = yoke_context_open(portal, &open[count], "far:hold", NULL, NULL);
    if (!e) {
        double pause = measure_now_ns();
        e = trips(stream, trip);
        paused = measure_now_ns() - pause;
    }
    while (count--)
        e = end(open[count], e);
    *ns = (measure_now_ns() - begun - paused) / MANY;
    return e;
}

static yoke_error *rounds(yoke_portal *portal, yoke_stream *stream, yoke_context **open)
{
    double one[ROUNDS], many[ROUNDS], alone[ROUNDS], among[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        YOKE_TRY(one_at_a_time(portal, &one[i]));
        YOKE_TRY(trips(stream, &alone[i]));
        YOKE_TRY(all_at_once(portal, stream, open, &many[i], &among[i]));
    }
    measure_row("10,000 contexts open on one channel, each : opened and closed one at a time", many, one,
                ROUNDS, "<= 1.5", "opened, a first value, a stream opened and closed, the result");
    measure_row("a message to and fro beside 10,000 open contexts : beside none", among, alone, ROUNDS,
                "<= 1.5", "a round trip");
    return NULL;
}

static yoke_error *with_stream(yoke_portal *portal, yoke_stream *stream)
{
    yoke_context **open = calloc(MANY, sizeof *open);
    if (!open)
        return yoke_raise(&YOKE_NO_MEMORY, "%d contexts", MANY);
    yoke_error *e = rounds(portal, stream, open);
    free(open);
    return e;
}

static yoke_error *with_context(yoke_portal *portal, yoke_context *ctx)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, with_stream(portal, stream));
}

static yoke_error *with_actors(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "far", &(yoke_actor_options){.modules = "far"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "far:echo", NULL, NULL));
    YOKE_TRY(yoke_context_close(ctx, with_context(portal, ctx)));
    return yoke_actors_cancel(actors);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_actors(actors));
}
YOKE_MAIN(app)
