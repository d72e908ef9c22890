#include "devx/debugger/script_call.h"

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

void script_call_begin(FILE *f, const struct debugger_target *t)
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
