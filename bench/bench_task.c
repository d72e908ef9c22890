/*
 * What tasks cost, beside what one would take instead: two yields against a jump of Boost.Context there and
 * back (two switches each), and spawn and join of a task against those of a thread. Rounds of ours and theirs
 * alternate, so that a noisy moment hits both; the figure is the median.
 */
#include <yoke/task.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 101, PAIRS = 10000, SPAWNS = 4000, THREADS = 50 };

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return 1e9 * (double)ts.tv_sec + (double)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

/* Inside of the run of each round. */
static void check(yoke_error *e)
{
    if (!e)
        return;
    yoke_error_print(stderr, e);
    exit(1);
}

static void print_row(const char *name, double *ours, double *theirs, const char *goal)
{
    double a = median(ours), b = median(theirs);
    printf("%s | %.1f | %.1f | %.2f | %s\n", name, a, b, a / b, goal);
}

/* ---- yields ---- */

/* One function for both tasks: where the return addresses differ, the processor foretells one return of each
 * switch wrongly (about 5 ns). */
__attribute__((noinline)) static yoke_error *yield_many(void *arg)
{
    for (int i = 0; i < PAIRS; i++)
        YOKE_TRY(yoke_checkpoint());
    return NULL;
}

static yoke_error *yield_pairs(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, yield_many, NULL);
    YOKE_TRY(yoke_checkpoint());
    double begun = now_ns();
    if (!e)
        e = yield_many(NULL);
    *(double *)arg = (now_ns() - begun) / PAIRS;
    return yoke_nursery_close(&n, e);
}

#ifdef HAVE_BOOST_CONTEXT
typedef void *fcontext_t;
typedef struct transfer {
    fcontext_t from;
    void *data;
} transfer_t;
/* C symbols of libboost_context. */
extern transfer_t jump_fcontext(fcontext_t to, void *data);
extern fcontext_t make_fcontext(void *top, size_t size, void (*fn)(transfer_t));

static void jump_back(transfer_t t)
{
    for (;;)
        t = jump_fcontext(t.from, NULL);
}

static double jump_pairs(void)
{
    static char stack[64 << 10] __attribute__((aligned(4096)));
    transfer_t t = {.from = make_fcontext(stack + sizeof stack, sizeof stack, jump_back)};
    t = jump_fcontext(t.from, NULL);
    double begun = now_ns();
    for (int i = 0; i < PAIRS; i++)
        t = jump_fcontext(t.from, NULL);
    return (now_ns() - begun) / PAIRS;
}

static void compare_yields(void)
{
    double ours[ROUNDS], theirs[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        check(yoke_run(yield_pairs, &ours[i], NULL));
        theirs[i] = jump_pairs();
    }
    print_row("task yield pair : fcontext jump there and back", ours, theirs, "<= 2");
}
#else
static void compare_yields(void)
{
    double ours[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        check(yoke_run(yield_pairs, &ours[i], NULL));
    printf("task yield pair : fcontext jump there and back | %.1f | peer missing (libboost-context-dev) | - "
           "| <= 2\n",
           median(ours));
}
#endif

/* ---- spawn and join ---- */

static yoke_error *nothing(void *arg)
{
    return NULL;
}

static yoke_error *spawn_and_join(void *arg)
{
    double begun = now_ns();
    for (int i = 0; i < SPAWNS; i++) {
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_nursery_close(&n, yoke_spawn(&n, nothing, NULL)));
    }
    *(double *)arg = (now_ns() - begun) / SPAWNS;
    return NULL;
}

static void *no_work(void *arg)
{
    return NULL;
}

static double create_and_join(void)
{
    double begun = now_ns();
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, no_work, NULL)) {
            fprintf(stderr, "no thread\n");
            exit(1);
        }
        pthread_join(thread, NULL);
    }
    return (now_ns() - begun) / THREADS;
}

static void compare_spawns(void)
{
    double ours[ROUNDS], theirs[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        check(yoke_run(spawn_and_join, &ours[i], NULL));
        theirs[i] = create_and_join();
    }
    print_row("task spawn and join : pthread_create and join", ours, theirs, "<= 0.1");
}

int main(void)
{
    compare_yields();
    compare_spawns();
    return 0;
}
