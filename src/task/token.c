/*
 * The token: how other threads, and signal handlers, reach a run.
 *
 * Posts lie in places that are given out by a free list and handed over by a stack, both lock-free, since a
 * handler may interrupt any of it, on any thread. The scheduler takes the whole stack at once and turns it
 * round: that is the order of posting. The end of the run puts CLOSED where the stack's top was: every post
 * has either come before, and is run, or sees it.
 *
 * Places are told by numbers: a number with a counter in one word makes the free list safe against a place
 * that was taken and given back meanwhile (Treiber, "Systems Programming: Coping with Parallelism", 1986).
 * They lie in blocks that double in size and stay till the token goes, so that a late reader of a link reads
 * memory that is there. Blocks come from mmap: a system call can be made in a handler, malloc can't.
 */
#include "task/token.h"

#include "base/error.h"
#include "base/memory.h"

#include <sched.h>
#include <sys/mman.h>
#include <time.h>

enum {
    FIRST_LOG2 = 6, /* places in the first block */
    BLOCKS = 20,
    BUCKETS = 256 /* of pending merging posts */
};
#define NONE   0u
#define CLOSED UINT32_MAX

struct post {
    yoke_post_fn fn;
    void *arg;
    bool merges;
    _Atomic uint32_t next;      /* in the free list or the stack */
    uint32_t number;            /* its own */
    struct post *after, *alike; /* pending: in order; of the same bucket */
};

struct yoke_token {
    atomic_uint count;
    atomic_uint posting; /* calls that may still touch the scheduler */
    struct scheduler *_Atomic scheduler;
    _Atomic uint64_t unused; /* number | counter << 32 */
    _Atomic uint32_t posted; /* the stack's top, NONE, or CLOSED */
    struct post *_Atomic blocks[BLOCKS];
    struct post first_block[1 << FIRST_LOG2];

    /* The scheduler's thread alone: */
    struct post *pending, **pending_end;
    size_t pending_count;
    struct post *buckets[BUCKETS];
};

/* ---- places ---- */

static struct post *place(yoke_token *t, uint32_t number)
{
    uint32_t i = number - 1 + (1u << FIRST_LOG2);
    unsigned log2 = 31 - (unsigned)__builtin_clz(i);
    return &atomic_load(&t->blocks[log2 - FIRST_LOG2])[i - (1u << log2)];
}

static uint32_t places_in(unsigned block)
{
    return 1u << (FIRST_LOG2 + block);
}

/* The chain from `first` to `last`. */
static void give(yoke_token *t, uint32_t first, struct post *last)
{
    uint64_t old = atomic_load(&t->unused), new;
    do {
        atomic_store(&last->next, (uint32_t)old);
        new = first | ((old >> 32) + 1) << 32;
    } while (!atomic_compare_exchange_weak(&t->unused, &old, new));
}

static struct post *take(yoke_token *t)
{
    uint64_t old = atomic_load(&t->unused), new;
    struct post *p;
    do {
        if (!(uint32_t)old)
            return NULL;
        p = place(t, (uint32_t)old);
        new = atomic_load(&p->next) | ((old >> 32) + 1) << 32;
    } while (!atomic_compare_exchange_weak(&t->unused, &old, new));
    return p;
}

static void give_block(yoke_token *t, unsigned block, struct post *places)
{
    uint32_t first = places_in(block) - (1u << FIRST_LOG2) + 1, count = places_in(block);
    for (uint32_t i = 0; i < count; i++) {
        places[i].number = first + i;
        atomic_store(&places[i].next, first + i + 1);
    }
    give(t, first, &places[count - 1]);
}

/* Another one may grow at the same time, even the function that this call has interrupted: nobody waits, each
 * adds a block of its own. */
static bool grow(yoke_token *t)
{
    for (unsigned block = 1; block < BLOCKS; block++) {
        if (atomic_load(&t->blocks[block]))
            continue;
        size_t bytes = places_in(block) * sizeof(struct post);
        struct post *none = NULL;
        struct post *places = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (places == MAP_FAILED)
            return false;
        if (!atomic_compare_exchange_strong(&t->blocks[block], &none, places)) {
            munmap(places, bytes);
            continue;
        }
        give_block(t, block, places);
        return true;
    }
    return false;
}

/* ---- posting ---- */

/* Hands `p` over. False when the run has ended. */
static bool hand_over(yoke_token *t, struct post *p)
{
    uint32_t top = atomic_load(&t->posted);
    do {
        if (top == CLOSED)
            return false;
        atomic_store(&p->next, top);
    } while (!atomic_compare_exchange_weak(&t->posted, &top, p->number));
    if (top == NONE) { /* else whoever was the first wakes it */
        struct scheduler *s = atomic_load(&t->scheduler);
        atomic_store(&s->posted, true);
        poller_wake(&s->poller);
    }
    return true;
}

static yoke_error *post(yoke_token *t, yoke_post_fn fn, void *arg, bool merges)
{
    if (atomic_load(&t->posted) == CLOSED)
        return error_run_finished;
    struct post *p;
    while (!(p = take(t)))
        if (!grow(t))
            return error_no_memory;
    p->fn = fn;
    p->arg = arg;
    p->merges = merges;
    atomic_fetch_add(&t->posting, 1);
    bool accepted = hand_over(t, p);
    atomic_fetch_sub(&t->posting, 1);
    if (!accepted)
        give(t, p->number, p);
    return accepted ? NULL : error_run_finished;
}

yoke_error *yoke_token_post(yoke_token *t, yoke_post_fn fn, void *arg)
{
    return post(t, fn, arg, false);
}

void token_post_surely(yoke_token *t, yoke_post_fn fn, void *arg)
{
    yoke_error *e;
    while ((e = yoke_token_post(t, fn, arg))) {
        yoke_error_free(e);
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
}

yoke_error *yoke_token_post_once(yoke_token *t, yoke_post_fn fn, void *arg)
{
    return post(t, fn, arg, true);
}

/* ---- running ---- */

static struct post **bucket_of(yoke_token *t, const struct post *p)
{
    uint64_t h = ((uint64_t)(uintptr_t)p->fn * 31 + (uintptr_t)p->arg) * 0x9e3779b97f4a7c15u;
    return &t->buckets[h >> 56];
}

static bool merge(yoke_token *t, struct post *p)
{
    struct post **bucket = bucket_of(t, p);
    for (struct post *other = *bucket; other; other = other->alike)
        if (other->fn == p->fn && other->arg == p->arg)
            return true;
    p->alike = *bucket;
    *bucket = p;
    return false;
}

static void unmerge(yoke_token *t, const struct post *p)
{
    struct post **at = bucket_of(t, p);
    while (*at != p)
        at = &(*at)->alike;
    *at = p->alike;
}

/* What was posted becomes pending, in the order of posting. `top`: what was the stack's. */
static void gather(yoke_token *t, uint32_t top)
{
    struct post *first = NULL;
    while (top != NONE && top != CLOSED) {
        struct post *p = place(t, top);
        top = atomic_load(&p->next);
        p->after = first;
        first = p;
    }
    while (first) {
        struct post *p = first;
        first = p->after;
        if (p->merges && merge(t, p)) {
            give(t, p->number, p);
            continue;
        }
        p->after = NULL;
        *t->pending_end = p;
        t->pending_end = &p->after;
        t->pending_count++;
    }
}

static void gather_more(yoke_token *t)
{
    uint32_t top = atomic_load(&t->posted);
    while (top != NONE && top != CLOSED && !atomic_compare_exchange_weak(&t->posted, &top, NONE))
        ;
    gather(t, top);
}

static void run_first(struct scheduler *s, yoke_token *t)
{
    struct post *p = t->pending;
    if (p->merges) {
        gather_more(t); /* what is like it and was posted before it begins is merged with it */
        unmerge(t, p);
    }
    t->pending = p->after;
    if (!t->pending)
        t->pending_end = &t->pending;
    t->pending_count--;
    yoke_post_fn fn = p->fn;
    void *arg = p->arg;
    give(t, p->number, p);
    yoke_error *e = fn(arg);
    if (e)
        scheduler_fail(s, e);
}

void token_run(struct scheduler *s)
{
    yoke_token *t = s->token;
    if (!t)
        return;
    gather_more(t);
    for (size_t n = t->pending_count; n > 0; n--)
        run_first(s, t);
    if (t->pending_count)
        atomic_store(&s->posted, true);
}

/* ---- its life ---- */

yoke_error *yoke_token_get(yoke_token **token)
{
    struct scheduler *s = scheduler_here;
    *token = NULL;
    if (!s)
        return task_outside("yoke_token_get");
    if (s->finished)
        return error_run_finished;
    if (!s->token) {
        yoke_token *t = memory_calloc(1, sizeof *t);
        if (!t)
            return yoke_raise(&YOKE_NO_MEMORY, "a token");
        atomic_store(&t->count, 1); /* the run's */
        atomic_store(&t->scheduler, s);
        atomic_store(&t->blocks[0], t->first_block);
        t->pending_end = &t->pending;
        give_block(t, 0, t->first_block);
        s->token = t;
    }
    atomic_fetch_add(&s->token->count, 1);
    *token = s->token;
    return NULL;
}

void yoke_token_free(yoke_token *t)
{
    if (!t || atomic_fetch_sub(&t->count, 1) != 1)
        return;
    for (unsigned block = 1; block < BLOCKS; block++) {
        struct post *places = atomic_load(&t->blocks[block]);
        if (places)
            munmap(places, places_in(block) * sizeof *places);
    }
    memory_free(t);
}

bool token_is_held(const struct scheduler *s)
{
    return s->token && atomic_load(&s->token->count) > 1;
}

void token_close(struct scheduler *s)
{
    yoke_token *t = s->token;
    s->finished = true;
    if (!t)
        return;
    gather(t, atomic_exchange(&t->posted, CLOSED));
    while (t->pending)
        run_first(s, t);
    /* Who has handed over may still be about to wake the scheduler. Not for ever: a fork may have copied the
       count without the thread. */
    for (int i = 0; i < 100000 && atomic_load(&t->posting); i++)
        sched_yield();
    atomic_store(&t->scheduler, NULL);
    s->token = NULL;
    yoke_token_free(t);
}
