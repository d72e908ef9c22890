/*
 * Random programs: nurseries, scopes with shields and deadlines, tasks spawned and started anywhere, cancels
 * from anywhere, channels, choices, locks, events. Each is made from a seed and checked against what must
 * hold in every program:
 *
 *   no task outlives its nursery,
 *   no item is lost or doubled,
 *   a checkpoint in a cancelled scope tells it, each time, and none elsewhere does,
 *   each Cancelled is absorbed by exactly the scope that caused it, or one around it that was cancelled too,
 *   every error arrives once.
 *
 * PROPERTY_SEEDS in the environment: how many programs (10,000); PROPERTY_SEED: that one alone, as a failure
 * names it.
 * Each runs twice: in a test with tasks first in, first out, and in one where their order is shuffled.
 */
#include "random_program.h"

#include <signal.h>

#define TICK YOKE_MS(1) /* of a mock clock that jumps */
enum { DEPTH = 4, PATIENCE_TICKS = 100, SHIELD_TICKS = 10 };

/* A task, or a block of one. */
struct place {
    struct world *world;
    struct node *where; /* the innermost scope; while it is moved: see here() */
    uint64_t *random;
    int depth;
    struct child *child; /* whose place it is; NULL: the main task's */
};

static struct node *here(const struct place *p)
{
    struct node *node = p->where;
    while (node->moved_to)
        node = node->moved_to;
    return node;
}

static yoke_error *body(struct place *p);

/* ---- single operations ---- */

/*
 * What a checkpoint returned. `saw`: a cancellation was to be seen when it was called. Cancelled comes where
 * it is to be seen, and then always; other refusals (a closed end) are the program's business and end here.
 */
static yoke_error *after(struct place *p, bool saw, yoke_error *e)
{
    struct world *w = p->world;
    struct leaves n = leaves_of(w, e);
    EXPECT(w, !saw || (n.cancelled == 1 && !n.real), here(p)->id);
    if (!n.cancelled) {
        yoke_error_free(e);
        return NULL;
    }
    w->tally->cancelled_waits++;
    EXPECT(w, sees(here(p)), here(p)->id);
    struct node *cause = cause_of(w, e);
    EXPECT(w, !cause || (is_in(here(p), cause) && is_cancelled(cause)), here(p)->id);
    if (below(p->random, 8))
        return e;
    yoke_error_free(e); /* not listened to: the next checkpoint says it again */
    return NULL;
}

static yoke_error *checkpoint(struct place *p)
{
    bool saw = sees(here(p));
    yoke_error *e = yoke_checkpoint();
    EXPECT(p->world, e || !sees(here(p)), here(p)->id);
    return after(p, saw, e);
}

static yoke_error *sleep_some(struct place *p)
{
    bool saw = sees(here(p));
    return after(p, saw, yoke_sleep(below(p->random, 6) * TICK));
}

static yoke_error *half_checkpoints(struct place *p)
{
    EXPECT(p->world, !yoke_cancel_shielded_checkpoint(), here(p)->id);
    bool saw = sees(here(p));
    return after(p, saw, yoke_checkpoint_if_cancelled());
}

static struct channel *any_channel(struct place *p)
{
    return &p->world->channels[below(p->random, CHANNELS)];
}

/* The next item to send; none is left: -1. */
static int new_item(struct world *w)
{
    return w->item_count < MOST_ITEMS ? w->item_count++ : -1;
}

static void got(struct world *w, int item)
{
    EXPECT(w, item >= 0 && item < w->item_count, item);
    if (item >= 0 && item < w->item_count)
        w->received[item]++;
    w->tally->items++;
}

static yoke_error *send_one(struct place *p)
{
    struct world *w = p->world;
    yoke_sender *tx = &any_channel(p)->tx[below(p->random, 2)];
    int item = new_item(w);
    if (item < 0)
        return NULL;
    bool wait = below(p->random, 3), saw = wait && sees(here(p));
    yoke_error *e = wait ? yoke_channel_send(tx, &item) : yoke_channel_send_nowait(tx, &item);
    w->sent[item] = !e;
    return after(p, saw, e);
}

static yoke_error *receive_one(struct place *p)
{
    struct world *w = p->world;
    yoke_receiver *rx = &any_channel(p)->rx[below(p->random, 2)];
    int item = -1;
    bool wait = below(p->random, 3), saw = wait && sees(here(p));
    yoke_error *e = wait ? yoke_channel_receive(rx, &item) : yoke_channel_receive_nowait(rx, &item);
    if (e)
        EXPECT(w, item == -1, item);
    else
        got(w, item);
    return after(p, saw, e);
}

static yoke_error *choose_one(struct place *p)
{
    enum { CLAUSES = 3 };
    struct world *w = p->world;
    yoke_clause clauses[CLAUSES] = {{0}};
    int out[CLAUSES], in = -1;
    for (int i = 0; i < CLAUSES; i++) {
        struct channel *c = any_channel(p);
        int end = below(p->random, 2);
        out[i] = below(p->random, 2) ? new_item(w) : -1;
        if (out[i] >= 0)
            clauses[i] = (yoke_clause){.send = &c->tx[end], .from = &out[i]};
        else
            clauses[i] = (yoke_clause){.receive = &c->rx[end], .to = &in};
    }
    bool wait = below(p->random, 3), saw = wait && sees(here(p));
    yoke_choose_options options = {.in_order = below(p->random, 2)};
    if (below(p->random, 3) == 0)
        options.deadline = yoke_now() + below(p->random, 6) * TICK;
    size_t chosen;
    yoke_error *e = wait ? yoke_choose(clauses, CLAUSES, &chosen, &options)
                         : yoke_choose_nowait(clauses, CLAUSES, &chosen, &options);
    EXPECT(w, e || chosen < CLAUSES, (int)chosen);
    EXPECT(w, !saw || chosen == YOKE_NO_CLAUSE, (int)chosen);
    w->tally->chosen += !e;
    if (!e && clauses[chosen].send)
        w->sent[out[chosen]] = true;
    if (!e && clauses[chosen].receive)
        got(w, in);
    else
        EXPECT(w, in == -1, in);
    return after(p, saw, e);
}

static yoke_error *close_an_end(struct place *p)
{
    struct channel *c = any_channel(p);
    if (below(p->random, 2))
        yoke_sender_close(&c->tx[below(p->random, 2)]);
    else
        yoke_receiver_close(&c->rx[below(p->random, 2)]);
    return NULL;
}

static yoke_error *event(struct place *p)
{
    yoke_event *one = &p->world->events[below(p->random, EVENTS)];
    if (below(p->random, 4) == 0)
        yoke_event_set(one);
    bool saw = sees(here(p));
    yoke_error *e = yoke_event_wait(one);
    EXPECT(p->world, e || yoke_event_is_set(one), 0);
    return after(p, saw, e);
}

static yoke_error *few_steps(struct place *p, int most)
{
    yoke_error *e = NULL;
    for (int i = below(p->random, most); i > 0 && !e; i--)
        e = below(p->random, 2) ? checkpoint(p) : sleep_some(p);
    return e;
}

static yoke_error *in_lock(struct place *p)
{
    struct world *w = p->world;
    int which = below(p->random, LOCKS);
    bool saw = sees(here(p));
    yoke_error *e = yoke_lock_acquire(&w->locks[which]);
    if (e)
        return after(p, saw, e);
    EXPECT(w, !saw && w->inside[which]++ == 0, which);
    w->tally->locked++;
    e = few_steps(p, 4);
    w->inside[which]--;
    EXPECT(w, !yoke_lock_release(&w->locks[which]), which);
    return e;
}

static yoke_error *in_semaphore(struct place *p)
{
    struct world *w = p->world;
    bool saw = sees(here(p));
    yoke_error *e = yoke_semaphore_acquire(&w->semaphore);
    if (e)
        return after(p, saw, e);
    EXPECT(w, !saw && ++w->permits_out <= PERMITS, w->permits_out);
    e = few_steps(p, 4);
    w->permits_out--;
    EXPECT(w, !yoke_semaphore_release(&w->semaphore), 0);
    return e;
}

/* An open scope or nursery somewhere in the program, or NULL. */
static struct node *any_open(struct place *p, bool nursery)
{
    struct world *w = p->world;
    for (int tries = 0; tries < 8; tries++) {
        struct node *node = &w->nodes[below(p->random, w->node_count)];
        if (nursery ? node->nursery != NULL : node->scope != NULL && !node->inner)
            return node;
    }
    return NULL;
}

static yoke_error *cancel_one(struct place *p)
{
    struct node *node = any_open(p, false);
    if (!node || below(p->random, 3) == 0)
        return NULL;
    node->cancel_asked = true;
    yoke_scope_cancel(node->scope, "by chance");
    return NULL;
}

static yoke_error *change_scope(struct place *p)
{
    struct node *node = here(p);
    if (!node->scope || node->nursery || node->inner)
        return NULL;
    if (below(p->random, 2)) {
        node->shield = false; /* never raised while tasks are inside: a Cancelled may be on its way */
        yoke_scope_set_shield(node->scope, false);
        return NULL;
    }
    /* A shielded scope keeps the deadline that ends it. */
    bool never = !node->shield && below(p->random, 3) == 0;
    int64_t deadline = never ? YOKE_NEVER : yoke_now() + below(p->random, SHIELD_TICKS) * TICK;
    node->has_deadline = true;
    EXPECT(p->world, !yoke_scope_set_deadline(node->scope, deadline), node->id);
    return NULL;
}

/* ---- blocks ---- */

/* A real error may end where the block ends; a Cancelled goes on. */
static yoke_error *leave_block(struct place *p, yoke_error *e)
{
    if (e && !leaves_of(p->world, e).cancelled && below(p->random, 2))
        return handled(p->world, e);
    return e;
}

static yoke_error *in_scope(struct place *p)
{
    struct world *w = p->world;
    struct node *node = node_new(w, here(p));
    if (!node)
        return NULL;
    yoke_scope_options options = {.shield = below(p->random, 4) == 0, .fail = below(p->random, 3) == 0};
    if (options.shield || below(p->random, 3) == 0) {
        options.after = below(p->random, SHIELD_TICKS) * TICK;
        options.at_once = true;
        node->has_deadline = true;
    }
    char file[16];
    snprintf(file, sizeof file, "n%d", node->id);
    yoke_scope s;
    yoke_error *e = yoke_scope_open_at(file, node->id, &s, &options);
    if (e)
        return e;
    node->shield = options.shield;
    node->scope = &s;
    w->tally->shielded += options.shield;
    struct place inside = {w, node, p->random, p->depth + 1, p->child};
    e = body(&inside);
    struct leaves before = leaves_of(w, e);
    bool taken = absorbs(node, s.cancel_called);
    if (taken)
        each_leaf(w, e, leaf_caused_inside, node);
    e = yoke_scope_close(&s, e);
    node->scope = NULL;
    struct leaves left = leaves_of(w, e);
    bool caught = taken && before.cancelled;
    bool late = caught && !before.real && options.fail && s.deadline_fired;
    EXPECT(w, yoke_scope_cancelled_caught(&s) == caught, node->id);
    EXPECT(w, left.cancelled == (taken ? 0 : before.cancelled), node->id);
    EXPECT(w, left.real == before.real + late, node->id);
    EXPECT(w, !s.cancel_called || node->cancel_asked || (node->has_deadline && s.deadline_fired), node->id);
    w->tally->absorbed += caught;
    w->tally->passed_on += before.cancelled && !taken;
    if (late) {
        EXPECT(w, yoke_error_is(e, &YOKE_TOO_SLOW), node->id);
        w->tally->too_slow++;
        yoke_error_free(e);
        return NULL;
    }
    return leave_block(p, e);
}

/* ---- tasks ---- */

static struct child *child_new(struct place *p, struct node *home)
{
    struct world *w = p->world;
    if (w->child_count == MOST_TASKS)
        return NULL;
    struct child *child = &w->children[w->child_count++];
    *child = (struct child){.world = w, .home = home, .random = draw(p->random), .depth = p->depth + 1};
    return child;
}

/* What a task leaves goes to the nursery that it is in at its end. */
static void child_leaves(struct child *child, struct node *home, yoke_error *e)
{
    struct world *w = child->world;
    struct leaves n = leaves_of(w, e);
    home->errors += n.real;
    home->brought_cancelled |= n.cancelled > 0;
    home->alive--;
    w->tasks_alive--;
    child->done = true;
}

static yoke_error *spawned(void *arg)
{
    struct child *child = arg;
    struct world *w = child->world;
    struct place p = {w, child->home, &child->random, child->depth, child};
    EXPECT(w, yoke_task_nursery(yoke_current_task()) == child->home->nursery, child->home->id);
    yoke_error *e = body(&p);
    child_leaves(child, child->home, e);
    return e;
}

static yoke_error *spawn_into(struct place *p, struct node *home)
{
    struct child *child = home ? child_new(p, home) : NULL;
    if (!child)
        return NULL;
    EXPECT(p->world, !yoke_spawn(home->nursery, spawned, child), home->id);
    home->alive++;
    p->world->tasks_alive++;
    p->world->tally->tasks++;
    return NULL;
}

/* The task says that it is ready, with whatever it has open. */
static void get_ready(struct child *child)
{
    struct world *w = child->world;
    bool stays = sees(child->home);
    EXPECT(w, !yoke_started(child), child->home->id);
    child->called = true;
    child->moved = yoke_task_nursery(yoke_current_task()) == child->target->nursery;
    EXPECT(w, child->moved != stays, child->home->id);
    if (!child->moved)
        return;
    child->home->moved_to = child->target;
    child->home->scope = NULL;
    child->home->alive--;
    child->target->alive++;
}

static yoke_error *get_ready_and_go_on(struct child *child, struct place *p)
{
    yoke_error *e = below(&child->random, 3) ? few_steps(p, 4) : body(p);
    if (e || child->called)
        return e;
    if (below(&child->random, 6) == 0)
        return below(&child->random, 2) ? raise_one(child->world) : NULL;
    get_ready(child);
    return body(p);
}

static yoke_error *started(void *arg)
{
    struct child *child = arg;
    struct place p = {child->world, child->home, &child->random, child->depth, child};
    child->home->scope = yoke_nursery_scope(yoke_task_nursery(yoke_current_task()));
    yoke_error *e = get_ready_and_go_on(child, &p);
    child_leaves(child, child->moved ? child->target : child->home, e);
    return e;
}

/* What yoke_start returned, against what its task did. */
static yoke_error *after_start(struct place *p, struct child *child, bool saw, void *value, yoke_error *e)
{
    struct world *w = p->world;
    struct node *inner = child->home;
    inner->scope = NULL;
    EXPECT(w, inner->alive == 0 && (child->moved || child->done), inner->id);
    struct leaves n = leaves_of(w, e);
    if (child->moved) {
        EXPECT(w, !e && value == child, inner->id);
        w->tally->moved++;
        return NULL;
    }
    EXPECT(w, !value, inner->id);
    w->tally->kept_under += child->called;
    bool never_ready = !child->called && !inner->errors && !inner->brought_cancelled;
    if (never_ready) { /* it ended in silence: told as its fault, unless the starter was cancelled */
        bool told = yoke_error_is(e, &YOKE_USAGE);
        EXPECT(w, told || (yoke_error_is_cancelled(e) && sees(here(p))), inner->id);
        w->tally->never_ready += told;
        if (!told)
            return e;
        yoke_error_free(e);
        return NULL;
    }
    EXPECT(w, n.real == inner->errors, inner->id);
    EXPECT(w, !n.cancelled == !inner->brought_cancelled, inner->id);
    EXPECT(w, !n.cancelled || sees(here(p)), inner->id);
    return leave_block(p, e);
}

static yoke_error *start_into(struct place *p, struct node *target)
{
    struct world *w = p->world;
    struct node *inner = target ? node_new(w, here(p)) : NULL;
    struct child *child = inner ? child_new(p, inner) : NULL;
    if (!child)
        return NULL;
    child->target = target;
    inner->inner = true;
    inner->alive++;
    w->tasks_alive++;
    w->tally->tasks++;
    char file[16];
    snprintf(file, sizeof file, "n%d", inner->id);
    void *value = NULL;
    bool saw = sees(here(p));
    yoke_error *e = yoke_start_at(file, 0, "started", target->nursery, started, child, &value, NULL);
    return after_start(p, child, saw, value, e);
}

static yoke_error *in_nursery(struct place *p)
{
    struct world *w = p->world;
    struct node *node = node_new(w, here(p));
    if (!node)
        return NULL;
    char file[16];
    snprintf(file, sizeof file, "n%d", node->id);
    yoke_nursery n;
    yoke_error *e = yoke_nursery_open_at(file, node->id, &n);
    if (e)
        return e;
    node->nursery = &n;
    node->scope = yoke_nursery_scope(&n);
    struct place inside = {w, node, p->random, p->depth + 1, p->child};
    for (int i = below(p->random, 4); i > 0; i--)
        spawn_into(&inside, node);
    e = body(&inside);
    struct leaves of_body = leaves_of(w, e);
    node->errors += of_body.real;
    node->brought_cancelled |= of_body.cancelled > 0;
    e = below(p->random, 2) ? yoke_nursery_close(&n, e) : yoke_nursery_close_flat(&n, e);
    bool cancelled = n.scope.cancel_called, taken = absorbs(node, cancelled);
    node->scope = NULL;
    node->nursery = NULL;
    EXPECT(w, node->alive == 0, node->id);
    struct leaves left = leaves_of(w, e);
    EXPECT(w, left.real == node->errors, node->id);
    EXPECT(w, !left.cancelled == !(node->brought_cancelled && !taken), node->id);
    EXPECT(w, yoke_scope_cancelled_caught(&n.scope) == (node->brought_cancelled && taken), node->id);
    EXPECT(w, cancelled == (node->cancel_asked || node->errors || node->brought_cancelled), node->id);
    w->tally->absorbed += node->brought_cancelled && taken;
    return leave_block(p, e);
}

/* ---- programs ---- */

static yoke_error *step(struct place *p)
{
    bool deep = p->depth >= DEPTH;
    struct child *child = p->child;
    if (child && child->target && !child->called && below(p->random, 4) == 0) {
        get_ready(child);
        return NULL;
    }
    switch (below(p->random, deep ? 13 : 20)) {
    case 0:
        return checkpoint(p);
    case 1:
        return sleep_some(p);
    case 2:
        return half_checkpoints(p);
    case 3:
        return send_one(p);
    case 4:
        return receive_one(p);
    case 5:
        return choose_one(p);
    case 6:
        return event(p);
    case 7:
        return in_lock(p);
    case 8:
        return in_semaphore(p);
    case 9:
        return change_scope(p);
    case 10:
        return below(p->random, 3) ? cancel_one(p) : NULL;
    case 11:
        return below(p->random, 6) ? NULL : close_an_end(p);
    case 12:
        return below(p->random, 3) ? NULL : raise_one(p->world);
    case 13:
    case 14:
    case 15:
        return in_scope(p);
    case 16:
    case 17:
        return in_nursery(p);
    case 18:
        return spawn_into(p, any_open(p, true));
    default:
        return start_into(p, any_open(p, true));
    }
}

static yoke_error *body(struct place *p)
{
    yoke_error *e = NULL;
    for (int i = 1 + below(p->random, 9); i > 0 && !e && p->world->steps > 0; i--) {
        p->world->steps--;
        e = step(p);
    }
    return e;
}

static struct world *dropping_in;

static void drop_item(void *item)
{
    dropping_in->dropped[*(int *)item]++;
    dropping_in->tally->dropped++;
}

static yoke_error *world_open(struct world *w)
{
    static const size_t capacities[CHANNELS] = {0, 1, 3, YOKE_UNBOUNDED};
    yoke_channel_options options = {.destroy = drop_item};
    for (int i = 0; i < CHANNELS; i++) {
        struct channel *c = &w->channels[i];
        YOKE_TRY(yoke_channel_open(&c->tx[0], &c->rx[0], capacities[i], sizeof(int), &options));
        YOKE_TRY(yoke_sender_clone(&c->tx[0], &c->tx[1]));
        YOKE_TRY(yoke_receiver_clone(&c->rx[0], &c->rx[1]));
    }
    for (int i = 0; i < EVENTS; i++)
        yoke_event_init(&w->events[i]);
    for (int i = 0; i < LOCKS; i++)
        yoke_lock_init(&w->locks[i]);
    return yoke_semaphore_init(&w->semaphore, PERMITS, PERMITS);
}

static void world_close(struct world *w)
{
    for (int i = 0; i < CHANNELS; i++)
        for (int end = 0; end < 2; end++) {
            yoke_sender_close(&w->channels[i].tx[end]);
            yoke_receiver_close(&w->channels[i].rx[end]);
        }
    for (int i = 0; i < w->item_count; i++)
        EXPECT(w, w->received[i] + w->dropped[i] == w->sent[i], i);
    for (int i = 0; i < w->error_count; i++)
        EXPECT(w, w->arrived[i] == 1, i);
    for (int i = 0; i < LOCKS; i++) {
        yoke_lock_statistics now;
        yoke_lock_get_statistics(&w->locks[i], &now);
        EXPECT(w, !now.locked && !now.broken && !now.waiting, i);
    }
    yoke_semaphore_statistics now;
    yoke_semaphore_get_statistics(&w->semaphore, &now);
    EXPECT(w, now.value == PERMITS && !now.waiting, (int)now.value);
    EXPECT(w, w->tasks_alive == 0, (int)w->tasks_alive);
}

/* One program: all of it in a scope whose deadline ends what waits for ever. */
static yoke_error *program(void *arg)
{
    struct world *w = arg;
    YOKE_TRY(world_open(w));
    struct node *outermost = node_new(w, NULL), *root = node_new(w, outermost);
    struct place p = {w, root, &w->random, 0, NULL};
    yoke_scope patience;
    YOKE_TRY(yoke_scope_open_after_at("n1", 1, &patience, PATIENCE_TICKS * TICK, false));
    root->scope = &patience;
    yoke_error *e = NULL;
    for (int i = 0; i < 4 && !e; i++)
        e = in_nursery(&p);
    e = yoke_scope_close(&patience, e);
    root->scope = NULL;
    EXPECT(w, leaves_of(w, e).cancelled == 0, root->id);
    handled(w, e);
    world_close(w);
    return NULL;
}

/* Of the program that runs. One that crashes, aborts or never ends has a seed too. */
static char seed_text[64];

static void tell_seed(int number)
{
    ssize_t ignored = write(STDERR_FILENO, seed_text, strlen(seed_text));
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

static void run_seed(uint64_t seed, bool shuffled, struct tally *tally)
{
    static struct world w;
    memset(&w, 0, sizeof w);
    snprintf(seed_text, sizeof seed_text, "PROPERTY_SEED=%llu fails, %s\n", (unsigned long long)seed,
             shuffled ? "shuffled" : "first in, first out");
    w.seed = w.random = seed;
    w.tally = tally;
    w.steps = 20 + below(&w.random, 600);
    dropping_in = &w;
    size_t live = memory_live();
    yoke_mock_clock clock;
    yoke_mock_clock_init(&clock);
    assert_success(yoke_mock_clock_set_autojump(&clock, 0));
    yoke_run_options options = {.clock = &clock.clock, .seed = shuffled ? seed : YOKE_IN_ORDER};
    yoke_error *e = yoke_run(program, &w, &options);
    if (!e && w.broken[0])
        e = yoke_raise(&YOKE_INTERNAL, "not true: %s", w.broken);
    if (!e && memory_live() != live)
        e = yoke_raise(&YOKE_INTERNAL, "memory is left over");
    if (e)
        print_error("%s", seed_text);
    seed_text[0] = '\0';
    assert_success(e);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SEEDS = 1000 };
#else
enum { SEEDS = 10000 };
#endif

static void run_programs(bool shuffled)
{
    struct tally tally = {0};
    signal(SIGABRT, tell_seed);
    signal(SIGTERM, tell_seed);
    uint64_t only = from_environment("PROPERTY_SEED", 0);
    uint64_t count = from_environment("PROPERTY_SEEDS", RUNNING_ON_VALGRIND ? 100 : SEEDS);
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : count); seed++)
        run_seed(seed, shuffled, &tally);
    signal(SIGABRT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (only)
        return;
    print_message("%llu programs: %zu tasks, %zu errors, %zu Cancelled absorbed, %zu passed on, %zu items, "
                  "%zu dropped, %zu choices, %zu started and moved, %zu kept, %zu never ready, %zu too slow, "
                  "%zu waits cancelled, %zu locks, %zu shields\n",
                  (unsigned long long)count, tally.tasks, tally.real_errors, tally.absorbed, tally.passed_on,
                  tally.items, tally.dropped, tally.chosen, tally.moved, tally.kept_under, tally.never_ready,
                  tally.too_slow, tally.cancelled_waits, tally.locked, tally.shielded);
    assert_true(tally.tasks > count && tally.real_errors && tally.absorbed && tally.passed_on &&
                tally.items && tally.dropped && tally.chosen && tally.moved && tally.kept_under &&
                tally.never_ready && tally.too_slow && tally.cancelled_waits && tally.locked);
}

static void test_scope_27_absorbed_exactly_once(void **state)
{
    run_programs(false);
}

static void test_sys_07_random_programs(void **state)
{
    run_programs(true);
}

static int after_programs(void **state)
{
    if (seed_text[0])
        print_error("%s", seed_text);
    return harness_after(state);
}

#define PROGRAMS(fn) cmocka_unit_test_setup_teardown(fn, harness_before, after_programs)

HARNESS_MAIN(PROGRAMS(test_scope_27_absorbed_exactly_once), PROGRAMS(test_sys_07_random_programs))
