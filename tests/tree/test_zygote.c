/* The fork backend: many children at once from one zygote, a zygote that is killed, what a clone has of its
 * parent. */
#include "tree.h"

#include <errno.h>
#include <signal.h>

static const yoke_actor_options forked = {.modules = "birth,tree", .backend = YOKE_BACKEND_FORK};

/* ---- what a child tells of itself ---- */

YOKE_RECORD(question, (str, name));
YOKE_RECORD(words, (str, text));

static yoke_error *answer(words *result, const char *text)
{
    result->text = strdup(text);
    return result->text ? NULL : yoke_raise(&YOKE_NO_MEMORY, "an answer");
}

static yoke_error *environment(const question *args, words *result)
{
    const char *value = getenv(args->name);
    return answer(result, value ? value : "(none)");
}

static yoke_error *folder(const yoke_type_none *args, words *result)
{
    char path[512];
    return answer(result, getcwd(path, sizeof path) ? path : "(none)");
}

/* What its descriptor `name` is. */
static yoke_error *descriptor(const question *args, words *result)
{
    char path[64], target[512];
    snprintf(path, sizeof path, "/proc/self/fd/%s", args->name);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    return answer(result, n > 0 ? target : "(none)");
}

/* All of them, by number: what they are, without the numbers of their inodes. */
static yoke_error *descriptors(const yoke_type_none *args, words *result)
{
    char all[2048] = "", path[64], target[256];
    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        target[strcspn(target, "[")] = '\0';
        size_t used = strlen(all);
        if (n > 0)
            snprintf(all + used, sizeof all - used, "%d=%s ", fd, target);
    }
    return answer(result, all);
}

static yoke_error *option(const yoke_type_none *args, words *result)
{
    char line[512] = "";
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, line, sizeof line - 1);
    close(fd);
    return n > 0 ? answer(result, line + strlen(line) + 1) : yoke_raise_errno(errno, "cmdline");
}

YOKE_MODULE(birth, YOKE_CALL(environment, question, words), YOKE_CALL(folder, none, words),
            YOKE_CALL(descriptor, question, words), YOKE_CALL(descriptors, none, words),
            YOKE_CALL(option, none, words));

/* Starts an actor and asks it; the answer must be `expected`. */
static yoke_error *ask_newborn(struct scene *s, const char *endpoint, const char *name, const char *expected)
{
    words reply;
    question q = {name};
    YOKE_TRY(yoke_actors_start(s->actors, "newborn", &forked, &s->portal));
    YOKE_TRY(yoke_call(s->portal, endpoint, name ? &q : NULL, &reply));
    yoke_error *e = NULL;
    if (strcmp(reply.text, expected) != 0)
        e = yoke_raise(&CHECK_FAILED, "%s %s is `%s`, not `%s`", endpoint, name ? name : "", reply.text,
                       expected);
    words_free(&reply);
    return e;
}

/* ---- as it is now ---- */

static yoke_error *ask_environment(struct scene *s)
{
    setenv("ZYGOTE_TEST", "one", 1);
    YOKE_TRY(ask_newborn(s, "birth:environment", "ZYGOTE_TEST", "one"));
    setenv("ZYGOTE_TEST", "another, and longer", 1);
    YOKE_TRY(ask_newborn(s, "birth:environment", "ZYGOTE_TEST", "another, and longer"));
    unsetenv("ZYGOTE_TEST");
    return ask_newborn(s, "birth:environment", "ZYGOTE_TEST", "(none)");
}

static void test_the_environment_is_that_of_now(void **state)
{
    assert_success(tree_with_actors(ask_environment, NULL));
}

/* One text has 128 KiB at most (execve(2)), which the zygote itself is started with. */
enum { LARGE_VALUES = 8, LARGE_BYTES = 100000 };

static yoke_error *ask_large_environment(struct scene *s)
{
    char name[32], *text = malloc(LARGE_BYTES + 1);
    memset(text, 'x', LARGE_BYTES);
    text[LARGE_BYTES] = '\0';
    for (int i = 0; i < LARGE_VALUES; i++) {
        snprintf(name, sizeof name, "ZYGOTE_TEST_%d", i);
        setenv(name, text, 1);
    }
    yoke_error *e = ask_newborn(s, "birth:environment", name, text);
    for (int i = 0; i < LARGE_VALUES; i++) {
        snprintf(name, sizeof name, "ZYGOTE_TEST_%d", i);
        unsetenv(name);
    }
    free(text);
    return e;
}

static void test_an_environment_larger_than_a_socket_takes(void **state)
{
    assert_success(tree_with_actors(ask_large_environment, NULL));
}

static yoke_error *ask_folder(struct scene *s)
{
    char before[512];
    YOKE_TRY(ask_newborn(s, "birth:folder", NULL, getcwd(before, sizeof before)));
    CHECK(chdir("/usr") == 0);
    yoke_error *e = ask_newborn(s, "birth:folder", NULL, "/usr");
    CHECK(chdir(before) == 0);
    return e;
}

static void test_the_folder_is_that_of_now(void **state)
{
    assert_success(tree_with_actors(ask_folder, NULL));
}

static yoke_error *ask_descriptors(struct scene *s)
{
    int stdin_before = dup(STDIN_FILENO), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    dup2(zero, STDIN_FILENO);
    close(zero);
    yoke_error *e = ask_newborn(s, "birth:descriptor", "0", "/dev/zero");
    dup2(stdin_before, STDIN_FILENO);
    close(stdin_before);
    return e;
}

static void test_the_standard_descriptors_are_those_of_now(void **state)
{
    assert_success(tree_with_actors(ask_descriptors, NULL));
}

static yoke_error *ask_stdin(struct scene *s)
{
    return ask_newborn(s, "birth:descriptor", "0", "/dev/null");
}

static void test_a_root_without_stdin(void **state)
{
    int stdin_before = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    yoke_error *e = tree_with_actors(ask_stdin, NULL);
    dup2(stdin_before, STDIN_FILENO);
    close(stdin_before);
    assert_success(e);
}

static yoke_error *compare_descriptors(struct scene *s)
{
    words of_exec;
    yoke_actor_options options = forked;
    options.backend = YOKE_BACKEND_EXEC;
    YOKE_TRY(yoke_actors_start(s->actors, "by-exec", &options, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "birth:descriptors", NULL, &of_exec));
    yoke_error *e = ask_newborn(s, "birth:descriptors", NULL, of_exec.text);
    if (!e) /* the second clone has nothing of the first one */
        e = ask_newborn(s, "birth:descriptors", NULL, of_exec.text);
    words_free(&of_exec);
    return e;
}

static void test_a_clone_has_the_descriptors_of_an_exec_child(void **state)
{
    assert_success(tree_with_actors(compare_descriptors, NULL));
}

static yoke_error *ask_option(struct scene *s)
{
    char role[32];
    snprintf(role, sizeof role, "--yoke-child=%d", (int)getpid());
    return ask_newborn(s, "birth:option", NULL, role);
}

static void test_a_clone_shows_itself_as_a_child(void **state)
{
    assert_success(tree_with_actors(ask_option, NULL));
}

/* ---- many at once ---- */

enum { MANY = 24 };

struct starter {
    struct scene *scene;
    int index;
    int *started;
    bool may_fail;
};

static yoke_error *start_and_ping(void *arg)
{
    struct starter *st = arg;
    yoke_portal *portal;
    char name[16];
    snprintf(name, sizeof name, "one-%d", st->index);
    yoke_error *e = yoke_actors_start(st->scene->actors, name, &forked, &portal);
    if (e && st->may_fail &&
        yoke_error_find(e, &YOKE_ACTOR_DIED)) { /* a clone just made looks like a zygote */
        EXPECT(e, &YOKE_SPAWN_FAILED, "died of SIGKILL");
        return NULL;
    }
    if (e && st->may_fail) {
        EXPECT(e, &YOKE_SPAWN_FAILED, "the zygote");
        return NULL;
    }
    if (e)
        return e;
    ++*st->started;
    return yoke_call(portal, "tree:ping", NULL, NULL);
}

static yoke_error *spawn_starters(yoke_nursery *n, struct starter *starters, struct scene *s, int *started,
                                  bool may_fail)
{
    for (int i = 0; i < MANY; i++) {
        starters[i] = (struct starter){s, i, started, may_fail};
        YOKE_TRY(yoke_spawn(n, start_and_ping, &starters[i]));
    }
    return NULL;
}

static yoke_error *start_many(struct scene *s)
{
    struct starter starters[MANY];
    int started = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_close(&n, spawn_starters(&n, starters, s, &started, false)));
    CHECK(started == MANY);
    CHECK(yoke_actors_count(s->actors) == MANY);
    return NULL;
}

static void test_many_at_once(void **state)
{
    assert_success(tree_with_actors(start_many, NULL));
}

/* Half of those who wait for the zygote are cancelled; the others are not held up. */
static yoke_error *cancel_some(struct scene *s)
{
    struct starter starters[MANY];
    int started = 0;
    yoke_scope scope;
    YOKE_TRY(yoke_move_on_after(&scope, YOKE_MS(1)));
    yoke_nursery n;
    yoke_error *e = yoke_nursery_open(&n);
    if (!e)
        e = yoke_nursery_close(&n, spawn_starters(&n, starters, s, &started, false));
    YOKE_TRY(yoke_scope_close(&scope, e));
    CHECK(yoke_actors_count(s->actors) == (size_t)started);
    return start_and_ping(&(struct starter){s, MANY, &started, false});
}

static void test_waiting_for_the_zygote_can_be_cancelled(void **state)
{
    assert_success(tree_with_actors(cancel_some, NULL));
}

/* ---- a zygote that dies ---- */

/* The zygote of this process; 0 without one. */
static pid_t find_zygote(void)
{
    char path[64], line[512];
    pid_t found = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "re");
    for (int pid; f && !found && fscanf(f, "%d", &pid) == 1;) {
        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, line, sizeof line - 1);
        close(fd);
        line[n > 0 ? n : 0] = '\0';
        if (n > 0 && strncmp(line + strlen(line) + 1, "--yoke-zygote=", 14) == 0)
            found = pid;
    }
    if (f)
        fclose(f);
    return found;
}

static yoke_error *kill_idle(struct scene *s)
{
    int started = 0;
    struct starter one = {s, 1, &started, false};
    YOKE_TRY(start_and_ping(&one));
    pid_t zygote = find_zygote();
    CHECK(zygote > 0);
    for (int i = 0; i < 3; i++) {
        CHECK(kill(zygote, SIGKILL) == 0);
        siginfo_t ended; /* its socket is closed by then */
        CHECK(waitid(P_PID, (id_t)zygote, &ended, WEXITED | WNOWAIT | __WALL) == 0);
        YOKE_TRY(start_and_ping(&one));
        pid_t next = find_zygote();
        CHECK(next > 0 && next != zygote);
        zygote = next;
    }
    return NULL;
}

static void test_a_zygote_that_was_killed_is_replaced(void **state)
{
    assert_success(tree_with_actors(kill_idle, NULL));
}

static yoke_error *shoot(void *arg)
{
    for (;;) {
        YOKE_TRY(yoke_sleep(YOKE_US(700)));
        pid_t zygote = find_zygote();
        if (zygote > 0)
            kill(zygote, SIGKILL);
    }
}

static yoke_error *start_and_end_shots(void *arg)
{
    struct starter *starters = ((void **)arg)[0];
    yoke_nursery *shots = ((void **)arg)[1], n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(
        yoke_nursery_close(&n, spawn_starters(&n, starters, starters[0].scene, starters[0].started, true)));
    yoke_nursery_cancel(shots, "all have been started");
    return NULL;
}

static yoke_error *kill_busy(struct scene *s)
{
    int started = 0;
    struct starter starters[MANY] = {{.scene = s, .started = &started}};
    yoke_nursery shots;
    YOKE_TRY(yoke_nursery_open(&shots));
    void *arg[] = {starters, &shots};
    yoke_error *e = yoke_spawn(&shots, shoot, NULL);
    if (!e)
        e = yoke_spawn(&shots, start_and_end_shots, arg);
    YOKE_TRY(yoke_nursery_close(&shots, e));
    CHECK(yoke_actors_count(s->actors) == (size_t)started);
    return start_and_ping(&(struct starter){s, MANY, &started, false});
}

static void test_a_zygote_killed_in_the_middle_of_it(void **state)
{
    for (int i = 0; i < 5; i++)
        assert_success(tree_with_actors(kill_busy, NULL));
}

/* ---- its end ---- */

static yoke_error *start_one(struct scene *s)
{
    int started = 0;
    YOKE_TRY(start_and_ping(&(struct starter){s, 0, &started, false}));
    CHECK(find_zygote() > 0);
    return NULL;
}

static void test_it_ends_with_the_root(void **state)
{
    assert_success(tree_with_actors(start_one, NULL));
    assert_int_equal(find_zygote(), 0);
    assert_int_equal(tree_processes_left(), 0);
}

TREE_MAIN(TEST(test_the_environment_is_that_of_now), TEST(test_an_environment_larger_than_a_socket_takes),
          TEST(test_the_folder_is_that_of_now), TEST(test_the_standard_descriptors_are_those_of_now),
          TEST(test_a_clone_has_the_descriptors_of_an_exec_child), TEST(test_a_root_without_stdin),
          TEST(test_a_clone_shows_itself_as_a_child), TEST(test_many_at_once),
          TEST(test_waiting_for_the_zygote_can_be_cancelled), TEST(test_a_zygote_that_was_killed_is_replaced),
          TEST(test_a_zygote_killed_in_the_middle_of_it), TEST(test_it_ends_with_the_root))
