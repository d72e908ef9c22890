/*
 * The process-wide hook of breakpoints that are instructions or signals: YOKE_BREAKPOINT(), `int3`,
 * raise(SIGTRAP). While an actor in debug mode runs, they open a prompt as yoke_pause does; before and after,
 * SIGTRAP is the program's own.
 */
#ifndef DEVX_TRAP_H
#define DEVX_TRAP_H

#include <signal.h>
#include <stdbool.h>

/* Sets the handler. Puts back what was before, where nobody else has set something meanwhile. Both may be
 * called again. */
void trap_begin(void);
void trap_end(void);
/* Whom to ask of each trap first (NULL: nobody), in the handler: true: it was his, and the thread goes on
 * from `context` (a ucontext_t) as that is now. */
void trap_ask_first(bool (*is_his)(const siginfo_t *info, void *context));
/* A stop at a breakpoint, in the handler; `call` is what the log names. `caller` is where the thread goes on
 * from, `frame` as pause_begin has it. Parks; errno is as it was. */
void trap_stop(const char *call, void *caller, void *frame);

#endif
