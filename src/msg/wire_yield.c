#include "msg/wire_yield.h"

#include "msg/cursor.h"
#include "msg/utf8.h"

#include <string.h>

enum { FIXSTR = 0xa0, STR8 = 0xd9, FIXSTR_MOST = 31 };

static const uint8_t before_cid[] = "\x83\xa8msg_type\xa5Yield\xa3"
                                    "cid";
static const uint8_t before_payload[] = "\xa3pld";
#define SIZE(literal) (sizeof(literal) - 1)

/* Goes past a short text. */
static bool take_text(const uint8_t **at, const uint8_t *end, struct text_view *text)
{
    const uint8_t *p = *at;
    if (end - p < 2)
        return false;
    if (p[0] == STR8) {
        text->size = p[1];
        p += 2;
    } else if (p[0] >= FIXSTR && p[0] <= FIXSTR + FIXSTR_MOST) {
        text->size = *p++ & FIXSTR_MOST;
    } else {
        return false;
    }
    text->data = (const char *)p;
    if ((size_t)(end - p) < text->size || !utf8_valid(p, text->size))
        return false;
    *at = p + text->size;
    return true;
}

bool wire_yield_read(const uint8_t *body, size_t size, struct aside *aside, const struct msg_limits *limits,
                     struct msg *out)
{
    const uint8_t *at = body + SIZE(before_cid), *end = body + size;
    struct text_view cid;
    if (size <= SIZE(before_cid) || memcmp(body, before_cid, SIZE(before_cid)) != 0)
        return false;
    if (!take_text(&at, end, &cid))
        return false;
    if ((size_t)(end - at) <= SIZE(before_payload) || memcmp(at, before_payload, SIZE(before_payload)) != 0)
        return false;
    at += SIZE(before_payload);
    if (limits->elements < WIRE_YIELD_ELEMENTS)
        return false;
    struct cursor c =
        cursor_over(at, (size_t)(end - at), limits->elements - WIRE_YIELD_ELEMENTS, limits->nesting);
    c.aside = aside;
    if (cursor_skip(&c) || c.at != end)
        return false;
    out->type = MSG_YIELD;
    out->cid = cid;
    out->pld_item = (struct msg_item){0};
    out->aside = aside;
    out->pld = (struct raw_view){at, (size_t)(end - at)};
    return true;
}

bool wire_yield_begin(struct pack *p, const struct msg *m)
{
    uint8_t head[4 + SIZE(before_cid) + 2 + UINT8_MAX + SIZE(before_payload)], *to = head + 4;
    size_t size = m->cid.size;
    if (m->type != MSG_YIELD || !m->cid.data || size > UINT8_MAX || !utf8_valid(m->cid.data, size))
        return false;
    memset(head, 0, 4);
    to = mempcpy(to, before_cid, SIZE(before_cid));
    if (size > FIXSTR_MOST)
        *to++ = STR8;
    *to++ = (uint8_t)(size > FIXSTR_MOST ? size : FIXSTR + size);
    to = mempcpy(to, m->cid.data, size);
    to = mempcpy(to, before_payload, SIZE(before_payload));
    pack_raw(p, head, (size_t)(to - head));
    return true;
}
