/* Which debugger is started: the environment's YOKE_DEBUGGER, or gdb. */
#ifndef DEVX_DEBUGGER_COMMAND_H
#define DEVX_DEBUGGER_COMMAND_H

#include "devx/debugger/debugger_kind.h"

#include <yoke/base.h>

enum { COMMAND_BYTES = 4096, COMMAND_WORDS = 32 };

struct debugger_command {
    const struct debugger_kind *kind;
    char program[COMMAND_BYTES];    /* its file */
    char *words[COMMAND_WORDS + 1]; /* into text; NULL-terminated: its name, and arguments before ours */
    size_t count;
    char text[COMMAND_BYTES];
};

/*
 * `text`: a program, searched in PATH if it has no slash, and arguments, separated by blanks; NULL or "":
 * gdb. Its name says which kind it is. YOKE_NOT_FOUND: there is no such program; YOKE_USAGE: it is too long.
 */
YOKE_MUST_USE yoke_error *debugger_command_find(struct debugger_command *out, const char *text);

#endif
