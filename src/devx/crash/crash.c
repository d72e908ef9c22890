/*
 * The handler. It is a list of stages, each of which may crash itself: then the handler is entered again, on
 * the same stack, and goes on with the stage after it. So a crash is reported as far as it goes, and always
 * ends.
 */
#include "devx/crash/crash.h"

#include "devx/crash/alternate_stack.h"
#include "devx/crash/core.h"
#include "devx/crash/crash_report.h"
#include "devx/crash/crash_wait.h"
#include "devx/debugger/output.h"
#include "devx/trace/maps.h"
#include "devx/trace/registers.h"
#include "task/sanitizer.h"
#include "task/stack_info.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_BYTES = 1024 };

static const int crash_signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};
enum { CRASH_SIGNALS = sizeof crash_signals / sizeof *crash_signals };

static struct crash crash = {.fd = -1}; /* one a process */

static struct {
    pid_t pid;           /* that installed the handlers */
    atomic_int crashing; /* the thread that is */
    volatile int stage;  /* the next one */
    struct sigaction earlier[CRASH_SIGNALS];
} handler;

/* ---- looking ---- */

/* Its texts may be what was overwritten: apart from the head. */
static void find_task(struct crash *c)
{
    struct task_stack_info info;
    if (!task_stack_info(&info))
        return;
    c->task.stack_low = info.low;
    c->task.stack_high = info.high;
    c->task.guard_bytes = info.guard_bytes;
    c->task.spawn_line = info.spawn_line;
    c->has_task = true;
    if (info.spawn_file)
        memcpy(c->task.spawn_file, info.spawn_file, strnlen(info.spawn_file, sizeof c->task.spawn_file - 1));
    if (info.task)
        memcpy(c->task.name, info.task, strnlen(info.task, sizeof c->task.name - 1));
}

/* By the limit as it is now; the kernel lets it grow up to that. */
static uint64_t main_stack_low(const struct thread_stack *own)
{
    struct rlimit limit;
    bool known = getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < own->high;
    return known ? own->high - limit.rlim_cur : own->low;
}

/* Whose stack it is, where no task runs. */
static void find_stack(struct crash *c)
{
    struct task_stack_info info;
    struct thread_stack own = alternate_stack_of_thread();
    if (task_stack_of_callback(c->sp, &info))
        c->stack = (struct report_stack){info.low, info.high, info.guard_bytes, REPORT_STACK_OF_TASK};
    else if (own.high && c->tid == handler.pid)
        c->stack = (struct report_stack){main_stack_low(&own), own.high, 0, REPORT_STACK_OF_MAIN_THREAD};
    else if (own.high)
        c->stack = (struct report_stack){own.low, own.high, own.guard_bytes, REPORT_STACK_OF_THREAD};
}

static void find_where(struct crash *c)
{
    find_task(c);
    if (!c->has_task)
        find_stack(c);
}

/* A call through a bad pointer faulted where there is no code: no unwind table knows that place, its caller
 * does. */
static bool is_bad_call(const struct crash *c)
{
    return c->pc == (uint64_t)(uintptr_t)c->info.si_addr && c->info.si_code > 0 &&
           (c->info.si_signo == SIGSEGV || c->info.si_signo == SIGBUS);
}

static void unwind(struct crash *c)
{
    bool bad_call = is_bad_call(c);
    trace_begin(&c->trace);
    if (bad_call) {
        trace_add(&c->trace, c->pc);
        registers_leave_call(c->context);
    }
    trace_take(&c->trace, c->context, !bad_call);
}

/* ---- waiting for a debugger ---- */

static void wait_for_debugger(struct crash *c)
{
    if (!crash_wait_wants())
        return;
    struct report_wait w = crash_wait_begin();
    crash_report_wait(c, &w);
    if (!c->silent)
        crash_wait();
}

/* An abort is the C library's, but its caller is to be shown. */
static uint64_t frame_of_program(const struct report_frames *frames)
{
    char program[PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    for (size_t i = 0; i < 16 && i < frames->total; i++)
        if (maps_has(frames->pc[i], program))
            return frames->pc[i];
    return frames->pc[0];
}

static void write_core_of_root(struct crash *c)
{
    const char *why_not, *path = crash_wait_wants() & CRASH_WAIT_CORE ? core_write_own(&why_not) : NULL;
    if (crash_wait_wants() & CRASH_WAIT_CORE)
        crash_print_core(path, why_not);
}

static void debug_root(struct crash *c)
{
    if (!(crash_wait_wants() & CRASH_WAIT_DEBUGGER))
        return;
    struct report_wait w = crash_wait_begin();
    struct debugger_target target = {.request = {.pid = getpid(),
                                                 .answer = w.answer,
                                                 .owed = w.owed,
                                                 .caller = frame_of_program(&c->trace.frames),
                                                 .frame = w.frame},
                                     .actor = c->name,
                                     .task = c->has_task ? c->task.name : "no task",
                                     .why = crash_signal_text(c->info.si_signo),
                                     .crashed = true};
    crash_wait_directly(&target);
}

/* What the root has said reaches the terminal before its end does. */
static void let_out(struct crash *c)
{
    output_drain_directly();
}

/* ---- the handler ---- */

typedef void (*stage_fn)(struct crash *c);
static const stage_fn pipe_stages[] = {crash_report_head,
                                       find_where,
                                       crash_report_task,
                                       crash_report_registers,
                                       unwind,
                                       crash_report_frames,
                                       crash_report_text,
                                       crash_report_spawns,
                                       crash_report_maps,
                                       wait_for_debugger,
                                       NULL};
static const stage_fn stderr_stages[] = {crash_print_head,
                                         find_where,
                                         crash_print_task,
                                         crash_print_overflow,
                                         crash_print_registers,
                                         unwind,
                                         crash_print_frames,
                                         write_core_of_root,
                                         debug_root,
                                         let_out,
                                         NULL};

/* By the default action, and with the siginfo that it came with. */
static void die_of_it(void) __attribute__((noreturn));
static void die_of_it(void)
{
    int number = crash.info.si_signo;
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(number, &action, NULL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    pid_t tid = (pid_t)syscall(SYS_gettid);
    syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, number, &crash.info);
    syscall(SYS_tgkill, getpid(), tid, number);
    _exit(128 + number);
}

/* What the program had before is given the crash too, and may know better than to die. */
static void tell_earlier(int number, siginfo_t *info, void *context)
{
#ifndef YOKE_ASAN /* whose own handler would end the process by a status */
    for (size_t i = 0; i < CRASH_SIGNALS; i++) {
        const struct sigaction *earlier = &handler.earlier[i];
        if (crash_signals[i] != number || earlier->sa_handler == SIG_DFL || earlier->sa_handler == SIG_IGN)
            continue;
        if (earlier->sa_flags & SA_SIGINFO)
            earlier->sa_sigaction(number, info, context);
        else
            earlier->sa_handler(number);
    }
#endif
}

static void on_crash(int number, siginfo_t *info, void *context)
{
    int none = 0, tid = (int)syscall(SYS_gettid);
    if (crash_wait_is_release(info))
        return;
    if (getpid() != handler.pid) {
        /* A fork of the process that installed us: its crash is none of ours to report. */
        crash.info = *info;
        die_of_it();
    }
    if (atomic_compare_exchange_strong(&handler.crashing, &none, tid)) {
        crash.info = *info;
        crash.tid = tid;
        crash.context = context;
        crash.pc = registers_pc(context);
        crash.sp = registers_sp(context);
    } else if (none != tid) {
        /* Another thread was first, and takes us along. */
        for (;;)
            pause();
    }
    const stage_fn *stages = crash.fd >= 0 ? pipe_stages : stderr_stages;
    while (stages[handler.stage])
        stages[handler.stage++](&crash);
    tell_earlier(number, info, context);
    die_of_it();
}

/* A fork of a process that had ours keeps what was before that. */
static void install_one(size_t i, const struct sigaction *action)
{
    struct sigaction old;
    if (sigaction(crash_signals[i], action, &old) == 0 && old.sa_sigaction != on_crash)
        handler.earlier[i] = old;
}

static bool is_set(const char *variable)
{
    const char *text = getenv(variable);
    return text && *text && strcmp(text, "0") != 0;
}

void crash_install(int crash_fd, const char *name)
{
    bool is_new = handler.pid != getpid();
    crash.fd = crash_fd;
    snprintf(crash.name, sizeof crash.name, "%s", name);
    handler.pid = getpid();
    if (crash_fd >= 0) {
        fcntl(crash_fd, F_SETPIPE_SZ, 1 << 20);
        fcntl(crash_fd, F_SETFL, fcntl(crash_fd, F_GETFL) | O_NONBLOCK);
    }
    crash.registers = is_set("YOKE_CRASH_REGISTERS");
    alternate_stack_install(); /* or they run without */
    if (is_new)
        trace_prepare();
    crash.abort_message = dlvsym(RTLD_DEFAULT, "__abort_msg", "GLIBC_PRIVATE");
    /* Not deferred and with nothing blocked: a crash of a stage must come to the handler, and not end the
     * process at once. */
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < CRASH_SIGNALS; i++)
        install_one(i, &action);
}

bool crash_is_installed(void)
{
    return handler.pid == getpid();
}

void crash_uninstall(void)
{
    if (!crash_is_installed())
        return;
    for (size_t i = 0; i < CRASH_SIGNALS; i++) {
        struct sigaction now;
        if (sigaction(crash_signals[i], NULL, &now) == 0 && now.sa_sigaction == on_crash)
            sigaction(crash_signals[i], &handler.earlier[i], NULL);
    }
    handler.pid = 0;
    alternate_stack_remove();
}
