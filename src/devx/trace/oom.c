#include "devx/trace/oom.h"

#include <string.h>

enum { PATH_BYTES = 512 };

static struct {
    bool begun;
    struct oom_counts counts; /* when they were last looked at */
} last;

long long oom_count(const char *file)
{
    char line[128];
    long long count = -1;
    FILE *f = fopen(file, "re");
    while (f && count < 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "oom_kill %lld", &count) != 1)
            count = -1;
    if (f)
        fclose(f);
    return count;
}

/* Of control groups v2, where the children of this process are too: cgroups(7). "" for none. */
static void find_group(char path[PATH_BYTES])
{
    char line[PATH_BYTES - 64];
    FILE *f = fopen("/proc/self/cgroup", "re");
    path[0] = '\0';
    while (f && !path[0] && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0)
            snprintf(path, PATH_BYTES, "/sys/fs/cgroup%s/memory.events", line + 3);
    }
    if (f)
        fclose(f);
}

static struct oom_counts look(void)
{
    char group[PATH_BYTES];
    find_group(group);
    return (struct oom_counts){group[0] ? oom_count(group) : -1, oom_count(OOM_SYSTEM)};
}

void oom_begin(void)
{
    if (!last.begun)
        last.counts = look();
    last.begun = true;
}

void oom_note_counts(yoke_error *e, const struct oom_counts *before, const struct oom_counts *now)
{
    if (before->group >= 0 && now->group > before->group)
        yoke_error_note(e,
                        "the kernel's OOM killer struck in this control group: it ran out of memory "
                        "(oom_kill in memory.events went from %lld to %lld)",
                        before->group, now->group);
    else if (before->system >= 0 && now->system > before->system)
        yoke_error_note(e,
                        "the kernel's OOM killer has struck on this machine meanwhile, and it may have "
                        "been this process (oom_kill in " OOM_SYSTEM " went from %lld to %lld)",
                        before->system, now->system);
}

void oom_note(yoke_error *e)
{
    if (!last.begun)
        return;
    struct oom_counts now = look();
    oom_note_counts(e, &last.counts, &now);
    last.counts = now;
}
