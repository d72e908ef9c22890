/* The end for a program whose nesting is broken: no value could be trusted any more. */
#ifndef BASE_DIE_H
#define BASE_DIE_H

#include <yoke/base.h>

/* Writes "yoke: " and the text to stderr, and aborts. */
void die(const char *fmt, ...) __attribute__((noreturn)) YOKE_PRINTF(1, 2);

#endif
