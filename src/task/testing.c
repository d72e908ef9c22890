/* Helpers for tests of programs that use tasks: a numbered order, and whether a call is a checkpoint. */
#include "task/task.h"

/* ---- the sequencer ---- */

struct in_line {
    list link; /* in sequencer->waiters */
    yoke_task *task;
    unsigned position;
};

void yoke_sequencer_init(yoke_sequencer *q)
{
    *q = (yoke_sequencer){.next = 0};
    list_init(&q->waiters);
}

static bool is_taken(const yoke_sequencer *q, unsigned position)
{
    if (position < q->next || (position == q->next && q->inside))
        return true;
    list_for_each(node, &q->waiters)
        if (container_of(node, struct in_line, link)->position == position)
            return true;
    return false;
}

static yoke_error *broken(void)
{
    return yoke_raise(&YOKE_BROKEN_RESOURCE,
                      "the sequence is broken: a task was cancelled that waited for its turn");
}

static void let_in(yoke_sequencer *q)
{
    list_for_each(node, &q->waiters) {
        struct in_line *w = container_of(node, struct in_line, link);
        if (w->position != q->next)
            continue;
        q->inside = true;
        list_remove(&w->link);
        yoke_reschedule(w->task, NULL);
        return;
    }
}

static enum yoke_abort break_sequence(yoke_task *task, void *arg)
{
    (void)task;
    yoke_sequencer *q = arg;
    q->broken = true;
    list_for_each_safe(node, &q->waiters) {
        struct in_line *w = container_of(node, struct in_line, link);
        list_remove(&w->link);
        if (w->task != task)
            yoke_reschedule(w->task, broken());
    }
    return YOKE_ABORT_DONE;
}

yoke_error *yoke_sequencer_enter(yoke_sequencer *q, unsigned position)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_sequencer_enter");
    YOKE_TRY(task_operation(task));
    if (q->broken)
        return broken();
    if (is_taken(q, position))
        return yoke_raise(&YOKE_USAGE, "position %u of a sequence is used twice", position);
    if (position == q->next) {
        q->inside = true;
        return NULL;
    }
    struct in_line self = {.task = task, .position = position};
    list_append(&q->waiters, &self.link);
    return task_park(task, break_sequence, q);
}

void yoke_sequencer_leave(yoke_sequencer *q)
{
    if (!q->inside)
        return;
    q->inside = false;
    q->next++;
    let_in(q);
}

/* ---- is it a checkpoint? ---- */

struct seen {
    bool looked, yielded;
};

static yoke_error *watch(yoke_task_fn fn, void *arg, struct seen *seen)
{
    yoke_task *task = task_here();
    bool *outer = task->look;
    uint64_t resumed = task->scheduler->passes;
    task->look = &seen->looked;
    task->is_watched = true;
    task->scheduler->operations = task->scheduler->budget; /* so that an operation which may yield does */
    yoke_error *e = fn(arg);
    task->look = outer;
    task->is_watched = outer != NULL;
    if (outer && seen->looked)
        *outer = true;
    /* A task runs once in each pass. */
    seen->yielded = task->scheduler->passes != resumed;
    return e;
}

static const char *half(const struct seen *seen)
{
    if (seen->looked)
        return seen->yielded ? "it is one" : "it looked for cancellation and did not yield";
    return seen->yielded ? "it yielded and did not look for cancellation" : "it did neither";
}

yoke_error *yoke_assert_checkpoint(yoke_task_fn fn, void *arg)
{
    if (!task_here())
        return task_outside("yoke_assert_checkpoint");
    struct seen seen = {false, false};
    yoke_error *e = watch(fn, arg, &seen);
    if (seen.looked && seen.yielded)
        return e;
    return yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "not a checkpoint: %s", half(&seen)));
}

yoke_error *yoke_assert_no_checkpoint(yoke_task_fn fn, void *arg)
{
    if (!task_here())
        return task_outside("yoke_assert_no_checkpoint");
    struct seen seen = {false, false};
    yoke_error *e = watch(fn, arg, &seen);
    if (!seen.looked && !seen.yielded)
        return e;
    return yoke_error_join(e,
                           yoke_raise(&YOKE_INTERNAL, "a checkpoint, if only half of one: %s", half(&seen)));
}
