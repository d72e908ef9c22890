/*
 * All memory of the library comes from here, so that tests can count it and can refuse it at any point.
 * Nothing here changes errno but a failure (ENOMEM). Any thread.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As malloc(3), calloc(3), realloc(3), free(3), strdup(3); size 0 gives a pointer that can be freed. */
void *memory_alloc(size_t bytes) __attribute__((malloc));
void *memory_calloc(size_t count, size_t bytes) __attribute__((malloc));
void *memory_realloc(void *p, size_t bytes);
void memory_free(void *p);
char *memory_strdup(const char *text) __attribute__((malloc)); /* NULL stays NULL */

/*
 * Large pieces will come and go. glibc returns a free heap's end to the system again and again till it has
 * once seen a larger piece freed (mallopt(3), M_MMAP_THRESHOLD): it is shown one, the first time. Then up to
 * 16 MiB stay with the process, and pieces of up to 8 MiB are taken of them without a page fault for each
 * page. What the user has set by mallopt or by the environment stays.
 */
void memory_expect_large(void);

/* Takes the piece out of the count and returns it: for what a user of the library is to free with free(3). */
void *memory_give_away(void *p);

/* Pieces handed out and not yet freed. */
size_t memory_live(void);
/* For tests: the allocation after `count` more fails, once (0: the very next; SIZE_MAX: none). Returns
 * whether the last one set has fired. */
bool memory_fail_after(size_t count);

#endif
