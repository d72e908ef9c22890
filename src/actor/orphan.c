#include "actor/orphan.h"

#include "actor/child.h"
#include "actor/hold.h"
#include "actor/peer.h"
#include "actor/zygote.h"
#include "base/buffer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    COMM_BYTES = 16,
    UUID_BYTES = 37,
    ROUND_MS = 20,
    HURRIED_MS = 200,
    REST_ROUNDS = 20,
    REST_ROUND_MS = 5
};

/* ---- what /proc says ---- */

/* Reads a small file of /proc, zero-terminated; false if it can't be. */
static bool read_file(const char *path, struct buffer *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = 1;
    while (n > 0 && buffer_reserve(b, 4096)) {
        do
            n = read(fd, b->data + b->end, b->capacity - b->end - 1);
        while (n < 0 && errno == EINTR);
        b->end += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return n == 0 && buffer_append(b, "", 1);
}

/* The mark in the environment of process `pid`; empty if there is none, or none of ours. */
static void read_mark(pid_t pid, char mark[UUID_BYTES])
{
    char path[64];
    struct buffer b = BUFFER_EMPTY;
    mark[0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    if (read_file(path, &b)) {
        const char *at = (const char *)buffer_begin(&b), *end = at + buffer_size(&b) - 1;
        for (; at < end; at += strlen(at) + 1)
            if (strncmp(at, ORPHAN_MARK "=", sizeof ORPHAN_MARK) == 0)
                snprintf(mark, UUID_BYTES, "%s", at + sizeof ORPHAN_MARK);
    }
    buffer_free(&b);
}

/* ---- tags ---- */

#define TAG_BASE ((rlim_t)1 << 62)
#define TAG_BITS 48

static bool is_tag(rlim_t limit)
{
    return limit >> TAG_BITS == TAG_BASE >> TAG_BITS && limit != TAG_BASE;
}

/* By chance: that two actors of a tree have the same is one case in 2^48. */
void orphan_tag_self(void)
{
    struct rlimit limit;
    uint64_t chance = 0;
    if (getrlimit(RLIMIT_RSS, &limit) < 0 || getrandom(&chance, sizeof chance, GRND_NONBLOCK) < 0)
        return;
    limit.rlim_cur = TAG_BASE | chance >> (64 - TAG_BITS);
    setrlimit(RLIMIT_RSS, &limit);
}

static rlim_t own_tag(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_RSS, &limit) == 0 ? limit.rlim_cur : 0;
}

/* Is it a zombie, and what is its tag? 0 if that can't be read. */
static bool is_zombie(pid_t pid, rlim_t *tag)
{
    enum { STATE = 3, RSS_LIMIT = 25 }; /* fields */
    char path[64];
    struct buffer b = BUFFER_EMPTY;
    bool zombie = false;
    *tag = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (read_file(path, &b)) {
        const char *at = strrchr((const char *)buffer_begin(&b), ')');
        zombie = at && at[1] == ' ' && at[2] == 'Z';
        for (int field = STATE; at && field <= RSS_LIMIT; field++)
            at = strchr(at + 1, ' ');
        *tag = at ? strtoull(at, NULL, 10) : 0;
    }
    buffer_free(&b);
    return zombie;
}

/* Calls `visit` with each child process of this one: they stand with the thread that forked or adopted them.
 */
static void each_child(void (*visit)(pid_t pid, void *arg), void *arg)
{
    DIR *threads = opendir("/proc/self/task");
    for (struct dirent *d; threads && (d = readdir(threads));) {
        char path[300];
        struct buffer b = BUFFER_EMPTY;
        snprintf(path, sizeof path, "/proc/self/task/%s/children", d->d_name);
        if (d->d_name[0] != '.' && read_file(path, &b)) {
            char *at = (char *)buffer_begin(&b), *next;
            for (long pid; (pid = strtol(at, &next, 10)) > 0; at = next)
                visit((pid_t)pid, arg);
        }
        buffer_free(&b);
    }
    if (threads)
        closedir(threads);
}

/* ---- the adopted ---- */

struct sweep {
    struct actor *a;
    bool kill;
    bool again;          /* something is left, or was reaped: what that leaves behind is ours only now */
    struct buffer known; /* pid_t: of orphans seen alive: they may have changed their limits */
    struct buffer ours;  /* pid_t, sorted: the actor's own children, as of this look */
    bool listed;         /* all of them are in `ours`: there was memory */
};

static bool is_known(const struct sweep *s, pid_t pid)
{
    const pid_t *known = (const pid_t *)(const void *)buffer_begin(&s->known);
    for (size_t i = 0; i < buffer_size(&s->known) / sizeof pid; i++)
        if (known[i] == pid)
            return true;
    return false;
}

static int by_number(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
    return (x > y) - (x < y);
}

/* Each child that ends is followed by a sweep of all the others: a walk of the list for each of those would
 * be as much again for each. */
static void list_ours(struct sweep *s)
{
    buffer_consume(&s->ours, buffer_size(&s->ours));
    s->listed = true;
    list_for_each(node, &s->a->children)
        s->listed &= buffer_append(&s->ours, &container_of(node, struct child, in_actor)->pid, sizeof(pid_t));
    if (s->listed && buffer_size(&s->ours))
        qsort(buffer_begin(&s->ours), buffer_size(&s->ours) / sizeof(pid_t), sizeof(pid_t), by_number);
}

static bool is_ours(const struct sweep *s, pid_t pid)
{
    size_t count = buffer_size(&s->ours) / sizeof pid;
    if (zygote_pid(s->a->zygote) == pid)
        return true;
    if (s->listed)
        return count && bsearch(&pid, buffer_begin(&s->ours), count, sizeof pid, by_number);
    list_for_each(node, &s->a->children)
        if (container_of(node, struct child, in_actor)->pid == pid)
            return true;
    return false;
}

/* The mark that this process' own children inherit: the root has none, or that of an actor which it is not
 * a part of but was started by. */
static bool is_own_mark(struct actor *a, const char *mark)
{
    const char *inherited = getenv(ORPHAN_MARK);
    return strcmp(mark, a->uid.uuid) == 0 || (inherited && strcmp(mark, inherited) == 0);
}

static bool is_orphan(struct sweep *s, pid_t pid)
{
    char mark[UUID_BYTES];
    rlim_t tag;
    if (is_ours(s, pid))
        return false;
    if (is_known(s, pid))
        return true;
    bool zombie = is_zombie(pid, &tag);
    if (is_tag(tag) && tag != own_tag()) {
        s->again = true; /* while the zygote is asked it may be a clone that is not known yet */
        return !zygote_is_asked(s->a->zygote);
    }
    if (zombie)
        return false;
    read_mark(pid, mark);
    if (!mark[0] || is_own_mark(s->a, mark) || zygote_is_asked_for(s->a->zygote, mark))
        return false;
    buffer_append(&s->known, &pid, sizeof pid);
    return true;
}

/* Reaps it if it is dead, kills it if it is time. */
static void end_orphan(pid_t pid, void *arg)
{
    struct sweep *s = arg;
    if (!is_orphan(s, pid))
        return;
    s->again = true;
    /* As long as it is ours and not reaped, the number can't be another process'. */
    if (waitpid(pid, NULL, WNOHANG | __WALL) == 0 && s->kill) {
        yoke_log(YOKE_CANCEL, "process %d, left behind by an actor that died: SIGKILL", (int)pid);
        kill(pid, SIGKILL);
    }
}

static int64_t hurried(struct actor *a, int64_t grace)
{
    bool lost = a->parent && a->parent->lost;
    return lost && grace > YOKE_MS(HURRIED_MS) ? YOKE_MS(HURRIED_MS) : grace;
}

void orphan_sweep(struct actor *a, int64_t grace)
{
    struct sweep s = {.a = a};
    int64_t begin = yoke_now();
    for (;;) {
        s.again = false;
        list_ours(&s);
        each_child(end_orphan, &s);
        if (!s.again)
            break;
        yoke_error_free(yoke_sleep(YOKE_MS(ROUND_MS)));
        if (hold_any(a)) /* it may be one of these that a debugger has */
            begin = yoke_now();
        s.kill = yoke_now() >= begin + hurried(a, grace);
    }
    buffer_free(&s.known);
    buffer_free(&s.ours);
}

/* ---- at the end ---- */

struct rest {
    const char *uuid;
    bool again;
};

static bool is_actor(pid_t pid)
{
    char path[64], comm[COMM_BYTES] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, comm, sizeof comm - 1);
    if (fd >= 0)
        close(fd);
    return n > 5 && strncmp(comm, "yoke-", 5) == 0;
}

static void end_rest(pid_t pid, void *arg)
{
    struct rest *r = arg;
    char mark[UUID_BYTES];
    read_mark(pid, mark);
    if (!mark[0] || (strcmp(mark, r->uuid) != 0 && is_actor(pid)))
        return;
    kill(pid, SIGKILL);
    r->again = true;
}

void orphan_end_rest(const char *uuid)
{
    struct rest r = {.uuid = uuid, .again = *uuid != '\0'};
    /* What was below one of them is ours after it: another look. */
    for (int i = 0; i < REST_ROUNDS && r.again; i++) {
        r.again = false;
        each_child(end_rest, &r);
        if (r.again)
            nanosleep(&(struct timespec){0, YOKE_MS(REST_ROUND_MS)}, NULL);
    }
}
