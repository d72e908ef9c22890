#include "harness.h"

#include "base/loan.h"
#include "base/memory.h"

#include <string.h>

/* What the parts hold, in their order. */
static size_t gather(const struct buffer *b, const struct loan *l, char *to)
{
    struct iovec parts[LOAN_PARTS];
    size_t size = 0;
    int count = loan_parts(b, l, parts);
    for (int i = 0; i < count; i++) {
        assert_true(parts[i].iov_len > 0);
        memcpy(to + size, parts[i].iov_base, parts[i].iov_len);
        size += parts[i].iov_len;
    }
    assert_int_equal(size, loan_total(b, l));
    return size;
}

static void expect(const struct buffer *b, const struct loan *l, const char *text)
{
    char all[64];
    size_t size = gather(b, l, all);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(all, text, size);
}

static const char whole[] = "before LENT after";

static void lay(struct buffer *b, struct loan *l, bool last)
{
    *b = BUFFER_EMPTY;
    assert_true(buffer_append(b, "xx", 2));
    buffer_consume(b, 1); /* so that the bytes do not begin where the memory does */
    assert_true(buffer_append(b, "before  after", last ? 7 : 13));
    buffer_consume(b, 1);
    *l = (struct loan){(const uint8_t *)"LENT", 4, 7};
}

/* However many bytes are taken at a time, what is left is what follows them. */
static void test_consume(void **state)
{
    struct buffer b;
    struct loan l;
    for (size_t step = 1; step <= sizeof whole - 1; step++) {
        lay(&b, &l, false);
        expect(&b, &l, whole);
        for (size_t at = 0; at < sizeof whole - 1;) {
            size_t count = step < sizeof whole - 1 - at ? step : sizeof whole - 1 - at;
            loan_consume(&b, &l, count);
            at += count;
            expect(&b, &l, whole + at);
        }
        buffer_free(&b);
    }
}

/* Whenever the lender takes it back, the bytes stay the same. */
static void test_take_back(void **state)
{
    for (int last = 0; last < 2; last++) {
        const char *text = last ? "before LENT" : whole;
        for (size_t gone = 0; gone <= strlen(text); gone++) {
            struct buffer b;
            struct loan l;
            lay(&b, &l, last);
            loan_consume(&b, &l, gone);
            assert_true(loan_take_back(&b, &l));
            assert_int_equal(l.size, 0);
            expect(&b, &l, text + gone);
            buffer_free(&b);
        }
    }
}

static void test_take_back_without_memory(void **state)
{
    struct buffer b = BUFFER_EMPTY;
    static const uint8_t large[1000];
    struct loan l = {large, sizeof large, 3};
    assert_true(buffer_append(&b, "abcdef", 6));
    memory_fail_after(0);
    assert_false(loan_take_back(&b, &l));
    memory_fail_after(SIZE_MAX);
    assert_int_equal(l.size, sizeof large);
    assert_int_equal(loan_total(&b, &l), 1006);
    buffer_free(&b);
}

HARNESS_MAIN(TEST(test_consume), TEST(test_take_back), TEST(test_take_back_without_memory))
