/* A growable byte buffer with a read position: bytes are appended behind and taken off the front. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data;
    size_t start, end, capacity; /* what is in it: data[start..end) */
};

#define BUFFER_EMPTY                                                                                         \
    (struct buffer)                                                                                          \
    {                                                                                                        \
        NULL, 0, 0, 0                                                                                        \
    }

static inline size_t buffer_size(const struct buffer *b)
{
    return b->end - b->start;
}

static inline uint8_t *buffer_begin(const struct buffer *b)
{
    return b->data ? b->data + b->start : NULL;
}

/*
 * Room for `more` bytes behind the end, at data + end; false without memory (nothing changed). Moves the
 * content to the front when that is enough and moves no more than was consumed, so that appending stays
 * linear; grows by doubling otherwise.
 */
bool buffer_reserve(struct buffer *b, size_t more);
bool buffer_append(struct buffer *b, const void *bytes, size_t count);
/* Takes `count` bytes off the front; when nothing is left the positions return to the start. */
void buffer_consume(struct buffer *b, size_t count);
/* Gives memory back when far more is held than used (more than `keep` bytes of capacity). */
void buffer_shrink(struct buffer *b, size_t keep);
void buffer_free(struct buffer *b);

#endif
