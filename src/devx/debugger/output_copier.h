/*
 * The process that stands between a tree in debug mode and its terminal: it copies what comes out of a pty,
 * and holds it back while somebody is at the debugger's prompt. A process of its own, since the root itself
 * may be the one that stands still, or has crashed.
 */
#ifndef DEVX_OUTPUT_COPIER_H
#define DEVX_OUTPUT_COPIER_H

#include <stdint.h>

/* What it can be told, and answers with the same word, or by its end; OUTPUT_GO has no answer. */
enum output_what {
    OUTPUT_READY, /* its own first word, of number 0 */
    OUTPUT_HOLD,  /* what was printed before is out, and nothing more comes */
    OUTPUT_GO,    /* what was held is printed, and the rest as it comes */
    OUTPUT_DRAIN, /* the same, and what was printed before is out */
};

struct output_word {
    uint32_t number; /* the asker's, so that a late answer can be told */
    uint32_t what;
};

/* The longest that an answer takes: a terminal which takes nothing, or little, is not waited for. */
enum { OUTPUT_STALL_MS = 2000, OUTPUT_SETTLE_MS = 8000 };

/*
 * In a process made by clone(2) for it, with all signals blocked: keeps these descriptors alone, and ends
 * when nobody has the pty's other side any more and all is printed, or the terminal has gone. `control`: a
 * SOCK_SEQPACKET socket, whose other end may close; `master`: the pty's. Async-signal-safe.
 */
void output_copier_run(int control, int terminal, int master) __attribute__((noreturn));

#endif
