/*
 * What is there before a test must be there after it, and nothing more: descriptors, children, mappings, the
 * library's memory, socket files. Each check keeps a list of names from before and reports what is new by its
 * name.
 */
#include "harness.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||     \
    __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- lists of names ---- */

struct names {
    char **names;
    size_t count;
};

static void names_add(struct names *n, const char *name)
{
    n->names = realloc(n->names, (n->count + 1) * sizeof *n->names);
    n->names[n->count] = strdup(name);
    if (!n->names[n->count++])
        abort();
}

static bool names_hold(const struct names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->names[i], name) == 0)
            return true;
    }
    return false;
}

static void names_clear(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->names[i]);
    free(n->names);
    *n = (struct names){NULL, 0};
}

/* Reports each name of `a` that `b` does not hold; returns how many. */
static int report(const char *what, const struct names *a, const struct names *b)
{
    int found = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (names_hold(b, a->names[i]))
            continue;
        print_error("# %s: %s\n", what, a->names[i]);
        found++;
    }
    return found;
}

/* ---- descriptors ---- */

static void add_descriptor(struct names *n, int fd)
{
    char path[64], target[PATH_MAX], name[PATH_MAX + 32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(path, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = 0;
    snprintf(name, sizeof name, "%d -> %s", fd, target);
    names_add(n, name);
}

static void list_descriptors(struct names *n)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir))
            add_descriptor(n, atoi(entry->d_name));
    }
    closedir(dir);
}

/* ---- children ---- */

static void add_child(struct names *n, long pid)
{
    char path[64], state[128] = "", name[256];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    if (f) {
        if (!fgets(state, sizeof state, f))
            state[0] = 0;
        fclose(f);
    }
    /* "pid (comm) S ..." */
    char *end = strrchr(state, ')');
    bool ended = end && end[1] && end[2] == 'Z';
    if (end)
        end[1] = 0;
    snprintf(name, sizeof name, "%s%s", *state ? state : path, ended ? ", ended and not waited for" : "");
    names_add(n, name);
}

/* Of each thread: a child belongs to the thread that made it. */
static void list_children(struct names *n)
{
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/children", entry->d_name);
        FILE *f = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        for (long pid; f && fscanf(f, "%ld", &pid) == 1;)
            add_child(n, pid);
        if (f)
            fclose(f);
    }
    if (dir)
        closedir(dir);
    /* Kernels without those files still tell whether there is one. */
    siginfo_t info = {0};
    if (!n->count && waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0)
        names_add(n, info.si_pid ? "one that ended and was not waited for" : "one that runs");
}

/* So that the next test begins without them. They are children not waited for, so the numbers are still
 * theirs. */
static void end_children(const struct names *now, const struct names *before)
{
    for (size_t i = 0; i < now->count; i++) {
        pid_t pid = atoi(now->names[i]);
        if (pid <= 0 || names_hold(before, now->names[i]))
            continue;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, __WALL);
    }
}

/* ---- mappings ---- */

/* The kernel joins neighbours, so ranges are compared, not lines. */
struct mapping {
    unsigned long start, end;
    char text[200];
};

struct mappings {
    struct mapping *list;
    size_t count;
};

/* malloc's arenas are 64 MiB aligned and stay; a thread's stack is kept for the next thread, with its guard
 * below. */
#define ARENA_BYTES (64ul << 20)

static bool of_the_c_library(const struct mapping *before, const struct mapping *m, const char *access)
{
    struct rlimit stack;
    getrlimit(RLIMIT_STACK, &stack);
    unsigned long size = m->end - m->start;
    bool guarded = before && before->end == m->start && strstr(before->text, " ---p ");
    if (m->start % ARENA_BYTES == 0 && size <= ARENA_BYTES)
        return true;
    if (before && before->start % ARENA_BYTES == 0 && before->end == m->start && m->end % ARENA_BYTES == 0)
        return true;
    if (strcmp(access, "---p") == 0 && size == (unsigned long)sysconf(_SC_PAGESIZE))
        return true; /* a guard; what it guards is looked at */
    return guarded &&
           (size == stack.rlim_cur || size + (unsigned long)sysconf(_SC_PAGESIZE) == stack.rlim_cur);
}

static bool of_a_program(const char *name)
{
    static char self[PATH_MAX];
    if (!*self && readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return false;
    return *name == '[' || strstr(name, ".so") || strstr(name, "/locale/") || strstr(name, "gconv") ||
           strcmp(name, self) == 0;
}

static void list_mappings(struct mappings *m)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[PATH_MAX + 128];
    struct mapping last = {0};
    while (f && fgets(line, sizeof line, f)) {
        struct mapping now;
        char access[8] = "", name[PATH_MAX] = "";
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %4095[^\n]", &now.start, &now.end, access, name) < 3)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(now.text, sizeof now.text, "%.199s", line);
        bool anonymous = !*name;
        bool theirs =
            anonymous ? of_the_c_library(last.end ? &last : NULL, &now, access) : of_a_program(name);
        last = now;
        if (theirs)
            continue;
        m->list = realloc(m->list, (m->count + 1) * sizeof *m->list);
        m->list[m->count++] = now;
    }
    if (f)
        fclose(f);
}

/* Is all of `m` within what `old` has? Both are sorted. */
static bool covered(const struct mapping *m, const struct mappings *old)
{
    unsigned long at = m->start;
    for (size_t i = 0; i < old->count && at < m->end; i++) {
        if (old->list[i].start <= at && at < old->list[i].end)
            at = old->list[i].end;
    }
    return at >= m->end;
}

static int report_mappings(const struct mappings *now, const struct mappings *before)
{
    int found = 0;
    for (size_t i = 0; i < now->count; i++) {
        if (covered(&now->list[i], before))
            continue;
        print_error("# a mapping was left: %s\n", now->list[i].text);
        found++;
    }
    return found;
}

static void mappings_clear(struct mappings *m)
{
    free(m->list);
    *m = (struct mappings){NULL, 0};
}

static bool on_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "vgpreload");
}

/* Sanitizers and valgrind map as they please. */
static bool mappings_are_ours(void)
{
    return !SANITIZED && !on_valgrind();
}

/* ---- socket files ---- */

static struct names *walk_into;

static int add_socket(const char *path, const struct stat *status, int type, struct FTW *at)
{
    if (S_ISSOCK(status->st_mode))
        names_add(walk_into, path);
    return 0;
}

static void list_sockets(struct names *n)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[PATH_MAX];
    if (!runtime || !*runtime)
        return;
    snprintf(path, sizeof path, "%s/yoke", runtime);
    walk_into = n;
    nftw(path, add_socket, 8, FTW_PHYS);
}

/* ---- before and after ---- */

struct snapshot {
    struct names descriptors, children, sockets;
    struct mappings mappings;
    size_t pieces;
};

static struct snapshot before;

static void snapshot_take(struct snapshot *s)
{
    s->pieces = memory_live();
    list_descriptors(&s->descriptors);
    list_children(&s->children);
    list_sockets(&s->sockets);
    if (mappings_are_ours())
        list_mappings(&s->mappings);
}

static void snapshot_clear(struct snapshot *s)
{
    names_clear(&s->descriptors);
    names_clear(&s->children);
    names_clear(&s->sockets);
    mappings_clear(&s->mappings);
}

static int report_pieces(size_t now, size_t then)
{
    if (now == then)
        return 0;
    print_error("# pieces of the library's memory: %zu before the test, %zu after it\n", then, now);
    return 1;
}

int harness_before(void **state)
{
    snapshot_clear(&before);
    snapshot_take(&before);
    return 0;
}

int harness_after(void **state)
{
    struct snapshot now = {.pieces = 0};
    memory_fail_after(SIZE_MAX);
    snapshot_take(&now);
    int found = report("a descriptor was left open", &now.descriptors, &before.descriptors);
    found += report("a descriptor that was open before is gone", &before.descriptors, &now.descriptors);
    found += report("a child process was left", &now.children, &before.children);
    found += report("a socket file was left", &now.sockets, &before.sockets);
    found += report_mappings(&now.mappings, &before.mappings);
    found += report_pieces(now.pieces, before.pieces);
    end_children(&now.children, &before.children);
    snapshot_clear(&now);
    snapshot_clear(&before);
    return found ? -1 : 0;
}

/* ---- errors ---- */

void expect_success(const char *file, int line, yoke_error *e)
{
    if (!e)
        return;
    fflush(stdout);
    yoke_error_print(stderr, e);
    yoke_error_free(e);
    print_error("# expected success\n");
    _fail(file, line);
}

static bool says(const yoke_error *e, const char *text)
{
    if (!text || strstr(yoke_error_message(e), text))
        return true;
    char *tree = yoke_error_text(e);
    bool found = tree && strstr(tree, text);
    free(tree);
    return found;
}

void expect_error(const char *file, int line, yoke_error *e, const yoke_error_kind *kind, const char *text)
{
    if (!e) {
        print_error("# expected an error of kind %s, got success\n", kind->name);
        _fail(file, line);
    }
    if (yoke_error_is(e, kind) && says(e, text)) {
        yoke_error_free(e);
        return;
    }
    fflush(stdout);
    yoke_error_print(stderr, e);
    yoke_error_free(e);
    print_error("# expected an error of kind %s%s%s\n", kind->name, text ? " that says: " : "",
                text ? text : "");
    _fail(file, line);
}

/* As stack.c finds it: MADV_GUARD_INSTALL, of Linux 6.13. */
static bool guards_are_light(void)
{
    void *probe = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool light = probe != MAP_FAILED && madvise(probe, 4096, 102) == 0 && !getenv("YOKE_MPROTECT_GUARDS");
    if (probe != MAP_FAILED)
        munmap(probe, 8192);
    return light;
}

long harness_tasks(long wanted)
{
    long most = SANITIZED || on_valgrind() ? 1000 : guards_are_light() ? wanted : 20000;
    return wanted < most ? wanted : most;
}

/* By the name that the link holds: under valgrind the link itself leads to valgrind. */
void harness_exec_self(char *const argv[])
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return;
    self[length] = 0;
    execv(self, argv);
}
