/*
 * What events, locks, semaphores, conditions, limiters and parking lots share: a line of parked tasks that
 * belongs to one run, and the breaking of a lot by a task's end. All calls: the run's own thread. Nothing
 * here allocates but errors.
 */
#ifndef TASK_PARKING_H
#define TASK_PARKING_H

#include "task/task.h"

enum { WAITERS_MAGIC = 0x77616974 };

void waiters_init(yoke_waiters *waiters);
/* The slow half of waiters_check. */
yoke_error *waiters_refuse(yoke_waiters *waiters, const char *call);

/* YOKE_USAGE outside of the run that `waiters` belongs to, and for memory that was not initialised. One that
 * was initialised before a run belongs to the first that uses it. */
static inline yoke_error *waiters_check(yoke_waiters *waiters, const char *call)
{
    bool fine = scheduler_here && waiters->magic == WAITERS_MAGIC && waiters->run == scheduler_here;
    return __builtin_expect(fine, 1) ? NULL : waiters_refuse(waiters, call);
}

/* The same for calls that have no error to return: dies. */
void waiters_demand(yoke_waiters *waiters, const char *call);

/* How a blocking call begins: in a task, of the right run, not cancelled. Nothing may yield after it. */
static inline yoke_error *waiters_operation(yoke_waiters *waiters, const char *call)
{
    yoke_task *task = task_here();
    if (__builtin_expect(!task, 0))
        return task_outside(call);
    yoke_error *e = waiters_check(waiters, call);
    return __builtin_expect(e != NULL, 0) ? e : task_operation(task);
}

/* The one that has waited longest, or NULL; it stays in the line. */
struct waiter *waiters_first(const yoke_waiters *waiters);
/* Walks the line. */
size_t waiters_count(const yoke_waiters *waiters);

/* `broken`: how an error says that it is, up to the names of the tasks; lives as long as the lot. */
void parking_init(yoke_parking *parking, const char *broken);
static inline bool parking_is_broken(const yoke_parking *parking)
{
    return parking->broken_by[0];
}
/* The YOKE_BROKEN_RESOURCE of a lot that is broken. */
yoke_error *parking_broken(const yoke_parking *parking);

/*
 * From the one to the other, the end of the calling task breaks the lot. The breaker's memory is the caller's
 * and outlives the task, or the call of breaker_unset: else the task's end dies, at the latest. `task` is the
 * calling one, in both.
 */
void breaker_set(yoke_parking_breaker *breaker, yoke_parking *parking, yoke_task *task);
void breaker_unset(yoke_parking_breaker *breaker, yoke_task *task);

#endif
