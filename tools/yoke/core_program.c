/*
 * A core's notes (core(5)) have the kernel's auxiliary vector, which says where the program's headers lay in
 * memory, and the list of mapped files, which says what lay there.
 */
#include "core_program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTES_MAX = 64 << 20, LONG = sizeof(unsigned long) };

/* A part of the notes. */
struct span {
    const char *at;
    size_t bytes;
};

struct core_notes {
    struct span auxv, files;
};

static unsigned long long_at(struct span s, size_t index)
{
    unsigned long value = 0;
    if ((index + 1) * LONG <= s.bytes)
        memcpy(&value, s.at + index * LONG, LONG);
    return value;
}

/* ---- the notes ---- */

static size_t padded(size_t bytes)
{
    return (bytes + 3) & ~(size_t)3;
}

static void read_notes(struct core_notes *out, struct span s)
{
    ElfW(Nhdr) note;
    while (s.bytes > sizeof note) {
        memcpy(&note, s.at, sizeof note);
        size_t begin = sizeof note + padded(note.n_namesz), size = begin + padded(note.n_descsz);
        if (begin > s.bytes || note.n_descsz > s.bytes - begin)
            return;
        struct span body = {s.at + begin, note.n_descsz};
        if (note.n_type == NT_AUXV)
            out->auxv = body;
        else if (note.n_type == NT_FILE)
            out->files = body;
        if (size > s.bytes)
            return;
        s.at += size;
        s.bytes -= size;
    }
}

/* ---- what they say ---- */

static unsigned long headers_in_memory(struct span auxv)
{
    for (size_t i = 0; (i + 2) * LONG <= auxv.bytes; i += 2)
        if (long_at(auxv, i) == AT_PHDR)
            return long_at(auxv, i + 1);
    return 0;
}

/* Count, size of a page; begin, end and offset of each; then their names, each ended by a zero. */
static bool find_file(struct span files, unsigned long address, char program[CORE_PROGRAM_BYTES])
{
    enum { HEAD = 2, FIELDS = 3 };
    unsigned long count = long_at(files, 0);
    if (count > files.bytes / (FIELDS * LONG) || (HEAD + FIELDS * count) * LONG > files.bytes)
        return false;
    const char *name = files.at + (HEAD + FIELDS * count) * LONG, *end = files.at + files.bytes;
    for (size_t i = 0; i < count && name < end; i++) {
        size_t length = strnlen(name, (size_t)(end - name));
        if (address >= long_at(files, HEAD + FIELDS * i) && address < long_at(files, HEAD + FIELDS * i + 1))
            return snprintf(program, CORE_PROGRAM_BYTES, "%.*s", (int)length, name) > 0;
        name += length + 1;
    }
    return false;
}

/* ---- the file ---- */

static bool read_at(int fd, void *out, size_t bytes, uint64_t offset)
{
    return pread(fd, out, bytes, (off_t)offset) == (ssize_t)bytes;
}

static const char *look_at_segment(int fd, const ElfW(Phdr) * segment, char program[CORE_PROGRAM_BYTES])
{
    struct core_notes notes = {0};
    char *bytes = segment->p_filesz <= NOTES_MAX ? malloc(segment->p_filesz + 1) : NULL;
    if (!bytes)
        return "its notes are too large";
    const char *why = "its notes do not tell its program";
    if (read_at(fd, bytes, segment->p_filesz, segment->p_offset)) {
        read_notes(&notes, (struct span){bytes, segment->p_filesz});
        if (find_file(notes.files, headers_in_memory(notes.auxv), program))
            why = NULL;
    }
    free(bytes);
    return why;
}

static const char *look(int fd, char program[CORE_PROGRAM_BYTES])
{
    ElfW(Ehdr) header;
    if (!read_at(fd, &header, sizeof header, 0) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_type != ET_CORE)
        return "it is no core file";
    for (size_t i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) segment;
        if (!read_at(fd, &segment, sizeof segment, header.e_phoff + i * sizeof segment))
            break;
        if (segment.p_type == PT_NOTE)
            return look_at_segment(fd, &segment, program);
    }
    return "it has no notes";
}

const char *core_program_find(const char *core, char program[CORE_PROGRAM_BYTES])
{
    int fd = open(core, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    const char *why = look(fd, program);
    close(fd);
    return why;
}
