/*
 * An actor that hangs where no cancellation reaches it. SIGUSR1 shows where, in all processes of the tree;
 * ctrl-c ends the program all the same: who does not end when asked is killed.
 *
 *     cc -g shield_hang_in_sub.c $(pkg-config --cflags --libs yoke) -o hang && ./hang
 */
#include <signal.h>
#include <unistd.h>
#include <yoke.h>

static yoke_error *hang(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_scope shield;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    return yoke_scope_close(&shield, yoke_sleep_forever());
}
YOKE_MODULE(hangs, YOKE_CONTEXT(hang, none, none, none))

static yoke_error *with_child(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "hanger", &(yoke_actor_options){.modules = "hangs"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "hangs:hang", NULL, NULL));
    kill(yoke_portal_pid(portal), SIGUSR1); /* its own tasks */
    yoke_error *e = yoke_sleep(YOKE_MS(200));
    kill(getpid(), SIGUSR1); /* and the whole tree */
    return yoke_context_close(ctx, e ? e : yoke_sleep_forever());
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors));
}
YOKE_MAIN(app)
