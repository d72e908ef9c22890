#include "actor/cpus.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int cpus_allowed(cpu_set_t *set)
{
    CPU_ZERO(set);
    if (sched_getaffinity(0, sizeof *set, set) == 0 && CPU_COUNT(set) > 0)
        return CPU_COUNT(set);
    CPU_SET(0, set); /* a machine of more processors than the set can name */
    return 1;
}

/* The path of this process' group below the mount: the line that begins with "0::" (cgroups(7)). */
static bool own_group(const char *proc_cgroup, char *path, size_t size)
{
    FILE *f = fopen(proc_cgroup, "re");
    bool found = false;
    while (f && !found && fgets(path, (int)size, f))
        found = strncmp(path, "0::", 3) == 0;
    if (f)
        fclose(f);
    if (!found)
        return false;
    path[strcspn(path, "\n")] = '\0';
    memmove(path, path + 3, strlen(path + 3) + 1);
    return true;
}

/* "max 100000", or the quota and the period in microseconds. */
static int group_limit(const char *mount, const char *group, int most)
{
    char file[PATH_MAX];
    long long quota, period;
    if (snprintf(file, sizeof file, "%s%s/cpu.max", mount, group) >= (int)sizeof file)
        return most;
    FILE *f = fopen(file, "re");
    bool limited = f && fscanf(f, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0;
    if (f)
        fclose(f);
    if (!limited || quota / period >= most)
        return most;
    return (int)((quota + period - 1) / period);
}

int cpus_usable(const char *proc_cgroup, const char *mount)
{
    cpu_set_t set;
    int count = cpus_allowed(&set);
    char group[PATH_MAX];
    if (!own_group(proc_cgroup, group, sizeof group))
        return count;
    for (;;) {
        count = group_limit(mount, group, count);
        char *slash = strrchr(group, '/');
        if (!slash)
            return count;
        *slash = '\0';
    }
}
