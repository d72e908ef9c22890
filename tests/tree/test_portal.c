/* Portals: to whom they lead, who shares a channel, what asks for what, and what their end ends. */
#include "tree.h"

#include "actor/peer.h"
#include "base/memory.h"

#include <sys/stat.h>

/* ---- endpoints ---- */

YOKE_RECORD(uid_text, (str, name), (str, uuid));
YOKE_RECORD(place, (str, file));
YOKE_RECORD(number, (i64, n));
YOKE_RECORD(depth_of, (u32, depth));
YOKE_RECORD(sight, (str, root_name), (str, root_uuid), (str, address), (str, known_address),
            (str, parent_uuid));

static void leave_word(const char *file, const char *line)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
    dprintf(fd, "%s\n", line);
    close(fd);
}

static yoke_error *whoami(const yoke_type_none *args, uid_text *result)
{
    /* The harness counts what is freed for the root's own endpoints. */
    *result =
        (uid_text){memory_strdup(yoke_current_actor()->name), memory_strdup(yoke_current_actor()->uuid)};
    return NULL;
}
/* How many tasks of endpoints run here, this one not counted. */
static yoke_error *busy(const yoke_type_none *args, number *result)
{
    result->n = (int64_t)actor_here()->serving - 1;
    return NULL;
}
static yoke_error *plain(const yoke_type_none *args, number *result)
{
    result->n = 1;
    return NULL;
}
static yoke_error *linked(yoke_context *ctx, const yoke_type_none *args, number *result)
{
    result->n = 2;
    return yoke_context_started(ctx, NULL);
}
static yoke_error *counted(yoke_stream *stream, const yoke_type_none *args)
{
    return yoke_send(stream, &(number){3});
}
/* Sends for ever, and says that it was ended. */
static yoke_error *endless(yoke_stream *stream, const place *args)
{
    yoke_error *e = NULL;
    for (number item = {0}; !e; item.n++) {
        e = yoke_send(stream, &item);
        if (!e)
            e = yoke_sleep(YOKE_MS(2));
    }
    leave_word(args->file, "ended");
    return e;
}
static yoke_error *hold(yoke_context *ctx, const place *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = yoke_sleep_forever();
    leave_word(args->file, yoke_context_canceller(ctx) ? yoke_context_canceller(ctx)->name : "nobody");
    return e;
}

/* From `depth` levels further down: the root by its name, asked who it is. */
static yoke_error *see_root(const depth_of *args, sight *result);
static yoke_error *see_from_below(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "below", &(yoke_actor_options){.modules = "door"}, &s->portal));
    return yoke_call(s->portal, "door:see_root", s->arg, s->ctx); /* the scene's own way to hand it on */
}
static yoke_error *ask_root(yoke_portal *root, sight *result)
{
    uid_text uid;
    char known[ADDRESS_TEXT_BYTES];
    YOKE_TRY(yoke_call(root, "door:whoami", NULL, &uid));
    YOKE_TRY(yoke_query("root", (char **)&result->address, NULL));
    address_print(&actor_here()->root, known);
    result->root_name = uid.name;
    result->root_uuid = uid.uuid;
    result->known_address = strdup(known);
    result->parent_uuid = strdup(actor_here()->parent->channel->peer.uuid);
    return NULL;
}
static yoke_error *see_root(const depth_of *args, sight *result)
{
    if (args->depth) {
        depth_of less = {args->depth - 1};
        struct scene s = {.arg = &less, .ctx = (yoke_context *)result};
        return with_actors(&s, NULL, see_from_below);
    }
    yoke_portal *root;
    YOKE_TRY(yoke_find_existing("root", &root));
    return yoke_portal_close(root, ask_root(root, result));
}
/* A portal to the parent, and one to a sibling. */
static yoke_error *meet(const uid_text *args, uid_text *result)
{
    yoke_portal *sibling;
    YOKE_TRY(yoke_wait_for(args->name, &sibling));
    return yoke_portal_close(sibling, yoke_call(sibling, "door:whoami", NULL, result));
}
static size_t count_peers(void)
{
    size_t count = 0;
    list_for_each(node, &actor_here()->peers)
        count++;
    return count;
}
static yoke_error *share_channels(yoke_portal *a, yoke_portal *b)
{
    uid_text uid;
    CHECK(a->peer == b->peer);
    YOKE_TRY(yoke_portal_close(a, NULL));
    YOKE_TRY(yoke_call(b, "door:whoami", NULL, &uid)); /* it does not mind */
    uid_text_free(&uid);
    return NULL;
}
static yoke_error *wait_peers(size_t count)
{
    int64_t begin = yoke_now();
    while (count_peers() > count) {
        CHECK(tree_ms_since(begin) < 3000 * TREE_SLOW);
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
    return NULL;
}
static yoke_error *two_portals(const uid_text *args, yoke_type_none *result)
{
    yoke_portal *a, *b;
    size_t before = count_peers();
    YOKE_TRY(yoke_wait_for(args->name, &a));
    YOKE_TRY(yoke_wait_for(args->name, &b));
    CHECK(count_peers() == before + 1);
    YOKE_TRY(yoke_portal_close(b, share_channels(a, b)));
    YOKE_TRY(wait_peers(before)); /* with the last the channel is gone */
    /* Portals to the parent are of the channel that this actor lives by. */
    YOKE_TRY(yoke_find_existing("root", &a));
    YOKE_TRY(yoke_find_existing("root", &b));
    CHECK(count_peers() == before && a->peer == actor_here()->parent);
    return yoke_portal_close(b, yoke_portal_close(a, NULL));
}
YOKE_MODULE(door, YOKE_CALL(whoami, none, uid_text), YOKE_CALL(busy, none, number),
            YOKE_CALL(plain, none, number), YOKE_CONTEXT(linked, none, none, number),
            YOKE_STREAM(counted, none, number), YOKE_STREAM(endless, place, number),
            YOKE_CONTEXT(hold, place, none, none), YOKE_CALL(see_root, depth_of, sight),
            YOKE_CALL(meet, uid_text, uid_text), YOKE_CALL(two_portals, uid_text, none));

/* ---- helpers ---- */

struct with_root {
    scene_fn fn;
    void *arg;
};
static yoke_error *root_app(void *arg)
{
    const struct with_root *w = arg;
    struct scene s = {.arg = w->arg};
    yoke_root_options root = {.modules = "door"};
    return with_actors(&s, &(yoke_actors_options){.root = &root}, w->fn);
}
/* In a root that serves `door`, too. */
static yoke_error *with_serving_root(scene_fn fn, void *arg)
{
    return yoke_run(root_app, &(struct with_root){fn, arg}, NULL);
}

static yoke_error *start_one(struct scene *s, const char *name, yoke_portal **p)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "door"}, p);
}

/* ---- to whom ---- */

static yoke_error *saw_this_root(sight *seen, bool is_child)
{
    const yoke_uid *self = yoke_current_actor();
    bool fits = strcmp(seen->root_name, "root") == 0 && strcmp(seen->root_uuid, self->uuid) == 0 &&
                seen->address[0] && strcmp(seen->address, seen->known_address) == 0 &&
                (strcmp(seen->parent_uuid, self->uuid) == 0) == is_child;
    sight_free(seen);
    CHECK(fits);
    return NULL;
}
static yoke_error *to_everybody(struct scene *s)
{
    yoke_portal *a, *b;
    sight seen;
    uid_text uid;
    YOKE_TRY(start_one(s, "a", &a));
    YOKE_TRY(start_one(s, "b", &b));
    YOKE_TRY(yoke_call(a, "door:whoami", NULL, &uid)); /* a child */
    bool is_a = strcmp(uid.uuid, yoke_portal_peer(a)->uuid) == 0;
    uid_text_free(&uid);
    YOKE_TRY(yoke_call(a, "door:meet", &(uid_text){"b", ""}, &uid)); /* a sibling */
    bool is_b = strcmp(uid.uuid, yoke_portal_peer(b)->uuid) == 0;
    uid_text_free(&uid);
    CHECK(is_a && is_b);
    YOKE_TRY(yoke_call(a, "door:see_root", &(depth_of){0}, &seen)); /* its parent */
    YOKE_TRY(saw_this_root(&seen, true));
    YOKE_TRY(yoke_call(a, "door:see_root", &(depth_of){2}, &seen)); /* the root, from depth 3 */
    return saw_this_root(&seen, false);
}
static void test_portal_01_to_everybody(void **state)
{
    assert_success(with_serving_root(to_everybody, NULL));
}

static yoke_error *share(struct scene *s)
{
    yoke_portal *a, *b;
    number n;
    YOKE_TRY(start_one(s, "a", &a));
    YOKE_TRY(start_one(s, "b", &b));
    YOKE_TRY(yoke_call(a, "door:two_portals", &(uid_text){"b", ""}, NULL));
    YOKE_TRY(yoke_call(a, "door:plain", NULL, &n)); /* it has its parent still */
    /* Nor does a portal to a child, closed, take the child's channel. */
    yoke_portal *again;
    YOKE_TRY(yoke_find_existing("b", &again));
    CHECK(again->peer == b->peer);
    YOKE_TRY(yoke_portal_close(again, NULL));
    return yoke_call(b, "door:plain", NULL, &n);
}
static void test_portal_03_several_share_a_channel(void **state)
{
    assert_success(with_serving_root(share, NULL));
}

/* ---- what asks for what ---- */

enum { CALL, STREAM, CONTEXT, KINDS };
static const char *const endpoints[KINDS] = {"door:plain", "door:counted", "door:linked"};
static const char *const words[KINDS] = {"call", "stream", "context"};

static yoke_error *ask_as(yoke_portal *p, int kind, const char *endpoint, int64_t *got)
{
    number n = {0};
    yoke_error *e;
    if (kind == CALL) {
        e = yoke_call(p, endpoint, NULL, &n);
    } else if (kind == STREAM) {
        yoke_stream *stream;
        YOKE_TRY(yoke_portal_stream_open(p, &stream, endpoint, NULL, NULL));
        e = yoke_stream_close(stream, yoke_recv(stream, &n));
    } else {
        yoke_context *ctx;
        YOKE_TRY(yoke_context_open(p, &ctx, endpoint, NULL, NULL));
        e = yoke_context_close(ctx, yoke_context_result(ctx, &n));
    }
    *got = n.n;
    return e;
}
static yoke_error *ask_in_all_ways(struct scene *s)
{
    static const int64_t values[KINDS] = {1, 3, 2};
    for (int kind = 0; kind < KINDS; kind++)
        for (int endpoint = 0; endpoint < KINDS; endpoint++) {
            int64_t got;
            yoke_error *e = ask_as(s->portal, kind, endpoints[endpoint], &got);
            if (kind != endpoint) {
                EXPECT(e, &YOKE_USAGE, words[endpoint]);
                continue;
            }
            YOKE_TRY(e);
            CHECK(got == values[kind]);
        }
    /* Both kinds are named: what it is, and what was asked for. */
    int64_t got;
    EXPECT(ask_as(s->portal, CALL, endpoints[CONTEXT], &got), &YOKE_USAGE, "call");
    EXPECT(ask_as(s->portal, STREAM, endpoints[CALL], &got), &YOKE_USAGE, "stream");
    EXPECT(ask_as(s->portal, CONTEXT, endpoints[STREAM], &got), &YOKE_USAGE, "context");
    number left;
    YOKE_TRY(yoke_call(s->portal, "door:busy", NULL, &left));
    CHECK(left.n == 0);
    return NULL;
}
static void test_portal_11_wrong_kind(void **state)
{
    assert_success(tree_with_child("door", ask_in_all_ways, NULL));
}

/* ---- what ends with it ---- */

/* Runs `body` with the name of an empty file, and gives what is in it then. */
static yoke_error *with_file(scene_fn body, char *text, size_t size)
{
    char name[] = "/tmp/yoke-test-XXXXXX";
    int fd = mkstemp(name);
    yoke_error *e = with_serving_root(body, name);
    ssize_t n = pread(fd, text, size - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    close(fd);
    unlink(name);
    return e;
}
static yoke_error *wait_for_bytes(const char *file, size_t bytes)
{
    struct stat st = {0};
    int64_t begin = yoke_now();
    while (st.st_size < (off_t)bytes) {
        CHECK(tree_ms_since(begin) < 3000 * TREE_SLOW);
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
        stat(file, &st);
    }
    return NULL;
}

/* A connection of this actor's own to a child, not the child's channel. */
static yoke_error *connect_to_child(struct scene *s, yoke_portal **p)
{
    char *address;
    YOKE_TRY(start_one(s, "a", &s->portal));
    YOKE_TRY(yoke_query("a", &address, NULL));
    yoke_error *e = yoke_connect(address, p, NULL);
    free(address);
    if (!e && (*p)->peer == s->portal->peer)
        e = yoke_portal_close(*p, yoke_raise(&CHECK_FAILED, "the child's own channel"));
    return e;
}

static yoke_error *open_streams(yoke_portal *p, const place *where, yoke_stream **streams, int count)
{
    number item;
    for (int i = 0; i < count; i++) {
        YOKE_TRY(yoke_portal_stream_open(p, &streams[i], "door:endless", where, NULL));
        YOKE_TRY(yoke_recv(streams[i], &item));
    }
    return NULL;
}
static yoke_error *close_under_streams(struct scene *s)
{
    enum { STREAMS = 4 };
    const place where = {s->arg};
    yoke_portal *p;
    yoke_stream *streams[STREAMS] = {NULL};
    YOKE_TRY(connect_to_child(s, &p));
    size_t before = count_peers() - 1;
    yoke_error *e = open_streams(p, &where, streams, STREAMS);
    if (!e)
        e = yoke_stream_close(streams[STREAMS - 1], NULL); /* closed already: no error of the portal's */
    YOKE_TRY(yoke_portal_close(p, e));
    YOKE_TRY(wait_for_bytes(s->arg, STREAMS * strlen("ended\n")));
    for (int i = 0; i < STREAMS - 1; i++)
        yoke_error_free(yoke_stream_close(streams[i], NULL));
    YOKE_TRY(wait_peers(before)); /* its loop is gone with it */
    number left;
    YOKE_TRY(yoke_call(s->portal, "door:busy", NULL, &left));
    CHECK(left.n == 0);
    return NULL;
}
static void test_portal_13_close_ends_what_it_opened(void **state)
{
    char text[200];
    assert_success(with_file(close_under_streams, text, sizeof text));
    assert_string_equal(text, "ended\nended\nended\nended\n");
}

static yoke_error *cancel_with_context(struct scene *s, yoke_portal *p, yoke_scope *scope)
{
    yoke_context *ctx;
    const place where = {s->arg};
    YOKE_TRY(yoke_context_open(p, &ctx, "door:hold", &where, NULL));
    yoke_scope_cancel(scope, "by the test");
    return yoke_context_close(ctx, yoke_sleep_forever());
}
static yoke_error *opener_cancelled(struct scene *s)
{
    yoke_portal *p;
    yoke_scope scope;
    size_t before = count_peers() + 1; /* the child's own channel */
    YOKE_TRY(connect_to_child(s, &p));
    YOKE_TRY(yoke_scope_open(&scope));
    yoke_error *e = cancel_with_context(s, p, &scope);
    /* The close has had its answer: the far task has ended before. */
    struct stat st = {0};
    stat(s->arg, &st);
    YOKE_TRY(yoke_scope_close(&scope, yoke_portal_close(p, e)));
    CHECK(yoke_scope_cancelled_caught(&scope) && st.st_size > 0);
    return wait_peers(before);
}
static void test_portal_14_opener_is_cancelled(void **state)
{
    char text[200];
    assert_success(with_file(opener_cancelled, text, sizeof text));
    assert_string_equal(text, "root\n");
}

TREE_MAIN(TEST(test_portal_01_to_everybody), TEST(test_portal_03_several_share_a_channel),
          TEST(test_portal_11_wrong_kind), TEST(test_portal_13_close_ends_what_it_opened),
          TEST(test_portal_14_opener_is_cancelled))
