/*
 * One function, here and in another process at the same time.
 *
 *     cc single_func.c $(pkg-config --cflags --libs yoke) -o single_func && ./single_func
 */
#include <inttypes.h>
#include <unistd.h>
#include <yoke.h>

/* Keeps a processor busy for half a second, and says in which process. */
static yoke_error *burn_cpu(const yoke_type_none *args, int64_t *result)
{
    int64_t end = yoke_now() + YOKE_MS(500);
    while (yoke_now() < end)
        YOKE_TRY(yoke_checkpoint()); /* who computes for long gives way, and can be cancelled */
    *result = getpid();
    return NULL;
}
YOKE_MODULE(burner, YOKE_CALL(burn_cpu, none, i64))

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    int64_t here, there, begin = yoke_now();
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e = yoke_actors_run(actors, NULL, "burner:burn_cpu", NULL, &there);
    if (!e)
        e = burn_cpu(NULL, &here);
    YOKE_TRY(yoke_actors_close(actors, e));
    printf("burnt in process %" PRId64 " and in process %" PRId64 ", in %.1f s together\n", here, there,
           (double)(yoke_now() - begin) / 1e9);
    return NULL;
}
YOKE_MAIN(app)
