/*
 * An actor for one call: it starts, does the one thing, and ends; the nursery waits for it.
 *
 *     cc actor_spawning_and_causality.c $(pkg-config --cflags --libs yoke) -o causality && ./causality
 */
#include <inttypes.h>
#include <yoke.h>

YOKE_ERROR_KIND(WRONG_PLACE, "example.WrongPlace", NULL);

static yoke_error *cellar_door(const yoke_type_none *args, uint64_t *result)
{
    if (yoke_is_root())
        return yoke_raise(&WRONG_PLACE, "this is to run in another process");
    *result = 3;
    return NULL;
}
YOKE_MODULE(words, YOKE_CALL(cellar_door, none, u64))

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    uint64_t answer;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    /* Returns when the actor runs; `answer` is there when the nursery has closed, and not before. */
    yoke_error *e = yoke_actors_run(actors, "some_linguist", "words:cellar_door", NULL, &answer);
    YOKE_TRY(yoke_actors_close(actors, e));
    printf("%" PRIu64 "\n", answer);
    return NULL;
}
YOKE_MAIN(app)
