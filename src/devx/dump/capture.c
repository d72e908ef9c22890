#include "devx/dump/capture.h"

#include "devx/trace/unwind.h"
#include "task/clock.h"
#include "task/walk.h"

#include <stdlib.h>
#include <string.h>

/* How long the others wait at a time. */
#define BATCH_NS YOKE_MS(1)

/* More than so many times the tasks that there were at the beginning are not looked at. */
enum { GROWTH = 2, GROWTH_FREE = 1000 };

static bool add_text(struct capture *c, const char *text, uint32_t *at)
{
    *at = 0;
    if (!text || !*text)
        return true;
    size_t size = buffer_size(&c->texts);
    if (size > UINT32_MAX - 65536)
        return false;
    *at = (uint32_t)size;
    return buffer_append(&c->texts, text, strnlen(text, 4095)) && buffer_append(&c->texts, "", 1);
}

static const char *text_at(const struct capture *c, uint32_t at)
{
    return (const char *)buffer_begin(&c->texts) + at;
}

static bool text_is(const struct capture *c, uint32_t at, const char *text)
{
    return strcmp(text_at(c, at), text ? text : "") == 0;
}

/* ---- tasks ---- */

static bool is_shielded(const yoke_task *task)
{
    for (const yoke_scope *s = task->scope; s && s->owner == task; s = s->parent)
        if (s->shield)
            return true;
    return false;
}

static struct capture_item *last_item(struct capture *c)
{
    size_t count = buffer_size(&c->items) / sizeof(struct capture_item);
    return count ? (struct capture_item *)(void *)buffer_begin(&c->items) + count - 1 : NULL;
}

/* The last one is a task beside this one, in which nothing is open either, and does the same. */
static bool is_alike(struct capture *c, const struct capture_item *item, const yoke_task *task,
                     const uint64_t *pcs)
{
    const struct capture_item *last = last_item(c);
    return last && last->kind == CAPTURE_TASK && last->depth == item->depth && task->scope->owner != task &&
           last->is_ready == item->is_ready && last->cancelled == item->cancelled &&
           last->line == item->line && last->frame_count == item->frame_count &&
           memcmp((uint64_t *)(void *)buffer_begin(&c->pcs) + last->frames, pcs,
                  item->frame_count * sizeof *pcs) == 0 &&
           text_is(c, last->name, task->name) && text_is(c, last->file, task->file);
}

static bool add_task(struct capture *c, const struct task_walk *w)
{
    const yoke_task *task = w->task;
    uint64_t pcs[CAPTURE_FRAMES];
    struct capture_item item = {
        .kind = CAPTURE_TASK,
        .is_ready = task->state == TASK_READY,
        .cancelled = task->scope->effective,
        .shielded = is_shielded(task),
        .is_main = task->is_main,
        .line = task->line,
        .depth = w->depth,
        .frame_count = (uint32_t)unwind_task(task, pcs, CAPTURE_FRAMES),
        .frames = buffer_size(&c->pcs) / sizeof *pcs,
        .since = task->state == TASK_PARKED ? clock_real() - task->parked_at : 0,
        .address = (uint64_t)(uintptr_t)task,
    };
    c->tasks++;
    if (is_alike(c, &item, task, pcs)) {
        last_item(c)->alike++;
        return true;
    }
    return add_text(c, task->name, &item.name) && add_text(c, task->file, &item.file) &&
           buffer_append(&c->pcs, pcs, item.frame_count * sizeof *pcs) &&
           buffer_append(&c->items, &item, sizeof item);
}

static bool add_scope(struct capture *c, const struct task_walk *w)
{
    const yoke_scope *s = w->scope;
    struct scheduler *here = scheduler_here;
    struct capture_item item = {
        .kind = s->is_nursery ? CAPTURE_NURSERY : CAPTURE_SCOPE,
        .cancelled = s->cancel_called,
        .shielded = s->shield,
        .line = s->line,
        .depth = w->depth,
        .deadline = s->timer.slot ? s->timer.deadline - clock_now(here) : YOKE_NEVER,
        .address = (uint64_t)(uintptr_t)s,
    };
    const char *reason = s->reason ? yoke_error_message(s->reason) : NULL;
    return add_text(c, s->file, &item.file) && add_text(c, reason, &item.reason) &&
           buffer_append(&c->items, &item, sizeof item);
}

/* ---- the walk ---- */

static yoke_error *rest(struct task_walk *w)
{
    struct scheduler *s = scheduler_here;
    task_walk_rest(w, s);
    yoke_error *e = yoke_checkpoint();
    task_walk_resume(w);
    return e;
}

static yoke_error *look_at_all(struct capture *c, struct task_walk *w, const yoke_task *but)
{
    size_t most = scheduler_here->live * GROWTH + GROWTH_FREE;
    int64_t begun = clock_real();
    while (task_walk_next(w)) {
        if (w->task == but) {
            task_walk_pass_by(w);
            continue;
        }
        if (c->tasks >= most) {
            c->left_out = scheduler_here->live;
            return NULL;
        }
        if (!(w->scope ? add_scope(c, w) : add_task(c, w)))
            return yoke_raise(&YOKE_NO_MEMORY, "a dump of the tasks");
        if (w->scope || clock_real() - begun < BATCH_NS)
            continue;
        YOKE_TRY(rest(w));
        begun = clock_real();
    }
    return NULL;
}

yoke_error *capture_take(struct capture *c, const yoke_task *but)
{
    *c = (struct capture){BUFFER_EMPTY, BUFFER_EMPTY, BUFFER_EMPTY, 0, 0};
    if (!buffer_append(&c->texts, "", 1))
        return yoke_raise(&YOKE_NO_MEMORY, "a dump of the tasks");
    struct task_walk w;
    task_walk_begin(&w, scheduler_here);
    return look_at_all(c, &w, but);
}

void capture_free(struct capture *c)
{
    buffer_free(&c->items);
    buffer_free(&c->pcs);
    buffer_free(&c->texts);
}
