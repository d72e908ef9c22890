/*
 * libunwind as for another process, with this one's memory as the other's: unwinding its own process, it
 * would ask the loader for the tables (dl_iterate_phdr), under the loader's lock and with all signals
 * blocked. Here they are found by /proc/self/maps and the files' own headers.
 */
#include "devx/trace/trace.h"

#include <elf.h>
#include <fcntl.h>
#include <libunwind.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

enum { STEPS_MAX = 1 << 20, NO_TABLE = 1 };

/* The search that libunwind offers to tools like this one; its header leaves it out. */
#define search_table UNW_OBJ(dwarf_search_unwind_table)
extern int search_table(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t *di, unw_proc_info_t *pi,
                        int need_unwind_info, void *arg);

static unw_addr_space_t space;

/* ---- tables ---- */

/* Of a program or a library, whose first page is mapped with its headers. */
static uint64_t find_table(const struct trace_module *m)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)(uintptr_t)m->base;
    if (!m->base || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return NO_TABLE;
    const ElfW(Phdr) *segments = (const ElfW(Phdr) *)(uintptr_t)(m->base + header->e_phoff);
    const ElfW(Phdr) *first = NULL, *table = NULL;
    for (size_t i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && !first)
            first = &segments[i];
        if (segments[i].p_type == PT_GNU_EH_FRAME)
            table = &segments[i];
    }
    return first && table ? m->base - (first->p_vaddr - first->p_offset) + table->p_vaddr : NO_TABLE;
}

static struct trace_module *module_of(struct trace *t, uint64_t pc)
{
    for (size_t i = 0; i < t->module_count; i++)
        if (pc >= t->modules[i].low && pc < t->modules[i].high)
            return &t->modules[i];
    return NULL;
}

static void read_modules(struct trace *t)
{
    struct maps *maps = &t->maps;
    uint64_t low, high, offset, base = 0;
    const char *path;
    maps->used = maps->next = 0;
    maps->fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps->fd < 0)
        return;
    for (const char *line; t->module_count < TRACE_MODULES_MAX && (line = maps_line(maps));) {
        if (!maps_parse(line, &low, &high, &offset, &path) || (*path != '/' && strcmp(path, "[vdso]") != 0))
            continue;
        if (offset == 0)
            base = low;
        t->modules[t->module_count++] = (struct trace_module){.low = low, .high = high, .base = base};
    }
    close(maps->fd);
}

/* The one form that linkers write (LSB, "Exception Frames": pairs of 32 bits, relative to the table's begin).
 */
static bool is_searchable(const uint8_t *table)
{
    enum { VERSION = 1, PC_SIGNED_32 = 0x1b, UNSIGNED_32 = 0x03, TABLE_SIGNED_32 = 0x3b };
    return table[0] == VERSION && table[1] == PC_SIGNED_32 && table[2] == UNSIGNED_32 &&
           table[3] == TABLE_SIGNED_32;
}

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need_unwind_info,
                          void *arg)
{
    enum { COUNT_AT = 8, PAIRS_AT = 12, PAIR_BYTES = 8 };
    struct trace_module *m = module_of(arg, ip);
    if (m && !m->table)
        m->table = find_table(m);
    if (!m || m->table == NO_TABLE || !is_searchable((const uint8_t *)(uintptr_t)m->table))
        return -UNW_ENOINFO;
    uint32_t count;
    memcpy(&count, (const void *)(uintptr_t)(m->table + COUNT_AT), sizeof count);
    unw_dyn_info_t di = {.start_ip = m->low, .end_ip = m->high, .format = UNW_INFO_FORMAT_REMOTE_TABLE};
    di.u.rti.segbase = m->table;
    di.u.rti.table_data = m->table + PAIRS_AT;
    di.u.rti.table_len = (unw_word_t)count * PAIR_BYTES / sizeof(unw_word_t);
    return search_table(as, ip, &di, pi, need_unwind_info, arg);
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
}

static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *address, void *arg)
{
    return -UNW_ENOINFO;
}

/* ---- memory and registers ---- */

__attribute__((no_sanitize("address", "thread"))) static int
access_mem(unw_addr_space_t as, unw_word_t address, unw_word_t *value, int is_write, void *arg)
{
    if (is_write)
        return -UNW_EINVAL;
    *value = *(const volatile unw_word_t *)(uintptr_t)address;
    return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t number, unw_word_t *value, int is_write, void *arg)
{
    const struct trace *t = arg;
    if (is_write || number < 0 || (size_t)number >= t->register_count)
        return -UNW_EBADREG;
    *value = t->registers[number];
    return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t number, unw_fpreg_t *value, int is_write, void *arg)
{
    return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
    return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t as, unw_word_t address, char *name, size_t size, unw_word_t *offset,
                         void *arg)
{
    return -UNW_ENOINFO;
}

/* ---- the frames ---- */

void trace_begin(struct trace *t)
{
    t->frames.total = 0;
    t->module_count = 0;
}

void trace_add(struct trace *t, uint64_t pc)
{
    uint64_t i = t->frames.total;
    if (i < REPORT_FIRST)
        t->frames.pc[i] = pc;
    else
        t->last[i % REPORT_LAST] = pc;
    t->frames.total = i + 1;
}

static void add_all(struct trace *t, unw_cursor_t *cursor, uint64_t first_pc)
{
    unw_word_t pc, sp, earlier_sp = 0;
    for (int i = 0; i < STEPS_MAX; i++) {
        if (unw_get_reg(cursor, UNW_REG_IP, &pc) < 0 || unw_get_reg(cursor, UNW_REG_SP, &sp) < 0 || !pc)
            return;
        /* A broken stack may lead in a circle; a signal handler's frame may lead to another stack. */
        if (sp < earlier_sp)
            return;
        trace_add(t, i ? pc : first_pc);
        earlier_sp = unw_is_signal_frame(cursor) > 0 ? 0 : sp;
        if (unw_step(cursor) <= 0)
            return;
    }
}

void trace_take(struct trace *t, const ucontext_t *context, bool is_exact)
{
    unw_cursor_t cursor;
    uint64_t pc = registers_pc(context);
    if (!t->module_count)
        read_modules(t);
    t->register_count = registers_read(t->registers, context);
    /* The tables are asked for the call, which may have been the last instruction of its function. */
    if (t->register_count)
        t->registers[REGISTERS_PC] = is_exact ? pc : pc - 1;
    if (space && unw_init_remote(&cursor, space, t) == 0)
        add_all(t, &cursor, pc);
    else
        trace_add(t, pc);
}

size_t trace_gather(struct trace *t)
{
    uint64_t total = t->frames.total;
    if (total <= REPORT_FIRST)
        return (size_t)total;
    uint64_t last = total - REPORT_FIRST < REPORT_LAST ? total - REPORT_FIRST : REPORT_LAST;
    for (uint64_t i = 0; i < last; i++)
        t->frames.pc[REPORT_FIRST + i] = t->last[(total - last + i) % REPORT_LAST];
    return (size_t)(REPORT_FIRST + last);
}

/* What the unwinder sets up at its first use, and what the linker binds at the first call, is done here. */
static void warm_up(void)
{
    static struct trace trace;
    ucontext_t context;
    if (getcontext(&context) == 0) {
        trace_begin(&trace);
        trace_take(&trace, &context, true);
    }
}

void trace_prepare(void)
{
    static unw_accessors_t accessors = {.find_proc_info = find_proc_info,
                                        .put_unwind_info = put_unwind_info,
                                        .get_dyn_info_list_addr = get_dyn_info_list_addr,
                                        .access_mem = access_mem,
                                        .access_reg = access_reg,
                                        .access_fpreg = access_fpreg,
                                        .resume = resume,
                                        .get_proc_name = get_proc_name};
    if (space)
        return;
    space = unw_create_addr_space(&accessors, 0);
    if (!space)
        return;
    /* The cache has a lock. */
    unw_set_caching_policy(space, UNW_CACHE_NONE);
    warm_up();
}
