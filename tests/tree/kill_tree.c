/*
 * A tree of three levels under load, for test_kill.py to shoot at: the root, `middles` below it, `leaves`
 * below each. Each actor speaks with each of its children without end: calls, and a context with a stream
 * that carries both ways.
 *
 *     kill_tree MIDDLES LEAVES RUN_MS [spin | fork]
 *
 * Says on stdout `up` when the whole tree works, and `teardown` before it ends the tree RUN_MS after that.
 * With `spin` the first leaf of each middle never comes to a checkpoint; with `fork` it has started a `sleep`
 * of its own.
 */
#include "doubling.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CHILDREN = 8, ROUNDS_WITHOUT_REST = 32 };

YOKE_RECORD(order, (u32, leaves), (str, special));

/* ---- what is served ---- */

static yoke_error *spin(const yoke_type_none *args, yoke_type_none *result)
{
    for (volatile bool on = true; on;)
        ;
    return NULL;
}

static yoke_error *fork_sleeper(const yoke_type_none *args, yoke_type_none *result)
{
    pid_t pid = fork();
    if (pid < 0)
        return yoke_raise_errno(errno, "fork");
    if (pid > 0)
        return NULL;
    execlp("sleep", "sleep", "1000", (char *)NULL);
    _exit(127);
}

static yoke_error *bounce(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, yoke_end_is_fine(send_back(stream)));
}

static yoke_error *lead(yoke_context *ctx, const order *args, yoke_type_none *result);

YOKE_MODULE(load, YOKE_CALL(twice, number, number), YOKE_CALL(spin, none, none),
            YOKE_CALL(fork_sleeper, none, none),
            YOKE_CONTEXT_STREAM(bounce, none, none, none, number, number),
            YOKE_CONTEXT(lead, order, none, none));

/* ---- the load on one child ---- */

static yoke_error *rest(uint64_t round)
{
    return round % ROUNDS_WITHOUT_REST ? NULL : yoke_sleep(YOKE_MS(1));
}

static yoke_error *call_without_end(void *portal)
{
    for (uint64_t i = 1;; i++) {
        number result;
        YOKE_TRY(yoke_call(portal, "load:twice", &(number){i}, &result));
        if (result.value != 2 * i)
            return yoke_raise(&YOKE_INTERNAL, "twice %llu is not %llu", (unsigned long long)i,
                              (unsigned long long)result.value);
        YOKE_TRY(rest(i));
    }
}

static yoke_error *stream_without_end(yoke_stream *stream)
{
    for (uint64_t i = 1;; i++) {
        number item = {i};
        YOKE_TRY(yoke_send(stream, &item));
        YOKE_TRY(yoke_recv(stream, &item));
        if (item.value != 2 * i)
            return yoke_raise(&YOKE_INTERNAL, "the stream is out of step");
        YOKE_TRY(rest(i));
    }
}

static yoke_error *hold_stream(void *portal)
{
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(portal, &ctx, "load:bounce", NULL, NULL));
    yoke_stream *stream;
    yoke_error *e = yoke_stream_open(ctx, &stream, NULL);
    if (!e)
        e = yoke_stream_close(stream, stream_without_end(stream));
    return yoke_context_close(ctx, e);
}

static yoke_error *call_spin(void *portal)
{
    return yoke_call(portal, "load:spin", NULL, NULL);
}

static yoke_error *load_child(yoke_nursery *n, yoke_portal *portal)
{
    YOKE_TRY(yoke_spawn(n, call_without_end, portal));
    return yoke_spawn(n, hold_stream, portal);
}

/* ---- a level: starts children, all at once ---- */

struct level {
    yoke_actors *actors;
    const char *what; /* the name of its children */
    uint32_t count;
    yoke_portal *portals[MAX_CHILDREN];
};

struct birth {
    struct level *level;
    uint32_t index;
};

static yoke_error *start_one(void *arg)
{
    struct birth *b = arg;
    char name[32];
    snprintf(name, sizeof name, "%s-%u", b->level->what, b->index);
    return yoke_actors_start(b->level->actors, name, &(yoke_actor_options){.modules = "load"},
                             &b->level->portals[b->index]);
}

static yoke_error *start_all(struct level *level)
{
    struct birth births[MAX_CHILDREN];
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (uint32_t i = 0; i < level->count && !e; i++) {
        births[i] = (struct birth){level, i};
        e = yoke_spawn(&n, start_one, &births[i]);
    }
    return yoke_nursery_close(&n, e);
}

/* ---- a middle ---- */

struct middle {
    yoke_context *ctx;
    struct level leaves;
    const char *special;
};

static yoke_error *begin_special(yoke_nursery *n, struct middle *m)
{
    if (strcmp(m->special, "fork") == 0)
        return yoke_call(m->leaves.portals[0], "load:fork_sleeper", NULL, NULL);
    return strcmp(m->special, "spin") == 0 ? yoke_spawn(n, call_spin, m->leaves.portals[0]) : NULL;
}

static yoke_error *load_leaves(yoke_nursery *n, struct middle *m)
{
    YOKE_TRY(begin_special(n, m));
    bool spins = strcmp(m->special, "spin") == 0;
    for (uint32_t i = spins ? 1 : 0; i < m->leaves.count; i++)
        YOKE_TRY(load_child(n, m->leaves.portals[i]));
    return yoke_context_started(m->ctx, NULL);
}

static yoke_error *work_with_leaves(struct middle *m)
{
    YOKE_TRY(start_all(&m->leaves));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return yoke_nursery_close(&n, load_leaves(&n, m));
}

static yoke_error *lead(yoke_context *ctx, const order *args, yoke_type_none *result)
{
    struct middle m = {
        .ctx = ctx, .leaves = {.what = "leaf", .count = args->leaves}, .special = args->special};
    YOKE_TRY(yoke_actors_open(&m.leaves.actors, NULL));
    return yoke_actors_close(m.leaves.actors, work_with_leaves(&m));
}

/* ---- the root ---- */

struct tree {
    struct level middles;
    order order;
    int64_t run;
    uint32_t up;
    yoke_event all_up;
};

struct lead {
    struct tree *tree;
    yoke_portal *portal;
};

static void say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

static yoke_error *hold_lead(void *arg)
{
    struct lead *l = arg;
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(l->portal, &ctx, "load:lead", &l->tree->order, NULL));
    if (++l->tree->up == l->tree->middles.count) {
        say("up");
        yoke_event_set(&l->tree->all_up);
    }
    return yoke_context_close(ctx, yoke_context_result(ctx, NULL));
}

static yoke_error *load_middles(yoke_nursery *n, struct tree *t, struct lead *leads)
{
    for (uint32_t i = 0; i < t->middles.count; i++) {
        leads[i] = (struct lead){t, t->middles.portals[i]};
        YOKE_TRY(load_child(n, t->middles.portals[i]));
        YOKE_TRY(yoke_spawn(n, hold_lead, &leads[i]));
    }
    YOKE_TRY(yoke_event_wait(&t->all_up));
    YOKE_TRY(yoke_sleep(t->run));
    say("teardown");
    yoke_nursery_cancel(n, "it has run for long enough");
    return NULL;
}

static yoke_error *work(struct tree *t)
{
    struct lead leads[MAX_CHILDREN];
    YOKE_TRY(start_all(&t->middles));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_nursery_close(&n, load_middles(&n, t, leads)));
    return yoke_actors_cancel(t->middles.actors);
}

static uint32_t number_of(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 10);
}

static yoke_error *app(int argc, char **argv)
{
    if (argc < 4 || number_of(argv[1]) > MAX_CHILDREN || number_of(argv[2]) > MAX_CHILDREN)
        return yoke_raise(&YOKE_USAGE, "kill_tree MIDDLES LEAVES RUN_MS [spin | fork]");
    struct tree t = {.middles = {.what = "middle", .count = number_of(argv[1])},
                     .order = {number_of(argv[2]), argc > 4 ? argv[4] : ""},
                     .run = YOKE_MS(number_of(argv[3]))};
    yoke_event_init(&t.all_up);
    YOKE_TRY(yoke_actors_open(&t.middles.actors, NULL));
    return yoke_actors_close(t.middles.actors, work(&t));
}
YOKE_MAIN(app)
