/*
 * What test_pause_tree.py runs in a terminal: a root whose actor `left` stops at the debugger's prompt. When
 * the file that the argument names is there, the root cancels that actor, with bounds that have long passed
 * before a person has typed a word.
 */
#include <yoke.h>

#include <stdlib.h>
#include <unistd.h>

static yoke_error *stop(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    printf("left: out of the prompt\n");
    yoke_error *e = yoke_sleep(YOKE_S(100));
    printf("left: %s\n", yoke_error_is_cancelled(e) ? "cancelled" : "not cancelled");
    fflush(stdout);
    return e;
}
YOKE_MODULE(ends, YOKE_CONTEXT(stop, none, none, none));

static yoke_error *wait_for(const char *path)
{
    while (access(path, F_OK) != 0)
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    return NULL;
}

static yoke_error *cancel_it(yoke_actors *actors, yoke_portal *portal, const char *path)
{
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(portal, &ctx, "ends:stop", NULL, NULL));
    yoke_error *e = wait_for(path);
    printf("root: cancels\n");
    fflush(stdout);
    if (!e)
        e = yoke_actors_cancel(actors);
    printf("root: %zu left\n", yoke_actors_count(actors));
    e = yoke_context_close(ctx, e);
    printf("root: %s\n", e ? yoke_error_message(e) : "no error");
    yoke_error_free(e);
    return NULL;
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    yoke_portal *portal;
    yoke_actors_options options = {
        .debug_mode = 1, .acknowledge_bound = YOKE_MS(100), .kill_bound = YOKE_MS(200)};
    YOKE_TRY(yoke_actors_open(&actors, &options));
    yoke_error *e = yoke_actors_start(actors, "left", &(yoke_actor_options){.modules = "ends"}, &portal);
    if (!e)
        e = cancel_it(actors, portal, argc > 1 ? argv[1] : "");
    return yoke_actors_close(actors, e);
}
YOKE_MAIN(app)
