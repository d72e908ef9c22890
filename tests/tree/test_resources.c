/*
 * Out of descriptors, out of memory: what an actor can't do then is an error of the call that asked for it;
 * all that goes on needs no more than it has, and when there is some again all is as before.
 */
#include "stranger.h"

#include "base/memory.h"

#include <errno.h>
#include <sys/resource.h>

/* ---- what is served ---- */

static struct {
    yoke_portal *portal;
    yoke_error *error;
    bool done;
} mine;

YOKE_RECORD(place, (str, address));

static yoke_error *connect_later(void *arg)
{
    char *address = arg;
    mine.error = yoke_connect(address, &mine.portal, &(yoke_connect_options){.handshake_bound = YOKE_S(60)});
    free(address);
    mine.done = true;
    return NULL;
}

/* Begins to connect, and returns. */
static yoke_error *knock(const place *args, yoke_type_none *result)
{
    return yoke_spawn_system(connect_later, strdup(args->address));
}

static yoke_error *has_connected(const yoke_type_none *args, yoke_type_boolean *result)
{
    *result = mine.done;
    yoke_error *e = mine.error;
    mine.error = NULL;
    return e;
}

static yoke_error *leave(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_portal_close(mine.portal, NULL);
}

static yoke_error *echo(yoke_context *ctx, const yoke_type_none *args, yoke_type_u64 *result)
{
    yoke_stream *stream;
    uint64_t item;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = yoke_recv(stream, &item);
    if (!e)
        e = yoke_send(stream, &item);
    *result = item;
    return yoke_stream_close(stream, e);
}

static yoke_error *where(const yoke_type_none *args, place *result)
{
    char *address;
    YOKE_TRY(yoke_listen(&address));
    result->address = memory_strdup(address);
    free(address);
    return NULL;
}

YOKE_MODULE(resources, YOKE_CALL(knock, place, none), YOKE_CALL(has_connected, none, boolean),
            YOKE_CALL(leave, none, none), YOKE_CALL(where, none, place),
            YOKE_CONTEXT_STREAM(echo, none, none, u64, u64, u64));

static yoke_error *start_one(struct scene *s, const char *name, yoke_portal **portal)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "resources,tree"}, portal);
}

/* ---- without descriptors ---- */

/* No number is free below the limit; gives the limit that was. */
static struct rlimit take_descriptors(void)
{
    struct rlimit was, none;
    int lowest = dup(STDERR_FILENO);
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &was);
    none = was;
    none.rlim_cur = (rlim_t)lowest;
    setrlimit(RLIMIT_NOFILE, &none);
    return was;
}

/* Each of these needs one. */
static yoke_error *nothing_opens(struct scene *s, const char *address)
{
    yoke_portal *portal;
    yoke_error *e = yoke_connect(address, &portal, NULL);
    CHECK(!portal && yoke_error_errno(e) == EMFILE);
    yoke_error_free(e);
    e = yoke_listen_at("tcp:127.0.0.1:0", NULL);
    CHECK(yoke_error_errno(e) == EMFILE);
    yoke_error_free(e);
    e = yoke_listen_at(s->arg, NULL);
    CHECK(yoke_error_errno(e) == EMFILE);
    yoke_error_free(e);
    EXPECT(start_one(s, "more", &portal), &YOKE_SPAWN_FAILED, "RLIMIT_NOFILE");
    CHECK(!portal && yoke_actors_count(s->actors) == 1);
    return yoke_call(s->portal, "tree:ping", NULL, NULL); /* what there is goes on */
}

static yoke_error *all_opens(struct scene *s, const char *address)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_connect(address, &portal, NULL));
    YOKE_TRY(yoke_portal_close(portal, yoke_call(portal, "tree:ping", NULL, NULL)));
    YOKE_TRY(yoke_listen_at("tcp:127.0.0.1:0", NULL));
    YOKE_TRY(yoke_listen_at(s->arg, NULL));
    YOKE_TRY(start_one(s, "more", &portal));
    return yoke_call(portal, "tree:ping", NULL, NULL);
}

/* A connection that came meanwhile waits in the backlog; so does whoever waits for it. */
static yoke_error *nobody_gets_in(struct scene *s)
{
    bool in;
    for (int i = 0; i < 20; i++) {
        YOKE_TRY(yoke_call(s->portal, "resources:has_connected", NULL, &in));
        CHECK(!in);
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
    return NULL;
}

static yoke_error *wait_till_in(struct scene *s)
{
    bool in = false;
    while (!in) {
        YOKE_TRY(yoke_call(s->portal, "resources:has_connected", NULL, &in));
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
    return yoke_call(s->portal, "resources:leave", NULL, NULL);
}

static yoke_error *without_descriptors(struct scene *s, const char *root, const char *child)
{
    struct rlimit was = take_descriptors();
    yoke_error *e = nothing_opens(s, child);
    if (!e)
        e = yoke_call(s->portal, "resources:knock", &(place){root}, NULL);
    if (!e)
        e = nobody_gets_in(s);
    setrlimit(RLIMIT_NOFILE, &was);
    if (!e)
        e = wait_till_in(s);
    return e ? e : all_opens(s, child);
}

static yoke_error *descriptors(struct scene *s)
{
    char *root;
    place child;
    YOKE_TRY(start_one(s, "child", &s->portal));
    YOKE_TRY(yoke_call(s->portal, "resources:where", NULL, &child));
    YOKE_TRY(yoke_listen(&root));
    yoke_error *e = without_descriptors(s, root, child.address);
    free(root);
    place_free(&child);
    return e;
}

static void test_fault_16_no_descriptors(void **state)
{
    char path[128];
    snprintf(path, sizeof path, "unix:%s/yoke/more.sock", getenv("XDG_RUNTIME_DIR"));
    assert_success(tree_with_actors(descriptors, path));
}

/* ---- without memory ---- */

/* The allocation after so many more fails, once, in what is tried; then all of it is tried again. */
static struct {
    size_t after;
    bool refused;
} shortage;

static void begin_shortage(bool wanted)
{
    memory_fail_after(wanted ? shortage.after : SIZE_MAX);
}

static yoke_error *try_start(struct scene *s)
{
    yoke_portal *portal;
    YOKE_TRY(start_one(s, "more", &portal));
    return yoke_call(portal, "tree:ping", NULL, NULL);
}

static yoke_error *with_echo(struct scene *s)
{
    yoke_type_u64 item = 7, back = 0;
    YOKE_TRY(yoke_send(s->stream, &item));
    YOKE_TRY(yoke_recv(s->stream, &back));
    CHECK(back == 7);
    return NULL;
}

static yoke_error *echo_in_context(struct scene *s)
{
    return with_stream(s, NULL, with_echo);
}

static yoke_error *try_context(struct scene *s)
{
    return with_context(s, "resources:echo", NULL, echo_in_context);
}

static yoke_error *try_connect(struct scene *s)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_connect(s->arg, &portal, NULL));
    return yoke_portal_close(portal, yoke_call(portal, "tree:ping", NULL, NULL));
}

static yoke_error *try_listen(struct scene *s)
{
    struct channel *c;
    char *address;
    yoke_uid root;
    enum msg_flag registrar;
    static const yoke_uid uid = {"stranger", "00000000-0000-4000-8000-00000000000d"};
    YOKE_TRY(yoke_listen(&address));
    yoke_error *e = stranger_connect(&c, address); /* and who comes is taken in */
    free(address);
    if (e)
        return e;
    e = stranger_say_aid(c, &uid, 0, false);
    if (!e)
        e = stranger_hear_aid(c, &root, &registrar);
    return stranger_close(c, e);
}

/* A body of its own, with a child of its own, for what one that failed leaves behind may be the child's end.
 */
struct trial {
    scene_fn try;
    bool short_of_memory;
};

static yoke_error *trial(struct scene *s)
{
    const struct trial *t = s->arg;
    place child;
    YOKE_TRY(start_one(s, "child", &s->portal));
    YOKE_TRY(yoke_call(s->portal, "resources:where", NULL, &child));
    s->arg = (void *)child.address;
    begin_shortage(t->short_of_memory);
    yoke_error *e = t->try(s);
    shortage.refused = memory_fail_after(SIZE_MAX);
    place_free(&child);
    return e;
}

static yoke_error *run_trial(scene_fn try, bool short_of_memory)
{
    struct trial t = {try, short_of_memory};
    struct scene s = {.arg = &t};
    return with_actors(&s, NULL, trial);
}

/* In one root, which is not to be worse for any of it. */
static yoke_error *each_refused(void *arg)
{
    size_t failed = 0;
    shortage.refused = true;
    for (shortage.after = 0; shortage.refused; shortage.after++) {
        CHECK(shortage.after < 1000);
        yoke_error *e = run_trial((scene_fn)arg, true);
        CHECK(shortage.refused || !e);
        failed += e != NULL;
        yoke_error_free(e);
        bool refused = shortage.refused;
        YOKE_TRY(run_trial((scene_fn)arg, false));
        shortage.refused = refused;
    }
    CHECK(failed > 0);
    return NULL;
}

static void test_fault_16_no_memory_to_start(void **state)
{
    assert_success(tree_run(each_refused, try_start));
}

static void test_fault_16_no_memory_to_open(void **state)
{
    assert_success(tree_run(each_refused, try_context));
}

static void test_fault_16_no_memory_to_connect(void **state)
{
    assert_success(tree_run(each_refused, try_connect));
}

static void test_fault_16_no_memory_to_accept(void **state)
{
    assert_success(tree_run(each_refused, try_listen));
}

/* A call costs no more than itself: the channel lives, and the actor serves on. */
static yoke_error *call_short_of_memory(struct scene *s)
{
    size_t failed = 0;
    shortage.refused = true;
    YOKE_TRY(start_one(s, "child", &s->portal));
    for (shortage.after = 0; shortage.refused; shortage.after++) {
        place child = {NULL};
        CHECK(shortage.after < 1000);
        begin_shortage(true);
        yoke_error *e = yoke_call(s->portal, "resources:where", NULL, &child);
        shortage.refused = memory_fail_after(SIZE_MAX);
        place_free(&child);
        CHECK(shortage.refused || !e);
        if (e)
            EXPECT(e, &YOKE_NO_MEMORY, NULL);
        failed += e != NULL;
        YOKE_TRY(yoke_call(s->portal, "tree:ping", NULL, NULL));
    }
    CHECK(failed > 0);
    return NULL;
}

static void test_fault_16_no_memory_for_a_call(void **state)
{
    assert_success(tree_with_actors(call_short_of_memory, NULL));
}

TREE_MAIN(TEST(test_fault_16_no_descriptors), TEST(test_fault_16_no_memory_to_start),
          TEST(test_fault_16_no_memory_to_open), TEST(test_fault_16_no_memory_to_connect),
          TEST(test_fault_16_no_memory_to_accept), TEST(test_fault_16_no_memory_for_a_call))
