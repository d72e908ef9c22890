/* Numbers for people have separators, those for programs have none. */
#include "report.h"

#include <yoke/task.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_AFTER YOKE_MS(50)
#define WORD_SHOWN   60 /* letters of a word that a table shows */

/* ---- numbers ---- */

struct number {
    char text[32];
};

/* 1234567 as 1,234,567. */
static struct number with_separators(uint64_t value)
{
    struct number out;
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, value);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        if (i && (count - i) % 3 == 0)
            out.text[used++] = ',';
        out.text[used++] = digits[i];
    }
    out.text[used] = '\0';
    return out;
}

static double megabytes(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

/* Megabytes a second. */
static double speed(uint64_t bytes, int64_t elapsed)
{
    return elapsed > 0 ? megabytes(bytes) / ((double)elapsed / 1e9) : 0;
}

/* ---- progress ---- */

void progress_begin(struct progress *p, uint64_t all, bool wanted)
{
    *p = (struct progress){.shown = wanted && isatty(STDERR_FILENO), .began = yoke_now(), .all = all};
}

void progress_text(char *text, size_t room, int columns, uint64_t done, uint64_t all, int64_t elapsed)
{
    char numbers[80];
    double share = all ? (double)done / (double)all : 1;
    share = share > 1 ? 1 : share; /* files may have grown */
    int width = snprintf(numbers, sizeof numbers, " %3.0f%%  %.1f of %.1f MB  %.0f MB/s", share * 100,
                         megabytes(done), megabytes(all), speed(done, elapsed));
    int cells = columns - 1 - width - 2; /* the last column stays free: some terminals wrap there */
    if (cells > (int)room - width - 3)
        cells = (int)room - width - 3;
    if (cells < 4) {
        snprintf(text, columns > 0 && (size_t)columns < room ? (size_t)columns : room, "%s", numbers + 1);
        return;
    }
    int full = (int)(share * cells);
    text[0] = '[';
    memset(text + 1, '#', (size_t)full);
    memset(text + 1 + full, '.', (size_t)(cells - full));
    snprintf(text + 1 + cells, room - 1 - (size_t)cells, "]%s", numbers);
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* The bar is only ever a courtesy: what can't be written is not missed. */
static void write_to_terminal(const char *text, size_t size)
{
    if (write(STDERR_FILENO, text, size) < 0)
        return;
}

void progress_add(struct progress *p, uint64_t bytes)
{
    p->done += bytes;
    int64_t now = yoke_now();
    if (!p->shown || (p->drawn && now - p->last < REDRAW_AFTER))
        return;
    char bar[512], line[sizeof bar + 8];
    progress_text(bar, sizeof bar, terminal_columns(), p->done, p->all, now - p->began);
    int size = snprintf(line, sizeof line, "\r%s\033[K", bar);
    write_to_terminal(line, (size_t)size);
    p->drawn = true;
    p->last = now;
}

void progress_clear(struct progress *p)
{
    static const char erase[] = "\r\033[K";
    if (p->drawn)
        write_to_terminal(erase, sizeof erase - 1);
    p->drawn = false;
}

/* ---- the result ---- */

static void print_table(const struct report *r, const uint32_t *order, size_t count)
{
    if (count)
        printf("%15s  %s\n", "count", "word");
    for (size_t i = 0; i < count; i++) {
        const struct word *word = &r->tally->words.items[order[i]];
        int shown = word->length > WORD_SHOWN ? WORD_SHOWN : (int)word->length;
        printf("%15s  %.*s", with_separators(word->count).text, shown, word->text);
        if (word->length > WORD_SHOWN)
            printf("... (%s letters)", with_separators(word->length).text);
        putchar('\n');
    }
    if (count)
        putchar('\n');
}

static void print_json(const struct report *r, const uint32_t *order, size_t count)
{
    printf("{\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"words\":%" PRIu64 ",\"distinct\":%zu,\"top\":[",
           r->files, r->bytes, r->tally->total, r->tally->words.count);
    for (size_t i = 0; i < count; i++) {
        const struct word *word = &r->tally->words.items[order[i]];
        printf("%s[\"", i ? "," : "");
        fwrite(word->text, 1, word->length, stdout);
        printf("\",%" PRIu64 "]", word->count);
    }
    puts("]}");
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void print_totals(FILE *out, const struct report *r)
{
    fprintf(out,
            "counted %s file%s, %.1f MB, %s word%s (%s distinct) in %.2f s: %.0f MB/s, %u worker%s + 1 root",
            with_separators(r->files).text, plural(r->files), megabytes(r->bytes),
            with_separators(r->tally->total).text, plural(r->tally->total),
            with_separators(r->tally->words.count).text, (double)r->elapsed / 1e9,
            speed(r->bytes, r->elapsed), r->workers, plural(r->workers));
    if (r->replaced)
        fprintf(out, ", %u replaced", r->replaced);
    putc('\n', out);
}

yoke_error *report_print(const struct report *r)
{
    uint32_t *order = words_sorted(&r->tally->words);
    if (!order)
        return yoke_raise(&YOKE_NO_MEMORY, "no memory to sort %zu words", r->tally->words.count);
    size_t count = r->tally->words.count;
    if (r->top && r->top < count)
        count = (size_t)r->top;
    if (r->json)
        print_json(r, order, count);
    else
        print_table(r, order, count);
    free(order);
    print_totals(r->json ? stderr : stdout, r);
    if (fflush(stdout) || ferror(stdout))
        return yoke_raise_errno(errno, "cannot write the result");
    return NULL;
}
