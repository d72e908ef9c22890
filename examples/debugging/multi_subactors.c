/*
 * Several actors want the one terminal: one pauses again and again, one fails, one has an actor of its own
 * that fails. They are served in turn, and none is ended before it was.
 *
 *     cc -g multi_subactors.c $(pkg-config --cflags --libs yoke) -o multi && YOKE_DEBUG=levels ./multi
 */
#include <yoke.h>

YOKE_ERROR_KIND(NAME_ERROR, "example.NameError", NULL);

static yoke_error *breakpoint_forever(const yoke_type_none *args, yoke_type_none *result)
{
    for (;;) {
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
        YOKE_TRY(yoke_pause());
    }
}

static yoke_error *name_error(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&NAME_ERROR, "nobody knows `doggypants`");
}

/* An actor of this one's own, for the same. */
static yoke_error *spawn_error(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, yoke_actors_run(actors, "name_error_1", "multi:name_error", NULL, NULL));
}
YOKE_MODULE(multi, YOKE_CALL(breakpoint_forever, none, none), YOKE_CALL(name_error, none, none),
            YOKE_CALL(spawn_error, none, none))

static yoke_error *start_all(yoke_actors *actors)
{
    YOKE_TRY(yoke_actors_run(actors, NULL, "multi:breakpoint_forever", NULL, NULL));
    YOKE_TRY(yoke_actors_run(actors, NULL, "multi:name_error", NULL, NULL));
    return yoke_actors_run(actors, NULL, "multi:spawn_error", NULL, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, start_all(actors));
}
YOKE_MAIN(app)
