/*
 * A bug in the program's first process: the debugger opens on it while it still lives.
 *
 *     cc -g root_actor_error.c $(pkg-config --cflags --libs yoke) -o root_error && YOKE_DEBUG=1 ./root_error
 */
#include <assert.h>
#include <yoke.h>

static yoke_error *app(int argc, char **argv)
{
    int doggies = 0;
    assert(doggies > 0);
    return NULL;
}
YOKE_MAIN(app)
