/*
 * The pause, in the actor that pauses: a thread stops on its own stack till gdb, attached by the root, has
 * written an answer into the process' memory. The root's side is devx/debugger/debugger.h; between them
 * stands the dialog that gives one actor at a time the terminal (session.h).
 */
#ifndef DEVX_PAUSE_H
#define DEVX_PAUSE_H

#include <yoke/devx.h>

#include <sys/types.h>

enum pause_answer {
    PAUSE_WAITING,
    PAUSE_CONTINUE,
    PAUSE_QUIT,
    PAUSE_ABANDONED, /* nobody is going to answer any more */
};

/* What the debugger has to know; plain numbers that may cross to another process. */
struct pause_request {
    pid_t pid;
    uint64_t answer; /* where in that process the answer (an int) is to be written */
    uint64_t owed;   /* where a `quit` that comes after the answer is written (an int, 1) */
    uint64_t caller; /* the code address that the pause returns to: the frame to show */
    uint64_t frame; /* an address on the stack of the thread that stops, at most 64 KiB above where it does */
};

/*
 * Begins a pause, which `answer` tells the end of. `caller` and `frame` are __builtin_return_address(0) and
 * __builtin_frame_address(0) of the public function, which must be noinline, and must be on the stack when
 * pause_stop is called (no tail call).
 */
struct pause_request pause_begin(volatile int *answer, void *caller, void *frame);
/* Lets `debugger`, and what it starts, attach, where the kernel (Yama) lets only ancestors and those named.
 */
YOKE_MUST_USE yoke_error *pause_allow(pid_t debugger);
/*
 * Stops the calling thread, with a scheduler that runs on it, till the answer is there. No checkpoint. Some
 * 50 times a second `abandoned(arg)` is asked whether to give up; it must not block or park.
 */
enum pause_answer pause_stop(volatile int *answer, bool (*abandoned)(void *arg), void *arg);
/* A stop of a process whose debugger is there already; devx/debugger/prompt.py reads it, in this order. */
struct pause_meeting {
    volatile int answer; /* PAUSE_WAITING when nobody has stopped it: there is no debugger, or it steps */
    int line;
    uint64_t caller, frame;
    const char *why, *text, *file;
};
/* Does nothing: the debugger stops here, when it wants to, and answers before it lets the process go on. */
void pause_meets_debugger(struct pause_meeting *meeting);
/* What the pausing call returns: YOKE_DEBUGGER_QUIT for PAUSE_QUIT, NULL for the others. */
YOKE_MUST_USE yoke_error *pause_result(enum pause_answer answer);
/* Was `quit` said after the answer, in a session that had gone on by steps? True once. */
bool pause_owes_quit(void);
/* The next pause of this process returns it. */
void pause_owe_quit(void);
/* Who debugs process `pid` (ptrace(2)), or 0, and who has started that one: lldb has it done by a server. A
 * pid of 0: the calling thread; a debugger that leaves lets the threads of a process go one by one. */
void pause_debuggers(pid_t pid, pid_t who[2]);

#endif
