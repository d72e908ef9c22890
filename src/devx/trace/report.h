/*
 * The report of a crash: how it lies in the pipe, and what the parent reads out of it.
 *
 * In the pipe: sections, each a struct report_section and `bytes` of payload, in native layout (writer and
 * reader are on one machine), in the order in which they matter, since a report may be cut anywhere. The
 * reader trusts nothing: who wrote it was broken.
 */
#ifndef DEVX_REPORT_H
#define DEVX_REPORT_H

#include "devx/trace/registers.h"

#include <yoke/base.h>

#include <sys/types.h>

/* ---- in the pipe ---- */

enum { REPORT_MAGIC = 0x52434b59 /* "YKCR" */, REPORT_VERSION = 1 };
enum report_tag {
    REPORT_HEAD = 1,
    REPORT_TASK,
    REPORT_FRAMES,
    REPORT_MAPS,
    REPORT_TEXT,
    REPORT_SPAWNS,
    REPORT_WAITS,
    REPORT_STACK,
    REPORT_REGISTERS
};

struct report_section {
    uint32_t magic, tag, bytes;
};

/* The first section. */
struct report_head {
    uint32_t version;
    int32_t signal, code; /* as in siginfo_t */
    int32_t pid, tid;
    int32_t sender; /* who sent the signal, if code says that somebody did */
    uint64_t address, pc, sp;
    char thread[16];
};

/* If a task was running: the second one. */
struct report_task {
    uint64_t stack_low, stack_high, guard_bytes; /* as in struct task_stack_info */
    int32_t spawn_line;
    char name[64], spawn_file[256]; /* cut, and ended by a zero */
};

/* If none was: whose stack the thread stood on, if that is known. */
enum report_stack_kind { REPORT_STACK_OF_MAIN_THREAD = 1, REPORT_STACK_OF_THREAD, REPORT_STACK_OF_TASK };
struct report_stack {
    uint64_t low, high, guard_bytes; /* as in struct task_stack_info */
    uint64_t kind;                   /* enum report_stack_kind; of a task: a callback between two tasks */
};

/* If they are asked for (YOKE_CRASH_REGISTERS): uint64_t each, in the order of devx/trace/registers.h. */

/*
 * From the innermost frame outwards: program counters of the first REPORT_FIRST frames, and, of a deeper
 * stack, those of the last REPORT_LAST (the outermost). `total` counts all.
 */
enum { REPORT_FIRST = 96, REPORT_LAST = 32, REPORT_FRAMES_MAX = REPORT_FIRST + REPORT_LAST };
struct report_frames {
    uint64_t total;
    uint64_t pc[REPORT_FRAMES_MAX];
};

/* REPORT_TEXT, if the C library said why it aborts (a failed assertion, a broken heap): that. */
enum { REPORT_TEXT_MAX = 1024 };

/* REPORT_SPAWNS: the running task, whoever spawned it, and so on (task_spawn_chain). */
enum { REPORT_SPAWNS_MAX = 16 };
struct report_spawn {
    int32_t line;
    char task[64], file[160]; /* cut, and ended by a zero */
};

/* Then REPORT_MAPS, many times: whole lines of /proc/self/maps, those of mapped files. */

/* Last, if the process waits for a debugger: where that writes its answer, as in struct pause_request. */
struct report_wait {
    uint64_t answer, owed, frame;
    uint64_t wants; /* enum crash_wait_for */
};

/* ---- in the parent ---- */

struct report {
    struct report_head head;
    bool has_task;
    struct report_task task;
    struct report_stack stack; /* kind 0: not known */
    uint64_t registers[REGISTERS_MAX];
    size_t register_count;
    struct report_frames frames;
    size_t frame_count; /* in frames.pc */
    char text[REPORT_TEXT_MAX];
    struct report_spawn spawns[REPORT_SPAWNS_MAX];
    size_t spawn_count;
    struct report_wait wait; /* answer 0: it does not */
    char *maps;              /* lines, ended by a zero; "" at least */
};

/*
 * Reads what is there of a report; what is missing, cut or senseless stays zero. YOKE_END_OF_CHANNEL: not
 * even the head is whole; YOKE_NO_MEMORY. On success report_free frees it.
 */
YOKE_MUST_USE yoke_error *report_decode(struct report *out, const void *bytes, size_t size);
void report_free(struct report *report);

/* Adds notes: what the fault was. */
void report_note(yoke_error *e, const struct report *report);
/* Did the crash hit the end of the running task's stack? */
bool report_is_task_overflow(const struct report *report);
/* Without a task: did it hit the end of the stack that the thread stood on, or, where that is not known, what
 * lies just beyond the stack pointer? */
bool report_is_thread_overflow(const struct report *report);
/* Does `address` mean something: is it the one that a memory access or an instruction failed at? */
bool report_has_address(const struct report *report);

/*
 * Adds to `e`, the error of a crashed child, what its report tells: place and task,
 * backtrace, and notes. Blocks for as long as the symbols take to read.
 */
void crash_describe(yoke_error *e, const void *report, size_t size);

#endif
