/*
 * Signals for a scheduler. Dispositions are the process', so this file is the one place that holds them: for
 * each number one watcher at a time. The handler counts and wakes; the next pass calls the watcher on the
 * scheduler's thread, outside of any task. Handlers and not signalfd, so that no mask is changed: tasks,
 * threads and children see the mask they know.
 */
#ifndef TASK_SIGNAL_H
#define TASK_SIGNAL_H

#include <yoke/base.h>

struct scheduler;

/*
 * From now on `fn(arg, count)` is called for `signal_number`, `count` times seen since the last call. False
 * in `*watching` (may be NULL) and no error: another watcher has it, or it is ignored (nohup, a shell's
 * background job) or handled by the program itself, and `even_if_taken` is false.
 */
YOKE_MUST_USE yoke_error *signal_watch(struct scheduler *s, int signal_number, bool even_if_taken,
                                       void (*fn)(void *arg, unsigned count), void *arg, bool *watching);
/*
 * Restores the earlier disposition, unless someone has set another one meanwhile. Returns how many came that
 * `fn` was not told of. Harmless (0) if the scheduler does not watch it.
 */
unsigned signal_unwatch(struct scheduler *s, int signal_number);
/* Does the scheduler watch one; with `but_interrupt`: one other than SIGINT? */
bool signal_is_watched(const struct scheduler *s, bool but_interrupt);
/* Called by the pass when something was posted. */
void signal_dispatch(struct scheduler *s);

#endif
