/*
 * A crashed process that waits for its debugger: in the signal's handler, on its own stack, without the
 * scheduler, which may be what is broken. It has written into its pipe that it does (REPORT_WAITS); its
 * parent asks the root for the terminal in its name (devx/crash/crash_stop.h). Async-signal-safe, but for the
 * first.
 */
#ifndef DEVX_CRASH_WAIT_H
#define DEVX_CRASH_WAIT_H

#include "devx/debugger/debugger.h"
#include "devx/trace/report.h"

#include <signal.h>

/* What it waits for; or'ed. */
enum crash_wait_for { CRASH_WAIT_DEBUGGER = 1, CRASH_WAIT_CORE = 2 };

/* From now on this process waits for that when it crashes. For a core alone it does so for a bounded time. */
void crash_wait_set(unsigned wants);
unsigned crash_wait_wants(void);
/* Of a root, which has nobody who could ask for it: opens the debugger itself, with what crash_wait_begin has
 * given. */
void crash_wait_directly(const struct debugger_target *target);
/* The section to write, of the calling thread. From here on crash_wait_is_release may be true. */
struct report_wait crash_wait_begin(void);
/* Till the debugger has said to go on, or the parent has (by the signal of the crash), or is gone. */
void crash_wait(void);
/* Is this signal the parent's word that nobody will come any more? Then crash_wait returns. */
bool crash_wait_is_release(const siginfo_t *info);

#endif
