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
    bool unchecked; /* texts and limits are taken as they are: the receiver looks at them */
    bool strict;    /* the struct that stands here is refused if it has unknown fields, whatever its record
                       says */
};

static inline struct record_path record_path_field(const struct record_path *up, const char *name)
{
    return (struct record_path){.up = up, .name = name, .depth = up->depth + 1, .unchecked = up->unchecked};
}

static inline struct record_path record_path_element(const struct record_path *up, size_t index)
{
    return (struct record_path){.up = up, .index = index, .depth = up->depth + 1, .unchecked = up->unchecked};
}

/* The key that says which record of a union a map holds. */
#define RECORD_TAG "type"

/* What an item of an enum or a union has chosen of the record's fields: NULL if it is none of them. Both
 * begin with its number. */
const yoke_field *record_chosen(const yoke_record *record, const void *item);
/* YOKE_MSG_TYPE: the field's item is longer than its limit. */
YOKE_MUST_USE yoke_error *record_check_limit(const yoke_field *field, const void *item,
                                             const struct record_path *path);
/* YOKE_MSG_TYPE: the path, then the text. */
YOKE_MUST_USE yoke_error *record_misfit(const struct record_path *path, const char *fmt, ...)
    YOKE_PRINTF(2, 3);
/* The same of what an extension's own function refused, which becomes the cause. */
YOKE_MUST_USE yoke_error *record_misfit_because(const struct record_path *path, yoke_error *cause,
                                                const yoke_record *record);

#endif
