/*
 * What the programs that measure share: the clocks, medians, rows, cores, and plain processes to compare
 * with.
 *
 * Rounds of ours and theirs alternate, so that a noisy moment hits both. A row on standard output is
 *     name | ours in ns | theirs in ns | ratio | aim | note
 * where the ratio is the cost of ours in units of theirs: less is better.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <yoke/task.h>

#include <stddef.h>
#include <sys/types.h>

double measure_now_ns(void);
/* Of the calling thread: does not count what others took of its core meanwhile. */
double measure_cpu_ns(void);
/* Sorts `values`. */
double measure_median(double *values, size_t count);
double measure_least(const double *values, size_t count);
/* The medians; sorts both. `aim`, `note`: "" for none. */
void measure_row(const char *name, double *ours, double *theirs, size_t count, const char *aim,
                 const char *note);
/* The peer is not installed: the row names the Debian `package`. Sorts `ours`. */
void measure_row_missing(const char *name, double *ours, size_t count, const char *aim, const char *package);
/* The least of all rounds of each: for works of some ns on one thread, to which what else runs on the machine
 * can only add, and to one that keeps the core busy more than to one that waits. */
void measure_row_least(const char *name, const double *ours, const double *theirs, size_t count,
                       const char *aim, const char *note);
/* The same beside a peer that may be missing: `theirs` are NAN then, and the row names the Debian `package`.
 */
void measure_row_beside(const char *name, const double *ours, const double *theirs, size_t count,
                        const char *aim, const char *package);

/* yoke_run of `main_fn(arg)`; ends the program if it returns an error. */
void measure_run(yoke_task_fn main_fn, void *arg);

/* The cores that this program was given when it began, 64 at most; the nth of them, counted round. */
size_t measure_cores(void);
unsigned measure_core(size_t n);
/* Keeps the calling thread, and what it starts, on core `core`, or on any of the cores that the program was
 * given. Ends the program where that fails. */
void measure_pin(unsigned core);
void measure_unpin(void);

/*
 * Runs plain(cores, arg) in a process of its own, without a runtime, and returns the nanoseconds that it
 * returned. Blocks the calling thread, scheduler included, while the round lasts.
 */
YOKE_MUST_USE yoke_error *measure_plain(double (*plain)(const unsigned cores[2], void *arg),
                                        const unsigned cores[2], void *arg, double *ns);
/* In a plain process: a socket to a new one on core `core` which runs peer(fd, arg) and exits. Ends the
 * process where something fails; so do the two below. */
int measure_peer(void (*peer)(int fd, void *arg), unsigned core, void *arg, pid_t *pid);
void measure_peer_ended(int fd, pid_t pid);
/* This program once more, as the root of a tree (its argument is "tree"), which is told and tells by its
 * standard input, a socket. Its end: measure_peer_ended. */
struct measure_tree {
    pid_t pid;
    int fd;
};
struct measure_tree measure_tree_start(const char *program);
void measure_must(int fine, const char *what);

#endif
