/* Errors that stop: where they leave, where they are raised. */
#ifndef DEVX_ERROR_STOP_H
#define DEVX_ERROR_STOP_H

#include "actor/runtime.h"

/* As actor_hooks.error_leaves. */
void error_stop_leaves(struct actor *a, yoke_error *e, const struct error_way *way);
/* Is there more in it than cancellation, ctrl-c, and the debugger's own word? */
bool error_stop_is_failure(const yoke_error *e);
/* A person has seen it: it does not stop any more in this process. */
void error_stop_mark(const yoke_error *e);
/* The runtime of an actor begins, and ends: YOKE_DEBUG=raise holds in between. */
void error_stop_begin(struct actor *a);
void error_stop_end(void);

#endif
