/*
 * An actor fails: its siblings are cancelled, and the root gets the error as it was raised, with who and
 * where.
 *
 *     cc remote_error_propagation.c $(pkg-config --cflags --libs yoke) -o remote_error && ./remote_error
 */
#include <yoke.h>

YOKE_ERROR_KIND(ASSERTION_FAILED, "example.AssertionFailed", NULL);

static yoke_error *assert_err(const yoke_type_none *args, yoke_type_none *result)
{
    int apples = 1, pears = 2;
    if (apples != pears)
        return yoke_raise(&ASSERTION_FAILED, "apples == pears: %d == %d", apples, pears);
    return NULL;
}
YOKE_MODULE(fruit, YOKE_CALL(assert_err, none, none))

static yoke_error *with_siblings(yoke_actors *actors)
{
    for (int i = 0; i < 3; i++) {
        char name[16];
        yoke_portal *idle;
        snprintf(name, sizeof name, "idle_%d", i);
        YOKE_TRY(yoke_actors_start(actors, name, NULL, &idle));
    }
    return yoke_actors_run(actors, "extra", "fruit:assert_err", NULL, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    /* The idle ones would serve for ever; the failure of the fourth ends them. */
    return yoke_actors_close(actors, with_siblings(actors));
}
YOKE_MAIN(app)
