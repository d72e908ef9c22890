/* Symbols for the raw frames of a crash report. */
#ifndef DEVX_BACKTRACE_H
#define DEVX_BACKTRACE_H

#include "devx/trace/report.h"

struct backtrace {
    char *text; /* a line a frame, innermost first: "    count_words    words.c:42\n"; a library's name where
                   no line is known */
    /* The innermost frame of the program itself; if that has none with a line, of a library other than C's.
     * file NULL: none. */
    char *file, *function;
    int line;
    uint64_t pc; /* as the report has it */
};

/*
 * Reads the symbols of the files that the report's maps name: regular files that belong to root or to this
 * process' user. Inlined calls are frames of their own; the runtime's frames at the outer end are left out.
 * Blocks (it reads files). Any thread; a large stack is not needed. YOKE_NO_MEMORY, YOKE_SYSTEM.
 */
YOKE_MUST_USE yoke_error *backtrace_read(struct backtrace *out, const struct report *report);
void backtrace_free(struct backtrace *b);

#endif
