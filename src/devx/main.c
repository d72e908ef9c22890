/* The program's main(): the actor floor's, with what this floor adds to it. */
#include "actor/main.h"
#include "devx/crash/core.h"
#include "devx/crash/crash.h"
#include "devx/crash/crash_stop.h"
#include "devx/crash/crash_wait.h"
#include "devx/debugger/commands.h"
#include "devx/debugger/direct.h"
#include "devx/debugger/output.h"
#include "devx/dump/dump.h"
#include "devx/stop/break_table.h"
#include "devx/stop/breakpoint.h"
#include "devx/stop/error_stop.h"
#include "devx/stop/session.h"
#include "devx/stop/signals.h"
#include "devx/stop/trap.h"

#include <yoke/devx.h>

/* Or a linker would leave them out: nobody but gdb reads them. */
__attribute__((used)) static const char *const gdb_commands = devx_gdb_commands;

static void child_begins(int crash_fd)
{
    crash_install(crash_fd, "child");
}

static void root_begins(void)
{
    crash_install(-1, "root");
}

/* Of an implicit root, whose program had its own handlers till now, and gets them back. */
static bool installed_here;

static void install_crash(const struct actor *a)
{
    installed_here = a->is_root && !crash_is_installed();
    if (installed_here)
        crash_install(-1, a->uid.name);
    if (a->is_root && core_file_is_wanted())
        core_prepare_own(a->uid.name);
    crash_wait_set((a->debug_mode ? CRASH_WAIT_DEBUGGER : 0) | (core_file_is_wanted() ? CRASH_WAIT_CORE : 0));
    yoke_error *e = a->is_root && a->debug_mode ? direct_begin() : NULL;
    yoke_error_free(e); /* it is told where it matters */
}

static yoke_error *runtime_begins(struct actor *a)
{
    if (a->debug_mode)
        output_begin(a);
    session_runtime_begins(a);
    error_stop_begin(a);
    if (a->debug_mode) {
        trap_begin();
        break_table_begin();
    }
    install_crash(a);
    return dump_begin(a);
}

/* Where the program goes on without the actor, or the whole process ends: it is its own again. */
static void leave_process(void)
{
    break_table_end();
    trap_end();
    session_runtime_ends();
    error_stop_end();
    crash_wait_set(0);
    direct_end();
    breakpoint_tell_unused();
}

static void runtime_ends(struct actor *a)
{
    leave_process();
    if (installed_here)
        crash_uninstall();
    dump_end(a);
    output_end_in_task();
}

static const struct actor_hooks hooks = {
    .child_begins = child_begins,
    .root_begins = root_begins,
    .runtime_begins = runtime_begins,
    .runtime_ends = runtime_ends,
    .error_leaves = error_stop_leaves,
    .root_signalled = signals_at_prompt,
    .debugged_child_starts = output_begin,
    .child_starts = crash_stop_child_starts,
    .child_writes = crash_stop_child_writes,
    .child_crashed = crash_stop_child_died,
};

bool yoke_child_main(int argc, char **argv, int *status)
{
    bool was_child = actor_child_main(argc, argv, &hooks, status);
    if (was_child)
        leave_process();
    return was_child;
}

int yoke_main(int argc, char **argv, yoke_error *(*app)(int argc, char **argv))
{
    bool is_actor = crash_is_installed(); /* already: then it is refused */
    int status = actor_main(argc, argv, app, &hooks);
    if (is_actor)
        return status;
    leave_process();
    output_end();
    crash_uninstall();
    return status;
}
