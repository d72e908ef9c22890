/* What the floors above may do with an error beyond <yoke/base.h>: static errors, details, identity. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <yoke/base.h>

/* The one Cancelled without a reason, the one error of kind YOKE_NO_MEMORY, and a YOKE_RUN_FINISHED for
 * signal handlers, which can't raise one: static, freeing is a no-op. */
extern yoke_error *const error_cancelled;
extern yoke_error *const error_no_memory;
extern yoke_error *const error_run_finished;

/* As yoke_raise, but kind YOKE_CANCELLED is allowed: for cancel scopes alone. */
yoke_error *error_make_cancelled(const char *fmt, ...) YOKE_PRINTF(1, 2);

/*
 * Details that a floor hangs on an error (a relayed error's source, a crash's backtrace). `ops` identifies
 * the floor: error_details returns `data` only for the same ops; the last one set. Freed with the error.
 * Static errors take none: `data` is freed then, and without memory.
 */
struct error_details_ops {
    void (*free)(void *data);
    /* Prints more lines for a person, each through `line(out, ...)`; may be NULL. */
    void (*print)(const void *data, void (*line)(void *out, const char *text), void *out);
};
void error_set_details(yoke_error *e, const struct error_details_ops *ops, void *data);
void *error_details(const yoke_error *e, const struct error_details_ops *ops);

/*
 * Replace where the error says it was raised (an error that came over the wire); NULL leaves a part as it is.
 * This and the next two are for an error just made: one that is shared (yoke_error_dup) stays as it is, and
 * so it does without memory.
 */
void error_set_place(yoke_error *e, const char *file, int line, const char *function, const char *actor,
                     const char *task);
/* What yoke_error_errno gives. */
void error_set_errno(yoke_error *e, int number);
/* A backtrace text of several lines, printed under the error. Copied. */
void error_set_backtrace(yoke_error *e, const char *text); /* NULL takes it away */
const char *error_backtrace(const yoke_error *e);          /* or NULL */

/* A person has seen it in a debugger: that goes with it, and with what it is shared with. */
void error_set_shown(yoke_error *e);
bool error_is_shown(const yoke_error *e);

/*
 * From now on `fn` (NULL: nobody) is called with each error that yoke_raise and yoke_raise_errno have just
 * made, on any thread; `caller` and `frame` are theirs, as __builtin_return_address(0) and
 * __builtin_frame_address(0) have them.
 */
typedef void (*error_raised_fn)(yoke_error *e, void *caller, void *frame);
void error_on_raise(error_raised_fn fn);

/* Is `file` (of an error, of a record of the log) one of the library's own? By its folder. */
bool log_file_is_library(const char *file);

/* As yoke_error_collapse; and what is left a group gives way to its member, too, when a split takes out the
 * others later. */
yoke_error *error_flatten(yoke_error *e);

/* What hangs on an error, by its number from 0 on: a note, or NULL behind the last; a hop of its trace, or
 * false. Views. */
const char *error_note_at(const yoke_error *e, size_t i);
struct error_hop {
    const char *file, *function;
    int line;
};
bool error_hop_at(const yoke_error *e, size_t i, struct error_hop *out);

/*
 * Who speaks: asked for when an error is raised or a record is logged on this thread. A floor above sets it
 * for its thread while it runs; the texts must live as long as it is set. NULL functions give "".
 */
struct error_identity {
    const char *(*actor)(void *arg);
    const char *(*task)(void *arg);
    void *arg;
};
/* Sets the thread's identity and returns the earlier one (NULL at first). */
const struct error_identity *error_identity_set(const struct error_identity *identity);
const char *error_identity_actor(void);
const char *error_identity_task(void);

#endif
