#include "base/die.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

void die(const char *fmt, ...)
{
    /* One write, without stdio's buffers: the heap may be in any state. */
    char text[1024] = "yoke: ";
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text + 6, sizeof text - 8, fmt, args);
    va_end(args);
    size_t size = 6 + (n < 0 ? 0 : (size_t)n < sizeof text - 8 ? (size_t)n : sizeof text - 9);
    text[size++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, text, size);
    (void)ignored;
    abort();
}
