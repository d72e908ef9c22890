/*
 * The debugger in another process: the terminal is the root's, which lends it.
 *
 *     cc -g subactor_breakpoint.c $(pkg-config --cflags --libs yoke) -o sub_bp && YOKE_DEBUG=1 ./sub_bp
 */
#include <yoke.h>

static yoke_error *breakpoint_forever(const yoke_type_none *args, yoke_type_none *result)
{
    for (;;) {
        YOKE_TRY(yoke_sleep(YOKE_MS(10)));
        YOKE_TRY(yoke_pause());
    }
}
YOKE_MODULE(pauses, YOKE_CALL(breakpoint_forever, none, none))

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, yoke_actors_run(actors, NULL, "pauses:breakpoint_forever", NULL, NULL));
}
YOKE_MAIN(app)
