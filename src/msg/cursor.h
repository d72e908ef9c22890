/*
 * Reading msgpack in place, token by token.
 *
 * msgpack-c's unpacker builds a tree of objects in memory that it allocates as the bytes announce it, and
 * frames it by recursion of its own; here nothing may be allocated, texts and payloads must stay views into
 * the frame, and nesting and elements are bounded. So this walker is our own; all writing is msgpack-c's.
 */
#ifndef MSG_CURSOR_H
#define MSG_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The deepest nesting that can be walked, whatever limit is set. */
#define CURSOR_NESTING 64

enum token_type {
    TOKEN_NIL,
    TOKEN_BOOL,
    TOKEN_UINT, /* an integer >= 0, of any form */
    TOKEN_INT,  /* an integer < 0 */
    TOKEN_FLOAT,
    TOKEN_STR,
    TOKEN_BYTES,
    TOKEN_ARRAY,
    TOKEN_MAP,
    TOKEN_EXT
};

/*
 * The content of one large `bytes` that does not stand behind its head but elsewhere: it was read there, or
 * is lent by its owner, so that nobody need copy it. What has one is otherwise as if it stood at `at`.
 */
struct aside {
    const uint8_t *at; /* where it would begin: the next byte there is of what follows it */
    const uint8_t *data;
    size_t size;  /* 0: there is none */
    bool to_take; /* a decoder may make it an item's own, and says so by `data` NULL */
};

struct token {
    enum token_type type;
    union {
        bool boolean;
        uint64_t uint;
        int64_t sint;
        double real;
        int8_t ext;     /* its code */
        uint32_t count; /* elements of an array, pairs of a map */
    };
    const uint8_t *bytes; /* of a str, bytes or ext: a view */
    size_t size;
    struct aside *aside; /* of bytes: where the view is, if it is one */
};

struct cursor {
    const uint8_t *start, *at, *end;
    size_t elements; /* how many tokens may still be read */
    unsigned
        nesting; /* how many containers in each other cursor_skip goes through: 0 lets only scalars pass */
    bool texts;  /* refuse a str that is not UTF-8 */
    struct aside *aside; /* or NULL */
};

enum cursor_fault {
    CURSOR_FINE,
    CURSOR_TRUNCATED, /* the bytes end inside of the value; a container announces more elements than bytes are
                         left */
    CURSOR_BAD_BYTE,  /* 0xc1, which msgpack never uses */
    CURSOR_TOO_DEEP,
    CURSOR_TOO_MANY, /* elements */
    CURSOR_BAD_TEXT
};

static inline struct cursor cursor_over(const uint8_t *data, size_t size, size_t elements, unsigned nesting)
{
    return (struct cursor){data, data, size ? data + size : data, elements, nesting, false, NULL};
}

/* The token at the cursor; of a container only its head. On a fault the cursor stays on the token's first
 * byte. */
enum cursor_fault cursor_next(struct cursor *c, struct token *token);
/* Goes past one whole value, checked to be well-formed and within the bounds. On a fault it stands on the bad
 * token. */
enum cursor_fault cursor_skip(struct cursor *c);
/* The cursor stands on a `bytes` that is not there from end to end: where its content begins, and how large
 * it is. False: it is anything else. */
bool cursor_cut_bytes(const struct cursor *c, const uint8_t **begin, size_t *size);

/* Does the value that stands in [begin, end) have the aside inside? */
static inline bool aside_is_in(const struct aside *aside, const uint8_t *begin, const uint8_t *end)
{
    return aside && aside->size && begin < aside->at && aside->at <= end;
}

static inline size_t cursor_offset(const struct cursor *c)
{
    return (size_t)(c->at - c->start) + (aside_is_in(c->aside, c->start, c->at) ? c->aside->size : 0);
}

/* For people: "not enough bytes", "nested too deep", ... */
const char *cursor_fault_text(enum cursor_fault fault);
/* "nil", "bool", "int", "float", "str", "bytes", "array", "map", "ext". */
const char *token_type_name(enum token_type type);

#endif
