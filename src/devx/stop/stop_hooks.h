/* What the program wants to be told of stops (yoke_debug_set_hooks). */
#ifndef DEVX_STOP_HOOKS_H
#define DEVX_STOP_HOOKS_H

#include "devx/stop/session.h"

/* On the task or thread that is about to stop. NULL: it may; then `s->over(s->arg)`, where that is set, is to
 * be called once when it is over. Else there was no such stop. */
YOKE_MUST_USE yoke_error *stop_hooks_before(struct session_stop *s);
/* Does the calling task, or thread, run a hook? */
bool stop_hooks_run_here(void);

#endif
