#include "devx/stop/break_table.h"

#include "devx/stop/session.h"
#include "devx/stop/trap.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

__attribute__((used)) struct break_table devx_break_table;

#ifdef __x86_64__

enum { INT3 = 0xcc, TRAP_FLAG = 0x100 };

/* A fork of the program's own has the table too, but nobody to ask. */
static pid_t owner;
/* The one that this thread steps over. */
static _Thread_local struct break_entry *stepped __attribute__((tls_model("initial-exec")));

/* Code can't be written, but by this file, which debuggers are for; and where that is forbidden, after all.
 */
static bool write_code(uint64_t address, uint8_t byte)
{
    int fd = open("/proc/self/mem", O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && pwrite(fd, &byte, 1, (off_t)address) == 1;
    if (fd >= 0)
        close(fd);
    if (done)
        return true;
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = (void *)(uintptr_t)(address / page_bytes * page_bytes);
    if (mprotect(page, page_bytes, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
        return false;
    memcpy((void *)(uintptr_t)address, &byte, 1);
    return mprotect(page, page_bytes, PROT_READ | PROT_EXEC) == 0;
}

static bool is_in_code(const struct break_entry *b)
{
    return *(volatile uint8_t *)(uintptr_t)b->address == INT3;
}

static struct break_entry *find(uint64_t address)
{
    for (size_t i = 0; i < BREAK_ENTRIES; i++)
        if (devx_break_table.entries[i].address == address)
            return &devx_break_table.entries[i];
    return NULL;
}

/* Other threads may pass meanwhile, for the time of one instruction. */
static void begin_step(struct break_entry *b, greg_t *registers)
{
    if (!write_code(b->address, b->byte))
        return;
    registers[REG_EFL] |= TRAP_FLAG;
    stepped = b;
}

static void end_step(greg_t *registers)
{
    /* A repeated instruction (`rep movsb`) stands where it was, with less to do. */
    if ((uint64_t)registers[REG_RIP] == stepped->address)
        return;
    registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    if (stepped->number)
        write_code(stepped->address, INT3);
    stepped = NULL;
}

/* A debugger that has come and stays has put back the code, and has breakpoints of its own there; one that
 * was killed has put it back, too. */
static void stop_and_go_over(struct break_entry *b, greg_t *registers)
{
    if (getpid() != owner) {
        write_code(b->address, b->byte);
        return;
    }
    if (b->number)
        trap_stop("yoke break", (void *)(uintptr_t)b->address, __builtin_frame_address(0));
    if (!session_is_here() && is_in_code(b))
        begin_step(b, registers);
}

static bool is_his(const siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (stepped && info->si_code == TRAP_TRACE) {
        end_step(registers);
        return true;
    }
    struct break_entry *b = info->si_code > 0 ? find((uint64_t)registers[REG_RIP] - 1) : NULL;
    if (!b)
        return false;
    registers[REG_RIP]--; /* the instruction is yet to come */
    stop_and_go_over(b, registers);
    return true;
}

void break_table_begin(void)
{
    owner = getpid();
    trap_ask_first(is_his);
    devx_break_table.ready = 1;
}

void break_table_end(void)
{
    devx_break_table.ready = 0;
    for (size_t i = 0; i < BREAK_ENTRIES; i++) {
        struct break_entry *b = &devx_break_table.entries[i];
        if (b->number && is_in_code(b))
            write_code(b->address, b->byte);
        b->number = 0;
    }
    trap_ask_first(NULL);
}

#else

void break_table_begin(void)
{
}

void break_table_end(void)
{
}

#endif
