/* /proc/self/maps, read in a crash: async-signal-safe. */
#ifndef DEVX_MAPS_H
#define DEVX_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAPS_LINE_BYTES = 1024 };

struct maps {
    int fd;
    size_t used, next; /* in text: what was read, and where the next line begins */
    char text[2 * MAPS_LINE_BYTES];
};

/* The next line, without its end; one that is too long is passed over. NULL at the end. */
const char *maps_line(struct maps *m);
/* False for a line that names nothing. `path` is a view into it. */
bool maps_parse(const char *line, uint64_t *low, uint64_t *high, uint64_t *offset, const char **path);
/* Is `pc` in what is mapped of that file? */
bool maps_has(uint64_t pc, const char *file);

#endif
