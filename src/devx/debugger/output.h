/*
 * What a tree in debug mode prints to its terminal goes through a pty and another process (output_copier.h),
 * which holds it back while somebody is at the debugger's prompt: nothing tears what is typed there. Root and
 * children share one pty, so what they print keeps the order in which they print it.
 *
 * That is the standard output and error of the root where they are its controlling terminal; children inherit
 * them. The process that is in the debugger prints to the terminal itself, so that what a step prints is
 * seen. All is as it was where debug mode is off, where YOKE_DEBUG says `direct`, and where a pty can't be
 * had.
 */
#ifndef DEVX_OUTPUT_H
#define DEVX_OUTPUT_H

#include "actor/runtime.h"

/* Of a root: when its runtime begins in debug mode, and when it starts an actor in debug mode, which does
 * nothing if it has begun. Sets a->output. Blocks for the start of a process. */
void output_begin(struct actor *a);
/* Puts the root's descriptors back when all is printed that was, and reaps the copier if nobody else has the
 * pty; done at exit too, again does nothing. Waits, on any thread, for some seconds at most if the terminal
 * takes nothing. */
void output_end(void);
/* The same from a task, whose scheduler goes on meanwhile. */
void output_end_in_task(void);

/* Returns when all is out that was printed before; nothing more comes out till output_go. Checkpoint. A
 * terminal that takes nothing is not waited for: what is left is held, too. */
YOKE_MUST_USE yoke_error *output_hold(void);
/* As output_hold; it blocks. These three are async-signal-safe. */
void output_hold_directly(void);
void output_go(void);
/* All that was printed is out. */
void output_drain_directly(void);

/* In the process that is in the debugger, any: its output is the terminal between these. They may nest. */
void output_session_begin(const struct actor *a);
void output_session_end(void);

#endif
