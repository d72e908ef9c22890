/*
 * The log: one record, one write(2), no lock and no allocation, so that it may speak from the worst places.
 * The level in force is an integer a floor. A record is put together in one buffer on the stack, which a
 * task's small stack must hold.
 */
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define RECORD_BYTES 4096
#define TEXT_BYTES                                                                                           \
    3072 /* of a text before escaping; the rest of the record is for the head and what escapes add */
#define NAME_BYTES 64 /* of an actor's or a task's name in a record */

/* ---- levels and floors ---- */

static const struct level {
    int level;
    const char *name, *label, *colour;
} levels[] = {
    {YOKE_TRANSPORT, "transport", "TRANSPORT", "\033[2m"},
    {YOKE_DEBUG, "debug", "DEBUG", "\033[2m"},
    {YOKE_RUNTIME, "runtime", "RUNTIME", "\033[2m"},
    {YOKE_DEVX, "devx", "DEVX", "\033[36m"},
    {YOKE_INFO, "info", "INFO", "\033[32m"},
    {YOKE_CANCEL, "cancel", "CANCEL", "\033[33m"},
    {YOKE_WARNING, "warning", "WARNING", "\033[1;33m"},
    {YOKE_ERROR, "error", "ERROR", "\033[31m"},
    {YOKE_CRITICAL, "critical", "CRITICAL", "\033[1;31m"},
};
#define LEVELS (sizeof levels / sizeof *levels)

static const char *const floors[] = {"base", "task", "msg", "ipc", "actor", "devx", "app"};
#define FLOORS (sizeof floors / sizeof *floors)
#define APP    (FLOORS - 1)

/* The filter: of each floor the lowest level that is written. [FLOORS] is the bare level, kept to say the
 * filter again. */
struct filter {
    int lowest[FLOORS + 1];
};

static atomic_int in_force[FLOORS + 1] = {YOKE_WARNING, YOKE_WARNING, YOKE_WARNING, YOKE_WARNING,
                                          YOKE_WARNING, YOKE_WARNING, YOKE_WARNING, YOKE_WARNING};
static atomic_int lowest_of_all = YOKE_WARNING;
static char filter_text[FLOORS * 24 + 16] = "warning";

static const struct level *level_find(int level)
{
    for (size_t i = 0; i < LEVELS; i++) {
        if (levels[i].level == level)
            return &levels[i];
    }
    return NULL;
}

const char *yoke_log_level_name(int level)
{
    const struct level *l = level_find(level);
    return l ? l->name : "?";
}

int yoke_log_lowest(void)
{
    return atomic_load_explicit(&lowest_of_all, memory_order_relaxed);
}

const char *yoke_log_filter(void)
{
    return filter_text;
}

/* ---- the filter ---- */

static bool word_is(const char *word, size_t size, const char *name)
{
    return strlen(name) == size && strncasecmp(word, name, size) == 0;
}

/* 0 if the word is no level. */
static int level_of(const char *word, size_t size)
{
    for (size_t i = 0; i < LEVELS; i++) {
        if (word_is(word, size, levels[i].name))
            return levels[i].level;
    }
    return 0;
}

/* FLOORS if the word is no floor. */
static size_t floor_of(const char *word, size_t size)
{
    size_t i = 0;
    while (i < FLOORS && !word_is(word, size, floors[i]))
        i++;
    return i;
}

static yoke_error *bad_level(const char *word, size_t size)
{
    return yoke_raise(
        &YOKE_USAGE,
        "log filter: `%.*s` is no level (transport debug runtime devx info cancel warning error "
        "critical)",
        (int)size, word);
}

static yoke_error *bad_floor(const char *word, size_t size)
{
    return yoke_raise(&YOKE_USAGE, "log filter: `%.*s` is no floor (base task msg ipc actor devx app)",
                      (int)size, word);
}

/* One `level` or `floor=level`. */
static yoke_error *parse_term(struct filter *f, const char *term, size_t size)
{
    const char *equals = memchr(term, '=', size);
    const char *word = equals ? equals + 1 : term;
    size_t word_size = (size_t)(term + size - word);
    size_t floor = equals ? floor_of(term, (size_t)(equals - term)) : FLOORS;
    if (equals && floor == FLOORS)
        return bad_floor(term, (size_t)(equals - term));
    int level = level_of(word, word_size);
    if (!level)
        return bad_level(word, word_size);
    f->lowest[floor] = level;
    return NULL;
}

static yoke_error *parse(struct filter *f, const char *text)
{
    for (;;) {
        size_t size = strcspn(text, ",");
        YOKE_TRY(parse_term(f, text, size));
        if (!text[size])
            return NULL;
        text += size + 1;
    }
}

/* Says the filter in force: the floors that differ from the rest, then the rest. */
static void write_filter_text(const struct filter *f)
{
    size_t at = 0;
    for (size_t i = 0; i < FLOORS; i++) {
        if (f->lowest[i] != f->lowest[FLOORS])
            at += (size_t)snprintf(filter_text + at, sizeof filter_text - at, "%s=%s,", floors[i],
                                   yoke_log_level_name(f->lowest[i]));
    }
    snprintf(filter_text + at, sizeof filter_text - at, "%s", yoke_log_level_name(f->lowest[FLOORS]));
}

static void enforce(const struct filter *f)
{
    int lowest = f->lowest[0];
    for (size_t i = 0; i <= FLOORS; i++) {
        atomic_store(&in_force[i], f->lowest[i]);
        if (i < FLOORS && f->lowest[i] < lowest)
            lowest = f->lowest[i];
    }
    atomic_store(&lowest_of_all, lowest);
    write_filter_text(f);
}

yoke_error *yoke_log_check(const char *filter)
{
    struct filter f = {{0}};
    return filter ? parse(&f, filter) : yoke_raise(&YOKE_USAGE, "log filter: none");
}

yoke_error *yoke_log_set(const char *filter)
{
    struct filter f = {{0}};
    f.lowest[FLOORS] = YOKE_WARNING;
    if (!filter)
        return yoke_raise(&YOKE_USAGE, "yoke_log_set: no filter");
    YOKE_TRY(parse(&f, filter));
    for (size_t i = 0; i < FLOORS; i++) {
        if (!f.lowest[i])
            f.lowest[i] = f.lowest[FLOORS];
    }
    enforce(&f);
    return NULL;
}

/* ---- time ---- */

/* What local time is ahead of UTC. Read once: localtime(3) takes a lock that a fork in a program with threads
 * may leave taken. */
static long ahead_s;

static unsigned two_digits(char *out, unsigned n)
{
    out[0] = (char)('0' + n / 10 % 10);
    out[1] = (char)('0' + n % 10);
    return 2;
}

/* HH:MM:SS.mmm, 12 bytes. */
static void write_time(char *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long day_s = (long)((now.tv_sec + ahead_s) % 86400);
    unsigned s = (unsigned)(day_s < 0 ? day_s + 86400 : day_s), ms = (unsigned)(now.tv_nsec / 1000000);
    two_digits(out, s / 3600);
    two_digits(out + 3, s / 60 % 60);
    two_digits(out + 6, s % 60);
    out[2] = out[5] = ':';
    out[8] = '.';
    out[9] = (char)('0' + ms / 100);
    two_digits(out + 10, ms % 100);
}

/* ---- a record ---- */

struct record {
    size_t size;
    char bytes[RECORD_BYTES];
};

static void add(struct record *r, const char *text)
{
    size_t size = strlen(text);
    memcpy(r->bytes + r->size, text, size); /* the head's parts are short, and sized by NAME_BYTES */
    r->size += size;
}

static void add_name(struct record *r, const char *name)
{
    if (!*name) {
        add(r, "-");
        return;
    }
    size_t length = strlen(name), size = length > NAME_BYTES ? text_cut(name, NAME_BYTES) : length;
    for (size_t at = 0; at < size;) {
        size_t shown = text_shown(name + at, size - at);
        if (shown)
            memcpy(r->bytes + r->size, name + at, shown);
        else
            text_escape(r->bytes + r->size, name[at]);
        r->size += shown ? shown : 4;
        at += shown ? shown : 1;
    }
    if (size < length)
        add(r, "…");
}

static void add_number(struct record *r, long n)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    add(r, digits + at);
}

static void add_head(struct record *r, const struct level *level, size_t floor, bool colours)
{
    write_time(r->bytes);
    r->size = 12;
    add(r, " ");
    if (colours)
        add(r, level->colour);
    add(r, level->label);
    if (colours)
        add(r, "\033[0m");
    add(r, " ");
    add_name(r, error_identity_actor());
    add(r, "[");
    add_number(r, getpid());
    add(r, "] ");
    add_name(r, error_identity_task());
    add(r, " ");
    add(r, floors[floor]);
    add(r, ": ");
}

/* What one step of the text becomes; *taken bytes of it. */
static size_t shown_as(char out[8], const char *s, size_t size, size_t *taken)
{
    size_t shown = text_shown(s, size);
    *taken = shown ? shown : 1;
    if (shown) {
        memcpy(out, s, shown);
        return shown;
    }
    if (*s == '\n') {
        memcpy(out, "\n    ", 5);
        return 5;
    }
    text_escape(out, *s);
    return 4;
}

/*
 * The text is formatted behind the head, moved to the buffer's end, and brought back step by step: escapes
 * make it longer, and the gap is what they may use. Where it is used up, or the text did not fit, the record
 * is cut.
 */
static void add_text(struct record *r, const char *fmt, va_list args)
{
    static const char cut[] = "…\n";
    size_t limit = RECORD_BYTES - (sizeof cut - 1);
    size_t room = limit - r->size < TEXT_BYTES ? limit - r->size : TEXT_BYTES;
    int n = vsnprintf(r->bytes + r->size, room, fmt, args);
    size_t wanted = n < 0 ? 0 : (size_t)n;
    bool whole = wanted < room;
    size_t size = whole ? wanted : text_cut(r->bytes + r->size, room - 1);
    while (whole && size && r->bytes[r->size + size - 1] == '\n')
        size--;
    size_t from = limit - size;
    memmove(r->bytes + from, r->bytes + r->size, size);
    while (from < limit) {
        char step[8];
        size_t taken, bytes = shown_as(step, r->bytes + from, limit - from, &taken);
        if (r->size + bytes > from + taken) {
            whole = false;
            break;
        }
        memcpy(r->bytes + r->size, step, bytes);
        r->size += bytes;
        from += taken;
    }
    add(r, whole ? "\n" : cut);
}

/* The floor's folder behind the last `src/`; a user's own src/ folder counts only if it is named as one of
 * ours. */
static size_t floor_of_file(const char *file)
{
    const char *folder = NULL;
    for (const char *at = file; (at = strstr(at, "src/")); at++) {
        if (at == file || at[-1] == '/')
            folder = at + 4;
    }
    const char *slash = folder ? strchr(folder, '/') : NULL;
    size_t floor = slash ? floor_of(folder, (size_t)(slash - folder)) : APP;
    return floor < FLOORS ? floor : APP;
}

bool log_file_is_library(const char *file)
{
    return floor_of_file(file) != APP;
}

static void write_all(const char *bytes, size_t size)
{
    ssize_t n;
    do
        n = write(STDERR_FILENO, bytes, size);
    while (n < 0 && errno == EINTR);
}

void yoke_log_at(const char *file, int line, enum yoke_log_level level, const char *fmt, ...)
{
    int saved = errno;
    size_t floor = floor_of_file(file);
    if ((int)level < atomic_load_explicit(&in_force[floor], memory_order_relaxed))
        return;
    static const struct level unknown = {0, "?", "?", ""};
    const struct level *found = level_find(level);
    struct record r;
    add_head(&r, found ? found : &unknown, floor, text_colours(STDERR_FILENO));
    va_list args;
    va_start(args, fmt);
    errno = saved; /* the text may say %m */
    add_text(&r, fmt, args);
    va_end(args);
    write_all(r.bytes, r.size);
    errno = saved;
}

/* ---- before main ---- */

/* After the kinds, which an error here needs. */
static __attribute__((constructor(160))) void read_environment(void)
{
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local))
        ahead_s = local.tm_gmtoff;
    const char *filter = getenv("YOKE_LOG");
    yoke_error *e = filter && *filter ? yoke_log_set(filter) : NULL;
    if (e)
        dprintf(STDERR_FILENO, "yoke: YOKE_LOG: %s\n", yoke_error_message(e));
    yoke_error_free(e);
}
