/*
 * TCP, between hosts or on one. The kernel knows nothing of who is at the other end, so whoever serves it
 * asks for a proof (handshake.h). A host that vanishes says no goodbye: it is found by probes
 * (set_lost_bound).
 */
#include "ipc/transport.h"

#include "ipc/stream_socket.h"
#include "task/poller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- options ---- */

static void set(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

/*
 * tcp(7): an idle connection is probed after a third of the bound and then at each further third; what was
 * sent and is not acknowledged may be so for as long. The kernel counts the probes in whole seconds.
 * TCP_USER_TIMEOUT ends both, at the last probe; half a probe earlier than that, so that it is the last and
 * not the one after it.
 */
static void tcp_set_lost_bound(int fd, int64_t bound)
{
    int seconds = (int)(bound / YOKE_S(1)), pause = seconds / 3 > 0 ? seconds / 3 : 1;
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, pause);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, pause);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, seconds / pause);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, seconds * 1000 - pause * 500);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* Frames leave when they are written: the channel gathers those of a pass by itself. */
static void without_delay(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* ---- addresses ---- */

/*
 * Names are not asked for: that can take seconds in which no task of this thread runs. The one that needs no
 * asking is taken (RFC 6761, 6.3).
 */
static yoke_error *socket_name(const struct address *address, struct sockaddr_storage *name, socklen_t *size)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)name;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)name;
    const char *host = strcmp(address->host, "localhost") == 0 ? "127.0.0.1" : address->host;
    memset(name, 0, sizeof *name);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address->port);
        *size = sizeof *v4;
        return NULL;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address->port);
        *size = sizeof *v6;
        return NULL;
    }
    return yoke_raise(&YOKE_USAGE,
                      "tcp:%s:%u: `%s` is a name, and names are not looked up: give its address, as `getent "
                      "ahosts %s` tells it",
                      address->host, (unsigned)address->port, address->host, address->host);
}

static yoke_error *open_socket(const struct sockaddr_storage *name, const struct address *address, int *fd)
{
    *fd = socket(name->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd >= 0)
        return NULL;
    if (errno != EAFNOSUPPORT)
        return yoke_raise_errno(errno, "a socket");
    char text[ADDRESS_TEXT_BYTES];
    address_print(address, text);
    return yoke_raise(&YOKE_CONNECT_FAILED, "%s: this host has no %s", text,
                      name->ss_family == AF_INET6 ? "IPv6" : "IPv4");
}

/* The port of the kernel's choosing. */
static void complete(int fd, struct address *address)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &size) == 0)
        address->port = ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                                         : ((struct sockaddr_in *)&name)->sin_port);
}

/* ---- listening ---- */

static yoke_error *cannot_listen(const struct address *address, int number)
{
    char text[ADDRESS_TEXT_BYTES];
    address_print(address, text);
    if (number == EADDRINUSE)
        return yoke_raise(&YOKE_ADDRESS_IN_USE, "%s: somebody listens there", text);
    if (number == EADDRNOTAVAIL)
        return yoke_raise_errno(number, "listening at %s: this host has no such address", text);
    return yoke_raise_errno(number, "listening at %s", text);
}

static yoke_error *bind_and_listen(int fd, const struct address *address, const struct sockaddr_storage *name,
                                   socklen_t size)
{
    /* Connections of a listener that has ended linger on for minutes, and would keep the port. */
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    /* [::] is every address of this host, whatever its default is (ipv6(7)). */
    if (name->ss_family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (bind(fd, (const struct sockaddr *)name, size) == 0 && listen(fd, TRANSPORT_BACKLOG) == 0)
        return NULL;
    return cannot_listen(address, errno);
}

static yoke_error *tcp_listen(struct address *address, int *out, struct transport_mark *mark)
{
    struct sockaddr_storage name;
    socklen_t size;
    int fd;
    *mark = (struct transport_mark){0, 0};
    YOKE_TRY(yoke_checkpoint());
    YOKE_TRY(socket_name(address, &name, &size));
    YOKE_TRY(open_socket(&name, address, &fd));
    yoke_error *e = bind_and_listen(fd, address, &name, size);
    if (e) {
        close(fd);
        return e;
    }
    complete(fd, address);
    *out = fd;
    return NULL;
}

/* Nothing is left of it outside of the kernel. */
static void tcp_unlisten(const struct address *address, const struct transport_mark *mark)
{
}

static void tcp_remove_stale(const struct address *address)
{
}

static int tcp_accept(int fd)
{
    int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (got >= 0)
        without_delay(got);
    return got;
}

/* ---- connecting ---- */

static const char *reason(int number)
{
    switch (number) {
    case ECONNREFUSED:
        return "nobody listens there (connection refused)";
    case ENETUNREACH:
        return "there is no route to it (network is unreachable)";
    case EHOSTUNREACH:
        return "there is no route to it (no such host answers)";
    case ETIMEDOUT:
        return "nothing answers there";
    default:
        return strerrordesc_np(number);
    }
}

static yoke_error *cannot_connect(const struct address *address, int number)
{
    char text[ADDRESS_TEXT_BYTES];
    address_print(address, text);
    return yoke_raise(&YOKE_CONNECT_FAILED, "%s: %s", text, reason(number));
}

/* The outcome of a connect(2) that was begun: 0 or its error. */
static int outcome(int fd)
{
    int number = 0;
    socklen_t size = sizeof number;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size);
    return number;
}

static yoke_error *wait_for_outcome(int fd, int64_t bound, int *number)
{
    yoke_scope s;
    struct poll_watch watch;
    YOKE_TRY(poll_watch_open(&watch, fd));
    yoke_error *e = yoke_move_on_after(&s, bound);
    if (!e)
        e = yoke_scope_close(&s, poll_watch_writable(&watch));
    poll_watch_close(&watch);
    if (!e)
        *number = yoke_scope_cancelled_caught(&s) ? ETIMEDOUT : outcome(fd);
    return e;
}

/* A connection from a port to the same port of the same host is one to itself (RFC 9293, 3.5): there is no
 * listener, and what is sent comes back. */
static bool is_own_echo(int fd)
{
    struct sockaddr_storage near = {0}, far = {0};
    socklen_t near_size = sizeof near, far_size = sizeof far;
    return getsockname(fd, (struct sockaddr *)&near, &near_size) == 0 &&
           getpeername(fd, (struct sockaddr *)&far, &far_size) == 0 && near_size == far_size &&
           memcmp(&near, &far, near_size) == 0;
}

static yoke_error *connect_to(int fd, const struct sockaddr_storage *name, socklen_t size,
                              const struct address *address, int64_t bound)
{
    int number = connect(fd, (const struct sockaddr *)name, size) == 0 ? 0 : errno;
    if (number == EINPROGRESS || number == EINTR)
        YOKE_TRY(wait_for_outcome(fd, bound, &number));
    if (!number && is_own_echo(fd))
        number = ECONNREFUSED;
    return number ? cannot_connect(address, number) : NULL;
}

static yoke_error *tcp_connect(const struct address *address, int64_t bound, int *out)
{
    struct sockaddr_storage name;
    socklen_t size;
    int fd;
    YOKE_TRY(yoke_checkpoint());
    YOKE_TRY(socket_name(address, &name, &size));
    YOKE_TRY(open_socket(&name, address, &fd));
    without_delay(fd);
    yoke_error *e = connect_to(fd, &name, size, address, bound);
    if (e)
        close(fd);
    else
        *out = fd;
    return e;
}

const struct transport transport_tcp = {
    .name = "tcp",
    .kind = ADDRESS_TCP,
    .read = stream_socket_read,
    .write = stream_socket_write,
    .read_parts = stream_socket_read_parts,
    .write_parts = stream_socket_write_parts,
    .end_reading = stream_socket_end_reading,
    .hang_up = stream_socket_hang_up,
    .set_lost_bound = tcp_set_lost_bound,
    .listen = tcp_listen,
    .unlisten = tcp_unlisten,
    .remove_stale = tcp_remove_stale,
    .accept = tcp_accept,
    .connect = tcp_connect,
};
