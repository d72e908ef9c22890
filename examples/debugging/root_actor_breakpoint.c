/*
 * The debugger in the program's first process.
 *
 *     cc -g root_actor_breakpoint.c $(pkg-config --cflags --libs yoke) -o root_bp && YOKE_DEBUG=1 ./root_bp
 *
 * `continue` ends it well, `quit` by an error.
 */
#include <yoke.h>

static yoke_error *app(int argc, char **argv)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(100)));
    YOKE_TRY(yoke_pause());
    return yoke_sleep(YOKE_MS(100));
}
YOKE_MAIN(app)
