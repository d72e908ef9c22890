/*
 * Many actors under one root: cancelling and reaping 100 of them beside SIGKILL and waitpid of 100 bare
 * processes, and 1,000 that live at once, with the memory of each.
 */
#include "measure.h"

#include <yoke.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 7, CANCELLED = 100, LIVE = 1000 };

static yoke_error *nothing(const yoke_type_none *args, yoke_type_none *result)
{
    return NULL;
}

YOKE_MODULE(leaf, YOKE_CALL(nothing, none, none));

/* ---- 100 are cancelled ---- */

/* By asking alone: the bounds after which signals would follow are far beyond what is measured. */
static yoke_actors_options unhurried(enum yoke_backend backend)
{
    return (yoke_actors_options){
        .backend = backend, .acknowledge_bound = YOKE_S(60), .kill_bound = YOKE_S(60)};
}

static yoke_error *cancel_actors(enum yoke_backend backend, double *ns)
{
    yoke_cluster *cluster;
    YOKE_TRY(yoke_cluster_open(&cluster, &(yoke_cluster_options){.count = CANCELLED,
                                                                 .actors = unhurried(backend),
                                                                 .actor = {.modules = "leaf"}}));
    double begun = measure_now_ns();
    YOKE_TRY(yoke_cluster_close(cluster, NULL));
    *ns = measure_now_ns() - begun;
    return NULL;
}

static double kill_processes(const unsigned cores[2], void *arg)
{
    pid_t pids[CANCELLED];
    int ready[2];
    char byte;
    measure_must(pipe(ready) == 0, "pipe");
    for (int i = 0; i < CANCELLED; i++) {
        pids[i] = fork();
        measure_must(pids[i] >= 0, "fork");
        if (pids[i] == 0) {
            measure_must(write(ready[1], "", 1) == 1, "write");
            for (;;)
                pause();
        }
    }
    for (int i = 0; i < CANCELLED; i++)
        measure_must(read(ready[0], &byte, 1) == 1, "read");
    double begun = measure_now_ns();
    for (int i = 0; i < CANCELLED; i++)
        kill(pids[i], SIGKILL);
    for (int i = 0; i < CANCELLED; i++)
        measure_must(waitpid(pids[i], NULL, 0) == pids[i], "waitpid");
    return measure_now_ns() - begun;
}

static yoke_error *compare_cancels(enum yoke_backend backend, const char *name)
{
    double ours[ROUNDS], theirs[ROUNDS];
    const unsigned cores[2] = {measure_core(0), measure_core(0)};
    for (int i = 0; i < ROUNDS; i++) {
        YOKE_TRY(cancel_actors(backend, &ours[i]));
        YOKE_TRY(measure_plain(kill_processes, cores, NULL, &theirs[i]));
    }
    measure_row(name, ours, theirs, ROUNDS, "<= 3", "all of them, by asking alone");
    return NULL;
}

/* ---- 1,000 live ---- */

/* The proportional share of what is shared (the program, the libraries) and all that is its own. 0: unknown.
 */
static double memory_kib(pid_t pid)
{
    char path[64], line[128];
    unsigned long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Pss: %lu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return (double)kib;
}

static yoke_error *ask_all(const yoke_cluster *cluster)
{
    for (int i = 0; i < LIVE; i++)
        YOKE_TRY(yoke_call(yoke_cluster_portal(cluster, i), "leaf:nothing", NULL, NULL));
    return NULL;
}

static yoke_error *many_live(enum yoke_backend backend, const char *name)
{
    yoke_cluster *cluster;
    double begun = measure_now_ns(), closed, opened;
    YOKE_TRY(yoke_cluster_open(
        &cluster, &(yoke_cluster_options){.count = LIVE,
                                          .actors = unhurried(backend),
                                          .actor = {.modules = "leaf", .start_bound = YOKE_S(120)}}));
    opened = measure_now_ns() - begun;
    begun = measure_now_ns();
    yoke_error *e = ask_all(cluster);
    double asked = measure_now_ns() - begun, sum = 0;
    for (int i = 0; i < LIVE && !e; i++)
        sum += memory_kib(yoke_portal_pid(yoke_cluster_portal(cluster, i)));
    e = yoke_cluster_close(cluster, e);
    closed = measure_now_ns() - begun - asked;
    if (!e)
        printf("1,000 live actors (%s), a call to one | %.1f | - | - | | %.0f KiB PSS an actor; started in "
               "%.2f ms each, ended in %.2f ms each\n",
               name, asked / LIVE, sum / LIVE, opened / LIVE / 1e6, closed / LIVE / 1e6);
    return e;
}

static yoke_error *with_runtime(void)
{
    YOKE_TRY(
        compare_cancels(YOKE_BACKEND_EXEC, "cancel and reap 100 actors (exec) : SIGKILL and waitpid of 100"));
    YOKE_TRY(
        compare_cancels(YOKE_BACKEND_FORK, "cancel and reap 100 actors (fork) : SIGKILL and waitpid of 100"));
    YOKE_TRY(many_live(YOKE_BACKEND_EXEC, "exec"));
    return many_live(YOKE_BACKEND_FORK, "fork");
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *outer; /* keeps the runtime open over all rounds */
    YOKE_TRY(yoke_actors_open(&outer, NULL));
    return yoke_actors_close(outer, with_runtime());
}
YOKE_MAIN(app)
