/*
 * Debug mode for one actor of two, without anything in the environment: both fail, one has a prompt.
 *
 *     cc -g per_actor_debug.c $(pkg-config --cflags --libs yoke) -o per_actor && ./per_actor
 */
#include <yoke.h>

YOKE_ERROR_KIND(NAME_ERROR, "example.NameError", NULL);

static yoke_error *name_error(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&NAME_ERROR, "nobody knows `doggypants`");
}
YOKE_MODULE(names, YOKE_CALL(name_error, none, none))

static yoke_error *start_both(yoke_actors *actors)
{
    yoke_portal *debugged, *plain;
    yoke_actor_options options = {.modules = "names", .debug_mode = 1};
    YOKE_TRY(yoke_actors_start(actors, "debugged_boi", &options, &debugged));
    options.debug_mode = -1;
    YOKE_TRY(yoke_actors_start(actors, "crash_boi", &options, &plain));
    YOKE_TRY(yoke_portal_run(debugged, "names:name_error", NULL, NULL));
    return yoke_portal_run(plain, "names:name_error", NULL, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, start_both(actors));
}
YOKE_MAIN(app)
