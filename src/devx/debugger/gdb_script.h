/* What gdb is told to do with a process that stops. */
#ifndef DEVX_GDB_SCRIPT_H
#define DEVX_GDB_SCRIPT_H

#include "devx/debugger/debugger.h"

#include <stdio.h>

/* The status that gdb leaves with when it could not run the script. */
enum { GDB_NO_SCRIPT = 92 };

/* A command for the time after the script. */
#define GDB_CHECK_SCRIPT "yoke-check"

/* Async-signal-safe as far as the stream is: a crash writes it, too. */
void gdb_script_write(FILE *f, const struct debugger_target *target);

#endif
