/*
 * Debug mode for an actor that needs no debugger: it ends as without.
 *
 *     cc -g debug_mode_hang.c $(pkg-config --cflags --libs yoke) -o debug_mode_hang && ./debug_mode_hang
 */
#include <yoke.h>

static yoke_error *answer(const yoke_type_none *args, int64_t *result)
{
    *result = 42;
    return NULL;
}

static yoke_error *wait(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep_forever();
}
YOKE_MODULE(quiet, YOKE_CALL(answer, none, i64), YOKE_CONTEXT(wait, none, none, none))

static yoke_error *with_child(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    int64_t number;
    YOKE_TRY(yoke_actors_start(actors, "debugged", &(yoke_actor_options){.modules = "quiet", .debug_mode = 1},
                               &portal));
    YOKE_TRY(yoke_call(portal, "quiet:answer", NULL, &number));
    YOKE_TRY(yoke_context_open(portal, &ctx, "quiet:wait", NULL, NULL));
    YOKE_TRY(yoke_context_close(ctx, yoke_context_cancel(ctx)));
    printf("%d\n", (int)number);
    return yoke_portal_cancel_actor(portal, 0, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors));
}
YOKE_MAIN(app)
