#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Length that the first byte promises, by the table of well-formed UTF-8 in the Unicode standard (3-7); 0 for
 * none. */
static size_t promised(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c < 0xc2)
        return 0;
    return c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* The second byte's range keeps out overlong forms, surrogates, what is beyond U+10FFFF; and the C1 controls.
 */
static bool second_fits(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xc2:
        return second >= 0xa0 && second <= 0xbf;
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xed:
        return second >= 0x80 && second <= 0x9f;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return second >= 0x80 && second <= 0xbf;
    }
}

size_t text_shown(const char *s, size_t size)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t length = promised(p[0]);
    if (length == 1)
        return p[0] >= 0x20 && p[0] != 0x7f;
    if (!length || length > size || !second_fits(p[0], p[1]))
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

void text_escape(char out[4], char byte)
{
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[(unsigned char)byte >> 4];
    out[3] = digits[(unsigned char)byte & 15];
}

static bool put_json_escape(struct buffer *out, unsigned char byte)
{
    char text[8];
    return buffer_append(out, text,
                         (size_t)snprintf(text, sizeof text, byte < 0x80 ? "\\u%04x" : "\\\\x%02x", byte));
}

bool text_put_json(struct buffer *out, const char *s)
{
    bool fine = buffer_append(out, "\"", 1);
    for (size_t left = strlen(s); left && fine;) {
        size_t shown = text_shown(s, left);
        if (!shown)
            fine = put_json_escape(out, (unsigned char)*s);
        else if (*s == '"' || *s == '\\')
            fine = buffer_append(out, (char[]){'\\', *s}, 2);
        else
            fine = buffer_append(out, s, shown);
        s += shown ? shown : 1;
        left -= shown ? shown : 1;
    }
    return fine && buffer_append(out, "\"", 1);
}

size_t text_cut(const char *s, size_t end)
{
    size_t at = end, back = 0;
    while (at && back++ < 4) {
        unsigned char c = (unsigned char)s[--at];
        if ((c & 0xc0) != 0x80)
            return promised(c) > end - at ? at : end;
    }
    return end;
}

bool text_colours(int fd)
{
    int saved = errno;
    const char *no = getenv("NO_COLOR");
    bool wanted = (!no || !*no) && fd >= 0 && isatty(fd);
    errno = saved;
    return wanted;
}
