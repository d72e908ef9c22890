/* UTF-8 as RFC 3629 has it: shortest forms, no surrogates, nothing above U+10FFFF. */
#ifndef MSG_UTF8_H
#define MSG_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const void *bytes, size_t size);
/* Bytes of the character that `bytes` begins with, 1 to 4, and its number in `*code`; 0: none, or a broken
 * one. */
size_t utf8_next(const void *bytes, size_t size, uint32_t *code);
/*
 * A copy of `text` in which each byte that is no UTF-8 is written as \xNN; to be freed with memory_free. NULL
 * without memory. Of more than `max` bytes, at least 8, the middle is left out, and how much that is stands
 * there.
 */
char *utf8_shortened(const char *text, size_t max);
/* U+0000 to U+001F and U+007F to U+009F: what may move a terminal's cursor. */
bool utf8_is_control(uint32_t code);

#endif
