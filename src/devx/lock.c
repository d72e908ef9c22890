#include "devx/lock.h"

#include "actor/child.h"
#include "actor/context.h"
#include "devx/debugger.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

YOKE_RECORD(lock_args, (str, actor), (i64, pid), (u64, answer), (u64, caller));

static yoke_error *lock_tty(yoke_context *ctx, const lock_args *args, yoke_type_none *result);

/* Named as no token can be, so not by YOKE_MODULE. */
static const yoke_endpoint endpoints[] = {YOKE_CONTEXT_STREAM(lock_tty, lock_args, none, none, boolean, i64)};
static yoke_module module = {"yoke.devx", endpoints, 1, NULL};

__attribute__((constructor(160))) static void register_module(void)
{
    yoke_module_register(&module);
}

static struct pause_request request_of(const lock_args *args)
{
    return (struct pause_request){.pid = (pid_t)args->pid, .answer = args->answer, .caller = args->caller};
}

/* ---- the lock itself, in the root ---- */

static yoke_error *take_turn(struct actor *a)
{
    if (!a->tty_busy) {
        a->tty_busy = true;
        return NULL;
    }
    yoke_log(YOKE_RUNTIME, "the terminal is in use: waiting for a turn");
    return wait_in(&a->tty_waiters, NULL); /* woken as its holder */
}

static void give_turn(struct actor *a)
{
    if (!wake_first(&a->tty_waiters, NULL))
        a->tty_busy = false;
}

/* ---- serving it ---- */

/* The debugger-to-be waits; the one who pauses lets it attach, and says so. */
static yoke_error *tell_debugger(void *arg, pid_t debugger)
{
    yoke_stream *stream = arg;
    bool allowed = false;
    YOKE_TRY(yoke_send(stream, &(int64_t){debugger}));
    YOKE_TRY(yoke_recv(stream, &allowed));
    return allowed ? NULL : yoke_raise(&YOKE_PERMISSION, "the process does not let the debugger attach");
}

static yoke_error *serve_session(yoke_context *ctx, const lock_args *args)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    struct pause_request request = request_of(args);
    return yoke_stream_close(stream, debugger_run(&request, args->actor, tell_debugger, stream));
}

static yoke_error *serve_as_root(struct actor *a, yoke_context *ctx, const lock_args *args)
{
    YOKE_TRY(take_turn(a));
    yoke_log(YOKE_RUNTIME, "actor `%s` (pid %d) has the terminal", args->actor, (int)args->pid);
    yoke_error *e = serve_session(ctx, args);
    yoke_log(YOKE_RUNTIME, "actor `%s` (pid %d) has given the terminal back", args->actor, (int)args->pid);
    give_turn(a);
    return e;
}

/* Between the two streams: the debugger's pid goes down, the leave to attach goes up. */
static yoke_error *pass_streams_on(yoke_context *above, yoke_context *below)
{
    yoke_stream *up, *down;
    int64_t debugger;
    bool allowed;
    YOKE_TRY(yoke_stream_open(above, &up, NULL));
    yoke_error *e = yoke_stream_open(below, &down, NULL);
    if (e)
        return yoke_stream_close(up, e);
    e = yoke_recv(up, &debugger);
    if (!e)
        e = yoke_send(down, &debugger);
    if (!e)
        e = yoke_recv(down, &allowed);
    if (!e)
        e = yoke_send(up, &allowed);
    return yoke_stream_close(up, yoke_stream_close(down, e));
}

static yoke_error *pass_on(struct actor *a, yoke_context *below, const lock_args *args)
{
    yoke_context *above;
    YOKE_TRY(yoke_context_open(&a->parent->portal, &above, "yoke.devx:lock_tty", args, NULL));
    yoke_error *e = yoke_context_started(below, NULL);
    if (!e)
        e = pass_streams_on(above, below);
    return yoke_context_close(above, e);
}

static yoke_error *lock_tty(yoke_context *ctx, const lock_args *args, yoke_type_none *result)
{
    struct actor *a = ctx->peer->actor;
    child_hold(ctx->peer);
    yoke_error *e = a->is_root ? serve_as_root(a, ctx, args) : pass_on(a, ctx, args);
    child_release(ctx->peer);
    return e;
}

/* ---- asking for it ---- */

struct asker {
    void (*stop)(void *arg, pid_t debugger);
    void *arg;
};

static yoke_error *stop_for(const struct asker *asker, yoke_stream *stream)
{
    int64_t debugger;
    YOKE_TRY(yoke_recv(stream, &debugger));
    yoke_error *refused = pause_allow((pid_t)debugger);
    yoke_error *e = yoke_send(stream, &(bool){refused == NULL});
    if (!e && !refused) {
        /* What was sent has to leave before the whole process stands still. */
        e = yoke_cancel_shielded_checkpoint();
        asker->stop(asker->arg, (pid_t)debugger);
    }
    return yoke_error_join(refused, e);
}

static yoke_error *ask_parent(struct actor *a, const struct pause_request *request, const struct asker *asker)
{
    lock_args args = {a->uid.name, request->pid, request->answer, request->caller};
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(&a->parent->portal, &ctx, "yoke.devx:lock_tty", &args, NULL));
    yoke_stream *stream;
    yoke_error *e = yoke_stream_open(ctx, &stream, NULL);
    if (!e)
        e = yoke_stream_close(stream, stop_for(asker, stream));
    if (!e)
        e = yoke_context_result(ctx, NULL);
    return yoke_context_close(ctx, e);
}

/* The root's own pause: the session is a task of this same scheduler, which gets as far as starting the
 * debugger before all stands still. */
struct own_session {
    struct actor *a;
    const struct pause_request *request;
    yoke_event ready, ended;
    pid_t debugger;
    yoke_error *result;
};

static yoke_error *note_debugger(void *arg, pid_t debugger)
{
    struct own_session *own = arg;
    own->debugger = debugger;
    yoke_error *e = pause_allow(debugger);
    yoke_event_set(&own->ready);
    return e;
}

static yoke_error *own_task(void *arg)
{
    struct own_session *own = arg;
    own->result = take_turn(own->a);
    if (!own->result) {
        own->result = debugger_run(own->request, own->a->uid.name, note_debugger, own);
        give_turn(own->a);
    }
    yoke_event_set(&own->ready);
    yoke_event_set(&own->ended);
    return NULL;
}

static yoke_error *debug_root(struct actor *a, const struct pause_request *request, const struct asker *asker)
{
    struct own_session own = {.a = a, .request = request};
    yoke_event_init(&own.ready);
    yoke_event_init(&own.ended);
    YOKE_TRY(yoke_spawn_system(own_task, &own));
    yoke_error *e = yoke_event_wait(&own.ready);
    if (!e && own.debugger && !yoke_event_is_set(&own.ended)) {
        e = yoke_cancel_shielded_checkpoint(); /* in which the debugger is told to begin */
        asker->stop(asker->arg, own.debugger);
    }
    while (!yoke_event_is_set(&own.ended))
        e = yoke_error_join(e, yoke_event_wait(&own.ended));
    return yoke_error_join(own.result, e);
}

yoke_error *lock_session(struct actor *a, const struct pause_request *request,
                         void (*stop)(void *arg, pid_t debugger), void *arg)
{
    struct asker asker = {stop, arg};
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    return yoke_scope_close(&shield,
                            a->is_root ? debug_root(a, request, &asker) : ask_parent(a, request, &asker));
}

/* ---- the public call ---- */

struct stopped {
    enum pause_answer answer;
    pid_t debugger;
};

/* The debugger is gone: in the root, whose child it is, it stays a zombie, since nobody reaps while all
 * stands still. */
static bool is_abandoned(void *arg)
{
    struct stopped *s = arg;
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)s->debugger, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        return info.si_pid != 0;
    return kill(s->debugger, 0) < 0 && errno == ESRCH;
}

static void stop_here(void *arg, pid_t debugger)
{
    struct stopped *s = arg;
    s->debugger = debugger;
    s->answer = pause_stop(is_abandoned, s);
}

/* Not inlined and no tail call: the debugger looks for the frame that this function returns to. */
__attribute__((noinline)) yoke_error *yoke_pause(void)
{
    struct actor *a = actor_here();
    if (!task_here())
        return task_outside("yoke_pause");
    if (!a || !a->debug_mode) {
        yoke_log(YOKE_WARNING,
                 "yoke_pause: debug mode is off (YOKE_DEBUG=1 in the environment turns it on): going on");
        return yoke_checkpoint();
    }
    struct pause_request request = pause_begin(__builtin_return_address(0));
    struct stopped stopped = {.answer = PAUSE_ABANDONED};
    yoke_error *e = lock_session(a, &request, stop_here, &stopped);
    if (e && stopped.answer == PAUSE_ABANDONED) {
        char *text = yoke_error_text(e);
        yoke_log(YOKE_WARNING, "yoke_pause: no debugger: %s", text ? text : yoke_error_message(e));
        free(text);
    }
    yoke_error_free(e);
    e = pause_result(stopped.answer);
    return e;
}
