/*
 * Nurseries. A nursery is a scope, a list of children, and the errors that came back. Its close waits,
 * undisturbed, for the last child: the cancellation that arrives meanwhile reaches the children, and comes
 * back through them.
 */
#include "base/die.h"
#include "base/error.h"
#include "base/memory.h"
#include "task/task.h"

#include <string.h>

yoke_error *yoke_nursery_open_at(const char *file, int line, yoke_nursery *n)
{
    YOKE_TRY(yoke_scope_open_at(file, line, &n->scope, NULL));
    n->scope.is_nursery = true;
    list_init(&n->children);
    n->closer = NULL;
    n->errors = n->few;
    n->error_count = 0;
    n->error_room = sizeof n->few / sizeof n->few[0];
    n->cancelled = NULL;
    n->spawned = 0;
    n->pending_starts = 0;
    n->closed = false;
    return NULL;
}

yoke_scope *yoke_nursery_scope(yoke_nursery *n)
{
    return &n->scope;
}

void yoke_nursery_cancel(yoke_nursery *n, const char *why)
{
    yoke_scope_cancel(&n->scope, why);
}

/* One Cancelled stands for all: a hundred thousand cancelled children are no hundred thousand members. */
static void keep_cancelled(yoke_nursery *n, yoke_error *e)
{
    if (n->cancelled)
        yoke_error_free(e);
    else
        n->cancelled = e;
}

static void keep_error(yoke_nursery *n, yoke_error *e)
{
    if (n->error_count == n->error_room) {
        size_t room = 2 * n->error_room;
        yoke_error **grown = memory_realloc(n->errors == n->few ? NULL : n->errors, room * sizeof *grown);
        if (!grown) {
            n->errors[n->error_count - 1] = yoke_error_join(n->errors[n->error_count - 1], e);
            return;
        }
        if (n->errors == n->few)
            memcpy(grown, n->few, sizeof n->few);
        n->errors = grown;
        n->error_room = room;
    }
    n->errors[n->error_count++] = e;
}

static yoke_error *reason_of(const yoke_task *child, const yoke_error *e)
{
    if (child)
        return error_make_cancelled("cancelled by its nursery: task `%s` failed: %s", child->name,
                                    yoke_error_message(e));
    return error_make_cancelled("cancelled by its nursery: the body failed: %s", yoke_error_message(e));
}

void nursery_child_failed(yoke_nursery *n, const yoke_task *child, yoke_error *e)
{
    if (yoke_error_is_cancelled(e)) {
        keep_cancelled(n, e);
        scope_cancel_with(&n->scope, NULL);
        return;
    }
    yoke_error *reason = n->scope.cancel_called ? NULL : reason_of(child, e);
    keep_error(n, e);
    scope_cancel_with(&n->scope, reason);
}

/* `child`: whose error it is; NULL: the body's. `e` may be NULL. */
static inline void add_error(yoke_nursery *n, const yoke_task *child, yoke_error *e)
{
    if (e)
        nursery_child_failed(n, child, e);
}

void nursery_move(yoke_nursery *from, yoke_nursery *to)
{
    list_for_each(node, &from->children) {
        container_of(node, yoke_task, in_nursery)->nursery = to;
        to->spawned++;
    }
    list_splice(&to->children, &from->children);
    scope_move(&from->scope, &to->scope);
    nursery_released(from);
}

/*
 * Real errors as a group, with a Cancelled as its last member; a Cancelled alone goes as it is. What is this
 * scope's own is absorbed: the one that is kept before there is a group, since taking it out of one takes
 * memory.
 */
static yoke_error *remains(yoke_nursery *n, bool bare)
{
    yoke_error *e = scope_absorb(&n->scope, n->cancelled);
    n->cancelled = NULL;
    if (n->error_count) {
        if (e)
            keep_error(n, e);
        e = bare && n->error_count == 1
                ? n->errors[0]
                : yoke_error_group(n->errors, n->error_count, "tasks of a nursery failed");
    }
    if (n->errors != n->few)
        memory_free(n->errors);
    n->errors = NULL;
    n->error_count = n->error_room = 0;
    return scope_leave(&n->scope, e);
}

/*
 * While close waits, a cancellation is the children's business: it comes back through them, and close makes
 * none of its own. Ctrl-c is an error like the body's.
 */
static enum yoke_abort keep_waiting(yoke_task *task, void *arg)
{
    if (task_is_interrupted(task))
        add_error(arg, NULL, task_news(task));
    task->abort = keep_waiting;
    return YOKE_ABORT_REFUSED;
}

static yoke_error *wait_and_leave(yoke_nursery *n, yoke_error *e, bool bare)
{
    yoke_task *task = task_here();
    if (!task)
        die("a nursery is closed outside of a task");
    if (task->scope != &n->scope || n->scope.owner != task)
        return scope_leave(&n->scope, e); /* dies, and says of what */
    add_error(n, NULL, e);
    if (!nursery_is_held(n))
        task_yield(task);
    while (nursery_is_held(n)) {
        if (task_is_interrupted(task))
            add_error(n, NULL, task_news(task));
        n->closer = task;
        add_error(n, NULL, task_park(task, keep_waiting, n));
    }
    n->closed = true;
    return remains(n, bare);
}

static yoke_error *flatten(yoke_error *e)
{
    bool only = e && yoke_error_count(e) == 1;
    e = error_flatten(e);
    if (only)
        yoke_error_note(e, "was the only error of its group");
    return e;
}

yoke_error *yoke_nursery_close(yoke_nursery *n, yoke_error *e)
{
    e = wait_and_leave(n, e, false);
    return scheduler_here->flat ? flatten(e) : e;
}

yoke_error *yoke_nursery_close_strict(yoke_nursery *n, yoke_error *e)
{
    return wait_and_leave(n, e, false);
}

yoke_error *nursery_close_bare(yoke_nursery *n, yoke_error *e)
{
    return wait_and_leave(n, e, true);
}

yoke_error *yoke_nursery_close_flat(yoke_nursery *n, yoke_error *e)
{
    return flatten(wait_and_leave(n, e, false));
}

void yoke_nursery_get_statistics(const yoke_nursery *n, yoke_nursery_statistics *out)
{
    *out = (yoke_nursery_statistics){.pending_starts = n->pending_starts, .spawned = n->spawned};
    list_for_each(node, &n->children)
        out->children++;
    if (out->children)
        out->oldest = container_of(n->children.next, yoke_task, in_nursery);
}
