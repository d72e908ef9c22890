/*
 * Connections to a root that listens, from whoever can reach its socket: what they cost, who is let in, and
 * how they end. The far end is a plain socket of the test's.
 */
#include "tree.h"

#include "actor/peer.h"
#include "base/memory.h"
#include "msg/wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- what is served ---- */

static uint64_t naps_begun;

static yoke_error *nap(const yoke_type_none *args, yoke_type_none *result)
{
    naps_begun++;
    yoke_error *e = yoke_sleep_forever();
    return e;
}
YOKE_MODULE(naps, YOKE_CALL(nap, none, none));

/* ---- the far end ---- */

static const char *const uuid = "00000000-0000-4000-8000-00000000000a";
static const char *const exposed[] = {"naps", "tree", NULL};

struct stranger {
    int fd;
    uint8_t in[1 << 14];
    size_t size;
    bool ended;
};

static int knock(const char *address)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", address + strlen("unix:"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static void say(struct stranger *s, const void *bytes, size_t size)
{
    if (send(s->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
        s->ended = true;
}

static void say_msg(struct stranger *s, const struct msg *m)
{
    struct buffer b = BUFFER_EMPTY;
    yoke_error_free(msg_encode(&b, m, &msg_limits_default));
    say(s, buffer_begin(&b), buffer_size(&b));
    buffer_free(&b);
}

static void say_aid(struct stranger *s, const char *its_uuid, pid_t pid, bool probe)
{
    say_msg(s, &(struct msg){.type = MSG_AID,
                             .aid = {.uid = {text_view("stranger"), text_view(its_uuid)},
                                     .has_pid = true,
                                     .pid = pid,
                                     .is_registrar = MSG_FLAG_FALSE,
                                     .is_probe = probe ? MSG_FLAG_TRUE : MSG_FLAG_FALSE}});
}

static void say_start(struct stranger *s, const char *cid, const char *module, const char *func)
{
    say_msg(s, &(struct msg){.type = MSG_START,
                             .cid = text_view(cid),
                             .start = {.ns = text_view(module),
                                       .func = text_view(func),
                                       .kwargs = {(const uint8_t *)"\x80", 1},
                                       .uid = {text_view("stranger"), text_view(uuid)}}});
}

static void hear(struct stranger *s)
{
    ssize_t n = recv(s->fd, s->in + s->size, sizeof s->in - s->size, MSG_DONTWAIT);
    if (n > 0)
        s->size += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        s->ended = true;
}

static bool heard(const struct stranger *s, const char *text)
{
    return memmem(s->in, s->size, text, strlen(text)) != NULL;
}

/* Lets the root work till the far end has heard `text`, or (NULL) that it is closed. */
static yoke_error *await(struct stranger *s, const char *text)
{
    for (int64_t begin = yoke_now(); tree_ms_since(begin) < 5000 * TREE_SLOW;) {
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
        hear(s);
        if (text ? heard(s, text) : s->ended)
            return NULL;
    }
    return yoke_raise(&CHECK_FAILED, "never heard: %s", text ? text : "the end");
}

static void leave(struct stranger *s)
{
    close(s->fd);
    s->fd = -1;
}

static size_t peers(void)
{
    size_t count = 0;
    list_for_each(node, &actor_here()->peers)
        count++;
    return count;
}

static yoke_error *await_peers(size_t count)
{
    for (int64_t begin = yoke_now(); peers() != count;) {
        CHECK(tree_ms_since(begin) < 5000 * TREE_SLOW);
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
    return NULL;
}

/* ---- a root that listens ---- */

static yoke_error *listening(void *arg)
{
    yoke_error *(*fn)(const char *) = *(yoke_error * (**)(const char *)) arg;
    char *address;
    actor_here()->modules = memory_calloc(3, sizeof *exposed);
    for (int i = 0; exposed[i]; i++)
        actor_here()->modules[i] = memory_strdup(exposed[i]);
    YOKE_TRY(yoke_listen(&address));
    yoke_error *e = fn(address);
    free(address);
    return e;
}

/* What it wrote on stderr is in `log`. */
static yoke_error *visit(yoke_error *(*fn)(const char *address), char *log, size_t size)
{
    FILE *f = tmpfile();
    int before = dup(STDERR_FILENO);
    dup2(fileno(f), STDERR_FILENO);
    yoke_error *e = tree_run(listening, &fn);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(f);
    log[fread(log, 1, size - 1, f)] = '\0';
    fclose(f);
    if (e)
        fputs(log, stderr);
    return e;
}

static unsigned times(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

/* One that behaves: the root goes on. */
static yoke_error *good_visit(const char *address)
{
    struct stranger s = {.fd = -1};
    for (int64_t begin = yoke_now(); (s.fd = knock(address)) < 0;) { /* others stand before it */
        CHECK(tree_ms_since(begin) < 5000 * TREE_SLOW);
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
    say_aid(&s, uuid, getpid(), false);
    say_start(&s, "ping", "tree", "ping");
    YOKE_TRY(await(&s, "Return"));
    leave(&s);
    return await_peers(0);
}

/* ---- handshakes that are none ---- */

#define NO_MESSAGE                                                                                           \
    "\x04\x00\x00\x00"                                                                                       \
    "abcd"
#define BAD_UTF8                                                                                             \
    "\x1d\x00\x00\x00\x83\xa8msg_type\xa3"                                                                   \
    "Aid\xa4name\xa2\xff\xfe\xa4uuid\xa1u"
#define NO_NAME                                                                                              \
    "\x0e\x00\x00\x00\x81\xa8msg_type\xa3"                                                                   \
    "Aid"
#define OVER_LIMIT  "\x01\x20\x00\x00"
#define HALF_HEADER "\x10\x00"

static const struct first {
    const char *name, *bytes;
    size_t size;
    bool closed_at_once;
} firsts[] = {
    {"not msgpack", NO_MESSAGE, sizeof NO_MESSAGE - 1, true},
    {"invalid UTF-8", BAD_UTF8, sizeof BAD_UTF8 - 1, true},
    {"an Aid with a missing field", NO_NAME, sizeof NO_NAME - 1, true},
    {"over the limit of newcomers", OVER_LIMIT, sizeof OVER_LIMIT - 1, true},
    {"half a header", HALF_HEADER, sizeof HALF_HEADER - 1, false},
    {"no bytes", "", 0, false},
};
enum { FIRSTS = sizeof firsts / sizeof *firsts };

static yoke_error *bad_handshakes(const char *address)
{
    static struct stranger s[FIRSTS + 2];
    memset(s, 0, sizeof s);
    int64_t begin = yoke_now();
    for (int i = 0; i < FIRSTS + 2; i++)
        CHECK((s[i].fd = knock(address)) >= 0);
    for (int i = 0; i < FIRSTS; i++)
        if (firsts[i].size)
            say(&s[i], firsts[i].bytes, firsts[i].size);
    say_start(&s[FIRSTS], "first", "tree", "ping");
    say_aid(&s[FIRSTS + 1], uuid, getpid(), false);
    YOKE_TRY(await(&s[FIRSTS + 1], "Aid"));
    say_aid(&s[FIRSTS + 1], uuid, getpid(), false);
    for (int i = 0; i < FIRSTS + 2; i++)
        if (i >= FIRSTS || firsts[i].closed_at_once)
            YOKE_TRY(await(&s[i], NULL));
    bool in_time = tree_ms_since(begin) < 9000; /* else the machine is so busy that there is no telling */
    for (int i = 0; i < FIRSTS; i++) {
        hear(&s[i]);
        CHECK(firsts[i].closed_at_once || !in_time || !s[i].ended);
    }
    YOKE_TRY(good_visit(address)); /* while two of them have not said who they are */
    for (int i = 0; i < FIRSTS; i++)
        if (!firsts[i].closed_at_once)
            YOKE_TRY(await(&s[i], NULL));
    CHECK(tree_ms_since(begin) >= 9900);
    for (int i = 0; i < FIRSTS + 2; i++)
        leave(&s[i]);
    return good_visit(address);
}

/* IPC-02: each costs its connection and one line; the two that say nothing, ten seconds */
static void test_ipc_02_handshakes_that_are_none(void **state)
{
    static char log[1 << 15];
    assert_success(visit(bad_handshakes, log, sizeof log));
    if (times(log, " WARNING ") != FIRSTS + 2 || times(log, "\n") != FIRSTS + 2)
        fputs(log, stderr);
    assert_int_equal(times(log, " WARNING "), FIRSTS + 2);
    assert_int_equal(times(log, "\n"), FIRSTS + 2);
}

/* ---- many, and large ones ---- */

/* An Aid whose frame has exactly `bytes`. */
static void say_padded_aid(struct stranger *s, size_t bytes)
{
    struct buffer b = BUFFER_EMPTY;
    struct msg m = {.type = MSG_AID, .aid = {.uid = {text_view("stranger"), text_view(uuid)}}};
    m.aid.has_pid = true;
    m.aid.pid = getpid();
    yoke_error_free(msg_encode(&b, &m, &msg_limits_default));
    size_t size = buffer_size(&b), padding = bytes - (size - 4) - 7;
    uint8_t *frame = calloc(1, 4 + bytes);
    memcpy(frame, buffer_begin(&b), size);
    buffer_free(&b);
    frame[0] = (uint8_t)bytes;
    frame[1] = (uint8_t)(bytes >> 8);
    frame[4]++; /* one more key: "pad", a bin */
    memcpy(frame + size, "\xa3pad\xc5", 5);
    frame[size + 5] = (uint8_t)(padding >> 8);
    frame[size + 6] = (uint8_t)padding;
    say(s, frame, 4 + bytes);
    free(frame);
}

static yoke_error *at_the_limit(const char *address)
{
    static struct stranger s;
    for (int over = 0; over < 2; over++) {
        s = (struct stranger){.fd = knock(address)};
        say_padded_aid(&s, 8192 + (size_t)over);
        if (!over)
            say_start(&s, "ping", "tree", "ping");
        YOKE_TRY(await(&s, over ? NULL : "Return"));
        leave(&s);
        YOKE_TRY(await_peers(0));
    }
    return NULL;
}

enum { KNOCKS = 10000, PIECES_A_NEWCOMER = 8, NEWCOMERS = 64 };

/* Most of them the kernel refuses, since so many wait already. */
static yoke_error *half_open(const char *address)
{
    static int fds[KNOCKS];
    size_t open = 0, before = memory_live();
    for (int i = 0; i < KNOCKS; i++) {
        int fd = knock(address);
        if (fd >= 0)
            fds[open++] = fd;
        if (i % 100 == 0)
            YOKE_TRY(yoke_sleep(YOKE_US(100)));
    }
    CHECK(open > NEWCOMERS && memory_live() < before + PIECES_A_NEWCOMER * NEWCOMERS);
    while (open)
        close(fds[--open]);
    for (int64_t begin = yoke_now(); memory_live() > before + PIECES_A_NEWCOMER;) {
        CHECK(tree_ms_since(begin) < 5000 * TREE_SLOW);
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
    return NULL;
}

static yoke_error *many_and_large(const char *address)
{
    YOKE_TRY(at_the_limit(address));
    YOKE_TRY(half_open(address));
    return good_visit(address);
}

/* IPC-10; garbage and slow bytes: IPC-02; claims, and the same handshake twice: test_peers.c, IPC-17 and
 * IPC-04 */
static void test_ipc_10_hostile_peers(void **state)
{
    static char log[1 << 15];
    assert_success(visit(many_and_large, log, sizeof log));
    if (times(log, "\n") != 1)
        fputs(log, stderr);
    assert_non_null(strstr(log, "a frame of 8193 bytes is over the limit of 8192"));
    assert_int_equal(times(log, "\n"), 1);
}

/* ---- probes ---- */

static yoke_error *probes(const char *address)
{
    static struct stranger s;
    for (int says_more = 0; says_more < 2; says_more++) {
        s = (struct stranger){.fd = knock(address)};
        say_aid(&s, uuid, getpid(), true);
        if (says_more)
            say_start(&s, "more", "naps", "nap");
        YOKE_TRY(await(&s, "Aid"));
        YOKE_TRY(await(&s, NULL));
        CHECK(peers() == 0 && !heard(&s, "StartAck"));
        leave(&s);
    }
    CHECK(naps_begun == 0);
    return good_visit(address);
}

/* IPC-03 */
static void test_ipc_03_probes(void **state)
{
    static char log[1 << 15];
    naps_begun = 0;
    assert_success(visit(probes, log, sizeof log));
    assert_string_equal(log, "");
}

/* ---- connecting to others ---- */

struct door {
    char address[128];
    int fd, before[64]; /* who stands before it */
    int count;
};

/* A listener of the test's. */
static yoke_error *door_open(struct door *d)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    *d = (struct door){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/yoke-door-%d.sock", (int)getpid());
    snprintf(d->address, sizeof d->address, "unix:%s", at.sun_path);
    unlink(at.sun_path);
    CHECK(bind(d->fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(d->fd, 0) == 0);
    return NULL;
}

static void door_block(struct door *d)
{
    while (d->count < 64 && (d->before[d->count] = knock(d->address)) >= 0)
        d->count++;
}

static yoke_error *door_close(struct door *d, yoke_error *e)
{
    while (d->count)
        close(d->before[--d->count]);
    close(d->fd);
    unlink(d->address + strlen("unix:"));
    return e;
}

static yoke_error *connect_for(const struct door *d, int64_t bound, int64_t patience, bool *given_up)
{
    yoke_scope scope;
    yoke_portal *portal;
    YOKE_TRY(yoke_move_on_after(&scope, patience));
    yoke_error *e = yoke_connect(d->address, &portal, &(yoke_connect_options){.bound = bound});
    CHECK(!portal);
    e = yoke_scope_close(&scope, e);
    *given_up = yoke_scope_cancelled_caught(&scope);
    return e;
}

static yoke_error *at_a_blocked_door(struct door *d)
{
    bool given_up;
    door_block(d);
    CHECK(d->count > 0 && d->count < 64);
    int64_t begin = yoke_now();
    EXPECT(connect_for(d, YOKE_MS(100), YOKE_S(60), &given_up), &YOKE_CONNECT_FAILED, d->address);
    CHECK(!given_up && tree_ms_since(begin) >= 99 && tree_ms_since(begin) < 2500);
    begin = yoke_now();
    EXPECT(connect_for(d, 0, YOKE_S(60), &given_up), &YOKE_CONNECT_FAILED, d->address);
    CHECK(tree_ms_since(begin) >= 2990 && tree_ms_since(begin) < 3000 + 1000 * TREE_SLOW);
    YOKE_TRY(connect_for(d, 0, YOKE_MS(50), &given_up));
    CHECK(given_up);
    return NULL;
}

static yoke_error *blocked_door(void *arg)
{
    struct door d;
    YOKE_TRY(door_open(&d));
    return door_close(&d, at_a_blocked_door(&d));
}

/* IPC-20 */
static void test_ipc_20_connect_has_a_bound(void **state)
{
    assert_success(tree_run(blocked_door, NULL));
}

TREE_MAIN(TEST(test_ipc_02_handshakes_that_are_none), TEST(test_ipc_10_hostile_peers),
          TEST(test_ipc_03_probes), TEST(test_ipc_20_connect_has_a_bound))
