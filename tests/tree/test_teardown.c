/*
 * How children end: the ladder as a table, then each rung of it with real processes; children that end by
 * themselves; children that never come up.
 */
#include "tree.h"

#include "actor/child.h"
#include "ipc/handshake.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* ---- the table ---- */

static bool is_signal(enum child_action action)
{
    return action == CHILD_TERM || action == CHILD_KILL;
}

/* In this state something is awaited, and not for ever. */
static bool has_bound(int s)
{
    return s == CHILD_ASKED || s == CHILD_ENDING || s == CHILD_TERMED;
}

/* REAP-27: what must hold of each pair of the table */
static void test_reap_27_every_pair_keeps_the_rules(void **state)
{
    for (int s = 0; s < CHILD_STATES; s++)
        for (int ev = 0; ev < CHILD_EVENTS; ev++) {
            struct child_step step = child_step((enum child_state)s, (enum child_event)ev);
            assert_true(step.next >= (enum child_state)s); /* never back up */
            assert_true(step.next < CHILD_STATES);
            /* A signal goes out when time is up or somebody asks for the end, at no other moment; and a mere
             * request is answered by one only as long as the child is not up. */
            assert_true(!is_signal(step.action) || ev == CHILD_TIMEOUT || ev == CHILD_HARD ||
                        (ev == CHILD_CANCEL && s < CHILD_READY));
            /* What is done and the state that says so are one thing. */
            assert_int_equal(step.action == CHILD_TERM, step.next == CHILD_TERMED && s != CHILD_TERMED);
            assert_int_equal(step.action == CHILD_KILL, step.next == CHILD_KILLED && s != CHILD_KILLED);
            assert_int_equal(step.action == CHILD_AWAIT, step.next == CHILD_ENDING && s != CHILD_ENDING);
            assert_int_equal(step.action == CHILD_ASK, step.next == CHILD_ASKED && s != CHILD_ASKED);
            assert_int_equal(step.action == CHILD_REAP, step.next == CHILD_REAPED && s != CHILD_REAPED);
            /* Nothing but the exit of the process ends it. */
            assert_int_equal(step.action == CHILD_REAP, ev == CHILD_EXIT && s != CHILD_REAPED);
            /* The debugger stops the clock where one runs, and nothing else moves for it. */
            assert_int_equal(step.action == CHILD_STOP_CLOCK, ev == CHILD_HELD && has_bound(s));
            assert_int_equal(step.action == CHILD_GRANT, ev == CHILD_RELEASED && has_bound(s));
            assert_true((ev != CHILD_HELD && ev != CHILD_RELEASED) || step.next == (enum child_state)s);
            /* Time passes where a bound runs, and a request or an end is heard where nothing has been asked.
             */
            assert_int_equal(ev == CHILD_TIMEOUT && step.action != CHILD_NOTHING,
                             ev == CHILD_TIMEOUT && has_bound(s));
        }
}

static const struct pair {
    enum child_state from;
    enum child_event event;
    enum child_action action;
    enum child_state to;
} pairs[] = {
    {CHILD_CLONED, CHILD_MET, CHILD_NOTHING, CHILD_CONNECTED},
    {CHILD_CLONED, CHILD_CANCEL, CHILD_KILL, CHILD_KILLED},
    {CHILD_CLONED, CHILD_HARD, CHILD_KILL, CHILD_KILLED},
    {CHILD_CLONED, CHILD_EXIT, CHILD_REAP, CHILD_REAPED},
    {CHILD_CONNECTED, CHILD_UP, CHILD_NOTHING, CHILD_READY},
    {CHILD_CONNECTED, CHILD_CANCEL, CHILD_KILL, CHILD_KILLED},
    {CHILD_CONNECTED, CHILD_HARD, CHILD_KILL, CHILD_KILLED},
    {CHILD_CONNECTED, CHILD_EOF, CHILD_AWAIT, CHILD_ENDING},
    {CHILD_CONNECTED, CHILD_EXIT, CHILD_REAP, CHILD_REAPED},
    {CHILD_READY, CHILD_CANCEL, CHILD_ASK, CHILD_ASKED},
    {CHILD_READY, CHILD_HARD, CHILD_KILL, CHILD_KILLED},
    {CHILD_READY, CHILD_EOF, CHILD_AWAIT, CHILD_ENDING},
    {CHILD_READY, CHILD_EXIT, CHILD_REAP, CHILD_REAPED},
    {CHILD_ASKED, CHILD_HELD, CHILD_STOP_CLOCK, CHILD_ASKED},
    {CHILD_ASKED, CHILD_RELEASED, CHILD_GRANT, CHILD_ASKED},
    {CHILD_ASKED, CHILD_HARD, CHILD_KILL, CHILD_KILLED},
    {CHILD_ASKED, CHILD_ACK, CHILD_AWAIT, CHILD_ENDING},
    {CHILD_ASKED, CHILD_EOF, CHILD_AWAIT, CHILD_ENDING},
    {CHILD_ASKED, CHILD_TIMEOUT, CHILD_TERM, CHILD_TERMED},
    {CHILD_ASKED, CHILD_EXIT, CHILD_REAP, CHILD_REAPED},
    {CHILD_ENDING, CHILD_HELD, CHILD_STOP_CLOCK, CHILD_ENDING},
    {CHILD_ENDING, CHILD_RELEASED, CHILD_GRANT, CHILD_ENDING},
    {CHILD_ENDING, CHILD_HARD, CHILD_KILL, CHILD_KILLED},
    {CHILD_ENDING, CHILD_TIMEOUT, CHILD_TERM, CHILD_TERMED},
    {CHILD_ENDING, CHILD_EXIT, CHILD_REAP, CHILD_REAPED},
    {CHILD_TERMED, CHILD_HELD, CHILD_STOP_CLOCK, CHILD_TERMED},
    {CHILD_TERMED, CHILD_RELEASED, CHILD_GRANT, CHILD_TERMED},
    {CHILD_TERMED, CHILD_HARD, CHILD_KILL, CHILD_KILLED},
    {CHILD_TERMED, CHILD_TIMEOUT, CHILD_KILL, CHILD_KILLED},
    {CHILD_TERMED, CHILD_EXIT, CHILD_REAP, CHILD_REAPED},
    {CHILD_KILLED, CHILD_EXIT, CHILD_REAP, CHILD_REAPED},
};

/* NULL: nothing happens. */
static const struct pair *expected(int s, int ev)
{
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if ((int)pairs[i].from == s && (int)pairs[i].event == ev)
            return &pairs[i];
    return NULL;
}

/* REAP-27: the pairs at which something happens, and at all others nothing does */
static void test_reap_27_every_pair_word_by_word(void **state)
{
    for (int s = 0; s < CHILD_STATES; s++)
        for (int ev = 0; ev < CHILD_EVENTS; ev++) {
            struct child_step step = child_step((enum child_state)s, (enum child_event)ev);
            const struct pair *p = expected(s, ev);
            assert_int_equal(step.action, p ? p->action : CHILD_NOTHING);
            assert_int_equal(step.next, p ? p->to : (enum child_state)s);
        }
}

static void test_time_alone_ends_in_a_kill(void **state)
{
    enum child_state s = child_step(CHILD_READY, CHILD_CANCEL).next;
    for (int rungs = 0; s != CHILD_KILLED; rungs++) {
        assert_true(rungs < CHILD_STATES);
        s = child_step(s, CHILD_TIMEOUT).next;
    }
}

/* ---- children of every temper ---- */

YOKE_RECORD(note, (str, path)); /* of a file that is there when the child was sent SIGTERM */

static char term_file[128];

static void note_term(int number)
{
    close(open(term_file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

/* Answers a cancel at once; a SIGTERM would leave the file `path`. */
static yoke_error *good(yoke_context *ctx, const note *args, yoke_type_none *result)
{
    snprintf(term_file, sizeof term_file, "%s", args->path);
    signal(SIGTERM, note_term);
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep(YOKE_S(1000));
}

static void spin(void)
{
    for (volatile bool on = true; on;)
        ;
}

/* The first value leaves the process before the task stops yielding. */
static yoke_error *start_and_flush(yoke_context *ctx)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return yoke_sleep(YOKE_MS(5));
}

static yoke_error *busy(yoke_context *ctx, const note *args, yoke_type_none *result)
{
    YOKE_TRY(start_and_flush(ctx));
    spin();
    return NULL;
}

static yoke_error *deaf(yoke_context *ctx, const note *args, yoke_type_none *result)
{
    signal(SIGTERM, SIG_IGN);
    YOKE_TRY(start_and_flush(ctx));
    spin();
    return NULL;
}

static yoke_error *stopped(yoke_context *ctx, const note *args, yoke_type_none *result)
{
    YOKE_TRY(start_and_flush(ctx));
    raise(SIGSTOP);
    return NULL;
}

/* Tasks that take their time to end: acknowledged late, though in time. */
static yoke_error *slow(yoke_context *ctx, const note *args, yoke_type_none *result)
{
    signal(SIGTERM, note_term);
    snprintf(term_file, sizeof term_file, "%s", args->path);
    YOKE_TRY(start_and_flush(ctx));
    yoke_error *e = yoke_sleep(YOKE_S(1000));
    yoke_scope shield;
    yoke_error *late = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (!late)
        late = yoke_scope_close(&shield, yoke_sleep(YOKE_MS(200)));
    return yoke_error_join(e, late);
}

/* Dies while it is being cancelled. */
static yoke_error *mortal(yoke_context *ctx, const note *args, yoke_type_none *result)
{
    YOKE_TRY(start_and_flush(ctx));
    yoke_error *e = yoke_sleep(YOKE_S(1000));
    raise(SIGKILL);
    return e;
}

YOKE_RECORD(leave_args, (boolean, at_once), (i32, status));

static yoke_error *leave(const leave_args *args, yoke_type_none *result)
{
    if (args->at_once)
        _exit(args->status);
    exit(args->status);
}

YOKE_MODULE(temper, YOKE_CONTEXT(good, note, none, none), YOKE_CONTEXT(busy, note, none, none),
            YOKE_CONTEXT(deaf, note, none, none), YOKE_CONTEXT(stopped, note, none, none),
            YOKE_CONTEXT(slow, note, none, none), YOKE_CONTEXT(mortal, note, none, none),
            YOKE_CALL(leave, leave_args, none));

/* ---- one child is cancelled ---- */

struct cancel {
    const char *endpoint;
    char path[128]; /* of the note */
    int ms;         /* how long the cancel took */
};

static yoke_error *start_temper(yoke_actors *actors, const char *name, yoke_portal **portal)
{
    return yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "temper"}, portal);
}

static yoke_error *cancel_child(struct scene *s)
{
    struct cancel *c = s->arg;
    YOKE_TRY(start_temper(s->actors, "worker", &s->portal));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, c->endpoint, &(note){c->path}, NULL));
    YOKE_TRY(yoke_sleep(YOKE_MS(50))); /* till the task does what it is named for */
    int64_t begin = yoke_now();
    yoke_error *e = yoke_actors_cancel(s->actors);
    c->ms = tree_ms_since(begin);
    /* What the context says of the loss is not what is asked here. */
    yoke_error_free(yoke_context_close(s->ctx, NULL));
    return e;
}

static bool was_termed(const struct cancel *c)
{
    return unlink(c->path) == 0;
}

static yoke_error *cancelled(struct cancel *c, const char *endpoint)
{
    c->endpoint = endpoint;
    snprintf(c->path, sizeof c->path, "/tmp/yoke-teardown-%d", (int)getpid());
    return tree_with_actors(cancel_child, c);
}

static void test_who_acknowledges_gets_no_signal(void **state)
{
    struct cancel c;
    assert_success(cancelled(&c, "temper:good"));
    assert_in_range(c.ms, 0, 490);
    assert_false(was_termed(&c));
}

static void test_who_takes_its_time_gets_no_signal(void **state)
{
    struct cancel c;
    assert_success(cancelled(&c, "temper:slow"));
    assert_in_range(c.ms, 200, 900);
    assert_false(was_termed(&c));
}

static yoke_error *no_sigkill(void *arg)
{
    struct scene s = {.arg = arg};
    return with_actors(&s, &(yoke_actors_options){.kill_bound = YOKE_S(100)}, cancel_child);
}

/* It has half a second from the request to SIGTERM, and half a second to take that. */
static void test_who_spins_dies_of_sigterm(void **state)
{
    struct cancel c = {.endpoint = "temper:busy", .path = ""};
    assert_success(tree_run(no_sigkill, &c));
    assert_in_range(c.ms, 1000, 50000);
}

static void test_who_ignores_sigterm_dies_of_sigkill(void **state)
{
    struct cancel c;
    assert_success(cancelled(&c, "temper:deaf"));
    assert_in_range(c.ms, 1600, 1600 + 200 * TREE_SLOW);
}

static void test_who_is_stopped_dies_of_sigkill(void **state)
{
    struct cancel c;
    assert_success(cancelled(&c, "temper:stopped"));
    assert_in_range(c.ms, 1600, 1600 + 200 * TREE_SLOW);
}

static void test_a_death_in_the_cancel_is_told_at_once(void **state)
{
    struct cancel c;
    assert_error_text(cancelled(&c, "temper:mortal"), &YOKE_ACTOR_DIED, "`worker`");
    assert_in_range(c.ms, 0, 490);
}

/* ---- bounds of one's own ---- */

static yoke_error *short_bounds(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_actors_options options = {.acknowledge_bound = YOKE_MS(50), .kill_bound = YOKE_MS(300)};
    return with_actors(&s, &options, cancel_child);
}

static void test_the_bounds_are_the_nursery_s(void **state)
{
    struct cancel c = {.endpoint = "temper:deaf", .path = ""};
    assert_success(tree_run(short_bounds, &c));
    assert_in_range(c.ms, 300, 300 + 200 * TREE_SLOW);
}

/* ---- the debugger ---- */

static struct child *child_of(const yoke_portal *p)
{
    return p->peer->child;
}

enum { HELD_MS = 700, ACKNOWLEDGE_MS = 300, KILL_MS = 400 };

static yoke_error *release_after(void *arg)
{
    const yoke_portal *p = arg;
    YOKE_TRY(yoke_sleep(YOKE_MS(HELD_MS)));
    bool waited = child_of(p)->state == CHILD_ASKED && !child_of(p)->sent;
    child_release(p->peer);
    return waited ? NULL : yoke_raise(&CHECK_FAILED, "a bound has passed in the debugger");
}

static yoke_error *hold_and_cancel(struct scene *s, bool asked_already)
{
    if (asked_already)
        child_post(child_of(s->portal), CHILD_CANCEL);
    while (asked_already && child_of(s->portal)->state != CHILD_ASKED)
        YOKE_TRY(yoke_checkpoint());
    child_hold(s->portal->peer);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, release_after, s->portal);
    return yoke_nursery_close_flat(&n, e ? e : yoke_actors_cancel(s->actors));
}

static yoke_error *cancel_held(struct scene *s)
{
    YOKE_TRY(start_temper(s->actors, "worker", &s->portal));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "temper:deaf", &(note){""}, NULL));
    YOKE_TRY(yoke_sleep(YOKE_MS(50))); /* till it is deaf */
    yoke_error *e = hold_and_cancel(s, s->arg);
    yoke_error_free(yoke_context_close(s->ctx, NULL));
    return e;
}

static yoke_error *held_app(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_actors_options options = {.acknowledge_bound = YOKE_MS(ACKNOWLEDGE_MS),
                                   .kill_bound = YOKE_MS(KILL_MS)};
    return with_actors(&s, &options, cancel_held);
}

/* REAP-27: the debugger (here its lock alone) holds a child that ignores all but SIGKILL, before it is asked
 * to end and after it; the ladder goes on when it is released. */
static void test_reap_27_no_bound_passes_in_the_debugger(void **state)
{
    assert_success(tree_run(held_app, NULL));
    assert_success(tree_run(held_app, (void *)"asked already"));
}

/* ---- ten at once ---- */

enum { TEN = 10, DEAF = 3 };

static yoke_error *ten(struct scene *s)
{
    int *ms = s->arg;
    yoke_context *contexts[TEN];
    for (int i = 0; i < TEN; i++) {
        char name[16];
        snprintf(name, sizeof name, "worker-%d", i);
        YOKE_TRY(start_temper(s->actors, name, &s->portal));
        YOKE_TRY(yoke_context_open(s->portal, &contexts[i], i < DEAF ? "temper:deaf" : "temper:good",
                                   &(note){""}, NULL));
    }
    YOKE_TRY(yoke_sleep(YOKE_MS(50))); /* till the task does what it is named for */
    int64_t begin = yoke_now();
    yoke_error *e = yoke_actors_cancel(s->actors);
    *ms = tree_ms_since(begin);
    for (int i = TEN; i-- > 0;)
        yoke_error_free(yoke_context_close(contexts[i], NULL));
    return e;
}

static void test_ten_end_in_the_time_of_one(void **state)
{
    int ms;
    assert_success(tree_with_actors(ten, &ms));
    assert_in_range(ms, 1600, 3000);
}

/* ---- by itself ---- */

static yoke_error *let_leave(struct scene *s)
{
    YOKE_TRY(start_temper(s->actors, "worker", &s->portal));
    return yoke_call(s->portal, "temper:leave", s->arg, NULL);
}

static void leaves(bool at_once, int status)
{
    char says[48];
    leave_args args = {at_once, status};
    snprintf(says, sizeof says, "with status %d", status);
    yoke_error *e = tree_with_actors(let_leave, &args);
    assert_int_equal(yoke_error_signal(yoke_error_find(e, &YOKE_ACTOR_EXITED)), -status);
    assert_error_text(e, &YOKE_ACTOR_EXITED, says);
}

static void test_an_exit_nobody_asked_for(void **state)
{
    leaves(true, 3);
    leaves(true, 0);
    if (TREE_SLOW > 3)
        return; /* a leak checker looks at what a task's exit(3) leaves in the frames of the main stack */
    leaves(false, 3);
    leaves(false, 0);
}

/* ---- never born ---- */

/*
 * A child whose main() is not what it should be. glibc hands a constructor main's arguments. It is asked of
 * the exec backend alone: a clone of the zygote has had its main() already.
 */
__attribute__((constructor)) static void misbehave(int argc, char **argv)
{
    const char *how = getenv("TEARDOWN_BIRTH");
    if (!how || argc != 2 || strncmp(argv[1], "--yoke-child=", 13) != 0)
        return;
    if (strcmp(how, "exit") == 0)
        _exit(7);
    if (strcmp(how, "exit2") == 0)
        exit(2);
    if (strcmp(how, "die") == 0)
        raise(SIGKILL);
    if (strcmp(how, "close") == 0)
        close(3);
    if (strcmp(how, "garbage") == 0 && write(3,
                                             "\x04\0\0\0"
                                             "abcd",
                                             8) != 8)
        _exit(1);
    if (strcmp(how, "cut") == 0 && write(3, "\xff\0\0\0\x81", 5) != 5)
        _exit(1);
    for (;;)
        pause();
}

static yoke_error *bear(struct scene *s)
{
    yoke_actor_options options = {
        .modules = "temper", .backend = YOKE_BACKEND_EXEC, .start_bound = YOKE_MS(400)};
    int64_t begin = yoke_now();
    yoke_error *e = yoke_actors_start(s->actors, "worker", &options, &s->portal);
    CHECK(yoke_actors_count(s->actors) == 0);
    if (tree_ms_since(begin) > 400 + 300 * TREE_SLOW)
        e = yoke_wrap(e, &CHECK_FAILED, "it took %d ms", tree_ms_since(begin));
    EXPECT(e, &YOKE_SPAWN_FAILED, s->arg);
    /* The nursery is as good as before. */
    unsetenv("TEARDOWN_BIRTH");
    return start_temper(s->actors, "worker", &s->portal);
}

static void born(const char *how, const char *says)
{
    setenv("TEARDOWN_BIRTH", how, 1);
    assert_success(tree_with_actors(bear, (void *)says));
}

static void test_never_born(void **state)
{
    born("exit", "with status 7");
    born("die", "died of SIGKILL");
    born("hang", "TooSlow");
    born("close", "closed");
    born("garbage", "Protocol");
    born("cut", "TooSlow");
}

/* At once: its time, and that of the nursery, would be long. */
static yoke_error *bear_with_time(struct scene *s)
{
    yoke_actor_options options = {.backend = YOKE_BACKEND_EXEC, .start_bound = YOKE_S(200)};
    int64_t begin = yoke_now();
    yoke_error *e = yoke_actors_start(s->actors, "worker", &options, &s->portal);
    unsetenv("TEARDOWN_BIRTH");
    EXPECT(e, &YOKE_SPAWN_FAILED, s->arg);
    CHECK(s->portal == NULL && yoke_actors_count(s->actors) == 0);
    CHECK(tree_ms_since(begin) < 10000 * TREE_SLOW);
    return NULL;
}
static void test_spawn_12_child_dies_before_the_handshake(void **state)
{
    static const char *const ways[][2] = {
        {"exit2", "with status 2"}, {"die", "died of SIGKILL"}, {"close", "closed"}};
    for (size_t i = 0; i < 3; i++) {
        setenv("TEARDOWN_BIRTH", ways[i][0], 1);
        assert_success(tree_with_actors(bear_with_time, (void *)ways[i][1]));
    }
}

/* The one that hangs is started first, and fails last. */
static yoke_error *hang(void *arg)
{
    struct scene *s = arg;
    setenv("TEARDOWN_BIRTH", "hang", 1);
    yoke_actor_options options = {.backend = YOKE_BACKEND_EXEC, .start_bound = YOKE_S(3)};
    yoke_portal *p;
    yoke_error *e = yoke_actors_start(s->actors, "hangs", &options, &p);
    EXPECT(e, &YOKE_SPAWN_FAILED, "TooSlow");
    CHECK(s->arg); /* the sibling has answered long ago */
    return NULL;
}
static yoke_error *start_sibling(void *arg)
{
    struct scene *s = arg;
    YOKE_TRY(yoke_sleep(YOKE_MS(10)));
    unsetenv("TEARDOWN_BIRTH");
    YOKE_TRY(yoke_actors_start(s->actors, "sibling", &(yoke_actor_options){.modules = "tree"}, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "tree:ping", NULL, NULL));
    s->arg = s;
    return NULL;
}
static yoke_error *hang_beside(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, hang, s);
    if (!e)
        e = yoke_spawn(&n, start_sibling, s);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(yoke_actors_count(s->actors) == 1);
    return NULL;
}
static void test_spawn_11_child_never_connects(void **state)
{
    assert_true(HANDSHAKE_BOUND == YOKE_S(10)); /* where nothing else is asked for */
    assert_success(tree_with_actors(hang_beside, NULL));
}

/* The other children go on when one does not come up. */
static yoke_error *bear_beside(struct scene *s)
{
    yoke_portal *good_one;
    YOKE_TRY(yoke_actors_start(s->actors, "good", &(yoke_actor_options){.modules = "tree"}, &good_one));
    setenv("TEARDOWN_BIRTH", "exit", 1);
    EXPECT(
        yoke_actors_start(s->actors, "bad", &(yoke_actor_options){.backend = YOKE_BACKEND_EXEC}, &s->portal),
        &YOKE_SPAWN_FAILED, "with status 7");
    unsetenv("TEARDOWN_BIRTH");
    return yoke_call(good_one, "tree:ping", NULL, NULL);
}

static void test_a_stillbirth_hurts_nobody_else(void **state)
{
    assert_success(tree_with_actors(bear_beside, NULL));
}

/* ---- reaped by others, and not ---- */

/* Reaps the actors that it has killed, before the runtime is given a chance to. */
static yoke_error *reap_it_myself(struct scene *s)
{
    int status;
    for (int i = 0; i < 2; i++) {
        YOKE_TRY(start_temper(s->actors, i ? "first" : "second", &s->portal));
        kill(yoke_portal_pid(s->portal), SIGKILL);
        if (s->arg)
            CHECK(waitpid(-1, &status, __WALL) == yoke_portal_pid(s->portal));
        yoke_scope shield; /* the nursery's scope is cancelled when the first is dead */
        YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.after = YOKE_MS(300), .shield = true}));
        YOKE_TRY(yoke_scope_close(&shield, yoke_sleep(YOKE_S(1000))));
        if (!i)
            continue;
        return yoke_sleep(YOKE_S(1000));
    }
    return NULL;
}
static yoke_error *reap_alone(void *arg)
{
    struct scene s = {.arg = arg};
    YOKE_TRY(yoke_actors_open(&s.actors, NULL));
    return yoke_actors_close(s.actors, reap_it_myself(&s));
}
static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}
static void test_reap_20_someone_else_reaped_it(void **state)
{
    char text[8192];
    assert_int_equal(tree_status(reap_alone, (void *)"waitpid", text, sizeof text), 1);
    assert_non_null(strstr(text, "[ActorExited]"));
    assert_non_null(strstr(text, "has ended, its status is unknown: reaped elsewhere"));
    assert_int_equal(count(text, "it was reaped elsewhere: does this program call waitpid(-1)"), 1);
    signal(SIGCHLD, SIG_IGN); /* as a program is started by some */
    int status = tree_status(reap_alone, NULL, text, sizeof text);
    signal(SIGCHLD, SIG_DFL);
    assert_int_equal(status, 1);
    assert_true(strstr(text, "`second`") || strstr(text, "`first`"));
}

static pid_t fork_zombie(const char *name, int status)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, name);
        _exit(status);
    }
    return pid;
}
static yoke_error *leave_zombie(const yoke_type_none *args, yoke_type_i32 *result)
{
    *result = fork_zombie("yoke-left", 0);
    return NULL;
}
YOKE_MODULE(zombies, YOKE_CALL(leave_zombie, none, i32));

/* One zombie is this program's own, whatever it calls itself; the other belonged to an actor that dies. */
static yoke_error *two_zombies(struct scene *s)
{
    int32_t left;
    *(pid_t *)s->arg = fork_zombie("yoke-own", 7);
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "zombies"}, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "zombies:leave_zombie", NULL, &left));
    kill(yoke_portal_pid(s->portal), SIGKILL);
    return yoke_sleep(YOKE_S(1000));
}
/* That of the actor is gone, or the check after each test would find it. */
static void test_a_zombie_of_the_program_s_own_is_left_to_it(void **state)
{
    pid_t own;
    int status = 0;
    yoke_error *e = tree_with_actors(two_zombies, &own);
    assert_int_equal(waitpid(own, &status, 0), own);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_error(e, &YOKE_ACTOR_DIED);
}

/* ---- told before the sweep ---- */

static yoke_error *leave_sleeper(const yoke_type_none *args, yoke_type_i32 *result)
{
    *result = fork();
    if (*result == 0) {
        execlp("sleep", "sleep", "1000", (char *)NULL);
        _exit(127);
    }
    return NULL;
}
YOKE_MODULE(leavers, YOKE_CALL(leave_sleeper, none, i32));

/* What the dead actor left has its time to end, and nobody waits for that to hear of the death. */
static yoke_error *hear_of_a_death(struct scene *s)
{
    int32_t left;
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "leavers"}, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "leavers:leave_sleeper", NULL, &left));
    kill(yoke_portal_pid(s->portal), SIGKILL);
    yoke_error *e = yoke_sleep(YOKE_S(1000));
    *(bool *)s->arg = yoke_error_is_cancelled(e) && kill(left, 0) == 0;
    return e;
}
static void test_a_death_is_told_before_what_it_left_is_ended(void **state)
{
    bool in_time = false;
    assert_error(tree_with_actors(hear_of_a_death, &in_time), &YOKE_ACTOR_DIED);
    assert_true(in_time);
}

/* ---- few descriptors ---- */

static yoke_error *start_with_few_fds(struct scene *s)
{
    struct rlimit before, few;
    YOKE_TRY(start_temper(s->actors, "first", &s->portal)); /* the zygote is there */
    getrlimit(RLIMIT_NOFILE, &before);
    int lowest_free = dup(0), started = 0;
    close(lowest_free);
    for (int room = 0; room < 16; room++) {
        few = (struct rlimit){(rlim_t)(lowest_free + room), before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &few);
        yoke_error *e = start_temper(s->actors, "next", &s->portal);
        setrlimit(RLIMIT_NOFILE, &before);
        if (!e) {
            started = 1;
            break;
        }
        EXPECT(e, &YOKE_SPAWN_FAILED, "Too many open files");
        CHECK(yoke_actors_count(s->actors) == 1);
    }
    CHECK(started);
    return NULL;
}

static void test_without_descriptors_a_start_says_so(void **state)
{
    assert_success(tree_with_actors(start_with_few_fds, NULL));
}

TREE_MAIN(TEST(test_reap_27_every_pair_keeps_the_rules), TEST(test_reap_27_every_pair_word_by_word),
          TEST(test_time_alone_ends_in_a_kill), TEST(test_who_acknowledges_gets_no_signal),
          TEST(test_who_takes_its_time_gets_no_signal), TEST(test_who_spins_dies_of_sigterm),
          TEST(test_who_ignores_sigterm_dies_of_sigkill), TEST(test_who_is_stopped_dies_of_sigkill),
          TEST(test_a_death_in_the_cancel_is_told_at_once), TEST(test_the_bounds_are_the_nursery_s),
          TEST(test_reap_27_no_bound_passes_in_the_debugger), TEST(test_ten_end_in_the_time_of_one),
          TEST(test_an_exit_nobody_asked_for), TEST(test_never_born),
          TEST(test_spawn_12_child_dies_before_the_handshake), TEST(test_spawn_11_child_never_connects),
          TEST(test_a_stillbirth_hurts_nobody_else), TEST(test_reap_20_someone_else_reaped_it),
          TEST(test_a_zombie_of_the_program_s_own_is_left_to_it),
          TEST(test_a_death_is_told_before_what_it_left_is_ended),
          TEST(test_without_descriptors_a_start_says_so))
