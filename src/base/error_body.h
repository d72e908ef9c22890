/*
 * What an error is made of; for the files error*.c alone.
 *
 * Two counted parts. The `yoke_error` is the shape: the members of a group, or none. Its `head` is what it
 * says: kind, message, place, notes, trace. Splitting a group makes two shapes that share one head.
 * yoke_error_dup counts the shape once more, so other threads may hold the same one: a shape is changed only
 * while its count is 1, a head's lists grow by atomic appends and shrink never.
 */
#ifndef BASE_ERROR_BODY_H
#define BASE_ERROR_BODY_H

#include "base/error.h"

#include <errno.h>
#include <stdatomic.h>

#define HOPS_MAX 32

/* The first of each struct that hangs in a chain. */
struct link {
    _Atomic(struct link *) next;
};

/* Append-only, in order, any thread. `near_end` is some link of it: where the search for the end begins. */
struct chain {
    _Atomic(struct link *) first, near_end;
};

struct hop {
    struct link link;
    int line;
    const char *function; /* both in text */
    const char *file;
    char text[];
};

struct note {
    struct link link;
    char text[];
};

struct details {
    struct link link;
    const struct error_details_ops *ops;
    void *data;
};

struct place {
    const char *file, *function, *actor, *task;
    int line;
};

struct head {
    atomic_uint count;
    bool spare; /* lies in the reserve */
    atomic_bool shown;
    int number;
    const yoke_error_kind *kind;
    const char *message;
    struct place place;
    char *place_text; /* what error_set_place copied, or NULL */
    char *backtrace;
    yoke_error *cause;
    struct chain notes, hops, details;
    _Atomic(struct hop *) last_hop; /* the one past the first HOPS_MAX - 1 */
    atomic_uint hops_seen;          /* all, also those that are not kept */
    char text[];
};

struct yoke_error {
    atomic_uint count;
    bool is_static, spare;
    bool joined;         /* a group that yoke_error_join made and may extend */
    bool flat;           /* a group that gives way to its member when a split leaves it one */
    bool only_cancelled; /* yoke_error_is_cancelled: kept, since it is asked often and the tree may be deep */
    unsigned depth;      /* 1, or one more than the deepest of members and cause */
    int freed_line;
    struct head *head;
    yoke_error **members; /* `pair` while two are enough */
    size_t member_count, member_capacity;
    yoke_error *pair[2];
    union {
        yoke_error *next_doomed;
        const char *freed_file; /* of one that is kept after its end, count 0; NULL: not known */
    };
};

/* Ends the program: `e`, given to `call`, was freed before. */
void error_misused(const yoke_error *e, const char *call) __attribute__((noreturn, cold));

/* Where an error is given to a call. Free of charge but for freed ones that are kept (YOKE_CHECK_ERRORS). */
static inline void error_check(const yoke_error *e, const char *call)
{
    if (__builtin_expect(e && !atomic_load_explicit(&e->count, memory_order_relaxed) && !e->is_static, 0))
        error_misused(e, call);
}

/* What the last error on this thread would have said that there was no memory for; "" for none. */
const char *error_unraised(void);

/* No function of base.h changes errno: stands first in those that could. */
#define KEEP_ERRNO const int kept_errno __attribute__((cleanup(errno_restore), unused)) = errno

static inline void errno_restore(const int *kept)
{
    errno = *kept;
}

/* Is the caller its only holder? Then no other thread looks at it. */
static inline bool error_sole(const yoke_error *e)
{
    return !e->is_static && atomic_load_explicit(&e->count, memory_order_acquire) == 1;
}

/* Is its head looked at by nobody else, too? */
static inline bool error_sole_head(const yoke_error *e)
{
    return error_sole(e) && atomic_load_explicit(&e->head->count, memory_order_acquire) == 1;
}

/* What a chain holds, from the first. */
static inline struct link *chain_first(const struct chain *c)
{
    return atomic_load_explicit(&c->first, memory_order_acquire);
}

static inline struct link *link_next(const struct link *l)
{
    return atomic_load_explicit(&l->next, memory_order_acquire);
}

/* Frees what hangs on a head that nobody looks at any more. */
void error_chains_free(struct head *h);

/* Is `kind` that family, or below it? */
bool error_kind_is_below(const yoke_error_kind *kind, const yoke_error_kind *family);

/* A shape of no members over a head that says `message` (a literal, not copied), raised nowhere; NULL without
 * memory. */
yoke_error *error_new_group(const char *message, bool copy);
/* A shape of no members that shares the head of `e`; NULL without memory. */
yoke_error *error_new_like(const yoke_error *e);
/* A group of kind YOKE_GROUP out of the reserve, with room for two members; NULL if the reserve is used up.
 */
yoke_error *error_spare_group(const char *message);
/* Room for `more` members; false without memory. */
bool error_reserve(yoke_error *group, size_t more);
/* Adds a member, whose ownership passes; there must be room. */
void error_add(yoke_error *group, yoke_error *member);

/*
 * A walk of the tree in the order of printing, members before the cause. Its stack is as deep as the tree; a
 * walk that gets no memory for one stays within WALK_LEVELS and says so.
 */
#define WALK_LEVELS 24
struct walk_frame {
    const yoke_error *e;
    size_t next;
};
struct walk {
    bool causes;     /* also into causes */
    bool incomplete; /* something was too deep */
    size_t depth, limit;
    struct walk_frame *frames;
    struct walk_frame own[WALK_LEVELS];
};
void walk_open(struct walk *w, const yoke_error *root, bool causes);
const yoke_error *walk_next(struct walk *w); /* NULL at the end */
void walk_close(struct walk *w);

#endif
