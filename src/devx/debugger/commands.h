/* gdb's commands for actors and tasks (devx/debugger/commands.py), as a text in the library, where gdb finds
 * it in a process and in the program of a core file. */
#ifndef DEVX_COMMANDS_H
#define DEVX_COMMANDS_H

/* Ends with a zero. */
extern const char devx_gdb_commands[];

/* A line for gdb that loads them; says nothing where there are none (a gdb without Python, a stripped
 * program). */
#define GDB_LOAD_COMMANDS                                                                                    \
    "python exec(\"try: exec(gdb.parse_and_eval('&devx_gdb_commands[0]').string(), {'__name__': 'yoke'})\\n" \
    "except gdb.error: pass\")"

#endif
