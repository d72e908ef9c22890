#include "harness.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static void test_append_and_consume(void **state)
{
    struct buffer b = BUFFER_EMPTY;
    assert_int_equal(buffer_size(&b), 0);
    assert_true(buffer_append(&b, NULL, 0));
    assert_true(buffer_append(&b, "hello ", 6));
    assert_true(buffer_append(&b, "world", 5));
    assert_int_equal(buffer_size(&b), 11);
    assert_memory_equal(buffer_begin(&b), "hello world", 11);
    buffer_consume(&b, 6);
    assert_memory_equal(buffer_begin(&b), "world", 5);
    buffer_consume(&b, 5);
    assert_int_equal(b.start, 0);
    assert_int_equal(b.end, 0);
    buffer_free(&b);
    assert_null(b.data);
    buffer_free(&b);
}

/* Against a model: random appends and consumptions of a counting sequence. */
static void test_sequence(void **state)
{
    struct buffer b = BUFFER_EMPTY;
    unsigned random = 7;
    uint8_t next_in = 0, next_out = 0;
    for (int i = 0; i < 20000; i++) {
        random = random * 1103515245u + 12345u;
        size_t count = random >> 16 & 127;
        if (random >> 30 & 1) {
            uint8_t bytes[128];
            for (size_t k = 0; k < count; k++)
                bytes[k] = next_in++;
            assert_true(buffer_append(&b, bytes, count));
        } else {
            count = count < buffer_size(&b) ? count : buffer_size(&b);
            for (size_t k = 0; k < count; k++)
                assert_int_equal(buffer_begin(&b)[k], next_out++);
            buffer_consume(&b, count);
        }
        if (i % 1000 == 0)
            buffer_shrink(&b, 64);
    }
    assert_int_equal((uint8_t)(next_out + buffer_size(&b)), next_in);
    buffer_free(&b);
}

static void test_moves_before_it_grows(void **state)
{
    struct buffer b = BUFFER_EMPTY;
    assert_true(buffer_reserve(&b, 64));
    size_t capacity = b.capacity;
    b.end = capacity;
    memset(b.data, 'x', capacity);
    buffer_consume(&b, capacity - 4);
    assert_true(buffer_reserve(&b, capacity - 4));
    assert_int_equal(b.capacity, capacity);
    assert_int_equal(b.start, 0);
    assert_memory_equal(buffer_begin(&b), "xxxx", 4);
    buffer_free(&b);
}

static void test_without_memory(void **state)
{
    struct buffer b = BUFFER_EMPTY;
    memory_fail_after(0);
    assert_false(buffer_append(&b, "x", 1));
    assert_null(b.data);
    assert_true(buffer_append(&b, "abc", 3));
    struct buffer was = b;
    memory_fail_after(0);
    assert_false(buffer_reserve(&b, 10000));
    assert_memory_equal(&b, &was, sizeof b);
    assert_memory_equal(buffer_begin(&b), "abc", 3);
    assert_false(buffer_reserve(&b, SIZE_MAX));
    assert_false(buffer_reserve(&b, SIZE_MAX - 1));
    /* A shift is enough where growing would only be better. */
    b.end = b.capacity;
    buffer_consume(&b, 8);
    memory_fail_after(0);
    assert_true(buffer_reserve(&b, 8));
    assert_int_equal(b.start, 0);
    buffer_free(&b);
}

static void test_shrink(void **state)
{
    struct buffer b = BUFFER_EMPTY;
    assert_true(buffer_reserve(&b, 1 << 20));
    assert_true(buffer_append(&b, "keep", 4));
    buffer_shrink(&b, 4096);
    assert_int_equal(b.capacity, 4096);
    assert_memory_equal(buffer_begin(&b), "keep", 4);
    buffer_shrink(&b, 4096);
    assert_int_equal(b.capacity, 4096);
    buffer_consume(&b, 4);
    buffer_shrink(&b, 0);
    assert_null(b.data);
}

HARNESS_MAIN(TEST(test_append_and_consume), TEST(test_sequence), TEST(test_moves_before_it_grows),
             TEST(test_without_memory), TEST(test_shrink))
