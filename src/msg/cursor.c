/* The walk over msgpack: one head after the other; the only memory is a row of counters, one for each open
 * container. */
#include "msg/cursor.h"

#include "msg/utf8.h"

#include <string.h>

static uint64_t big_endian(const uint8_t *b, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value << 8 | b[i];
    return value;
}

static void set_signed(struct token *t, int64_t value)
{
    t->type = value < 0 ? TOKEN_INT : TOKEN_UINT;
    t->sint = value;
}

static void set_float(struct token *t, const uint8_t *b, unsigned width)
{
    uint64_t bits = big_endian(b, width);
    t->type = TOKEN_FLOAT;
    if (width == 8) {
        memcpy(&t->real, &bits, sizeof t->real);
        return;
    }
    uint32_t half = (uint32_t)bits;
    float single;
    memcpy(&single, &half, sizeof single);
    t->real = single;
}

static int64_t sign_extend(uint64_t value, unsigned width)
{
    unsigned shift = 64 - 8 * width;
    return (int64_t)(value << shift) >> shift;
}

/* What a first byte says: the token's type, how many bytes of a number follow it, and what that number means.
 */
struct head {
    enum token_type type;
    uint8_t number;                                                  /* bytes of the number that follows */
    enum { LONE, UNSIGNED, SIGNED, REAL, LENGTH, COUNT, FIXED } use; /* FIXED: an ext of `size` bytes */
    uint8_t size;
};

/* The bytes 0xc0 to 0xdf, by the table of the msgpack specification. */
static const struct head heads[32] = {
    [0x00] = {TOKEN_NIL, 0, LONE, 0},      [0x02] = {TOKEN_BOOL, 0, LONE, 0},
    [0x03] = {TOKEN_BOOL, 0, LONE, 0},     [0x04] = {TOKEN_BYTES, 1, LENGTH, 0},
    [0x05] = {TOKEN_BYTES, 2, LENGTH, 0},  [0x06] = {TOKEN_BYTES, 4, LENGTH, 0},
    [0x07] = {TOKEN_EXT, 1, LENGTH, 0},    [0x08] = {TOKEN_EXT, 2, LENGTH, 0},
    [0x09] = {TOKEN_EXT, 4, LENGTH, 0},    [0x0a] = {TOKEN_FLOAT, 4, REAL, 0},
    [0x0b] = {TOKEN_FLOAT, 8, REAL, 0},    [0x0c] = {TOKEN_UINT, 1, UNSIGNED, 0},
    [0x0d] = {TOKEN_UINT, 2, UNSIGNED, 0}, [0x0e] = {TOKEN_UINT, 4, UNSIGNED, 0},
    [0x0f] = {TOKEN_UINT, 8, UNSIGNED, 0}, [0x10] = {TOKEN_INT, 1, SIGNED, 0},
    [0x11] = {TOKEN_INT, 2, SIGNED, 0},    [0x12] = {TOKEN_INT, 4, SIGNED, 0},
    [0x13] = {TOKEN_INT, 8, SIGNED, 0},    [0x14] = {TOKEN_EXT, 0, FIXED, 1},
    [0x15] = {TOKEN_EXT, 0, FIXED, 2},     [0x16] = {TOKEN_EXT, 0, FIXED, 4},
    [0x17] = {TOKEN_EXT, 0, FIXED, 8},     [0x18] = {TOKEN_EXT, 0, FIXED, 16},
    [0x19] = {TOKEN_STR, 1, LENGTH, 0},    [0x1a] = {TOKEN_STR, 2, LENGTH, 0},
    [0x1b] = {TOKEN_STR, 4, LENGTH, 0},    [0x1c] = {TOKEN_ARRAY, 2, COUNT, 0},
    [0x1d] = {TOKEN_ARRAY, 4, COUNT, 0},   [0x1e] = {TOKEN_MAP, 2, COUNT, 0},
    [0x1f] = {TOKEN_MAP, 4, COUNT, 0},
};

/* Only one head can end where the aside begins: the one that it belongs to. */
static inline bool is_aside(const struct cursor *c, const uint8_t *at, uint64_t size, const struct token *t)
{
    return c->aside && t->type == TOKEN_BYTES && at == c->aside->at && size && size == c->aside->size;
}

/* Takes the view of a str, bytes or ext; an ext has its code before it. `at` is behind the head. */
static inline enum cursor_fault take_bytes(struct cursor *c, const uint8_t *at, uint64_t size,
                                           struct token *t)
{
    bool ext = t->type == TOKEN_EXT;
    if (is_aside(c, at, size, t)) {
        t->aside = c->aside;
        t->bytes = c->aside->data;
        t->size = c->aside->size;
        c->at = at;
        return CURSOR_FINE;
    }
    if ((uint64_t)(c->end - at) < size + ext)
        return CURSOR_TRUNCATED;
    if (ext)
        t->ext = (int8_t)*at++;
    t->bytes = at;
    t->size = (size_t)size;
    if (c->texts && t->type == TOKEN_STR && !utf8_valid(at, t->size))
        return CURSOR_BAD_TEXT;
    c->at = at + size;
    return CURSOR_FINE;
}

/* An element is a byte at least: a count that can't be true is found before anything is done with it. */
static inline enum cursor_fault take_count(struct cursor *c, const uint8_t *at, uint64_t count,
                                           struct token *t)
{
    if ((uint64_t)(c->end - at) < (t->type == TOKEN_MAP ? 2 * count : count))
        return CURSOR_TRUNCATED;
    t->count = (uint32_t)count;
    c->at = at;
    return CURSOR_FINE;
}

static inline enum cursor_fault take_wide(struct cursor *c, uint8_t first, struct token *t)
{
    const struct head *head = &heads[first - 0xc0];
    const uint8_t *at = c->at + 1;
    if ((size_t)(c->end - at) < head->number)
        return CURSOR_TRUNCATED;
    uint64_t number = big_endian(at, head->number);
    t->type = head->type;
    switch (head->use) {
    case LONE:
        t->boolean = first == 0xc3;
        break;
    case UNSIGNED:
        t->uint = number;
        break;
    case SIGNED:
        set_signed(t, sign_extend(number, head->number));
        break;
    case REAL:
        set_float(t, at, head->number);
        break;
    case LENGTH:
        return take_bytes(c, at + head->number, number, t);
    case COUNT:
        return take_count(c, at + head->number, number, t);
    case FIXED:
        return take_bytes(c, at, head->size, t);
    }
    c->at = at + head->number;
    return CURSOR_FINE;
}

static inline enum cursor_fault take(struct cursor *c, struct token *t)
{
    uint8_t first = *c->at;
    if (first < 0x80 || first >= 0xe0) {
        set_signed(t, (int8_t)first);
        c->at++;
        return CURSOR_FINE;
    }
    if (first >= 0xc0)
        return first == 0xc1 ? CURSOR_BAD_BYTE : take_wide(c, first, t);
    t->type = first < 0x90 ? TOKEN_MAP : first < 0xa0 ? TOKEN_ARRAY : TOKEN_STR;
    if (t->type == TOKEN_STR)
        return take_bytes(c, c->at + 1, first & 0x1f, t);
    return take_count(c, c->at + 1, first & 0x0f, t);
}

enum cursor_fault cursor_next(struct cursor *c, struct token *token)
{
    if (c->at == c->end)
        return CURSOR_TRUNCATED;
    if (c->elements == 0)
        return CURSOR_TOO_MANY;
    *token = (struct token){0};
    enum cursor_fault fault = take(c, token);
    if (!fault)
        c->elements--;
    return fault;
}

#define NO_CONTAINER UINT64_MAX

/*
 * Goes past the token at the cursor if it is one of the small ones that most are, without making it:
 * `children` is how many values it has inside, if it is a container. False: it is another one, or is not
 * whole.
 */
static inline bool skip_small(struct cursor *c, uint64_t *children)
{
    size_t left = (size_t)(c->end - c->at);
    if (!left || !c->elements)
        return false;
    uint8_t first = *c->at;
    size_t size = 1;
    *children = NO_CONTAINER;
    if (first >= 0x80 && first < 0x90)
        *children = 2 * (first & 0x0f);
    else if (first >= 0x90 && first < 0xa0)
        *children = first & 0x0f;
    else if (first >= 0xa0 && first < 0xc0 && !c->texts)
        size = 1 + (first & 0x1f);
    else if (first == 0xc4 && left > 1 && !c->aside)
        size = 2 + (size_t)c->at[1];
    else if (first >= 0x80 && first < 0xe0)
        return false;
    if (left < size || (*children != NO_CONTAINER && left - 1 < *children))
        return false;
    c->at += size;
    c->elements--;
    return true;
}

static enum cursor_fault skip_any(struct cursor *c, uint64_t *children)
{
    struct token token;
    enum cursor_fault fault = cursor_next(c, &token);
    if (fault)
        return fault;
    *children = token.type == TOKEN_MAP     ? 2 * (uint64_t)token.count
                : token.type == TOKEN_ARRAY ? token.count
                                            : NO_CONTAINER;
    return CURSOR_FINE;
}

enum cursor_fault cursor_skip(struct cursor *c)
{
    uint64_t left[CURSOR_NESTING]; /* values still to come in each open container */
    unsigned deepest = c->nesting < CURSOR_NESTING ? c->nesting : CURSOR_NESTING, depth = 0;
    do {
        const uint8_t *here = c->at;
        uint64_t children;
        enum cursor_fault fault = skip_small(c, &children) ? CURSOR_FINE : skip_any(c, &children);
        if (fault)
            return fault;
        if (depth)
            left[depth - 1]--;
        if (children != NO_CONTAINER) {
            if (depth == deepest) {
                c->at = here;
                return CURSOR_TOO_DEEP;
            }
            left[depth++] = children;
        }
        while (depth && left[depth - 1] == 0)
            depth--;
    } while (depth);
    return CURSOR_FINE;
}

bool cursor_cut_bytes(const struct cursor *c, const uint8_t **begin, size_t *size)
{
    size_t left = (size_t)(c->end - c->at);
    if (!left || *c->at < 0xc0 || *c->at > 0xdf)
        return false;
    const struct head *head = &heads[*c->at - 0xc0];
    if (head->type != TOKEN_BYTES || left - 1 < head->number)
        return false;
    *begin = c->at + 1 + head->number;
    *size = (size_t)big_endian(c->at + 1, head->number);
    return (size_t)(c->end - *begin) < *size;
}

const char *cursor_fault_text(enum cursor_fault fault)
{
    static const char *const texts[] = {
        "nothing",         "not enough bytes",  "a byte that msgpack does not have",
        "nested too deep", "too many elements", "a str that is not UTF-8"};
    return texts[fault];
}

const char *token_type_name(enum token_type type)
{
    static const char *const names[] = {"nil", "bool",  "int",   "int", "float",
                                        "str", "bytes", "array", "map", "ext"};
    return names[type];
}
