#include "devx/stop/lock.h"

#include "actor/child.h"
#include "actor/connect.h"
#include "actor/context.h"
#include "actor/freeze.h"
#include "actor/server.h"
#include "base/memory.h"
#include "devx/debugger/debugger_crashed.h"
#include "devx/debugger/terminal.h"
#include "task/bound.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { RELEASE_MS = 2000 };

YOKE_RECORD(hold_args, (boolean, is_far));
YOKE_RECORD(lock_args, (str, task), (str, why), (i64, pid), (u64, answer), (u64, owed), (u64, caller),
            (u64, frame), (str, text), (str, file), (i64, line), (str, actor), (boolean, crashed));
/* As wire.md has them; the debugger's two words are yoke's own. */
YOKE_RECORD(lock_status, (str, msg_type), (list, str, subactor_uid, 2), (str, cid), (boolean, locked));
YOKE_RECORD(lock_word, (str, msg_type), (list, str, subactor_uid, 2), (str, cid));
YOKE_RECORD(debugger_word, (str, msg_type), (i64, pid), (i64, how));

static yoke_error *hold(yoke_context *ctx, const hold_args *args, yoke_type_none *result);
static yoke_error *lock_tty(yoke_context *ctx, const lock_args *args, lock_status *result);

/* Named as no token can be, so not by YOKE_MODULE. */
static const yoke_endpoint endpoints[] = {
    YOKE_CONTEXT_STREAM(hold, hold_args, str, none, none, none),
    YOKE_CONTEXT_STREAM(lock_tty, lock_args, lock_status, lock_status, lock_word, debugger_word),
};
static yoke_module module = {"yoke.devx", endpoints, sizeof endpoints / sizeof endpoints[0], NULL};

__attribute__((constructor(160))) static void register_module(void)
{
    yoke_module_register(&module);
}

/* ---- holding ---- */

/* One whose end has begun gets no debugger any more. */
static yoke_error *check_asker(const struct peer *peer)
{
    if (!peer->child || !child_is_past_debugging(peer->child))
        return NULL;
    const struct actor *a = peer->actor;
    return a->is_root
               ? yoke_raise(&YOKE_DEBUGGER_REFUSED, "the root is shutting down this actor")
               : yoke_raise(&YOKE_DEBUGGER_REFUSED, "actor `%s` is shutting down this actor", a->uid.name);
}

/* `*root`: where the root is reached; "": it is the parent. To be freed by end_hold. */
static yoke_error *hold_above(struct actor *a, bool is_far, yoke_context **above, const char **root)
{
    static const yoke_context_options options = {.cancel_on_close = true};
    *root = NULL;
    return yoke_context_open_with(&a->parent->portal, above, "yoke.devx:hold", &(hold_args){is_far}, root,
                                  &options);
}

/* That the one above is gone, or ended it, does not matter any more. */
static yoke_error *end_hold(yoke_context *above, const char *root, yoke_error *e)
{
    yoke_record_free(&yoke_record_str, &root);
    yoke_error_free(yoke_context_close(above, NULL));
    return e;
}

/* Till the one below ends it, or its channel does. */
static yoke_error *say_where_and_wait(yoke_context *below, const char *root)
{
    YOKE_TRY(yoke_context_started(below, &root));
    return yoke_sleep_forever();
}

static yoke_error *hold_as_root(struct actor *a, yoke_context *below, bool is_far)
{
    char text[ADDRESS_TEXT_BYTES] = "";
    if (is_far) { /* else it has a channel */
        YOKE_TRY(server_listen(a));
        address_print(server_address(a), text);
    }
    return say_where_and_wait(below, text);
}

static yoke_error *hold_between(struct actor *a, yoke_context *below)
{
    yoke_context *above;
    const char *root;
    YOKE_TRY(hold_above(a, true, &above, &root));
    return end_hold(above, root, say_where_and_wait(below, root));
}

static yoke_error *hold(yoke_context *ctx, const hold_args *args, yoke_type_none *result)
{
    struct actor *a = ctx->peer->actor;
    ctx->stays = true;
    YOKE_TRY(check_asker(ctx->peer));
    hold_begin(a, ctx->peer);
    yoke_error *e = a->is_root ? hold_as_root(a, ctx, args->is_far) : hold_between(a, ctx);
    hold_end(a, ctx->peer);
    return e;
}

/* ---- the root's lock ---- */

static pid_t debugger_of(const struct tty_lock *lock)
{
    return lock->holder ? lock->holder->debugger : 0;
}

static const char *ordinal(size_t n)
{
    static const char *const endings[] = {"th", "st", "nd", "rd"};
    return n % 10 < 4 && (n % 100 < 11 || n % 100 > 13) ? endings[n % 10] : endings[0];
}

/* A process whose tasks and threads can ask does not stand still: its own debugger is on its way out. */
static void tell_wait(const struct tty_request *r, size_t place)
{
    struct tty_lock *lock = actor_here()->tty;
    if (debugger_of(lock) && strcmp(lock->holder->uuid, r->uuid) != 0)
        terminal_say(debugger_of(lock), "%s/%s waits for the debugger (%zu%s in the queue)", r->actor,
                     r->task, place, ordinal(place));
}

yoke_error *lock_need(struct actor *a)
{
    if (!a->tty && (a->tty = memory_alloc(sizeof *a->tty))) {
        tty_lock_init(a->tty, a);
        a->tty->on_wait = tell_wait;
    }
    return a->tty ? NULL : yoke_raise(&YOKE_NO_MEMORY, "the terminal's lock");
}

/* One session, in a scope that the lock's close, or a cancellation from elsewhere, ends. */
struct serving {
    struct tty_request *request;
    yoke_error *(*ready)(void *arg, pid_t debugger);
    void *arg;
};

static yoke_error *debugger_is_ready(void *arg, pid_t debugger)
{
    struct serving *s = arg;
    s->request->debugger = debugger;
    return s->ready(s->arg, debugger);
}

/* The kernel tells it to the leader of the session and to the foreground group, which was the debugger's: to
 * this program a shell may have handed it on, or not. */
static void end_without_terminal(struct tty_lock *lock)
{
    if (lock->closed || !terminal_is_gone())
        return;
    tty_lock_close(lock, "the terminal has gone");
    kill(getpid(), SIGHUP);
}

static yoke_error *run_debugger(struct tty_lock *lock, struct serving *s,
                                const struct debugger_target *target, enum lock_end *how)
{
    yoke_scope scope;
    int killed_by = 0;
    YOKE_TRY(yoke_scope_open(&scope));
    s->request->session = &scope;
    yoke_error *e = target->crashed ? debugger_run_crashed(target, &killed_by, debugger_is_ready, s)
                                    : debugger_run(target, &killed_by, debugger_is_ready, s);
    s->request->session = NULL;
    s->request->debugger = 0;
    e = yoke_scope_close(&scope, e);
    if (!e)
        end_without_terminal(lock);
    *how = lock->closed ? LOCK_CLOSED : killed_by ? LOCK_KILLED : LOCK_LEFT;
    if (*how == LOCK_KILLED)
        yoke_log(YOKE_WARNING, "the debugger of `%s/%s` was killed by SIG%s: the task goes on", target->actor,
                 target->task, sigabbrev_np(killed_by));
    return e;
}

/* ---- serving it ---- */

static struct debugger_target target_of(const struct tty_request *r, const lock_args *args)
{
    return (struct debugger_target){.request = {.pid = (pid_t)args->pid,
                                                .answer = args->answer,
                                                .owed = args->owed,
                                                .caller = args->caller,
                                                .frame = args->frame},
                                    .actor = r->actor,
                                    .task = r->task,
                                    .why = args->why,
                                    .text = args->text,
                                    .file = args->file,
                                    .line = (int)args->line,
                                    .crashed = args->crashed};
}

/* The uid as it travels; a view. */
struct uid_texts {
    const char *items[2];
};

static lock_status status_of(const yoke_context *ctx, const yoke_uid *uid, struct uid_texts *texts,
                             bool locked)
{
    *texts = (struct uid_texts){{uid->name, uid->uuid}};
    return (lock_status){"LockStatus", {texts->items, 2}, ctx->cid, locked};
}

static yoke_error *expect_word(yoke_stream *stream, const yoke_context *ctx, const char *type)
{
    lock_word word;
    const yoke_uid *uid = &ctx->far;
    YOKE_TRY(yoke_recv(stream, &word));
    bool fits = strcmp(word.msg_type, type) == 0 && strcmp(word.cid, ctx->cid) == 0 &&
                word.subactor_uid.count == 2 && strcmp(word.subactor_uid.items[0], uid->name) == 0 &&
                strcmp(word.subactor_uid.items[1], uid->uuid) == 0;
    yoke_error *e = fits ? NULL
                         : yoke_raise(&YOKE_USAGE, "a %s of cid %s, where the %s of %s was due",
                                      word.msg_type, word.cid, type, ctx->cid);
    lock_word_free(&word);
    return e;
}

struct served {
    yoke_context *ctx;
    yoke_stream *stream;
};

/* The debugger-to-be waits; the one who pauses lets it attach, and says so. */
static yoke_error *tell_debugger(void *arg, pid_t debugger)
{
    struct served *served = arg;
    YOKE_TRY(yoke_send(served->stream, &(debugger_word){"Debugger", debugger, 0}));
    return expect_word(served->stream, served->ctx, "LockAllow");
}

/*
 * One that is at large again says so at once. If it does not (it has crashed with the signal that the
 * debugger let through, and waits for the terminal in its handler) the terminal is free all the same.
 */
static yoke_error *expect_release(const struct served *served)
{
    struct bound b;
    YOKE_TRY(bound_open(&b, YOKE_MS(RELEASE_MS), NULL)); /* the clock stands still till then */
    return bound_close(&b, expect_word(served->stream, served->ctx, "LockRelease"));
}

static yoke_error *serve_stream(struct tty_lock *lock, struct served *served, struct tty_request *r,
                                const lock_args *args)
{
    struct serving serving = {r, tell_debugger, served};
    struct debugger_target target = target_of(r, args);
    enum lock_end how;
    YOKE_TRY(run_debugger(lock, &serving, &target, &how));
    YOKE_TRY(yoke_send(served->stream, &(debugger_word){"DebuggerGone", 0, how}));
    return expect_release(served);
}

static yoke_error *serve_holder(struct tty_lock *lock, yoke_context *ctx, struct tty_request *r,
                                const lock_args *args)
{
    struct served served = {.ctx = ctx};
    struct uid_texts texts;
    lock_status status = status_of(ctx, &ctx->far, &texts, true);
    YOKE_TRY(yoke_context_started(ctx, &status));
    YOKE_TRY(yoke_stream_open(ctx, &served.stream, NULL));
    return yoke_stream_close(served.stream, serve_stream(lock, &served, r, args));
}

static bool has_channel(const struct tty_request *r)
{
    const struct peer *peer = r->arg;
    return !peer->lost && !peer->channel->broken;
}

/* The result is freed by who sends it. */
static yoke_error *make_result(const yoke_context *ctx, lock_status *result)
{
    const char **uid = memory_calloc(2, sizeof *uid);
    *result = (lock_status){memory_strdup("LockStatus"), {uid, 2}, memory_strdup(ctx->cid), false};
    if (uid) {
        uid[0] = memory_strdup(ctx->far.name);
        uid[1] = memory_strdup(ctx->far.uuid);
    }
    if (uid && uid[0] && uid[1] && result->msg_type && result->cid)
        return NULL;
    result->subactor_uid.count = uid ? 2 : 0;
    return yoke_raise(&YOKE_NO_MEMORY, "the result of a session");
}

static yoke_error *lock_tty(yoke_context *ctx, const lock_args *args, lock_status *result)
{
    struct actor *a = ctx->peer->actor;
    ctx->stays = true;
    if (!a->is_root)
        return yoke_raise(&YOKE_USAGE, "the terminal is the root's, and not actor `%s`'s", a->uid.name);
    YOKE_TRY(check_asker(ctx->peer));
    YOKE_TRY(lock_need(a));
    struct tty_lock *lock = a->tty;
    struct tty_request r = {.actor = *args->actor ? args->actor : ctx->far.name,
                            .uuid = ctx->far.uuid,
                            .task = args->task,
                            .cid = ctx->cid,
                            .is_alive = has_channel,
                            .arg = ctx->peer};
    yoke_error *e = tty_lock_take(lock, &r);
    if (!e)
        e = serve_holder(lock, ctx, &r, args);
    tty_lock_give_back(lock, &r);
    return e ? e : make_result(ctx, result);
}

/* ---- asking for it ---- */

static yoke_error *say(yoke_stream *stream, const yoke_context *ctx, const char *type)
{
    struct uid_texts texts;
    lock_status s = status_of(ctx, &ctx->peer->actor->uid, &texts, false);
    return yoke_send(stream, &(lock_word){type, {s.subactor_uid.items, 2}, ctx->cid});
}

static yoke_error *hear(yoke_stream *stream, const char *type, debugger_word *word)
{
    YOKE_TRY(yoke_recv(stream, word));
    bool fits = strcmp(word->msg_type, type) == 0;
    yoke_error *e = fits ? NULL : yoke_raise(&YOKE_PROTOCOL, "%s, where %s was due", word->msg_type, type);
    yoke_record_free(&yoke_record_str, &word->msg_type);
    return e;
}

static yoke_error *talk(yoke_stream *stream, const yoke_context *ctx, struct lock_client *client,
                        enum lock_end *how)
{
    debugger_word word;
    YOKE_TRY(hear(stream, "Debugger", &word));
    if (client->target.request.pid == getpid()) /* a crashed child has allowed it itself */
        YOKE_TRY(pause_allow((pid_t)word.pid));
    YOKE_TRY(say(stream, ctx, "LockAllow"));
    /* What was sent has to leave before the whole process stands still. */
    YOKE_TRY(yoke_cancel_shielded_checkpoint());
    YOKE_TRY(client->ready(client, (pid_t)word.pid));
    YOKE_TRY(hear(stream, "DebuggerGone", &word));
    *how = (enum lock_end)word.how;
    return say(stream, ctx, "LockRelease");
}

static yoke_error *talk_in(yoke_context *ctx, struct lock_client *client, enum lock_end *how)
{
    yoke_stream *stream;
    lock_status ended;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_stream_close(stream, talk(stream, ctx, client, how)));
    YOKE_TRY(yoke_context_result(ctx, &ended));
    lock_status_free(&ended);
    return NULL;
}

static yoke_error *ask_root(yoke_portal *root, struct lock_client *client, enum lock_end *how)
{
    const struct debugger_target *t = &client->target;
    lock_args args = {
        t->task,           t->why,           t->request.pid,         t->request.answer,      t->request.owed,
        t->request.caller, t->request.frame, t->text ? t->text : "", t->file ? t->file : "", t->line,
        t->actor,          t->crashed};
    yoke_context *ctx;
    lock_status mine;
    YOKE_TRY(yoke_context_open(root, &ctx, "yoke.devx:lock_tty", &args, &mine));
    lock_status_free(&mine);
    /* What the root tells those below may come only when this process stands still. */
    struct actor *a = root->peer->actor;
    freeze_begin(a);
    yoke_error *e = yoke_context_close(ctx, talk_in(ctx, client, how));
    freeze_end(a);
    return e;
}

static yoke_error *ask_far_root(struct actor *a, const char *text, struct lock_client *client,
                                enum lock_end *how)
{
    struct address address;
    struct peer *root;
    YOKE_TRY(address_parse(&address, text));
    YOKE_TRY(connect_to(a, &address, NULL, &root));
    return yoke_portal_close(&root->portal, ask_root(&root->portal, client, how));
}

/* In the scope of the hold, which is cancelled when the one above dies: that must not end the session. */
static yoke_error *ask_shielded(struct actor *a, const char *root, struct lock_client *client,
                                enum lock_end *how)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = *root ? ask_far_root(a, root, client, how) : ask_root(&a->parent->portal, client, how);
    return yoke_scope_close(&shield, e);
}

yoke_error *lock_ask(struct actor *a, struct lock_client *client, enum lock_end *how)
{
    yoke_context *above;
    const char *root;
    YOKE_TRY(hold_above(a, false, &above, &root));
    return end_hold(above, root, ask_shielded(a, root, client, how));
}

/* ---- the root's own ---- */

static yoke_error *own_is_ready(void *arg, pid_t debugger)
{
    struct lock_client *client = arg;
    if (client->target.request.pid == getpid())
        YOKE_TRY(pause_allow(debugger));
    return client->ready(client, debugger);
}

yoke_error *lock_take_own(struct actor *a, struct lock_client *client, enum lock_end *how)
{
    char cid[37];
    YOKE_TRY(lock_need(a));
    struct tty_lock *lock = a->tty;
    actor_dialog_id(a, cid);
    struct tty_request r = {
        .actor = client->target.actor, .uuid = a->uid.uuid, .task = client->target.task, .cid = cid};
    struct serving serving = {&r, own_is_ready, client};
    yoke_error *e = tty_lock_take(lock, &r);
    if (!e)
        e = run_debugger(lock, &serving, &client->target, how);
    tty_lock_give_back(lock, &r);
    return e;
}
