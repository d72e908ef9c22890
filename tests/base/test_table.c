#include "harness.h"

#include "base/memory.h"
#include "base/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 1000

struct item {
    struct table_node node;
    char key[16];
    bool seen;
};

static struct item items[COUNT];

static void fill(struct table *t)
{
    for (int i = 0; i < COUNT; i++) {
        snprintf(items[i].key, sizeof items[i].key, "key-%d", i);
        items[i].seen = false;
        assert_true(table_insert(t, &items[i].node, items[i].key, strlen(items[i].key)));
    }
}

static void test_find_and_remove(void **state)
{
    struct table t;
    table_init(&t);
    assert_null(table_find(&t, "key-1", 5));
    fill(&t);
    assert_int_equal(t.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(table_find(&t, items[i].key, strlen(items[i].key)), &items[i].node);
    assert_null(table_find(&t, "key-1", 4));
    assert_null(table_find(&t, "key-1000", 8));
    for (int i = 0; i < COUNT; i += 2)
        table_remove(&t, &items[i].node);
    assert_int_equal(t.count, COUNT / 2);
    for (int i = 0; i < COUNT; i++) {
        struct table_node *expected = i % 2 ? &items[i].node : NULL;
        assert_ptr_equal(table_find(&t, items[i].key, strlen(items[i].key)), expected);
    }
    table_free(&t);
}

static void test_walk(void **state)
{
    struct table t = {0};
    assert_null(table_first(&t));
    fill(&t);
    size_t seen = 0;
    for (struct table_node *node = table_first(&t); node; node = table_next(&t, node)) {
        struct item *item = (struct item *)node;
        assert_false(item->seen);
        item->seen = true;
        seen++;
    }
    assert_int_equal(seen, COUNT);
    for (struct table_node *node = table_first(&t), *next; node; node = next) {
        next = table_next(&t, node);
        table_remove(&t, node);
    }
    assert_int_equal(t.count, 0);
    assert_null(table_first(&t));
    table_free(&t);
}

static void test_empty_key_and_binary_keys(void **state)
{
    struct table t = {0};
    struct table_node empty, zero, zeros;
    assert_true(table_insert(&t, &empty, NULL, 0));
    assert_true(table_insert(&t, &zero, "\0", 1));
    assert_true(table_insert(&t, &zeros, "\0\0", 2));
    assert_ptr_equal(table_find(&t, NULL, 0), &empty);
    assert_ptr_equal(table_find(&t, "\0", 1), &zero);
    assert_ptr_equal(table_find(&t, "\0\0", 2), &zeros);
    table_free(&t);
}

/* Load stays near 1 and chains short: keys that differ little are spread. */
static void test_spread(void **state)
{
    struct table t = {0};
    fill(&t);
    assert_true(t.bucket_count >= COUNT && t.bucket_count <= 2 * COUNT + 48);
    size_t longest = 0;
    for (size_t i = 0; i < t.bucket_count; i++) {
        size_t length = 0;
        for (struct table_node *node = t.buckets[i]; node; node = node->next)
            length++;
        longest = length > longest ? length : longest;
    }
    assert_true(longest <= 12);
    struct table other = {0};
    struct table_node node;
    assert_true(table_insert(&other, &node, "k", 1));
    assert_int_not_equal(t.seed, other.seed);
    table_free(&other);
    table_free(&t);
}

static void test_without_memory(void **state)
{
    struct table t = {0};
    memory_fail_after(0);
    assert_false(table_insert(&t, &items[0].node, "a", 1));
    assert_int_equal(t.count, 0);
    char keys[64];
    for (int i = 0; i < 64; i++) {
        keys[i] = (char)i;
        memory_fail_after(i ? 0 : SIZE_MAX); /* the first buckets, and never more */
        assert_true(table_insert(&t, &items[i].node, &keys[i], 1));
    }
    memory_fail_after(SIZE_MAX);
    assert_int_equal(t.count, 64);
    assert_true(t.bucket_count < 64);
    for (int i = 0; i < 64; i++)
        assert_ptr_equal(table_find(&t, &keys[i], 1), &items[i].node);
    table_free(&t);
}

/* Without a hash only the last one is found, and only as long as it is there. */
static void test_find_again(void **state)
{
    struct table t;
    table_init(&t);
    fill(&t);
    assert_null(table_find_again(&t, "key-7", 5));
    assert_non_null(table_find(&t, "key-7", 5));
    assert_ptr_equal(table_find_again(&t, "key-7", 5), &items[7].node);
    assert_null(table_find_again(&t, "key-8", 5));
    assert_null(table_find_again(&t, "key-77", 6));
    table_remove(&t, &items[8].node);
    assert_ptr_equal(table_find_again(&t, "key-7", 5), &items[7].node);
    table_remove(&t, &items[7].node);
    assert_null(table_find_again(&t, "key-7", 5));
    assert_null(table_find(&t, "key-7", 5));
    assert_ptr_equal(table_find(&t, "key-9", 5), &items[9].node);
    assert_ptr_equal(table_find(&t, "key-9", 5), &items[9].node);
    table_free(&t);
}

HARNESS_MAIN(TEST(test_find_again), TEST(test_find_and_remove), TEST(test_walk),
             TEST(test_empty_key_and_binary_keys), TEST(test_spread), TEST(test_without_memory))
