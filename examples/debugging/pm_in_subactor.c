/*
 * Errors looked at by hand, where they are caught, before debug mode looks at them where they leave.
 *
 *     cc -g pm_in_subactor.c $(pkg-config --cflags --libs yoke) -o pm_in_sub && YOKE_DEBUG=levels ./pm_in_sub
 */
#include <yoke.h>

YOKE_ERROR_KIND(NAME_ERROR, "example.NameError", NULL);

/* Shows it, and hands it on. */
static yoke_error *look_at(yoke_error *e)
{
    return yoke_error_join(e, yoke_post_mortem(e));
}

static yoke_error *name_error(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return look_at(yoke_raise(&NAME_ERROR, "nobody knows `doggypants`"));
}
YOKE_MODULE(names, YOKE_CONTEXT(name_error, none, none, none))

static yoke_error *with_child(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "child", &(yoke_actor_options){.modules = "names"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "names:name_error", NULL, NULL));
    return look_at(yoke_context_close(ctx, NULL));
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors));
}
YOKE_MAIN(app)
