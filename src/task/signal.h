/*
 * Signals for a scheduler. Dispositions are the process', so this file is the one place that holds them: for
 * each number one watcher at a time. The handler counts and wakes; the next pass calls the watcher on the
 * scheduler's thread, outside of any task. Handlers and not signalfd, so that no mask is changed: tasks,
 * threads and children see the mask they know.
 */
#ifndef TASK_SIGNAL_H
#define TASK_SIGNAL_H

#include <yoke/base.h>

#include <signal.h>
#include <sys/types.h>

struct scheduler;

/* How a signal is watched. */
enum signal_watch_flag {
    SIGNAL_EVEN_IF_TAKEN = 1, /* also when it is ignored (nohup, a shell's background job) or the program's */
    SIGNAL_ENDS = 2,          /* it asks the run to end: nobody waits for it, so it hinders no deadlock */
    SIGNAL_ONCE = 4,          /* the second one finds the default disposition */
};

/* What happens when a signal came: called by the pass, on the scheduler's thread, outside of any task;
 * `count` of them have come since the last call. */
typedef void (*signal_fn)(void *arg, int signal_number, unsigned count);

/*
 * From now on `fn(arg, signal_number, count)` is called for `signal_number`. False in `*watching` (may be
 * NULL) and no error: another watcher has it, or it is ignored or handled by the program itself, and `flags`
 * lacks SIGNAL_EVEN_IF_TAKEN. A process that this one has forked gets the default action.
 */
YOKE_MUST_USE yoke_error *signal_watch(struct scheduler *s, int signal_number, unsigned flags, signal_fn fn,
                                       void *arg, bool *watching);
/*
 * A watched signal that no pass has taken `bound` ns after it came (a task has come to no checkpoint) gets
 * its default action, with a line that names the task: at the bound, or, with `if_repeated`, when it comes
 * again after that.
 */
YOKE_MUST_USE yoke_error *signal_bound(struct scheduler *s, int signal_number, int64_t bound,
                                       bool if_repeated);
/* In place of the default action, the line included, `fn` is called then, in the signal's handler: for a
 * watched signal that has a bound. On the scheduler's thread; `context` is the handler's third argument. */
typedef void (*signal_overdue_fn)(int signal_number, void *context);
void signal_overdue(struct scheduler *s, int signal_number, signal_overdue_fn fn);
/* For the watcher, in its fn: who sent the last one by sigqueue(3), and with which value; 0: nobody, since
 * the last call. */
pid_t signal_last_queued(int signal_number, union sigval *value);
/*
 * Restores the earlier disposition, unless someone has set another one meanwhile. Returns how many came that
 * `fn` was not told of. Harmless (0) if the scheduler does not watch it.
 */
unsigned signal_unwatch(struct scheduler *s, int signal_number);
/* The same for all that it watches, but `fn` is still told of those with SIGNAL_ENDS. */
void signal_unwatch_all(struct scheduler *s);
/* Does the scheduler watch one; with `but_ends`: one without SIGNAL_ENDS? */
bool signal_is_watched(const struct scheduler *s, bool but_ends);
/* Called by the pass when something was posted. */
void signal_dispatch(struct scheduler *s);
/* The default action for this process, now; returns if that is to ignore it. Async-signal-safe. */
void signal_take_default(int signal_number);
/* `fn`, async-signal-safe too, is called before that. NULL: nothing is. */
void signal_before_default(void (*fn)(void));

#endif
