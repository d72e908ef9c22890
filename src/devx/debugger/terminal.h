/* The terminal of this process: it is lent to a debugger, and put back as it was. */
#ifndef DEVX_TERMINAL_H
#define DEVX_TERMINAL_H

#include <yoke/base.h>

#include <sys/types.h>
#include <termios.h>

struct terminal {
    int fd; /* -1: closed */
    struct termios modes;
};

/* YOKE_NOT_FOUND: there is none, or this program is in its background. */
YOKE_MUST_USE yoke_error *terminal_open(struct terminal *t);
void terminal_close(struct terminal *t);
/* Has this process no terminal (any more)? */
bool terminal_is_gone(void);
/* The process group `group` has the foreground, with ctrl-z off; and this process again, with the modes that
 * were. */
YOKE_MUST_USE yoke_error *terminal_lend(const struct terminal *t, pid_t group);
/* As terminal_lend; both are async-signal-safe. */
bool terminal_give(const struct terminal *t, pid_t group);
void terminal_take_back(const struct terminal *t);
/* Writes one line on the terminal, if there is one, whoever has it; `debugger` (0: none) draws its prompt
 * anew. On one that takes nothing for 20 ms it is lost. */
void terminal_say(pid_t debugger, const char *fmt, ...) YOKE_PRINTF(2, 3);

#endif
