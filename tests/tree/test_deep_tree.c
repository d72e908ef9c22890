/* A tree of many actors: five below each, three deep: 156 in all. With YOKE_TEST_DEPTH=4 it is of 781. */
#include "tree.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* All of them share a few processors: nobody is to be hurried. */
static const yoke_actors_options patient = {.acknowledge_bound = YOKE_S(100), .kill_bound = YOKE_S(200)};

#if TREE_SLOW > 4
enum { BREADTH = 3, DEPTH = 2, LESS_DEPTH = 2 }; /* a sanitizer's processes are large */
#else
enum { BREADTH = 5, DEPTH = 3, LESS_DEPTH = 2 };
#endif

YOKE_RECORD(growth, (u32, depth), (str, path));
YOKE_RECORD(grown, (u64, actors), (u64, depth_sum), (u32, most_fds));

static yoke_error *grow(const growth *args, grown *result);
YOKE_MODULE(tree_of_many, YOKE_CALL(grow, growth, grown));

/* One of the children: asked for all below it. */
struct branch {
    yoke_portal *portal;
    growth below;
    grown grown;
};
static yoke_error *ask_branch(void *arg)
{
    struct branch *b = arg;
    return yoke_call(b->portal, "tree_of_many:grow", &b->below, &b->grown);
}
static uint32_t open_fds(void)
{
    uint32_t count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}
static void add(grown *sum, const grown *one)
{
    sum->actors += one->actors;
    sum->depth_sum += one->depth_sum;
    if (one->most_fds > sum->most_fds)
        sum->most_fds = one->most_fds;
}
static yoke_error *ask_branches(yoke_cluster *c, const growth *args, grown *result)
{
    struct branch branches[BREADTH];
    char paths[BREADTH][128];
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < BREADTH && !e; i++) {
        snprintf(paths[i], sizeof paths[i], "%s.%d", args->path, i);
        branches[i] = (struct branch){yoke_cluster_portal(c, i), {args->depth - 1, paths[i]}, {0}};
        e = yoke_spawn(&n, ask_branch, &branches[i]);
    }
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    for (int i = 0; i < BREADTH; i++)
        add(result, &branches[i].grown);
    return NULL;
}
static yoke_error *grow_branches(const growth *args, grown *result)
{
    yoke_cluster *c;
    char names[BREADTH][128];
    const char *list[BREADTH + 1] = {NULL};
    for (int i = 0; i < BREADTH; i++) {
        snprintf(names[i], sizeof names[i], "%s.%d", args->path, i);
        list[i] = names[i];
    }
    yoke_cluster_options options = {
        .names = list, .actors = patient, .actor = {.modules = "tree_of_many", .start_bound = YOKE_S(120)}};
    YOKE_TRY(yoke_cluster_open(&c, &options));
    return yoke_cluster_close(c, ask_branches(c, args, result));
}
/* Is the answer of the actor that its path from the root names? */
static yoke_error *grow(const growth *args, grown *result)
{
    if (strcmp(yoke_current_actor()->name, args->path) != 0)
        return yoke_raise(&CHECK_FAILED, "actor `%s` is asked as `%s`", yoke_current_actor()->name,
                          args->path);
    if (args->depth)
        YOKE_TRY(grow_branches(args, result));
    uint32_t fds = open_fds();
    add(result, &(grown){1, args->depth, args->depth ? fds : 0});
    return NULL;
}

static yoke_error *from_the_root(void *arg)
{
    const char *wished = getenv("YOKE_TEST_DEPTH");
    const uint32_t depth = wished ? (uint32_t)atoi(wished) : DEPTH;
    grown all = {0};
    YOKE_TRY(grow(&(growth){depth, "root"}, &all));
    uint64_t expected = 0, level = 1;
    for (uint32_t i = 0; i <= depth; i++, level *= BREADTH)
        expected += level;
    CHECK(all.actors == expected);
    /* What an inner actor holds does not grow with what is below it. */
    CHECK(all.most_fds < 40);
    return NULL;
}
static void test_deep_tree(void **state)
{
    assert_success(tree_run(from_the_root, NULL));
}

/* The root's body fails when all are up: they wait for its word. */
static yoke_error *open_and_fail(yoke_cluster *c, const growth *args)
{
    grown below = {0};
    YOKE_TRY(ask_branches(c, args, &below));
    return yoke_raise(&APP_K, "the body failed");
}
static yoke_error *failing_root(void *arg)
{
    yoke_cluster *c;
    char names[BREADTH][16];
    const char *list[BREADTH + 1] = {NULL};
    for (int i = 0; i < BREADTH; i++) {
        snprintf(names[i], sizeof names[i], "root.%d", i);
        list[i] = names[i];
    }
    YOKE_TRY(yoke_cluster_open(
        &c, &(yoke_cluster_options){.names = list, .actors = patient, .actor = {.modules = "tree_of_many"}}));
    return yoke_cluster_close(c, open_and_fail(c, &(growth){LESS_DEPTH, "root"}));
}
static void test_body_fails_above_a_deep_tree(void **state)
{
    yoke_error *e = tree_run(failing_root, NULL);
    assert_int_equal(yoke_error_count(e), 0);
    assert_error_text(e, &APP_K, "the body failed");
}

TREE_MAIN(TEST(test_deep_tree), TEST(test_body_fails_above_a_deep_tree))
