/* What a debugger's Python is told of the process that stops. */
#ifndef DEVX_SCRIPT_CALL_H
#define DEVX_SCRIPT_CALL_H

#include "devx/debugger/debugger.h"

#include <stdio.h>

/* Writes a call of begin(), on one line, with all that is known of `target`. Async-signal-safe as far as the
 * stream is. */
void script_call_begin(FILE *f, const struct debugger_target *target);

#endif
