/* UTF-8 by decoding: what decodes to a number that has a shorter form, or that is no character, is broken. */
#include "msg/utf8.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

size_t utf8_next(const void *bytes, size_t size, uint32_t *code)
{
    static const uint32_t lowest[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *b = bytes;
    if (size == 0)
        return 0;
    size_t length = b[0] < 0x80   ? 1
                    : b[0] < 0xc2 ? 0
                    : b[0] < 0xe0 ? 2
                    : b[0] < 0xf0 ? 3
                    : b[0] < 0xf5 ? 4
                                  : 0;
    if (length == 0 || length > size)
        return 0;
    uint32_t value = length == 1 ? b[0] : b[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (b[i] & 0x3f);
    }
    if (value < lowest[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return length;
}

static inline bool are_ascii(const uint8_t *b)
{
    uint64_t eight;
    memcpy(&eight, b, sizeof eight);
    return !(eight & 0x8080808080808080u);
}

/* How many bytes from the front are ASCII, eight at a time; the last eight may be looked at twice. */
static size_t ascii_run(const uint8_t *b, size_t size)
{
    size_t n = 0;
    while (size - n >= 8 && are_ascii(b + n))
        n += 8;
    if (size >= 8 && size - n < 8 && are_ascii(b + size - 8))
        return size;
    while (n < size && b[n] < 0x80)
        n++;
    return n;
}

bool utf8_valid(const void *bytes, size_t size)
{
    const uint8_t *b = bytes;
    for (size_t at = 0; at < size;) {
        at += ascii_run(b + at, size - at);
        if (at == size)
            break;
        uint32_t code;
        size_t length = utf8_next(b + at, size - at, &code);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

bool utf8_is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* Appends `size` bytes of `text`, at most four times as many; returns where it ends. */
static char *repair(char *to, const char *text, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t at = 0; at < size;) {
        uint32_t code;
        size_t length = utf8_next(text + at, size - at, &code);
        if (length) {
            memcpy(to, text + at, length);
            to += length;
            at += length;
            continue;
        }
        uint8_t byte = (uint8_t)text[at++];
        memcpy(to, (char[4]){'\\', 'x', digits[byte >> 4], digits[byte & 15]}, 4);
        to += 4;
    }
    return to;
}

char *utf8_shortened(const char *text, size_t max)
{
    size_t size = strlen(text), head = size, tail = size;
    char left_out[64] = "";
    if (size > max) {
        head = text_cut(text, max / 2);
        tail = text_cut(text, size - max / 2);
        snprintf(left_out, sizeof left_out, " … (%zu bytes left out) … ", tail - head);
    }
    size_t kept = head + (size - tail);
    char *out = kept < SIZE_MAX / 4 - sizeof left_out ? memory_alloc(4 * kept + sizeof left_out) : NULL;
    if (!out)
        return NULL;
    char *to = repair(out, text, head);
    to = repair(to, left_out, strlen(left_out));
    to = repair(to, text + tail, size - tail);
    *to = '\0';
    return out;
}
