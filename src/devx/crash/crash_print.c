/* The report on stderr, of a root, and of a task that comes to no checkpoint. */
#include "devx/crash/crash.h"
#include "devx/crash/crash_report.h"
#include "devx/trace/maps.h"
#include "devx/trace/registers.h"
#include "task/stack_info.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { LINE_BYTES = 1024 };

struct line {
    char text[LINE_BYTES];
    size_t used;
};

static struct line line; /* of the crash */

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

/* A stderr that takes no more is no reason to stop. */
static void end_line(struct line *l)
{
    if (l->used == sizeof l->text)
        l->used--;
    l->text[l->used++] = '\n';
    for (size_t at = 0; at < l->used;) {
        ssize_t n = write(STDERR_FILENO, l->text + at, l->used - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    l->used = 0;
}

/* ---- the crash ---- */

const char *crash_signal_text(int number)
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

void crash_print_head(struct crash *c)
{
    add_text(&line, "yoke: actor ");
    add_text(&line, c->name);
    add_text(&line, " (pid ");
    add_number(&line, (uint64_t)getpid(), 10);
    add_text(&line, ") died of ");
    add_text(&line, crash_signal_text(c->info.si_signo));
    if (c->info.si_code > 0 && c->info.si_code != SI_KERNEL) {
        add_text(&line, " at address ");
        add_number(&line, (uint64_t)(uintptr_t)c->info.si_addr, 16);
    }
    end_line(&line);
}

static void add_spawn(struct line *l, const char *file, int number)
{
    add_text(l, "spawned at ");
    add_text(l, file[0] ? file : "the start of the run");
    if (file[0]) {
        add_text(l, ":");
        add_number(l, (uint64_t)number, 10);
    }
}

void crash_print_task(struct crash *c)
{
    if (!c->has_task)
        return;
    add_text(&line, "  in task `");
    add_text(&line, c->task.name);
    add_text(&line, "`, ");
    add_spawn(&line, c->task.spawn_file, c->task.spawn_line);
    end_line(&line);
}

static void add_stack_of(struct line *l, const struct report *r)
{
    if (r->has_task)
        add_text(l, "the task");
    else if (r->stack.kind == REPORT_STACK_OF_MAIN_THREAD)
        add_text(l, "the main thread");
    else if (r->stack.kind == REPORT_STACK_OF_TASK)
        add_text(l, "a callback outside of any task");
    else {
        add_text(l, "thread `");
        add_text(l, r->head.thread);
        add_text(l, "`");
    }
}

void crash_print_overflow(struct crash *c)
{
    static struct report r;
    r.head = crash_head(c);
    r.has_task = c->has_task;
    r.task = c->task;
    r.stack = c->stack;
    if (!report_is_task_overflow(&r) && !report_is_thread_overflow(&r))
        return;
    add_text(&line, "  stack overflow of ");
    add_stack_of(&line, &r);
    end_line(&line);
}

void crash_print_registers(struct crash *c)
{
    enum { A_LINE = 4 };
    uint64_t values[REGISTERS_MAX];
    size_t count = c->registers ? registers_read(values, c->context) : 0;
    for (size_t i = 0; i < count; i++) {
        add_text(&line, "  ");
        add_text(&line, registers_name(i));
        add_text(&line, " ");
        add_number(&line, values[i], 16);
        if (i % A_LINE == A_LINE - 1 || i + 1 == count)
            end_line(&line);
    }
}

/* ---- frames ---- */

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
    size_t count = trace_gather(t);
    for (size_t i = 0; i < count; i++) {
        if (i == REPORT_FIRST && t->frames.total > REPORT_FRAMES_MAX) {
            add_text(l, "    ...");
            end_line(l);
        }
        print_frame(l, t->frames.pc[i]);
    }
}

void crash_print_frames(struct crash *c)
{
    print_trace(&line, &c->trace);
}

void crash_print_core(const char *path, const char *why_not)
{
    add_text(&line, path ? "  core file: " : "  no core file: ");
    add_text(&line, path ? path : why_not);
    end_line(&line);
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
    add_text(l, "` runs, ");
    add_spawn(l, info.spawn_file ? info.spawn_file : "", info.spawn_line);
}

void crash_tell_running(void *context)
{
    /* The scheduler's thread alone comes here. Not on the stack, which may be a task's. */
    static struct trace trace;
    static struct line l;
    char thread[17] = "";
    l.used = 0;
    prctl(PR_GET_NAME, thread);
    add_text(&l, "yoke: ");
    add_text(&l, thread);
    add_text(&l, " (pid ");
    add_number(&l, (uint64_t)getpid(), 10);
    add_text(&l, ") comes to no checkpoint: ");
    tell_task_that_runs(&l);
    end_line(&l);
    trace_begin(&trace);
    trace_take(&trace, context, true);
    print_trace(&l, &trace);
}
