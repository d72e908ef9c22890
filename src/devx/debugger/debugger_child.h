/* The child that becomes the debugger. */
#ifndef DEVX_DEBUGGER_CHILD_H
#define DEVX_DEBUGGER_CHILD_H

#include "devx/debugger/debugger_command.h"

#include <sys/types.h>

enum { DEBUGGER_WORDS = COMMAND_WORDS + 16, DEBUGGER_TEXT = 2 * COMMAND_BYTES };
enum { DEBUGGER_SCRIPT = 3 /* the descriptor that it reads its script from */ };

struct debugger_child {
    const struct debugger_command *command;
    int terminal, script; /* descriptors */
    const char *program;  /* its file */
    char *words[DEBUGGER_WORDS + 1];
    size_t count;
    char text[DEBUGGER_TEXT]; /* for a word that is made up */
};

void debugger_child_init(struct debugger_child *c, const struct debugger_command *command);
/* For the kinds: adds words, which stay the caller's. */
void debugger_child_add(struct debugger_child *c, const char *const *words, size_t count);
/* In the child of `parent`, which opens the gate with a byte: waits for that. In a process group of its own;
 * it goes when the parent does. Async-signal-safe. */
void debugger_child_run(const struct debugger_child *c, int gate, pid_t parent) __attribute__((noreturn));

/* Of a process that is about to become another program: all by default, none blocked. Async-signal-safe. */
void debugger_child_reset_signals(void);

#endif
