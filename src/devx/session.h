/*
 * A session: one stop of a task, or of a thread, from the asking for the terminal to the end of the debugger.
 * A task of the runtime's speaks with the root; the one who stops waits for it to say that the debugger
 * comes, stops (pause_stop), and goes on with the answer, while the debugger may still step through what it
 * does.
 */
#ifndef DEVX_SESSION_H
#define DEVX_SESSION_H

#include "devx/lock.h"

/* Why it stops, and where: as pause_begin. */
struct session_stop {
    const char *why;
    void *caller, *frame;
    const char *text; /* printed above the prompt; NULL: nothing */
    const char *file; /* with a line: that is shown in place of the frame; NULL: the frame */
    int line;
};

/*
 * From an actor's task; the whole of a stop. `*said_why`: an error that says why there was no debugger, or
 * NULL (the caller frees it). Shielded; the thread stands still in it.
 */
enum pause_answer session_stop_task(struct actor *a, const struct session_stop *stop,
                                    yoke_error **no_debugger);
/* From a thread that runs no actor. */
enum pause_answer session_stop_thread(const struct session_stop *stop, yoke_error **no_debugger);
/* Is a session's debugger attached to this process just now? */
bool session_is_here(void);
/* Stops for that one, which may not want to: PAUSE_WAITING then. From any task or thread; no checkpoint. */
enum pause_answer session_meet(const struct session_stop *stop);

/* Threads of the process can ask this actor for a session from now on, till the run ends; and till this. */
void session_runtime_begins(struct actor *a);
void session_runtime_ends(void);
/* Is there one, in debug mode? */
bool session_has_runtime(void);

#endif
