#include "base/buffer.h"
#include "base/memory.h"

#include <string.h>

#define SMALLEST 64

static void move_to_front(struct buffer *b)
{
    size_t size = buffer_size(b);
    if (size)
        memmove(b->data, b->data + b->start, size);
    b->start = 0;
    b->end = size;
}

/* Doubled until `wanted` fits, or just that where doubling would overflow. */
static size_t grown(size_t capacity, size_t wanted)
{
    size_t c = capacity < SMALLEST ? SMALLEST : capacity;
    while (c < wanted) {
        if (c > SIZE_MAX / 2)
            return wanted;
        c *= 2;
    }
    return c;
}

bool buffer_reserve(struct buffer *b, size_t more)
{
    if (b->capacity - b->end >= more)
        return true;
    size_t size = buffer_size(b);
    if (more > SIZE_MAX - size)
        return false;
    bool fits = b->capacity - size >= more;
    if (fits && b->start >= size) {
        move_to_front(b);
        return true;
    }
    size_t capacity = grown(b->capacity, fits ? b->capacity + 1 : size + more);
    uint8_t *data = memory_realloc(b->data, capacity);
    if (data) {
        b->data = data;
        b->capacity = capacity;
    } else if (!fits) {
        return false;
    }
    move_to_front(b);
    return true;
}

bool buffer_append(struct buffer *b, const void *bytes, size_t count)
{
    if (!count)
        return true;
    if (!buffer_reserve(b, count))
        return false;
    memcpy(b->data + b->end, bytes, count);
    b->end += count;
    return true;
}

void buffer_consume(struct buffer *b, size_t count)
{
    b->start += count;
    if (b->start >= b->end)
        b->start = b->end = 0;
}

void buffer_shrink(struct buffer *b, size_t keep)
{
    size_t size = buffer_size(b);
    if (b->capacity <= keep || size > b->capacity / 4)
        return;
    size_t capacity = size > keep ? size : keep;
    if (!capacity) {
        buffer_free(b);
        return;
    }
    move_to_front(b);
    uint8_t *data = memory_realloc(b->data, capacity);
    if (!data)
        return;
    b->data = data;
    b->capacity = capacity;
}

void buffer_free(struct buffer *b)
{
    memory_free(b->data);
    *b = BUFFER_EMPTY;
}
