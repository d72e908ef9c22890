#include "devx/debugger/lldb_script.h"

#include "devx/debugger/script_call.h"

void lldb_script_write(FILE *f, const struct debugger_target *t)
{
    fputs(devx_lldb_session, f);
    script_call_begin(f, t);
}
