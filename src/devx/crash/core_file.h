/* The file into which gdb writes the core of a crashed process: where YOKE_CORE says, if it says so. */
#ifndef DEVX_CORE_FILE_H
#define DEVX_CORE_FILE_H

#include "devx/debugger/debugger_command.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CORE_PATH_BYTES = PATH_MAX + 256 };

struct core_file {
    char path[CORE_PATH_BYTES]; /* "DIR/NAME-PID.core" */
    struct debugger_command gdb;
    char attach[16], generate[CORE_PATH_BYTES + 32];
    char *argv[16]; /* of gdb, NULL-terminated */
};

/* Does YOKE_CORE name a folder? Never in a build with AddressSanitizer, whose cores are terabytes. */
bool core_file_is_wanted(void);
/* Does it, in such a build? */
bool core_file_is_refused(void);
/* How long gdb may take: YOKE_CORE_BOUND_MS, or a minute. */
int64_t core_file_bound_ns(void);
/* For that process of an actor of that name. `out` is large. YOKE_NOT_FOUND: there is no gdb; YOKE_SYSTEM: no
 * such folder. */
YOKE_MUST_USE yoke_error *core_file_plan(struct core_file *out, const char *actor, pid_t pid);
/* Makes it, empty, under a name that no other file has. False, with errno: it can't. */
bool core_file_claim(struct core_file *f);
/* Is all there that its headers tell of? gdb does not say when the disk was full. Async-signal-safe. */
bool core_file_is_whole(const struct core_file *f);

#endif
