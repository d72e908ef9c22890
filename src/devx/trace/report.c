/* Reading a report that may be cut anywhere, or be anything, and telling it to a person. */
#include "devx/trace/report.h"

#include "base/error.h"
#include "base/memory.h"
#include "devx/trace/backtrace.h"
#include "devx/trace/oom.h"

#include <yoke/actor.h>

#include <signal.h>
#include <string.h>

static void end_text(char *text, size_t size)
{
    text[size - 1] = '\0';
}

/* ---- sections ---- */

static void take_head(struct report *r, const uint8_t *payload, size_t bytes, bool *has_head)
{
    if (*has_head || bytes < sizeof r->head)
        return;
    memcpy(&r->head, payload, sizeof r->head);
    end_text(r->head.thread, sizeof r->head.thread);
    *has_head = r->head.version == REPORT_VERSION;
}

static void take_task(struct report *r, const uint8_t *payload, size_t bytes)
{
    if (r->has_task || bytes < sizeof r->task)
        return;
    memcpy(&r->task, payload, sizeof r->task);
    end_text(r->task.name, sizeof r->task.name);
    end_text(r->task.spawn_file, sizeof r->task.spawn_file);
    r->has_task = true;
}

static void take_stack(struct report *r, const uint8_t *payload, size_t bytes)
{
    if (bytes >= sizeof r->stack)
        memcpy(&r->stack, payload, sizeof r->stack);
}

static void take_registers(struct report *r, const uint8_t *payload, size_t bytes)
{
    if (bytes > sizeof r->registers)
        bytes = sizeof r->registers;
    memcpy(r->registers, payload, bytes);
    r->register_count = bytes / sizeof r->registers[0];
}

static void take_frames(struct report *r, const uint8_t *payload, size_t bytes)
{
    if (r->frame_count || bytes < sizeof r->frames.total)
        return;
    if (bytes > sizeof r->frames)
        bytes = sizeof r->frames;
    memcpy(&r->frames, payload, bytes);
    r->frame_count = (bytes - sizeof r->frames.total) / sizeof r->frames.pc[0];
    if (r->frames.total < r->frame_count)
        r->frames.total = r->frame_count;
}

static void take_text(struct report *r, const uint8_t *payload, size_t bytes)
{
    if (bytes >= sizeof r->text)
        bytes = sizeof r->text - 1;
    memcpy(r->text, payload, bytes);
    r->text[bytes] = '\0';
    r->text[strcspn(r->text, "\n")] = '\0';
}

static void take_spawns(struct report *r, const uint8_t *payload, size_t bytes)
{
    if (bytes > sizeof r->spawns)
        bytes = sizeof r->spawns;
    memcpy(r->spawns, payload, bytes);
    r->spawn_count = bytes / sizeof r->spawns[0];
    for (size_t i = 0; i < r->spawn_count; i++) {
        end_text(r->spawns[i].task, sizeof r->spawns[i].task);
        end_text(r->spawns[i].file, sizeof r->spawns[i].file);
    }
}

/* `used` bytes are in maps already, which has room for all. A cut line at the end goes. */
static size_t take_maps(struct report *r, size_t used, const uint8_t *payload, size_t bytes)
{
    while (bytes && payload[bytes - 1] != '\n')
        bytes--;
    memcpy(r->maps + used, payload, bytes);
    /* A zero would end the text for whoever reads it. */
    for (size_t i = used; i < used + bytes; i++)
        if (!r->maps[i])
            r->maps[i] = '?';
    return used + bytes;
}

yoke_error *report_decode(struct report *out, const void *bytes, size_t size)
{
    memset(out, 0, sizeof *out);
    out->maps = memory_alloc(size + 1);
    if (!out->maps)
        return yoke_raise(&YOKE_NO_MEMORY, "reading a crash report of %zu bytes", size);
    const uint8_t *at = bytes;
    size_t left = size, maps_bytes = 0;
    bool has_head = false;
    struct report_section section;
    while (left > sizeof section) {
        memcpy(&section, at, sizeof section);
        if (section.magic != REPORT_MAGIC)
            break;
        at += sizeof section;
        left -= sizeof section;
        size_t payload = section.bytes < left ? section.bytes : left;
        if (section.tag == REPORT_HEAD)
            take_head(out, at, payload, &has_head);
        else if (section.tag == REPORT_TASK)
            take_task(out, at, payload);
        else if (section.tag == REPORT_STACK)
            take_stack(out, at, payload);
        else if (section.tag == REPORT_REGISTERS)
            take_registers(out, at, payload);
        else if (section.tag == REPORT_FRAMES)
            take_frames(out, at, payload);
        else if (section.tag == REPORT_TEXT)
            take_text(out, at, payload);
        else if (section.tag == REPORT_SPAWNS)
            take_spawns(out, at, payload);
        else if (section.tag == REPORT_WAITS && payload == sizeof out->wait)
            memcpy(&out->wait, at, payload);
        else if (section.tag == REPORT_MAPS)
            maps_bytes = take_maps(out, maps_bytes, at, payload);
        at += payload;
        left -= payload;
    }
    out->maps[maps_bytes] = '\0';
    if (has_head)
        return NULL;
    report_free(out);
    return yoke_raise(&YOKE_END_OF_CHANNEL, "the crash report is cut or broken (%zu bytes)", size);
}

void report_free(struct report *report)
{
    memory_free(report->maps);
    report->maps = NULL;
}

/* ---- what it means ---- */

/* How far below the stack pointer a function with a large frame may touch first. */
#define REACH_BYTES ((uint64_t)64 << 10)

static bool is_memory_fault(const struct report *r)
{
    return (r->head.signal == SIGSEGV || r->head.signal == SIGBUS) && r->head.code > 0;
}

bool report_has_address(const struct report *r)
{
    return r->head.code > 0 && r->head.code != SI_KERNEL && r->head.signal != SIGABRT;
}

static bool is_overflow(const struct report_head *head, uint64_t low, uint64_t guard_bytes)
{
    if (head->address >= low - guard_bytes && head->address < low)
        return true;
    /* Over the guard in one step: the stack pointer is below it, and the fault near that. */
    return head->sp < low && low - head->sp < REACH_BYTES && head->address < low &&
           low - head->address < 2 * REACH_BYTES;
}

bool report_is_task_overflow(const struct report *r)
{
    return r->has_task && is_memory_fault(r) && r->task.stack_low >= r->task.guard_bytes &&
           is_overflow(&r->head, r->task.stack_low, r->task.guard_bytes);
}

static bool hits_beyond_sp(const struct report_head *head)
{
    return head->address < head->sp + 4096 && head->address + REACH_BYTES > head->sp;
}

bool report_is_thread_overflow(const struct report *r)
{
    if (r->has_task || !is_memory_fault(r))
        return false;
    /* The kernel has its own idea of where the main thread's ends: by the limit as it is now, and from a
     * begin that nobody is told. */
    if (!r->stack.kind || r->stack.kind == REPORT_STACK_OF_MAIN_THREAD)
        return hits_beyond_sp(&r->head);
    return r->stack.low >= r->stack.guard_bytes && is_overflow(&r->head, r->stack.low, r->stack.guard_bytes);
}

/* ---- telling it ---- */

static const char *reason(const struct report_head *head)
{
    static const struct {
        int signal, code;
        const char *text;
    } reasons[] = {
        {SIGSEGV, SEGV_MAPERR, "nothing is mapped there"},
        {SIGSEGV, SEGV_ACCERR, "that access is not allowed there"},
        {SIGSEGV, SI_KERNEL, "an address that can't exist"},
        {SIGBUS, BUS_ADRALN, "a misaligned address"},
        {SIGBUS, BUS_ADRERR, "beyond the end of a mapped file"},
        {SIGBUS, BUS_MCEERR_AR, "broken memory"},
        {SIGFPE, FPE_INTDIV, "integer division by zero"},
        {SIGFPE, FPE_INTOVF, "integer overflow"},
        {SIGFPE, FPE_FLTDIV, "floating-point division by zero"},
        {SIGFPE, FPE_FLTINV, "invalid floating-point operation"},
        {SIGILL, ILL_ILLOPC, "illegal instruction"},
        {SIGILL, ILL_ILLOPN, "illegal instruction"},
        {SIGILL, ILL_PRVOPC, "privileged instruction"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].signal == head->signal && reasons[i].code == head->code)
            return reasons[i].text;
    return NULL;
}

static void note_fault(yoke_error *e, const struct report *r)
{
    const char *why = reason(&r->head);
    if (report_has_address(r))
        yoke_error_note(e, "at address 0x%llx%s%s", (unsigned long long)r->head.address, why ? ": " : "",
                        why ? why : "");
    else if (why)
        yoke_error_note(e, "%s", why);
    else if (r->head.sender && r->head.sender != r->head.pid)
        yoke_error_note(e, "the signal was sent by process %d", r->head.sender);
    if (r->text[0])
        yoke_error_note(e, "%s", r->text);
    if (!r->has_task && r->head.tid != r->head.pid)
        yoke_error_note(e, "in thread `%s`, outside of any task", r->head.thread);
}

static unsigned long long kib_of(uint64_t low, uint64_t high)
{
    return (high - low + 1023) / 1024;
}

static void note_thread_overflow(yoke_error *e, const struct report *r)
{
    const struct report_stack *s = &r->stack;
    unsigned long long kib = kib_of(s->low, s->high);
    switch (s->kind) {
    case REPORT_STACK_OF_MAIN_THREAD:
        yoke_error_note(
            e, "stack overflow of the main thread: its stack is %llu KiB; raise it with `ulimit -s`", kib);
        break;
    case REPORT_STACK_OF_THREAD:
        yoke_error_note(
            e,
            "stack overflow of thread `%s`: its stack is %llu KiB; raise it with pthread_attr_setstacksize",
            r->head.thread, kib);
        break;
    case REPORT_STACK_OF_TASK:
        yoke_error_note(
            e, "stack overflow of a callback outside of any task: it ran on a task's stack, of %llu KiB",
            kib_of(s->low - s->guard_bytes, s->high));
        break;
    default:
        yoke_error_note(e, "stack overflow of thread `%s`", r->head.thread);
    }
}

static void note_overflow(yoke_error *e, const struct report *r)
{
    if (report_is_thread_overflow(r))
        note_thread_overflow(e, r);
    if (!report_is_task_overflow(r))
        return;
    const struct report_task *task = &r->task;
    unsigned long long kib = kib_of(task->stack_low - task->guard_bytes, task->stack_high);
    if (task->spawn_file[0])
        yoke_error_note(
            e,
            "stack overflow of task `%s` (spawned at %s:%d): its stack is %llu KiB; raise it with "
            "stack_bytes in yoke_spawn_options",
            task->name, task->spawn_file, task->spawn_line, kib);
    else
        yoke_error_note(e, "stack overflow of task `%s`: its stack is %llu KiB; raise it in yoke_run_options",
                        task->name, kib);
}

static void add_backtrace(yoke_error *e, const struct report *r)
{
    struct backtrace b;
    yoke_error *failed = backtrace_read(&b, r);
    const char *task = r->has_task ? r->task.name : NULL;
    if (failed) {
        yoke_error_note(e, "without a backtrace: %s", yoke_error_message(failed));
        yoke_error_free(failed);
        error_set_place(e, NULL, yoke_error_line(e), NULL, NULL, task);
        return;
    }
    error_set_place(e, b.file, b.file ? b.line : yoke_error_line(e), b.function, NULL, task);
    if (b.text[0])
        error_set_backtrace(e, b.text);
    backtrace_free(&b);
}

static void note_registers(yoke_error *e, const struct report *r)
{
    enum { A_LINE = 4 };
    for (size_t i = 0; i < r->register_count && registers_name(i); i += A_LINE) {
        char text[160];
        int used = 0;
        for (size_t j = i; j < i + A_LINE && j < r->register_count && registers_name(j); j++)
            used += snprintf(text + used, sizeof text - (size_t)used, "%s%s 0x%llx", j > i ? "  " : "",
                             registers_name(j), (unsigned long long)r->registers[j]);
        yoke_error_note(e, "%s", text);
    }
}

void report_note(yoke_error *e, const struct report *r)
{
    note_fault(e, r);
    note_overflow(e, r);
    note_registers(e, r);
}

void crash_describe(yoke_error *e, const void *report, size_t size)
{
    struct report r;
    if (yoke_error_signal(e) == SIGKILL)
        oom_note(e);
    yoke_error *unreadable = report_decode(&r, report, size);
    if (unreadable) {
        if (size)
            yoke_error_note(e, "%s", yoke_error_message(unreadable));
        else if (yoke_error_signal(e) == SIGSEGV)
            yoke_error_note(e, "it has left no report: did a thread overflow its stack, that had not called "
                               "yoke_thread_alternate_stack, or had the program set a handler of its own?");
        yoke_error_free(unreadable);
        return;
    }
    report_note(e, &r);
    add_backtrace(e, &r);
    report_free(&r);
}
