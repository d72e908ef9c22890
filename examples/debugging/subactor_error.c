/*
 * An error of an actor: the debugger opens where it leaves the actor, once. With YOKE_DEBUG=levels it opens
 * again in each actor that the error comes to.
 *
 *     cc -g subactor_error.c $(pkg-config --cflags --libs yoke) -o sub_error && YOKE_DEBUG=1 ./sub_error
 */
#include <yoke.h>

YOKE_ERROR_KIND(NAME_ERROR, "example.NameError", NULL);

static yoke_error *name_error(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&NAME_ERROR, "nobody knows `doggypants`");
}
YOKE_MODULE(names, YOKE_CALL(name_error, none, none))

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, yoke_actors_run(actors, NULL, "names:name_error", NULL, NULL));
}
YOKE_MAIN(app)
