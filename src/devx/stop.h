/* What the calls that stop have in common. `call` is what the log names. */
#ifndef DEVX_STOP_H
#define DEVX_STOP_H

#include "devx/session.h"

/* May the caller stop? `a`: the actor of the calling task, or NULL. Else the log has said why not. */
bool stop_can(const char *call, const struct actor *a);
/* The whole of a stop; the log says why there was none. At the prompt of the process' debugger, if that is
 * there already. */
enum pause_answer stop_at(const char *call, struct actor *a, const struct session_stop *stop);
/* yoke_pause and its kin: `s` says where, and what is shown. */
YOKE_MUST_USE yoke_error *stop_call(const char *call, bool shielded, const struct session_stop *s);

/* The debugger looks for the frame that a call returns to: no tail call may take it away. */
#define STOP_KEEP_FRAME(e) __asm__ volatile("" : "+r"(e))

#endif
