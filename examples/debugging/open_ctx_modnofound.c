/*
 * A context that can't be opened, since the actor does not serve the module: the refusal is no bug of the
 * actor's, and opens no debugger there. With the argument `ctrl-c`, that comes at this moment.
 *
 *     cc -g open_ctx_modnofound.c $(pkg-config --cflags --libs yoke) -o not_found
 *     YOKE_DEBUG=levels ./not_found
 */
#include <signal.h>
#include <string.h>
#include <yoke.h>

static yoke_error *just_sleep(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep_forever();
}
YOKE_MODULE(sleeps, YOKE_CONTEXT(just_sleep, none, none, none))

static yoke_error *with_child(yoke_actors *actors, bool interrupt)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "ctx_child", NULL, &portal)); /* without .modules */
    if (interrupt)
        raise(SIGINT);
    YOKE_TRY(yoke_context_open(portal, &ctx, "sleeps:just_sleep", NULL, NULL));
    return yoke_context_close(ctx, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors, argc > 1 && strcmp(argv[1], "ctrl-c") == 0));
}
YOKE_MAIN(app)
