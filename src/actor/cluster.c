/*
 * A cluster: several actors of one kind, started together and ended together. It is an actor nursery with a
 * portal for each name, and nothing else.
 */
#include "actor/actors.h"
#include "actor/cpus.h"
#include "base/memory.h"
#include "msg/uid.h"

#include <string.h>

struct yoke_cluster {
    struct actor *actor;
    yoke_actors *actors;
    bool kill;
    int count;
    struct member {
        char name[65];
        yoke_portal *portal;
    } members[];
};

/* ---- names ---- */

static yoke_error *decide_count(const yoke_cluster_options *o, int *count)
{
    int names = 0;
    while (o->names && o->names[names])
        names++;
    if (o->count < 0 || (o->names && !names))
        return yoke_raise(&YOKE_USAGE, "a cluster of %d actors", o->count < 0 ? o->count : names);
    if (o->names && o->count && o->count != names)
        return yoke_raise(&YOKE_USAGE, "a cluster of %d actors, and %d names for them", o->count, names);
    *count = o->names ? names : o->count ? o->count : cpus_usable("/proc/self/cgroup", "/sys/fs/cgroup");
    return NULL;
}

static yoke_error *check_names(const yoke_cluster *c)
{
    for (int i = 0; i < c->count; i++) {
        for (int k = 0; k < i; k++)
            if (strcmp(c->members[i].name, c->members[k].name) == 0)
                return yoke_raise(&YOKE_USAGE, "two actors of a cluster are named `%s`", c->members[i].name);
    }
    return NULL;
}

/* A long name must not be cut to one that is fine. */
static yoke_error *take_name(struct member *m, const char *name)
{
    YOKE_TRY(uid_check_name(name));
    strcpy(m->name, name);
    return NULL;
}

static yoke_error *name_members(yoke_cluster *c, const char *const *names)
{
    for (int i = 0; i < c->count; i++) {
        char made[sizeof c->members[i].name + 32];
        snprintf(made, sizeof made, "%s.worker_%u", c->actor->uid.name, c->actor->cluster_workers + i);
        YOKE_TRY(take_name(&c->members[i], names ? names[i] : made));
    }
    return check_names(c);
}

/* ---- start ---- */

/* One of the workers, as the task that starts it sees it. */
struct birth {
    yoke_cluster *cluster;
    const yoke_actor_options *options;
    int i, cpu; /* -1: any */
};

static void pin(const yoke_portal *portal, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(yoke_portal_pid(portal), sizeof set, &set))
        yoke_log(YOKE_WARNING, "actor `%s` can't be kept on processor %d: %m", yoke_portal_peer(portal)->name,
                 cpu);
}

static yoke_error *start_member(void *arg)
{
    const struct birth *b = arg;
    struct member *m = &b->cluster->members[b->i];
    YOKE_TRY(yoke_actors_start(b->cluster->actors, m->name, b->options, &m->portal));
    if (b->cpu >= 0)
        pin(m->portal, b->cpu);
    return NULL;
}

/* The next processor of the set after `cpu`, round and round. */
static int next_cpu(const cpu_set_t *set, int cpu)
{
    do
        cpu = (cpu + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(cpu, set));
    return cpu;
}

static yoke_error *start_members(yoke_cluster *c, const yoke_cluster_options *o)
{
    yoke_nursery n;
    cpu_set_t set;
    int cpu = -1;
    cpus_allowed(&set);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < c->count && !e; i++) {
        if (o->pin)
            cpu = next_cpu(&set, cpu);
        struct birth b = {c, &o->actor, i, cpu};
        e = yoke_spawn_value(&n, start_member, &b, sizeof b);
    }
    return yoke_nursery_close_flat(&n, e);
}

/* ---- open and close ---- */

static yoke_error *make(yoke_cluster **out, yoke_actors *actors, const yoke_cluster_options *o)
{
    struct actor *a = actors->actor;
    int count;
    YOKE_TRY(decide_count(o, &count));
    YOKE_TRY(actors_check_options(&o->actor));
    yoke_cluster *c = *out = memory_calloc(1, sizeof *c + (size_t)count * sizeof c->members[0]);
    if (!c)
        return yoke_raise(&YOKE_NO_MEMORY, "a cluster of %d actors", count);
    *c = (yoke_cluster){.actor = a, .actors = actors, .count = count, .kill = o->kill};
    yoke_error *e = name_members(c, o->names);
    if (e) {
        memory_free(c);
        return e;
    }
    a->clusters++;
    a->cluster_workers += o->names ? 0 : (unsigned)count;
    return NULL;
}

static void discard(yoke_cluster *c)
{
    if (--c->actor->clusters == 0)
        c->actor->cluster_workers = 0;
    memory_free(c);
}

yoke_error *yoke_cluster_open_at(const char *file, int line, yoke_cluster **out,
                                 const yoke_cluster_options *options)
{
    static const yoke_cluster_options defaults;
    const yoke_cluster_options *o = options ? options : &defaults;
    yoke_actors *actors;
    yoke_cluster *c = NULL;
    *out = NULL;
    YOKE_TRY(yoke_actors_open_at(file, line, &actors, &o->actors));
    yoke_error *e = make(&c, actors, o);
    if (e)
        return yoke_actors_close(actors, e);
    e = start_members(c, o);
    if (!e) {
        *out = c;
        return NULL;
    }
    discard(c);
    return yoke_error_collapse(yoke_actors_close(actors, e));
}

yoke_error *yoke_cluster_close(yoke_cluster *c, yoke_error *e)
{
    if (!c)
        return e;
    yoke_actors *actors = c->actors;
    e = yoke_error_join(e, c->kill ? yoke_actors_kill(actors) : yoke_actors_cancel(actors));
    discard(c);
    return yoke_actors_close(actors, e);
}

/* ---- views ---- */

int yoke_cluster_count(const yoke_cluster *c)
{
    return c->count;
}

yoke_portal *yoke_cluster_portal(const yoke_cluster *c, int i)
{
    return i >= 0 && i < c->count ? c->members[i].portal : NULL;
}

yoke_portal *yoke_cluster_find(const yoke_cluster *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->members[i].name, name) == 0)
            return c->members[i].portal;
    return NULL;
}
