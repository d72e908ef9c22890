/*
 * Two branches of a tree, three and four actors deep, with a pausing and a failing actor at the end of each:
 * whatever is typed in which order, all of it ends, and the errors come up with the way that they took.
 *
 *     cc -g multi_nested_subactors_error_up_through_nurseries.c $(pkg-config --cflags --libs yoke) -o nested
 *     YOKE_DEBUG=1 ./nested
 */
#include <inttypes.h>
#include <yoke.h>

YOKE_ERROR_KIND(NAME_ERROR, "example.NameError", NULL);
YOKE_RECORD(how_deep, (u32, depth))

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

static yoke_error *spawn_below(yoke_actors *actors, uint32_t depth)
{
    if (depth == 0) {
        YOKE_TRY(yoke_actors_run(actors, NULL, "nested:breakpoint_forever", NULL, NULL));
        return yoke_actors_run(actors, NULL, "nested:name_error", NULL, NULL);
    }
    char name[32];
    snprintf(name, sizeof name, "spawn_until_%" PRIu32, depth - 1);
    return yoke_actors_run(actors, name, "nested:spawn_until", &(how_deep){depth - 1}, NULL);
}

static yoke_error *spawn_until(const how_deep *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, spawn_below(actors, args->depth));
}
YOKE_MODULE(nested, YOKE_CALL(breakpoint_forever, none, none), YOKE_CALL(name_error, none, none),
            YOKE_CALL(spawn_until, how_deep, none))

static yoke_error *start_branches(yoke_actors *actors)
{
    YOKE_TRY(yoke_actors_run(actors, "spawner0", "nested:spawn_until", &(how_deep){2}, NULL));
    return yoke_actors_run(actors, "spawner1", "nested:spawn_until", &(how_deep){3}, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, start_branches(actors));
}
YOKE_MAIN(app)
