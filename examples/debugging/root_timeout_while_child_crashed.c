/*
 * A deadline of the root passes while an actor stands at the prompt of its error: that prompt stays, and the
 * root's own comes after it.
 *
 *     cc -g root_timeout_while_child_crashed.c $(pkg-config --cflags --libs yoke) -o root_timeout
 *     YOKE_DEBUG=1 ./root_timeout
 */
#include <yoke.h>

YOKE_ERROR_KIND(KEY_ERROR, "example.KeyError", NULL);

static yoke_error *key_error(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&KEY_ERROR, "there is no `doggy`");
}
YOKE_MODULE(keys, YOKE_CALL(key_error, none, none))

static yoke_error *wait_a_second(yoke_actors *actors)
{
    yoke_scope second;
    YOKE_TRY(yoke_actors_run(actors, NULL, "keys:key_error", NULL, NULL));
    YOKE_TRY(yoke_fail_after(&second, YOKE_S(1)));
    return yoke_scope_close(&second, yoke_sleep_forever());
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, wait_a_second(actors));
}
YOKE_MAIN(app)
