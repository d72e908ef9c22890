/* The program's main(): the actor floor's, with what this floor adds to it. */
#include "actor/main.h"
#include "devx/commands.h"
#include "devx/crash.h"
#include "devx/crash_stop.h"
#include "devx/crash_wait.h"
#include "devx/dump.h"
#include "devx/error_stop.h"
#include "devx/report.h"
#include "devx/session.h"
#include "devx/signals.h"

#include <yoke/devx.h>

/* Or a linker would leave them out: nobody but gdb reads them. */
__attribute__((used)) static const char *const gdb_commands = devx_gdb_commands;

static void root_begins(void)
{
    crash_install(-1);
}

static yoke_error *runtime_begins(struct actor *a)
{
    session_runtime_begins(a);
    error_stop_begin(a);
    crash_wait_set(a->debug_mode);
    return dump_begin(a);
}

static void runtime_ends(struct actor *a)
{
    session_runtime_ends();
    error_stop_end();
    dump_end(a);
}

static const struct actor_hooks hooks = {
    .child_begins = crash_install,
    .root_begins = root_begins,
    .runtime_begins = runtime_begins,
    .runtime_ends = runtime_ends,
    .error_leaves = error_stop_leaves,
    .root_signalled = signals_at_prompt,
    .child_starts = crash_stop_child_starts,
    .child_writes = crash_stop_child_writes,
    .child_crashed = crash_describe,
};

bool yoke_child_main(int argc, char **argv, int *status)
{
    return actor_child_main(argc, argv, &hooks, status);
}

int yoke_main(int argc, char **argv, yoke_error *(*app)(int argc, char **argv))
{
    return actor_main(argc, argv, app, &hooks);
}
