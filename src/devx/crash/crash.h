/*
 * Crash capture: what an actor that dies of a signal leaves behind for its parent. Async-signal-safe code
 * alone: raw frames and the map of the address space go into a pipe; files and lines are put to them at the
 * other end (devx/trace/report.h, devx/trace/backtrace.h).
 */
#ifndef DEVX_CRASH_H
#define DEVX_CRASH_H

#include <stdbool.h>

/*
 * Installs handlers for SIGSEGV, SIGABRT, SIGBUS, SIGFPE and SIGILL. A crash is reported once, then a handler
 * that the program had before is called, and if that returns the process dies of the signal by the default
 * action, with the signal's own
 * siginfo: status and core are what they would be without us.
 *
 * `name`: the actor's. crash_fd >= 0: the write end of a pipe (made non-blocking, and 1 MiB large where that
 * is allowed), which stays the caller's and open. -1: a short report goes to stderr, with frames as
 * file+offset.
 *
 * The handlers run on an alternate stack of the calling thread; other threads' crashes are handled on their
 * own stacks, so that only a stack overflow of theirs goes without a report, unless they have asked for one
 * (yoke_thread_alternate_stack). Again in the same process: only the pipe changes. A process that was forked
 * since reports nothing until it calls this itself. Nothing fails: without memory for the alternate stack,
 * the handlers run without.
 */
void crash_install(int crash_fd, const char *name);
/* Has this very process handlers of crash_install? */
bool crash_is_installed(void);
/* Puts back what was before, where nobody else has set something meanwhile. On the thread that installed. */
void crash_uninstall(void);
/*
 * In the handler of a signal that interrupted the scheduler's thread: writes the calls of the task that runs
 * to stderr, as files and offsets. `context`: the handler's third argument. Async-signal-safe.
 */
void crash_tell_running(void *context);

#endif
