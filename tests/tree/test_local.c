/* A portal to one's own actor: what it runs, runs here, with the checks that any other portal has; there is
 * no socket in it. */
#include "tree.h"

#include "actor/peer.h"

YOKE_ERROR_KIND(LOCAL_K, "test.LocalK", NULL);

/* ---- what is served ---- */

static struct {
    const void *args; /* of the last call */
    unsigned naps;
} mine;

YOKE_RECORD(line, (str, text));
YOKE_RECORD(load, (bytes, data));
YOKE_RECORD(found, (i64, pid), (u64, fds), (boolean, listens));

static yoke_error *give_line(const line *args, line *result)
{
    mine.args = args->text;
    yoke_value copy = {NULL, 0};
    YOKE_TRY(yoke_value_from(&copy, &yoke_record_line, args));
    yoke_error *e = yoke_value_to(&copy, &yoke_record_line, result);
    yoke_value_free(&copy);
    return e;
}

static yoke_error *break_down(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_raise(&LOCAL_K, "it broke");
}

static yoke_error *nap(const yoke_type_none *args, yoke_type_none *result)
{
    mine.naps++;
    yoke_error *e = yoke_sleep_forever();
    mine.naps--;
    return e;
}

static yoke_error *echo_all(yoke_context *ctx, const yoke_type_none *args, yoke_type_u64 *result)
{
    yoke_stream *stream;
    load item;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e;
    while (!(e = yoke_recv(stream, &item))) {
        e = yoke_send(stream, &item);
        load_free(&item);
        ++*result;
        if (e)
            break;
    }
    if (yoke_error_is(e, &YOKE_END_OF_CHANNEL)) {
        yoke_error_free(e);
        e = NULL;
    }
    return yoke_stream_close(stream, e);
}

static yoke_error *numbers(yoke_stream *stream, const yoke_type_none *args)
{
    for (uint64_t i = 0;; i++)
        YOKE_TRY(yoke_send(stream, &i));
}

static uint64_t open_fds(void)
{
    uint64_t count = 0;
    for (int fd = 0; fd < 200; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* This actor, by its name and by its uuid. */
static yoke_error *call_oneself(const line *args, found *result)
{
    yoke_portal *portal;
    line got;
    YOKE_TRY(yoke_find(args->text, &portal));
    CHECK(portal && yoke_uid_equal(yoke_portal_peer(portal), yoke_current_actor()));
    result->pid = yoke_portal_pid(portal);
    result->fds = open_fds();
    result->listens = actor_here()->server != NULL;
    yoke_error *e = yoke_call(portal, "local:give_line", &(line){"hello"}, &got);
    if (!e && strcmp(got.text, "hello") != 0)
        e = yoke_raise(&CHECK_FAILED, "another line");
    line_free(&got);
    return yoke_portal_close(portal, e);
}

YOKE_MODULE(local, YOKE_CALL(give_line, line, line), YOKE_CALL(break_down, none, none),
            YOKE_CALL(nap, none, none), YOKE_CALL(call_oneself, line, found), YOKE_STREAM(numbers, none, u64),
            YOKE_CONTEXT_STREAM(echo_all, none, none, u64, load, load));
YOKE_MODULE(hidden, YOKE_CALL(give_line, line, line));

/* ---- a root that serves ---- */

struct local {
    yoke_error *(*fn)(struct scene *s);
};

static yoke_error *with_portal(struct scene *s)
{
    const struct local *l = s->arg;
    uint64_t before = open_fds();
    YOKE_TRY(yoke_find("root", &s->portal));
    CHECK(s->portal && yoke_portal_is_connected(s->portal) && open_fds() == before);
    CHECK(yoke_uid_equal(yoke_portal_peer(s->portal), yoke_current_actor()));
    CHECK(yoke_portal_pid(s->portal) == getpid() && yoke_portal_user(s->portal) == geteuid());
    yoke_error *e = l->fn(s);
    CHECK(e || (open_fds() == before && !actor_here()->server)); /* nobody had to listen either */
    return yoke_portal_close(s->portal, e);
}

static yoke_error *local_main(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_root_options root = {.modules = "local"};
    return with_actors(&s, &(yoke_actors_options){.root = &root}, with_portal);
}

static void run_local(yoke_error *(*fn)(struct scene *s))
{
    struct local l = {fn};
    assert_success(yoke_run(local_main, &l, NULL));
}

/* ---- calls ---- */

static yoke_error *calls(struct scene *s)
{
    line args = {"to oneself"}, got;
    YOKE_TRY(yoke_call(s->portal, "local:give_line", &args, &got));
    bool copied = strcmp(got.text, args.text) == 0 && mine.args != args.text && got.text != args.text;
    line_free(&got);
    CHECK(copied); /* as far away as any other actor's */
    EXPECT_REMOTE(yoke_call(s->portal, "local:break_down", NULL, NULL), &LOCAL_K, "it broke");
    return yoke_call(s->portal, "local:give_line", &args, NULL);
}

static void test_rpc_18_calls(void **state)
{
    run_local(calls);
}

/* ---- the same checks ---- */

static yoke_error *refusals(struct scene *s)
{
    line got;
    yoke_context *ctx;
    EXPECT_REMOTE(yoke_call(s->portal, "hidden:give_line", &(line){"x"}, &got), &YOKE_MODULE_NOT_EXPOSED,
                  "hidden");
    EXPECT(yoke_call(s->portal, "local:no_such", NULL, NULL), &YOKE_ENDPOINT_NOT_FOUND, "no_such");
    EXPECT(yoke_call(s->portal, "local:give_line", &(line){"bad \xff"}, &got), &YOKE_MSG_TYPE, "text");
    EXPECT(yoke_call(s->portal, "local:echo_all", NULL, NULL), &YOKE_USAGE, "is a context and no call");
    EXPECT(yoke_context_open(s->portal, &ctx, "local:nap", NULL, NULL), &YOKE_USAGE,
           "is a call and no context");
    return yoke_call(s->portal, "local:give_line", &(line){"still"}, NULL);
}

static void test_rpc_18_the_same_checks(void **state)
{
    run_local(refusals);
}

/* ---- streams ---- */

static yoke_error *send_and_get_back(yoke_stream *stream, size_t size)
{
    uint8_t *much = malloc(size + 1);
    memset(much, 'x', size + 1);
    load item = {{much, size}}, back;
    yoke_error *e = yoke_send(stream, &item);
    if (!e)
        e = yoke_recv(stream, &back);
    bool same = !e && tree_same_bytes(back.data.data, back.data.size, much, size);
    free(much);
    if (e)
        return e;
    load_free(&back);
    CHECK(same);
    return NULL;
}

static yoke_error *sizes(struct scene *s)
{
    for (size_t size = 0; size <= (size_t)4 << 20; size = 4 * size + 1)
        YOKE_TRY(send_and_get_back(s->stream, size));
    return NULL;
}

static yoke_error *in_context(struct scene *s)
{
    uint64_t count;
    YOKE_TRY(with_stream(s, NULL, sizes));
    YOKE_TRY(yoke_context_result(s->ctx, &count));
    CHECK(count == 12);
    return NULL;
}

static yoke_error *streams(struct scene *s)
{
    yoke_stream *stream;
    uint64_t n = 0;
    YOKE_TRY(with_context(s, "local:echo_all", NULL, in_context));
    YOKE_TRY(yoke_portal_stream_open(s->portal, &stream, "local:numbers", NULL, NULL));
    yoke_error *e = NULL;
    for (uint64_t i = 0; !e && i < 1000; i++) {
        e = yoke_recv(stream, &n);
        if (!e && n != i)
            e = yoke_raise(&CHECK_FAILED, "%d and not %d", (int)n, (int)i);
    }
    return yoke_stream_close(stream, e);
}

static void test_rpc_18_streams(void **state)
{
    run_local(streams);
}

/* ---- cancellation, and the portal's end ---- */

static yoke_error *call_nap(void *arg)
{
    return yoke_call(arg, "local:nap", NULL, NULL);
}

static yoke_error *wait_for_naps(unsigned count)
{
    while (mine.naps != count)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}

static yoke_error *cancellation(struct scene *s)
{
    yoke_nursery n;
    yoke_portal *again;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_nap, s->portal);
    if (!e)
        e = wait_for_naps(1);
    yoke_nursery_cancel(&n, "enough");
    YOKE_TRY(yoke_nursery_close(&n, e));
    YOKE_TRY(wait_for_naps(0)); /* the endpoint's task, too */
    YOKE_TRY(yoke_find("root", &again));
    CHECK(again == s->portal);
    return yoke_portal_close(again, NULL);
}

static void test_rpc_18_a_cancelled_call(void **state)
{
    run_local(cancellation);
}

static yoke_error *closed_while_called(struct scene *s)
{
    yoke_nursery n;
    yoke_portal *own;
    YOKE_TRY(yoke_find("root", &own));
    CHECK(own);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_nap, own);
    if (!e)
        e = wait_for_naps(1);
    e = yoke_portal_close(own, e);
    EXPECT(yoke_nursery_close_flat(&n, e), &YOKE_CONTEXT_CANCELLED, NULL);
    YOKE_TRY(wait_for_naps(0));
    CHECK(list_empty(&actor_here()->peers));
    return NULL;
}

static yoke_error *closed_main(void *arg)
{
    struct scene s = {.arg = arg};
    yoke_root_options root = {.modules = "local"};
    return with_actors(&s, &(yoke_actors_options){.root = &root}, closed_while_called);
}

static void test_rpc_18_the_end_of_the_portal(void **state)
{
    assert_success(yoke_run(closed_main, NULL, NULL));
}

/* ---- in a child ---- */

static yoke_error *in_a_child(struct scene *s)
{
    found got, again;
    const yoke_uid *uid = yoke_portal_peer(s->portal);
    YOKE_TRY(yoke_call(s->portal, "local:call_oneself", &(line){uid->uuid}, &got));
    CHECK(got.pid == yoke_portal_pid(s->portal) && !got.listens);
    /* By its name the registrar is asked, which has it listen: that is one socket, and no connection. */
    YOKE_TRY(yoke_call(s->portal, "local:call_oneself", &(line){uid->name}, &again));
    CHECK(again.pid == got.pid && again.listens && again.fds == got.fds + 1);
    return NULL;
}

static void test_rpc_18_in_a_child(void **state)
{
    assert_success(tree_with_child("local", in_a_child, NULL));
}

TREE_MAIN(TEST(test_rpc_18_calls), TEST(test_rpc_18_the_same_checks), TEST(test_rpc_18_streams),
          TEST(test_rpc_18_a_cancelled_call), TEST(test_rpc_18_the_end_of_the_portal),
          TEST(test_rpc_18_in_a_child))
