/*
 * For the tests of this floor: a function that runs in a forked child, whose end and words on stderr are
 * looked at; and small helpers that several files need.
 */
#ifndef TESTS_TASK_CHILD_H
#define TESTS_TASK_CHILD_H

#include "base/memory.h"
#include "harness.h"

#include <yoke/task.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

struct child_end {
    int status; /* as of waitpid(2) */
    char text[8192];
};

/* In a child: assert macros would jump into the parent's test. */
#define CHILD_CHECK(condition)                                                                               \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            dprintf(STDERR_FILENO, "check failed: %s (%s:%d)\n", #condition, __FILE__, __LINE__);            \
            _exit(99);                                                                                       \
        }                                                                                                    \
    } while (0)

/* Runs `fn` in a child, whose exit status is 0 if fn returns; what it wrote on stderr is in end->text. */
__attribute__((unused)) static void run_child(struct child_end *end, void (*fn)(void))
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(fds[1], STDERR_FILENO);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, STDOUT_FILENO);
        close(null);
        close(fds[0]);
        close(fds[1]);
        fn();
        _exit(0);
    }
    close(fds[1]);
    size_t size = 0;
    for (;;) {
        char rest[512];
        bool full = size == sizeof end->text - 1;
        ssize_t n = full ? read(fds[0], rest, sizeof rest)
                         : read(fds[0], end->text + size, sizeof end->text - 1 - size);
        if (n <= 0)
            break;
        size += full ? 0 : (size_t)n;
    }
    end->text[size] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &end->status, 0), pid);
}

/* `fn` ends by abort(), and says each of the texts (NULL ends them) on stderr. */
__attribute__((unused)) static void expect_death(const char *file, int line, void (*fn)(void), ...)
{
    static struct child_end end;
    run_child(&end, fn);
    bool aborted = WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT;
    if (!aborted) {
        print_error("%s:%d: no abort, status %#x: %s\n", file, line, (unsigned)end.status, end.text);
        fail();
    }
    va_list texts;
    va_start(texts, fn);
    for (const char *text; (text = va_arg(texts, const char *));)
        if (!strstr(end.text, text)) {
            print_error("%s:%d: `%s` is not in: %s\n", file, line, text, end.text);
            fail();
        }
    va_end(texts);
}
#define assert_death(fn, ...) expect_death(__FILE__, __LINE__, (fn), __VA_ARGS__, (const char *)NULL)

/* The place of a line, as messages show it: the file's name and the number. */
#define PLACE_TEXT(buffer, line_number)                                                                      \
    (snprintf((buffer), sizeof(buffer), "%s:%d", __FILE__, (line_number)), (buffer))

/* A program's arguments from literals. */
#define ARGV(...) ((char *const *)(const char *[]){__VA_ARGS__, NULL})

static inline yoke_error *drop(yoke_error *e)
{
    yoke_error_free(e);
    return NULL;
}

/* Is e a Cancelled? Frees it. */
static inline bool was_cancelled(yoke_error *e)
{
    bool yes = yoke_error_is_cancelled(e);
    yoke_error_free(e);
    return yes;
}

/* Is e of this kind? Frees it. */
static inline bool was_kind(yoke_error *e, const yoke_error_kind *kind)
{
    bool yes = yoke_error_is(e, kind);
    yoke_error_free(e);
    return yes;
}

/* Lets the other tasks run till they are blocked (those that wait for time or descriptors aside). */
static inline void settle(void)
{
    for (int i = 0; i < 5; i++)
        yoke_error_free(yoke_cancel_shielded_checkpoint());
}

/* Runs main_fn with the n-th allocation refused, for every n till none is refused any more: it may fail, not
 * crash, not leak. */
__attribute__((unused)) static void refuse_each_allocation(yoke_task_fn main_fn, void *arg)
{
    size_t live = memory_live();
    bool refused = true;
    for (size_t n = 0; refused; n++) {
        assert_true(n < 2000);
        memory_fail_after(n);
        yoke_error *e = yoke_run(main_fn, arg, NULL);
        refused = memory_fail_after(SIZE_MAX);
        yoke_error_free(e);
        assert_int_equal(memory_live(), live);
    }
}

#endif
