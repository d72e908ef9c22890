/* Modules: from shared objects, and those that do something first. PLUGINS is where the shared objects are.
 */
#include "tree.h"

#define PLUGIN(name) PLUGINS "/lib" name ".so"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* The records of the shared object's endpoints, as it has them. */
YOKE_RECORD(greeting, (str, whom))
YOKE_RECORD(answer, (str, text), (boolean, prepared))

/* ---- modules of the program ---- */

static bool is_prepared;

static void mark_path(char out[64], pid_t root)
{
    snprintf(out, 64, "/tmp/yoke-test-modules-%d", (int)root);
}

/* A process that ends by itself leaves a mark. */
static void leave_mark(void)
{
    char path[64];
    mark_path(path, getppid());
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static yoke_error *refuse_to_open(void)
{
    atexit(leave_mark);
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    return yoke_raise(&APP_K, "no disk");
}
static yoke_error *prepare(void)
{
    is_prepared = true;
    return NULL;
}
static yoke_error *prepared(const yoke_type_none *args, bool *result)
{
    *result = is_prepared;
    return NULL;
}
static yoke_error *sleep_long(void)
{
    return yoke_sleep(YOKE_S(600));
}
YOKE_MODULE(failing, YOKE_OPEN(refuse_to_open), YOKE_CALL(prepared, none, boolean))
YOKE_MODULE(careful, YOKE_CALL(prepared, none, boolean), YOKE_OPEN(prepare))
YOKE_MODULE(slow, YOKE_OPEN(sleep_long), YOKE_CALL(prepared, none, boolean))

/* ---- shared objects ---- */

static yoke_error *ask_extra(yoke_portal *portal)
{
    answer a;
    uint32_t two;
    YOKE_TRY(yoke_call(portal, "extra:hello", &(greeting){"you"}, &a));
    bool fine = strcmp(a.text, "hello you") == 0 && a.prepared;
    answer_free(&a);
    CHECK(fine);
    YOKE_TRY(yoke_call(portal, "more:two", NULL, &two));
    CHECK(two == 2);
    return yoke_call(portal, "tree:ping", NULL, NULL);
}

static yoke_error *use_extra(struct scene *s)
{
    /* Two actors, and one by its name: the file is open by now. */
    static const char *const modules[] = {"tree " PLUGIN("extra"), PLUGIN("extra") ",tree",
                                          "extra more tree"};
    for (int i = 0; i < 3; i++) {
        YOKE_TRY(
            yoke_actors_start(s->actors, "extra", &(yoke_actor_options){.modules = modules[i]}, &s->portal));
        YOKE_TRY(ask_extra(s->portal));
    }
    EXPECT(yoke_call(s->portal, "extra:prepare", NULL, NULL), &YOKE_ENDPOINT_NOT_FOUND, "it has: hello");
    return NULL;
}
static void test_modules_of_a_shared_object(void **state)
{
    assert_success(tree_with_actors(use_extra, NULL));
}
/* Once more: the file was closed with the root before, and is opened anew. */
static void test_modules_of_a_shared_object_again(void **state)
{
    assert_success(tree_with_actors(use_extra, NULL));
}

static yoke_error *refuse(struct scene *s)
{
    static const struct {
        const char *modules, *text;
    } rows[] = {
        {"no_such_module", "there are: "},
        {"tree ./no/such.so", "No such file or directory"},
        {PLUGIN("empty"), "it defines none (YOKE_MODULE)"},
        {PLUGIN("twin"), "a module `tree`, and so has this program"},
        {"/dev/null", "/dev/null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        yoke_actor_options options = {.modules = rows[i].modules};
        EXPECT(yoke_actors_start(s->actors, "x", &options, &s->portal), &YOKE_USAGE, rows[i].text);
        CHECK(yoke_actors_count(s->actors) == 0);
    }
    return NULL;
}
static void test_spawn_15_module_not_known_to_the_binary(void **state)
{
    assert_success(tree_with_actors(refuse, NULL));
}

/* ---- what a module does first ---- */

static yoke_error *open_first(struct scene *s)
{
    bool is;
    yoke_actor_options options = {.modules = "careful"};
    YOKE_TRY(yoke_actors_start(s->actors, "careful", &options, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "careful:prepared", NULL, &is));
    CHECK(is && !is_prepared);
    return NULL;
}
static void test_a_module_opens_first(void **state)
{
    assert_success(tree_with_actors(open_first, NULL));
}

static yoke_error *fail_to_open(struct scene *s)
{
    char mark[64];
    mark_path(mark, getpid());
    yoke_actor_options options = {.modules = "tree failing"};
    yoke_error *e = yoke_actors_start(s->actors, "x", &options, &s->portal);
    bool ended_by_itself = unlink(mark) == 0;
    EXPECT_REMOTE(e, &APP_K, "module `failing` did not open");
    CHECK(ended_by_itself);
    CHECK(yoke_actors_count(s->actors) == 0);
    options.modules = PLUGIN("broken");
    e = yoke_actors_start(s->actors, "x", &options, &s->portal);
    EXPECT(e, &YOKE_REMOTE, "test.PluginBroken");
    CHECK(yoke_actors_count(s->actors) == 0);
    /* The nursery is none the worse. */
    return open_first(s);
}
static void test_spawn_27_a_module_that_fails_to_open(void **state)
{
    assert_success(tree_with_actors(fail_to_open, NULL));
}

static yoke_error *open_too_long(struct scene *s)
{
    yoke_actor_options options = {.modules = "slow", .start_bound = YOKE_S(3)};
    EXPECT(yoke_actors_start(s->actors, "x", &options, &s->portal), &YOKE_SPAWN_FAILED, NULL);
    CHECK(yoke_actors_count(s->actors) == 0);
    return NULL;
}
static void test_a_module_that_opens_too_long(void **state)
{
    assert_success(tree_with_actors(open_too_long, NULL));
}

TREE_MAIN(TEST(test_modules_of_a_shared_object), TEST(test_modules_of_a_shared_object_again),
          TEST(test_spawn_15_module_not_known_to_the_binary), TEST(test_a_module_opens_first),
          TEST(test_spawn_27_a_module_that_fails_to_open), TEST(test_a_module_that_opens_too_long))
