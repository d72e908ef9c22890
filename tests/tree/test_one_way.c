/* One-way streams: values, ends, errors, and readers that leave early. */
#include "raw_peer.h"

YOKE_ERROR_KIND(APP_K, "test.K", NULL);

/* ---- endpoints ---- */

enum { RETURN, FAIL, FOR_EVER };
YOKE_RECORD(plan, (u32, count), (u8, then));
YOKE_RECORD(word, (str, text));

static uint32_t begun, cleaned; /* tasks of `count_up` */

static yoke_error *count_on(yoke_stream *stream, const plan *args)
{
    for (uint32_t i = 0; i < args->count; i++)
        YOKE_TRY(yoke_send(stream, &i));
    for (uint32_t i = args->count; args->then == FOR_EVER; i++) {
        YOKE_TRY(yoke_send(stream, &i));
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return args->then == FAIL ? yoke_raise(&APP_K, "the counter broke at %u", args->count) : NULL;
}
static yoke_error *count_up(yoke_stream *stream, const plan *args)
{
    begun++;
    yoke_error *e = count_on(stream, args);
    yoke_scope shield; /* a cleanup that takes time */
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *slept = yoke_sleep(YOKE_MS(20));
    cleaned++;
    return yoke_scope_close(&shield, yoke_error_join(e, slept));
}
static yoke_error *spell(yoke_stream *stream, const word *args)
{
    for (const char *at = args->text; *at; at++)
        YOKE_TRY(yoke_send(stream, &(word){(char[]){*at, '\0'}}));
    return NULL;
}
static yoke_error *misuse(yoke_stream *stream, const yoke_type_none *args)
{
    uint32_t item;
    EXPECT(yoke_recv(stream, &item), &YOKE_USAGE, "one-way");
    EXPECT(yoke_stream_close(stream, NULL), &YOKE_USAGE, "end of its endpoint");
    return yoke_send(stream, &(uint32_t){7});
}
static yoke_error *counts(const yoke_type_none *args, plan *result)
{
    *result = (plan){begun, (uint8_t)cleaned};
    return NULL;
}
YOKE_MODULE(ends, YOKE_STREAM(count_up, plan, u32), YOKE_STREAM(spell, word, word),
            YOKE_STREAM(misuse, none, u32), YOKE_CALL(counts, none, plan))

/* ---- helpers ---- */

/* Opens s->stream of `count_up`, and closes it with what `fn` returns. */
static yoke_error *with_count(struct scene *s, const plan *args, scene_fn fn)
{
    YOKE_TRY(yoke_portal_stream_open(s->portal, &s->stream, "ends:count_up", args, NULL));
    return yoke_stream_close(s->stream, fn(s));
}
static yoke_error *receive_run(struct scene *s, uint32_t end)
{
    for (uint32_t i = 0; i < end; i++) {
        uint32_t item;
        YOKE_TRY(yoke_recv(s->stream, &item));
        CHECK(item == i);
    }
    return NULL;
}
static yoke_error *receive_end(struct scene *s)
{
    uint32_t item;
    for (int i = 0; i < 2; i++)
        EXPECT(yoke_recv(s->stream, &item), &YOKE_END_OF_CHANNEL, "count_up");
    return NULL;
}
static yoke_error *all_cleaned(struct scene *s, uint32_t count)
{
    plan seen;
    YOKE_TRY(yoke_call(s->portal, "ends:counts", NULL, &seen));
    CHECK(seen.count == count && seen.then == count);
    return NULL;
}

/* ---- to the end ---- */

static yoke_error *receive_sixty(struct scene *s)
{
    YOKE_TRY(receive_run(s, 60));
    YOKE_TRY(receive_end(s));
    EXPECT(yoke_send(s->stream, &(uint32_t){1}), &YOKE_USAGE, "one-way");
    return NULL;
}
static yoke_error *to_the_end(struct scene *s)
{
    YOKE_TRY(with_count(s, &(plan){60, RETURN}, receive_sixty));
    YOKE_TRY(with_count(s, &(plan){0, RETURN}, receive_end));
    return all_cleaned(s, 2);
}
static void test_rpc_15_one_way_stream(void **state)
{
    assert_success(tree_with_child("ends", to_the_end, NULL));
}

/* What goes over the wire, from the endpoint's side. */
static yoke_error *hear_a_stream(struct raw_peer *raw)
{
    struct msg m;
    YOKE_TRY(raw_start(raw, "a", "ends", "count_up", &yoke_record_plan, &(plan){2, RETURN}));
    HEAR(raw, MSG_START_ACK, "a", &m);
    CHECK(m.start_ack.functype == MSG_FUNC_ASYNCGEN);
    for (uint8_t i = 0; i < 2; i++) {
        HEAR(raw, MSG_YIELD, "a", &m);
        CHECK(m.pld.size == 1 && m.pld.data[0] == i);
    }
    HEAR(raw, MSG_STOP, "a", &m);
    return raw_silence(raw);
}
static yoke_error *hear_one(void *arg)
{
    struct raw_peer raw;
    YOKE_TRY(raw_open(&raw, "ends"));
    return raw_close(&raw, hear_a_stream(&raw));
}
static void test_rpc_15_messages(void **state)
{
    assert_success(tree_run(hear_one, NULL));
}

static yoke_error *spell_it(struct scene *s)
{
    char text[8] = "";
    word letter;
    YOKE_TRY(yoke_portal_stream_open(s->portal, &s->stream, "ends:spell", &(word){"yoke"}, NULL));
    yoke_error *e;
    while (!(e = yoke_recv(s->stream, &letter))) {
        strncat(text, letter.text, sizeof text - strlen(text) - 1);
        word_free(&letter);
    }
    YOKE_TRY(yoke_stream_close(s->stream, yoke_end_is_fine(e)));
    CHECK(strcmp(text, "yoke") == 0);
    return NULL;
}
static void test_rpc_15_records(void **state)
{
    assert_success(tree_with_child("ends", spell_it, NULL));
}

/* ---- left early ---- */

static yoke_error *receive_three(struct scene *s)
{
    return receive_run(s, 3);
}
static yoke_error *fail_here(struct scene *s)
{
    return yoke_raise(&APP_K, "the reader failed here");
}
static yoke_error *leave_early(struct scene *s)
{
    YOKE_TRY(with_count(s, &(plan){0, FOR_EVER}, receive_three));
    YOKE_TRY(all_cleaned(s, 1)); /* before the close returned */
    EXPECT(with_count(s, &(plan){0, FOR_EVER}, fail_here), &APP_K, "here");
    return all_cleaned(s, 2);
}
static void test_rpc_16_the_reader_leaves_early(void **state)
{
    assert_success(tree_with_child("ends", leave_early, NULL));
}

/* A Stop and a cancel request come in; the task's own Stop goes out, then the answer to the request. */
static yoke_error *hear_an_early_end(struct raw_peer *raw)
{
    struct msg m;
    YOKE_TRY(raw_start(raw, "a", "ends", "count_up", &yoke_record_plan, &(plan){0, FOR_EVER}));
    HEAR(raw, MSG_START_ACK, "a", &m);
    HEAR(raw, MSG_YIELD, "a", &m);
    YOKE_TRY(raw_say(raw, MSG_STOP, "a"));
    YOKE_TRY(raw_cancel(raw, "b", "a"));
    do
        YOKE_TRY(channel_receive(raw->far, &m));
    while (m.type == MSG_YIELD);
    CHECK(m.type == MSG_START_ACK && text_view_is(m.cid, "b"));
    HEAR(raw, MSG_STOP, "a", &m);
    HEAR(raw, MSG_CANCEL_ACK, "b", &m);
    return raw_silence(raw);
}
static yoke_error *hear_early_end(void *arg)
{
    struct raw_peer raw;
    YOKE_TRY(raw_open(&raw, "ends"));
    return raw_close(&raw, hear_an_early_end(&raw));
}
static void test_rpc_16_messages(void **state)
{
    assert_success(tree_run(hear_early_end, NULL));
}

static yoke_error *receive_for_ever(struct scene *s)
{
    for (;;) {
        uint32_t item;
        YOKE_TRY(yoke_recv(s->stream, &item));
    }
}
static yoke_error *cancel_the_reader(struct scene *s)
{
    yoke_scope hurry;
    YOKE_TRY(yoke_move_on_after(&hurry, YOKE_MS(30)));
    YOKE_TRY(yoke_scope_close(&hurry, with_count(s, &(plan){0, FOR_EVER}, receive_for_ever)));
    CHECK(yoke_scope_cancelled_caught(&hurry));
    return all_cleaned(s, 1);
}
static void test_rpc_16_the_reader_is_cancelled(void **state)
{
    assert_success(tree_with_child("ends", cancel_the_reader, NULL));
}

/* ---- errors ---- */

static yoke_error *wait_till_all_has_come(struct scene *s)
{
    while (container_of(s->stream, struct yoke_context, stream)->state != DIALOG_DONE)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    return NULL;
}
static yoke_error *receive_and_handle(struct scene *s)
{
    uint32_t item;
    YOKE_TRY(wait_till_all_has_come(s)); /* the error too: the values are received first */
    YOKE_TRY(receive_run(s, 5));
    for (int i = 0; i < 2; i++)
        EXPECT_REMOTE(yoke_recv(s->stream, &item), &APP_K, "broke at 5");
    return NULL; /* it was dealt with: the close does not tell it again */
}
static yoke_error *receive_and_pass_on(struct scene *s)
{
    uint32_t item;
    YOKE_TRY(receive_run(s, 5));
    return yoke_recv(s->stream, &item);
}
static yoke_error *receive_two(struct scene *s)
{
    YOKE_TRY(wait_till_all_has_come(s));
    return receive_run(s, 2);
}
static yoke_error *fail_in_the_middle(struct scene *s)
{
    YOKE_TRY(with_count(s, &(plan){5, FAIL}, receive_and_handle));
    EXPECT_REMOTE(with_count(s, &(plan){5, FAIL}, receive_and_pass_on), &APP_K, "while: `ends:count_up`");
    EXPECT_REMOTE(with_count(s, &(plan){5, FAIL}, receive_two), &APP_K,
                  "broke at 5"); /* nobody had been told */
    return all_cleaned(s, 3);
}
static void test_rpc_17_error_in_the_middle(void **state)
{
    assert_success(tree_with_child("ends", fail_in_the_middle, NULL));
}

static yoke_error *open_refused(struct scene *s)
{
    yoke_portal *p = s->portal, *bare;
    yoke_context *ctx;
    plan args = {1, RETURN};
    EXPECT(yoke_portal_stream_open(p, &s->stream, "ends:nope", NULL, NULL), &YOKE_ENDPOINT_NOT_FOUND,
           "spell");
    CHECK(!s->stream);
    EXPECT(yoke_portal_stream_open(p, &s->stream, "ends:counts", NULL, NULL), &YOKE_USAGE, "yoke_call");
    EXPECT(yoke_call(p, "ends:count_up", &args, NULL), &YOKE_USAGE, "yoke_portal_stream_open");
    EXPECT(yoke_context_open(p, &ctx, "ends:count_up", &args, NULL), &YOKE_USAGE, "yoke_portal_stream_open");
    EXPECT(yoke_portal_stream_open(p, &s->stream, "ends:spell", &(word){"\xff"}, NULL), &YOKE_MSG_TYPE,
           "args.text");
    EXPECT(yoke_portal_stream_open(NULL, &s->stream, "ends:spell", &args, NULL), &YOKE_USAGE, "no portal");
    YOKE_TRY(yoke_actors_start(s->actors, "bare", NULL, &bare));
    EXPECT_REMOTE(yoke_portal_stream_open(bare, &s->stream, "ends:count_up", &args, NULL),
                  &YOKE_MODULE_NOT_EXPOSED, "while: `ends:count_up`");
    CHECK(!s->stream);
    YOKE_TRY(yoke_portal_stream_open(p, &s->stream, "ends:misuse", NULL, NULL));
    uint32_t item;
    yoke_error *e = yoke_recv(s->stream, &item);
    return yoke_stream_close(s->stream, e || item == 7 ? e : yoke_raise(&CHECK_FAILED, "7"));
}
static void test_one_way_refusals(void **state)
{
    assert_success(tree_with_child("ends", open_refused, NULL));
}

static yoke_error *kill_the_sender(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "worker", &(yoke_actor_options){.modules = "ends"}, &s->portal));
    YOKE_TRY(yoke_portal_stream_open(s->portal, &s->stream, "ends:count_up", &(plan){0, FOR_EVER}, NULL));
    yoke_error *e = receive_run(s, 3);
    kill(yoke_portal_pid(s->portal), SIGKILL);
    if (!e)
        e = receive_for_ever(s);
    EXPECT(yoke_stream_close(s->stream, e), &YOKE_TRANSPORT_CLOSED, "worker");
    return NULL;
}
static void test_one_way_the_far_process_dies(void **state)
{
    assert_error_text(tree_with_actors(kill_the_sender, NULL), &YOKE_ACTOR_DIED, "SIGKILL");
}

TREE_MAIN(TEST(test_rpc_15_one_way_stream), TEST(test_rpc_15_messages), TEST(test_rpc_15_records),
          TEST(test_rpc_16_the_reader_leaves_early), TEST(test_rpc_16_messages),
          TEST(test_rpc_16_the_reader_is_cancelled), TEST(test_rpc_17_error_in_the_middle),
          TEST(test_one_way_refusals), TEST(test_one_way_the_far_process_dies))
