/* What is said of a debugger that may not attach. */
#include "harness.h"

#include "devx/debugger/attach.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_of_setting(const char *setting, const char *text)
{
    char path[] = "/tmp/yoke-yama-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && dprintf(fd, "%s\n", setting) > 0);
    close(fd);
    yoke_error *e = attach_refused("gdb", getpid(), path);
    unlink(path);
    assert_error_text(e, &YOKE_PERMISSION, text);
}

static void test_pause_16_the_setting_and_how_to_allow_it(void **state)
{
    expect_of_setting("1", "kernel.yama.ptrace_scope is 1: root may: or allow it with `sysctl");
    expect_of_setting("2", "kernel.yama.ptrace_scope is 2: root may: or allow it with `sysctl");
    expect_of_setting("3", "kernel.yama.ptrace_scope is 3: it forbids every attach till the next boot");
    expect_of_setting("0", "kernel.yama.ptrace_scope is 0: a container or a security module forbids it");
    assert_error_text(attach_refused("gdb", getpid(), "/nonexistent"), &YOKE_PERMISSION,
                      "no kernel.yama.ptrace_scope: a container or a security module forbids it");
}

static void test_pause_16_process_that_is_gone(void **state)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    assert_error_text(attach_refused("gdb", pid, ATTACH_YAMA), &YOKE_NOT_FOUND, "it is gone");
}

HARNESS_MAIN(TEST(test_pause_16_the_setting_and_how_to_allow_it), TEST(test_pause_16_process_that_is_gone))
