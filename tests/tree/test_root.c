/* The root: how it opens and ends, what goes down from it, and what a program is after it as it was before.
 */
#include "stranger.h"

#include "actor/peer.h"
#include "base/memory.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- endpoints ---- */

YOKE_RECORD(view, (str, name), (boolean, is_root), (boolean, debug_mode), (str, log_filter),
            (str, root_address), (u32, backend), (str, directory));
YOKE_RECORD(depth_of, (u32, depth));
YOKE_RECORD(number, (i64, n));

/* What an actor sees of the tree's variables. */
static yoke_error *look(const depth_of *args, view *result);

static yoke_error *look_below(struct scene *s)
{
    const depth_of *args = s->arg;
    view *result = (view *)s->ctx; /* the scene's own way to hand it on */
    YOKE_TRY(yoke_actors_start(s->actors, "deeper", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    return yoke_call(s->portal, "ends:look", &(depth_of){args->depth - 1}, result);
}
static yoke_error *look(const depth_of *args, view *result)
{
    if (args->depth) {
        struct scene s = {.arg = (void *)args, .ctx = (yoke_context *)result};
        return with_actors(&s, NULL, look_below);
    }
    const struct actor *a = actor_here();
    char address[ADDRESS_TEXT_BYTES];
    address_print(&a->root, address);
    *result =
        (view){strdup(a->uid.name), yoke_is_root(),       a->debug_mode,       strdup(yoke_log_filter()),
               strdup(address),     (uint32_t)a->backend, strdup(a->directory)};
    return NULL;
}
static yoke_error *open_another_root(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.root = &(yoke_root_options){0}}));
    return yoke_actors_close(actors, NULL);
}
static yoke_error *cancel_itself(const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_actor_cancel_self());
    return yoke_sleep_forever();
}
static yoke_error *doze(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_sleep_forever();
}
static yoke_error *doze_on(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep_forever();
}
static yoke_error *my_pid(const yoke_type_none *args, number *result)
{
    result->n = getpid();
    return NULL;
}
static yoke_error *break_down(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&APP_K, "it broke");
}
YOKE_MODULE(ends, YOKE_CALL(look, depth_of, view), YOKE_CALL(open_another_root, none, none),
            YOKE_CALL(cancel_itself, none, none), YOKE_CALL(doze, none, none),
            YOKE_CONTEXT(doze_on, none, none, none), YOKE_CALL(my_pid, none, number),
            YOKE_CALL(break_down, none, none));
YOKE_MODULE(more, YOKE_CALL(my_pid, none, number));

/* ---- helpers ---- */

static yoke_error *start_one(yoke_actors *actors, const char *name, yoke_portal **p)
{
    return yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "ends"}, p);
}

/* Runs `fn` as a program that is not one of YOKE_MAIN: in a run of tasks, with no runtime. */
static yoke_error *run_plainly(yoke_task_fn fn, void *arg)
{
    return yoke_run(fn, arg, NULL);
}

/* ---- open and close ---- */

static yoke_error *one_child(struct scene *s)
{
    number got;
    YOKE_TRY(start_one(s->actors, "a", &s->portal));
    YOKE_TRY(yoke_call(s->portal, "ends:my_pid", NULL, &got));
    CHECK(got.n == yoke_portal_pid(s->portal));
    return s->arg ? yoke_raise(&APP_K, "the body failed") : NULL;
}
static int open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 200; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}
/* ROOT-10 */
static void test_open_and_close_ten_times(void **state)
{
    int before = open_fds();
    for (int i = 0; i < 10; i++) {
        yoke_error *e = tree_with_actors(one_child, i % 2 ? state : NULL);
        assert_true(!e || !yoke_error_count(e));
        if (i % 2)
            assert_error_text(e, &APP_K, "the body failed");
        else
            assert_success(e);
        assert_int_equal(open_fds(), before);
    }
}

/* ---- the implicit root ---- */

struct implied {
    yoke_root_options *root;
    bool fails;
    bool second_was_implicit;
    char name[65];
};
static yoke_error *nested_nursery(void)
{
    yoke_actors *inner;
    YOKE_TRY(yoke_actors_open(&inner, NULL));
    bool implicit = yoke_actors_is_implicit_root(inner);
    YOKE_TRY(yoke_actors_close(inner, NULL));
    CHECK(!implicit && yoke_current_actor()); /* the runtime is still there */
    EXPECT(yoke_actors_open(&inner, &(yoke_actors_options){.root = &(yoke_root_options){.name = "x"}}),
           &YOKE_USAGE, "is actor `");
    return NULL;
}
static yoke_error *implied_body(yoke_actors *actors, struct implied *i)
{
    struct scene s = {.actors = actors, .arg = i->fails ? i : NULL};
    CHECK(yoke_actors_is_implicit_root(actors) && yoke_is_root());
    strcpy(i->name, yoke_current_actor()->name);
    YOKE_TRY(nested_nursery());
    YOKE_TRY(one_child(&s));
    return yoke_actors_cancel(actors);
}
static yoke_error *implied_root(void *arg)
{
    struct implied *i = arg;
    yoke_actors *actors;
    CHECK(!yoke_current_actor());
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.root = i->root}));
    yoke_error *e = yoke_actors_close(actors, implied_body(actors, i));
    if (yoke_current_actor())
        return yoke_wrap(e, &CHECK_FAILED, "there still is a runtime");
    return e;
}
static void test_root_03_implicit_root(void **state)
{
    struct implied i = {.root = NULL};
    assert_success(run_plainly(implied_root, &i));
    assert_string_equal(i.name, "root");
    i.root = &(yoke_root_options){.name = "trunk"};
    assert_success(run_plainly(implied_root, &i));
    assert_string_equal(i.name, "trunk");
}
/* Whose an error is: the task's all the time, the actor's while there is one. */
static yoke_error *is_raised_by(const char *actor)
{
    yoke_error *e = yoke_raise(&APP_K, "x");
    bool fits = strcmp(yoke_error_task(e), "main") == 0 && strcmp(yoke_error_actor(e), actor) == 0;
    if (!fits)
        return e;
    yoke_error_free(e);
    return NULL;
}
static yoke_error *raise_around_a_root(void *arg)
{
    yoke_actors *actors;
    YOKE_TRY(is_raised_by(""));
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    YOKE_TRY(yoke_actors_close(actors, is_raised_by("root")));
    return is_raised_by("");
}
static void test_implicit_root_leaves_an_error_its_task(void **state)
{
    assert_success(yoke_run(raise_around_a_root, NULL, NULL));
}

static void test_root_10_implicit_root_hands_the_error_on(void **state)
{
    struct implied i = {.fails = true};
    yoke_error *e = run_plainly(implied_root, &i);
    assert_ptr_equal(yoke_error_kind_of(e), &APP_K);
    assert_int_equal(yoke_error_count(e), 0);
    assert_non_null(strstr(yoke_error_file(e), "test_root.c"));
    assert_string_equal(yoke_error_function(e), "one_child");
    assert_error_text(e, &APP_K, "the body failed");
}

/* Another task's nursery in the implicit root: the root ends after it. */
struct beside {
    yoke_event is_open, may_close;
    bool closed;
};
static yoke_error *other_nursery(void *arg)
{
    struct beside *b = arg;
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_event_set(&b->is_open);
    yoke_error *e = yoke_event_wait(&b->may_close);
    b->closed = true;
    return yoke_actors_close(actors, e);
}
static yoke_error *let_close(void *arg)
{
    struct beside *b = arg;
    YOKE_TRY(yoke_sleep(YOKE_MS(50)));
    yoke_event_set(&b->may_close);
    return NULL;
}
static yoke_error *first_closes_first(void *arg)
{
    struct beside *b = arg;
    yoke_nursery n;
    yoke_actors *actors;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_actors_open(&actors, NULL);
    if (!e) {
        e = yoke_spawn(&n, other_nursery, b);
        if (!e)
            e = yoke_event_wait(&b->is_open);
        if (!e)
            e = yoke_spawn(&n, let_close, b);
        e = yoke_actors_close(actors, e);
        if (!e && !b->closed)
            e = yoke_raise(&CHECK_FAILED, "the root has ended under a nursery");
    }
    return yoke_nursery_close_flat(&n, e);
}
static void test_implicit_root_ends_after_all_nurseries(void **state)
{
    struct beside b = {.closed = false};
    yoke_event_init(&b.is_open);
    yoke_event_init(&b.may_close);
    assert_success(run_plainly(first_closes_first, &b));
}

/* ---- a root that is visited when it ends ---- */

/* Calls a task of the root that sleeps, and leaves when that has ended. */
static int call_the_root(const char *path)
{
    static uint8_t body[1 << 14];
    static const uint8_t no_arguments[] = {0x80};
    yoke_uid self = {"caller", "44444444-4444-4444-8444-444444444444"};
    struct msg m;
    int fd = stranger_socket(path);
    if (fd < 0 ||
        !stranger_put(fd, &(struct msg){.type = MSG_AID,
                                        .aid = {.uid = uid_view(&self), .has_pid = true, .pid = getpid()}}))
        return 2;
    struct msg start = {.type = MSG_START, .cid = text_view("1")};
    start.start.ns = text_view("ends");
    start.start.func = text_view("doze_on");
    start.start.kwargs = (struct raw_view){no_arguments, 1};
    start.start.uid = uid_view(&self);
    if (!stranger_put(fd, &start))
        return 3;
    while (stranger_get(fd, body, sizeof body, &m))
        if (m.type == MSG_ERROR)
            return 0;
    return 4; /* the channel was closed before the task's end was told */
}

static struct visited {
    char address[160];
    pid_t pid;
    bool fails;
} visited;

static yoke_error *be_called(void *arg)
{
    char *address;
    YOKE_TRY(yoke_listen(&address));
    bool same = !visited.address[0] || strcmp(address, visited.address) == 0;
    snprintf(visited.address, sizeof visited.address, "%s", address);
    free(address);
    CHECK(same);
    visited.pid = stranger_process(call_the_root, visited.address + 5);
    while (!actor_here()->serving)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return visited.fails ? yoke_raise(&APP_K, "the body failed") : NULL;
}

static yoke_error *visited_root(void *arg)
{
    yoke_actors *actors;
    yoke_root_options root = {.modules = "ends", .log_filter = "runtime"};
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.root = &root}));
    return yoke_actors_close(actors, be_called(NULL));
}

/* The places of the lines in `text` rise. */
static bool in_order(const char *text, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text = strstr(text, lines[i]);
        if (!text)
            return false;
        text += strlen(lines[i]);
    }
    return true;
}

/* Runs it and keeps what it says on stderr. */
static yoke_error *run_heard(yoke_task_fn fn, char *text, size_t size)
{
    FILE *f = tmpfile();
    int before = dup(STDERR_FILENO);
    dup2(fileno(f), STDERR_FILENO);
    yoke_error *e = run_plainly(fn, NULL);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(f);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
    return e;
}

/* ROOT-01: ten in a row, at the same address */
static void test_root_01_open_and_close(void **state)
{
    static char text[1 << 14];
    static const char *const lines[] = {
        "this actor listens at ",
        "actor `caller` (pid ",
        "actor `root` was cancelled by `root`",
        "the endpoints of this actor have ended",
        "this actor listens no more",
        "the channel to actor `caller`",
        "all who had connected to this actor are gone",
    };
    int before = open_fds(), status;
    visited = (struct visited){.fails = false};
    for (int i = 0; i < 10; i++) {
        visited.fails = i % 2;
        yoke_error *e = run_heard(visited_root, text, sizeof text);
        if (i % 2)
            assert_ptr_equal(yoke_error_kind_of(e), &APP_K);
        else
            assert_success(e);
        yoke_error_free(i % 2 ? e : NULL);
        if (!in_order(text, lines, sizeof lines / sizeof *lines))
            print_error("%s", text);
        assert_true(in_order(text, lines, sizeof lines / sizeof *lines));
        assert_int_equal(waitpid(visited.pid, &status, 0), visited.pid);
        assert_int_equal(status, 0);
        assert_int_equal(open_fds(), before);
    }
}

/* ---- only one ---- */

static yoke_error *another_root(struct scene *s)
{
    yoke_actors *inner;
    yoke_root_options root = {.name = "second"};
    EXPECT(yoke_actors_open(&inner, &(yoke_actors_options){.root = &root}), &YOKE_USAGE, "is actor `root`");
    EXPECT(yoke_actors_open(&inner, &(yoke_actors_options){.root = &root}), &YOKE_USAGE, "is reached at");
    YOKE_TRY(start_one(s->actors, "child", &s->portal));
    EXPECT_REMOTE(yoke_call(s->portal, "ends:open_another_root", NULL, NULL), &YOKE_USAGE,
                  "is actor `child`");
    number got;
    YOKE_TRY(yoke_call(s->portal, "ends:my_pid", NULL, &got)); /* all goes on */
    CHECK(got.n == yoke_portal_pid(s->portal));
    return NULL;
}
static yoke_error *never(void *arg)
{
    return yoke_raise(&CHECK_FAILED, "a second root is there");
}
static yoke_error *main_in_main(void *arg)
{
    char text[2000];
    int status = tree_status(never, NULL, text, sizeof text);
    CHECK(status == 2 && strstr(text, "a process can be one actor") && strstr(text, "is actor `root`"));
    return NULL;
}
static void test_root_02_only_one(void **state)
{
    assert_success(tree_with_actors(another_root, NULL));
    assert_success(tree_run(main_in_main, NULL));
}

/* ---- without a runtime ---- */

static yoke_error *calls_without_a_runtime(void *arg)
{
    yoke_portal *p;
    char *address;
    EXPECT(yoke_find("x", &p), &YOKE_NO_RUNTIME, "YOKE_MAIN(app)");
    EXPECT(yoke_wait_for("x", &p), &YOKE_NO_RUNTIME, "yoke_actors_open");
    EXPECT(yoke_query("x", &address, NULL), &YOKE_NO_RUNTIME, "yoke_actors_open");
    EXPECT(yoke_listen(&address), &YOKE_NO_RUNTIME, "yoke_actors_open");
    EXPECT(yoke_connect("unix:/nowhere", &p, NULL), &YOKE_NO_RUNTIME, "yoke_actors_open");
    EXPECT(yoke_actor_cancel_self(), &YOKE_NO_RUNTIME, "actor `last` has ended"); /* the one before */
    CHECK(!yoke_current_actor() && !yoke_is_root());
    return NULL;
}
static void test_root_04_calls_without_a_runtime(void **state)
{
    struct implied i = {.root = &(yoke_root_options){.name = "last"}};
    assert_success(run_plainly(implied_root, &i));
    assert_success(run_plainly(calls_without_a_runtime, NULL));
}

/* ---- options ---- */

static yoke_error *bad_root(void *arg)
{
    yoke_actors *actors;
    return yoke_actors_open(&actors, &(yoke_actors_options){.root = arg});
}
static void expect_refused(yoke_root_options options, const char *text)
{
    int before = open_fds();
    assert_error_text(run_plainly(bad_root, &options), &YOKE_USAGE, text);
    assert_int_equal(open_fds(), before);
}
static yoke_error *looks_right(void *arg)
{
    yoke_actors *actors;
    yoke_root_options root = {.name = "boss", .debug_mode = 1, .log_filter = "error", .modules = "more"};
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.root = &root}));
    bool fits = strcmp(yoke_log_filter(), "error") == 0 && actor_here()->debug_mode &&
                strcmp(yoke_current_actor()->name, "boss") == 0;
    YOKE_TRY(yoke_actors_close(actors, NULL));
    CHECK(fits && strcmp(yoke_log_filter(), "warning") == 0);
    return NULL;
}
static void test_root_05_options(void **state)
{
    expect_refused((yoke_root_options){.name = "a/b"}, "an actor's name: '/' at byte 1");
    expect_refused((yoke_root_options){.modules = "ends, no_such"}, "no_such");
    expect_refused((yoke_root_options){.log_filter = "loud"}, "loud");
    expect_refused((yoke_root_options){.backend = 7}, "backend: 7");
    assert_success(run_plainly(looks_right, NULL));
}

/* ---- what goes down ---- */

static yoke_error *look_at_depth_3(struct scene *s)
{
    view got;
    char address[ADDRESS_TEXT_BYTES];
    const struct actor *a = actor_here();
    YOKE_TRY(yoke_actors_start(
        s->actors, "first", &(yoke_actor_options){.modules = "ends", .log_filter = "error", .debug_mode = 1},
        &s->portal));
    YOKE_TRY(yoke_call(s->portal, "ends:look", &(depth_of){2}, &got));
    address_print(&a->root, address);
    bool same = strcmp(got.name, "deeper") == 0 && !got.is_root && got.debug_mode &&
                strcmp(got.log_filter, "error") == 0 && strcmp(got.root_address, address) == 0 &&
                address[0] && got.backend == (uint32_t)a->backend && strcmp(got.directory, a->directory) == 0;
    view_free(&got);
    CHECK(same);
    /* A sibling has what it was given at its own start. */
    YOKE_TRY(start_one(s->actors, "second", &s->portal));
    YOKE_TRY(yoke_call(s->portal, "ends:look", &(depth_of){1}, &got));
    same = !got.debug_mode && strcmp(got.log_filter, yoke_log_filter()) == 0;
    view_free(&got);
    CHECK(same);
    return NULL;
}
static void test_root_06_variables_go_down(void **state)
{
    assert_success(tree_with_actors(look_at_depth_3, NULL));
}

/* ---- all as before ---- */

struct process_state {
    sigset_t mask;
    struct sigaction actions[NSIG];
    char cwd[4096];
    mode_t mask_of_files;
    int subreaper, fds;
    size_t variables;
};
extern char **environ;

static void take_state(struct process_state *s)
{
    memset(s, 0, sizeof *s);
    sigprocmask(SIG_SETMASK, NULL, &s->mask);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, NULL, &s->actions[i]);
    if (!getcwd(s->cwd, sizeof s->cwd))
        s->cwd[0] = '\0';
    s->mask_of_files = umask(0);
    umask(s->mask_of_files);
    prctl(PR_GET_CHILD_SUBREAPER, &s->subreaper);
    s->fds = open_fds();
    while (environ[s->variables])
        s->variables++;
}
static void assert_same_state(const struct process_state *before)
{
    struct process_state now;
    take_state(&now);
    for (int i = 1; i < NSIG; i++) {
        assert_int_equal(sigismember(&now.mask, i), sigismember(&before->mask, i));
        assert_ptr_equal(now.actions[i].sa_handler, before->actions[i].sa_handler);
    }
    assert_string_equal(now.cwd, before->cwd);
    assert_int_equal(now.mask_of_files, before->mask_of_files);
    assert_int_equal(now.subreaper, before->subreaper);
    assert_int_equal(now.fds, before->fds);
    assert_int_equal(now.variables, before->variables);
}
static void on_usr1(int signal_number)
{
}
static void test_root_07_all_as_before(void **state)
{
    struct process_state before;
    struct sigaction own = {.sa_handler = on_usr1}, old;
    sigaction(SIGUSR1, &own, &old);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    take_state(&before);
    struct implied fine = {.root = NULL}, failed = {.fails = true};
    assert_success(run_plainly(implied_root, &fine));
    assert_same_state(&before);
    assert_error(run_plainly(implied_root, &failed), &APP_K);
    assert_same_state(&before);
    assert_error(run_plainly(bad_root, &(yoke_root_options){.name = "/"}), &YOKE_USAGE);
    assert_same_state(&before);
    assert_null(yoke_current_actor());
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigaction(SIGUSR1, &old, NULL);
}

struct refused {
    size_t after;
    bool fired;
};
static yoke_error *open_without_memory(void *arg)
{
    struct refused *r = arg;
    yoke_actors *actors;
    yoke_root_options root = {.log_filter = "error"};
    memory_fail_after(r->after);
    yoke_error *e = yoke_actors_open(&actors, &(yoke_actors_options){.root = &root});
    r->fired = memory_fail_after(SIZE_MAX);
    return e ? e : yoke_actors_close(actors, NULL);
}
/* ROOT-18: each allocation of the open is refused in its turn; the next open is fine. (No directory, no
 * socket and no zygote is made before somebody asks for an address, or for a child.) */
static void test_open_that_fails_midway(void **state)
{
    struct process_state before;
    take_state(&before);
    size_t refusals = 0;
    for (struct refused r = {0, true}; r.fired; r.after++) {
        yoke_error *e = run_plainly(open_without_memory, &r);
        assert_true(!e || (r.fired && yoke_error_is(e, &YOKE_NO_MEMORY)));
        refusals += e != NULL;
        yoke_error_free(e);
        assert_same_state(&before);
        assert_string_equal(yoke_log_filter(), "warning");
        assert_null(yoke_current_actor());
    }
    assert_true(refusals >= 3);
    struct implied i = {.root = NULL};
    assert_success(run_plainly(implied_root, &i));
}

/* ---- ends ---- */

static yoke_error *cancel_self_and_go_on(struct scene *s)
{
    YOKE_TRY(start_one(s->actors, "a", &s->portal));
    YOKE_TRY(yoke_actor_cancel_self());
    yoke_error *e = yoke_sleep_forever();
    if (!yoke_error_is_cancelled(e))
        return yoke_wrap(e, &CHECK_FAILED, "not cancelled");
    return e;
}
static yoke_error *cancelled_root(void *arg)
{
    struct scene s = {0};
    YOKE_TRY(yoke_log_set("cancel"));
    return with_actors(&s, NULL, cancel_self_and_go_on);
}
static yoke_error *child_cancels_itself(struct scene *s)
{
    yoke_portal *other;
    YOKE_TRY(start_one(s->actors, "a", &s->portal));
    YOKE_TRY(start_one(s->actors, "other", &other));
    yoke_error *e = yoke_call(s->portal, "ends:cancel_itself", NULL, NULL);
    bool by_itself = yoke_error_is(e, &YOKE_CONTEXT_CANCELLED) &&
                     yoke_uid_equal(yoke_error_canceller(e), yoke_portal_peer(s->portal));
    if (!by_itself)
        return yoke_wrap(e, &CHECK_FAILED, "not a cancel by the child itself");
    yoke_error_free(e);
    int64_t begin = yoke_now();
    while (yoke_actors_count(s->actors) > 1) {
        CHECK(tree_ms_since(begin) < 3000 * TREE_SLOW);
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    }
    number got;
    return yoke_call(other, "ends:my_pid", NULL, &got); /* and no error came of it */
}
static void test_root_08_cancel_self(void **state)
{
    char text[4096];
    int status = tree_status(cancelled_root, NULL, text, sizeof text);
    yoke_error_free(yoke_log_set("warning"));
    assert_int_equal(status, 0);
    assert_non_null(strstr(text, "actor `root` was cancelled by `root`"));
    assert_null(strstr(text, "error:"));
    assert_success(tree_with_actors(child_cancels_itself, NULL));
}

static yoke_error *sleep_and_look(void *arg)
{
    int64_t begin = yoke_now();
    for (int i = 0; i < 10; i++)
        YOKE_TRY(yoke_sleep(YOKE_MS(100)));
    CHECK(tree_ms_since(begin) >= 1000 && yoke_is_root());
    char *address; /* it is the registrar, and is found by its own name */
    YOKE_TRY(yoke_query(yoke_current_actor()->name, &address, NULL));
    bool found = address != NULL;
    free(address);
    CHECK(found);
    CHECK(tree_processes_left() == 0);
    *(int64_t *)arg = yoke_now();
    return NULL;
}
static void test_root_14_without_children(void **state)
{
    int64_t closing = 0;
    assert_success(tree_run(sleep_and_look, &closing));
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_true(now.tv_sec * 1000000000LL + now.tv_nsec - closing < YOKE_MS(50) * 4 * TREE_SLOW);
}

static yoke_error *fail_two_levels_down(struct scene *s)
{
    YOKE_TRY(start_one(s->actors, "a", &s->portal));
    return yoke_call(s->portal, "ends:break_down", NULL, NULL);
}
static yoke_error *failing_tree(void *arg)
{
    struct scene s = {0};
    return with_actors(&s, NULL, fail_two_levels_down);
}
static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        count++;
    return count;
}
static void test_root_16_one_report_of_a_failure(void **state)
{
    char text[8192];
    assert_int_equal(tree_status(failing_tree, NULL, text, sizeof text), 1);
    assert_int_equal(count_of(text, "it broke"), 1);
    assert_int_equal(count_of(text, "error:"), 1);
    int status = tree_status(cancelled_root, NULL, text, sizeof text);
    yoke_error_free(yoke_log_set("warning"));
    assert_int_equal(status, 0);
    assert_int_equal(count_of(text, "actor `root` was cancelled by `root`"), 1);
    assert_int_equal(count_of(text, "error"), 0);
}

TREE_MAIN(TEST(test_root_01_open_and_close), TEST(test_open_and_close_ten_times),
          TEST(test_root_03_implicit_root), TEST(test_implicit_root_leaves_an_error_its_task),
          TEST(test_root_10_implicit_root_hands_the_error_on),
          TEST(test_implicit_root_ends_after_all_nurseries), TEST(test_root_02_only_one),
          TEST(test_root_04_calls_without_a_runtime), TEST(test_root_05_options),
          TEST(test_root_06_variables_go_down), TEST(test_root_07_all_as_before),
          TEST(test_open_that_fails_midway), TEST(test_root_08_cancel_self),
          TEST(test_root_14_without_children), TEST(test_root_16_one_report_of_a_failure))
