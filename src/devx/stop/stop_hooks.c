/*
 * Where there are hooks, the stops of a process come one after the other, from the one's `before` to its
 * `after`: who is in its middle would else find the terminal as another has set it.
 */
#include "devx/stop/stop_hooks.h"

#include "base/list.h"
#include "base/memory.h"
#include "task/guest.h"
#include "task/token.h"

#include <pthread.h>
#include <unistd.h>

/* One stop, as the program is told of it: with the hooks that there were when it began. */
struct told {
    yoke_debug_hooks hooks;
    char *why;
};

/* A hook that runs. */
struct running {
    const void *task; /* NULL: a thread, */
    pid_t thread;     /* of this number */
    list link;
};

/* Who waits for its turn: a task is told by its scheduler. */
struct turn {
    list link;
    bool has_turn;
    yoke_token *token; /* NULL: a thread */
    yoke_event event;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t news; /* for threads */
    yoke_debug_hooks hooks;
    list running; /* struct running, by link */
    bool taken;   /* somebody has the turn */
    list waiters; /* struct turn, by link */
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER,
            .news = PTHREAD_COND_INITIALIZER,
            .running = {&shared.running, &shared.running},
            .waiters = {&shared.waiters, &shared.waiters}};

static yoke_debug_hooks exchange(const yoke_debug_hooks *hooks)
{
    pthread_mutex_lock(&shared.mutex);
    yoke_debug_hooks before = shared.hooks;
    if (hooks)
        shared.hooks = *hooks;
    pthread_mutex_unlock(&shared.mutex);
    return before;
}

yoke_debug_hooks yoke_debug_set_hooks(yoke_debug_hooks hooks)
{
    return exchange(&hooks);
}

/* ---- turns ---- */

/* True: it has the turn at once. */
static bool join_line(struct turn *w)
{
    pthread_mutex_lock(&shared.mutex);
    w->has_turn = !shared.taken;
    shared.taken = true;
    if (!w->has_turn)
        list_append(&shared.waiters, &w->link);
    pthread_mutex_unlock(&shared.mutex);
    return w->has_turn;
}

static bool has_turn(struct turn *w)
{
    pthread_mutex_lock(&shared.mutex);
    bool has = w->has_turn;
    pthread_mutex_unlock(&shared.mutex);
    return has;
}

/* The one before may be a task of its guest's, when it is a host. */
static void wait_as_thread(struct turn *w)
{
    while (guest_rests() && !has_turn(w))
        guest_turn(YOKE_MS(10));
    pthread_mutex_lock(&shared.mutex);
    while (!w->has_turn)
        pthread_cond_wait(&shared.news, &shared.mutex);
    pthread_mutex_unlock(&shared.mutex);
}

static yoke_error *take_turn(void)
{
    struct turn w = {.token = NULL};
    yoke_event_init(&w.event);
    if (task_here())
        YOKE_TRY(yoke_token_get(&w.token));
    if (!join_line(&w) && w.token)
        task_wait_shielded(&w.event);
    else if (!w.has_turn)
        wait_as_thread(&w);
    yoke_token_free(w.token);
    return NULL;
}

static yoke_error *tell_task(void *turn)
{
    yoke_event_set(&((struct turn *)turn)->event);
    return NULL;
}

static void give_turn(void)
{
    struct turn *task = NULL;
    pthread_mutex_lock(&shared.mutex);
    shared.taken = !list_empty(&shared.waiters);
    if (shared.taken) {
        struct turn *next = container_of(shared.waiters.next, struct turn, link);
        list_remove(&next->link);
        next->has_turn = true;
        task = next->token ? next : NULL;
        pthread_cond_broadcast(&shared.news);
    }
    pthread_mutex_unlock(&shared.mutex);
    if (task)
        token_post_surely(task->token, tell_task, task);
}

/* ---- a hook runs ---- */

static void begin(struct running *r)
{
    *r = (struct running){.task = task_here(), .thread = gettid()};
    pthread_mutex_lock(&shared.mutex);
    list_append(&shared.running, &r->link);
    pthread_mutex_unlock(&shared.mutex);
}

static void end(struct running *r)
{
    pthread_mutex_lock(&shared.mutex);
    list_remove(&r->link);
    pthread_mutex_unlock(&shared.mutex);
}

bool stop_hooks_run_here(void)
{
    const void *task = task_here();
    pid_t thread = gettid();
    bool found = false;
    pthread_mutex_lock(&shared.mutex);
    list_for_each(node, &shared.running) {
        const struct running *r = container_of(node, struct running, link);
        found = found || (r->task ? r->task == task : r->thread == thread);
    }
    pthread_mutex_unlock(&shared.mutex);
    return found;
}

static yoke_error *call_before(const struct told *t)
{
    struct running r;
    if (!t->hooks.before)
        return NULL;
    begin(&r);
    yoke_error *refused = t->hooks.before(t->why, t->hooks.arg);
    end(&r);
    return refused;
}

static void call_after(const struct told *t)
{
    struct running r;
    if (!t->hooks.after)
        return;
    begin(&r);
    t->hooks.after(t->why, t->hooks.arg);
    end(&r);
}

/* ---- one stop ---- */

/* With a copy of the stop's own text, which may be gone when it is over. */
static struct told *told_new(const yoke_debug_hooks *hooks, const char *why)
{
    struct told *t = memory_calloc(1, sizeof *t);
    if (!t || !(t->why = memory_strdup(why))) {
        memory_free(t);
        return NULL;
    }
    t->hooks = *hooks;
    return t;
}

static void told_end(struct told *t)
{
    memory_free(t->why);
    memory_free(t);
    give_turn();
}

static void over(void *told)
{
    call_after(told);
    told_end(told);
}

static yoke_error *begin_stop(struct session_stop *s, const yoke_debug_hooks *hooks)
{
    struct told *t = told_new(hooks, s->why);
    if (!t) {
        give_turn();
        return yoke_raise(&YOKE_NO_MEMORY, "a stop's hooks");
    }
    yoke_error *refused = call_before(t);
    if (refused) {
        told_end(t);
        return refused;
    }
    s->over = over;
    s->arg = t;
    return NULL;
}

yoke_error *stop_hooks_before(struct session_stop *s)
{
    yoke_debug_hooks hooks = exchange(NULL);
    if (!hooks.before && !hooks.after)
        return NULL;
    YOKE_TRY(take_turn());
    return begin_stop(s, &hooks);
}
