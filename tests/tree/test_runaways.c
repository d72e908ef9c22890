/*
 * Actors whose peers are killed, and which live on: they do nothing then but wait. A wake-up that comes again
 * and again, or an end of file that is polled for ever, would show as time of the processor.
 *
 * A round has SURVIVORS actors, and below the root too a victim for each of them and each kind of dialog. All
 * victims are killed at once; what was broken by that stays open while the time is measured.
 */
#include "tree.h"

#include <signal.h>
#include <time.h>

enum kind { IDLE_PORTAL, IN_A_CALL, AT_A_STREAM, AT_A_ONE_WAY_STREAM, CALLED_BACK, KINDS };
enum { SURVIVORS = 10, VICTIMS = SURVIVORS * KINDS, ROUNDS = 4 }; /* 200 kills */
enum { SETTLE_MS = 300, MEASURED_MS = 1000, MOST_PERCENT = 5 };

YOKE_RECORD(place, (u32, kind), (str, name));

/* ---- what victims serve ---- */

static yoke_error *nap(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_sleep_forever();
}
static yoke_error *say_nothing(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, yoke_sleep_forever());
}
static yoke_error *say_nothing_one_way(yoke_stream *stream, const yoke_type_none *args)
{
    return yoke_sleep_forever();
}
static yoke_error *call_back(const place *args, yoke_type_none *result)
{
    yoke_portal *p;
    YOKE_TRY(yoke_wait_for(args->name, &p));
    return yoke_portal_close(p, yoke_call(p, "runaways:nap", NULL, NULL));
}

/* ---- what survivors do ---- */

static uint32_t attached;

/* On as if it did not matter; `e` is the loss. */
static yoke_error *stay(yoke_error *e)
{
    yoke_error_free(e);
    return yoke_sleep_forever();
}

/* The loss cancels what is in the context: it is left broken as long as is measured. */
static yoke_error *stay_at(yoke_stream *stream)
{
    uint32_t item;
    yoke_scope shield;
    yoke_error *loss = yoke_recv(stream, &item);
    yoke_error *e = yoke_scope_open_with(
        &shield, &(yoke_scope_options){.after = YOKE_MS(SETTLE_MS + MEASURED_MS + 200), .shield = true});
    if (!e)
        e = yoke_scope_close(&shield, yoke_sleep_forever());
    return yoke_stream_close(stream, yoke_error_join(loss, e));
}

static yoke_error *stay_in_context(yoke_portal *p)
{
    yoke_context *ctx;
    yoke_stream *stream;
    YOKE_TRY(yoke_context_open(p, &ctx, "runaways:say_nothing", NULL, NULL));
    yoke_error *e = yoke_stream_open(ctx, &stream, NULL);
    attached++;
    return yoke_context_close(ctx, e ? e : stay_at(stream));
}

static yoke_error *stay_one_way(yoke_portal *p)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_portal_stream_open(p, &stream, "runaways:say_nothing_one_way", NULL, NULL));
    attached++;
    return stay_at(stream);
}

static yoke_error *stay_with(yoke_portal *p, enum kind kind)
{
    if (kind == AT_A_STREAM)
        return stay_in_context(p);
    if (kind == AT_A_ONE_WAY_STREAM)
        return stay_one_way(p);
    attached++;
    if (kind == IN_A_CALL)
        return yoke_call(p, "runaways:nap", NULL, NULL);
    if (kind == CALLED_BACK)
        return yoke_call(p, "runaways:call_back", &(place){0, yoke_current_actor()->name}, NULL);
    return yoke_sleep_forever();
}

static yoke_error *attach(yoke_context *ctx, const place *args, yoke_type_none *result)
{
    yoke_portal *p;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_wait_for(args->name, &p));
    return yoke_portal_close(p, stay(stay_with(p, (enum kind)args->kind)));
}

static yoke_error *count_attached(const yoke_type_none *args, yoke_type_u32 *result)
{
    *result = attached;
    return NULL;
}

YOKE_MODULE(runaways, YOKE_CALL(nap, none, none),
            YOKE_CONTEXT_STREAM(say_nothing, none, none, none, u32, u32),
            YOKE_STREAM(say_nothing_one_way, none, u32), YOKE_CALL(call_back, place, none),
            YOKE_CONTEXT(attach, place, none, none), YOKE_CALL(count_attached, none, u32));

/* ---- the root ---- */

static struct round {
    yoke_actors *actors;
    yoke_portal *survivors[SURVIVORS];
    pid_t victims[VICTIMS];
    int dead;
    yoke_event measured;
} now;

static yoke_error *start_in_round(yoke_actors *actors, const char *name, yoke_portal **p)
{
    return yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "runaways"}, p);
}

/* In a nursery of its own, since its death is to be nobody else's. */
static yoke_error *live_and_die(int i, const char *name)
{
    yoke_actors *actors;
    yoke_portal *p;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e = start_in_round(actors, name, &p);
    if (!e) {
        now.victims[i] = yoke_portal_pid(p);
        e = yoke_sleep_forever();
    }
    EXPECT(yoke_actors_close(actors, e), &YOKE_ACTOR_DIED, "SIGKILL");
    now.dead++;
    return yoke_event_wait(&now.measured);
}

static yoke_error *victim(void *arg)
{
    int i = *(int *)arg;
    char name[32];
    yoke_context *ctx;
    snprintf(name, sizeof name, "victim-%d", i);
    place args = {(uint32_t)(i % KINDS), name};
    YOKE_TRY(yoke_context_open(now.survivors[i / KINDS], &ctx, "runaways:attach", &args, NULL));
    yoke_error *e = live_and_die(i, name);
    return yoke_context_close(ctx, e ? e : yoke_context_cancel(ctx));
}

static yoke_error *wait_attached(void)
{
    for (int i = 0; i < SURVIVORS;) {
        uint32_t count;
        YOKE_TRY(yoke_call(now.survivors[i], "runaways:count_attached", NULL, &count));
        i += count == KINDS;
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
    return yoke_sleep(YOKE_MS(20)); /* till what they say last has been heard */
}

/* A machine that is busy may still be at work with the deaths; a runaway does not get better. */
enum { TRIES = 5 };

/* The time that process `pid` has used, all its threads. */
static int64_t processor_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec t = {0, 0};
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t) < 0)
        return -1;
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static yoke_error *measure_once(void)
{
    pid_t pids[SURVIVORS + 1] = {getpid()};
    int64_t before[SURVIVORS + 1], begin = yoke_now();
    for (int i = 0; i < SURVIVORS; i++)
        pids[i + 1] = yoke_portal_pid(now.survivors[i]);
    for (int i = 0; i <= SURVIVORS; i++)
        before[i] = processor_ns(pids[i]);
    YOKE_TRY(yoke_sleep(YOKE_MS(MEASURED_MS)));
    int64_t all = yoke_now() - begin;
    for (int i = 0; i <= SURVIVORS; i++) {
        int64_t used = processor_ns(pids[i]) - before[i];
        if (before[i] < 0 || used < 0 || used * 100 > MOST_PERCENT * all)
            return yoke_raise(&CHECK_FAILED, "process %d, number %d, has used %lld us of %lld", (int)pids[i],
                              i, (long long)used / 1000, (long long)all / 1000);
    }
    return NULL;
}

static yoke_error *measure(void)
{
    yoke_error *e = measure_once();
    for (int i = 1; i < TRIES && yoke_error_is(e, &CHECK_FAILED); i++) {
        yoke_error_free(e);
        e = measure_once();
    }
    return e;
}

static yoke_error *kill_all_and_measure(void)
{
    YOKE_TRY(wait_attached());
    for (int i = 0; i < VICTIMS; i++)
        CHECK(now.victims[i] > 0 && kill(now.victims[i], SIGKILL) == 0);
    while (now.dead < VICTIMS)
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    YOKE_TRY(yoke_sleep(YOKE_MS(SETTLE_MS)));
    YOKE_TRY(measure());
    for (int i = 0; i < SURVIVORS; i++) /* they are the same as before */
        YOKE_TRY(yoke_call(now.survivors[i], "tree:ping", NULL, NULL));
    yoke_event_set(&now.measured);
    return NULL;
}

static yoke_error *play_round(struct scene *s)
{
    yoke_nursery n;
    now = (struct round){.actors = s->actors};
    yoke_event_init(&now.measured);
    for (int i = 0; i < SURVIVORS; i++) {
        char name[32];
        snprintf(name, sizeof name, "survivor-%d", i);
        YOKE_TRY(yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "runaways,tree"},
                                   &now.survivors[i]));
    }
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < VICTIMS && !e; i++)
        e = yoke_spawn_value(&n, victim, &i, sizeof i);
    return yoke_nursery_close_flat(&n, e ? e : kill_all_and_measure());
}

/* REAP-26; that no process is left at all is looked at after this as after each test of a tree. */
static void test_reap_26_no_runaways(void **state)
{
    for (int i = 0; i < ROUNDS; i++)
        assert_success(tree_with_actors(play_round, NULL));
}

TREE_MAIN(TEST(test_reap_26_no_runaways))
