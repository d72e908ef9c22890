/*
 * A piece of somebody else's memory that has its place in the bytes of a buffer without being copied there:
 * what is large is written to a descriptor from where it is. At most one to a buffer.
 */
#ifndef BASE_LOAN_H
#define BASE_LOAN_H

#include "base/buffer.h"

#include <sys/uio.h>

/* From how many bytes on a copy costs more than what spares it. */
enum { LOAN_LEAST = 1 << 14, LOAN_PARTS = 3 };

struct loan {
    const uint8_t *data;
    size_t size;   /* 0: nothing is lent */
    size_t before; /* bytes of the buffer that come before it */
};

static inline size_t loan_total(const struct buffer *b, const struct loan *l)
{
    return buffer_size(b) + l->size;
}

/* All the bytes in their order; returns how many parts they have. */
int loan_parts(const struct buffer *b, const struct loan *l, struct iovec parts[LOAN_PARTS]);
/* Takes `count` bytes off the front. */
void loan_consume(struct buffer *b, struct loan *l, size_t count);
/* Copies what is left of it to its place: the lender has its memory back. False without memory (nothing
 * changed). */
bool loan_take_back(struct buffer *b, struct loan *l);

#endif
