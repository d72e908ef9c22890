/*
 * The script that gdb runs: the text of devx/debugger/prompt.py, and a call of its begin() with all that is
 * to be known of the one who stops. Python has its own names there, which a user's .gdbinit does not meet.
 */
#include "devx/debugger/gdb_script.h"

#include "devx/debugger/prompt.h"
#include "devx/debugger/script_call.h"

/* A gdb without Python ends the script at the first word of it, and goes on with GDB_CHECK_SCRIPT. */
void gdb_script_write(FILE *f, const struct debugger_target *t)
{
    fprintf(f,
            "define " GDB_CHECK_SCRIPT "\n"
            "  if $_isvoid($yoke_ready)\n"
            "    set confirm off\n"
            "    quit %d\n"
            "  end\n"
            "end\n",
            GDB_NO_SCRIPT);
    fputs("python\nexec(r'''", f);
    fputs(devx_gdb_prompt, f);
    script_call_begin(f, t);
    fputs("''', {'__name__': 'yoke'})\nend\n", f);
}
