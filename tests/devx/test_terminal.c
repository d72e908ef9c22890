/* What is said on a terminal on which others write, too. */
#include "harness.h"

#include "devx/debugger/terminal.h"

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINES = 500, SAID_BYTES = 1 << 20 };

static pid_t start_writer(void)
{
    pid_t pid = fork();
    while (pid == 0)
        if (write(STDOUT_FILENO, "another's words ", 16) < 0)
            _exit(1);
    return pid;
}

static void say_lines(void)
{
    pid_t writer = start_writer();
    for (int i = 0; i < LINES; i++)
        terminal_say(0, "line %d", i);
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
}

/* Moves on *next, the number of the line that is due. Returns how many bytes stand behind the last one. */
static size_t count_lines(const char *said, int *next)
{
    const char *at = said;
    char line[32];
    while (snprintf(line, sizeof line, "\nline %d\r", *next), (at = strstr(at, line))) {
        ++*next;
        said = at;
    }
    return strlen(said);
}

/* Till its other end is closed. What has been looked at makes place. */
static int lines_said_on(int master)
{
    char *said = malloc(SAID_BYTES);
    size_t size = 0;
    int next = 0;
    assert_non_null(said);
    for (ssize_t n; (n = read(master, said + size, SAID_BYTES - 1 - size)) > 0;) {
        said[size += (size_t)n] = '\0';
        size_t rest = count_lines(said, &next);
        rest = rest < 64 ? rest : 64;
        memmove(said, said + size - rest, rest);
        size = rest;
    }
    free(said);
    return next;
}

/* A process says so many lines on a terminal of its own. */
static void expect_lines(void (*say)(void), int count)
{
    int master, status;
    pid_t pid = forkpty(&master, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        say();
        _exit(0);
    }
    assert_int_equal(lines_said_on(master), count);
    close(master);
    assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_nothing_is_lost_while_another_writes(void **state)
{
    expect_lines(say_lines, LINES);
}

/* By ctrl-s. */
static void say_when_stopped(void)
{
    alarm(10);
    tcflow(STDOUT_FILENO, TCOOFF);
    terminal_say(0, "lost");
    tcflow(STDOUT_FILENO, TCOON);
    terminal_say(0, "line 0");
}

static void test_a_stopped_terminal_is_not_waited_for(void **state)
{
    expect_lines(say_when_stopped, 1);
}

HARNESS_MAIN(TEST(test_nothing_is_lost_while_another_writes), TEST(test_a_stopped_terminal_is_not_waited_for))
