/*
 * Intrusive doubly linked list, circular, with a head that is a node itself. A node that is in no list points
 * at itself once initialised, so removing it twice is harmless.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <yoke/base.h>

#include <stdbool.h>
#include <stddef.h>

typedef yoke_list list;

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define list_for_each(node, head)       for (list *node = (head)->next; node != (head); node = node->next)
#define list_for_each_safe(node, head)                                                                       \
    for (list *node = (head)->next, *node##_next = node->next; node != (head);                               \
         node = node##_next, node##_next = node->next)

static inline void list_init(list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const list *l)
{
    return l->next == l;
}

static inline void list_append(list *head, list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_prepend(list *head, list *node)
{
    list_append(head->next, node);
}

/* The node's own links are as they were: for one that goes into another list at once, or to its end. */
static inline void list_unlink(list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static inline void list_remove(list *node)
{
    list_unlink(node);
    list_init(node);
}

static inline list *list_pop(list *head)
{
    list *node = head->next;
    list_remove(node);
    return node;
}

/* Moves all of `from` to the end of `to`. */
static inline void list_splice(list *to, list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
