/* What the person sees: the bar while it runs, and the result. */
#ifndef WORDCOUNT_REPORT_H
#define WORDCOUNT_REPORT_H

#include "words.h"

/* A bar on stderr, if that is a terminal. */
struct progress {
    bool shown;          /* there is a terminal, and the bar is wanted */
    bool drawn;          /* it stands there now */
    int64_t began, last; /* on yoke_now()'s clock */
    uint64_t done, all;  /* bytes */
};

void progress_begin(struct progress *p, uint64_t all, bool wanted);
/* Draws at most 20 times a second. */
void progress_add(struct progress *p, uint64_t bytes);
/* Takes the bar away, before anything else is written to the terminal. */
void progress_clear(struct progress *p);
/* The text of the bar for a terminal of `columns`, at most columns - 1 characters of ASCII. */
void progress_text(char *text, size_t room, int columns, uint64_t done, uint64_t all, int64_t elapsed);

struct report {
    const struct tally *tally;
    uint64_t files, bytes, top; /* top 0: all */
    unsigned workers, replaced;
    int64_t elapsed; /* ns */
    bool json;
};

/* Prints the result to stdout, and with `json` the line of totals to stderr. A failed write is an error. */
YOKE_MUST_USE yoke_error *report_print(const struct report *report);

#endif
