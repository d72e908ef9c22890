#include "base/loan.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int add_part(struct iovec *parts, int count, const uint8_t *data, size_t size)
{
    if (!size)
        return count;
    parts[count] = (struct iovec){(void *)data, size};
    return count + 1;
}

int loan_parts(const struct buffer *b, const struct loan *l, struct iovec parts[LOAN_PARTS])
{
    size_t before = l->size ? l->before : buffer_size(b);
    int count = add_part(parts, 0, buffer_begin(b), before);
    count = add_part(parts, count, l->data, l->size);
    return before < buffer_size(b)
               ? add_part(parts, count, b->data + b->start + before, buffer_size(b) - before)
               : count;
}

void loan_consume(struct buffer *b, struct loan *l, size_t count)
{
    if (l->size) {
        size_t before = least(count, l->before), lent = least(count - before, l->size);
        buffer_consume(b, before);
        l->before -= before;
        l->data += lent;
        l->size -= lent;
        count -= before + lent;
    }
    buffer_consume(b, count);
}

bool loan_take_back(struct buffer *b, struct loan *l)
{
    if (!l->size)
        return true;
    if (!buffer_reserve(b, l->size))
        return false;
    uint8_t *place = b->data + b->start + l->before;
    memmove(place + l->size, place, buffer_size(b) - l->before);
    memcpy(place, l->data, l->size);
    b->end += l->size;
    l->size = 0;
    return true;
}
