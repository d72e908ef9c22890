/*
 * The message that most frames are, in the one form in which all peers write it: {"msg_type": "Yield", "cid":
 * ..., "pld": ...}. A short way past the layouts, to the same end: whatever looks otherwise, or is wrong, is
 * left to them.
 */
#ifndef MSG_WIRE_YIELD_H
#define MSG_WIRE_YIELD_H

#include "msg/pack.h"
#include "msg/wire.h"

/* Decodes such a body, and sets no more of `out` than a Yield has; false: it is none, or not a good one. */
bool wire_yield_read(const uint8_t *body, size_t size, struct aside *aside, const struct msg_limits *limits,
                     struct msg *out);
/* How many elements such a message has, but for its payload. */
enum { WIRE_YIELD_ELEMENTS = 6 };
/* Writes all of a frame that comes before its payload, and nothing where it returns false: `m` is no such
 * message. */
bool wire_yield_begin(struct pack *p, const struct msg *m);

#endif
