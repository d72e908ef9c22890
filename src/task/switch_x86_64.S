/*
 * Where a new stack begins: entry and its argument lie on it, as switch_prepare in switch.h has put them. The frame is marked as the
 * outermost, so that backtraces end. Entry is jumped to, with the return address that a call would have left: a call that never returns
 * would stay in the processor's memory of returns, and all returns of the next task that is switched to would be foretold wrongly.
 */
#if defined(__x86_64__) && !defined(YOKE_UCONTEXT)
    .text
    .globl switch_start
    .hidden switch_start
    .type switch_start, @function
    .p2align 4
switch_start:
    .cfi_startproc
    .cfi_undefined rip
    .cfi_undefined rbp
    popq %rax
    .cfi_adjust_cfa_offset -8
    popq %rdi
    .cfi_adjust_cfa_offset -8
    xorl %ebp, %ebp
    leaq 1f(%rip), %rcx
    pushq %rcx
    .cfi_adjust_cfa_offset 8
    jmpq *%rax
    nop
1:
    ud2
    .cfi_endproc
    .size switch_start, .-switch_start
#endif
    .section .note.GNU-stack, "", %progbits
