/* What does not fit its record: on which side that is found, who is told, and that nothing else is harmed. */
#include "tree.h"

YOKE_RECORD(word, (str, text))
YOKE_RECORD(how, (boolean, bad_started), (boolean, bad_result), (boolean, unchecked))

static const char *text_of(bool bad)
{
    return bad ? "\xff" : "fine";
}

/* ---- endpoints ---- */

static yoke_error *talk(yoke_context *ctx, const how *args, word *result)
{
    yoke_context_set_unchecked(ctx, args->unchecked);
    YOKE_TRY(yoke_context_started(ctx, &(word){text_of(args->bad_started)}));
    result->text = strdup(text_of(args->bad_result));
    return NULL;
}

static bool was_told; /* an endpoint whose message was not taken learns of that */

static yoke_error *say_three(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    yoke_context_set_unchecked(ctx, true);
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_send(stream, &(word){text_of(i == 1)});
    word answer = {NULL};
    if (!e)
        e = yoke_recv(stream, &answer);
    word_free(&answer);
    was_told = yoke_error_is(e, &YOKE_REMOTE) && yoke_error_is(yoke_error_cause(e), &YOKE_MSG_TYPE);
    if (yoke_error_is(e, &YOKE_END_OF_CHANNEL)) {
        yoke_error_free(e);
        e = NULL;
    }
    return yoke_stream_close(stream, e);
}

static yoke_error *told(const yoke_type_none *args, yoke_type_boolean *result)
{
    *result = was_told;
    return NULL;
}

static yoke_error *hear_three(yoke_context *ctx, const yoke_type_none *args, yoke_type_u32 *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++) {
        word heard;
        e = yoke_recv(stream, &heard);
        if (!e)
            (*result)++;
        word_free(&heard);
    }
    return yoke_stream_close(stream, e);
}
YOKE_MODULE(typed, YOKE_CONTEXT(talk, how, word, word),
            YOKE_CONTEXT_STREAM(say_three, none, none, none, word, word), YOKE_CALL(told, none, boolean),
            YOKE_CONTEXT_STREAM(hear_three, none, none, u32, word, word))

/* ---- a type of the user's own ---- */

struct moment {
    int64_t seconds;
    uint32_t nanoseconds;
};

static yoke_error *put_moment(const struct moment *item, yoke_sink *sink)
{
    yoke_sink_put(sink, &item->seconds, sizeof item->seconds);
    yoke_sink_put(sink, &item->nanoseconds, sizeof item->nanoseconds);
    return NULL;
}

static yoke_error *take_moment(const void *bytes, size_t size, struct moment *item)
{
    if (size != sizeof item->seconds + sizeof item->nanoseconds)
        return yoke_raise(&YOKE_USAGE, "a moment of %zu bytes", size);
    memcpy(&item->seconds, bytes, sizeof item->seconds);
    memcpy(&item->nanoseconds, (const char *)bytes + sizeof item->seconds, sizeof item->nanoseconds);
    return NULL;
}
YOKE_EXTENSION(moment, struct moment, 7, put_moment, take_moment, NULL)
YOKE_RECORD(at, (moment, when))

static yoke_error *later(yoke_context *ctx, const at *args, struct moment *result)
{
    yoke_stream *stream;
    struct moment got = args->when;
    got.seconds++;
    YOKE_TRY(yoke_context_started(ctx, &got));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = yoke_recv(stream, &got);
    got.seconds++;
    if (!e)
        e = yoke_send(stream, &got);
    got.seconds++;
    *result = got;
    return yoke_stream_close(stream, e);
}
YOKE_MODULE(times, YOKE_CONTEXT_STREAM(later, at, moment, moment, moment, moment))

/* ---- two programs that do not agree: a child has other records for the same endpoints ---- */

YOKE_RECORD(count_1, (u64, n))
YOKE_RECORD(count_2, (str, n))
YOKE_RECORD(spoken, (str, when))

static yoke_error *count(const yoke_type_none *args, count_2 *result)
{
    result->n = strdup("three");
    return NULL;
}
static yoke_error *time_of_day(const yoke_type_none *args, at *result)
{
    result->when = (struct moment){1, 2};
    return NULL;
}
static yoke_error *schema(const yoke_type_none *args, word *result)
{
    result->text = yoke_record_schema(&yoke_record_count_2);
    return NULL;
}
static yoke_error *count_slowly(yoke_context *ctx, const yoke_type_none *args, count_2 *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return count(args, result);
}

static yoke_endpoint version_endpoints[] = {
    YOKE_CALL(count, none, count_2),
    YOKE_CALL(time_of_day, none, at),
    YOKE_CALL(schema, none, word),
    YOKE_CONTEXT(count_slowly, none, none, count_2),
};
static yoke_module versions = {"versions", version_endpoints, 4, NULL};

__attribute__((constructor)) static void register_versions(int argc, char **argv)
{
    bool is_child = argc == 2 && strncmp(argv[1], "--yoke-", 7) == 0;
    if (!is_child) {
        version_endpoints[0].result = &yoke_record_count_1;
        version_endpoints[1].result = &yoke_record_spoken;
        version_endpoints[3].result = &yoke_record_count_1;
    }
    yoke_module_register(&versions);
}

/* ---- started and result ---- */

static yoke_error *nothing(struct scene *s)
{
    return NULL;
}

static yoke_error *ask_result(struct scene *s)
{
    word result;
    yoke_error *e = yoke_context_result(s->ctx, &result);
    word_free(&result);
    return e;
}

static yoke_error *talk_with(struct scene *s, const how *args, scene_fn fn)
{
    word first;
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "typed:talk", args, &first));
    word_free(&first);
    return yoke_context_close(s->ctx, fn(s));
}

/* Who sends it finds it, if it looks: the error comes from there. Else it is found here. */
static yoke_error *matrix(struct scene *s)
{
    for (int i = 0; i < 8; i++) {
        how args = {i & 1, i & 2, i & 4};
        const char *path = args.bad_started ? "started.text: not UTF-8" : "result.text: not UTF-8";
        yoke_error *e = talk_with(s, &args, ask_result);
        if (!args.bad_started && !args.bad_result)
            YOKE_TRY(e);
        else if (args.unchecked)
            EXPECT(e, &YOKE_MSG_TYPE, path);
        else
            EXPECT_REMOTE(e, &YOKE_MSG_TYPE, path);
    }
    return NULL;
}
static void test_type_04_matrix(void **state)
{
    assert_success(tree_with_child("typed", matrix, NULL));
}

/* A result that nobody asks for is looked at as well. */
static yoke_error *unasked(struct scene *s)
{
    EXPECT(talk_with(s, &(how){.bad_result = true, .unchecked = true}, nothing), &YOKE_MSG_TYPE,
           "result.text: not UTF-8");
    return NULL;
}
static void test_type_02_a_result_that_nobody_asked_for(void **state)
{
    assert_success(tree_with_child("typed", unasked, NULL));
}

static yoke_error *slow_result(struct scene *s)
{
    count_1 n;
    EXPECT(yoke_context_result(s->ctx, &n), &YOKE_MSG_TYPE, "result.n: expected int, got str");
    EXPECT(yoke_context_result(s->ctx, NULL), &YOKE_MSG_TYPE, "result.n: expected int, got str");
    return NULL;
}

static yoke_error *misunderstandings(struct scene *s)
{
    count_1 n;
    EXPECT(yoke_call(s->portal, "versions:count", NULL, &n), &YOKE_MSG_TYPE,
           "result.n: expected int, got str");
    EXPECT(yoke_call(s->portal, "versions:count", NULL, NULL), &YOKE_MSG_TYPE,
           "result.n: expected int, got str");
    return with_context(s, "versions:count_slowly", NULL, slow_result);
}
static yoke_error *with_versions(void *arg)
{
    struct tree_child c = {"versions", misunderstandings, {.arg = NULL}};
    return tree_child_app(&c);
}
/* The caller gets it; the child hears of it once each time, after its task has ended. */
static void test_type_02_return_value_against_its_record(void **state)
{
    char text[4096];
    assert_int_equal(tree_status(with_versions, NULL, text, sizeof text), 0);
    int times = 0;
    for (const char *found = text; (found = strstr(found, "result.n: expected int, got str")); found++)
        times++;
    if (times != 3)
        fprintf(stderr, "%s\n", text);
    assert_int_equal(times, 3);
    assert_non_null(strstr(text, "actor `root` did not take"));
}

/* ---- yields ---- */

/* Three words come, the second is none. */
static yoke_error *hear(struct scene *s)
{
    word heard;
    YOKE_TRY(yoke_recv(s->stream, &heard));
    word_free(&heard);
    EXPECT(yoke_recv(s->stream, &heard), &YOKE_MSG_TYPE, "item.text: not UTF-8");
    if (!s->arg)
        return yoke_raise(&CHECK_FAILED, "the body fails of itself");
    YOKE_TRY(yoke_recv(s->stream, &heard));
    bool fine = strcmp(heard.text, "fine") == 0;
    word_free(&heard);
    CHECK(fine);
    return NULL;
}
static yoke_error *with_hearing(struct scene *s)
{
    return with_stream(s, NULL, hear);
}
static yoke_error *hear_from_child(struct scene *s)
{
    bool told;
    EXPECT(with_context(s, "typed:say_three", NULL, with_hearing), &CHECK_FAILED, "of itself");
    YOKE_TRY(yoke_call(s->portal, "typed:told", NULL, &told));
    CHECK(told);
    return NULL;
}
static void test_type_03_yield_against_its_record(void **state)
{
    assert_success(tree_with_child("typed", hear_from_child, NULL));
}

static yoke_error *say(struct scene *s)
{
    word heard;
    yoke_context_set_unchecked(s->ctx, true);
    YOKE_TRY(yoke_send(s->stream, &(word){"fine"}));
    YOKE_TRY(yoke_send(s->stream, &(word){"\xff"}));
    return yoke_recv(s->stream, &heard);
}
static yoke_error *with_saying(struct scene *s)
{
    return with_stream(s, NULL, say);
}
static yoke_error *say_to_child(struct scene *s)
{
    EXPECT_REMOTE(with_context(s, "typed:hear_three", NULL, with_saying), &YOKE_MSG_TYPE,
                  "item.text: not UTF-8");
    return NULL;
}
static void test_type_03_yield_of_the_opener(void **state)
{
    assert_success(tree_with_child("typed", say_to_child, NULL));
}

static yoke_error *swallow(struct scene *s)
{
    word heard;
    YOKE_TRY(yoke_recv(s->stream, &heard));
    word_free(&heard);
    yoke_error_free(yoke_recv(s->stream, &heard));
    return yoke_context_result(s->ctx, NULL);
}
static yoke_error *with_swallowing(struct scene *s)
{
    return with_stream(s, NULL, swallow);
}
static yoke_error *with_keeping(struct scene *s)
{
    return with_stream(s, &(yoke_stream_options){.keep_on_type_error = true}, hear);
}
static yoke_error *keep_or_not(struct scene *s)
{
    bool told;
    EXPECT_REMOTE(with_context(s, "typed:say_three", NULL, with_swallowing), &YOKE_MSG_TYPE,
                  "item.text: not UTF-8");
    s->arg = s;
    YOKE_TRY(with_context(s, "typed:say_three", NULL, with_keeping));
    YOKE_TRY(yoke_call(s->portal, "typed:told", NULL, &told));
    CHECK(!told);
    return NULL;
}
static void test_type_05_a_type_error_cancels_unless_told_not_to(void **state)
{
    assert_success(tree_with_child("typed", keep_or_not, NULL));
}

/* ---- extensions ---- */

static yoke_error *stream_moment(struct scene *s)
{
    struct moment back;
    YOKE_TRY(yoke_send(s->stream, &(struct moment){20, 7}));
    YOKE_TRY(yoke_recv(s->stream, &back));
    CHECK(back.seconds == 21 && back.nanoseconds == 7);
    return NULL;
}
static yoke_error *in_moment(struct scene *s)
{
    struct moment back;
    YOKE_TRY(with_stream(s, NULL, stream_moment));
    YOKE_TRY(yoke_context_result(s->ctx, &back));
    CHECK(back.seconds == 22 && back.nanoseconds == 7);
    return NULL;
}
static yoke_error *moments(struct scene *s)
{
    struct moment first;
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "times:later", &(at){{10, 5}}, &first));
    YOKE_TRY(yoke_context_close(s->ctx, in_moment(s)));
    CHECK(first.seconds == 11 && first.nanoseconds == 5);
    spoken unknown;
    EXPECT(yoke_call(s->portal, "versions:time_of_day", NULL, &unknown), &YOKE_MSG_TYPE,
           "result.when: expected str, got ext");
    return NULL;
}

static void test_type_06_extension_types_travel(void **state)
{
    assert_success(tree_with_child("times,versions", moments, NULL));
}

/* ---- schemas ---- */

static yoke_error *compare_schemas(struct scene *s)
{
    word theirs;
    YOKE_TRY(yoke_call(s->portal, "versions:schema", NULL, &theirs));
    char *ours = yoke_record_schema(&yoke_record_count_1), *diff = yoke_schema_diff(ours, theirs.text);
    bool same = strcmp(diff, "- record count_1\n-   n: u64\n+ record count_2\n+   n: str\n") == 0;
    free(diff);
    free(ours);
    word_free(&theirs);
    CHECK(same);
    return NULL;
}
static void test_type_14_peers_compare_their_schemas(void **state)
{
    assert_success(tree_with_child("versions", compare_schemas, NULL));
}

TREE_MAIN(TEST(test_type_04_matrix), TEST(test_type_02_a_result_that_nobody_asked_for),
          TEST(test_type_02_return_value_against_its_record), TEST(test_type_03_yield_against_its_record),
          TEST(test_type_03_yield_of_the_opener), TEST(test_type_05_a_type_error_cancels_unless_told_not_to),
          TEST(test_type_06_extension_types_travel), TEST(test_type_14_peers_compare_their_schemas))
