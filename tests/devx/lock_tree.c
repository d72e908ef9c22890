/* What test_lock_tree.py runs in a terminal: actors that want it. */
#include "debug_tree.h"

#include "actor/runtime.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

/* ---- what children do ---- */

static yoke_error *stop(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    SAY("%s: went on", my_name());
    yoke_error *e = yoke_checkpoint();
    SAY("%s: %s", my_name(), e ? "is cancelled" : "is not cancelled");
    return e;
}

static yoke_error *stop_when_cancelled(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, "for the test");
    for (int i = 0; i < 2; i++) {
        yoke_error *e = yoke_pause();
        SAY("%s: pause %d: %s", my_name(), i + 1, yoke_error_is_cancelled(e) ? "Cancelled" : "another");
        yoke_error_free(e);
    }
    return yoke_scope_close(&s, NULL);
}

static yoke_error *pause_named(void *arg)
{
    YOKE_TRY(yoke_pause());
    SAY("task %s went on", (const char *)arg);
    return NULL;
}

static yoke_error *stop_two_tasks(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    static const char *const names[] = {"parse", "print"};
    yoke_nursery n;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 2 && !e; i++)
        e = yoke_spawn_with(&n, pause_named, (void *)names[i], &(yoke_spawn_options){.name = names[i]});
    return yoke_nursery_close(&n, e);
}

/* Its parent is at SIGTERM with it when it asks. */
static yoke_error *stop_too_late(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_scope shield;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = NULL;
    while (!e && actor_here()->hurry != HURRY_TERM)
        e = yoke_sleep(YOKE_MS(5));
    if (!e)
        e = yoke_pause();
    SAY("%s: %s", my_name(), e ? yoke_error_message(e) : "no prompt");
    return yoke_scope_close(&shield, e);
}

/* ---- the dialog by hand ---- */

YOKE_RECORD(lock_args, (str, task), (str, why), (i64, pid), (u64, answer), (u64, owed), (u64, caller),
            (u64, frame), (str, text), (str, file), (i64, line), (str, actor), (boolean, crashed));
YOKE_RECORD(lock_status, (str, msg_type), (list, str, subactor_uid, 2), (str, cid), (boolean, locked));
YOKE_RECORD(lock_word, (str, msg_type), (list, str, subactor_uid, 2), (str, cid));
YOKE_RECORD(debugger_word, (str, msg_type), (i64, pid), (i64, how));

static void show(const char *what, const lock_status *s)
{
    const yoke_uid *self = yoke_current_actor();
    bool mine = s->subactor_uid.count == 2 && !strcmp(s->subactor_uid.items[0], self->name) &&
                !strcmp(s->subactor_uid.items[1], self->uuid);
    SAY("%s: %s, uid %s, cid of %zu, locked %d", what, s->msg_type, mine ? "mine" : "another's",
        strlen(s->cid), s->locked);
}

static yoke_error *speak(yoke_stream *stream, const lock_status *mine, const char *release_cid)
{
    debugger_word word;
    lock_word allow = {"LockAllow", {mine->subactor_uid.items, 2}, mine->cid};
    lock_word release = {"LockRelease", {mine->subactor_uid.items, 2}, release_cid};
    YOKE_TRY(yoke_recv(stream, &word));
    debugger_word_free(&word);
    YOKE_TRY(yoke_send(stream, &allow));
    YOKE_TRY(yoke_recv(stream, &word));
    debugger_word_free(&word);
    YOKE_TRY(wait_for_sign("release"));
    return yoke_send(stream, &release);
}

static yoke_error *speak_in(yoke_context *ctx, const lock_status *mine, const char *release_cid)
{
    yoke_stream *stream;
    lock_status ended;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_stream_close(stream, speak(stream, mine, release_cid ? release_cid : mine->cid)));
    YOKE_TRY(yoke_context_result(ctx, &ended));
    show("result", &ended);
    lock_status_free(&ended);
    return NULL;
}

/* A process beside the actor is debugged, so that the actor can speak meanwhile. */
static lock_args begin_process(void)
{
    static int unused;
    pid_t process = fork();
    if (process == 0) {
        pause();
        _exit(0);
    }
    uint64_t answer = (uint64_t)(uintptr_t)&unused;
    return (lock_args){"by hand", "pause", process, answer, answer, 0, 0, "", "", 0, "", false};
}

static void end_process(const lock_args *args)
{
    kill((pid_t)args->pid, SIGKILL);
    waitpid((pid_t)args->pid, NULL, 0);
}

static yoke_error *by_hand(const char *release_cid)
{
    lock_args args = begin_process();
    yoke_context *ctx;
    lock_status mine;
    yoke_portal *root;
    YOKE_TRY(yoke_find_existing("root", &root));
    yoke_error *e = yoke_context_open(root, &ctx, "yoke.devx:lock_tty", &args, &mine);
    if (!e) {
        show("started", &mine);
        e = yoke_context_close(ctx, speak_in(ctx, &mine, release_cid));
        lock_status_free(&mine);
    }
    end_process(&args);
    return yoke_portal_close(root, e);
}

/* ---- the dialog, cut ---- */

static bool is_cut(const char *where)
{
    return strcmp(getenv("CUT"), where) == 0;
}

static yoke_error *cut_now(yoke_scope *scope)
{
    yoke_scope_cancel(scope, "cut");
    return yoke_checkpoint();
}

static bool is_root_stopped(void)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)getppid());
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    const char *at = n ? strrchr(text, ')') : NULL;
    return at && strncmp(at, ") T", 3) == 0;
}

static void stop_root(void)
{
    kill(getppid(), SIGSTOP);
    while (!is_root_stopped())
        usleep(1000);
}

static yoke_error *let_it_leave(void)
{
    for (int i = 0; i < 5; i++)
        YOKE_TRY(yoke_checkpoint());
    return NULL;
}

/* Beside the task that asks. `sent`: the root stands still, and reads the request and its end in one. */
static yoke_error *cut_as_it_is_sent(yoke_scope *scope)
{
    YOKE_TRY(let_it_leave());
    yoke_scope_cancel(scope, "cut");
    yoke_error *e = let_it_leave();
    kill(getppid(), SIGCONT);
    return e;
}

/* `granted`: the root grants it while this actor stands still, and reads nothing. */
static yoke_error *cut_when_granted(yoke_scope *scope)
{
    char path[512];
    yoke_error *e = let_it_leave();
    kill(getppid(), SIGCONT);
    snprintf(path, sizeof path, "%s/cut", getenv("SIGNS"));
    while (!e && access(path, F_OK) != 0)
        usleep(5000);
    yoke_scope_cancel(scope, "cut");
    return e;
}

static yoke_error *cut_beside(void *scope)
{
    if (is_cut("sent"))
        return cut_as_it_is_sent(scope);
    if (is_cut("granted"))
        return cut_when_granted(scope);
    YOKE_TRY(wait_for_sign("cut"));
    yoke_scope_cancel(scope, "cut");
    return NULL;
}

static yoke_error *speak_till_cut(yoke_stream *stream, const lock_status *mine, yoke_scope *scope)
{
    debugger_word word;
    YOKE_TRY(yoke_recv(stream, &word));
    debugger_word_free(&word);
    YOKE_TRY(yoke_send(stream, &(lock_word){"LockAllow", {mine->subactor_uid.items, 2}, mine->cid}));
    if (is_cut("holding")) {
        YOKE_TRY(wait_for_sign("cut"));
        return cut_now(scope);
    }
    YOKE_TRY(yoke_recv(stream, &word));
    debugger_word_free(&word);
    return cut_now(scope);
}

static yoke_error *stream_till_cut(yoke_context *ctx, const lock_status *mine, yoke_scope *scope)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, speak_till_cut(stream, mine, scope));
}

static yoke_error *ask_till_cut(yoke_portal *root, const lock_args *args, yoke_scope *scope)
{
    yoke_context *ctx;
    lock_status mine;
    YOKE_TRY(yoke_context_open(root, &ctx, "yoke.devx:lock_tty", args, &mine));
    SAY("%s: is granted", my_name());
    yoke_error *e = yoke_context_close(ctx, stream_till_cut(ctx, &mine, scope));
    lock_status_free(&mine);
    return e;
}

static yoke_error *cut_in_scope(yoke_portal *root, const lock_args *args)
{
    yoke_scope scope;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_scope_open(&scope);
    if (is_cut("sent") || is_cut("granted"))
        stop_root();
    if (!e && !is_cut("holding") && !is_cut("releasing"))
        e = yoke_spawn(&n, cut_beside, &scope);
    if (!e)
        e = yoke_scope_close(&scope, ask_till_cut(root, args, &scope));
    SAY("%s: %s", my_name(), yoke_scope_cancelled_caught(&scope) ? "cut" : "not cut");
    return yoke_nursery_close_flat(&n, e);
}

/* The terminal is to be had afterwards, as ever. */
static yoke_error *stop_after_cut(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_portal *root;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_find_existing("root", &root));
    lock_args request = begin_process();
    yoke_error *e = yoke_portal_close(root, cut_in_scope(root, &request));
    end_process(&request);
    if (!e)
        e = yoke_pause();
    SAY("%s: went on", my_name());
    return e;
}

static yoke_error *speak_by_hand(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_error *e = by_hand("another cid");
    const yoke_error *cause = yoke_error_is(e, &YOKE_REMOTE) ? yoke_error_cause(e) : e;
    SAY("wrong release: %s", yoke_error_is(cause, &YOKE_USAGE) ? "Usage" : "not refused");
    yoke_error_free(e);
    return by_hand(NULL);
}

static yoke_error *far_stop(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result);
YOKE_MODULE(lock, YOKE_CONTEXT(stop, none, none, none), YOKE_CONTEXT(stop_when_cancelled, none, none, none),
            YOKE_CONTEXT(stop_two_tasks, none, none, none), YOKE_CONTEXT(stop_too_late, none, none, none),
            YOKE_CONTEXT(speak_by_hand, none, none, none), YOKE_CONTEXT(stop_after_cut, none, none, none),
            YOKE_CONTEXT(far_stop, none, none, none));

/* ---- the root's scenes ---- */

static yoke_error *start(yoke_actors *actors, const char *name, const char *endpoint, yoke_context **ctx)
{
    yoke_portal *portal;
    YOKE_TRY(
        yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "lock", .debug_mode = 1}, &portal));
    return yoke_context_open(portal, ctx, endpoint, NULL, NULL);
}

static yoke_error *one(yoke_actors *actors, const char *endpoint)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "left", endpoint, &ctx));
    YOKE_TRY(yoke_context_close(ctx, NULL));
    return yoke_actors_cancel(actors);
}

static yoke_error *one_stops(yoke_actors *actors)
{
    return one(actors, "lock:stop");
}

static yoke_error *in_cancelled_scope(yoke_actors *actors)
{
    return one(actors, "lock:stop_when_cancelled");
}

static yoke_error *two_tasks(yoke_actors *actors)
{
    return one(actors, "lock:stop_two_tasks");
}

static yoke_error *hand(yoke_actors *actors)
{
    return one(actors, "lock:speak_by_hand");
}

static yoke_error *cut(yoke_actors *actors)
{
    return one(actors, "lock:stop_after_cut");
}

static yoke_error *cut_in_line(yoke_actors *actors)
{
    yoke_context *contexts[2];
    YOKE_TRY(start(actors, "a", "lock:stop", &contexts[0]));
    yoke_error *e = wait_for_sign("prompt");
    if (!e)
        e = start(actors, "left", "lock:stop_after_cut", &contexts[1]);
    if (!e)
        e = yoke_context_close(contexts[1], NULL);
    YOKE_TRY(yoke_context_close(contexts[0], e));
    return yoke_actors_cancel(actors);
}

static yoke_error *wait_for_waiting(size_t count);
/* Each is in the line, and the first at its prompt, before the next one asks. */
static yoke_error *start_in_order(yoke_actors *actors, yoke_context **contexts, size_t count)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    for (size_t i = 0; i < count; i++) {
        YOKE_TRY(start(actors, names[i], "lock:stop", &contexts[i]));
        YOKE_TRY(i ? wait_for_waiting(i) : wait_for_sign("prompt"));
    }
    return NULL;
}

static yoke_error *close_all(yoke_context **contexts, size_t count, yoke_error *e)
{
    while (count-- > 0)
        if (contexts[count])
            e = yoke_context_close(contexts[count], e);
    return e;
}

static yoke_error *six_in_order(yoke_actors *actors)
{
    yoke_context *contexts[6] = {NULL};
    YOKE_TRY(close_all(contexts, 6, start_in_order(actors, contexts, 6)));
    return yoke_actors_cancel(actors);
}

/* The second's task is cancelled while it waits. */
static yoke_error *cancelled_in_line(yoke_actors *actors)
{
    yoke_context *contexts[2] = {NULL};
    yoke_error *e = start_in_order(actors, contexts, 2);
    if (!e) {
        SAY("root: cancels b");
        e = yoke_context_cancel(contexts[1]);
    }
    YOKE_TRY(close_all(contexts, 2, e));
    return yoke_actors_cancel(actors);
}

static yoke_error *three_in_line(yoke_actors *actors)
{
    yoke_context *contexts[3] = {NULL};
    YOKE_TRY(close_all(contexts, 3, start_in_order(actors, contexts, 3)));
    return yoke_actors_cancel(actors);
}

static yoke_error *pause_in_root(void *arg)
{
    YOKE_TRY(yoke_pause());
    SAY("root: went on");
    return NULL;
}

static yoke_error *root_asks_too(yoke_actors *actors)
{
    yoke_context *contexts[2] = {NULL};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = start_in_order(actors, contexts, 1);
    if (!e)
        e = yoke_spawn_with(&n, pause_in_root, NULL, &(yoke_spawn_options){.name = "asker"});
    if (!e)
        e = wait_for_waiting(1);
    if (!e)
        e = start(actors, "b", "lock:stop", &contexts[1]);
    if (!e)
        e = wait_for_waiting(2);
    YOKE_TRY(yoke_nursery_close(&n, close_all(contexts, 2, e)));
    return yoke_actors_cancel(actors);
}

static yoke_error *too_late(yoke_actors *actors)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "left", "lock:stop_too_late", &ctx));
    YOKE_TRY(yoke_actors_cancel(actors));
    yoke_error_free(yoke_context_close(ctx, NULL));
    return NULL;
}

/* A middle actor without debug mode. */
static yoke_error *far_stop(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    SAY("middle: debug mode %d", actor_here()->debug_mode);
    return yoke_actors_close(actors, one(actors, "lock:stop"));
}

static yoke_error *grandchild(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "middle", &(yoke_actor_options){.modules = "lock", .debug_mode = -1},
                               &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "lock:far_stop", NULL, NULL));
    YOKE_TRY(yoke_context_close(ctx, NULL));
    return yoke_actors_cancel(actors);
}

static const struct scene scenes[] = {
    {"one", one_stops},
    {"cancelled_scope", in_cancelled_scope},
    {"two_tasks", two_tasks},
    {"by_hand", hand},
    {"cut", cut},
    {"cut_in_line", cut_in_line},
    {"six", six_in_order},
    {"cancelled_in_line", cancelled_in_line},
    {"three", three_in_line},
    {"root_too", root_asks_too},
    {"too_late", too_late, {.acknowledge_bound = YOKE_MS(50), .kill_bound = YOKE_S(60)}},
    {"grandchild", grandchild},
    {NULL},
};

#include "devx/stop/tty_lock.h"

static yoke_error *wait_for_waiting(size_t count)
{
    const struct actor *a = actor_here();
    while (!a->tty || !a->tty->holder || !a->tty->holder->debugger || a->tty->waiting != count)
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    return NULL;
}

static yoke_error *app(int argc, char **argv)
{
    return play(scenes, argc, argv);
}
YOKE_MAIN(app)
