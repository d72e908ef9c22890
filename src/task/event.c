/* Events: a flag that is set once, and those who wait for it. */
#include "task/task.h"

void yoke_event_init(yoke_event *event)
{
    list_init(&event->waiters);
    event->set = false;
}

void yoke_event_set(yoke_event *event)
{
    if (event->set)
        return;
    event->set = true;
    while (wake_first(&event->waiters, NULL))
        ;
}

bool yoke_event_is_set(const yoke_event *event)
{
    return event->set;
}

yoke_error *yoke_event_wait(yoke_event *event)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_event_wait");
    YOKE_TRY(task_operation(task));
    if (event->set)
        return NULL;
    return wait_in(&event->waiters, NULL);
}
