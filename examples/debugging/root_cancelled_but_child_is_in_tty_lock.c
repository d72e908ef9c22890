/*
 * Two branches that each fail, one of them an actor deeper. The first error ends the tree; who has the
 * terminal, or waits for it, is served before.
 *
 *     cc -g root_cancelled_but_child_is_in_tty_lock.c $(pkg-config --cflags --libs yoke) -o in_lock
 *     YOKE_DEBUG=1 ./in_lock
 */
#include <inttypes.h>
#include <yoke.h>

YOKE_ERROR_KIND(NAME_ERROR, "example.NameError", NULL);
YOKE_RECORD(how_deep, (u32, depth))

static yoke_error *name_error(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&NAME_ERROR, "nobody knows `doggypants`");
}

static yoke_error *spawn_below(yoke_actors *actors, uint32_t depth)
{
    if (depth == 0)
        return yoke_actors_run(actors, NULL, "branches:name_error", NULL, NULL);
    char name[32];
    snprintf(name, sizeof name, "spawn_until_%" PRIu32, depth - 1);
    return yoke_actors_run(actors, name, "branches:spawn_until", &(how_deep){depth - 1}, NULL);
}

static yoke_error *spawn_until(const how_deep *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, spawn_below(actors, args->depth));
}
YOKE_MODULE(branches, YOKE_CALL(name_error, none, none), YOKE_CALL(spawn_until, how_deep, none))

static yoke_error *start_branches(yoke_actors *actors)
{
    YOKE_TRY(yoke_actors_run(actors, "spawner0", "branches:spawn_until", &(how_deep){0}, NULL));
    return yoke_actors_run(actors, "spawner1", "branches:spawn_until", &(how_deep){1}, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, start_branches(actors));
}
YOKE_MAIN(app)
