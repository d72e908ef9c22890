#include "ipc/transport.h"

#include "ipc/directory.h"
#include "ipc/stream_socket.h"

#include <yoke/task.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOCK_BOUND YOKE_S(1)

/* So that the two sides need not wake each other for every few large messages. Only what is written and not
 * read takes memory; the kernel allows net.core.wmem_max, and doubles it (socket(7)). */
static void widen(int fd)
{
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){1 << 19}, sizeof(int));
}

static yoke_error *uds_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return yoke_raise_errno(errno, "socketpair");
    widen(fds[0]);
    widen(fds[1]);
    return NULL;
}

/* ---- sockets in the file system ---- */

static struct sockaddr_un socket_name(const struct address *address)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, address->path, sizeof address->path);
    return name;
}

static int open_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool uds_credentials(int fd, struct transport_credentials *who)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    *who = (struct transport_credentials){peer.pid, peer.uid};
    return true;
}

/* Does a listener stand behind this file? `owner` is told if so. A full backlog is one too. */
static bool answers(const struct address *address, pid_t *owner)
{
    struct sockaddr_un name = socket_name(address);
    struct transport_credentials who = {0};
    int fd = open_socket();
    bool yes = fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0;
    if (yes)
        uds_credentials(fd, &who);
    else
        yes = errno != ECONNREFUSED && errno != ENOENT && errno != ENOTSOCK;
    if (fd >= 0)
        close(fd);
    *owner = who.pid;
    return yes;
}

static bool is_socket(const struct address *address)
{
    struct stat status;
    return lstat(address->path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* 0, or why not. */
static int unlink_socket(const struct address *address)
{
    struct stat status;
    if (lstat(address->path, &status) < 0)
        return errno;
    if (!S_ISSOCK(status.st_mode))
        return ENOTSOCK;
    return unlink(address->path) == 0 ? 0 : errno;
}

/* That it can't be done is said, and is nobody's error: what it is done for has failed already. */
static void uds_remove_stale(const struct address *address)
{
    pid_t owner;
    if (is_socket(address) && answers(address, &owner))
        return;
    int error = unlink_socket(address);
    if (!error)
        yoke_log(YOKE_TRANSPORT, "%s was left behind by a process that is gone: removed", address->path);
    else if (error == ENOENT)
        yoke_log(YOKE_TRANSPORT, "%s is gone, as the process that may have listened there", address->path);
    else
        yoke_log(YOKE_WARNING, "%s was left behind by a process that is gone, and can't be removed: %s",
                 address->path, strerrordesc_np(error));
}

/* Two processes that find the same stale file must not remove each other's new one: what changes a name in a
 * directory is done under its lock. */
static yoke_error *lock(int directory, const struct address *address)
{
    for (int64_t begin = yoke_now(); flock(directory, LOCK_EX | LOCK_NB) < 0;) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return yoke_raise_errno(errno, "locking the directory of %s", address->path);
        if (yoke_now() - begin > LOCK_BOUND)
            return yoke_raise(&YOKE_TOO_SLOW, "the directory of %s is locked by another process",
                              address->path);
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return NULL;
}

static yoke_error *in_use(const struct address *address, pid_t owner)
{
    if (owner)
        return yoke_raise(&YOKE_ADDRESS_IN_USE, "unix:%s: process %d listens there", address->path,
                          (int)owner);
    return yoke_raise(&YOKE_ADDRESS_IN_USE, "unix:%s: somebody listens there", address->path);
}

static yoke_error *bind_and_listen(int fd, const struct address *address)
{
    struct sockaddr_un name = socket_name(address);
    pid_t owner;
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0) {
        if (errno != EADDRINUSE)
            return yoke_raise_errno(errno, "listening at unix:%s", address->path);
        if (!is_socket(address) || answers(address, &owner))
            return in_use(address, is_socket(address) ? owner : 0);
        if (unlink(address->path) < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0)
            return yoke_raise_errno(errno, "listening at unix:%s", address->path);
    }
    if (listen(fd, TRANSPORT_BACKLOG) == 0)
        return NULL;
    yoke_error *e = yoke_raise_errno(errno, "listening at unix:%s", address->path);
    unlink(address->path);
    return e;
}

static yoke_error *listen_locked(int directory, const struct address *address, int *out,
                                 struct transport_mark *mark)
{
    struct stat status = {0};
    YOKE_TRY(lock(directory, address));
    int fd = open_socket();
    if (fd < 0)
        return yoke_raise_errno(errno, "a socket to listen with");
    yoke_error *e = bind_and_listen(fd, address);
    if (e) {
        close(fd);
        return e;
    }
    lstat(address->path, &status);
    *mark = (struct transport_mark){status.st_dev, status.st_ino};
    *out = fd;
    return NULL;
}

static yoke_error *uds_listen(struct address *address, int *fd, struct transport_mark *mark)
{
    char directory[ADDRESS_PATH_BYTES];
    size_t size = (size_t)(strrchr(address->path, '/') - address->path);
    snprintf(directory, sizeof directory, "%.*s", size ? (int)size : 1, address->path);
    int at;
    YOKE_TRY(directory_open(directory, &at));
    yoke_error *e = listen_locked(at, address, fd, mark);
    close(at); /* and so unlocked */
    return e;
}

/* The file may be another listener's by now. As long as the descriptor is open no other file has the number.
 */
static void uds_unlisten(const struct address *address, const struct transport_mark *mark)
{
    struct stat status;
    if (lstat(address->path, &status) == 0 && status.st_ino == mark->inode && status.st_dev == mark->device &&
        unlink(address->path) == 0)
        return;
    yoke_log(YOKE_TRANSPORT, "%s is gone, or another listener's by now: not removed", address->path);
}

static int uds_accept(int fd)
{
    int connected = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connected >= 0)
        widen(connected);
    return connected;
}

/* ---- connecting ---- */

static yoke_error *cannot_connect(const struct address *address, int number)
{
    return yoke_raise(&YOKE_CONNECT_FAILED, "unix:%s: %s", address->path,
                      number == ECONNREFUSED ? "nobody listens there (connection refused)"
                      : number == ENOENT     ? "there is no such file"
                      : number == EAGAIN     ? "its listener takes no more connections"
                                             : strerrordesc_np(number));
}

/* On uds a full backlog is an error at once (connect(2): EAGAIN): it is asked again and again. */
static yoke_error *try_till(int fd, const struct address *address, int64_t deadline)
{
    struct sockaddr_un name = socket_name(address);
    for (int64_t pause = YOKE_MS(1);; pause = pause < YOKE_MS(50) ? 2 * pause : pause) {
        if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
            return NULL;
        if ((errno != EAGAIN && errno != EINTR) || yoke_now() >= deadline)
            return cannot_connect(address, errno);
        YOKE_TRY(yoke_sleep(pause));
    }
}

static void pass_credentials(int fd, int on)
{
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
}

static yoke_error *uds_connect(const struct address *address, int64_t bound, int *out)
{
    YOKE_TRY(yoke_checkpoint());
    int fd = open_socket();
    if (fd < 0)
        return yoke_raise_errno(errno, "a socket to connect with");
    /* So that the kernel names this end: there are listeners which do not serve one without a name. Off
     * again, since reads end where another process' bytes begin as long as it is on (unix(7)). */
    pass_credentials(fd, 1);
    yoke_error *e = try_till(fd, address, yoke_now() + bound);
    pass_credentials(fd, 0);
    if (e) {
        close(fd);
        return e;
    }
    widen(fd);
    *out = fd;
    return NULL;
}

const struct transport transport_uds = {
    .name = "uds",
    .kind = ADDRESS_UDS,
    .pair = uds_pair,
    .read = stream_socket_read,
    .write = stream_socket_write,
    .read_parts = stream_socket_read_parts,
    .write_parts = stream_socket_write_parts,
    .end_reading = stream_socket_end_reading,
    .hang_up = stream_socket_hang_up,
    .listen = uds_listen,
    .unlisten = uds_unlisten,
    .remove_stale = uds_remove_stale,
    .accept = uds_accept,
    .connect = uds_connect,
    .credentials = uds_credentials,
};
