/*
 * Functions, files and lines for code addresses of a process, which may have ended: elfutils' libdwfl, given
 * the map of the process' address space as text. Needs no scheduler, but more stack than a task has: see
 * devx/trace/aside.h.
 */
#ifndef DEVX_SYMBOLS_H
#define DEVX_SYMBOLS_H

#include "devx/trace/elf_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol {
    char function[96]; /* where no name is known: library+0xOFFSET, for addr2line -e; or the address */
    char file[160];    /* "" if no line is known */
    char library[64];
    char build_id[ELF_BUILD_ID_TEXT_BYTES]; /* of the library, where no name is known; "": it has none */
    int line;
    uint64_t pc;     /* of its frame: for the caller */
    bool in_program; /* in the file that this process runs, not in a library */
};

struct symbols;

/*
 * `maps`: lines as of /proc/PID/maps; cut or garbage, it gives what can be read. The files are opened as they
 * are needed: regular ones that belong to root or to this process' user, since the map may be another user's
 * invention. NULL without memory; else symbols_close frees it.
 */
struct symbols *symbols_open(const char *maps);
void symbols_close(struct symbols *s); /* NULL is fine */
/* The calls at `pc`, the inlined ones first (from the innermost outwards); writes the first `room` to `out`
 * and returns how many: 1 at least, but for a room of 0. */
size_t symbols_read(struct symbols *s, uint64_t pc, struct symbol *out, size_t room);
/* At the outer end every backtrace has the same frames, which begin programs, tasks and endpoints. */
bool symbol_is_start(const struct symbol *s);
bool symbol_equals(const struct symbol *a, const struct symbol *b);

#endif
