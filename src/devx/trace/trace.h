/*
 * The calls of a thread that a signal has interrupted. Takes none of the process' locks: the loader's, that
 * of malloc, or one of the unwinder's may be what is broken, or its owner may stand still.
 */
#ifndef DEVX_TRACE_H
#define DEVX_TRACE_H

#include "devx/trace/maps.h"
#include "devx/trace/registers.h"
#include "devx/trace/report.h"

#include <stdbool.h>

enum { TRACE_MODULES_MAX = 256 };

/* What is mapped of a file, or of the kernel's own code. */
struct trace_module {
    uint64_t low, high;
    uint64_t base;  /* of the file's first page */
    uint64_t table; /* its .eh_frame_hdr; 0: not looked for yet, 1: none */
};

struct trace {
    struct report_frames frames;
    uint64_t last[REPORT_LAST]; /* a ring */
    struct trace_module modules[TRACE_MODULES_MAX];
    size_t module_count;
    /* For the walk alone. */
    struct maps maps;
    uint64_t registers[REGISTERS_MAX];
    size_t register_count;
};

/* In a healthy process, before the others: without memory for it there will be no frames but the first. */
void trace_prepare(void);
/* Begins with no frames. Async-signal-safe, as all from here on; `t` is too large for a stack. */
void trace_begin(struct trace *t);
/* One more, further out than those before. */
void trace_add(struct trace *t, uint64_t pc);
/* All from `context` on. is_exact: its address is that of an instruction, and not where a call returns to. A
 * broken stack may crash it: what it has so far is in `t` then. */
void trace_take(struct trace *t, const ucontext_t *context, bool is_exact);
/* Puts the last frames behind the first, in order; returns how many there are in t->frames.pc. */
size_t trace_gather(struct trace *t);

#endif
