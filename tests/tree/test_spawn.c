/* Starting actors: what a child is, what it has, what it was told, and starts that fail. */
#include "tree.h"

#include <signal.h>

/* ---- endpoints ---- */

YOKE_RECORD(identity, (i32, pid), (i32, parent), (str, name), (str, uuid), (str, comm), (i32, number));
YOKE_RECORD(word, (str, text));
YOKE_RECORD(depth, (u32, left), (str, modules));

static int changed_by_the_root = 1;

static void read_comm(char *text, size_t size)
{
    FILE *f = fopen("/proc/self/comm", "re");
    if (!f || !fgets(text, (int)size, f))
        text[0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (f)
        fclose(f);
}

static yoke_error *who(const yoke_type_none *args, identity *result)
{
    char comm[32];
    read_comm(comm, sizeof comm);
    const yoke_uid *uid = yoke_current_actor();
    *result = (identity){getpid(),          getppid(),    strdup(uid->name),
                         strdup(uid->uuid), strdup(comm), changed_by_the_root};
    return NULL;
}
static yoke_error *is_root(const yoke_type_none *args, yoke_type_boolean *result)
{
    *result = yoke_is_root();
    return NULL;
}
static yoke_error *variable(const word *args, word *result)
{
    const char *value = getenv(args->text);
    result->text = strdup(value ? value : "(none)");
    return NULL;
}

/* The descriptors that a program started from here would get; and "many" if there are more than the runtime's
 * own besides. A child finds its channel and its crash pipe in 3 and 4, and keeps them for itself. */
static yoke_error *descriptors(const yoke_type_none *args, word *result)
{
    char *text = NULL;
    size_t size;
    int count = 0;
    FILE *out = open_memstream(&text, &size);
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *d; dir && (d = readdir(dir));) {
        if (d->d_name[0] == '.' || atoi(d->d_name) == dirfd(dir))
            continue;
        count++;
        if (!(fcntl(atoi(d->d_name), F_GETFD) & FD_CLOEXEC))
            fprintf(out, "%s ", d->d_name);
    }
    closedir(dir);
    if (count > 16)
        fputs("many", out);
    fclose(out);
    result->text = text;
    return NULL;
}
static yoke_error *signals(const yoke_type_none *args, word *result)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size), *f = fopen("/proc/self/status", "re");
    char line[200];
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigIgn:", 7) == 0)
            fprintf(out, "%s", line);
    fclose(f);
    fclose(out);
    result->text = text;
    return NULL;
}
static yoke_error *log_filter(const yoke_type_none *args, word *result)
{
    result->text = strdup(yoke_log_filter());
    return NULL;
}

/* The pids from here down, one a level. */
static yoke_error *descend_in(struct scene *s)
{
    const depth *args = s->arg;
    word below;
    YOKE_TRY(
        yoke_actors_start(s->actors, "below", &(yoke_actor_options){.modules = args->modules}, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "ends:descend", &(depth){args->left - 1, args->modules}, &below));
    bool is_child = (pid_t)atoi(strchr(below.text, '<') + 1) == getpid();
    s->arg = (char *)below.text;
    if (is_child)
        return NULL;
    word_free(&below);
    return yoke_raise(&CHECK_FAILED, "the parent's number in the child is not this process'");
}
static yoke_error *descend(const depth *args, word *result)
{
    char here[64];
    snprintf(here, sizeof here, "%d<%d", (int)getpid(), (int)getppid());
    if (!args->left) {
        result->text = strdup(here);
        return NULL;
    }
    struct scene s = {.arg = (void *)args};
    YOKE_TRY(with_actors(&s, NULL, descend_in));
    char *all = NULL;
    if (asprintf(&all, "%s %s", here, (char *)s.arg) < 0)
        all = NULL;
    free(s.arg);
    result->text = all;
    return NULL;
}
YOKE_MODULE(ends, YOKE_CALL(who, none, identity), YOKE_CALL(is_root, none, boolean),
            YOKE_CALL(variable, word, word), YOKE_CALL(descriptors, none, word),
            YOKE_CALL(signals, none, word), YOKE_CALL(log_filter, none, word),
            YOKE_CALL(descend, depth, word));
YOKE_MODULE(second, YOKE_CALL(who, none, identity));
YOKE_MODULE(third, YOKE_CALL(who, none, identity));

/* Is what the endpoint gives `text`? */
static yoke_error *expect_word(yoke_portal *p, const char *endpoint, const void *args, const char *text)
{
    word result;
    YOKE_TRY(yoke_call(p, endpoint, args, &result));
    yoke_error *e = strcmp(result.text, text) == 0
                        ? NULL
                        : yoke_raise(&CHECK_FAILED, "%s gave `%s`, not `%s`", endpoint, result.text, text);
    word_free(&result);
    return e;
}

static yoke_error *start_named(struct scene *s, const char *name, const char *modules, yoke_portal **p)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = modules}, p);
}

/* ---- who a child is ---- */

static yoke_error *check_identity(struct scene *s, const identity *there)
{
    const yoke_uid *peer = yoke_portal_peer(s->portal);
    CHECK(there->pid == yoke_portal_pid(s->portal) && there->parent == getpid());
    CHECK(strcmp(there->name, "worker") == 0 && strcmp(peer->name, "worker") == 0);
    CHECK(strcmp(there->uuid, peer->uuid) == 0 && strlen(there->uuid) == 36);
    CHECK(strcmp(there->comm, "yoke-worker") == 0);
    CHECK(there->number == 1); /* SPAWN-02: not what this process has made of it */
    return NULL;
}
static yoke_error *ask_identity(struct scene *s)
{
    identity there;
    bool root = true;
    CHECK(yoke_is_root() && strcmp(yoke_current_actor()->name, "root") == 0);
    changed_by_the_root = 2;
    YOKE_TRY(yoke_call(s->portal, "ends:who", NULL, &there));
    yoke_error *e = check_identity(s, &there);
    identity_free(&there);
    changed_by_the_root = 1;
    YOKE_TRY(e);
    CHECK(yoke_portal_is_connected(s->portal));
    YOKE_TRY(yoke_call(s->portal, "ends:is_root", NULL, &root));
    CHECK(!root);
    return NULL;
}
static void test_spawn_01_02_06_own_child_with_its_own_state(void **state)
{
    assert_success(tree_with_child("ends", ask_identity, NULL));
}

static yoke_error *start_names(struct scene *s)
{
    yoke_portal *first, *second;
    YOKE_TRY(start_named(s, "same", "ends", &first));
    YOKE_TRY(start_named(s, "same", "ends", &second));
    CHECK(!yoke_uid_equal(yoke_portal_peer(first), yoke_portal_peer(second)));
    char longest[66], name[] = {'x', 0, 0};
    memset(longest, 'n', 64);
    longest[64] = '\0';
    YOKE_TRY(start_named(s, longest, "ends", &first));
    YOKE_TRY(start_named(s, "gr\xc3\xbc\xc3\x9f", "ends", &first));
    identity there;
    YOKE_TRY(yoke_call(first, "ends:who", NULL, &there));
    bool same = strcmp(there.name, "gr\xc3\xbc\xc3\x9f") == 0;
    identity_free(&there);
    CHECK(same);
    longest[64] = 'n';
    longest[65] = '\0';
    EXPECT(start_named(s, longest, NULL, &first), &YOKE_USAGE, "64");
    EXPECT(start_named(s, "", NULL, &first), &YOKE_USAGE, NULL);
    EXPECT(start_named(s, NULL, NULL, &first), &YOKE_USAGE, NULL);
    EXPECT(start_named(s, "\xff", NULL, &first), &YOKE_USAGE, NULL);
    for (name[1] = 1; name[1] < ' '; name[1]++)
        EXPECT(start_named(s, name, NULL, &first), &YOKE_USAGE, NULL);
    EXPECT(start_named(s, "a/b", NULL, &first), &YOKE_USAGE, "/");
    CHECK(first == NULL);
    return NULL;
}
static void test_spawn_04_names(void **state)
{
    assert_success(tree_with_actors(start_names, NULL));
}

static yoke_error *descend_three(struct scene *s)
{
    word all;
    YOKE_TRY(yoke_call(s->portal, "ends:descend", &(depth){3, "ends"}, &all));
    int levels = 1;
    for (const char *at = all.text; *at; at++)
        levels += *at == ' ';
    bool begins = atoi(all.text) == yoke_portal_pid(s->portal);
    word_free(&all);
    CHECK(levels == 4 && begins);
    return NULL;
}
static void test_spawn_08_recursion_to_depth_four(void **state)
{
    assert_success(tree_with_child("ends", descend_three, NULL));
}

/* ---- what it has ---- */

static yoke_error *environment_now(struct scene *s)
{
    yoke_portal *p;
    setenv("YOKE_TEST_COLOUR", "blue", 1);
    yoke_error *e = start_named(s, "blue", "ends", &p);
    if (!e)
        e = expect_word(p, "ends:variable", &(word){"YOKE_TEST_COLOUR"}, "blue");
    setenv("YOKE_TEST_COLOUR", "", 1);
    if (!e)
        e = start_named(s, "empty", "ends", &p);
    if (!e)
        e = expect_word(p, "ends:variable", &(word){"YOKE_TEST_COLOUR"}, "");
    unsetenv("YOKE_TEST_COLOUR");
    YOKE_TRY(e);
    YOKE_TRY(start_named(s, "none", "ends", &p));
    return expect_word(p, "ends:variable", &(word){"YOKE_TEST_COLOUR"}, "(none)");
}
static void test_spawn_30_environment_as_it_is_now(void **state)
{
    assert_success(tree_with_actors(environment_now, NULL));
}

enum { HELD = 200 };
static yoke_error *hold_many(struct scene *s)
{
    int held[HELD];
    for (int i = 0; i < HELD; i++)
        held[i] = dup(STDERR_FILENO); /* without close-on-exec */
    yoke_portal *p;
    yoke_error *e = start_named(s, "bare", "ends", &p);
    for (int i = 0; i < HELD; i++)
        close(held[i]);
    YOKE_TRY(e);
    return expect_word(p, "ends:descriptors", NULL, "0 1 2 ");
}
static void test_spawn_17_descriptors(void **state)
{
    assert_success(tree_with_actors(hold_many, NULL));
}

static yoke_error *ask_signals(struct scene *s)
{
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    signal(SIGUSR2, SIG_IGN);
    yoke_portal *p;
    word there = {NULL};
    yoke_error *e = start_named(s, "clean", "ends", &p);
    signal(SIGUSR2, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (!e)
        e = yoke_call(p, "ends:signals", NULL, &there);
    YOKE_TRY(e);
    unsigned long long mask = 0, ignored = 0;
    sscanf(there.text, "SigBlk: %llx SigIgn: %llx", &mask, &ignored);
    word_free(&there);
    CHECK(!(mask & 1ull << (SIGUSR1 - 1)));
    CHECK(!(ignored & 1ull << (SIGUSR2 - 1)));
    return NULL;
}
static void test_child_has_the_default_signals(void **state)
{
    assert_success(tree_with_actors(ask_signals, NULL));
}

static yoke_error *ask_filters(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(yoke_actors_start(s->actors, "own",
                               &(yoke_actor_options){.modules = "ends", .log_filter = "critical"}, &p));
    YOKE_TRY(expect_word(p, "ends:log_filter", NULL, "critical"));
    YOKE_TRY(start_named(s, "inherited", "ends", &p));
    YOKE_TRY(expect_word(p, "ends:log_filter", NULL, yoke_log_filter()));
    return NULL;
}
static void test_log_filter_goes_down(void **state)
{
    assert_success(tree_with_actors(ask_filters, NULL));
}

static yoke_error *expose(struct scene *s)
{
    static const char *const lists[] = {"", "ends", "ends, third", " ends\tthird,second\n"};
    static const char *const endpoints[] = {"ends:who", "third:who", "second:who"};
    for (size_t i = 0; i < 4; i++) {
        yoke_portal *p;
        YOKE_TRY(start_named(s, "x", lists[i], &p));
        for (size_t k = 0; k < 3; k++) {
            identity there;
            yoke_error *e = yoke_call(p, endpoints[k], NULL, &there);
            if (k < i)
                YOKE_TRY(e);
            else
                EXPECT_REMOTE(e, &YOKE_MODULE_NOT_EXPOSED, NULL);
            identity_free(&there);
        }
    }
    return NULL;
}
static void test_spawn_26_exposure_is_the_parents_word(void **state)
{
    assert_success(tree_with_actors(expose, NULL));
}

/* ---- starts that fail ---- */

static yoke_error *start_unknown(struct scene *s)
{
    yoke_portal *p;
    EXPECT(start_named(s, "x", "ends,nonsense", &p), &YOKE_USAGE, "nonsense");
    CHECK(p == NULL && yoke_actors_count(s->actors) == 0);
    EXPECT(yoke_actors_start(s->actors, "x", &(yoke_actor_options){.start_bound = -1}, &p), &YOKE_USAGE,
           "start_bound");
    return NULL;
}
static void test_spawn_15_module_not_in_the_binary(void **state)
{
    assert_success(tree_with_actors(start_unknown, NULL));
}

static yoke_error *start_in_no_time(struct scene *s)
{
    yoke_portal *p;
    yoke_error *e = yoke_actors_start(s->actors, "x", &(yoke_actor_options){.start_bound = 1}, &p);
    EXPECT(e, &YOKE_SPAWN_FAILED, "x");
    CHECK(p == NULL && yoke_actors_count(s->actors) == 0);
    return start_named(s, "y", "ends", &p);
}
static void test_start_that_takes_too_long(void **state)
{
    assert_success(tree_with_actors(start_in_no_time, NULL));
}

static yoke_error *cancelled_start(struct scene *s, int64_t after)
{
    yoke_scope hurry;
    yoke_portal *p;
    YOKE_TRY(yoke_scope_open_with(&hurry, &(yoke_scope_options){.after = after, .at_once = true}));
    yoke_error *e = start_named(s, "x", "ends", &p);
    bool started = !e;
    YOKE_TRY(yoke_scope_close(&hurry, e));
    CHECK(started == (p != NULL));
    if (!started)
        CHECK(yoke_scope_cancelled_caught(&hurry) && yoke_actors_count(s->actors) == 0);
    return started ? yoke_portal_cancel_actor(p, YOKE_S(5), NULL) : NULL;
}
static yoke_error *cancel_starts(struct scene *s)
{
    for (int64_t after = 0; after < YOKE_MS(12); after += YOKE_US(400)) {
        YOKE_TRY(cancelled_start(s, after));
        while (yoke_actors_count(s->actors))
            YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return NULL;
}
static void test_spawn_22_cancelled_in_the_middle_of_a_start(void **state)
{
    assert_success(tree_with_actors(cancel_starts, NULL));
}

/* ---- many ---- */

struct one_start {
    struct scene *s;
    int i;
};
static yoke_error *start_and_call(void *arg)
{
    struct one_start *one = arg;
    char name[16];
    yoke_portal *p;
    identity there;
    snprintf(name, sizeof name, "n%d", one->i);
    YOKE_TRY(start_named(one->s, name, "ends", &p));
    YOKE_TRY(yoke_call(p, "ends:who", NULL, &there));
    bool right = strcmp(there.name, name) == 0 && there.parent == getpid();
    identity_free(&there);
    CHECK(right);
    return NULL;
}
static yoke_error *start_fifty(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 50 && !e; i++)
        e = yoke_spawn_value(&n, start_and_call, &((struct one_start){s, i}), sizeof(struct one_start));
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(yoke_actors_count(s->actors) == 50);
    return NULL;
}
static void test_fifty_starts_at_once(void **state)
{
    assert_success(tree_with_actors(start_fifty, NULL));
}

static yoke_error *start_in_turn(struct scene *s)
{
    for (int i = 0; i < 40; i++) {
        yoke_portal *p;
        YOKE_TRY(start_named(s, "x", "ends", &p));
        YOKE_TRY(yoke_portal_cancel_actor(p, YOKE_S(5), NULL));
        while (yoke_actors_count(s->actors))
            YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return NULL;
}
static void test_forty_actors_in_turn(void **state)
{
    assert_success(tree_with_actors(start_in_turn, NULL));
}

/* Both backends in one nursery, whatever the default is. */
static yoke_error *mix_backends(struct scene *s)
{
    static const enum yoke_backend backends[] = {YOKE_BACKEND_EXEC, YOKE_BACKEND_FORK};
    for (int i = 0; i < 4; i++) {
        yoke_portal *p;
        YOKE_TRY(yoke_actors_start(s->actors, "x",
                                   &(yoke_actor_options){.modules = "ends", .backend = backends[i & 1]}, &p));
        identity there;
        YOKE_TRY(yoke_call(p, "ends:who", NULL, &there));
        bool ours = there.parent == getpid();
        identity_free(&there);
        CHECK(ours);
    }
    return NULL;
}
static void test_both_backends_in_one_nursery(void **state)
{
    assert_success(tree_with_actors(mix_backends, NULL));
}

/* ---- outside ---- */

static void test_calls_outside_of_an_actor(void **state)
{
    yoke_actors *actors;
    assert_null(yoke_current_actor());
    assert_false(yoke_is_root());
    assert_error(yoke_actors_open(&actors, NULL), &YOKE_NO_RUNTIME);
    assert_null(actors);
}

TREE_MAIN(TEST(test_spawn_01_02_06_own_child_with_its_own_state), TEST(test_spawn_04_names),
          TEST(test_spawn_08_recursion_to_depth_four), TEST(test_spawn_30_environment_as_it_is_now),
          TEST(test_spawn_17_descriptors), TEST(test_child_has_the_default_signals),
          TEST(test_log_filter_goes_down), TEST(test_spawn_26_exposure_is_the_parents_word),
          TEST(test_spawn_15_module_not_in_the_binary), TEST(test_start_that_takes_too_long),
          TEST(test_spawn_22_cancelled_in_the_middle_of_a_start), TEST(test_fifty_starts_at_once),
          TEST(test_forty_actors_in_turn), TEST(test_both_backends_in_one_nursery),
          TEST(test_calls_outside_of_an_actor))
