/* Each test that writes does so in a child whose stderr is a pipe. */
#include "harness.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char output[64 * 1024];

static void read_all(int fd)
{
    size_t size = 0;
    for (ssize_t n; (n = read(fd, output + size, sizeof output - 1 - size)) > 0;)
        size += (size_t)n;
    output[size] = 0;
}

/* What `fn` writes to stderr, in `output`; the child must end well. */
static void capture(void (*fn)(void))
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    read_all(ends[0]);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void expect_match(const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int result = regexec(&regex, output, 0, NULL, 0);
    regfree(&regex);
    if (result)
        print_error("# `%s` does not match `%s`\n", output, pattern);
    assert_int_equal(result, 0);
}

static const char *actor(void *arg)
{
    return arg;
}

static const char *task(void *arg)
{
    return "words:count";
}

static void one_record(void)
{
    static char name[] = "left";
    const struct error_identity identity = {.actor = actor, .task = task, .arg = name};
    error_identity_set(&identity);
    errno = EINTR;
    yoke_log_at("../src/actor/x.c", 1, YOKE_WARNING, "counted %d", 7);
    if (errno != EINTR)
        _exit(1);
    error_identity_set(NULL);
    yoke_log(YOKE_ERROR, "no one");
}

static void test_form(void **state)
{
    capture(one_record);
    expect_match(
        "^[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} WARNING left\\[[0-9]+\\] words:count actor: counted 7\n"
        "[0-9:.]{12} ERROR -\\[[0-9]+\\] - app: no one\n$");
}

static void by_floor(void)
{
    if (yoke_log_set("debug,task=error,app=info"))
        _exit(1);
    yoke_log_at("src/ipc/a.c", 1, YOKE_DEBUG, "A");
    yoke_log_at("src/ipc/a.c", 1, YOKE_TRANSPORT, "B");
    yoke_log_at("/x/src/task/a.c", 1, YOKE_WARNING, "C");
    yoke_log_at("/x/src/task/a.c", 1, YOKE_ERROR, "D");
    yoke_log_at("main.c", 1, YOKE_RUNTIME, "E");
    yoke_log_at("src/mine/main.c", 1, YOKE_INFO, "F");
    yoke_log_at("mysrc/ipc/main.c", 1, YOKE_DEBUG, "G");
    yoke_log_at("src/src/devx/a.c", 1, YOKE_DEBUG, "H");
}

static void test_floors(void **state)
{
    capture(by_floor);
    expect_match("^[^\n]* DEBUG [^\n]* ipc: A\n[^\n]* ERROR [^\n]* task: D\n[^\n]* INFO [^\n]* app: F\n"
                 "[^\n]* DEBUG [^\n]* devx: H\n$");
}

static void escapes(void)
{
    yoke_log(YOKE_ERROR, "%s", "one\ntwo \x1b[31m\xff é\n");
    yoke_log(YOKE_ERROR, "last");
}

static void test_escapes(void **state)
{
    capture(escapes);
    expect_match("app: one\n    two \\\\x1b\\[31m\\\\xff é\n[0-9:.]{12} ERROR [^\n]* last\n$");
}

static void long_texts(void)
{
    static char text[20000];
    memset(text, 'a', sizeof text - 1);
    yoke_log(YOKE_ERROR, "%s", text);
    memset(text, '\x01', sizeof text - 1);
    yoke_log(YOKE_ERROR, "%s", text);
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = "é"[i % 2];
    yoke_log(YOKE_ERROR, "%s", text);
    yoke_log(YOKE_ERROR, "b%s", text);
}

static void test_long_texts(void **state)
{
    capture(long_texts);
    int lines = 0;
    for (char *line = strtok(output, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        size_t size = strlen(line);
        assert_true(size > 1000 && size < 4096);
        assert_string_equal(line + size - strlen("…"), "…");
        assert_null(strstr(line, "\\xc3"));
    }
    assert_int_equal(lines, 4);
}

static void without_memory(void)
{
    memory_fail_after(0);
    yoke_log(YOKE_ERROR, "text %d", 1);
    if (memory_fail_after(SIZE_MAX))
        _exit(1);
}

static void test_allocates_nothing(void **state)
{
    capture(without_memory);
    expect_match("text 1\n$");
}

static void test_filter(void **state)
{
    assert_string_equal(yoke_log_filter(), "warning");
    assert_int_equal(yoke_log_lowest(), YOKE_WARNING);
    assert_success(yoke_log_set("info"));
    assert_string_equal(yoke_log_filter(), "info");
    assert_int_equal(yoke_log_lowest(), YOKE_INFO);
    assert_success(yoke_log_set("Actor=transport,error,ipc=cancel"));
    assert_string_equal(yoke_log_filter(), "ipc=cancel,actor=transport,error");
    assert_int_equal(yoke_log_lowest(), YOKE_TRANSPORT);
    assert_error_text(yoke_log_set("actor=loud"), &YOKE_USAGE, "`loud` is no level");
    assert_error_text(yoke_log_set("shop=info"), &YOKE_USAGE, "`shop` is no floor");
    assert_error_text(yoke_log_set("info,"), &YOKE_USAGE, "`` is no level");
    assert_error(yoke_log_set(NULL), &YOKE_USAGE);
    assert_string_equal(yoke_log_filter(), "ipc=cancel,actor=transport,error");
    char filter[512];
    snprintf(filter, sizeof filter, "%s", yoke_log_filter());
    assert_success(yoke_log_set(filter));
    assert_string_equal(yoke_log_filter(), filter);
    assert_success(yoke_log_set("warning"));
}

static void test_longest_filter(void **state)
{
    const char *longest =
        "base=transport,task=transport,msg=transport,ipc=transport,actor=transport,devx=transport,"
        "app=transport,critical";
    assert_success(yoke_log_set(longest));
    assert_string_equal(yoke_log_filter(), longest);
    assert_success(yoke_log_set("warning"));
}

static void test_level_names(void **state)
{
    assert_string_equal(yoke_log_level_name(YOKE_CANCEL), "cancel");
    assert_string_equal(yoke_log_level_name(YOKE_TRANSPORT), "transport");
    assert_string_equal(yoke_log_level_name(1), "?");
}

/* The environment is read before main, so these look at this program run anew. */
static const char *run_self;
static void run_again(void)
{
    setenv("YOKE_LOG", run_self, 1);
    harness_exec_self((char *[]){(char *)"test_log", (char *)"say", NULL});
    _exit(1);
}

static void test_environment(void **state)
{
    run_self = "app=debug";
    capture(run_again);
    expect_match("^[^\n]* DEBUG [^\n]* app: filter app=debug,warning\n$");
    run_self = "bogus";
    capture(run_again);
    expect_match("^yoke: YOKE_LOG: [^\n]*`bogus` is no level[^\n]*\n[^\n]* WARNING [^\n]* filter warning\n$");
    run_self = "";
    capture(run_again);
    expect_match("^[^\n]* WARNING [^\n]* filter warning\n$");
}

static int say(void)
{
    yoke_log(yoke_log_lowest() < YOKE_WARNING ? YOKE_DEBUG : YOKE_WARNING, "filter %s", yoke_log_filter());
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return say();
    const struct CMUnitTest tests[] = {
        TEST(test_form),
        TEST(test_floors),
        TEST(test_escapes),
        TEST(test_long_texts),
        TEST(test_allocates_nothing),
        TEST(test_filter),
        TEST(test_longest_filter),
        TEST(test_level_names),
        TEST(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
