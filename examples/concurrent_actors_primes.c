/*
 * Work spread over four actors: each answer is printed as it arrives.
 *
 *     cc concurrent_actors_primes.c $(pkg-config --cflags --libs yoke) -o primes && ./primes
 */
#include <inttypes.h>
#include <yoke.h>

enum { WORKERS = 4 };

YOKE_RECORD(candidate, (u64, n))

/* ---- in a worker ---- */

static yoke_error *is_prime(const candidate *args, bool *result)
{
    uint64_t n = args->n, d = 3;
    while (d * d <= n && n % d != 0)
        d += 2;
    *result = n == 2 || (n > 2 && n % 2 != 0 && d * d > n);
    return NULL;
}
YOKE_MODULE(math, YOKE_CALL(is_prime, candidate, boolean))

/* ---- in the root ---- */

YOKE_CHANNEL(number, uint64_t)

struct worker {
    yoke_portal *portal;
    number_receiver *work;
};

/* A task for each worker: whoever is free takes the next number. */
static yoke_error *keep_busy(void *arg)
{
    struct worker *w = arg;
    for (;;) {
        candidate c;
        bool prime;
        yoke_error *e = number_recv(w->work, &c.n);
        if (yoke_error_is(e, &YOKE_END_OF_CHANNEL)) { /* there is no more */
            yoke_error_free(e);
            return NULL;
        }
        YOKE_TRY(e);
        YOKE_TRY(yoke_call(w->portal, "math:is_prime", &c, &prime));
        printf("%" PRIu64 " is %s\n", c.n, prime ? "prime" : "not prime");
    }
}

static yoke_error *hand_out(number_sender *work)
{
    static const uint64_t numbers[] = {112272535095293, 112582705942171, 115280095190773,
                                       115797848077099, 110000000000027, 1099726899285419};
    yoke_error *e = NULL;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !e; i++)
        e = number_send(work, numbers[i]);
    number_sender_close(work);
    return e;
}

static yoke_error *with_cluster(yoke_cluster *cluster)
{
    number_sender work;
    number_receiver take;
    struct worker workers[WORKERS];
    yoke_nursery n;
    YOKE_TRY(number_channel(&work, &take, 0)); /* of no capacity: a number is handed over, never stored */
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < WORKERS && !e; i++) {
        workers[i] = (struct worker){yoke_cluster_portal(cluster, i), &take};
        e = yoke_spawn(&n, keep_busy, &workers[i]);
    }
    if (!e)
        e = hand_out(&work);
    e = yoke_nursery_close(&n, e);
    number_sender_close(&work);
    number_receiver_close(&take);
    return e;
}

static yoke_error *app(int argc, char **argv)
{
    yoke_cluster *cluster;
    int64_t begin = yoke_now();
    yoke_cluster_options options = {.count = WORKERS, .actor.modules = "math"};
    YOKE_TRY(yoke_cluster_open(&cluster, &options));
    YOKE_TRY(yoke_cluster_close(cluster, with_cluster(cluster)));
    printf("it took %.2f s\n", (double)(yoke_now() - begin) / 1e9);
    return NULL;
}
YOKE_MAIN(app)
