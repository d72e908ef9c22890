/* Actors cancelled by one that is neither parent nor child, and what everybody concerned sees of it. */
#include "told.h"

#include <signal.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);
YOKE_ERROR_KIND(APP_L, "test.L", NULL);

/* ---- endpoints ---- */

YOKE_RECORD(target, (str, name), (i64, after));
YOKE_RECORD(path, (str, file));
YOKE_RECORD(tick, (u32, n));

/* Ends another actor. */
static yoke_error *end_other(const target *args, yoke_type_boolean *result)
{
    yoke_portal *other;
    YOKE_TRY(yoke_sleep(args->after));
    YOKE_TRY(yoke_wait_for(args->name, &other));
    return yoke_portal_close(other, yoke_portal_cancel_actor(other, YOKE_S(20), result));
}
/* The same as a context, which stays. */
static yoke_error *end_and_stay(yoke_context *ctx, const target *args, yoke_type_none *result)
{
    bool acknowledged;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(end_other(args, &acknowledged));
    return yoke_sleep_forever();
}
static yoke_error *stream_and_sleep(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, yoke_sleep_forever());
}
static yoke_error *stream_on(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = NULL;
    for (uint32_t i = 0; !e; i++) {
        e = yoke_send(stream, &(tick){i});
        if (!e)
            e = yoke_sleep(YOKE_MS(1));
    }
    return yoke_stream_close(stream, e);
}
/* Tells who has the endpoint cancelled, if `e` says that it is. */
static yoke_error *tell_who(yoke_context *ctx, const char *file, yoke_error *e)
{
    char line[200];
    const yoke_uid *by = yoke_context_canceller(ctx);
    if (yoke_error_is_cancelled(e)) {
        snprintf(line, sizeof line, "%s cancelled by %s", yoke_current_actor()->name,
                 by ? by->name : "nobody");
        tell_in(file, line);
    }
    return e;
}
/* Tells that, and takes its time to clean up. */
static yoke_error *stay_and_clean(yoke_context *ctx, const path *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = tell_who(ctx, args->file, yoke_sleep_forever());
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    YOKE_TRY(yoke_scope_close(&shield, yoke_sleep(YOKE_MS(300))));
    return e;
}

/* Tells how a context of this actor's ended, which was closed with `e`. */
static void tell_end(const char *file, const yoke_context *kept, const yoke_error *e)
{
    char line[300];
    const yoke_uid *named = yoke_error_canceller(e);
    snprintf(line, sizeof line, "%s sees %s by %s, called %d, acked %d", yoke_current_actor()->name,
             yoke_error_kind_of(e)->name, named ? named->name : "nobody", yoke_context_cancel_called(kept),
             yoke_context_cancel_acked(kept));
    tell_in(file, line);
}

/* Streams from the sleeper by a context of its own, tells how that ends, and stays. */
static yoke_error *receive_on(yoke_context *ctx)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = NULL;
    for (tick item; !e;)
        e = yoke_recv(stream, &item);
    return yoke_stream_close(stream, yoke_end_is_fine(e)); /* why it ended, the close tells */
}
static yoke_error *stream_from_sleeper(yoke_context *ctx, const path *args, yoke_type_none *result)
{
    yoke_portal *sleeper;
    yoke_context *mine;
    YOKE_TRY(yoke_wait_for("sleeper", &sleeper));
    yoke_error *e = yoke_context_open(sleeper, &mine, "ends:stream_on", NULL, NULL);
    if (e)
        return yoke_portal_close(sleeper, e);
    yoke_context *kept = yoke_context_keep(mine);
    e = yoke_context_started(ctx, NULL);
    e = yoke_context_close(mine, e ? e : receive_on(mine));
    tell_end(args->file, kept, e);
    yoke_context_release(kept);
    yoke_error_free(e);
    YOKE_TRY(yoke_portal_close(sleeper, NULL));
    return yoke_sleep_forever();
}

/* ---- a service that one actor starts for another ---- */

enum after { IS_FINE, FAILS, IS_INTERRUPTED };
YOKE_RECORD(order, (str, file), (boolean, spawn_fails), (i32, then));

static yoke_error *serve(yoke_context *ctx, const path *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return tell_who(ctx, args->file, yoke_sleep_forever());
}
static yoke_error *ping_service(const yoke_type_none *args, yoke_type_none *result)
{
    return NULL;
}
/* Who has it cancelled is told; that it was is no failure here. */
static yoke_error *host_service(struct scene *s)
{
    const char *file = s->arg;
    yoke_context *above = s->ctx, *below;
    YOKE_TRY(yoke_actors_start(s->actors, "service", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    YOKE_TRY(yoke_context_open(s->portal, &below, "ends:serve", &(path){(char *)file}, NULL));
    yoke_context *kept = yoke_context_keep(below);
    yoke_error *e = yoke_context_started(above, NULL);
    if (!e)
        e = yoke_context_result(below, NULL);
    e = yoke_context_close(below, e);
    tell_end(file, kept, e);
    yoke_context_release(kept);
    if (!yoke_error_is(e, &YOKE_CONTEXT_CANCELLED))
        return e;
    yoke_error_free(e);
    return NULL;
}
static yoke_error *spawn_service(yoke_context *ctx, const order *args, yoke_type_none *result)
{
    if (args->spawn_fails) {
        YOKE_TRY(yoke_sleep(YOKE_MS(500)));
        return yoke_raise(&APP_K, "no service today");
    }
    struct scene s = {.ctx = ctx, .arg = (void *)args->file};
    YOKE_TRY(with_actors(&s, NULL, host_service));
    return tell_who(ctx, args->file, yoke_sleep_forever());
}
static yoke_error *use_and_end(yoke_context *spawner, const order *args)
{
    yoke_portal *service;
    YOKE_TRY(yoke_wait_for("service", &service));
    yoke_error *e = yoke_call(service, "ends:ping_service", NULL, NULL);
    bool acknowledged = false;
    if (!e)
        e = yoke_portal_cancel_actor(service, YOKE_S(20), &acknowledged);
    YOKE_TRY(yoke_portal_close(service, e));
    tell_in(args->file, acknowledged ? "client has ended the service" : "client has ended nothing");
    YOKE_TRY(wait_till_told(args->file, "spawner sees"));
    if (args->then == FAILS)
        return yoke_raise(&APP_L, "and then the client failed");
    if (args->then == IS_INTERRUPTED)
        return yoke_sleep_forever();
    return yoke_context_cancel(spawner);
}
static yoke_error *use_service(yoke_context *ctx, const order *args, yoke_type_none *result)
{
    yoke_portal *spawner;
    yoke_context *mine;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_wait_for("spawner", &spawner));
    yoke_error *e = yoke_context_open(spawner, &mine, "ends:spawn_service", args, NULL);
    if (!e)
        e = yoke_context_close(mine, use_and_end(mine, args));
    return tell_who(ctx, args->file, yoke_portal_close(spawner, e));
}

YOKE_MODULE(ends, YOKE_CALL(end_other, target, boolean), YOKE_CONTEXT(end_and_stay, target, none, none),
            YOKE_CONTEXT_STREAM(stream_and_sleep, none, none, none, tick, tick),
            YOKE_CONTEXT_STREAM(stream_on, none, none, none, none, tick),
            YOKE_CONTEXT(stay_and_clean, path, none, none),
            YOKE_CONTEXT(stream_from_sleeper, path, none, none), YOKE_CONTEXT(serve, path, none, none),
            YOKE_CALL(ping_service, none, none), YOKE_CONTEXT(spawn_service, order, none, none),
            YOKE_CONTEXT(use_service, order, none, none));

static yoke_error *start(struct scene *s, const char *name, yoke_portal **portal)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "tree ends"}, portal);
}

static bool is_named(const yoke_uid *uid, const char *name)
{
    return uid && strcmp(uid->name, name) == 0;
}

/* ---- an idle one ---- */

static yoke_error *third_ends_it(struct scene *s)
{
    yoke_portal *canceller, *victim;
    bool acknowledged = false;
    YOKE_TRY(start(s, "canceller", &canceller));
    YOKE_TRY(start(s, "victim", &victim));
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_call(canceller, "ends:end_other", &(target){"victim", 0}, &acknowledged));
    while (yoke_actors_count(s->actors) == 2)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(acknowledged && tree_ms_since(begin) < 500 * TREE_SLOW);
    return yoke_call(canceller, "tree:ping", NULL, NULL); /* the nursery goes on, and closes in peace */
}
static yoke_error *third_ends_it_app(void *arg)
{
    struct scene s = {0};
    return with_actors(&s, NULL, third_ends_it);
}
static void test_canc_03_cancel_from_a_peer(void **state)
{
    static char text[1 << 16];
    char before[256];
    snprintf(before, sizeof before, "%s", yoke_log_filter());
    assert_null(yoke_log_set("cancel"));
    int status = tree_status(third_ends_it_app, NULL, text, sizeof text);
    assert_null(yoke_log_set(before));
    if (status)
        fputs(text, stderr);
    assert_int_equal(status, 0);
    assert_non_null(strstr(text, "ends: actor `canceller` asked for it")); /* as its nursery sees it */
    assert_null(strstr(text, "SIG"));
}

/* ---- under a context ---- */

static yoke_error *sleep_long(struct scene *s)
{
    return yoke_sleep_forever();
}
static yoke_error *end_worker(void *canceller)
{
    bool acknowledged;
    return yoke_call(canceller, "ends:end_other", &(target){"worker", YOKE_MS(20)}, &acknowledged);
}
static yoke_error *third_ends_the_far_side(struct scene *s)
{
    yoke_portal *canceller;
    yoke_nursery n;
    YOKE_TRY(start(s, "canceller", &canceller));
    YOKE_TRY(start(s, "worker", &s->portal));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, end_worker, canceller);
    if (e)
        return yoke_nursery_close(&n, e);
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:stream_and_sleep", NULL, NULL));
    yoke_context *kept = yoke_context_keep(s->ctx);
    e = yoke_context_close(s->ctx, sleep_long(s));
    bool fits = yoke_error_is(e, &YOKE_CONTEXT_CANCELLED) && is_named(yoke_error_canceller(e), "canceller") &&
                yoke_uid_equal(yoke_error_canceller(e), yoke_portal_peer(canceller)) &&
                yoke_uid_equal(yoke_context_canceller(kept), yoke_portal_peer(s->portal)) &&
                !yoke_context_cancel_called(kept) && !yoke_context_cancel_acked(kept);
    yoke_context_release(kept);
    yoke_error_free(e);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(fits);
    return NULL;
}
static void test_ctx_26_actor_cancelled_by_somebody_else(void **state)
{
    assert_success(tree_with_actors(third_ends_the_far_side, NULL));
}

struct both {
    bool third_first;
    yoke_portal *canceller;
};
/* Both ask while the far task still cleans up after the first of them. */
static yoke_error *both_cancel(struct scene *s)
{
    const struct both *b = s->arg;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = b->third_first ? yoke_spawn(&n, end_worker, b->canceller) : NULL;
    if (!e && b->third_first)
        e = wait_till_told(told, "cancelled by canceller");
    if (!e && !b->third_first)
        e = yoke_spawn(&n, end_worker, b->canceller);
    if (!e)
        e = yoke_context_cancel(s->ctx);
    return yoke_nursery_close(&n, e);
}
static yoke_error *open_for_both(struct scene *s)
{
    struct both *b = s->arg;
    YOKE_TRY(start(s, "canceller", &b->canceller));
    YOKE_TRY(start(s, "worker", &s->portal));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "ends:stay_and_clean", &(path){told}, NULL));
    yoke_context *kept = yoke_context_keep(s->ctx);
    yoke_error *e = yoke_context_close(s->ctx, both_cancel(s));
    bool called = yoke_context_cancel_called(kept), acked = yoke_context_cancel_acked(kept);
    bool named =
        is_named(yoke_error_canceller(yoke_context_outcome(kept)), b->third_first ? "canceller" : "root");
    yoke_context_release(kept);
    if (b->third_first)
        EXPECT(e, &YOKE_CONTEXT_CANCELLED, "canceller");
    else
        YOKE_TRY(e); /* absorbed */
    CHECK(called && named && acked == !b->third_first);
    return NULL;
}
static void test_ctx_27_with_the_own_cancel_in_flight(void **state)
{
    for (int third_first = 0; third_first < 2; third_first++) {
        struct both b = {.third_first = third_first};
        told_begin();
        yoke_error *e = tree_with_actors(open_for_both, &b);
        assert_string_equal(told_end(),
                            third_first ? "worker cancelled by canceller\n" : "worker cancelled by root\n");
        assert_success(e);
    }
}

/* ---- the full scene ---- */

struct parties {
    bool fails; /* the root, while it handles what it hears of the sleeper */
    yoke_portal *sleeper, *just_caller, *canceller;
    yoke_context *of_sleeper, *of_just_caller, *of_canceller; /* kept */
    bool others_untouched;
};
/* Shielded: the sleeper's end interrupts this body. */
static yoke_error *wait_for_just_caller(void)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    return yoke_scope_close(&shield, wait_till_told(told, "just_caller sees"));
}
static yoke_error *hear_of_sleeper(struct parties *p)
{
    yoke_error *e = yoke_context_result(p->of_sleeper, NULL);
    CHECK(yoke_error_is(e, &YOKE_CONTEXT_CANCELLED) && is_named(yoke_error_canceller(e), "canceller"));
    p->others_untouched =
        !yoke_context_canceller(p->of_just_caller) && !yoke_context_canceller(p->of_canceller);
    YOKE_TRY(wait_for_just_caller());
    if (!p->fails)
        return e;
    yoke_error_free(e);
    return yoke_raise(&APP_K, "while handling that");
}
static yoke_error *with_canceller(struct parties *p)
{
    yoke_context *ctx;
    YOKE_TRY(
        yoke_context_open(p->canceller, &ctx, "ends:end_and_stay", &(target){"sleeper", YOKE_MS(100)}, NULL));
    p->of_canceller = yoke_context_keep(ctx);
    return yoke_context_close(ctx, hear_of_sleeper(p));
}
static yoke_error *with_just_caller(struct parties *p)
{
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(p->just_caller, &ctx, "ends:stream_from_sleeper", &(path){told}, NULL));
    p->of_just_caller = yoke_context_keep(ctx);
    return yoke_context_close(ctx, with_canceller(p));
}
static yoke_error *with_sleeper(struct parties *p)
{
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(p->sleeper, &ctx, "ends:stream_and_sleep", NULL, NULL));
    p->of_sleeper = yoke_context_keep(ctx);
    return yoke_context_close(ctx, with_just_caller(p));
}
static yoke_error *check_parties(const struct parties *p)
{
    const yoke_error *sleeper = yoke_context_outcome(p->of_sleeper);
    CHECK(p->others_untouched);
    CHECK(yoke_error_is(sleeper, &YOKE_CONTEXT_CANCELLED) &&
          is_named(yoke_error_canceller(sleeper), "canceller"));
    CHECK(is_named(yoke_context_canceller(p->of_sleeper), "sleeper"));
    CHECK(yoke_context_cancel_called(p->of_sleeper) == p->fails && !yoke_context_cancel_acked(p->of_sleeper));
    /* The other two were well: the root, which goes, has cancelled them. */
    const yoke_context *others[] = {p->of_just_caller, p->of_canceller};
    for (int i = 0; i < 2; i++) {
        CHECK(yoke_context_cancel_called(others[i]) && yoke_context_cancel_acked(others[i]));
        CHECK(is_named(yoke_error_canceller(yoke_context_outcome(others[i])), "root"));
    }
    return NULL;
}
static yoke_error *full_scene(struct scene *s)
{
    struct parties *p = s->arg;
    YOKE_TRY(start(s, "sleeper", &p->sleeper));
    YOKE_TRY(start(s, "just_caller", &p->just_caller));
    YOKE_TRY(start(s, "canceller", &p->canceller));
    yoke_error *e = with_sleeper(p);
    bool is_error = p->fails ? yoke_error_is(e, &APP_K)
                             : yoke_error_is(e, &YOKE_CONTEXT_CANCELLED) &&
                                   is_named(yoke_error_canceller(e), "canceller");
    if (!is_error)
        return yoke_wrap(e, &CHECK_FAILED, "what came out of the three closes");
    yoke_error_free(e);
    e = check_parties(p);
    yoke_context_release(p->of_sleeper);
    yoke_context_release(p->of_just_caller);
    yoke_context_release(p->of_canceller);
    return e;
}
static void test_canc_17_peer_canceller(void **state)
{
    for (int fails = 0; fails < 2; fails++) {
        struct parties p = {.fails = fails};
        told_begin();
        yoke_error *e = tree_with_actors(full_scene, &p);
        assert_string_equal(told_end(),
                            "just_caller sees yoke.ContextCancelled by canceller, called 0, acked 0\n");
        assert_success(e);
    }
}

/* ---- a service started for a peer ---- */

static yoke_error *end_of_client(struct scene *s)
{
    const order *o = s->arg;
    if (o->then != IS_INTERRUPTED || o->spawn_fails)
        return yoke_context_result(s->ctx, NULL);
    YOKE_TRY(wait_till_told(told, "client has ended the service"));
    YOKE_TRY(wait_till_told(told, "spawner sees"));
    return yoke_context_cancel(s->ctx);
}
static yoke_error *service_for_a_client(struct scene *s)
{
    yoke_portal *spawner;
    const order *o = s->arg;
    YOKE_TRY(start(s, "spawner", &spawner));
    YOKE_TRY(start(s, "client", &s->portal));
    yoke_error *e = with_context(s, "ends:use_service", o, end_of_client);
    if (o->spawn_fails)
        EXPECT(e, &YOKE_REMOTE, "no service today");
    else if (o->then == FAILS)
        EXPECT(e, &YOKE_REMOTE, "and then the client failed");
    else
        YOKE_TRY(e);
    return yoke_call(spawner, "tree:ping", NULL, NULL); /* it stays up */
}
static void test_canc_18_service_for_a_peer(void **state)
{
    for (int i = 0; i < 6; i++) {
        order o = {told, i % 2, i / 2};
        told_begin();
        yoke_error *e = tree_with_actors(service_for_a_client, &o);
        const char *text = told_end();
        if (o.spawn_fails) {
            assert_string_equal(text, "");
        } else {
            assert_non_null(strstr(text, "client has ended the service\n"));
            assert_non_null(strstr(text, "service cancelled by client\n"));
            assert_non_null(
                strstr(text, "spawner sees yoke.ContextCancelled by client, called 0, acked 0\n"));
            assert_non_null(strstr(text, o.then == IS_INTERRUPTED ? "spawner cancelled by root\n"
                                                                  : "spawner cancelled by client\n"));
            assert_int_equal(strstr(text, "client cancelled by root\n") != NULL, o.then == IS_INTERRUPTED);
        }
        assert_success(e);
    }
}

TREE_MAIN(TEST(test_canc_03_cancel_from_a_peer), TEST(test_ctx_26_actor_cancelled_by_somebody_else),
          TEST(test_ctx_27_with_the_own_cancel_in_flight), TEST(test_canc_17_peer_canceller),
          TEST(test_canc_18_service_for_a_peer))
