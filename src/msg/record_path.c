#include "msg/record_path.h"

#include <stdarg.h>
#include <stdio.h>

#define PATH_BYTES 512

static void append(char *out, size_t *used, const char *fmt, ...) YOKE_PRINTF(3, 4);
static void append(char *out, size_t *used, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int wrote = vsnprintf(out + *used, PATH_BYTES - *used, fmt, args);
    va_end(args);
    if (wrote > 0)
        *used = *used + (size_t)wrote < PATH_BYTES ? *used + (size_t)wrote : PATH_BYTES - 1;
}

static void write_path(char *out, const struct record_path *path)
{
    const struct record_path *steps[RECORD_NESTING + 2];
    size_t count = 0, used = 0;
    for (const struct record_path *step = path; step && count < RECORD_NESTING + 2; step = step->up)
        steps[count++] = step;
    out[0] = 0;
    while (count > 0) {
        const struct record_path *step = steps[--count];
        if (step->name)
            append(out, &used, "%s%s", step->up ? "." : "", step->name);
        else
            append(out, &used, "[%zu]", step->index);
    }
}

yoke_error *record_misfit(const struct record_path *path, const char *fmt, ...)
{
    char where[PATH_BYTES], what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    write_path(where, path);
    return yoke_raise(&YOKE_MSG_TYPE, "%s: %s", where, what);
}

yoke_error *record_misfit_because(const struct record_path *path, yoke_error *cause,
                                  const yoke_record *record)
{
    char where[PATH_BYTES];
    write_path(where, path);
    return yoke_wrap(cause, &YOKE_MSG_TYPE, "%s: no %s", where, record->name);
}
