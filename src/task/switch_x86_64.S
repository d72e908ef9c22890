/*
 * switch_stack(from = rdi, to = rsi). Saved: rbx, rbp, r12 to r15, and the control words of SSE and x87. The layout is known
 * to switch_prepare in switch.c. switch_start is where a new stack begins: its frame is marked as the outermost, so that backtraces end.
 */
#if defined(__x86_64__) && !defined(YOKE_UCONTEXT)
    .text
    .globl switch_stack
    .hidden switch_stack
    .type switch_stack, @function
    .p2align 4
switch_stack:
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsp, %rax
    movq (%rsi), %rsp
    /* Loading a control word costs more than seeing that it is the same, as it nearly always is. */
    movl (%rsp), %ecx
    cmpl %ecx, (%rax)
    jne 2f
1:  movzwl 4(%rsp), %ecx
    cmpw %cx, 4(%rax)
    jne 3f
4:  .cfi_remember_state
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    /* ret and not a jump: tasks mostly wait in the same call, so the processor foretells it, and the returns above it, rightly; a jump
       would leave one return too many in its memory, and each of those would be wrong. */
    ret
    .cfi_restore_state
2:  ldmxcsr (%rsp)
    jmp 1b
3:  fldcw 4(%rsp)
    jmp 4b
    .cfi_endproc
    .size switch_stack, .-switch_stack

    .globl switch_start
    .hidden switch_start
    .type switch_start, @function
    .p2align 4
switch_start:
    .cfi_startproc
    .cfi_undefined rip
    .cfi_undefined rbp
    movq %r12, %rdi
    xorl %ebp, %ebp
    callq *%rbx
    ud2
    .cfi_endproc
    .size switch_start, .-switch_start
#endif
    .section .note.GNU-stack, "", %progbits
