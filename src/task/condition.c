/*
 * Conditions. A waiting task stands in the condition's line, and is moved into the lock's when it is
 * notified, or cancelled: it returns as the owner in any case, so it never parks twice. The cancelled one
 * waits for the lock undisturbed, since its abort function, which is called once, has taken the news already.
 *
 * A notified task that is cancelled before it has the lock keeps its place for that, and hands the
 * notification on to the next in the condition's line: else it would be lost.
 */
#include "task/lock.h"
#include "task/parking.h"

struct wish {
    struct waiter waiter;
    yoke_condition *condition;
    yoke_error *news; /* what cut it short, or NULL */
    bool notified;
};

void yoke_condition_init(yoke_condition *condition, yoke_lock *lock)
{
    waiters_init(&condition->waiters);
    condition->lock = lock;
}

static void notify_first(yoke_condition *condition)
{
    struct waiter *waiter = waiters_first(&condition->waiters);
    if (!waiter)
        return;
    ((struct wish *)waiter->data)->notified = true;
    list_remove(&waiter->link);
    lock_join(condition->lock, waiter);
}

static enum yoke_abort give_up(yoke_task *task, void *arg)
{
    struct wish *wish = arg;
    wish->news = task_news(task);
    if (wish->notified) {
        notify_first(wish->condition);
    } else {
        list_remove(&wish->waiter.link);
        lock_join(wish->condition->lock, &wish->waiter);
    }
    return YOKE_ABORT_REFUSED;
}

static yoke_error *check_held(const yoke_condition *condition, const char *call)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside(call);
    if (!lock_is_held_by(condition->lock, task))
        return yoke_raise(&YOKE_USAGE, "%s: task `%s` does not hold the condition's lock", call, task->name);
    return NULL;
}

yoke_error *yoke_condition_wait(yoke_condition *condition)
{
    YOKE_TRY(waiters_operation(&condition->waiters, "yoke_condition_wait"));
    YOKE_TRY(check_held(condition, "yoke_condition_wait"));
    yoke_task *task = task_here();
    struct wish wish = {.waiter = {.task = task, .data = &wish}, .condition = condition};
    list_append(&condition->waiters.parked, &wish.waiter.link);
    lock_give(condition->lock, task);
    yoke_error *e = task_park(task, give_up, &wish);
    if (!e)
        lock_own(condition->lock, task);
    return yoke_error_join(e, wish.news);
}

yoke_error *yoke_condition_notify(yoke_condition *condition, size_t count)
{
    YOKE_TRY(waiters_check(&condition->waiters, "yoke_condition_notify"));
    YOKE_TRY(check_held(condition, "yoke_condition_notify"));
    for (size_t i = 0; i < count && !list_empty(&condition->waiters.parked); i++)
        notify_first(condition);
    return NULL;
}

void yoke_condition_get_statistics(const yoke_condition *condition, yoke_condition_statistics *out)
{
    out->waiting = waiters_count(&condition->waiters);
    yoke_lock_get_statistics(condition->lock, &out->lock);
}
