/* Where in a record the walk stands: `args.points[3].x`. A chain through the walkers' frames; it is written
 * out for an error alone. */
#ifndef MSG_RECORD_PATH_H
#define MSG_RECORD_PATH_H

#include <yoke/msg.h>

/* The deepest nesting of records. */
#define RECORD_NESTING 64

struct record_path {
    const struct record_path *up; /* NULL at the root */
    const char *name;             /* of the root or a field; NULL: the element `index` of a list */
    size_t index;
    unsigned depth; /* 0 at the root */
};

static inline struct record_path record_path_field(const struct record_path *up, const char *name)
{
    return (struct record_path){up, name, 0, up->depth + 1};
}

static inline struct record_path record_path_element(const struct record_path *up, size_t index)
{
    return (struct record_path){up, NULL, index, up->depth + 1};
}

/* YOKE_MSG_TYPE: the path, then the text. */
YOKE_MUST_USE yoke_error *record_misfit(const struct record_path *path, const char *fmt, ...)
    YOKE_PRINTF(2, 3);

#endif
