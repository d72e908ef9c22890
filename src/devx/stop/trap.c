#include "devx/stop/trap.h"

#include "devx/stop/stop.h"

#include <errno.h>
#include <stdatomic.h>
#include <ucontext.h>
#include <unistd.h>

static struct {
    pid_t pid; /* the process that has the handler; 0: none */
    struct sigaction earlier;
    _Atomic(bool (*)(const siginfo_t *info, void *context)) first;
} trap;

void trap_ask_first(bool (*is_his)(const siginfo_t *info, void *context))
{
    atomic_store(&trap.first, is_his);
}

/* ---- the program's own ---- */

/* By the default action: at once, since it is not blocked while the handler runs. */
static void die_of_it(int number)
{
    sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    raise(number);
}

static void leave_to_program(int number, siginfo_t *info, void *context)
{
    const struct sigaction *earlier = &trap.earlier;
    bool is_sent = info->si_code <= 0; /* and not an instruction, which nobody can ignore */
    if (earlier->sa_handler == SIG_IGN && is_sent)
        return;
    if (earlier->sa_handler == SIG_IGN || earlier->sa_handler == SIG_DFL)
        die_of_it(number);
    else if (earlier->sa_flags & SA_SIGINFO)
        earlier->sa_sigaction(number, info, context);
    else
        earlier->sa_handler(number);
}

/* ---- the breakpoint ---- */

/* The address behind it: that of the `nop` of YOKE_BREAKPOINT(). */
static void *step_over(const siginfo_t *info, ucontext_t *context)
{
#ifdef __x86_64__
    return (void *)context->uc_mcontext.gregs[REG_RIP];
#else
    if (info->si_code > 0)
        context->uc_mcontext.pc += 4;
    return (void *)context->uc_mcontext.pc;
#endif
}

/* Of the whole process: one that this very thread ran into, or was raised by. */
static bool is_breakpoint(const siginfo_t *info)
{
    return getpid() == trap.pid &&
           (info->si_code > 0 || (info->si_code == SI_TKILL && info->si_pid == trap.pid));
}

/* A breakpoint returns nothing: what `quit` says comes with the next checkpoint of the task, and where there
 * is none, with the next pause. */
static void quit(void)
{
    if (task_here())
        task_owe(task_here(), pause_result(PAUSE_QUIT));
    else
        pause_owe_quit();
}

void trap_stop(const char *call, void *caller, void *frame)
{
    int error = errno;
    struct session_stop s = {.why = "breakpoint", .caller = caller, .frame = frame};
    if (stop_if_can(call, &s) == PAUSE_QUIT)
        quit();
    errno = error;
}

/* On the stack that it interrupts, which is a task's own: so that it can park. */
static void on_trap(int number, siginfo_t *info, void *context)
{
    bool (*is_his)(const siginfo_t *, void *) = atomic_load(&trap.first);
    if (is_his && is_his(info, context))
        return;
    if (!is_breakpoint(info)) {
        leave_to_program(number, info, context);
        return;
    }
    trap_stop("YOKE_BREAKPOINT", step_over(info, context), __builtin_frame_address(0));
}

/* ---- life ---- */

void trap_begin(void)
{
    /* Nothing is blocked meanwhile: other tasks may run into one while this one waits. */
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER}, old;
    sigemptyset(&action.sa_mask);
    trap.pid = getpid();
    if (sigaction(SIGTRAP, &action, &old) == 0 && old.sa_sigaction != on_trap)
        trap.earlier = old;
}

void trap_end(void)
{
    struct sigaction now;
    if (trap.pid == getpid() && sigaction(SIGTRAP, NULL, &now) == 0 && now.sa_sigaction == on_trap)
        sigaction(SIGTRAP, &trap.earlier, NULL);
    trap.pid = 0;
}

bool yoke_breakpoint_traps(void)
{
    if (session_process() != SESSION_ACTOR)
        return true;
    yoke_log(YOKE_WARNING, "YOKE_BREAKPOINT: " STOP_IS_OFF ": going on");
    return false;
}
