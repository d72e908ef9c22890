/*
 * The handler. It is a list of stages, each of which may crash itself: then the handler is entered again, on
 * the same stack, and goes on with the stage after it. So a crash is reported as far as it goes, and always
 * ends.
 */
#define UNW_LOCAL_ONLY
#include "devx/crash.h"

#include "devx/crash_wait.h"
#include "devx/maps.h"
#include "devx/report.h"
#include "task/stack_info.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libunwind.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ALTERNATE_BYTES = 256 << 10, GUARD_BYTES = 4096, LINE_BYTES = 1024, STEPS_MAX = 1 << 20 };

static const int crash_signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};
enum { CRASH_SIGNALS = sizeof crash_signals / sizeof *crash_signals };

struct trace {
    struct report_frames frames;
    uint64_t last[REPORT_LAST]; /* a ring */
};

/* As glibc keeps it for debuggers. */
struct abort_message {
    unsigned size;
    char text[];
};

/* One crash a process: all that the handler needs is here, and not on a stack that may be small. */
static struct {
    int fd;
    pid_t pid;            /* that installed the handlers */
    char name[64];        /* of the actor */
    atomic_int crashing;  /* the thread that is */
    volatile int stage;   /* the next one */
    volatile bool silent; /* the pipe is full or broken */
    siginfo_t info;
    ucontext_t *context;
    uint64_t pc, sp;
    bool has_task;
    struct report_task task;
    struct trace trace;
    struct sigaction earlier[CRASH_SIGNALS];
    const struct abort_message *const *abort_message; /* of the C library, which sets it before it aborts */
} crash = {.fd = -1};

/* ---- writing ---- */

static void write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size && !crash.silent) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            crash.silent = true;
            return;
        }
        at += n;
        size -= (size_t)n;
    }
}

static void write_section(enum report_tag tag, const void *payload, size_t bytes)
{
    struct report_section section = {.magic = REPORT_MAGIC, .tag = tag, .bytes = (uint32_t)bytes};
    write_all(crash.fd, &section, sizeof section);
    write_all(crash.fd, payload, bytes);
}

/* ---- unwinding ---- */

static uint64_t context_pc(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return context->uc_mcontext.pc;
#else
    return 0;
#endif
}

static uint64_t context_sp(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uint64_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return context->uc_mcontext.sp;
#else
    return 0;
#endif
}

/* A call through a bad pointer faulted where there is no code: goes back to the caller by hand, since no
 * unwind table knows that place. */
__attribute__((no_sanitize("address"))) static void leave_bad_call(ucontext_t *context)
{
#if defined(__x86_64__)
    context->uc_mcontext.gregs[REG_RIP] = *(const greg_t *)(uintptr_t)context_sp(context);
    context->uc_mcontext.gregs[REG_RSP] += 8;
#elif defined(__aarch64__)
    context->uc_mcontext.pc = context->uc_mcontext.regs[30];
#else
    (void)context;
#endif
}

static void keep_frame(struct trace *t, uint64_t pc)
{
    uint64_t i = t->frames.total;
    if (i < REPORT_FIRST)
        t->frames.pc[i] = pc;
    else
        t->last[i % REPORT_LAST] = pc;
    t->frames.total = i + 1;
}

/* is_exact: the context's address is that of an instruction, and not where a call returns to. */
static void unwind_context(struct trace *t, ucontext_t *context, bool is_exact)
{
    unw_cursor_t cursor;
    if (unw_init_local2(&cursor, (unw_context_t *)context, is_exact ? UNW_INIT_SIGNAL_FRAME : 0) < 0)
        return;
    unw_word_t pc, sp, earlier_sp = 0;
    for (int i = 0; i < STEPS_MAX; i++) {
        if (unw_get_reg(&cursor, UNW_REG_IP, &pc) < 0 || unw_get_reg(&cursor, UNW_REG_SP, &sp) < 0 || !pc)
            return;
        /* A broken stack may lead in a circle; a signal handler's frame may lead to another stack. */
        if (sp < earlier_sp)
            return;
        keep_frame(t, pc);
        earlier_sp = unw_is_signal_frame(&cursor) > 0 ? 0 : sp;
        if (unw_step(&cursor) <= 0)
            return;
    }
}

static void unwind(void)
{
    bool bad_call = crash.pc == (uint64_t)(uintptr_t)crash.info.si_addr &&
                    (crash.info.si_signo == SIGSEGV || crash.info.si_signo == SIGBUS) &&
                    crash.info.si_code > 0;
    if (bad_call) {
        keep_frame(&crash.trace, crash.pc);
        leave_bad_call(crash.context);
    }
    unwind_context(&crash.trace, crash.context, !bad_call);
}

/* The ring in order, behind the first frames; returns how many there are. */
static size_t gather_frames(struct trace *t)
{
    uint64_t total = t->frames.total;
    if (total <= REPORT_FIRST)
        return (size_t)total;
    uint64_t last = total - REPORT_FIRST < REPORT_LAST ? total - REPORT_FIRST : REPORT_LAST;
    for (uint64_t i = 0; i < last; i++)
        t->frames.pc[REPORT_FIRST + i] = t->last[(total - last + i) % REPORT_LAST];
    return (size_t)(REPORT_FIRST + last);
}

/* ---- the report in the pipe ---- */

static void tell_head(void)
{
    struct report_head head = {
        .version = REPORT_VERSION,
        .signal = crash.info.si_signo,
        .code = crash.info.si_code,
        .pid = getpid(),
        .tid = atomic_load(&crash.crashing),
        .sender = crash.info.si_code <= 0 ? crash.info.si_pid : 0,
        .address = crash.info.si_code > 0 ? (uint64_t)(uintptr_t)crash.info.si_addr : 0,
        .pc = crash.pc,
        .sp = crash.sp,
    };
    prctl(PR_GET_NAME, head.thread);
    write_section(REPORT_HEAD, &head, sizeof head);
}

/* Its texts may be what was overwritten: apart from the head. */
static void find_task(void)
{
    struct task_stack_info info;
    if (!task_stack_info(&info))
        return;
    crash.task.stack_low = info.low;
    crash.task.stack_high = info.high;
    crash.task.guard_bytes = info.guard_bytes;
    crash.task.spawn_line = info.spawn_line;
    crash.has_task = true;
    if (info.spawn_file)
        memcpy(crash.task.spawn_file, info.spawn_file,
               strnlen(info.spawn_file, sizeof crash.task.spawn_file - 1));
    if (info.task)
        memcpy(crash.task.name, info.task, strnlen(info.task, sizeof crash.task.name - 1));
}

static void tell_task(void)
{
    if (crash.has_task)
        write_section(REPORT_TASK, &crash.task, sizeof crash.task);
}

static void tell_frames(void)
{
    const struct report_frames *frames = &crash.trace.frames;
    size_t count = gather_frames(&crash.trace);
    write_section(REPORT_FRAMES, frames, sizeof frames->total + count * sizeof frames->pc[0]);
}

static void tell_text(void)
{
    const struct abort_message *m = crash.abort_message ? *crash.abort_message : NULL;
    if (m && crash.info.si_signo == SIGABRT)
        write_section(REPORT_TEXT, m->text, strnlen(m->text, REPORT_TEXT_MAX - 1));
}

static void tell_spawns(void)
{
    static struct task_spawn chain[REPORT_SPAWNS_MAX];
    static struct report_spawn spawns[REPORT_SPAWNS_MAX];
    size_t count = task_spawn_chain(chain, REPORT_SPAWNS_MAX);
    for (size_t i = 0; i < count; i++) {
        spawns[i].line = chain[i].line;
        memcpy(spawns[i].task, chain[i].task, strnlen(chain[i].task, sizeof spawns[i].task - 1));
        memcpy(spawns[i].file, chain[i].file, strnlen(chain[i].file, sizeof spawns[i].file - 1));
    }
    if (count)
        write_section(REPORT_SPAWNS, spawns, count * sizeof spawns[0]);
}

/* Files alone: a program with a million stacks has too many other mappings. */
static void tell_maps(void)
{
    static struct maps maps;
    static char lines[LINE_BYTES * 4];
    size_t used = 0;
    maps.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps.fd < 0)
        return;
    for (const char *line; (line = maps_line(&maps));) {
        if (!strchr(line, '/') && !strstr(line, "[vdso]"))
            continue;
        size_t length = strlen(line);
        if (used + length + 1 > sizeof lines) {
            write_section(REPORT_MAPS, lines, used);
            used = 0;
        }
        memcpy(lines + used, line, length);
        lines[used + length] = '\n';
        used += length + 1;
    }
    write_section(REPORT_MAPS, lines, used);
}

static void wait_for_debugger(void)
{
    if (!crash_wait_is_on())
        return;
    struct report_wait w = crash_wait_begin();
    write_section(REPORT_WAITS, &w, sizeof w);
    if (!crash.silent)
        crash_wait();
}

/* ---- the report on stderr ---- */

static const char *signal_text(int number)
{
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGABRT:
        return "SIGABRT";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    case SIGILL:
        return "SIGILL";
    }
    return "a signal";
}

struct line {
    char text[LINE_BYTES];
    size_t used;
};

static void add_text(struct line *l, const char *text)
{
    size_t length = strnlen(text, sizeof l->text - l->used);
    memcpy(l->text + l->used, text, length);
    l->used += length;
}

static void add_number(struct line *l, uint64_t value, unsigned base)
{
    char digits[24], *at = digits + sizeof digits - 1;
    *at = '\0';
    do
        *--at = "0123456789abcdef"[value % base];
    while (value /= base);
    if (base == 16)
        add_text(l, "0x");
    add_text(l, at);
}

static void end_line(struct line *l)
{
    if (l->used == sizeof l->text)
        l->used--;
    l->text[l->used++] = '\n';
    write_all(STDERR_FILENO, l->text, l->used);
    l->used = 0;
}

static struct line line; /* of the crash */

static void print_head(void)
{
    add_text(&line, "yoke: actor ");
    add_text(&line, crash.name);
    add_text(&line, " (pid ");
    add_number(&line, (uint64_t)getpid(), 10);
    add_text(&line, ") died of ");
    add_text(&line, signal_text(crash.info.si_signo));
    if (crash.info.si_code > 0 && crash.info.si_code != SI_KERNEL) {
        add_text(&line, " at address ");
        add_number(&line, (uint64_t)(uintptr_t)crash.info.si_addr, 16);
    }
    end_line(&line);
}

static void print_task(void)
{
    if (!crash.has_task)
        return;
    add_text(&line, "  in task `");
    add_text(&line, crash.task.name);
    add_text(&line, "`, spawned at ");
    add_text(&line, crash.task.spawn_file[0] ? crash.task.spawn_file : "the start of the run");
    if (crash.task.spawn_file[0]) {
        add_text(&line, ":");
        add_number(&line, (uint64_t)crash.task.spawn_line, 10);
    }
    end_line(&line);
}

/* A file's addresses begin where its first page is mapped. */
static void print_frame(struct line *l, uint64_t pc)
{
    static struct maps maps;
    memset(&maps, 0, sizeof maps);
    maps.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    uint64_t low, high, offset, base = 0;
    const char *path;
    add_text(l, "    ");
    bool found = false;
    for (const char *text; maps.fd >= 0 && !found && (text = maps_line(&maps));) {
        if (!maps_parse(text, &low, &high, &offset, &path))
            continue;
        if (offset == 0)
            base = low;
        found = pc >= low && pc < high;
        if (found) {
            add_text(l, path);
            add_text(l, "+");
            add_number(l, pc - base, 16);
        }
    }
    if (!found)
        add_number(l, pc, 16);
    close(maps.fd);
    end_line(l);
}

static void print_trace(struct line *l, struct trace *t)
{
    l->used = 0;
    size_t count = gather_frames(t);
    for (size_t i = 0; i < count; i++) {
        if (i == REPORT_FIRST && t->frames.total > REPORT_FRAMES_MAX) {
            add_text(l, "    ...");
            end_line(l);
        }
        print_frame(l, t->frames.pc[i]);
    }
}

static void print_frames(void)
{
    print_trace(&line, &crash.trace);
}

/* ---- the debugger of a root ---- */

/* An abort is the C library's, but its caller is to be shown. */
static uint64_t frame_of_program(const struct report_frames *frames)
{
    char program[LINE_BYTES];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    for (size_t i = 0; i < 16 && i < frames->total; i++)
        if (maps_has(frames->pc[i], program))
            return frames->pc[i];
    return frames->pc[0];
}

static void debug_root(void)
{
    if (!crash_wait_is_on())
        return;
    struct report_wait w = crash_wait_begin();
    struct debugger_target target = {.request = {.pid = getpid(),
                                                 .answer = w.answer,
                                                 .owed = w.owed,
                                                 .caller = frame_of_program(&crash.trace.frames),
                                                 .frame = w.frame},
                                     .actor = crash.name,
                                     .task = crash.has_task ? crash.task.name : "no task",
                                     .why = signal_text(crash.info.si_signo),
                                     .crashed = true};
    crash_wait_directly(&target);
}

/* ---- a task that runs on and on ---- */

static void tell_task_that_runs(struct line *l)
{
    struct task_stack_info info;
    if (!task_stack_info(&info)) {
        add_text(l, "outside of any task");
        return;
    }
    add_text(l, "task `");
    add_text(l, info.task);
    add_text(l, "` runs, spawned at ");
    add_text(l, info.spawn_file[0] ? info.spawn_file : "the start of the run");
    if (info.spawn_file[0]) {
        add_text(l, ":");
        add_number(l, (uint64_t)info.spawn_line, 10);
    }
}

void crash_tell_running(void *context)
{
    /* The scheduler's thread alone comes here. Not on the stack, which may be a task's. */
    static struct trace trace;
    static struct line l;
    char thread[17] = "";
    trace.frames.total = 0;
    l.used = 0;
    prctl(PR_GET_NAME, thread);
    add_text(&l, "yoke: ");
    add_text(&l, thread);
    add_text(&l, " (pid ");
    add_number(&l, (uint64_t)getpid(), 10);
    add_text(&l, ") comes to no checkpoint: ");
    tell_task_that_runs(&l);
    end_line(&l);
    unwind_context(&trace, context, true);
    print_trace(&l, &trace);
}

/* ---- the handler ---- */

typedef void (*stage_fn)(void);
static const stage_fn pipe_stages[] = {tell_head,         find_task, tell_task,   unwind,
                                       tell_frames,       tell_text, tell_spawns, tell_maps,
                                       wait_for_debugger, NULL};
static const stage_fn stderr_stages[] = {print_head,   find_task,  print_task, unwind,
                                         print_frames, debug_root, NULL};

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
#ifndef __SANITIZE_ADDRESS__ /* whose own handler would end the process by a status */
    for (size_t i = 0; i < CRASH_SIGNALS; i++) {
        const struct sigaction *earlier = &crash.earlier[i];
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
    if (getpid() != crash.pid) {
        /* A fork of the process that installed us: its crash is none of ours to report. */
        crash.info = *info;
        die_of_it();
    }
    if (atomic_compare_exchange_strong(&crash.crashing, &none, tid)) {
        crash.info = *info;
        crash.context = context;
        crash.pc = context_pc(context);
        crash.sp = context_sp(context);
    } else if (none != tid) {
        /* Another thread was first, and takes us along. */
        for (;;)
            pause();
    }
    const stage_fn *stages = crash.fd >= 0 ? pipe_stages : stderr_stages;
    while (stages[crash.stage])
        stages[crash.stage++]();
    tell_earlier(number, info, context);
    die_of_it();
}

static _Thread_local char *alternate_stack;

static void install_stack(void)
{
    size_t bytes = ALTERNATE_BYTES + GUARD_BYTES;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return;
    stack_t stack = {.ss_sp = memory + GUARD_BYTES, .ss_size = ALTERNATE_BYTES};
    if (mprotect(memory, GUARD_BYTES, PROT_NONE) < 0 || sigaltstack(&stack, NULL) < 0)
        munmap(memory, bytes);
    else
        alternate_stack = memory;
}

static void remove_stack(void)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    if (!alternate_stack || sigaltstack(&none, NULL) < 0)
        return;
    munmap(alternate_stack, ALTERNATE_BYTES + GUARD_BYTES);
    alternate_stack = NULL;
}

/* What the unwinder sets up at its first use, and what the linker binds at the first call, is better done in
 * a healthy process. */
static void warm_up(void)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unw_word_t pc;
    unw_getcontext(&context);
    if (unw_init_local2(&cursor, &context, 0) == 0 && unw_step(&cursor) > 0)
        unw_get_reg(&cursor, UNW_REG_IP, &pc);
    crash.abort_message = dlvsym(RTLD_DEFAULT, "__abort_msg", "GLIBC_PRIVATE");
}

/* A fork of a process that had ours keeps what was before that. */
static void install_one(size_t i, const struct sigaction *action)
{
    struct sigaction old;
    if (sigaction(crash_signals[i], action, &old) == 0 && old.sa_sigaction != on_crash)
        crash.earlier[i] = old;
}

void crash_install(int crash_fd, const char *name)
{
    bool is_new = crash.pid != getpid();
    crash.fd = crash_fd;
    snprintf(crash.name, sizeof crash.name, "%s", name);
    crash.pid = getpid();
    if (crash_fd >= 0) {
        fcntl(crash_fd, F_SETPIPE_SZ, 1 << 20);
        fcntl(crash_fd, F_SETFL, fcntl(crash_fd, F_GETFL) | O_NONBLOCK);
    }
    if (!alternate_stack)
        install_stack();
    if (is_new)
        warm_up();
    /* Not deferred and with nothing blocked: a crash of a stage must come to the handler, and not end the
     * process at once. */
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < CRASH_SIGNALS; i++)
        install_one(i, &action);
}

bool crash_is_installed(void)
{
    return crash.pid == getpid();
}

void crash_uninstall(void)
{
    if (!crash_is_installed())
        return;
    for (size_t i = 0; i < CRASH_SIGNALS; i++) {
        struct sigaction now;
        if (sigaction(crash_signals[i], NULL, &now) == 0 && now.sa_sigaction == on_crash)
            sigaction(crash_signals[i], &crash.earlier[i], NULL);
    }
    crash.pid = 0;
    remove_stack();
}
