/*
 * gdb is driven by its Python: the text of devx/debugger/prompt.py, with a call of its begin() behind it.
 * That is no script for `-x`, of which gdb 13 waits for each character with a select(2) of its own (40 ms).
 * It has its own names there, which a user's .gdbinit does not meet.
 */
#include "devx/debugger/debugger_child.h"
#include "devx/debugger/prompt.h"
#include "devx/debugger/script_call.h"

/* The status that gdb leaves with when it could not run the script: a gdb without Python knows
 * `yoke-no-prompt` only as what it was named here, one that has come to the prompt as a command that does
 * nothing. */
#define NO_SCRIPT           92
#define LEAVE_WITH_(status) "yoke-no-prompt " #status
#define LEAVE_WITH(status)  LEAVE_WITH_(status)

static const char leave[] = LEAVE_WITH(NO_SCRIPT);

/* Servers are not asked for debug information. */
static void add_arguments(struct debugger_child *c)
{
    const char *const ours[] = {"-q",
                                "-iex",
                                "set debuginfod enabled off",
                                "-iex",
                                "alias yoke-no-prompt = quit",
                                "-ex",
                                "python exec(open('/proc/self/fd/3').read(), {'__name__': 'yoke'})",
                                "-ex",
                                leave};
    debugger_child_add(c, (const char *const *)c->command->words, c->command->count);
    debugger_child_add(c, ours, sizeof ours / sizeof *ours);
}

static void write_script(FILE *f, const struct debugger_target *t)
{
    fputs(devx_gdb_prompt, f);
    script_call_begin(f, t);
}

const struct debugger_kind debugger_gdb = {
    .name = "gdb",
    .package = "the package `gdb` of Debian, Ubuntu, Fedora and Arch",
    .no_script = NO_SCRIPT,
    .wanted = "gdb of version 10 or later with Python",
    .add_arguments = add_arguments,
    .write_script = write_script,
};
