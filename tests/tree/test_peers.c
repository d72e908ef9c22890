/* Connections between actors that are neither parent nor child: who is let in, what a portal's close ends,
 * and that nothing is left of a listener however it ended. */
#include "stranger.h"

#include "actor/actors.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

/* ---- what the actors serve ---- */

YOKE_RECORD(line, (str, text));
YOKE_RECORD(counts, (u64, held), (u64, ended), (u64, let_in), (u64, peers));

static struct {
    uint64_t held, ended;
    yoke_portal *portal;
} mine;

static yoke_error *give_line(char *text, line *result)
{
    yoke_value copy;
    line item = {text};
    yoke_error *e = yoke_value_from(&copy, &yoke_record_line, &item);
    if (!e)
        e = yoke_value_to(&copy, &yoke_record_line, result);
    yoke_value_free(&copy);
    free(text);
    return e;
}

static yoke_error *listen_now(const yoke_type_none *args, line *result)
{
    char *address;
    YOKE_TRY(yoke_listen(&address));
    return give_line(address, result);
}

static yoke_error *wait_and_count(void)
{
    mine.held++;
    yoke_error *e = yoke_sleep_forever();
    mine.ended++;
    return e;
}

static yoke_error *hold(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return wait_and_count();
}

static yoke_error *hold_stream(yoke_stream *stream, const yoke_type_none *args)
{
    YOKE_TRY(yoke_send(stream, &(uint64_t){1}));
    return wait_and_count();
}

static yoke_error *count(const yoke_type_none *args, counts *result)
{
    *result = (counts){mine.held, mine.ended, 0, 0};
    list_for_each(node, &actor_here()->peers) {
        const struct peer *peer = container_of(node, struct peer, in_actor);
        result->peers++;
        result->let_in += peer->let_in && !yoke_event_is_set(&peer->ended);
    }
    return NULL;
}

static yoke_error *connect_to_line(const line *args, yoke_type_none *result)
{
    return yoke_connect(args->text, &mine.portal, NULL);
}

static yoke_error *disconnect(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_error *e = yoke_portal_close(mine.portal, NULL);
    mine.portal = NULL;
    return e;
}

static yoke_error *much(const yoke_type_none *args, line *result)
{
    size_t size = (size_t)4 << 20;
    char *text = malloc(size);
    memset(text, 'x', size - 1);
    text[size - 1] = '\0';
    return give_line(text, result);
}

static yoke_error *slow(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_sleep(YOKE_MS(100));
}

/* Never served: a stranger answers in its name. */
static yoke_error *burst(yoke_context *ctx, const yoke_type_none *args, yoke_type_u64 *result)
{
    return yoke_context_started(ctx, NULL);
}

static yoke_error *share(const line *args, yoke_type_none *result);

YOKE_MODULE(peers, YOKE_CALL(listen_now, none, line), YOKE_CONTEXT(hold, none, none, none),
            YOKE_STREAM(hold_stream, none, u64), YOKE_CALL(count, none, counts),
            YOKE_CALL(connect_to_line, line, none), YOKE_CALL(disconnect, none, none),
            YOKE_CALL(much, none, line), YOKE_CALL(slow, none, none), YOKE_CALL(share, line, none),
            YOKE_CONTEXT_STREAM(burst, none, none, u64, u64, u64));

static yoke_error *start(struct scene *s, const char *name, yoke_portal **portal)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "peers"}, portal);
}

/* A child that listens; `address` is freed with line_free. */
static yoke_error *start_listening(struct scene *s, const char *name, yoke_portal **portal, line *address)
{
    YOKE_TRY(start(s, name, portal));
    return yoke_call(*portal, "peers:listen_now", NULL, address);
}

/* Asks till the child's counts are as expected; -1: whatever it is. */
static yoke_error *wait_counts(yoke_portal *portal, int held, int ended, int let_in)
{
    int64_t begin = yoke_now();
    for (;;) {
        counts c;
        YOKE_TRY(yoke_call(portal, "peers:count", NULL, &c));
        if ((held < 0 || c.held == (uint64_t)held) && (ended < 0 || c.ended == (uint64_t)ended) &&
            (let_in < 0 || c.let_in == (uint64_t)let_in))
            return NULL;
        if (tree_ms_since(begin) > 1000 * TREE_SLOW)
            return yoke_raise(&CHECK_FAILED, "held %d, ended %d, let in %d", (int)c.held, (int)c.ended,
                              (int)c.let_in);
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
}

/* With one child that listens, s->portal, at s->arg. */
struct listening {
    scene_fn fn;
};

static yoke_error *with_listening(struct scene *s)
{
    struct listening *l = s->arg;
    line address;
    YOKE_TRY(start_listening(s, "child", &s->portal, &address));
    s->arg = (char *)address.text;
    yoke_error *e = l->fn(s);
    line_free(&address);
    return e;
}

static void run_listening(scene_fn fn)
{
    struct listening l = {fn};
    assert_success(tree_with_actors(with_listening, &l));
}

/* ---- several channels ---- */

static yoke_error *hold_two(struct scene *s, yoke_portal *one, yoke_portal *two)
{
    yoke_context *first, *second;
    YOKE_TRY(yoke_context_open(two, &second, "peers:hold", NULL, NULL));
    yoke_error *e = yoke_context_open(one, &first, "peers:hold", NULL, NULL);
    if (!e) {
        e = wait_counts(s->portal, 2, 0, 2);
        /* The far task of the one ends with it, that of the other does not. */
        e = yoke_portal_close(one, e);
        if (!e)
            e = wait_counts(s->portal, 2, 1, 1);
        e = yoke_context_close(first, e);
    }
    if (!e)
        e = yoke_call(two, "peers:slow", NULL, NULL);
    if (!e)
        e = wait_counts(two, 2, 1, 1);
    if (!e)
        e = yoke_context_cancel(second);
    return yoke_context_close(second, e);
}

static yoke_error *several_channels(struct scene *s)
{
    yoke_portal *one, *two;
    YOKE_TRY(yoke_connect(s->arg, &one, NULL));
    YOKE_TRY(yoke_connect(s->arg, &two, NULL));
    CHECK(one != two && yoke_uid_equal(yoke_portal_peer(one), yoke_portal_peer(s->portal)));
    YOKE_TRY(yoke_portal_close(two, hold_two(s, one, two)));
    return wait_counts(s->portal, 2, 2, 0); /* and now the peer is gone, but for its being the parent */
}

/* IPC-04: answers go where the question came from; one channel's end cancels its own tasks alone. */
static void test_ipc_04_several_channels(void **state)
{
    run_listening(several_channels);
}

/* ---- several portals, one channel ---- */

struct slow_call {
    yoke_portal *portal;
    bool done;
};

static yoke_error *call_slow(void *arg)
{
    struct slow_call *c = arg;
    YOKE_TRY(yoke_call(c->portal, "peers:slow", NULL, NULL));
    c->done = true;
    return NULL;
}

static yoke_error *share(const line *args, yoke_type_none *result)
{
    yoke_portal *one, *two;
    YOKE_TRY(yoke_find(args->text, &one));
    YOKE_TRY(yoke_find(args->text, &two));
    struct slow_call slow_one = {.portal = one};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_slow, &slow_one);
    if (!e)
        e = yoke_sleep(YOKE_MS(20));
    YOKE_TRY(yoke_nursery_close(&n, yoke_portal_close(two, e)));
    CHECK(slow_one.done && yoke_portal_is_connected(one));
    YOKE_TRY(wait_counts(one, -1, -1, 1)); /* one channel for both */
    return yoke_portal_close(one, NULL);
}

static yoke_error *shared_channel(struct scene *s)
{
    yoke_portal *user, *parents;
    YOKE_TRY(start(s, "user", &user));
    YOKE_TRY(yoke_call(user, "peers:share", &(line){"child"}, NULL));
    YOKE_TRY(wait_counts(s->portal, -1, -1, 0)); /* the channel went with its last portal */
    YOKE_TRY(yoke_find("child", &parents));
    YOKE_TRY(yoke_portal_close(parents, NULL));
    return yoke_call(s->portal, "peers:slow", NULL, NULL); /* a child's channel to its parent stays */
}

static void test_portal_03_one_channel(void **state)
{
    run_listening(shared_channel);
}

/* ---- identity ---- */

static yoke_error *dies(struct scene *s)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_connect(s->arg, &portal, NULL));
    const yoke_uid *uid = yoke_portal_peer(portal);
    CHECK(strcmp(uid->name, "child") == 0 && yoke_uid_equal(uid, yoke_portal_peer(s->portal)));
    CHECK(yoke_portal_pid(portal) == yoke_portal_pid(s->portal) && yoke_portal_user(portal) == geteuid());
    CHECK(yoke_portal_is_connected(portal));
    kill(yoke_portal_pid(portal), SIGKILL);
    int64_t begin = yoke_now();
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = NULL;
    while (!e && yoke_portal_is_connected(portal) && tree_ms_since(begin) < 100 * TREE_SLOW)
        e = yoke_sleep(YOKE_MS(1));
    YOKE_TRY(yoke_scope_close(&shield, e));
    CHECK(!yoke_portal_is_connected(portal));
    return yoke_portal_close(portal, NULL);
}

static void test_portal_05_identity(void **state)
{
    struct listening l = {dies};
    assert_error_text(tree_with_actors(with_listening, &l), &YOKE_ACTOR_DIED, "actor `child`");
}

/* ---- what a portal's close ends ---- */

static yoke_error *close_with_streams(struct scene *s)
{
    yoke_portal *portal;
    yoke_stream *streams[4];
    YOKE_TRY(yoke_connect(s->arg, &portal, NULL));
    for (int i = 0; i < 4; i++) {
        uint64_t item;
        YOKE_TRY(yoke_portal_stream_open(portal, &streams[i], "peers:hold_stream", NULL, NULL));
        YOKE_TRY(yoke_recv(streams[i], &item));
    }
    YOKE_TRY(yoke_stream_close(streams[3], NULL)); /* closed already: no error */
    YOKE_TRY(wait_counts(s->portal, 4, 1, 1));
    YOKE_TRY(yoke_portal_close(portal, NULL));
    YOKE_TRY(wait_counts(s->portal, 4, 4, 0)); /* each far task was cancelled, and cleaned up */
    size_t ours = 0;
    list_for_each(node, &actor_here()->peers)
        ours += container_of(node, struct peer, in_actor)->is_ours &&
                !yoke_event_is_set(&container_of(node, struct peer, in_actor)->ended);
    CHECK(ours == 0); /* the loop that read for it is gone */
    for (int i = 2; i >= 0; i--)
        YOKE_TRY(yoke_stream_close(streams[i], NULL));
    return NULL;
}

static void test_portal_13_close_ends_what_it_opened(void **state)
{
    run_listening(close_with_streams);
}

/* The holder is cancelled with a context open: the close still gets its answer. */
static yoke_error *hold_till_cancelled(struct scene *s, yoke_portal *portal)
{
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(portal, &ctx, "peers:hold", NULL, NULL));
    yoke_error *e = yoke_context_close(ctx, yoke_sleep_forever());
    bool was_cancelled = yoke_error_is_cancelled(e);
    return was_cancelled && yoke_portal_is_connected(portal)
               ? e
               : yoke_error_join(e, yoke_raise(&CHECK_FAILED, "not cancelled"));
}

static yoke_error *cancelled_holder(struct scene *s)
{
    yoke_scope scope;
    yoke_portal *portal;
    YOKE_TRY(yoke_move_on_after(&scope, YOKE_MS(100)));
    yoke_error *e = yoke_connect(s->arg, &portal, NULL);
    if (!e)
        e = yoke_portal_close(portal, hold_till_cancelled(s, portal));
    YOKE_TRY(yoke_scope_close(&scope, e));
    return wait_counts(s->portal, 1, 1, 0);
}

static void test_portal_14_holder_cancelled(void **state)
{
    run_listening(cancelled_holder);
}

/* ---- who can't be connected to ---- */

static char *in_runtime_dir(const char *file)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", tree_runtime_dir, file);
    return path;
}

static yoke_error *connect_and_fail(const char *path, int64_t handshake_bound, const char *why)
{
    char text[160];
    yoke_portal *portal;
    snprintf(text, sizeof text, "unix:%s", path);
    yoke_error *e = yoke_connect(
        text, &portal, &(yoke_connect_options){.bound = YOKE_S(1), .handshake_bound = handshake_bound});
    CHECK(!portal);
    char *tree = yoke_error_text(e);
    bool names_it = tree && strstr(tree, path);
    free(tree);
    EXPECT(e, &YOKE_CONNECT_FAILED, why);
    CHECK(names_it);
    return NULL;
}

static int say_nonsense(const char *path)
{
    int listener = stranger_listen(path, 4), fd;
    if (listener < 0)
        return 1;
    while ((fd = accept(listener, NULL, NULL)) < 0)
        usleep(1000);
    return write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28) == 28 ? 0 : 2;
}

static yoke_error *wrong_ends(void *arg)
{
    char path[128];
    int status;
    yoke_portal *portal;
    strcpy(path, in_runtime_dir("end.sock"));
    EXPECT(yoke_connect("http://x", &portal, NULL), &YOKE_USAGE, "at column 1");
    YOKE_TRY(connect_and_fail(path, 0, "there is no such file"));
    int silent = stranger_listen(path, 4);
    CHECK(silent >= 0);
    YOKE_TRY(connect_and_fail(path, YOKE_MS(50), "did not shake hands in 50 ms"));
    close(silent);
    YOKE_TRY(connect_and_fail(path, 0, "nobody listens there"));
    unlink(path);
    pid_t pid = stranger_process(say_nonsense, path);
    while (access(path, F_OK) != 0)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    YOKE_TRY(connect_and_fail(path, 0, "is no actor"));
    YOKE_TRY(stranger_wait(pid, &status));
    unlink(path);
    CHECK(status == 0);
    return NULL;
}

static void test_wrong_ends(void **state)
{
    assert_success(tree_run(wrong_ends, NULL));
}

/* ---- a handshake that is given up ---- */

static yoke_error *given_up(struct scene *s)
{
    yoke_portal *portal;
    yoke_scope scope;
    char path[128], text[160];
    struct channel *fill[200];
    int count = 0;
    strcpy(path, in_runtime_dir("silent.sock"));
    snprintf(text, sizeof text, "unix:%s", path);
    int silent = stranger_listen(path, 2);
    CHECK(silent >= 0);
    /* After its Aid, before the peer's. */
    YOKE_TRY(yoke_move_on_after(&scope, YOKE_MS(50)));
    YOKE_TRY(yoke_scope_close(&scope, yoke_connect(text, &portal, NULL)));
    CHECK(yoke_scope_cancelled_caught(&scope) && !portal);
    /* Before the connection is there: the backlog is full. */
    for (; count < 200; count++) {
        struct address address;
        int fd;
        YOKE_TRY(address_parse(&address, text));
        yoke_error *e = transport_uds.connect(&address, YOKE_MS(1), &fd);
        if (e) {
            EXPECT(e, &YOKE_CONNECT_FAILED, "no more connections");
            break;
        }
        YOKE_TRY(channel_open(&fill[count], fd, &transport_uds, NULL));
    }
    YOKE_TRY(yoke_move_on_after(&scope, YOKE_MS(50)));
    YOKE_TRY(yoke_scope_close(&scope, yoke_connect(text, &portal, NULL)));
    CHECK(yoke_scope_cancelled_caught(&scope) && !portal);
    /* And in the bound, if nobody gives up. */
    YOKE_TRY(connect_and_fail(path, 0, "takes no more connections"));
    while (count)
        channel_close(fill[--count]);
    close(silent);
    unlink(path);
    /* A stopped actor: its kernel takes the connection, and it finds it given up. Nothing is counted there.
     */
    kill(yoke_portal_pid(s->portal), SIGSTOP);
    YOKE_TRY(yoke_move_on_after(&scope, YOKE_MS(50)));
    YOKE_TRY(yoke_scope_close(&scope, yoke_connect(s->arg, &portal, NULL)));
    kill(yoke_portal_pid(s->portal), SIGCONT);
    CHECK(yoke_scope_cancelled_caught(&scope));
    return wait_counts(s->portal, 0, 0, 0);
}

/* IPC-19 */
static void test_ipc_19_given_up(void **state)
{
    run_listening(given_up);
}

/* ---- hostile connectors ---- */

static const struct {
    const char *bytes;
    size_t size;
} nonsense[] = {
    {"", 0},
    {"\x05", 1},
    {"\xff\xff\xff\xff", 4},
    {"\x00\x00\x00\x00", 4},
    {"\x01\x00\x00\x00\xc0", 5},
    {"\x01\x00\x00\x00\xc1", 5},
    {"\x0a\x00\x00\x00GET / HTTP", 14},
    {"\x10\x00\x00\x00\x81\xa8msg_type\xa3"
     "Aid",
     18},
};

static yoke_error *throw_bytes(const char *address, const char *bytes, size_t size, bool stay)
{
    int fd = stranger_socket(address + 5);
    CHECK(fd >= 0);
    bool sent = send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
    if (stay) /* till the other has closed it */
        YOKE_TRY(yoke_wait_readable(fd));
    yoke_close(fd);
    CHECK(sent);
    return NULL;
}

static const yoke_uid anybody = {"anybody", "33333333-3333-4333-8333-333333333333"};

static yoke_error *second_aid(struct channel *c)
{
    yoke_uid other;
    enum msg_flag registrar;
    YOKE_TRY(stranger_say_aid(c, &anybody, 0, false));
    YOKE_TRY(stranger_hear_aid(c, &other, &registrar));
    YOKE_TRY(stranger_say_aid(c, &anybody, 0, false));
    return stranger_expect_end(c);
}

/* Says that it is another process than it is. */
static yoke_error *wrong_pid(struct channel *c)
{
    YOKE_TRY(stranger_say_aid(c, &anybody, getpid() + 1, false));
    return stranger_expect_end(c);
}

static yoke_error *probe(struct channel *c)
{
    yoke_uid other;
    enum msg_flag registrar;
    YOKE_TRY(stranger_say_aid(c, &anybody, 0, true));
    YOKE_TRY(stranger_hear_aid(c, &other, &registrar));
    CHECK(strcmp(other.name, "child") == 0 && registrar == MSG_FLAG_FALSE);
    return stranger_expect_end(c);
}

static yoke_error *start_first(struct channel *c)
{
    YOKE_TRY(stranger_start(c, &anybody, "1", "peers", "slow", &yoke_record_none, NULL));
    return stranger_expect_end(c);
}

static yoke_error *try_stranger(const char *address, yoke_error *(*fn)(struct channel *c))
{
    struct channel *c;
    YOKE_TRY(stranger_connect(&c, address));
    return stranger_close(c, fn(c));
}

static yoke_error *hostile(struct scene *s)
{
    int silent[100];
    for (int i = 0; i < 100; i++) /* more than may be in the handshake at a time */
        CHECK((silent[i] = stranger_socket((char *)s->arg + 5)) >= 0);
    for (int i = 0; i < 100; i++)
        close(silent[i]);
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
        YOKE_TRY(throw_bytes(s->arg, nonsense[i].bytes, nonsense[i].size, i >= 2));
    YOKE_TRY(try_stranger(s->arg, second_aid));
    YOKE_TRY(try_stranger(s->arg, wrong_pid));
    YOKE_TRY(try_stranger(s->arg, start_first));
    YOKE_TRY(try_stranger(s->arg, probe));
    YOKE_TRY(wait_counts(s->portal, 0, 0, 0));
    yoke_portal *portal;
    YOKE_TRY(yoke_connect(s->arg, &portal, NULL));
    return yoke_portal_close(portal, yoke_call(portal, "peers:slow", NULL, NULL));
}

/* Each costs its own connection, and nobody else anything. */
static void test_hostile_connectors(void **state)
{
    run_listening(hostile);
}

/* ---- identity ---- */

/* Another process claims to be a child of the one that it connects to. */
static yoke_error *claim_to_be(const char *address, const yoke_uid *uid, pid_t pid)
{
    struct channel *c;
    YOKE_TRY(stranger_connect(&c, address));
    yoke_error *e = stranger_say_aid(c, uid, pid, false);
    if (!e)
        e = stranger_expect_end(c);
    return stranger_close(c, e);
}

static yoke_error *identity(struct scene *s)
{
    yoke_portal *child;
    char *root;
    counts before, after;
    YOKE_TRY(start(s, "child", &child));
    YOKE_TRY(yoke_listen(&root));
    line address = {root};
    yoke_uid uid = *yoke_portal_peer(child);
    pid_t pid = yoke_portal_pid(child);
    yoke_error *e = claim_to_be(root, &uid, pid); /* with its pid, or with one's own */
    if (!e)
        e = claim_to_be(root, &uid, 0);
    if (!e) /* the child itself may: a further channel, that takes nobody's place */
        e = yoke_call(child, "peers:connect_to_line", &address, NULL);
    free(root);
    if (e)
        return e;
    YOKE_TRY(count(NULL, &before));
    CHECK(before.let_in == 1 && yoke_uid_equal(yoke_portal_peer(child), &uid) &&
          yoke_portal_pid(child) == pid);
    YOKE_TRY(yoke_call(child, "peers:disconnect", NULL, NULL));
    int64_t begin = yoke_now();
    do {
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
        YOKE_TRY(count(NULL, &after));
    } while (after.let_in && tree_ms_since(begin) < 1000 * TREE_SLOW);
    CHECK(after.let_in == 0 && yoke_portal_is_connected(child));
    return yoke_call(child, "peers:slow", NULL, NULL);
}

/* IPC-17 */
static void test_ipc_17_identity(void **state)
{
    static char text[1 << 14];
    struct tree_child c = {NULL, identity, {.arg = NULL}};
    assert_int_equal(tree_status(tree_actors_app, &c, text, sizeof text), 0);
    assert_non_null(strstr(text, "is refused: the process is another one"));
    assert_non_null(strstr(text, "is refused: that is a child of this actor"));
}

/* ---- another user ---- */

static int connect_as_nobody(const char *path)
{
    char byte;
    if (setgid(65534) < 0 || setuid(65534) < 0)
        return 3;
    int fd = stranger_socket(path);
    if (fd < 0)
        return 4;
    return read(fd, &byte, 1) == 0 ? 0 : 5; /* not a byte is said to it */
}

static yoke_error *another_user(struct scene *s)
{
    char directory[80];
    int status;
    snprintf(directory, sizeof directory, "%s/yoke", tree_runtime_dir);
    /* The directory alone keeps others out; here it is opened, and the socket too. */
    CHECK(chmod(tree_runtime_dir, 0711) == 0 && chmod(directory, 0711) == 0);
    CHECK(chmod((char *)s->arg + 5, 0777) == 0);
    pid_t pid = stranger_process(connect_as_nobody, (char *)s->arg + 5);
    YOKE_TRY(stranger_wait(pid, &status));
    CHECK(chmod(directory, 0700) == 0 && chmod(tree_runtime_dir, 0700) == 0);
    if (status)
        return yoke_raise(&CHECK_FAILED, "the other user's process ended with %d", status);
    yoke_portal *portal;
    YOKE_TRY(yoke_connect(s->arg, &portal, NULL));
    CHECK(yoke_portal_pid(portal) == yoke_portal_pid(s->portal) && yoke_portal_user(portal) == geteuid());
    return yoke_portal_close(portal, NULL);
}

/* TPT-09 */
static void test_tpt_09_credentials(void **state)
{
    static char text[1 << 14];
    struct listening l = {another_user};
    struct tree_child c = {NULL, with_listening, {.arg = &l}};
    if (geteuid() != 0)
        skip(); /* only root can be another */
    assert_int_equal(tree_status(tree_actors_app, &c, text, sizeof text), 0);
    assert_non_null(strstr(text, "of user 65534 is refused"));
}

/* ---- in flight ---- */

enum { BURST = 1000 };

/* An actor that answers a context with all it has to say at once, and is gone. */
static int burst_actor(const char *path)
{
    static uint8_t body[1 << 16];
    static const uint8_t one[] = {0x01}, nil[] = {0xc0};
    struct msg m;
    char cid[64];
    int listener = stranger_listen(path, 4), fd;
    while ((fd = accept(listener, NULL, NULL)) < 0)
        usleep(1000);
    unlink(path);
    if (!stranger_put(fd,
                      &(struct msg){.type = MSG_AID,
                                    .aid = {.uid = uid_view(&anybody), .has_pid = true, .pid = getpid()}}))
        return 1;
    if (!stranger_get(fd, body, sizeof body, &m) || m.type != MSG_AID ||
        !stranger_get(fd, body, sizeof body, &m) || m.type != MSG_START || m.cid.size >= sizeof cid)
        return 2;
    snprintf(cid, sizeof cid, "%.*s", (int)m.cid.size, m.cid.data);
    struct text_view id = text_view(cid);
    if (!stranger_put(fd, &(struct msg){.type = MSG_START_ACK, .cid = id, .start_ack = {MSG_FUNC_CONTEXT}}) ||
        !stranger_put(fd, &(struct msg){.type = MSG_STARTED, .cid = id, .pld = {nil, 1}}))
        return 3;
    if (!stranger_get(fd, body, sizeof body, &m) || m.type != MSG_YIELD)
        return 4;
    for (int i = 0; i < BURST; i++)
        if (!stranger_put(fd, &(struct msg){.type = MSG_YIELD, .cid = id, .pld = {one, 1}}))
            return 5;
    return stranger_put(fd, &(struct msg){.type = MSG_RETURN, .cid = id, .pld = {one, 1}}) ? 0 : 6;
}

static yoke_error *receive_burst(yoke_stream *stream)
{
    uint64_t sum = 0, item;
    YOKE_TRY(yoke_send(stream, &(uint64_t){0}));
    YOKE_TRY(yoke_sleep(YOKE_MS(50))); /* it is gone by now */
    for (int i = 0; i < BURST; i++) {
        YOKE_TRY(yoke_recv(stream, &item));
        sum += item;
    }
    CHECK(sum == BURST);
    EXPECT(yoke_recv(stream, &item), &YOKE_END_OF_CHANNEL, NULL);
    return NULL;
}

static yoke_error *with_burst(yoke_portal *portal)
{
    yoke_context *ctx;
    yoke_stream *stream;
    uint64_t result = 0;
    YOKE_TRY(yoke_context_open(portal, &ctx, "peers:burst", NULL, NULL));
    yoke_error *e = yoke_stream_open(ctx, &stream, &(yoke_stream_options){.allow_overruns = true});
    if (!e)
        e = yoke_stream_close(stream, receive_burst(stream));
    if (!e)
        e = yoke_context_result(ctx, &result);
    YOKE_TRY(yoke_context_close(ctx, e));
    CHECK(result == 1);
    return NULL;
}

static yoke_error *in_flight(void *arg)
{
    char path[128], text[160];
    int status;
    yoke_portal *portal = NULL;
    strcpy(path, in_runtime_dir("burst.sock"));
    snprintf(text, sizeof text, "unix:%s", path);
    pid_t pid = stranger_process(burst_actor, path);
    while (!portal) {
        yoke_error *e = yoke_connect(text, &portal, NULL);
        if (e)
            EXPECT(e, &YOKE_CONNECT_FAILED, NULL);
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    yoke_error *e = yoke_portal_close(portal, with_burst(portal));
    YOKE_TRY(stranger_wait(pid, &status));
    return e || !status ? e : yoke_raise(&CHECK_FAILED, "the peer ended with %d", status);
}

static void test_ipc_21_in_flight_at_close(void **state)
{
    assert_success(tree_run(in_flight, NULL));
}

/* ---- identity, while the actor is being started ---- */

/* In the test's folder: a child whose module opens waits for it. */
static void path_of_leave(char path[128])
{
    snprintf(path, 128, "%s/leave", getenv("XDG_RUNTIME_DIR"));
}

static yoke_error *wait_for_leave(void)
{
    char path[128];
    path_of_leave(path);
    while (access(path, F_OK) != 0)
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    return NULL;
}
YOKE_MODULE(newborn, YOKE_OPEN(wait_for_leave), YOKE_CALL(slow, none, none));

static struct {
    yoke_uid uid;
    pid_t pid; /* 0: the stranger's own */
} claim;

/* Says that it is the newborn, and hears no more than who it has connected to. */
static int claim_newborn(const char *path)
{
    static uint8_t body[1 << 12];
    struct msg m;
    int fd = stranger_socket(path);
    if (fd < 0 || !stranger_put(fd, &(struct msg){.type = MSG_AID,
                                                  .aid = {.uid = uid_view(&claim.uid),
                                                          .has_pid = true,
                                                          .pid = claim.pid ? claim.pid : getpid()}}))
        return 2;
    if (!stranger_get(fd, body, sizeof body, &m) || m.type != MSG_AID)
        return 3;
    return recv(fd, body, 1, 0) == 0 ? 0 : 4;
}

static yoke_error *claim_from_elsewhere(const char *address, pid_t pid)
{
    int status;
    claim.pid = pid;
    YOKE_TRY(stranger_wait(stranger_process(claim_newborn, address + 5), &status));
    return status ? yoke_raise(&CHECK_FAILED, "the stranger ended with %d", status) : NULL;
}

struct birth {
    yoke_actors *actors;
    char *const *command; /* or NULL: of this program, with the module that waits */
    yoke_portal *portal;
};

static yoke_error *give_birth(void *arg)
{
    struct birth *b = arg;
    yoke_actor_options options = {.modules = b->command ? NULL : "newborn", .command = b->command};
    return yoke_actors_start(b->actors, "newborn", &options, &b->portal);
}

static yoke_error *claim_both_ways(const struct birth *b, enum child_state state)
{
    char *root;
    YOKE_TRY(yoke_listen(&root));
    yoke_error *e = NULL;
    while (!e && (list_empty(&b->actors->children) ||
                  container_of(b->actors->children.next, struct child, in_nursery)->state != state))
        e = yoke_sleep(YOKE_MS(1));
    if (!e) {
        const struct child *c = container_of(b->actors->children.next, struct child, in_nursery);
        claim.uid = c->uid;
        e = claim_from_elsewhere(root, 0);
        if (!e)
            e = claim_from_elsewhere(root, c->pid);
        if (!e && (!c->starting || c->state != state))
            e = yoke_raise(&CHECK_FAILED, "the start has gone on meanwhile");
    }
    free(root);
    return e;
}

/* The start goes on, and the child is who it is. */
static yoke_error *claim_while_it_opens(struct scene *s)
{
    struct birth b = {.actors = s->actors};
    char path[128];
    yoke_nursery n;
    path_of_leave(path);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, give_birth, &b);
    if (!e)
        e = claim_both_ways(&b, CHILD_CONNECTED);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    unlink(path);
    CHECK(yoke_uid_equal(yoke_portal_peer(b.portal), &claim.uid));
    return yoke_call(b.portal, "newborn:slow", NULL, NULL);
}

/* It never says a word, so nobody has connected in its name when the start is given up. */
static yoke_error *claim_before_it_connects(struct scene *s)
{
    char *command[] = {(char *)"sh", (char *)"-c", (char *)"exec sleep 1000", NULL};
    struct birth b = {.actors = s->actors, .command = command};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, give_birth, &b);
    if (!e)
        e = claim_both_ways(&b, CHILD_CLONED);
    if (!e)
        yoke_nursery_cancel(&n, "all was claimed");
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(!b.portal && yoke_actors_count(s->actors) == 0);
    return NULL;
}

static void claims(scene_fn fn)
{
    static char text[1 << 14];
    struct tree_child c = {NULL, fn, {.arg = NULL}};
    int status = tree_status(tree_actors_app, &c, text, sizeof text);
    if (status)
        print_error("%s", text);
    assert_int_equal(status, 0);
    assert_non_null(strstr(text, "is refused: the process is another one"));
    assert_non_null(strstr(text, "is refused: that is a child of this actor"));
}

/* SPAWN-23 */
static void test_spawn_23_not_the_parent_s_uid(void **state)
{
    claims(claim_before_it_connects);
    claims(claim_while_it_opens);
}

/* ---- who does not read ---- */

static yoke_error *never_reads(struct channel *c)
{
    char cid[8];
    YOKE_TRY(stranger_say_aid(c, &anybody, 0, false));
    for (int i = 0; i < 4; i++) {
        snprintf(cid, sizeof cid, "%d", i);
        YOKE_TRY(stranger_start(c, &anybody, cid, "peers", "much", &yoke_record_none, NULL));
    }
    return channel_drain(c);
}

static yoke_error *end_beside_full_peers(struct scene *s)
{
    struct channel *c[3];
    bool acknowledged;
    yoke_portal *stopped;
    line address = {s->arg};
    YOKE_TRY(start(s, "stopped", &stopped));
    YOKE_TRY(yoke_call(stopped, "peers:connect_to_line", &address, NULL));
    kill(yoke_portal_pid(stopped), SIGSTOP);
    for (int i = 0; i < 3; i++) {
        YOKE_TRY(stranger_connect(&c[i], s->arg));
        YOKE_TRY(never_reads(c[i]));
    }
    YOKE_TRY(wait_counts(s->portal, 0, 0, 4));
    YOKE_TRY(yoke_sleep(YOKE_MS(50)));
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_portal_cancel_actor(s->portal, YOKE_S(3), &acknowledged));
    CHECK(acknowledged);
    while (yoke_actors_count(s->actors) > 1 && tree_ms_since(begin) < 3000 * TREE_SLOW)
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    kill(yoke_portal_pid(stopped), SIGCONT);
    CHECK(yoke_actors_count(s->actors) == 1);
    for (int i = 0; i < 3; i++)
        channel_close(c[i]);
    return NULL;
}

/* SRV-03: an actor ends in bounded time beside peers that read nothing of what they asked for, or are
 * stopped. */
static void test_srv_03_peers_that_do_not_read(void **state)
{
    run_listening(end_beside_full_peers);
}

/* ---- the count of those who were let in ---- */

enum { RANDOM_CONNECTS = 1000, KEPT_MAX = 20 };

static yoke_error *let_in_and_keep(const char *address, struct channel **kept, int *count_of)
{
    yoke_uid there;
    enum msg_flag registrar;
    struct channel *c;
    YOKE_TRY(stranger_connect(&c, address));
    kept[(*count_of)++] = c;
    YOKE_TRY(stranger_say_aid(c, &anybody, 0, false));
    return stranger_hear_aid(c, &there, &registrar);
}

static yoke_error *connect_at_random(struct scene *s, struct channel **kept, int *count_of)
{
    unsigned chance = 1;
    YOKE_TRY(wait_counts(s->portal, -1, -1, 0));
    for (int i = 0; i < RANDOM_CONNECTS; i++) {
        switch (rand_r(&chance) % 5) {
        case 0:
            YOKE_TRY(throw_bytes(s->arg, "", 0, false));
            break;
        case 1:
            YOKE_TRY(throw_bytes(s->arg, "\x01\x00\x00\x00\xc1", 5, false));
            break;
        case 2:
            YOKE_TRY(try_stranger(s->arg, probe));
            break;
        case 3:
            if (*count_of < KEPT_MAX)
                YOKE_TRY(let_in_and_keep(s->arg, kept, count_of));
            break;
        default:
            if (*count_of)
                channel_close(kept[--*count_of]);
        }
        if (i % 100 == 99)
            YOKE_TRY(wait_counts(s->portal, -1, -1, *count_of));
    }
    return NULL;
}

static yoke_error *random_connects(struct scene *s)
{
    struct channel *kept[KEPT_MAX];
    int count_of = 0;
    yoke_error *e = connect_at_random(s, kept, &count_of);
    while (count_of)
        channel_close(kept[--count_of]);
    return e ? e : wait_counts(s->portal, -1, -1, 0);
}

/* SRV-01: probes and handshakes that fail are not counted, and each who was is till it has gone. */
static void test_srv_01_counts(void **state)
{
    static char text[1 << 20];
    struct listening l = {random_connects};
    struct tree_child c = {NULL, with_listening, {.arg = &l}};
    assert_int_equal(tree_status(tree_actors_app, &c, text, sizeof text), 0);
}

/* ---- another program ---- */

/* Runs `body` as the root of another program, which is told the address of this one's root through a pipe. */
static struct {
    int pipe[2];
    pid_t pid;
    char address[160];
} other;

static void other_begin(tree_body body)
{
    assert_int_equal(pipe2(other.pipe, O_CLOEXEC), 0);
    other.pid = fork();
    if (other.pid)
        return;
    ssize_t n = read(other.pipe[0], other.address, sizeof other.address - 1);
    yoke_error *e = n > 0 ? tree_run(body, other.address) : NULL;
    if (e)
        yoke_error_print(stderr, e);
    _exit(n <= 0 || e != NULL);
}

static int other_end(void)
{
    int status;
    close(other.pipe[0]);
    close(other.pipe[1]);
    waitpid(other.pid, &status, 0);
    return status;
}

/* The first program: tells where it listens, and ends when the other has connected. */
static yoke_error *host(void *arg)
{
    char *address;
    counts c;
    YOKE_TRY(yoke_listen(&address));
    bool told = write(other.pipe[1], address, strlen(address)) > 0;
    free(address);
    CHECK(told);
    do {
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
        YOKE_TRY(count(NULL, &c));
    } while (!c.let_in);
    return NULL;
}

static yoke_error *leave_soon(void *address)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_connect(address, &portal, NULL));
    return yoke_portal_close(portal, yoke_sleep(YOKE_MS(200)));
}

static yoke_error *stay(void *address)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_connect(address, &portal, NULL));
    while (yoke_portal_is_connected(portal))
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    return yoke_portal_close(portal, NULL);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int lines_with(const char *text, const char *word)
{
    int count_of = 0;
    while ((text = strstr(text, word)) && ++count_of)
        text++;
    return count_of;
}

/* IPC-08 */
static void test_ipc_08_wait_for_peers(void **state)
{
    static char text[1 << 14];
    other_begin(leave_soon);
    int64_t begin = now_ms();
    assert_int_equal(tree_status(host, NULL, text, sizeof text), 0);
    assert_in_range(now_ms() - begin, 150, 2900 * TREE_SLOW);
    assert_null(strstr(text, "have not left"));
    assert_int_equal(other_end(), 0);

    other_begin(stay);
    begin = now_ms();
    assert_int_equal(tree_status(host, NULL, text, sizeof text), 0);
    assert_in_range(now_ms() - begin, 2900, 3000 * TREE_SLOW);
    assert_non_null(strstr(text, "1 peers have not left within 3000 ms, their channels are closed: `root`"));
    assert_int_equal(lines_with(text, "have not left"), 1);
    assert_int_equal(other_end(), 0);
}

/* ---- strangers that stay ---- */

/* Connects, says who it is, and waits for the end of the channel. */
static int stay_connected(const char *path)
{
    static uint8_t body[1 << 12];
    struct msg m;
    yoke_uid self = anybody;
    int fd = stranger_socket(path);
    snprintf(self.uuid, sizeof self.uuid, "33333333-3333-4333-8333-%012d", (int)getpid());
    if (fd < 0 ||
        !stranger_put(fd, &(struct msg){.type = MSG_AID,
                                        .aid = {.uid = uid_view(&self), .has_pid = true, .pid = getpid()}}))
        return 2;
    if (!stranger_get(fd, body, sizeof body, &m) || m.type != MSG_AID)
        return 3;
    return recv(fd, body, 1, 0) == 0 ? 0 : 4;
}

struct visit {
    int stay, leave; /* strangers */
    pid_t pids[4];
    int64_t end_ms; /* when the body returned */
};

static yoke_error *wait_let_in(int wanted)
{
    counts c;
    do {
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
        YOKE_TRY(count(NULL, &c));
    } while (c.let_in != (uint64_t)wanted);
    return NULL;
}

static yoke_error *be_visited(void *arg)
{
    struct visit *v = arg;
    char *address;
    YOKE_TRY(yoke_listen(&address));
    for (int i = 0; i < v->stay + v->leave; i++)
        v->pids[i] = stranger_process(stay_connected, address + 5);
    free(address);
    YOKE_TRY(wait_let_in(v->stay + v->leave));
    for (int i = v->stay; i < v->stay + v->leave; i++)
        kill(v->pids[i], SIGKILL);
    YOKE_TRY(wait_let_in(v->stay));
    v->end_ms = now_ms();
    return NULL;
}

/* How long the end of a root takes that is visited so; what it says is in `text`. */
static int64_t end_beside(struct visit v, char *text, size_t size)
{
    assert_int_equal(tree_status(be_visited, &v, text, size), 0);
    int64_t took = now_ms() - v.end_ms;
    for (int i = 0; i < v.stay + v.leave; i++) {
        int status;
        assert_int_equal(waitpid(v.pids[i], &status, 0), v.pids[i]);
        assert_int_equal(status, i < v.stay ? 0 : SIGKILL); /* the others have seen the channel's end */
    }
    return took;
}

static yoke_error *end_below_the_root(struct scene *s)
{
    bool acknowledged;
    pid_t pid = stranger_process(stay_connected, (char *)s->arg + 5);
    int status;
    YOKE_TRY(wait_counts(s->portal, 0, 0, 1));
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_portal_cancel_actor(s->portal, YOKE_S(5), &acknowledged));
    while (yoke_actors_count(s->actors))
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    CHECK(acknowledged && tree_ms_since(begin) < 2900);
    YOKE_TRY(stranger_wait(pid, &status));
    return status ? yoke_raise(&CHECK_FAILED, "the stranger ended with %d", status) : NULL;
}

/* REAP-18 */
static void test_reap_18_a_wait_for_peers_is_bounded(void **state)
{
    static char text[1 << 14];
    assert_in_range(end_beside((struct visit){.stay = 2, .leave = 1}, text, sizeof text), 2900,
                    3000 * TREE_SLOW);
    assert_non_null(strstr(text, "2 peers have not left within 3000 ms, their channels are closed: "
                                 "`anybody`, `anybody`\n"));
    assert_int_equal(lines_with(text, "have not left"), 1);
    assert_in_range(end_beside((struct visit){.leave = 2}, text, sizeof text), 0, 2900);
    assert_null(strstr(text, "have not left"));
    run_listening(end_below_the_root);
}

/* ---- a root that is ended by another program ---- */

static yoke_error *end_it(void *address)
{
    yoke_portal *portal;
    bool acknowledged;
    YOKE_TRY(yoke_connect(address, &portal, NULL));
    YOKE_TRY(yoke_portal_close(portal, yoke_portal_cancel_actor(portal, YOKE_S(5), &acknowledged)));
    CHECK(acknowledged);
    EXPECT(yoke_connect(address, &portal, NULL), &YOKE_CONNECT_FAILED, NULL);
    return NULL;
}

static yoke_error *host_for_ever(void *arg)
{
    YOKE_TRY(host(NULL));
    return yoke_sleep_forever();
}

static void test_root_ended_by_another_program(void **state)
{
    static char text[1 << 14];
    other_begin(end_it);
    assert_int_equal(tree_status(host_for_ever, NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(other_end(), 0);
}

/* ---- nothing is left ---- */

static int sockets_left(void)
{
    char path[80];
    int found = 0;
    snprintf(path, sizeof path, "%s/yoke", tree_runtime_dir);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));)
        found += d->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return found;
}

static yoke_error *unlink_at_the_end(struct scene *s)
{
    yoke_portal *child;
    line address;
    char *root, path[128];
    YOKE_TRY(yoke_log_set("transport"));
    YOKE_TRY(start_listening(s, "child", &child, &address));
    strcpy(path, address.text + 5);
    line_free(&address);
    YOKE_TRY(yoke_listen(&root));
    free(root);
    CHECK(sockets_left() == 2);
    YOKE_TRY(yoke_portal_cancel_actor(child, 0, NULL));
    int64_t begin = yoke_now();
    while (yoke_actors_count(s->actors) && tree_ms_since(begin) < 1000 * TREE_SLOW)
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    CHECK(access(path, F_OK) != 0 && sockets_left() == 1);
    return NULL;
}

static yoke_error *file_is_gone(void *arg)
{
    char *root;
    YOKE_TRY(yoke_log_set("transport"));
    YOKE_TRY(yoke_listen(&root));
    CHECK(unlink(root + 5) == 0);
    free(root);
    return NULL;
}

static int foreign_listener;

static yoke_error *file_is_anothers(void *arg)
{
    char *root;
    YOKE_TRY(file_is_gone(NULL));
    YOKE_TRY(yoke_listen(&root));
    foreign_listener = stranger_listen(root + 5, 4);
    free(root);
    CHECK(foreign_listener >= 0);
    return NULL;
}

/* TPT-15 */
static void test_tpt_15_unlinked_at_the_end(void **state)
{
    static char text[1 << 16];
    char filter[256];
    struct tree_child c = {NULL, unlink_at_the_end, {.arg = NULL}};
    snprintf(filter, sizeof filter, "%s", yoke_log_filter());
    assert_int_equal(tree_status(tree_actors_app, &c, text, sizeof text), 0);
    assert_int_equal(sockets_left(), 0);
    assert_null(strstr(text, "was left behind")); /* each did it itself */
    assert_null(strstr(text, "not removed"));
    assert_int_equal(tree_status(file_is_gone, NULL, text, sizeof text), 0);
    assert_int_equal(lines_with(text, "not removed"), 1);
    assert_int_equal(tree_status(file_is_anothers, NULL, text, sizeof text), 0);
    assert_int_equal(sockets_left(), 1);
    assert_success(yoke_log_set(filter));
    close(foreign_listener);
    assert_int_equal(tree_status(file_is_gone, NULL, text, sizeof text), 0); /* the next one takes it over */
    assert_success(yoke_log_set(filter));
    assert_int_equal(sockets_left(), 0);
}

static yoke_error *kill_and_look(struct scene *s)
{
    char path[128];
    strcpy(path, (char *)s->arg + 5);
    CHECK(access(path, F_OK) == 0);
    kill(yoke_portal_pid(s->portal), SIGKILL);
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    int64_t begin = yoke_now();
    yoke_error *e = NULL;
    while (!e && yoke_actors_count(s->actors) && tree_ms_since(begin) < 2000 * TREE_SLOW)
        e = yoke_sleep(YOKE_MS(2));
    YOKE_TRY(yoke_scope_close(&shield, e));
    CHECK(access(path, F_OK) != 0);
    return NULL;
}

static char *runtime_file(const char *name, pid_t pid)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/yoke/%s@%d.sock", tree_runtime_dir, name, (int)pid);
    return path;
}

static int exit_at_once(const char *path)
{
    return 0;
}

static yoke_error *listen_and_end(void *arg)
{
    char *root;
    YOKE_TRY(yoke_listen(&root));
    free(root);
    return NULL;
}

/* REAP-12 */
static void test_reap_12_after_kill(void **state)
{
    struct listening l = {kill_and_look};
    assert_error_text(tree_with_actors(with_listening, &l), &YOKE_ACTOR_DIED, "actor `child`");
    assert_int_equal(sockets_left(), 0);
    /* Of a tree that is dead as a whole; and of one that is not, whatever its number says. */
    pid_t dead = stranger_process(exit_at_once, "");
    waitpid(dead, NULL, 0);
    char live[128], registry[128];
    close(stranger_listen(runtime_file("stale", dead), 4));
    strcpy(live, runtime_file("live", dead));
    strcpy(registry, runtime_file("registry", 0));
    int live_fd = stranger_listen(live, 4), registry_fd = stranger_listen(registry, 4);
    assert_int_equal(sockets_left(), 3);
    assert_success(tree_run(listen_and_end, NULL));
    assert_int_not_equal(access(runtime_file("stale", dead), F_OK), 0);
    assert_int_equal(access(live, F_OK), 0);
    assert_int_equal(access(registry, F_OK), 0);
    close(live_fd);
    close(registry_fd);
    unlink(live);
    unlink(registry);
}

/* ---- what can't be removed ---- */

static struct {
    const char *way;
    char said[600]; /* the supervision's error, without its numbers */
} spoiled;

static void path_of_sockets(char path[128])
{
    snprintf(path, 128, "%s/yoke", getenv("XDG_RUNTIME_DIR"));
}

/* The child is killed, and its socket file is not where or as it was. */
static yoke_error *kill_and_spoil(struct scene *s)
{
    char sockets[128];
    path_of_sockets(sockets);
    CHECK(access((char *)s->arg + 5, F_OK) == 0);
    if (strcmp(spoiled.way, "gone") == 0)
        CHECK(unlink((char *)s->arg + 5) == 0);
    if (strcmp(spoiled.way, "read-only") == 0)
        CHECK(chmod(sockets, 0500) == 0);
    kill(yoke_portal_pid(s->portal), SIGKILL);
    return yoke_sleep_forever();
}

static yoke_error *kill_where_none_can_listen(struct scene *s)
{
    YOKE_TRY(start(s, "child", &s->portal));
    kill(yoke_portal_pid(s->portal), SIGKILL);
    return yoke_sleep_forever();
}

static yoke_error *spoil_app(void *arg)
{
    struct listening l = {kill_and_spoil};
    struct scene s = {.arg = &l};
    bool deep = strcmp(spoiled.way, "too deep") == 0;
    YOKE_TRY(yoke_log_set("transport"));
    yoke_error *e = with_actors(&s, NULL, deep ? kill_where_none_can_listen : with_listening);
    char *text = yoke_error_text(e), *to = spoiled.said;
    for (const char *at = text; at && *at && to < spoiled.said + sizeof spoiled.said - 1; at++)
        if (*at < '0' || *at > '9')
            *to++ = *at;
    *to = '\0';
    free(text);
    yoke_error_free(e);
    return yoke_log_set("warning");
}

/* The asserts are for the test's own process. */
#define EXPECT_THAT(condition)                                                                               \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            print_error("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                      \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

/* `said` is said once, in one of so many warnings if there are any. */
static void spoil(const char *way, int warnings, const char *said)
{
    static char text[1 << 16];
    spoiled.way = way;
    int status = tree_status(spoil_app, NULL, text, sizeof text);
    if (status || lines_with(text, said) != 1)
        print_error("%s: `%s` is not said once in\n%s", way, said, text);
    EXPECT_THAT(status == 0 && lines_with(text, said) == 1 && lines_with(text, " WARNING ") == warnings);
}

static void spoil_each_way(void)
{
    char as_it_is[sizeof spoiled.said], sockets[128], deep[256];
    path_of_sockets(sockets);
    spoil("not at all", 0, ".sock was left behind by a process that is gone: removed");
    strcpy(as_it_is, spoiled.said);
    EXPECT_THAT(strstr(as_it_is, "died of SIGKILL"));
    spoil("gone", 0, ".sock is gone, as the process that may have listened there");
    EXPECT_THAT(strcmp(spoiled.said, as_it_is) == 0);
    spoil("read-only", 1,
          ".sock was left behind by a process that is gone, and can't be removed: Permission");
    EXPECT_THAT(strcmp(spoiled.said, as_it_is) == 0);
    EXPECT_THAT(chmod(sockets, 0700) == 0 && !tree_run(listen_and_end, NULL)); /* the next tree can */
    EXPECT_THAT(rmdir(sockets) == 0);
    snprintf(deep, sizeof deep, "%s/%090d", getenv("XDG_RUNTIME_DIR"), 0);
    setenv("XDG_RUNTIME_DIR", deep, 1);
    /* Before it, that the root can't be reached, and that the child can't be found. */
    spoil("too deep", 3, "actor `child` may have left a socket file: the directory ");
    EXPECT_THAT(strstr(spoiled.said, "died of SIGKILL"));
}

/* REAP-23: in a process of a user whom a directory's mode keeps out */
static void test_reap_23_cleanup_after_a_kill_never_masks(void **state)
{
    char own[] = "/tmp/yoke-spoilt-XXXXXX", *before = strdup(getenv("XDG_RUNTIME_DIR"));
    int status;
    assert_non_null(mkdtemp(own));
    assert_int_equal(chown(own, getuid() ? getuid() : 60123, (gid_t)-1), 0);
    setenv("XDG_RUNTIME_DIR", own, 1);
    pid_t pid = fork();
    if (pid == 0) {
        if (getuid() == 0 && (setresgid(60123, 60123, 60123) < 0 || setresuid(60123, 60123, 60123) < 0))
            _exit(2);
        spoil_each_way();
        _exit(0);
    }
    setenv("XDG_RUNTIME_DIR", before, 1);
    free(before);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(rmdir(own), 0);
    assert_int_equal(status, 0);
}

/* A root, its child and that one's child, all of them listening: the root is killed. */
static yoke_error *listening_tree(struct scene *s)
{
    yoke_portal *child;
    line address;
    char *root;
    YOKE_TRY(start_listening(s, "child", &child, &address));
    line_free(&address);
    YOKE_TRY(start_listening(s, "second", &child, &address));
    line_free(&address);
    YOKE_TRY(yoke_listen(&root));
    free(root);
    CHECK(write(other.pipe[1], "up", 2) == 2);
    return yoke_sleep_forever();
}

static yoke_error *listening_tree_app(void *arg)
{
    struct scene s = {.actors = NULL};
    return with_actors(&s, NULL, listening_tree);
}

static void test_killed_root(void **state)
{
    char word[2];
    assert_int_equal(pipe2(other.pipe, O_CLOEXEC), 0);
    pid_t root = fork();
    if (root == 0)
        _exit(tree_run(listening_tree_app, NULL) != NULL);
    assert_int_equal(read(other.pipe[0], word, 2), 2);
    assert_int_equal(sockets_left(), 3);
    kill(root, SIGKILL);
    int64_t begin = now_ms();
    while ((waitpid(-1, NULL, WNOHANG) >= 0 || sockets_left()) && now_ms() - begin < 3000 * TREE_SLOW)
        usleep(2000);
    assert_int_equal(sockets_left(), 0);
    close(other.pipe[0]);
    close(other.pipe[1]);
}

TREE_MAIN(TEST(test_ipc_04_several_channels), TEST(test_portal_03_one_channel), TEST(test_portal_05_identity),
          TEST(test_portal_13_close_ends_what_it_opened), TEST(test_portal_14_holder_cancelled),
          TEST(test_wrong_ends), TEST(test_ipc_19_given_up), TEST(test_hostile_connectors),
          TEST(test_ipc_17_identity), TEST(test_tpt_09_credentials), TEST(test_ipc_21_in_flight_at_close),
          TEST(test_spawn_23_not_the_parent_s_uid), TEST(test_srv_03_peers_that_do_not_read),
          TEST(test_srv_01_counts), TEST(test_ipc_08_wait_for_peers),
          TEST(test_reap_18_a_wait_for_peers_is_bounded), TEST(test_root_ended_by_another_program),
          TEST(test_tpt_15_unlinked_at_the_end), TEST(test_reap_12_after_kill),
          TEST(test_reap_23_cleanup_after_a_kill_never_masks), TEST(test_killed_root))
