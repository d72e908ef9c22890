/* Work beside the scheduler, on a thread that is made for it and goes with it: for what takes long, or more
 * stack than a task has. Its stack has 2 MiB; it takes no signals. */
#ifndef DEVX_ASIDE_H
#define DEVX_ASIDE_H

#include <yoke/base.h>

/* Runs fn(arg) while the caller waits for it, whoever that is. An errno, or 0. */
int aside_wait(void (*fn)(void *arg), void *arg);
/* The same from a task; the other tasks go on meanwhile. Shielded. YOKE_SYSTEM, YOKE_NO_MEMORY: fn was not
 * called. */
YOKE_MUST_USE yoke_error *aside_run(void (*fn)(void *arg), void *arg);

#endif
