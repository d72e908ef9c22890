/* `yoke debug`: gdb on an actor or a core file, with the commands for tasks and actors. */
#ifndef TOOLS_YOKE_DEBUG_H
#define TOOLS_YOKE_DEBUG_H

/* `words`: a process id, or a core file, or a program and its core file. Becomes gdb; returns the exit status
 * if it can't. */
int debug(int count, char **words);

#endif
