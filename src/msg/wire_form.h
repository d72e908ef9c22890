/*
 * The layout of each message as a table, which decoding and encoding both follow, and the check of those
 * fields that stay bytes. Private to the wire_*.c files.
 */
#ifndef MSG_WIRE_FORM_H
#define MSG_WIRE_FORM_H

#include "msg/cursor.h"
#include "msg/wire.h"

enum form {
    FORM_TEXT,
    FORM_TEXT_OR_NIL,
    FORM_UID,
    FORM_UID_OR_NIL,
    FORM_PID,         /* an int, or nil; `has_pid` beside it */
    FORM_FLAG,        /* enum msg_flag of a bool */
    FORM_FLAG_OR_NIL, /* ... that may be nil */
    FORM_FUNCTYPE,
    FORM_COUNT, /* an int >= 0 */
    /* From here on the field is a struct raw_view. */
    FORM_VALUE, /* anything */
    FORM_BOOL,
    FORM_MAP,
    FORM_MAP_OR_NIL, /* nil decodes to the view of nothing, and that encodes to nil; so below */
    FORM_STR_MAP,    /* keys are str */
    FORM_TEXT_MAP,   /* keys and values are str */
    FORM_UIDS,       /* an array of uids, not empty */
    FORM_ADDRS,      /* an array of addresses: nil, str, or an array of two scalars */
    FORM_ADDRS_OR_NIL
};

enum presence {
    FIELD_REQUIRED,
    FIELD_DEFAULTED, /* may be missing in what comes; is always written */
    FIELD_EXTRA      /* may be missing; is written when it is set */
};

struct field {
    const char *key;
    enum form form;
    enum presence presence;
    size_t offset;            /* in struct msg */
    const char *default_text; /* of a text that is not set; or NULL */
};

struct layout {
    const char *name;
    const struct field *fields;
    size_t count; /* 64 at most: seen fields are kept as bits */
};

extern const struct layout wire_layouts[MSG_TYPE_COUNT];
extern const char *const wire_functypes[3];

/* Where a check stands, for its error's text; and which kind its error is: YOKE_PROTOCOL for what came,
 * YOKE_USAGE for what goes. */
struct place {
    const yoke_error_kind *kind;
    const char *message, *key; /* `Start`, `kwargs`; key may be NULL */
};

/* Goes past one value of a raw form, checked. `limits` bound the value's own nesting. */
YOKE_MUST_USE yoke_error *wire_check(struct cursor *c, enum form form, const struct place *place);
YOKE_MUST_USE yoke_error *wire_next(struct cursor *c, const struct place *place, struct token *token);
/* `Start.kwargs: expected a map, got str at byte 41`; at: the offending token's offset. */
YOKE_MUST_USE yoke_error *wire_expected(const struct place *place, const char *expected,
                                        const struct token *got, size_t at);
/* A whole array [name, uuid]. */
YOKE_MUST_USE yoke_error *wire_uid(struct cursor *c, const struct place *place, struct uid_view *uid);
/* A str of UTF-8. */
YOKE_MUST_USE yoke_error *wire_text(struct cursor *c, const struct place *place, struct text_view *text);
/* A fault of the cursor as an error. */
YOKE_MUST_USE yoke_error *wire_fault(const struct cursor *c, const struct place *place,
                                     enum cursor_fault fault);

#endif
