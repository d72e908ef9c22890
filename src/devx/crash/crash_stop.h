/* A child that has crashed and waits: its parent has its core written, and asks for the terminal in its name.
 */
#ifndef DEVX_CRASH_STOP_H
#define DEVX_CRASH_STOP_H

#include "actor/child.h"

/* As actor_hooks.child_starts, .child_writes and .child_crashed. */
void crash_stop_child_starts(struct child *c);
void crash_stop_child_writes(struct child *c);
void crash_stop_child_died(yoke_error *e, struct child *c);

#endif
