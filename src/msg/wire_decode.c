/*
 * From a frame's body to a message. Two looks: the first finds the message's type, which need not be the
 * first key; the second takes the fields by the type's layout. Nothing is copied.
 */
#include "msg/wire_form.h"
#include "msg/wire_yield.h"

#include <string.h>

struct decoder {
    struct cursor cursor;
    const struct layout *layout;
    struct place place;
    struct msg *out;
    uint64_t seen; /* a bit for each field of the layout */
};

static yoke_error *skip(struct decoder *d)
{
    enum cursor_fault fault = cursor_skip(&d->cursor);
    return fault ? wire_fault(&d->cursor, &d->place, fault) : NULL;
}

/* ---- the message's type ---- */

static yoke_error *type_of(struct decoder *d, struct text_view name, size_t at)
{
    for (enum msg_type type = 0; type < MSG_TYPE_COUNT; type++) {
        if (!text_view_is(name, wire_layouts[type].name))
            continue;
        d->out->type = type;
        d->layout = &wire_layouts[type];
        return NULL;
    }
    return yoke_raise(&YOKE_PROTOCOL, "unknown msg_type '%.*s' at byte %zu",
                      name.size < 40 ? (int)name.size : 40, name.data, at);
}

/* Leaves the cursor where it was: on the first key. */
static yoke_error *find_type(struct decoder *d, uint32_t pairs)
{
    struct cursor first = d->cursor;
    for (uint32_t i = 0; i < pairs; i++) {
        struct text_view key, name;
        YOKE_TRY(wire_text(&d->cursor, &d->place, &key));
        if (!text_view_is(key, "msg_type")) {
            YOKE_TRY(skip(d));
            continue;
        }
        size_t at = cursor_offset(&d->cursor);
        d->place.key = "msg_type";
        YOKE_TRY(wire_text(&d->cursor, &d->place, &name));
        d->cursor = first;
        return type_of(d, name, at);
    }
    return yoke_raise(&YOKE_PROTOCOL, "a message without msg_type");
}

/* ---- fields by form ---- */

static yoke_error *read_pid(struct decoder *d)
{
    size_t at = cursor_offset(&d->cursor);
    struct token t;
    YOKE_TRY(wire_next(&d->cursor, &d->place, &t));
    if (t.type == TOKEN_NIL)
        return NULL;
    if (t.type != TOKEN_UINT && t.type != TOKEN_INT)
        return wire_expected(&d->place, "int", &t, at);
    if (t.type == TOKEN_UINT && t.uint > INT64_MAX)
        return yoke_raise(&YOKE_PROTOCOL, "%s.%s: %llu is no process id at byte %zu", d->place.message,
                          d->place.key, (unsigned long long)t.uint, at);
    d->out->aid.has_pid = true;
    d->out->aid.pid = t.sint;
    return NULL;
}

static yoke_error *read_flag(struct decoder *d, bool nil, enum msg_flag *flag)
{
    size_t at = cursor_offset(&d->cursor);
    struct token t;
    YOKE_TRY(wire_next(&d->cursor, &d->place, &t));
    if (t.type == TOKEN_BOOL)
        *flag = t.boolean ? MSG_FLAG_TRUE : MSG_FLAG_FALSE;
    else if (t.type == TOKEN_NIL && nil)
        *flag = MSG_FLAG_NIL;
    else
        return wire_expected(&d->place, "bool", &t, at);
    return NULL;
}

static yoke_error *read_functype(struct decoder *d, enum msg_functype *functype)
{
    size_t at = cursor_offset(&d->cursor);
    struct text_view name;
    YOKE_TRY(wire_text(&d->cursor, &d->place, &name));
    for (unsigned i = 0; i < 3; i++) {
        if (!text_view_is(name, wire_functypes[i]))
            continue;
        *functype = (enum msg_functype)i;
        return NULL;
    }
    return yoke_raise(&YOKE_PROTOCOL, "StartAck.functype: unknown '%.*s' at byte %zu",
                      name.size < 40 ? (int)name.size : 40, name.data, at);
}

static yoke_error *read_count(struct decoder *d, uint64_t *count)
{
    size_t at = cursor_offset(&d->cursor);
    struct token t;
    YOKE_TRY(wire_next(&d->cursor, &d->place, &t));
    if (t.type != TOKEN_UINT)
        return wire_expected(&d->place, "int >= 0", &t, at);
    *count = t.uint;
    return NULL;
}

static yoke_error *read_raw(struct decoder *d, enum form form, struct raw_view *raw)
{
    const uint8_t *begin = d->cursor.at;
    YOKE_TRY(wire_check(&d->cursor, form, &d->place));
    bool nil = *begin == 0xc0 && (form == FORM_MAP_OR_NIL || form == FORM_ADDRS_OR_NIL);
    if (!nil)
        *raw = (struct raw_view){begin, (size_t)(d->cursor.at - begin)};
    return NULL;
}

/* Goes past a nil; false if there is none. */
static bool take_nil(struct cursor *c)
{
    struct cursor ahead = *c;
    struct token t;
    if (cursor_next(&ahead, &t) || t.type != TOKEN_NIL)
        return false;
    *c = ahead;
    return true;
}

static yoke_error *read_field(struct decoder *d, const struct field *field)
{
    void *to = (char *)d->out + field->offset;
    switch (field->form) {
    case FORM_TEXT_OR_NIL:
    case FORM_UID_OR_NIL:
        if (take_nil(&d->cursor))
            return NULL;
        if (field->form == FORM_UID_OR_NIL)
            return wire_uid(&d->cursor, &d->place, to);
        return wire_text(&d->cursor, &d->place, to);
    case FORM_TEXT:
        return wire_text(&d->cursor, &d->place, to);
    case FORM_UID:
        return wire_uid(&d->cursor, &d->place, to);
    case FORM_PID:
        return read_pid(d);
    case FORM_FLAG:
    case FORM_FLAG_OR_NIL:
        return read_flag(d, field->form == FORM_FLAG_OR_NIL, to);
    case FORM_FUNCTYPE:
        return read_functype(d, to);
    case FORM_COUNT:
        return read_count(d, to);
    default:
        return read_raw(d, field->form, to);
    }
}

/* ---- the whole ---- */

/* Peers write the fields in order, so the one after the last is tried first. */
static size_t find_field(const struct layout *layout, struct text_view key, size_t guess)
{
    for (size_t i = 0; i < layout->count; i++) {
        size_t n = (guess + i) % layout->count;
        if (text_view_is(key, layout->fields[n].key))
            return n;
    }
    return layout->count;
}

static yoke_error *duplicate(struct decoder *d, const char *key, size_t at)
{
    return yoke_raise(&YOKE_PROTOCOL, "%s.%s: twice, again at byte %zu", d->layout->name, key, at);
}

static yoke_error *read_fields(struct decoder *d, uint32_t pairs)
{
    size_t guess = 0;
    bool typed = false;
    for (uint32_t i = 0; i < pairs; i++) {
        size_t at = cursor_offset(&d->cursor);
        struct text_view key;
        d->place.key = NULL;
        YOKE_TRY(wire_text(&d->cursor, &d->place, &key));
        if (text_view_is(key, "msg_type")) {
            if (typed)
                return duplicate(d, "msg_type", at);
            typed = true;
            YOKE_TRY(skip(d));
            continue;
        }
        size_t n = find_field(d->layout, key, guess);
        if (n == d->layout->count) {
            YOKE_TRY(skip(d));
            continue;
        }
        if (d->seen & 1ull << n)
            return duplicate(d, d->layout->fields[n].key, at);
        d->seen |= 1ull << n;
        guess = n + 1;
        d->place.key = d->layout->fields[n].key;
        YOKE_TRY(read_field(d, &d->layout->fields[n]));
    }
    return NULL;
}

static yoke_error *check_complete(const struct decoder *d)
{
    for (size_t n = 0; n < d->layout->count; n++) {
        const struct field *field = &d->layout->fields[n];
        if (field->presence == FIELD_REQUIRED && !(d->seen & 1ull << n))
            return yoke_raise(&YOKE_PROTOCOL, "%s.%s: missing", d->layout->name, field->key);
    }
    size_t behind = (size_t)(d->cursor.end - d->cursor.at);
    if (behind > 0)
        return yoke_raise(&YOKE_PROTOCOL, "%s: %zu bytes behind the message at byte %zu", d->layout->name,
                          behind, cursor_offset(&d->cursor));
    return NULL;
}

yoke_error *msg_decode(const uint8_t *body, size_t size, const struct msg_limits *limits, struct msg *out)
{
    return msg_decode_aside(body, size, NULL, limits, out);
}

yoke_error *msg_decode_aside(const uint8_t *body, size_t size, struct aside *aside,
                             const struct msg_limits *limits, struct msg *out)
{
    size_t whole = size + (aside ? aside->size : 0);
    if (whole > limits->frame_bytes)
        return yoke_raise(&YOKE_PROTOCOL, "a frame of %zu bytes: at most %zu are allowed", whole,
                          limits->frame_bytes);
    if (wire_yield_read(body, size, aside, limits, out))
        return NULL;
    memset(out, 0, sizeof *out);
    out->aside = aside;
    struct decoder d = {.cursor = cursor_over(body, size, limits->elements, limits->nesting),
                        .place = {&YOKE_PROTOCOL, NULL, NULL},
                        .out = out};
    d.cursor.aside = aside;
    struct token map;
    YOKE_TRY(wire_next(&d.cursor, &d.place, &map));
    if (map.type != TOKEN_MAP)
        return wire_expected(&d.place, "map", &map, 0);
    YOKE_TRY(find_type(&d, map.count));
    d.place.message = d.layout->name;
    YOKE_TRY(read_fields(&d, map.count));
    return check_complete(&d);
}

/* ---- a frame that is not whole yet ---- */

static bool next_text_is(struct cursor *c, const char *text)
{
    struct token t;
    return !cursor_next(c, &t) && t.type == TOKEN_STR &&
           text_view_is((struct text_view){(const char *)t.bytes, t.size}, text);
}

bool msg_find_aside(const uint8_t *body, size_t have, size_t *at, size_t *size)
{
    size_t seen = have < MSG_ASIDE_LOOK ? have : MSG_ASIDE_LOOK;
    struct cursor c = cursor_over(body, seen, SIZE_MAX, 0);
    struct token t;
    if (cursor_next(&c, &t) || t.type != TOKEN_MAP || !next_text_is(&c, "msg_type") ||
        !next_text_is(&c, msg_type_name(MSG_YIELD)))
        return false;
    /* One token after the other, whatever contains which. */
    while (!cursor_next(&c, &t))
        continue;
    const uint8_t *begin;
    if (!cursor_cut_bytes(&c, &begin, size))
        return false;
    *at = (size_t)(begin - body);
    return true;
}
