#include "task/tree.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "task/walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINES_MAX = 5000, INDENT_MAX = 60 };

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

static void add_spot(struct buffer *b, const struct task_walk *at)
{
    add(b, "%*s", at->depth > INDENT_MAX ? INDENT_MAX : (int)at->depth, "");
    if (!at->scope)
        add_task(b, at->task);
    else
        add(b, "%s opened at %s:%d%s\n", at->scope->is_nursery ? "nursery" : "scope", at->scope->file,
            at->scope->line, at->scope->shield ? ", shielded" : "");
}

char *tree_text(const struct scheduler *s)
{
    struct buffer b = BUFFER_EMPTY;
    size_t lines = 0, left = 0;
    struct task_walk at;
    task_walk_begin(&at, s);
    while (task_walk_next(&at)) {
        if (lines < LINES_MAX)
            add_spot(&b, &at);
        else if (!at.scope)
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
