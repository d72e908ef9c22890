/*
 * A tree for test_signals.py and test_reap.py: the root, `middles` below it, `leaves` below each, or below
 * the root itself when there are no middles.
 *
 *     reap_tree MIDDLES LEAVES TEMPER [BODY [STATUS]]
 *
 * Says `up` on stdout when all of it works, and `NAME cleans up` for each task that was cancelled gracefully.
 *
 * TEMPER is what leaves do. sleep; slow: takes 0.2 s to end; shield: ends for no request; spin: comes to no
 * checkpoint; deaf: spins and ignores SIGTERM; fork: has started a `sleep`; linger: stays for 20 s when it is
 * cancelled; lord: the middles are deaf.
 *
 * BODY is what the root does. sleep; spin; nursery: the actor nursery is another task's; start: starts and
 * ends actors without end; startN: N of them; cancel: ends the leaves after 50 ms; fail; end; write: to
 * stdout.
 *
 * STATUS: of yoke_exit_status, or after an `s` of yoke_exit_status_of_signal.
 * REAP_BOUNDS=ACKNOWLEDGE_MS,KILL_MS: of all nurseries.
 */
#include <yoke.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CHILDREN = 16 };

YOKE_ERROR_KIND(REAP_FAILED, "test.Failed", NULL);

YOKE_RECORD(order, (u32, leaves), (str, temper));

/* One write, whole lines: others write to the same file. */
static void say(const char *what)
{
    char line[128];
    int size = snprintf(line, sizeof line, "%s %s\n", yoke_current_actor()->name, what);
    if (write(STDOUT_FILENO, line, (size_t)size) < 0)
        abort();
}

/* ---- tempers ---- */

static void spin(void)
{
    for (volatile bool on = true; on;)
        ;
}

static yoke_error *stay_shielded(int64_t ns)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    return yoke_scope_close(&shield, yoke_sleep(ns));
}

static yoke_error *fork_sleeper(void)
{
    pid_t pid = fork();
    if (pid < 0)
        return yoke_raise_errno(errno, "fork");
    if (pid > 0)
        return NULL;
    execlp("sleep", "sleep", "1000", (char *)NULL);
    _exit(127);
}

static yoke_error *rest(const char *temper)
{
    if (strcmp(temper, "deaf") == 0)
        signal(SIGTERM, SIG_IGN);
    if (strcmp(temper, "deaf") == 0 || strcmp(temper, "spin") == 0)
        spin();
    if (strcmp(temper, "shield") == 0)
        return stay_shielded(YOKE_S(1000));
    if (strcmp(temper, "fork") == 0)
        YOKE_TRY(fork_sleeper());
    yoke_error *e = yoke_sleep_forever();
    if (strcmp(temper, "slow") == 0)
        e = yoke_error_join(e, stay_shielded(YOKE_MS(200)));
    if (strcmp(temper, "linger") == 0)
        e = yoke_error_join(e, stay_shielded(YOKE_S(20)));
    say("cleans up");
    return e;
}

static yoke_error *stay(yoke_context *ctx, const order *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    if (strcmp(args->temper, "spin") == 0 || strcmp(args->temper, "deaf") == 0)
        YOKE_TRY(yoke_sleep(YOKE_MS(5))); /* till that has left */
    return rest(args->temper);
}

static yoke_error *lead(yoke_context *ctx, const order *args, yoke_type_none *result);

YOKE_MODULE(reap, YOKE_CONTEXT(stay, order, none, none), YOKE_CONTEXT(lead, order, none, none));

/* ---- a level ---- */

struct level {
    yoke_actors *actors;
    const char *name, *endpoint;
    uint32_t count;
    order order;
    yoke_context *contexts[MAX_CHILDREN];
    yoke_error *(*body)(struct level *level, void *arg);
    void *arg;
};

static yoke_error *bounds(yoke_actors_options *o)
{
    const char *text = getenv("REAP_BOUNDS");
    int acknowledge, kill_ms;
    if (!text)
        return NULL;
    if (sscanf(text, "%d,%d", &acknowledge, &kill_ms) != 2)
        return yoke_raise(&YOKE_USAGE, "REAP_BOUNDS");
    o->acknowledge_bound = YOKE_MS(acknowledge);
    o->kill_bound = YOKE_MS(kill_ms);
    return NULL;
}

/* Child after child, each with a context, and inside of all of them the body. */
static yoke_error *with_child(struct level *l, uint32_t index)
{
    if (index == l->count)
        return l->body(l, l->arg);
    char name[48];
    yoke_portal *portal;
    snprintf(name, sizeof name, "%s-%u", l->name, index);
    YOKE_TRY(yoke_actors_start(l->actors, name, &(yoke_actor_options){.modules = "reap"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &l->contexts[index], l->endpoint, &l->order, NULL));
    yoke_error *e = with_child(l, index + 1);
    if (!e)
        e = yoke_context_cancel(l->contexts[index]);
    return yoke_context_close(l->contexts[index], e);
}

static yoke_error *with_level(struct level *l)
{
    yoke_actors_options options = {.backend = YOKE_BACKEND_DEFAULT};
    YOKE_TRY(bounds(&options));
    YOKE_TRY(yoke_actors_open(&l->actors, &options));
    yoke_error *e = with_child(l, 0);
    if (!e)
        e = yoke_actors_cancel(l->actors);
    return yoke_actors_close(l->actors, e);
}

/* ---- a middle ---- */

static yoke_error *lead_on(struct level *l, void *ctx)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    if (strcmp(l->order.temper, "lord") != 0)
        return rest("sleep");
    YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    return rest("deaf");
}

static yoke_error *lead(yoke_context *ctx, const order *args, yoke_type_none *result)
{
    struct level leaves = {.name = "leaf",
                           .endpoint = "reap:stay",
                           .count = args->leaves,
                           .order = *args,
                           .body = lead_on,
                           .arg = ctx};
    return with_level(&leaves);
}

/* ---- the root ---- */

static yoke_error *start_and_end(struct level *l, unsigned most)
{
    for (unsigned i = 0; !most || i < most; i++) {
        char name[32];
        yoke_portal *portal;
        snprintf(name, sizeof name, "short-%u", i);
        YOKE_TRY(yoke_actors_start(l->actors, name, &(yoke_actor_options){.modules = "reap"}, &portal));
        YOKE_TRY(yoke_portal_cancel_actor(portal, 0, NULL));
    }
    return NULL;
}

static yoke_error *write_without_end(void)
{
    for (;;) {
        printf("a line\n");
        fflush(stdout);
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
}

static yoke_error *work(struct level *l, void *body)
{
    say("up");
    if (strcmp(body, "end") == 0)
        return NULL;
    if (strcmp(body, "fail") == 0)
        return yoke_raise(&REAP_FAILED, "the root fails");
    if (strcmp(body, "cancel") == 0)
        return yoke_sleep(YOKE_MS(50));
    if (strncmp(body, "start", 5) == 0)
        return start_and_end(l, (unsigned)atoi((const char *)body + 5));
    if (strcmp(body, "write") == 0)
        return write_without_end();
    return rest(strcmp(body, "spin") == 0 ? "spin" : "sleep");
}

static yoke_error *level_task(void *level)
{
    return with_level(level);
}

static yoke_error *in_a_nursery(struct level *l)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return yoke_nursery_close(&n, yoke_spawn(&n, level_task, l));
}

static yoke_error *app(int argc, char **argv)
{
    if (argc < 4 || argc > 6)
        return yoke_raise(&YOKE_USAGE, "reap_tree MIDDLES LEAVES TEMPER [BODY [STATUS]]");
    uint32_t middles = (uint32_t)strtoul(argv[1], NULL, 10), leaves = (uint32_t)strtoul(argv[2], NULL, 10);
    const char *body = argc > 4 ? argv[4] : "sleep", *status = argc > 5 ? argv[5] : "0";
    if (*status == 's')
        yoke_exit_status_of_signal(atoi(status + 1));
    else
        yoke_exit_status(atoi(status));
    struct level top = {.name = middles ? "middle" : "leaf",
                        .endpoint = middles ? "reap:lead" : "reap:stay",
                        .count = middles ? middles : leaves,
                        .order = {leaves, argv[3]},
                        .body = work,
                        .arg = (void *)body};
    return strcmp(body, "nursery") == 0 ? in_a_nursery(&top) : with_level(&top);
}
YOKE_MAIN(app)
