/*
 * The tree of an error for a person:
 *
 *     error: loading `x.conf` [app.Load]
 *       at load (main.c:12) in task `main` of actor `root`
 *       via app (main.c:30)
 *       note: tried 3 times
 *       ├─ first member [Kind]
 *       │    at ...
 *       └─ last member [Kind]
 *     caused by: open x.conf: No such file or directory [NotFound]
 *       at ...
 *
 * Text comes from anywhere, other processes too: what a terminal would obey is escaped. The depth is bounded,
 * and so is the stack.
 */
#include "base/buffer.h"
#include "base/error_body.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdarg.h>
#include <string.h>

#define LEVELS        48           /* groups in groups */
#define CAUSES        256          /* in all */
#define MESSAGE_BYTES (64u * 1024) /* longer ones are cut in their middle */

#define RED   "\033[1;31m"
#define DIM   "\033[2m"
#define PLAIN "\033[0m"

struct level {
    const yoke_error *e;
    size_t next;
    bool last; /* nothing follows at this level: no line is drawn down past it */
};

struct printer {
    FILE *file;           /* or NULL: */
    struct buffer buffer; /* the text so far */
    bool failed, colours;
    unsigned causes;
    size_t depth;
    struct level levels[LEVELS];
};

/* ---- text ---- */

static void put(struct printer *p, const char *bytes, size_t size)
{
    if (p->file)
        p->failed |= fwrite_unlocked(bytes, 1, size, p->file) != size;
    else if (!p->failed)
        p->failed = !buffer_append(&p->buffer, bytes, size);
}

static void put_text(struct printer *p, const char *text)
{
    put(p, text, strlen(text));
}

static void put_number(struct printer *p, size_t n)
{
    char digits[24];
    put(p, digits, (size_t)snprintf(digits, sizeof digits, "%zu", n));
}

static void colour(struct printer *p, const char *code)
{
    if (p->colours)
        put_text(p, code);
}

/* `size` bytes as a terminal may have them; runs that need no escape go out in one piece. */
static void put_escaped(struct printer *p, const char *s, size_t size)
{
    size_t from = 0, at = 0;
    while (at < size) {
        size_t shown = text_shown(s + at, size - at);
        if (shown) {
            at += shown;
            continue;
        }
        char escape[4];
        text_escape(escape, s[at]);
        put(p, s + from, at - from);
        put(p, escape, sizeof escape);
        from = ++at;
    }
    put(p, s + from, size - from);
}

static void put_foreign(struct printer *p, const char *s)
{
    put_escaped(p, s, strlen(s));
}

static void put_message(struct printer *p, const char *s)
{
    size_t size = strlen(s);
    if (size <= MESSAGE_BYTES) {
        put_escaped(p, s, size);
        return;
    }
    size_t head = text_cut(s, MESSAGE_BYTES / 2);
    size_t tail = text_cut(s, size - MESSAGE_BYTES / 2);
    put_escaped(p, s, head);
    put_text(p, " … (");
    put_number(p, tail - head);
    put_text(p, " bytes left out) … ");
    put_escaped(p, s + tail, size - tail);
}

/* ---- lines ---- */

/* What stands left of everything that belongs to the innermost error. */
static void indent(struct printer *p)
{
    for (size_t i = 1; i < p->depth; i++)
        put_text(p, p->levels[i].last ? "     " : "  │  ");
}

/* A line of the innermost error's, begun. */
static void begin(struct printer *p)
{
    indent(p);
    put_text(p, "  ");
}

static void end(struct printer *p)
{
    put_text(p, "\n");
}

/* `label` before the first line of `text`, its width before the others. */
static void put_lines(struct printer *p, const char *label, const char *text)
{
    size_t width = strlen(label);
    for (bool first = true;; first = false) {
        size_t size = strcspn(text, "\n");
        begin(p);
        if (first)
            put_text(p, label);
        for (size_t i = 0; !first && i < width; i++)
            put_text(p, " ");
        put_escaped(p, text, size);
        end(p);
        if (!text[size] || !text[size + 1])
            return;
        text += size + 1;
    }
}

static void put_spot(struct printer *p, const char *label, const char *function, const char *file, int line)
{
    put_text(p, label);
    put_text(p, " ");
    put_foreign(p, function);
    if (!*file)
        return;
    put_text(p, *function ? " (" : "");
    put_foreign(p, file);
    if (line > 0) {
        put_text(p, ":");
        put_number(p, (size_t)line);
    }
    put_text(p, *function ? ")" : "");
}

static void put_quoted(struct printer *p, const char *before, const char *name)
{
    if (!*name)
        return;
    put_text(p, before);
    put_text(p, "`");
    put_foreign(p, name);
    put_text(p, "`");
}

static void print_place(struct printer *p, const struct place *place)
{
    bool spot = *place->function || *place->file;
    bool who = *place->task || *place->actor;
    if (!spot && !who)
        return;
    begin(p);
    colour(p, DIM);
    if (spot)
        put_spot(p, "at", place->function, place->file, place->line);
    put_quoted(p, spot ? " in task " : "in task ", place->task);
    put_quoted(p, *place->task ? " of actor " : spot ? " in actor " : "in actor ", place->actor);
    colour(p, PLAIN);
    end(p);
}

static void print_hop(struct printer *p, const struct hop *hop)
{
    begin(p);
    colour(p, DIM);
    put_spot(p, "via", hop->function, hop->file, hop->line);
    colour(p, PLAIN);
    end(p);
}

static void print_trace(struct printer *p, const struct head *h)
{
    size_t shown = 0;
    for (struct link *l = chain_first(&h->hops); l; l = link_next(l), shown++)
        print_hop(p, (const struct hop *)l);
    const struct hop *last = atomic_load(&h->last_hop);
    size_t seen = atomic_load(&h->hops_seen);
    shown += last != NULL;
    if (seen > shown) {
        begin(p);
        put_text(p, "… ");
        put_number(p, seen - shown);
        put_text(p, seen - shown == 1 ? " more hop\n" : " more hops\n");
    }
    if (last)
        print_hop(p, last);
}

static void print_detail(void *out, const char *text)
{
    put_lines(out, "", text);
}

static bool superseded(const struct details *d)
{
    for (struct link *l = link_next(&d->link); l; l = link_next(l)) {
        if (((const struct details *)l)->ops == d->ops)
            return true;
    }
    return false;
}

/* ---- the tree ---- */

static void print_title(struct printer *p, const struct head *h)
{
    const char *kind = h->kind->name;
    put_message(p, h->message);
    colour(p, DIM);
    put_text(p, " [");
    put_foreign(p, strncmp(kind, "yoke.", 5) ? kind : kind + 5);
    put_text(p, "]");
    colour(p, PLAIN);
    end(p);
}

/* All of one error but its members and its cause. */
static void print_head(struct printer *p, const struct head *h)
{
    print_title(p, h);
    if (h == error_no_memory->head && *error_unraised())
        put_lines(p, "note: ", error_unraised());
    print_place(p, &h->place);
    print_trace(p, h);
    for (struct link *l = chain_first(&h->notes); l; l = link_next(l))
        put_lines(p, "note: ", ((const struct note *)l)->text);
    for (struct link *l = chain_first(&h->details); l; l = link_next(l)) {
        const struct details *d = (const struct details *)l;
        if (d->ops->print && !superseded(d))
            d->ops->print(d->data, print_detail, p);
    }
    if (h->backtrace)
        put_lines(p, "  ", h->backtrace);
}

static bool same_notes(const struct chain *a, const struct chain *b)
{
    struct link *x = chain_first(a), *y = chain_first(b);
    for (; x && y && !strcmp(((struct note *)x)->text, ((struct note *)y)->text); y = link_next(y))
        x = link_next(x);
    return !x && !y;
}

static bool same_hops(const struct head *a, const struct head *b)
{
    if (atomic_load(&a->hops_seen) != atomic_load(&b->hops_seen) || atomic_load(&a->last_hop) ||
        atomic_load(&b->last_hop))
        return false;
    struct link *x = chain_first(&a->hops), *y = chain_first(&b->hops);
    for (; x && y; x = link_next(x), y = link_next(y)) {
        const struct hop *h = (const struct hop *)x, *k = (const struct hop *)y;
        if (h->line != k->line || strcmp(h->file, k->file) || strcmp(h->function, k->function))
            return false;
    }
    return !x && !y;
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->line == b->line && !strcmp(a->file, b->file) && !strcmp(a->function, b->function) &&
           !strcmp(a->actor, b->actor) && !strcmp(a->task, b->task);
}

/* Would both be printed alike? Causes are compared so far, details and backtraces not at all. */
static bool same(const yoke_error *a, const yoke_error *b)
{
    enum { CAUSES_COMPARED = 8 };
    for (int i = 0; a != b; i++) {
        if (!a || !b || a->member_count || b->member_count || i == CAUSES_COMPARED)
            return false;
        const struct head *h = a->head, *k = b->head;
        if (h == k)
            return true;
        if (h->kind != k->kind || strcmp(h->message, k->message) || !same_place(&h->place, &k->place) ||
            !same_hops(h, k) || !same_notes(&h->notes, &k->notes) || chain_first(&h->details) ||
            chain_first(&k->details) || h->backtrace || k->backtrace)
            return false;
        a = h->cause;
        b = k->cause;
    }
    return true;
}

/* The next member of the innermost error, and those like it: a level of its own. */
static void print_member(struct printer *p, struct level *top)
{
    const yoke_error *member = top->e->members[top->next++];
    size_t times = 1;
    for (; top->next < top->e->member_count && same(member, top->e->members[top->next]); top->next++)
        times++;
    bool last = top->next == top->e->member_count;
    begin(p);
    if (p->depth == LEVELS) {
        put_text(p, "└─ … cut: groups are nested deeper than is shown\n");
        top->next = top->e->member_count;
        return;
    }
    put_text(p, last ? "└─ " : "├─ ");
    if (times > 1) {
        put_number(p, times);
        put_text(p, " × ");
    }
    p->levels[p->depth++] = (struct level){.e = member, .last = last};
    print_head(p, member->head);
}

/* The cause stands in the place of what it caused, one line of labels below. */
static void print_cause(struct printer *p, struct level *top)
{
    const yoke_error *cause = top->e->head->cause;
    indent(p);
    if (p->causes++ == CAUSES) {
        put_text(p, "caused by: … cut: there are more causes than are shown\n");
        p->depth--;
        return;
    }
    colour(p, RED);
    put_text(p, "caused by: ");
    colour(p, PLAIN);
    top->e = cause;
    top->next = 0;
    print_head(p, cause->head);
}

static void print_tree(struct printer *p, const yoke_error *e)
{
    colour(p, RED);
    put_text(p, "error: ");
    colour(p, PLAIN);
    p->levels[0] = (struct level){.e = e, .last = true};
    p->depth = 1;
    print_head(p, e->head);
    while (p->depth) {
        struct level *top = &p->levels[p->depth - 1];
        if (top->next < top->e->member_count)
            print_member(p, top);
        else if (top->e->head->cause)
            print_cause(p, top);
        else
            p->depth--;
    }
}

static void print_any(struct printer *p, const yoke_error *e)
{
    error_check(e, "yoke_error_print");
    if (e)
        print_tree(p, e);
    else
        put_text(p, "no error\n");
}

void yoke_error_print(FILE *f, const yoke_error *e)
{
    KEEP_ERRNO;
    struct printer p = {.file = f, .colours = text_colours(fileno(f))};
    flockfile(f);
    print_any(&p, e);
    fflush_unlocked(f);
    funlockfile(f);
}

char *yoke_error_text(const yoke_error *e)
{
    KEEP_ERRNO;
    struct printer p = {.buffer = BUFFER_EMPTY};
    print_any(&p, e);
    put(&p, "", 1);
    if (!p.failed)
        return memory_give_away(p.buffer.data);
    buffer_free(&p.buffer);
    return NULL;
}
