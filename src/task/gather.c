/*
 * Gather: several resources opened at once, all or none. Each has a task that opens it, waits, and closes it,
 * so that a resource may keep scopes and nurseries open in between; the tasks live in a nursery that is open
 * in the caller's frame while the body runs.
 */
#include "base/memory.h"
#include "task/task.h"

struct yoke_gathered {
    yoke_gather *gather;
    const yoke_resource *resource;
    void *value;
};

static yoke_error *keep_open(void *arg)
{
    struct yoke_gathered *one = arg;
    yoke_gather *g = one->gather;
    const yoke_resource *r = one->resource;
    YOKE_TRY(r->open(r->arg, &one->value));
    if (--g->opening == 0)
        yoke_event_set(&g->all_open);
    return r->close(r->arg, one->value, yoke_event_wait(&g->body_ended));
}

static yoke_error *start_all(const char *file, int line, yoke_gather *g, const yoke_resource *resources,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const yoke_resource *r = &resources[i];
        yoke_spawn_options options = {.name = r->name, .stack_bytes = r->stack_bytes};
        g->all[i] = (struct yoke_gathered){.gather = g, .resource = r};
        YOKE_TRY(yoke_spawn_at(file, line, "resource", &g->nursery, keep_open, &g->all[i], &options));
    }
    return yoke_event_wait(&g->all_open);
}

static yoke_error *leave(yoke_gather *g, yoke_error *e)
{
    e = yoke_nursery_close_flat(&g->nursery, e);
    memory_free(g->all);
    g->all = NULL;
    return e;
}

yoke_error *yoke_gather_open_at(const char *file, int line, yoke_gather *g, const yoke_resource *resources,
                                size_t count, void **values)
{
    if (!count)
        return yoke_raise_at(file, line, "", &YOKE_USAGE,
                             "gathering no resources: is the list filled later than it is used?");
    struct yoke_gathered *all = memory_calloc(count, sizeof *all);
    if (!all)
        return yoke_raise_at(file, line, "", &YOKE_NO_MEMORY, "gathering %zu resources", count);
    yoke_error *e = yoke_nursery_open_at(file, line, &g->nursery);
    if (e) {
        memory_free(all);
        return e;
    }
    g->all = all;
    g->opening = count;
    yoke_event_init(&g->all_open);
    yoke_event_init(&g->body_ended);
    e = start_all(file, line, g, resources, count);
    if (e)
        return leave(g, e);
    for (size_t i = 0; values && i < count; i++)
        values[i] = all[i].value;
    return NULL;
}

yoke_error *yoke_gather_close(yoke_gather *g, yoke_error *e)
{
    if (!e)
        yoke_event_set(&g->body_ended);
    return leave(g, e);
}
