/*
 * From a message to a frame, by the same layouts as decoding. First everything is checked, so that what a
 * peer could not bear never begins to be written; then msgpack-c's packer writes it.
 */
#include "msg/pack.h"
#include "msg/record.h"
#include "msg/record_path.h"
#include "msg/utf8.h"
#include "msg/wire_form.h"
#include "msg/wire_yield.h"

#include <string.h>

/* ---- the checks ---- */

struct checker {
    size_t elements; /* that the peer may still have to read */
    struct place place;
};

static yoke_error *wrong(const struct checker *c, const char *what)
{
    return yoke_raise(&YOKE_USAGE, "%s.%s: %s", c->place.message, c->place.key, what);
}

static yoke_error *count_elements(struct checker *c, size_t count)
{
    if (count > c->elements)
        return yoke_raise(&YOKE_TOO_LARGE, "%s: too many elements", c->place.message);
    c->elements -= count;
    return NULL;
}

static yoke_error *check_text(const struct checker *c, struct text_view text)
{
    return utf8_valid(text.data, text.size) ? NULL : wrong(c, "no UTF-8");
}

static yoke_error *check_uid(struct checker *c, const struct uid_view *uid, bool nil)
{
    if (!uid->name.data && nil)
        return NULL;
    if (!uid->name.data || !uid->uuid.data)
        return wrong(c, "missing");
    YOKE_TRY(count_elements(c, 2));
    YOKE_TRY(check_text(c, uid->name));
    return check_text(c, uid->uuid);
}

static yoke_error *check_flag(const struct checker *c, enum msg_flag flag, bool nil)
{
    bool known = flag == MSG_FLAG_FALSE || flag == MSG_FLAG_TRUE || (flag == MSG_FLAG_NIL && nil);
    return known ? NULL : wrong(c, "expected a bool");
}

/* The views come from records, from earlier messages, or from the application: what they hold is checked as
 * if a peer had sent it. */
static yoke_error *check_raw(struct checker *c, enum form form, struct raw_view raw,
                             const struct msg_limits *limits, struct aside *aside)
{
    if (!raw.data)
        return form == FORM_MAP_OR_NIL || form == FORM_ADDRS_OR_NIL ? NULL : wrong(c, "missing");
    struct cursor cursor = cursor_over(raw.data, raw.size, c->elements + 1, limits->nesting);
    cursor.aside = aside;
    YOKE_TRY(wire_check(&cursor, form, &c->place));
    if (cursor.at != cursor.end)
        return wrong(c, "more than one value");
    c->elements = cursor.elements;
    return NULL;
}

static bool is_item(const struct msg *m, const struct field *field)
{
    return m->pld_item.record && field->form == FORM_VALUE;
}

/* An extra key that is not set is left out. */
static bool is_written(const struct msg *m, const struct field *field)
{
    const void *from = (const char *)m + field->offset;
    if (field->presence != FIELD_EXTRA)
        return true;
    if (field->form == FORM_FLAG || field->form == FORM_FLAG_OR_NIL)
        return *(const enum msg_flag *)from != MSG_FLAG_ABSENT;
    return ((const struct raw_view *)from)->data != NULL;
}

static yoke_error *check_field(struct checker *c, const struct msg *m, const struct field *field,
                               const struct msg_limits *limits)
{
    const void *from = (const char *)m + field->offset;
    const struct text_view *text = from;
    if (is_item(m, field))
        return NULL; /* when it is written: what it counts is known by then */
    switch (field->form) {
    case FORM_TEXT:
        if (!text->data)
            return field->default_text ? NULL : wrong(c, "missing");
        return check_text(c, *text);
    case FORM_TEXT_OR_NIL:
        return text->data ? check_text(c, *text) : NULL;
    case FORM_UID:
    case FORM_UID_OR_NIL:
        return check_uid(c, from, field->form == FORM_UID_OR_NIL);
    case FORM_PID:
    case FORM_COUNT:
        return NULL;
    case FORM_FLAG:
    case FORM_FLAG_OR_NIL:
        return check_flag(c, *(const enum msg_flag *)from, field->form == FORM_FLAG_OR_NIL);
    case FORM_FUNCTYPE:
        return *(const unsigned *)from < 3 ? NULL : wrong(c, "unknown");
    default:
        return check_raw(c, field->form, *(const struct raw_view *)from, limits, NULL);
    }
}

/* Two kinds promise a uid that a Python receiver uses without looking. */
static yoke_error *check_kind(const struct msg *m)
{
    if (m->type != MSG_ERROR)
        return NULL;
    if (text_view_is(m->error.boxed_type, "ContextCancelled") && !m->error.canceller.name.data)
        return yoke_raise(&YOKE_USAGE, "Error.canceller: missing in a ContextCancelled");
    if (text_view_is(m->error.boxed_type, "StreamOverrun") && !m->error.sender.name.data)
        return yoke_raise(&YOKE_USAGE, "Error.sender: missing in a StreamOverrun");
    return NULL;
}

/* `*pairs`: how many the message's map will have; `*elements`: how many an item may still have. */
static yoke_error *check(const struct msg *m, const struct msg_limits *limits, size_t *pairs,
                         size_t *elements)
{
    if ((unsigned)m->type >= MSG_TYPE_COUNT)
        return yoke_raise(&YOKE_USAGE, "a message of unknown type %d", (int)m->type);
    const struct layout *layout = &wire_layouts[m->type];
    struct checker c = {limits->elements, {&YOKE_USAGE, layout->name, NULL}};
    *pairs = 1;
    YOKE_TRY(count_elements(&c, 3)); /* the map, msg_type, its value */
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        if (!is_written(m, field))
            continue;
        ++*pairs;
        c.place.key = field->key;
        YOKE_TRY(count_elements(&c, 2)); /* the key and its value */
        YOKE_TRY(check_field(&c, m, field, limits));
    }
    *elements = c.elements;
    return check_kind(m);
}

/* ---- the writing ---- */

static void write_key(struct pack *p, const char *text)
{
    pack_text(p, text, strlen(text));
}

static void write_text(struct pack *p, struct text_view text, const char *otherwise)
{
    if (text.data)
        pack_text(p, text.data, text.size);
    else if (otherwise)
        write_key(p, otherwise);
    else
        msgpack_pack_nil(&p->packer);
}

static void write_uid(struct pack *p, const struct uid_view *uid)
{
    if (!uid->name.data) {
        msgpack_pack_nil(&p->packer);
        return;
    }
    msgpack_pack_array(&p->packer, 2);
    write_text(p, uid->name, NULL);
    write_text(p, uid->uuid, NULL);
}

static void write_flag(struct pack *p, enum msg_flag flag)
{
    if (flag == MSG_FLAG_TRUE)
        msgpack_pack_true(&p->packer);
    else if (flag == MSG_FLAG_FALSE)
        msgpack_pack_false(&p->packer);
    else
        msgpack_pack_nil(&p->packer);
}

static void write_pid(struct pack *p, const struct msg *m)
{
    if (m->aid.has_pid)
        pack_int(p, m->aid.pid);
    else
        msgpack_pack_nil(&p->packer);
}

static void write_raw(struct pack *p, const struct raw_view *raw)
{
    if (raw->data)
        pack_raw(p, raw->data, raw->size);
    else
        msgpack_pack_nil(&p->packer);
}

/* What was just encoded is one well-formed value: only a limit may still be passed, and an element has a byte
 * at least. */
static bool is_within(size_t bytes, size_t elements, const struct msg_limits *limits)
{
    return bytes <= elements && limits->nesting >= RECORD_NESTING;
}

/* Straight into the frame; a large one would else be copied twice. */
static yoke_error *write_item(struct pack *p, const struct msg *m, const struct msg_limits *limits,
                              size_t elements)
{
    const struct msg_item *item = &m->pld_item;
    size_t before = buffer_size(p->out);
    if (p->fault)
        return NULL;
    YOKE_TRY(record_encode_lending(p->out, item->record, item->item, item->path, item->unchecked, p->loan));
    struct checker c = {elements, {&YOKE_USAGE, wire_layouts[m->type].name, "pld"}};
    struct raw_view view = {buffer_begin(p->out) + before, buffer_size(p->out) - before};
    size_t lent = p->loan ? p->loan->size : 0;
    if (lent > p->limit || buffer_size(p->out) - p->before > p->limit - lent) {
        p->fault = PACK_TOO_LARGE;
        return NULL;
    }
    if (is_within(view.size, elements, limits))
        return NULL;
    if (!lent)
        return check_raw(&c, FORM_VALUE, view, limits, NULL);
    struct aside aside = {buffer_begin(p->out) + p->loan->before, p->loan->data, lent, false};
    return check_raw(&c, FORM_VALUE, view, limits, &aside);
}

static void write_field(struct pack *p, const struct msg *m, const struct field *field)
{
    const void *from = (const char *)m + field->offset;
    write_key(p, field->key);
    if (is_item(m, field))
        return; /* write_item's */
    switch (field->form) {
    case FORM_TEXT:
    case FORM_TEXT_OR_NIL:
        write_text(p, *(const struct text_view *)from, field->default_text);
        break;
    case FORM_UID:
    case FORM_UID_OR_NIL:
        write_uid(p, from);
        break;
    case FORM_PID:
        write_pid(p, m);
        break;
    case FORM_FLAG:
    case FORM_FLAG_OR_NIL:
        write_flag(p, *(const enum msg_flag *)from);
        break;
    case FORM_FUNCTYPE:
        write_key(p, wire_functypes[*(const enum msg_functype *)from]);
        break;
    case FORM_COUNT:
        msgpack_pack_uint64(&p->packer, *(const uint64_t *)from);
        break;
    default:
        write_raw(p, from);
    }
}

static yoke_error *write_body(struct pack *p, const struct msg *m, const struct msg_limits *limits)
{
    size_t pairs = 0, elements = 0;
    if (m->pld_item.record && limits->elements > WIRE_YIELD_ELEMENTS && wire_yield_begin(p, m))
        return write_item(p, m, limits, limits->elements - WIRE_YIELD_ELEMENTS - 1);
    YOKE_TRY(check(m, limits, &pairs, &elements));
    const struct layout *layout = &wire_layouts[m->type];
    pack_raw(p, "\0\0\0", 4);
    msgpack_pack_map(&p->packer, pairs);
    write_key(p, "msg_type");
    write_key(p, layout->name);
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        if (!is_written(m, field))
            continue;
        write_field(p, m, field);
        if (is_item(m, field))
            YOKE_TRY(write_item(p, m, limits, elements));
    }
    return NULL;
}

static void set_length(const struct pack *p)
{
    uint8_t *at = buffer_begin(p->out) + p->before;
    size_t length = buffer_size(p->out) - p->before - 4 + (p->loan ? p->loan->size : 0);
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(length >> 8 * i);
}

yoke_error *msg_encode(struct buffer *out, const struct msg *m, const struct msg_limits *limits)
{
    return msg_encode_lending(out, m, limits, NULL);
}

yoke_error *msg_encode_lending(struct buffer *out, const struct msg *m, const struct msg_limits *limits,
                               struct loan *loan)
{
    size_t most = limits->frame_bytes < UINT32_MAX ? limits->frame_bytes : UINT32_MAX;
    struct pack p;
    pack_begin(&p, out, most + 4);
    p.loan = loan;
    yoke_error *e = write_body(&p, m, limits);
    if (!e && !p.fault) {
        set_length(&p);
        return NULL;
    }
    pack_undo(&p);
    if (loan)
        loan->size = 0;
    if (e)
        return e;
    if (p.fault == PACK_TOO_LARGE)
        return yoke_raise(&YOKE_TOO_LARGE, "%s: a frame of more than %zu bytes", msg_type_name(m->type),
                          most);
    return yoke_raise(&YOKE_NO_MEMORY, "%s: no memory for its frame", msg_type_name(m->type));
}
