/*
 * A child actor is told by its command line, `PROGRAM --yoke-child=PARENT`, a zygote by
 * `--yoke-zygote=PARENT`; a root is a process that has such children and is none itself.
 */
#include "processes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_text(pid_t pid, const char *file, char *text, size_t room, size_t *size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    *size = fread(text, 1, room - 1, f);
    fclose(f);
    text[*size] = '\0';
    return *size > 0;
}

/* Actors call themselves `yoke-NAME`. */
static void take_name(struct process *p, const char *name, size_t size)
{
    if (p->role == ROLE_ACTOR && size > 5 && strncmp(name, "yoke-", 5) == 0) {
        name += 5;
        size -= 5;
    }
    if (size > sizeof p->name - 1)
        size = sizeof p->name - 1;
    for (size_t i = 0; i < size; i++)
        p->name[i] = iscntrl((unsigned char)name[i]) ? '?' : name[i];
}

/* The fields of /proc/PID/stat behind the name, which may hold anything. */
static bool read_stat(struct process *p)
{
    char text[1024];
    size_t size;
    if (!read_text(p->pid, "stat", text, sizeof text, &size))
        return false;
    const char *name = strchr(text, '('), *end = strrchr(text, ')');
    if (!name || !end)
        return false;
    take_name(p, name + 1, (size_t)(end - name - 1));
    int parent;
    unsigned long user, system;
    long rss_pages;
    if (sscanf(end + 1,
               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld",
               &p->state, &parent, &user, &system, &rss_pages) != 5)
        return false;
    p->parent = parent;
    p->cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    p->rss_bytes = (uint64_t)rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static enum role role_of(pid_t pid)
{
    char text[4096];
    size_t size;
    if (!read_text(pid, "cmdline", text, sizeof text, &size))
        return ROLE_NONE;
    const char *second = text + strlen(text) + 1;
    if (second >= text + size)
        return ROLE_NONE;
    if (strncmp(second, "--yoke-child=", 13) == 0)
        return ROLE_ACTOR;
    return strncmp(second, "--yoke-zygote=", 14) == 0 ? ROLE_ZYGOTE : ROLE_NONE;
}

static bool add(struct processes *all, pid_t pid, enum role role)
{
    struct process p = {.pid = pid, .role = role};
    if (!read_stat(&p))
        return true; /* it has ended meanwhile */
    struct process *grown = realloc(all->items, (all->count + 1) * sizeof *grown);
    if (!grown)
        return false;
    all->items = grown;
    all->items[all->count++] = p;
    return true;
}

static bool has(const struct processes *all, pid_t pid)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].pid == pid)
            return true;
    return false;
}

/* A zygote's clones are its asker's children: the parent is whom the kernel says. */
static bool add_roots(struct processes *all)
{
    for (size_t i = 0, members = all->count; i < members; i++)
        if (!has(all, all->items[i].parent) && !add(all, all->items[i].parent, ROLE_ROOT))
            return false;
    return true;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const struct process *)a)->pid, y = ((const struct process *)b)->pid;
    return (x > y) - (x < y);
}

bool processes_read(struct processes *out)
{
    *out = (struct processes){NULL, 0};
    DIR *proc = opendir("/proc");
    if (!proc)
        return false;
    bool fine = true;
    for (struct dirent *d; fine && (d = readdir(proc));) {
        pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
        enum role role = pid > 0 ? role_of(pid) : ROLE_NONE;
        if (role != ROLE_NONE)
            fine = add(out, pid, role);
    }
    closedir(proc);
    fine = fine && add_roots(out);
    if (!fine) {
        processes_free(out);
        errno = ENOMEM;
        return false;
    }
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, by_pid);
    return true;
}

void processes_free(struct processes *p)
{
    free(p->items);
    *p = (struct processes){NULL, 0};
}
