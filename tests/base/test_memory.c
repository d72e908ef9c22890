#include "harness.h"

#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void test_counts(void **state)
{
    size_t before = memory_live();
    void *a = memory_alloc(10), *b = memory_calloc(3, 7), *c = memory_realloc(NULL, 5);
    char *d = memory_strdup("text");
    assert_int_equal(memory_live(), before + 4);
    assert_string_equal(d, "text");
    for (int i = 0; i < 21; i++)
        assert_int_equal(((char *)b)[i], 0);
    c = memory_realloc(c, 5000);
    assert_int_equal(memory_live(), before + 4);
    memory_free(a);
    memory_free(b);
    memory_free(c);
    memory_free(d);
    memory_free(NULL);
    assert_int_equal(memory_live(), before);
    assert_null(memory_strdup(NULL));
}

static void test_size_zero(void **state)
{
    void *a = memory_alloc(0), *b = memory_calloc(0, 8), *c = memory_alloc(8);
    assert_non_null(a);
    assert_non_null(b);
    c = memory_realloc(c, 0);
    assert_non_null(c);
    memory_free(a);
    memory_free(b);
    memory_free(c);
}

static void test_overflow(void **state)
{
    size_t before = memory_live();
    /* volatile: the compiler would tell that it can't be */
    volatile size_t huge = SIZE_MAX / 2;
    errno = 0;
    assert_null(memory_calloc(huge, 4));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(memory_live(), before);
}

static void test_fails_once(void **state)
{
    memory_fail_after(1);
    void *a = memory_alloc(1);
    errno = 0;
    assert_null(memory_strdup("x"));
    assert_int_equal(errno, ENOMEM);
    void *b = memory_calloc(1, 1);
    assert_true(memory_fail_after(0));
    errno = EINTR;
    assert_null(memory_realloc(a, 100));
    assert_true(memory_fail_after(5));
    assert_false(memory_fail_after(SIZE_MAX));
    assert_non_null(a);
    assert_non_null(b);
    memory_free(a);
    memory_free(b);
}

static void test_errno_kept(void **state)
{
    errno = EINTR;
    void *a = memory_alloc(1 << 20);
    a = memory_realloc(a, 4 << 20);
    memory_free(a);
    assert_int_equal(errno, EINTR);
}

static void test_give_away(void **state)
{
    size_t before = memory_live();
    void *a = memory_give_away(memory_alloc(4));
    assert_int_equal(memory_live(), before);
    free(a);
    assert_null(memory_give_away(NULL));
    assert_int_equal(memory_live(), before);
}

static void *churn(void *arg)
{
    for (int i = 0; i < 20000; i++)
        memory_free(memory_alloc(16));
    return NULL;
}

static void test_threads(void **state)
{
    size_t before = memory_live();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(memory_live(), before);
}

HARNESS_MAIN(TEST(test_counts), TEST(test_size_zero), TEST(test_overflow), TEST(test_fails_once),
             TEST(test_errno_kept), TEST(test_give_away), TEST(test_threads))
