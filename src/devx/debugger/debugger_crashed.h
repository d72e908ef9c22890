/* The debugger of a process that has crashed: nothing of that process speaks, so nobody tells of its end. */
#ifndef DEVX_DEBUGGER_CRASHED_H
#define DEVX_DEBUGGER_CRASHED_H

#include "devx/debugger/debugger.h"

/*
 * debugger_run, which ends the debugger when somebody has killed the process under it: till then the kernel
 * would keep it from being reaped. One that has left the process, which then dies of its signal, ends by
 * itself.
 */
YOKE_MUST_USE yoke_error *debugger_run_crashed(const struct debugger_target *target, int *killed_by,
                                               yoke_error *(*ready)(void *arg, pid_t debugger), void *arg);

#endif
