/* Services: actors that several tasks share by key, and a nursery of services that a child owns. */
#include "tree.h"

#include "actor/runtime.h"

#include <errno.h>
#include <signal.h>

/* ---- endpoints ---- */

YOKE_RECORD(number, (i64, n));
YOKE_RECORD(service, (str, name));

static yoke_error *my_pid(const yoke_type_none *args, number *result)
{
    result->n = getpid();
    return NULL;
}
static yoke_error *serve_for_ever(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_sleep_forever();
}

/* Each name that comes is started as a service; its process id goes back. */
static yoke_error *start_service(yoke_actors *actors, const char *name, number *pid)
{
    yoke_portal *p;
    YOKE_TRY(yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "services"}, &p));
    YOKE_TRY(yoke_call(p, "services:my_pid", NULL, pid));
    return yoke_portal_run(p, "services:serve_for_ever", NULL, NULL);
}
static yoke_error *start_what_comes(yoke_actors *actors, yoke_stream *stream)
{
    service item;
    number pid;
    for (;;) {
        YOKE_TRY(yoke_recv(stream, &item));
        yoke_error *e = start_service(actors, item.name, &pid);
        service_free(&item);
        YOKE_TRY(e);
        YOKE_TRY(yoke_send(stream, &pid));
    }
}
static yoke_error *with_services(yoke_context *ctx, yoke_actors *actors)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_stream_close(stream, yoke_end_is_fine(start_what_comes(actors, stream))));
    return yoke_actors_cancel(actors);
}
/* The nursery lives as long as this context. */
static yoke_error *manage(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_services(ctx, actors));
}
YOKE_MODULE(services, YOKE_CALL(my_pid, none, number), YOKE_CALL(serve_for_ever, none, none),
            YOKE_CONTEXT_STREAM(manage, none, none, none, service, number));

/* ---- actors by key ---- */

enum { USERS = 8, KEYS = 2 };

/* An actor in a nursery of its own, as a resource: the value is its portal. */
struct worker {
    yoke_actors *actors;
    yoke_portal *portal;
};
static yoke_error *worker_open(void *arg, void **value)
{
    struct worker *w = calloc(1, sizeof *w);
    yoke_error *e = yoke_actors_open(&w->actors, NULL);
    if (!e) {
        e = yoke_actors_start(w->actors, arg, &(yoke_actor_options){.modules = "services"}, &w->portal);
        if (e)
            e = yoke_actors_close(w->actors, e);
    }
    if (e)
        free(w);
    else
        *value = w;
    return e;
}
static yoke_error *worker_close(void *arg, void *value, yoke_error *e)
{
    struct worker *w = value;
    if (!e)
        e = yoke_actors_cancel(w->actors);
    e = yoke_actors_close(w->actors, e);
    free(w);
    return e;
}

struct sharing {
    yoke_cache cache;
    yoke_event all_there;
    int there, hits[KEYS];
    int64_t pids[USERS];
};
struct user {
    struct sharing *all;
    int i;
};
static yoke_error *use_worker(const struct user *u, const yoke_cached *c)
{
    struct sharing *all = u->all;
    number got;
    YOKE_TRY(yoke_call(((struct worker *)c->value)->portal, "services:my_pid", NULL, &got));
    all->pids[u->i] = got.n;
    all->hits[u->i % KEYS] += c->hit;
    if (++all->there == USERS)
        yoke_event_set(&all->all_there);
    return yoke_event_wait(&all->all_there);
}
static yoke_error *use_by_key(void *arg)
{
    const struct user *u = arg;
    char key[KEYS][8] = {"left", "right"};
    yoke_resource resource = {worker_open, worker_close, key[u->i % KEYS], sizeof key[0]};
    yoke_cached c;
    YOKE_TRY(yoke_cached_open(&c, &u->all->cache, NULL, 0, &resource));
    return yoke_cached_close(&c, use_worker(u, &c));
}
static yoke_error *share_workers(void *arg)
{
    struct sharing all = {.there = 0};
    yoke_nursery n;
    yoke_event_init(&all.all_there);
    yoke_cache_init(&all.cache, NULL);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < USERS && !e; i++) {
        struct user u = {&all, i};
        e = yoke_spawn_value(&n, use_by_key, &u, sizeof u);
    }
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    for (int i = 0; i < USERS; i++)
        CHECK(all.pids[i] == all.pids[i % KEYS] && all.pids[i] != getpid());
    CHECK(all.pids[0] != all.pids[1]);
    CHECK(all.hits[0] == USERS / KEYS - 1 && all.hits[1] == USERS / KEYS - 1);
    /* With its last user each has gone. */
    CHECK(list_empty(&actor_here()->children));
    return NULL;
}
static void test_actors_shared_by_key(void **state)
{
    for (int i = 0; i < 2; i++)
        assert_success(tree_run(share_workers, NULL));
}

/* ---- a nursery of services ---- */

enum { SERVICES = 3 };

struct ordered {
    int64_t pids[SERVICES];
    bool kill_one;
};
static yoke_error *order_services(struct scene *s)
{
    static const char *const names[SERVICES] = {"clock", "quotes", "mail"};
    struct ordered *o = s->arg;
    for (int i = 0; i < SERVICES; i++) {
        number pid;
        YOKE_TRY(yoke_send(s->stream, &(service){names[i]}));
        YOKE_TRY(yoke_recv(s->stream, &pid));
        o->pids[i] = pid.n;
    }
    if (!o->kill_one)
        return NULL;
    kill((pid_t)o->pids[1], SIGKILL);
    return yoke_sleep_forever();
}
static yoke_error *in_a_stream(struct scene *s)
{
    return with_stream(s, NULL, order_services);
}
static yoke_error *all_gone(const struct ordered *o)
{
    for (int i = 0; i < SERVICES; i++)
        CHECK(o->pids[i] && kill((pid_t)o->pids[i], 0) < 0 && errno == ESRCH);
    return NULL;
}
static yoke_error *services_of_a_child(struct scene *s)
{
    struct ordered fine = {.kill_one = false}, bad = {.kill_one = true};
    s->arg = &fine;
    YOKE_TRY(with_context(s, "services:manage", NULL, in_a_stream));
    YOKE_TRY(all_gone(&fine)); /* the nursery ended before its context did */
    s->arg = &bad;
    yoke_error *e = with_context(s, "services:manage", NULL, in_a_stream);
    EXPECT_REMOTE(e, &YOKE_ACTOR_DIED, "`quotes`");
    return all_gone(&bad); /* one has cancelled all; and the child lives on */
}
static void test_nursery_of_services_in_a_child(void **state)
{
    assert_success(tree_with_child("services", services_of_a_child, NULL));
}

TREE_MAIN(TEST(test_actors_shared_by_key), TEST(test_nursery_of_services_in_a_child))
