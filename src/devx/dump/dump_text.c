#include "devx/dump/dump_text.h"

#include "base/memory.h"
#include "base/text.h"
#include "devx/trace/symbols.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 2, INDENT_MAX = 80, CALLS_MAX = 4 * CAPTURE_FRAMES, INLINED_MAX = 32, WIDTH_MAX = 32 };

struct writer {
    struct buffer *out;
    bool failed;
    const struct capture *capture;
    struct place *places; /* by their addresses */
    size_t place_count;
    struct buffer symbols; /* struct symbol */
};

/* What is known of one address. */
struct place {
    uint64_t pc;
    size_t first, count; /* in w->symbols */
};

static void put(struct writer *w, const char *bytes, size_t size)
{
    if (!w->failed)
        w->failed = !buffer_append(w->out, bytes, size);
}

static void put_format(struct writer *w, const char *fmt, ...) YOKE_PRINTF(2, 3);
static void put_format(struct writer *w, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put(w, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* What may be shown on a terminal. */
static void put_shown(struct writer *w, const char *s)
{
    for (size_t left = strlen(s); left;) {
        size_t shown = text_shown(s, left);
        char escape[4];
        if (!shown)
            text_escape(escape, *s);
        put(w, shown ? s : escape, shown ? shown : sizeof escape);
        s += shown ? shown : 1;
        left -= shown ? shown : 1;
    }
}

static void put_string(struct writer *w, const char *s)
{
    if (!w->failed)
        w->failed = !text_put_json(w->out, s);
}

/* ---- the addresses ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* This process' own map, but for what is no file: a program with a million stacks has many mappings. */
static char *read_maps(void)
{
    struct buffer maps = BUFFER_EMPTY;
    char line[4352];
    FILE *f = fopen("/proc/self/maps", "re");
    while (f && fgets(line, sizeof line, f))
        if (strchr(line, '/') || strstr(line, "[vdso]"))
            buffer_append(&maps, line, strlen(line));
    if (f)
        fclose(f);
    char *text = buffer_append(&maps, "", 1) ? memory_strdup((char *)buffer_begin(&maps)) : NULL;
    buffer_free(&maps);
    return text;
}

static void look_up(struct writer *w, struct symbols *symbols, uint64_t pc)
{
    struct symbol found[INLINED_MAX];
    size_t count = symbols_read(symbols, pc, found, INLINED_MAX);
    w->places[w->place_count++] = (struct place){pc, buffer_size(&w->symbols) / sizeof *found, count};
    if (!buffer_append(&w->symbols, found, count * sizeof *found))
        w->failed = true;
}

/* Each address once: most tasks stand where others do. */
static void look_up_all(struct writer *w)
{
    size_t count = buffer_size(&w->capture->pcs) / sizeof(uint64_t);
    uint64_t *pcs = memory_calloc(count + 1, sizeof *pcs);
    w->places = memory_calloc(count + 1, sizeof *w->places);
    char *maps = read_maps();
    struct symbols *symbols = maps ? symbols_open(maps) : NULL;
    w->failed = !pcs || !w->places || !symbols;
    if (!w->failed && count) {
        memcpy(pcs, buffer_begin(&w->capture->pcs), count * sizeof *pcs);
        qsort(pcs, count, sizeof *pcs, by_value);
        for (size_t i = 0; i < count && !w->failed; i++)
            if (i == 0 || pcs[i] != pcs[i - 1])
                look_up(w, symbols, pcs[i]);
    }
    symbols_close(symbols);
    memory_free(maps);
    memory_free(pcs);
}

/* ---- the calls of a task ---- */

struct calls {
    const struct symbol *at[CALLS_MAX]; /* innermost first */
    size_t count;
    char waits_in[96]; /* the library's function that it waits in; "" */
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_ours(const struct symbol *s)
{
    return begins(s->function, "yoke_") || begins(s->file, "src/task/") || begins(s->file, "src/actor/") ||
           begins(s->file, "src/devx/") || begins(s->file, "src/ipc/");
}

/* Of the innermost calls, as far as they are the library's, the outermost that the program can make. */
static size_t find_public(const struct calls *c)
{
    size_t found = c->count;
    for (size_t i = 0; i < c->count && is_ours(c->at[i]); i++)
        if (begins(c->at[i]->function, "yoke_"))
            found = i;
    return found;
}

static bool is_switch(const struct symbol *s)
{
    static const char *const names[] = {"switch_stack", "switch_registers", "schedule",
                                        "task_park",    "task_yield",       "wait_in"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(s->function, names[i]) == 0)
            return true;
    return false;
}

static void drop(struct calls *c, size_t count)
{
    c->count -= count;
    memmove(c->at, c->at + count, c->count * sizeof *c->at);
}

/* The library's own calls at both ends say nothing to who wrote the program. */
static void trim(struct calls *c)
{
    while (c->count && symbol_is_start(c->at[c->count - 1]))
        c->count--;
    size_t public = find_public(c);
    if (public < c->count) {
        size_t length = strlen(c->at[public]->function);
        const char *name = c->at[public]->function;
        if (length > 3 && strcmp(name + length - 3, "_at") == 0)
            length -= 3; /* the function behind a macro */
        snprintf(c->waits_in, sizeof c->waits_in, "%.*s", (int)length, name);
        drop(c, public + 1);
        return;
    }
    size_t inner = 0;
    while (inner < c->count && is_switch(c->at[inner]))
        inner++;
    drop(c, inner);
}

static void find_calls(struct writer *w, const struct capture_item *item, struct calls *c)
{
    c->count = 0;
    c->waits_in[0] = '\0';
    const uint64_t *pcs = (const uint64_t *)(void *)buffer_begin(&w->capture->pcs) + item->frames;
    const struct symbol *symbols = (const struct symbol *)(void *)buffer_begin(&w->symbols);
    for (uint32_t i = 0; i < item->frame_count; i++) {
        const struct place *p = bsearch(&pcs[i], w->places, w->place_count, sizeof *w->places, by_value);
        for (size_t k = 0; p && k < p->count && c->count < CALLS_MAX; k++)
            c->at[c->count++] = &symbols[p->first + k];
    }
    trim(c);
}

/* ---- in words ---- */

static const char *text_at(const struct writer *w, uint32_t at)
{
    return (const char *)buffer_begin(&w->capture->texts) + at;
}

static int indent_of(const struct capture_item *item)
{
    unsigned depth = item->depth + 1;
    return (int)(depth > INDENT_MAX / INDENT ? INDENT_MAX : depth * INDENT);
}

static void put_call(struct writer *w, const struct symbol *s, int indent, int width)
{
    if (s->file[0])
        put_format(w, "%*s%-*s    %s:%d", indent, "", width, s->function, s->file, s->line);
    else if (s->library[0])
        put_format(w, "%*s%-*s    (%s)", indent, "", width, s->function, s->library);
    else
        put_format(w, "%*s%s", indent, "", s->function);
}

static void put_calls(struct writer *w, const struct calls *c, int indent)
{
    int width = 0;
    for (size_t i = 0; i < c->count; i++) {
        int length = (int)strlen(c->at[i]->function);
        if (length > width && length <= WIDTH_MAX)
            width = length;
    }
    for (size_t i = 0, next; i < c->count; i = next) {
        put_call(w, c->at[i], indent, width);
        for (next = i + 1; next < c->count && symbol_equals(c->at[i], c->at[next]);)
            next++;
        if (next - i > 1)
            put_format(w, "    (%zu times)", next - i);
        put(w, "\n", 1);
    }
}

static void put_seconds(struct writer *w, int64_t ns)
{
    put_format(w, "%s%lld.%03lld s", ns < 0 ? "-" : "", (long long)(llabs(ns) / 1000000000),
               (long long)(llabs(ns) / 1000000 % 1000));
}

static void put_task(struct writer *w, const struct capture_item *item)
{
    struct calls calls;
    find_calls(w, item, &calls);
    put_format(w, "%*stask `", indent_of(item), "");
    put_shown(w, text_at(w, item->name));
    put_format(w, "` %s", item->is_ready ? "ready" : "waits");
    if (calls.waits_in[0])
        put_format(w, " in %s", calls.waits_in);
    if (!item->is_ready) {
        put_format(w, " for ");
        put_seconds(w, item->since);
    }
    put_format(w, "%s%s", item->shielded ? ", shielded" : "", item->cancelled ? ", cancelled" : "");
    if (item->file)
        put_format(w, "; spawned at %s:%d", text_at(w, item->file), item->line);
    if (item->alike)
        put_format(w, "; and %zu more like it", item->alike);
    put(w, "\n", 1);
    put_calls(w, &calls, indent_of(item) + 2 * INDENT);
}

static void put_scope(struct writer *w, const struct capture_item *item)
{
    put_format(w, "%*s%s", indent_of(item), "", item->kind == CAPTURE_NURSERY ? "nursery" : "scope");
    if (item->file)
        put_format(w, " opened at %s:%d", text_at(w, item->file), item->line);
    put_format(w, "%s", item->shielded ? ", shielded" : "");
    if (item->deadline != YOKE_NEVER) {
        put_format(w, ", deadline in ");
        put_seconds(w, item->deadline);
    }
    if (item->cancelled && item->reason) {
        put_format(w, ", ");
        put_shown(w, text_at(w, item->reason));
    } else if (item->cancelled) {
        put_format(w, ", cancelled");
    }
    put(w, "\n", 1);
}

static void put_actor(struct writer *w, const struct dump_actor *actor)
{
    put_format(w, "actor ");
    put_shown(w, actor->path);
    put_format(w, "`");
    put_shown(w, actor->name);
    put_format(w, "` (pid %d)%s", (int)actor->pid, actor->cancelled ? ", ending" : "");
}

static void put_text(struct writer *w, const struct dump_actor *actor)
{
    const struct capture *c = w->capture;
    put_actor(w, actor);
    put_format(w, ": %zu tasks\n", c->tasks);
    const struct capture_item *items = (const struct capture_item *)(void *)buffer_begin(&c->items);
    for (size_t i = 0; i < buffer_size(&c->items) / sizeof *items; i++) {
        if (items[i].kind == CAPTURE_TASK)
            put_task(w, &items[i]);
        else
            put_scope(w, &items[i]);
    }
    if (c->left_out)
        put_format(w, "  ... there are more and more tasks: now %zu\n", c->left_out);
}

/* ---- as JSON ---- */

static void put_field(struct writer *w, const char *name, const char *text)
{
    if (!*text)
        return;
    put_format(w, ",\"%s\":", name);
    put_string(w, text);
}

static void put_flag(struct writer *w, const char *name, bool set)
{
    if (set)
        put_format(w, ",\"%s\":true", name);
}

static void put_json_calls(struct writer *w, const struct calls *c)
{
    put_format(w, ",\"calls\":[");
    for (size_t i = 0; i < c->count; i++) {
        put_format(w, "%s{\"function\":", i ? "," : "");
        put_string(w, c->at[i]->function);
        put_field(w, "file", c->at[i]->file);
        if (c->at[i]->line)
            put_format(w, ",\"line\":%d", c->at[i]->line);
        put_field(w, "library", c->at[i]->library);
        put(w, "}", 1);
    }
    put(w, "]", 1);
}

static void put_json_task(struct writer *w, const struct capture_item *item)
{
    struct calls calls;
    find_calls(w, item, &calls);
    put_format(w, "{\"kind\":\"task\",\"name\":");
    put_string(w, text_at(w, item->name));
    put_field(w, "state", item->is_ready ? "ready" : "waits");
    put_field(w, "in", calls.waits_in);
    if (!item->is_ready)
        put_format(w, ",\"waits_ns\":%lld", (long long)item->since);
    put_flag(w, "shielded", item->shielded);
    put_flag(w, "cancelled", item->cancelled);
    put_field(w, "file", text_at(w, item->file));
    if (item->file)
        put_format(w, ",\"line\":%d", item->line);
    put_format(w, ",\"count\":%zu", item->alike + 1);
    put_json_calls(w, &calls);
}

static void put_json_scope(struct writer *w, const struct capture_item *item)
{
    put_format(w, "{\"kind\":\"%s\"", item->kind == CAPTURE_NURSERY ? "nursery" : "scope");
    put_flag(w, "shielded", item->shielded);
    put_flag(w, "cancelled", item->cancelled);
    put_field(w, "reason", text_at(w, item->reason));
    put_field(w, "file", text_at(w, item->file));
    if (item->file)
        put_format(w, ",\"line\":%d", item->line);
    if (item->deadline != YOKE_NEVER)
        put_format(w, ",\"deadline_ns\":%lld", (long long)item->deadline);
}

static void put_json_actor(struct writer *w, const struct dump_actor *actor)
{
    put_format(w, "{\"actor\":");
    put_string(w, actor->name);
    put_field(w, "uuid", actor->uuid);
    put_format(w, ",\"pid\":%d", (int)actor->pid);
    put_flag(w, "ending", actor->cancelled);
}

/* Each item is an object whose last field is the list of those inside of it: it is closed when one comes
 * that is not deeper. */
static void put_json(struct writer *w, const struct dump_actor *actor)
{
    const struct capture *c = w->capture;
    put_json_actor(w, actor);
    put_format(w, ",\"answers\":true,\"task_count\":%zu,\"tasks\":[", c->tasks);
    const struct capture_item *items = (const struct capture_item *)(void *)buffer_begin(&c->items);
    size_t count = buffer_size(&c->items) / sizeof *items, open = 0;
    for (size_t i = 0; i < count; i++) {
        bool first = i && items[i].depth > items[i - 1].depth;
        for (size_t level = i && !first ? items[i - 1].depth - items[i].depth + 1 : 0; level && open;
             level--, open--)
            put(w, "]}", 2);
        put_format(w, "%s", i && !first ? "," : "");
        if (items[i].kind == CAPTURE_TASK)
            put_json_task(w, &items[i]);
        else
            put_json_scope(w, &items[i]);
        put_format(w, ",\"inside\":[");
        open++;
    }
    for (; open; open--)
        put(w, "]}", 2);
    put_format(w, "],\"children\":[");
}

/* ---- the calls ---- */

bool dump_write(struct buffer *out, const struct dump_actor *actor, const struct capture *c, bool json)
{
    struct writer w = {.out = out, .capture = c, .symbols = BUFFER_EMPTY};
    look_up_all(&w);
    if (json)
        put_json(&w, actor);
    else
        put_text(&w, actor);
    memory_free(w.places);
    buffer_free(&w.symbols);
    return !w.failed;
}

bool dump_write_silent(struct buffer *out, const struct dump_actor *actor, const char *why,
                       const char *outside, bool json)
{
    struct writer w = {.out = out};
    if (json) {
        put_json_actor(&w, actor);
        put_format(&w, ",\"answers\":false");
        put_field(&w, "why", why);
        put_field(&w, "outside", outside);
        put_format(&w, ",\"tasks\":[],\"children\":[]}");
    } else {
        put_actor(&w, actor);
        put_format(&w, ": ");
        put_shown(&w, why);
        put_format(&w, "\n");
        put(&w, outside, strlen(outside));
    }
    return !w.failed;
}

bool dump_end_json(struct buffer *out)
{
    return buffer_append(out, "]}", 2);
}
