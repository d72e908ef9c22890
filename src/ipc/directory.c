#include "ipc/directory.h"

#include "ipc/transport.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC, SWEEP_FILES_MAX = 10000 };

yoke_error *directory_path(char path[DIRECTORY_PATH_BYTES])
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int size = runtime && *runtime
                   ? snprintf(path, DIRECTORY_PATH_BYTES, "%s/yoke", runtime)
                   : snprintf(path, DIRECTORY_PATH_BYTES, "/tmp/yoke-%u", (unsigned)geteuid());
    if (size >= DIRECTORY_PATH_BYTES)
        return yoke_raise(&YOKE_USAGE, "XDG_RUNTIME_DIR is too long: %zu bytes", strlen(runtime));
    if (path[0] != '/')
        return yoke_raise(&YOKE_USAGE, "XDG_RUNTIME_DIR is `%s`: it is an absolute path", runtime);
    return NULL;
}

static yoke_error *refuse(const char *path, const char *what)
{
    return yoke_raise(&YOKE_PERMISSION, "%s can't hold sockets: %s", path, what);
}

yoke_error *directory_prepare(const char *path)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return yoke_raise_errno(errno, "making the directory %s", path);
    int fd = open(path, OPEN_DIRECTORY | O_NOFOLLOW);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return refuse(path, "it is no directory, or a symbolic link");
    if (fd < 0)
        return yoke_raise_errno(errno, "opening the directory %s", path);
    struct stat status;
    yoke_error *e = NULL;
    if (fstat(fd, &status) < 0)
        e = yoke_raise_errno(errno, "looking at the directory %s", path);
    else if (status.st_uid != geteuid())
        e = refuse(path, "it is another user's");
    else if ((status.st_mode & 0777) != 0700 && fchmod(fd, 0700) < 0)
        e = yoke_raise_errno(errno, "closing the directory %s to others", path);
    close(fd);
    return e;
}

/* ---- made part by part ---- */

/* Opens, or makes and opens, `name` in the directory `at`, which is closed. */
static int step_into(int at, const char *name)
{
    int fd = openat(at, name, OPEN_DIRECTORY | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && (mkdirat(at, name, 0700) == 0 || errno == EEXIST))
        fd = openat(at, name, OPEN_DIRECTORY | O_NOFOLLOW);
    int error = errno;
    close(at);
    errno = error;
    return fd;
}

static yoke_error *make(const char *path, int *out)
{
    char name[DIRECTORY_PATH_BYTES];
    int fd = open("/", OPEN_DIRECTORY);
    for (const char *at = path; fd >= 0 && *at;) {
        size_t size = strcspn(at, "/");
        snprintf(name, sizeof name, "%.*s", (int)size, at);
        at += size + (at[size] == '/');
        if (strcmp(name, "..") == 0) {
            close(fd);
            return yoke_raise(&YOKE_USAGE, "%s: a directory that is to be made has no `..`", path);
        }
        if (size && strcmp(name, ".") != 0)
            fd = step_into(fd, name);
    }
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return refuse(path, "a part of it is no directory, or a symbolic link");
    if (fd < 0)
        return yoke_raise_errno(errno, "making the directory %s", path);
    *out = fd;
    return NULL;
}

yoke_error *directory_open(const char *path, int *fd)
{
    *fd = open(path, OPEN_DIRECTORY);
    if (*fd >= 0)
        return NULL;
    if (errno != ENOENT)
        return yoke_raise_errno(errno, "opening the directory %s", path);
    return make(path, fd);
}

/* ---- what dead processes left ---- */

/* The process of NAME@PID.sock, or 0. */
static pid_t owner_of(const char *file)
{
    const char *at = strrchr(file, '@');
    char *end;
    long pid = at ? strtol(at + 1, &end, 10) : 0;
    return at && pid > 0 && pid <= INT32_MAX && strcmp(end, ".sock") == 0 ? (pid_t)pid : 0;
}

void directory_sweep(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *d;
    for (int i = 0; dir && i < SWEEP_FILES_MAX && (d = readdir(dir)); i++) {
        pid_t owner = owner_of(d->d_name);
        if (!owner || kill(owner, 0) == 0 || errno != ESRCH)
            continue;
        struct address address = {.kind = ADDRESS_UDS};
        int size = snprintf(address.path, sizeof address.path, "%s/%s", path, d->d_name);
        if (size < (int)sizeof address.path)
            transport_uds.remove_stale(&address);
    }
    if (dir)
        closedir(dir);
}
