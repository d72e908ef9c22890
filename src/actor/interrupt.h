/*
 * What the signals that people and supervisors send mean to an actor.
 *
 * The root: ctrl-c, SIGTERM and SIGHUP interrupt the main task, and whatever that does then, a further one
 * while actors are being ended goes a rung further with them: the second to SIGTERM, the third to SIGKILL.
 * SIGQUIT prints the tasks and takes its default action. A closed standard output (SIGPIPE) interrupts too.
 *
 * A child: SIGTERM cancels it gracefully; again, or when it is being cancelled already (its parent's ladder
 * has come to SIGTERM), it hurries those below. Ctrl-c and SIGHUP come to the whole process group, and are
 * the root's: it asks its children to end.
 */
#ifndef ACTOR_INTERRUPT_H
#define ACTOR_INTERRUPT_H

#include "actor/runtime.h"

/* At the very start of a child or a zygote, which was started with SIGINT and SIGHUP blocked. */
void interrupt_birth(void);
/* From here to the end of the run the signals are the actor's. In a task. */
YOKE_MUST_USE yoke_error *interrupt_begin(struct actor *a);
/* At the start of a root's process: makes interrupt_exit_by possible. */
void interrupt_prepare_exit(void);
/* The process will not exit as it is about to, but die of the signal, when all else of its end is done. */
void interrupt_exit_by(int signal_number);
/* Has the reader of standard output gone? */
bool interrupt_output_is_closed(void);

#endif
