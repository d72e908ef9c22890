/* What test_error_stop_tree.py runs in a terminal: errors that leave, in debug mode. */
#include "debug_tree.h"

#include <signal.h>

YOKE_ERROR_KIND(BROKEN, "test.Broken", NULL);

/* ---- what children do ---- */

static yoke_error *fail_here(int count)
{
    volatile int local = count + 2;
    yoke_error *e = yoke_raise(&BROKEN, "no luck with %d", local); /* the line that raises */
    SAY("%s: raised it", my_name());
    return e;
}

static yoke_error *fail_in(int count)
{
    YOKE_TRY(fail_here(count));
    return NULL;
}

static yoke_error *fail(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(fail_in(42)); /* the line that it leaves */
    return NULL;
}

static yoke_error *fail_at_sign(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(wait_for_sign(my_name()));
    return yoke_raise(&BROKEN, "no luck for %s", my_name());
}

static yoke_error *sleep_long(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    SAY("%s: sleeps", my_name());
    return yoke_sleep(YOKE_S(1000));
}

static yoke_error *sleep_task(void *arg)
{
    return yoke_sleep(YOKE_S(1000));
}

/* A group of two, and nothing but cancellation in it. */
static yoke_error *sleep_twice(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_nursery n;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, sleep_task, NULL);
    if (!e)
        e = yoke_sleep(YOKE_S(1000));
    return yoke_nursery_close_strict(&n, e);
}

static yoke_error *end_itself(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_actor_cancel_self());
    return yoke_sleep(YOKE_S(1000));
}

static yoke_error *stop(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    return NULL;
}

static yoke_error *middle(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result);
static yoke_error *autopsy(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result);
static yoke_error *autopsy_when_cancelled(yoke_context *ctx, const yoke_type_none *args,
                                          yoke_type_none *result);
YOKE_MODULE(err, YOKE_CONTEXT(fail, none, none, none), YOKE_CONTEXT(fail_at_sign, none, none, none),
            YOKE_CONTEXT(sleep_long, none, none, none), YOKE_CONTEXT(sleep_twice, none, none, none),
            YOKE_CONTEXT(end_itself, none, none, none), YOKE_CONTEXT(stop, none, none, none),
            YOKE_CONTEXT(middle, none, none, none), YOKE_CONTEXT(autopsy, none, none, none),
            YOKE_CONTEXT(autopsy_when_cancelled, none, none, none));

static yoke_error *start(yoke_actors *actors, const char *name, const char *endpoint, int debug,
                         yoke_context **ctx)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "err", .debug_mode = debug},
                               &portal));
    return yoke_context_open(portal, ctx, endpoint, NULL, NULL);
}

static yoke_error *one(yoke_actors *actors, const char *name, const char *endpoint)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, name, endpoint, 0, &ctx));
    YOKE_TRY(yoke_context_close(ctx, NULL));
    return yoke_actors_cancel(actors);
}

static yoke_error *middle(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, one(actors, "leaf", "err:fail"));
}

static yoke_error *autopsy(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = yoke_raise(&BROKEN, "looked at by hand");
    YOKE_TRY(yoke_post_mortem(e)); /* the line of the autopsy */
    SAY("left: still %s", yoke_error_message(e));
    yoke_error_free(e);
    return NULL;
}

static yoke_error *autopsy_in_scope(yoke_error *e)
{
    yoke_error *answer = yoke_post_mortem(e);
    SAY("left: %s", yoke_error_is_cancelled(answer) ? "Cancelled" : "not cancelled");
    yoke_error_free(answer);
    answer = yoke_post_mortem_shielded(e);
    SAY("left: %s", answer ? yoke_error_kind_of(answer)->name : "fine");
    yoke_error_free(answer);
    return yoke_checkpoint();
}

static yoke_error *autopsy_when_cancelled(yoke_context *ctx, const yoke_type_none *args,
                                          yoke_type_none *result)
{
    yoke_scope s;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = yoke_raise(&BROKEN, "looked at by hand");
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, "for the test");
    YOKE_TRY(yoke_scope_close(&s, autopsy_in_scope(e)));
    SAY("left: absorbed %d", yoke_scope_cancelled_caught(&s));
    yoke_error_free(e);
    return NULL;
}

/* ---- the root's scenes ---- */

static yoke_error *child_fails(yoke_actors *actors)
{
    return one(actors, "left", "err:fail");
}

static yoke_error *root_fails(yoke_actors *actors)
{
    return fail_in(42);
}

static yoke_error *levels(yoke_actors *actors)
{
    return one(actors, "left", "err:middle");
}

static yoke_error *pauses(yoke_actors *actors)
{
    return one(actors, "left", "err:stop");
}

static yoke_error *by_hand(yoke_actors *actors)
{
    return one(actors, "left", "err:autopsy");
}

static yoke_error *by_hand_cancelled(yoke_actors *actors)
{
    return one(actors, "left", "err:autopsy_when_cancelled");
}

/* One context that the root cancels; one that its actor cancels, whose error goes on; and because of that
 * one that ends with a group of cancellations. */
static yoke_error *cancels(yoke_actors *actors)
{
    yoke_context *left = NULL, *right = NULL, *third = NULL;
    yoke_error *e = start(actors, "right", "err:sleep_twice", 0, &right);
    if (!e)
        e = start(actors, "left", "err:sleep_long", 0, &left);
    if (!e)
        e = yoke_context_cancel(left);
    if (left)
        e = yoke_context_close(left, e);
    SAY("root: %s", e ? yoke_error_kind_of(e)->name : "one's own is absorbed");
    if (!e)
        e = start(actors, "third", "err:end_itself", 0, &third);
    if (third)
        e = yoke_context_close(third, e);
    SAY("root: %s", e ? yoke_error_kind_of(e)->name : "no error");
    if (right)
        e = yoke_context_close(right, e);
    return e;
}

static yoke_error *interrupted(yoke_actors *actors)
{
    yoke_context *left;
    YOKE_TRY(start(actors, "left", "err:sleep_long", 0, &left));
    YOKE_TRY(wait_for_sign("interrupt"));
    kill(getpid(), SIGINT);
    return yoke_context_close(left, yoke_sleep(YOKE_S(1000)));
}

/* One in debug mode, one that is not: both fail, the second while the first has the prompt. */
static yoke_error *per_actor(yoke_actors *actors)
{
    yoke_context *debugged = NULL, *plain = NULL;
    yoke_error *e = start(actors, "debugged", "err:fail_at_sign", 1, &debugged);
    if (!e)
        e = start(actors, "plain", "err:fail_at_sign", 0, &plain);
    if (plain)
        e = yoke_context_close(plain, e);
    if (debugged)
        e = yoke_error_join(e, yoke_context_close(debugged, NULL));
    return e;
}

static const struct scene scenes[] = {
    {"child", child_fails},   {"root", root_fails},
    {"levels", levels},       {"pause", pauses},
    {"by_hand", by_hand},     {"by_hand_cancelled", by_hand_cancelled},
    {"cancels", cancels},     {"interrupted", interrupted},
    {"per_actor", per_actor}, {NULL},
};

static yoke_error *app(int argc, char **argv)
{
    return play(scenes, argc, argv);
}

/* ---- a program with a main() of its own ---- */

static yoke_error *with_root(void *arg)
{
    yoke_actors *actors;
    yoke_root_options root = {.debug_mode = true};
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.root = &root}));
    return yoke_actors_close(actors, strcmp(arg, "own_root") ? child_fails(actors) : root_fails(actors));
}

static int run_block(const char *name)
{
    const yoke_error_kind *const broken[] = {&YOKE_NOT_FOUND, &BROKEN}, *const other[] = {&YOKE_NOT_FOUND};
    bool passes = strcmp(name, "own_block_passes") == 0;
    yoke_crash_handler h;
    yoke_crash_handler_open(&h, passes ? other : broken, passes ? 1 : 2);
    yoke_error *e = yoke_crash_handler_close(&h, fail_in(42)); /* the line of the block */
    yoke_error_print(stderr, e);
    yoke_error_free(e);
    return 1;
}

int main(int argc, char **argv)
{
    int status;
    if (yoke_child_main(argc, argv, &status))
        return status;
    if (argc < 2 || strncmp(argv[1], "own", 3) != 0)
        return yoke_main(argc, argv, app);
    if (strncmp(argv[1], "own_block", 9) == 0)
        return run_block(argv[1]);
    yoke_error *e = yoke_run(with_root, argv[1], NULL);
    yoke_error_print(stderr, e);
    status = e != NULL;
    yoke_error_free(e);
    return status;
}
