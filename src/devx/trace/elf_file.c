#include "devx/trace/elf_file.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 1024 };

int elf_file_open(const char *path)
{
    if (path[0] != '/')
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid()))
        return fd;
    close(fd);
    return -1;
}

void elf_file_print_build_id(char out[ELF_BUILD_ID_TEXT_BYTES], const uint8_t *build_id, size_t bytes)
{
    out[0] = '\0';
    for (size_t i = 0; i < bytes && 2 * i + 2 < ELF_BUILD_ID_TEXT_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", build_id[i]);
}

/* ---- debug information ---- */

/* What is cut is not found. */
static int open_it(const char *file, char **path)
{
    int fd = elf_file_open(file);
    *path = fd >= 0 ? strdup(file) : NULL;
    return fd;
}

static int open_in_folder(const char *folder, size_t length, const char *id, char **path)
{
    char file[PATH_BYTES];
    snprintf(file, sizeof file, "%.*s/.build-id/%.2s/%s.debug", (int)length, folder, id, id + 2);
    return open_it(file, path);
}

static int open_in_folders(const char *folders, const char *id, char **path)
{
    int fd = -1;
    while (folders && *folders && fd < 0) {
        size_t length = strcspn(folders, ":");
        fd = length ? open_in_folder(folders, length, id, path) : -1;
        folders += length + (folders[length] == ':');
    }
    return fd;
}

/* As debuginfod_find_debuginfo(3) has it. */
static int open_in_cache(const char *id, char **path)
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"DEBUGINFOD_CACHE_PATH", ""},
                  {"XDG_CACHE_HOME", "/debuginfod_client"},
                  {"HOME", "/.cache/debuginfod_client"},
                  {"HOME", "/.debuginfod_client_cache"}};
    int fd = -1;
    for (size_t i = 0; i < sizeof places / sizeof *places && fd < 0; i++) {
        char file[PATH_BYTES];
        const char *root = getenv(places[i].variable);
        snprintf(file, sizeof file, "%s%s/%s/debuginfo", root ? root : "", places[i].below, id);
        fd = root ? open_it(file, path) : -1;
    }
    return fd;
}

int elf_file_open_debug(const uint8_t *build_id, size_t bytes, char **path)
{
    char id[ELF_BUILD_ID_TEXT_BYTES];
    if (bytes < 2)
        return -1;
    elf_file_print_build_id(id, build_id, bytes);
    int fd = open_in_folders(getenv("YOKE_DEBUG_FILES"), id, path);
    if (fd < 0)
        fd = open_in_folders("/usr/lib/debug", id, path);
    return fd < 0 ? open_in_cache(id, path) : fd;
}
