/* What test_end_tree.py runs in a terminal: trees that end while somebody is at the debugger's prompt. */
#include "debug_tree.h"

#include "actor/hold.h"

/* ---- what children do ---- */

/* Writes a word into the folder of signs: heard also when there is no terminal any more. */
static void leave_word(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("SIGNS"), name);
    FILE *f = fopen(path, "w");
    if (f)
        fclose(f);
}

static yoke_error *tell(yoke_error *e)
{
    const char *what = !e                                      ? "no error"
                       : yoke_error_is_cancelled(e)            ? "cancelled"
                       : yoke_error_is(e, &YOKE_DEBUGGER_QUIT) ? "DebuggerQuit"
                                                               : yoke_error_message(e);
    SAY("%s: %s", my_name(), what);
    leave_word(what);
    return e;
}

static yoke_error *stop(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(tell(yoke_pause()));
    return tell(yoke_sleep_forever());
}

static yoke_error *step_slowly(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    yoke_error *e = yoke_sleep(YOKE_S(30)); /* the slow line, which is cut short */
    return tell(e);
}

/* Stays till it is killed. */
static yoke_error *stop_and_stay(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_scope shield;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = tell(yoke_pause());
    return yoke_scope_close(&shield, e ? e : yoke_sleep_forever());
}

static yoke_error *stay(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_scope shield;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    return yoke_scope_close(&shield, yoke_sleep_forever());
}

static yoke_error *wait(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep_forever();
}

/* Comes to a prompt by being cancelled. */
static yoke_error *stop_in_cleanup(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = yoke_sleep_forever();
    yoke_error_free(yoke_pause_shielded());
    return tell(e);
}

static yoke_error *soon(const yoke_type_none *args, yoke_type_none *result)
{
    return wait_for_sign("soon");
}

static yoke_error *middle(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result);
YOKE_MODULE(ends, YOKE_CONTEXT(stop, none, none, none), YOKE_CONTEXT(step_slowly, none, none, none),
            YOKE_CONTEXT(stop_and_stay, none, none, none), YOKE_CONTEXT(stay, none, none, none),
            YOKE_CONTEXT(wait, none, none, none), YOKE_CONTEXT(stop_in_cleanup, none, none, none),
            YOKE_CONTEXT(middle, none, none, none), YOKE_CALL(soon, none, none));

/* ---- the root's scenes ---- */

static yoke_error *start(yoke_actors *actors, const char *name, const char *endpoint, yoke_context **ctx)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "ends"}, &portal));
    return yoke_context_open(portal, ctx, endpoint, NULL, NULL);
}

/* That its task was cancelled with its actor is what the scene is about. */
static yoke_error *end_quietly(yoke_context *ctx, yoke_error *e)
{
    if (e)
        return yoke_context_close(ctx, e);
    e = yoke_context_close(ctx, NULL);
    if (yoke_error_find(e, &YOKE_INTERRUPTED))
        return e;
    yoke_error_free(e);
    return NULL;
}

/* A child at that endpoint; the body is through when the test says so, or the child has ended.
 */
static yoke_error *until_sign(yoke_actors *actors, const char *endpoint, yoke_error *(*then)(yoke_actors *))
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "left", endpoint, &ctx));
    yoke_error *e = wait_for_sign("go");
    if (!e)
        e = then(actors);
    return end_quietly(ctx, e);
}

static yoke_error *cancel_all(yoke_actors *actors)
{
    SAY("root: cancels");
    YOKE_TRY(yoke_actors_cancel(actors));
    SAY("root: all are gone");
    return NULL;
}

static yoke_error *kill_all(yoke_actors *actors)
{
    SAY("root: kills");
    YOKE_TRY(yoke_actors_kill(actors));
    SAY("root: all are gone");
    return NULL;
}

static yoke_error *cancelled(yoke_actors *actors)
{
    return until_sign(actors, "ends:stop", cancel_all);
}
/* The nursery fails with `other`, which the test kills. */
static yoke_error *failed(yoke_actors *actors)
{
    yoke_portal *other;
    YOKE_TRY(yoke_actors_start(actors, "other", NULL, &other));
    return until_sign(actors, "ends:stop", cancel_all);
}
static yoke_error *killed(yoke_actors *actors)
{
    return until_sign(actors, "ends:stop", kill_all);
}
static yoke_error *stays(yoke_actors *actors)
{
    return until_sign(actors, "ends:stop_and_stay", cancel_all);
}
static yoke_error *slowly(yoke_actors *actors)
{
    return until_sign(actors, "ends:step_slowly", cancel_all);
}
static yoke_error *in_cleanup(yoke_actors *actors)
{
    return until_sign(actors, "ends:stop_in_cleanup", cancel_all);
}

static yoke_error *cancel_context(yoke_actors *actors)
{
    SAY("root: cancels the task");
    YOKE_TRY(yoke_context_cancel(yoke_context_current()));
    SAY("root: the task has ended");
    return yoke_actors_cancel(actors);
}
static yoke_error *context_cancelled(yoke_actors *actors)
{
    return until_sign(actors, "ends:stop", cancel_context);
}

static yoke_error *pass_deadline(yoke_actors *actors)
{
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(100)));
    YOKE_TRY(yoke_scope_close(&s, yoke_sleep_forever()));
    SAY("root: the deadline has passed");
    return yoke_actors_cancel(actors);
}
static yoke_error *deadline(yoke_actors *actors)
{
    return until_sign(actors, "ends:stop", pass_deadline);
}

static yoke_error *open_rest(yoke_actors *actors, const char *const *names, const char *const *endpoints,
                             yoke_error *(*then)(yoke_actors *))
{
    yoke_context *ctx;
    if (!*names) {
        YOKE_TRY(wait_for_sign("go"));
        return then(actors);
    }
    YOKE_TRY(start(actors, *names, *endpoints, &ctx));
    return end_quietly(ctx, open_rest(actors, names + 1, endpoints + 1, then));
}

/* Three want the terminal. */
static yoke_error *queue(yoke_actors *actors)
{
    static const char *const names[] = {"a", "b", "c", NULL};
    static const char *const endpoints[] = {"ends:stop", "ends:stop", "ends:stop"};
    return open_rest(actors, names, endpoints, cancel_all);
}

static yoke_error *five(yoke_actors *actors)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", NULL};
    static const char *const endpoints[] = {"ends:stop_in_cleanup", "ends:wait", "ends:stop_in_cleanup",
                                            "ends:wait", "ends:wait"};
    return open_rest(actors, names, endpoints, cancel_all);
}

/* Two are through while another is at its prompt: one ends then, one has a task that stays. */
static yoke_error *siblings(yoke_actors *actors)
{
    static const char *const names[] = {"left", NULL};
    static const char *const endpoints[] = {"ends:stop"};
    yoke_portal *hangs;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_run(actors, "short", "ends:soon", NULL, NULL));
    YOKE_TRY(yoke_actors_start(actors, "hangs", &(yoke_actor_options){.modules = "ends"}, &hangs));
    YOKE_TRY(yoke_portal_run(hangs, "ends:soon", NULL, NULL));
    YOKE_TRY(yoke_context_open(hangs, &ctx, "ends:stay", NULL, NULL));
    return yoke_context_close(ctx, open_rest(actors, names, endpoints, cancel_all));
}

static yoke_error *middle(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    yoke_actors_options options = {.acknowledge_bound = YOKE_MS(50), .kill_bound = YOKE_MS(100)};
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_actors_open(&actors, &options));
    return yoke_actors_close(actors, failed(actors));
}

static yoke_error *nested(yoke_actors *actors)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "middle", "ends:middle", &ctx));
    return yoke_context_close(ctx, NULL);
}

#define SHORT                                                                                                \
    {                                                                                                        \
        .acknowledge_bound = YOKE_MS(50), .kill_bound = YOKE_MS(100)                                         \
    }
static const struct scene scenes[] = {
    {"cancelled", cancelled, SHORT},
    {"failed", failed, SHORT},
    {"killed", killed, SHORT},
    {"stays", stays, SHORT},
    {"slowly", slowly, SHORT},
    {"in_cleanup", in_cleanup, SHORT},
    {"context_cancelled", context_cancelled, SHORT},
    {"deadline", deadline, SHORT},
    {"queue", queue, SHORT},
    {"five", five},
    {"siblings", siblings, SHORT},
    {"nested", nested, SHORT},
    {NULL},
};

static yoke_error *app(int argc, char **argv)
{
    return play(scenes, argc, argv);
}
YOKE_MAIN(app)
