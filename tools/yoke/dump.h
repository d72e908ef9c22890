/* `yoke dump`: what the tasks of an actor, and of those below it, are doing. */
#ifndef TOOLS_YOKE_DUMP_H
#define TOOLS_YOKE_DUMP_H

#include <stdbool.h>

/* Prints the dump of process `pid` to standard output, or, if it does not answer, what can be seen from
 * outside. The exit status: 1 then, and for what went wrong, which is on stderr. */
int dump(const char *pid, bool json);

#endif
