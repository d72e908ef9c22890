/*
 * A hostile child: its root must stay up, serve its other children, and keep no memory.
 *
 * The root is a real one. Its child `hostile` is this program too, which instead of being an actor speaks on
 * the channel itself (struct fuzzer): it shakes hands, answers the root's requests rightly for a while, then
 * sends a frame, recorded or made up, that is mutated or out of turn, and looks whether the root still
 * answers a correct question. It exits with the number of such frames that the root has taken in. When the
 * root has closed the channel another one is started, till FUZZ_FRAMES (10,000) are through. All is drawn
 * from FUZZ_SEED; meanwhile a correct child streams.
 */
#include "doubling.h"
#include "tree.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "msg/wire.h"

#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <sys/socket.h>

/* ---- what the root asks of both its children ---- */

YOKE_MODULE(talk, YOKE_CALL(twice, number, number),
            YOKE_CONTEXT_STREAM(echo, none, number, number, number, number));

/* ---- the hostile child ---- */

enum {
    FRAMES_A_SESSION = 100, /* the exit status has room for 255 */
    KEPT_DIALOGS = 16,
    REACTION_MS = 25,
    UUID_SIZE = 36,
    BROKEN_HANDSHAKE_EVERY = 16,
};

struct bytes {
    uint8_t *data;
    size_t size;
};

struct fuzzer {
    uint64_t random;
    char uuid[UUID_SIZE + 1];
    glob_t recorded;
    struct buffer in;
    struct dialog {
        char cid[UUID_SIZE + 1];
        bool is_call;
        int said;            /* what the root knows of it: nothing, that it began, its first value, its end */
    } dialogs[KEPT_DIALOGS]; /* what the root has asked; the first is one that it has not */
    size_t dialog_count;
    bool gone;     /* the root has closed the channel */
    bool answered; /* the correct question */
    unsigned taken;
};

static void need(bool condition)
{
    if (!condition)
        abort(); /* the root sees a child that died of SIGABRT: the test fails */
}

/* Marsaglia's xorshift64 (Xorshift RNGs, 2003). */
static size_t below(struct fuzzer *f, size_t bound)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (size_t)(f->random >> 11) % bound;
}

/* ---- reading ---- */

static void take_frame(struct fuzzer *f, const uint8_t *body, size_t size)
{
    struct msg m;
    yoke_error *e = msg_decode(body, size, &msg_limits_default, &m);
    need(!e); /* what the root says is correct, whatever it was told */
    if (m.type == MSG_CANCEL_ACK)
        f->answered = true;
    if (m.type != MSG_START || m.cid.size != UUID_SIZE)
        return;
    struct dialog *d = &f->dialogs[1 + f->dialog_count++ % (KEPT_DIALOGS - 1)];
    *d = (struct dialog){.is_call = text_view_is(m.start.func, "twice")};
    memcpy(d->cid, m.cid.data, UUID_SIZE);
}

static void take_frames(struct fuzzer *f)
{
    while (buffer_size(&f->in) >= 4) {
        uint32_t size;
        memcpy(&size, buffer_begin(&f->in), 4);
        if (buffer_size(&f->in) - 4 < size)
            return;
        take_frame(f, buffer_begin(&f->in) + 4, size);
        buffer_consume(&f->in, 4 + (size_t)size);
    }
}

static void read_for(struct fuzzer *f, int ms)
{
    struct pollfd channel = {.fd = 3, .events = POLLIN};
    if (f->gone || poll(&channel, 1, ms) <= 0)
        return;
    need(buffer_reserve(&f->in, 1 << 16));
    ssize_t n = recv(3, f->in.data + f->in.end, 1 << 16, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        f->gone = true;
    f->in.end += n > 0 ? (size_t)n : 0;
    take_frames(f);
}

/* ---- writing ---- */

static void send_all(struct fuzzer *f, const uint8_t *bytes, size_t size)
{
    while (size && !f->gone) {
        ssize_t n = send(3, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = 3, .events = POLLOUT}, 1, 10);
            read_for(f, 0);
        } else {
            f->gone = true;
        }
    }
}

static struct uid_view self(struct fuzzer *f)
{
    return (struct uid_view){text_view("hostile"), text_view(f->uuid)};
}

static void encode(struct buffer *b, const struct msg *m)
{
    yoke_error *e = msg_encode(b, m, &msg_limits_default);
    need(!e);
}

/* A correct question, and whether an answer comes. */
static void probe(struct fuzzer *f)
{
    static const uint8_t kwargs[] = "\x81\xa3"
                                    "cid"
                                    "\xa4"
                                    "none";
    struct msg m = {.type = MSG_START,
                    .cid = text_view("ffffffff-0000-4000-8000-000000000000"),
                    .start = {.ns = text_view("self"),
                              .func = text_view("_cancel_task"),
                              .kwargs = {kwargs, sizeof kwargs - 1},
                              .uid = self(f)}};
    struct buffer b = BUFFER_EMPTY;
    encode(&b, &m);
    f->answered = false;
    send_all(f, buffer_begin(&b), buffer_size(&b));
    buffer_free(&b);
    for (int i = 0; i < REACTION_MS && !f->answered && !f->gone; i++)
        read_for(f, 1);
}

/* ---- frames ---- */

static struct dialog *any_dialog(struct fuzzer *f)
{
    size_t known = f->dialog_count < KEPT_DIALOGS - 1 ? f->dialog_count : KEPT_DIALOGS - 1;
    return &f->dialogs[below(f, 8) && known ? 1 + below(f, known) : 0];
}

/* A recorded frame, its dialog's id put over by one of ours. */
static struct bytes recorded_frame(struct fuzzer *f)
{
    static const char key[] = "\xa3"
                              "cid"
                              "\xd9\x24";
    FILE *file = fopen(f->recorded.gl_pathv[below(f, f->recorded.gl_pathc)], "rb");
    need(file != NULL);
    fseek(file, 0, SEEK_END);
    struct bytes b = {NULL, (size_t)ftell(file)};
    rewind(file);
    b.data = malloc(b.size + 1);
    need(b.data && fread(b.data, 1, b.size, file) == b.size);
    fclose(file);
    uint8_t *at = memmem(b.data, b.size, key, sizeof key - 1);
    if (at && (size_t)(b.data + b.size - at) >= sizeof key - 1 + UUID_SIZE)
        memcpy(at + sizeof key - 1, any_dialog(f)->cid, UUID_SIZE);
    return b;
}

/* Payloads of the right type, of others, and one that is nested deeper than anybody allows. */
static struct raw_view any_payload(struct fuzzer *f)
{
    static const struct raw_view payloads[] = {
        {(const uint8_t *)"\x81\xa5"
                          "value"
                          "\x07",
         8},
        {(const uint8_t *)"\x81\xa5"
                          "value"
                          "\xff",
         8},
        {(const uint8_t *)"\x80", 1},
        {(const uint8_t *)"\xc0", 1},
        {(const uint8_t *)"\xc3", 1},
        {(const uint8_t *)"\xa4"
                          "text",
         5},
        {(const uint8_t *)"\x93\x01\x02\x03", 4},
        {(const uint8_t *)"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9},
    };
    return payloads[below(f, sizeof payloads / sizeof *payloads)];
}

static void fill(struct fuzzer *f, struct msg *m)
{
    static const char *const functions[] = {"_cancel_task", "cancel", "twice", "lock_tty", ""};
    static const char *const spaces[] = {"self", "talk", "yoke.devx", "tree"};
    static const uint8_t path[] = "\x91\x92\xa1"
                                  "a"
                                  "\xa1"
                                  "b";
    switch (m->type) {
    case MSG_START:
        m->start.ns = text_view(spaces[below(f, 4)]);
        m->start.func = text_view(functions[below(f, 5)]);
        m->start.kwargs = (struct raw_view){(const uint8_t *)"\x80", 1};
        m->start.uid = self(f);
        break;
    case MSG_START_ACK:
        m->start_ack.functype = (enum msg_functype)below(f, 3);
        break;
    case MSG_ERROR:
        m->error.src_uid = self(f);
        m->error.src_type = m->error.boxed_type = text_view("ValueError");
        m->error.relay_path = (struct raw_view){path, sizeof path - 1};
        m->error.message = text_view("no");
        break;
    case MSG_CANCEL_ACK:
        m->pld = (struct raw_view){(const uint8_t *)"\xc3", 1};
        break;
    default:
        m->pld = any_payload(f);
    }
}

/* What an actor could say, but not now. */
static struct bytes made_frame(struct fuzzer *f)
{
    /* Weighted so that dialogs come far. */
    static const enum msg_type types[] = {MSG_START_ACK, MSG_START_ACK, MSG_STARTED,    MSG_STARTED,
                                          MSG_YIELD,     MSG_YIELD,     MSG_YIELD,      MSG_STOP,
                                          MSG_RETURN,    MSG_ERROR,     MSG_CANCEL_ACK, MSG_START};
    struct msg m = {.type = types[below(f, sizeof types / sizeof *types)],
                    .cid = text_view(any_dialog(f)->cid)};
    struct buffer b = BUFFER_EMPTY;
    fill(f, &m);
    encode(&b, &m);
    struct bytes frame = {malloc(buffer_size(&b) + 1), buffer_size(&b)};
    need(frame.data != NULL);
    memcpy(frame.data, buffer_begin(&b), frame.size);
    buffer_free(&b);
    return frame;
}

static void set_length(struct bytes *b)
{
    uint32_t size = (uint32_t)(b->size - 4);
    memcpy(b->data, &size, 4);
}

/* The payload, if there is one, becomes an array of arrays of ... */
static void nest(struct fuzzer *f, struct bytes *b)
{
    static const char key[] = "\xa3"
                              "pld";
    uint8_t *at = memmem(b->data, b->size, key, sizeof key - 1);
    size_t depth = 60 + below(f, 20000), head = at ? (size_t)(at - b->data) + sizeof key - 1 : b->size;
    b->data = realloc(b->data, head + depth + 1);
    need(b->data != NULL);
    memset(b->data + head, 0x91, depth);
    b->data[head + depth] = 0xc0;
    b->size = head + depth + 1;
}

/* Half of the one, half of the other. */
static void join_halves(struct fuzzer *f, struct bytes *b)
{
    struct bytes other = recorded_frame(f);
    size_t head = 4 + below(f, b->size - 4), from = 4 + below(f, other.size - 4), tail = other.size - from;
    b->data = realloc(b->data, head + tail + 1);
    need(b->data != NULL);
    memcpy(b->data + head, other.data + from, tail);
    b->size = head + tail;
    free(other.data);
}

static void mutate(struct fuzzer *f, struct bytes *b)
{
    /* The bytes whose meaning reaches furthest: heads of containers and of long texts. */
    static const uint8_t nasty[] = {0x00, 0x80, 0x8f, 0x9f, 0xa0, 0xbf, 0xc0,
                                    0xc1, 0xc6, 0xc9, 0xd9, 0xdb, 0xdd, 0xdf};
    /* Half of them in the last bytes, where payloads are: what is only of a wrong value goes further. */
    size_t range = b->size - 4, tail = range > 10 && below(f, 2) ? 10 : range;
    size_t at = b->size - tail + below(f, tail), count = 1 + below(f, 8);
    switch (below(f, 9)) {
    case 0:
    case 1:
    case 2:
        b->data[at] ^= (uint8_t)(1u << below(f, 8));
        break;
    case 3:
        b->data[at] = nasty[below(f, sizeof nasty)];
        break;
    case 4:
        b->size = at + 1;
        break;
    case 5: /* a piece is taken out */
        count = count < b->size - at ? count : b->size - at;
        memmove(b->data + at, b->data + at + count, b->size - at - count);
        b->size -= count;
        break;
    case 6:
        join_halves(f, b);
        break;
    case 7:
        nest(f, b);
        break;
    default: /* all that follows is there but for the last array, which is told to be huge */
        b->data[at] = 0xdd;
    }
    set_length(b);
}

/* The length itself lies: far too large, larger than what follows, smaller, nothing. */
static void lie(struct fuzzer *f, struct bytes *b)
{
    uint32_t lies[] = {
        UINT32_MAX, 1u << 31, (64u << 20) + 1, 64u << 20, (uint32_t)b->size + 100, (uint32_t)b->size / 2, 0};
    memcpy(b->data, &lies[below(f, sizeof lies / sizeof *lies)], 4);
}

/* One that is out of turn, or broken, or both; sometimes more often than a stream has room for. */
static void send_bad(struct fuzzer *f)
{
    struct bytes b = below(f, 4) ? made_frame(f) : recorded_frame(f);
    size_t kind = below(f, 16);
    if (kind < 12)
        mutate(f, &b);
    else if (kind == 12)
        lie(f, &b);
    size_t times = below(f, 16) ? 1 : 1 + below(f, 70);
    for (size_t i = 0; i < times; i++)
        send_all(f, b.data, b.size);
    free(b.data);
}

/* A well-formed value of any kind: containers of few, which end with the budget. */
static void put_value(struct fuzzer *f, struct buffer *b, int *budget)
{
    static const struct raw_view leaves[] = {
        {(const uint8_t *)"\xc0", 1},
        {(const uint8_t *)"\xc2", 1},
        {(const uint8_t *)"\x07", 1},
        {(const uint8_t *)"\xe0", 1},
        {(const uint8_t *)"\xd3\x80\0\0\0\0\0\0\0", 9},
        {(const uint8_t *)"\xcb\x7f\xf0\0\0\0\0\0\0", 9},
        {(const uint8_t *)"\xa5value", 6},
        {(const uint8_t *)"\xa0", 1},
        {(const uint8_t *)"\xc4\x02\xff\x00", 4},
        {(const uint8_t *)"\xd6\xff\0\0\0\x01", 6},
        {(const uint8_t *)"\xc7\0\x05", 3},
    };
    size_t kind = below(f, *budget > 0 ? 16 : 11), count = below(f, 5);
    if (kind < 11) {
        need(buffer_append(b, leaves[kind].data, leaves[kind].size));
        return;
    }
    bool is_map = kind & 1;
    uint8_t head = (uint8_t)((is_map ? 0x80 : 0x90) | count);
    *budget -= (int)count + 1;
    need(buffer_append(b, &head, 1));
    for (size_t i = 0; i < (is_map ? 2 * count : count); i++)
        put_value(f, b, budget);
}

/* What a correct child would say next in one of the dialogs, if there is such; `odd`: but for the value. */
static bool send_in_turn(struct fuzzer *f, bool odd)
{
    struct dialog *d = any_dialog(f);
    if (d == &f->dialogs[0] || d->said == 3)
        return false;
    struct buffer value = BUFFER_EMPTY, b = BUFFER_EMPTY;
    int budget = odd ? 30 : 0;
    if (odd)
        put_value(f, &value, &budget);
    else
        need(buffer_append(&value,
                           "\x81\xa5"
                           "value"
                           "\x07",
                           8));
    struct msg m = {.cid = text_view(d->cid), .pld = {buffer_begin(&value), buffer_size(&value)}};
    switch (d->said) {
    case 0:
        m = (struct msg){.type = MSG_START_ACK, .cid = m.cid};
        m.start_ack.functype = d->is_call != odd ? MSG_FUNC_ASYNCFUNC : MSG_FUNC_CONTEXT;
        d->said = 1;
        break;
    case 1:
        m.type = d->is_call ? MSG_RETURN : MSG_STARTED;
        d->said = d->is_call ? 3 : 2;
        break;
    default:
        m.type = below(f, 4) ? MSG_YIELD : MSG_RETURN;
        d->said = m.type == MSG_RETURN ? 3 : 2;
    }
    encode(&b, &m);
    send_all(f, buffer_begin(&b), buffer_size(&b));
    buffer_free(&b);
    buffer_free(&value);
    return true;
}

/* ---- a session ---- */

/* The parent's Aid tells our uuid. */
static void shake_hands(struct fuzzer *f)
{
    static const char key[] = "child_uuid"
                              "\xd9\x24";
    uint8_t *at = NULL;
    for (int i = 0; i < 1000 && !f->gone && !at; i++) {
        struct pollfd channel = {.fd = 3, .events = POLLIN};
        poll(&channel, 1, 10);
        need(buffer_reserve(&f->in, 1 << 12));
        ssize_t n = recv(3, f->in.data + f->in.end, 1 << 12, MSG_DONTWAIT);
        f->gone = n == 0;
        f->in.end += n > 0 ? (size_t)n : 0;
        at = memmem(buffer_begin(&f->in), buffer_size(&f->in), key, sizeof key - 1);
    }
    need(at != NULL);
    memcpy(f->uuid, at + sizeof key - 1, UUID_SIZE);
    take_frames(f);
}

static void send_aid(struct fuzzer *f)
{
    struct msg m = {.type = MSG_AID,
                    .aid = {.uid = self(f),
                            .has_pid = true,
                            .pid = getpid(),
                            .is_registrar = MSG_FLAG_FALSE,
                            .is_probe = MSG_FLAG_FALSE}};
    struct buffer b = BUFFER_EMPTY;
    encode(&b, &m);
    struct bytes frame = {malloc(buffer_size(&b) + 1), buffer_size(&b)};
    need(frame.data != NULL);
    memcpy(frame.data, buffer_begin(&b), frame.size);
    buffer_free(&b);
    if (below(f, BROKEN_HANDSHAKE_EVERY) == 0) {
        mutate(f, &frame);
        f->taken++;
    }
    send_all(f, frame.data, frame.size);
    free(frame.data);
}

static void be_hostile(uint64_t seed)
{
    struct fuzzer f = {.random = seed * 0x9e3779b97f4a7c15u + 1,
                       .dialogs = {{.cid = "00000000-0000-4000-8000-000000000000"}}};
    need(glob("../msg/frames/*.frame", GLOB_NOSORT, NULL, &f.recorded) == 0);
    shake_hands(&f);
    send_aid(&f);
    for (int i = 0; i < 50 && !f.dialog_count && !f.gone; i++)
        read_for(&f, 1);
    while (!f.gone && f.taken < FRAMES_A_SESSION) {
        for (size_t good = below(&f, 5); good > 0; good--)
            send_in_turn(&f, false);
        if (!below(&f, 2) || !send_in_turn(&f, true))
            send_bad(&f);
        f.taken++;
        probe(&f);
        if (!f.answered) /* it waits for the rest of a frame, or has closed */
            break;
    }
    _exit((int)f.taken);
}

/* glibc hands a constructor main's arguments. */
__attribute__((constructor)) static void be_hostile_if_asked(int argc, char **argv)
{
    const char *seed = getenv("FUZZ_SESSION");
    if (seed && argc == 2 && strncmp(argv[1], "--yoke-child=", 13) == 0)
        be_hostile(strtoull(seed, NULL, 10));
}

/* ---- the root's dialogs with it ---- */

/* Whatever comes of them: the dialogs go on till the channel is closed. */
static yoke_error *call_hostile(void *portal)
{
    for (uint64_t i = 0; yoke_portal_is_connected(portal); i++) {
        number result;
        yoke_error *e = yoke_call(portal, "talk:twice", &(number){i}, &result);
        if (yoke_error_is_cancelled(e))
            return e;
        yoke_error_free(e);
        YOKE_TRY(yoke_sleep(YOKE_US(200)));
    }
    return NULL;
}

static yoke_error *stream_with_hostile(yoke_context *ctx)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = NULL;
    for (uint64_t i = 0; i < 3 && !e; i++) {
        number item = {i};
        e = yoke_send(stream, &item);
        if (!e)
            e = yoke_recv(stream, &item);
    }
    return yoke_stream_close(stream, e);
}

static yoke_error *open_hostile(void *portal)
{
    while (yoke_portal_is_connected(portal)) {
        yoke_context *ctx;
        number first;
        yoke_error *e = yoke_context_open(portal, &ctx, "talk:echo", NULL, &first);
        if (!e)
            e = yoke_context_close(ctx, stream_with_hostile(ctx));
        if (yoke_error_is_cancelled(e))
            return e;
        yoke_error_free(e);
        YOKE_TRY(yoke_sleep(YOKE_US(200)));
    }
    return NULL;
}

static yoke_error *talk_with_hostile(yoke_portal *portal)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 2 && !e; i++)
        e = yoke_spawn(&n, call_hostile, portal);
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_spawn(&n, open_hostile, portal);
    return yoke_nursery_close(&n, e);
}

static yoke_error *start_hostile(yoke_actors *actors, uint64_t seed)
{
    static char session[48]; /* the environment's own from then on; setenv(3) would keep each one for ever */
    yoke_portal *portal;
    yoke_actor_options options = {.modules = "talk", .backend = YOKE_BACKEND_EXEC, .start_bound = YOKE_S(5)};
    snprintf(session, sizeof session, "FUZZ_SESSION=%llu", (unsigned long long)seed);
    putenv(session);
    yoke_error *e = yoke_actors_start(actors, "hostile", &options, &portal);
    unsetenv("FUZZ_SESSION");
    return e ? e : talk_with_hostile(portal);
}

/* `taken`: how many frames it has got through. It may end by its exit alone. */
static yoke_error *session(uint64_t seed, int *taken)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e = yoke_actors_close(actors, start_hostile(actors, seed));
    const yoke_error *died = yoke_error_find(e, &YOKE_ACTOR_DIED),
                     *left = yoke_error_find(e, &YOKE_ACTOR_EXITED);
    bool stuck = died && yoke_error_signal(died) == SIGABRT;
    *taken = left ? -yoke_error_signal(left) : 1;
    if (!stuck && (left || yoke_error_find(e, &YOKE_SPAWN_FAILED) || died)) {
        yoke_error_free(e);
        return NULL;
    }
    return e ? yoke_wrap(e, &CHECK_FAILED, "session %llu", (unsigned long long)seed)
             : yoke_raise(&CHECK_FAILED, "session %llu ended as if nothing was wrong",
                          (unsigned long long)seed);
}

/* ---- the correct child, meanwhile ---- */

struct good {
    yoke_portal *portal;
    uint64_t rounds;
};

static yoke_error *stream_without_end(struct good *g, yoke_stream *stream)
{
    for (;; g->rounds++) {
        number item = {g->rounds};
        YOKE_TRY(yoke_send(stream, &item));
        YOKE_TRY(yoke_recv(stream, &item));
        CHECK(item.value == 2 * g->rounds);
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
}

static yoke_error *hold_stream(void *arg)
{
    struct good *g = arg;
    yoke_context *ctx;
    number first;
    yoke_stream *stream;
    YOKE_TRY(yoke_context_open(g->portal, &ctx, "talk:echo", NULL, &first));
    yoke_error *e = yoke_stream_open(ctx, &stream, NULL);
    if (!e)
        e = yoke_stream_close(stream, stream_without_end(g, stream));
    return yoke_context_close(ctx, e);
}

static yoke_error *ask_good(struct good *g, uint64_t i)
{
    number result;
    YOKE_TRY(yoke_call(g->portal, "talk:twice", &(number){i}, &result));
    CHECK(result.value == 2 * i);
    return NULL;
}

/* ---- the whole ---- */

static long resident_kib(void)
{
    long pages[2] = {0, 0};
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%ld %ld", &pages[0], &pages[1]) != 2)
        pages[1] = 0;
    if (f)
        fclose(f);
    return pages[1] * (sysconf(_SC_PAGESIZE) / 1024);
}

struct plan {
    uint64_t seed;
    long frames;
};

enum { WARM_UP_SHARE = 4, PIECES_UNDER_WAY = 50, GROWTH_KIB = 512 };

static yoke_error *fuzz(struct good *g, const struct plan *plan)
{
    long taken = 0, sessions = 0, warm_kib = 0, in_one;
    size_t pieces = 0;
    for (; taken < plan->frames; taken += in_one, sessions++) {
        int count;
        YOKE_TRY(session(plan->seed + (uint64_t)sessions, &count));
        in_one = count ? count : 1;
        YOKE_TRY(ask_good(g, (uint64_t)sessions));
        if (taken < plan->frames / WARM_UP_SHARE) {
            warm_kib = resident_kib();
            pieces = memory_live();
        }
        CHECK(memory_live() < pieces + PIECES_UNDER_WAY);
    }
    long grown = resident_kib() - warm_kib;
    fprintf(
        stderr,
        "# %ld frames in %ld sessions; the root has grown by %ld KiB; meanwhile %llu rounds of a stream\n",
        taken, sessions, grown, (unsigned long long)g->rounds);
    CHECK(grown < GROWTH_KIB || TREE_SLOW > 3); /* a sanitizer keeps what is freed */
    CHECK(g->rounds > (uint64_t)sessions);      /* a session takes some milliseconds, a round one */
    return NULL;
}

struct fuzz_run {
    struct good *good;
    const struct plan *plan;
    yoke_nursery *beside;
};

static yoke_error *fuzz_and_end(void *arg)
{
    struct fuzz_run *r = arg;
    YOKE_TRY(fuzz(r->good, r->plan));
    yoke_nursery_cancel(r->beside, "all frames are through");
    return NULL;
}

static yoke_error *with_good_child(struct scene *s)
{
    struct good g = {NULL, 0};
    YOKE_TRY(yoke_actors_start(s->actors, "good", &(yoke_actor_options){.modules = "talk"}, &g.portal));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    struct fuzz_run run = {&g, s->arg, &n};
    yoke_error *e = yoke_spawn(&n, hold_stream, &g);
    if (!e)
        e = yoke_spawn(&n, fuzz_and_end, &run);
    YOKE_TRY(yoke_nursery_close(&n, e));
    return ask_good(&g, 1);
}

static long from_environment(const char *name, long otherwise)
{
    const char *value = getenv(name);
    return value && *value ? strtol(value, NULL, 10) : otherwise;
}

static void test_mutated_frames_of_a_child(void **state)
{
    struct plan plan = {(uint64_t)from_environment("FUZZ_SEED", 1000000),
                        from_environment("FUZZ_FRAMES", TREE_SLOW > 3 ? 2000 : 10000)};
    fprintf(stderr, "# FUZZ_SEED=%llu FUZZ_FRAMES=%ld\n", (unsigned long long)plan.seed, plan.frames);
    assert_success(yoke_log_set("critical")); /* each session would be told of */
    yoke_error *e = tree_with_actors(with_good_child, &plan);
    assert_success(yoke_log_set("warning"));
    assert_success(e);
}

TREE_MAIN(TEST(test_mutated_frames_of_a_child))
