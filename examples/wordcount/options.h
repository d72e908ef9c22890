/* What the command line says. */
#ifndef WORDCOUNT_OPTIONS_H
#define WORDCOUNT_OPTIONS_H

#include <yoke/actor.h>

struct options {
    unsigned workers;
    uint64_t top; /* 0: all */
    bool json;
    enum yoke_backend backend;
    uint64_t crash_after; /* chunks; 0: never */
    unsigned retry;
    char *pause_at; /* lower-case, or NULL */
    char **paths;
    size_t path_count; /* 0: the default set */
};

enum options_outcome {
    OPTIONS_RUN,
    OPTIONS_DONE, /* --help or --version was printed */
    OPTIONS_BAD   /* said on stderr, as GNU programs do; exit status 2 */
};

/* Reorders argv: operands last; `paths` points into it. */
enum options_outcome options_read(struct options *options, int argc, char **argv);
void options_free(struct options *options);

#endif
