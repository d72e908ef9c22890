#include "devx/backtrace.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "devx/aside.h"
#include "devx/symbols.h"

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
    else if (f->library[0])
        snprintf(text, sizeof text, "    %-*s    (%s)\n", width, f->function, f->library);
    else
        snprintf(text, sizeof text, "    %s\n", f->function);
    return append(b, text);
}

static bool append_gap(struct buffer *b, const struct report *report)
{
    char text[80];
    snprintf(text, sizeof text, "    ... (%llu frames)\n",
             (unsigned long long)(report->frames.total - report->frame_count));
    return append(b, text);
}

static bool append_repeats(struct buffer *b, size_t repeats)
{
    char text[80];
    snprintf(text, sizeof text, "    ... (the same, %zu times more)\n", repeats);
    return append(b, text);
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
        for (next = i + 1; next < r->count && next != r->gap && symbol_equals(f, &r->frames[next]);)
            next++;
        ok = ok && append_frame(b, f, width);
        if (next - i > 1)
            ok = ok && append_repeats(b, next - i - 1);
    }
    return ok && buffer_append(b, "", 1);
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
    return r->out->file && r->out->function;
}

/* ---- reading ---- */

static void read_frames(struct reader *r)
{
    const struct report *report = r->report;
    for (size_t i = 0; i < report->frame_count; i++) {
        if (i == REPORT_FIRST && report->frames.total > report->frame_count)
            r->gap = r->count;
        /* All but the innermost are addresses that a call returns to: the call is before them. */
        r->count += symbols_read(r->symbols, report->frames.pc[i] - (i > 0), r->frames + r->count,
                                 FRAMES_MAX - r->count);
    }
    while (r->count > 1 && symbol_is_start(&r->frames[r->count - 1]))
        r->count--;
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
