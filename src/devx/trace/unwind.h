/* The calls that a parked task stands in. */
#ifndef DEVX_UNWIND_H
#define DEVX_UNWIND_H

#include "task/task.h"

/*
 * Code addresses from the innermost outwards, each one inside of its call (not behind it): the first `room`
 * to `pcs`; returns how many. The task does not run; on its scheduler's thread.
 */
size_t unwind_task(const yoke_task *task, uint64_t *pcs, size_t room);

#endif
