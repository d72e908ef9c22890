#include "devx/debugger/debugger_kind.h"

#include <string.h>
#include <sys/wait.h>

const struct debugger_kind *debugger_kind_of(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *file = slash ? slash + 1 : program;
    size_t length = strlen(debugger_lldb.name);
    bool is_lldb = strncmp(file, debugger_lldb.name, length) == 0 && (!file[length] || file[length] == '-');
    return is_lldb ? &debugger_lldb : &debugger_gdb;
}

bool debugger_has_failed(const struct debugger_kind *kind, int status)
{
    if (!WIFEXITED(status))
        return false;
    int code = WEXITSTATUS(status);
    return code == DEBUGGER_NO_EXEC || code == DEBUGGER_NO_ATTACH || code == kind->no_script;
}
