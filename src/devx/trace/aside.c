#include "devx/trace/aside.h"

#include "base/thread.h"
#include "task/token.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

enum { STACK_BYTES = 2 << 20 };

struct aside {
    void (*fn)(void *arg);
    void *arg;
    void *stack;
    pthread_t thread;
    yoke_token *token; /* NULL: the caller joins the thread at once */
    yoke_event done;
};

static yoke_error *set_done(void *arg)
{
    yoke_event_set(&((struct aside *)arg)->done);
    return NULL;
}

static void *run(void *arg)
{
    struct aside *a = arg;
    a->fn(a->arg);
    if (a->token)
        token_post_surely(a->token, set_done, a);
    return NULL;
}

/* On a stack that goes with it: the C library would keep one for later. An errno, or 0. */
static int start(struct aside *a)
{
    a->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (a->stack == MAP_FAILED)
        return errno;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, a->stack, STACK_BYTES);
    int error = thread_start(&a->thread, &attributes, run, a);
    pthread_attr_destroy(&attributes);
    if (error)
        munmap(a->stack, STACK_BYTES);
    return error;
}

static void join(struct aside *a)
{
    pthread_join(a->thread, NULL);
    munmap(a->stack, STACK_BYTES);
}

int aside_wait(void (*fn)(void *arg), void *arg)
{
    struct aside a = {.fn = fn, .arg = arg};
    int error = start(&a);
    if (!error)
        join(&a);
    return error;
}

/* It has done all but to end, for which it needs a core, and others may have that. Not by a sleep: the clock
 * may be a test's. */
static void join_softly(struct aside *a)
{
    while (pthread_tryjoin_np(a->thread, NULL) == EBUSY)
        yoke_error_free(yoke_cancel_shielded_checkpoint());
    munmap(a->stack, STACK_BYTES);
}

static yoke_error *start_and_wait(struct aside *a)
{
    int error = start(a);
    if (error)
        return yoke_raise_errno(error, "a thread");
    scheduler_here->answers++; /* a clock that jumps does not jump over this */
    yoke_error *e = yoke_event_wait(&a->done);
    scheduler_here->answers--;
    join_softly(a);
    return e;
}

yoke_error *aside_run(void (*fn)(void *arg), void *arg)
{
    struct aside a = {.fn = fn, .arg = arg};
    yoke_scope shield;
    yoke_event_init(&a.done);
    YOKE_TRY(yoke_token_get(&a.token));
    yoke_error *e = task_shield_open(&shield, (yoke_scope_options){0});
    if (!e)
        e = task_shield_close(&shield, start_and_wait(&a));
    yoke_token_free(a.token);
    return e;
}
