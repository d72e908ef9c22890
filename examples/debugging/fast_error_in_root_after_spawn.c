/*
 * The root fails at once when its actor is there. Its prompt opens with that error; all ends when it is left.
 *
 *     cc -g fast_error_in_root_after_spawn.c $(pkg-config --cflags --libs yoke) -o fast_error
 *     YOKE_DEBUG=1 ./fast_error
 */
#include <yoke.h>

YOKE_ERROR_KIND(ASSERTION_FAILED, "example.AssertionFailed", NULL);

static yoke_error *sleep_long(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep_forever();
}
YOKE_MODULE(sleeps, YOKE_CONTEXT(sleep_long, none, none, none))

static yoke_error *with_child(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "sleeper", &(yoke_actor_options){.modules = "sleeps"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "sleeps:sleep_long", NULL, NULL));
    return yoke_context_close(ctx, yoke_raise(&ASSERTION_FAILED, "0 is not true"));
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors));
}
YOKE_MAIN(app)
