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
};

struct cursor {
    const uint8_t *start, *at, *end;
    size_t elements; /* how many tokens may still be read */
    unsigned
        nesting; /* how many containers in each other cursor_skip goes through: 0 lets only scalars pass */
    bool texts;  /* refuse a str that is not UTF-8 */
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
    return (struct cursor){data, data, size ? data + size : data, elements, nesting, false};
}

/* The token at the cursor; of a container only its head. On a fault the cursor stays on the token's first
 * byte. */
enum cursor_fault cursor_next(struct cursor *c, struct token *token);
/* Goes past one whole value, checked to be well-formed and within the bounds. On a fault it stands on the bad
 * token. */
enum cursor_fault cursor_skip(struct cursor *c);

static inline size_t cursor_offset(const struct cursor *c)
{
    return (size_t)(c->at - c->start);
}

/* For people: "not enough bytes", "nested too deep", ... */
const char *cursor_fault_text(enum cursor_fault fault);
/* "nil", "bool", "int", "float", "str", "bytes", "array", "map", "ext". */
const char *token_type_name(enum token_type type);

#endif
