#include "devx/trace/registers.h"

#if defined(__x86_64__)

static const struct {
    int at;
    const char *name;
} registers[] = {
    {REG_RAX, "rax"}, {REG_RDX, "rdx"}, {REG_RCX, "rcx"},    {REG_RBX, "rbx"}, {REG_RSI, "rsi"},
    {REG_RDI, "rdi"}, {REG_RBP, "rbp"}, {REG_RSP, "rsp"},    {REG_R8, "r8"},   {REG_R9, "r9"},
    {REG_R10, "r10"}, {REG_R11, "r11"}, {REG_R12, "r12"},    {REG_R13, "r13"}, {REG_R14, "r14"},
    {REG_R15, "r15"}, {REG_RIP, "rip"}, {REG_EFL, "eflags"},
};
enum { REGISTERS = sizeof registers / sizeof *registers };

size_t registers_read(uint64_t out[REGISTERS_MAX], const ucontext_t *context)
{
    for (size_t i = 0; i < REGISTERS; i++)
        out[i] = (uint64_t)context->uc_mcontext.gregs[registers[i].at];
    return REGISTERS;
}

const char *registers_name(size_t i)
{
    return i < REGISTERS ? registers[i].name : NULL;
}

uint64_t registers_pc(const ucontext_t *context)
{
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
}

uint64_t registers_sp(const ucontext_t *context)
{
    return (uint64_t)context->uc_mcontext.gregs[REG_RSP];
}

__attribute__((no_sanitize("address"))) void registers_leave_call(ucontext_t *context)
{
    context->uc_mcontext.gregs[REG_RIP] = *(const greg_t *)(uintptr_t)registers_sp(context);
    context->uc_mcontext.gregs[REG_RSP] += 8;
}

#elif defined(__aarch64__)

static const char *const names[] = {
    "x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",     "x10", "x11",
    "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",    "x22", "x23",
    "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",  "pc",  "pstate",
};
enum { REGISTERS = sizeof names / sizeof *names, NUMBERED = 31 };

size_t registers_read(uint64_t out[REGISTERS_MAX], const ucontext_t *context)
{
    for (size_t i = 0; i < NUMBERED; i++)
        out[i] = context->uc_mcontext.regs[i];
    out[NUMBERED] = context->uc_mcontext.sp;
    out[NUMBERED + 1] = context->uc_mcontext.pc;
    out[NUMBERED + 2] = context->uc_mcontext.pstate;
    return REGISTERS;
}

const char *registers_name(size_t i)
{
    return i < REGISTERS ? names[i] : NULL;
}

uint64_t registers_pc(const ucontext_t *context)
{
    return context->uc_mcontext.pc;
}

uint64_t registers_sp(const ucontext_t *context)
{
    return context->uc_mcontext.sp;
}

void registers_leave_call(ucontext_t *context)
{
    context->uc_mcontext.pc = context->uc_mcontext.regs[30];
}

#else

size_t registers_read(uint64_t out[REGISTERS_MAX], const ucontext_t *context)
{
    return 0;
}

const char *registers_name(size_t i)
{
    return NULL;
}

uint64_t registers_pc(const ucontext_t *context)
{
    return 0;
}

uint64_t registers_sp(const ucontext_t *context)
{
    return 0;
}

void registers_leave_call(ucontext_t *context)
{
}

#endif
