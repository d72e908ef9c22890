/*
 * lldb is driven by its Python. That of Debian 12 looks for its own module in a folder which is not there,
 * and for one more module in that of another Python, if there is one in PATH (a virtual environment): so both
 * folders are named to it.
 */
#include "devx/debugger/debugger_child.h"
#include "devx/debugger/lldb_script.h"

#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MODULE            "/lib/python3*/dist-packages/lldb/__init__.py"
#define MODULES_OF_SYSTEM "/usr/lib/python3/dist-packages"

/* The folder below which PROGRAM is bin/lldb; "": it is somewhere else. */
static void find_home(const char *program, char home[PATH_MAX])
{
    char *bin = realpath(program, home) ? strstr(home, "/bin/") : NULL;
    *(bin ? bin : home) = '\0';
}

/* As a word for env(1); false: nothing has to be named. */
static bool name_modules(struct debugger_child *c)
{
    char home[PATH_MAX];
    find_home(c->command->program, home);
    size_t length = strlen(home);
    if (!length || length + sizeof MODULE > sizeof home)
        return false;
    strcpy(home + length, MODULE);
    glob_t found;
    if (glob(home, 0, NULL, &found) != 0)
        return false;
    const char *path = found.gl_pathv[0], *users = getenv("PYTHONPATH");
    int folder = (int)(strlen(path) - strlen("/lldb/__init__.py"));
    int n = snprintf(c->text, sizeof c->text, "PYTHONPATH=%s%s%.*s:" MODULES_OF_SYSTEM, users ? users : "",
                     users && *users ? ":" : "", folder, path);
    globfree(&found);
    return n < (int)sizeof c->text;
}

/* The user's own settings are read for the debugger that the script makes, and not twice. */
static void add_arguments(struct debugger_child *c)
{
    const char *const environment[] = {"env", c->text, c->command->program};
    const char *const ours[] = {"--no-lldbinit", "--batch", "--source-quietly", "--one-line",
                                "script exec(open('/proc/self/fd/3').read(), {})"};
    if (name_modules(c)) {
        c->program = "/usr/bin/env";
        debugger_child_add(c, environment, sizeof environment / sizeof *environment);
    } else {
        debugger_child_add(c, (const char *const *)c->command->words, 1);
    }
    debugger_child_add(c, (const char *const *)c->command->words + 1, c->command->count - 1);
    debugger_child_add(c, ours, sizeof ours / sizeof *ours);
}

const struct debugger_kind debugger_lldb = {
    .name = "lldb",
    .package = "the package `lldb` of Debian, Ubuntu, Fedora and Arch",
    .no_script = 1, /* so it does itself */
    .wanted = "lldb of version 14 or later with Python",
    .add_arguments = add_arguments,
    .write_script = lldb_script_write,
};
