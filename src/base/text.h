/* Text for a terminal: what may be shown as it is, and what is escaped as \xNN (control characters, broken
 * UTF-8). */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes (1 to 4) of the character at `s`, `size` (not 0) being left; 0 if its first byte is to be escaped. */
size_t text_shown(const char *s, size_t size);
/* Four characters, no NUL: \xNN. */
void text_escape(char out[4], char byte);
/* Appends `s` as a string of JSON (RFC 8259), in quotes; what is no UTF-8 stands as \\xNN in it. False
 * without memory: a part may be there. */
bool text_put_json(struct buffer *out, const char *s);
/* The largest end not above `end` at which `s` can be cut without breaking a character; looks at s[0..end)
 * alone. */
size_t text_cut(const char *s, size_t end);
/* Is `fd` a terminal whose user wants colours? (NO_COLOR: no-color.org) Leaves errno. */
bool text_colours(int fd);

#endif
