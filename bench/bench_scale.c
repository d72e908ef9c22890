/*
 * What does not show with a few tasks: a million idle ones, timers in numbers, the cancellation of a nursery
 * of a hundred thousand. Where growth is the question, what stands beside a figure is what the smaller size
 * lets expect.
 */
#include "task/timer.h"

#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

static yoke_error *sleep_on(void *arg)
{
    return yoke_sleep_forever();
}

static yoke_error *sleep_an_hour(void *arg)
{
    return yoke_sleep(YOKE_S(3600));
}

static yoke_error *spawn_sleepers(yoke_nursery *n, yoke_task_fn fn, size_t count)
{
    for (size_t i = 0; i < count; i++)
        YOKE_TRY(yoke_spawn(n, fn, NULL));
    return yoke_wait_all_tasks_blocked(0);
}

/* ---- a million idle tasks ---- */

enum { IDLE = 1000000, SPAWNS = 4000, ROUNDS = 21 };

static double resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    measure_must(f && fscanf(f, "%lu %lu", &size, &resident) == 2, "/proc/self/statm");
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static yoke_error *nothing(void *arg)
{
    return NULL;
}

static yoke_error *spawn_and_join(double *ns)
{
    double begun = measure_now_ns();
    for (int i = 0; i < SPAWNS; i++) {
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(yoke_nursery_close(&n, yoke_spawn(&n, nothing, NULL)));
    }
    *ns = (measure_now_ns() - begun) / SPAWNS;
    return NULL;
}

struct million {
    double bytes, spawned_ns, cancelled_ns; /* each */
    double before[2 * ROUNDS], during[ROUNDS];
};

static yoke_error *while_idle(struct million *m, yoke_nursery *n)
{
    double bytes = resident_bytes(), begun = measure_now_ns();
    YOKE_TRY(spawn_sleepers(n, sleep_on, IDLE));
    m->spawned_ns = (measure_now_ns() - begun) / IDLE;
    m->bytes = (resident_bytes() - bytes) / IDLE;
    for (int i = 0; i < ROUNDS; i++)
        YOKE_TRY(spawn_and_join(&m->during[i]));
    return NULL;
}

static yoke_error *be_a_million(void *arg)
{
    struct million *m = arg;
    for (int i = 0; i < ROUNDS; i++)
        YOKE_TRY(spawn_and_join(&m->before[i]));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = while_idle(m, &n);
    double begun = measure_now_ns();
    yoke_nursery_cancel(&n, "measured");
    YOKE_TRY(yoke_nursery_close(&n, e));
    m->cancelled_ns = (measure_now_ns() - begun) / IDLE;
    for (int i = ROUNDS; i < 2 * ROUNDS; i++)
        YOKE_TRY(spawn_and_join(&m->before[i]));
    return NULL;
}

/* Before and after count alike as without them, so that a machine that gets slower or faster hits both. */
static void measure_million(void)
{
    double needed = (double)IDLE * (PAGE_BYTES + 512);
    if ((double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) < needed) {
        printf("1,000,000 idle tasks | skipped: %.1f GiB of memory are not free | - | - | |\n",
               needed / (1 << 30));
        return;
    }
    struct million m;
    measure_run(be_a_million, &m);
    printf("1,000,000 idle tasks, RSS each : a page | %.2f KiB | %.2f KiB | %.3f | <= 1.075 | "
           "spawned till idle in %.2f us each, cancelled and joined in %.2f us\n",
           m.bytes / 1024, PAGE_BYTES / 1024.0, m.bytes / PAGE_BYTES, m.spawned_ns / 1e3,
           m.cancelled_ns / 1e3);
    double without = measure_least(m.before, 2 * ROUNDS), with = measure_least(m.during, ROUNDS);
    printf("spawn and join beside 1,000,000 idle tasks : without them | %.1f | %.1f | %.2f | <= 1.1 |\n",
           with, without, with / without);
    fflush(stdout);
}

/* ---- timers ---- */

enum { TIMER_SIZES = 3, TIMER_ROUNDS = 11, TIMERS_MAX = 1000000 };
static const size_t timer_sizes[TIMER_SIZES] = {1000, 32000, TIMERS_MAX};

struct timers {
    struct timer_heap heap;
    yoke_timer *timers;
    /* Of TIMERS_MAX settings, in groups of `count`: each one's deadline, and in which order those of a group
       are taken back. */
    int64_t *deadlines;
    uint32_t *order;
};

/* xorshift64 (Marsaglia, "Xorshift RNGs", 2003). */
static uint64_t next_random(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    return x ^= x << 17;
}

static void draw(struct timers *t, size_t count)
{
    for (size_t i = 0; i < TIMERS_MAX; i++) {
        uint32_t *order = t->order + i / count * count;
        size_t at = i % count, j = next_random() % (at + 1);
        order[at] = order[j];
        order[j] = (uint32_t)at;
        t->deadlines[i] = (int64_t)(next_random() >> 2);
    }
}

/* ns to set one and to take it back, while there are up to `count` of them. */
static double set_and_cancel(struct timers *t, size_t count)
{
    size_t times = TIMERS_MAX / count;
    draw(t, count);
    double begun = measure_cpu_ns();
    for (size_t n = 0; n < times; n++) {
        for (size_t i = 0; i < count; i++)
            measure_must(timer_set(&t->heap, &t->timers[i], t->deadlines[n * count + i]),
                         "no memory for timers");
        for (size_t i = 0; i < count; i++)
            timer_unset(&t->heap, &t->timers[t->order[n * count + i]]);
    }
    return (measure_cpu_ns() - begun) / (double)(times * count);
}

/* What the memory alone costs: the same order of timers, and nothing but a write to each when it is set, and
 * a read and a write when it is taken back. */
static double touch(struct timers *t, size_t count)
{
    size_t times = TIMERS_MAX / count, sum = 0;
    draw(t, count);
    double begun = measure_cpu_ns();
    for (size_t n = 0; n < times; n++) {
        for (size_t i = 0; i < count; i++) {
            t->timers[i].deadline = t->deadlines[n * count + i];
            t->timers[i].slot = i;
        }
        for (size_t i = 0; i < count; i++) {
            yoke_timer *timer = &t->timers[t->order[n * count + i]];
            sum += timer->slot;
            timer->slot = 0;
        }
    }
    double ns = (measure_cpu_ns() - begun) / (double)(times * count);
    measure_must(sum == times * (count * (count - 1) / 2), "the sum of what was read");
    return ns;
}

static void print_timers(const double *ours, const double *bare)
{
    static const char *const names[TIMER_SIZES] = {"1,000", "32,000", "1,000,000"};
    for (int i = 0; i < TIMER_SIZES; i++) {
        if (i == 0) {
            printf("timer set and taken back, of 1,000 | %.1f | - | - | |", ours[0]);
        } else {
            double expected = ours[0] * log((double)timer_sizes[i]) / log((double)timer_sizes[0]);
            printf("timer set and taken back, of %s : n log n from 1,000 | %.1f | %.1f | %.2f | <= 1 |",
                   names[i], ours[i], expected, ours[i] / expected);
        }
        printf(" a write to each and a read in the same order: %.1f ns\n", bare[i]);
    }
    fflush(stdout);
}

static void measure_timers(void)
{
    struct timers t = {.timers = calloc(TIMERS_MAX, sizeof *t.timers),
                       .deadlines = calloc(TIMERS_MAX, sizeof *t.deadlines),
                       .order = calloc(TIMERS_MAX, sizeof *t.order)};
    measure_must(t.timers && t.deadlines && t.order, "no memory for timers");
    double ours[TIMER_SIZES] = {INFINITY, INFINITY, INFINITY},
           bare[TIMER_SIZES] = {INFINITY, INFINITY, INFINITY};
    set_and_cancel(&t, TIMERS_MAX); /* the pile has grown */
    for (int i = 0; i < TIMER_ROUNDS; i++) {
        for (int size = 0; size < TIMER_SIZES; size++) {
            ours[size] = fmin(ours[size], set_and_cancel(&t, timer_sizes[size]));
            bare[size] = fmin(bare[size], touch(&t, timer_sizes[size]));
        }
    }
    print_timers(ours, bare);
    timer_heap_free(&t.heap);
    free(t.timers);
    free(t.deadlines);
    free(t.order);
}

/* ---- cancel a nursery ---- */

enum { FEW = 10000, MANY = 100000, CANCEL_ROUNDS = 11 };

static yoke_error *cancel_sleepers(size_t count, double *ns)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = spawn_sleepers(&n, sleep_an_hour, count);
    double begun = measure_cpu_ns();
    yoke_nursery_cancel(&n, "measured");
    e = yoke_nursery_close(&n, e);
    *ns = (measure_cpu_ns() - begun) / (double)count;
    return e;
}

static yoke_error *cancel_all(void *arg)
{
    double few[CANCEL_ROUNDS], many[CANCEL_ROUNDS];
    YOKE_TRY(cancel_sleepers(MANY, &many[0])); /* the stacks are there */
    for (int i = 0; i < CANCEL_ROUNDS; i++) {
        YOKE_TRY(cancel_sleepers(FEW, &few[i]));
        YOKE_TRY(cancel_sleepers(MANY, &many[i]));
    }
    measure_row_least("cancel 100,000 sleeping tasks, each : of 10,000", many, few, CANCEL_ROUNDS, "<= 1.25",
                      "linear, but for the caches");
    return NULL;
}

int main(void)
{
    measure_pin(measure_core(measure_cores() - 1));
    measure_million();
    measure_timers();
    measure_run(cancel_all, NULL);
    return 0;
}
