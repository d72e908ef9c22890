/* What test_repl.py runs in a terminal: an actor whose tasks run the same lines, stop, and crash. */
#include "debug_tree.h"

#include <signal.h>

enum { TASKS = 10, MINE = 5 };

/* ---- frames ---- */

static yoke_error *inner(int depth)
{
    volatile int local = depth + 1;
    YOKE_TRY(yoke_pause()); /* inner's pause */
    SAY("left: local is %d", local);
    return NULL;
}

static yoke_error *outer(const char *word)
{
    int answer = 42;
    return inner(answer); /* the call of inner */
}

static yoke_error *frames(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return outer("word");
}

/* ---- many tasks, the same lines ---- */

static volatile int done, laps_of_others;

static int rest(int n)
{
    yoke_error_free(yoke_sleep(YOKE_MS(3))); /* in rest */
    return n + 1;                            /* rested */
}

static int twice(int n)
{
    return n * 2; /* in twice */
}

static yoke_error *walk(int id, volatile int *laps)
{
    for (int i = 0; i < 5; i++) {
        YOKE_TRY(yoke_checkpoint()); /* checkpoint */
        *laps = *laps + 1;           /* lap */
        laps_of_others += id != MINE;
    }
    return NULL; /* walked */
}

static yoke_error *round_of(int id)
{
    volatile int laps = 0;
    if (id == MINE)
        YOKE_TRY(yoke_pause());       /* pause */
    YOKE_TRY(yoke_sleep(YOKE_MS(3))); /* sleep */
    laps = laps + 1;                  /* slept */
    laps = rest(laps);                /* rest */
    laps = twice(laps);               /* twice */
    YOKE_TRY(walk(id, &laps));        /* walk */
    if (id == MINE)                   /* behind */
        SAY("left: %d laps", laps);
    return NULL; /* round */
}

static yoke_error *rounds(void *arg)
{
    int id = *(int *)arg;
    if (id == MINE) {
        YOKE_TRY(round_of(id));
        done = 1;
        return NULL;
    }
    while (!done)
        YOKE_TRY(round_of(id));
    return NULL;
}

static yoke_error *ten(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    static const char *const names[TASKS] = {"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"};
    static int ids[TASKS];
    yoke_nursery n;
    yoke_error *e = NULL;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < TASKS && !e; i++) {
        ids[i] = i;
        e = yoke_spawn_with(&n, rounds, &ids[i], &(yoke_spawn_options){.name = names[i]});
    }
    return yoke_nursery_close_flat(&n, e);
}

/* ---- what a process comes to while its debugger is there ---- */

static volatile int counter;

static void bump(void)
{
    counter = counter + 1; /* bump */
}

static yoke_error *pause_as(const char *name)
{
    yoke_error *e = yoke_pause(); /* the other pause */
    SAY("%s: %s", name,
        !e                                      ? "no error"
        : yoke_error_is(e, &YOKE_DEBUGGER_QUIT) ? "DebuggerQuit"
                                                : "another error");
    return e;
}

static yoke_error *pause_later(void *name)
{
    YOKE_TRY(wait_for_sign("later"));
    return pause_as(name);
}

static yoke_error *pause_twice(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause()); /* the first pause */
    bump();                 /* bump one */
    YOKE_TRY(yoke_pause()); /* the second pause */
    bump();
    SAY("%s: after both", my_name());
    return NULL;
}

static yoke_error *two_tasks(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_nursery n;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn_with(&n, pause_later, (void *)"other", &(yoke_spawn_options){.name = "other"});
    if (!e)
        e = yoke_pause(); /* the first of two */
    if (!e)
        e = wait_for_sign("end"); /* a long line */
    return yoke_nursery_close_flat(&n, e);
}

YOKE_ERROR_KIND(BROKEN, "test.Broken", NULL);

static yoke_error *fail(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    return yoke_raise(&BROKEN, "on purpose"); /* the raise */
}

static yoke_error *crash(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    static int *volatile nowhere = (int *)0x10; /* of which no sanitizer knows before */
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    *nowhere = 1; /* the crash */
    return NULL;
}

static yoke_error *leave(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    SAY("left: leaves");
    _exit(3);
}

static yoke_error *wait(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    YOKE_TRY(wait_for_sign("end"));
    SAY("%s: waited", my_name());
    return NULL;
}

static yoke_error *calls(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *err = yoke_raise(&BROKEN, "on purpose");
    yoke_error *e = yoke_pause();
    yoke_error_free(err);
    SAY("left: counter %d", counter);
    return e;
}

static yoke_error *three(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    for (int i = 0; i < 3; i++) {
        bump();
        YOKE_TRY(yoke_checkpoint());
    }
    SAY("left: counter %d", counter);
    return NULL;
}

YOKE_MODULE(repl, YOKE_CONTEXT(frames, none, none, none), YOKE_CONTEXT(ten, none, none, none),
            YOKE_CONTEXT(pause_twice, none, none, none), YOKE_CONTEXT(two_tasks, none, none, none),
            YOKE_CONTEXT(fail, none, none, none), YOKE_CONTEXT(crash, none, none, none),
            YOKE_CONTEXT(leave, none, none, none), YOKE_CONTEXT(calls, none, none, none),
            YOKE_CONTEXT(wait, none, none, none), YOKE_CONTEXT(three, none, none, none));

/* ---- scenes ---- */

static yoke_error *start(yoke_actors *actors, const char *name, const char *endpoint, yoke_context **ctx)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "repl"}, &portal));
    return yoke_context_open(portal, ctx, endpoint, NULL, NULL);
}

static yoke_error *one(yoke_actors *actors, const char *endpoint)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "left", endpoint, &ctx));
    YOKE_TRY(yoke_context_close(ctx, NULL));
    return yoke_actors_cancel(actors);
}

#define ONE(scene)                                                                                           \
    static yoke_error *scene##_in_a_child(yoke_actors *actors)                                               \
    {                                                                                                        \
        return one(actors, "repl:" #scene);                                                                  \
    }
ONE(frames)
ONE(ten)
ONE(pause_twice)
ONE(two_tasks)
ONE(fail)
ONE(crash)
ONE(leave)
ONE(calls)
ONE(wait)
ONE(three)

/* The root itself. */
static yoke_error *root(yoke_actors *actors)
{
    YOKE_TRY(yoke_pause()); /* the root's pause */
    bump();
    YOKE_TRY(pause_as("root"));
    bump();
    SAY("root: after both");
    return NULL;
}

/* A second actor wants the terminal meanwhile. */
static yoke_error *pair(yoke_actors *actors)
{
    yoke_context *left, *right;
    YOKE_TRY(start(actors, "left", "repl:pause_twice", &left));
    yoke_error *e = wait_for_sign("right");
    if (!e)
        e = start(actors, "right", "repl:wait", &right);
    if (!e)
        e = yoke_context_close(right, NULL);
    YOKE_TRY(yoke_context_close(left, e));
    return yoke_actors_cancel(actors);
}

static const struct scene scenes[] = {
    {"frames", frames_in_a_child},
    {"ten", ten_in_a_child},
    {"pause_twice", pause_twice_in_a_child},
    {"two_tasks", two_tasks_in_a_child},
    {"fail", fail_in_a_child},
    {"crash", crash_in_a_child},
    {"leave", leave_in_a_child},
    {"calls", calls_in_a_child},
    {"wait", wait_in_a_child},
    {"three", three_in_a_child},
    {"root", root},
    {"pair", pair},
    {NULL},
};

static yoke_error *app(int argc, char **argv)
{
    return play(scenes, argc, argv);
}
YOKE_MAIN(app)
