/* The checks of single values on the wire, the same for what comes and for what goes; only the kind of their
 * errors differs. */
#include "msg/wire_form.h"

#include "msg/utf8.h"

/* `Start.kwargs`, `Start`, or nothing while the message's type is not known yet. */
#define PLACE_FMT "%s%s%s%s"
#define PLACE_ARG(p)                                                                                         \
    (p)->message ? (p)->message : "", (p)->message && (p)->key ? "." : "", (p)->key ? (p)->key : "",         \
        (p)->message || (p)->key ? ": " : ""

yoke_error *wire_fault(const struct cursor *c, const struct place *place, enum cursor_fault fault)
{
    /* What we would send is not wrong by its size, only too large. */
    bool large = fault == CURSOR_TOO_MANY && place->kind == &YOKE_USAGE;
    return yoke_raise(large ? &YOKE_TOO_LARGE : place->kind, PLACE_FMT "%s at byte %zu", PLACE_ARG(place),
                      cursor_fault_text(fault), cursor_offset(c));
}

static const char *article(const char *word)
{
    return *word == 'a' || *word == 'e' || *word == 'i' ? "an " : "a ";
}

yoke_error *wire_expected(const struct place *place, const char *expected, const struct token *got, size_t at)
{
    return yoke_raise(place->kind, PLACE_FMT "expected %s%s, got %s at byte %zu", PLACE_ARG(place),
                      article(expected), expected, token_type_name(got->type), at);
}

yoke_error *wire_next(struct cursor *c, const struct place *place, struct token *token)
{
    enum cursor_fault fault = cursor_next(c, token);
    return fault ? wire_fault(c, place, fault) : NULL;
}

static yoke_error *skip(struct cursor *c, const struct place *place)
{
    enum cursor_fault fault = cursor_skip(c);
    return fault ? wire_fault(c, place, fault) : NULL;
}

yoke_error *wire_text(struct cursor *c, const struct place *place, struct text_view *text)
{
    size_t at = cursor_offset(c);
    struct token t;
    YOKE_TRY(wire_next(c, place, &t));
    if (t.type != TOKEN_STR)
        return wire_expected(place, "str", &t, at);
    if (!utf8_valid(t.bytes, t.size))
        return yoke_raise(place->kind, PLACE_FMT "no UTF-8 at byte %zu", PLACE_ARG(place), at);
    *text = (struct text_view){(const char *)t.bytes, t.size};
    return NULL;
}

yoke_error *wire_uid(struct cursor *c, const struct place *place, struct uid_view *uid)
{
    size_t at = cursor_offset(c);
    struct token t;
    YOKE_TRY(wire_next(c, place, &t));
    if (t.type != TOKEN_ARRAY)
        return wire_expected(place, "uid", &t, at);
    if (t.count != 2)
        return yoke_raise(place->kind, PLACE_FMT "expected a uid of 2 elements, got %u at byte %zu",
                          PLACE_ARG(place), t.count, at);
    YOKE_TRY(wire_text(c, place, &uid->name));
    return wire_text(c, place, &uid->uuid);
}

/* The pairs of a map whose keys must be str, and whose values too if `texts`. */
static yoke_error *check_pairs(struct cursor *c, const struct place *place, uint32_t count, bool texts)
{
    struct text_view text;
    for (uint32_t i = 0; i < count; i++) {
        YOKE_TRY(wire_text(c, place, &text));
        YOKE_TRY(texts ? wire_text(c, place, &text) : skip(c, place));
    }
    return NULL;
}

static yoke_error *check_uids(struct cursor *c, const struct place *place, uint32_t count, size_t at)
{
    if (count == 0)
        return yoke_raise(place->kind, PLACE_FMT "empty at byte %zu", PLACE_ARG(place), at);
    struct uid_view uid;
    for (uint32_t i = 0; i < count; i++)
        YOKE_TRY(wire_uid(c, place, &uid));
    return NULL;
}

static yoke_error *check_scalar(struct cursor *c, const struct place *place)
{
    size_t at = cursor_offset(c);
    struct token t;
    YOKE_TRY(wire_next(c, place, &t));
    if (t.type == TOKEN_STR && !utf8_valid(t.bytes, t.size))
        return yoke_raise(place->kind, PLACE_FMT "no UTF-8 at byte %zu", PLACE_ARG(place), at);
    if (t.type != TOKEN_STR && t.type != TOKEN_UINT && t.type != TOKEN_NIL)
        return wire_expected(place, "part of an address", &t, at);
    return NULL;
}

static yoke_error *check_address(struct cursor *c, const struct place *place)
{
    size_t at = cursor_offset(c);
    struct token t;
    struct cursor ahead = *c;
    YOKE_TRY(wire_next(&ahead, place, &t));
    if (t.type == TOKEN_STR || t.type == TOKEN_NIL)
        return check_scalar(c, place);
    if (t.type != TOKEN_ARRAY || t.count != 2)
        return wire_expected(place, "address of 2 elements", &t, at);
    *c = ahead;
    YOKE_TRY(check_scalar(c, place));
    return check_scalar(c, place);
}

static yoke_error *check_addresses(struct cursor *c, const struct place *place, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        YOKE_TRY(check_address(c, place));
    return NULL;
}

/* What a raw form is, nil apart. */
static enum token_type first_type(enum form form)
{
    if (form == FORM_BOOL)
        return TOKEN_BOOL;
    return form == FORM_UIDS || form == FORM_ADDRS || form == FORM_ADDRS_OR_NIL ? TOKEN_ARRAY : TOKEN_MAP;
}

/* Inside of a map that is checked pair by pair one level of nesting is used up. */
static yoke_error *check_map(struct cursor *c, const struct place *place, uint32_t count, bool texts)
{
    if (c->nesting == 0)
        return wire_fault(c, place, CURSOR_TOO_DEEP);
    c->nesting--;
    yoke_error *e = check_pairs(c, place, count, texts);
    c->nesting++;
    return e;
}

yoke_error *wire_check(struct cursor *c, enum form form, const struct place *place)
{
    size_t at = cursor_offset(c);
    struct cursor ahead = *c;
    struct token t;
    YOKE_TRY(wire_next(&ahead, place, &t));
    bool nil = t.type == TOKEN_NIL && (form == FORM_MAP_OR_NIL || form == FORM_ADDRS_OR_NIL);
    if (form != FORM_VALUE && !nil && t.type != first_type(form))
        return wire_expected(place, token_type_name(first_type(form)), &t, at);
    if (nil || form == FORM_VALUE || form == FORM_BOOL || form == FORM_MAP || form == FORM_MAP_OR_NIL)
        return skip(c, place);
    *c = ahead;
    if (form == FORM_UIDS)
        return check_uids(c, place, t.count, at);
    if (form == FORM_ADDRS || form == FORM_ADDRS_OR_NIL)
        return check_addresses(c, place, t.count);
    return check_map(c, place, t.count, form == FORM_TEXT_MAP);
}
