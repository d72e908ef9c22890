#include "actor/zygote.h"

#include "actor/orphan.h"
#include "actor/spawn.h"
#include "base/buffer.h"
#include "base/die.h"
#include "base/memory.h"
#include "task/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct zygote {
    int socket;
    yoke_process *process;
    pid_t pid;
    bool busy;    /* a task speaks with it */
    list waiters; /* others that want to */
};

/* A request: this, two descriptors, then `bytes` of environment. The answer: this, and a pidfd when it is a
 * success. */
struct request {
    char uuid[37];
    uint32_t bytes;
};
struct answer {
    int32_t pid; /* or minus an errno */
};

/* ---- descriptors over a socket (unix(7), SCM_RIGHTS) ---- */

union ancillary {
    char space[CMSG_SPACE(2 * sizeof(int))];
    struct cmsghdr align;
};

static ssize_t send_with_fds(int socket, const void *bytes, size_t size, const int *fds, size_t count)
{
    union ancillary a = {{0}};
    struct iovec part = {(void *)bytes, size};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        m.msg_control = a.space;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(socket, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Descriptors that did not come are -1. */
static ssize_t receive_with_fds(int socket, void *bytes, size_t size, int *fds, size_t count)
{
    union ancillary a;
    struct iovec part = {bytes, size};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = a.space, .msg_controllen = sizeof a.space};
    for (size_t i = 0; i < count; i++)
        fds[i] = -1;
    ssize_t n;
    do
        n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(count * sizeof(int)))
        memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    return n;
}

/* ---- the asker's side ---- */

static yoke_error *start(struct actor *a, struct zygote **out)
{
    struct zygote *z = memory_calloc(1, sizeof *z);
    int pair[2];
    if (!z)
        return yoke_raise(&YOKE_NO_MEMORY, "the zygote");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        memory_free(z);
        return yoke_raise_errno(errno, "socketpair");
    }
    int fds[] = {0, 1, 2, pair[1]};
    yoke_error *e = spawn_self(a, SPAWN_ZYGOTE_OPTION, fds, 4, a->uid.uuid, &z->process);
    close(pair[1]);
    if (e) {
        close(pair[0]);
        memory_free(z);
        return e;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    z->socket = pair[0];
    z->pid = yoke_process_pid(z->process);
    list_init(&z->waiters);
    *out = z;
    return NULL;
}

static yoke_error *zygote_gone(int error)
{
    return yoke_raise_errno(error ? error : ECONNRESET, "the zygote has ended");
}

static yoke_error *send_environment(struct zygote *z, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = send(z->socket, bytes, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            YOKE_TRY(yoke_wait_writable(z->socket));
            continue;
        }
        if (n < 0 && errno != EINTR)
            return zygote_gone(errno);
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return NULL;
}

static yoke_error *receive_answer(struct zygote *z, yoke_process **process)
{
    struct answer answer;
    int pidfd;
    for (;;) {
        YOKE_TRY(yoke_wait_readable(z->socket));
        ssize_t n = receive_with_fds(z->socket, &answer, sizeof answer, &pidfd, 1);
        if (n == sizeof answer)
            break;
        if (n >= 0 || errno != EAGAIN)
            return zygote_gone(n < 0 ? errno : 0);
    }
    if (answer.pid < 0)
        return yoke_raise_errno(-answer.pid, "cloning the zygote");
    if (pidfd < 0)
        return yoke_raise(&YOKE_INTERNAL, "the zygote's answer had no pidfd");
    yoke_error *e = process_adopt(process, answer.pid, pidfd);
    if (!e)
        return NULL;
    kill(answer.pid, SIGKILL);
    waitpid(answer.pid, NULL, __WALL);
    close(pidfd);
    return e;
}

/* The environment as it is now, one zero-terminated text after the other. */
static yoke_error *flatten_environment(struct buffer *out, const char *uuid)
{
    char **block = spawn_environment(uuid);
    bool fine = block != NULL;
    for (char **v = block; fine && *v; v++)
        fine = buffer_append(out, *v, strlen(*v) + 1);
    memory_free(block);
    return fine ? NULL : yoke_raise(&YOKE_NO_MEMORY, "a child's environment");
}

/* A dialog that has begun is gone through undisturbed: else the answer to one request would be read by the
 * next. */
static yoke_error *dialog(struct zygote *z, const struct request *request, const int fds[2],
                          const struct buffer *environment, yoke_process **process)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield,
                                  &(yoke_scope_options){.shield = true, .after = YOKE_S(10), .fail = true}));
    yoke_error *e = NULL;
    if (send_with_fds(z->socket, request, sizeof *request, fds, 2) != sizeof *request)
        e = zygote_gone(errno);
    if (!e)
        e = send_environment(z, (const char *)buffer_begin(environment), buffer_size(environment));
    if (!e)
        e = receive_answer(z, process);
    return yoke_scope_close(&shield, e);
}

yoke_error *zygote_spawn(struct actor *a, const yoke_uid *uid, int channel_fd, int crash_fd,
                         yoke_process **process)
{
    if (!a->zygote)
        YOKE_TRY(start(a, &a->zygote));
    struct zygote *z = a->zygote;
    while (z->busy)
        YOKE_TRY(wait_in(&z->waiters, NULL));
    struct request request = {{0}, 0};
    memcpy(request.uuid, uid->uuid, sizeof request.uuid);
    struct buffer environment = BUFFER_EMPTY;
    YOKE_TRY(flatten_environment(&environment, uid->uuid));
    request.bytes = (uint32_t)buffer_size(&environment);
    z->busy = true;
    yoke_error *e = dialog(z, &request, (int[]){channel_fd, crash_fd}, &environment, process);
    z->busy = false;
    wake_first(&z->waiters, NULL);
    buffer_free(&environment);
    return e;
}

pid_t zygote_pid(const struct zygote *zygote)
{
    return zygote ? zygote->pid : -1;
}

void zygote_close(struct zygote *z)
{
    if (!z)
        return;
    yoke_close(z->socket);
    yoke_error_free(yoke_process_close(z->process, NULL));
    memory_free(z);
}

/* ---- the zygote's own side ---- */

/* The texts of `bytes` as an environ array; it lives as long as the process. */
static char **unflatten(char *bytes, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += bytes[i] == '\0';
    char **block = memory_alloc((count + 1) * sizeof *block), **to = block;
    if (!block)
        return NULL;
    for (char *at = bytes; at < bytes + size; at += strlen(at) + 1)
        *to++ = at;
    *to = NULL;
    return block;
}

/*
 * What /proc shows as our environment is the memory in which this program was started; the mark in it is
 * written over, so that the supervisors above can tell whose process this is (orphan.h). Both texts are
 * UUIDs, of equal length.
 */
static void change_mark(const char *uuid)
{
    char *mark = getenv(ORPHAN_MARK);
    if (mark && strlen(mark) == 36)
        memcpy(mark, uuid, 36);
}

/* So does its command line, by which `yoke ps` and people tell what a process is: the clone's says that it is
 * an actor. */
static void change_role(char *role, pid_t parent)
{
    size_t room = strlen(role) + 1;
    int size = snprintf(NULL, 0, SPAWN_CHILD_OPTION "%d", (int)parent);
    memset(role, 0, room);
    if ((size_t)size < room)
        snprintf(role, room, SPAWN_CHILD_OPTION "%d", (int)parent);
}

static bool receive_all(int socket, char *bytes, size_t size)
{
    while (size) {
        ssize_t n = recv(socket, bytes, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static pid_t clone_sibling(int *pidfd)
{
    struct clone_args args = {
        .flags = CLONE_PARENT | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)pidfd, .exit_signal = 0};
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static void become_child(int socket, const int fds[2], const struct request *request, char *environment)
{
    close(socket);
    /* The two may have each other's number: first out of the way, then into place. */
    int channel = fcntl(fds[0], F_DUPFD_CLOEXEC, 10), crash = fcntl(fds[1], F_DUPFD_CLOEXEC, 10);
    close(fds[0]);
    close(fds[1]);
    dup2(channel, SPAWN_CHANNEL_FD);
    dup2(crash, SPAWN_CRASH_FD);
    close(channel);
    close(crash);
    change_mark(request->uuid);
    char **block = unflatten(environment, request->bytes);
    if (!block)
        _exit(1);
    environ = block;
}

/* One request. True: this is the clone. */
static bool serve_one(int socket)
{
    struct request request;
    int fds[2];
    ssize_t n = receive_with_fds(socket, &request, sizeof request, fds, 2);
    if (n != sizeof request || fds[0] < 0)
        _exit(n == 0 ? 0 : 1); /* the asker has closed its end, or is gone */
    char *environment = memory_alloc(request.bytes + 1);
    if (!environment || !receive_all(socket, environment, request.bytes))
        _exit(1);
    int pidfd = -1;
    pid_t pid = clone_sibling(&pidfd);
    if (pid == 0) {
        become_child(socket, fds, &request, environment);
        return true;
    }
    struct answer answer = {pid < 0 ? -errno : pid};
    send_with_fds(socket, &answer, sizeof answer, &pidfd, pid > 0);
    if (pid > 0)
        close(pidfd);
    close(fds[0]);
    close(fds[1]);
    memory_free(environment);
    return false;
}

void zygote_serve(pid_t parent, char *role)
{
    prctl(PR_SET_NAME, "yoke-zygote");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    signal(SIGINT, SIG_IGN);
    fcntl(SPAWN_CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    while (!serve_one(SPAWN_CHANNEL_FD))
        ;
    change_role(role, parent);
}
