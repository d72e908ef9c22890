/* What gdb is told to do with a process that pauses. */
#ifndef DEVX_GDB_SCRIPT_H
#define DEVX_GDB_SCRIPT_H

#include "devx/debugger.h"

#include <stdio.h>

/* The status that gdb leaves with when it could not attach. */
enum { GDB_NO_ATTACH = 91 };

/* A command for the time before the script; without Python in gdb it says so and does nothing. */
#define GDB_AT_FIRST_PROMPT                                                                                  \
    "python exec(\"def yoke_note():\\n gdb.events.before_prompt.disconnect(yoke_note)\\n "                   \
    "gdb.execute('yoke-note-history')\\ngdb.events.before_prompt.connect(yoke_note)\")"

void gdb_script_write(FILE *f, const struct debugger_target *target);

#endif
