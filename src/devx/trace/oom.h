/* The kernel's OOM killer, which leaves no report and says nothing to the parent of whom it kills: its
 * counters. */
#ifndef DEVX_OOM_H
#define DEVX_OOM_H

#include <yoke/base.h>

#define OOM_SYSTEM "/proc/vmstat"

/* How often it has struck, by the line `oom_kill` of a file; -1: not known. */
long long oom_count(const char *file);
/* Notes the counters of the control group and of the system as they are; once a process. */
void oom_begin(void);
/* Adds to the error of a child that died of SIGKILL that it may have been the OOM killer, if a counter says
 * so since oom_begin, or since the last call. */
void oom_note(yoke_error *e);
/* The same for counters that were `before` and are `now`. */
struct oom_counts {
    long long group, system;
};
void oom_note_counts(yoke_error *e, const struct oom_counts *before, const struct oom_counts *now);

#endif
