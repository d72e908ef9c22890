/*
 * Floor 5: the debugger of a tree.
 */
#ifndef YOKE_DEVX_H
#define YOKE_DEVX_H

#include <yoke/actor.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

extern const yoke_error_kind YOKE_DEBUGGER_QUIT; /* the person at the prompt said `quit` */

/*
 * Opens gdb on the caller's frame, in the root's terminal; returns when the person has said `continue` (NULL) or `quit`
 * (YOKE_DEBUGGER_QUIT). One actor at a time has the terminal; the others wait for it. The whole actor stands still meanwhile. Where debug mode is off, or there is no
 * terminal, no gdb, or no right to attach, one line of the log says so and it returns NULL at once. From a task; checkpoint.
 */
YOKE_MUST_USE yoke_error *yoke_pause(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
