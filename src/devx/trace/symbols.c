#include "devx/trace/symbols.h"

#include "base/memory.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct symbols {
    Dwfl *dwfl;
    char program[512]; /* the file that this process, and so its children, run */
};

/* One call of symbols_read. */
struct reading {
    struct symbols *symbols;
    struct symbol *out;
    size_t count, room;
};

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

/* ---- the files ---- */

/* The map may be another user's invention (a child that gave up its rights, and was taken over). */
static int find_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, char **file_name,
                    Elf **elf)
{
    int fd = elf_file_open(name);
    if (fd >= 0)
        *file_name = strdup(name); /* freed by libdwfl */
    return fd;
}

static size_t build_id_of(Dwfl_Module *module, const unsigned char **id)
{
    GElf_Addr address;
    int bytes = dwfl_module_build_id(module, id, &address);
    return bytes > 0 ? (size_t)bytes : 0;
}

/* The standard search would ask servers. */
static int find_debug_file(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
                           const char *file, const char *debug_link, GElf_Word crc, char **debug_file)
{
    const unsigned char *id;
    size_t bytes = build_id_of(module, &id);
    return bytes ? elf_file_open_debug(id, bytes, debug_file) : -1;
}

static const Dwfl_Callbacks callbacks = {.find_elf = find_elf, .find_debuginfo = find_debug_file};

/* A map that is cut or garbage gives the modules that could be read. */
static void report_modules(Dwfl *dwfl, const char *text)
{
    size_t size = strlen(text);
    FILE *maps = size ? fmemopen((void *)(uintptr_t)text, size, "r") : NULL;
    if (!maps)
        return;
    dwfl_report_begin(dwfl);
    dwfl_linux_proc_maps_report(dwfl, maps);
    dwfl_report_end(dwfl, NULL, NULL);
    fclose(maps);
}

/* ---- names ---- */

/* As the person who built it named it: without the folder that it was built in, and without the way out of
 * that. */
static void shorten(char *to, size_t size, const char *path, const char *folder)
{
    size_t length = folder ? strlen(folder) : 0;
    if (length && strncmp(path, folder, length) == 0 && path[length] == '/')
        path += length + 1;
    while (strncmp(path, "./", 2) == 0 || strncmp(path, "../", 3) == 0)
        path = strchr(path, '/') + 1;
    copy_text(to, size, path);
}

static struct symbol *add_frame(struct reading *r, Dwfl_Module *module)
{
    if (r->count == r->room)
        return NULL;
    struct symbol *f = &r->out[r->count++];
    memset(f, 0, sizeof *f);
    const char *path = module ? dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;
    if (!path)
        return f;
    f->in_program = strcmp(path, r->symbols->program) == 0;
    const char *slash = strrchr(path, '/');
    copy_text(f->library, sizeof f->library, slash ? slash + 1 : path);
    return f;
}

/* By what whoever has the file can find it out: the place in it, and which build it is. */
static void name_by_file(struct symbol *f, Dwfl_Module *module, Dwarf_Addr pc)
{
    const unsigned char *id;
    Dwarf_Addr offset = pc;
    dwfl_module_relocate_address(module, &offset);
    snprintf(f->function, sizeof f->function, "%s+%#llx", f->library, (unsigned long long)offset);
    size_t bytes = build_id_of(module, &id);
    elf_file_print_build_id(f->build_id, id, bytes);
}

static void name_frame(struct symbol *f, Dwfl_Module *module, const char *function, Dwarf_Addr pc)
{
    if (function)
        copy_text(f->function, sizeof f->function, function);
    else if (module && f->library[0])
        name_by_file(f, module, pc);
    else
        snprintf(f->function, sizeof f->function, "%#llx", (unsigned long long)pc);
}

/* The unit that holds `pc`; by the index of addresses, or, where the compiler writes none (clang), by asking
 * each. */
static Dwarf_Die *unit_of(Dwfl_Module *module, Dwarf_Addr pc, Dwarf_Addr *bias)
{
    Dwarf_Die *unit = dwfl_module_addrdie(module, pc, bias);
    if (unit)
        return unit;
    while ((unit = dwfl_module_nextcu(module, unit, bias)))
        if (dwarf_haspc(unit, pc - *bias) > 0)
            return unit;
    return NULL;
}

/* The file, with the folder that it was built in, and the line of an address; NULL if not known. */
static const char *source_line(Dwarf_Die *unit, Dwarf_Addr pc, const char **folder, int *line)
{
    Dwarf_Attribute attribute;
    Dwarf_Line *source = dwarf_getsrc_die(unit, pc);
    if (!source || dwarf_lineno(source, line) != 0)
        return NULL;
    *folder = dwarf_attr(unit, DW_AT_comp_dir, &attribute) ? dwarf_formstring(&attribute) : NULL;
    return dwarf_linesrc(source, NULL, NULL);
}

static const char *call_file(Dwarf_Die *die, Dwarf_Die *unit)
{
    Dwarf_Attribute attribute;
    Dwarf_Word index;
    Dwarf_Files *files;
    size_t count;
    if (!dwarf_attr(die, DW_AT_call_file, &attribute) || dwarf_formudata(&attribute, &index) != 0 ||
        dwarf_getsrcfiles(unit, &files, &count) != 0)
        return NULL;
    return dwarf_filesrc(files, index, NULL, NULL);
}

static int call_line(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    Dwarf_Word line;
    return dwarf_attr(die, DW_AT_call_line, &attribute) && dwarf_formudata(&attribute, &line) == 0 ? (int)line
                                                                                                   : 0;
}

/* The scopes around `pc` in the code as it was generated, innermost first, to be freed; their number, or 0.
 */
static int physical_scopes(Dwarf_Die *unit, Dwarf_Addr pc, Dwarf_Die **scopes)
{
    Dwarf_Die *by_source = NULL;
    *scopes = NULL;
    if (dwarf_getscopes(unit, pc, &by_source) <= 0)
        return 0;
    Dwarf_Die innermost = by_source[0];
    free(by_source);
    int count = dwarf_getscopes_die(&innermost, scopes);
    return count > 0 ? count : 0;
}

/*
 * One address is a frame for the function and one for each call that was inlined there. `file` and `line` are
 * where the innermost of them stands.
 */
static void add_address(struct reading *r, Dwarf_Addr pc)
{
    Dwfl_Module *module = dwfl_addrmodule(r->symbols->dwfl, pc);
    struct symbol *f = add_frame(r, module);
    if (!f)
        return;
    if (!module) {
        name_frame(f, NULL, NULL, pc);
        return;
    }
    const char *folder = NULL, *file = NULL;
    int line = 0, scope_count = 0;
    Dwarf_Addr bias;
    Dwarf_Die *unit = unit_of(module, pc, &bias), *scopes = NULL;
    if (unit) {
        file = source_line(unit, pc - bias, &folder, &line);
        scope_count = physical_scopes(unit, pc - bias, &scopes);
    }
    for (int i = 0; i < scope_count && f; i++) {
        if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine)
            continue;
        name_frame(f, module, dwarf_diename(&scopes[i]), pc);
        if (file)
            shorten(f->file, sizeof f->file, file, folder);
        f->line = line;
        file = call_file(&scopes[i], unit);
        line = call_line(&scopes[i]);
        f = add_frame(r, module);
    }
    const char *function = dwfl_module_addrname(module, pc);
    for (int i = 0; i < scope_count; i++)
        if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram && dwarf_diename(&scopes[i]))
            function = dwarf_diename(&scopes[i]);
    free(scopes);
    if (!f)
        return;
    name_frame(f, module, function, pc);
    if (file)
        shorten(f->file, sizeof f->file, file, folder);
    f->line = line;
}

/* ---- the calls ---- */

struct symbols *symbols_open(const char *maps)
{
    struct symbols *s = memory_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    ssize_t length = readlink("/proc/self/exe", s->program, sizeof s->program - 1);
    s->program[length < 0 ? 0 : length] = '\0';
    s->dwfl = dwfl_begin(&callbacks);
    if (!s->dwfl) {
        memory_free(s);
        return NULL;
    }
    report_modules(s->dwfl, maps);
    return s;
}

void symbols_close(struct symbols *s)
{
    if (!s)
        return;
    dwfl_end(s->dwfl);
    memory_free(s);
}

size_t symbols_read(struct symbols *s, uint64_t pc, struct symbol *out, size_t room)
{
    struct reading r = {.symbols = s, .out = out, .room = room};
    add_address(&r, pc);
    return r.count;
}

/* At the outer end every backtrace has the same frames, which begin programs, tasks and endpoints. */
bool symbol_is_start(const struct symbol *f)
{
    static const char *const names[] = {
        "switch_start",      "task_entry",   "run_main", "_start",
        "__libc_start_main", "start_thread", "clone",    "__libc_start_call_main",
        "__start_context"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(f->function, names[i]) == 0)
            return true;
    if (strcmp(f->file, "src/actor/serve.c") == 0)
        return true;
    return strncmp(f->function, "__libc_start_main", 17) == 0 || strncmp(f->function, "__clone", 7) == 0;
}

bool symbol_equals(const struct symbol *a, const struct symbol *b)
{
    return a->line == b->line && strcmp(a->function, b->function) == 0 && strcmp(a->file, b->file) == 0 &&
           strcmp(a->library, b->library) == 0;
}
