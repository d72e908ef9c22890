#include "task/switch.h"

#include <stdint.h>
#include <string.h>

#if !defined(YOKE_UCONTEXT) && defined(__x86_64__)

/* The switch is in switch.h. */

void switch_describe(const struct switch_context *context, ucontext_t *out)
{
    memset(out, 0, sizeof *out);
    out->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)context->ip;
    out->uc_mcontext.gregs[REG_RSP] = (greg_t)(uintptr_t)context->sp;
    out->uc_mcontext.gregs[REG_RBP] = (greg_t)(uintptr_t)context->bp;
}

#elif !defined(YOKE_UCONTEXT) && defined(__aarch64__)

void switch_start(void);

void switch_prepare(struct switch_context *context, void *low, void *high, void (*entry)(void *), void *arg)
{
    (void)low;
    uint64_t *frame = (uint64_t *)((uintptr_t)high & ~(uintptr_t)15) - 20;
    memset(frame, 0, 20 * sizeof *frame);
    frame[1] = (uint64_t)(uintptr_t)switch_start; /* x30 */
    frame[2] = (uint64_t)(uintptr_t)entry;        /* x19 */
    frame[3] = (uint64_t)(uintptr_t)arg;          /* x20 */
    context->sp = frame;
}

void switch_describe(const struct switch_context *context, ucontext_t *out)
{
    const uint64_t *frame = context->sp;
    memset(out, 0, sizeof *out);
    out->uc_mcontext.regs[29] = frame[0];
    out->uc_mcontext.regs[30] = out->uc_mcontext.pc = frame[1];
    for (int i = 19; i < 29; i++)
        out->uc_mcontext.regs[i] = frame[2 + i - 19];
    out->uc_mcontext.sp = (uint64_t)(uintptr_t)(frame + 20);
}

#else

/* makecontext passes ints alone: a pointer travels as two. */
static void start(unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
    void (*entry)(void *) = (void (*)(void *))(uintptr_t)((uint64_t)entry_high << 32 | entry_low);
    entry((void *)(uintptr_t)((uint64_t)arg_high << 32 | arg_low));
}

void switch_prepare(struct switch_context *context, void *low, void *high, void (*entry)(void *), void *arg)
{
    uint64_t e = (uint64_t)(uintptr_t)entry, a = (uint64_t)(uintptr_t)arg;
    getcontext(&context->context);
    context->context.uc_link = NULL;
    context->context.uc_stack.ss_sp = low;
    context->context.uc_stack.ss_size = (size_t)((char *)high - (char *)low);
    makecontext(&context->context, (void (*)(void))start, 4, (unsigned)(e >> 32), (unsigned)e,
                (unsigned)(a >> 32), (unsigned)a);
}

void switch_describe(const struct switch_context *context, ucontext_t *out)
{
    *out = context->context;
}

void switch_registers(struct switch_context *from, struct switch_context *to)
{
    swapcontext(&from->context, &to->context);
}

#endif
