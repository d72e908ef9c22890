/* What the signals that ask a root to end mean while somebody is at the debugger's prompt. */
#ifndef DEVX_SIGNALS_H
#define DEVX_SIGNALS_H

#include "actor/runtime.h"

/*
 * Ctrl-c (which is gdb's, and comes here only from elsewhere) is told, and does nothing. SIGTERM begins the
 * end, which waits for the prompt, for a grace of 10 s (YOKE_DEBUG_GRACE_MS in the environment); a second one
 * does not. SIGHUP closes the lock at once. As actor_hooks.root_signalled.
 */
bool signals_at_prompt(struct actor *a, int number);

#endif
