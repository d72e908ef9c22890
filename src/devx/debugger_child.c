#include "devx/debugger_child.h"

#include "devx/gdb_script.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SCRIPT_FD = 3 };

void debugger_child_init(struct debugger_child *c, const struct debugger_command *command)
{
    *c = (struct debugger_child){.command = command, .terminal = -1, .script = -1};
    /* Servers are not asked for debug information. */
    const char *const ours[] = {
        "-q", "-iex", "set debuginfod enabled off", "-x", "/proc/self/fd/3", "-ex", GDB_CHECK_SCRIPT, NULL};
    memcpy(c->argv, command->words, command->count * sizeof *c->argv);
    memcpy(c->argv + command->count, ours, sizeof ours);
}

void debugger_child_run(const struct debugger_child *c, int gate, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* on which gdb detaches, and puts the terminal back */
    char open_gate;
    if (getppid() != parent || read(gate, &open_gate, 1) != 1)
        _exit(DEBUGGER_NO_EXEC);
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int fd = 0; fd < SCRIPT_FD; fd++)
        dup2(c->terminal, fd);
    if (c->script == SCRIPT_FD)
        fcntl(SCRIPT_FD, F_SETFD, 0);
    else
        dup2(c->script, SCRIPT_FD);
    close_range(SCRIPT_FD + 1, ~0U, 0);
    execv(c->command->program, c->argv);
    _exit(DEBUGGER_NO_EXEC);
}
