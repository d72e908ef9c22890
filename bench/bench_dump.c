/*
 * `yoke dump` of a tree of 16 actors with 100,000 tasks: how long it takes in all, and the longest time for
 * which a task in any of the actors, which wants its turn every millisecond, did not get it: beside the same
 * time without a dump.
 */
#include "measure.h"

#include <yoke.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 5, ACTORS = 16, TASKS = 100000 / ACTORS, STACK_BYTES = 16 << 10 };

#define TICK YOKE_MS(1)

/* ns: the longest time between two turns; and without what the thread waited for a core meanwhile. */
YOKE_RECORD(gaps, (f64, all), (f64, own));

/* ---- an actor: its tasks, and one that looks how long it waits ---- */

static gaps longest;

/* How long this thread has waited for a core (proc(5): schedstat). */
static double waited_ns(int fd)
{
    char text[96] = "";
    double ran, waited = 0;
    bool fine = pread(fd, text, sizeof text - 1, 0) > 0 && sscanf(text, "%lf %lf", &ran, &waited) == 2;
    measure_must(fine, "schedstat");
    return waited;
}

static yoke_error *tick(void *arg)
{
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    double last = measure_now_ns(), last_waited = waited_ns(fd);
    yoke_error *e;
    while (!(e = yoke_sleep(TICK))) {
        double now = measure_now_ns(), waited = waited_ns(fd);
        double all = now - last, own = all - (waited - last_waited);
        longest.all = all > longest.all ? all : longest.all;
        longest.own = own > longest.own ? own : longest.own;
        last = now;
        last_waited = waited;
    }
    close(fd);
    return e;
}

static yoke_error *rest(void *arg)
{
    return yoke_sleep_forever();
}

/* Each by a name of its own: those that are alike would be told of as one. */
static yoke_error *spawn_all(yoke_nursery *n)
{
    for (int i = 0; i < TASKS; i++) {
        char name[32];
        snprintf(name, sizeof name, "task %d", i);
        YOKE_TRY(
            yoke_spawn_with(n, rest, NULL, &(yoke_spawn_options){.name = name, .stack_bytes = STACK_BYTES}));
    }
    YOKE_TRY(yoke_spawn(n, tick, NULL));
    return yoke_sleep(YOKE_MS(1));
}

static yoke_error *crowd(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = spawn_all(&n);
    if (!e)
        e = yoke_context_started(ctx, NULL);
    return yoke_nursery_close(&n, e);
}

/* Those since the last time that it was asked for. */
static yoke_error *take(const yoke_type_none *args, gaps *result)
{
    *result = longest;
    longest = (gaps){0, 0};
    return NULL;
}

YOKE_MODULE(crowds, YOKE_CONTEXT(crowd, none, none, none), YOKE_CALL(take, none, gaps));

/* ---- the root: one of the 16; answers each byte with the longest gaps of all ---- */

static yoke_error *ask_all(const yoke_cluster *cluster, gaps *most)
{
    YOKE_TRY(take(NULL, most));
    for (size_t i = 0; i < ACTORS - 1; i++) {
        gaps g;
        YOKE_TRY(yoke_call(yoke_cluster_portal(cluster, i), "crowds:take", NULL, &g));
        most->all = g.all > most->all ? g.all : most->all;
        most->own = g.own > most->own ? g.own : most->own;
    }
    return NULL;
}

static yoke_error *answer(const yoke_cluster *cluster)
{
    for (;;) {
        char word;
        gaps most;
        YOKE_TRY(yoke_wait_readable(STDIN_FILENO));
        if (read(STDIN_FILENO, &word, 1) != 1)
            return NULL;
        YOKE_TRY(ask_all(cluster, &most));
        measure_must(write(STDIN_FILENO, &most, sizeof most) == sizeof most, "write");
    }
}

/* As many contexts as there are children are open, one in the other. */
static yoke_error *with_crowds(yoke_cluster *cluster, size_t opened)
{
    if (opened == ACTORS - 1)
        return answer(cluster);
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(yoke_cluster_portal(cluster, opened), &ctx, "crowds:crowd", NULL, NULL));
    yoke_error *e = with_crowds(cluster, opened + 1);
    if (!e)
        e = yoke_context_cancel(ctx);
    return yoke_context_close(ctx, e);
}

static yoke_error *with_own_crowd(yoke_cluster *cluster)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = spawn_all(&n);
    if (!e)
        e = with_crowds(cluster, 0);
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, e);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_cluster *cluster;
    YOKE_TRY(yoke_cluster_open(&cluster,
                               &(yoke_cluster_options){.count = ACTORS - 1, .actor = {.modules = "crowds"}}));
    return yoke_cluster_close(cluster, with_own_crowd(cluster));
}

/* ---- who looks at it ---- */

static gaps gaps_of(struct measure_tree t)
{
    gaps g = {0};
    measure_must(write(t.fd, "g", 1) == 1 && read(t.fd, &g, sizeof g) == sizeof g, "the gaps of a tree");
    return g;
}

/* Reads all that there is; the number of lines. */
static size_t count_lines(int fd)
{
    static char data[1 << 20];
    size_t lines = 0;
    for (ssize_t n; (n = read(fd, data, sizeof data)) > 0;)
        for (char *at = data; (at = memchr(at, '\n', (size_t)(data + n - at))); at++)
            lines++;
    return lines;
}

/* The command of this build. */
static void exec_yoke(int out, pid_t root)
{
    char path[4096], number[16];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);
    measure_must(n > 0, "/proc/self/exe");
    path[n] = '\0';
    strcpy(strrchr(path, '/') + 1, "../yoke");
    snprintf(number, sizeof number, "%d", (int)root);
    dup2(out, STDOUT_FILENO);
    execl(path, "yoke", "dump", number, NULL);
    measure_must(0, path);
}

/* Till its last byte; ns. */
static double dump(pid_t root)
{
    int ends[2], status;
    double begun = measure_now_ns();
    measure_must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    pid_t pid = fork();
    measure_must(pid >= 0, "fork");
    if (pid == 0)
        exec_yoke(ends[1], root);
    close(ends[1]);
    size_t lines = count_lines(ends[0]);
    double ns = measure_now_ns() - begun;
    close(ends[0]);
    measure_must(waitpid(pid, &status, 0) == pid && status == 0, "yoke dump");
    errno = 0;
    measure_must(lines > (size_t)ACTORS * TASKS, "all tasks in the dump");
    return ns;
}

static void look_for(double ns)
{
    usleep((useconds_t)(ns / 1e3));
}

static void look(struct measure_tree t)
{
    double times[ROUNDS], with[ROUNDS], without[ROUNDS], with_all[ROUNDS], without_all[ROUNDS];
    dump(t.pid);
    for (int i = 0; i < ROUNDS; i++) {
        gaps_of(t);
        times[i] = dump(t.pid);
        gaps g = gaps_of(t);
        with[i] = g.own;
        with_all[i] = g.all;
        look_for(times[i]);
        g = gaps_of(t);
        without[i] = g.own;
        without_all[i] = g.all;
    }
    printf("dump of 16 actors with 100,000 tasks | %.1f | - | - | | all of it, by `yoke dump`\n",
           measure_median(times, ROUNDS));
    double own = measure_median(with, ROUNDS);
    printf("a task's longest wait for its turn during that dump : 10 ms | %.1f | 10000000 | %.2f | <= 1 | "
           "without a dump %.1f ms; with what waiting for a core took: %.1f ms, without a dump %.1f ms\n",
           own, own / 1e7, measure_median(without, ROUNDS) / 1e6, measure_median(with_all, ROUNDS) / 1e6,
           measure_median(without_all, ROUNDS) / 1e6);
}

int main(int argc, char **argv)
{
    int status;
    if (yoke_child_main(argc, argv, &status))
        return status;
    if (argc > 1)
        return yoke_main(argc, argv, app);
    struct measure_tree t = measure_tree_start("bench_dump");
    gaps_of(t);
    look(t);
    measure_peer_ended(t.fd, t.pid);
    return 0;
}
