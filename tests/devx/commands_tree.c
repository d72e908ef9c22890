/*
 * What test_commands.py debugs: a root with an actor `left`, whose tasks stand in several places. The first
 * argument says how it is met: `pause` at the debugger's prompt; `wait` by who attaches, as soon as it has
 * said `up PID`; `crash` dead, of SIGABRT.
 */
#include <yoke.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

YOKE_RECORD(how, (str, word));

__attribute__((noinline)) static yoke_error *park_in(const char *word, int depth)
{
    volatile int doubled = 2 * depth;
    yoke_error *e = yoke_sleep_forever(); /* the line of the park */
    doubled++;
    return e;
}

static yoke_error *walker(void *arg)
{
    const char *word = "hidden";
    volatile int depth = 21;
    yoke_error *e = park_in(word, depth); /* the line of the walker */
    depth++;
    return e;
}

/* Waits in a scope that is cancelled, behind a shield. */
static yoke_error *shielded(void *event)
{
    yoke_scope cancelled, shield;
    YOKE_TRY(yoke_scope_open(&cancelled));
    yoke_scope_cancel(&cancelled, "enough");
    yoke_error *e =
        yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}); /* the line of the shield */
    if (!e)
        e = yoke_scope_close(&shield, yoke_event_wait(event));
    return yoke_scope_close(&cancelled, e);
}

static yoke_error *ready(void *arg)
{
    for (;;)
        YOKE_TRY(yoke_checkpoint());
}

static yoke_error *be_met(const char *word)
{
    if (strcmp(word, "crash") == 0)
        abort();
    if (strcmp(word, "pause") == 0)
        YOKE_TRY(yoke_pause()); /* the line of the pause */
    printf("up %d\n", (int)getpid());
    fflush(stdout);
    return strcmp(word, "wait") == 0 ? yoke_sleep(YOKE_S(1000)) : NULL;
}

static yoke_error *spawn_all(yoke_nursery *n, yoke_event *event, bool busy)
{
    YOKE_TRY(yoke_spawn(n, walker, NULL));
    YOKE_TRY(yoke_spawn_with(n, walker, NULL, &(yoke_spawn_options){.name = "second walker"}));
    YOKE_TRY(yoke_spawn(n, shielded, event));
    if (busy)
        YOKE_TRY(yoke_spawn(n, ready, NULL));
    return yoke_sleep(YOKE_MS(20));
}

static yoke_error *meet(yoke_context *ctx, const how *args, yoke_type_none *result)
{
    yoke_nursery n;
    yoke_event event;
    yoke_scope bound;
    yoke_event_init(&event);
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_move_on_after(&bound, YOKE_S(2000))); /* the line of the bound */
    yoke_error *e = yoke_nursery_open(&n);
    if (!e) {
        e = spawn_all(&n, &event, strcmp(args->word, "pause") == 0);
        if (!e)
            e = be_met(args->word);
        yoke_event_set(&event);
        yoke_nursery_cancel(&n, NULL);
        e = yoke_nursery_close(&n, e);
    }
    return yoke_scope_close(&bound, e);
}
YOKE_MODULE(ends, YOKE_CONTEXT(meet, how, none, none));

static yoke_error *use(yoke_portal *left, const char *word)
{
    yoke_context *ctx;
    how args = {word};
    YOKE_TRY(yoke_context_open(left, &ctx, "ends:meet", &args, NULL));
    return yoke_context_close(ctx, yoke_context_result(ctx, NULL));
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    yoke_portal *left;
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.debug_mode = 1}));
    yoke_error *e = yoke_actors_start(actors, "left", &(yoke_actor_options){.modules = "ends"}, &left);
    if (!e)
        e = use(left, argc > 1 ? argv[1] : "wait");
    if (!e)
        e = yoke_actors_cancel(actors);
    return yoke_actors_close(actors, e);
}
YOKE_MAIN(app)
