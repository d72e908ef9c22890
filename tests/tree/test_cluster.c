/* Clusters: several actors of one kind, by one call. */
#include "tree.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- children that fail to start, or start slowly ---- */

#define DIE_FILE "YOKE_TEST_DIE_FILE" /* the first process that can make this file dies before its main() */
#define STALL_MS "YOKE_TEST_STALL_MS"

/* Of an exec'd child only: a cloned one is beyond its constructors. */
__attribute__((constructor)) static void trouble_at_start(void)
{
    const char *die = getenv(DIE_FILE), *stall = getenv(STALL_MS);
    if (die && open(die, O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0)
        _exit(3);
    if (stall)
        usleep((useconds_t)atoi(stall) * 1000);
}

/* ---- endpoints ---- */

YOKE_RECORD(about, (str, name), (i64, pid), (u32, cpus), (u32, cpu));
YOKE_RECORD(number, (u64, n));
YOKE_RECORD(names_list, (list, str, names));

static yoke_error *tell(const yoke_type_none *args, about *result)
{
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    *result = (about){strdup(yoke_current_actor()->name), getpid(), (uint32_t)CPU_COUNT(&set), 0};
    while (!CPU_ISSET(result->cpu, &set))
        result->cpu++;
    return NULL;
}

/* Numbers come in their order, and each goes back. */
static yoke_error *echo_in_order(yoke_stream *stream)
{
    number item;
    for (uint64_t next = 0;; next++) {
        YOKE_TRY(yoke_recv(stream, &item));
        if (item.n != next)
            return yoke_raise(&APP_K, "%llu came, and not %llu", (unsigned long long)item.n,
                              (unsigned long long)next);
        YOKE_TRY(yoke_send(stream, &item));
    }
}
static yoke_error *echo(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.allow_overruns = true}));
    return yoke_stream_close(stream, yoke_end_is_fine(echo_in_order(stream)));
}

static yoke_error *add_names(names_list *list, const yoke_cluster *c)
{
    for (int i = 0; i < yoke_cluster_count(c); i++)
        list->names.items[list->names.count++] = strdup(yoke_portal_peer(yoke_cluster_portal(c, i))->name);
    return NULL;
}
static yoke_error *inner_cluster(names_list *list)
{
    yoke_cluster *c;
    YOKE_TRY(yoke_cluster_open(&c, &(yoke_cluster_options){.count = 2, .actor = {.modules = "work"}}));
    return yoke_cluster_close(c, add_names(list, c));
}
/* Two clusters of one actor, one in the other; and then, again, one. */
static yoke_error *two_clusters(const yoke_type_none *args, names_list *result)
{
    yoke_cluster *c;
    result->names.items = calloc(6, sizeof *result->names.items);
    YOKE_TRY(yoke_cluster_open(&c, &(yoke_cluster_options){.count = 2, .actor = {.modules = "work"}}));
    yoke_error *e = add_names(result, c);
    if (!e)
        e = inner_cluster(result);
    YOKE_TRY(yoke_cluster_close(c, e));
    return inner_cluster(result);
}
YOKE_MODULE(work, YOKE_CALL(tell, none, about), YOKE_CALL(two_clusters, none, names_list),
            YOKE_CONTEXT_STREAM(echo, none, none, none, number, number));

/* ---- helpers ---- */

typedef yoke_error *(*cluster_fn)(yoke_cluster *c, void *arg);

struct in_cluster {
    yoke_cluster_options options;
    cluster_fn fn;
    void *arg;
};

static yoke_error *cluster_body(void *arg)
{
    const struct in_cluster *in = arg;
    yoke_cluster *c;
    YOKE_TRY(yoke_cluster_open(&c, &in->options));
    return yoke_cluster_close(c, in->fn(c, in->arg));
}

/* A root with a cluster of actors that serve `work`. */
static yoke_error *with_cluster(yoke_cluster_options options, cluster_fn fn, void *arg)
{
    options.actor.modules = "work";
    struct in_cluster in = {options, fn, arg};
    return tree_run(cluster_body, &in);
}

/* ---- open ---- */

static yoke_error *ask_each(yoke_cluster *c, void *arg)
{
    const char *const *names = arg;
    for (int i = 0; i < yoke_cluster_count(c); i++) {
        char made[32];
        about got;
        snprintf(made, sizeof made, "root.worker_%d", i);
        const char *name = names ? names[i] : made;
        yoke_portal *p = yoke_cluster_portal(c, i);
        CHECK(p && p == yoke_cluster_find(c, name));
        YOKE_TRY(yoke_call(p, "work:tell", NULL, &got));
        bool same = strcmp(got.name, name) == 0 && got.pid == yoke_portal_pid(p) && got.pid != getpid();
        about_free(&got);
        CHECK(same);
    }
    CHECK(!yoke_cluster_portal(c, -1) && !yoke_cluster_portal(c, yoke_cluster_count(c)));
    CHECK(!yoke_cluster_find(c, "nobody"));
    return NULL;
}
static yoke_error *count_is_ours(yoke_cluster *c, void *arg)
{
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    /* A quota of the machine's may make it less. */
    CHECK(yoke_cluster_count(c) >= 1 && yoke_cluster_count(c) <= CPU_COUNT(&set));
    return ask_each(c, NULL);
}
static yoke_error *debugged(yoke_cluster *c, void *arg)
{
    CHECK(yoke_cluster_count(c) == 2);
    return ask_each(c, NULL);
}
static void test_clus_01_names_and_portals(void **state)
{
    static const char *const names[] = {"c", "a", "b", NULL};
    assert_success(with_cluster((yoke_cluster_options){0}, count_is_ours, NULL));
    assert_success(with_cluster((yoke_cluster_options){.names = names}, ask_each, (void *)names));
    assert_success(with_cluster((yoke_cluster_options){.names = names, .count = 3}, ask_each, (void *)names));
    assert_success(with_cluster((yoke_cluster_options){.count = 2, .kill = true}, debugged, NULL));
    assert_success(with_cluster((yoke_cluster_options){.count = 2, .actors = {.backend = YOKE_BACKEND_EXEC}},
                                debugged, NULL));
}

/* Each takes a second to start. */
static void test_clus_01_they_start_at_once(void **state)
{
    enum { STALL = 1000, COUNT = 8 };
    setenv(STALL_MS, "1000", 1);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    yoke_error *e = with_cluster(
        (yoke_cluster_options){.count = COUNT, .actors = {.backend = YOKE_BACKEND_EXEC}}, ask_each, NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    unsetenv(STALL_MS);
    assert_success(e);
    long took = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
    assert_true(took >= STALL);
    assert_true(took < COUNT * STALL);
}

static yoke_error *never(yoke_cluster *c, void *arg)
{
    return yoke_raise(&CHECK_FAILED, "the cluster is open");
}
static yoke_error *refused_cluster(void *arg)
{
    const struct in_cluster *in = arg;
    yoke_error *e = cluster_body(arg);
    if (tree_processes_left()) /* not even for a while */
        e = yoke_error_join(e, yoke_raise(&CHECK_FAILED, "something was started"));
    return in->fn == never ? e : NULL;
}
static yoke_error *refused(yoke_cluster_options options)
{
    if (!options.actor.modules)
        options.actor.modules = "work";
    struct in_cluster in = {options, never, NULL};
    return tree_run(refused_cluster, &in);
}
static void test_clus_02_what_is_no_cluster(void **state)
{
    static const char *const three[] = {"a", "b", "c", NULL}, *const twins[] = {"a", "b", "a", NULL},
                             *const none[] = {NULL}, *const bad[] = {"a", "b/c", NULL};
    yoke_error *e = refused((yoke_cluster_options){.names = three, .count = 2});
    assert_error_text(e, &YOKE_USAGE, "a cluster of 2 actors, and 3 names");
    assert_error_text(refused((yoke_cluster_options){.count = -1}), &YOKE_USAGE, "a cluster of -1 actors");
    assert_error_text(refused((yoke_cluster_options){.names = none}), &YOKE_USAGE, "a cluster of 0 actors");
    assert_error_text(refused((yoke_cluster_options){.names = twins}), &YOKE_USAGE, "are named `a`");
    assert_error(refused((yoke_cluster_options){.names = bad}), &YOKE_USAGE);
    e = refused((yoke_cluster_options){.count = 3, .actor = {.modules = "no_such"}});
    assert_error_text(e, &YOKE_USAGE, "no_such");
}

/* ---- streams with all ---- */

enum { WORKERS = 3 };

/* One worker's end of a stream, as a resource. */
struct link {
    yoke_portal *portal;
    yoke_context *ctx;
    yoke_stream *stream;
    uint64_t sent, received;
};

static yoke_error *link_open(void *arg, void **value)
{
    struct link *l = arg;
    YOKE_TRY(yoke_context_open(l->portal, &l->ctx, "work:echo", NULL, NULL));
    yoke_error *e = yoke_stream_open(l->ctx, &l->stream, &(yoke_stream_options){.allow_overruns = true});
    if (e)
        return yoke_context_close(l->ctx, e);
    *value = l;
    return NULL;
}
static yoke_error *link_close(void *arg, void *value, yoke_error *e)
{
    struct link *l = arg;
    return yoke_context_close(l->ctx, yoke_stream_close(l->stream, e));
}

static yoke_error *receive_in_order(void *arg)
{
    struct link *l = arg;
    for (number item;; l->received++) {
        YOKE_TRY(yoke_recv(l->stream, &item));
        CHECK(item.n == l->received);
    }
}
static yoke_error *send_in_turns(struct link *links)
{
    for (int i = 0;; i = (i + 1) % WORKERS)
        YOKE_TRY(yoke_send(links[i].stream, &(number){links[i].sent++}));
}
static yoke_error *exchange(struct link *links)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < WORKERS && !e; i++)
        e = yoke_spawn(&n, receive_in_order, &links[i]);
    if (!e)
        e = send_in_turns(links);
    return yoke_nursery_close_flat(&n, e);
}
static yoke_error *gather_links(struct link *links)
{
    yoke_resource resources[WORKERS];
    yoke_gather g;
    for (int i = 0; i < WORKERS; i++)
        resources[i] = (yoke_resource){.open = link_open, .close = link_close, .arg = &links[i]};
    YOKE_TRY(yoke_gather_open(&g, resources, WORKERS, NULL));
    return yoke_gather_close(&g, exchange(links));
}
static yoke_error *stream_with_all(yoke_cluster *c, void *arg)
{
    struct link links[WORKERS] = {0};
    for (int i = 0; i < WORKERS; i++)
        links[i].portal = yoke_cluster_portal(c, i);
    yoke_scope s;
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_move_on_after(&s, YOKE_S(1)));
    YOKE_TRY(yoke_scope_close(&s, gather_links(links)));
    CHECK(yoke_scope_cancelled_caught(&s) && tree_ms_since(begin) < 6000 * TREE_SLOW);
    for (int i = 0; i < WORKERS; i++)
        CHECK(links[i].received > 0 && links[i].received <= links[i].sent);
    return ask_each(c, NULL); /* they are all well */
}
static void test_clus_03_stream_with_all(void **state)
{
    assert_success(with_cluster((yoke_cluster_options){.count = WORKERS}, stream_with_all, NULL));
}

/* ---- failures ---- */

static yoke_error *gather_none(yoke_cluster *c, void *arg)
{
    yoke_gather g;
    YOKE_TRY(yoke_gather_open(&g, NULL, 0, NULL));
    return yoke_gather_close(&g, NULL);
}
static yoke_error *fail_with_k(yoke_cluster *c, void *arg)
{
    return yoke_raise(&APP_K, "the body failed");
}
/* Returns what the cluster gave, if it came in time. */
static yoke_error *fail_in_time(void *arg)
{
    yoke_cluster *c;
    cluster_fn body = ((struct in_cluster *)arg)->fn;
    YOKE_TRY(yoke_cluster_open(&c, &((struct in_cluster *)arg)->options));
    int64_t begin = yoke_now();
    yoke_error *e = yoke_cluster_close(c, body(c, NULL));
    return tree_ms_since(begin) < 3000 * TREE_SLOW ? e : yoke_wrap(e, &CHECK_FAILED, "the end took too long");
}
static void test_clus_05_body_fails_after_opening(void **state)
{
    struct in_cluster in = {{.count = 4, .actor = {.modules = "work"}}, gather_none, NULL};
    yoke_error *e = tree_run(fail_in_time, &in);
    assert_int_equal(yoke_error_count(e), 0);
    assert_error(e, &YOKE_USAGE);
    in.fn = fail_with_k;
    e = tree_run(fail_in_time, &in);
    assert_int_equal(yoke_error_count(e), 0);
    assert_error_text(e, &APP_K, "the body failed");
}

static void test_clus_06_one_worker_fails_to_start(void **state)
{
    char file[] = "/tmp/yoke-test-XXXXXX";
    close(mkstemp(file));
    unlink(file);
    setenv(DIE_FILE, file, 1);
    yoke_error *e = with_cluster((yoke_cluster_options){.count = 4, .actors = {.backend = YOKE_BACKEND_EXEC}},
                                 never, NULL);
    unsetenv(DIE_FILE);
    int found = access(file, F_OK);
    unlink(file);
    assert_int_equal(found, 0);
    assert_error_text(e, &YOKE_SPAWN_FAILED, "status 3");
}

static yoke_error *worker_dies(yoke_cluster *c, void *arg)
{
    kill(yoke_portal_pid(yoke_cluster_portal(c, 1)), SIGKILL);
    return yoke_sleep_forever();
}
static void test_worker_that_dies_ends_the_cluster(void **state)
{
    yoke_error *e = with_cluster((yoke_cluster_options){.count = 3}, worker_dies, NULL);
    assert_int_equal(yoke_error_signal(e), SIGKILL);
    assert_error_text(e, &YOKE_ACTOR_DIED, "`root.worker_1`");
}

/* ---- in a child; processors ---- */

static yoke_error *clusters_below(struct scene *s)
{
    static const char *const expected[] = {"worker.worker_0", "worker.worker_1", "worker.worker_2",
                                           "worker.worker_3", "worker.worker_0", "worker.worker_1"};
    names_list got;
    YOKE_TRY(yoke_call(s->portal, "work:two_clusters", NULL, &got));
    bool same = got.names.count == 6;
    for (size_t i = 0; i < 6 && same; i++)
        same = strcmp(got.names.items[i], expected[i]) == 0;
    names_list_free(&got);
    CHECK(same);
    return NULL;
}
static void test_clus_07_clusters_of_a_child(void **state)
{
    assert_success(tree_with_child("work", clusters_below, NULL));
}

static yoke_error *is_one(yoke_cluster *c, void *arg)
{
    CHECK(yoke_cluster_count(c) == 1);
    return NULL;
}
static yoke_error *are_pinned(yoke_cluster *c, void *arg)
{
    cpu_set_t ours, theirs;
    CPU_ZERO(&theirs);
    sched_getaffinity(0, sizeof ours, &ours);
    for (int i = 0; i < yoke_cluster_count(c); i++) {
        about got;
        YOKE_TRY(yoke_call(yoke_cluster_portal(c, i), "work:tell", NULL, &got));
        bool is_ours = got.cpus == 1 && CPU_ISSET(got.cpu, &ours);
        CPU_SET(got.cpu, &theirs);
        about_free(&got);
        CHECK(is_ours);
    }
    CHECK(CPU_EQUAL(&ours, &theirs)); /* all are in use */
    return NULL;
}
static void test_clus_08_as_many_as_processors(void **state)
{
    cpu_set_t before, one;
    int first = 0;
    sched_getaffinity(0, sizeof before, &before);
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    sched_setaffinity(0, sizeof one, &one);
    yoke_error *e = with_cluster((yoke_cluster_options){0}, is_one, NULL);
    sched_setaffinity(0, sizeof before, &before);
    assert_success(e);
    assert_success(
        with_cluster((yoke_cluster_options){.count = CPU_COUNT(&before) + 1, .pin = true}, are_pinned, NULL));
}

TREE_MAIN(TEST(test_clus_01_names_and_portals), TEST(test_clus_01_they_start_at_once),
          TEST(test_clus_02_what_is_no_cluster), TEST(test_clus_03_stream_with_all),
          TEST(test_clus_05_body_fails_after_opening), TEST(test_clus_06_one_worker_fails_to_start),
          TEST(test_worker_that_dies_ends_the_cluster), TEST(test_clus_07_clusters_of_a_child),
          TEST(test_clus_08_as_many_as_processors))
