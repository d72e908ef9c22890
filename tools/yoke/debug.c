#include "debug.h"

#include "core_program.h"
#include "devx/debugger/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_FAILED = 1 };

static int run(char *const *argv)
{
    execvp("gdb", argv);
    fprintf(stderr, "yoke: gdb can't be started: %s\n", strerror(errno));
    return STATUS_FAILED;
}

static int debug_process(char *pid)
{
    char *const argv[] = {
        (char *)"gdb", (char *)"-q", (char *)"-p", pid, (char *)"-ex", (char *)GDB_LOAD_COMMANDS, NULL};
    return run(argv);
}

/*
 * A crash was handled before its core was written: what called the handler is to be shown, in whatever
 * thread, and of an abort the C library's caller. gdb's lines are one command.
 */
#define SHOW_THE_CRASH                                                                                       \
    "python exec(\"def yoke_crash():\\n"                                                                     \
    " for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):\\n"                      \
    "  thread.switch()\\n"                                                                                   \
    "  frame, depth = gdb.newest_frame(), 0\\n"                                                              \
    "  while frame and depth < 64 and frame.type() != gdb.SIGTRAMP_FRAME:\\n"                                \
    "   frame, depth = frame.older(), depth + 1\\n"                                                          \
    "  if frame and frame.type() == gdb.SIGTRAMP_FRAME and frame.older():\\n"                                \
    "   frame = frame.older()\\n"                                                                            \
    "   while frame.older() and gdb.solib_name(frame.pc()):\\n"                                              \
    "    frame = frame.older()\\n"                                                                           \
    "   frame.select()\\n"                                                                                   \
    "   return gdb.execute('frame')\\n"                                                                      \
    "try: yoke_crash()\\n"                                                                                   \
    "except gdb.error: pass\")"

static int debug_core(char *program, char *core)
{
    char *const argv[] = {(char *)"gdb", (char *)"-q",
                          (char *)"-ex", (char *)GDB_LOAD_COMMANDS,
                          (char *)"-ex", (char *)SHOW_THE_CRASH,
                          (char *)"--",  program,
                          core,          NULL};
    return run(argv);
}

static int debug_core_alone(char *core)
{
    char program[CORE_PROGRAM_BYTES];
    const char *why = core_program_find(core, program);
    if (why) {
        fprintf(stderr, "yoke: %s: %s\n", core, why);
        return STATUS_FAILED;
    }
    if (access(program, R_OK) == 0)
        return debug_core(program, core);
    fprintf(stderr, "yoke: its program, %s: %s; `yoke debug PROGRAM CORE` names another file\n", program,
            strerror(errno));
    return STATUS_FAILED;
}

int debug(int count, char **words)
{
    if (count > 1)
        return debug_core(words[0], words[1]);
    return words[0][strspn(words[0], "0123456789")] ? debug_core_alone(words[0]) : debug_process(words[0]);
}
