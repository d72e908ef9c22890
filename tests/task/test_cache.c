/* The keyed cache: opened once, closed by the last, failures and cancellations of either side. */
#include "child.h"
#include "task/task.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);
YOKE_ERROR_KIND(APP_L, "test.L", NULL);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static yoke_cache cache;

static void run(yoke_task_fn fn)
{
    yoke_cache_init(&cache, NULL);
    assert_success(yoke_run(fn, NULL, NULL));
}

/* A resource whose steps the test lets go on, and that counts them. The value is the thing itself. */
struct thing {
    bool wait_open, wait_close; /* till the event of that name */
    yoke_event may_open, may_close;
    int64_t open_takes, close_takes;
    const yoke_error_kind *open_fails, *close_fails;
    yoke_scope *cancels;           /* while it opens */
    yoke_nursery *cancels_nursery; /* the same */
    bool looks;                    /* after that */
    int opens, closes, alive, most_alive;
    bool open_was_cancelled, close_got_cancelled;
    const yoke_error *close_error;
};

static struct thing thing_new(void)
{
    struct thing t = {0};
    return t;
}

static yoke_error *thing_open(void *arg, void **value)
{
    struct thing *t = arg;
    t->opens++;
    if (++t->alive > t->most_alive)
        t->most_alive = t->alive;
    yoke_error *e = t->wait_open ? yoke_event_wait(&t->may_open) : yoke_sleep(t->open_takes);
    if (t->cancels)
        yoke_scope_cancel(t->cancels, "by the resource");
    if (t->cancels_nursery)
        yoke_nursery_cancel(t->cancels_nursery, "by the resource");
    if (!e && t->looks)
        e = yoke_checkpoint();
    t->open_was_cancelled = yoke_error_is_cancelled(e);
    if (!e && t->open_fails)
        e = yoke_raise(t->open_fails, "can't be opened");
    if (e) {
        t->alive--;
        return e;
    }
    *value = t;
    return NULL;
}

static yoke_error *thing_close(void *arg, void *value, yoke_error *e)
{
    struct thing *t = value;
    yoke_scope s;
    t->close_got_cancelled = yoke_error_is_cancelled(e);
    yoke_error *mine = yoke_scope_open_with(&s, &(yoke_scope_options){.shield = true});
    if (!mine) {
        mine = t->wait_close ? yoke_event_wait(&t->may_close) : yoke_sleep(t->close_takes);
        mine = yoke_scope_close(&s, mine);
    }
    t->closes++;
    t->alive--;
    if (t->close_fails)
        mine = yoke_error_join(mine, yoke_raise(t->close_fails, "can't be closed"));
    t->close_error = mine;
    return yoke_error_join(e, mine);
}

static yoke_resource resource_of(struct thing *t)
{
    yoke_event_init(&t->may_open);
    yoke_event_init(&t->may_close);
    return (yoke_resource){.open = thing_open, .close = thing_close, .arg = t};
}

/* A task that uses a resource till it is told to leave. */
struct user {
    const char *key;
    yoke_resource *resource;
    bool hit, opened, closing, done;
    void *value;
    const yoke_error_kind *fails;
    yoke_event leave;
    yoke_scope scope; /* around all that it does */
    yoke_error *outcome;
};

static yoke_error *use_it(struct user *u)
{
    yoke_cached c;
    YOKE_TRY(yoke_cached_open(&c, &cache, u->key, u->key ? strlen(u->key) : 0, u->resource));
    u->hit = c.hit;
    u->value = c.value;
    u->opened = true;
    yoke_error *e = yoke_event_wait(&u->leave);
    if (!e && u->fails)
        e = yoke_raise(u->fails, "the user's");
    u->closing = true;
    return yoke_cached_close(&c, e);
}

static yoke_error *user_run(void *arg)
{
    struct user *u = arg;
    YOKE_TRY(yoke_scope_open(&u->scope));
    u->outcome = use_it(u);
    u->outcome = yoke_scope_close(&u->scope, u->outcome);
    u->done = true;
    return NULL;
}

static yoke_error *start_user(yoke_nursery *n, struct user *u, const char *key, yoke_resource *resource)
{
    *u = (struct user){.key = key, .resource = resource};
    yoke_event_init(&u->leave);
    return yoke_spawn(n, user_run, u);
}

/* ---- opened once ---- */

/* By name, and by equal arguments: then each user's arguments are its own, and copied. */
static yoke_error *opened_once(void *arg)
{
    struct thing t = thing_new();
    t.wait_open = true;
    yoke_resource resource = resource_of(&t);
    struct user users[10];
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 10; i++)
        YOKE_TRY(start_user(&n, &users[i], "one", &resource));
    settle();
    CHECK(t.opens == 1 && !users[0].opened);
    yoke_event_set(&t.may_open);
    settle();
    for (int i = 0; i < 10; i++)
        CHECK(users[i].opened && users[i].value == &t && users[i].hit == (i > 0));
    for (int i = 0; i < 10; i++) {
        CHECK(t.closes == 0);
        yoke_event_set(&users[i].leave);
        settle();
        CHECK(i == 9 || (users[i].done && !users[i].outcome));
    }
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(t.opens == 1 && t.closes == 1 && !t.close_got_cancelled && !users[9].outcome);
    return NULL;
}

struct pair {
    int a, b;
};

static int pairs_open, pairs_opened;

static yoke_error *pair_open(void *arg, void **value)
{
    YOKE_TRY(yoke_checkpoint());
    pairs_open++;
    pairs_opened++;
    *value = arg;
    return NULL;
}

static yoke_error *pair_close(void *arg, void *value, yoke_error *e)
{
    pairs_open--;
    return e;
}

static yoke_error *pair_user(void *arg)
{
    struct pair own = *(struct pair *)arg;
    yoke_resource resource = {.open = pair_open, .close = pair_close, .arg = &own, .arg_bytes = sizeof own};
    yoke_cached c;
    YOKE_TRY(yoke_cached_open(&c, &cache, NULL, 0, &resource));
    struct pair was = own;
    own = (struct pair){0}; /* the resource has a copy */
    YOKE_TRY(yoke_checkpoint());
    struct pair *value = c.value;
    yoke_error *e = yoke_sleep(YOKE_MS(1));
    if (!e && (value == &own || value->a != was.a || value->b != was.b))
        e = yoke_raise(&APP_K, "not its arguments");
    return yoke_cached_close(&c, e);
}

static yoke_error *keyed_by_arguments(void *arg)
{
    yoke_nursery n;
    pairs_open = pairs_opened = 0;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 10; i++)
        YOKE_TRY(yoke_spawn_value(&n, pair_user, (&(struct pair){1, i % 2}), sizeof(struct pair)));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(pairs_opened == 2 && pairs_open == 0);
    return NULL;
}

static void test_mngr_03_keyed_cache(void **state)
{
    run(opened_once);
    run(keyed_by_arguments);
}

/* The one that came first is cancelled in the opening: the others get the value. All are: nobody opens. */
static yoke_error *cancelled_in_the_opening(void *arg)
{
    struct thing t = thing_new();
    t.wait_open = true;
    yoke_resource resource = resource_of(&t);
    struct user a, b, c;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(start_user(&n, &a, "one", &resource));
    YOKE_TRY(start_user(&n, &b, "one", &resource));
    settle();
    yoke_scope_cancel(&a.scope, NULL);
    settle();
    CHECK(a.done && a.scope.caught && !b.opened && t.opens == 1 && !t.open_was_cancelled);
    yoke_event_set(&t.may_open);
    settle();
    CHECK(b.opened && b.hit && b.value == &t);
    yoke_event_set(&b.leave);
    settle();
    CHECK(b.done && !b.outcome && t.closes == 1);

    yoke_event_init(&t.may_open);
    YOKE_TRY(start_user(&n, &a, "one", &resource));
    YOKE_TRY(start_user(&n, &b, "one", &resource));
    settle();
    yoke_scope_cancel(&a.scope, NULL);
    yoke_scope_cancel(&b.scope, NULL);
    settle();
    CHECK(a.done && a.scope.caught && b.done && b.scope.caught && t.open_was_cancelled);
    CHECK(t.alive == 0 && !cache.table);
    /* Before its task has begun. */
    int opens = t.opens;
    YOKE_TRY(start_user(&n, &c, "one", &resource));
    YOKE_TRY(yoke_checkpoint());
    yoke_scope_cancel(&c.scope, NULL);
    settle();
    CHECK(c.done && c.scope.caught && t.opens - opens <= 1 && t.alive == 0 && !cache.table);
    return yoke_nursery_close(&n, NULL);
}

static void test_mngr_03_cancelled_in_the_opening(void **state)
{
    run(cancelled_in_the_opening);
}

static yoke_error *keys_of_two_kinds(void *arg)
{
    struct thing t = thing_new();
    struct pair pair = {1, 2};
    yoke_resource one = resource_of(&t), other = {.open = pair_open, .close = pair_close, .arg = &pair};
    yoke_cached a, b, c;
    YOKE_TRY(yoke_cached_open(&a, &cache, "x", 1, &one));
    YOKE_TRY(yoke_cached_open(&b, &cache, "x", 1, &other));
    CHECK(!b.hit && a.value == &t && b.value == &pair);
    CHECK(was_kind(yoke_cached_open(&b, &cache, "x", 1, &other), &YOKE_USAGE)); /* in use already */
    YOKE_TRY(yoke_cached_open(&c, &cache, "x", 1, &other));
    CHECK(c.hit && c.value == &pair);
    YOKE_TRY(yoke_cached_close(&c, NULL));
    YOKE_TRY(yoke_cached_close(&b, NULL));
    return yoke_cached_close(&a, NULL);
}

static void test_mngr_03_resources_of_two_kinds_share_no_key(void **state)
{
    run(keys_of_two_kinds);
}

static yoke_error *opening_fails(void *arg)
{
    struct thing t = thing_new();
    t.wait_open = true;
    t.open_fails = &APP_K;
    yoke_resource resource = resource_of(&t);
    struct user users[3];
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(start_user(&n, &users[i], "one", &resource));
    settle();
    yoke_event_set(&t.may_open);
    settle();
    for (int i = 0; i < 3; i++)
        CHECK(users[i].done && !users[i].opened && was_kind(users[i].outcome, &APP_K));
    CHECK(t.opens == 1 && t.closes == 0 && !cache.table);
    t.open_fails = NULL;
    YOKE_TRY(start_user(&n, &users[0], "one", &resource));
    settle();
    CHECK(users[0].opened && !users[0].hit && t.opens == 2);
    yoke_event_set(&users[0].leave);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(!users[0].outcome && t.closes == 1);
    return NULL;
}

static void test_mngr_04_opening_fails(void **state)
{
    run(opening_fails);
}

static yoke_error *open_while_closing(void *arg)
{
    struct thing t = thing_new();
    t.wait_close = true;
    yoke_resource resource = resource_of(&t);
    struct user a, b, c;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(start_user(&n, &a, "one", &resource));
    settle();
    yoke_event_set(&a.leave);
    settle();
    CHECK(a.closing && !a.done);
    YOKE_TRY(start_user(&n, &b, "one", &resource));
    YOKE_TRY(start_user(&n, &c, "one", &resource));
    settle();
    CHECK(!b.opened && !c.opened && t.opens == 1);
    yoke_event_set(&t.may_close);
    settle();
    CHECK(a.done && b.opened && !b.hit && c.opened && c.hit && t.opens == 2);
    yoke_event_set(&b.leave);
    yoke_event_set(&c.leave);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(t.closes == 2 && t.most_alive == 1 && !a.outcome && !b.outcome && !c.outcome);
    return NULL;
}

/* The one that waits for the end is cancelled: it leaves, and does not wait. */
static yoke_error *cancelled_while_closing(void *arg)
{
    struct thing t = thing_new();
    t.wait_close = true;
    yoke_resource resource = resource_of(&t);
    struct user a, b;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(start_user(&n, &a, "one", &resource));
    settle();
    yoke_event_set(&a.leave);
    settle();
    YOKE_TRY(start_user(&n, &b, "one", &resource));
    settle();
    yoke_scope_cancel(&b.scope, NULL);
    settle();
    CHECK(b.done && b.scope.caught && !a.done);
    yoke_event_set(&t.may_close);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(a.done && !a.outcome && t.opens == 1 && t.closes == 1);
    return NULL;
}

/* The end comes, and the cancellation, before the one that waits has run: it opens nothing. */
static yoke_error *cancelled_at_the_end(void *arg)
{
    struct thing t = thing_new();
    t.wait_close = true;
    yoke_resource resource = resource_of(&t);
    struct user a, b;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(start_user(&n, &a, "one", &resource));
    settle();
    yoke_event_set(&a.leave);
    settle();
    YOKE_TRY(start_user(&n, &b, "one", &resource));
    settle();
    yoke_event_set(&t.may_close);
    while (cache.table)
        YOKE_TRY(yoke_checkpoint());
    yoke_scope_cancel(&b.scope, NULL);
    settle();
    CHECK(b.done && b.scope.caught && !b.outcome && t.opens == 1);
    return yoke_nursery_close(&n, NULL);
}

static void test_mngr_05_open_while_the_last_one_is_closing(void **state)
{
    run(open_while_closing);
    run(cancelled_while_closing);
    run(cancelled_at_the_end);
}

static yoke_error *errors_of_users(void *arg)
{
    struct thing t = thing_new();
    yoke_resource resource = resource_of(&t);
    struct user users[3];
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 3; i++)
        YOKE_TRY(start_user(&n, &users[i], "one", &resource));
    settle();
    users[0].fails = &APP_K; /* the one that opened */
    yoke_event_set(&users[0].leave);
    yoke_scope_cancel(&users[1].scope, NULL);
    settle();
    CHECK(was_kind(users[0].outcome, &APP_K) && users[1].done && users[1].scope.caught);
    CHECK(t.closes == 0 && !users[2].done);
    users[2].fails = &APP_L;
    yoke_event_set(&users[2].leave);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(was_kind(users[2].outcome, &APP_L) && t.closes == 1 && !t.close_got_cancelled);
    return NULL;
}

static void test_mngr_06_errors_of_one_user(void **state)
{
    run(errors_of_users);
}

/* ---- the resource's own end ---- */

/* A resource with a task of its own, that may break. */
struct engine {
    yoke_nursery n;
    yoke_event breaks;
    bool quietly; /* ends without an error, but can't be used any more */
    int users, users_at_close;
};

static yoke_error *engine_turn(void *arg)
{
    struct engine *m = arg;
    YOKE_TRY(yoke_event_wait(&m->breaks));
    if (!m->quietly)
        return yoke_raise(&APP_K, "the engine broke");
    yoke_nursery_cancel(&m->n, "the engine stopped");
    return NULL;
}

static yoke_error *engine_open(void *arg, void **value)
{
    struct engine *m = arg;
    YOKE_TRY(yoke_nursery_open(&m->n));
    yoke_error *e = yoke_spawn(&m->n, engine_turn, m);
    if (e)
        return yoke_nursery_close(&m->n, e);
    *value = m;
    return NULL;
}

static yoke_error *engine_close(void *arg, void *value, yoke_error *e)
{
    struct engine *m = arg;
    m->users_at_close = m->users;
    yoke_nursery_cancel(&m->n, "its resource is closed");
    return yoke_nursery_close_flat(&m->n, e);
}

/* `arg`: what it got. */
static yoke_error *drive(void *arg)
{
    struct engine *m = arg;
    yoke_resource resource = {.open = engine_open, .close = engine_close, .arg = m, .name = "engine"};
    yoke_cached c;
    YOKE_TRY(yoke_cached_open(&c, &cache, "engine", 6, &resource));
    m->users++;
    yoke_error *e = yoke_sleep_forever();
    /* Some cleanup with the value. */
    for (int i = 0; i < 3; i++)
        yoke_error_free(yoke_cancel_shielded_checkpoint());
    m->users--;
    return yoke_cached_close(&c, e);
}

struct driver {
    struct engine *m;
    yoke_error *outcome;
};

static yoke_error *driver_run(void *arg)
{
    struct driver *d = arg;
    d->outcome = drive(d->m);
    return NULL;
}

static yoke_error *resource_breaks(void *arg)
{
    for (int quietly = 0; quietly < 2; quietly++) {
        struct engine m = {.quietly = quietly};
        yoke_event_init(&m.breaks);
        struct driver drivers[3];
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        for (int i = 0; i < 3; i++) {
            drivers[i].m = &m;
            YOKE_TRY(yoke_spawn(&n, driver_run, &drivers[i]));
        }
        settle();
        CHECK(m.users == 3);
        yoke_event_set(&m.breaks);
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        CHECK(m.users == 0 && m.users_at_close == 0);
        for (int i = 0; i < 3; i++) {
            CHECK(!yoke_error_find(drivers[i].outcome, &YOKE_CANCELLED));
            CHECK(was_kind(drivers[i].outcome, quietly ? &YOKE_BROKEN_RESOURCE : &APP_K));
        }
        CHECK(!cache.table);
    }
    return NULL;
}

static void test_mngr_07_the_resources_own_crash_reaches_all_its_users(void **state)
{
    run(resource_breaks);
}

/* ---- nested ---- */

static int busy;

static yoke_error *nested_user(void *arg)
{
    struct thing *things = arg;
    static unsigned turn;
    unsigned seed = turn++;
    for (int i = 0; i < 20; i++) {
        /* Four opens of three keys, in an order of this task's own, keys twice too. */
        yoke_cached held[4];
        int count = 0;
        yoke_error *e = NULL;
        while (count < 4 && !e) {
            seed = seed * 1103515245 + 12345;
            unsigned k = (seed >> 16) % 3;
            yoke_resource resource = {.open = thing_open, .close = thing_close, .arg = &things[k]};
            e = yoke_cached_open(&held[count], &cache, &k, sizeof k, &resource);
            if (e)
                break;
            count++;
            if (things[k].alive != 1)
                e = yoke_raise(&APP_K, "it is not open once");
            if (!e)
                e = yoke_checkpoint();
        }
        while (count--)
            e = yoke_cached_close(&held[count], e);
        YOKE_TRY(e);
    }
    busy--;
    return NULL;
}

static yoke_error *nested_opens(void *arg)
{
    struct thing things[3] = {thing_new(), thing_new(), thing_new()};
    yoke_scope limit;
    yoke_nursery n;
    busy = 30;
    YOKE_TRY(yoke_fail_after(&limit, YOKE_S(20)));
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 30; i++)
        YOKE_TRY(yoke_spawn(&n, nested_user, things));
    YOKE_TRY(yoke_scope_close(&limit, yoke_nursery_close(&n, NULL)));
    CHECK(busy == 0 && !cache.table);
    for (int i = 0; i < 3; i++)
        CHECK(things[i].opens == things[i].closes && things[i].opens > 0 && things[i].most_alive == 1);
    return NULL;
}

static void test_mngr_08_nested_and_crossing_keys(void **state)
{
    run(nested_opens);
}

static yoke_error *open_itself(void *arg, void **value)
{
    yoke_resource resource = {.open = open_itself, .close = pair_close};
    yoke_cached c;
    *value = NULL;
    YOKE_TRY(yoke_cached_open(&c, &cache, "self", 4, &resource));
    return yoke_cached_close(&c, NULL);
}

static yoke_error *opens_itself(void *arg)
{
    yoke_resource resource = {.open = open_itself, .close = pair_close};
    yoke_cached c;
    CHECK(was_kind(yoke_cached_open(&c, &cache, "self", 4, &resource), &YOKE_USAGE));
    return NULL;
}

static void test_mngr_08_a_resource_that_opens_itself(void **state)
{
    run(opens_itself);
}

/* ---- the last user ---- */

static yoke_error *last_waits(void *arg)
{
    struct thing t = thing_new();
    t.wait_close = true;
    yoke_resource resource = resource_of(&t);
    struct user a, b;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(start_user(&n, &a, "one", &resource));
    YOKE_TRY(start_user(&n, &b, "one", &resource));
    settle();
    yoke_event_set(&a.leave);
    settle();
    CHECK(a.done && t.closes == 0);
    yoke_event_set(&b.leave);
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    CHECK(b.closing && !b.done);
    yoke_event_set(&t.may_close);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(b.done && !b.outcome && t.closes == 1);
    return NULL;
}

static void test_mngr_12_the_last_user_waits_for_the_close(void **state)
{
    run(last_waits);
}

/* In the run's own nursery, and in one that is given: it ends well. */
static yoke_error *close_fails(void *arg)
{
    for (int given = 0; given < 2; given++) {
        struct thing t = thing_new();
        t.close_fails = &APP_K;
        yoke_resource resource = resource_of(&t);
        yoke_nursery service, n;
        YOKE_TRY(yoke_nursery_open(&service));
        yoke_cache_init(&cache, given ? &service : NULL);
        struct user a, b;
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(start_user(&n, &a, "one", &resource));
        YOKE_TRY(start_user(&n, &b, "one", &resource));
        settle();
        yoke_event_set(&a.leave);
        settle();
        CHECK(a.done && !a.outcome);
        yoke_event_set(&b.leave);
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        CHECK(b.outcome && b.outcome == t.close_error && was_kind(b.outcome, &APP_K));
        /* Together with the user's own. */
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(start_user(&n, &a, "one", &resource));
        a.fails = &APP_L;
        yoke_event_set(&a.leave);
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        CHECK(yoke_error_find(a.outcome, &APP_L) && yoke_error_find(a.outcome, &APP_K));
        yoke_error_free(a.outcome);
        YOKE_TRY(yoke_nursery_close(&service, NULL));
    }
    return NULL;
}

static void test_mngr_13_the_close_fails(void **state)
{
    run(close_fails);
}

static yoke_error *last_is_cancelled(void *arg)
{
    for (int fails = 0; fails < 2; fails++) {
        struct thing t = thing_new();
        t.wait_close = true;
        t.close_fails = fails ? &APP_K : NULL;
        yoke_resource resource = resource_of(&t);
        struct user a, b;
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        /* While it uses; and while it waits for the close already. */
        YOKE_TRY(start_user(&n, &a, "one", &resource));
        YOKE_TRY(start_user(&n, &b, "other", &resource));
        settle();
        yoke_event_set(&b.leave);
        settle();
        CHECK(b.closing);
        yoke_scope_cancel(&a.scope, NULL);
        yoke_scope_cancel(&b.scope, NULL);
        settle();
        CHECK(a.closing && !a.done && !a.scope.caught && !b.done);
        yoke_event_set(&t.may_close);
        YOKE_TRY(yoke_nursery_close(&n, NULL));
        CHECK(a.done && t.closes == 2 && !t.close_got_cancelled);
        CHECK(a.scope.caught == !fails && !b.scope.caught);
        CHECK(fails ? was_kind(a.outcome, &APP_K) : !a.outcome);
        CHECK(fails ? was_kind(b.outcome, &APP_K) : !b.outcome);
    }
    return NULL;
}

static void test_mngr_14_the_last_user_is_cancelled(void **state)
{
    run(last_is_cancelled);
}

/* ---- the service nursery ---- */

static yoke_error *service_is_cancelled(void *arg)
{
    struct thing t = thing_new();
    t.close_takes = YOKE_MS(5);
    yoke_resource resource = resource_of(&t);
    struct user a, b;
    yoke_nursery service;
    YOKE_TRY(yoke_nursery_open(&service));
    yoke_cache_init(&cache, &service);
    YOKE_TRY(start_user(&service, &a, "one", &resource));
    YOKE_TRY(start_user(&service, &b, "one", &resource));
    settle();
    CHECK(a.opened && b.opened);
    int64_t begin = yoke_now();
    yoke_nursery_cancel(&service, "enough");
    YOKE_TRY(yoke_nursery_close(&service, NULL));
    CHECK(yoke_now() - begin >= YOKE_MS(5));
    CHECK(a.done && b.done && was_cancelled(a.outcome) && was_cancelled(b.outcome));
    CHECK(t.closes == 1 && t.close_got_cancelled && !cache.table);
    return NULL;
}

/* A user that shields itself is told by its own scope that the resource is to end, and has it till it leaves.
 */
static yoke_error *shielded_user(void *arg)
{
    struct user *u = arg;
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    u->outcome = use_it(u);
    u->done = true;
    return yoke_scope_close(&shield, NULL);
}

static yoke_error *service_of_a_shielded_user(void *arg)
{
    struct thing t = thing_new();
    yoke_resource resource = resource_of(&t);
    struct user u = {.key = "one", .resource = &resource};
    yoke_event_init(&u.leave);
    yoke_nursery service;
    YOKE_TRY(yoke_nursery_open(&service));
    yoke_cache_init(&cache, &service);
    YOKE_TRY(yoke_spawn(&service, shielded_user, &u));
    settle();
    yoke_nursery_cancel(&service, "enough");
    YOKE_TRY(yoke_nursery_close(&service, NULL));
    CHECK(u.opened && u.done && was_kind(u.outcome, &YOKE_BROKEN_RESOURCE) && t.closes == 1);
    return NULL;
}

static void test_mngr_15_the_service_nursery_is_cancelled(void **state)
{
    run(service_is_cancelled);
    run(service_of_a_shielded_user);
}

/* The resource cancels, while it opens: the user that came first, or the service nursery of them all. */
static yoke_error *cancelled_at_a_bad_time(void *arg)
{
    const int64_t takes[] = {YOKE_MS(1), YOKE_MS(5), YOKE_MS(10)};
    for (int i = 0; i < 6; i++) {
        bool cancels = i % 2;
        struct thing t = thing_new();
        t.open_takes = takes[i / 2];
        yoke_resource resource = resource_of(&t);
        struct user a, b, c;
        yoke_scope limit;
        yoke_nursery n;
        YOKE_TRY(yoke_fail_after(&limit, takes[i / 2] + YOKE_S(2)));
        YOKE_TRY(yoke_nursery_open(&n));
        YOKE_TRY(start_user(&n, &a, "one", &resource));
        YOKE_TRY(start_user(&n, &b, "one", &resource));
        t.cancels = cancels ? &a.scope : NULL;
        while (!b.opened)
            YOKE_TRY(yoke_sleep(YOKE_MS(1)));
        CHECK(b.hit && b.value == &t && (cancels ? a.done && a.scope.caught : a.opened));
        yoke_event_set(&a.leave);
        yoke_event_set(&b.leave);
        t.cancels = NULL;
        YOKE_TRY(start_user(&n, &c, "one", &resource));
        yoke_event_set(&c.leave);
        YOKE_TRY(yoke_scope_close(&limit, yoke_nursery_close(&n, NULL)));
        CHECK(c.opened && t.opens == t.closes && !a.outcome && !b.outcome && !c.outcome && !cache.table);
    }
    return NULL;
}

static yoke_error *cancels_its_nursery(bool looks)
{
    struct thing t = thing_new();
    t.looks = looks;
    yoke_nursery service, n;
    t.open_takes = YOKE_MS(1);
    t.cancels_nursery = &service;
    yoke_resource resource = resource_of(&t);
    struct user a, b, outside = {.key = "one", .resource = &resource};
    yoke_event_init(&outside.leave);
    YOKE_TRY(yoke_nursery_open(&service));
    yoke_cache_init(&cache, &service);
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(start_user(&n, &a, "one", &resource));
    YOKE_TRY(start_user(&n, &b, "one", &resource));
    YOKE_TRY(yoke_spawn(&n, shielded_user, &outside)); /* not told by its own scopes */
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    YOKE_TRY(yoke_nursery_close(&service, NULL));
    CHECK(was_cancelled(a.outcome) && was_cancelled(b.outcome) && t.open_was_cancelled == looks);
    CHECK(outside.opened == !looks && was_kind(outside.outcome, &YOKE_BROKEN_RESOURCE));
    CHECK(t.alive == 0 && !cache.table);
    /* The key is free. */
    yoke_cache_init(&cache, NULL);
    t.cancels_nursery = NULL;
    yoke_cached again;
    YOKE_TRY(yoke_cached_open(&again, &cache, "one", 3, &resource));
    CHECK(!again.hit);
    return yoke_cached_close(&again, NULL);
}

static yoke_error *cancels_and_fails(void *arg)
{
    return cancels_its_nursery(true);
}

/* The resource is open all the same, ends at once, and is closed. */
static yoke_error *cancels_and_opens(void *arg)
{
    return cancels_its_nursery(false);
}

static void test_mngr_16_the_opener_is_cancelled_at_a_bad_time(void **state)
{
    run(cancelled_at_a_bad_time);
    run(cancels_and_fails);
    run(cancels_and_opens);
}

static yoke_error *keys_live_apart(void *arg)
{
    struct thing a = thing_new(), b = thing_new();
    yoke_resource of_a = resource_of(&a), of_b = resource_of(&b);
    yoke_cached held, c;
    YOKE_TRY(yoke_cached_open(&held, &cache, "a", 1, &of_a));
    for (int i = 1; i <= 2; i++) {
        YOKE_TRY(yoke_cached_open(&c, &cache, "b", 1, &of_b));
        CHECK(!c.hit && c.value == &b && b.opens == i);
        YOKE_TRY(yoke_cached_close(&c, NULL));
        CHECK(b.closes == i && a.closes == 0);
    }
    YOKE_TRY(yoke_cached_close(&held, NULL));
    CHECK(a.closes == 1);
    return NULL;
}

static void test_mngr_17_keys_live_apart(void **state)
{
    run(keys_live_apart);
}

static yoke_error *stranger(void *arg)
{
    yoke_cached c;
    yoke_resource resource = {.open = pair_open, .close = pair_close};
    *(yoke_error **)arg = yoke_cached_open(&c, &cache, "x", 1, &resource);
    return NULL;
}

static yoke_error *nursery_not_around(void *arg)
{
    yoke_nursery outer, service;
    yoke_error *e = NULL;
    char place[64];
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_nursery_open(&service));
    snprintf(place, sizeof place, "test_cache.c:%d", __LINE__ - 1);
    yoke_cache_init(&cache, &service);
    YOKE_TRY(yoke_spawn(&outer, stranger, &e));
    settle();
    CHECK(yoke_error_is(e, &YOKE_USAGE) && strstr(yoke_error_message(e), "stranger") &&
          strstr(yoke_error_message(e), place));
    yoke_error_free(e);
    YOKE_TRY(yoke_nursery_close(&service, NULL));
    return yoke_nursery_close(&outer, NULL);
}

static void test_mngr_18_the_nursery_must_be_around_the_user(void **state)
{
    run(nursery_not_around);
}

/* ---- memory, misuse ---- */

static yoke_error *small_program(void *arg)
{
    struct thing t = thing_new();
    yoke_resource resource = resource_of(&t);
    yoke_cached a, b;
    yoke_error *e = yoke_cached_open(&a, &cache, "one", 3, &resource);
    if (!e) {
        e = yoke_cached_open(&b, &cache, "one", 3, &resource);
        e = yoke_cached_close(&a, e ? e : yoke_cached_close(&b, NULL));
    }
    if (t.alive || cache.table)
        abort();
    return e;
}

static void test_mngr_cache_without_memory(void **state)
{
    yoke_cache_init(&cache, NULL);
    refuse_each_allocation(small_program, NULL);
}

static void test_mngr_cache_outside_of_a_run(void **state)
{
    yoke_cached c;
    yoke_resource resource = {.open = pair_open, .close = pair_close};
    assert_error(yoke_cached_open(&c, &cache, "x", 1, &resource), &YOKE_USAGE);
}

HARNESS_MAIN(TEST(test_mngr_03_keyed_cache), TEST(test_mngr_03_cancelled_in_the_opening),
             TEST(test_mngr_03_resources_of_two_kinds_share_no_key), TEST(test_mngr_04_opening_fails),
             TEST(test_mngr_05_open_while_the_last_one_is_closing), TEST(test_mngr_06_errors_of_one_user),
             TEST(test_mngr_07_the_resources_own_crash_reaches_all_its_users),
             TEST(test_mngr_08_nested_and_crossing_keys), TEST(test_mngr_08_a_resource_that_opens_itself),
             TEST(test_mngr_12_the_last_user_waits_for_the_close), TEST(test_mngr_13_the_close_fails),
             TEST(test_mngr_14_the_last_user_is_cancelled),
             TEST(test_mngr_15_the_service_nursery_is_cancelled),
             TEST(test_mngr_16_the_opener_is_cancelled_at_a_bad_time), TEST(test_mngr_17_keys_live_apart),
             TEST(test_mngr_18_the_nursery_must_be_around_the_user), TEST(test_mngr_cache_without_memory),
             TEST(test_mngr_cache_outside_of_a_run))
