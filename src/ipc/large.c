#include "ipc/large.h"

#include "base/memory.h"
#include "msg/wire.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Moves what has come of it out of `in`, which is then as if it had never held it. */
static void move_begun(struct large *l, struct buffer *in, size_t header)
{
    uint8_t *from = buffer_begin(in) + header + l->at;
    size_t behind = (size_t)(in->data + in->end - from);
    l->filled = least(behind, l->size);
    memcpy(l->data, from, l->filled);
    memmove(from, from + l->filled, behind - l->filled);
    in->end -= l->filled;
}

/* Without memory the frame is received as a small one is. */
void large_look(struct large *l, struct buffer *in, size_t header, size_t length)
{
    size_t have = buffer_size(in) - header, at, size;
    if (l->size || length < LARGE_LEAST || l->looked >= MSG_ASIDE_LOOK || l->looked == have)
        return;
    l->looked = have;
    if (!msg_find_aside(buffer_begin(in) + header, have, &at, &size))
        return;
    if (size < LARGE_LEAST || size > length || at > length - size)
        return;
    size_t come = least(have > at ? have - at : 0, size), room = least(size, LARGE_AT_ONCE);
    l->room = room > come ? room : come;
    memory_expect_large();
    l->data = memory_alloc(l->room);
    if (!l->data)
        return;
    l->at = at;
    l->size = size;
    l->around = header + length - size;
    move_begun(l, in, header);
}

static bool grow(struct large *l)
{
    size_t room = l->size - l->room > l->room ? 2 * l->room : l->size;
    uint8_t *data = memory_realloc(l->data, room);
    if (!data)
        return false;
    l->data = data;
    l->room = room;
    return true;
}

/* How much is to be read to `in`: little of what comes behind a large payload's frame. */
static size_t wanted(const struct large *l, const struct buffer *in)
{
    size_t have = buffer_size(in);
    if (l->size)
        return (l->around > have ? l->around - have : 0) + LARGE_AHEAD;
    return l->expected && have < LARGE_AHEAD ? LARGE_AHEAD : SIZE_MAX;
}

bool large_parts(struct large *l, const struct buffer *in, struct iovec parts[LARGE_PARTS])
{
    struct iovec rest = {in->data + in->end, least(in->capacity - in->end, wanted(l, in))};
    parts[0] = rest;
    parts[1] = (struct iovec){rest.iov_base, 0};
    if (large_is_whole(l))
        return true;
    if (l->filled == l->room && !grow(l))
        return false;
    parts[0] = (struct iovec){l->data + l->filled, l->room - l->filled};
    if (l->room == l->size)
        parts[1] = rest;
    return true;
}

void large_took(struct large *l, struct buffer *in, size_t count)
{
    size_t aside = least(count, l->room - l->filled);
    l->filled += aside;
    in->end += count - aside;
}

struct aside *large_aside(struct large *l, const uint8_t *body)
{
    if (!l->size)
        return NULL;
    l->aside = (struct aside){body + l->at, l->data, l->size, false};
    return &l->aside;
}

void large_end(struct large *l)
{
    bool taken = l->aside.size && !l->aside.data;
    if (!taken)
        memory_free(l->data);
    *l = (struct large){.expected = l->expected};
}
