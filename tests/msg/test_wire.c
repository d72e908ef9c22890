/* Frames: those recorded from real peers, and each way in which a frame can be wrong. */
#include "base/memory.h"
#include "msg/frames.h"
#include "msg/record.h"
#include "msg/wire.h"

#include <msgpack.h>

static const struct msg_limits *const limits = &msg_limits_default;

/* ---- recorded frames ---- */

static void test_recorded_frames_round_trip(void **state)
{
    struct frames frames;
    unsigned seen[MSG_TYPE_COUNT] = {0};
    frames_open(&frames);
    for (size_t i = 0; i < frames.files.gl_pathc; i++) {
        struct frame frame = frame_load(&frames, i);
        struct buffer out = BUFFER_EMPTY;
        struct msg m;
        assert_success(msg_decode(frame.bytes + 4, frame.size - 4, limits, &m));
        assert_success(msg_encode(&out, &m, limits));
        assert_int_equal(buffer_size(&out), frame.size);
        assert_memory_equal(buffer_begin(&out), frame.bytes, frame.size);
        assert_non_null(strstr(frame.file, msg_type_name(m.type)));
        seen[m.type]++;
        buffer_free(&out);
        frame_free(&frame);
    }
    frames_close(&frames);
    for (unsigned type = 0; type < MSG_TYPE_COUNT; type++)
        assert_int_equal(seen[type] > 0, type != MSG_CREDIT); /* which is ours */
}

/* Each shorter beginning is an error, and nothing behind it is read: the bytes end where their memory ends.
 */
static void test_truncated_everywhere(void **state)
{
    struct frames frames;
    frames_open(&frames);
    for (size_t i = 0; i < frames.files.gl_pathc; i++) {
        struct frame frame = frame_load(&frames, i);
        for (size_t size = 0; size < frame.size - 4; size++) {
            uint8_t *piece = malloc(size + !size);
            struct msg m;
            memcpy(piece, frame.bytes + 4, size);
            assert_error(msg_decode(piece, size, limits, &m), &YOKE_PROTOCOL);
            free(piece);
        }
        frame_free(&frame);
    }
    frames_close(&frames);
}

static void test_fields_are_views(void **state)
{
    struct frames frames;
    frames_open(&frames);
    for (size_t i = 0; i < frames.files.gl_pathc; i++) {
        struct frame frame = frame_load(&frames, i);
        struct msg m;
        assert_success(msg_decode(frame.bytes + 4, frame.size - 4, limits, &m));
        if (m.type == MSG_START) {
            const uint8_t *kwargs = m.start.kwargs.data;
            assert_true(kwargs > frame.bytes && kwargs + m.start.kwargs.size <= frame.bytes + frame.size);
            assert_true(text_view_is(m.start.pld_spec, "typing.Any"));
        }
        if (m.type == MSG_AID && strstr(frame.file, "2025"))
            assert_int_equal(m.aid.is_registrar, MSG_FLAG_ABSENT);
        frame_free(&frame);
    }
    frames_close(&frames);
    assert_int_equal(memory_live(), 0);
}

/* ---- writing bad frames by hand ---- */

struct hand {
    msgpack_sbuffer bytes;
    msgpack_packer packer;
};

static void hand_begin(struct hand *h, unsigned pairs)
{
    msgpack_sbuffer_init(&h->bytes);
    msgpack_packer_init(&h->packer, &h->bytes, msgpack_sbuffer_write);
    msgpack_pack_map(&h->packer, pairs);
}

static void text(struct hand *h, const char *s)
{
    msgpack_pack_str_with_body(&h->packer, s, strlen(s));
}

static void pair(struct hand *h, const char *key, const char *value)
{
    text(h, key);
    text(h, value);
}

static void key_uid(struct hand *h, const char *key)
{
    text(h, key);
    msgpack_pack_array(&h->packer, 2);
    text(h, "name");
    text(h, "uuid");
}

static void raw(struct hand *h, const char *bytes, size_t size)
{
    msgpack_sbuffer_write(&h->bytes, bytes, size);
}
#define RAW(h, literal) raw((h), literal, sizeof(literal) - 1)

static yoke_error *hand_decode(struct hand *h, struct msg *m)
{
    return msg_decode((const uint8_t *)h->bytes.data, h->bytes.size, limits, m);
}

static void hand_expect(struct hand *h, const char *text)
{
    struct msg m;
    assert_error_text(hand_decode(h, &m), &YOKE_PROTOCOL, text);
    msgpack_sbuffer_destroy(&h->bytes);
}

/* A Start without its kwargs, which are the last of `pairs`. */
static void hand_start(struct hand *h)
{
    hand_begin(h, 6);
    pair(h, "msg_type", "Start");
    pair(h, "cid", "c");
    pair(h, "ns", "n");
    pair(h, "func", "f");
    key_uid(h, "uid");
    text(h, "kwargs");
}

static void expect_bytes(const char *bytes, size_t size, const char *text)
{
    struct msg m;
    uint8_t *copy = malloc(size + !size);
    memcpy(copy, bytes, size);
    assert_error_text(msg_decode(copy, size, limits, &m), &YOKE_PROTOCOL, text);
    free(copy);
}
#define EXPECT_BYTES(literal, text) expect_bytes(literal, sizeof(literal) - 1, (text))

/* ---- the whole ---- */

static void test_no_message(void **state)
{
    EXPECT_BYTES("", "not enough bytes at byte 0");
    EXPECT_BYTES("\xc0", "expected a map, got nil at byte 0");
    EXPECT_BYTES("\x90", "expected a map, got array at byte 0");
    EXPECT_BYTES("\x80", "without msg_type");
    EXPECT_BYTES("\xc1", "a byte that msgpack does not have at byte 0");
    EXPECT_BYTES("\x81\xa8msg_type\xa3"
                 "Foo",
                 "unknown msg_type 'Foo' at byte 10");
    EXPECT_BYTES("\x81\xa8msg_type\x05", "msg_type: expected a str, got int at byte 10");
    EXPECT_BYTES("\x81\x01\x02", "expected a str, got int at byte 1");
    EXPECT_BYTES("\x81\xa8msg_type\xa4"
                 "Stop",
                 "Stop.cid: missing");
    EXPECT_BYTES("\x82\xa8msg_type\xa4"
                 "Stop\xa3"
                 "cid\xa1"
                 "c\x00",
                 "Stop: 1 bytes behind the message at byte 21");
    EXPECT_BYTES("\xdf\xff\xff\xff\xff\xa1"
                 "a",
                 "not enough bytes at byte 0");
}

static void test_any_order_unknown_and_missing_keys(void **state)
{
    struct hand h;
    struct msg m;
    hand_begin(&h, 5);
    pair(&h, "uuid", "u");
    text(&h, "later");
    RAW(&h, "\x93\x01\x82\x01\x02\x03\x04\xc7\x01\x05x");
    pair(&h, "name", "n");
    text(&h, "pid");
    RAW(&h, "\xd3\x00\x00\x00\x00\x00\x00\x00\x07");
    pair(&h, "msg_type", "Aid");
    assert_success(hand_decode(&h, &m));
    assert_int_equal(m.type, MSG_AID);
    assert_true(m.aid.has_pid);
    assert_int_equal(m.aid.pid, 7);
    assert_int_equal(m.aid.is_probe, MSG_FLAG_ABSENT);
    assert_true(text_view_is(m.aid.uid.name, "n"));
    assert_null(m.aid.yoke.data);
    msgpack_sbuffer_destroy(&h.bytes);
}

static void test_duplicate_keys(void **state)
{
    struct hand h;
    hand_begin(&h, 3);
    pair(&h, "msg_type", "Stop");
    pair(&h, "cid", "c");
    pair(&h, "cid", "d");
    hand_expect(&h, "Stop.cid: twice, again at byte 21");
    hand_begin(&h, 3);
    pair(&h, "msg_type", "Stop");
    pair(&h, "cid", "c");
    pair(&h, "msg_type", "Stop");
    hand_expect(&h, "Stop.msg_type: twice");
}

static void test_broken_text(void **state)
{
    static const char *const broken[] = {"\x80",         "\xc0\xaf",         "\xe0\x80\x80",
                                         "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                         "\xc3",         "ab\xff",           "abcdefg\xff"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct hand h;
        hand_begin(&h, 2);
        pair(&h, "msg_type", "Stop");
        pair(&h, "cid", broken[i]);
        hand_expect(&h, "Stop.cid: no UTF-8 at byte 19");
    }
    struct hand h;
    hand_begin(&h, 2);
    pair(&h, "msg_type", "Stop");
    pair(&h, "\xff", "c");
    hand_expect(&h, "no UTF-8");
}

/* ---- fields ---- */

static void test_aid_fields(void **state)
{
    static const struct {
        const char *key, *value, *text;
    } rows[] = {
        {"pid", "\xa1x", "Aid.pid: expected an int, got str"},
        {"pid", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "Aid.pid: 18446744073709551615 is no process id"},
        {"is_registrar", "\x01", "Aid.is_registrar: expected a bool, got int"},
        {"is_probe", "\xc0", "Aid.is_probe: expected a bool, got nil"},
        {"yoke", "\xc0", "Aid.yoke: expected a map, got nil"},
        {"yoke", "\x81\x01", "Aid.yoke: not enough bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hand h;
        hand_begin(&h, 4);
        pair(&h, "msg_type", "Aid");
        pair(&h, "name", "n");
        pair(&h, "uuid", "u");
        text(&h, rows[i].key);
        raw(&h, rows[i].value, strlen(rows[i].value));
        hand_expect(&h, rows[i].text);
    }
    EXPECT_BYTES("\x82\xa8msg_type\xa3"
                 "Aid\xa4name\xc0",
                 "Aid.name: expected a str, got nil");
    EXPECT_BYTES("\x82\xa8msg_type\xa3"
                 "Aid\xa4name\xa1n",
                 "Aid.uuid: missing");
}

static void test_start_fields(void **state)
{
    struct hand h;
    struct msg m;
    hand_start(&h);
    text(&h, "x");
    hand_expect(&h, "Start.kwargs: expected a map, got str at byte");
    hand_start(&h);
    RAW(&h, "\x81\x01\x02");
    hand_expect(&h, "Start.kwargs: expected a str, got int at byte");
    hand_start(&h);
    RAW(&h, "\x81\xa1\xff\x02");
    hand_expect(&h, "Start.kwargs: no UTF-8");
    hand_start(&h);
    RAW(&h, "\x81\xa1k\xc1");
    hand_expect(&h, "Start.kwargs: a byte that msgpack does not have");
    hand_start(&h);
    RAW(&h, "\x81\xa1k\x92\xc4\x01\xff\xa1\xff"); /* a text inside of a payload is the payload's own affair */
    assert_success(hand_decode(&h, &m));
    assert_int_equal(m.start.kwargs.size, 9);
    assert_null(m.start.pld_spec.data);
    msgpack_sbuffer_destroy(&h.bytes);
    EXPECT_BYTES("\x82\xa8msg_type\xa5Start\xa3uid\x91\xa1x",
                 "Start.uid: expected a uid of 2 elements, got 1");
    EXPECT_BYTES("\x82\xa8msg_type\xa5Start\xa3uid\xc0", "Start.uid: expected a uid, got nil");
    EXPECT_BYTES("\x82\xa8msg_type\xa5Start\xa3uid\x92\xa1x\xc0", "Start.uid: expected a str, got nil");
    EXPECT_BYTES("\x82\xa8msg_type\xa5Start\xa8pld_spec\xc0", "Start.pld_spec: expected a str, got nil");
}

static void test_other_fields(void **state)
{
    EXPECT_BYTES("\x82\xa8msg_type\xa8StartAck\xa8"
                 "functype\xa3"
                 "foo",
                 "StartAck.functype: unknown 'foo' at byte");
    EXPECT_BYTES("\x82\xa8msg_type\xa9"
                 "CancelAck\xa3pld\xc0",
                 "CancelAck.pld: expected a bool, got nil");
    EXPECT_BYTES("\x82\xa8msg_type\xa6Return\xa3"
                 "cid\xa1"
                 "c",
                 "Return.pld: missing");
    EXPECT_BYTES("\x82\xa8msg_type\xa5"
                 "Error\xaarelay_path\x90",
                 "Error.relay_path: empty at byte");
    EXPECT_BYTES("\x82\xa8msg_type\xa5"
                 "Error\xaarelay_path\x91\xc0",
                 "Error.relay_path: expected a uid, got nil");
    EXPECT_BYTES("\x82\xa8msg_type\xa5"
                 "Error\xa8_bad_msg\x01",
                 "Error._bad_msg: expected a map, got int");
    EXPECT_BYTES("\x82\xa8msg_type\xa5"
                 "Error\xa6sender\x01",
                 "Error.sender: expected a uid, got int");
    EXPECT_BYTES("\x82\xa8msg_type\xa9SpawnSpec\xa9reg_addrs\x91\x93\x01\x02\x03",
                 "SpawnSpec.reg_addrs: expected an address of 2 elements, got array");
    EXPECT_BYTES("\x82\xa8msg_type\xa9SpawnSpec\xa9reg_addrs\x91\x92\xa1x\xc2",
                 "SpawnSpec.reg_addrs: expected a part of an address, got bool");
    EXPECT_BYTES("\x82\xa8msg_type\xa9SpawnSpec\xa9reg_addrs\xc0",
                 "SpawnSpec.reg_addrs: expected an array, got nil");
    EXPECT_BYTES("\x82\xa8msg_type\xa9SpawnSpec\xae"
                 "enable_modules\x81\xa1m\x01",
                 "SpawnSpec.enable_modules: expected a str, got int");
}

/* ---- limits ---- */

/* A Return whose payload nests `depth` arrays. */
static yoke_error *decode_nested(unsigned depth, const struct msg_limits *bounds, struct msg *m,
                                 struct hand *h)
{
    hand_begin(h, 3);
    pair(h, "msg_type", "Return");
    pair(h, "cid", "c");
    text(h, "pld");
    for (unsigned i = 0; i < depth; i++)
        msgpack_pack_array(&h->packer, 1);
    msgpack_pack_nil(&h->packer);
    return msg_decode((const uint8_t *)h->bytes.data, h->bytes.size, bounds, m);
}

static void test_nesting_limit(void **state)
{
    struct hand h;
    struct msg m;
    assert_success(decode_nested(64, limits, &m, &h));
    msgpack_sbuffer_destroy(&h.bytes);
    assert_error_text(decode_nested(65, limits, &m, &h), &YOKE_PROTOCOL,
                      "Return.pld: nested too deep at byte");
    msgpack_sbuffer_destroy(&h.bytes);
    assert_error_text(decode_nested(1000000, limits, &m, &h), &YOKE_PROTOCOL, "nested too deep");
    msgpack_sbuffer_destroy(&h.bytes);
    struct msg_limits flat = {1000, 2, 1000};
    assert_success(decode_nested(2, &flat, &m, &h));
    msgpack_sbuffer_destroy(&h.bytes);
    assert_error(decode_nested(3, &flat, &m, &h), &YOKE_PROTOCOL);
    msgpack_sbuffer_destroy(&h.bytes);
}

/* The map of arguments is one level of the field's value. */
static void test_nesting_of_arguments(void **state)
{
    for (unsigned depth = 63; depth <= 64; depth++) {
        struct hand h;
        struct msg m;
        hand_start(&h);
        msgpack_pack_map(&h.packer, 1);
        text(&h, "k");
        for (unsigned i = 0; i < depth; i++)
            msgpack_pack_array(&h.packer, 1);
        msgpack_pack_nil(&h.packer);
        yoke_error *e = hand_decode(&h, &m);
        if (depth == 63)
            assert_success(e);
        else
            assert_error_text(e, &YOKE_PROTOCOL, "Start.kwargs: nested too deep");
        msgpack_sbuffer_destroy(&h.bytes);
    }
}

/* The map, three keys, their three values, and the payload's elements. */
static void test_elements_limit_is_the_same_both_ways(void **state)
{
    struct buffer out = BUFFER_EMPTY;
    struct msg m = {.type = MSG_RETURN,
                    .cid = text_view("c"),
                    .pld = {(const uint8_t *)"\x93\x01\x02\x03", 4}},
               back;
    struct msg_limits exact = {1000, 64, 10}, less = {1000, 64, 9};
    assert_success(msg_encode(&out, &m, &exact));
    assert_success(msg_decode(buffer_begin(&out) + 4, buffer_size(&out) - 4, &exact, &back));
    assert_error_text(msg_decode(buffer_begin(&out) + 4, buffer_size(&out) - 4, &less, &back), &YOKE_PROTOCOL,
                      "Return.pld: too many elements at byte");
    size_t before = buffer_size(&out);
    assert_error(msg_encode(&out, &m, &less), &YOKE_TOO_LARGE);
    assert_int_equal(buffer_size(&out), before);
    buffer_free(&out);
}

static void test_frame_limit_is_the_same_both_ways(void **state)
{
    struct buffer out = BUFFER_EMPTY;
    struct msg m = {.type = MSG_STOP, .cid = text_view("c")}, back;
    assert_success(msg_encode(&out, &m, limits));
    size_t body = buffer_size(&out) - 4;
    struct msg_limits exact = {body, 64, 100}, less = {body - 1, 64, 100};
    assert_success(msg_encode(&out, &m, &exact));
    assert_error_text(msg_encode(&out, &m, &less), &YOKE_TOO_LARGE, "Stop: a frame of more than");
    assert_int_equal(buffer_size(&out), 2 * (body + 4));
    assert_success(msg_decode(buffer_begin(&out) + 4, body, &exact, &back));
    assert_error_text(msg_decode(buffer_begin(&out) + 4, body, &less, &back), &YOKE_PROTOCOL, "a frame of");
    buffer_free(&out);
}

static void test_announced_sizes_are_not_believed(void **state)
{
    EXPECT_BYTES("\x82\xa8msg_type\xa6Return\xa3pld\xdd\x80\x00\x00\x00",
                 "Return.pld: not enough bytes at byte 21");
    EXPECT_BYTES("\x82\xa8msg_type\xa6Return\xa3pld\xdf\xff\xff\xff\xff", "Return.pld: not enough bytes");
    EXPECT_BYTES("\x82\xa8msg_type\xa6Return\xa3pld\xc6\xff\xff\xff\xff", "Return.pld: not enough bytes");
    EXPECT_BYTES("\x82\xa8msg_type\xa6Return\xa3pld\xd4\x05", "Return.pld: not enough bytes");
    EXPECT_BYTES("\x82\xa8msg_type\xa6Return\xa3pld\xc7\x00", "Return.pld: not enough bytes");
    EXPECT_BYTES("\x82\xa8msg_type\xa6Return\xa3pld\xc9\xff\xff\xff\xff\x01", "Return.pld: not enough bytes");
}

/* Ours alone, and so of no recorded frame. */
static void test_a_credit(void **state)
{
    struct buffer out = BUFFER_EMPTY;
    struct msg m = {.type = MSG_CREDIT, .cid = text_view("c"), .credit = {32}}, back;
    const char bytes[] = "\x83\xa8msg_type\xa6"
                         "Credit\xa3"
                         "cid\xa1"
                         "c\xa5"
                         "count\x20";
    assert_success(msg_encode(&out, &m, limits));
    assert_int_equal(buffer_size(&out), 4 + sizeof bytes - 1);
    assert_memory_equal(buffer_begin(&out) + 4, bytes, sizeof bytes - 1);
    assert_success(msg_decode(buffer_begin(&out) + 4, buffer_size(&out) - 4, limits, &back));
    assert_true(back.type == MSG_CREDIT && back.credit.count == 32 && text_view_is(back.cid, "c"));
    buffer_free(&out);
    EXPECT_BYTES("\x83\xa8msg_type\xa6"
                 "Credit\xa3"
                 "cid\xa1"
                 "c\xa5"
                 "count\xff",
                 "Credit.count: expected an int >= 0, got int");
    EXPECT_BYTES("\x82\xa8msg_type\xa6"
                 "Credit\xa3"
                 "cid\xa1"
                 "c",
                 "Credit.count: missing");
}

/* ---- what is not sent ---- */

static void expect_refused(const struct msg *m, const char *text)
{
    struct buffer out = BUFFER_EMPTY;
    assert_true(buffer_append(&out, "before", 6));
    assert_error_text(msg_encode(&out, m, limits), &YOKE_USAGE, text);
    assert_int_equal(buffer_size(&out), 6);
    assert_memory_equal(buffer_begin(&out), "before", 6);
    buffer_free(&out);
}

static struct raw_view view(const char *bytes)
{
    return (struct raw_view){(const uint8_t *)bytes, strlen(bytes)};
}

static struct msg an_error(const char *kind)
{
    struct uid_view uid = {text_view("n"), text_view("u")};
    return (struct msg){.type = MSG_ERROR,
                        .cid = text_view("c"),
                        .error = {.src_uid = uid,
                                  .src_type = text_view(kind),
                                  .boxed_type = text_view(kind),
                                  .relay_path = view("\x91\x92\xa1n\xa1u")}};
}

static void test_refused_messages(void **state)
{
    struct msg m = {.type = MSG_STOP};
    expect_refused(&m, "Stop.cid: missing");
    m.cid = text_view("\xff");
    expect_refused(&m, "Stop.cid: no UTF-8");
    m = (struct msg){.type = MSG_TYPE_COUNT};
    expect_refused(&m, "unknown type");
    m = (struct msg){.type = MSG_START_ACK, .cid = text_view("c"), .start_ack = {(enum msg_functype)7}};
    expect_refused(&m, "StartAck.functype: unknown");
    m = (struct msg){.type = MSG_RETURN, .cid = text_view("c")};
    expect_refused(&m, "Return.pld: missing");
    m.pld = view("\x01\x02");
    expect_refused(&m, "Return.pld: more than one value");
    m.pld = view("\x92\x01");
    expect_refused(&m, "Return.pld: not enough bytes");
    m = (struct msg){.type = MSG_CANCEL_ACK, .cid = text_view("c"), .pld = view("\x01")};
    expect_refused(&m, "CancelAck.pld: expected a bool, got int");
    m = an_error("ContextCancelled");
    expect_refused(&m, "Error.canceller: missing in a ContextCancelled");
    m = an_error("StreamOverrun");
    expect_refused(&m, "Error.sender: missing in a StreamOverrun");
    m = an_error("ValueError");
    m.error.relay_path = view("\x90");
    expect_refused(&m, "Error.relay_path: empty");
    m.error.relay_path.data = NULL;
    expect_refused(&m, "Error.relay_path: missing");
    m = an_error("ValueError");
    m.error.src_uid.uuid.data = NULL;
    expect_refused(&m, "Error.src_uid: missing");
    m = (struct msg){.type = MSG_AID,
                     .aid = {.uid = {text_view("n"), text_view("u")}, .is_probe = MSG_FLAG_NIL}};
    expect_refused(&m, "Aid.is_probe: expected a bool");
}

static void test_defaults_and_the_extra_key(void **state)
{
    struct buffer out = BUFFER_EMPTY;
    struct msg m = an_error("ValueError"), back;
    m.error.yoke = view("\x81\xa1k\x01");
    assert_success(msg_encode(&out, &m, limits));
    assert_success(msg_decode(buffer_begin(&out) + 4, buffer_size(&out) - 4, limits, &back));
    assert_true(text_view_is(back.error.tb, ""));
    assert_null(back.error.message.data);
    assert_null(back.error.bad_msg.data);
    assert_int_equal(back.error.yoke.size, 4);
    assert_true(uid_view_equal(back.error.src_uid, m.error.src_uid));
    assert_false(uid_view_equal(back.error.sender, back.error.sender));
    /* It stands at the very end. */
    assert_memory_equal(buffer_begin(&out) + buffer_size(&out) - 9, "\xa4yoke\x81\xa1k\x01", 9);
    buffer_free(&out);
}

static void test_default_pld_spec(void **state)
{
    struct buffer out = BUFFER_EMPTY;
    struct msg m = {.type = MSG_START, .cid = text_view("c")}, back;
    m.start.ns = m.start.func = text_view("f");
    m.start.uid = (struct uid_view){text_view("n"), text_view("u")};
    m.start.kwargs = view("\x81\xa1k\xc3");
    assert_success(msg_encode(&out, &m, limits));
    assert_success(msg_decode(buffer_begin(&out) + 4, buffer_size(&out) - 4, limits, &back));
    assert_true(text_view_is(back.start.pld_spec, "typing.Any"));
    buffer_free(&out);
}

/* What passes our check of the elements passes the peer's, with several fields that hold some. */
static void test_elements_are_counted_alike(void **state)
{
    struct msg m = an_error("ContextCancelled"), back;
    struct buffer whole = BUFFER_EMPTY;
    unsigned refused = 0;
    m.error.canceller = m.error.src_uid;
    m.error.bad_msg = view("\x82\xa1k\x92\x01\x02\xa1l\xc0");
    m.error.yoke = view("\x81\xa1k\x01");
    assert_success(msg_encode(&whole, &m, limits));
    for (size_t elements = 1; elements < 80; elements++) {
        struct msg_limits bounds = {1000, 64, elements};
        struct buffer out = BUFFER_EMPTY;
        yoke_error *sent = msg_encode(&out, &m, &bounds);
        yoke_error *came = msg_decode(buffer_begin(&whole) + 4, buffer_size(&whole) - 4, &bounds, &back);
        assert_int_equal(sent == NULL, came == NULL);
        refused += sent != NULL;
        if (sent) {
            assert_error(sent, &YOKE_TOO_LARGE);
            assert_error(came, &YOKE_PROTOCOL);
        }
        buffer_free(&out);
    }
    assert_true(refused > 30 && refused < 79);
    buffer_free(&whole);
}

static void test_no_memory_leaves_the_buffer(void **state)
{
    struct msg m = an_error("ValueError");
    for (size_t n = 0;; n++) {
        struct buffer out = BUFFER_EMPTY;
        memory_fail_after(n);
        yoke_error *e = msg_encode(&out, &m, limits);
        bool fired = memory_fail_after(SIZE_MAX);
        if (!fired) {
            assert_success(e);
            buffer_free(&out);
            break;
        }
        assert_error(e, &YOKE_NO_MEMORY);
        assert_int_equal(buffer_size(&out), 0);
        buffer_free(&out);
    }
}

YOKE_RECORD(note, (str, text), (list, u64, numbers));

/* An item that is encoded in the frame gives the bytes of one that was encoded before, or nothing. */
static void test_an_item_as_payload(void **state)
{
    uint64_t numbers[] = {1, 2, 300};
    note item = {"word", {numbers, 3}};
    struct buffer apart = BUFFER_EMPTY, view = BUFFER_EMPTY, in_place = BUFFER_EMPTY;
    assert_success(record_encode(&apart, &yoke_record_note, &item, "item"));
    struct msg m = {
        .type = MSG_YIELD, .cid = text_view("c"), .pld = {buffer_begin(&apart), buffer_size(&apart)}};
    assert_success(msg_encode(&view, &m, limits));
    m.pld = (struct raw_view){NULL, 0};
    m.pld_item = (struct msg_item){&yoke_record_note, &item, "item"};
    assert_success(msg_encode(&in_place, &m, limits));
    size_t size = buffer_size(&view);
    assert_int_equal(buffer_size(&in_place), size);
    assert_memory_equal(buffer_begin(&in_place), buffer_begin(&view), size);

    /* Map, msg_type, cid, pld, each with its value; the payload has two keys, a text, a list, its numbers. */
    struct msg_limits exact = {size - 4, 64, 1 + 2 + 2 + 2 + 2 + 1 + 1 + 3}, less = exact;
    assert_success(msg_encode(&view, &m, &exact));
    assert_int_equal(buffer_size(&view), 2 * size);
    less.elements--;
    assert_error(msg_encode(&in_place, &m, &less), &YOKE_TOO_LARGE);
    less = (struct msg_limits){size - 5, 64, exact.elements};
    assert_error(msg_encode(&in_place, &m, &less), &YOKE_TOO_LARGE);
    item.text = "\x80";
    assert_error_text(msg_encode(&in_place, &m, limits), &YOKE_MSG_TYPE, "item.text: not UTF-8");
    assert_int_equal(buffer_size(&in_place), size);
    buffer_free(&apart);
    buffer_free(&view);
    buffer_free(&in_place);
}

/* ---- the short way of a Yield ---- */

static const char short_way[] = "\x83\xa8msg_type\xa5Yield\xa3"
                                "cid\xd9\x22"
                                "abcdefghijklmnopqrstuvwxyz\xc3\xa9"
                                "123456\xa3pld\x95\x01\x82\xa1"
                                "a\xc4\x03xyz\xa1"
                                "b\xa0\x90\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18\xd4\x05Q";

/* The same with one key more, which takes the long way. */
static size_t lengthen(const uint8_t *body, size_t size, uint8_t *to)
{
    memcpy(to, body, size);
    to[0]++;
    memcpy(to + size, "\xa1x\xc0", 3);
    return size + 3;
}

static void expect_alike(const uint8_t *body, size_t size, const struct msg_limits *bounds)
{
    struct msg a, b;
    uint8_t longer[sizeof short_way + 3];
    struct msg_limits more = *bounds;
    more.elements += 2;
    size_t more_size = lengthen(body, size, longer);
    yoke_error *e = msg_decode(body, size, bounds, &a), *f = msg_decode(longer, more_size, &more, &b);
    assert_int_equal(!e, !f);
    if (!e) {
        assert_int_equal(a.type, b.type);
        assert_int_equal(a.cid.size, b.cid.size);
        assert_ptr_equal(a.cid.data - (const char *)body, b.cid.data - (const char *)longer);
        assert_int_equal(a.pld.size, b.pld.size);
        assert_ptr_equal(a.pld.data - body, b.pld.data - longer);
        assert_null(a.aside);
        assert_null(a.pld_item.record);
    }
    yoke_error_free(e);
    yoke_error_free(f);
}

/* Whatever one byte of it is, and wherever it ends, the two ways say the same. */
static void test_the_short_way_of_a_yield(void **state)
{
    uint8_t body[sizeof short_way - 1];
    struct msg m;
    memcpy(body, short_way, sizeof body);
    assert_success(msg_decode(body, sizeof body, &msg_limits_default, &m));
    assert_int_equal(m.cid.size, 34);
    for (size_t i = 1; i < sizeof body; i++) {
        for (int byte = 0; byte < 256; byte++) {
            body[i] = (uint8_t)byte;
            expect_alike(body, sizeof body, &msg_limits_default);
        }
        body[i] = (uint8_t)short_way[i];
        if (i < sizeof body - 1) /* the last byte is a value of its own */
            assert_error(msg_decode(body, i, &msg_limits_default, &m), &YOKE_PROTOCOL);
    }
    for (size_t elements = 0; elements < 30; elements++)
        for (unsigned nesting = 0; nesting < 4; nesting++)
            expect_alike(body, sizeof body,
                         &(struct msg_limits){.frame_bytes = 1000, .nesting = nesting, .elements = elements});
}

YOKE_RECORD(many, (list, u8, numbers))

/* The frame is the same by the two ways, and so is what is refused. */
static void test_the_short_way_to_a_yield(void **state)
{
    static const char *const ids[] = {"", "x", "exactly 31 characters, no more.",
                                      "and these are 32, one of them é", "bad \xff"};
    uint8_t numbers[300] = {1, 2, 3};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        for (size_t count = 0; count <= 300; count += 50) {
            many item = {{.items = numbers, .count = count}};
            struct buffer payload = BUFFER_EMPTY, by_item = BUFFER_EMPTY, by_view = BUFFER_EMPTY;
            struct msg_limits bounds = {.frame_bytes = 400, .nesting = 64, .elements = 160};
            assert_success(record_encode(&payload, &yoke_record_many, &item, "item"));
            struct msg m = {.type = MSG_YIELD,
                            .cid = text_view(ids[i]),
                            .pld = {buffer_begin(&payload), buffer_size(&payload)}};
            yoke_error *f = msg_encode(&by_view, &m, &bounds);
            m.pld_item = (struct msg_item){&yoke_record_many, &item, "item", false};
            yoke_error *e = msg_encode(&by_item, &m, &bounds);
            assert_int_equal(!e, !f);
            if (e)
                assert_ptr_equal(yoke_error_kind_of(e), yoke_error_kind_of(f));
            assert_int_equal(buffer_size(&by_item), buffer_size(&by_view));
            assert_true(e ||
                        memcmp(buffer_begin(&by_item), buffer_begin(&by_view), buffer_size(&by_view)) == 0);
            yoke_error_free(e);
            yoke_error_free(f);
            buffer_free(&payload);
            buffer_free(&by_item);
            buffer_free(&by_view);
        }
    }
}

HARNESS_MAIN(TEST(test_the_short_way_of_a_yield), TEST(test_the_short_way_to_a_yield),
             TEST(test_recorded_frames_round_trip), TEST(test_truncated_everywhere),
             TEST(test_fields_are_views), TEST(test_no_message),
             TEST(test_any_order_unknown_and_missing_keys), TEST(test_duplicate_keys), TEST(test_broken_text),
             TEST(test_aid_fields), TEST(test_start_fields), TEST(test_other_fields),
             TEST(test_nesting_limit), TEST(test_nesting_of_arguments),
             TEST(test_elements_limit_is_the_same_both_ways), TEST(test_frame_limit_is_the_same_both_ways),
             TEST(test_announced_sizes_are_not_believed), TEST(test_a_credit), TEST(test_refused_messages),
             TEST(test_defaults_and_the_extra_key), TEST(test_default_pld_spec),
             TEST(test_elements_are_counted_alike), TEST(test_no_memory_leaves_the_buffer),
             TEST(test_an_item_as_payload))
