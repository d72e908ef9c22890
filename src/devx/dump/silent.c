#include "devx/dump/silent.h"

#include "base/memory.h"
#include "devx/trace/symbols.h"

#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PCS_MAX = 128, CALLS_MAX = 256, MAPS_BYTES_MAX = 4 << 20 };

static bool put(struct buffer *out, const char *text)
{
    return buffer_append(out, text, strlen(text));
}

/* A file of /proc/PID, of `max` bytes at most; "" if it can't be read. To be freed with memory_free. */
static char *read_proc(pid_t pid, const char *file, size_t max)
{
    char path[64];
    struct buffer b = BUFFER_EMPTY;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && buffer_size(&b) < max && buffer_reserve(&b, 65536)) {
        ssize_t n = read(fd, b.data + b.end, 65536);
        if (n <= 0)
            break;
        b.end += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    char *text = buffer_append(&b, "", 1) ? memory_strdup((char *)buffer_begin(&b)) : NULL;
    buffer_free(&b);
    return text;
}

/* ---- what the kernel says ---- */

static long field_of(const char *status, const char *name)
{
    const char *at = status ? strstr(status, name) : NULL;
    return at ? strtol(at + strlen(name), NULL, 10) : 0;
}

static const char *state_in_words(char state)
{
    switch (state) {
    case 'R':
        return "it runs";
    case 'S':
        return "it waits in the kernel";
    case 'D':
        return "it waits in the kernel, and can't be interrupted";
    case 'T':
        return "it was stopped by a signal";
    case 't':
        return "it was stopped by a debugger";
    case 'Z':
    case 'X':
        return "it is dead";
    }
    return "it is gone";
}

static char state_of(const char *status)
{
    const char *at = status ? strstr(status, "\nState:\t") : NULL;
    return at ? at[8] : 0;
}

static bool put_kernel(struct buffer *out, pid_t pid, const char *status)
{
    char line[160];
    char *where = read_proc(pid, "wchan", 64);
    bool named = where && *where && strcmp(where, "0") != 0 && state_of(status) != 'R';
    snprintf(line, sizeof line, "  %s%s%.64s%s\n", state_in_words(state_of(status)), named ? " (" : "",
             named ? where : "", named ? ")" : "");
    memory_free(where);
    return put(out, line);
}

/* ---- its calls ---- */

struct trace {
    uint64_t pcs[PCS_MAX];
    size_t count;
};

static int take_frame(Dwfl_Frame *frame, void *arg)
{
    struct trace *t = arg;
    Dwarf_Addr pc;
    bool exact;
    if (t->count == PCS_MAX || !dwfl_frame_pc(frame, &pc, &exact))
        return DWARF_CB_ABORT;
    t->pcs[t->count++] = pc - !exact;
    return DWARF_CB_OK;
}

/* No separate debug files: the tables for unwinding are in the files themselves. */
static int find_none(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, const char *file,
                     const char *link, GElf_Word crc, char **found)
{
    return -1;
}

static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf, .find_debuginfo = find_none};

/* Attaches, as a debugger does, and lets go again. NULL, or why not. */
static const char *take_trace(pid_t pid, struct trace *t)
{
    Dwfl *dwfl = dwfl_begin(&callbacks);
    if (!dwfl)
        return "no memory";
    dwfl_report_begin(dwfl);
    int error = dwfl_linux_proc_report(dwfl, pid);
    dwfl_report_end(dwfl, NULL, NULL);
    const char *why = error > 0 ? strerror(error) : error < 0 ? dwfl_errmsg(-1) : NULL;
    if (!why) {
        error = dwfl_linux_proc_attach(dwfl, pid, false);
        why = error > 0 ? strerror(error) : error < 0 ? dwfl_errmsg(-1) : NULL;
    }
    if (!why && dwfl_getthread_frames(dwfl, pid, take_frame, t) != 0 && !t->count)
        why = dwfl_errmsg(-1);
    dwfl_end(dwfl);
    return why;
}

static bool put_calls(struct buffer *out, struct symbols *symbols, const struct trace *t)
{
    struct symbol *calls = memory_calloc(CALLS_MAX, sizeof *calls);
    size_t count = 0;
    bool fine = calls != NULL;
    for (size_t i = 0; fine && i < t->count; i++)
        count += symbols_read(symbols, t->pcs[i], calls + count, CALLS_MAX - count);
    while (count > 1 && symbol_is_start(&calls[count - 1]))
        count--;
    for (size_t i = 0; fine && i < count; i++) {
        char line[400];
        if (calls[i].file[0])
            snprintf(line, sizeof line, "    %-20s    %s:%d\n", calls[i].function, calls[i].file,
                     calls[i].line);
        else
            snprintf(line, sizeof line, "    %-20s    (%s)\n", calls[i].function, calls[i].library);
        fine = put(out, line);
    }
    memory_free(calls);
    return fine;
}

static bool put_trace(struct buffer *out, pid_t pid)
{
    struct trace t = {.count = 0};
    char *maps = read_proc(pid, "maps", MAPS_BYTES_MAX);
    const char *why = take_trace(pid, &t);
    char line[160];
    bool fine = maps != NULL;
    struct symbols *symbols = fine && t.count ? symbols_open(maps) : NULL;
    if (symbols) {
        fine = put_calls(out, symbols, &t);
    } else if (fine) {
        snprintf(line, sizeof line, "  its calls can't be had: %s\n", why ? why : "there are none");
        fine = put(out, line);
    }
    symbols_close(symbols);
    memory_free(maps);
    return fine;
}

bool silent_describe(struct buffer *out, pid_t pid)
{
    char *status = read_proc(pid, "status", 65536), state = state_of(status), line[96];
    long tracer = field_of(status, "\nTracerPid:\t");
    bool fine = put_kernel(out, pid, status);
    memory_free(status);
    if (!fine)
        return false;
    if (tracer) {
        snprintf(line, sizeof line, "  process %ld debugs it\n", tracer);
        return put(out, line);
    }
    /* One that can't be interrupted would keep whoever wants to stop it. */
    return !strchr("RST", state) || !state || put_trace(out, pid);
}
