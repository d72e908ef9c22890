#include "devx/crash/core_file.h"

#include "task/sanitizer.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BOUND_MS = 60 * 1000, NAMES_MAX = 1000 };

static const char *folder(void)
{
    const char *text = getenv("YOKE_CORE");
    return text && *text && strcmp(text, "0") != 0 ? text : NULL;
}

#ifdef YOKE_ASAN
enum { CAN_BE = false };
#else
enum { CAN_BE = true };
#endif

bool core_file_is_wanted(void)
{
    return folder() && CAN_BE;
}

bool core_file_is_refused(void)
{
    return folder() && !CAN_BE;
}

int64_t core_file_bound_ns(void)
{
    const char *text = getenv("YOKE_CORE_BOUND_MS");
    long ms = text ? strtol(text, NULL, 10) : 0;
    return (ms > 0 ? ms : BOUND_MS) * INT64_C(1000000);
}

/* ---- its name ---- */

/* The actor's name, of what no shell, and no gdb, takes for anything else. */
static void print_name(char *out, size_t size, const char *folder_path, const char *actor, pid_t pid)
{
    char name[128];
    snprintf(name, sizeof name, "%s", actor);
    for (char *at = name; *at; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *at))
            *at = '_';
    snprintf(out, size, "%s/%s-%d.core", folder_path, name, (int)pid);
}

static void write_command(struct core_file *f)
{
    snprintf(f->generate, sizeof f->generate, "generate-core-file %s", f->path);
}

/* A process id comes again. */
static void use_next_name(struct core_file *f, int number)
{
    char *dot = strrchr(f->path, '.');
    if (number > 1) {
        *dot = '\0';
        dot = strrchr(f->path, '.');
    }
    snprintf(dot, sizeof f->path - (size_t)(dot - f->path), ".%d.core", number);
    write_command(f);
}

bool core_file_claim(struct core_file *f)
{
    int fd = -1;
    for (int number = 1; number < NAMES_MAX; number++) {
        fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            break;
        use_next_name(f, number);
    }
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* ---- how it is written ---- */

static void add_arguments(struct core_file *f, pid_t pid)
{
    /* A file of the person's commands may start anything; servers are not asked for debug information. */
    const char *const words[] = {"-q", "-nx",     "-batch", "-iex",      "set debuginfod enabled off",
                                 "-p", f->attach, "-ex",    f->generate, NULL};
    snprintf(f->attach, sizeof f->attach, "%d", (int)pid);
    write_command(f);
    f->argv[0] = (char *)"gdb";
    memcpy(f->argv + 1, words, sizeof words);
}

yoke_error *core_file_plan(struct core_file *f, const char *actor, pid_t pid)
{
    char absolute[PATH_MAX];
    memset(f, 0, sizeof *f);
    const char *path = folder() ? folder() : ".";
    if (!realpath(path, absolute))
        return yoke_raise_errno(errno, "YOKE_CORE: %s", path);
    YOKE_TRY(debugger_command_find(&f->gdb, NULL));
    print_name(f->path, sizeof f->path, absolute, actor, pid);
    add_arguments(f, pid);
    return NULL;
}

/* ---- whether it is ---- */

static bool is_whole(int fd)
{
    ElfW(Ehdr) header;
    struct stat st;
    if (fstat(fd, &st) < 0 || pread(fd, &header, sizeof header, 0) != sizeof header ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_CORE || !header.e_phnum)
        return false;
    for (size_t i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) segment;
        off_t at = (off_t)(header.e_phoff + i * sizeof segment);
        if (pread(fd, &segment, sizeof segment, at) != sizeof segment ||
            segment.p_offset + segment.p_filesz > (uint64_t)st.st_size)
            return false;
    }
    return true;
}

bool core_file_is_whole(const struct core_file *f)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    bool whole = fd >= 0 && is_whole(fd);
    if (fd >= 0)
        close(fd);
    return whole;
}
