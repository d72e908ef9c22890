/*
 * What every C test stands in: cmocka, and a check after each test that nothing is left: no open descriptor,
 * no child process, no mapping, no piece of the library's memory, no socket file.
 *
 *     HARNESS_MAIN(TEST(test_x), TEST(test_y))
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above before it. */
#include <cmocka.h>
#include <yoke/base.h>

#include <stdbool.h>

int harness_before(void **state);
int harness_after(void **state);

/*
 * `wanted` tasks at once, or as many as there can be here: a guard that is made by mprotect(2) splits a
 * mapping, of which a process has 65,530; valgrind and the sanitizers' builds take long for each.
 */
long harness_tasks(long wanted);

/* execv(3) of this very program; returns only if that failed. */
void harness_exec_self(char *const argv[]);

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, harness_before, harness_after)

#define HARNESS_MAIN(...)                                                                                    \
    int main(void)                                                                                           \
    {                                                                                                        \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                     \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                    \
    }

/* Fails, with the error's tree printed, unless e is NULL. Frees it. */
void expect_success(const char *file, int line, yoke_error *e);
#define assert_success(e) expect_success(__FILE__, __LINE__, (e))
/* Fails unless e is of `kind` and, when `text` is not NULL, its message or its printed tree holds it. Frees
 * it. */
void expect_error(const char *file, int line, yoke_error *e, const yoke_error_kind *kind, const char *text);
#define assert_error(e, kind)            expect_error(__FILE__, __LINE__, (e), (kind), NULL)
#define assert_error_text(e, kind, text) expect_error(__FILE__, __LINE__, (e), (kind), (text))

#endif
