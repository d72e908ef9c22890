#include "devx/debugger/debugger_child.h"
#include "devx/debugger/gdb_script.h"

/* Servers are not asked for debug information. */
static void add_arguments(struct debugger_child *c)
{
    const char *const ours[] = {"-q",  "-iex",          "set debuginfod enabled off", "-x", "/proc/self/fd/3",
                                "-ex", GDB_CHECK_SCRIPT};
    debugger_child_add(c, (const char *const *)c->command->words, c->command->count);
    debugger_child_add(c, ours, sizeof ours / sizeof *ours);
}

const struct debugger_kind debugger_gdb = {
    .name = "gdb",
    .package = "the package `gdb` of Debian, Ubuntu, Fedora and Arch",
    .no_script = GDB_NO_SCRIPT,
    .wanted = "gdb of version 10 or later with Python",
    .add_arguments = add_arguments,
    .write_script = gdb_script_write,
};
