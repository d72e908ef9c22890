#include "debug.h"

#include "devx/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_FAILED = 1 };

int debug(int count, char **words)
{
    char *const process[] = {
        (char *)"gdb", (char *)"-q", (char *)"-p", words[0], (char *)"-ex", (char *)GDB_LOAD_COMMANDS, NULL};
    char *const core[] = {(char *)"gdb",
                          (char *)"-q",
                          (char *)"-ex",
                          (char *)GDB_LOAD_COMMANDS,
                          (char *)"--",
                          words[0],
                          count > 1 ? words[1] : NULL,
                          NULL};
    execvp("gdb", count > 1 ? core : process);
    fprintf(stderr, "yoke: gdb can't be started: %s\n", strerror(errno));
    return STATUS_FAILED;
}
