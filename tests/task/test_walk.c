/* The walk of tasks and scopes that a dump makes: in which order, and what becomes of it while it rests. */
#include "harness.h"
#include "task/walk.h"

#include <yoke/task.h>

#include <string.h>

YOKE_ERROR_KIND(CHECK_FAILED, "test.CheckFailed", NULL);
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&CHECK_FAILED, "%s", #condition);                                              \
    } while (0)

static yoke_error *wait(void *event)
{
    return yoke_event_wait(event);
}

static yoke_error *spawn_named(yoke_nursery *n, const char *name, yoke_event *event)
{
    return yoke_spawn_with(n, wait, event, &(yoke_spawn_options){.name = name});
}

/* Steps on to the task of that name. */
static bool walk_to(struct task_walk *w, const char *name)
{
    while (task_walk_next(w))
        if (!w->scope && strcmp(w->task->name, name) == 0)
            return true;
    return false;
}

static bool next_task_is(struct task_walk *w, const char *name)
{
    while (task_walk_next(w))
        if (!w->scope)
            return strcmp(w->task->name, name) == 0;
    return false;
}

/* ---- the order ---- */

static yoke_error *order_in(yoke_nursery *outer, yoke_scope *shield, yoke_nursery *inner)
{
    static yoke_event never; /* the tasks end after this function */
    struct task_walk w;
    yoke_event_init(&never);
    YOKE_TRY(spawn_named(outer, "a", &never));
    YOKE_TRY(spawn_named(inner, "b", &never));
    YOKE_TRY(spawn_named(outer, "c", &never));
    task_walk_begin(&w, scheduler_here);
    CHECK(walk_to(&w, "main"));
    unsigned depth = w.depth;
    const struct {
        const char *task;
        const yoke_scope *scope;
        unsigned deeper;
    } wanted[] = {{"main", &outer->scope, 1}, {"a", NULL, 2}, {"c", NULL, 2}, {"main", shield, 2},
                  {"main", &inner->scope, 3}, {"b", NULL, 4}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        CHECK(task_walk_next(&w));
        CHECK(strcmp(w.task->name, wanted[i].task) == 0 && w.scope == wanted[i].scope);
        CHECK(w.depth == depth + wanted[i].deeper);
    }
    CHECK(!task_walk_next(&w) && !task_walk_next(&w));
    yoke_nursery_cancel(outer, NULL);
    yoke_nursery_cancel(inner, NULL);
    return NULL;
}
static yoke_error *order(void *arg)
{
    yoke_nursery outer, inner;
    yoke_scope shield;
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_nursery_open(&inner));
    yoke_error *e = order_in(&outer, &shield, &inner);
    e = yoke_nursery_close_flat(&inner, e);
    e = yoke_scope_close(&shield, e);
    return yoke_nursery_close_flat(&outer, e);
}
static void test_order_is_that_of_opening_and_spawning(void **state)
{
    assert_success(yoke_run(order, NULL, NULL));
}

/* ---- a rest ---- */

/* The walk rests at the task `at`; those whose events are set end meanwhile. It goes on to `then`. */
struct rest_case {
    const char *at;
    bool ends[3]; /* a, b, c */
    const char *then;
};

static yoke_error *rest_in(yoke_nursery *n, yoke_nursery *other, const struct rest_case *c)
{
    static const char *const names[] = {"a", "b", "c"};
    static yoke_event events[3], end;
    struct task_walk w;
    yoke_event_init(&end);
    for (int i = 0; i < 3; i++) {
        yoke_event_init(&events[i]);
        YOKE_TRY(spawn_named(n, names[i], &events[i]));
    }
    YOKE_TRY(spawn_named(other, "d", &end));
    task_walk_begin(&w, scheduler_here);
    CHECK(walk_to(&w, c->at));
    task_walk_rest(&w, scheduler_here);
    for (int i = 0; i < 3; i++)
        if (c->ends[i])
            yoke_event_set(&events[i]);
    for (int i = 0; i < 5; i++)
        YOKE_TRY(yoke_checkpoint());
    task_walk_resume(&w);
    bool fine = next_task_is(&w, c->then);
    yoke_nursery_cancel(n, NULL);
    yoke_nursery_cancel(other, NULL);
    CHECK(fine);
    return NULL;
}
static yoke_error *rest(void *arg)
{
    yoke_nursery n, other;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_open(&other));
    yoke_error *e = rest_in(&n, &other, arg);
    e = yoke_nursery_close_flat(&other, e);
    return yoke_nursery_close_flat(&n, e);
}
static void test_rest_where_tasks_end_meanwhile(void **state)
{
    static const struct rest_case cases[] = {
        {"a", {false, false, false}, "b"}, {"a", {true, false, false}, "b"}, {"a", {true, true, false}, "c"},
        {"b", {false, true, false}, "c"},  {"b", {true, true, false}, "c"},  {"b", {true, true, true}, "d"},
        {"c", {false, false, true}, "d"},  {"c", {true, true, true}, "d"},   {"a", {true, true, true}, "d"},
        {"d", {true, true, true}, ""},
    };
    for (size_t i = 0; i + 1 < sizeof cases / sizeof *cases; i++)
        assert_success(yoke_run(rest, (void *)(uintptr_t)&cases[i], NULL));
    assert_error(yoke_run(rest, (void *)(uintptr_t)&cases[9], NULL), &CHECK_FAILED); /* nothing follows */
}

/* The task that was rested at, its nursery and the nursery's opener all end. */
static yoke_error *open_and_wait(void *event)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return yoke_nursery_close_flat(&n, spawn_named(&n, "inside", event));
}
static yoke_error *rest_inside(void *arg)
{
    yoke_nursery n;
    yoke_event event, end;
    struct task_walk w;
    yoke_event_init(&event);
    yoke_event_init(&end);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn_with(&n, open_and_wait, &event, &(yoke_spawn_options){.name = "opener"});
    if (!e)
        e = spawn_named(&n, "after", &end);
    if (!e)
        e = yoke_checkpoint();
    task_walk_begin(&w, scheduler_here);
    bool found = walk_to(&w, "inside");
    task_walk_rest(&w, scheduler_here);
    yoke_event_set(&event);
    for (int i = 0; i < 9 && !e; i++)
        e = yoke_checkpoint();
    task_walk_resume(&w);
    bool fine = found && next_task_is(&w, "after");
    yoke_nursery_cancel(&n, NULL);
    e = yoke_nursery_close_flat(&n, e);
    CHECK(fine);
    return e;
}
static void test_rest_where_all_around_ends_meanwhile(void **state)
{
    assert_success(yoke_run(rest_inside, NULL, NULL));
}

HARNESS_MAIN(TEST(test_order_is_that_of_opening_and_spawning), TEST(test_rest_where_tasks_end_meanwhile),
             TEST(test_rest_where_all_around_ends_meanwhile))
