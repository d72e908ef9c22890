/*
 * Parking lots: a line of parked tasks, first in, first out, without a condition of its own: what is waited
 * for is its user's affair. A waiter's link lies on its own stack, so nothing is allocated, and a cancelled
 * one leaves from wherever it stands, be it another lot than that in which it began to wait.
 *
 * A task may answer for a lot with a breaker: if it ends, nobody would be left to wake those who wait, so the
 * lot breaks. The breakers of a task are a list through memory that is the users', and a frame that was left
 * takes its breakers with it. So only the task itself changes its list, each link is looked at before it is
 * followed, and the task's end finds all that lay in its own frames.
 */
#include "task/parking.h"

#include "base/die.h"

#include <stdio.h>
#include <string.h>

/* ---- lines of parked tasks ---- */

void waiters_init(yoke_waiters *waiters)
{
    list_init(&waiters->parked);
    waiters->run = scheduler_here;
    waiters->magic = WAITERS_MAGIC;
}

yoke_error *waiters_refuse(yoke_waiters *waiters, const char *call)
{
    if (!scheduler_here)
        return task_outside(call);
    if (waiters->magic != WAITERS_MAGIC)
        return yoke_raise(&YOKE_USAGE, "%s: it was never initialised", call);
    if (waiters->run)
        return yoke_raise(&YOKE_USAGE, "%s: called outside of the run that it belongs to", call);
    waiters->run = scheduler_here;
    return NULL;
}

void waiters_demand(yoke_waiters *waiters, const char *call)
{
    yoke_error *e = waiters_check(waiters, call);
    if (e)
        die("%s", yoke_error_message(e));
}

struct waiter *waiters_first(const yoke_waiters *waiters)
{
    if (list_empty(&waiters->parked))
        return NULL;
    return container_of(waiters->parked.next, struct waiter, link);
}

size_t waiters_count(const yoke_waiters *waiters)
{
    size_t count = 0;
    list_for_each(node, &waiters->parked)
        count++;
    return count;
}

/* ---- parking lots ---- */

void parking_init(yoke_parking *parking, const char *broken)
{
    waiters_init(&parking->waiters);
    parking->broken = broken;
    parking->broken_by[0] = '\0';
}

void yoke_parking_init(yoke_parking *parking)
{
    parking_init(parking, "the parking lot was broken by");
}

yoke_error *yoke_parking_park(yoke_parking *parking)
{
    YOKE_TRY(waiters_operation(&parking->waiters, "yoke_parking_park"));
    if (parking_is_broken(parking))
        return parking_broken(parking);
    return wait_in(&parking->waiters.parked, NULL);
}

size_t yoke_parking_unpark(yoke_parking *parking, size_t count)
{
    waiters_demand(&parking->waiters, "yoke_parking_unpark");
    size_t woken = 0;
    while (woken < count && wake_first(&parking->waiters.parked, NULL))
        woken++;
    return woken;
}

size_t yoke_parking_repark(yoke_parking *from, yoke_parking *to, size_t count)
{
    waiters_demand(&from->waiters, "yoke_parking_repark");
    waiters_demand(&to->waiters, "yoke_parking_repark");
    if (from == to)
        return 0;
    size_t moved = 0;
    for (; moved < count && !list_empty(&from->waiters.parked); moved++) {
        if (parking_is_broken(to))
            wake_first(&from->waiters.parked, parking_broken(to));
        else
            list_append(&to->waiters.parked, list_pop(&from->waiters.parked));
    }
    return moved;
}

void yoke_parking_get_statistics(const yoke_parking *parking, yoke_parking_statistics *out)
{
    *out = (yoke_parking_statistics){
        .waiting = waiters_count(&parking->waiters),
        .broken = parking_is_broken(parking),
    };
}

/* ---- breaking ---- */

yoke_error *parking_broken(const yoke_parking *parking)
{
    return yoke_raise(&YOKE_BROKEN_RESOURCE, "%s task %s", parking->broken, parking->broken_by);
}

/* A name that does not fit any more is left out as a whole. */
static void add_name(yoke_parking *parking, const char *name)
{
    size_t used = strlen(parking->broken_by), room = sizeof parking->broken_by - used;
    int length = snprintf(parking->broken_by + used, room, "%s`%s`", used ? ", " : "", name);
    if (length < 0 || (size_t)length >= room)
        parking->broken_by[used] = '\0';
}

static void parking_break(yoke_parking *parking, const yoke_task *task)
{
    add_name(parking, task->name);
    while (!list_empty(&parking->waiters.parked))
        wake_first(&parking->waiters.parked, parking_broken(parking));
}

void yoke_parking_break(yoke_parking *parking)
{
    waiters_demand(&parking->waiters, "yoke_parking_break");
    if (!task_here())
        die("yoke_parking_break: not inside a task");
    parking_break(parking, task_here());
}

static void lost(const yoke_task *task) __attribute__((noreturn));
static void lost(const yoke_task *task)
{
    die("task `%s` (spawned at %s:%d) has left a frame with a lock in it that it holds, or a breaker that is "
        "set; or the memory of one was initialised again",
        task->name, task->file, task->line);
}

/* Looks at a link before it is followed: memory that was used for something else does not name the task. */
static yoke_parking_breaker *standing(const yoke_task *task, yoke_parking_breaker *breaker)
{
    if (!breaker || breaker->task != task)
        lost(task);
    return breaker;
}

void breaker_set(yoke_parking_breaker *breaker, yoke_parking *parking, yoke_task *task)
{
    if (task->breakers == breaker)
        lost(task);
    *breaker = (yoke_parking_breaker){.next = task->breakers, .parking = parking, .task = task};
    task->breakers = breaker;
}

void breaker_unset(yoke_parking_breaker *breaker, yoke_task *task)
{
    yoke_parking_breaker **place = &task->breakers;
    while (*place != breaker)
        place = &standing(task, *place)->next;
    *place = breaker->next;
    *breaker = (yoke_parking_breaker){0};
}

/* No frame of the task is left: what lies on its stack is gone, whatever it says. */
void parking_task_ended(yoke_task *task)
{
    while (task->breakers) {
        const char *at = (const char *)task->breakers;
        if (at >= (const char *)task->block && at < (const char *)task)
            lost(task);
        yoke_parking_breaker *breaker = standing(task, task->breakers);
        task->breakers = breaker->next;
        yoke_parking *parking = breaker->parking;
        *breaker = (yoke_parking_breaker){0};
        parking_break(parking, task);
    }
}

yoke_error *yoke_parking_breaker_add(yoke_parking_breaker *breaker, yoke_parking *parking)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_parking_breaker_add");
    YOKE_TRY(waiters_check(&parking->waiters, "yoke_parking_breaker_add"));
    if (breaker->task)
        return yoke_raise(&YOKE_USAGE, "the breaker is set already, by task `%s`", breaker->task->name);
    breaker_set(breaker, parking, task);
    return NULL;
}

yoke_error *yoke_parking_breaker_remove(yoke_parking_breaker *breaker)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_parking_breaker_remove");
    if (!breaker->task)
        return yoke_raise(&YOKE_USAGE, "the breaker is not set");
    if (breaker->task != task)
        return yoke_raise(&YOKE_USAGE, "task `%s` takes back a breaker that another task has set",
                          task->name);
    breaker_unset(breaker, task);
    return NULL;
}
