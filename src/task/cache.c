/*
 * The keyed cache of resources. A resource that is in use is an entry in a table, and has a task in the
 * service nursery that opens it, waits till nobody uses it, and closes it. Its life:
 *
 *     OPENING   users join and wait for it
 *     OPEN      users join
 *     ENDING    nobody joins; who comes now waits for the end, and begins with a new entry
 *     ENDED     out of the table; its users look at what it ended with
 *
 * A user joins before it waits, and leaves once, in its close; so each cancellation of a user takes the same
 * way. The last to leave makes the entry end and waits for that, undisturbed, since it is the one to be told
 * what the close returned. An entry that ends by itself cancels its users' scopes, and closes when the last
 * of them has left: nobody is ever seen with a value that is closed.
 */
#include "base/error.h"
#include "base/memory.h"
#include "base/table.h"
#include "task/task.h"

#include <string.h>

enum entry_state { ENTRY_OPENING, ENTRY_OPEN, ENTRY_ENDING, ENTRY_ENDED };

struct yoke_cache_table {
    struct scheduler *scheduler;
    struct table entries;
};

struct yoke_cache_entry {
    struct table_node node;
    yoke_cache *cache;
    enum entry_state state;
    yoke_resource resource;
    void *value;
    yoke_task *task; /* the resource's own */
    yoke_scope scope;
    list users;   /* those that have not left */
    list idle;    /* the entry's task, while it waits for that to be empty */
    list opening; /* users that wait for it to be open */
    list ending;  /* users that have left and wait for its end */
    list next;    /* those that wait for its end, to begin anew */
    bool by_itself;
    size_t holds;      /* of this memory */
    yoke_error *error; /* what it ended with */
    size_t key_bytes;
    /* The open function and the caller's key; from the next 16 bytes on the argument's copy. */
    _Alignas(16) char key[];
};

void yoke_cache_init(yoke_cache *cache, yoke_nursery *nursery)
{
    *cache = (yoke_cache){.nursery = nursery};
}

/* ---- waiting ---- */

static void wake_all(list *waiters)
{
    while (wake_first(waiters, NULL))
        ;
}

/* Neither a cancellation nor ctrl-c ends this wait: the next checkpoint tells them. */
static void wait_undisturbed(list *waiters)
{
    struct waiter w = {.task = task_here()};
    list_append(waiters, &w.link);
    yoke_error_free(task_park(w.task, NULL, NULL)); /* is woken without an error */
}

/* ---- the entry's task ---- */

static void drop_hold(struct yoke_cache_entry *t)
{
    if (--t->holds)
        return;
    yoke_error_free(t->error);
    memory_free(t);
}

/* The table's memory goes with its last entry, so that an idle cache needs no close. */
static void take_out(struct yoke_cache_entry *t)
{
    struct yoke_cache_table *table = t->cache->table;
    table_remove(&table->entries, &t->node);
    if (table->entries.count)
        return;
    t->cache->table = NULL;
    table_free(&table->entries);
    memory_free(table);
}

/* The resource has ended though it is used: a task of its own failed, or its nursery was cancelled. */
static void cancel_users(struct yoke_cache_entry *t)
{
    t->by_itself = true;
    list_for_each_safe(node, &t->users) {
        yoke_cached *user = container_of(node, yoke_cached, in_users);
        yoke_scope_cancel(&user->scope, "the cached resource that it uses has ended");
    }
}

static yoke_error *wait_till_idle(struct yoke_cache_entry *t)
{
    yoke_task *task = task_here();
    if (task_has_news(task))
        return task_news(task);
    return list_empty(&t->users) ? NULL : wait_in(&t->idle, NULL);
}

static yoke_error *use(struct yoke_cache_entry *t)
{
    if (t->state == ENTRY_ENDING) /* all left before this task began */
        return NULL;
    YOKE_TRY(t->resource.open(t->resource.arg, &t->value));
    if (t->state == ENTRY_OPENING)
        t->state = ENTRY_OPEN;
    wake_all(&t->opening);
    yoke_error *e = wait_till_idle(t);
    t->state = ENTRY_ENDING;
    if (!list_empty(&t->users)) {
        cancel_users(t);
        wait_undisturbed(&t->idle);
    }
    return t->resource.close(t->resource.arg, t->value, e);
}

/*
 * Of what the resource ended with, a Cancelled goes to the service nursery, whose it is; the rest is its
 * users'.
 */
static yoke_error *entry_run(void *arg)
{
    struct yoke_cache_entry *t = arg;
    t->task = task_here();
    yoke_error *cancelled = NULL;
    yoke_error *e = yoke_scope_open(&t->scope);
    if (!e)
        e = yoke_scope_close(&t->scope, use(t));
    yoke_error_split(&e, &YOKE_CANCELLED, &cancelled);
    t->error = e;
    t->state = ENTRY_ENDED;
    take_out(t);
    wake_all(&t->opening);
    wake_all(&t->ending);
    wake_all(&t->next);
    drop_hold(t);
    return cancelled;
}

/* ---- entries ---- */

static struct yoke_cache_entry *entry_create(yoke_cache *cache, const yoke_resource *r, const void *key,
                                             size_t key_bytes)
{
    size_t fn_bytes = sizeof r->open, arg_at, bytes;
    if (__builtin_add_overflow(key_bytes, fn_bytes + 15, &arg_at))
        return NULL;
    arg_at &= ~(size_t)15;
    if (__builtin_add_overflow(arg_at, r->arg_bytes, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct yoke_cache_entry), &bytes))
        return NULL;
    struct yoke_cache_entry *t = memory_calloc(1, bytes);
    if (!t)
        return NULL;
    t->cache = cache;
    t->resource = *r;
    t->holds = 1;
    list_init(&t->users);
    list_init(&t->idle);
    list_init(&t->opening);
    list_init(&t->ending);
    list_init(&t->next);
    t->key_bytes = fn_bytes + key_bytes;
    memcpy(t->key, &r->open, fn_bytes);
    if (key_bytes)
        memcpy(t->key + fn_bytes, key, key_bytes);
    if (r->arg_bytes)
        t->resource.arg = memcpy(t->key + arg_at, r->arg, r->arg_bytes);
    return t;
}

static struct yoke_cache_entry *find(const yoke_cache *cache, const struct yoke_cache_entry *like)
{
    if (!cache->table)
        return NULL;
    struct table_node *node = table_find(&cache->table->entries, like->key, like->key_bytes);
    return node ? container_of(node, struct yoke_cache_entry, node) : NULL;
}

static bool put_in(struct yoke_cache_entry *t)
{
    yoke_cache *cache = t->cache;
    if (!cache->table) {
        cache->table = memory_calloc(1, sizeof *cache->table);
        if (!cache->table)
            return false;
        cache->table->scheduler = scheduler_here;
    }
    if (table_insert(&cache->table->entries, &t->node, t->key, t->key_bytes))
        return true;
    memory_free(cache->table); /* only the first insert can fail */
    cache->table = NULL;
    return false;
}

static yoke_error *start(const char *file, int line, struct yoke_cache_entry *t)
{
    const yoke_resource *r = &t->resource;
    yoke_nursery *service = t->cache->nursery ? t->cache->nursery : scheduler_here->system;
    if (!service)
        return yoke_raise_at(file, line, "", &YOKE_CLOSED, "a cached resource is opened: the run is ending");
    if (!put_in(t))
        return yoke_raise_at(file, line, "", &YOKE_NO_MEMORY, "a cached resource");
    yoke_spawn_options options = {.name = r->name, .stack_bytes = r->stack_bytes};
    yoke_error *e = yoke_spawn_at(file, line, "cached resource", service, entry_run, t, &options);
    if (e)
        take_out(t);
    return e;
}

/* ---- users ---- */

static yoke_error *check(const char *file, int line, const yoke_cache *cache, const yoke_task *task)
{
    if (cache->table && cache->table->scheduler != task->scheduler)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "the cache is in use in another run");
    if (!cache->nursery)
        return NULL;
    for (const yoke_scope *s = task->scope; s; s = s->parent)
        if (s == &cache->nursery->scope)
            return NULL;
    return yoke_raise_at(file, line, "", &YOKE_USAGE,
                         "the cache's nursery, opened at %s:%d, is not around task `%s`",
                         cache->nursery->scope.file, cache->nursery->scope.line, task->name);
}

static void join(yoke_cached *c, struct yoke_cache_entry *t, bool hit)
{
    t->holds++;
    list_append(&t->users, &c->in_users);
    c->entry = t;
    c->hit = hit;
}

/* Makes the caller a user of the entry that is like `candidate`, or of the candidate itself, which is taken
 * over in any case. */
static yoke_error *find_or_start(const char *file, int line, yoke_cached *c,
                                 struct yoke_cache_entry *candidate)
{
    yoke_task *task = task_here();
    struct yoke_cache_entry *t;
    yoke_error *e = NULL;
    while (!e && (t = find(candidate->cache, candidate)) && t->state >= ENTRY_ENDING && t->task != task) {
        e = wait_in(&t->next, NULL);
        if (!e && task_has_news(task))
            e = task_news(task);
    }
    if (!e && t && t->task == task)
        e = yoke_raise_at(file, line, "", &YOKE_USAGE, "the cached resource `%s` waits for itself",
                          task->name);
    if (!e && !t)
        e = start(file, line, candidate);
    if (!e)
        join(c, t ? t : candidate, t != NULL);
    if (e || t)
        drop_hold(candidate);
    return e;
}

/* The caller has looked for cancellation, and not yielded since. */
static yoke_error *wait_till_open(struct yoke_cache_entry *t)
{
    return t->state == ENTRY_OPENING ? wait_in(&t->opening, NULL) : NULL;
}

yoke_error *yoke_cached_open_at(const char *file, int line, yoke_cached *c, yoke_cache *cache,
                                const void *key, size_t key_bytes, const yoke_resource *resource)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_cached_open");
    YOKE_TRY(task_operation(task));
    YOKE_TRY(check(file, line, cache, task));
    if (!key) {
        key = resource->arg;
        key_bytes = resource->arg_bytes;
    }
    struct yoke_cache_entry *candidate = entry_create(cache, resource, key, key_bytes);
    if (!candidate)
        return yoke_raise_at(file, line, "", &YOKE_NO_MEMORY, "a cached resource");
    yoke_error *e = yoke_scope_open_at(file, line, &c->scope, NULL);
    if (e) {
        drop_hold(candidate);
        return e;
    }
    c->value = NULL;
    e = find_or_start(file, line, c, candidate);
    if (e)
        return yoke_scope_close(&c->scope, e);
    e = wait_till_open(c->entry);
    if (!e && c->entry->state != ENTRY_ENDED) {
        c->value = c->entry->value;
        return NULL;
    }
    e = yoke_cached_close(c, e);
    return e ? e
             : yoke_raise_at(file, line, "", &YOKE_BROKEN_RESOURCE,
                             "the opening of the cached resource was cancelled");
}

/* Takes the caller out of the users; waits for the entry's end if that is his to wait for. */
static void depart(yoke_cached *c, struct yoke_cache_entry *t)
{
    list_remove(&c->in_users);
    bool last = list_empty(&t->users);
    if (last && t->state <= ENTRY_OPEN) {
        if (t->state == ENTRY_OPENING)
            yoke_scope_cancel(&t->scope, "nobody waits for the cached resource any more");
        t->state = ENTRY_ENDING;
    }
    if (last)
        wake_all(&t->idle);
    if ((last || t->by_itself) && t->state != ENTRY_ENDED)
        wait_undisturbed(&t->ending);
}

yoke_error *yoke_cached_close(yoke_cached *c, yoke_error *e)
{
    struct yoke_cache_entry *t = c->entry;
    e = yoke_scope_close(&c->scope, e);
    depart(c, t);
    yoke_error *ended = yoke_error_dup(t->error);
    drop_hold(t);
    c->entry = NULL;
    c->value = NULL;
    if (ended && yoke_error_is_cancelled(e)) {
        yoke_error_free(e);
        return ended;
    }
    if (!e && !ended && yoke_scope_cancelled_caught(&c->scope))
        return yoke_raise(&YOKE_BROKEN_RESOURCE, "the cached resource ended while it was used");
    return yoke_error_join(e, ended);
}
