/* A generic value as text for people. Bounded by its output, and by the walk's row of counters in place of
 * recursion. */
#include "msg/cursor.h"
#include "msg/utf8.h"

#include <yoke/msg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES  (64 * 1024)
#define SHOWN_BYTES 32 /* of bytes and ext, in hex */

struct level {
    uint64_t left; /* values still to come */
    bool map, key; /* key: the next value is a key */
};

static void print_str(FILE *f, const struct token *t)
{
    fputc('"', f);
    for (size_t at = 0; at < t->size && ftell(f) < TEXT_BYTES;) {
        uint32_t code;
        size_t length = utf8_next(t->bytes + at, t->size - at, &code);
        if (length == 0)
            fprintf(f, "\\x%02x", t->bytes[at]);
        else if (utf8_is_control(code))
            fprintf(f, "\\u%04x", (unsigned)code);
        else if (code == '"' || code == '\\')
            fprintf(f, "\\%c", (int)code);
        else
            fwrite(t->bytes + at, 1, length, f);
        at += length ? length : 1;
        if (ftell(f) >= TEXT_BYTES)
            fputs("...", f);
    }
    fputc('"', f);
}

static void print_hex(FILE *f, const struct token *t)
{
    for (size_t i = 0; i < t->size && i < SHOWN_BYTES; i++)
        fprintf(f, "%02x", t->bytes[i]);
    if (t->size > SHOWN_BYTES)
        fprintf(f, "... %zu bytes", t->size);
}

/* The shortest text that gives the same number back; one that looks like an integer gets a point. */
static void print_float(FILE *f, double real)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real)
            break;
    }
    bool whole = isfinite(real) && !text[strspn(text, "-0123456789")];
    fprintf(f, "%s%s", text, whole ? ".0" : "");
}

static void print_scalar(FILE *f, const struct token *t)
{
    switch (t->type) {
    case TOKEN_BOOL:
        fputs(t->boolean ? "true" : "false", f);
        break;
    case TOKEN_UINT:
        fprintf(f, "%llu", (unsigned long long)t->uint);
        break;
    case TOKEN_INT:
        fprintf(f, "%lld", (long long)t->sint);
        break;
    case TOKEN_FLOAT:
        print_float(f, t->real);
        break;
    case TOKEN_STR:
        print_str(f, t);
        break;
    case TOKEN_BYTES:
        fputs("<bytes ", f);
        print_hex(f, t);
        fputc('>', f);
        break;
    case TOKEN_EXT:
        fprintf(f, "<ext %d ", t->ext);
        print_hex(f, t);
        fputc('>', f);
        break;
    default:
        fputs("null", f);
    }
}

/* After a value: what stands before the next one, and the ends of containers that are complete. Returns the
 * new depth. */
static unsigned print_between(FILE *f, struct level *levels, unsigned depth)
{
    while (depth > 0) {
        struct level *level = &levels[depth - 1];
        if (level->left > 0) {
            fputs(level->map && !level->key ? ": " : ", ", f);
            return depth;
        }
        fputc(level->map ? '}' : ']', f);
        depth--;
    }
    return 0;
}

static unsigned open_container(FILE *f, struct level *levels, unsigned depth, const struct token *t)
{
    bool map = t->type == TOKEN_MAP;
    fputc(map ? '{' : '[', f);
    levels[depth] = (struct level){map ? 2 * (uint64_t)t->count : t->count, map, map};
    return depth + 1;
}

static void print_value(FILE *f, struct cursor *c)
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
            fprintf(f, "<%s>", cursor_fault_text(fault));
            return;
        }
        if (depth > 0) {
            levels[depth - 1].left--;
            levels[depth - 1].key = levels[depth - 1].map && !levels[depth - 1].key;
        }
        if (container)
            depth = open_container(f, levels, depth, &t);
        else
            print_scalar(f, &t);
        if (!container || t.count == 0)
            depth = print_between(f, levels, depth);
    } while (depth > 0 && ftell(f) < TEXT_BYTES);
    if (depth > 0)
        fputs("...", f);
}

/* The text is the C library's, not base/memory.h's, since free() is what every caller has. */
char *yoke_value_text(const yoke_value *value)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    struct cursor c = cursor_over(value->data, value->size, SIZE_MAX, CURSOR_NESTING);
    if (value->data)
        print_value(f, &c);
    else
        fputs("null", f);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}
