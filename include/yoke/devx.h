/*
 * Floor 5: the program and its debugger. Stands above the actors, whose crashes it reports and whose tasks it
 * stops.
 */
#ifndef YOKE_DEVX_H
#define YOKE_DEVX_H

#include <yoke/actor.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * Defines main(). In the root, `app(argc, argv)` (returning yoke_error *) runs as the main task; in a child
 * it is not called: the child serves the modules that its parent exposed. An error that leaves app is printed
 * on stderr as a tree. Exit status: 0; 1 on an error, or what yoke_exit_status said; 128 + its number when a
 * signal ended the program, so 130 after ctrl-c, 143 after SIGTERM (one line is printed then, no error), or
 * what yoke_exit_status_of_signal said.
 */
#define YOKE_MAIN(app)                                                                                       \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        return yoke_main(argc, argv, app);                                                                   \
    }
/*
 * For a main() of one's own, which opens its runtime by yoke_actors_open: called at its very beginning. True:
 * this process was an actor's child, has run as one, and is to end with `*status`.
 */
bool yoke_child_main(int argc, char **argv, int *status);
/* What YOKE_MAIN's main() does; returns the exit status. 2, and a line on stderr: this process is an actor
 * already. */
int yoke_main(int argc, char **argv, yoke_error *(*app)(int argc, char **argv));
extern const yoke_error_kind YOKE_DEBUGGER_QUIT;    /* the person at the prompt said `quit` */
extern const yoke_error_kind YOKE_DEBUGGER_REFUSED; /* the actor, or the program, is being ended */

/*
 * Opens gdb (or what YOKE_DEBUGGER names) on the caller's frame, in the root's terminal; returns when the
 * person has said `continue` (NULL) or `quit` (YOKE_DEBUGGER_QUIT; also when the terminal has gone). One task
 * or thread of the whole tree at a time has the terminal; the others wait for it, first come, first served.
 * The whole actor stands still meanwhile, and nobody above ends it. Where debug mode is off, or there is no
 * terminal, no gdb, or no right to attach, one line of the log says so and it returns NULL at once; so it
 * does where the debugger is at the caller already. Any task of an actor, and any thread of its process; on
 * an actor's own thread, outside of its tasks, the host of a guest alone: its guest goes on while it waits
 * for the terminal, so that tasks run and the guest's end may be told inside of this call. What was posted,
 * and an abort function, does not stop: a line of the log says so. In a scope that is cancelled it returns
 * the cancellation; one that comes later is told by the next checkpoint.
 *
 * In a process that is no actor (before the runtime and after it, in a run without actors, in a static
 * constructor) the environment's YOKE_DEBUG alone turns it on: gdb takes the terminal of this process, one
 * thread after the other. In a fork of an actor it logs one line and returns NULL. In a signal handler it
 * does what the code that was interrupted might do there.
 */
YOKE_MUST_USE yoke_error *yoke_pause(void);
/* The same, in a scope that is cancelled too. */
YOKE_MUST_USE yoke_error *yoke_pause_shielded(void);
/* yoke_pause where `condition` holds; NULL at once where it does not. */
YOKE_MUST_USE yoke_error *yoke_pause_if(bool condition);
/*
 * yoke_pause where the environment's YOKE_BREAK, names separated by commas, has `name`; else NULL at once.
 * It is read at the process' first call, and so reaches each actor of a tree as the environment does. Costs
 * some nanoseconds where it is not set. A name that YOKE_BREAK does not have is logged at level `debug`, one
 * that an actor has never come to at `info`, when it ends.
 */
YOKE_MUST_USE yoke_error *yoke_breakpoint(const char *name);

/*
 * A breakpoint that is an instruction, as other debuggers and other programs' code have it (`int3`). While an
 * actor in debug mode runs in this process, one that any of its tasks and threads runs into opens the prompt
 * at its line, as yoke_pause_shielded does; so does raise(SIGTRAP). What `quit` says is returned by the
 * task's next checkpoint, or of a thread by the process' next pause. Before and after, and in a fork of the
 * program's own, SIGTRAP does what the program has set for it: by default it ends the process. While an
 * actor without debug mode runs YOKE_BREAKPOINT() logs one line, and nothing else happens. A handler that the
 * program sets for SIGTRAP meanwhile takes the prompt's place.
 */
#define YOKE_BREAKPOINT()                                                                                    \
    do {                                                                                                     \
        if (yoke_breakpoint_traps())                                                                         \
            YOKE_BREAKPOINT_INSTRUCTION;                                                                     \
    } while (0)
/* With one more, so that the address behind it is of the same line. */
#ifdef __x86_64__
#define YOKE_BREAKPOINT_INSTRUCTION __asm__ volatile("int3\n\tnop" ::: "memory")
#else
#define YOKE_BREAKPOINT_INSTRUCTION __asm__ volatile("brk #0xf000\n\tnop" ::: "memory")
#endif
/* For the macro: does it run into the instruction here? */
bool yoke_breakpoint_traps(void);

/*
 * What this process does around its stops: leaves the terminal's raw mode, say, and enters it again. Of
 * pauses, breakpoints and errors; a crash calls none of it, since nothing of a crashed process can be called.
 * `why` is a word for the person ("pause", "error", "breakpoint `name`"), a view. Either may be NULL.
 */
typedef struct yoke_debug_hooks {
    /* On the task or thread that is about to stop, before it asks for the terminal. NULL: go on; an error
     * (which becomes the library's) refuses: it is logged, and there is no stop. */
    yoke_error *(*before)(const char *why, void *arg);
    /* Once after each `before` that did not refuse, when the terminal is as it was: on the same task or
     * thread, before its call returns. Where the person has gone on by steps, that has returned already: then
     * in a task of the actor, or on a thread where no actor runs. */
    void (*after)(const char *why, void *arg);
    void *arg;
} yoke_debug_hooks;

/* From now on, for the whole process; returns those before. {0}: none. Stops that have begun keep theirs.
 * Those of one process ask for the terminal one after the other then, each when the `after` of the one before
 * has returned. A pause in a hook logs a line, and returns. Any thread. */
yoke_debug_hooks yoke_debug_set_hooks(yoke_debug_hooks hooks);
/* The same with `e`, which stays the caller's, printed above the prompt. Debug mode does so by itself with an
 * error that leaves an endpoint or the app: docs/debugging.md. */
YOKE_MUST_USE yoke_error *yoke_post_mortem(const yoke_error *e);
YOKE_MUST_USE yoke_error *yoke_post_mortem_shielded(const yoke_error *e);

/*
 * Gives the calling thread an alternate signal stack (sigaltstack(2), 256 KiB of address space, of which a
 * crash touches some 20), on which its crashes are handled. The main thread of an actor has one; a thread
 * that the program starts calls this at its begin, or an overflow of its stack ends the process without a
 * report. Then the error names the thread (pthread_setname_np) and the size of its stack. It goes when the
 * thread ends, and one that the thread had before is back then; again on the same thread it does nothing. Any
 * thread, with or without a runtime; not in a signal's handler. YOKE_NO_MEMORY or another YOKE_SYSTEM: the
 * thread is as it was.
 */
YOKE_MUST_USE yoke_error *yoke_thread_alternate_stack(void);

/* A block that an error does not leave unseen. Lives in the caller's frame; the fields are the library's. */
typedef struct yoke_crash_handler {
    const yoke_error_kind *const *kinds;
    size_t count;
} yoke_crash_handler;

/*
 * Around any code, with or without a runtime, on any thread: the close opens the debugger with the body's
 * error if one of `kinds` (kept, not copied; a count of 0: all) is in it, whether debug mode is on or not,
 * and returns the error in any case. Cancellations, ctrl-c and YOKE_DEBUGGER_QUIT pass. Where no actor in
 * debug mode runs, gdb takes the terminal of this process, and the calling thread waits for its end.
 */
void yoke_crash_handler_open(yoke_crash_handler *h, const yoke_error_kind *const kinds[], size_t count);
YOKE_MUST_USE yoke_error *yoke_crash_handler_close(yoke_crash_handler *h, yoke_error *e);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
