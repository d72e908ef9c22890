#include "task/walk.h"

void task_walk_begin(struct task_walk *w, const struct scheduler *s)
{
    *w = (struct task_walk){.task = s->first};
}

/* The scope that the task opened next inside of `s` (NULL: its outermost one), or NULL. `s` may be closed. */
static yoke_scope *scope_inside(const yoke_task *task, const yoke_scope *s)
{
    yoke_scope *at = task->scope, *found = NULL;
    for (; at && at->owner == task && at != s; at = at->parent)
        found = at;
    bool is_there = s ? at == s : true;
    return is_there ? found : NULL;
}

static bool is_open(const yoke_task *task, const yoke_scope *s)
{
    const yoke_scope *at = task->scope;
    while (at && at->owner == task && at != s)
        at = at->parent;
    return at == s;
}

static bool enter_scope(struct task_walk *w, yoke_scope *s)
{
    if (!s)
        return false;
    w->scope = s;
    w->done = false;
    w->depth++;
    return true;
}

static bool enter_task(struct task_walk *w, const yoke_nursery *n, list *link)
{
    if (link == &n->children)
        return false;
    w->task = container_of(link, yoke_task, in_nursery);
    w->scope = NULL;
    w->done = false;
    return true;
}

static bool go_in(struct task_walk *w)
{
    if (!w->scope)
        return enter_scope(w, scope_inside(w->task, NULL));
    if (!w->scope->is_nursery)
        return false;
    const yoke_nursery *n = container_of(w->scope, yoke_nursery, scope);
    if (!enter_task(w, n, n->children.next))
        return false;
    w->depth++;
    return true;
}

/* How many levels below its task a scope is. */
static unsigned level_of(const yoke_task *task, const yoke_scope *s)
{
    unsigned level = 1;
    for (const yoke_scope *at = s->parent; at && at->owner == task; at = at->parent)
        level++;
    return level;
}

/* To the next task of the nursery, or behind all that was in the nursery. False at the end of the walk. */
static bool leave_task(struct task_walk *w)
{
    if (w->scope && is_open(w->task, w->scope)) {
        unsigned level = level_of(w->task, w->scope);
        w->depth = w->depth > level ? w->depth - level : 0;
    }
    yoke_nursery *n = w->task->nursery;
    if (!n) {
        w->task = NULL;
        return false;
    }
    if (enter_task(w, n, w->task->in_nursery.next))
        return true;
    w->task = n->scope.owner;
    w->scope = &n->scope;
    w->done = true;
    w->depth = w->depth ? w->depth - 1 : 0;
    return true;
}

bool task_walk_next(struct task_walk *w)
{
    if (!w->task)
        return false;
    if (!w->begun) {
        w->begun = true;
        return true;
    }
    if (!w->done && (!w->scope || is_open(w->task, w->scope)) && go_in(w))
        return true;
    for (;;) {
        if (w->scope && enter_scope(w, scope_inside(w->task, w->scope)))
            return true;
        if (!leave_task(w))
            return false;
        if (!w->done)
            return true;
    }
}

void task_walk_pass_by(struct task_walk *w)
{
    w->done = true;
}

void task_walk_rest(struct task_walk *w, struct scheduler *s)
{
    list_append(&s->walks, &w->resting);
}

void task_walk_resume(struct task_walk *w)
{
    list_remove(&w->resting);
}

/* Back to the task before it, behind all that is in that, or to the nursery, whose first task is another
 * one now: the next step leads to the one after it. */
static void step_back(struct task_walk *w, const yoke_task *task)
{
    yoke_nursery *n = task->nursery;
    if (!n) {
        w->task = NULL;
        return;
    }
    if (enter_task(w, n, task->in_nursery.prev)) {
        w->done = true;
        return;
    }
    w->task = n->scope.owner;
    w->scope = &n->scope;
    w->done = false;
    w->depth = w->depth ? w->depth - 1 : 0;
}

void task_walk_task_ends(struct scheduler *s, const yoke_task *task)
{
    list_for_each(node, &s->walks) {
        struct task_walk *w = container_of(node, struct task_walk, resting);
        if (w->task == task)
            step_back(w, task);
    }
}
