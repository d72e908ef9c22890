/* Events: a flag that is set once, and those who wait for it. */
#include "task/parking.h"

void yoke_event_init(yoke_event *event)
{
    waiters_init(&event->waiters);
    event->set = false;
}

void yoke_event_set(yoke_event *event)
{
    waiters_demand(&event->waiters, "yoke_event_set");
    if (event->set)
        return;
    event->set = true;
    while (wake_first(&event->waiters.parked, NULL))
        ;
}

bool yoke_event_is_set(const yoke_event *event)
{
    return event->set;
}

yoke_error *yoke_event_wait(yoke_event *event)
{
    YOKE_TRY(waiters_operation(&event->waiters, "yoke_event_wait"));
    return event->set ? NULL : wait_in(&event->waiters.parked, NULL);
}

size_t yoke_event_get_waiting(const yoke_event *event)
{
    return waiters_count(&event->waiters);
}
