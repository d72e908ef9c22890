/* The packer's callback appends to the buffer, and remembers the first time that it could not. */
#include "msg/pack.h"

#include <string.h>

/* Room for `size` more bytes, or the fault. */
static bool make_room(struct pack *p, size_t size)
{
    if (size > p->limit - (buffer_size(p->out) - p->before))
        p->fault = PACK_TOO_LARGE;
    else if (!buffer_reserve(p->out, size))
        p->fault = PACK_NO_MEMORY;
    return !p->fault;
}

static int write_piece(void *data, const char *bytes, size_t size)
{
    struct pack *p = data;
    if (p->fault)
        return -1;
    if (size == 0)
        return 0;
    if (!make_room(p, size))
        return -1;
    memcpy(p->out->data + p->out->end, bytes, size);
    p->out->end += size;
    return 0;
}

void pack_begin(struct pack *p, struct buffer *out, size_t limit)
{
    msgpack_packer_init(&p->packer, p, write_piece);
    p->out = out;
    p->before = buffer_size(out);
    p->limit = limit;
    p->loan = NULL;
    p->fault = PACK_FINE;
}

void pack_undo(struct pack *p)
{
    p->out->end = p->out->start + p->before;
}

void pack_raw(struct pack *p, const void *bytes, size_t size)
{
    write_piece(p, bytes, size);
}

void pack_lasting(struct pack *p, const void *bytes, size_t size)
{
    if (p->fault || !p->loan || p->loan->size || size < LOAN_LEAST) {
        write_piece(p, bytes, size);
        return;
    }
    *p->loan = (struct loan){bytes, size, buffer_size(p->out)};
}

/* Names are: in one piece with their head. */
static void pack_short(struct pack *p, const char *text, size_t size)
{
    if (p->fault || !make_room(p, size + 1))
        return;
    uint8_t *to = p->out->data + p->out->end;
    *to = (uint8_t)(0xa0 | size);
    memcpy(to + 1, text, size);
    p->out->end += size + 1;
}

void pack_text(struct pack *p, const char *text, size_t size)
{
    if (size < 32) {
        pack_short(p, text, size);
        return;
    }
    msgpack_pack_str(&p->packer, size);
    write_piece(p, text, size);
}

void pack_int(struct pack *p, int64_t value)
{
    if (value < 0)
        msgpack_pack_int64(&p->packer, value);
    else
        msgpack_pack_uint64(&p->packer, (uint64_t)value);
}
