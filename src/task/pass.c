/*
 * Passes: what happens between two batches. What a pass looks at costs system calls, so it looks at
 *   timers        whenever one is set (a clock read),
 *   descriptors   when a task waits for one, in each pass that follows one which has not looked,
 *   posts         always: a flag in memory, for signals and other threads,
 * which serves what is due in the second pass at the latest, and lets tasks that only pass items to each
 * other run undisturbed.
 *
 * The pass of a guest gives the thread to the host before it looks, and does not wait: that is the host's.
 */
#include "task/pass.h"

#include "base/die.h"
#include "task/clock.h"
#include "task/run.h"
#include "task/signal.h"
#include "task/token.h"

#include <errno.h>
#include <stdio.h>

void pass_hook_set(struct scheduler *s, struct pass_hook *hook)
{
    if (hook->set)
        return;
    hook->set = true;
    list_append(&s->pass_hooks, &hook->link);
}

void pass_hook_unset(struct pass_hook *hook)
{
    if (hook->set)
        list_remove(&hook->link);
    hook->set = false;
}

static void run_hooks(struct scheduler *s)
{
    list due;
    list_init(&due);
    list_splice(&due, &s->pass_hooks);
    while (!list_empty(&due)) {
        struct pass_hook *hook = container_of(list_pop(&due), struct pass_hook, link);
        hook->set = false;
        hook->fn(hook);
    }
}

/* Once, the run can end of it. After that only one that waits by its host gets any further: by time. */
static void look_failed(struct scheduler *s, yoke_error *e)
{
    if (!s->blind && s->system) {
        s->blind = true;
        scheduler_fail(s, yoke_wrap(e, &YOKE_INTERNAL, "the scheduler can't wait for descriptors"));
        return;
    }
    if (!s->guest) {
        char *text = yoke_error_text(e);
        die("the scheduler can't wait for descriptors: %s", text ? text : "");
    }
    yoke_error_free(e);
}

void pass_look(struct scheduler *s, int64_t timeout)
{
    s->looked = true;
    yoke_error *e = poller_wait(&s->poller, s->guest ? 0 : timeout);
    if (e)
        look_failed(s, e);
}

static bool is_posted(struct scheduler *s)
{
    return atomic_load_explicit(&s->posted, memory_order_acquire);
}

bool pass_has_work(struct scheduler *s)
{
    return !list_empty(&s->ready) || !list_empty(&s->pass_hooks) || is_posted(s);
}

/* ---- batches that are not first in, first out ---- */

/* SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014). */
static uint64_t next_random(struct scheduler *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct pile {
    list *first; /* linked by next alone */
    uint64_t count;
};

/* One list of two, as cards are riffled: the next task comes from either with the probability of its share,
 * so that all ways are equally likely. */
static struct pile riffle(struct scheduler *s, struct pile a, struct pile b)
{
    struct pile both = {NULL, a.count + b.count};
    list **end = &both.first;
    while (a.count || b.count) {
        struct pile *from = next_random(s) % (a.count + b.count) < a.count ? &a : &b;
        *end = from->first;
        end = &from->first->next;
        from->first = from->first->next;
        from->count--;
    }
    *end = NULL;
    return both;
}

/* A merge sort from below that compares by dice: n log n, without memory, every order equally likely. */
static void shuffle(struct scheduler *s)
{
    struct pile piles[64] = {{NULL, 0}}; /* piles[i]: empty, or of 2^i tasks */
    while (!list_empty(&s->ready)) {
        struct pile one = {list_pop(&s->ready), 1};
        size_t i = 0;
        for (; piles[i].count; i++) {
            one = riffle(s, piles[i], one);
            piles[i].count = 0;
        }
        piles[i] = one;
    }
    struct pile all = {NULL, 0};
    for (size_t i = 0; i < 64; i++)
        if (piles[i].count)
            all = riffle(s, all, piles[i]);
    for (list *node = all.first, *next; node; node = next) {
        next = node->next;
        list_append(&s->ready, node);
    }
}

/* ---- the pass ---- */

void pass_note_time(struct scheduler *s)
{
    s->pass_at = clock_real();
}

void pass(struct scheduler *s)
{
    int saved_errno = *s->errno_at;
    yoke_task *here = s->current; /* on whose stack this runs */
    s->current = NULL;
    s->hand = &s->ready;
    s->passes++;
    s->quiet_at = 0;
    /* A message wakes the channel's task in one pass and its reader in the next: a look between the two would
     * be a system call a message. */
    bool looked = s->looked;
    s->looked = false;
    for (;;) {
        if (!list_empty(&s->pass_hooks))
            run_hooks(s);
        if (s->guest)
            run_leave(s, here);
        if (list_empty(&s->ready) && !is_posted(s))
            idle_wait(s);
        else if (s->poller.waiting && !looked)
            pass_look(s, 0);
        if (is_posted(s)) {
            atomic_store(&s->posted, false);
            signal_dispatch(s);
            token_run(s);
        }
        pass_note_time(s);
        if (s->timers.count)
            timer_fire_due(&s->timers, clock_at(s, s->pass_at));
        if (s->bounds.count)
            timer_fire_due(&s->bounds, s->pass_at);
        if (!list_empty(&s->ready))
            break;
    }
    if (s->random)
        shuffle(s);
    *s->errno_at = saved_errno;
}

/* ---- long steps ---- */

static void step_begins(struct scheduler *s, yoke_task *task)
{
    s->step.task = task;
    s->step.begun = clock_real();
}

/* A debugger that stops the program makes every step long. */
static bool is_debugged(void)
{
    char line[128];
    int tracer = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "TracerPid: %d", &tracer) != 1)
        ;
    if (f)
        fclose(f);
    return tracer != 0;
}

/* The task may have ended in this step. Its stack is still as it was, since no other task has run. */
static void step_ends(struct scheduler *s)
{
    yoke_task *task = s->step.task;
    s->step.task = NULL;
    if (!task)
        return;
    int64_t ns = clock_real() - s->step.begun;
    if (ns <= s->step.bound || task->long_step_told || is_debugged())
        return;
    task->long_step_told = true;
    yoke_log(YOKE_WARNING,
             "task `%s` (spawned at %s:%d) ran for %lld ms without a checkpoint, and the others waited",
             task->name, task->file, task->line, (long long)(ns / 1000000));
}

list *pass_timed(struct scheduler *s, list *next)
{
    step_ends(s);
    if (next == &s->ready) {
        pass(s);
        next = s->ready.next;
    }
    step_begins(s, container_of(next, yoke_task, turn));
    return next;
}
