/* TCP on the loopback interface: what a connection is set to, what it answers when the peer is full or gone,
 * and what an address says that nobody can listen at or connect to. */
#include "ends.h"

#include "ipc/listener.h"
#include "namespace.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>

static struct address at(const char *text)
{
    struct address address;
    assert_success(address_parse(&address, text));
    return address;
}

/* ---- a connection ---- */

/* Both ends of a connection, as a socketpair's. */
struct pair {
    struct address address;
    struct listener *l;
    int fds[2];
    yoke_error *(*body)(struct pair *);
};

static yoke_error *connect_pair(struct pair *p)
{
    YOKE_TRY(transport_tcp.connect(&p->l->address, YOKE_S(60), &p->fds[0]));
    yoke_error *e = listener_accept(p->l, &p->fds[1]);
    if (!e)
        e = p->body(p);
    else
        close(p->fds[0]);
    return e;
}

static yoke_error *with_pair(void *arg)
{
    struct pair *p = arg;
    YOKE_TRY(listener_open(&p->l, &p->address));
    yoke_error *e = connect_pair(p);
    listener_free(p->l);
    return e;
}

static void run_at(const char *text, yoke_error *(*body)(struct pair *))
{
    struct pair p = {.address = at(text), .body = body};
    assert_success(yoke_run(with_pair, &p, NULL));
}

static yoke_error *close_both(struct pair *p)
{
    close(p->fds[0]);
    close(p->fds[1]);
    return NULL;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    getsockopt(fd, level, name, &value, &size);
    return value;
}

static yoke_error *look_at_options(struct pair *p)
{
    CHECK(p->l->address.port != 0 && strcmp(p->l->address.host, "127.0.0.1") == 0);
    CHECK(option(p->l->fd, SOL_SOCKET, SO_REUSEADDR) == 1);
    for (int i = 0; i < 2; i++) {
        CHECK(fcntl(p->fds[i], F_GETFL) & O_NONBLOCK && fcntl(p->fds[i], F_GETFD) & FD_CLOEXEC);
        CHECK(option(p->fds[i], IPPROTO_TCP, TCP_NODELAY) == 1);
        CHECK(option(p->fds[i], SOL_SOCKET, SO_KEEPALIVE) == 0);
        transport_tcp.set_lost_bound(p->fds[i], YOKE_S(30));
        CHECK(option(p->fds[i], SOL_SOCKET, SO_KEEPALIVE) == 1);
        CHECK(option(p->fds[i], IPPROTO_TCP, TCP_KEEPIDLE) == 10);
        CHECK(option(p->fds[i], IPPROTO_TCP, TCP_KEEPINTVL) == 10);
        CHECK(option(p->fds[i], IPPROTO_TCP, TCP_KEEPCNT) == 3);
        CHECK(option(p->fds[i], IPPROTO_TCP, TCP_USER_TIMEOUT) == 25000);
        transport_tcp.set_lost_bound(p->fds[i], YOKE_S(2));
        CHECK(option(p->fds[i], IPPROTO_TCP, TCP_KEEPIDLE) == 1);
        CHECK(option(p->fds[i], IPPROTO_TCP, TCP_USER_TIMEOUT) == 1500);
    }
    return close_both(p);
}

static void test_tpt_10_options(void **state)
{
    run_at("tcp:127.0.0.1:0", look_at_options);
}

/* What a listener that has ended leaves in the kernel does not keep its port from the next. */
static yoke_error *listen_again_at_once(struct pair *p)
{
    struct address address = p->l->address;
    struct listener *again;
    close(p->fds[1]); /* the side that listened closes first: it is the one that lingers */
    close(p->fds[0]);
    listener_close(p->l);
    YOKE_TRY(listener_open(&again, &address));
    bool same = address_equal(&again->address, &address);
    listener_free(again);
    CHECK(same);
    return NULL;
}

static void test_tpt_10_a_port_is_free_again_at_once(void **state)
{
    run_at("tcp:127.0.0.1:0", listen_again_at_once);
}

static yoke_error *bytes_go_both_ways(struct pair *p)
{
    char got[16];
    for (int i = 0; i < 2; i++) {
        CHECK(transport_tcp.write(p->fds[i], "hello", 5) == 5);
        YOKE_TRY(yoke_wait_readable(p->fds[1 - i]));
        CHECK(transport_tcp.read(p->fds[1 - i], got, sizeof got) == 5 && memcmp(got, "hello", 5) == 0);
        CHECK(transport_tcp.read(p->fds[1 - i], got, 1) == -1 && errno == EAGAIN);
    }
    yoke_close(p->fds[0]);
    yoke_close(p->fds[1]);
    return NULL;
}

static void test_bytes_go_both_ways(void **state)
{
    run_at("tcp:127.0.0.1:0", bytes_go_both_ways);
}

static yoke_error *fill(struct pair *p)
{
    static char much[1 << 20];
    ssize_t n;
    for (size_t sent = 0; (n = transport_tcp.write(p->fds[0], much, sizeof much)) > 0; sent += (size_t)n)
        CHECK(sent < (size_t)1 << 30);
    CHECK(n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK));
    return close_both(p);
}

static void test_never_blocks(void **state)
{
    run_at("tcp:127.0.0.1:0", fill);
}

/* What it had said is read, then its end; and what is said to it then gives no SIGPIPE, which would end this
 * program. */
static yoke_error *peer_is_gone(struct pair *p)
{
    char got;
    signal(SIGPIPE, SIG_DFL);
    CHECK(transport_tcp.write(p->fds[1], "x", 1) == 1);
    close(p->fds[1]);
    YOKE_TRY(yoke_wait_readable(p->fds[0]));
    CHECK(transport_tcp.read(p->fds[0], &got, 1) == 1);
    YOKE_TRY(yoke_wait_readable(p->fds[0]));
    CHECK(transport_tcp.read(p->fds[0], &got, 1) == 0);
    ssize_t n;
    while ((n = transport_tcp.write(p->fds[0], "y", 1)) == 1)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(n == -1 && (errno == EPIPE || errno == ECONNRESET));
    yoke_close(p->fds[0]);
    return NULL;
}

static void test_a_peer_that_is_gone(void **state)
{
    run_at("tcp:127.0.0.1:0", peer_is_gone);
}

/* What it had sent was not read; its last words all the same come to it whole, and the end as an end. */
static yoke_error *hang_up_on_unread(struct pair *p)
{
    char got[8];
    CHECK(transport_tcp.write(p->fds[1], "unread", 6) == 6);
    YOKE_TRY(yoke_wait_readable(p->fds[0]));
    CHECK(transport_tcp.write(p->fds[0], "bye", 3) == 3);
    transport_tcp.hang_up(p->fds[0]);
    yoke_close(p->fds[0]);
    YOKE_TRY(yoke_wait_readable(p->fds[1]));
    CHECK(transport_tcp.read(p->fds[1], got, sizeof got) == 3);
    YOKE_TRY(yoke_wait_readable(p->fds[1]));
    CHECK(transport_tcp.read(p->fds[1], got, sizeof got) == 0);
    yoke_close(p->fds[1]);
    return NULL;
}

static void test_hanging_up_is_no_reset(void **state)
{
    run_at("tcp:127.0.0.1:0", hang_up_on_unread);
}

/* ---- IPv6 ---- */

static yoke_error *looks_like_six(struct pair *p)
{
    CHECK(strcmp(p->l->address.host, "::1") == 0 && p->l->address.port);
    return close_both(p);
}

static yoke_error *try_to_listen(void *arg)
{
    struct listener *l;
    YOKE_TRY(listener_open(&l, arg));
    listener_free(l);
    return NULL;
}

static void test_tpt_11_ipv6(void **state)
{
    struct address six = at("tcp:[::1]:0");
    yoke_error *e = yoke_run(try_to_listen, &six, NULL);
    if (e) { /* said clearly where there is none */
        const char *text = yoke_error_message(e);
        assert_true(strstr(text, "this host has no IPv6") || strstr(text, "this host has no such address"));
        yoke_error_free(e);
        print_message("# this host has no IPv6\n");
        skip();
    }
    run_at("tcp:[::1]:0", looks_like_six);
}

/* [::] is reached by IPv4 too. */
static yoke_error *reach_by_four(void *arg)
{
    struct listener *l;
    struct address four = {.kind = ADDRESS_TCP, .host = "127.0.0.1"};
    int near;
    YOKE_TRY(listener_open(&l, arg));
    four.port = l->address.port;
    yoke_error *e = transport_tcp.connect(&four, YOKE_S(60), &near);
    if (!e)
        close(near);
    listener_free(l);
    return e;
}

static void test_tpt_11_dual_stack(void **state)
{
    struct address any = at("tcp:[::]:0");
    yoke_error *e = yoke_run(try_to_listen, &any, NULL);
    bool none = e != NULL;
    yoke_error_free(e);
    if (none) {
        print_message("# this host has no IPv6\n");
        skip();
    }
    assert_success(yoke_run(reach_by_four, &any, NULL));
}

/* ---- addresses where nobody can listen ---- */

static void expect_no_listener(const char *text, const yoke_error_kind *kind, const char *says)
{
    struct address address = at(text);
    assert_error_text(yoke_run(try_to_listen, &address, NULL), kind, says);
}

static void test_addresses_to_listen_at(void **state)
{
    expect_no_listener("tcp:no.such.host:80", &YOKE_USAGE, "`no.such.host` is a name");
    expect_no_listener("tcp:192.0.2.1:0", &YOKE_SYSTEM, "this host has no such address");
}

static yoke_error *listen_twice(struct pair *p)
{
    struct listener *second;
    char says[ADDRESS_TEXT_BYTES + 32], text[ADDRESS_TEXT_BYTES];
    address_print(&p->l->address, text);
    snprintf(says, sizeof says, "%s: somebody listens there", text);
    CHECK(was(listener_open(&second, &p->l->address), &YOKE_ADDRESS_IN_USE, says));
    return close_both(p);
}

static void test_tpt_08_double_listen(void **state)
{
    run_at("tcp:localhost:0", listen_twice);
}

/* ---- connecting ---- */

struct attempt {
    struct address address;
    int64_t bound;
};

static yoke_error *try_to_connect(void *arg)
{
    const struct attempt *a = arg;
    int fd;
    YOKE_TRY(transport_tcp.connect(&a->address, a->bound, &fd));
    close(fd);
    return NULL;
}

static uint16_t free_port(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    close(fd);
    return ntohs(name.sin_port);
}

static void test_nobody_listens(void **state)
{
    struct attempt a = {at("tcp:127.0.0.1:1"), YOKE_S(60)};
    a.address.port = free_port();
    assert_error_text(yoke_run(try_to_connect, &a, NULL), &YOKE_CONNECT_FAILED,
                      "nobody listens there (connection refused)");
    a.address = at("tcp:no.such.host:80");
    assert_error_text(yoke_run(try_to_connect, &a, NULL), &YOKE_USAGE, "names are not looked up");
}

/*
 * Packets that are dropped: a listener whose backlog is full does so with who wants to connect (listen(2)).
 */
struct full {
    int fd, inside[8];
    struct attempt attempt;
};

static bool fill_backlog(struct full *f)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof name;
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f->fd, (struct sockaddr *)&name, sizeof name) < 0 || listen(f->fd, 0) < 0 ||
        getsockname(f->fd, (struct sockaddr *)&name, &size) < 0)
        return false;
    for (int i = 0; i < 8; i++) {
        f->inside[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(f->inside[i], (struct sockaddr *)&name, sizeof name);
    }
    f->attempt = (struct attempt){at("tcp:127.0.0.1:1"), YOKE_MS(200)};
    f->attempt.address.port = ntohs(name.sin_port);
    return true;
}

static yoke_error *dropped(void *arg)
{
    struct attempt *a = arg;
    yoke_scope s;
    int64_t begin = yoke_now();
    CHECK(was(try_to_connect(a), &YOKE_CONNECT_FAILED, "nothing answers there"));
    CHECK(yoke_now() - begin >= YOKE_MS(199));
    /* Cancellable before. */
    a->bound = YOKE_S(3600);
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(50)));
    YOKE_TRY(yoke_scope_close(&s, try_to_connect(a)));
    CHECK(yoke_scope_cancelled_caught(&s));
    return NULL;
}

static void test_ipc_20_packets_that_are_dropped(void **state)
{
    struct full f;
    assert_true(fill_backlog(&f));
    assert_success(yoke_run(dropped, &f.attempt, NULL));
    for (int i = 0; i < 8; i++)
        close(f.inside[i]);
    close(f.fd);
}

/* ---- a host that vanishes ---- */

static yoke_error *hear_the_loss(struct pair *p)
{
    struct channel *near;
    struct msg m;
    char got;
    transport_tcp.set_lost_bound(p->fds[0], YOKE_S(2));
    YOKE_TRY(channel_open(&near, p->fds[0], &transport_tcp, NULL));
    CHECK(namespace_loopback(false));
    int64_t begin = yoke_now();
    yoke_error *e = channel_receive(near, &m);
    int64_t took = yoke_now() - begin;
    channel_close(near);
    CHECK(was(e, &YOKE_TRANSPORT_VANISHED, NULL));
    CHECK(took >= YOKE_S(1) && took < YOKE_S(30));
    /* Who asked for nothing is told nothing. */
    CHECK(transport_tcp.read(p->fds[1], &got, 1) == -1 && errno == EAGAIN);
    close(p->fds[1]);
    return NULL;
}

static int lose_the_network(void)
{
    struct pair p = {.address = {.kind = ADDRESS_TCP, .host = "127.0.0.1"}, .body = hear_the_loss};
    yoke_error *e = yoke_run(with_pair, &p, NULL);
    if (e)
        yoke_error_print(stderr, e);
    return e != NULL;
}

static void test_fault_17_an_idle_connection(void **state)
{
    int status = namespace_run(lose_the_network);
    NAMESPACE_SKIP_IF_REFUSED(status);
    assert_int_equal(status, 0);
}

static yoke_error *speak_into_the_void(struct pair *p)
{
    struct channel *near;
    yoke_error *e = NULL;
    transport_tcp.set_lost_bound(p->fds[0], YOKE_S(2));
    YOKE_TRY(channel_open(&near, p->fds[0], &transport_tcp, NULL));
    CHECK(namespace_loopback(false));
    int64_t begin = yoke_now();
    while (!e && yoke_now() - begin < YOKE_S(60)) {
        e = send_number(near, 1, 10);
        if (!e)
            e = yoke_sleep(YOKE_MS(20));
    }
    CHECK(was(e, &YOKE_TRANSPORT_VANISHED, NULL));
    /* What reads is told the same, and not that the peer had closed it. */
    struct msg m;
    e = channel_receive(near, &m);
    channel_close(near);
    close(p->fds[1]);
    CHECK(was(e, &YOKE_TRANSPORT_VANISHED, NULL));
    return NULL;
}

static int lose_it_while_speaking(void)
{
    struct pair p = {.address = {.kind = ADDRESS_TCP, .host = "127.0.0.1"}, .body = speak_into_the_void};
    yoke_error *e = yoke_run(with_pair, &p, NULL);
    if (e)
        yoke_error_print(stderr, e);
    return e != NULL;
}

static void test_fault_17_with_data_on_the_way(void **state)
{
    int status = namespace_run(lose_it_while_speaking);
    NAMESPACE_SKIP_IF_REFUSED(status);
    assert_int_equal(status, 0);
}

HARNESS_MAIN(TEST(test_tpt_10_options), TEST(test_tpt_10_a_port_is_free_again_at_once),
             TEST(test_bytes_go_both_ways), TEST(test_never_blocks), TEST(test_a_peer_that_is_gone),
             TEST(test_hanging_up_is_no_reset), TEST(test_tpt_11_ipv6), TEST(test_tpt_11_dual_stack),
             TEST(test_addresses_to_listen_at), TEST(test_tpt_08_double_listen), TEST(test_nobody_listens),
             TEST(test_ipc_20_packets_that_are_dropped), TEST(test_fault_17_an_idle_connection),
             TEST(test_fault_17_with_data_on_the_way))
