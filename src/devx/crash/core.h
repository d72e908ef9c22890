/*
 * The core of a process that has crashed and waits (devx/crash/crash_wait.h), as a file, written by gdb: the
 * kernel's own go where the machine's owner has decided, and may be off.
 */
#ifndef DEVX_CORE_H
#define DEVX_CORE_H

#include "devx/crash/core_file.h"

/*
 * Of a child: `*path` is the file's, to be freed by memory_free. Bounded by core_file_bound_ns. Nothing is
 * left after an error: that of core_file_plan, YOKE_TOO_SLOW, YOKE_PROCESS_FAILED with gdb's words.
 * Checkpoint.
 */
YOKE_MUST_USE yoke_error *core_write(const char *actor, pid_t pid, char **path);

/* Makes ready what core_write_own may not. What fails is told by that. */
void core_prepare_own(const char *actor);
/*
 * Of this process, which has crashed; the thread that calls waits till gdb has ended. Returns the file's
 * path, or NULL, and in `*why_not` a text. After core_prepare_own, async-signal-safe.
 */
const char *core_write_own(const char **why_not);

#endif
