/* What test_deadline_tree.py runs in a terminal: trees in which times pass, or stand still, while somebody is
 * at the debugger's prompt; and roots that fail early. */
#include "debug_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

YOKE_ERROR_KIND(BROKEN, "test.Broken", NULL);

/* LIMIT_MS: how long the scene's deadlines are. */
static int64_t limit(void)
{
    return YOKE_MS(atoi(getenv("LIMIT_MS")));
}

static int64_t real_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return YOKE_S(ts.tv_sec) + ts.tv_nsec;
}

/* The test sees it without a word in the terminal. */
static void leave_word(const char *what)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s-%s", getenv("SIGNS"), my_name(), what);
    FILE *f = fopen(path, "w");
    if (f)
        fclose(f);
}

/* ---- times that pass ---- */

struct span {
    int64_t run, real;
};

static struct span span_begin(void)
{
    return (struct span){yoke_now(), real_now()};
}

static void span_tell(struct span begun, const char *what)
{
    SAY("%s: %s after %lld ms, really %lld ms", my_name(), what,
        (long long)((yoke_now() - begun.run) / YOKE_MS(1)),
        (long long)((real_now() - begun.real) / YOKE_MS(1)));
    leave_word(what);
}

static yoke_error *sleep_a_while(void *arg)
{
    struct span begun = span_begin();
    YOKE_TRY(yoke_sleep(limit()));
    span_tell(begun, "sleep");
    return NULL;
}

static yoke_error *wait_for_deadline(void *arg)
{
    struct span begun = span_begin();
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, limit()));
    YOKE_TRY(yoke_scope_close(&s, yoke_sleep_forever()));
    span_tell(begun, "deadline");
    return NULL;
}

static yoke_error *begin_limits(yoke_nursery *n)
{
    YOKE_TRY(yoke_spawn(n, sleep_a_while, NULL));
    YOKE_TRY(yoke_spawn(n, wait_for_deadline, NULL));
    return yoke_cancel_shielded_checkpoint(); /* they have begun */
}

static yoke_error *begin_and_say(yoke_context *ctx, yoke_nursery *n)
{
    YOKE_TRY(begin_limits(n));
    YOKE_TRY(yoke_cancel_shielded_checkpoint());
    leave_word("begun");
    return yoke_context_started(ctx, NULL);
}

/* What an end takes that is not cut short: time, too. */
static yoke_error *clean_up(yoke_error *e)
{
    yoke_scope shield;
    if (!yoke_error_is_cancelled(e))
        return e;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *slept = yoke_scope_close(&shield, yoke_sleep(YOKE_MS(20)));
    if (!slept)
        leave_word("cleaned");
    return yoke_error_join(e, slept);
}

static yoke_error *limits(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return clean_up(yoke_nursery_close(&n, begin_and_say(ctx, &n)));
}

/* ---- who stops ---- */

/* Its own deadline is set before, and has not passed by the time that it stood. */
static yoke_error *pause_in_time(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_scope s;
    struct span begun = span_begin();
    YOKE_TRY(yoke_move_on_after(&s, limit()));
    yoke_error *e = yoke_context_started(ctx, NULL);
    if (!e)
        e = wait_for_sign("go");
    if (!e)
        e = yoke_pause();
    if (yoke_error_is(e, &YOKE_DEBUGGER_QUIT))
        leave_word("DebuggerQuit");
    if (!e) {
        e = yoke_checkpoint();
        SAY("%s: %s", my_name(), e ? "too late" : "in time");
    }
    YOKE_TRY(yoke_scope_close(&s, e ? e : yoke_sleep_forever()));
    span_tell(begun, "deadline");
    return NULL;
}

static yoke_error *fail(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(wait_for_sign("go"));
    return yoke_raise(&BROKEN, "no luck");
}

static void write_nowhere(void)
{
    static volatile int *volatile nowhere = (volatile int *)0x10; /* of which no sanitizer knows before */
    *nowhere = 1;
}

static yoke_error *crash(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(wait_for_sign("go"));
    write_nowhere();
    return NULL;
}

static yoke_error *pause_then_crash(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    write_nowhere();
    return NULL;
}

/* Does so because it is cancelled: after the deadline of whoever does that. */
static yoke_error *crash_in_cleanup(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = yoke_sleep_forever();
    write_nowhere();
    return e;
}

static yoke_error *fail_in_cleanup(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error_free(yoke_sleep_forever());
    return yoke_raise(&BROKEN, "no luck in the cleanup");
}

static yoke_error *wait(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep_forever();
}

static yoke_error *sleep_long(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_sleep_forever();
}

static yoke_error *middle(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result);
static yoke_error *middle_pauses(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result);
YOKE_MODULE(times, YOKE_CONTEXT(limits, none, none, none), YOKE_CONTEXT(pause_in_time, none, none, none),
            YOKE_CONTEXT(fail, none, none, none), YOKE_CONTEXT(crash, none, none, none),
            YOKE_CONTEXT(pause_then_crash, none, none, none),
            YOKE_CONTEXT(crash_in_cleanup, none, none, none), YOKE_CONTEXT(fail_in_cleanup, none, none, none),
            YOKE_CONTEXT(wait, none, none, none), YOKE_CONTEXT(middle, none, none, none),
            YOKE_CONTEXT(middle_pauses, none, none, none), YOKE_CALL(sleep_long, none, none));

/* ---- a start that comes to a prompt ---- */

static yoke_error *pause_in_open(void)
{
    YOKE_TRY(yoke_pause());
    return getenv("STAY") ? yoke_sleep_forever() : NULL;
}

static yoke_error *nothing(const yoke_type_none *args, yoke_type_none *result)
{
    return NULL;
}
YOKE_MODULE(opens, YOKE_OPEN(pause_in_open), YOKE_CALL(nothing, none, none));

static yoke_error *open_pauses(yoke_actors *actors)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, "left",
                               &(yoke_actor_options){.modules = "opens", .start_bound = limit()}, &portal));
    YOKE_TRY(yoke_call(portal, "opens:nothing", NULL, NULL));
    SAY("root: left has started");
    return yoke_actors_cancel(actors);
}

/* ---- trees ---- */

static yoke_error *start(yoke_actors *actors, const char *name, const char *endpoint, yoke_context **ctx)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "times"}, &portal));
    return yoke_context_open(portal, ctx, endpoint, NULL, NULL);
}

/* One below it, whose times pass; it is there when that has begun. */
static yoke_error *with_below(yoke_context *above, yoke_actors *actors)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "below", "times:limits", &ctx));
    yoke_error *e = yoke_context_close(ctx, yoke_context_started(above, NULL));
    return e ? e : yoke_actors_cancel(actors);
}

static yoke_error *middle(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_below(ctx, actors));
}

/* Stands still itself, above the one whose times pass. */
static yoke_error *pause_above(yoke_context *ctx, yoke_actors *actors)
{
    yoke_context *below;
    YOKE_TRY(start(actors, "below", "times:limits", &below));
    yoke_error *e = yoke_context_started(ctx, NULL);
    if (!e)
        e = wait_for_sign("go");
    e = yoke_context_close(below, e ? e : yoke_pause());
    return e ? e : yoke_actors_cancel(actors);
}

static yoke_error *middle_pauses(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, pause_above(ctx, actors));
}

/* The rest stand in the body of the one before. */
struct part {
    const char *name, *endpoint;
};
static yoke_error *with_parts(yoke_actors *actors, const struct part *p, yoke_error *(*then)(yoke_actors *))
{
    yoke_context *ctx;
    if (!p->name)
        return then(actors);
    YOKE_TRY(start(actors, p->name, p->endpoint, &ctx));
    return yoke_context_close(ctx, with_parts(actors, p + 1, then));
}

static yoke_error *limits_of_root(yoke_actors *actors)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = begin_limits(&n);
    SAY("root: all have begun");
    return yoke_nursery_close(&n, e);
}

static yoke_error *through(yoke_actors *actors, yoke_error *e)
{
    return e ? e : yoke_actors_cancel(actors);
}

static yoke_error *child_pauses(yoke_actors *actors)
{
    static const struct part parts[] = {
        {"right", "times:limits"}, {"middle", "times:middle"}, {"left", "times:pause_in_time"}, {NULL}};
    return through(actors, with_parts(actors, parts, limits_of_root));
}

static yoke_error *parent_pauses(yoke_actors *actors)
{
    static const struct part parts[] = {{"right", "times:limits"}, {"middle", "times:middle_pauses"}, {NULL}};
    return through(actors, with_parts(actors, parts, limits_of_root));
}

static yoke_error *pause_of_root(yoke_actors *actors)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = begin_limits(&n);
    if (!e)
        e = wait_for_sign("go");
    return yoke_nursery_close(&n, e ? e : yoke_pause());
}

static yoke_error *pause_beside(yoke_actors *actors, yoke_error *(*pauses)(yoke_actors *))
{
    static const struct part parts[] = {{"right", "times:limits"}, {"middle", "times:middle"}, {NULL}};
    return through(actors, with_parts(actors, parts, pauses));
}

static yoke_error *root_pauses(yoke_actors *actors)
{
    return pause_beside(actors, pause_of_root);
}

static yoke_error *pause_and_say(yoke_actors *actors)
{
    YOKE_TRY(wait_for_sign("go"));
    yoke_error *e = yoke_pause();
    leave_word(yoke_error_is(e, &YOKE_DEBUGGER_QUIT) ? "DebuggerQuit" : "goes-on");
    return e ? e : yoke_sleep_forever();
}

static yoke_error *root_pauses_and_says(yoke_actors *actors)
{
    return pause_beside(actors, pause_and_say);
}

static yoke_error *child_crashes_in_a_step(yoke_actors *actors)
{
    static const struct part parts[] = {{"left", "times:pause_then_crash"}, {NULL}};
    return with_parts(actors, parts, limits_of_root);
}

static yoke_error *child_crashes(yoke_actors *actors)
{
    static const struct part parts[] = {
        {"right", "times:limits"}, {"middle", "times:middle"}, {"left", "times:crash"}, {NULL}};
    return with_parts(actors, parts, limits_of_root);
}

/* What the test writes to is heard whatever the clocks do. */
static yoke_error *wait_for_byte(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/more", getenv("SIGNS"));
    int fd = mkfifo(path, 0600) < 0 ? -1 : open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return yoke_raise_errno(errno, "%s", path);
    yoke_error *e = yoke_wait_readable(fd);
    yoke_close(fd);
    return e;
}

static yoke_error *start_late(yoke_actors *actors)
{
    static const struct part parts[] = {{"late", "times:limits"}, {NULL}};
    YOKE_TRY(wait_for_byte());
    return with_parts(actors, parts, limits_of_root);
}

static yoke_error *child_starts_late(yoke_actors *actors)
{
    static const struct part parts[] = {{"left", "times:pause_in_time"}, {NULL}};
    return through(actors, with_parts(actors, parts, start_late));
}

/* ---- a root's timeout, while a child has crashed ---- */

static yoke_error *time_out(yoke_actors *actors)
{
    yoke_scope s;
    YOKE_TRY(yoke_fail_after(&s, limit()));
    yoke_error *e = yoke_scope_close(&s, yoke_sleep_forever());
    leave_word(yoke_error_is(e, &YOKE_TOO_SLOW) ? "timeout" : "no-timeout");
    return e;
}

static yoke_error *time_out_beside(yoke_actors *actors, const char *endpoint)
{
    struct part parts[] = {{"left", endpoint}, {NULL}};
    return with_parts(actors, parts, time_out);
}
static yoke_error *timeout_crash(yoke_actors *actors)
{
    return time_out_beside(actors, "times:crash");
}
static yoke_error *timeout_fail(yoke_actors *actors)
{
    return time_out_beside(actors, "times:fail");
}
static yoke_error *timeout_then_crash(yoke_actors *actors)
{
    return time_out_beside(actors, "times:crash_in_cleanup");
}
static yoke_error *timeout_then_fail(yoke_actors *actors)
{
    return time_out_beside(actors, "times:fail_in_cleanup");
}

/* ---- a root that fails at once ---- */

static yoke_error *fail_here(yoke_actors *actors)
{
    return yoke_raise(&BROKEN, "the root has no luck");
}

/* Its child is there, and has a context. */
static yoke_error *fail_in_context(yoke_actors *actors)
{
    static const struct part parts[] = {{"left", "times:wait"}, {NULL}};
    return with_parts(actors, parts, fail_here);
}

/* Nobody has asked it anything. */
static yoke_error *fail_after_start(yoke_actors *actors)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, "left", &(yoke_actor_options){.modules = "times"}, &portal));
    return fail_here(actors);
}

/* The call is on its way. */
static yoke_error *fail_after_run(yoke_actors *actors)
{
    YOKE_TRY(yoke_actors_run(actors, "left", "times:sleep_long", NULL, NULL));
    return fail_here(actors);
}

struct opening {
    yoke_portal *portal;
};
static yoke_error *open_in_task(void *arg)
{
    struct opening *o = arg;
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(o->portal, &ctx, "times:wait", NULL, NULL));
    return yoke_context_close(ctx, yoke_sleep_forever());
}

/* Its context is about to open. */
static yoke_error *fail_while_opening(yoke_actors *actors)
{
    struct opening o;
    yoke_nursery n;
    YOKE_TRY(yoke_actors_start(actors, "left", &(yoke_actor_options){.modules = "times"}, &o.portal));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, open_in_task, &o);
    if (!e)
        e = yoke_cancel_shielded_checkpoint(); /* the Start is written */
    return yoke_nursery_close_flat(&n, e ? e : fail_here(actors));
}

static const struct scene scenes[] = {
    {"child_pauses", child_pauses},
    {"parent_pauses", parent_pauses},
    {"root_pauses", root_pauses},
    {"root_pauses_and_says", root_pauses_and_says},
    {"child_crashes", child_crashes},
    {"child_crashes_in_a_step", child_crashes_in_a_step},
    {"child_starts_late", child_starts_late},
    {"open_pauses", open_pauses},
    {"timeout_crash", timeout_crash},
    {"timeout_fail", timeout_fail},
    {"timeout_then_crash", timeout_then_crash},
    {"timeout_then_fail", timeout_then_fail},
    {"fail_in_context", fail_in_context},
    {"fail_after_start", fail_after_start},
    {"fail_after_run", fail_after_run},
    {"fail_while_opening", fail_while_opening},
    {NULL},
};

static yoke_error *app(int argc, char **argv)
{
    return play(scenes, argc, argv);
}
YOKE_MAIN(app)
