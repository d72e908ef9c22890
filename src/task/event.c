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
    if (event->set)
        return task_operation(task);
    if (task_has_news(task))
        return task_news(task);
    return wait_in(&event->waiters, NULL);
}
