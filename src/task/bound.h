/*
 * A bound: a scope that ends after some real time, also while the run's clock stands still (clock_freeze).
 * For the few waits of the runtime that must end though somebody is at a debugger's prompt; all others are
 * of the run's clock, as the program's own. In a run that has a clock of its own both are the same.
 */
#ifndef TASK_BOUND_H
#define TASK_BOUND_H

#include "task/task.h"

/* In the caller's frame, till bound_close. */
struct bound {
    yoke_scope scope;
    yoke_timer timer;
    struct timer_heap *heap;
};

/* Opens b->scope, which is cancelled when `ns` have passed; `options` (without a time): as of any scope, with
 * .fail the close returns YOKE_TOO_SLOW then. In a task. On an error nothing is open. */
#define bound_open(...) bound_open_at(__FILE__, __LINE__, __VA_ARGS__)
YOKE_MUST_USE yoke_error *bound_open_at(const char *file, int line, struct bound *b, int64_t ns,
                                        const yoke_scope_options *options);
/* As yoke_scope_close. */
YOKE_MUST_USE yoke_error *bound_close(struct bound *b, yoke_error *e);
/* As yoke_sleep. */
YOKE_MUST_USE yoke_error *bound_sleep(int64_t ns);

#endif
