#include "actor/root.h"

#include "actor/debug.h"
#include "actor/module.h"
#include "actor/peer.h"
#include "actor/program.h"
#include "actor/serve.h"
#include "actor/server.h"
#include "actor/spawn.h"
#include "actor/zygote.h"
#include "base/error.h"
#include "base/memory.h"
#include "msg/uid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

struct root {
    struct actor actor;
    struct error_identity identity;
    const struct error_identity *outer_identity; /* the run's */
    yoke_scope scope;
    int was_subreaper;
    char *log_before; /* the filter, where the options set another; or NULL */
};

/* ---- what it is to be ---- */

static yoke_error *backend_of(const yoke_root_options *o, enum yoke_backend *backend)
{
    const char *name = getenv("YOKE_BACKEND");
    *backend = o->backend == YOKE_BACKEND_DEFAULT ? YOKE_BACKEND_EXEC : o->backend;
    if (!name || !*name)
        return NULL;
    if (strcmp(name, "exec") && strcmp(name, "fork"))
        return yoke_raise(&YOKE_USAGE, "YOKE_BACKEND is `%s`: it can be exec or fork", name);
    *backend = name[0] == 'f' ? YOKE_BACKEND_FORK : YOKE_BACKEND_EXEC;
    return NULL;
}

yoke_error *root_configure(struct actor *a, const yoke_root_options *options)
{
    static const yoke_root_options defaults;
    const yoke_root_options *o = options ? options : &defaults;
    const char *name = o->name ? o->name : "root";
    enum yoke_backend backend;
    struct debug debug;
    YOKE_TRY(spawn_check_backend(o->backend));
    YOKE_TRY(uid_check_name(name));
    if (o->log_filter)
        YOKE_TRY(yoke_log_check(o->log_filter));
    YOKE_TRY(backend_of(o, &backend));
    YOKE_TRY(debug_from_environment(&debug, o->debug_mode > 0));
    YOKE_TRY(network_configure(&a->network, &a->listen, o));
    YOKE_TRY(module_parse(o->modules, &a->modules));
    uid_make(&a->uid, name);
    a->backend = backend;
    a->debug_mode = debug.on;
    a->debug_words = debug.words;
    a->no_dump = o->no_dump;
    return NULL;
}

/* ---- open ---- */

static yoke_error *set_log(struct root *r, const char *filter)
{
    if (!filter)
        return NULL;
    r->log_before = memory_strdup(yoke_log_filter());
    return r->log_before ? yoke_log_set(filter) : yoke_raise(&YOKE_NO_MEMORY, "a log filter");
}

static const char *task_name(void *arg)
{
    const yoke_task *task = yoke_current_task();
    return task ? yoke_task_name(task) : "";
}

/* What is process-wide. */
static yoke_error *take_process(struct root *r)
{
    YOKE_TRY(program_actor_begins(&r->actor));
    prctl(PR_GET_CHILD_SUBREAPER, &r->was_subreaper);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    r->identity = (struct error_identity){.actor = actor_name, .task = task_name, .arg = &r->actor};
    r->outer_identity = error_identity_set(&r->identity);
    return NULL;
}

static void give_process_back(struct root *r)
{
    error_identity_set(r->outer_identity);
    prctl(PR_SET_CHILD_SUBREAPER, r->was_subreaper);
    program_actor_ends(&r->actor);
    if (r->log_before)
        yoke_error_free(yoke_log_set(r->log_before));
}

static yoke_error *discard(struct root *r, yoke_error *e)
{
    actor_free(&r->actor);
    memory_free(r->log_before);
    memory_free(r);
    return e;
}

yoke_error *root_open(struct root **out, const char *file, int line, const yoke_root_options *options)
{
    struct root *r = memory_calloc(1, sizeof *r);
    yoke_uid nobody = {"root", ""};
    if (!r)
        return yoke_raise(&YOKE_NO_MEMORY, "a root");
    actor_init(&r->actor, &nobody, program_hooks(), program_argv());
    r->actor.is_root = true;
    yoke_error *e = root_configure(&r->actor, options);
    if (!e)
        e = take_process(r);
    if (e)
        return discard(r, e);
    e = set_log(r, options ? options->log_filter : NULL);
    if (!e)
        e = yoke_scope_open_at(file, line, &r->scope, NULL);
    if (e) {
        give_process_back(r);
        return discard(r, e);
    }
    r->actor.app_scope = &r->scope;
    scheduler_here->above = &r->actor;
    e = server_begin_root(&r->actor);
    if (e)
        return root_close(r, e);
    server_know_root(&r->actor);
    *out = r;
    const struct actor_hooks *hooks = r->actor.hooks;
    e = hooks && hooks->runtime_begins ? hooks->runtime_begins(&r->actor) : NULL;
    return e ? root_close(r, e) : NULL;
}

/* ---- close ---- */

static void wait_shielded(yoke_event *event)
{
    yoke_scope shield;
    yoke_error *e = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (!e)
        e = yoke_scope_close(&shield, yoke_event_wait(event));
    yoke_error_free(e);
}

static void end_serving(struct actor *a)
{
    if (list_empty(&a->peers) && !a->serving)
        return;
    actor_cancel(a, NULL);
    wait_shielded(&a->idle);
    yoke_log(YOKE_RUNTIME, "the endpoints of this actor have ended");
    serve_acknowledge_end(a);
}

/* An interrupt that comes now is no wait's here: the run tells it at its end. */
void root_end(struct actor *a)
{
    yoke_scope shield;
    yoke_error *e = task_shield_open(&shield, (yoke_scope_options){0});
    end_serving(a);
    server_close(a, SERVER_LEAVE_BOUND);
    /* The zygote's end is waited for while there is a scheduler to wait with. */
    zygote_close(a->zygote);
    a->zygote = NULL;
    if (!e)
        e = task_shield_close(&shield, NULL);
    yoke_error_free(e);
}

/* Other tasks of the run may have opened nurseries in it, too. */
static void wait_for_nurseries(struct actor *a)
{
    a->closing = true;
    if (a->nurseries.count)
        wait_shielded(&a->all_closed);
}

yoke_error *root_close(struct root *r, yoke_error *e)
{
    r->actor.app_scope = NULL;
    e = yoke_scope_close(&r->scope, e);
    wait_for_nurseries(&r->actor);
    const struct actor_hooks *hooks = r->actor.hooks;
    if (hooks && hooks->runtime_ends)
        hooks->runtime_ends(&r->actor);
    root_end(&r->actor);
    scheduler_here->above = NULL;
    give_process_back(r);
    return discard(r, e);
}
