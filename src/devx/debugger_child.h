/* The child that becomes the debugger. */
#ifndef DEVX_DEBUGGER_CHILD_H
#define DEVX_DEBUGGER_CHILD_H

#include "devx/debugger_command.h"

#include <sys/types.h>

enum { DEBUGGER_ARGUMENTS = COMMAND_WORDS + 16, DEBUGGER_NO_EXEC = 127 /* its status then */ };

struct debugger_child {
    const struct debugger_command *command;
    int terminal, script; /* descriptors */
    char *argv[DEBUGGER_ARGUMENTS];
};

void debugger_child_init(struct debugger_child *c, const struct debugger_command *command);
/* In the child of `parent`, which opens the gate with a byte: waits for that. In a process group of its own;
 * it goes when the parent does. Async-signal-safe. */
void debugger_child_run(const struct debugger_child *c, int gate, pid_t parent) __attribute__((noreturn));

#endif
