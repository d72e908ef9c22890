/*
 * What tasks cost, beside what one would take instead: two yields against a jump of Boost.Context there and
 * back (two switches each), and spawn and join of a task against that jump, Go's goroutine with a WaitGroup,
 * and a thread.
 */
#include <yoke/task.h>

#include "measure.h"
#include "peers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 101, PAIRS = 10000, SPAWNS = 4000, THREADS = 50 };

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
    double begun = measure_now_ns();
    if (!e)
        e = yield_many(NULL);
    *(double *)arg = (measure_now_ns() - begun) / PAIRS;
    return yoke_nursery_close(&n, e);
}

static void compare_yields(void)
{
    double ours[ROUNDS], theirs[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        measure_run(yield_pairs, &ours[i]);
        theirs[i] = peers_fcontext_pair(PAIRS);
    }
    measure_row_beside("task yield pair : fcontext jump there and back", ours, theirs, ROUNDS, "<= 1.3",
                       PEERS_FCONTEXT);
}

/* ---- spawn and join ---- */

static yoke_error *nothing(void *arg)
{
    return NULL;
}

static yoke_error *spawn_and_join(void *arg)
{
    double begun = measure_now_ns();
    for (int i = 0; i < SPAWNS; i++) {
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_nursery_close(&n, yoke_spawn(&n, nothing, NULL)));
    }
    *(double *)arg = (measure_now_ns() - begun) / SPAWNS;
    return NULL;
}

/* Timed the second time, when the pool has the stacks, as Go keeps the stacks of goroutines that have ended.
 */
static yoke_error *spawn_many(void *arg)
{
    double begun = 0;
    for (int round = 0; round < 2; round++) {
        begun = measure_now_ns();
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        yoke_error *e = NULL;
        for (int i = 0; !e && i < SPAWNS; i++)
            e = yoke_spawn(&n, nothing, NULL);
        YOKE_TRY(yoke_nursery_close(&n, e));
    }
    *(double *)arg = (measure_now_ns() - begun) / SPAWNS;
    return NULL;
}

static void *no_work(void *arg)
{
    return NULL;
}

static double create_and_join(void)
{
    double begun = measure_now_ns();
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, no_work, NULL)) {
            fprintf(stderr, "no thread\n");
            exit(1);
        }
        pthread_join(thread, NULL);
    }
    return (measure_now_ns() - begun) / THREADS;
}

static void compare_spawns(void)
{
    double ours[ROUNDS], jumps[ROUNDS], goroutines[ROUNDS], threads[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        measure_run(spawn_and_join, &ours[i]);
        jumps[i] = peers_fcontext_pair(PAIRS);
        goroutines[i] = peers_go("spawn", SPAWNS);
        threads[i] = create_and_join();
    }
    measure_row_beside("task spawn and join : fcontext jump there and back", ours, jumps, ROUNDS, "<= 5",
                       PEERS_FCONTEXT);
    measure_row_beside("task spawn and join : goroutine and WaitGroup", ours, goroutines, ROUNDS, "<= 1",
                       PEERS_GO);
    measure_row_least("task spawn and join : pthread_create and join", ours, threads, ROUNDS, "<= 0.1", "");
}

static void compare_many(void)
{
    double ours[ROUNDS], theirs[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        measure_run(spawn_many, &ours[i]);
        theirs[i] = peers_go("spawn-many", SPAWNS);
    }
    measure_row_beside("4000 tasks in one nursery, each : goroutines and one WaitGroup", ours, theirs, ROUNDS,
                       "", PEERS_GO);
}

int main(void)
{
    measure_pin(measure_core(measure_cores() - 1));
    compare_yields();
    compare_spawns();
    compare_many();
    return 0;
}
