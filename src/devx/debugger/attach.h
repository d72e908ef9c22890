/* Why a debugger may not attach (ptrace(2)), and what to do about it. */
#ifndef DEVX_ATTACH_H
#define DEVX_ATTACH_H

#include <yoke/base.h>

#include <sys/types.h>

#define ATTACH_YAMA "/proc/sys/kernel/yama/ptrace_scope"

/* `debugger` is what it is called. YOKE_NOT_FOUND: process `target` is gone; else YOKE_PERMISSION, by another
 * that debugs it, or by the setting in the file `yama`. */
YOKE_MUST_USE yoke_error *attach_refused(const char *debugger, pid_t target, const char *yama);

#endif
