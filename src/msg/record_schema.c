/* What a record accepts, as lines of text, made for eyes and for comparing: no address, no order of chance.
 */
#include "base/buffer.h"
#include "base/memory.h"

#include <yoke/msg.h>

#include <stdlib.h>
#include <string.h>

#define RECORDS 64 /* that are told of in one schema */

struct schema {
    struct buffer text;
    bool failed; /* without memory */
    const yoke_record *told[RECORDS];
    size_t count;
};

static void put(struct schema *s, const char *fmt, ...) YOKE_PRINTF(2, 3);
static void put(struct schema *s, const char *fmt, ...)
{
    char piece[512]; /* names are short; a longer default value is cut */
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(piece, sizeof piece, fmt, args);
    va_end(args);
    if (size >= (int)sizeof piece)
        size = (int)sizeof piece - 1;
    if (size < 0 || !buffer_append(&s->text, piece, (size_t)size))
        s->failed = true;
}

/* All that was put, to be freed with free(); NULL without memory. */
static char *text_of(struct schema *s)
{
    char *text = s->failed ? NULL : strndup((const char *)buffer_begin(&s->text), buffer_size(&s->text));
    buffer_free(&s->text);
    return text;
}

/* Those with lines of their own, once each. */
static void tell_later(struct schema *s, const yoke_record *record)
{
    if (record->element) { /* of a map: its pair */
        bool is_map = record->shape == YOKE_SHAPE_MAP;
        tell_later(s, is_map ? record->element->fields[1].record : record->element);
        return;
    }
    if (record->shape != YOKE_SHAPE_STRUCT && record->shape != YOKE_SHAPE_UNION &&
        record->shape != YOKE_SHAPE_ENUM)
        return;
    for (size_t i = 0; i < s->count; i++)
        if (s->told[i] == record)
            return;
    if (s->count < RECORDS)
        s->told[s->count++] = record;
}

static void put_limit(struct schema *s, const yoke_field *field)
{
    bool is_list = field->record->shape == YOKE_SHAPE_LIST || field->record->shape == YOKE_SHAPE_MAP;
    if (field->limit)
        put(s, ", at most %zu %s", field->limit, is_list ? "items" : "bytes");
}

static void put_default(struct schema *s, const yoke_field *field)
{
    yoke_value value;
    if (!field->fallback)
        return;
    yoke_error *e = yoke_value_from(&value, field->record, field->fallback);
    char *text = e ? NULL : yoke_value_text(&value);
    put(s, ", %s if missing", text ? text : "a default");
    free(text);
    if (!e)
        yoke_value_free(&value);
    yoke_error_free(e);
}

static void put_field(struct schema *s, const yoke_field *field)
{
    const yoke_extension *extension = field->record->extension;
    put(s, "  %s: %s", field->name, field->record->name);
    if (extension)
        put(s, " (ext %d)", extension->code);
    put_limit(s, field);
    put_default(s, field);
    put(s, "\n");
    tell_later(s, field->record);
}

static void put_record(struct schema *s, const yoke_record *record)
{
    const char *what = record->shape == YOKE_SHAPE_UNION  ? "union"
                       : record->shape == YOKE_SHAPE_ENUM ? "enum"
                       : record->strict                   ? "strict record"
                                                          : "record";
    put(s, "%s %s\n", what, record->name);
    for (size_t i = 0; i < record->count; i++) {
        const yoke_field *field = &record->fields[i];
        if (record->shape == YOKE_SHAPE_STRUCT) {
            put_field(s, field);
            continue;
        }
        put(s, "  %s\n", field->name);
        if (field->record)
            tell_later(s, field->record);
    }
}

char *yoke_record_schema(const yoke_record *record)
{
    struct schema s = {.text = BUFFER_EMPTY};
    tell_later(&s, record);
    if (!s.count || s.told[0] != record) /* a number or the like; a list of records or the like */
        put(&s, "%s\n", record->name);
    for (size_t i = 0; i < s.count; i++)
        put_record(&s, s.told[i]);
    return text_of(&s);
}

/* ---- the difference of two ---- */

struct lines {
    const char **at;
    size_t count;
};

static size_t line_size(const char *line)
{
    const char *end = strchr(line, '\n');
    return end ? (size_t)(end - line) : strlen(line);
}

static bool same_line(const char *a, const char *b)
{
    size_t size = line_size(a);
    return size == line_size(b) && memcmp(a, b, size) == 0;
}

static bool split(struct lines *out, const char *text)
{
    out->at = memory_alloc((strlen(text) + 1) * sizeof *out->at);
    out->count = 0;
    while (out->at && *text) {
        out->at[out->count++] = text;
        text += line_size(text);
        text += *text == '\n';
    }
    return out->at != NULL;
}

static void put_line(struct schema *s, const char *mark, const char *line)
{
    put(s, "%s%.*s\n", mark, (int)line_size(line), line);
}

/* `common`: for each pair of places, how many lines the two rests have in common (the longest common
 * subsequence, by its table). */
static void walk(struct schema *s, const struct lines *a, const struct lines *b, const size_t *common)
{
    size_t i = 0, j = 0, width = b->count + 1;
    while (i < a->count || j < b->count) {
        if (i < a->count && j < b->count && same_line(a->at[i], b->at[j])) {
            put_line(s, "  ", a->at[i++]);
            j++;
        } else if (i < a->count &&
                   (j == b->count || common[(i + 1) * width + j] >= common[i * width + j + 1])) {
            put_line(s, "- ", a->at[i++]);
        } else {
            put_line(s, "+ ", b->at[j++]);
        }
    }
}

static void compare(struct schema *s, const struct lines *a, const struct lines *b)
{
    size_t width = b->count + 1;
    size_t *common = memory_calloc((a->count + 1) * width, sizeof *common);
    if (!common) {
        s->failed = true;
        return;
    }
    for (size_t i = a->count; i-- > 0;)
        for (size_t j = b->count; j-- > 0;) {
            size_t down = common[(i + 1) * width + j], right = common[i * width + j + 1];
            common[i * width + j] = same_line(a->at[i], b->at[j]) ? common[(i + 1) * width + j + 1] + 1
                                    : down > right                ? down
                                                                  : right;
        }
    walk(s, a, b, common);
    memory_free(common);
}

char *yoke_schema_diff(const char *ours, const char *theirs)
{
    if (strcmp(ours, theirs) == 0)
        return strdup("");
    struct schema s = {.text = BUFFER_EMPTY};
    struct lines a = {NULL, 0}, b = {NULL, 0};
    if (split(&a, ours) && split(&b, theirs))
        compare(&s, &a, &b);
    else
        s.failed = true;
    memory_free(a.at);
    memory_free(b.at);
    return text_of(&s);
}
