/*
 * A session: one stop of a task, or of a thread, from the asking for the terminal to the end of the debugger.
 * A task of the runtime's speaks with the root; the one who stops waits for it to say that the debugger
 * comes, stops (pause_stop), and goes on with the answer, while the debugger may still step through what it
 * does.
 */
#ifndef DEVX_SESSION_H
#define DEVX_SESSION_H

#include "devx/stop/lock.h"

/* Why it stops, and where: as pause_begin. */
struct session_stop {
    const char *why;
    void *caller, *frame;
    const char *text; /* printed above the prompt; NULL: nothing */
    const char *file; /* with a line: that is shown in place of the frame; NULL: the frame */
    int line;
    void (*over)(void *arg); /* see session_end.steps_on; NULL: nothing */
    void *arg;
};

struct session_end {
    enum pause_answer answer;
    yoke_error *no_debugger; /* says why there was none, or NULL; the caller's */
    /* The session is not over, as the debugger goes by steps: at its end it calls stop->over(arg), in a task
     * of the actor, or on a thread where there is none. Else the terminal was given back. Where there is
     * nobody to call, it may be true without steps in an actor that is not the root. */
    bool steps_on;
};

/* From an actor's task; the whole of a stop. Shielded; the thread stands still in it. */
struct session_end session_stop_task(struct actor *a, const struct session_stop *stop);
/* From a thread that runs no actor, in a process that is one. */
struct session_end session_stop_thread(const struct session_stop *stop);
/* From a thread of a process that is no actor, or of one whose actor has no debug mode: the process opens the
 * debugger itself. One thread after the other. */
struct session_end session_stop_direct(const struct session_stop *stop);
/* Is a session's debugger attached to this process just now? */
bool session_is_here(void);
/* Stops for that one, which may not want to: PAUSE_WAITING then. From any task or thread; no checkpoint. */
enum pause_answer session_meet(const struct session_stop *stop);

/* This process is that actor from now on, and its threads can ask it for a session, till the run ends; and
 * till this. */
void session_runtime_begins(struct actor *a);
void session_runtime_ends(void);

enum session_process {
    SESSION_NO_ACTOR,
    SESSION_ACTOR, /* without debug mode */
    SESSION_DEBUG_ACTOR,
    SESSION_FORK, /* of an actor, by the program itself */
};
enum session_process session_process(void);

#endif
