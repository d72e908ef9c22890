#include "actor/actors.h"

#include "actor/context.h"
#include "actor/death.h"
#include "actor/main_task.h"
#include "actor/module.h"
#include "actor/module_file.h"
#include "actor/program.h"
#include "actor/registrar.h"
#include "actor/relay.h"
#include "actor/root.h"
#include "actor/spawn.h"
#include "base/error.h"
#include "base/memory.h"
#include "ipc/handshake.h"
#include "msg/uid.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

YOKE_ERROR_KIND(YOKE_SPAWN_FAILED, "yoke.SpawnFailed", NULL);

#define KILL_BOUND YOKE_MS(1600)

enum { REPORT_LINES = 16 }; /* one of a thousand hides what matters */

/* A line of the report on a failure. */
struct ended_with {
    yoke_uid uid;
    char line[160];
};

/* ---- open ---- */

static yoke_error *add(struct actor *a, yoke_actors *actors)
{
    actors->self = actors;
    if (table_insert(&a->nurseries, &actors->in_actor, &actors->self, sizeof actors->self))
        return NULL;
    actors->in_actor.key = NULL;
    return yoke_raise(&YOKE_NO_MEMORY, "an actor nursery");
}

static void discard(yoke_actors *actors)
{
    struct actor *a = actors->actor;
    if (actors->in_actor.key)
        table_remove(&a->nurseries, &actors->in_actor);
    if (a->closing && !a->nurseries.count)
        yoke_event_set(&a->all_closed);
    memory_free(actors);
}

/* Is it open? Of a handle that was closed only the address is looked at. */
static yoke_error *expect_open(const char *call, const yoke_actors *actors, const yoke_error_kind *otherwise)
{
    struct actor *a;
    YOKE_TRY(actor_expect(call, &a));
    if (actors && table_find(&a->nurseries, &actors, sizeof actors))
        return NULL;
    return yoke_raise(otherwise, "%s: this is no open actor nursery", call);
}

static yoke_error *check_nursery_options(const yoke_actors_options *o)
{
    if (o->acknowledge_bound < 0 || o->kill_bound < 0)
        return yoke_raise(&YOKE_USAGE, "yoke_actors_open: a bound is negative");
    return spawn_check_backend(o->backend);
}

static yoke_error *open_in(struct actor *a, const char *file, int line, yoke_actors **out,
                           const yoke_actors_options *options)
{
    if (a->closing)
        return yoke_raise(&YOKE_CLOSED, "yoke_actors_open: actor `%s` is ending", a->uid.name);
    yoke_actors *actors = memory_calloc(1, sizeof *actors);
    if (!actors)
        return yoke_raise_at(file, line, "", &YOKE_NO_MEMORY, "an actor nursery");
    actors->actor = a;
    actors->asker = a->uid;
    actors->options = *options;
    if (!actors->options.acknowledge_bound)
        actors->options.acknowledge_bound = ACKNOWLEDGE_BOUND;
    if (!actors->options.kill_bound)
        actors->options.kill_bound = KILL_BOUND;
    if (actors->options.backend == YOKE_BACKEND_DEFAULT)
        actors->options.backend = a->backend;
    list_init(&actors->children);
    list_init(&actors->waiters);
    list_init(&actors->start_waiters);
    yoke_error *e = add(a, actors);
    if (!e)
        e = yoke_scope_open_at(file, line, &actors->scope, NULL);
    if (e) {
        discard(actors);
        return e;
    }
    *out = actors;
    return NULL;
}

/* The first nursery of a program that has no runtime. */
static yoke_error *open_with_root(const char *file, int line, yoke_actors **out,
                                  const yoke_actors_options *options)
{
    struct root *root;
    YOKE_TRY(root_open(&root, file, line, options->root));
    yoke_error *e = open_in(actor_here(), file, line, out, options);
    if (e)
        return root_close(root, e);
    (*out)->root = root;
    return NULL;
}

yoke_error *yoke_actors_open_at(const char *file, int line, yoke_actors **out,
                                const yoke_actors_options *options)
{
    static const yoke_actors_options defaults;
    const yoke_actors_options *o = options ? options : &defaults;
    struct actor *a = actor_here();
    *out = NULL;
    if (!task_here())
        return actor_expect("yoke_actors_open", &a);
    YOKE_TRY(check_nursery_options(o));
    if (!a)
        return open_with_root(file, line, out, o);
    if (o->root)
        return program_actor_begins(a);
    return open_in(a, file, line, out, o);
}

bool yoke_actors_is_implicit_root(const yoke_actors *actors)
{
    return actors->root != NULL;
}

size_t yoke_actors_count(const yoke_actors *actors)
{
    return actors->unreaped;
}

bool yoke_actors_cancel_called(const yoke_actors *actors)
{
    return actors->cancelled;
}

/* ---- cancel ---- */

static void end_all(yoke_actors *actors, enum child_event how)
{
    if (!actors->cancelled)
        actors->cancelled_at = yoke_now();
    actors->cancelled = true;
    list_for_each(node, &actors->children)
        child_post(container_of(node, struct child, in_nursery), how);
}

static void cancel_all(yoke_actors *actors)
{
    end_all(actors, CHILD_CANCEL);
}

static bool is_empty(const yoke_actors *actors)
{
    return !actors->unreaped && !actors->starting;
}

/* Nor is a task in the middle of a cancel. */
static bool is_left(const yoke_actors *actors)
{
    return is_empty(actors) && !actors->cancelling;
}

/* Parks till no child is left that is not reaped, and no start is under way. */
static yoke_error *wait_till(bool (*is)(const yoke_actors *), yoke_actors *actors)
{
    while (!is(actors)) {
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(wait_in(&actors->waiters, NULL));
    }
    return NULL;
}

/* Undisturbed: the children are ending already, in bounded time. */
static void wait_shielded_till(bool (*is)(const yoke_actors *), yoke_actors *actors)
{
    yoke_scope shield;
    yoke_error *e = task_shield_open(&shield, (yoke_scope_options){0});
    if (!e)
        e = task_shield_close(&shield, wait_till(is, actors));
    yoke_error_free(e);
}

static void wake_if_empty(yoke_actors *actors)
{
    while (is_empty(actors) && wake_first(&actors->waiters, NULL))
        ;
}

/* The owner may close meanwhile, and waits then for this task to leave. */
static void end_and_wait(yoke_actors *actors, enum child_event how)
{
    actors->cancelling++;
    end_all(actors, how);
    wait_shielded_till(is_empty, actors);
    actors->cancelling--;
    wake_if_empty(actors);
}

yoke_error *yoke_actors_cancel(yoke_actors *actors)
{
    YOKE_TRY(expect_open("yoke_actors_cancel", actors, &YOKE_CLOSED));
    end_and_wait(actors, CHILD_CANCEL);
    return NULL;
}

yoke_error *yoke_actors_kill(yoke_actors *actors)
{
    YOKE_TRY(expect_open("yoke_actors_kill", actors, &YOKE_CLOSED));
    end_and_wait(actors, CHILD_HARD);
    return NULL;
}

/* ---- a child has ended ---- */

static void keep_error(yoke_actors *actors, yoke_error *e)
{
    yoke_error **grown = memory_realloc(actors->errors, (actors->error_count + 1) * sizeof *grown);
    if (!grown) {
        actors->trouble = yoke_error_join(actors->trouble, e);
        return;
    }
    actors->errors = grown;
    actors->errors[actors->error_count++] = e;
}

void actors_fail(yoke_actors *actors, yoke_error *e)
{
    if (!actors->scope.cancel_called)
        scope_cancel_with(&actors->scope, error_make_cancelled("cancelled: %s", yoke_error_message(e)));
    keep_error(actors, e);
    actors->failing = true;
    cancel_all(actors);
}

/* For the report: who had to end because of the failure, and how that went. */
static void note_cancelled(yoke_actors *actors, const struct child *c)
{
    if (buffer_size(&actors->cancelled_with) / sizeof(struct ended_with) >= REPORT_LINES) {
        actors->left_out++;
        return;
    }
    struct ended_with with = {.uid = c->uid};
    bool graceful = WIFEXITED(c->status);
    int64_t ms = (yoke_now() - actors->cancelled_at) / 1000000;
    snprintf(with.line, sizeof with.line, "cancelled with it: actor `%s` (%s, %lld ms)", c->uid.name,
             graceful                         ? "graceful"
             : WTERMSIG(c->status) == SIGTERM ? "SIGTERM"
             : WTERMSIG(c->status) == SIGKILL ? "SIGKILL"
                                              : "by a signal",
             (long long)ms);
    if (!buffer_append(&actors->cancelled_with, &with, sizeof with))
        actors->left_out++;
}

void actors_child_died(yoke_actors *actors, struct child *c)
{
    main_task_note_death(c->main_task, c->death);
    if (c->death && !c->starting)
        actors_fail(actors, yoke_error_dup(c->death));
    else if (actors->failing && !c->starting && !main_task_failed(c->main_task))
        note_cancelled(actors, c);
}

void actors_child_reaped(yoke_actors *actors, struct child *c)
{
    c->state = CHILD_REAPED;
    actors->unreaped--;
    wake_if_empty(actors);
}

/* ---- start ---- */

/* What is asked for. */
struct start {
    const char *name;
    const yoke_actor_options *options;
    const char **modules; /* that the options name */
};

static int64_t start_bound(const struct start *s)
{
    return s->options->start_bound ? s->options->start_bound : HANDSHAKE_BOUND;
}

static yoke_error *connect_child(yoke_actors *actors, struct child *c, int channel_fd, const struct start *s)
{
    struct channel *channel;
    YOKE_TRY(channel_open(&channel, channel_fd, &transport_uds, NULL));
    channel->peer_pid = c->pid;
    struct identity self = {.uid = actors->actor->uid, .is_registrar = false};
    yoke_error *e = handshake_parent(channel, &self, &c->uid, start_bound(s));
    if (e) {
        channel_close(channel);
        return e;
    }
    YOKE_TRY(peer_open(&c->peer, actors->actor, channel));
    c->peer->child = c;
    child_advance(c, CHILD_MET);
    YOKE_TRY(spawn_send_spec(c->peer, actors, s->options, s->modules));
    return peer_begin(c->peer);
}

/* Only where there is something to open, for it costs a message there and back. */
static yoke_error *open_modules(struct child *c, const struct start *s)
{
    if (!module_wants_opening(s->modules))
        return NULL;
    yoke_scope scope;
    c->opening_bound = start_bound(s);
    YOKE_TRY(yoke_fail_after(&scope, c->opening_bound));
    c->opening = &scope; /* its bound does not pass while somebody is in the debugger there */
    yoke_error *e = yoke_call(&c->peer->portal, "yoke.modules:open", NULL, NULL);
    c->opening = NULL;
    return yoke_scope_close(&scope, e);
}

/* Nothing of a child that did not start is left; the error says why it did not. */
static yoke_error *give_up(struct child *c, yoke_error *e)
{
    bool told = yoke_error_is(e, &YOKE_REMOTE); /* its own word, after which it ends */
    bool ours = told || yoke_error_is_cancelled(e) || yoke_error_is(e, &YOKE_INTERRUPTED);
    /* It may be ending by itself: then how it ended is the better reason. */
    if (told || yoke_error_is(e, &YOKE_TRANSPORT_CLOSED)) {
        yoke_scope s;
        yoke_error *waited = yoke_move_on_after(&s, told ? KILL_BOUND : YOKE_MS(200));
        if (!waited)
            waited = yoke_scope_close(&s, yoke_event_wait(&c->verdict));
        yoke_error_free(waited);
    }
    bool died = yoke_event_is_set(&c->verdict);
    child_post(c, CHILD_HARD);
    child_wait_reaped(c);
    if (!ours && died && channel_error_peer(e)) {
        e = child_loss(c, e);
    } else if (!ours && died && c->death) {
        yoke_error_free(e);
        e = yoke_error_dup(c->death);
    }
    child_free(c);
    return e;
}

/* `*modules`: for module_names_free. */
static yoke_error *take_options(const yoke_actor_options *o, const char ***modules)
{
    if (o->start_bound < 0)
        return yoke_raise(&YOKE_USAGE, "start_bound is negative");
    YOKE_TRY(spawn_check_backend(o->backend));
    struct address address;
    if (o->listen)
        YOKE_TRY(address_parse(&address, o->listen));
    if (o->log_filter)
        YOKE_TRY(yoke_log_check(o->log_filter));
    return module_parse(o->modules, modules);
}

yoke_error *actors_check_options(const yoke_actor_options *o)
{
    const char **modules;
    YOKE_TRY(take_options(o, &modules));
    module_names_free(modules);
    return NULL;
}

static yoke_error *closed(const char *name)
{
    return yoke_raise(&YOKE_CLOSED, "actor `%s` can't start: its nursery was cancelled", name);
}

/* What the starter is told: when the nursery was cancelled meanwhile, that is the reason, and `e` what came
 * of it. */
static yoke_error *explain(const yoke_actors *actors, const char *name, yoke_error *e)
{
    if (!e || yoke_error_is_cancelled(e) || yoke_error_is(e, &YOKE_INTERRUPTED) ||
        yoke_error_is(e, &YOKE_CLOSED) || yoke_error_is(e, &YOKE_REMOTE))
        return e;
    return actors->cancelled
               ? yoke_wrap(e, &YOKE_CLOSED, "actor `%s` did not start: its nursery was cancelled", name)
               : yoke_wrap(e, &YOKE_SPAWN_FAILED, "actor `%s` could not start", name);
}

static yoke_error *start(yoke_actors *actors, const struct start *s, yoke_portal **portal)
{
    const yoke_actor_options *o = s->options;
    yoke_uid uid;
    uid_make(&uid, s->name);
    struct spawned spawned;
    enum yoke_backend backend = o->backend != YOKE_BACKEND_DEFAULT ? o->backend : actors->options.backend;
    const struct actor_hooks *hooks = actors->actor->hooks;
    if (spawn_debug_mode(actors, o) && hooks && hooks->debugged_child_starts)
        hooks->debugged_child_starts(actors->actor);
    YOKE_TRY(spawn_process(actors->actor, backend, o->command, &uid, &spawned));
    struct child *c;
    yoke_error *e = child_new(&c, actors, &uid, spawned.process, spawned.crash_fd);
    if (e) {
        close(spawned.channel_fd);
        return e;
    }
    c->debug_mode = spawn_debug_mode(actors, o);
    if (hooks && hooks->child_starts)
        hooks->child_starts(c);
    e = connect_child(actors, c, spawned.channel_fd, s);
    if (!e && o->listen)
        e = registrar_bid_listen(c, o->listen);
    if (!e)
        e = open_modules(c, s);
    if (!e && yoke_event_is_set(&c->verdict)) /* it has died meanwhile, and its supervisor left that to us */
        e = peer_lost(c->peer);
    if (!e && actors->cancelled) /* meanwhile; a task in its scope is told so as at any checkpoint */
        e = yoke_checkpoint();
    if (!e && actors->cancelled)
        e = closed(s->name);
    if (e)
        return give_up(c, e);
    c->starting = false;
    child_advance(c, CHILD_UP);
    registrar_enter_child(c);
    actors->started++;
    *portal = &c->peer->portal;
    yoke_log(YOKE_RUNTIME, "actor `%s` (pid %d) has started", s->name, (int)c->pid);
    return NULL;
}

/* Waits for its turn, if there are to be only so many starts at once. */
static yoke_error *start_in_turn(yoke_actors *actors, const struct start *s, yoke_portal **portal)
{
    size_t most = actors->options.starts_at_once;
    while (most && actors->in_start >= most) {
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(wait_in(&actors->start_waiters, NULL));
    }
    if (actors->cancelled) {
        wake_first(&actors->start_waiters, NULL);
        return closed(s->name);
    }
    actors->in_start++;
    yoke_error *e = start(actors, s, portal);
    actors->in_start--;
    wake_first(&actors->start_waiters, NULL);
    return e;
}

static yoke_error *start_checked(yoke_actors *actors, const struct start *s, yoke_portal **portal)
{
    if (!program_can_be_child() && !s->options->command)
        return yoke_raise(
            &YOKE_USAGE,
            "actor `%s` can't start: this program's main() does not take a child's command line over: "
            "YOKE_MAIN(app) does, and yoke_child_main at the beginning of a main() of one's own; or "
            ".command names another program, which does",
            s->name);
    YOKE_TRY(yoke_checkpoint());
    if (actors->cancelled)
        return closed(s->name);
    actors->starting++;
    yoke_error *e = start_in_turn(actors, s, portal);
    actors->starting--;
    wake_if_empty(actors);
    return explain(actors, s->name, e);
}

yoke_error *yoke_actors_start(yoke_actors *actors, const char *name, const yoke_actor_options *options,
                              yoke_portal **portal)
{
    static const yoke_actor_options defaults;
    struct start s = {.name = name, .options = options ? options : &defaults};
    *portal = NULL;
    YOKE_TRY(expect_open("yoke_actors_start", actors, &YOKE_CLOSED));
    YOKE_TRY(uid_check_name(name));
    YOKE_TRY(take_options(s.options, &s.modules));
    yoke_error *e = start_checked(actors, &s, portal);
    module_names_free(s.modules);
    return e;
}

/* ---- close ---- */

static bool has_note(const yoke_error *e, const char *text)
{
    const char *note;
    for (size_t i = 0; (note = error_note_at(e, i)); i++)
        if (strcmp(note, text) == 0)
            return true;
    return false;
}

/* The notes of `from` are kept on `to`: they say what was going on. What several tasks were at is said once.
 */
static void move_notes(yoke_error *to, const yoke_error *from)
{
    const char *note;
    for (size_t i = 0; (note = error_note_at(from, i)); i++)
        if (!has_note(to, note))
            yoke_error_note(to, "%s", note);
}

/* The end of an actor that a signal has ended: it cancelled its tasks, and its callers' contexts with them.
 */
static yoke_error *cancelled_by_itself(yoke_actors *actors, const yoke_uid *canceller)
{
    for (size_t i = 0; canceller && i < actors->error_count; i++)
        if (yoke_error_is(actors->errors[i], &YOKE_ACTOR_CANCELLED) &&
            yoke_uid_equal(canceller, death_uid(actors->errors[i])))
            return actors->errors[i];
    return NULL;
}

/* The error of ours that `leaf` is but a consequence of: a channel lost because a child of this nursery died;
 * or that it is itself: how a main task failed, which the body has asked for and let out. */
static yoke_error *reason_of(yoke_actors *actors, const yoke_error *leaf)
{
    for (size_t i = 0; i < actors->error_count; i++)
        if (relay_is_same(leaf, actors->errors[i]))
            return actors->errors[i];
    if (yoke_error_is(leaf, &YOKE_CONTEXT_CANCELLED))
        return cancelled_by_itself(actors, yoke_error_canceller(leaf));
    if (!yoke_error_is(leaf, &YOKE_TRANSPORT_CLOSED))
        return NULL;
    const yoke_uid *uid = death_uid(yoke_error_find(leaf, &YOKE_ACTOR_DIED));
    if (!uid)
        uid = death_uid(yoke_error_find(leaf, &YOKE_ACTOR_EXITED));
    if (!uid)
        uid = death_uid(yoke_error_find(leaf, &YOKE_ACTOR_CANCELLED));
    if (!uid)
        uid = channel_error_peer(leaf);
    for (size_t i = 0; uid && i < actors->error_count; i++)
        if (yoke_uid_equal(uid, death_uid(actors->errors[i])))
            return actors->errors[i];
    return NULL;
}

static bool is_consequence(const yoke_error *leaf, void *actors)
{
    return reason_of(actors, leaf) != NULL;
}

/* Also asked for each leaf that is_consequence takes; takes none. */
static bool keep_its_notes(const yoke_error *leaf, void *actors)
{
    if (is_consequence(leaf, actors))
        move_notes(reason_of(actors, leaf), leaf);
    return false;
}

/* Takes out of the body's error what the children's own errors say better. */
static yoke_error *without_consequences(yoke_actors *actors, yoke_error *e)
{
    yoke_error *taken;
    yoke_error_split_by(&e, is_consequence, actors, &taken);
    yoke_error *none;
    yoke_error_split_by(&taken, keep_its_notes, actors, &none);
    yoke_error_free(taken);
    return e;
}

static void tell_outcome(const yoke_actors *actors)
{
    if (actors->options.outcome)
        *actors->options.outcome = (yoke_actors_outcome){
            .cancel_called = actors->cancelled,
            .cancelled_caught = yoke_scope_cancelled_caught(&actors->scope),
            .started = actors->started,
            .failed = actors->error_count,
        };
}

/* Did `e` come out of that actor? */
static bool is_source(const yoke_error *e, const yoke_uid *uid)
{
    bool found = yoke_uid_equal(yoke_error_source(e), uid);
    for (size_t i = 0; i < yoke_error_count(e) && !found; i++)
        found = yoke_uid_equal(yoke_error_source(yoke_error_member(e, i)), uid);
    return found;
}

/* Says on what came first who was cancelled because of it. */
static void add_report(yoke_actors *actors, yoke_error *body)
{
    yoke_error *first = actors->error_count ? actors->errors[0] : body;
    const struct ended_with *with = (const struct ended_with *)buffer_begin(&actors->cancelled_with);
    size_t count = buffer_size(&actors->cancelled_with) / sizeof *with;
    if (!first || yoke_error_is_cancelled(first))
        return;
    for (size_t i = 0; i < count; i++)
        if (!is_source(first, &with[i].uid))
            yoke_error_note(first, "%s", with[i].line);
    if (actors->left_out)
        yoke_error_note(first, "cancelled with it: %zu more", actors->left_out);
}

/* All that went wrong: one error as it is, several as a group in the order in which they came. */
static yoke_error *total(yoke_actors *actors, yoke_error *body)
{
    body = without_consequences(actors, body);
    add_report(actors, body);
    if (actors->trouble)
        keep_error(actors, actors->trouble);
    yoke_error *children = actors->error_count == 1
                               ? actors->errors[0]
                               : yoke_error_group(actors->errors, actors->error_count, "actors failed");
    memory_free(actors->errors);
    buffer_free(&actors->cancelled_with);
    /* A body that was only cancelled was so from outside: what the scope had caused is taken out already. */
    return yoke_error_is_cancelled(body) ? yoke_error_join(children, body) : yoke_error_join(body, children);
}

/* Why this task can't close it, or NULL. */
static yoke_error *check_close(const yoke_actors *actors)
{
    YOKE_TRY(expect_open("yoke_actors_close", actors, &YOKE_USAGE));
    if (actors->scope.owner == task_here())
        return NULL;
    return yoke_raise(&YOKE_USAGE, "yoke_actors_close: task `%s` has opened it at %s:%d, and closes it",
                      actors->scope.owner->name, actors->scope.file, actors->scope.line);
}

/* The body is through: its tasks are done, its daemons may go on for ever. */
static void say_who_is_awaited(const yoke_actors *actors)
{
    list_for_each(node, &actors->children) {
        const struct child *c = container_of(node, struct child, in_nursery);
        if (c->state != CHILD_REAPED && !c->main_task)
            yoke_log(
                YOKE_CANCEL,
                "the close of the actor nursery opened at %s:%d waits for actor `%s`, which ends when it "
                "is cancelled (yoke_actors_cancel)",
                actors->scope.file, actors->scope.line, c->uid.name);
    }
}

static yoke_error *wait_for_children(yoke_actors *actors)
{
    if (!actors->unreaped)
        return yoke_checkpoint();
    say_who_is_awaited(actors);
    return wait_till(is_empty, actors);
}

/* What was cancelled from outside while the children ended does not hide the error, nor the error that. */
static void note_meanwhile(yoke_error *e)
{
    if (!e || yoke_error_is_cancelled(e) || !task_has_news(task_here()))
        return;
    yoke_error *news = task_news(task_here());
    yoke_error_note(e, "while its children were ended: %s", yoke_error_message(news));
    yoke_error_free(news);
}

static yoke_error *end_children(yoke_actors *actors, yoke_error *e)
{
    if (!e && !actors->cancelled)
        e = wait_for_children(actors);
    if (yoke_error_is_cancelled(e) && !actors->cancelled)
        actors->asker = *context_asker(actors->actor);
    actors->failing |= e && !yoke_error_is_cancelled(e);
    if (e)
        cancel_all(actors);
    wait_shielded_till(is_left, actors);
    return e;
}

/* Not inlined: the debugger looks for the frame that it returns to. */
__attribute__((noinline)) yoke_error *yoke_actors_close(yoke_actors *actors, yoke_error *e)
{
    if (!actors)
        return e;
    yoke_error *refused = check_close(actors);
    if (refused)
        return yoke_error_join(e, refused);
    bool had_news = task_has_news(task_here());
    e = end_children(actors, e);
    while (!list_empty(&actors->children))
        child_free(container_of(actors->children.next, struct child, in_nursery));
    /* First the scope: what it absorbs must not leave a group of one behind, and that it was cancelled is no
     * news from outside. */
    e = yoke_scope_close(&actors->scope, e);
    if (!had_news)
        note_meanwhile(e);
    tell_outcome(actors);
    e = total(actors, e);
    actor_error_leaves(actors->actor, e,
                       &(struct error_way){actors->root ? ERROR_LEAVES_ROOT : ERROR_LEAVES_NURSERY,
                                           __builtin_return_address(0), __builtin_frame_address(0)});
    struct root *root = actors->root;
    discard(actors);
    return root ? root_close(root, e) : e;
}
