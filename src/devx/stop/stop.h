/* What the calls that stop have in common. `call` is what the log names. */
#ifndef DEVX_STOP_H
#define DEVX_STOP_H

#include "devx/stop/session.h"

/* The whole of a stop of the calling task or thread, with what the program wants to be told of it
 * (stop_hooks.h); the log says why there was none. At the prompt of the process' debugger, if that is there
 * already. */
enum pause_answer stop_at(const char *call, const struct session_stop *stop);
/* The same, if the caller may stop; else the log has said why not: yoke_pause and its kin. `shielded_call`:
 * the one to use in a scope that is cancelled; NULL: this one. */
YOKE_MUST_USE yoke_error *stop_call(const char *call, const char *shielded_call,
                                    const struct session_stop *stop);
/* The same without a result, in any scope. */
enum pause_answer stop_if_can(const char *call, const struct session_stop *stop);

/* What is said where it is. */
#define STOP_IS_OFF "the debugger is off (YOKE_DEBUG=1 in the environment turns it on)"
/* The debugger looks for the frame that a call returns to: no tail call may take it away. */
#define STOP_KEEP_FRAME(e) __asm__ volatile("" : "+r"(e))

#endif
