#include "devx/trace/backtrace.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "devx/trace/aside.h"
#include "devx/trace/symbols.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { FRAMES_MAX = 2 * REPORT_FRAMES_MAX, WIDTH_MAX = 32 };

struct reader {
    const struct report *report;
    struct symbols *symbols;
    struct symbol *frames;
    size_t count;
    size_t gap; /* the index of the frame before which the report lacks some; 0: none */
    struct backtrace *out;
    yoke_error *error;
};

/* ---- what is shown ---- */

static bool append(struct buffer *b, const char *text)
{
    return buffer_append(b, text, strlen(text));
}

static bool append_frame(struct buffer *b, const struct symbol *f, int width)
{
    char text[512];
    if (f->file[0])
        snprintf(text, sizeof text, "    %-*s    %s:%d\n", width, f->function, f->file, f->line);
    else if (f->library[0] && !f->build_id[0])
        snprintf(text, sizeof text, "    %-*s    (%s)\n", width, f->function, f->library);
    else
        snprintf(text, sizeof text, "    %s\n", f->function);
    return append(b, text);
}

/* In groups of three digits: 1,312. */
static const char *grouped(char out[32], uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    char *at = out;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return out;
}

static bool append_gap(struct buffer *b, const struct report *report)
{
    char text[80];
    char number[32];
    snprintf(text, sizeof text, "    ... %s frames\n",
             grouped(number, report->frames.total - report->frame_count));
    return append(b, text);
}

static bool append_repeats(struct buffer *b, const struct symbol *f, uint64_t repeats)
{
    char text[192], number[32];
    snprintf(text, sizeof text, "    ... %s frame%s of %s\n", grouped(number, repeats),
             repeats == 1 ? "" : "s", f->function);
    return append(b, text);
}

/* Where a task began no backtrace goes on: who spawned it is told, and who that one. */
static bool append_spawns(struct buffer *b, const struct report *report)
{
    bool ok = true;
    for (size_t i = 0; i < report->spawn_count && ok; i++) {
        const struct report_spawn *s = &report->spawns[i];
        char text[400];
        if (!s->file[0] || strncmp(s->file, "src/actor/", 10) == 0)
            return ok;
        snprintf(text, sizeof text, "    task `%s` was spawned at %s:%d", s->task, s->file, s->line);
        ok = append(b, text);
        if (i + 1 < report->spawn_count) {
            snprintf(text, sizeof text, " by task `%s`", s[1].task);
            ok = ok && append(b, text);
        }
        ok = ok && append(b, "\n");
    }
    return ok;
}

static bool is_told(const struct reader *r, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(r->frames[j].build_id, r->frames[i].build_id) == 0)
            return true;
    return false;
}

/* Of the files whose functions are not known: so their symbols can be looked for later. */
static bool append_build_ids(struct buffer *b, const struct reader *r)
{
    bool ok = true;
    for (size_t i = 0; i < r->count && ok; i++) {
        const struct symbol *f = &r->frames[i];
        char text[192];
        if (!f->build_id[0] || is_told(r, i))
            continue;
        snprintf(text, sizeof text, "    no symbols of %s: its build-id is %s\n", f->library, f->build_id);
        ok = append(b, text);
    }
    return ok;
}

static bool write_text(struct reader *r, struct buffer *b)
{
    int width = 0;
    for (size_t i = 0; i < r->count; i++) {
        int length = (int)strlen(r->frames[i].function);
        if (length > width && length <= WIDTH_MAX)
            width = length;
    }
    bool ok = true;
    for (size_t i = 0, next; i < r->count && ok; i = next) {
        const struct symbol *f = &r->frames[i];
        if (r->gap && i == r->gap)
            ok = append_gap(b, r->report);
        for (next = i + 1; next < r->count && symbol_equals(f, &r->frames[next]);)
            next++;
        ok = ok && append_frame(b, f, width);
        uint64_t repeats = next - i - 1;
        /* A recursion: what the report lacks is more of it. */
        if (i < r->gap && next > r->gap)
            repeats += r->report->frames.total - r->report->frame_count;
        if (repeats)
            ok = ok && append_repeats(b, f, repeats);
    }
    return ok && append_spawns(b, r->report) && append_build_ids(b, r) && buffer_append(b, "", 1);
}

static bool is_c_library(const struct symbol *f)
{
    return strncmp(f->library, "libc.so", 7) == 0 || strncmp(f->library, "libc-", 5) == 0 ||
           strncmp(f->library, "libpthread", 10) == 0 || strncmp(f->library, "ld-linux", 8) == 0;
}

static const struct symbol *choose_place(struct reader *r)
{
    const struct symbol *any = NULL;
    for (size_t i = 0; i < r->count; i++) {
        const struct symbol *f = &r->frames[i];
        if (!f->file[0] || !f->line)
            continue;
        if (f->in_program)
            return f;
        if (!any && !is_c_library(f))
            any = f;
    }
    return any;
}

static bool fill(struct reader *r)
{
    struct buffer text = BUFFER_EMPTY;
    if (write_text(r, &text))
        r->out->text = memory_strdup((char *)buffer_begin(&text));
    buffer_free(&text);
    if (!r->out->text)
        return false;
    const struct symbol *place = choose_place(r);
    if (!place)
        return true;
    r->out->file = memory_strdup(place->file);
    r->out->function = memory_strdup(place->function);
    r->out->line = place->line;
    r->out->pc = place->pc;
    return r->out->file && r->out->function;
}

/* ---- reading ---- */

/* How the C library aborts tells nothing: who made it do so comes first. */
static void drop_abort(struct reader *r)
{
    size_t n = 0;
    while (n < r->count && is_c_library(&r->frames[n]))
        n++;
    if (r->report->head.signal != SIGABRT || n == r->count || (r->gap && n >= r->gap))
        return;
    memmove(r->frames, r->frames + n, (r->count - n) * sizeof *r->frames);
    r->count -= n;
    r->gap -= r->gap ? n : 0;
}

static void read_frames(struct reader *r)
{
    const struct report *report = r->report;
    for (size_t i = 0; i < report->frame_count; i++) {
        if (i == REPORT_FIRST && report->frames.total > report->frame_count)
            r->gap = r->count;
        /* All but the innermost are addresses that a call returns to: the call is before them. */
        size_t n = symbols_read(r->symbols, report->frames.pc[i] - (i > 0), r->frames + r->count,
                                FRAMES_MAX - r->count);
        for (; n; n--)
            r->frames[r->count++].pc = report->frames.pc[i];
    }
    while (r->count > 1 && symbol_is_start(&r->frames[r->count - 1]))
        r->count--;
    drop_abort(r);
}

static void read_all(void *arg)
{
    struct reader *r = arg;
    r->frames = memory_alloc(FRAMES_MAX * sizeof *r->frames);
    r->symbols = symbols_open(r->report->maps);
    if (r->frames && r->symbols)
        read_frames(r);
    if (!r->frames || !r->symbols || !fill(r))
        r->error = yoke_raise(&YOKE_NO_MEMORY, "reading the symbols of a backtrace");
    symbols_close(r->symbols);
    memory_free(r->frames);
}

yoke_error *backtrace_read(struct backtrace *out, const struct report *report)
{
    memset(out, 0, sizeof *out);
    struct reader r = {.report = report, .out = out};
    int error = aside_wait(read_all, &r);
    if (error)
        return yoke_raise_errno(error, "a thread for the symbols of a backtrace");
    if (r.error)
        backtrace_free(out);
    return r.error;
}

void backtrace_free(struct backtrace *b)
{
    memory_free(b->text);
    memory_free(b->file);
    memory_free(b->function);
    memset(b, 0, sizeof *b);
}
