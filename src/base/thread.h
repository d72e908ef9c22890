/* Threads of the library's own. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/* pthread_create(3) of one that takes no signals: those of the process are for the threads that were there
 * before. An errno, or 0. */
int thread_start(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *arg), void *arg);

#endif
