#include "actor/orphan.h"

#include "actor/child.h"
#include "actor/zygote.h"
#include "base/buffer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMM_BYTES = 16, ROUND_MS = 20 };

/* Reads a small file of /proc, zero-terminated; false if it can't be. */
static bool read_file(const char *path, struct buffer *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = 1;
    while (n > 0 && buffer_reserve(b, 4096)) {
        n = read(fd, b->data + b->end, b->capacity - b->end - 1);
        b->end += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return n == 0 && buffer_append(b, "", 1);
}

static bool is_ours(struct actor *a, pid_t pid)
{
    if (zygote_pid(a->zygote) == pid)
        return true;
    list_for_each(node, &a->children)
        if (container_of(node, struct child, in_actor)->pid == pid)
            return true;
    return false;
}

/* Does process `pid` carry the mark of another actor than `a`? */
static bool is_marked(struct actor *a, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    struct buffer b = BUFFER_EMPTY;
    bool marked = false;
    if (read_file(path, &b)) {
        const char *at = (const char *)buffer_begin(&b), *end = at + buffer_size(&b) - 1;
        for (; at < end && !marked; at += strlen(at) + 1)
            marked = strncmp(at, ORPHAN_MARK "=", sizeof ORPHAN_MARK) == 0 &&
                     strcmp(at + sizeof ORPHAN_MARK, a->uid.uuid) != 0;
    }
    buffer_free(&b);
    return marked;
}

/* A zombie has no environment any more: its name must do. */
static bool is_dead_actor(pid_t pid)
{
    char path[64], own[COMM_BYTES] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    struct buffer b = BUFFER_EMPTY;
    bool dead = false;
    if (read_file(path, &b)) {
        const char *text = (const char *)buffer_begin(&b), *name = strchr(text, '('),
                   *close = strrchr(text, ')');
        FILE *f = fopen("/proc/self/comm", "re");
        if (f && fgets(own, sizeof own, f))
            own[strcspn(own, "\n")] = '\0';
        if (f)
            fclose(f);
        dead = name && close && close[1] == ' ' && close[2] == 'Z' && strncmp(name + 1, "yoke-", 5) == 0 &&
               strncmp(name + 1, own, (size_t)(close - name - 1)) != 0;
    }
    buffer_free(&b);
    return dead;
}

static bool is_orphan(struct actor *a, pid_t pid)
{
    return !is_ours(a, pid) && (is_marked(a, pid) || is_dead_actor(pid));
}

/* Reaps the orphan if it is dead, kills it if it is time; is it still there? */
static bool end_orphan(pid_t pid, bool now)
{
    if (waitpid(pid, NULL, WNOHANG | __WALL) != 0)
        return false;
    /* It is ours and not reaped, so the number can't be another process' meanwhile. */
    if (now) {
        yoke_log(YOKE_CANCEL, "process %d, left behind by an actor that died: SIGKILL", (int)pid);
        kill(pid, SIGKILL);
    }
    return true;
}

static size_t sweep_children_of_thread(struct actor *a, const char *thread, bool now)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/self/task/%s/children", thread);
    struct buffer b = BUFFER_EMPTY;
    size_t left = 0;
    if (read_file(path, &b)) {
        char *at = (char *)buffer_begin(&b);
        for (char *next; *at; at = next) {
            pid_t pid = (pid_t)strtol(at, &next, 10);
            if (next == at)
                break;
            if (is_orphan(a, pid))
                left += end_orphan(pid, now);
        }
    }
    buffer_free(&b);
    return left;
}

static size_t sweep_once(struct actor *a, bool now)
{
    DIR *threads = opendir("/proc/self/task");
    size_t left = 0;
    if (!threads)
        return 0;
    for (struct dirent *d; (d = readdir(threads));)
        if (d->d_name[0] != '.')
            left += sweep_children_of_thread(a, d->d_name, now);
    closedir(threads);
    return left;
}

void orphan_sweep(struct actor *a, int64_t grace)
{
    int64_t end = yoke_now() + grace;
    while (sweep_once(a, yoke_now() >= end))
        yoke_error_free(yoke_sleep(YOKE_MS(ROUND_MS)));
}
