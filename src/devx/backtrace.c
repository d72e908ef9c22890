/*
 * Symbols by elfutils' libdwfl, which is given the crashed process' map as text and so needs no living
 * process. It wants more stack than a task has: all of it runs on a thread made for it.
 */
#include "devx/backtrace.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAMES_MAX = 2 * REPORT_FRAMES_MAX, THREAD_STACK_BYTES = 2 << 20, WIDTH_MAX = 32 };

struct frame {
    char function[96];
    char file[160]; /* "" if no line is known */
    char library[64];
    int line;
    bool in_program;
    bool after_gap; /* frames that the report does not have come before it */
};

struct reader {
    const struct report *report;
    Dwfl *dwfl;
    struct frame *frames;
    size_t count;
    char program[512]; /* the file that this process, and so its children, run */
    struct backtrace *out;
    yoke_error *error;
};

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

/* ---- the files ---- */

/*
 * The report may be another user's invention (a child that gave up its rights, and was taken over): no device
 * or pipe is opened, and no file is parsed that such a user could have made.
 */
static int find_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, char **file_name,
                    Elf **elf)
{
    if (name[0] != '/')
        return -1;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid())) {
        close(fd);
        return -1;
    }
    *file_name = strdup(name); /* freed by libdwfl */
    return fd;
}

/* Separate debug information of this machine alone: the standard search would ask servers. */
static int find_debug_file(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
                           const char *file, const char *debug_link, GElf_Word crc, char **debug_file)
{
    return dwfl_build_id_find_debuginfo(module, data, name, base, file, debug_link, crc, debug_file);
}

static const Dwfl_Callbacks callbacks = {.find_elf = find_elf, .find_debuginfo = find_debug_file};

/* A map that is cut or garbage gives the modules that could be read. */
static void report_modules(struct reader *r)
{
    size_t size = strlen(r->report->maps);
    FILE *maps = size ? fmemopen(r->report->maps, size, "r") : NULL;
    if (!maps)
        return;
    dwfl_report_begin(r->dwfl);
    dwfl_linux_proc_maps_report(r->dwfl, maps);
    dwfl_report_end(r->dwfl, NULL, NULL);
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

static struct frame *add_frame(struct reader *r, Dwfl_Module *module)
{
    if (r->count == FRAMES_MAX)
        return NULL;
    struct frame *f = &r->frames[r->count++];
    memset(f, 0, sizeof *f);
    const char *path = module ? dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;
    if (!path)
        return f;
    f->in_program = strcmp(path, r->program) == 0;
    const char *slash = strrchr(path, '/');
    copy_text(f->library, sizeof f->library, slash ? slash + 1 : path);
    return f;
}

static void name_frame(struct frame *f, const char *function, Dwarf_Addr pc)
{
    if (function)
        copy_text(f->function, sizeof f->function, function);
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
static void add_address(struct reader *r, Dwarf_Addr pc, bool after_gap)
{
    Dwfl_Module *module = dwfl_addrmodule(r->dwfl, pc);
    struct frame *f = add_frame(r, module);
    if (!f)
        return;
    f->after_gap = after_gap;
    if (!module) {
        name_frame(f, NULL, pc);
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
        name_frame(f, dwarf_diename(&scopes[i]), pc);
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
    name_frame(f, function, pc);
    if (file)
        shorten(f->file, sizeof f->file, file, folder);
    f->line = line;
}

/* ---- what is shown ---- */

/* At the outer end every backtrace has the same frames, which begin programs, tasks and endpoints. */
static bool is_start(const struct frame *f)
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

static bool same_place(const struct frame *a, const struct frame *b)
{
    return a->line == b->line && strcmp(a->function, b->function) == 0 && strcmp(a->file, b->file) == 0 &&
           strcmp(a->library, b->library) == 0;
}

static bool append(struct buffer *b, const char *text)
{
    return buffer_append(b, text, strlen(text));
}

static bool append_frame(struct buffer *b, const struct frame *f, int width)
{
    char text[512];
    if (f->file[0])
        snprintf(text, sizeof text, "    %-*s    %s:%d\n", width, f->function, f->file, f->line);
    else if (f->library[0])
        snprintf(text, sizeof text, "    %-*s    (%s)\n", width, f->function, f->library);
    else
        snprintf(text, sizeof text, "    %s\n", f->function);
    return append(b, text);
}

static bool append_gap(struct buffer *b, const struct report *report)
{
    char text[80];
    snprintf(text, sizeof text, "    ... (%llu frames)\n",
             (unsigned long long)(report->frames.total - report->frame_count));
    return append(b, text);
}

static bool append_repeats(struct buffer *b, size_t repeats)
{
    char text[80];
    snprintf(text, sizeof text, "    ... (the same, %zu times more)\n", repeats);
    return append(b, text);
}

static bool write_text(struct reader *r, struct buffer *b)
{
    int width = 0;
    for (size_t i = 0; i < r->count; i++) {
        int length = (int)strlen(r->frames[i].function);
        if (length > width && length <= WIDTH_MAX)
            width = length;
    }
    bool ok = true;
    for (size_t i = 0, next; i < r->count && ok; i = next) {
        const struct frame *f = &r->frames[i];
        if (f->after_gap)
            ok = append_gap(b, r->report);
        for (next = i + 1; next < r->count && !r->frames[next].after_gap && same_place(f, &r->frames[next]);)
            next++;
        ok = ok && append_frame(b, f, width);
        if (next - i > 1)
            ok = ok && append_repeats(b, next - i - 1);
    }
    return ok && buffer_append(b, "", 1);
}

static bool is_c_library(const struct frame *f)
{
    return strncmp(f->library, "libc.so", 7) == 0 || strncmp(f->library, "libc-", 5) == 0 ||
           strncmp(f->library, "libpthread", 10) == 0 || strncmp(f->library, "ld-linux", 8) == 0;
}

static const struct frame *choose_place(struct reader *r)
{
    const struct frame *any = NULL;
    for (size_t i = 0; i < r->count; i++) {
        const struct frame *f = &r->frames[i];
        if (!f->file[0] || !f->line)
            continue;
        if (f->in_program)
            return f;
        if (!any && !is_c_library(f))
            any = f;
    }
    return any;
}

static bool fill(struct reader *r)
{
    struct buffer text = BUFFER_EMPTY;
    if (write_text(r, &text))
        r->out->text = memory_strdup((char *)buffer_begin(&text));
    buffer_free(&text);
    if (!r->out->text)
        return false;
    const struct frame *place = choose_place(r);
    if (!place)
        return true;
    r->out->file = memory_strdup(place->file);
    r->out->function = memory_strdup(place->function);
    r->out->line = place->line;
    return r->out->file && r->out->function;
}

/* ---- reading ---- */

static void read_frames(struct reader *r)
{
    const struct report *report = r->report;
    for (size_t i = 0; i < report->frame_count; i++) {
        bool gap = i == REPORT_FIRST && report->frames.total > report->frame_count;
        /* All but the innermost are addresses that a call returns to: the call is before them. */
        add_address(r, report->frames.pc[i] - (i > 0), gap);
    }
    while (r->count > 1 && is_start(&r->frames[r->count - 1]))
        r->count--;
}

static void *run(void *arg)
{
    struct reader *r = arg;
    r->frames = memory_alloc(FRAMES_MAX * sizeof *r->frames);
    r->dwfl = dwfl_begin(&callbacks);
    if (r->frames && r->dwfl) {
        report_modules(r);
        read_frames(r);
    }
    if (!r->frames || !r->dwfl || !fill(r))
        r->error = yoke_raise(&YOKE_NO_MEMORY, "reading the symbols of a backtrace");
    dwfl_end(r->dwfl);
    memory_free(r->frames);
    return NULL;
}

/* On a stack that goes with it: the C library would keep one for later. Signals are for the threads that were
 * there before. */
static int run_on_thread(struct reader *r)
{
    void *stack = mmap(NULL, THREAD_STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return errno;
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, THREAD_STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&thread, &attributes, run, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    if (!error)
        pthread_join(thread, NULL);
    munmap(stack, THREAD_STACK_BYTES);
    return error;
}

yoke_error *backtrace_read(struct backtrace *out, const struct report *report)
{
    memset(out, 0, sizeof *out);
    struct reader r = {.report = report, .out = out};
    ssize_t length = readlink("/proc/self/exe", r.program, sizeof r.program - 1);
    r.program[length < 0 ? 0 : length] = '\0';
    int error = run_on_thread(&r);
    if (error)
        return yoke_raise_errno(error, "a thread for the symbols of a backtrace");
    if (r.error)
        backtrace_free(out);
    return r.error;
}

void backtrace_free(struct backtrace *b)
{
    memory_free(b->text);
    memory_free(b->file);
    memory_free(b->function);
    memset(b, 0, sizeof *b);
}
