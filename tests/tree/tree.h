/*
 * What a test of a real tree of processes stands in. The test program is the root and every child of its
 * trees: main() hands a child's or a zygote's command line to yoke_main, and runs the tests otherwise.
 *
 *     TREE_MAIN(TEST(test_x), TEST(test_y))
 *
 * A test runs a body as the app of a root in this process (tree_run), in the simplest case with one child of
 * the test's modules (tree_with_child). A body runs on a task's stack, where cmocka's asserts can't be used:
 * it returns errors, and CHECK makes one. The backend is the environment's YOKE_BACKEND.
 *
 * After each test, beside the harness's checks: no process of the test's trees is left anywhere.
 */
#ifndef TESTS_TREE_TREE_H
#define TESTS_TREE_TREE_H

#include "harness.h"

#include <yoke.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TREE_UNUSED __attribute__((unused))

#if defined(__SANITIZE_ADDRESS__)
#define TREE_SLOW 8 /* what bounds of time are multiplied with */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TREE_SLOW 8
#endif
#endif
#ifndef TREE_SLOW
#define TREE_SLOW 3 /* the machine may be busy with other tests */
#endif

/* Do the actors of this test's trees listen on tcp? The environment's YOKE_TRANSPORT decides. */
TREE_UNUSED static bool tree_on_tcp(void)
{
    const char *name = getenv("YOKE_TRANSPORT");
    return name && strcmp(name, "tcp") == 0;
}

/* ---- checks in a body ---- */

YOKE_ERROR_KIND(CHECK_FAILED, "test.CheckFailed", NULL);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&CHECK_FAILED, "%s", #condition);                                              \
    } while (0)

/* Is `e` of `kind`, and does its printed tree hold `text` (NULL: anything)? Frees it; else it is the cause of
 * a failed check. */
TREE_UNUSED static yoke_error *tree_expect(const char *file, int line, yoke_error *e,
                                           const yoke_error_kind *kind, const char *text)
{
    char *tree = yoke_error_text(e);
    bool fits = yoke_error_is(e, kind) && (!text || (tree && strstr(tree, text)));
    free(tree);
    if (!fits)
        return yoke_wrap_at(file, line, "", e, &CHECK_FAILED, "expected an error of kind %s%s%s", kind->name,
                            text ? " that says: " : "", text ? text : "");
    yoke_error_free(e);
    return NULL;
}
#define EXPECT(e, kind, text) YOKE_TRY(tree_expect(__FILE__, __LINE__, (e), (kind), (text)))

/* Is `e` an error of another actor, which there was of `kind`? Frees it. */
TREE_UNUSED static yoke_error *tree_expect_remote(const char *file, int line, yoke_error *e,
                                                  const yoke_error_kind *kind, const char *text)
{
    const yoke_error *there = yoke_error_is(e, &YOKE_REMOTE) ? yoke_error_cause(e) : NULL;
    if (!yoke_error_is(there, kind))
        return yoke_wrap_at(file, line, "", e, &CHECK_FAILED, "expected a remote error of kind %s",
                            kind->name);
    return tree_expect(file, line, e, &YOKE_REMOTE, text);
}
#define EXPECT_REMOTE(e, kind, text) YOKE_TRY(tree_expect_remote(__FILE__, __LINE__, (e), (kind), (text)))

/* Was the error the cancellation that the body had asked for? Frees it. */
TREE_UNUSED static bool tree_was_cancelled(yoke_error *e)
{
    bool yes = yoke_error_is_cancelled(e);
    yoke_error_free(e);
    return yes;
}

/* Nothing is at NULL, which memcmp may not be given. */
TREE_UNUSED static bool tree_same_bytes(const void *a, size_t a_size, const void *b, size_t b_size)
{
    return a_size == b_size && (!a_size || memcmp(a, b, a_size) == 0);
}

/* Milliseconds since `begin`, a time of yoke_now. */
TREE_UNUSED static int tree_ms_since(int64_t begin)
{
    return (int)((yoke_now() - begin) / 1000000);
}

/* ---- every child's module ---- */

static yoke_error *ping(const yoke_type_none *args, yoke_type_none *result)
{
    return NULL;
}
YOKE_MODULE(tree, YOKE_CALL(ping, none, none));

/* ---- a root ---- */

typedef yoke_error *(*tree_body)(void *arg);

static struct {
    char *program;
    tree_body body;
    void *arg;
    yoke_error *error;
    bool tell; /* the program itself is told of the error, as it would be in life */
} tree_root;

static yoke_error *tree_app(int argc, char **argv)
{
    tree_root.error = tree_root.body(tree_root.arg);
    return tree_root.tell && tree_root.error ? yoke_error_dup(tree_root.error) : NULL;
}

static int tree_main(tree_body body, void *arg, bool tell)
{
    char *argv[] = {tree_root.program, NULL};
    tree_root.body = body;
    tree_root.arg = arg;
    tree_root.error = NULL;
    tree_root.tell = tell;
    return yoke_main(1, argv, tree_app);
}

TREE_UNUSED static yoke_error *tree_nothing(void *arg)
{
    return NULL;
}

/* Runs `body` as the app of a root; returns the body's error. */
TREE_UNUSED static yoke_error *tree_run(tree_body body, void *arg)
{
    int status = tree_main(body, arg, false);
    yoke_error *e = tree_root.error;
    if (status && !e)
        e = yoke_raise(&CHECK_FAILED, "the root ended with status %d", status);
    return e;
}

/* The same as the program sees it: returns the exit status; what it wrote on stderr is in `text`. */
TREE_UNUSED static int tree_status(tree_body body, void *arg, char *text, size_t size)
{
    FILE *f = tmpfile();
    int before = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(fileno(f), STDERR_FILENO);
    int status = tree_main(body, arg, true);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(f);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
    yoke_error_free(tree_root.error);
    return status;
}

/* ---- scenes: what most bodies begin with ---- */

struct scene {
    yoke_actors *actors;
    yoke_portal *portal;
    yoke_context *ctx;
    yoke_stream *stream;
    void *arg;
};
typedef yoke_error *(*scene_fn)(struct scene *s);

/* In a nursery, which is cancelled when `fn` is fine. */
TREE_UNUSED static yoke_error *with_actors(struct scene *s, const yoke_actors_options *options, scene_fn fn)
{
    YOKE_TRY(yoke_actors_open(&s->actors, options));
    yoke_error *e = fn(s);
    if (!e)
        e = yoke_actors_cancel(s->actors);
    e = yoke_actors_close(s->actors, e);
    s->actors = NULL;
    return e;
}

/* In a context, closed with what `fn` returns. */
TREE_UNUSED static yoke_error *with_context(struct scene *s, const char *endpoint, const void *args,
                                            scene_fn fn)
{
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, endpoint, args, NULL));
    yoke_error *e = yoke_context_close(s->ctx, fn(s));
    s->ctx = NULL;
    return e;
}

TREE_UNUSED static yoke_error *with_stream(struct scene *s, const yoke_stream_options *options, scene_fn fn)
{
    YOKE_TRY(yoke_stream_open(s->ctx, &s->stream, options));
    yoke_error *e = yoke_stream_close(s->stream, fn(s));
    s->stream = NULL;
    return e;
}

struct tree_child {
    const char *modules;
    scene_fn fn;
    struct scene scene;
};

static yoke_error *tree_child_body(struct scene *s)
{
    struct tree_child *c = s->arg;
    char modules[256];
    snprintf(modules, sizeof modules, "tree,%s", c->modules);
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = modules}, &s->portal));
    c->scene.actors = s->actors;
    c->scene.portal = s->portal;
    YOKE_TRY(c->fn(&c->scene));
    /* Whatever the test did, the actor goes on serving. */
    return yoke_call(s->portal, "tree:ping", NULL, NULL);
}

static yoke_error *tree_child_app(void *arg)
{
    struct scene s = {.arg = arg};
    return with_actors(&s, NULL, tree_child_body);
}

/* A root with one child `worker` that serves `modules` (and `tree`). */
TREE_UNUSED static yoke_error *tree_with_child(const char *modules, scene_fn fn, void *arg)
{
    struct tree_child c = {modules, fn, {.arg = arg}};
    return tree_run(tree_child_app, &c);
}

static yoke_error *tree_actors_app(void *arg)
{
    struct tree_child *c = arg;
    return with_actors(&c->scene, NULL, c->fn);
}

/* A root with an empty nursery. */
TREE_UNUSED static yoke_error *tree_with_actors(scene_fn fn, void *arg)
{
    struct tree_child c = {NULL, fn, {.arg = arg}};
    return tree_run(tree_actors_app, &c);
}

/* ---- processes of the test ---- */

/* In the environment of every process below the test program: "YOKE_TEST_TREE=pid". */
static char tree_mark[48];

static bool tree_carries_mark(const char *pid)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    FILE *f = fopen(path, "re");
    char *entry = NULL;
    size_t size = 0;
    bool found = false;
    while (f && !found && getdelim(&entry, &size, '\0', f) > 0)
        found = strcmp(entry, tree_mark) == 0;
    free(entry);
    if (f)
        fclose(f);
    return found;
}

/* How many processes of the test's trees live, wherever they hang; each is named on stderr. */
TREE_UNUSED static int tree_processes_left(void)
{
    DIR *dir = opendir("/proc");
    int found = 0;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        if (atoi(d->d_name) <= 0 || atoi(d->d_name) == getpid() || !tree_carries_mark(d->d_name))
            continue;
        fprintf(stderr, "# process %s of the test's tree is still there\n", d->d_name);
        found++;
    }
    if (dir)
        closedir(dir);
    return found;
}

static int tree_after(void **state)
{
    int left = tree_processes_left();
    return harness_after(state) || left ? -1 : 0;
}

#undef TEST
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, harness_before, tree_after)

/* Socket files of the test's trees lie in a directory of their own, which the harness looks through. */
static char tree_runtime_dir[] = "/tmp/yoke-tree-XXXXXX";

TREE_UNUSED static int tree_group_after(void **state)
{
    char path[64];
    snprintf(path, sizeof path, "%s/yoke", tree_runtime_dir);
    rmdir(path);
    return rmdir(tree_runtime_dir);
}

#define TREE_MAIN(...)                                                                                       \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        if (argc >= 2 && strncmp(argv[argc - 1], "--yoke-", 7) == 0)                                         \
            return yoke_main(argc, argv, tree_app);                                                          \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                     \
        tree_root.program = argv[0];                                                                         \
        snprintf(tree_mark, sizeof tree_mark, "YOKE_TEST_TREE=%d", (int)getpid());                           \
        putenv(tree_mark);                                                                                   \
        if (!mkdtemp(tree_runtime_dir) || setenv("XDG_RUNTIME_DIR", tree_runtime_dir, 1))                    \
            return 99;                                                                                       \
        if (tree_main(tree_nothing, NULL, false))                                                            \
            return 99; /* what the first root of a process sets up stays */                                  \
        return cmocka_run_group_tests(tests, NULL, tree_group_after);                                        \
    }

#endif
