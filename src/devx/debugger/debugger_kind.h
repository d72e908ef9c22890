/* The kinds of debugger that yoke can drive: how each is started, and what it is told. */
#ifndef DEVX_DEBUGGER_KIND_H
#define DEVX_DEBUGGER_KIND_H

#include <yoke/base.h>

#include <stdio.h>

struct debugger_child;
struct debugger_target;

/* What a debugger leaves with. */
enum { DEBUGGER_NO_ATTACH = 91, DEBUGGER_NO_EXEC = 127 };

struct debugger_kind {
    const char *name;    /* that of its program, which may have a version behind it */
    const char *package; /* where it is found, for a message */
    int no_script;       /* what it leaves with when it can't run the script, */
    const char *wanted;  /* because it is not this */
    /* Adds the words that make it run the script of descriptor DEBUGGER_SCRIPT. */
    void (*add_arguments)(struct debugger_child *child);
    /* Async-signal-safe as far as the stream is. */
    void (*write_script)(FILE *f, const struct debugger_target *target);
};

extern const struct debugger_kind debugger_gdb, debugger_lldb;

/* By the program's name: `lldb-14` and `/opt/bin/lldb` are lldb; any other is driven as gdb. */
const struct debugger_kind *debugger_kind_of(const char *program);
/* By its status (wait(2)): has it come to no prompt? */
bool debugger_has_failed(const struct debugger_kind *kind, int status);

#endif
