/* Writing msgpack into a buffer with msgpack-c's packer: all of it, or nothing. */
#ifndef MSG_PACK_H
#define MSG_PACK_H

#include "base/loan.h"

#include <msgpack.h>

/* In the writer's frame; not to be moved (the packer points at it). */
struct pack {
    msgpack_packer packer;
    struct buffer *out;
    size_t before;                                            /* bytes that were in it */
    size_t limit;                                             /* how many may be added */
    struct loan *loan;                                        /* takes what is large; or NULL */
    enum { PACK_FINE, PACK_NO_MEMORY, PACK_TOO_LARGE } fault; /* the first one; nothing is written after it */
};

/* Takes `out` over till pack_undo, or till the writer is done: nobody else may touch it. */
void pack_begin(struct pack *p, struct buffer *out, size_t limit);
/* Takes away what was added. */
void pack_undo(struct pack *p);
/* A piece that is msgpack already, as it is. */
void pack_raw(struct pack *p, const void *bytes, size_t size);
/* The same for bytes that stay as they are as long as the buffer is used: large ones become the pack's loan,
 * if it has one to give. */
void pack_lasting(struct pack *p, const void *bytes, size_t size);
void pack_text(struct pack *p, const char *text, size_t size);
/* Non-negative ones in the unsigned forms, negative ones in the signed forms, always the shortest. */
void pack_int(struct pack *p, int64_t value);

#endif
