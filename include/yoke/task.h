/*
 * Floor 1: tasks in one process. Usable alone: include this header, link libyoke, call yoke_run().
 *
 * A task is a stackful coroutine on a stack of its own. Tasks live in nurseries: a nursery's close returns
 * when the last of them has ended. What is open in a task nests: scopes and nurseries are closed in the
 * reverse order of their opening, by the task that opened them; anything else aborts with the file and line
 * of the opening.
 *
 * Words used below.
 *   checkpoint   the call looks for cancellation and lets other tasks run, on every path: at once when it
 *                waits, else at the latest after a budget of such calls. All that blocks is one. It returns
 *                YOKE_CANCELLED while a scope around it is cancelled, each time.
 *   any task     a task of the same scheduler (one thread's yoke_run); a call from another thread, or
 *                outside of a run, is an error of kind YOKE_USAGE, or aborts where the call has no error to
 *                return.
 * An operation that took effect returns success even if a cancellation arrived meanwhile: nothing is lost to
 * a race.
 *
 * The model is trio's (Python); names are its names.
 */
#ifndef YOKE_TASK_H
#define YOKE_TASK_H

#include <yoke/base.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct yoke_task yoke_task;
/* What a task runs. What it returns goes to its nursery. */
typedef yoke_error *(*yoke_task_fn)(void *arg);

/* ---- run ---------------------------------------------------------------------------------------- */

typedef struct yoke_clock yoke_clock;

#define YOKE_IN_ORDER UINT64_MAX

typedef struct yoke_run_options {
    size_t stack_bytes;      /* of each task, guard and bookkeeping included; 0: 64 KiB. 16 KiB to 1 GiB */
    size_t main_stack_bytes; /* of the main task; 0: 8 MiB of address space, taken as it is touched */
    unsigned budget;         /* operations that a task may complete without yielding; 0: 128 */
    bool ignore_interrupt;   /* leave SIGINT alone; else ctrl-c is YOKE_INTERRUPTED in the main task */
    /* Do not look for deadlocks. Else, when all tasks wait and nothing is left that could wake one (no timer,
       no descriptor, no signal, no token in somebody's hands; a task in yoke_sleep_forever waits for ctrl-c,
       where that is listened to), all are cancelled, and yoke_run returns YOKE_DEADLOCK with their tree. If
       they wait even then, shielded, the program aborts with the tree. */
    bool may_deadlock;
    bool flat; /* yoke_nursery_close does as yoke_nursery_close_flat */
    /* Tasks that are ready at the same time run in a random order that the seed decides. 0: the environment's
       YOKE_SEED, or without it, and with YOKE_IN_ORDER always, first in, first out. */
    uint64_t seed;
    /* A task that runs longer than this between checkpoints is told in the log, once, with its place of
       spawning; ns of real time. 0: the environment's YOKE_LONG_STEP_MS, or without it none is told. With it
       each switch reads the clock. */
    int64_t long_step;
    yoke_clock *clock; /* must outlive the run; NULL: CLOCK_MONOTONIC */
} yoke_run_options;

/*
 * Runs `main_fn(arg)` as the main task of a new scheduler on the calling thread, and returns what it
 * returned, the same pointer, after every task has ended. Inside of another run on this thread: YOKE_USAGE.
 * Bad options: YOKE_USAGE with the field's name. Ctrl-c: the main task's next (or present) checkpoint returns
 * YOKE_INTERRUPTED, once for each; one that came after its last checkpoint is what yoke_run returns, with the
 * main task's error as its cause. A handler of SIGINT that was there before the run is left alone. A
 * Cancelled that the main task returns though no scope caused it comes as the cause of a YOKE_INTERNAL.
 */
YOKE_MUST_USE yoke_error *yoke_run(yoke_task_fn main_fn, void *arg, const yoke_run_options *options);

/* ---- guests: a run on somebody else's loop --------------------------------------------------------- */

/*
 * For a program whose thread has a loop already (libuv's, GLib's, its own poll): the host. It waits, and the
 * tasks run in between, on the same thread:
 *
 *   forever: wait till yoke_guest_fd(g) is readable, or yoke_guest_deadline(g) has come, or for whatever else
 *            the host waits for; do what is the host's; yoke_guest_tick(g)
 *
 * All functions are the host's, between two ticks, on the thread that started the guest; inside of a tick (in
 * a task, in what was posted) they are YOKE_USAGE, but for what says otherwise. Between two ticks host code
 * stands where what was posted by a token stands, in the run and in no task: it may set events, send without
 * waiting, cancel, move deadlines, spawn and post, whatever needs no task; calls that wait are YOKE_USAGE.
 * Tasks call the host's functions as any function, if they allow it from a callback.
 */
typedef struct yoke_guest yoke_guest;

/* The run has ended with `e`, which is the receiver's: what yoke_run would have returned. Called once, inside
 * of a tick, when nothing is left of the run: the thread may begin another one, and yoke_guest_close is
 * allowed. */
typedef void (*yoke_guest_ended_fn)(void *arg, yoke_error *e);

typedef struct yoke_guest_options {
    yoke_run_options
        run;        /* without ignore_interrupt; and nobody looks for deadlocks: the host may end them */
    bool interrupt; /* take SIGINT as yoke_run does; one that is in use already stays, with a warning */
} yoke_guest_options;

/*
 * Begins a run of `main_fn(arg)` on the calling thread. When it returns, nothing of main_fn has run yet
 * (ticks do that), and all else is there: yoke_now, the token, system tasks. `ended` is called at the end;
 * never inside of this call. An error (YOKE_USAGE for options as yoke_run, or where the thread has a run;
 * system errors) leaves no guest, and `ended` is not called.
 */
YOKE_MUST_USE yoke_error *yoke_guest_start(yoke_guest **guest, yoke_task_fn main_fn, void *arg,
                                           yoke_guest_ended_fn ended, void *ended_arg,
                                           const yoke_guest_options *options);
/* Readable when there is something for a tick to do: for poll(2), epoll(7) and the like. It is the guest's,
 * the same from start to close; nobody else reads it. */
int yoke_guest_fd(const yoke_guest *guest);
/*
 * When the next tick is due at the latest, whatever the descriptor says: CLOCK_MONOTONIC in ns, 0: now,
 * YOKE_NEVER: not by time. To be asked right before each wait, since ticks change it, and what host code does
 * to the run. Allowed inside of a tick (0) and after the end (YOKE_NEVER). On another thread it aborts.
 */
int64_t yoke_guest_deadline(yoke_guest *guest);
/*
 * Looks at what has come, and lets each task that is ready run once, to its next wait or yield; never waits.
 * A tick for which there is nothing to do is a system call. YOKE_RUN_FINISHED: the run has ended before;
 * YOKE_USAGE: inside of a tick, or on another thread.
 */
YOKE_MUST_USE yoke_error *yoke_guest_tick(yoke_guest *guest);
/* Cancels the main task, with a reason (one line, or NULL); further ticks bring it to its end, and `ended` is
 * given what remains of its error without that Cancelled. The first one counts; does nothing after the end.
 * Allowed in tasks. On another thread it aborts. */
void yoke_guest_abort(yoke_guest *guest, const char *why);
/*
 * Frees the guest; returns `e`. Before its end it drops the run as it is: what is returned then is joined by
 * a YOKE_USAGE that draws the tree of tasks that were alive, `ended` is not called, their stacks are freed,
 * and what they had open (descriptors, memory, children, an actor's runtime) stays behind. So it is for
 * programs that are ending anyway: the orderly end is yoke_guest_abort, and ticks. NULL is fine. YOKE_USAGE,
 * and nothing is freed: inside of a tick, or on another thread.
 */
YOKE_MUST_USE yoke_error *yoke_guest_close(yoke_guest *guest, yoke_error *e);

/* ---- in a run ---------------------------------------------------------------------------------- */

/* Is there a run on this thread (a guest between two ticks is one too), and are we in a task of it (or in an
 * abort function that one has called)? */
bool yoke_in_run(void);
bool yoke_in_task(void);
/* The task that runs, or NULL. Its name: a view that lives as long as the task. */
yoke_task *yoke_current_task(void);
const char *yoke_task_name(const yoke_task *task);

/* Looks for cancellation and lets the others run. Checkpoint. */
YOKE_MUST_USE yoke_error *yoke_checkpoint(void);
/* Looks, and does not yield unless cancelled. Half a checkpoint. */
YOKE_MUST_USE yoke_error *yoke_checkpoint_if_cancelled(void);
/* Yields, and does not look. The other half. Never fails inside of a task. */
YOKE_MUST_USE yoke_error *yoke_cancel_shielded_checkpoint(void);

/* ---- time --------------------------------------------------------------------------------------- */

/*
 * Nanoseconds on the scheduler's clock (CLOCK_MONOTONIC: it stands still while the machine is suspended). Any
 * thread; outside of a scheduler's it is CLOCK_MONOTONIC. In an actor of a tree that runs with
 * YOKE_DEBUG=freeze it also stands still while somebody is at the debugger's prompt, and is behind
 * CLOCK_MONOTONIC by that time from then on.
 */
int64_t yoke_now(void);
/* Checkpoints. A negative delay is YOKE_USAGE; zero yields once; a deadline in the past too. */
YOKE_MUST_USE yoke_error *yoke_sleep(int64_t ns);
YOKE_MUST_USE yoke_error *yoke_sleep_until(int64_t deadline);
/* Ends by YOKE_CANCELLED (or YOKE_INTERRUPTED) alone. */
YOKE_MUST_USE yoke_error *yoke_sleep_forever(void);

/* A clock for a run, other than the kernel's. All functions are called on the scheduler's thread. */
typedef struct yoke_clock_ops {
    int64_t (*now)(yoke_clock *clock);
    /* Real ns till `deadline`; YOKE_NEVER: it does not come by itself. */
    int64_t (*real_until)(yoke_clock *clock, int64_t deadline);
    /* For a clock that jumps when nobody can run, else NULL: after how much real time (YOKE_NEVER: not now),
       and the jump. Descriptors are looked at once before it, and what other threads still have to answer
       holds it up; a silent descriptor does not. */
    int64_t (*jump_threshold)(yoke_clock *clock);
    void (*jump_to)(yoke_clock *clock, int64_t deadline);
} yoke_clock_ops;
struct yoke_clock {
    const yoke_clock_ops *ops;
};

/*
 * A clock for tests: begins at 0 and stands still, but for what it is told. In the caller's frame, given to
 * the run as `&mock.clock`; the fields are the library's. The functions may be called before the run, and by
 * any task of it.
 */
typedef struct yoke_mock_clock {
    yoke_clock clock;
    int64_t at, since; /* its time, at this real time */
    double rate;
    int64_t threshold;
    int64_t (*real)(void); /* for tests of this clock itself; NULL: CLOCK_MONOTONIC */
} yoke_mock_clock;

void yoke_mock_clock_init(yoke_mock_clock *clock);
/* Forward. Negative: YOKE_USAGE. Who is due wakes in the next pass. */
YOKE_MUST_USE yoke_error *yoke_mock_clock_jump(yoke_mock_clock *clock, int64_t ns);
/* Its ns for each real one. Negative, or not a number: YOKE_USAGE. */
YOKE_MUST_USE yoke_error *yoke_mock_clock_set_rate(yoke_mock_clock *clock, double rate);
/* When nobody could run for `threshold` real ns (0: at once), it jumps to the next deadline. YOKE_NEVER: it
 * does not jump by itself. */
YOKE_MUST_USE yoke_error *yoke_mock_clock_set_autojump(yoke_mock_clock *clock, int64_t threshold);

/*
 * Checkpoint. Returns when no other task has been able to run for `cushion` ns of real time (0: when none is
 * ready). Who sleeps or waits for a descriptor is blocked. Of several who wait here those with the shortest
 * cushion are served first; then the others' begin anew. A clock does not jump meanwhile.
 */
YOKE_MUST_USE yoke_error *yoke_wait_all_tasks_blocked(int64_t cushion);

/* ---- cancel scopes ------------------------------------------------------------------------------ */

/* A deadline's place in the timer heap. The fields are the library's. */
typedef struct yoke_timer {
    int64_t deadline;
    size_t slot;      /* 1-based; 0: not set */
    uint64_t setting; /* its number among those in order: what was set before has less */
    void (*fire)(struct yoke_timer *timer);
} yoke_timer;

/* Lives in the caller's frame; not to be copied or moved while open. The fields are the library's. */
typedef struct yoke_scope {
    yoke_task *owner;
    const char *file;
    int line;
    uint32_t magic;
    yoke_list in_parent, children, tasks;
    struct yoke_scope *parent;
    yoke_error *reason;
    bool shield, cancel_called, effective, caught, deadline_fired, fails, has_timeout;
    bool is_nursery : 1, is_marked : 1;
    yoke_timer timer;
    int64_t timeout;
} yoke_scope;

typedef struct yoke_scope_options {
    int64_t deadline; /* absolute; 0: none. Not together with after */
    int64_t after;    /* from the opening; 0: none; negative: YOKE_USAGE */
    bool at_once;     /* `after` is really 0 */
    bool shield;
    bool fail; /* close turns the scope's own expiry into YOKE_TOO_SLOW */
} yoke_scope_options;

/*
 * Opens a scope in the calling task. From here to its close the task, and all tasks of nurseries opened in
 * it, are inside. Not checkpoints. YOKE_USAGE outside of a task or when the scope is open already;
 * YOKE_NO_MEMORY for a deadline that can't be kept.
 */
#define yoke_scope_open(s)           yoke_scope_open_at(__FILE__, __LINE__, (s), NULL)
#define yoke_scope_open_with(s, ...) yoke_scope_open_at(__FILE__, __LINE__, (s), __VA_ARGS__)
#define yoke_move_on_after(s, ns)    yoke_scope_open_after_at(__FILE__, __LINE__, (s), (ns), false)
#define yoke_fail_after(s, ns)       yoke_scope_open_after_at(__FILE__, __LINE__, (s), (ns), true)
YOKE_MUST_USE yoke_error *yoke_scope_open_at(const char *file, int line, yoke_scope *s,
                                             const yoke_scope_options *options);
YOKE_MUST_USE yoke_error *yoke_scope_open_after_at(const char *file, int line, yoke_scope *s, int64_t ns,
                                                   bool fail);
/*
 * A scope that is made first and opened later, for those who may want to cancel it in between, or shield it,
 * or give it a deadline: that holds from its opening on. A timeout counts from the opening; till then it has
 * no deadline (setting one is YOKE_USAGE). yoke_scope_init may be called anywhere; YOKE_USAGE for options
 * that contradict. yoke_scope_enter is the opening, once; its errors are those of yoke_scope_open.
 */
YOKE_MUST_USE yoke_error *yoke_scope_init(yoke_scope *s, const yoke_scope_options *options);
#define yoke_scope_enter(s) yoke_scope_enter_at(__FILE__, __LINE__, (s))
YOKE_MUST_USE yoke_error *yoke_scope_enter_at(const char *file, int line, yoke_scope *s);
/*
 * Closes the innermost scope of the calling task, given the body's error; returns what remains. If this scope
 * was cancelled, and none that encloses it (up to a shield), the Cancelled in `e` is absorbed: alone it
 * becomes NULL, among others it is taken out of the group (without memory for that it stays in it, and goes
 * on beside them). Not a checkpoint. Aborts if `s` is not the innermost, or not the caller's.
 */
YOKE_MUST_USE yoke_error *yoke_scope_close(yoke_scope *s, yoke_error *e);
/*
 * Cancels all that is inside. The first reason (one line, or NULL) stays. Any task; not a checkpoint; does
 * nothing when done twice.
 */
void yoke_scope_cancel(yoke_scope *s, const char *why);
/* Setters for an open scope. Taking a shield away lets an outer cancellation in at once. A deadline in the
   past cancels at once. YOKE_NEVER takes the deadline away. */
void yoke_scope_set_shield(yoke_scope *s, bool shield);
YOKE_MUST_USE yoke_error *yoke_scope_set_deadline(yoke_scope *s, int64_t deadline);
/* After or before the close: was it cancelled, and did its close absorb that? A deadline that has passed
 * counts, and cancels the scope, though nobody has noticed yet. */
bool yoke_scope_cancel_called(const yoke_scope *s);
bool yoke_scope_cancelled_caught(const yoke_scope *s);
/* The earliest deadline in force for the calling task, up to a shield; INT64_MIN if cancelled; YOKE_NEVER if
 * none. */
int64_t yoke_current_effective_deadline(void);

/* ---- nurseries ---------------------------------------------------------------------------------- */

/* Lives in the caller's frame; not to be copied or moved while open. The fields are the library's. */
typedef struct yoke_nursery {
    yoke_scope scope;
    yoke_list children;
    yoke_task *closer; /* parked in close */
    yoke_error **errors;
    yoke_error *few[2]; /* errors begins here: there is a place for one without memory too */
    size_t error_count, error_room;
    yoke_error *cancelled; /* one of the Cancelled that came back */
    size_t spawned;        /* into it, ever */
    size_t pending_starts; /* each holds it open */
    bool closed;
} yoke_nursery;

typedef struct yoke_nursery_statistics {
    size_t children, pending_starts;
    size_t spawned;    /* in all, also those that have ended, and those that came by yoke_started() */
    yoke_task *oldest; /* of the children, or NULL */
} yoke_nursery_statistics;

typedef struct yoke_spawn_options {
    const char *name;   /* copied (up to 63 bytes); NULL: the function's name */
    size_t stack_bytes; /* 0: the run's. 16 KiB to 1 GiB, rounded up to a power of two */
} yoke_spawn_options;

/* Opens a nursery in the calling task. Not a checkpoint. Errors as yoke_scope_open. */
#define yoke_nursery_open(n) yoke_nursery_open_at(__FILE__, __LINE__, (n))
YOKE_MUST_USE yoke_error *yoke_nursery_open_at(const char *file, int line, yoke_nursery *n);
/*
 * Waits for the last task of the nursery, given the body's error, and returns what remains. An error of the
 * body or of a task cancels the rest. Real errors come as a group, in the order in which they happened, also
 * when there is one; Cancelled that this nursery caused is absorbed; one that came from outside is returned
 * (alone, or as the last member). Checkpoint in that it yields; it looks for cancellation only through its
 * tasks, and never makes a Cancelled of its own. _flat: a group of one is its member; _strict:
 * it stays, also in a run with `.flat`.
 */
YOKE_MUST_USE yoke_error *yoke_nursery_close(yoke_nursery *n, yoke_error *e);
YOKE_MUST_USE yoke_error *yoke_nursery_close_strict(yoke_nursery *n, yoke_error *e);
YOKE_MUST_USE yoke_error *yoke_nursery_close_flat(yoke_nursery *n, yoke_error *e);
/* As yoke_scope_cancel of the nursery's scope. */
void yoke_nursery_cancel(yoke_nursery *n, const char *why);
yoke_scope *yoke_nursery_scope(yoke_nursery *n);

/*
 * Starts a task in the nursery; it runs for the first time in the next pass of the scheduler, never inside
 * this call. Any task may spawn into a nursery. YOKE_CLOSED: the nursery has ended; YOKE_NO_MEMORY: no stack;
 * nothing was started then and `arg` stays the caller's. Not a checkpoint.
 */
#define yoke_spawn(n, fn, ...)      yoke_spawn_at(__FILE__, __LINE__, #fn, (n), (fn), __VA_ARGS__, NULL)
#define yoke_spawn_with(n, fn, ...) yoke_spawn_at(__FILE__, __LINE__, #fn, (n), (fn), __VA_ARGS__)
YOKE_MUST_USE yoke_error *yoke_spawn_at(const char *file, int line, const char *fn_name, yoke_nursery *n,
                                        yoke_task_fn fn, void *arg, const yoke_spawn_options *options);
/* The same; `size` bytes (at most 1 KiB) at `value` are copied onto the new task's stack, and fn is given the
 * copy. */
#define yoke_spawn_value(n, fn, ...)                                                                         \
    yoke_spawn_value_at(__FILE__, __LINE__, #fn, (n), (fn), __VA_ARGS__, NULL)
YOKE_MUST_USE yoke_error *yoke_spawn_value_at(const char *file, int line, const char *fn_name,
                                              yoke_nursery *n, yoke_task_fn fn, const void *value,
                                              size_t size, const yoke_spawn_options *options);
/*
 * Starts a task that gets ready before it counts as the nursery's: returns when it has called yoke_started(),
 * with the pointer given there in `*value` (`value` may be NULL; what it points to must live as long as the
 * starter looks at it). Till then the task is under the caller, in a nursery that start opens for it: it is
 * cancelled with the caller, and its error is what start returns, as it is, while `n` is left alone. From
 * yoke_started() on it is in `n` like any other, with all that it has opened. A pending start holds `n` open.
 * YOKE_CLOSED: the nursery has ended; YOKE_USAGE: the task ended without yoke_started(); YOKE_NO_MEMORY as
 * yoke_spawn. Checkpoint in the way that a nursery's close is: it looks for cancellation only through the
 * task, so a task that was started is never reported as cancelled.
 */
#define yoke_start(n, fn, ...)      yoke_start_at(__FILE__, __LINE__, #fn, (n), (fn), __VA_ARGS__, NULL)
#define yoke_start_with(n, fn, ...) yoke_start_at(__FILE__, __LINE__, #fn, (n), (fn), __VA_ARGS__)
YOKE_MUST_USE yoke_error *yoke_start_at(const char *file, int line, const char *fn_name, yoke_nursery *n,
                                        yoke_task_fn fn, void *arg, void **value,
                                        const yoke_spawn_options *options);
/*
 * In the task that yoke_start started: it is ready. Does nothing in a task that was spawned plainly, so that
 * a function may be used both ways. When the starter has been cancelled before, the value is dropped and the
 * task stays under it, to see that cancellation. YOKE_USAGE: called before. Not a checkpoint.
 */
YOKE_MUST_USE yoke_error *yoke_started(void *value);

/*
 * Links upward, for dumps and for what looks around. The nursery that the task is in (inside of a pending
 * start: the one that start opened), and the one that it will be in after yoke_started(). NULL for none, and
 * for the first task of a run; for NULL. Its opener is alive as long as the nursery is open.
 */
yoke_nursery *yoke_task_nursery(const yoke_task *task);
yoke_nursery *yoke_task_eventual_nursery(const yoke_task *task);
yoke_task *yoke_nursery_opener(const yoke_nursery *n);
/* The open nurseries of a task, in the order of their opening: writes the first `room` of them to `out`,
 * returns how many there are. */
size_t yoke_task_nurseries(const yoke_task *task, yoke_nursery **out, size_t room);
/* Of an open nursery; counts its children one by one. */
void yoke_nursery_get_statistics(const yoke_nursery *n, yoke_nursery_statistics *out);

/*
 * A task of the run itself: it outlives the main task, is cancelled when that has ended, and is not under the
 * caller's scopes. An error of it cancels the main task and is what yoke_run returns, as the cause of a
 * YOKE_INTERNAL.
 */
#define yoke_spawn_system(fn, ...) yoke_spawn_system_at(__FILE__, __LINE__, #fn, (fn), __VA_ARGS__, NULL)
YOKE_MUST_USE yoke_error *yoke_spawn_system_at(const char *file, int line, const char *fn_name,
                                               yoke_task_fn fn, void *arg, const yoke_spawn_options *options);

/* ---- parking: what every primitive is made of ----------------------------------------------------- */

enum yoke_abort {
    YOKE_ABORT_DONE,   /* the wait was taken back: the task gets the Cancelled now */
    YOKE_ABORT_REFUSED /* it will be woken soon anyway, or must not be disturbed: it gets it at its next
                          checkpoint */
};
typedef enum yoke_abort (*yoke_abort_fn)(yoke_task *task, void *arg);
/*
 * Parks the calling task till yoke_reschedule(), and returns the outcome given there. `abort` is called at
 * most once, inside of the cancelling call, when a cancellation reaches the parked task; it must not block.
 * Looks for cancellation first.
 */
YOKE_MUST_USE yoke_error *yoke_park(yoke_abort_fn abort, void *arg);
/* Wakes a parked task, in the next pass, with `outcome` (ownership passes). Waking one that is not parked
 * aborts. */
void yoke_reschedule(yoke_task *task, yoke_error *outcome);

/* ---- events, locks and the like ----------------------------------------------------------------- */

/*
 * What they have in common. Each is a small object in the caller's memory, which its _init makes ready; it is
 * not copied or moved, and outlives those who wait on it. It belongs to the run that it was initialised in,
 * or that first uses it; a call from outside of that run, or with memory that was never initialised, is
 * YOKE_USAGE (aborts where there is no error to return). Nothing is allocated but errors: waiting, waking and
 * releasing don't fail for want of memory. Who waits is served first in, first out, and nobody can come
 * between: what is released while one waits is his at once. A waiter who is cancelled leaves the line as if
 * he had never come.
 *
 * The functions that wait are checkpoints, and take nothing in a cancelled scope. The others are none, and
 * work in a cancelled scope. The _get_statistics walk the line of those who wait.
 */

/* A line of parked tasks. The fields are the library's. */
typedef struct yoke_waiters {
    yoke_list parked;
    const void *run;
    uint32_t magic;
} yoke_waiters;

/* As a count of tasks to wake: all that wait. As a number of tokens, or a maximum: none. */
#define YOKE_ALL       SIZE_MAX
#define YOKE_UNLIMITED INT64_MAX

/* ---- event -------------------------------------------------------------------------------------- */

/* Set once, never cleared. */
typedef struct yoke_event {
    yoke_waiters waiters;
    bool set;
} yoke_event;

void yoke_event_init(yoke_event *event);
/* Wakes all that wait; again does nothing. Aborts outside of its run. */
void yoke_event_set(yoke_event *event);
bool yoke_event_is_set(const yoke_event *event);
/* Checkpoint; returns at once when set. */
YOKE_MUST_USE yoke_error *yoke_event_wait(yoke_event *event);
/* How many tasks wait. */
size_t yoke_event_get_waiting(const yoke_event *event);

/* ---- one cancels one ---- */

/*
 * A task of a nursery that can be cancelled alone, and whose outcome can be waited for. Lives in the caller's
 * frame till the nursery has closed. The fields are the library's.
 */
typedef struct yoke_handle {
    yoke_scope scope;
    yoke_task_fn fn;
    void *arg;
    const char *name, *file;
    int line;
    bool keeps_error, cancelled, told;
    yoke_error *outcome;
    yoke_event done;
} yoke_handle;

typedef struct yoke_handle_options {
    yoke_spawn_options spawn;
    bool keep_error; /* an error of the task stays in the handle; else the nursery gets it, too */
} yoke_handle_options;

/* As yoke_spawn. */
#define yoke_handle_open(h, n, fn, ...)                                                                      \
    yoke_handle_open_at(__FILE__, __LINE__, #fn, (h), (n), (fn), __VA_ARGS__, NULL)
#define yoke_handle_open_with(h, n, fn, ...)                                                                 \
    yoke_handle_open_at(__FILE__, __LINE__, #fn, (h), (n), (fn), __VA_ARGS__)
YOKE_MUST_USE yoke_error *yoke_handle_open_at(const char *file, int line, const char *fn_name, yoke_handle *h,
                                              yoke_nursery *n, yoke_task_fn fn, void *arg,
                                              const yoke_handle_options *options);
/* The scope around the task alone: for a deadline, or to ask whether it was cancelled. */
yoke_scope *yoke_handle_scope(yoke_handle *h);
/* Ends this task; its nursery and its siblings go on. Any task, also before it has begun. */
void yoke_handle_cancel(yoke_handle *h, const char *why);
/* Waits for the task's end and returns an error equal to the task's; YOKE_CLOSED if it was cancelled, by the
 * handle or around. Checkpoint. Any task, any number of times. */
YOKE_MUST_USE yoke_error *yoke_handle_wait(yoke_handle *h);
/* After the nursery's close: returns the error that was kept and that nobody has waited for, else NULL. */
YOKE_MUST_USE yoke_error *yoke_handle_close(yoke_handle *h);

/* ---- race, any, all ---- */

typedef struct yoke_branch {
    yoke_task_fn fn;
    void *arg;        /* its results go where this points to */
    const char *name; /* of the task; NULL: "branch" */
} yoke_branch;

/*
 * Run `count` functions at once, each in a task of its own, and return when all tasks have ended. A nursery's
 * rules hold: cancelled with the caller; an error comes alone, several as a group. A winner's result is never
 * reported as cancelled. `winner` may be NULL, and is written when there is one.
 *   race  The first that ends wins, the rest are cancelled; returns its error, joined by those of the rest.
 *   any   The first that succeeds wins, the rest are cancelled, and what the others failed with is dropped.
 *         If none does: a group of all errors.
 *   all   Returns NULL when all have succeeded; the first error cancels the rest.
 * YOKE_USAGE: a race or any of none.
 */
#define yoke_race(branches, count, winner) yoke_race_at(__FILE__, __LINE__, (branches), (count), (winner))
#define yoke_any(branches, count, winner)  yoke_any_at(__FILE__, __LINE__, (branches), (count), (winner))
#define yoke_all(branches, count)          yoke_all_at(__FILE__, __LINE__, (branches), (count))
YOKE_MUST_USE yoke_error *yoke_race_at(const char *file, int line, const yoke_branch *branches, size_t count,
                                       size_t *winner);
YOKE_MUST_USE yoke_error *yoke_any_at(const char *file, int line, const yoke_branch *branches, size_t count,
                                      size_t *winner);
YOKE_MUST_USE yoke_error *yoke_all_at(const char *file, int line, const yoke_branch *branches, size_t count);

/* ---- parking lot -------------------------------------------------------------------------------- */

/* A line to park in till another task says so. The fields are the library's. */
typedef struct yoke_parking {
    yoke_waiters waiters;
    const char *broken;
    char broken_by[128];
} yoke_parking;

typedef struct yoke_parking_statistics {
    size_t waiting;
    bool broken;
} yoke_parking_statistics;

void yoke_parking_init(yoke_parking *parking);
/* Checkpoint. YOKE_BROKEN_RESOURCE, with the names of those who broke it: the lot is, or was meanwhile,
 * broken. */
YOKE_MUST_USE yoke_error *yoke_parking_park(yoke_parking *parking);
/* Wakes the first `count`, or as many as there are; returns how many. Aborts outside of its run, as the next
 * two. */
size_t yoke_parking_unpark(yoke_parking *parking, size_t count);
/* Moves the first `count` to the end of another lot, where they wait as if they had parked there; returns how
 * many. To the same lot: none. If `to` is broken they are woken with its error. */
size_t yoke_parking_repark(yoke_parking *from, yoke_parking *to, size_t count);
/* Breaks the lot for good, in the name of the calling task: all that wait are woken with
 * YOKE_BROKEN_RESOURCE. Again adds the name. */
void yoke_parking_break(yoke_parking *parking);
void yoke_parking_get_statistics(const yoke_parking *parking, yoke_parking_statistics *out);

/* A task's promise to a lot: if the task ends before it is taken back, that breaks the lot. All zero: not
 * set. The fields are the library's. */
typedef struct yoke_parking_breaker {
    struct yoke_parking_breaker *next;
    yoke_parking *parking;
    yoke_task *task;
} yoke_parking_breaker;

/*
 * Sets a breaker for the calling task. It and the lot must outlive the task, or its remove: lay it beside the
 * lot, not in the task's frame. A task may have any number of them, for one lot too. YOKE_USAGE: set already.
 */
YOKE_MUST_USE yoke_error *yoke_parking_breaker_add(yoke_parking_breaker *breaker, yoke_parking *parking);
/* By the task that set it. YOKE_USAGE: not set, or another's. */
YOKE_MUST_USE yoke_error *yoke_parking_breaker_remove(yoke_parking_breaker *breaker);

/* ---- lock --------------------------------------------------------------------------------------- */

/*
 * Held by one task at a time, in strict order of asking: who releases it while another waits can't have it
 * again before that one, by nowait either. If the owner ends without a release, the lock is broken: all who
 * wait, and all who ask later, get YOKE_BROKEN_RESOURCE with the owner's name. An owner that leaves the frame
 * in which the lock lies without a release aborts, at the latest when it ends. The fields are the library's.
 */
typedef struct yoke_lock {
    yoke_parking parking;
    yoke_task *owner;
    yoke_parking_breaker breaker;
} yoke_lock;

typedef struct yoke_lock_statistics {
    bool locked, broken;
    yoke_task *owner; /* NULL: nobody, or one that is gone */
    size_t waiting;
} yoke_lock_statistics;

void yoke_lock_init(yoke_lock *lock);
/* Checkpoint. YOKE_USAGE: the task holds it already. */
YOKE_MUST_USE yoke_error *yoke_lock_acquire(yoke_lock *lock);
/* The same, and YOKE_WOULD_BLOCK with the owner's name. */
YOKE_MUST_USE yoke_error *yoke_lock_acquire_nowait(yoke_lock *lock);
/* YOKE_USAGE: the calling task does not hold it. */
YOKE_MUST_USE yoke_error *yoke_lock_release(yoke_lock *lock);
void yoke_lock_get_statistics(const yoke_lock *lock, yoke_lock_statistics *out);

/* ---- condition ---------------------------------------------------------------------------------- */

/* A state under a lock has changed. The fields are the library's. */
typedef struct yoke_condition {
    yoke_waiters waiters;
    yoke_lock *lock;
} yoke_condition;

typedef struct yoke_condition_statistics {
    size_t waiting; /* and not notified yet: who is waits for the lock */
    yoke_lock_statistics lock;
} yoke_condition_statistics;

/* `lock` is the caller's, and may be the lock of several conditions. */
void yoke_condition_init(yoke_condition *condition, yoke_lock *lock);
/*
 * Checkpoint. Gives the lock back while it waits for a notification, and has it again when it returns, also
 * with a Cancelled: for that it waits, undisturbed, as long as others hold it. A notification whose task is
 * cancelled before it has the lock goes to the next that waits. YOKE_USAGE: the task does not hold the lock.
 * YOKE_BROKEN_RESOURCE: the lock is broken, and not held.
 */
YOKE_MUST_USE yoke_error *yoke_condition_wait(yoke_condition *condition);
/* Lets the first `count` (YOKE_ALL) wait for the lock, which they get in this order as it is released.
 * YOKE_USAGE: the task does not hold the lock. */
YOKE_MUST_USE yoke_error *yoke_condition_notify(yoke_condition *condition, size_t count);
void yoke_condition_get_statistics(const yoke_condition *condition, yoke_condition_statistics *out);

/* ---- semaphore ---------------------------------------------------------------------------------- */

/* A number that is never below zero. Nobody owns it: any task may release. The fields are the library's. */
typedef struct yoke_semaphore {
    yoke_waiters waiters;
    int64_t value, maximum;
} yoke_semaphore;

typedef struct yoke_semaphore_statistics {
    int64_t value, maximum;
    size_t waiting;
} yoke_semaphore_statistics;

/* maximum: YOKE_UNLIMITED for none. YOKE_USAGE: initial is negative, or maximum below it. */
YOKE_MUST_USE yoke_error *yoke_semaphore_init(yoke_semaphore *semaphore, int64_t initial, int64_t maximum);
/* Checkpoint: waits till the value is above zero, and takes one. */
YOKE_MUST_USE yoke_error *yoke_semaphore_acquire(yoke_semaphore *semaphore);
/* YOKE_WOULD_BLOCK: the value is zero. */
YOKE_MUST_USE yoke_error *yoke_semaphore_acquire_nowait(yoke_semaphore *semaphore);
/* Adds one, or gives it to the first that waits. YOKE_USAGE: it is at its maximum. */
YOKE_MUST_USE yoke_error *yoke_semaphore_release(yoke_semaphore *semaphore);
void yoke_semaphore_get_statistics(const yoke_semaphore *semaphore, yoke_semaphore_statistics *out);

/* ---- capacity limiter --------------------------------------------------------------------------- */

/* So many at once: a number of tokens to borrow, which may change. The fields are the library's. */
typedef struct yoke_limiter {
    yoke_waiters waiters;
    int64_t total, borrowed;
} yoke_limiter;

/*
 * Who borrows: an object that stands for a task, or for whatever a task borrows on behalf of; any task may
 * give its token back. It has, or waits for, one token of one limiter at a time, and outlives both. All zero:
 * has none. The fields are the library's.
 */
typedef struct yoke_borrower {
    yoke_limiter *limiter;
    bool waiting;
} yoke_borrower;

typedef struct yoke_limiter_statistics {
    int64_t total, borrowed; /* more may be borrowed than there are, after the total was lowered */
    size_t waiting;
} yoke_limiter_statistics;

/* total: tokens, or YOKE_UNLIMITED. YOKE_USAGE: negative. */
YOKE_MUST_USE yoke_error *yoke_limiter_init(yoke_limiter *limiter, int64_t total);
/* Checkpoint. YOKE_USAGE: the borrower has a token already, or waits for one. */
YOKE_MUST_USE yoke_error *yoke_limiter_acquire(yoke_limiter *limiter, yoke_borrower *borrower);
/* The same, and YOKE_WOULD_BLOCK. */
YOKE_MUST_USE yoke_error *yoke_limiter_acquire_nowait(yoke_limiter *limiter, yoke_borrower *borrower);
/* YOKE_USAGE: the borrower has no token of this limiter. */
YOKE_MUST_USE yoke_error *yoke_limiter_release(yoke_limiter *limiter, yoke_borrower *borrower);
/* Raised: those who wait get the new ones. Lowered: nobody loses his; none is lent till fewer than `total`
 * are borrowed. YOKE_USAGE: negative. */
YOKE_MUST_USE yoke_error *yoke_limiter_set_total(yoke_limiter *limiter, int64_t total);
void yoke_limiter_get_statistics(const yoke_limiter *limiter, yoke_limiter_statistics *out);

/* ---- memory channels ---------------------------------------------------------------------------- */

/*
 * A channel carries items by value from its senders to its receivers, first in, first out. Each end is a
 * small struct in the caller's frame (not to be copied while open: clone it); a clone is an end of its own to
 * the same side. A side is closed for good when the last of its ends is. Ends belong to the scheduler that
 * opened them; any task of it may use them.
 */
typedef struct yoke_sender {
    struct yoke_channel *channel; /* NULL: closed */
} yoke_sender;
typedef struct yoke_receiver {
    struct yoke_channel *channel;
} yoke_receiver;

#define YOKE_UNBOUNDED SIZE_MAX

typedef struct yoke_channel_options {
    void (*destroy)(void *item); /* given each item that is still inside when the last receiver closes */
} yoke_channel_options;

typedef struct yoke_channel_statistics {
    size_t used, capacity, peak;
    size_t open_senders, open_receivers, waiting_senders, waiting_receivers;
} yoke_channel_statistics;

/* capacity: items; 0 hands over from task to task; YOKE_UNBOUNDED never waits. item_bytes: 0 to 16 MiB.
   YOKE_USAGE if the product does not fit. */
YOKE_MUST_USE yoke_error *yoke_channel_open(yoke_sender *tx, yoke_receiver *rx, size_t capacity,
                                            size_t item_bytes, const yoke_channel_options *options);
/*
 * Checkpoints. After success the item is the channel's; after an error it is still the caller's. YOKE_CLOSED:
 * this end was closed; YOKE_BROKEN_RESOURCE: no receiver is left.
 */
YOKE_MUST_USE yoke_error *yoke_channel_send(yoke_sender *tx, const void *item);
/* Checkpoint. YOKE_CLOSED: this end was closed; YOKE_END_OF_CHANNEL: no sender is left, and all was received.
 */
YOKE_MUST_USE yoke_error *yoke_channel_receive(yoke_receiver *rx, void *item);
/* Never wait, no checkpoints; YOKE_WOULD_BLOCK instead. */
YOKE_MUST_USE yoke_error *yoke_channel_send_nowait(yoke_sender *tx, const void *item);
YOKE_MUST_USE yoke_error *yoke_channel_receive_nowait(yoke_receiver *rx, void *item);
/* YOKE_CLOSED if `tx` (`rx`) is closed. */
YOKE_MUST_USE yoke_error *yoke_sender_clone(const yoke_sender *tx, yoke_sender *clone);
YOKE_MUST_USE yoke_error *yoke_receiver_clone(const yoke_receiver *rx, yoke_receiver *clone);
/* No checkpoints, again does nothing. Tasks that wait on this very end are woken with YOKE_CLOSED. */
void yoke_sender_close(yoke_sender *tx);
void yoke_receiver_close(yoke_receiver *rx);
/* All zero for a closed end. */
void yoke_sender_statistics(const yoke_sender *tx, yoke_channel_statistics *out);
void yoke_receiver_statistics(const yoke_receiver *rx, yoke_channel_statistics *out);
/* End of channel is not an error for a loop: takes that out and returns the rest.
       while (!(e = yoke_channel_receive(&rx, &item))) ...;   return yoke_end_is_fine(e); */
YOKE_MUST_USE yoke_error *yoke_end_is_fine(yoke_error *e);

/* ---- choosing ------------------------------------------------------------------------------------ */

/*
 * Waits for several channels at once. A clause says what is to be done: send what lies at `from` on `send`,
 * or receive from `receive` to `to`; one with neither never takes effect, so that a clause can be switched
 * off. Several clauses may be of one channel. In the caller's frame, and good for one choice at a time.
 */
typedef struct yoke_clause {
    yoke_sender *send;
    const void *from;
    yoke_receiver *receive;
    void *to;
    /* The library's: */
    yoke_list in_line;
    yoke_task *task;
    struct yoke_choice *choice; /* NULL: a plain send or receive */
} yoke_clause;

typedef struct yoke_choose_options {
    int64_t deadline; /* absolute; 0: none. One in the past: only looks */
    bool in_order;    /* of those that are ready the first is taken; else any, each as likely */
} yoke_choose_options;

#define YOKE_NO_CLAUSE SIZE_MAX

/*
 * Does what exactly one of `clauses[0..count)` says, as soon as one can; its index is in `*chosen`. An error
 * that the clause's own send or receive would give is returned, with its index too, and nothing was sent or
 * received. `*chosen` is YOKE_NO_CLAUSE, and no clause took effect, with YOKE_TOO_SLOW: the deadline;
 * YOKE_CANCELLED; YOKE_USAGE: a clause that both sends and receives; YOKE_NO_MEMORY for a deadline that can't
 * be kept. While it waits it stands in the line of each channel; none of its own clauses serves another.
 * No clauses: waits for the deadline, or for ever. Checkpoint.
 */
YOKE_MUST_USE yoke_error *yoke_choose(yoke_clause *clauses, size_t count, size_t *chosen,
                                      const yoke_choose_options *options);
/* Never waits, no checkpoint; YOKE_WOULD_BLOCK instead. The deadline is not looked at. */
YOKE_MUST_USE yoke_error *yoke_choose_nowait(yoke_clause *clauses, size_t count, size_t *chosen,
                                             const yoke_choose_options *options);

/*
 * A typed channel without casts: YOKE_CHANNEL(job, struct job); defines job_sender and job_receiver (structs
 * around the ends above), job_channel(&tx, &rx, capacity), job_send(&tx, item), job_recv(&rx, &item),
 * job_send_nowait, job_recv_nowait, job_sender_close(&tx), job_receiver_close(&rx), and clauses for
 * yoke_choose: job_send_clause(&tx, &item), job_recv_clause(&rx, &item).
 */
#define YOKE_CHANNEL(name, type)                                                                             \
    typedef struct name##_sender {                                                                           \
        yoke_sender end;                                                                                     \
    } name##_sender;                                                                                         \
    typedef struct name##_receiver {                                                                         \
        yoke_receiver end;                                                                                   \
    } name##_receiver;                                                                                       \
    __attribute__((unused)) static inline yoke_error *name##_channel(name##_sender *tx, name##_receiver *rx, \
                                                                     size_t capacity)                        \
    {                                                                                                        \
        return yoke_channel_open(&tx->end, &rx->end, capacity, sizeof(type), NULL);                          \
    }                                                                                                        \
    __attribute__((unused)) static inline yoke_error *name##_send(name##_sender *tx, type item)              \
    {                                                                                                        \
        return yoke_channel_send(&tx->end, &item);                                                           \
    }                                                                                                        \
    __attribute__((unused)) static inline yoke_error *name##_recv(name##_receiver *rx, type *item)           \
    {                                                                                                        \
        return yoke_channel_receive(&rx->end, item);                                                         \
    }                                                                                                        \
    __attribute__((unused)) static inline yoke_error *name##_send_nowait(name##_sender *tx, type item)       \
    {                                                                                                        \
        return yoke_channel_send_nowait(&tx->end, &item);                                                    \
    }                                                                                                        \
    __attribute__((unused)) static inline yoke_error *name##_recv_nowait(name##_receiver *rx, type *item)    \
    {                                                                                                        \
        return yoke_channel_receive_nowait(&rx->end, item);                                                  \
    }                                                                                                        \
    __attribute__((unused)) static inline yoke_clause name##_send_clause(name##_sender *tx,                  \
                                                                         const type *item)                   \
    {                                                                                                        \
        yoke_clause clause = {0};                                                                            \
        clause.send = &tx->end;                                                                              \
        clause.from = item;                                                                                  \
        return clause;                                                                                       \
    }                                                                                                        \
    __attribute__((unused)) static inline yoke_clause name##_recv_clause(name##_receiver *rx, type *item)    \
    {                                                                                                        \
        yoke_clause clause = {0};                                                                            \
        clause.receive = &rx->end;                                                                           \
        clause.to = item;                                                                                    \
        return clause;                                                                                       \
    }                                                                                                        \
    __attribute__((unused)) static inline void name##_sender_close(name##_sender *tx)                        \
    {                                                                                                        \
        yoke_sender_close(&tx->end);                                                                         \
    }                                                                                                        \
    __attribute__((unused)) static inline void name##_receiver_close(name##_receiver *rx)                    \
    {                                                                                                        \
        yoke_receiver_close(&rx->end);                                                                       \
    }

/* ---- broadcast ----------------------------------------------------------------------------------- */

/*
 * Gives every item of one source to each of several subscribers, in order. There is no task behind it: the
 * subscriber that needs the next item first reads the source for all. The last `ring` items are kept; a
 * subscriber that falls further behind is told so by YOKE_LAGGED and goes on with the oldest kept, so that a
 * slow one holds up nobody. In the caller's frame, not copied while open; one task at a time receives on a
 * subscriber. Subscribers belong to the scheduler that opened the broadcast. The fields are the library's.
 */
typedef struct yoke_subscriber {
    struct yoke_broadcast *broadcast; /* NULL: closed */
    uint64_t next, missed;
    size_t held;
    bool busy, no_lag;
} yoke_subscriber;

/* Anything that receives: the error rules are those of yoke_channel_receive. Copied. */
typedef struct yoke_broadcast_source {
    /* A checkpoint; when it is cancelled it has taken nothing. Called by one task at a time. */
    yoke_error *(*receive)(void *arg, void *item);
    yoke_error *(*receive_nowait)(void *arg, void *item); /* or NULL */
    void *arg;
    size_t item_bytes;
} yoke_broadcast_source;

typedef struct yoke_broadcast_options {
    /*
     * Given each item, once, when no subscriber will see it any more. What a subscriber was given stays valid
     * till its next receive or its close. Must not use this broadcast. Given at the opening alone.
     */
    void (*destroy)(void *item);
    bool no_lag; /* this subscriber: a lag is logged as a warning, and the receive goes on */
} yoke_broadcast_options;

typedef struct yoke_broadcast_statistics {
    size_t ring, subscribers, waiting; /* waiting: for another's read of the source */
    size_t queued;                     /* items that this subscriber has before it, the missed ones aside */
    uint64_t missed;                   /* what its next receive will say that it has missed */
    const yoke_task *reader;           /* who reads the source now, or NULL */
} yoke_broadcast_statistics;

/*
 * Opens a broadcast with its first subscriber. `source` stays the caller's and must stay as it is till the
 * last subscriber is closed and its receives have returned; an item that another receives from it is not
 * seen. ring: items, at least 1. YOKE_USAGE: no ring, or it does not fit in memory; YOKE_CLOSED: the source
 * is closed.
 */
YOKE_MUST_USE yoke_error *yoke_broadcast_open(yoke_subscriber *first, yoke_receiver *source, size_t ring,
                                              const yoke_broadcast_options *options);
YOKE_MUST_USE yoke_error *yoke_broadcast_open_source(yoke_subscriber *first,
                                                     const yoke_broadcast_source *source, size_t ring,
                                                     const yoke_broadcast_options *options);
/* One more subscriber, `s`; it gets what is received from now on. YOKE_CLOSED if `of` is closed. */
YOKE_MUST_USE yoke_error *yoke_broadcast_subscribe(const yoke_subscriber *of, yoke_subscriber *s,
                                                   const yoke_broadcast_options *options);
/*
 * Checkpoint. YOKE_LAGGED: items were missed (yoke_broadcast_missed tells how many), the next receive gives
 * the oldest that is kept; YOKE_CLOSED: this subscriber was closed; YOKE_BUSY_RESOURCE: another task receives
 * on it. What ends the source (YOKE_END_OF_CHANNEL, YOKE_CLOSED, YOKE_BROKEN_RESOURCE) reaches each
 * subscriber after its items; any other error of the source is the reading task's alone, and another one
 * reads on.
 */
YOKE_MUST_USE yoke_error *yoke_broadcast_receive(yoke_subscriber *s, void *item);
/* Never waits, no checkpoint; YOKE_WOULD_BLOCK instead. */
YOKE_MUST_USE yoke_error *yoke_broadcast_receive_nowait(yoke_subscriber *s, void *item);
/* How many items the last lag cost; a subscriber that never received counts from its subscription. */
uint64_t yoke_broadcast_missed(const yoke_subscriber *s);
/* Not a checkpoint, again does nothing; a task that receives on `s` is woken with YOKE_CLOSED. The source and
 * the others are untouched. */
void yoke_broadcast_close(yoke_subscriber *s);
/* All zero for a closed one. */
void yoke_subscriber_statistics(const yoke_subscriber *s, yoke_broadcast_statistics *out);

/*
 * Without casts, behind a YOKE_CHANNEL of the same name: YOKE_BROADCAST(job, struct job); defines
 * job_subscriber, job_broadcast(&first, &rx, ring), job_subscribe(&first, &s), job_next(&s, &item),
 * job_next_nowait, job_subscriber_close(&s).
 */
#define YOKE_BROADCAST(name, type)                                                                           \
    typedef struct name##_subscriber {                                                                       \
        yoke_subscriber end;                                                                                 \
    } name##_subscriber;                                                                                     \
    __attribute__((unused)) static inline yoke_error *name##_broadcast(name##_subscriber *first,             \
                                                                       name##_receiver *source, size_t ring) \
    {                                                                                                        \
        return yoke_broadcast_open(&first->end, &source->end, ring, NULL);                                   \
    }                                                                                                        \
    __attribute__((unused)) static inline yoke_error *name##_subscribe(const name##_subscriber *of,          \
                                                                       name##_subscriber *s)                 \
    {                                                                                                        \
        return yoke_broadcast_subscribe(&of->end, &s->end, NULL);                                            \
    }                                                                                                        \
    __attribute__((unused)) static inline yoke_error *name##_next(name##_subscriber *s, type *item)          \
    {                                                                                                        \
        return yoke_broadcast_receive(&s->end, item);                                                        \
    }                                                                                                        \
    __attribute__((unused)) static inline yoke_error *name##_next_nowait(name##_subscriber *s, type *item)   \
    {                                                                                                        \
        return yoke_broadcast_receive_nowait(&s->end, item);                                                 \
    }                                                                                                        \
    __attribute__((unused)) static inline void name##_subscriber_close(name##_subscriber *s)                 \
    {                                                                                                        \
        yoke_broadcast_close(&s->end);                                                                       \
    }

/* ---- resources of several tasks -------------------------------------------------------------------- */

/*
 * How a resource is opened and closed. Both run in one task, the resource's own, so that what is opened in
 * `open` (scopes, nurseries) may stay open till `close`. `open` gives a value, or an error when nothing is
 * left open. `close` is called once for each success of open, with the error so far (NULL; or a Cancelled
 * when the resource is ended from outside, or by a failure inside of it), and returns the one that remains,
 * as yoke_nursery_close. It runs in cancelled scopes too; what must wait in it shields itself.
 */
typedef struct yoke_resource {
    yoke_error *(*open)(void *arg, void **value);
    yoke_error *(*close)(void *arg, void *value, yoke_error *e);
    void *arg;
    size_t arg_bytes;   /* the cache: `arg` is so many bytes that it copies; 0: a pointer that it passes on */
    const char *name;   /* of its task; copied. NULL: "resource" */
    size_t stack_bytes; /* of its task; 0: the run's */
} yoke_resource;

/* Several resources, open while it is. In the caller's frame; the fields are the library's. */
typedef struct yoke_gather {
    yoke_nursery nursery;
    struct yoke_gathered *all;
    size_t opening; /* that are not open yet */
    yoke_event all_open, body_ended;
} yoke_gather;

/*
 * Opens all of `resources[0..count)` at once, each in a task of its own, and returns when the last is open;
 * then values[i] is the value of resources[i] (values may be NULL). If one fails, or the caller is cancelled,
 * those that are open are closed, nothing is written to `values`, and the error is returned: a group if there
 * are several. The resources must stay as they are till the close. From here to the close the calling task is
 * in the gather's nursery: a resource that fails later cancels the body. Checkpoint. YOKE_USAGE: no resources
 * (an empty list is most often a mistake). Otherwise as yoke_nursery_open and yoke_spawn.
 */
#define yoke_gather_open(g, resources, count, values)                                                        \
    yoke_gather_open_at(__FILE__, __LINE__, (g), (resources), (count), (values))
YOKE_MUST_USE yoke_error *yoke_gather_open_at(const char *file, int line, yoke_gather *g,
                                              const yoke_resource *resources, size_t count, void **values);
/*
 * Closes all at once, given the body's error, and returns what remains when the last is closed: a group if
 * there are several. An error of the body cancels the resources' tasks, so that each close is given a
 * Cancelled. Checkpoint as yoke_nursery_close.
 */
YOKE_MUST_USE yoke_error *yoke_gather_close(yoke_gather *g, yoke_error *e);

/*
 * Resources shared by key: the first user opens, others get the same value, the last one closes. A key is its
 * bytes together with the resource's `open` function. All-zero is ready too; idle it holds no memory and
 * needs no close. It must outlive its last user. Belongs to the scheduler that uses it first, while it is in
 * use.
 */
typedef struct yoke_cache {
    yoke_nursery *nursery;
    struct yoke_cache_table *table; /* NULL while nothing is open */
} yoke_cache;

/* A user's hold on a cached resource. In the caller's frame; not to be copied or moved while open. */
typedef struct yoke_cached {
    void *value;
    bool hit; /* it was there, or being opened, when this user came */
    /* The library's: */
    yoke_scope scope;
    yoke_list in_users;
    struct yoke_cache_entry *entry;
} yoke_cached;

/* The resources' tasks live in `nursery`, which must be around every user; NULL: in the run itself. */
void yoke_cache_init(yoke_cache *cache, yoke_nursery *nursery);
/*
 * Gives the resource of this key, and opens a scope in the calling task, to its close. key NULL: the
 * resource's argument is the key (arg_bytes of it). The first user's `resource` is copied, its argument too
 * if it has arg_bytes; else `arg` must live till the last user's close. While the last one's close runs, a
 * new user waits, and opens anew. Checkpoint. An error of `open` is each waiting user's, and the key is free
 * again. A cancelled user breaks nothing for others; if it was the only one the opening is cancelled, and
 * waited for. A resource that ends while it is used (by a failure inside, or with its nursery) cancels its
 * users' scopes; its own close runs when they have left. YOKE_USAGE: the cache's nursery is not around the
 * caller, or the resource opens itself; YOKE_BROKEN_RESOURCE: the opening was cancelled, though not for the
 * caller; YOKE_CLOSED: the run or the nursery is ending.
 */
#define yoke_cached_open(c, cache, key, key_bytes, resource)                                                 \
    yoke_cached_open_at(__FILE__, __LINE__, (c), (cache), (key), (key_bytes), (resource))
YOKE_MUST_USE yoke_error *yoke_cached_open_at(const char *file, int line, yoke_cached *c, yoke_cache *cache,
                                              const void *key, size_t key_bytes,
                                              const yoke_resource *resource);
/*
 * Given the body's error, returns what remains. The last user waits till the resource is closed, whatever is
 * cancelled meanwhile, and is returned what its close returned: together with a real error of the body, in
 * place of a Cancelled. The same for every user whose resource ended while it was used; YOKE_BROKEN_RESOURCE
 * when it ended without an error and the body was cancelled by that.
 */
YOKE_MUST_USE yoke_error *yoke_cached_close(yoke_cached *c, yoke_error *e);

/* ---- from other threads and signal handlers ---------------------------------------------------------- */

/* Reaches a run from outside. Counted: lives till the last who got it has freed it, also after the run. */
typedef struct yoke_token yoke_token;
/* Runs on the scheduler's thread, between two passes, in no task: it must not block. An error ends the run,
 * which returns it as the cause of a YOKE_INTERNAL. */
typedef yoke_error *(*yoke_post_fn)(void *arg);

/* The token of the run on this thread: always the same one. YOKE_USAGE without a run. */
YOKE_MUST_USE yoke_error *yoke_token_get(yoke_token **token);
/* Any thread. NULL is fine. While anybody holds a token, the run is in no deadlock. */
void yoke_token_free(yoke_token *token);
/*
 * fn(arg) will be called soon, in the order of posting; never inside of this call. Any thread, and signal
 * handlers (no lock is taken, nothing is allocated but by mmap; errno may change). A post that returned NULL
 * is run before yoke_run returns. YOKE_RUN_FINISHED: the run has ended, or is about to; YOKE_NO_MEMORY: too
 * many are pending; fn is never called then. _once: one call is enough for all such posts of the same fn and
 * arg that come before it begins. No order is promised between these and the others.
 */
YOKE_MUST_USE yoke_error *yoke_token_post(yoke_token *token, yoke_post_fn fn, void *arg);
YOKE_MUST_USE yoke_error *yoke_token_post_once(yoke_token *token, yoke_post_fn fn, void *arg);

/* ---- file descriptors ---------------------------------------------------------------------------- */

/*
 * Checkpoints: wait till a read (write) on `fd` would not block: it is ready, at its end, or in error. The fd
 * must be one that epoll takes: sockets, pipes, terminals, eventfds, pidfds; a regular file is YOKE_USAGE. A
 * second task on the same fd and direction: YOKE_BUSY_RESOURCE. The fd should be non-blocking.
 */
YOKE_MUST_USE yoke_error *yoke_wait_readable(int fd);
YOKE_MUST_USE yoke_error *yoke_wait_writable(int fd);
/* Wakes whoever waits for `fd` with YOKE_CLOSED and closes it. Not a checkpoint. An fd that was ever waited
 * for is closed by this call. */
void yoke_close(int fd);

/* ---- child processes ----------------------------------------------------------------------------- */

/* A running child program. Freed by yoke_process_close. */
typedef struct yoke_process yoke_process;

typedef struct yoke_process_options {
    char *const *environment; /* NULL: this process' own, as it is now */
    /* Descriptors that the program gets: its numbers 0 to n-1 are these of ours (-1: /dev/null). NULL: 0, 1,
       2 as they are. Everything else is closed in it. */
    const int *fds;
    size_t fd_count;
    bool new_group;      /* a process group of its own */
    const char *program; /* the file to start, as it is; NULL: argv[0] */
} yoke_process_options;

/* Starts argv[0] (searched in PATH if it has no slash), or options->program. Not a checkpoint. System errors
 * name the program. */
YOKE_MUST_USE yoke_error *yoke_process_open(yoke_process **process, char *const argv[],
                                            const yoke_process_options *options);
/* Checkpoint: waits for its end; `status` is as of waitpid(2). May be asked again, and by several tasks at
 * once. */
YOKE_MUST_USE yoke_error *yoke_process_wait(yoke_process *process, int *status);
/* Sends a signal, by pidfd; a process that has ended already is no error. */
YOKE_MUST_USE yoke_error *yoke_process_signal(yoke_process *process, int signal_number);
pid_t yoke_process_pid(const yoke_process *process);
/*
 * Ends what is still running (SIGTERM, 1 s, SIGKILL), reaps it, frees it; returns `e`, joined by what went
 * wrong. Works in a cancelled scope. Other tasks that wait for it get its status, or YOKE_CLOSED if it could
 * not be had. NULL is fine.
 */
YOKE_MUST_USE yoke_error *yoke_process_close(yoke_process *process, yoke_error *e);

/* ---- for tests ------------------------------------------------------------------------------------- */

/* Draws the tree of this thread's tasks: which waits, in which nursery, where it was spawned. Any task. */
void yoke_print_tasks(FILE *f);

/* Lets tasks through in the order 0, 1, 2, ... In the caller's frame; the fields are the library's. */
typedef struct yoke_sequencer {
    yoke_list waiters;
    unsigned next;
    bool inside, broken;
} yoke_sequencer;

void yoke_sequencer_init(yoke_sequencer *sequencer);
/* Checkpoint: waits till all positions before have been left. A position used twice: YOKE_USAGE. If one who
 * waits here is cancelled, the sequence is broken: all others, and all who come later, get
 * YOKE_BROKEN_RESOURCE. */
YOKE_MUST_USE yoke_error *yoke_sequencer_enter(yoke_sequencer *sequencer, unsigned position);
/* By who has entered: lets the next one in. */
void yoke_sequencer_leave(yoke_sequencer *sequencer);

/*
 * Calls fn(arg) and returns its error, joined by a YOKE_INTERNAL unless it looked for cancellation and
 * yielded
 * (_no_: unless it did neither): half of a checkpoint satisfies none of the two. The budget is used up
 * before, so that an operation that completes at once yields.
 */
YOKE_MUST_USE yoke_error *yoke_assert_checkpoint(yoke_task_fn fn, void *arg);
YOKE_MUST_USE yoke_error *yoke_assert_no_checkpoint(yoke_task_fn fn, void *arg);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
