/*
 * Trees whose actors listen on tcp: what their root decides, who is let in where the kernel does not say who
 * somebody is, and what is said of an address where no actor is to be had.
 */
#include "namespace.h"
#include "stranger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

/* ---- what is served ---- */

static unsigned naps;

static yoke_error *nap(const yoke_type_none *args, yoke_type_none *result)
{
    naps++;
    yoke_error *e = yoke_sleep_forever();
    naps--;
    return e;
}

static yoke_error *count_naps(const yoke_type_none *args, yoke_type_u64 *result)
{
    *result = naps;
    return NULL;
}

YOKE_RECORD(seen, (str, transport), (str, own), (str, root), (u64, lost_bound), (boolean, same_server));

static yoke_error *give_text(yoke_type_str *to, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES] = "";
    if (address && address->kind != ADDRESS_NONE)
        address_print(address, text);
    *to = strdup(text);
    return NULL;
}

static yoke_error *look(const yoke_type_none *args, seen *result)
{
    struct actor *a = actor_here();
    char *listening;
    YOKE_TRY(yoke_listen(&listening));
    result->transport = strdup(a->network.transport->name);
    result->lost_bound = (uint64_t)a->network.lost_bound;
    YOKE_TRY(give_text(&result->own, server_address(a)));
    result->same_server = strcmp(result->own, listening) == 0;
    free(listening);
    return give_text(&result->root, &a->root);
}

static yoke_error *look_below_in(struct scene *s)
{
    YOKE_TRY(yoke_actors_start(s->actors, "below", &(yoke_actor_options){.modules = "tcp"}, &s->portal));
    return yoke_call(s->portal, "tcp:look", NULL, s->arg);
}

static yoke_error *look_below(const yoke_type_none *args, seen *result)
{
    struct scene s = {.arg = result};
    return with_actors(&s, NULL, look_below_in);
}

YOKE_MODULE(tcp, YOKE_CALL(nap, none, none), YOKE_CALL(count_naps, none, u64), YOKE_CALL(look, none, seen),
            YOKE_CALL(look_below, none, seen));

/* ---- roots ---- */

struct rooted {
    yoke_root_options options;
    scene_fn fn;
    void *arg;
};

static yoke_error *rooted_main(void *arg)
{
    struct rooted *r = arg;
    struct scene s = {.arg = r->arg};
    return with_actors(&s, &(yoke_actors_options){.root = &r->options}, r->fn);
}

/* A program that is not one of YOKE_MAIN, whose root is given options. */
static yoke_error *rooted(yoke_root_options options, scene_fn fn, const void *arg)
{
    struct rooted r = {options, fn, (void *)arg};
    return yoke_run(rooted_main, &r, NULL);
}

static yoke_error *start_one(struct scene *s, const char *name, const char *listen, yoke_portal **portal)
{
    yoke_actor_options options = {.modules = "tcp,tree", .listen = listen};
    return yoke_actors_start(s->actors, name, &options, portal);
}

/* ---- what a root decides ---- */

static yoke_error *listens_there(struct scene *s)
{
    char *address;
    const char *prefix = s->arg;
    CHECK(server_address(actor_here())); /* since its open */
    YOKE_TRY(yoke_query("root", &address, NULL));
    bool fits = address && strncmp(address, prefix, strlen(prefix)) == 0 && !strstr(address, ":0");
    yoke_error *e =
        fits ? NULL : yoke_raise(&CHECK_FAILED, "%s and not %s", address ? address : "none", prefix);
    struct channel *c;
    if (!e)
        e = stranger_connect(&c, address);
    free(address);
    return e ? e : stranger_close(c, NULL);
}

static void test_root_12_transports_fit_the_address(void **state)
{
    char path[128];
    snprintf(path, sizeof path, "unix:%s/yoke/root-12.sock", getenv("XDG_RUNTIME_DIR"));
    yoke_root_options fine[] = {{.transport = "tcp", .listen = "tcp:127.0.0.1:0"},
                                {.transport = "uds", .listen = path},
                                {.listen = "tcp:127.0.0.1:0"},
                                {.listen = path}};
    for (int i = 0; i < 4; i++)
        assert_success(rooted(fine[i], listens_there, i % 2 ? path : "tcp:127.0.0.1:"));
    char says[256];
    snprintf(says, sizeof says,
             "transport (or YOKE_TRANSPORT) and listen (or YOKE_LISTEN) contradict: `%s` is "
             "no address of tcp",
             path);
    assert_error_text(rooted((yoke_root_options){.transport = "tcp", .listen = path}, listens_there, ""),
                      &YOKE_USAGE, says);
    assert_error_text(
        rooted((yoke_root_options){.transport = "uds", .listen = "tcp:127.0.0.1:0"}, listens_there, ""),
        &YOKE_USAGE, "`tcp:127.0.0.1:0` is no address of uds");
    /* The environment's word stands for the option's. */
    setenv("YOKE_TRANSPORT", "uds", 1);
    yoke_error *e =
        rooted((yoke_root_options){.transport = "tcp", .listen = "tcp:127.0.0.1:0"}, listens_there, "");
    unsetenv("YOKE_TRANSPORT");
    assert_error_text(e, &YOKE_USAGE, "`tcp:127.0.0.1:0` is no address of uds");
}

static void test_root_05_what_a_network_can_not_be(void **state)
{
    static const struct {
        yoke_root_options options;
        const char *says;
    } bad[] = {
        {{.transport = "udp"}, "transport (or YOKE_TRANSPORT) is `udp`: it can be uds or tcp"},
        {{.listen = "tcp:localhost"}, "`tcp:localhost` is no address"},
        {{.listen = "tcp:a.name:80"}, "names are not looked up"},
        {{.secret = "short"}, "secret (or YOKE_SECRET): 5 bytes"},
        {{.lost_bound = YOKE_MS(1999)}, "lost_bound (or YOKE_LOST_MS)"},
        {{.lost_bound = -1}, "lost_bound (or YOKE_LOST_MS)"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error_text(rooted(bad[i].options, listens_there, ""), &YOKE_USAGE, bad[i].says);
    setenv("YOKE_LOST_MS", "soon", 1);
    yoke_error *e = rooted((yoke_root_options){0}, listens_there, "");
    unsetenv("YOKE_LOST_MS");
    assert_error_text(e, &YOKE_USAGE, "lost_bound (or YOKE_LOST_MS): `soon`");
}

/* Where somebody listens nothing is opened. */
static yoke_error *open_a_second(struct scene *s)
{
    char *address;
    YOKE_TRY(yoke_listen(&address));
    yoke_portal *portal;
    yoke_error *e = start_one(s, "second", address, &portal);
    char says[128];
    snprintf(says, sizeof says, "%s: somebody listens there", address);
    free(address);
    EXPECT_REMOTE(e, &YOKE_ADDRESS_IN_USE, says);
    CHECK(yoke_actors_count(s->actors) == 0);
    return NULL;
}

static void test_tpt_08_a_child_where_somebody_listens(void **state)
{
    assert_success(rooted((yoke_root_options){.listen = "tcp:127.0.0.1:0"}, open_a_second, NULL));
}

/* ---- what goes down ---- */

static yoke_error *looks_like_root(const seen *got, const char *prefix)
{
    char root[ADDRESS_TEXT_BYTES];
    const struct actor *a = actor_here();
    address_print(&a->root, root);
    CHECK(strcmp(got->transport, a->network.transport->name) == 0);
    CHECK(strncmp(got->own, prefix, strlen(prefix)) == 0 && got->same_server);
    CHECK(strcmp(got->root, root) == 0 && strncmp(root, prefix, strlen(prefix)) == 0);
    CHECK(!strstr(got->own, ":0") && !strstr(root, ":0"));
    CHECK(got->lost_bound == (uint64_t)YOKE_S(7));
    return NULL;
}

static yoke_error *look_at_both(struct scene *s)
{
    static const char *const asked[] = {"tcp:look", "tcp:look_below"};
    YOKE_TRY(start_one(s, "child", NULL, &s->portal));
    for (int i = 0; i < 2; i++) {
        seen got;
        YOKE_TRY(yoke_call(s->portal, asked[i], NULL, &got));
        yoke_error *e = looks_like_root(&got, s->arg);
        seen_free(&got);
        if (e)
            return e;
    }
    return NULL;
}

static void test_tpt_02_a_root_passes_its_transport_down(void **state)
{
    char path[128];
    snprintf(path, sizeof path, "unix:%s/yoke/tpt-02.sock", getenv("XDG_RUNTIME_DIR"));
    assert_success(rooted((yoke_root_options){.listen = "tcp:127.0.0.1:0", .lost_bound = YOKE_S(7)},
                          look_at_both, "tcp:127.0.0.1:"));
    assert_success(
        rooted((yoke_root_options){.listen = path, .lost_bound = YOKE_S(7)}, look_at_both, "unix:/"));
}

/* ---- at several addresses ---- */

static yoke_error *call_at(const char *address)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_connect(address, &portal, NULL));
    yoke_error *e = yoke_portal_is_connected(portal) ? yoke_call(portal, "tree:ping", NULL, NULL)
                                                     : yoke_raise(&CHECK_FAILED, "not connected");
    return yoke_portal_close(portal, e);
}

static yoke_error *listen_on_both(const yoke_type_none *args, yoke_type_str *result)
{
    char *uds, *tcp, *again;
    YOKE_TRY(yoke_listen(&uds));
    free(uds);
    YOKE_TRY(yoke_listen_at("tcp:127.0.0.1:0", &tcp));
    YOKE_TRY(yoke_listen_at(tcp, &again)); /* that it has already */
    bool same = strcmp(tcp, again) == 0;
    free(again);
    *result = tcp;
    CHECK(same);
    return NULL;
}
YOKE_MODULE(doors, YOKE_CALL(listen_on_both, none, str));

static yoke_error *reach_both(struct scene *s)
{
    char *tcp, *uds;
    YOKE_TRY(
        yoke_actors_start(s->actors, "child", &(yoke_actor_options){.modules = "tree,doors"}, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "doors:listen_on_both", NULL, &tcp));
    YOKE_TRY(yoke_query("child", &uds, NULL));
    CHECK(strncmp(tcp, "tcp:127.0.0.1:", 14) == 0 && strncmp(uds, "unix:/", 6) == 0);
    yoke_error *e = call_at(tcp);
    if (!e)
        e = call_at(uds);
    yoke_record_free(&yoke_record_str, &tcp);
    free(uds);
    return e;
}

static yoke_error *fail_at_both(struct scene *s)
{
    char *address;
    EXPECT(yoke_listen_at("tcp:192.0.2.1:0", &address), &YOKE_SYSTEM, "this host has no such address");
    EXPECT(yoke_listen_at("tcp:", &address), &YOKE_USAGE, "no host");
    CHECK(!address);
    return NULL;
}

static void test_tpt_03_both_at_once(void **state)
{
    assert_success(tree_with_actors(reach_both, NULL));
    assert_success(tree_with_actors(fail_at_both, NULL));
}

static yoke_error *listen_openly(struct scene *s)
{
    char *address;
    YOKE_TRY(yoke_listen_at(s->arg, &address));
    free(address);
    return NULL;
}

static yoke_error *listen_openly_app(void *arg)
{
    struct scene s = {.arg = arg};
    return listen_openly(&s);
}

static yoke_error *is_on_loopback(struct scene *s)
{
    char *address;
    YOKE_TRY(yoke_listen(&address));
    bool fits = strncmp(address, "tcp:127.0.0.1:", 14) == 0;
    free(address);
    CHECK(fits);
    return NULL;
}

static void test_tpt_12_not_open_by_default(void **state)
{
    char text[4096];
    assert_success(rooted((yoke_root_options){.transport = "tcp"}, is_on_loopback, NULL));
    assert_int_equal(tree_status(listen_openly_app, (char *)"tcp:127.0.0.1:0", text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(tree_status(listen_openly_app, (char *)"tcp:0.0.0.0:0", text, sizeof text), 0);
    assert_non_null(strstr(text, "this actor listens at tcp:0.0.0.0:"));
    assert_non_null(strstr(text, "nothing that is said there is encrypted"));
    assert_non_null(strstr(text, "ssh -L"));
}

/* ---- who is let in ---- */

static const char secret[] = "an open secret, for a test";
static const yoke_uid stranger_uid = {"stranger", "00000000-0000-4000-8000-00000000000b"};

/* What an Aid of ours brings beside the protocol's own. */
YOKE_RECORD(aid_key, (u32, version), (str, child_name), (str, child_uuid), (optional, str, nonce),
            (optional, str, proof));

static yoke_error *say_ours(struct channel *c, const yoke_uid *uid, const char *nonce, const char *proof)
{
    struct buffer b = BUFFER_EMPTY;
    yoke_type_str nonce_text = (char *)nonce, proof_text = (char *)proof;
    aid_key key = {1, "", "", nonce ? &nonce_text : NULL, proof ? &proof_text : NULL};
    YOKE_TRY(record_encode(&b, &yoke_record_aid_key, &key, "yoke"));
    yoke_error *e = channel_send(c, &(struct msg){.type = MSG_AID,
                                                  .aid = {.uid = uid_view(uid),
                                                          .has_pid = true,
                                                          .pid = getpid(),
                                                          .is_registrar = MSG_FLAG_FALSE,
                                                          .is_probe = MSG_FLAG_FALSE,
                                                          .yoke = {buffer_begin(&b), buffer_size(&b)}}});
    buffer_free(&b);
    return e;
}

static yoke_error *hear_ours(struct channel *c, aid_key *key)
{
    struct msg m;
    YOKE_TRY(stranger_expect(c, MSG_AID, &m));
    return record_decode(&yoke_record_aid_key, m.aid.yoke.data, m.aid.yoke.size, "Aid.yoke", key);
}

static size_t peers_here(void)
{
    size_t count = 0;
    list_for_each(node, &actor_here()->peers)
        count += container_of(node, struct peer, in_actor)->let_in;
    return count;
}

/* With a connection to this root; it is closed then, and nobody is left. */
struct visit {
    const char *address;
    const yoke_uid *uid;
    const char *secret;
    struct scene *scene;
};
typedef yoke_error *(*visit_fn)(struct channel *c, const struct visit *v);

static yoke_error *visit(const struct visit *v, visit_fn fn)
{
    struct channel *c;
    yoke_scope bound; /* who is let in, and should not be, is told nothing more */
    YOKE_TRY(stranger_connect(&c, v->address));
    yoke_error *e = yoke_fail_after(&bound, YOKE_S(5) * TREE_SLOW);
    if (!e)
        e = yoke_scope_close(&bound, fn(c, v));
    channel_close(c);
    while (!e && peers_here())
        e = yoke_sleep(YOKE_MS(1));
    return e;
}

static yoke_error *shake(struct channel *c, const struct visit *v)
{
    struct identity self = {*v->uid, false, v->secret, true};
    return handshake_peer(c, &self, YOKE_S(60));
}

/* The connection ends, and nobody has been let in. */
static yoke_error *is_refused(struct channel *c, const struct visit *v)
{
    struct msg m;
    yoke_error *e = shake(c, v);
    while (!e)
        e = channel_receive(c, &m);
    EXPECT(e, &YOKE_TRANSPORT_CLOSED, NULL);
    CHECK(peers_here() == 0);
    return NULL;
}

/* Calls may be made, and are answered. */
static yoke_error *may_call(struct channel *c, const struct visit *v)
{
    struct msg m;
    YOKE_TRY(stranger_start(c, v->uid, "cid-1", "tree", "ping", &yoke_record_none, NULL));
    YOKE_TRY(stranger_expect(c, MSG_START_ACK, &m));
    return stranger_expect(c, MSG_RETURN, &m);
}

static yoke_error *is_served(struct channel *c, const struct visit *v)
{
    YOKE_TRY(shake(c, v));
    CHECK(!c->peer_is_stranger);
    return may_call(c, v);
}

/* With no key of ours at all, as a Python actor. */
static yoke_error *plain_is_refused(struct channel *c, const struct visit *v)
{
    yoke_uid root;
    enum msg_flag registrar;
    YOKE_TRY(stranger_say_aid(c, v->uid, 0, false));
    YOKE_TRY(stranger_hear_aid(c, &root, &registrar));
    YOKE_TRY(stranger_expect_end(c));
    CHECK(peers_here() == 0);
    return NULL;
}

/* What was said in one handshake that was good. */
static struct {
    uint8_t bytes[4096];
    size_t size;
} heard;

static ssize_t write_and_keep(int fd, const void *bytes, size_t count)
{
    memcpy(heard.bytes + heard.size, bytes, count);
    heard.size += count;
    return transport_tcp.write(fd, bytes, count);
}

static yoke_error *is_overheard(struct channel *c, const struct visit *v)
{
    struct transport overheard = transport_tcp;
    heard.size = 0;
    overheard.write = write_and_keep;
    c->transport = &overheard;
    yoke_error *e = shake(c, v);
    if (!e)
        e = channel_drain(c);
    c->transport = &transport_tcp;
    return e ? e : may_call(c, v);
}

static yoke_error *replay_is_refused(struct channel *c, const struct visit *v)
{
    CHECK(transport_tcp.write(c->fd, heard.bytes, heard.size) == (ssize_t)heard.size);
    YOKE_TRY(stranger_expect_end(c));
    CHECK(peers_here() == 0);
    return NULL;
}

/* The root's own proof, said by who claims to be the root. */
static yoke_error *reflection_is_refused(struct channel *c, const struct visit *v)
{
    static const char nonce[] = "00000000-0000-4000-8000-00000000000c";
    aid_key first, second;
    YOKE_TRY(say_ours(c, v->uid, nonce, NULL));
    YOKE_TRY(hear_ours(c, &first));
    YOKE_TRY(hear_ours(c, &second));
    CHECK(first.nonce && second.proof);
    yoke_error *e = say_ours(c, v->uid, NULL, *second.proof);
    aid_key_free(&first);
    aid_key_free(&second);
    if (!e)
        e = stranger_expect_end(c);
    CHECK(!e && peers_here() == 0);
    return NULL;
}

static yoke_error *knock(struct scene *s)
{
    char *address;
    YOKE_TRY(start_one(s, "child", NULL, &s->portal));
    YOKE_TRY(yoke_listen(&address));
    const yoke_uid child = *yoke_portal_peer(s->portal), root = *yoke_current_actor();
    struct visit v = {address, &stranger_uid, secret, s};
    yoke_error *e = visit(&v, is_served);
    v.secret = "another secret, not this one";
    if (!e)
        e = visit(&v, is_refused);
    v.secret = NULL;
    if (!e)
        e = visit(&v, is_refused);
    if (!e)
        e = visit(&v, plain_is_refused);
    v.secret = secret;
    if (!e)
        e = visit(&v, is_overheard);
    if (!e)
        e = visit(&v, replay_is_refused);
    v.uid = &child; /* whoever knows the secret is still not the child: that is another process */
    if (!e)
        e = visit(&v, is_refused);
    v.uid = &root;
    if (!e)
        e = visit(&v, reflection_is_refused);
    free(address);
    return e ? e : yoke_call(s->portal, "tree:ping", NULL, NULL);
}

static void test_ipc_17_who_is_who_over_tcp(void **state)
{
    assert_success(
        rooted((yoke_root_options){.modules = "tree", .transport = "tcp", .secret = secret}, knock, NULL));
}

/* ---- strangers, where they are let in ---- */

static yoke_error *is_refused_to(struct channel *c, const struct visit *v, const char *cid, const char *func)
{
    struct msg m;
    YOKE_TRY(stranger_start(c, v->uid, cid, "self", func, &yoke_record_none, NULL));
    YOKE_TRY(stranger_expect(c, MSG_ERROR, &m));
    CHECK(text_view_is(m.cid, cid) &&
          memmem(m.error.message.data, m.error.message.size, "does not know the tree's secret", 31));
    return NULL;
}

static yoke_error *is_a_stranger(struct channel *c, const struct visit *v)
{
    yoke_uid root;
    enum msg_flag registrar;
    YOKE_TRY(stranger_say_aid(c, v->uid, 0, false));
    YOKE_TRY(stranger_hear_aid(c, &root, &registrar));
    YOKE_TRY(may_call(c, v));
    YOKE_TRY(is_refused_to(c, v, "cid-2", "cancel"));
    YOKE_TRY(is_refused_to(c, v, "cid-3", "register_actor"));
    YOKE_TRY(is_refused_to(c, v, "cid-4", "listen_for"));
    YOKE_TRY(is_refused_to(c, v, "cid-5", "delete_addr"));
    CHECK(!actor_here()->cancel_called && actor_here()->registry.by_uuid.count == 1);
    return NULL;
}

static yoke_error *knock_at_an_open_door(struct scene *s)
{
    char *address;
    YOKE_TRY(start_one(s, "child", NULL, &s->portal));
    YOKE_TRY(yoke_listen(&address));
    const yoke_uid child = *yoke_portal_peer(s->portal), root = *yoke_current_actor();
    struct visit v = {address, &stranger_uid, NULL, s};
    yoke_error *e = visit(&v, is_a_stranger);
    v.uid = &child;
    if (!e)
        e = visit(&v, plain_is_refused);
    v.uid = &root; /* its process id is right, but a stranger's word */
    if (!e)
        e = visit(&v, plain_is_refused);
    free(address);
    if (!e)
        e = yoke_call(s->portal, "tree:ping", NULL, NULL);
    *(bool *)s->arg = !e;
    return e;
}

static void test_ipc_17_strangers_over_tcp(void **state)
{
    bool came_through = false; /* an end that a stranger has asked for is no error */
    assert_success(rooted((yoke_root_options){.modules = "tree", .transport = "tcp", .let_strangers_in = 1},
                          knock_at_an_open_door, &came_through));
    assert_true(came_through);
}

/* ---- two programs ---- */

/* A root of its own, in a process of its own, till it is told to end; it says its address on `fd`. */
static yoke_error *serve_till_cancelled(struct scene *s)
{
    char *address;
    const int *fd = s->arg;
    YOKE_TRY(yoke_listen(&address));
    bool said = write(*fd, address, strlen(address) + 1) > 0;
    free(address);
    CHECK(said);
    return yoke_sleep_forever();
}

static pid_t other_program(const char *its_secret, char address[ADDRESS_TEXT_BYTES])
{
    int fds[2];
    if (pipe(fds) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(120);
        yoke_error *e = rooted(
            (yoke_root_options){.name = "other", .modules = "tree", .transport = "tcp", .secret = its_secret},
            serve_till_cancelled, &fds[1]);
        _exit(e && !yoke_error_is_cancelled(e));
    }
    close(fds[1]);
    memset(address, 0, ADDRESS_TEXT_BYTES);
    bool heard_it = read(fds[0], address, ADDRESS_TEXT_BYTES - 1) > 0;
    close(fds[0]);
    return heard_it ? pid : -1;
}

static yoke_error *meet_the_other(struct scene *s)
{
    yoke_portal *portal;
    bool acknowledged;
    YOKE_TRY(yoke_connect(s->arg, &portal, NULL));
    CHECK(strcmp(yoke_portal_peer(portal)->name, "other") == 0 && yoke_portal_user(portal) == (uid_t)-1);
    yoke_error *e = yoke_call(portal, "tree:ping", NULL, NULL);
    if (!e)
        e = yoke_portal_cancel_actor(portal, YOKE_S(60), &acknowledged);
    e = yoke_portal_close(portal, e);
    CHECK(e || acknowledged);
    return e;
}

static void test_two_programs_with_one_secret(void **state)
{
    char address[ADDRESS_TEXT_BYTES];
    int status = -1;
    pid_t pid = other_program(secret, address);
    assert_true(pid > 0);
    yoke_error *e = rooted((yoke_root_options){.secret = secret}, meet_the_other, address);
    if (e)
        kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_success(e);
    assert_int_equal(status, 0);
}

static void test_two_programs_with_secrets_of_their_own(void **state)
{
    char address[ADDRESS_TEXT_BYTES];
    pid_t pid = other_program(NULL, address);
    assert_true(pid > 0);
    yoke_error *e = rooted((yoke_root_options){0}, meet_the_other, address);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_error_text(e, &YOKE_CONNECT_FAILED, "who listens there is not to be trusted");
}

/* ---- addresses where no actor is ---- */

static yoke_error *connect_fails(const char *address, const char *says)
{
    yoke_portal *portal;
    char text[256];
    yoke_connect_options options = {.bound = YOKE_S(60), .handshake_bound = YOKE_MS(150)};
    EXPECT(yoke_connect(address, &portal, &options), &YOKE_CONNECT_FAILED, says);
    /* The address is told in any case. */
    snprintf(text, sizeof text, "%s: ", address);
    EXPECT(yoke_connect(address, &portal, &options), &YOKE_CONNECT_FAILED, text);
    CHECK(!portal);
    return NULL;
}

/* Accepts in the kernel's backlog, and says nothing. */
static int deaf_listener(int family, char address[ADDRESS_TEXT_BYTES])
{
    if (family == AF_UNIX) {
        char *path = address + snprintf(address, ADDRESS_TEXT_BYTES, "unix:");
        snprintf(path, ADDRESS_TEXT_BYTES - 5, "%s/deaf.sock", getenv("XDG_RUNTIME_DIR"));
        return stranger_listen(path, 16);
    }
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bind(fd, (struct sockaddr *)&name, sizeof name);
    listen(fd, 16);
    getsockname(fd, (struct sockaddr *)&name, &size);
    snprintf(address, ADDRESS_TEXT_BYTES, "tcp:127.0.0.1:%u", ntohs(name.sin_port));
    return fd;
}

/* Answers whoever comes with what an actor would not say. */
static yoke_error *answer_oddly(void *arg)
{
    static const char page[] = "HTTP/1.0 400 Bad Request\r\n\r\n";
    int fd = *(int *)arg;
    for (;;) {
        YOKE_TRY(yoke_wait_readable(fd));
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        ssize_t said = send(peer, page, sizeof page - 1, MSG_NOSIGNAL);
        shutdown(peer, SHUT_WR);
        yoke_error *e = yoke_sleep(YOKE_MS(20)); /* or what it has not read would make a reset of its end */
        close(peer);
        if (e || said < 0)
            return e ? e : yoke_raise(&CHECK_FAILED, "nobody to answer");
    }
}

static yoke_error *no_actor_at(int *fd, const char *address)
{
    yoke_nursery n;
    YOKE_TRY(connect_fails(address, "who listens there did not shake hands in 150 ms"));
    /* Who had come by then was left to wait. */
    for (int peer; (peer = accept4(*fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
        close(peer);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, answer_oddly, fd);
    if (!e)
        e = connect_fails(address, "who listens there is no actor");
    yoke_nursery_cancel(&n, "enough");
    e = yoke_nursery_close(&n, e);
    yoke_close(*fd);
    if (e || address[0] != 't')
        return e;
    return connect_fails(address, "nobody listens there (connection refused)");
}

static yoke_error *no_actors(struct scene *s)
{
    char address[ADDRESS_TEXT_BYTES];
    int fd = deaf_listener(AF_INET, address);
    YOKE_TRY(no_actor_at(&fd, address));
    fd = deaf_listener(AF_UNIX, address);
    YOKE_TRY(no_actor_at(&fd, address));
    YOKE_TRY(connect_fails(address, "nobody listens there (connection refused)"));
    unlink(address + strlen("unix:"));
    return connect_fails(address, "there is no such file");
}

static yoke_error *no_route(struct scene *s)
{
    return connect_fails("tcp:192.0.2.1:80", "there is no route to it");
}

static int look_for_a_route(void)
{
    yoke_error *e = tree_with_actors(no_route, NULL);
    if (e)
        yoke_error_print(stderr, e);
    return e != NULL;
}

static void test_portal_04_what_is_at_an_address(void **state)
{
    assert_success(tree_with_actors(no_actors, NULL));
    int status = namespace_run(look_for_a_route);
    NAMESPACE_SKIP_IF_REFUSED(status);
    assert_int_equal(status, 0);
}

/* ---- a network that goes away ---- */

static yoke_error *take_the_nap(void *arg)
{
    return yoke_call(arg, "tcp:nap", NULL, NULL);
}

/* How many calls wait in the child, asked over the channel of the tree, which has no network in it. */
static yoke_error *wait_for_naps(struct scene *s, uint64_t count)
{
    uint64_t got;
    do {
        YOKE_TRY(yoke_call(s->portal, "tcp:count_naps", NULL, &got));
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    } while (got != count);
    return NULL;
}

static yoke_error *lose_the_network(struct scene *s, yoke_portal *over_tcp)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, take_the_nap, over_tcp);
    if (!e)
        e = wait_for_naps(s, 1);
    if (!e && !namespace_loopback(false))
        e = yoke_raise(&CHECK_FAILED, "the interface stays up");
    int64_t begin = yoke_now();
    EXPECT(yoke_nursery_close_flat(&n, e), &YOKE_TRANSPORT_VANISHED, "actor `child`");
    CHECK(!yoke_portal_is_connected(over_tcp) && tree_ms_since(begin) < 30000 * TREE_SLOW);
    return wait_for_naps(s, 0); /* the other side has found it as well, and ended what was asked for */
}

static yoke_error *half_open(struct scene *s)
{
    yoke_portal *over_tcp;
    char *address;
    YOKE_TRY(start_one(s, "child", "tcp:127.0.0.1:0", &s->portal));
    YOKE_TRY(yoke_query("child", &address, NULL));
    yoke_error *e = yoke_connect(address, &over_tcp, NULL);
    free(address);
    if (e)
        return e;
    return yoke_portal_close(over_tcp, lose_the_network(s, over_tcp));
}

static int in_a_network_of_its_own(void)
{
    yoke_error *e = rooted((yoke_root_options){.lost_bound = YOKE_S(2)}, half_open, NULL);
    if (e)
        yoke_error_print(stderr, e);
    return e != NULL;
}

static void test_fault_17_a_host_that_vanishes(void **state)
{
    int status = namespace_run(in_a_network_of_its_own);
    NAMESPACE_SKIP_IF_REFUSED(status);
    assert_int_equal(status, 0);
}

TREE_MAIN(TEST(test_root_12_transports_fit_the_address), TEST(test_root_05_what_a_network_can_not_be),
          TEST(test_tpt_08_a_child_where_somebody_listens),
          TEST(test_tpt_02_a_root_passes_its_transport_down), TEST(test_tpt_03_both_at_once),
          TEST(test_tpt_12_not_open_by_default), TEST(test_ipc_17_who_is_who_over_tcp),
          TEST(test_ipc_17_strangers_over_tcp), TEST(test_two_programs_with_one_secret),
          TEST(test_two_programs_with_secrets_of_their_own), TEST(test_portal_04_what_is_at_an_address),
          TEST(test_fault_17_a_host_that_vanishes))
