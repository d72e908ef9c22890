#include "harness.h"

#include "base/list.h"

#include <string.h>

struct item {
    char name;
    list node;
};

static void expect_names(list *head, const char *expected)
{
    char names[32];
    size_t count = 0;
    list_for_each(node, head)
        names[count++] = container_of(node, struct item, node)->name;
    names[count] = 0;
    assert_string_equal(names, expected);
    /* and backwards, so that both links are right */
    for (list *node = head->prev; node != head; node = node->prev)
        assert_int_equal(container_of(node, struct item, node)->name, expected[--count]);
    assert_int_equal(count, 0);
}

static void test_order(void **state)
{
    list head;
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    list_init(&head);
    assert_true(list_empty(&head));
    list_append(&head, &b.node);
    list_append(&head, &c.node);
    list_prepend(&head, &a.node);
    expect_names(&head, "abc");
    list_remove(&b.node);
    expect_names(&head, "ac");
    assert_true(
        list_empty(&b.node)); /* in no list, so that removing it twice is harmless whatever came between */
    assert_ptr_equal(b.node.prev, &b.node);
    list_remove(&b.node);
    expect_names(&head, "ac");
    assert_ptr_equal(list_pop(&head), &a.node);
    assert_ptr_equal(list_pop(&head), &c.node);
    assert_true(list_empty(&head));
}

static void test_remove_while_walking(void **state)
{
    list head;
    struct item items[4] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
    list_init(&head);
    for (int i = 0; i < 4; i++)
        list_append(&head, &items[i].node);
    list_for_each_safe(node, &head) {
        if (container_of(node, struct item, node)->name != 'c')
            list_remove(node);
    }
    expect_names(&head, "c");
}

static void test_splice(void **state)
{
    list to, from;
    struct item items[4] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
    list_init(&to);
    list_init(&from);
    list_splice(&to, &from);
    assert_true(list_empty(&to));
    list_append(&to, &items[0].node);
    list_splice(&to, &from);
    expect_names(&to, "a");
    for (int i = 1; i < 4; i++)
        list_append(&from, &items[i].node);
    list_splice(&to, &from);
    expect_names(&to, "abcd");
    assert_true(list_empty(&from));
}

HARNESS_MAIN(TEST(test_order), TEST(test_remove_while_walking), TEST(test_splice))
