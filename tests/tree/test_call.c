/* Calls: values, errors, refusals, many at once, large ones. */
#include "tree.h"

#include "actor/context.h"
#include "msg/record.h"

YOKE_ERROR_KIND(APP_REFUSED, "test.Refused", NULL);

/* ---- endpoints ---- */

YOKE_RECORD(pair, (i64, a), (i64, b));
YOKE_RECORD(named, (str, name), (i32, times));
YOKE_RECORD(nap, (i64, ns));
YOKE_RECORD(blob, (bytes, data));
YOKE_RECORD(box, (any, value));

static yoke_type_u64 calls_run, calls_cancelled;

static yoke_error *add(const pair *args, yoke_type_i64 *result)
{
    calls_run++;
    *result = args->a + args->b;
    return NULL;
}
static yoke_error *doze(const nap *args, yoke_type_none *result)
{
    yoke_error *e = yoke_sleep(args->ns);
    calls_cancelled += yoke_error_is_cancelled(e);
    return e;
}
static yoke_error *runs(const yoke_type_none *args, yoke_type_u64 *result)
{
    *result = calls_run;
    return NULL;
}
static yoke_error *cancelled(const yoke_type_none *args, yoke_type_u64 *result)
{
    *result = calls_cancelled;
    return NULL;
}
static yoke_error *refuse(const named *args, yoke_type_none *result)
{
    return yoke_raise(&APP_REFUSED, "no %s %d times", args->name, (int)args->times);
}
static yoke_error *copy(const blob *args, blob *result)
{
    void *data = malloc(args->data.size + 1);
    if (!data)
        return yoke_raise(&YOKE_NO_MEMORY, "a copy");
    if (args->data.size)
        memcpy(data, args->data.data, args->data.size);
    result->data = (yoke_bytes){data, args->data.size};
    return NULL;
}
static yoke_error *spoil(const yoke_type_none *args, named *result)
{
    result->name = strdup("\xff");
    return NULL;
}
static yoke_error *unbox(const box *args, yoke_type_any *result)
{
    if (!args->value.size)
        return NULL;
    result->data = malloc(args->value.size);
    memcpy(result->data, args->value.data, args->value.size);
    result->size = args->value.size;
    return NULL;
}
static yoke_error *linked(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_context_started(ctx, NULL);
}
YOKE_MODULE(ends, YOKE_CALL(add, pair, i64), YOKE_CALL(doze, nap, none), YOKE_CALL(runs, none, u64),
            YOKE_CALL(cancelled, none, u64), YOKE_CALL(refuse, named, none), YOKE_CALL(copy, blob, blob),
            YOKE_CALL(spoil, none, named), YOKE_CALL(unbox, box, any),
            YOKE_CONTEXT(linked, none, none, none));
YOKE_MODULE(other, YOKE_CALL(add, pair, i64));

/* ---- values ---- */

static yoke_error *call_add(struct scene *s)
{
    int64_t sum = 0;
    YOKE_TRY(yoke_call(s->portal, "ends:add", &(pair){1, 2}, &sum));
    CHECK(sum == 3);
    YOKE_TRY(yoke_call(s->portal, "ends:add", &(pair){INT64_MIN, INT64_MAX}, &sum));
    CHECK(sum == -1);
    return yoke_call(s->portal, "ends:add", &(pair){1, 2}, NULL);
}
static void test_rpc_01_call_returns_the_value(void **state)
{
    assert_success(tree_with_child("ends", call_add, NULL));
}

struct one_of_many {
    yoke_portal *portal;
    int64_t i;
};
static yoke_error *call_one(void *arg)
{
    struct one_of_many *one = arg;
    int64_t sum = 0;
    YOKE_TRY(yoke_call(one->portal, "ends:add", &(pair){one->i, 1000}, &sum));
    CHECK(sum == one->i + 1000);
    return NULL;
}
static yoke_error *call_many(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int64_t i = 0; i < 100 && !e; i++)
        e = yoke_spawn_value(&n, call_one, &((struct one_of_many){s->portal, i}), sizeof(struct one_of_many));
    YOKE_TRY(yoke_nursery_close(&n, e));
    uint64_t count;
    YOKE_TRY(yoke_call(s->portal, "ends:runs", NULL, &count));
    CHECK(count == 100);
    return NULL;
}
static void test_rpc_02_many_calls_at_once(void **state)
{
    assert_success(tree_with_child("ends", call_many, NULL));
}

static yoke_error *call_slow(void *arg)
{
    struct scene *s = arg;
    YOKE_TRY(yoke_call(s->portal, "ends:doze", &(nap){YOKE_S(1)}, NULL));
    s->arg = s; /* it has returned */
    return NULL;
}
static yoke_error *call_fast(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_slow, s);
    if (!e)
        e = yoke_sleep(YOKE_MS(20)); /* so that the slow one is on its way */
    int64_t begin = yoke_now(), sum;
    if (!e)
        e = yoke_call(s->portal, "ends:add", &(pair){1, 1}, &sum);
    bool first = s->arg == NULL && tree_ms_since(begin) < 800;
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(first);
    CHECK(s->arg != NULL);
    return NULL;
}
static void test_rpc_03_a_slow_call_holds_up_none(void **state)
{
    assert_success(tree_with_child("ends", call_fast, NULL));
}

static yoke_error *call_none(struct scene *s)
{
    YOKE_TRY(yoke_call(s->portal, "ends:doze", &(nap){0}, NULL));
    yoke_type_none nothing = {7};
    YOKE_TRY(yoke_call(s->portal, "ends:doze", &(nap){0}, &nothing));
    EXPECT_REMOTE(yoke_call(s->portal, "ends:refuse", &(named){"x", 1}, NULL), &APP_REFUSED, NULL);
    return NULL;
}
static void test_rpc_19_void_results(void **state)
{
    assert_success(tree_with_child("ends", call_none, NULL));
}

static yoke_error *call_any(struct scene *s)
{
    /* nil, true, -1, 2^64-1, 1.5, "ab", bytes, [1, {}], {"k": nil}, an extension */
    static const char *const values[] = {"\xc0",
                                         "\xc3",
                                         "\xff",
                                         "\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
                                         "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00",
                                         "\xa2\x61\x62",
                                         "\xc4\x01\xff",
                                         "\x92\x01\x80",
                                         "\x81\xa1k\xc0",
                                         "\xd4\x05\x01"};
    static const size_t sizes[] = {1, 1, 1, 9, 9, 3, 3, 3, 4, 3};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        box args = {{(uint8_t *)values[i], sizes[i]}};
        yoke_value back;
        YOKE_TRY(yoke_call(s->portal, "ends:unbox", &args, &back));
        bool same = back.size == sizes[i] && memcmp(back.data, values[i], sizes[i]) == 0;
        if (i == 0)
            same = back.size == 0 || same; /* nil is {NULL, 0} */
        yoke_value_free(&back);
        CHECK(same);
    }
    return NULL;
}
static void test_type_07_any(void **state)
{
    assert_success(tree_with_child("ends", call_any, NULL));
}

/* ---- refusals ---- */

static yoke_error *call_unexposed(struct scene *s)
{
    int64_t sum;
    EXPECT_REMOTE(yoke_call(s->portal, "other:add", &(pair){1, 2}, &sum), &YOKE_MODULE_NOT_EXPOSED,
                  "`other`");
    EXPECT_REMOTE(yoke_call(s->portal, "other:add", &(pair){1, 2}, &sum), &YOKE_MODULE_NOT_EXPOSED,
                  "tree, ends");
    return call_add(s);
}
static void test_rpc_04_module_not_exposed(void **state)
{
    assert_success(tree_with_child("ends", call_unexposed, NULL));
}

static yoke_error *call_unknown(struct scene *s)
{
    EXPECT(yoke_call(s->portal, "ends:nope", NULL, NULL), &YOKE_ENDPOINT_NOT_FOUND, "refuse");
    EXPECT(yoke_call(s->portal, "nothing:nope", NULL, NULL), &YOKE_MODULE_NOT_EXPOSED, "ends");
    uint64_t count;
    YOKE_TRY(yoke_call(s->portal, "ends:runs", NULL, &count));
    CHECK(count == 0);
    return NULL;
}
static void test_rpc_05_no_such_endpoint(void **state)
{
    assert_success(tree_with_child("ends", call_unknown, NULL));
}

static yoke_error *call_unarmed(struct scene *s)
{
    int64_t sum;
    YOKE_TRY(yoke_actors_start(s->actors, "bare", NULL, &s->portal));
    EXPECT_REMOTE(yoke_call(s->portal, "ends:add", &(pair){1, 2}, &sum), &YOKE_MODULE_NOT_EXPOSED, "none");
    EXPECT_REMOTE(yoke_call(s->portal, "tree:ping", NULL, NULL), &YOKE_MODULE_NOT_EXPOSED, NULL);
    bool acknowledged;
    YOKE_TRY(yoke_portal_cancel_actor(s->portal, 0, &acknowledged));
    CHECK(acknowledged);
    return NULL;
}
static void test_rpc_06_no_modules(void **state)
{
    assert_success(tree_with_actors(call_unarmed, NULL));
}

/* A call whose arguments this side does not check, in the name of `uid` (NULL: our own). */
static yoke_error *call_raw(yoke_portal *portal, const char *ns, const char *func, const yoke_record *record,
                            const void *args)
{
    struct yoke_context *ctx;
    YOKE_TRY(context_new(&ctx, portal->peer, func, DIALOG_IS_CALL));
    struct buffer kwargs = BUFFER_EMPTY;
    yoke_error *e = record_encode_args(&kwargs, record, args);
    if (!e)
        e = context_send_start(ctx, text_view(ns), text_view(func), &kwargs, true);
    while (!e && ctx->state != DIALOG_DONE)
        e = context_wait(ctx);
    if (!e && ctx->remote)
        e = context_remote_error(ctx);
    buffer_free(&kwargs);
    context_free(ctx);
    return e;
}

YOKE_RECORD(pair_short, (i64, a));
YOKE_RECORD(pair_long, (i64, a), (i64, b), (i64, c));
YOKE_RECORD(pair_wrong, (i64, a), (str, b));
YOKE_RECORD(no_field, (none, nothing));

static yoke_error *call_mistyped(struct scene *s)
{
    yoke_portal *p = s->portal;
    EXPECT_REMOTE(call_raw(p, "ends", "add", &yoke_record_pair_short, &(pair_short){1}), &YOKE_MSG_TYPE,
                  "args.b: missing");
    EXPECT_REMOTE(call_raw(p, "ends", "add", &yoke_record_pair_long, &(pair_long){1, 2, 3}), &YOKE_MSG_TYPE,
                  "args.c: unknown");
    EXPECT_REMOTE(call_raw(p, "ends", "add", &yoke_record_pair_wrong, &(pair_wrong){1, "two"}),
                  &YOKE_MSG_TYPE, "args.b: expected");
    uint64_t count;
    YOKE_TRY(yoke_call(p, "ends:runs", NULL, &count));
    CHECK(count == 0);
    /* What the caller's own check finds does not go out at all. */
    EXPECT(yoke_call(p, "ends:refuse", &(named){"\xff", 1}, NULL), &YOKE_MSG_TYPE, "args.name");
    return NULL;
}
static void test_rpc_07_wrong_arguments(void **state)
{
    assert_success(tree_with_child("ends", call_mistyped, NULL));
}

static yoke_error *call_spoilt(struct scene *s)
{
    named result;
    EXPECT_REMOTE(yoke_call(s->portal, "ends:spoil", NULL, &result), &YOKE_MSG_TYPE, "result.name");
    return NULL;
}
static void test_call_wrong_result_is_found_in_the_child(void **state)
{
    assert_success(tree_with_child("ends", call_spoilt, NULL));
}

static yoke_error *check_refused(struct scene *s, const yoke_error *e)
{
    const yoke_error *there = yoke_error_cause(e);
    CHECK(yoke_error_is(e, &YOKE_REMOTE));
    CHECK(yoke_error_kind_of(there) == &APP_REFUSED);
    CHECK(strcmp(yoke_error_message(there), "no milk 2 times") == 0);
    CHECK(strcmp(yoke_error_actor(there), "worker") == 0);
    CHECK(strcmp(yoke_error_task(there), "ends:refuse") == 0);
    CHECK(strcmp(yoke_error_function(there), "refuse") == 0);
    CHECK(strstr(yoke_error_file(there), "test_call.c") && yoke_error_line(there) > 0);
    CHECK(yoke_uid_equal(yoke_error_source(e), yoke_portal_peer(s->portal)));
    return NULL;
}
static yoke_error *call_refusing(struct scene *s)
{
    yoke_error *e = yoke_call(s->portal, "ends:refuse", &(named){"milk", 2}, NULL);
    yoke_error *bad = check_refused(s, e);
    yoke_error_free(e);
    return bad;
}
static void test_rpc_08_error_is_relayed(void **state)
{
    assert_success(tree_with_child("ends", call_refusing, NULL));
}

static yoke_error *call_runtime(struct scene *s)
{
    EXPECT_REMOTE(call_raw(s->portal, "self", "exit", &yoke_record_none, NULL), &YOKE_ENDPOINT_NOT_FOUND,
                  "`exit`");
    EXPECT_REMOTE(call_raw(s->portal, "self", "", &yoke_record_none, NULL), &YOKE_ENDPOINT_NOT_FOUND, NULL);
    return NULL;
}
static void test_rpc_09_the_runtime_is_closed(void **state)
{
    assert_success(tree_with_child("ends", call_runtime, NULL));
}

static yoke_error *call_as_another(struct scene *s)
{
    yoke_portal *worker = s->portal;
    YOKE_TRY(yoke_actors_start(s->actors, "victim", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    struct peer *peer = s->portal->peer;
    static const uint8_t no_args[] = {0x80};
    struct msg m = {.type = MSG_START, .cid = text_view("stolen")};
    m.start.ns = text_view("ends");
    m.start.func = text_view("runs");
    m.start.kwargs = (struct raw_view){no_args, 1};
    m.start.uid = uid_view(yoke_portal_peer(worker));
    m.start.pld_spec = text_view("typing.Any");
    YOKE_TRY(channel_send(peer->channel, &m));
    yoke_error *e = yoke_call(s->portal, "ends:doze", &(nap){YOKE_S(5)}, NULL);
    s->portal = worker;
    return e;
}
static void test_rpc_10_a_caller_with_another_name(void **state)
{
    /* The channel was all that tied the victim to its parent, so it ends too. */
    assert_error_text(tree_with_child("ends", call_as_another, NULL), &YOKE_ACTOR_EXITED, "`victim`");
}

/* Two bad-behaved starts under one id; the first one goes on. */
static yoke_error *start_twice(struct scene *s)
{
    struct yoke_context *ctx;
    struct buffer kwargs = BUFFER_EMPTY;
    YOKE_TRY(record_encode_args(&kwargs, &yoke_record_nap, &(nap){YOKE_MS(50)}));
    yoke_error *e = context_new(&ctx, s->portal->peer, "ends:doze", DIALOG_IS_CALL);
    for (int i = 0; i < 2 && !e; i++)
        e = context_send_start(ctx, text_view("ends"), text_view("doze"), &kwargs, true);
    buffer_free(&kwargs);
    while (!e && ctx->state != DIALOG_DONE)
        e = context_wait(ctx);
    if (!e)
        e = context_remote_error(ctx);
    context_free(ctx);
    EXPECT_REMOTE(e, &YOKE_USAGE, "second start");
    return yoke_sleep(YOKE_MS(80));
}
static void test_rpc_20_an_id_in_use(void **state)
{
    assert_success(tree_with_child("ends", start_twice, NULL));
}

static yoke_error *call_names(struct scene *s)
{
    static const char *const bad[] = {"ends", "ends:", ":add", ":", "", "en ds:add", "ends:add\n", NULL};
    for (size_t i = 0; bad[i]; i++)
        EXPECT(yoke_call(s->portal, bad[i], NULL, NULL), &YOKE_USAGE, "module:function");
    char longest[300];
    memset(longest, 'x', sizeof longest);
    longest[100] = ':';
    longest[299] = '\0';
    EXPECT(yoke_call(s->portal, longest, NULL, NULL), &YOKE_USAGE, NULL);
    EXPECT(yoke_call(s->portal, "ends:a\x01", NULL, NULL), &YOKE_USAGE, NULL);
    EXPECT(yoke_call(s->portal, NULL, NULL, NULL), &YOKE_USAGE, NULL);
    EXPECT(yoke_call(NULL, "ends:add", NULL, NULL), &YOKE_USAGE, NULL);
    return NULL;
}
static void test_portal_12_bad_names(void **state)
{
    assert_success(tree_with_child("ends", call_names, NULL));
}

static yoke_error *call_the_wrong_kind(struct scene *s)
{
    EXPECT(yoke_call(s->portal, "ends:linked", NULL, NULL), &YOKE_USAGE, "context");
    EXPECT(yoke_context_open(s->portal, &s->ctx, "ends:runs", NULL, NULL), &YOKE_USAGE, "call");
    CHECK(s->ctx == NULL);
    return NULL;
}
static void test_call_of_a_context_and_context_of_a_call(void **state)
{
    assert_success(tree_with_child("ends", call_the_wrong_kind, NULL));
}

/* ---- the other side is gone, or not waited for ---- */

static yoke_error *call_the_gone(struct scene *s)
{
    yoke_portal *gone;
    YOKE_TRY(yoke_actors_start(s->actors, "gone", &(yoke_actor_options){.modules = "ends"}, &gone));
    YOKE_TRY(yoke_portal_cancel_actor(gone, 0, NULL));
    while (yoke_actors_count(s->actors) > 1)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    int64_t begin = yoke_now(), sum;
    EXPECT(yoke_call(gone, "ends:add", &(pair){1, 2}, &sum), &YOKE_TRANSPORT_CLOSED, "`gone`");
    CHECK(tree_ms_since(begin) < 50);
    /* Who is told of the loss later is not told of the other calls. */
    yoke_error *e = yoke_call(gone, "ends:add", &(pair){1, 2}, &sum);
    char *text = yoke_error_text(e), *note = text ? strstr(text, "while: ") : NULL;
    bool once = note && !strstr(note + 1, "while: ");
    free(text);
    EXPECT(e, &YOKE_TRANSPORT_CLOSED, "`gone`");
    CHECK(once);
    CHECK(!yoke_portal_is_connected(gone));
    return NULL;
}
static void test_rpc_11_call_on_a_closed_portal(void **state)
{
    assert_success(tree_with_child("ends", call_the_gone, NULL));
}

static yoke_error *call_in_a_hurry(struct scene *s)
{
    yoke_scope hurry;
    YOKE_TRY(yoke_move_on_after(&hurry, YOKE_MS(50)));
    YOKE_TRY(yoke_scope_close(&hurry, yoke_call(s->portal, "ends:doze", &(nap){YOKE_S(10)}, NULL)));
    CHECK(yoke_scope_cancelled_caught(&hurry));
    uint64_t count = 0;
    for (int i = 0; i < 100 && !count; i++) {
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
        YOKE_TRY(yoke_call(s->portal, "ends:cancelled", NULL, &count));
    }
    CHECK(count == 1);
    return NULL;
}
static void test_rpc_12_the_caller_is_cancelled(void **state)
{
    assert_success(tree_with_child("ends", call_in_a_hurry, NULL));
}

/* ---- sizes ---- */

static yoke_error *send_blob(struct scene *s, size_t size)
{
    uint8_t *data = malloc(size);
    if (!data)
        return yoke_raise(&YOKE_NO_MEMORY, "a blob");
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    blob back = {{0}};
    yoke_error *e = yoke_call(s->portal, "ends:copy", &(blob){{data, size}}, &back);
    bool same = !e && tree_same_bytes(back.data.data, back.data.size, data, size);
    blob_free(&back);
    free(data);
    YOKE_TRY(e);
    CHECK(same);
    return NULL;
}
static yoke_error *call_large(struct scene *s)
{
    YOKE_TRY(send_blob(s, 0));
    YOKE_TRY(send_blob(s, 1));
    YOKE_TRY(send_blob(s, 1 << 16));
    YOKE_TRY(send_blob(s, 1 << 20));
    YOKE_TRY(send_blob(s, (1 << 24) + 1));
    YOKE_TRY(send_blob(s, 63 << 20));
    EXPECT(send_blob(s, 64 << 20), &YOKE_TOO_LARGE, NULL);
    return NULL;
}
static void test_call_sizes(void **state)
{
    assert_success(tree_with_child("ends", call_large, NULL));
}

TREE_MAIN(TEST(test_rpc_01_call_returns_the_value), TEST(test_rpc_02_many_calls_at_once),
          TEST(test_rpc_03_a_slow_call_holds_up_none), TEST(test_rpc_04_module_not_exposed),
          TEST(test_rpc_05_no_such_endpoint), TEST(test_rpc_06_no_modules), TEST(test_rpc_07_wrong_arguments),
          TEST(test_rpc_08_error_is_relayed), TEST(test_rpc_09_the_runtime_is_closed),
          TEST(test_rpc_10_a_caller_with_another_name), TEST(test_rpc_11_call_on_a_closed_portal),
          TEST(test_rpc_12_the_caller_is_cancelled), TEST(test_rpc_19_void_results),
          TEST(test_rpc_20_an_id_in_use), TEST(test_type_07_any),
          TEST(test_call_wrong_result_is_found_in_the_child), TEST(test_portal_12_bad_names),
          TEST(test_call_of_a_context_and_context_of_a_call), TEST(test_call_sizes))
