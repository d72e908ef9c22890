/*
 * What a random program is checked against: a second account, as plain as can be, of which scope lies in
 * which, who is cancelled, where each item and each error went. It asks the library only for flags of single
 * objects (was this scope cancelled?), never for what follows from them.
 */
#ifndef TESTS_TASK_RANDOM_PROGRAM_H
#define TESTS_TASK_RANDOM_PROGRAM_H

#include "child.h"

enum {
    MOST_NODES = 1024,
    MOST_TASKS = 64,
    MOST_ITEMS = 1024,
    MOST_ERRORS = 256,
    CHANNELS = 4,
    EVENTS = 3,
    LOCKS = 2
};

/* A scope, or a nursery. Nodes stay when it is closed. */
struct node {
    struct node *parent;
    struct node *moved_to; /* of the nursery inside a start: all that it held is there now */
    yoke_scope *scope;     /* NULL: closed, or not known yet */
    yoke_nursery *nursery; /* while open, if it is one */
    bool inner;            /* that one: nobody else reaches it */
    bool shield, cancel_asked, has_deadline;
    int id;
    size_t alive;           /* tasks in it */
    size_t errors;          /* real ones that came into it, its body's too */
    bool brought_cancelled; /* a Cancelled came into it */
};

struct channel {
    yoke_sender tx[2];
    yoke_receiver rx[2];
};

/* What happened at all, over many programs: a generator that makes nothing happen proves nothing. */
struct tally {
    size_t tasks, absorbed, passed_on, real_errors, items, dropped, moved, kept_under, never_ready, too_slow,
        chosen, cancelled_waits, locked, shielded;
};

struct world {
    uint64_t seed, random;
    struct tally *tally;
    char broken[512]; /* the first thing that was wrong */
    int steps;        /* left to all tasks */
    struct node nodes[MOST_NODES];
    int node_count;
    struct child {
        struct world *world;
        struct node *home; /* the nursery it was spawned into; of a start: the inner one */
        struct node *target;
        uint64_t random;
        int depth;
        bool done, moved, called;
    } children[MOST_TASKS];
    int child_count;
    struct channel channels[CHANNELS];
    uint8_t sent[MOST_ITEMS], received[MOST_ITEMS], dropped[MOST_ITEMS];
    int item_count;
    uint8_t arrived[MOST_ERRORS];
    int error_count;
    yoke_event events[EVENTS];
    yoke_lock locks[LOCKS];
    int inside[LOCKS];
    yoke_semaphore semaphore;
    int permits_out;
    size_t tasks_alive;
};

enum { PERMITS = 2 };

static void wrong(struct world *w, int line, const char *what, int id)
{
    if (!w->broken[0])
        snprintf(w->broken, sizeof w->broken, "%s (%d; line %d; task `%s`)", what, id, line,
                 yoke_task_name(yoke_current_task()));
}
#define EXPECT(w, condition, id)                                                                             \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            wrong((w), __LINE__, #condition, (id));                                                          \
    } while (0)

/* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
static uint64_t draw(uint64_t *random)
{
    uint64_t x = (*random += 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static int below(uint64_t *random, int n)
{
    return (int)(draw(random) % (uint64_t)n);
}

/* ---- scopes ---- */

static struct node *node_new(struct world *w, struct node *parent)
{
    if (w->node_count == MOST_NODES)
        return NULL;
    struct node *node = &w->nodes[w->node_count];
    node->id = w->node_count++;
    node->parent = parent;
    return node;
}

static struct node *parent_of(const struct node *node)
{
    struct node *parent = node->parent;
    while (parent && parent->moved_to)
        parent = parent->moved_to;
    return parent;
}

static bool is_cancelled(const struct node *node)
{
    return node->scope && node->scope->cancel_called;
}

/* Is a cancellation to be seen in this scope? */
static bool sees(const struct node *node)
{
    for (; node; node = parent_of(node)) {
        if (is_cancelled(node))
            return true;
        if (node->shield)
            return false;
    }
    return false;
}

/* Does a cancelled scope absorb? The outermost cancelled one does, up to a shield. */
static bool absorbs(const struct node *node, bool cancelled)
{
    return cancelled && (node->shield || !sees(parent_of(node)));
}

static bool is_in(const struct node *inner, const struct node *outer)
{
    for (; inner; inner = parent_of(inner))
        if (inner == outer)
            return true;
    return false;
}

/* ---- errors ---- */

typedef void (*leaf_fn)(struct world *w, const yoke_error *leaf, void *arg);

static void each_leaf(struct world *w, const yoke_error *e, leaf_fn fn, void *arg)
{
    if (!e)
        return;
    size_t count = yoke_error_count(e);
    for (size_t i = 0; i < count; i++)
        each_leaf(w, yoke_error_member(e, i), fn, arg);
    if (!count)
        fn(w, e, arg);
}

struct leaves {
    size_t real, cancelled;
};

static void count_leaf(struct world *w, const yoke_error *leaf, void *arg)
{
    struct leaves *n = arg;
    if (yoke_error_is(leaf, &YOKE_CANCELLED))
        n->cancelled++;
    else
        n->real++;
}

static struct leaves leaves_of(struct world *w, const yoke_error *e)
{
    struct leaves n = {0};
    each_leaf(w, e, count_leaf, &n);
    return n;
}

/* An error like no other. */
static yoke_error *raise_one(struct world *w)
{
    if (w->error_count == MOST_ERRORS)
        return NULL;
    w->tally->real_errors++;
    return yoke_raise(&YOKE_PERMISSION, "e%d", w->error_count++);
}

static void leaf_arrived(struct world *w, const yoke_error *leaf, void *arg)
{
    int id = -1;
    bool known = sscanf(yoke_error_message(leaf), "e%d", &id) == 1 && id >= 0 && id < w->error_count;
    EXPECT(w, known, id);
    if (known)
        w->arrived[id]++;
}

/* The program is done with a real error. */
static yoke_error *handled(struct world *w, yoke_error *e)
{
    each_leaf(w, e, leaf_arrived, NULL);
    yoke_error_free(e);
    return NULL;
}

/* The scope that caused a Cancelled, as far as its text tells. Scopes are opened at "n<id>". */
static struct node *cause_of(struct world *w, const yoke_error *cancelled)
{
    const char *place = strstr(yoke_error_message(cancelled), "opened at n");
    int id = place ? atoi(place + strlen("opened at n")) : -1;
    return id >= 0 && id < w->node_count ? &w->nodes[id] : NULL;
}

static void leaf_caused_inside(struct world *w, const yoke_error *leaf, void *arg)
{
    struct node *cause = yoke_error_is(leaf, &YOKE_CANCELLED) ? cause_of(w, leaf) : NULL;
    EXPECT(w, !cause || is_in(cause, arg), cause ? cause->id : 0);
}

#endif
