/*
 * An error as JSON, for programs that read logs: the whole tree as one object, in one line. Fields that say
 * nothing are left out. What is no UTF-8 stands as \xNN in the text; the depth is bounded, and so is the
 * stack.
 */
#include "base/buffer.h"
#include "base/error_body.h"
#include "base/memory.h"
#include "base/text.h"

#include <string.h>

#define LEVELS 96 /* members and causes in each other */

struct level {
    const yoke_error *e;
    size_t next;
};

struct writer {
    struct buffer buffer;
    bool failed;
    size_t depth;
    struct level levels[LEVELS];
};

static void put(struct writer *w, const char *bytes, size_t size)
{
    if (!w->failed)
        w->failed = !buffer_append(&w->buffer, bytes, size);
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_number(struct writer *w, long long n)
{
    char digits[24];
    put(w, digits, (size_t)snprintf(digits, sizeof digits, "%lld", n));
}

static void put_string(struct writer *w, const char *s)
{
    if (!w->failed)
        w->failed = !text_put_json(&w->buffer, s);
}

/* `,"name":`, but for the first of an object. */
static void put_name(struct writer *w, const char *name)
{
    put_text(w, ",\"");
    put_text(w, name);
    put_text(w, "\":");
}

static void put_field(struct writer *w, const char *name, const char *text)
{
    if (!*text)
        return;
    put_name(w, name);
    put_string(w, text);
}

static void put_number_field(struct writer *w, const char *name, long long n)
{
    if (!n)
        return;
    put_name(w, name);
    put_number(w, n);
}

static void put_hops(struct writer *w, const yoke_error *e)
{
    struct error_hop hop;
    for (size_t i = 0; error_hop_at(e, i, &hop); i++) {
        if (!i)
            put_name(w, "trace");
        put_text(w, i ? ",{\"function\":" : "[{\"function\":");
        put_string(w, hop.function);
        put_field(w, "file", hop.file);
        put_number_field(w, "line", hop.line);
        put_text(w, "}");
    }
    if (error_hop_at(e, 0, &hop))
        put_text(w, "]");
}

static void put_notes(struct writer *w, const yoke_error *e)
{
    for (size_t i = 0; error_note_at(e, i); i++) {
        if (!i)
            put_name(w, "notes");
        put_text(w, i ? "," : "[");
        put_string(w, error_note_at(e, i));
    }
    if (error_note_at(e, 0))
        put_text(w, "]");
}

/* All of one error but its members and its cause; the object stays open. */
static void put_head(struct writer *w, const yoke_error *e)
{
    const struct head *h = e->head;
    put_text(w, "{\"kind\":");
    put_string(w, h->kind->name);
    put_name(w, "message");
    put_string(w, h->message);
    put_field(w, "file", h->place.file);
    put_number_field(w, "line", h->place.line);
    put_field(w, "function", h->place.function);
    put_field(w, "task", h->place.task);
    put_field(w, "actor", h->place.actor);
    put_number_field(w, "errno", h->number);
    put_hops(w, e);
    put_notes(w, e);
    if (h->backtrace)
        put_field(w, "backtrace", h->backtrace);
}

static void go_down(struct writer *w, const yoke_error *e)
{
    if (w->depth == LEVELS) {
        put_text(w, "{\"cut\":true}");
        return;
    }
    w->levels[w->depth++] = (struct level){.e = e};
    put_head(w, e);
}

static void put_tree(struct writer *w, const yoke_error *e)
{
    go_down(w, e);
    while (w->depth) {
        struct level *top = &w->levels[w->depth - 1];
        size_t i = top->next++, count = top->e->member_count;
        if (i < count) {
            put_text(w, i ? "," : ",\"members\":[");
            go_down(w, top->e->members[i]);
            continue;
        }
        if (i == count && count)
            put_text(w, "]");
        if (i == count && top->e->head->cause) {
            put_name(w, "cause");
            go_down(w, top->e->head->cause);
            continue;
        }
        put_text(w, "}");
        w->depth--;
    }
}

char *yoke_error_json(const yoke_error *e)
{
    KEEP_ERRNO;
    error_check(e, "yoke_error_json");
    struct writer w = {.buffer = BUFFER_EMPTY};
    if (e)
        put_tree(&w, e);
    else
        put_text(&w, "null");
    put(&w, "", 1);
    if (!w.failed)
        return memory_give_away(w.buffer.data);
    buffer_free(&w.buffer);
    return NULL;
}
