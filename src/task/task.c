/* Tasks from outside: names, spawning. Their life is in scheduler.c, their family in nursery.c. */
#include "task/task.h"

#include <stdint.h>
#include <string.h>

enum { NAME_BYTES = 64, VALUE_BYTES = 1024 };

const char *yoke_task_name(const yoke_task *task)
{
    return task ? task->name : "";
}

yoke_nursery *yoke_task_nursery(const yoke_task *task)
{
    return task ? task->nursery : NULL;
}

yoke_nursery *yoke_task_eventual_nursery(const yoke_task *task)
{
    return task ? start_target(task->start) : NULL;
}

yoke_task *yoke_nursery_opener(const yoke_nursery *n)
{
    return n ? n->scope.owner : NULL;
}

/* The next one outwards from `s` that is a nursery of the task's. */
static yoke_scope *nursery_outwards(const yoke_task *task, yoke_scope *s)
{
    while (s && s->owner == task && !s->is_nursery)
        s = s->parent;
    return s && s->owner == task ? s : NULL;
}

size_t yoke_task_nurseries(const yoke_task *task, yoke_nursery **out, size_t room)
{
    if (!task)
        return 0;
    size_t count = 0;
    for (yoke_scope *s = task->scope; (s = nursery_outwards(task, s)); s = s->parent)
        count++;
    size_t at = count;
    for (yoke_scope *s = task->scope; (s = nursery_outwards(task, s)); s = s->parent) {
        if (--at < room)
            out[at] = container_of(s, yoke_nursery, scope);
    }
    return count;
}

/* Takes `bytes` off the high end of a task's fresh stack: what the task is given to keep lies above its first
 * frame. */
static void *stack_keep(char **top, size_t bytes)
{
    *top = (char *)((uintptr_t)(*top - bytes) & ~(uintptr_t)15);
    return *top;
}

static yoke_error *spawn(const char *file, int line, const char *fn_name, yoke_nursery *n, yoke_task_fn fn,
                         void *arg, const void *value, size_t size, const yoke_spawn_options *options)
{
    struct scheduler *s = scheduler_here;
    if (!s)
        return task_outside("yoke_spawn");
    if (!n)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "spawning `%s`: a task lives in a nursery",
                             fn_name);
    if (!fn)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "spawning `%s`: a task runs a function", fn_name);
    if (n->closed)
        return yoke_raise_at(file, line, "", &YOKE_CLOSED, "spawning `%s`: its nursery has ended", fn_name);
    if (n->scope.owner->scheduler != s)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "spawning `%s`: the nursery is another thread's",
                             fn_name);
    size_t bytes = options ? options->stack_bytes : 0;
    if (bytes && (bytes < STACK_MIN_BYTES || bytes > STACK_MAX_BYTES))
        return yoke_raise_at(file, line, "", &YOKE_USAGE,
                             "spawning `%s`: stack_bytes is %zu: a stack has 16 KiB to 1 GiB", fn_name,
                             bytes);
    if (size > VALUE_BYTES)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "spawning `%s`: a value has 1024 bytes at most",
                             fn_name);
    yoke_task *task = task_create(s, fn, arg, fn_name, bytes);
    if (!task)
        return yoke_raise_at(file, line, "", &YOKE_NO_MEMORY, "spawning `%s`: no memory for its stack",
                             fn_name);
    task->file = file;
    task->line = line;
    if (value || (options && options->name)) {
        char *top = (char *)task;
        if (value)
            task->arg = memcpy(stack_keep(&top, size), value, size);
        if (options && options->name) {
            size_t length = strnlen(options->name, NAME_BYTES - 1);
            char *name = memcpy(stack_keep(&top, length + 1), options->name, length);
            name[length] = '\0';
            task->name = name;
        }
        task_move_entry(task, top);
    }
    task_begin(task, n);
    return NULL;
}

yoke_error *yoke_spawn_at(const char *file, int line, const char *fn_name, yoke_nursery *n, yoke_task_fn fn,
                          void *arg, const yoke_spawn_options *options)
{
    return spawn(file, line, fn_name, n, fn, arg, NULL, 0, options);
}

yoke_error *yoke_spawn_value_at(const char *file, int line, const char *fn_name, yoke_nursery *n,
                                yoke_task_fn fn, const void *value, size_t size,
                                const yoke_spawn_options *options)
{
    return spawn(file, line, fn_name, n, fn, NULL, value, size, options);
}

yoke_error *yoke_spawn_system_at(const char *file, int line, const char *fn_name, yoke_task_fn fn, void *arg,
                                 const yoke_spawn_options *options)
{
    struct scheduler *s = scheduler_here;
    if (!s)
        return task_outside("yoke_spawn_system");
    if (!s->system)
        return yoke_raise_at(file, line, "", &YOKE_CLOSED, "spawning `%s`: the run is ending", fn_name);
    return spawn(file, line, fn_name, s->system, fn, arg, NULL, 0, options);
}
