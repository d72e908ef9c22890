/*
 * Breakpoints for an actor's life (`yoke break` at the prompt): instructions of the program that a debugger
 * has replaced by int3, in a table that it reads and writes too (devx/debugger/prompt.py). A task or thread
 * that comes to one stops as by yoke_pause, and goes over it by a single step. x86-64 alone: elsewhere the
 * table stays empty.
 */
#ifndef DEVX_BREAK_TABLE_H
#define DEVX_BREAK_TABLE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum { BREAK_ENTRIES = 64 };

struct break_entry {
    uint64_t address; /* 0: free. It stays when the breakpoint is deleted: one may just have run into it */
    uint32_t number;  /* by which a person knows it; 0: deleted */
    uint8_t byte;     /* that the int3 has replaced */
    uint8_t reserved[3];
};

struct break_table {
    volatile uint32_t ready; /* there is somebody who steps over them */
    uint32_t reserved;
    struct break_entry entries[BREAK_ENTRIES];
};

/* Debuggers know it by this name. */
extern struct break_table devx_break_table;

/* In debug mode, once trap_begin was called; and before trap_end: all are as they were then, and gone. */
void break_table_begin(void);
void break_table_end(void);

#endif
