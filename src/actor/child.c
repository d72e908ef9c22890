#include "actor/child.h"

#include "actor/actors.h"
#include "actor/context.h"
#include "actor/death.h"
#include "actor/hold.h"
#include "actor/main_task.h"
#include "actor/orphan.h"
#include "actor/registrar.h"
#include "base/memory.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the ladder ---- */

/* Short names keep the rows of the table on one line each; `TO` does nothing on the way. */
#define TO(s)                                                                                                \
    {                                                                                                        \
        CHILD_NOTHING, CHILD_##s                                                                             \
    }
#define ASK(s)                                                                                               \
    {                                                                                                        \
        CHILD_ASK, CHILD_##s                                                                                 \
    }
#define AWAIT(s)                                                                                             \
    {                                                                                                        \
        CHILD_AWAIT, CHILD_##s                                                                               \
    }
#define STOP(s)                                                                                              \
    {                                                                                                        \
        CHILD_STOP_CLOCK, CHILD_##s                                                                          \
    }
#define GRANT(s)                                                                                             \
    {                                                                                                        \
        CHILD_GRANT, CHILD_##s                                                                               \
    }
#define TERM(s)                                                                                              \
    {                                                                                                        \
        CHILD_TERM, CHILD_##s                                                                                \
    }
#define KILL(s)                                                                                              \
    {                                                                                                        \
        CHILD_KILL, CHILD_##s                                                                                \
    }
#define REAP(s)                                                                                              \
    {                                                                                                        \
        CHILD_REAP, CHILD_##s                                                                                \
    }

/* clang-format off */
/*
 * Notes to the pairs that are not plain.
 *   CLONED, CONNECTED x cancel   who starts it gives it up: there is nothing in it yet that could end gracefully
 *   up to READY x timeout        no bound of the ladder runs; the start's own is the starter's (CHILD_HARD),
 *                                and stands still while it is held (bound_opening)
 *   CLONED x eof, held           nobody reads its channel yet: the starter's handshake hears of the end
 *   READY x held                 no bound runs; one that is asked while it is held gets none either (set_bound)
 *   KILLED x released            a SIGKILL has no bound, and waits for no debugger
 */
static const struct child_step ladder[CHILD_STATES][CHILD_EVENTS] = {
    /*                   met              up               held             released         cancel           hard             ack              eof              timeout          exit */
    [CHILD_CLONED]    = {TO(CONNECTED),   TO(CLONED),      TO(CLONED),      TO(CLONED),      KILL(KILLED),    KILL(KILLED),    TO(CLONED),      TO(CLONED),      TO(CLONED),      REAP(REAPED)},
    [CHILD_CONNECTED] = {TO(CONNECTED),   TO(READY),       TO(CONNECTED),   TO(CONNECTED),   KILL(KILLED),    KILL(KILLED),    TO(CONNECTED),   AWAIT(ENDING),   TO(CONNECTED),   REAP(REAPED)},
    [CHILD_READY]     = {TO(READY),       TO(READY),       TO(READY),       TO(READY),       ASK(ASKED),      KILL(KILLED),    TO(READY),       AWAIT(ENDING),   TO(READY),       REAP(REAPED)},
    [CHILD_ASKED]     = {TO(ASKED),       TO(ASKED),       STOP(ASKED),     GRANT(ASKED),    TO(ASKED),       KILL(KILLED),    AWAIT(ENDING),   AWAIT(ENDING),   TERM(TERMED),    REAP(REAPED)},
    [CHILD_ENDING]    = {TO(ENDING),      TO(ENDING),      STOP(ENDING),    GRANT(ENDING),   TO(ENDING),      KILL(KILLED),    TO(ENDING),      TO(ENDING),      TERM(TERMED),    REAP(REAPED)},
    [CHILD_TERMED]    = {TO(TERMED),      TO(TERMED),      STOP(TERMED),    GRANT(TERMED),   TO(TERMED),      KILL(KILLED),    TO(TERMED),      TO(TERMED),      KILL(KILLED),    REAP(REAPED)},
    [CHILD_KILLED]    = {TO(KILLED),      TO(KILLED),      TO(KILLED),      TO(KILLED),      TO(KILLED),      TO(KILLED),      TO(KILLED),      TO(KILLED),      TO(KILLED),      REAP(REAPED)},
    [CHILD_REAPED]    = {TO(REAPED),      TO(REAPED),      TO(REAPED),      TO(REAPED),      TO(REAPED),      TO(REAPED),      TO(REAPED),      TO(REAPED),      TO(REAPED),      TO(REAPED)},
};
/* clang-format on */

struct child_step child_step(enum child_state state, enum child_event event)
{
    return ladder[state][event];
}

enum { LEAST_TERM_MS = 100, HURRY_MS = 500, LOSS_BOUND_MS = 500, SWEEP_MS = 600 };

/* A debugger may hold the child for as long as the person wants: no bound passes meanwhile. */
static bool is_held(const struct child *c)
{
    return c->peer && c->peer->held;
}

static void set_bound(struct child *c, int64_t deadline)
{
    c->deadline = is_held(c) ? YOKE_NEVER : deadline;
}

static void request_answered(struct yoke_context *request, void *arg)
{
    if (!request->remote) /* an error is no acknowledgement; a lost channel tells by itself */
        child_post(arg, CHILD_ACK);
}

static yoke_error *send_request(struct child *c)
{
    if (!c->peer)
        return yoke_raise(&YOKE_TRANSPORT_CLOSED, "it is not connected");
    YOKE_TRY(context_new(&c->request, c->peer, "self:cancel", DIALOG_IS_CALL));
    c->request->on_end = request_answered;
    c->request->on_end_arg = c;
    return context_send_actor_cancel(c->request, &c->nursery->asker);
}

/* The next rung; who is in the debugger is not taken out of it by that. */
static void hurry(struct child *c)
{
    if (c->actor->hurry == HURRY_KILL)
        child_post(c, CHILD_HARD);
    else if (!is_held(c))
        child_post(c, CHILD_TIMEOUT);
}

static void ask(struct child *c)
{
    c->asked = true;
    c->asked_at = yoke_now();
    set_bound(c, c->asked_at + c->nursery->options.acknowledge_bound);
    yoke_log(YOKE_CANCEL, "asking actor `%s` (pid %d) to end", c->uid.name, (int)c->pid);
    yoke_error *e = send_request(c);
    if (e)
        yoke_log(YOKE_CANCEL, "actor `%s` can't be asked: %s", c->uid.name, yoke_error_message(e));
    yoke_error_free(e);
    if (c->actor->hurry)
        hurry(c);
}

/* Also for what somebody in a hurry has just asked for. */
static void stop_clock(struct child *c)
{
    c->deadline = YOKE_NEVER;
    c->pending &= ~(1u << CHILD_TIMEOUT);
}

static void grant(struct child *c)
{
    set_bound(c, yoke_now() + c->nursery->options.acknowledge_bound);
}

static void await_exit(struct child *c)
{
    if (!c->asked_at)
        c->asked_at = yoke_now();
    grant(c);
}

static void send_signal(struct child *c, int number)
{
    c->sent |= 1u << number;
    yoke_error *e = yoke_process_signal(c->process, number);
    if (e)
        yoke_log(YOKE_ERROR, "actor `%s`: %s", c->uid.name, yoke_error_message(e));
    yoke_error_free(e);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void terminate(struct child *c)
{
    yoke_log(YOKE_CANCEL, "actor `%s` (pid %d) has not ended within %lld ms: SIGTERM", c->uid.name,
             (int)c->pid, (long long)((yoke_now() - c->asked_at) / 1000000));
    c->term_came_late = c->peer && yoke_event_is_set(&c->peer->drained);
    send_signal(c, SIGTERM);
    int64_t least = yoke_now() + YOKE_MS(LEAST_TERM_MS), bound = c->asked_at + c->nursery->options.kill_bound;
    bound = bound > least ? bound : least;
    if (c->actor->hurry && !c->actor->is_root)
        bound = earlier(bound, yoke_now() + YOKE_MS(HURRY_MS));
    set_bound(c, bound);
}

static void kill_hard(struct child *c)
{
    /* It is told loudly where SIGTERM did not help, and not where it was asked for. */
    yoke_log(c->sent ? YOKE_CRITICAL : YOKE_CANCEL, "actor `%s` (pid %d): SIGKILL", c->uid.name, (int)c->pid);
    send_signal(c, SIGKILL);
    c->deadline = YOKE_NEVER;
}

static void act(struct child *c, enum child_action action)
{
    switch (action) {
    case CHILD_NOTHING:
    case CHILD_REAP:
        break;
    case CHILD_ASK:
        ask(c);
        break;
    case CHILD_AWAIT:
        await_exit(c);
        break;
    case CHILD_STOP_CLOCK:
        stop_clock(c);
        break;
    case CHILD_GRANT:
        grant(c);
        break;
    case CHILD_TERM:
        terminate(c);
        break;
    case CHILD_KILL:
        kill_hard(c);
        break;
    }
}

static void wake(struct child *c)
{
    if (c->wait)
        scope_cancel_with(c->wait, NULL);
}

void child_look_again(struct actor *a)
{
    list_for_each(node, &a->children) {
        struct child *c = container_of(node, struct child, in_actor);
        if (c->pending)
            wake(c);
    }
}

static void step(struct child *c, enum child_event event)
{
    struct child_step s = child_step(c->state, event);
    bool answered = c->state == CHILD_ASKED && s.next != CHILD_ASKED;
    c->state = s.next;
    act(c, s.action);
    if (answered)
        child_look_again(c->actor);
}

void child_advance(struct child *c, enum child_event event)
{
    step(c, event);
}

/* ---- what is put off ---- */

static bool debugs(const struct child *c)
{
    return c->actor->debug_mode || c->nursery->options.debug_mode > 0;
}

static bool another_is_asked(const struct child *c)
{
    list_for_each(node, &c->actor->children)
        if (container_of(node, struct child, in_actor)->state == CHILD_ASKED)
            return true;
    return false;
}

/*
 * Nobody is asked to end while somebody has the terminal, or wants it: the person shall find the tree as it
 * was. In debug mode the children are asked one after the other, so that one which comes to a prompt by being
 * asked keeps the rest. One that a debugger has is not killed either.
 */
static unsigned put_off(const struct child *c)
{
    unsigned events = is_held(c) ? 1u << CHILD_HARD : 0;
    if (c->state != CHILD_READY || (c->is_through && !is_held(c)))
        return events;
    if (hold_any(c->actor) || (debugs(c) && !c->actor->hurry && another_is_asked(c)))
        events |= 1u << CHILD_CANCEL;
    return events;
}

static unsigned next_events(const struct child *c)
{
    return c->pending & ~put_off(c);
}

bool child_is_past_debugging(const struct child *c)
{
    return c->state > CHILD_ASKED;
}

void child_post(struct child *c, enum child_event event)
{
    c->pending |= 1u << event;
    if (event == CHILD_CANCEL || event == CHILD_HARD)
        c->asked = true;
    wake(c);
}

/* The bound of its start, which is the starter's: as the supervisor does with the ladder's. */
static void bound_opening(const struct child *c, int64_t deadline)
{
    yoke_error *e = c->opening ? yoke_scope_set_deadline(c->opening, deadline) : NULL;
    if (e) /* without a bound it might never end */
        scope_deadline_passed(c->opening);
    yoke_error_free(e);
}

void child_hold(struct peer *peer)
{
    struct child *c = peer->child;
    if (peer->held++ || !c)
        return;
    bound_opening(c, YOKE_NEVER);
    child_post(c, CHILD_HELD);
}

void child_release(struct peer *peer)
{
    struct child *c = peer->child;
    if (--peer->held || !c)
        return;
    bound_opening(c, yoke_now() + c->opening_bound);
    child_post(c, CHILD_RELEASED);
}

/* Has a task of it been asked to cancel, and not answered? */
static bool owes_an_answer(const struct child *c)
{
    struct table_node *node = c->peer ? table_first(&c->peer->opened) : NULL;
    for (; node; node = table_next(&c->peer->opened, node)) {
        const struct yoke_context *ctx = container_of(node, struct yoke_context, in_peer);
        if (ctx->cancel_sent && !ctx->cancel_acked && ctx->state != DIALOG_DONE)
            return true;
    }
    return false;
}

static bool is_being_ended(const struct child *c)
{
    return c->pending & 1u << CHILD_CANCEL || c->state == CHILD_ASKED || c->state == CHILD_ENDING ||
           c->state == CHILD_TERMED;
}

bool child_push(struct child *c)
{
    if (!is_being_ended(c) && !owes_an_answer(c))
        return false;
    if (c->actor->hurry == HURRY_KILL)
        child_post(c, CHILD_HARD);
    else if (c->state <= CHILD_READY)
        child_post(c, CHILD_CANCEL); /* and the next rung when that is done */
    else if (c->state != CHILD_TERMED)
        hurry(c);
    else if (!c->actor->is_root)
        set_bound(c, earlier(c->deadline, yoke_now() + YOKE_MS(HURRY_MS)));
    wake(c);
    return true;
}

/* ---- the end ---- */

/* What the child's crash handler left in its pipe; SIGKILL leaves nothing. */
static void read_report(struct child *c, yoke_error *death)
{
    if (c->actor->hooks && c->actor->hooks->child_crashed)
        c->actor->hooks->child_crashed(death, c);
}

/* A SIGTERM had ended it before anybody asked. If it came from here, or was meant for this actor too, it is
 * no news. */
static bool is_echo(const struct child *c)
{
    return WIFEXITED(c->status) && WEXITSTATUS(c->status) == DEATH_OF_SIGNAL + SIGTERM &&
           ((c->sent && !c->term_came_late) || c->actor->ended_by);
}

static bool ended_as_asked(const struct child *c)
{
    if (is_echo(c))
        return true;
    if (!c->asked || c->status_lost)
        return c->asked;
    if (WIFEXITED(c->status))
        return WEXITSTATUS(c->status) == 0;
    /* Not always of the last one: it may have been about to end of SIGTERM when SIGKILL was sent. */
    return c->sent & 1u << WTERMSIG(c->status);
}

/* A channel that broke by itself; when the peer ends, it ends. */
static bool was_broken(const yoke_error *loss)
{
    return loss && !yoke_error_is(loss, &YOKE_TRANSPORT_ENDED) && !yoke_error_is(loss, &YOKE_TRANSPORT_RESET);
}

static void judge(struct child *c)
{
    if (!ended_as_asked(c)) {
        yoke_error *loss = was_broken(c->loss) && WIFEXITED(c->status) ? yoke_error_dup(c->loss) : NULL;
        c->death = c->status_lost ? death_unknown(&c->uid, c->pid, loss)
                                  : death_error(&c->uid, c->pid, c->status, c->asked, loss);
        if (WIFSIGNALED(c->status) || c->status_lost)
            read_report(c, c->death);
    }
    crash_pipe_close(&c->crash);
    yoke_event_set(&c->verdict);
}

/* What the child had sent before it ended is read first; another process may hold its end of the channel
 * open, so not for ever. */
static void wait_drained(struct child *c)
{
    if (!c->peer || !c->peer->reading)
        return;
    yoke_scope s;
    yoke_error *e = yoke_move_on_after(&s, YOKE_MS(LOSS_BOUND_MS));
    if (!e)
        e = yoke_scope_close(&s, yoke_event_wait(&c->peer->drained));
    yoke_error_free(e);
    if (!yoke_event_is_set(&c->peer->drained))
        channel_break(c->peer->channel, channel_error(&c->uid, c->pid, &YOKE_TRANSPORT_ENDED, NULL,
                                                      "the actor has ended, and another process holds it"));
    yoke_error_free(yoke_event_wait(&c->peer->drained));
}

/* ---- the supervisor ---- */

/* Sleeps till the process has ended, an event was posted, or the deadline has passed. */
static yoke_error *sleep_till_news(struct child *c, bool *exited)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_error *e = yoke_scope_set_deadline(&s, c->deadline);
    if (!e && !next_events(c)) {
        c->wait = &s;
        e = yoke_process_wait(c->process, &c->status);
        *exited = !e;
        c->wait = NULL;
    }
    return yoke_scope_close(&s, e);
}

static void take_events(struct child *c)
{
    unsigned events;
    while ((events = next_events(c))) {
        unsigned event = (unsigned)__builtin_ctz(events);
        c->pending &= ~(1u << event);
        step(c, (enum child_event)event);
    }
    if (yoke_now() >= c->deadline) {
        c->deadline = YOKE_NEVER;
        step(c, CHILD_TIMEOUT);
    }
}

/* The program waits for any child (waitpid(2) with -1), or SIGCHLD was ignored when it was started: the end
 * is seen all the same, by the pidfd. */
static void note_lost_status(struct child *c)
{
    c->status_lost = true;
    if (!c->actor->lost_status)
        yoke_log(
            YOKE_WARNING,
            "the status of actor `%s` (pid %d) is unknown, it was reaped elsewhere: does this program call "
            "waitpid(-1), or ignore SIGCHLD?",
            c->uid.name, (int)c->pid);
    c->actor->lost_status = true;
}

static yoke_error *watch(struct child *c)
{
    while (c->state != CHILD_REAPED) {
        bool exited = false;
        yoke_error *e = sleep_till_news(c, &exited);
        if (e && yoke_error_is(e, &YOKE_NO_MEMORY)) {
            yoke_error_free(e);
            YOKE_TRY(yoke_sleep(YOKE_MS(10)));
            continue;
        }
        if (e && yoke_error_errno(e) == ECHILD) {
            note_lost_status(c);
            yoke_error_free(e);
            e = NULL;
            exited = true;
        }
        if (e)
            return e;
        if (exited)
            step(c, CHILD_EXIT);
        else
            take_events(c);
    }
    return NULL;
}

static yoke_error *supervise(void *arg)
{
    struct child *c = arg;
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = watch(c);
    wait_drained(c);
    crash_pipe_finish(&c->crash);
    judge(c);
    registrar_remove_child(c);
    if (c->peer && c->peer->reading)
        e = yoke_error_join(e, yoke_event_wait(&c->peer->ended));
    /* Who waits in a dialog with it is told of the loss first: the nursery's cancellation would hide that. */
    e = yoke_error_join(e, yoke_cancel_shielded_checkpoint());
    actors_child_died(c->nursery, c);
    orphan_sweep(c->actor, YOKE_MS(SWEEP_MS));
    yoke_log(YOKE_RUNTIME, "actor `%s` (pid %d) is reaped, status %#x", c->uid.name, (int)c->pid,
             (unsigned)c->status);
    actors_child_reaped(c->nursery, c);
    yoke_event_set(&c->reaped);
    return yoke_scope_close(&shield, e);
}

/* ---- life ---- */

yoke_error *child_new(struct child **out, yoke_actors *nursery, const yoke_uid *uid, yoke_process *process,
                      int crash_fd)
{
    struct child *c = memory_calloc(1, sizeof *c);
    *out = NULL;
    yoke_error *e = c ? NULL : yoke_raise(&YOKE_NO_MEMORY, "the supervisor of actor `%s`", uid->name);
    if (c) {
        *c = (struct child){.actor = nursery->actor,
                            .nursery = nursery,
                            .uid = *uid,
                            .pid = yoke_process_pid(process),
                            .process = process,
                            .starting = true,
                            .deadline = YOKE_NEVER};
        crash_pipe_init(&c->crash, crash_fd);
        yoke_event_init(&c->verdict);
        yoke_event_init(&c->reaped);
        char name[80];
        snprintf(name, sizeof name, "supervisor of %s", uid->name);
        e = yoke_spawn_system_at(__FILE__, __LINE__, "supervisor", supervise, c,
                                 &(yoke_spawn_options){.name = name});
    }
    if (e) {
        memory_free(c);
        close(crash_fd);
        yoke_error *ignored = yoke_process_signal(process, SIGKILL);
        yoke_error_free(ignored);
        return yoke_process_close(process, e);
    }
    list_append(&c->actor->children, &c->in_actor);
    list_append(&nursery->children, &c->in_nursery);
    nursery->unreaped++;
    *out = c;
    return NULL;
}

void child_wait_reaped(struct child *c)
{
    task_wait_shielded(&c->reaped);
}

void child_free(struct child *c)
{
    list_remove(&c->in_actor);
    list_remove(&c->in_nursery);
    context_free(c->request);
    main_task_free(c->main_task);
    yoke_error *e = yoke_process_close(c->process, NULL);
    yoke_error_free(e);
    if (c->peer)
        c->peer->child = NULL;
    peer_close(c->peer);
    yoke_error_free(c->death);
    memory_free(c);
}

yoke_error *child_loss(const struct child *c, yoke_error *e)
{
    if (!c->death || (was_broken(e) && yoke_error_is(c->death, &YOKE_ACTOR_EXITED)))
        return e;
    yoke_error_free(e);
    return channel_error(&c->uid, c->pid, &YOKE_TRANSPORT_ENDED, yoke_error_dup(c->death),
                         "the actor has ended");
}

yoke_error *child_explain_loss(struct child *c, yoke_error *e)
{
    c->loss = e;
    child_post(c, CHILD_EOF);
    yoke_scope s;
    yoke_error *waited = yoke_move_on_after(&s, YOKE_MS(LOSS_BOUND_MS));
    if (!waited)
        waited = yoke_scope_close(&s, yoke_event_wait(&c->verdict));
    yoke_error_free(waited);
    c->loss = NULL;
    return child_loss(c, e);
}
