/*
 * The root fails while an actor of it stands at the prompt of an error of its own: the prompt stays, and the
 * root's comes after it.
 *
 *     cc -g multi_subactor_root_errors.c $(pkg-config --cflags --libs yoke) -o root_errors
 *     YOKE_DEBUG=1 ./root_errors
 */
#include <yoke.h>

YOKE_ERROR_KIND(NAME_ERROR, "example.NameError", NULL);
YOKE_ERROR_KIND(ASSERTION_FAILED, "example.AssertionFailed", NULL);

static yoke_error *name_error(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&NAME_ERROR, "nobody knows `doggypants`");
}

/* An actor of this one's own, for the same. */
static yoke_error *spawn_error(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors,
                             yoke_actors_run(actors, "name_error_1", "faults:name_error", NULL, NULL));
}
YOKE_MODULE(faults, YOKE_CALL(name_error, none, none), YOKE_CALL(spawn_error, none, none))

static yoke_error *start_and_fail(yoke_actors *actors)
{
    YOKE_TRY(yoke_actors_run(actors, NULL, "faults:name_error", NULL, NULL));
    YOKE_TRY(yoke_actors_run(actors, NULL, "faults:spawn_error", NULL, NULL));
    YOKE_TRY(yoke_sleep(YOKE_MS(300)));
    return yoke_raise(&ASSERTION_FAILED, "0 is not true");
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, start_and_fail(actors));
}
YOKE_MAIN(app)
