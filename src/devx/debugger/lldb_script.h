/* What lldb is told to do with a process that stops. */
#ifndef DEVX_LLDB_SCRIPT_H
#define DEVX_LLDB_SCRIPT_H

#include "devx/debugger/debugger.h"

#include <stdio.h>

/* lldb_session.py, which defines begin(); ends with a zero. */
extern const char devx_lldb_session[];

/* A text for Python: that, and a call of its begin(). Async-signal-safe as far as the stream is. */
void lldb_script_write(FILE *f, const struct debugger_target *target);

#endif
