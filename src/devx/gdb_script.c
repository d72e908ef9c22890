/*
 * The script that gdb runs: the text of devx/prompt.py, and a call of its begin() with all that is to be
 * known of the one who stops. Python has its own names there, which a user's .gdbinit does not meet.
 */
#include "devx/gdb_script.h"

#include "devx/prompt.h"

#include <string.h>

/* Texts are another process': nothing in them is Python. Whether they are UTF-8 is not known either. */
static void put_text(FILE *f, const char *name, const char *text)
{
    fprintf(f, "%s=b'", name);
    for (const char *at = text ? text : ""; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c < ' ' || c >= 0x7f || strchr("'\"\\", c))
            fprintf(f, "\\x%02x", c);
        else
            fputc(c, f);
    }
    fputs("'.decode('utf-8', 'replace'), ", f);
}

static void put_number(FILE *f, const char *name, uint64_t number)
{
    fprintf(f, "%s=%llu, ", name, (unsigned long long)number);
}

/* One line, since gdb takes a script line by line. */
static void write_call(FILE *f, const struct debugger_target *t)
{
    fputs("begin(", f);
    put_text(f, "actor", t->actor);
    put_text(f, "task", t->task);
    put_text(f, "why", t->why);
    put_text(f, "text", t->text);
    put_text(f, "file", t->file);
    put_number(f, "line", t->line > 0 ? (uint64_t)t->line : 0);
    put_number(f, "pid", (uint64_t)t->request.pid);
    put_number(f, "answer", t->request.answer);
    put_number(f, "owed", t->request.owed);
    put_number(f, "caller", t->request.caller);
    put_number(f, "frame", t->request.frame);
    fprintf(f, "crashed=%s)\n", t->crashed ? "True" : "False");
}

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
    write_call(f, t);
    fputs("''', {'__name__': 'yoke'})\nend\n", f);
}
