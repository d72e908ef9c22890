#include "devx/debugger/debugger_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

void debugger_child_add(struct debugger_child *c, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count && c->count < DEBUGGER_WORDS; i++)
        c->words[c->count++] = (char *)words[i];
}

void debugger_child_init(struct debugger_child *c, const struct debugger_command *command)
{
    *c = (struct debugger_child){
        .command = command, .terminal = -1, .script = -1, .program = command->program};
    command->kind->add_arguments(c);
}

void debugger_child_reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void debugger_child_run(const struct debugger_child *c, int gate, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* on which it detaches, and puts the terminal back */
    char open_gate;
    if (getppid() != parent || read(gate, &open_gate, 1) != 1)
        _exit(DEBUGGER_NO_EXEC);
    debugger_child_reset_signals();
    for (int fd = 0; fd < DEBUGGER_SCRIPT; fd++)
        dup2(c->terminal, fd);
    if (c->script == DEBUGGER_SCRIPT)
        fcntl(DEBUGGER_SCRIPT, F_SETFD, 0);
    else
        dup2(c->script, DEBUGGER_SCRIPT);
    close_range(DEBUGGER_SCRIPT + 1, ~0U, 0);
    execv(c->program, c->words);
    _exit(DEBUGGER_NO_EXEC);
}
