/* How many processors this process may keep busy. */
#ifndef ACTOR_CPUS_H
#define ACTOR_CPUS_H

#include <sched.h>

/* The processors of the affinity mask, into `set` and as their number, at least 1. */
int cpus_allowed(cpu_set_t *set);
/*
 * The number above, or less where a quota of the control group that `proc_cgroup` (/proc/self/cgroup) names,
 * or of a group around it, lets it have less time than that many processors give: rounded up, at least 1.
 * `mount`: of cgroup v2.
 */
int cpus_usable(const char *proc_cgroup, const char *mount);

#endif
