/* A generic value as text for people. Bounded by its output, and by the walk's row of counters in place of
 * recursion. */
#include "base/buffer.h"
#include "base/memory.h"
#include "msg/cursor.h"
#include "msg/utf8.h"

#include <yoke/msg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES  (64 * 1024)
#define SHOWN_BYTES 32 /* of bytes and ext, in hex */

struct writer {
    struct buffer text;
    bool failed; /* without memory */
};

static void put(struct writer *w, const char *fmt, ...) YOKE_PRINTF(2, 3);
static void put(struct writer *w, const char *fmt, ...)
{
    char piece[128]; /* no piece is longer than an escaped or printed number and the words around it */
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(piece, sizeof piece, fmt, args);
    va_end(args);
    if (size < 0 || !buffer_append(&w->text, piece, (size_t)size))
        w->failed = true;
}

/* A writer that failed has no use for more either. */
static bool is_full(const struct writer *w)
{
    return w->failed || buffer_size(&w->text) >= TEXT_BYTES;
}

struct level {
    uint64_t left; /* values still to come */
    bool map, key; /* key: the next value is a key */
};

static void print_str(struct writer *w, const struct token *t)
{
    put(w, "\"");
    for (size_t at = 0; at < t->size && !is_full(w);) {
        uint32_t code;
        size_t length = utf8_next(t->bytes + at, t->size - at, &code);
        if (length == 0)
            put(w, "\\x%02x", t->bytes[at]);
        else if (utf8_is_control(code))
            put(w, "\\u%04x", (unsigned)code);
        else if (code == '"' || code == '\\')
            put(w, "\\%c", (int)code);
        else
            put(w, "%.*s", (int)length, (const char *)t->bytes + at);
        at += length ? length : 1;
        if (is_full(w))
            put(w, "...");
    }
    put(w, "\"");
}

static void print_hex(struct writer *w, const struct token *t)
{
    for (size_t i = 0; i < t->size && i < SHOWN_BYTES; i++)
        put(w, "%02x", t->bytes[i]);
    if (t->size > SHOWN_BYTES)
        put(w, "... %zu bytes", t->size);
}

/* The shortest text that gives the same number back; one that looks like an integer gets a point. */
static void print_float(struct writer *w, double real)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real)
            break;
    }
    bool whole = isfinite(real) && !text[strspn(text, "-0123456789")];
    put(w, "%s%s", text, whole ? ".0" : "");
}

static void print_scalar(struct writer *w, const struct token *t)
{
    switch (t->type) {
    case TOKEN_BOOL:
        put(w, "%s", t->boolean ? "true" : "false");
        break;
    case TOKEN_UINT:
        put(w, "%llu", (unsigned long long)t->uint);
        break;
    case TOKEN_INT:
        put(w, "%lld", (long long)t->sint);
        break;
    case TOKEN_FLOAT:
        print_float(w, t->real);
        break;
    case TOKEN_STR:
        print_str(w, t);
        break;
    case TOKEN_BYTES:
        put(w, "<bytes ");
        print_hex(w, t);
        put(w, ">");
        break;
    case TOKEN_EXT:
        put(w, "<ext %d ", t->ext);
        print_hex(w, t);
        put(w, ">");
        break;
    default:
        put(w, "null");
    }
}

/* After a value: what stands before the next one, and the ends of containers that are complete. Returns the
 * new depth. */
static unsigned print_between(struct writer *w, struct level *levels, unsigned depth)
{
    while (depth > 0) {
        struct level *level = &levels[depth - 1];
        if (level->left > 0) {
            put(w, "%s", level->map && !level->key ? ": " : ", ");
            return depth;
        }
        put(w, "%c", level->map ? '}' : ']');
        depth--;
    }
    return 0;
}

static unsigned open_container(struct writer *w, struct level *levels, unsigned depth, const struct token *t)
{
    bool map = t->type == TOKEN_MAP;
    put(w, "%c", map ? '{' : '[');
    levels[depth] = (struct level){map ? 2 * (uint64_t)t->count : t->count, map, map};
    return depth + 1;
}

static void print_value(struct writer *w, struct cursor *c)
{
    struct level levels[CURSOR_NESTING];
    unsigned depth = 0;
    do {
        struct token t;
        enum cursor_fault fault = cursor_next(c, &t);
        bool container = !fault && (t.type == TOKEN_ARRAY || t.type == TOKEN_MAP);
        if (container && depth == CURSOR_NESTING)
            fault = CURSOR_TOO_DEEP;
        if (fault) {
            put(w, "<%s>", cursor_fault_text(fault));
            return;
        }
        if (depth > 0) {
            levels[depth - 1].left--;
            levels[depth - 1].key = levels[depth - 1].map && !levels[depth - 1].key;
        }
        if (container)
            depth = open_container(w, levels, depth, &t);
        else
            print_scalar(w, &t);
        if (!container || t.count == 0)
            depth = print_between(w, levels, depth);
    } while (depth > 0 && !is_full(w));
    if (depth > 0)
        put(w, "...");
}

char *yoke_value_text(const yoke_value *value)
{
    struct writer w = {BUFFER_EMPTY, false};
    struct cursor c = cursor_over(value->data, value->size, SIZE_MAX, CURSOR_NESTING);
    if (value->data)
        print_value(&w, &c);
    else
        put(&w, "null");
    if (!w.failed && buffer_append(&w.text, "", 1))
        return memory_give_away(w.text.data);
    buffer_free(&w.text);
    return NULL;
}
