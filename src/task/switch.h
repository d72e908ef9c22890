/*
 * From one stack to another: what a call must preserve is kept, the stack pointer changes, and what the new
 * stack had kept comes back. In assembly for x86-64 (System V psABI 1.0, 3.2.1) and aarch64 (AAPCS64, 6.1.1);
 * with ucontext elsewhere, or when YOKE_UCONTEXT is defined.
 */
#ifndef TASK_SWITCH_H
#define TASK_SWITCH_H

#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#if !defined(YOKE_UCONTEXT) && defined(__x86_64__)

struct switch_context {
    void *sp, *ip, *bp;
    uint32_t mxcsr; /* SSE's control word */
    uint16_t fcw;   /* x87's */
};

#ifdef __AVX512F__
#define SWITCH_MORE_REGISTERS                                                                                \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",     \
        "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define SWITCH_MORE_REGISTERS
#endif

/*
 * Saves where the caller stands in `from`, and goes on where `to` was saved. Returns `from`, when somebody
 * has switched back to it. `*keep` is the same in all switches between the same stacks: it, and `from`, come
 * back in registers (who switches back gives it as `to`), so that the caller needs not keep them in its
 * frame.
 *
 * Inline, so that the compiler saves what it needs of the registers once, with those that its function saves
 * anyway. Nothing is pushed: the red zone may be in use. MXCSR is loaded without a look whether it differs:
 * the store of stmxcsr comes so late that a comparison waits for it three times as long as a load takes (Zen
 * 1: 2.6 of 9 ns a switch; Zen 5: 1.7 of 4.3); for x87's control word it is the other way round. The jump
 * goes to the same few places always, which the processor foretells, and leaves its memory of returns alone.
 */
static inline __attribute__((always_inline)) struct switch_context *
switch_stack(struct switch_context *from, struct switch_context *to, void **keep)
{
    void *kept = *keep;
    __asm__ volatile("stmxcsr 24(%0)\n\t"
                     "fnstcw 28(%0)\n\t"
                     "movq %%rsp, (%0)\n\t"
                     "movq %%rbp, 16(%0)\n\t"
                     "leaq 2f(%%rip), %%rax\n\t"
                     "movq %%rax, 8(%0)\n\t"
                     "movq (%1), %%rsp\n\t"
                     "movq 16(%1), %%rbp\n\t"
                     "ldmxcsr 24(%1)\n\t"
                     "movzwl 28(%1), %%eax\n\t"
                     "cmpw %%ax, 28(%0)\n\t"
                     "jne 1f\n"
                     "0:\tjmpq *8(%1)\n"
                     "1:\tfldcw 28(%1)\n\t"
                     "jmp 0b\n\t"
                     ".p2align 4\n"
                     "2:"
                     : "+D"(from), "+S"(to), "+d"(kept)
                     :
                     : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
                       "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)",
                       "st(5)", "st(6)", "st(7)", "cc", "memory" SWITCH_MORE_REGISTERS);
    *keep = kept;
    return to;
}

/* As switch_stack, for one that never comes back. */
static inline __attribute__((always_inline, noreturn)) void switch_for_good(struct switch_context *to,
                                                                            void *keep)
{
    __asm__ volatile("movq (%0), %%rsp\n\t"
                     "movq 16(%0), %%rbp\n\t"
                     "ldmxcsr 24(%0)\n\t"
                     "fldcw 28(%0)\n\t"
                     "jmpq *8(%0)"
                     :
                     : "S"(to), "d"(keep)
                     : "memory");
    __builtin_unreachable();
}

void switch_start(void);

/* Makes `context` begin at entry(arg) on the stack [low, high); entry must not return. */
static inline void switch_prepare(struct switch_context *context, void *low, void *high,
                                  void (*entry)(void *), void *arg)
{
    (void)low;
    /* switch_start pops entry and arg. Behind that the stack pointer is a multiple of 16, so that a return
       address leaves entry aligned as the psABI asks (3.2.2). */
    uint64_t *frame = (uint64_t *)((uintptr_t)high & ~(uintptr_t)15) - 2;
    frame[0] = (uint64_t)(uintptr_t)entry;
    frame[1] = (uint64_t)(uintptr_t)arg;
    *context = (struct switch_context){
        .sp = frame,
        .ip = (void *)(uintptr_t)switch_start,
        .mxcsr = 0x1f80, /* both as the ABI has them at first */
        .fcw = 0x037f,
    };
}

#elif !defined(YOKE_UCONTEXT) && defined(__aarch64__)

struct switch_context {
    void *sp;
};

#else

struct switch_context {
    ucontext_t context;
};

#endif

/*
 * The registers that whoever switched away from `context` will find when it goes on, for an unwinder. Only
 * those that a call preserves are set; the rest is zero.
 */
void switch_describe(const struct switch_context *context, ucontext_t *out);

#if defined(YOKE_UCONTEXT) || !defined(__x86_64__)
/* Saves the caller's registers and stack in `from`, and goes on where `to` was saved. */
void switch_registers(struct switch_context *from, struct switch_context *to);
void switch_prepare(struct switch_context *context, void *low, void *high, void (*entry)(void *), void *arg);

/* See above. */
static inline struct switch_context *switch_stack(struct switch_context *from, struct switch_context *to,
                                                  void **keep)
{
    (void)keep;
    switch_registers(from, to);
    return from;
}

static inline __attribute__((noreturn)) void switch_for_good(struct switch_context *to, void *keep)
{
    struct switch_context nowhere;
    (void)keep;
    switch_registers(&nowhere, to);
    __builtin_unreachable();
}
#endif

#endif
