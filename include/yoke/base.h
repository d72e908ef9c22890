/*
 * Floor 0: errors as owned values, and the log.
 *
 * Every call of yoke that can fail returns a `yoke_error *`: NULL for success. Whoever is returned an
 * error owns it: he passes it on, or frees it with yoke_error_free(). No function of this header changes
 * errno, none blocks on anything but the stream that it prints to, and all may be called from any thread,
 * inside of a task or not. An error belongs to one thread at a time.
 */
#ifndef YOKE_BASE_H
#define YOKE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define YOKE_MUST_USE       __attribute__((warn_unused_result))
#define YOKE_NEVER_NULL     __attribute__((returns_nonnull))
#define YOKE_PRINTF(fmt, a) __attribute__((format(printf, fmt, a)))

/* Time is int64_t nanoseconds everywhere. YOKE_NEVER is the deadline that does not come. */
#define YOKE_NS(n) ((int64_t)(n))
#define YOKE_US(n) ((int64_t)((n)*1000LL))
#define YOKE_MS(n) ((int64_t)((n)*1000000LL))
#define YOKE_S(n)  ((int64_t)((n)*1000000000LL))
#define YOKE_NEVER INT64_MAX

/* A link of the library's own lists; stands here since objects in the caller's frame contain it. */
typedef struct yoke_list {
    struct yoke_list *next, *prev;
} yoke_list;

/* ---- kinds -------------------------------------------------------------------------------------- */

/*
 * What sort of error this is. Kinds are compared by identity and registered by name, so that a kind that
 * crosses to another process comes back as the same kind there. `parent` makes a family:
 * yoke_error_is() is true for every ancestor.
 */
typedef struct yoke_error_kind {
    const char *name;                     /* unique, "yoke.TooSlow", "app.Timeout" */
    const struct yoke_error_kind *parent; /* or NULL */
} yoke_error_kind;

/*
 * Defines the kind `id` and registers it before main() runs:
 *     YOKE_ERROR_KIND(APP_TIMEOUT, "app.Timeout", &YOKE_TOO_SLOW);
 * expands to `const yoke_error_kind id = { name, parent };` and a constructor that registers it (a semicolon
 * behind it may stand or not). Another file names it with `extern const yoke_error_kind APP_TIMEOUT;`. The
 * name must not be taken: two kinds of one name end the program at its start, with both named.
 */
#ifdef __cplusplus
#define YOKE_KIND_LINKAGE_ extern
#else
#define YOKE_KIND_LINKAGE_
#endif
#define YOKE_ERROR_KIND(id, kind_name, kind_parent)                                                          \
    YOKE_KIND_LINKAGE_ const yoke_error_kind id = {kind_name, kind_parent};                                  \
    __attribute__((constructor(150))) static void id##_register_(void)                                       \
    {                                                                                                        \
        yoke_error_kind_register(&id);                                                                       \
    }

/* Registers `kind` under its name. Again with the same pointer: nothing happens. With another one: aborts. */
void yoke_error_kind_register(const yoke_error_kind *kind);
/* The kind registered under `name`, or NULL. */
const yoke_error_kind *yoke_error_kind_find(const char *name);

extern const yoke_error_kind YOKE_CANCELLED; /* only a cancel scope makes it, only that scope absorbs it */
extern const yoke_error_kind YOKE_NO_MEMORY;
extern const yoke_error_kind YOKE_GROUP;    /* several errors: the members are what happened */
extern const yoke_error_kind YOKE_USAGE;    /* a call that made no sense; nothing was changed by it */
extern const yoke_error_kind YOKE_INTERNAL; /* a fault of yoke or of a rule that can't be broken */
extern const yoke_error_kind YOKE_TOO_SLOW; /* a deadline passed */
extern const yoke_error_kind YOKE_WOULD_BLOCK;
extern const yoke_error_kind YOKE_CLOSED;          /* one's own end was closed */
extern const yoke_error_kind YOKE_BROKEN_RESOURCE; /* the other end, or an owner, is gone */
extern const yoke_error_kind YOKE_END_OF_CHANNEL;
extern const yoke_error_kind YOKE_BUSY_RESOURCE;
extern const yoke_error_kind YOKE_LAGGED;
extern const yoke_error_kind YOKE_INTERRUPTED; /* ctrl-c; in a root also SIGTERM, SIGHUP, a closed stdout */
extern const yoke_error_kind YOKE_DEADLOCK;
extern const yoke_error_kind YOKE_RUN_FINISHED;
extern const yoke_error_kind YOKE_PROCESS_FAILED;
/* System errors: the general kind, and its children for the errno values that programs ask about. */
extern const yoke_error_kind YOKE_SYSTEM;
extern const yoke_error_kind YOKE_NOT_FOUND;       /* ENOENT */
extern const yoke_error_kind YOKE_PERMISSION;      /* EACCES, EPERM */
extern const yoke_error_kind YOKE_EXISTS;          /* EEXIST */
extern const yoke_error_kind YOKE_NO_DESCRIPTORS;  /* EMFILE, ENFILE */
extern const yoke_error_kind YOKE_CONNECTION_LOST; /* EPIPE, ECONNRESET, ECONNABORTED */
extern const yoke_error_kind YOKE_CONNECT_FAILED;  /* ECONNREFUSED, EHOSTUNREACH, ENETUNREACH */
extern const yoke_error_kind YOKE_ADDRESS_IN_USE;  /* EADDRINUSE */

/* ---- errors ------------------------------------------------------------------------------------- */

typedef struct yoke_error yoke_error;

/* Returns from the calling function if `expr` is an error, and notes the place in the error's trace. */
#define YOKE_TRY(expr)                                                                                       \
    do {                                                                                                     \
        yoke_error *yoke_try_error_ = (expr);                                                                \
        if (__builtin_expect(yoke_try_error_ != NULL, 0))                                                    \
            return yoke_error_trace(yoke_try_error_, __FILE__, __LINE__, __func__);                          \
    } while (0)

/*
 * Makes an error; never fails: without memory it is the static error of kind YOKE_NO_MEMORY. The message is
 * for people, one line, no full stop. Kind YOKE_CANCELLED is refused (YOKE_USAGE): only a scope makes it.
 * yoke_raise_errno: the kind that fits `number` (ENOMEM: YOKE_NO_MEMORY); the text of the number is added
 * after the message. yoke_wrap: `cause` becomes the cause of the new error (ownership passes). Without memory
 * it comes from a small reserve, its message cut and its place unknown; when that is used up, too, `cause`
 * itself is returned.
 */
#define yoke_raise(kind, ...)         yoke_raise_at(__FILE__, __LINE__, __func__, kind, __VA_ARGS__)
#define yoke_raise_errno(number, ...) yoke_raise_errno_at(__FILE__, __LINE__, __func__, number, __VA_ARGS__)
#define yoke_wrap(cause, kind, ...)   yoke_wrap_at(__FILE__, __LINE__, __func__, cause, kind, __VA_ARGS__)

/* `file` and `function` are copied. */
YOKE_MUST_USE yoke_error *yoke_raise_at(const char *file, int line, const char *function,
                                        const yoke_error_kind *kind, const char *fmt, ...)
    YOKE_PRINTF(5, 6) YOKE_NEVER_NULL;
YOKE_MUST_USE yoke_error *yoke_raise_errno_at(const char *file, int line, const char *function, int number,
                                              const char *fmt, ...) YOKE_PRINTF(5, 6) YOKE_NEVER_NULL;
YOKE_MUST_USE yoke_error *yoke_wrap_at(const char *file, int line, const char *function, yoke_error *cause,
                                       const yoke_error_kind *kind, const char *fmt, ...)
    YOKE_PRINTF(6, 7) YOKE_NEVER_NULL;

/* Notes one hop on the error's way up (32 at most: the first ones and the last are kept); returns `e`. NULL
 * passes. */
yoke_error *yoke_error_trace(yoke_error *e, const char *file, int line, const char *function);
/* Adds a line that is printed under the error. False: not kept; static errors take none, nor is there one
 * without memory. */
bool yoke_error_note(yoke_error *e, const char *fmt, ...) YOKE_PRINTF(2, 3);

/*
 * A group of what is in `members[0..count)`; NULLs are left out, ownership of the others passes. NULL if
 * there is none. yoke_error_join: NULL and x: x; both: a group of the two, `first` first; a group of kind
 * YOKE_GROUP that join itself made is extended instead of nested.
 */
YOKE_MUST_USE yoke_error *yoke_error_group(yoke_error **members, size_t count, const char *message);
YOKE_MUST_USE yoke_error *yoke_error_join(yoke_error *first, yoke_error *second);
/* A group of one becomes its member, at every depth; larger groups stay. A cause of a group that goes is kept
 * as a note of its member. Consumes e, returns what remains. */
YOKE_MUST_USE yoke_error *yoke_error_collapse(yoke_error *e);
/*
 * Takes out of `*e` every leaf of `kind` (or of a kind below it), at any depth of groups; causes are not
 * searched. What stays is in `*e`, what was taken in `*taken`; both keep shape, order, places, but that of a
 * group which join made the last member stays as itself. A half that is empty is NULL. Where both have
 * something and there is no memory for that, all stays in `*e`.
 */
void yoke_error_split(yoke_error **e, const yoke_error_kind *kind, yoke_error **taken);
/* The same with the leaves that `takes(leaf, arg)` is true for; it is asked once or twice for each, and must
 * answer alike. */
void yoke_error_split_by(yoke_error **e, bool (*takes)(const yoke_error *leaf, void *arg), void *arg,
                         yoke_error **taken);

/* Is `e` of this kind or of one below it? NULL is of none. Groups are not searched. */
bool yoke_error_is(const yoke_error *e, const yoke_error_kind *kind);
/* The first error of this kind in e, its members, and their causes; NULL if there is none. A view into e. */
const yoke_error *yoke_error_find(const yoke_error *e, const yoke_error_kind *kind);
/* True if e is kind YOKE_CANCELLED or a group, however nested, of nothing else. False for NULL. */
bool yoke_error_is_cancelled(const yoke_error *e);
/* True if every leaf of e, at any depth of groups, is of one of these kinds (or of one below). False for
 * NULL. */
bool yoke_error_is_only(const yoke_error *e, const yoke_error_kind *const kinds[], size_t count);

/* Views into e; valid as long as e. None is NULL but where it says so. */
const yoke_error_kind *yoke_error_kind_of(const yoke_error *e);
const char *yoke_error_message(const yoke_error *e);
const char *yoke_error_file(const yoke_error *e);        /* "" if not known */
int yoke_error_line(const yoke_error *e);                /* 0 if not known */
const char *yoke_error_function(const yoke_error *e);    /* "" if not known */
const char *yoke_error_actor(const yoke_error *e);       /* "" outside of an actor */
const char *yoke_error_task(const yoke_error *e);        /* "" outside of a task */
int yoke_error_errno(const yoke_error *e);               /* 0 if it is none of the system's */
const yoke_error *yoke_error_cause(const yoke_error *e); /* or NULL */
size_t yoke_error_count(const yoke_error *e);            /* members; 0 for a plain error */
const yoke_error *yoke_error_member(const yoke_error *e, size_t i);

/* An equal error that is freed on its own (shared inside; adding a note to one of them shows in both). */
YOKE_MUST_USE yoke_error *yoke_error_dup(const yoke_error *e);
/*
 * NULL and static errors are fine. With YOKE_CHECK_ERRORS=1 in the environment the last 1024 freed errors are
 * kept for a while, and freeing or using one of them again ends the program with the place that freed it
 * first; places are known where NDEBUG is not defined.
 */
void yoke_error_free(yoke_error *e);
void yoke_error_free_at(const char *file, int line, yoke_error *e);
#ifndef NDEBUG
#define yoke_error_free(e) yoke_error_free_at(__FILE__, __LINE__, (e))
#endif

/*
 * Draws the tree of e for a person, in the form that docs/errors.md shows: kind and message, place, trace,
 * notes, backtrace, members, cause. Equal members that follow each other are printed once, with their number.
 * Control characters and broken UTF-8 are printed escaped, messages over 64
 * KiB are cut in their middle. Colours only if `f` is a terminal and NO_COLOR is not set. NULL prints "no
 * error".
 */
void yoke_error_print(FILE *f, const yoke_error *e);
/* The same text without colours; to be freed with free(). NULL without memory. */
char *yoke_error_text(const yoke_error *e);
/* All of e as one line of JSON (docs/errors.md), "null" for NULL; to be freed with free(). NULL without
 * memory. */
char *yoke_error_json(const yoke_error *e);

/* ---- log ---------------------------------------------------------------------------------------- */

enum yoke_log_level {
    YOKE_TRANSPORT = 5,
    YOKE_DEBUG = 10,
    YOKE_RUNTIME = 15,
    YOKE_DEVX = 17,
    YOKE_INFO = 20,
    YOKE_CANCEL = 22,
    YOKE_WARNING = 30,
    YOKE_ERROR = 40,
    YOKE_CRITICAL = 50,
};

/*
 * Writes one record to stderr, in one write(2): time, level, actor[pid], task, floor, text. The floor is
 * taken from the file's folder (`src/actor/x.c` is `actor`), anything else is `app`. What is below the level
 * in force costs a comparison.
 */
#define yoke_log(level, ...)                                                                                 \
    do {                                                                                                     \
        if ((int)(level) >= yoke_log_lowest())                                                               \
            yoke_log_at(__FILE__, __LINE__, (level), __VA_ARGS__);                                           \
    } while (0)

void yoke_log_at(const char *file, int line, enum yoke_log_level level, const char *fmt, ...)
    YOKE_PRINTF(4, 5);
/* The lowest level that any floor lets through. */
int yoke_log_lowest(void);
/*
 * Sets the filter from `level` or `floor=level,floor=level,...` (floors: base task msg ipc actor devx app; a
 * bare level among them is for the rest). Unknown words: YOKE_USAGE with the word and the ones that fit;
 * nothing is changed. The environment's YOKE_LOG is read before main(); a word in it that is unknown is told
 * on stderr once. Default: warning.
 */
YOKE_MUST_USE yoke_error *yoke_log_set(const char *filter);
/* Whether yoke_log_set would take it. */
YOKE_MUST_USE yoke_error *yoke_log_check(const char *filter);
/* The filter in force, in the form that yoke_log_set takes; a view that the next yoke_log_set ends. */
const char *yoke_log_filter(void);
/* "cancel" for 22; "?" for no level. */
const char *yoke_log_level_name(int level);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
