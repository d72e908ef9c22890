/*
 * A network of the test's own: a process in a new network namespace, of which only the loopback interface is
 * there, up or down as the test wants. Nothing of it is seen outside.
 */
#ifndef TESTS_NAMESPACE_H
#define TESTS_NAMESPACE_H

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMESPACE_REFUSED = 77 };

static inline bool namespace_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool fine = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return fine;
}

/* The user stays the same: what is on disk is his. */
static inline bool namespace_enter(void)
{
    char map[64];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    snprintf(map, sizeof map, "%u %u 1", (unsigned)uid, (unsigned)uid);
    if (!namespace_write("/proc/self/uid_map", map) || !namespace_write("/proc/self/setgroups", "deny"))
        return false;
    snprintf(map, sizeof map, "%u %u 1", (unsigned)gid, (unsigned)gid);
    return namespace_write("/proc/self/gid_map", map);
}

/* Of this process' namespace. */
static inline bool namespace_loopback(bool up)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool fine = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    fine = fine && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0)
        close(fd);
    return fine;
}

/* Runs `body` there in a process of its own; its result, which is the exit status, or NAMESPACE_REFUSED where
 * this user may make no namespaces. */
static inline int namespace_run(int (*body)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(120);
        _exit(namespace_enter() && namespace_loopback(true) ? body() : NAMESPACE_REFUSED);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The line that a skipped test says. */
#define NAMESPACE_SKIP_IF_REFUSED(status)                                                                    \
    do {                                                                                                     \
        if ((status) == NAMESPACE_REFUSED) {                                                                 \
            print_message("# skipped: this user may make no network namespace (unshare(2))\n");              \
            skip();                                                                                          \
        }                                                                                                    \
    } while (0)

#endif
