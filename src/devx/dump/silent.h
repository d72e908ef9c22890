/* What can be known of a process of this user that does not answer: from outside, without its help. */
#ifndef DEVX_SILENT_H
#define DEVX_SILENT_H

#include "base/buffer.h"

#include <sys/types.h>

/*
 * Appends lines: what the kernel says that it does, and the calls of its main thread (the process is stopped
 * for that, for some milliseconds, as by a debugger). What can't be had is said. Needs 1 MiB of stack, and
 * blocks: see devx/trace/aside.h. False without memory.
 */
bool silent_describe(struct buffer *out, pid_t pid);

#endif
