/* Intrusive hash table keyed by bytes: chained buckets, grows at load 1, nodes are the caller's. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_node {
    struct table_node *next;
    uint64_t hash;
    const void *key; /* the caller's bytes; must live as long as the node is in the table */
    size_t key_size;
};

struct table {
    struct table_node **buckets;
    size_t bucket_count, count;
    uint64_t seed;           /* against keys chosen to collide: random for each table */
    struct table_node *last; /* that was found; NULL: it is gone, or there was none */
};

/* Allocates nothing; an all-zero table is empty too (its seed is drawn at the first insert). */
void table_init(struct table *t);
/* Key must not be in it. False without memory, only when the first buckets can't be had: a table that can't
 * grow goes on. */
bool table_insert(struct table *t, struct table_node *node, const void *key, size_t key_size);
struct table_node *table_find(const struct table *t, const void *key, size_t key_size);
/* Only if it is the one that was found last: without a hash. */
struct table_node *table_find_again(const struct table *t, const void *key, size_t key_size);
/* The node must be in it. */
void table_remove(struct table *t, struct table_node *node);
/* Walk: table_first, then table_next; the node given to table_next may have been removed only after the call.
 */
struct table_node *table_first(const struct table *t);
struct table_node *table_next(const struct table *t, const struct table_node *node);
/* Frees the buckets, not the nodes. */
void table_free(struct table *t);

#endif
