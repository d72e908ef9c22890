/* Sleeping: a task parked with its own timer set. */
#include "base/die.h"
#include "task/task.h"

static void wake_up(yoke_timer *timer)
{
    yoke_reschedule(container_of(timer, yoke_task, sleep), NULL);
}

static enum yoke_abort stop_sleeping(yoke_task *task, void *arg)
{
    (void)arg;
    timer_unset(&task->scheduler->timers, &task->sleep);
    return YOKE_ABORT_DONE;
}

yoke_error *yoke_sleep_until(int64_t deadline)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_sleep_until");
    if (deadline == YOKE_NEVER)
        return yoke_sleep_forever();
    if (deadline <= yoke_now())
        return yoke_checkpoint();
    YOKE_TRY(task_operation(task));
    task->sleep.fire = wake_up;
    if (!timer_set(&task->scheduler->timers, &task->sleep, deadline))
        return yoke_raise(&YOKE_NO_MEMORY, "a timer");
    return task_park(task, stop_sleeping, NULL);
}

yoke_error *yoke_sleep(int64_t ns)
{
    if (ns < 0)
        return yoke_raise(&YOKE_USAGE, "sleeping for %lld ns", (long long)ns);
    if (ns == 0)
        return yoke_checkpoint();
    int64_t deadline;
    if (__builtin_add_overflow(yoke_now(), ns, &deadline))
        deadline = YOKE_NEVER;
    return yoke_sleep_until(deadline);
}

static enum yoke_abort agree(yoke_task *task, void *arg)
{
    (void)task, (void)arg;
    return YOKE_ABORT_DONE;
}

yoke_error *yoke_sleep_forever(void)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_sleep_forever");
    YOKE_TRY(task_operation(task));
    task->scheduler->for_ever++;
    yoke_error *e = task_park(task, agree, NULL);
    task->scheduler->for_ever--;
    if (!e)
        die("task `%s` was woken from sleeping for ever", task->name);
    return e;
}
