/*
 * Two daemons that the root asks again and again: one pauses before each of its numbers, the other fails each
 * time. The root lets the first failure pass; with the second it fails itself, and still waits for who is at
 * the prompt.
 *
 *     cc -g multi_daemon_subactors.c $(pkg-config --cflags --libs yoke) -o daemons && YOKE_DEBUG=1 ./daemons
 */
#include <yoke.h>

YOKE_ERROR_KIND(NAME_ERROR, "example.NameError", NULL);

/* A number, and a pause, for ever. */
static yoke_error *breakpoint_forever(yoke_stream *stream, const yoke_type_none *args)
{
    for (uint64_t i = 0;; i++) {
        YOKE_TRY(yoke_send(stream, &i));
        YOKE_TRY(yoke_pause());
    }
}

static yoke_error *name_error(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&NAME_ERROR, "nobody knows `doggypants`");
}
YOKE_MODULE(daemons, YOKE_STREAM(breakpoint_forever, none, u64), YOKE_CALL(name_error, none, none))

static yoke_error *ask_for_each(yoke_stream *numbers, yoke_portal *failing)
{
    for (;;) {
        uint64_t number;
        YOKE_TRY(yoke_recv(numbers, &number));
        yoke_error *e = yoke_call(failing, "daemons:name_error", NULL, NULL);
        if (number > 0)
            return e;
        yoke_error_free(e);
    }
}

static yoke_error *with_daemons(yoke_actors *actors)
{
    yoke_actor_options options = {.modules = "daemons"};
    yoke_portal *pausing, *failing;
    yoke_stream *numbers;
    YOKE_TRY(yoke_actors_start(actors, "bp_forever", &options, &pausing));
    YOKE_TRY(yoke_actors_start(actors, "name_error", &options, &failing));
    YOKE_TRY(yoke_portal_stream_open(pausing, &numbers, "daemons:breakpoint_forever", NULL, NULL));
    return yoke_stream_close(numbers, ask_for_each(numbers, failing));
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_daemons(actors));
}
YOKE_MAIN(app)
