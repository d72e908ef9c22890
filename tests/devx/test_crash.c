/*
 * Children that crash, and what their report says to the parent. A child is a fork of this program, or this
 * program again (exec), told by its arguments which crash to make.
 */
#include "actor/death.h"
#include "base/error.h"
#include "base/memory.h"
#include "devx/crash/core_file.h"
#include "devx/crash/crash.h"
#include "devx/trace/backtrace.h"
#include "devx/trace/oom.h"
#include "devx/trace/registers.h"
#include "devx/trace/report.h"
#include "harness.h"
#include "task/sanitizer.h"

#include <yoke/devx.h>

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

YOKE_ERROR_KIND(DIED, "test.Died", NULL);

/* ---- the crashes, and the line of each ---- */

#define NOINLINE __attribute__((noinline))

enum { LINE_SEGV = __LINE__ + 3 };
NOINLINE static void crash_segv(volatile int *p)
{
    *p = 1;
}

enum { LINE_ABORT = __LINE__ + 3 };
NOINLINE static void crash_abort(void)
{
    abort();
}

enum { LINE_BUS = __LINE__ + 3 };
NOINLINE static void crash_bus(volatile char *beyond)
{
    *beyond = 1;
}

enum { LINE_FPE = __LINE__ + 3 };
NOINLINE __attribute__((no_sanitize("undefined"))) static int crash_fpe(volatile int *zero)
{
    return 100 / *zero;
}

enum { LINE_ILL = __LINE__ + 3 };
NOINLINE static void crash_ill(void)
{
    __builtin_trap();
}

enum { LINE_BAD_CALL = __LINE__ + 3 };
NOINLINE static int crash_bad_call(int (*fn)(void))
{
    return fn() + 1;
}

enum { LINE_RECURSE = __LINE__ + 7 };
NOINLINE static int crash_recurse(volatile int *depth)
{
    volatile char room[256];
    room[*depth & 255] = 1;
    if (++*depth < 0)
        return 0;
    return crash_recurse(depth) + room[0];
}

enum { LINE_INLINE = __LINE__ + 3, LINE_INLINE_CALL = __LINE__ + 9 };
__attribute__((always_inline)) static inline void crash_inlined(volatile int *p)
{
    *p = 3;
}

NOINLINE static void crash_caller(volatile int *p)
{
    __asm__ volatile("");
    crash_inlined(p);
}

NOINLINE static volatile char *beyond_a_file(void)
{
    int fd = memfd_create("short", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) < 0)
        _exit(99);
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Not known to the compiler, which would warn. */
static volatile uintptr_t bad_address = 0x10;

enum crash { SEGV, ABORT, BUS, FPE, ILL, BAD_CALL, RECURSE, INLINE, NESTED_SEGV, CRASHES };

NOINLINE static void do_crash(enum crash how)
{
    volatile int zero = 0;
    switch (how) {
    case SEGV:
        crash_segv((volatile int *)bad_address);
        break;
    case ABORT:
        crash_abort();
        break;
    case BUS:
        crash_bus(beyond_a_file());
        break;
    case FPE:
        zero = crash_fpe(&zero);
        break;
    case ILL:
        crash_ill();
        break;
    case BAD_CALL:
        zero = crash_bad_call((int (*)(void))bad_address);
        break;
    case RECURSE:
        zero = crash_recurse(&zero);
        break;
    case INLINE:
        crash_caller((volatile int *)bad_address);
        break;
    default:
        break;
    }
    _exit(98); /* it did not crash */
}

/* ---- a child that crashes ---- */

/* In a fork of this process, where cmocka's own handlers are no program's. */
static void install(int fd, const char *name)
{
    static const int numbers[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_DFL);
    crash_install(fd, name);
}

enum where {
    OUTSIDE,
    IN_MAIN_TASK,
    IN_SPAWNED_TASK,
    IN_THREAD,
    IN_THREAD_WITH_STACK, /* an alternate one */
    IN_CALLBACK,
    IN_THREAD_OF_A_LOADING_PROCESS,
};

enum { THREAD_KIB = 192 };

struct job {
    enum crash how;
    enum where where;
};

static yoke_error *crash_here(void *arg)
{
    do_crash(((struct job *)arg)->how);
    return NULL;
}

enum { LINE_SPAWN = __LINE__ + 5 };
static yoke_error *spawn_it(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, crash_here, arg);
    return yoke_nursery_close(&n, e);
}

static void *thread_main(void *arg)
{
    const struct job *job = arg;
    prctl(PR_SET_NAME, "helper");
    if (job->where == IN_THREAD_WITH_STACK)
        yoke_error_free(yoke_thread_alternate_stack());
    do_crash(job->how);
    return NULL;
}

/* Does not return if the thread crashes. */
static void crash_in_thread(struct job *job)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_KIB << 10);
    if (pthread_create(&thread, &attributes, thread_main, job) == 0)
        pthread_join(thread, NULL);
}

/* The loader calls this with its lock held. */
static int crash_while_loading(struct dl_phdr_info *info, size_t size, void *arg)
{
    crash_in_thread(arg);
    return 1;
}

/* By whoever cancels the one that waits, outside of any task. */
static enum yoke_abort crash_in_abort(yoke_task *task, void *arg)
{
    do_crash(((struct job *)arg)->how);
    return YOKE_ABORT_DONE;
}

static yoke_error *wait_in_vain(void *arg)
{
    return yoke_park(crash_in_abort, arg);
}

static yoke_error *cancel_it(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, wait_in_vain, arg);
    if (!e)
        e = yoke_checkpoint();
    return yoke_nursery_close(&n, e ? e : yoke_raise(&DIED, "now"));
}

static void run_job(struct job job)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    yoke_error *e = NULL;
    switch (job.where) {
    case OUTSIDE:
        do_crash(job.how);
        break;
    case IN_MAIN_TASK:
        e = yoke_run(crash_here, &job, NULL);
        break;
    case IN_SPAWNED_TASK:
        e = yoke_run(spawn_it, &job, NULL);
        break;
    case IN_THREAD:
    case IN_THREAD_WITH_STACK:
        crash_in_thread(&job);
        break;
    case IN_CALLBACK:
        e = yoke_run(cancel_it, &job, NULL);
        break;
    case IN_THREAD_OF_A_LOADING_PROCESS:
        dl_iterate_phdr(crash_while_loading, &job);
        break;
    }
    yoke_error_free(e);
    _exit(97);
}

struct outcome {
    pid_t pid;
    int status;
    size_t size;
    char *report; /* to be freed */
};

static void read_all(int fd, struct outcome *o)
{
    o->report = memory_alloc((size_t)1 << 20);
    assert_non_null(o->report);
    for (ssize_t n; (n = read(fd, o->report + o->size, ((size_t)1 << 20) - o->size)) > 0;)
        o->size += (size_t)n;
    close(fd);
    assert_int_equal(waitpid(o->pid, &o->status, 0), o->pid);
}

static struct outcome crash_forked(struct job job)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct outcome o = {.pid = fork()};
    assert_true(o.pid >= 0);
    if (o.pid == 0) {
        close(ends[0]);
        install(ends[1], "root");
        run_job(job);
    }
    close(ends[1]);
    read_all(ends[0], &o);
    return o;
}

/* The same by exec: then the addresses differ from ours. */
static struct outcome crash_executed(struct job job)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct outcome o = {.pid = fork()};
    assert_true(o.pid >= 0);
    if (o.pid == 0) {
        close(ends[0]);
        char fd[16], how[16], where[16];
        snprintf(fd, sizeof fd, "%d", ends[1]);
        snprintf(how, sizeof how, "%d", job.how);
        snprintf(where, sizeof where, "%d", job.where);
        execl("/proc/self/exe", "test_crash", "crash", fd, how, where, (char *)NULL);
        _exit(96);
    }
    close(ends[1]);
    read_all(ends[0], &o);
    return o;
}

/* ---- what must be in it ---- */

static yoke_error *described(const struct outcome *o)
{
    yoke_error *e = yoke_raise(&DIED, "died");
    crash_describe(e, o->report, o->size);
    return e;
}

static void assert_text(const char *text, const char *wanted)
{
    if (!text || !strstr(text, wanted))
        fail_msg("no \"%s\" in:\n%s", wanted, text ? text : "(nothing)");
}

static void assert_no_text(const char *text, const char *unwanted)
{
    if (text && strstr(text, unwanted))
        fail_msg("\"%s\" in:\n%s", unwanted, text);
}

static void assert_died_of(const struct outcome *o, int number)
{
    assert_true(WIFSIGNALED(o->status));
    assert_int_equal(WTERMSIG(o->status), number);
}

static const struct {
    int number;
    const char *function, *note;
    int line;
} expected[] = {
    [SEGV] = {SIGSEGV, "crash_segv", "at address 0x10: nothing is mapped there", LINE_SEGV},
    [ABORT] = {SIGABRT, "crash_abort", NULL, LINE_ABORT},
    [BUS] = {SIGBUS, "crash_bus", "beyond the end of a mapped file", LINE_BUS},
    [FPE] = {SIGFPE, "crash_fpe", "integer division by zero", LINE_FPE},
    [ILL] = {SIGILL, "crash_ill", "illegal instruction", LINE_ILL},
    [BAD_CALL] = {SIGSEGV, "crash_bad_call", "at address 0x10", LINE_BAD_CALL},
};

static void check(struct job job, struct outcome o)
{
    assert_died_of(&o, expected[job.how].number);
    yoke_error *e = described(&o);
    assert_string_equal(yoke_error_function(e), expected[job.how].function);
    assert_string_equal(yoke_error_file(e), "tests/devx/test_crash.c");
    assert_int_equal(yoke_error_line(e), expected[job.how].line);
    char *text = yoke_error_text(e);
    if (expected[job.how].note)
        assert_text(text, expected[job.how].note);
    assert_no_text(text, "stack overflow");
    char line[128];
    snprintf(line, sizeof line, "test_crash.c:%d\n", expected[job.how].line);
    assert_text(error_backtrace(e), line);
    assert_text(error_backtrace(e), "do_crash");
    if (job.where == IN_SPAWNED_TASK) {
        assert_string_equal(yoke_error_task(e), "crash_here");
        assert_text(error_backtrace(e), "crash_here");
    }
    if (job.where == IN_THREAD)
        assert_text(text, "in thread `helper`, outside of any task");
    /* The runtime's own first frames, and the program's start, tell nothing. */
    assert_no_text(error_backtrace(e), "switch_start");
    assert_no_text(error_backtrace(e), "__libc_start");
    free(text);
    yoke_error_free(e);
    memory_free(o.report);
}

static void check_everywhere(enum crash how)
{
    for (enum where where = OUTSIDE; where <= IN_THREAD; where++)
        check((struct job){how, where}, crash_forked((struct job){how, where}));
    check((struct job){how, OUTSIDE}, crash_executed((struct job){how, OUTSIDE}));
    check((struct job){how, IN_SPAWNED_TASK}, crash_executed((struct job){how, IN_SPAWNED_TASK}));
}

static void test_segv(void **state)
{
    check_everywhere(SEGV);
}

static void test_abort(void **state)
{
    check_everywhere(ABORT);
}

static void test_bus(void **state)
{
    check_everywhere(BUS);
}

static void test_fpe(void **state)
{
#ifdef __aarch64__
    skip(); /* division by zero gives zero there */
#endif
    check_everywhere(FPE);
}

static void test_ill(void **state)
{
    check_everywhere(ILL);
}

static void test_bad_call(void **state)
{
    check_everywhere(BAD_CALL);
}

static void test_report_has_the_facts(void **state)
{
    struct outcome o = crash_forked((struct job){SEGV, IN_SPAWNED_TASK});
    struct report r;
    assert_success(report_decode(&r, o.report, o.size));
    assert_int_equal(r.head.signal, SIGSEGV);
    assert_int_equal(r.head.code, SEGV_MAPERR);
    assert_int_equal(r.head.pid, o.pid);
    assert_int_equal(r.head.tid, o.pid);
    assert_true(r.head.address == bad_address);
    assert_true(r.head.pc == r.frames.pc[0]);
    assert_true(r.has_task);
    assert_string_equal(r.task.name, "crash_here");
    assert_text(r.task.spawn_file, "tests/devx/test_crash.c");
    assert_int_equal(r.task.spawn_line, LINE_SPAWN);
    assert_true(r.head.sp > r.task.stack_low && r.head.sp < r.task.stack_high);
    assert_true(r.frame_count >= 4);
    assert_text(r.maps, "libc.so");
    report_free(&r);
    memory_free(o.report);
}

static void test_inlined_frames(void **state)
{
    struct outcome o = crash_forked((struct job){INLINE, OUTSIDE});
    yoke_error *e = described(&o);
    assert_string_equal(yoke_error_function(e), "crash_inlined");
    assert_int_equal(yoke_error_line(e), LINE_INLINE);
    char line[64];
    snprintf(line, sizeof line, "test_crash.c:%d\n", LINE_INLINE_CALL);
    assert_text(error_backtrace(e), "crash_caller");
    assert_text(error_backtrace(e), line);
    yoke_error_free(e);
    memory_free(o.report);
}

/* ---- stack overflows ---- */

static void check_overflow(struct outcome o, const char *note)
{
    assert_died_of(&o, SIGSEGV);
    yoke_error *e = described(&o);
    char *text = yoke_error_text(e);
    assert_text(text, note);
    assert_string_equal(yoke_error_function(e), "crash_recurse");
    char line[64];
    snprintf(line, sizeof line, "test_crash.c:%d\n", LINE_RECURSE);
    assert_text(error_backtrace(e), line);
    assert_text(error_backtrace(e), " frames of crash_recurse\n");
    /* Both ends are there: where it broke, and who began. */
    assert_text(error_backtrace(e), "do_crash");
    free(text);
    yoke_error_free(e);
    memory_free(o.report);
}

static struct outcome overflow(enum where where)
{
    return crash_forked((struct job){RECURSE, where});
}

static void test_overflow_of_a_task(void **state)
{
    char note[256];
    snprintf(note, sizeof note,
             "stack overflow of task `crash_here` (spawned at tests/devx/test_crash.c:%d): its stack is ",
             LINE_SPAWN);
    check_overflow(overflow(IN_SPAWNED_TASK), note);
}

static void test_overflow_of_the_main_task(void **state)
{
    check_overflow(overflow(IN_MAIN_TASK), "stack overflow of task `main`: its stack is ");
}

static void test_crash_04_overflow_of_the_main_thread(void **state)
{
    struct rlimit limit;
    char note[128];
    assert_int_equal(getrlimit(RLIMIT_STACK, &limit), 0);
    snprintf(note, sizeof note,
             "stack overflow of the main thread: its stack is %llu KiB; raise it with `ulimit -s`",
             (unsigned long long)limit.rlim_cur / 1024);
    check_overflow(overflow(OUTSIDE), note);
    check_overflow(crash_executed((struct job){RECURSE, OUTSIDE}), note);
}

static void test_crash_04_overflow_of_a_thread(void **state)
{
    char note[128];
    snprintf(note, sizeof note, "stack overflow of thread `helper`: its stack is %d KiB", THREAD_KIB);
    check_overflow(overflow(IN_THREAD_WITH_STACK), note);
}

static void test_crash_04_overflow_of_a_callback(void **state)
{
    check_overflow(overflow(IN_CALLBACK),
                   "stack overflow of a callback outside of any task: it ran on a task's stack, of ");
}

/* Without a stack for it the handler can't run; what that may mean is told. */
static void test_crash_04_overflow_of_a_thread_without_a_report(void **state)
{
#ifdef YOKE_ASAN
    skip(); /* it gives each thread an alternate stack of its own */
#endif
    struct outcome o = overflow(IN_THREAD);
    assert_died_of(&o, SIGSEGV);
    assert_int_equal(o.size, 0);
    yoke_uid uid = {.name = "left"};
    yoke_error *e = death_error(&uid, o.pid, o.status, false, NULL);
    crash_describe(e, o.report, o.size);
    char *text = yoke_error_text(e);
    assert_text(text, "it has left no report: did a thread overflow its stack, that had not called "
                      "yoke_thread_alternate_stack");
    free(text);
    yoke_error_free(e);
    memory_free(o.report);
}

static void *take_stack(void *before)
{
    stack_t now;
    assert_int_equal(sigaltstack(NULL, before), 0);
    assert_success(yoke_thread_alternate_stack());
    assert_success(yoke_thread_alternate_stack());
    assert_int_equal(sigaltstack(NULL, &now), 0);
    assert_int_equal(now.ss_flags, 0);
    assert_true(now.ss_size >= 64 << 10 && now.ss_sp != ((stack_t *)before)->ss_sp);
    return now.ss_sp;
}

/* It goes with its thread. */
static void test_crash_04_stack_of_a_thread_that_ends(void **state)
{
    pthread_t thread;
    stack_t before;
    void *stack;
    unsigned char resident;
    assert_int_equal(pthread_create(&thread, NULL, take_stack, &before), 0);
    assert_int_equal(pthread_join(thread, &stack), 0);
    assert_int_equal(mincore((void *)((uintptr_t)stack & ~4095UL), 4096, &resident), -1);
    assert_int_equal(errno, ENOMEM);
}

/* The crash's report needs the loader's tables, and another thread has the loader's lock. */
static void test_crash_06_while_another_thread_loads(void **state)
{
    check((struct job){SEGV, IN_THREAD}, crash_forked((struct job){SEGV, IN_THREAD_OF_A_LOADING_PROCESS}));
}

static void test_registers_on_request(void **state)
{
    setenv("YOKE_CRASH_REGISTERS", "1", 1);
    struct outcome o = crash_forked((struct job){SEGV, IN_SPAWNED_TASK});
    unsetenv("YOKE_CRASH_REGISTERS");
    struct report r;
    assert_success(report_decode(&r, o.report, o.size));
    assert_true(r.registers[REGISTERS_PC] == r.head.pc);
    size_t address = r.register_count;
    for (size_t i = 0; i < r.register_count; i++)
        if (r.registers[i] == bad_address)
            address = i;
    assert_true(address < r.register_count); /* the pointer that was used */
    yoke_error *e = described(&o);
    char *text = yoke_error_text(e), wanted[64];
    snprintf(wanted, sizeof wanted, "%s 0x%llx", registers_name(REGISTERS_PC), (unsigned long long)r.head.pc);
    assert_text(text, wanted);
    snprintf(wanted, sizeof wanted, "%s 0x10", registers_name(address));
    assert_text(text, wanted);
    free(text);
    yoke_error_free(e);
    report_free(&r);
    memory_free(o.report);
    o = crash_forked((struct job){SEGV, IN_SPAWNED_TASK});
    e = described(&o);
    text = yoke_error_text(e);
    assert_no_text(text, registers_name(REGISTERS_PC));
    free(text);
    yoke_error_free(e);
    memory_free(o.report);
}

/* ---- around the handler ---- */

/* A fork of an actor that is not one itself must not write into the actor's pipe. */
static void test_fork_of_the_installer_is_silent(void **state)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct outcome o = {.pid = fork()};
    if (o.pid == 0) {
        install(ends[1], "root");
        pid_t child = fork();
        if (child == 0)
            run_job((struct job){SEGV, OUTSIDE});
        int status;
        waitpid(child, &status, 0);
        _exit(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    close(ends[1]);
    read_all(ends[0], &o);
    assert_true(WIFEXITED(o.status));
    assert_int_equal(WEXITSTATUS(o.status), SIGSEGV);
    assert_int_equal(o.size, 0);
    memory_free(o.report);
}

/* Nobody reads, and the pipe takes one page: the child dies all the same, and what came is told. */
static void test_full_pipe(void **state)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct outcome o = {.pid = fork()};
    if (o.pid == 0) {
        install(ends[1], "root");
        fcntl(ends[1], F_SETPIPE_SZ, 4096);
        run_job((struct job){SEGV, OUTSIDE});
    }
    close(ends[1]);
    assert_int_equal(waitpid(o.pid, &o.status, WUNTRACED), o.pid);
    assert_died_of(&o, SIGSEGV);
    o.report = memory_alloc(1 << 16);
    o.size = (size_t)read(ends[0], o.report, 1 << 16);
    close(ends[0]);
    struct report r;
    assert_success(report_decode(&r, o.report, o.size));
    assert_int_equal(r.head.signal, SIGSEGV);
    assert_true(r.frame_count >= 3);
    report_free(&r);
    memory_free(o.report);
}

/* A signal from outside is no fault: who sent it is told. */
static void test_sent_signal(void **state)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct outcome o = {.pid = fork()};
    if (o.pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        install(ends[1], "root");
        if (write(ends[1], "", 1) == 1)
            for (;;)
                pause();
        _exit(95);
    }
    close(ends[1]);
    char ready;
    assert_int_equal(read(ends[0], &ready, 1), 1);
    kill(o.pid, SIGSEGV);
    read_all(ends[0], &o);
    assert_died_of(&o, SIGSEGV);
    yoke_error *e = described(&o);
    char note[64], *text = yoke_error_text(e);
    snprintf(note, sizeof note, "the signal was sent by process %d", getpid());
    assert_text(text, note);
    assert_no_text(text, "at address");
    free(text);
    yoke_error_free(e);
    memory_free(o.report);
}

/* The stack pointer and the frame pointer lead nowhere, and the unwinder must follow them. */
static void test_crash_with_a_wild_stack(void **state)
{
#ifdef __x86_64__
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct outcome o = {.pid = fork()};
    if (o.pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        install(ends[1], "root");
        __asm__ volatile("movq $0x20, %rsp; movq $0x28, %rbp; callq *%rsp");
    }
    close(ends[1]);
    read_all(ends[0], &o);
    assert_died_of(&o, SIGSEGV);
    struct report r;
    assert_success(report_decode(&r, o.report, o.size));
    assert_int_equal(r.head.signal, SIGSEGV);
    assert_text(r.maps, "libc.so"); /* the stages after the unwinder ran */
    report_free(&r);
    memory_free(o.report);
#else
    skip();
#endif
}

static yoke_error *crash_with_a_broken_task(void *arg)
{
    yoke_current_task()->name = (const char *)bad_address;
    return crash_here(arg);
}

/* The handler itself crashes, on what it reads of the task, and goes on with what comes after. */
static void test_crash_07_second_fault_in_the_handler(void **state)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct outcome o = {.pid = fork()};
    if (o.pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        install(ends[1], "root");
        struct job job = {.how = FPE};
        yoke_error_free(yoke_run(crash_with_a_broken_task, &job, NULL));
        _exit(97);
    }
    close(ends[1]);
    read_all(ends[0], &o);
    assert_died_of(&o, SIGFPE); /* the first one's, not the handler's */
    struct report r;
    assert_success(report_decode(&r, o.report, o.size));
    assert_int_equal(r.head.signal, SIGFPE);
    assert_true(r.has_task);
    assert_true(r.task.stack_low < r.head.sp);
    assert_true(r.frame_count >= 3);
    assert_text(r.maps, "libc.so");
    report_free(&r);
    memory_free(o.report);
}

/* Without a parent: its stderr, as a text. */
static struct outcome crash_root(struct job job)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct outcome o = {.pid = fork()};
    if (o.pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        install(-1, "root");
        run_job(job);
    }
    close(ends[1]);
    read_all(ends[0], &o);
    assert_died_of(&o, SIGSEGV);
    o.report[o.size] = '\0';
    return o;
}

static void test_root(void **state)
{
    struct outcome o = crash_root((struct job){SEGV, IN_SPAWNED_TASK});
    char wanted[128];
    snprintf(wanted, sizeof wanted, "yoke: actor root (pid %d) died of SIGSEGV at address 0x10\n", o.pid);
    assert_text(o.report, wanted);
    snprintf(wanted, sizeof wanted, "  in task `crash_here`, spawned at tests/devx/test_crash.c:%d\n",
             LINE_SPAWN);
    assert_text(o.report, wanted);
    char program[256];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 2);
    program[n] = '+';
    program[n + 1] = '\0';
    assert_text(o.report, program);
    memory_free(o.report);
}

static void test_crash_04_overflow_in_the_root(void **state)
{
    struct outcome o = crash_root((struct job){RECURSE, OUTSIDE});
    assert_text(o.report, "\n  stack overflow of the main thread\n");
    memory_free(o.report);
}

/* ---- core files ---- */

static void test_crash_22_core_is_not_written_over_another(void **state)
{
#ifdef YOKE_ASAN
    skip(); /* no cores there */
#endif
    static struct core_file f[3];
    char folder[] = "/tmp/core-XXXXXX";
    assert_non_null(mkdtemp(folder));
    setenv("YOKE_CORE", folder, 1);
    assert_true(core_file_is_wanted());
    for (size_t i = 0; i < 3; i++) {
        assert_success(core_file_plan(&f[i], "le ft/$(x)", 42));
        assert_true(core_file_claim(&f[i]));
        assert_false(core_file_is_whole(&f[i])); /* it is empty */
    }
    assert_string_equal(strrchr(f[0].path, '/'), "/le_ft___x_-42.core");
    assert_string_equal(strrchr(f[1].path, '/'), "/le_ft___x_-42.1.core");
    assert_string_equal(strrchr(f[2].path, '/'), "/le_ft___x_-42.2.core");
    assert_string_equal(f[2].generate + strlen("generate-core-file "), f[2].path);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(unlink(f[i].path), 0);
    assert_int_equal(rmdir(folder), 0);
    unsetenv("YOKE_CORE");
    assert_false(core_file_is_wanted());
}

/* ---- broken reports ---- */

static uint64_t random_state;

static uint64_t random_next(void)
{
    /* Marsaglia, "Xorshift RNGs", 2003. */
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void decode_any(const char *bytes, size_t size)
{
    struct report r;
    yoke_error *e = report_decode(&r, bytes, size);
    if (e) {
        assert_true(yoke_error_is(e, &YOKE_END_OF_CHANNEL));
        yoke_error_free(e);
        return;
    }
    assert_true(r.frame_count <= REPORT_FRAMES_MAX);
    assert_true(strlen(r.maps) <= size);
    assert_true(strlen(r.task.name) < sizeof r.task.name);
    report_is_task_overflow(&r);
    report_is_thread_overflow(&r);
    report_free(&r);
}

static void test_cut_reports(void **state)
{
    struct outcome o = crash_forked((struct job){SEGV, IN_SPAWNED_TASK});
    for (size_t size = 0; size <= o.size; size++) {
        /* A copy of that very size, so that a sanitizer sees what lies behind it. */
        char *cut = memory_alloc(size);
        memcpy(cut, o.report, size);
        decode_any(cut, size);
        memory_free(cut);
    }
    /* The head alone says the address; symbols need more. */
    size_t head = sizeof(struct report_section) + sizeof(struct report_head);
    yoke_error *e = yoke_raise(&DIED, "died");
    crash_describe(e, o.report, head);
    char *text = yoke_error_text(e);
    assert_text(text, "at address 0x10");
    free(text);
    yoke_error_free(e);
    e = yoke_raise(&DIED, "died");
    crash_describe(e, o.report, head - 1);
    text = yoke_error_text(e);
    assert_text(text, "the crash report is cut or broken");
    free(text);
    yoke_error_free(e);
    memory_free(o.report);
}

/* Bytes changed, sections moved, garbage in between; some of them all the way through the symbols. */
static void test_garbage_reports(void **state)
{
    struct outcome o = crash_forked((struct job){SEGV, IN_SPAWNED_TASK});
    const char *seed = getenv("YOKE_SEED");
    random_state = seed ? strtoull(seed, NULL, 0) | 1 : 20240611;
    char *mutant = memory_alloc(o.size);
    for (int i = 0; i < 20000; i++) {
        memcpy(mutant, o.report, o.size);
        size_t size = random_next() % 4 ? o.size : random_next() % (o.size + 1);
        int changes = 1 + (int)(random_next() % 16);
        for (int c = 0; c < changes && size; c++) {
            /* Half of the changes hit the first sections, where the structure is. */
            size_t range = random_next() % 2 || size < 2048 ? size : 2048;
            mutant[random_next() % range] = (char)random_next();
        }
        decode_any(mutant, size);
        if (i % 200)
            continue;
        yoke_error *e = yoke_raise(&DIED, "died");
        crash_describe(e, mutant, size);
        char *text = yoke_error_text(e);
        assert_non_null(text);
        free(text);
        yoke_error_free(e);
    }
    memory_free(mutant);
    memory_free(o.report);
}

/* A map that names a device, a folder and a pipe: none is opened, or read. */
static void test_hostile_files(void **state)
{
    struct report r = {.frame_count = 2, .frames = {.total = 2, .pc = {0x400100, 0x500100}}};
    char maps[] = "00400000-00401000 r-xp 00000000 00:05 1    /dev/zero\n"
                  "00500000-00501000 r-xp 00000000 00:05 2    /tmp\n"
                  "00600000-00601000 r-xp 00000000 00:05 3    relative\n";
    r.maps = maps;
    struct backtrace b;
    assert_success(backtrace_read(&b, &r));
    assert_null(b.file);
    assert_text(b.text, "0x400100");
    backtrace_free(&b);
}

/* ---- the OOM killer ---- */

static long long count_in(const char *text)
{
    char path[] = "/tmp/oom-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    long long count = oom_count(path);
    unlink(path);
    return count;
}

static char *noted(struct oom_counts before, struct oom_counts now)
{
    yoke_error *e = yoke_raise(&DIED, "died");
    oom_note_counts(e, &before, &now);
    char *text = yoke_error_text(e);
    yoke_error_free(e);
    return text;
}

/* Killing by it can't be had in a test: what the kernel would count is given. */
static void test_crash_24_oom_killer_by_its_counters(void **state)
{
    assert_int_equal(count_in("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), 2);
    assert_int_equal(count_in("pgfault 17\noom_kill 41\n"), 41);
    assert_int_equal(count_in("pgfault 17\n"), -1);
    assert_int_equal(oom_count("/nonexistent"), -1);
    assert_true(oom_count(OOM_SYSTEM) >= 0);
    char *text = noted((struct oom_counts){2, 7}, (struct oom_counts){3, 8});
    assert_text(
        text,
        "struck in this control group: it ran out of memory (oom_kill in memory.events went from 2 to 3)");
    free(text);
    text = noted((struct oom_counts){-1, 7}, (struct oom_counts){-1, 9});
    assert_text(text, "it may have been this process (oom_kill in /proc/vmstat went from 7 to 9)");
    free(text);
    text = noted((struct oom_counts){2, 7}, (struct oom_counts){2, 7});
    assert_no_text(text, "OOM");
    free(text);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "crash") == 0) {
        install(atoi(argv[2]), "root");
        run_job((struct job){(enum crash)atoi(argv[3]), (enum where)atoi(argv[4])});
    }
    const struct CMUnitTest tests[] = {
        TEST(test_segv),
        TEST(test_abort),
        TEST(test_bus),
        TEST(test_fpe),
        TEST(test_ill),
        TEST(test_bad_call),
        TEST(test_report_has_the_facts),
        TEST(test_inlined_frames),
        TEST(test_overflow_of_a_task),
        TEST(test_overflow_of_the_main_task),
        TEST(test_crash_04_overflow_of_the_main_thread),
        TEST(test_crash_04_overflow_of_a_thread),
        TEST(test_crash_04_overflow_of_a_callback),
        TEST(test_crash_04_overflow_of_a_thread_without_a_report),
        TEST(test_crash_04_stack_of_a_thread_that_ends),
        TEST(test_crash_06_while_another_thread_loads),
        TEST(test_registers_on_request),
        TEST(test_fork_of_the_installer_is_silent),
        TEST(test_full_pipe),
        TEST(test_sent_signal),
        TEST(test_crash_with_a_wild_stack),
        TEST(test_crash_07_second_fault_in_the_handler),
        TEST(test_root),
        TEST(test_crash_04_overflow_in_the_root),
        TEST(test_crash_22_core_is_not_written_over_another),
        TEST(test_cut_reports),
        TEST(test_garbage_reports),
        TEST(test_hostile_files),
        TEST(test_crash_24_oom_killer_by_its_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
