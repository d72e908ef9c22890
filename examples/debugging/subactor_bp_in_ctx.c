/*
 * Three pauses in a context's task. Then it cuts its own channel, and with the error that it makes behind
 * that nobody can be asked for the terminal: the program says so, and ends.
 *
 *     cc -g subactor_bp_in_ctx.c $(pkg-config --cflags --libs yoke) -o bp_in_ctx && YOKE_DEBUG=1 ./bp_in_ctx
 */
#include <sys/socket.h>
#include <yoke.h>

YOKE_ERROR_KIND(ASSERTION_FAILED, "example.AssertionFailed", NULL);

/* As if a cable was cut: every connection of this process is shut down, behind the library's back. */
static void cut_channels(void)
{
    for (int fd = 3; fd < 1024; fd++)
        shutdown(fd, SHUT_RDWR);
}

static yoke_error *pause_and_print(const char *text)
{
    YOKE_TRY(yoke_pause());
    printf("%s\n", text);
    fflush(stdout);
    return NULL;
}

static yoke_error *just_bp(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(pause_and_print("first"));
    YOKE_TRY(pause_and_print("second"));
    YOKE_TRY(pause_and_print("third"));
    cut_channels();
    return yoke_raise(&ASSERTION_FAILED, "0 is not true");
}
YOKE_MODULE(pauses, YOKE_CONTEXT(just_bp, none, none, none))

static yoke_error *with_child(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "bp_boi", &(yoke_actor_options){.modules = "pauses"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "pauses:just_bp", NULL, NULL));
    return yoke_context_close(ctx, yoke_sleep_forever());
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors));
}
YOKE_MAIN(app)
