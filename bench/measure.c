#include "measure.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return 1e9 * (double)ts.tv_sec + (double)ts.tv_nsec;
}

double measure_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

double measure_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double measure_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

double measure_least(const double *values, size_t count)
{
    double least = values[0];
    for (size_t i = 1; i < count; i++)
        if (values[i] < least)
            least = values[i];
    return least;
}

static void print_row(const char *name, double ours, double theirs, const char *aim, const char *note)
{
    printf("%s | %.1f | %.1f | %.2f | %s | %s\n", name, ours, theirs, ours / theirs, aim, note);
    fflush(stdout);
}

void measure_row(const char *name, double *ours, double *theirs, size_t count, const char *aim,
                 const char *note)
{
    print_row(name, measure_median(ours, count), measure_median(theirs, count), aim, note);
}

void measure_row_least(const char *name, const double *ours, const double *theirs, size_t count,
                       const char *aim, const char *note)
{
    print_row(name, measure_least(ours, count), measure_least(theirs, count), aim, note);
}

void measure_row_missing(const char *name, double *ours, size_t count, const char *aim, const char *package)
{
    printf("%s | %.1f | peer missing (%s) | - | %s |\n", name, measure_median(ours, count), package, aim);
    fflush(stdout);
}

void measure_row_beside(const char *name, const double *ours, const double *theirs, size_t count,
                        const char *aim, const char *package)
{
    if (!isnan(theirs[0])) {
        measure_row_least(name, ours, theirs, count, aim, "");
        return;
    }
    printf("%s | %.1f | peer missing (%s) | - | %s |\n", name, measure_least(ours, count), package, aim);
    fflush(stdout);
}

void measure_run(yoke_task_fn main_fn, void *arg)
{
    yoke_error *e = yoke_run(main_fn, arg, NULL);
    if (!e)
        return;
    yoke_error_print(stderr, e);
    exit(1);
}

/* ---- cores ---- */

static cpu_set_t given;
static unsigned numbers[64];
static size_t count;

/* Before main(), so before anything is pinned. A child takes what its parent was pinned to: it is told its
 * core. */
static void __attribute__((constructor)) find_cores(void)
{
    measure_must(sched_getaffinity(0, sizeof given, &given) == 0, "sched_getaffinity");
    for (unsigned core = 0; core < CPU_SETSIZE && count < 64; core++)
        if (CPU_ISSET(core, &given))
            numbers[count++] = core;
}

size_t measure_cores(void)
{
    return count;
}

unsigned measure_core(size_t n)
{
    return numbers[n % count];
}

void measure_pin(unsigned core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    measure_must(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

void measure_unpin(void)
{
    measure_must(sched_setaffinity(0, sizeof given, &given) == 0, "sched_setaffinity");
}

/* ---- plain processes ---- */

void measure_must(int fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    _exit(1);
}

static void run_plain(int out, double (*plain)(const unsigned cores[2], void *arg), const unsigned cores[2],
                      void *arg)
{
    double ns = plain(cores, arg);
    measure_must(write(out, &ns, sizeof ns) == sizeof ns, "write");
    _exit(0);
}

yoke_error *measure_plain(double (*plain)(const unsigned cores[2], void *arg), const unsigned cores[2],
                          void *arg, double *ns)
{
    int ends[2];
    if (pipe(ends) < 0)
        return yoke_raise_errno(errno, "pipe");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run_plain(ends[1], plain, cores, arg);
    }
    int saved = errno;
    close(ends[1]);
    ssize_t n = -1;
    if (pid > 0) {
        while ((n = read(ends[0], ns, sizeof *ns)) < 0 && errno == EINTR)
            continue;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    close(ends[0]);
    if (pid < 0)
        return yoke_raise_errno(saved, "fork");
    return n == sizeof *ns ? NULL : yoke_raise(&YOKE_INTERNAL, "the plain process failed");
}

int measure_peer(void (*peer)(int fd, void *arg), unsigned core, void *arg, pid_t *pid)
{
    int ends[2];
    measure_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    *pid = fork();
    measure_must(*pid >= 0, "fork");
    if (*pid == 0) {
        close(ends[0]);
        measure_pin(core);
        peer(ends[1], arg);
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

void measure_peer_ended(int fd, pid_t pid)
{
    int status;
    close(fd);
    measure_must(waitpid(pid, &status, 0) == pid && status == 0, "the plain peer");
}

struct measure_tree measure_tree_start(const char *program)
{
    struct measure_tree t;
    int ends[2];
    measure_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    t.pid = fork();
    measure_must(t.pid >= 0, "fork");
    if (t.pid == 0) {
        dup2(ends[1], STDIN_FILENO);
        execl("/proc/self/exe", program, "tree", NULL);
        measure_must(0, "exec");
    }
    close(ends[1]);
    t.fd = ends[0];
    return t;
}
