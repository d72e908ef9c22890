/*
 * The large payload of the frame that is being received: it is read to memory of its own, beside the
 * channel's bytes, so that who takes the message can keep that memory instead of a copy.
 *
 * Only the head of a frame tells that it has one. After a large frame the channel reads little ahead, so that
 * the next one is found by its head before much of it has been read to where it would have to be moved from.
 */
#ifndef IPC_LARGE_H
#define IPC_LARGE_H

#include "base/buffer.h"
#include "msg/cursor.h"

#include <sys/uio.h>

enum {
    LARGE_LEAST = 1 << 14,   /* a smaller one is copied: that costs less than a read more */
    LARGE_AHEAD = 512,       /* what is read of the next frame */
    LARGE_AT_ONCE = 1 << 20, /* memory for more than this grows with the bytes that have come */
    LARGE_PARTS = 2
};

struct large {
    uint8_t *data;
    size_t size; /* 0: the frame has none, as far as it is known */
    size_t filled, room;
    size_t at;     /* in the frame's body */
    size_t around; /* bytes of the frame that are not of it */
    size_t looked; /* how much of the frame was there when it was last looked for */
    bool expected; /* the last frame was large */
    struct aside aside;
};

/* Looks for a large payload in the frame that `in` begins with, of `length` bytes behind `header` of them, of
 * which not all have come; what has come of it is moved. */
void large_look(struct large *l, struct buffer *in, size_t header, size_t length);
static inline bool large_is_whole(const struct large *l)
{
    return l->filled == l->size;
}
/* Where the next bytes are to be read to; a second part may be empty. `in` has room. False without memory. */
bool large_parts(struct large *l, const struct buffer *in, struct iovec parts[LARGE_PARTS]);
/* `count` bytes have come there. */
void large_took(struct large *l, struct buffer *in, size_t count);
/* The payload of a whole frame for who decodes its body; NULL if there is none. */
struct aside *large_aside(struct large *l, const uint8_t *body);
/* The frame is over; what nobody has taken is freed. */
void large_end(struct large *l);

#endif
