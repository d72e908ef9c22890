/*
 * One cancels one: a task of a nursery behind a handle. The handle's scope is around that task alone, so it
 * can be cancelled alone, and what came of it stays in the handle, for all who ask. A Cancelled is not told
 * to those who ask: it is for the scopes around the task, not around them.
 */
#include "base/error.h"
#include "task/task.h"

static void settle(yoke_handle *h, yoke_error *outcome)
{
    h->outcome = outcome;
    yoke_event_set(&h->done);
}

static yoke_error *run_handle(void *arg)
{
    yoke_handle *h = arg;
    yoke_error *e = yoke_scope_enter_at(h->file, h->line, &h->scope);
    if (!e)
        e = yoke_scope_close(&h->scope, h->fn(h->arg));
    yoke_error *outcome = yoke_error_dup(e), *cancelled;
    yoke_error_split(&outcome, &YOKE_CANCELLED, &cancelled);
    h->cancelled = !outcome && (cancelled || yoke_scope_cancelled_caught(&h->scope));
    settle(h, outcome);
    if (!h->keeps_error) {
        yoke_error_free(cancelled);
        return e;
    }
    yoke_error_free(e);
    return cancelled;
}

yoke_error *yoke_handle_open_at(const char *file, int line, const char *fn_name, yoke_handle *h,
                                yoke_nursery *n, yoke_task_fn fn, void *arg,
                                const yoke_handle_options *options)
{
    *h = (yoke_handle){.fn = fn,
                       .arg = arg,
                       .file = file,
                       .line = line,
                       .name = fn_name,
                       .keeps_error = options && options->keep_error};
    yoke_event_init(&h->done);
    YOKE_TRY(yoke_scope_init(&h->scope, NULL));
    yoke_error *e =
        yoke_spawn_at(file, line, fn_name, n, fn ? run_handle : NULL, h, options ? &options->spawn : NULL);
    h->done.set = e != NULL; /* nobody waits yet, and there may be no run */
    return e;
}

yoke_scope *yoke_handle_scope(yoke_handle *h)
{
    return &h->scope;
}

void yoke_handle_cancel(yoke_handle *h, const char *why)
{
    yoke_scope_cancel(&h->scope, why);
}

yoke_error *yoke_handle_wait(yoke_handle *h)
{
    YOKE_TRY(yoke_event_wait(&h->done));
    h->told = true;
    if (h->cancelled)
        return yoke_raise(&YOKE_CLOSED, "task `%s` was cancelled", h->name);
    return yoke_error_dup(h->outcome);
}

yoke_error *yoke_handle_close(yoke_handle *h)
{
    yoke_error *e = h->outcome;
    h->outcome = NULL;
    if (h->keeps_error && !h->told)
        return e;
    yoke_error_free(e);
    return NULL;
}
