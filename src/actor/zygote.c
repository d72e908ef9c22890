#include "actor/zygote.h"

#include "actor/interrupt.h"
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

enum { DIALOG_BOUND_S = 10 };

struct zygote {
    int socket;
    yoke_process *process;
    pid_t pid;
    bool busy;          /* a task speaks with it */
    bool in_step;       /* the last request was answered */
    yoke_uid asked_for; /* while busy: the child */
    list waiters;       /* others that want to speak with it */
};

/* What a child has of its parent besides the environment. */
enum slot { SLOT_CHANNEL, SLOT_CRASH, SLOT_FOLDER, SLOT_STDIN, SLOT_STDOUT, SLOT_STDERR, SLOTS };

/* A request: this, a descriptor for each bit of `slots`, then `bytes` of environment. The answer: this, and a
 * pidfd when it is a success. */
struct request {
    char uuid[37], name[sizeof((yoke_uid *)0)->name];
    uint8_t slots;
    uint32_t bytes;
};
struct answer {
    int32_t pid; /* or minus an errno */
};

/* ---- descriptors over a socket (unix(7), SCM_RIGHTS) ---- */

union ancillary {
    char space[CMSG_SPACE(SLOTS * sizeof(int))];
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

/* Room for SLOTS descriptors; those that did not come are -1. */
static ssize_t receive_with_fds(int socket, void *bytes, size_t size, int fds[SLOTS])
{
    union ancillary a;
    struct iovec part = {bytes, size};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = a.space, .msg_controllen = sizeof a.space};
    for (size_t i = 0; i < SLOTS; i++)
        fds[i] = -1;
    ssize_t n;
    do
        n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
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
    /* Room for the title of each clone. */
    char own[SPAWN_TITLE_BYTES], title[SPAWN_TITLE_BYTES + 16];
    spawn_title(a->uid.name, a->uid.uuid, own);
    snprintf(title, sizeof title, "zygote of %-*s", SPAWN_TITLE_BYTES, own);
    struct spawn_plan plan = {NULL, title, SPAWN_ZYGOTE_OPTION, a->uid.uuid, fds, 4};
    yoke_error *e = spawn_program(&plan, &z->process);
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

static yoke_error *zygote_gone(struct zygote *z, int error)
{
    return yoke_raise_errno(error ? error : ECONNRESET, "the zygote (pid %d) has ended", (int)z->pid);
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
            return zygote_gone(z, errno);
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return NULL;
}

/* A clone that can't be watched is not kept. It is our child and not yet reaped, so the number is its. */
static yoke_error *end_clone(pid_t pid, yoke_error *why)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
    return why;
}

static yoke_error *receive_answer(struct zygote *z, yoke_process **process)
{
    struct answer answer;
    int fds[SLOTS];
    for (;;) {
        YOKE_TRY(yoke_wait_readable(z->socket));
        ssize_t n = receive_with_fds(z->socket, &answer, sizeof answer, fds);
        if (n == sizeof answer)
            break;
        if (n >= 0 || errno != EAGAIN)
            return zygote_gone(z, n < 0 ? errno : 0);
    }
    z->in_step = true;
    if (answer.pid < 0)
        return yoke_raise_errno(-answer.pid, "cloning the zygote");
    if (fds[0] < 0) /* it was sent; so there was no room for it */
        return end_clone(answer.pid, yoke_raise_errno(EMFILE, "the pidfd of a clone"));
    yoke_error *e = process_adopt(process, answer.pid, fds[0]);
    if (!e)
        return NULL;
    close(fds[0]);
    return end_clone(answer.pid, e);
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

/* Sends the request with what is open of the descriptors that a child gets. */
static yoke_error *send_request(struct zygote *z, struct request *request, const int all[SLOTS])
{
    int fds[SLOTS];
    size_t count = 0;
    for (int slot = 0; slot < SLOTS; slot++)
        if (fcntl(all[slot], F_GETFD) >= 0) {
            request->slots |= (uint8_t)(1 << slot);
            fds[count++] = all[slot];
        }
    ssize_t n = send_with_fds(z->socket, request, sizeof *request, fds, count);
    return n == sizeof *request ? NULL : zygote_gone(z, n < 0 ? errno : 0);
}

static yoke_error *speak(struct zygote *z, const int all[SLOTS], yoke_process **process)
{
    struct request request = {.slots = 0};
    struct buffer environment = BUFFER_EMPTY;
    memcpy(request.uuid, z->asked_for.uuid, sizeof request.uuid);
    memcpy(request.name, z->asked_for.name, sizeof request.name);
    yoke_error *e = flatten_environment(&environment, z->asked_for.uuid);
    request.bytes = (uint32_t)buffer_size(&environment);
    z->in_step = e != NULL;
    if (!e)
        e = send_request(z, &request, all);
    if (!e)
        e = send_environment(z, (const char *)buffer_begin(&environment), buffer_size(&environment));
    if (!e)
        e = receive_answer(z, process);
    buffer_free(&environment);
    return e;
}

/* A dialog that has begun is gone through undisturbed: else the answer to one request would be read by the
 * next. */
static yoke_error *dialog(struct zygote *z, int channel_fd, int crash_fd, yoke_process **process)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(
        &shield, &(yoke_scope_options){.shield = true, .after = YOKE_S(DIALOG_BOUND_S), .fail = true}));
    int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int all[SLOTS] = {channel_fd, crash_fd, folder, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    yoke_error *e = speak(z, all, process);
    if (folder >= 0)
        close(folder);
    return yoke_scope_close(&shield, e);
}

/* Nobody uses it from here on; the next spawn starts another. */
static void drop(struct actor *a, struct zygote *z)
{
    a->zygote = NULL;
    while (wake_first(&z->waiters, NULL))
        ;
    yoke_error_free(yoke_process_signal(z->process, SIGKILL));
    zygote_close(z);
}

/* It speaks only when it is asked: anything to read is its end. */
static bool has_ended(const struct zygote *z)
{
    char byte;
    return recv(z->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/* The zygote, for this task alone; a new one if there is none that lives. */
static yoke_error *take(struct actor *a, struct zygote **out)
{
    for (;;) {
        if (!a->zygote)
            YOKE_TRY(start(a, &a->zygote));
        struct zygote *z = a->zygote;
        if (!z->busy && !has_ended(z)) {
            z->busy = true;
            *out = z;
            return NULL;
        }
        if (!z->busy) {
            yoke_log(YOKE_WARNING, "the zygote (pid %d) has ended; another is started", (int)z->pid);
            drop(a, z);
            continue;
        }
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(wait_in(&z->waiters, NULL));
    }
}

static void give_back(struct actor *a, struct zygote *z)
{
    z->busy = false;
    if (z->in_step)
        wake_first(&z->waiters, NULL);
    else
        drop(a, z);
}

yoke_error *zygote_spawn(struct actor *a, const yoke_uid *uid, int channel_fd, int crash_fd,
                         yoke_process **process)
{
    struct zygote *z = NULL;
    YOKE_TRY(take(a, &z));
    z->in_step = true;
    z->asked_for = *uid;
    yoke_error *e = dialog(z, channel_fd, crash_fd, process);
    give_back(a, z);
    return e;
}

bool zygote_is_asked(const struct zygote *zygote)
{
    return zygote && zygote->busy;
}

bool zygote_is_asked_for(const struct zygote *zygote, const char *uuid)
{
    return zygote && zygote->busy && strcmp(zygote->asked_for.uuid, uuid) == 0;
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

/*
 * So does its command line, by which `ps`, `yoke ps` and people tell what a process is: the clone's says
 * which actor it is. Its memory begins at argv[0], and was made long enough when the zygote was started.
 */
static void change_command_line(char **argv, const struct request *request, pid_t parent)
{
    size_t room = (size_t)(argv[1] + strlen(argv[1]) + 1 - argv[0]);
    char title[SPAWN_TITLE_BYTES], role[48];
    spawn_title(request->name, request->uuid, title);
    snprintf(role, sizeof role, SPAWN_CHILD_OPTION "%d", (int)parent);
    if (strlen(title) + strlen(role) + 2 > room)
        return;
    memset(argv[0], 0, room);
    argv[1] = argv[0] + strlen(title) + 1;
    strcpy(argv[0], title);
    strcpy(argv[1], role);
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

/* Descriptor `number` becomes what came as `fd`; what did not come is /dev/null, as with exec. */
static void put_in_place(int fd, int number)
{
    if (fd < 0)
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0 || dup2(fd, number) < 0)
        _exit(1);
    close(fd);
}

/* What came may have the numbers that it is to get: all of it moves out of the way first. */
static void place_fds(int socket, int fds[SLOTS])
{
    enum { OUT_OF_THE_WAY = 16 };
    close(socket);
    for (int slot = 0; slot < SLOTS; slot++) {
        if (fds[slot] < 0)
            continue;
        int moved = fcntl(fds[slot], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
        if (moved < 0)
            _exit(1);
        close(fds[slot]);
        fds[slot] = moved;
    }
    put_in_place(fds[SLOT_STDIN], STDIN_FILENO);
    put_in_place(fds[SLOT_STDOUT], STDOUT_FILENO);
    put_in_place(fds[SLOT_STDERR], STDERR_FILENO);
    put_in_place(fds[SLOT_CHANNEL], SPAWN_CHANNEL_FD);
    put_in_place(fds[SLOT_CRASH], SPAWN_CRASH_FD);
}

static void become_child(int socket, int fds[SLOTS], const struct request *request, char *environment)
{
    if (fds[SLOT_FOLDER] >= 0) {
        if (fchdir(fds[SLOT_FOLDER]) < 0)
            yoke_log(YOKE_WARNING, "the parent's working folder can't be entered: %s", strerror(errno));
        close(fds[SLOT_FOLDER]);
        fds[SLOT_FOLDER] = -1;
    }
    place_fds(socket, fds);
    change_mark(request->uuid);
    char **block = unflatten(environment, request->bytes);
    if (!block)
        _exit(1);
    environ = block;
}

/* Each descriptor to its slot; false if one is missing. */
static bool sort_fds(uint8_t slots, const int came[SLOTS], int fds[SLOTS])
{
    for (int slot = 0, next = 0; slot < SLOTS; slot++) {
        fds[slot] = slots & 1 << slot ? came[next++] : -1;
        if (slots & 1 << slot && fds[slot] < 0)
            return false;
    }
    return fds[SLOT_CHANNEL] >= 0 && fds[SLOT_CRASH] >= 0;
}

static void close_fds(const int fds[SLOTS])
{
    for (int slot = 0; slot < SLOTS; slot++)
        if (fds[slot] >= 0)
            close(fds[slot]);
}

/* One request. True: this is the clone. */
static bool serve_one(int socket, char **argv, pid_t parent)
{
    struct request request;
    int came[SLOTS], fds[SLOTS];
    ssize_t n = receive_with_fds(socket, &request, sizeof request, came);
    if (n != sizeof request || !sort_fds(request.slots, came, fds))
        _exit(n == 0 ? 0 : 1); /* the asker has closed its end, or is gone */
    char *environment = memory_alloc(request.bytes + 1);
    if (!environment || !receive_all(socket, environment, request.bytes))
        _exit(1);
    int pidfd = -1;
    pid_t pid = clone_sibling(&pidfd);
    if (pid == 0) {
        become_child(socket, fds, &request, environment);
        change_command_line(argv, &request, parent);
        return true;
    }
    struct answer answer = {pid < 0 ? -errno : pid};
    send_with_fds(socket, &answer, sizeof answer, &pidfd, pid > 0);
    if (pid > 0)
        close(pidfd);
    close_fds(fds);
    memory_free(environment);
    return false;
}

void zygote_serve(pid_t parent, char **argv)
{
    orphan_tag_self(); /* so that a clone which ends before it has met its parent can be told too */
    prctl(PR_SET_NAME, "yoke-zygote");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    interrupt_birth();
    fcntl(SPAWN_CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    while (!serve_one(SPAWN_CHANNEL_FD, argv, parent))
        ;
}
