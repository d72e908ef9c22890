#include "actor/main_task.h"

#include "actor/actors.h"
#include "actor/ask.h"
#include "actor/context.h"
#include "actor/module.h"
#include "base/memory.h"
#include "msg/record.h"

#include <string.h>

YOKE_ERROR_KIND(YOKE_NO_RESULT, "yoke.NoResult", &YOKE_USAGE);

struct main_task {
    struct child *child;
    struct yoke_context *dialog; /* a call */
    void *result;                /* the caller's memory, filled when the value comes; may be NULL */
    bool failed;
};

/* ---- its end ---- */

static yoke_error *take_value(struct yoke_context *dialog, void *result)
{
    if (!result)
        return NULL;
    return record_decode(dialog->endpoint->result, buffer_begin(&dialog->result),
                         buffer_size(&dialog->result), "result", result);
}

static void note_where(const struct main_task *task, yoke_error *e)
{
    const struct yoke_context *dialog = task->dialog;
    yoke_error_note(e, "while: `%s` was the main task of actor `%s` [%s:%d]", dialog->name,
                    task->child->uid.name, dialog->file, dialog->line);
}

/* Is this what comes of a cancellation that this actor, or the child itself, had asked for? */
static bool was_asked_for(const struct child *c, const yoke_error *remote)
{
    if (!yoke_error_is(remote, &YOKE_CONTEXT_CANCELLED))
        return false;
    const yoke_uid *canceller = yoke_error_canceller(remote);
    return c->asked || yoke_uid_equal(canceller, &c->actor->uid) || yoke_uid_equal(canceller, &c->uid);
}

/* In the peer's loop: the last message has come. A lost channel is the supervisor's to judge. */
static void ended(struct yoke_context *dialog, void *arg)
{
    struct main_task *task = arg;
    struct child *c = task->child;
    yoke_error *e = dialog->remote ? context_remote_error(dialog) : take_value(dialog, task->result);
    bool lost = yoke_error_is(dialog->remote, &YOKE_TRANSPORT_CLOSED);
    if (e && !lost && !was_asked_for(c, dialog->remote)) {
        task->failed = true;
        note_where(task, e);
        actors_fail(c->nursery, e);
    } else {
        yoke_error_free(e);
    }
    c->is_through = true;
    child_post(c, CHILD_CANCEL);
}

bool main_task_failed(const struct main_task *task)
{
    return task && task->failed;
}

void main_task_note_death(const struct main_task *task, yoke_error *death)
{
    if (task && death)
        note_where(task, death);
}

void main_task_free(struct main_task *task)
{
    if (!task)
        return;
    context_free(task->dialog);
    memory_free(task);
}

/* ---- its beginning ---- */

/* Found and encoded before anything is started. */
static yoke_error *prepare(struct ask *ask)
{
    yoke_error *e = module_resolve(ask->name, &ask->module, &ask->endpoint);
    if (e)
        return yoke_error_is(e, &YOKE_USAGE) ? e
                                             : yoke_wrap_at(ask->file, ask->line, "", e, &YOKE_USAGE,
                                                            "`%s` can't be a main task", ask->name);
    if (ask->endpoint->type != YOKE_ENDPOINT_CALL)
        return yoke_raise_at(ask->file, ask->line, "", &YOKE_USAGE,
                             "`%s` is no call: the main task of an actor is one", ask->name);
    return record_encode_args(&ask->kwargs, ask->endpoint->args, ask->args);
}

static yoke_error *begin(struct child *c, struct ask *ask, void *result)
{
    struct main_task *task = memory_calloc(1, sizeof *task);
    if (!task)
        return yoke_raise(&YOKE_NO_MEMORY, "the main task of actor `%s`", c->uid.name);
    *task = (struct main_task){.child = c, .result = result};
    yoke_error *e = ask_make_dialog(ask, &task->dialog);
    if (e) {
        memory_free(task);
        return e;
    }
    c->main_task = task;
    task->dialog->on_end = ended;
    task->dialog->on_end_arg = task;
    return ask_send(ask, task->dialog, false);
}

static yoke_error *submit(struct ask *ask, void *result)
{
    struct child *c = ask->portal->peer->child;
    if (!c)
        return yoke_raise_at(ask->file, ask->line, "", &YOKE_USAGE,
                             "`%s` can't be the main task of actor `%s`, which this actor has not started",
                             ask->name, yoke_portal_peer(ask->portal)->name);
    if (c->main_task)
        return yoke_raise_at(ask->file, ask->line, "", &YOKE_USAGE,
                             "`%s` can't be the main task of actor `%s`, which has one: `%s`", ask->name,
                             c->uid.name, c->main_task->dialog->name);
    if (result)
        memset(result, 0, ask->endpoint->result->size);
    return begin(c, ask, result);
}

yoke_error *yoke_portal_run_at(const char *file, int line, yoke_portal *portal, const char *endpoint,
                               const void *args, void *result)
{
    struct actor *a;
    YOKE_TRY(actor_expect("yoke_portal_run", &a));
    if (!portal)
        return yoke_raise_at(file, line, "", &YOKE_USAGE, "yoke_portal_run: no portal");
    struct ask ask = {"yoke_portal_run", file, line, portal, endpoint, args, .kind = DIALOG_IS_CALL};
    yoke_error *e = prepare(&ask);
    if (!e)
        e = submit(&ask, result);
    buffer_free(&ask.kwargs);
    return e;
}

/* ---- an actor for one call ---- */

static yoke_error *start_and_submit(yoke_actors *actors, const char *name, struct ask *ask, void *result)
{
    char module[256];
    snprintf(module, sizeof module, "%.*s", (int)ask->module.size, ask->module.data);
    YOKE_TRY(yoke_actors_start(actors, name ? name : ask->endpoint->name,
                               &(yoke_actor_options){.modules = module}, &ask->portal));
    yoke_error *e = submit(ask, result);
    if (!e)
        return NULL;
    child_post(ask->portal->peer->child, CHILD_CANCEL);
    child_wait_reaped(ask->portal->peer->child);
    return e;
}

yoke_error *yoke_actors_run_at(const char *file, int line, yoke_actors *actors, const char *name,
                               const char *endpoint, const void *args, void *result)
{
    if (!task_here())
        return task_outside("yoke_actors_run");
    struct ask ask = {"yoke_actors_run", file, line, NULL, endpoint, args, .kind = DIALOG_IS_CALL};
    yoke_error *e = prepare(&ask);
    if (!e)
        e = start_and_submit(actors, name, &ask, result);
    buffer_free(&ask.kwargs);
    return e;
}

/* ---- its result ---- */

static yoke_error *wait_for_result(struct yoke_context *dialog, void *result)
{
    while (dialog->state != DIALOG_DONE) {
        if (task_has_news(task_here()))
            return task_news(task_here());
        YOKE_TRY(context_wait(dialog));
    }
    return dialog->remote ? context_remote_error(dialog) : take_value(dialog, result);
}

yoke_error *yoke_portal_result(yoke_portal *portal, void *result)
{
    struct actor *a;
    YOKE_TRY(actor_expect("yoke_portal_result", &a));
    if (!portal)
        return yoke_raise(&YOKE_USAGE, "yoke_portal_result: no portal");
    const struct child *c = portal->peer->child;
    if (!c || !c->main_task)
        return yoke_raise(&YOKE_NO_RESULT,
                          "actor `%s` has no main task: yoke_actors_run and yoke_portal_run give it one",
                          yoke_portal_peer(portal)->name);
    struct yoke_context *dialog = c->main_task->dialog;
    if (result)
        memset(result, 0, dialog->endpoint->result->size);
    return wait_for_result(dialog, result);
}
