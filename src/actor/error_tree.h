/* A whole error as one payload, and back: between yoke peers nothing of it is lost on the way. */
#ifndef ACTOR_ERROR_TREE_H
#define ACTOR_ERROR_TREE_H

#include "base/buffer.h"

#include <yoke/base.h>

/* Appends the tree of e; over ERROR_TREE_PARTS errors in it, the last ones are left out and a note says so;
 * of a text over ERROR_TREE_TEXT_BYTES the middle. YOKE_NO_MEMORY. */
enum { ERROR_TREE_PARTS = 256, ERROR_TREE_TEXT_BYTES = 64 << 10 };
YOKE_MUST_USE yoke_error *error_tree_encode(struct buffer *out, const yoke_error *e);
/* YOKE_MSG_TYPE, YOKE_PROTOCOL: it is no tree. */
YOKE_MUST_USE yoke_error *error_tree_decode(const uint8_t *data, size_t size, yoke_error **out);

#endif
