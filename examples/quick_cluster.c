/*
 * A worker for each processor by one call; a failure of the body ends them all.
 *
 *     cc quick_cluster.c $(pkg-config --cflags --libs yoke) -o cluster && ./cluster
 */
#include <yoke.h>

/* ---- in a worker ---- */

YOKE_RECORD(place, (i32, index))

static yoke_error *sleepy_jane(yoke_context *ctx, const place *args, yoke_type_none *result)
{
    printf("%s: I am number %d\n", yoke_current_actor()->name, (int)args->index);
    fflush(stdout);
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep_forever(); /* till it is cancelled */
}
YOKE_MODULE(jane, YOKE_CONTEXT(sleepy_jane, place, none, none))

/* ---- in the root ---- */

struct seat {
    yoke_portal *worker;
    int index;
};

static yoke_error *wake(void *arg)
{
    struct seat *seat = arg;
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(seat->worker, &ctx, "jane:sleepy_jane", &(place){seat->index}, NULL));
    return yoke_context_close(ctx, yoke_started(NULL)); /* it has spoken: the next one's turn */
}

static yoke_error *wake_all(yoke_cluster *cluster, yoke_nursery *n)
{
    for (int i = 0; i < yoke_cluster_count(cluster); i++) {
        struct seat seat = {yoke_cluster_portal(cluster, i), i};
        YOKE_TRY(yoke_start(n, wake, &seat, NULL));
    }
    YOKE_TRY(yoke_sleep(YOKE_MS(500)));
    return yoke_raise(&YOKE_INTERRUPTED, "as ctrl-c would");
}

static yoke_error *with_cluster(yoke_cluster *cluster)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return yoke_nursery_close(&n, wake_all(cluster, &n));
}

static yoke_error *app(int argc, char **argv)
{
    yoke_cluster *cluster;
    YOKE_TRY(yoke_cluster_open(&cluster, &(yoke_cluster_options){.actor.modules = "jane"}));
    yoke_error *e = yoke_cluster_close(cluster, with_cluster(cluster)), *interrupted;
    yoke_error_split(&e, &YOKE_INTERRUPTED, &interrupted); /* what else went wrong stays in e */
    if (interrupted)
        printf("interrupted, and the cluster is gone\n");
    yoke_error_free(interrupted);
    return e;
}
YOKE_MAIN(app)
