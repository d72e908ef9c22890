/* The directory of socket files. Each test has a folder of its own for it to lie in. */
#include "harness.h"
#include "ipc/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[] = "/tmp/yoke-dir-XXXXXX";

static char *in_base(const char *name)
{
    static char path[4][200];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", base, name);
    return p;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    return remove(path);
}

static int before(void **state)
{
    strcpy(base + strlen(base) - 6, "XXXXXX");
    return mkdtemp(base) && harness_before(state) == 0 ? 0 : -1;
}

static int after(void **state)
{
    nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return harness_after(state);
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode & 0777;
}

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* ---- where ---- */

static void test_where_it_is(void **state)
{
    char path[DIRECTORY_PATH_BYTES], expected[64], much[400];
    const char *was = getenv("XDG_RUNTIME_DIR");
    char *kept = was ? strdup(was) : NULL;
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_success(directory_path(path));
    assert_string_equal(path, "/run/user/7/yoke");
    setenv("XDG_RUNTIME_DIR", "", 1);
    assert_success(directory_path(path));
    snprintf(expected, sizeof expected, "/tmp/yoke-%u", (unsigned)geteuid());
    assert_string_equal(path, expected);
    setenv("XDG_RUNTIME_DIR", "run", 1);
    assert_error_text(directory_path(path), &YOKE_USAGE, "an absolute path");
    memset(much, 'x', sizeof much - 1);
    much[0] = '/';
    much[sizeof much - 1] = '\0';
    setenv("XDG_RUNTIME_DIR", much, 1);
    assert_error_text(directory_path(path), &YOKE_USAGE, "too long");
    if (kept)
        setenv("XDG_RUNTIME_DIR", kept, 1);
    else
        unsetenv("XDG_RUNTIME_DIR");
    free(kept);
}

/* ---- the user's own ---- */

/* TPT-06 */
static void test_made_and_closed_to_others(void **state)
{
    const char *path = in_base("yoke");
    mode_t mask = umask(0);
    assert_success(directory_prepare(path));
    umask(mask);
    assert_int_equal(mode_of(path), 0700);
    assert_success(directory_prepare(path)); /* again */
    chmod(path, 0755);
    assert_success(directory_prepare(path));
    assert_int_equal(mode_of(path), 0700);
}

static void test_refused_directories(void **state)
{
    const char *real = in_base("real"), *link = in_base("link"), *file = in_base("file");
    assert_int_equal(mkdir(real, 0755), 0);
    assert_int_equal(symlink(real, link), 0);
    assert_error_text(directory_prepare(link), &YOKE_PERMISSION, "a symbolic link");
    assert_int_equal(mode_of(real), 0755);
    close(open(file, O_CREAT | O_WRONLY, 0644));
    assert_error_text(directory_prepare(file), &YOKE_PERMISSION, "it is no directory");
    assert_int_equal(mode_of(file), 0644);
    if (geteuid() != 0)
        return; /* only root can make what is another's */
    chmod(real, 0711);
    assert_int_equal(chown(real, 65534, 65534), 0);
    assert_error_text(directory_prepare(real), &YOKE_PERMISSION, "another user's");
    assert_int_equal(mode_of(real), 0711);
}

/* ---- nested ---- */

static void test_nested_ones_are_made(void **state)
{
    int fd;
    mode_t mask = umask(0);
    assert_success(directory_open(in_base("one/two"), &fd));
    umask(mask);
    close(fd);
    assert_int_equal(mode_of(in_base("one")), 0700);
    assert_int_equal(mode_of(in_base("one/two")), 0700);
    assert_success(directory_open(in_base("one//two/"), &fd));
    close(fd);
}

static void test_nothing_is_made_behind_a_link(void **state)
{
    int fd;
    const char *real = in_base("real"), *file = in_base("file");
    assert_int_equal(mkdir(real, 0700), 0);
    assert_int_equal(symlink(real, in_base("link")), 0);
    assert_error_text(directory_open(in_base("link/new/deep"), &fd), &YOKE_PERMISSION, "a symbolic link");
    assert_false(exists(in_base("real/new")));
    close(open(file, O_CREAT | O_WRONLY, 0644));
    assert_error(directory_open(in_base("file/new"), &fd), &YOKE_SYSTEM);
    assert_error_text(directory_open(in_base("new/../other"), &fd), &YOKE_USAGE, "no `..`");
    assert_false(exists(in_base("other")));
}

/* ---- what dead processes left ---- */

static int listen_at(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    strcpy(name.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

/* A process id that is nobody's. */
static pid_t dead_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return pid;
}

static char *socket_of(const char *name, pid_t pid)
{
    char file[64];
    snprintf(file, sizeof file, "%s@%d.sock", name, (int)pid);
    return in_base(file);
}

static void test_sweep(void **state)
{
    pid_t dead = dead_process();
    char *stale = socket_of("stale", dead), *taken = socket_of("taken", dead),
         *ours = socket_of("ours", getpid()), *other = in_base("registry.sock");
    close(listen_at(stale));
    close(listen_at(ours));  /* its process lives, whatever it is doing */
    close(listen_at(other)); /* of no process that could be told */
    int fd = listen_at(taken);
    directory_sweep(base);
    assert_false(exists(stale));
    assert_true(exists(taken)); /* somebody listens: the number may be of another pid namespace */
    assert_true(exists(ours));
    assert_true(exists(other));
    close(fd);
    directory_sweep(base);
    assert_false(exists(taken));
    close(open(stale, O_CREAT | O_WRONLY, 0644)); /* no socket */
    directory_sweep(base);
    assert_true(exists(stale));
    directory_sweep(in_base("is-not-there"));
}

#undef TEST
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, before, after)
HARNESS_MAIN(TEST(test_where_it_is), TEST(test_made_and_closed_to_others), TEST(test_refused_directories),
             TEST(test_nested_ones_are_made), TEST(test_nothing_is_made_behind_a_link), TEST(test_sweep))
