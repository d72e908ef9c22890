/*
 * Starting a task that gets ready first. The task begins in a nursery of its own inside the starter, which
 * waits in that nursery's close. When it says that it is ready, it moves with all that it has opened into the
 * nursery that it is for; the close finds its nursery empty and returns.
 *
 * A starter that was cancelled keeps the task: a Cancelled may be on its way through the task already, and
 * only the scopes around the starter could absorb it.
 */
#include "task/task.h"

struct start {
    yoke_nursery inner;
    yoke_nursery *target;
    void *value;
    bool called;
};

struct start start_done;

yoke_nursery *start_target(const struct start *start)
{
    return start ? start->target : NULL;
}

yoke_error *yoke_started(void *value)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_started");
    struct start *start = task->start;
    if (!start)
        return NULL;
    if (start == &start_done || start->called)
        return yoke_raise(&YOKE_USAGE, "yoke_started: task `%s` has called it before", task->name);
    start->called = true;
    if (start->inner.scope.effective)
        return NULL;
    start->value = value;
    task->start = &start_done;
    nursery_move(&start->inner, start->target);
    return NULL;
}

/* The task has ended and left no error. One that swallowed a cancellation was ended by that: no fault of
 * its. */
static yoke_error *never_ready(yoke_task *starter, const char *file, int line, const char *fn_name)
{
    if (task_has_news(starter))
        return task_news(starter);
    return yoke_raise_at(file, line, "", &YOKE_USAGE, "`%s` ended without yoke_started", fn_name);
}

yoke_error *yoke_start_at(const char *file, int line, const char *fn_name, yoke_nursery *n, yoke_task_fn fn,
                          void *arg, void **value, const yoke_spawn_options *options)
{
    yoke_task *starter = task_here();
    if (!starter)
        return task_outside("yoke_start");
    if (!n)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "starting `%s`: a task lives in a nursery",
                             fn_name);
    if (n->closed)
        return yoke_raise_at(file, line, "", &YOKE_CLOSED, "starting `%s`: its nursery has ended", fn_name);
    if (n->scope.owner->scheduler != starter->scheduler)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "starting `%s`: the nursery is another thread's",
                             fn_name);
    struct start start = {.target = n};
    YOKE_TRY(yoke_nursery_open_at(file, line, &start.inner));
    n->pending_starts++;
    yoke_error *e = yoke_spawn_at(file, line, fn_name, &start.inner, fn, arg, options);
    if (!e)
        container_of(start.inner.children.next, yoke_task, in_nursery)->start = &start;
    e = nursery_close_bare(&start.inner, e);
    n->pending_starts--;
    nursery_released(n);
    if (start.inner.spawned > 1 && e && !yoke_error_is_cancelled(e))
        return yoke_wrap(e, &YOKE_INTERNAL, "`%s` left tasks in the nursery of its start", fn_name);
    if (!e && !start.called)
        return never_ready(starter, file, line, fn_name);
    if (!e && value)
        *value = start.value;
    return e;
}
