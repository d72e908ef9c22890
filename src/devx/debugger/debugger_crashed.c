#include "devx/debugger/debugger_crashed.h"

#include <yoke/task.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_EVERY_MS = 250 };

struct crashed {
    pid_t pid;
    pid_t debugger; /* 0: there is none yet */
    yoke_nursery *session;
    yoke_error *(*ready)(void *arg, pid_t debugger);
    void *arg;
};

static yoke_error *is_ready(void *arg, pid_t debugger)
{
    struct crashed *c = arg;
    c->debugger = debugger;
    return c->ready(c->arg, debugger);
}

/* Of a thread; one that is no more counts as dead. */
static bool is_dead(const char *stat_file)
{
    char line[256];
    FILE *f = fopen(stat_file, "re");
    bool is_read = f && fgets(line, sizeof line, f);
    if (f)
        fclose(f);
    const char *state = is_read ? strrchr(line, ')') : NULL;
    return !state || strncmp(state, ") Z", 3) == 0 || strncmp(state, ") X", 3) == 0;
}

static bool is_thread(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/*
 * A debugger that sits at its prompt takes no notice of the end of what it debugs, and till it does the
 * kernel shows the process' threads as zombies. No descriptor tells of that: the pidfd waits for the
 * debugger, too.
 */
static bool was_killed(pid_t pid)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    bool dead = true;
    for (const struct dirent *entry; dead && threads && (entry = readdir(threads));) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid, entry->d_name);
        dead = !is_thread(entry) || is_dead(path);
    }
    if (threads)
        closedir(threads);
    return dead;
}

/* A zombie says who debugs it, too. */
static bool is_debugged(const struct crashed *c)
{
    pid_t who[2];
    pause_debuggers(c->pid, who);
    return c->debugger && (who[0] == c->debugger || who[1] == c->debugger);
}

static yoke_error *watch(void *arg)
{
    struct crashed *c = arg;
    while (!was_killed(c->pid))
        YOKE_TRY(yoke_sleep(YOKE_MS(LOOK_EVERY_MS)));
    if (is_debugged(c))
        yoke_nursery_cancel(c->session, "the process was killed");
    return NULL;
}

yoke_error *debugger_run_crashed(const struct debugger_target *target, int *killed_by,
                                 yoke_error *(*ready)(void *arg, pid_t debugger), void *arg)
{
    yoke_nursery session;
    struct crashed c = {.pid = target->request.pid, .session = &session, .ready = ready, .arg = arg};
    *killed_by = 0;
    YOKE_TRY(yoke_nursery_open(&session));
    yoke_error *e = yoke_spawn(&session, watch, &c);
    if (!e)
        e = debugger_run(target, killed_by, is_ready, &c);
    yoke_nursery_cancel(&session, "the debugger has left");
    return yoke_nursery_close_flat(&session, e);
}
