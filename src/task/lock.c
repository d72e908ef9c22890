/*
 * Locks. A lock is handed over: its release makes the task that has waited longest the owner before that task
 * runs, so nobody comes between, and a lock with tasks in its line is never free. The owner is the lock's
 * breaker from its first step as such: if it ends without a release, the lock is broken for good.
 */
#include "task/lock.h"

#include "task/parking.h"

void yoke_lock_init(yoke_lock *lock)
{
    parking_init(&lock->parking, "the lock can't be had any more: it was held at its end by");
    lock->owner = NULL;
    lock->breaker = (yoke_parking_breaker){0};
}

/* The owner of a broken lock is gone, and its memory may be another task's. */
bool lock_is_held_by(const yoke_lock *lock, const yoke_task *task)
{
    return lock->owner == task && !parking_is_broken(&lock->parking);
}

void lock_own(yoke_lock *lock, yoke_task *task)
{
    breaker_set(&lock->breaker, &lock->parking, task);
}

void lock_give(yoke_lock *lock, yoke_task *owner)
{
    breaker_unset(&lock->breaker, owner);
    struct waiter *next = waiters_first(&lock->parking.waiters);
    lock->owner = next ? next->task : NULL;
    wake_first(&lock->parking.waiters.parked, NULL);
}

void lock_join(yoke_lock *lock, struct waiter *waiter)
{
    if (parking_is_broken(&lock->parking)) {
        yoke_reschedule(waiter->task, parking_broken(&lock->parking));
    } else if (lock->owner) {
        list_append(&lock->parking.waiters.parked, &waiter->link);
    } else {
        lock->owner = waiter->task;
        yoke_reschedule(waiter->task, NULL);
    }
}

static yoke_error *take_now(yoke_lock *lock, yoke_task *task, bool *done)
{
    *done = false;
    if (parking_is_broken(&lock->parking))
        return parking_broken(&lock->parking);
    if (lock->owner == task)
        return yoke_raise(&YOKE_USAGE, "task `%s` holds the lock already", task->name);
    if (lock->owner)
        return NULL;
    lock->owner = task;
    lock_own(lock, task);
    *done = true;
    return NULL;
}

yoke_error *yoke_lock_acquire(yoke_lock *lock)
{
    YOKE_TRY(waiters_operation(&lock->parking.waiters, "yoke_lock_acquire"));
    yoke_task *task = task_here();
    bool done;
    YOKE_TRY(take_now(lock, task, &done));
    if (done)
        return NULL;
    YOKE_TRY(wait_in(&lock->parking.waiters.parked, NULL));
    lock_own(lock, task);
    return NULL;
}

yoke_error *yoke_lock_acquire_nowait(yoke_lock *lock)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_lock_acquire_nowait");
    YOKE_TRY(waiters_check(&lock->parking.waiters, "yoke_lock_acquire_nowait"));
    bool done;
    YOKE_TRY(take_now(lock, task, &done));
    return done ? NULL : yoke_raise(&YOKE_WOULD_BLOCK, "task `%s` holds the lock", lock->owner->name);
}

yoke_error *yoke_lock_release(yoke_lock *lock)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_lock_release");
    YOKE_TRY(waiters_check(&lock->parking.waiters, "yoke_lock_release"));
    if (!lock_is_held_by(lock, task))
        return yoke_raise(&YOKE_USAGE, "task `%s` releases a lock that it does not hold", task->name);
    lock_give(lock, task);
    return NULL;
}

void yoke_lock_get_statistics(const yoke_lock *lock, yoke_lock_statistics *out)
{
    bool broken = parking_is_broken(&lock->parking);
    *out = (yoke_lock_statistics){
        .locked = lock->owner != NULL,
        .broken = broken,
        .owner = broken ? NULL : lock->owner,
        .waiting = waiters_count(&lock->parking.waiters),
    };
}
