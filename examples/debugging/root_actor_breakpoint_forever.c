/*
 * A pause in a loop: `continue` comes back to it, till `quit`.
 *
 *     cc -g root_actor_breakpoint_forever.c $(pkg-config --cflags --libs yoke) -o forever
 *     YOKE_DEBUG=1 ./forever
 */
#include <yoke.h>

static yoke_error *app(int argc, char **argv)
{
    for (;;) {
        YOKE_TRY(yoke_pause());
        YOKE_TRY(yoke_checkpoint());
    }
}
YOKE_MAIN(app)
