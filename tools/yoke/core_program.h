/* Which program has left a core file. */
#ifndef TOOLS_YOKE_CORE_PROGRAM_H
#define TOOLS_YOKE_CORE_PROGRAM_H

#include <limits.h>

enum { CORE_PROGRAM_BYTES = PATH_MAX };

/* The path that it was started from. NULL, or why it can't be told. */
const char *core_program_find(const char *core, char program[CORE_PROGRAM_BYTES]);

#endif
