/*
 * Cancel scopes. The open scopes of a run form a tree: a scope's parent is the one that was innermost when it
 * was opened, and a task begins in the scope of its nursery. Each task is in the list of its innermost scope.
 *
 * `effective`: a cancellation is seen inside: the scope was cancelled, or its parent is effective and the
 * scope is no shield. It is kept up to date in the tree, so that a checkpoint reads one flag. Changes walk
 * the tree without recursion.
 *
 * Which scope absorbs: one that is cancelled while no cancellation is to be seen from its parent; so of
 * several cancelled ones around each other it is the outermost (up to a shield), as in trio.
 */
#include "base/die.h"
#include "base/error.h"
#include "task/sanitizer.h"
#include "task/task.h"

#include <stdint.h>
#include <string.h>

#define SCOPE_MADE   0x6d616465u
#define SCOPE_OPEN   0x53434f50u
#define SCOPE_CLOSED 0x636c6f73u

static bool seen_from_parent(const yoke_scope *s)
{
    return s->parent && s->parent->effective && !s->shield;
}

/* The next scope after `s` in a walk of `root`'s tree, going down only if `down`. */
static yoke_scope *walk_next(yoke_scope *root, yoke_scope *s, bool down)
{
    if (down && !list_empty(&s->children))
        return container_of(s->children.next, yoke_scope, in_parent);
    while (s != root) {
        if (s->in_parent.next != &s->parent->children)
            return container_of(s->in_parent.next, yoke_scope, in_parent);
        s = s->parent;
    }
    return NULL;
}

/* Brings `effective` up to date in the tree below `root`, and tells the tasks that stand where it became
 * true. */
static void update(yoke_scope *root)
{
    for (yoke_scope *s = root; s;) {
        bool effective = s->cancel_called || seen_from_parent(s);
        bool changed = effective != s->effective;
        s->effective = effective;
        if (changed && effective)
            list_for_each_safe(node, &s->tasks)
                task_deliver(container_of(node, yoke_task, in_scope));
        s = walk_next(root, s, changed);
    }
}

void scope_move(yoke_scope *from, yoke_scope *to)
{
    list tasks, scopes;
    list_init(&tasks);
    list_init(&scopes);
    list_splice(&tasks, &from->tasks);
    list_splice(&scopes, &from->children);
    while (!list_empty(&tasks)) {
        yoke_task *task = container_of(list_pop(&tasks), yoke_task, in_scope);
        task->scope = task == from->owner ? from : to;
        list_append(&task->scope->tasks, &task->in_scope);
        task_deliver(task);
    }
    while (!list_empty(&scopes)) {
        yoke_scope *s = container_of(list_pop(&scopes), yoke_scope, in_parent);
        s->parent = to;
        list_append(&to->children, &s->in_parent);
        update(s);
    }
}

/* ---- deadlines ---- */

void scope_deadline_passed(yoke_scope *s)
{
    if (s->cancel_called)
        return;
    s->deadline_fired = true;
    scope_cancel_with(
        s, error_make_cancelled("cancelled by its deadline (scope opened at %s:%d)", s->file, s->line));
}

static void deadline_passed(yoke_timer *timer)
{
    scope_deadline_passed(container_of(timer, yoke_scope, timer));
}

/* Of a scope that is not open yet. */
static yoke_error *keep_deadline(yoke_scope *s, int64_t deadline)
{
    if (s->has_timeout)
        return yoke_raise(&YOKE_USAGE, "yoke_scope_set_deadline: the scope has a timeout, which counts from "
                                       "its opening");
    s->timer.deadline = deadline;
    return NULL;
}

yoke_error *yoke_scope_set_deadline(yoke_scope *s, int64_t deadline)
{
    if (s->magic == SCOPE_MADE)
        return keep_deadline(s, deadline);
    struct scheduler *here = scheduler_here;
    if (!here || s->magic != SCOPE_OPEN)
        return yoke_raise(&YOKE_USAGE, "yoke_scope_set_deadline: the scope is not open");
    if (s->owner->scheduler != here)
        return yoke_raise(&YOKE_USAGE, "yoke_scope_set_deadline: the scope is another thread's");
    if (!timer_set(&here->timers, &s->timer, deadline))
        return yoke_raise(&YOKE_NO_MEMORY, "a deadline");
    if (deadline != YOKE_NEVER && deadline <= yoke_now()) {
        timer_unset(&here->timers, &s->timer);
        scope_deadline_passed(s);
    }
    return NULL;
}

/* ---- open ---- */

static inline void scope_init(yoke_scope *s)
{
    memset(s, 0, sizeof *s);
    list_init(&s->in_parent);
    list_init(&s->children);
    list_init(&s->tasks);
    s->timer.deadline = YOKE_NEVER;
    s->timer.fire = deadline_passed;
    s->magic = SCOPE_MADE;
}

void scope_init_outermost(yoke_scope *s)
{
    scope_init(s);
    s->magic = SCOPE_OPEN;
    s->file = "";
}

/*
 * A scope in a frame that has returned: its memory is about to be used for other things. Frames that are
 * still there lie above this one.
 */
static void check_left_behind(const yoke_task *task)
{
    const yoke_scope *s = task->scope;
    uintptr_t at = (uintptr_t)s, here = (uintptr_t)__builtin_frame_address(0);
    if (__builtin_expect(at >= here || at < (uintptr_t)task->block, 1))
        return;
    if (s->magic == SCOPE_OPEN && s->owner == task)
        die("task `%s` left the %s open that it opened at %s:%d: the function has returned", task->name,
            s->is_nursery ? "nursery" : "scope", s->file, s->line);
    die("task `%s` left a scope or nursery open in a function that has returned", task->name);
}

static void enter(yoke_scope *s, yoke_task *task, const char *file, int line)
{
    s->magic = SCOPE_OPEN;
    s->file = file;
    s->line = line;
    s->owner = task;
    s->parent = task->scope;
    s->effective = s->cancel_called || seen_from_parent(s);
    list_append(&s->parent->children, &s->in_parent);
    list_unlink(&task->in_scope);
    list_append(&s->tasks, &task->in_scope);
    task->scope = s;
}

/*
 * Is the same object open already, in whichever task? Memory that was never a scope may hold any value: one
 * that looks open is looked for in the tree.
 */
static bool is_in_tree(const yoke_task *task, const yoke_scope *s)
{
    yoke_scope *root = task->scope;
    while (root->parent)
        root = root->parent;
    for (yoke_scope *open = root; open; open = walk_next(root, open, true))
        if (open == s)
            return true;
    return false;
}

yoke_scope *scope_marked(const yoke_scope *inside)
{
    yoke_scope *s = inside ? inside->parent : task_here() ? task_here()->scope : NULL;
    while (s && !s->is_marked)
        s = s->parent;
    return s;
}

static inline bool is_open(const yoke_task *task, const yoke_scope *s)
{
    if (task->scheduler->on_valgrind)
        (void)VALGRIND_MAKE_MEM_DEFINED(&s->magic, sizeof s->magic);
    return s->magic == SCOPE_OPEN && is_in_tree(task, s);
}

static yoke_error *open_already(const char *file, int line, const yoke_scope *s)
{
    return yoke_raise_at(file, line, "", &YOKE_USAGE, "the scope is open already, since %s:%d", s->file,
                         s->line);
}

/* a + b, "never" where that is beyond. */
static int64_t add_time(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? YOKE_NEVER : sum;
}

static yoke_error *check_options(const char *file, int line, const yoke_scope_options *o)
{
    if (o->after < 0)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "a timeout of %lld ns", (long long)o->after);
    if (o->deadline && (o->after || o->at_once))
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "a scope has a deadline or a timeout, not both");
    return NULL;
}

static yoke_error *init(const char *file, int line, yoke_scope *s, const yoke_scope_options *o)
{
    if (o)
        YOKE_TRY(check_options(file, line, o));
    const yoke_task *task = task_here();
    if (task && is_open(task, s))
        return open_already(file, line, s);
    scope_init(s);
    if (!o)
        return NULL;
    s->shield = o->shield;
    s->fails = o->fail;
    s->timeout = o->after;
    s->has_timeout = o->after || o->at_once;
    if (o->deadline)
        s->timer.deadline = o->deadline;
    return NULL;
}

/* The rest of an opening. */
static yoke_error *enter_made(yoke_scope *s, yoke_task *task, const char *file, int line)
{
    int64_t deadline = s->has_timeout ? add_time(yoke_now(), s->timeout) : s->timer.deadline;
    s->timer.deadline = YOKE_NEVER;
    enter(s, task, file, line);
    if (s->cancel_called)
        s->reason =
            error_make_cancelled("cancelled before it was entered (scope opened at %s:%d)", file, line);
    if (deadline == YOKE_NEVER || s->cancel_called)
        return NULL;
    yoke_error *e = yoke_scope_set_deadline(s, deadline);
    return e ? yoke_scope_close(s, e) : NULL;
}

yoke_error *yoke_scope_init(yoke_scope *s, const yoke_scope_options *options)
{
    return init("", 0, s, options);
}

yoke_error *yoke_scope_enter_at(const char *file, int line, yoke_scope *s)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_scope_enter");
    check_left_behind(task);
    if (s->magic != SCOPE_MADE)
        return yoke_raise_at(file, line, "", &YOKE_USAGE,
                             "yoke_scope_enter: the scope was entered already, or never made");
    return enter_made(s, task, file, line);
}

yoke_error *yoke_scope_open_at(const char *file, int line, yoke_scope *s, const yoke_scope_options *options)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_scope_open");
    check_left_behind(task);
    if (!options) { /* most of them, each nursery's; nothing of the rest applies */
        if (is_open(task, s))
            return open_already(file, line, s);
        scope_init(s);
        enter(s, task, file, line);
        return NULL;
    }
    YOKE_TRY(init(file, line, s, options));
    return enter_made(s, task, file, line);
}

yoke_error *yoke_scope_open_after_at(const char *file, int line, yoke_scope *s, int64_t ns, bool fail)
{
    yoke_scope_options options = {.after = ns, .at_once = true, .fail = fail};
    return yoke_scope_open_at(file, line, s, &options);
}

/* ---- close ---- */

static const char *what(const yoke_scope *s)
{
    return s->is_nursery ? "nursery" : "scope";
}

static void check_innermost(const yoke_scope *s, const yoke_task *task)
{
    check_left_behind(task);
    if (s->magic == SCOPE_CLOSED)
        die("task `%s` closes the %s opened at %s:%d, which was closed already", task->name, what(s), s->file,
            s->line);
    if (s->magic != SCOPE_OPEN)
        die("task `%s` closes a scope or nursery that was never opened", task->name);
    if (s->owner != task)
        die("task `%s` closes a %s that task `%s` opened at %s:%d", task->name, what(s), s->owner->name,
            s->file, s->line);
    if (task->scope != s)
        die("task `%s` closes the %s opened at %s:%d while the %s opened inside it at %s:%d is open",
            task->name, what(s), s->file, s->line, what(task->scope), task->scope->file, task->scope->line);
}

yoke_error *scope_absorb(yoke_scope *s, yoke_error *e)
{
    if (!e || !s->cancel_called || seen_from_parent(s))
        return e;
    yoke_error *taken = NULL;
    yoke_error_split(&e, &YOKE_CANCELLED, &taken);
    if (taken)
        s->caught = true;
    yoke_error_free(taken);
    return e;
}

static yoke_error *too_slow(const yoke_scope *s)
{
    if (!s->timeout)
        return yoke_raise_at(s->file, s->line, "", &YOKE_TOO_SLOW, "not done by the deadline");
    return yoke_raise_at(s->file, s->line, "", &YOKE_TOO_SLOW, "not done in %lld.%03lld ms",
                         (long long)(s->timeout / 1000000), (long long)(s->timeout / 1000 % 1000));
}

yoke_error *yoke_scope_close(yoke_scope *s, yoke_error *e)
{
    yoke_task *task = task_here();
    if (!task)
        die("a scope is closed outside of a task");
    check_innermost(s, task);
    if (s->is_nursery)
        die("task `%s` closes the nursery opened at %s:%d as a scope", task->name, s->file, s->line);
    return scope_leave(s, e);
}

yoke_error *scope_leave(yoke_scope *s, yoke_error *e)
{
    yoke_task *task = task_here();
    check_innermost(s, task);
    timer_unset(&task->scheduler->timers, &s->timer);
    e = scope_absorb(s, e);
    list_unlink(&task->in_scope);
    list_append(&s->parent->tasks, &task->in_scope);
    list_unlink(&s->in_parent);
    task->scope = s->parent;
    s->magic = SCOPE_CLOSED;
    if (s->reason) {
        yoke_error_free(s->reason);
        s->reason = NULL;
    }
    if (!e && s->fails && s->caught && s->deadline_fired)
        e = too_slow(s);
    return e;
}

/* ---- cancel ---- */

void scope_cancel_with(yoke_scope *s, yoke_error *reason)
{
    if (s->cancel_called) {
        yoke_error_free(reason);
        return;
    }
    s->cancel_called = true;
    s->reason = reason;
    if (s->magic != SCOPE_OPEN) {
        yoke_error_free(reason);
        s->reason = NULL;
        return;
    }
    timer_unset(&s->owner->scheduler->timers, &s->timer);
    update(s);
}

/* Has no error to return, so it dies. */
static void check_thread(const yoke_scope *s, const char *call)
{
    if (s->magic == SCOPE_OPEN && s->owner->scheduler != scheduler_here)
        die("%s: the scope opened at %s:%d is another thread's", call, s->file, s->line);
}

static yoke_error *asked_for(const yoke_scope *s, const char *why)
{
    const yoke_task *who = task_here();
    return error_make_cancelled("cancelled by %s%s%s%s%s (%s opened at %s:%d)",
                                who ? "task `" : "the scheduler", who ? who->name : "", who ? "`" : "",
                                why ? ": " : "", why ? why : "", what(s), s->file, s->line);
}

void yoke_scope_cancel(yoke_scope *s, const char *why)
{
    check_thread(s, "yoke_scope_cancel");
    bool tell = s->magic == SCOPE_OPEN && !s->cancel_called;
    scope_cancel_with(s, tell ? asked_for(s, why) : NULL);
}

void yoke_scope_set_shield(yoke_scope *s, bool shield)
{
    check_thread(s, "yoke_scope_set_shield");
    s->shield = shield;
    if (s->magic == SCOPE_OPEN)
        update(s);
}

bool yoke_scope_cancel_called(const yoke_scope *scope)
{
    yoke_scope *s = (yoke_scope *)(uintptr_t)scope; /* const is the asker's promise, not the clock's */
    bool ours = s->magic == SCOPE_MADE ||
                (s->magic == SCOPE_OPEN && s->timer.slot && s->owner->scheduler == scheduler_here);
    if (!s->cancel_called && ours && s->timer.deadline != YOKE_NEVER && s->timer.deadline <= yoke_now())
        scope_deadline_passed(s);
    return s->cancel_called;
}

bool yoke_scope_cancelled_caught(const yoke_scope *s)
{
    return s->caught;
}

int64_t yoke_current_effective_deadline(void)
{
    yoke_task *task = task_here();
    if (!task)
        return YOKE_NEVER;
    if (task->scope->effective)
        return INT64_MIN;
    int64_t least = YOKE_NEVER;
    for (const yoke_scope *s = task->scope; s; s = s->parent) {
        if (s->timer.slot && s->timer.deadline < least)
            least = s->timer.deadline;
        if (s->shield)
            break;
    }
    return least;
}
