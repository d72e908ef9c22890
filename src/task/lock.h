/* What a condition needs of its lock. All calls: the run's own thread. */
#ifndef TASK_LOCK_H
#define TASK_LOCK_H

#include "task/task.h"

bool lock_is_held_by(const yoke_lock *lock, const yoke_task *task);
/* Hands the lock to the first that waits, or to nobody. By its owner, which is the calling task. */
void lock_give(yoke_lock *lock, yoke_task *owner);
/* Puts a parked task, which is in no line, last into the lock's; wakes it as the owner if the lock is free,
 * with an error if it is broken. */
void lock_join(yoke_lock *lock, struct waiter *waiter);
/* What a task does first when it has been woken as the owner. */
void lock_own(yoke_lock *lock, yoke_task *task);

#endif
