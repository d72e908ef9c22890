/* A walk of tasks and their nurseries, in the order of opening and spawning, by the links that they have
 * anyway: no recursion, since a tree may be as deep as it is large. */
#include "task/tree.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINES_MAX = 5000, INDENT_MAX = 60 };

/* The nurseries of a task are among its scopes, innermost first. The one that it opened after `n` (NULL: the
 * first of all), or NULL. */
static yoke_nursery *nursery_after(const yoke_task *task, const yoke_nursery *n)
{
    yoke_nursery *found = NULL;
    for (yoke_scope *s = task->scope; s && s->owner == task; s = s->parent) {
        if (n && s == &n->scope)
            break;
        if (s->is_nursery)
            found = container_of(s, yoke_nursery, scope);
    }
    return found;
}

/* Where the walk stands: at a task, or at a nursery. */
struct spot {
    yoke_task *task;
    yoke_nursery *nursery; /* NULL: at the task itself */
    unsigned depth;
};

static bool enter_nursery(struct spot *at, yoke_task *opener, yoke_nursery *n)
{
    if (!n)
        return false;
    at->task = opener;
    at->nursery = n;
    return true;
}

static bool enter_task(struct spot *at, yoke_nursery *n, list *link)
{
    if (link == &n->children)
        return false;
    at->task = container_of(link, yoke_task, in_nursery);
    at->nursery = NULL;
    return true;
}

static bool walk_on(struct spot *at)
{
    bool down = at->nursery ? enter_task(at, at->nursery, at->nursery->children.next)
                            : enter_nursery(at, at->task, nursery_after(at->task, NULL));
    if (down) {
        at->depth++;
        return true;
    }
    for (;;) {
        if (at->nursery) {
            if (enter_nursery(at, at->task, nursery_after(at->task, at->nursery)))
                return true;
            at->nursery = NULL; /* up, to its opener */
            at->depth--;
        } else {
            yoke_nursery *n = at->task->nursery;
            if (!n)
                return false;
            if (enter_task(at, n, at->task->in_nursery.next))
                return true;
            at->nursery = n;
            at->task = n->scope.owner;
            at->depth--;
        }
    }
}

static void add(struct buffer *b, const char *fmt, ...) YOKE_PRINTF(2, 3);
static void add(struct buffer *b, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0)
        buffer_append(b, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

static const char *doing(const yoke_task *task)
{
    if (task->scheduler->current == task)
        return "runs";
    if (task->state == TASK_READY)
        return "ready";
    return task->scope->effective ? "waits, cancelled" : "waits";
}

static void add_task(struct buffer *b, const yoke_task *task)
{
    add(b, "task `%s` %s", task->name, doing(task));
    if (*task->file)
        add(b, ", spawned at %s:%d", task->file, task->line);
    add(b, "\n");
}

static void add_spot(struct buffer *b, const struct spot *at)
{
    add(b, "%*s", at->depth > INDENT_MAX ? INDENT_MAX : (int)at->depth, "");
    if (!at->nursery)
        add_task(b, at->task);
    else
        add(b, "nursery opened at %s:%d\n", at->nursery->scope.file, at->nursery->scope.line);
}

char *tree_text(const struct scheduler *s)
{
    struct buffer b = BUFFER_EMPTY;
    size_t lines = 0, left = 0;
    struct spot at = {.task = s->first};
    for (bool more = at.task; more; more = walk_on(&at)) {
        if (lines < LINES_MAX)
            add_spot(&b, &at);
        else if (!at.nursery)
            left++;
        lines++;
    }
    if (left)
        add(&b, "... and %zu tasks more\n", left);
    char *text = buffer_append(&b, "", 1) ? memory_strdup((char *)buffer_begin(&b)) : NULL;
    buffer_free(&b);
    return text;
}

void yoke_print_tasks(FILE *f)
{
    char *text = scheduler_here ? tree_text(scheduler_here) : NULL;
    fputs(text ? text : "no tasks\n", f);
    memory_free(text);
}
