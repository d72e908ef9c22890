#include "actor/runtime.h"

#include "actor/context.h"
#include "actor/module.h"
#include "actor/module_file.h"
#include "actor/peer.h"
#include "actor/program.h"
#include "actor/zygote.h"
#include "base/memory.h"
#include "msg/uid.h"

#include <string.h>

YOKE_ERROR_KIND(YOKE_NO_RUNTIME, "yoke.NoRuntime", &YOKE_USAGE);

struct actor *actor_here(void)
{
    return scheduler_above();
}

yoke_error *actor_expect(const char *call, struct actor **actor)
{
    *actor = actor_here();
    if (*actor && task_here())
        return NULL;
    if (*actor)
        return task_outside(call);
    const char *last = program_last_actor();
    return yoke_raise(&YOKE_NO_RUNTIME,
                      "%s: no actor runs here%s%s%s: YOKE_MAIN(app), which defines the program's main(), or "
                      "yoke_actors_open in a task opens a runtime",
                      call, last[0] ? ", actor `" : "", last, last[0] ? "` has ended" : "");
}

const char *actor_name(void *actor)
{
    return ((const struct actor *)actor)->uid.name;
}

const yoke_uid *yoke_current_actor(void)
{
    struct actor *a = actor_here();
    return a ? &a->uid : NULL;
}

bool yoke_is_root(void)
{
    struct actor *a = actor_here();
    return a && a->is_root;
}

void actor_init(struct actor *a, const yoke_uid *uid, const struct actor_hooks *hooks, char **argv)
{
    *a = (struct actor){.uid = *uid, .hooks = hooks, .argv = argv};
    network_init(&a->network);
    list_init(&a->peers);
    list_init(&a->children);
    list_init(&a->hold_waiters);
    list_init(&a->server_waiters);
    registry_init(&a->registry);
    table_init(&a->nurseries);
    yoke_event_init(&a->all_closed);
    yoke_event_init(&a->dumped);
    yoke_event_init(&a->idle);
    yoke_event_init(&a->cancelled);
    /* 24 hex digits of randomness and 12 of a counter: unique among all actors, and made without a system
     * call. */
    yoke_uid random;
    uid_make(&random, "");
    memcpy(a->dialog_prefix, random.uuid, sizeof a->dialog_prefix);
}

void actor_free(struct actor *a)
{
    module_names_free(a->modules);
    module_names_free(a->module_files);
    module_files_close();
    table_free(&a->nurseries);
    zygote_close(a->zygote);
    registry_free(&a->registry);
    memory_free(a->tty);
}

enum { DIALOG_DIGITS = 12 };

static void write_number(char *digits, uint64_t n)
{
    for (int i = DIALOG_DIGITS - 1; i >= 0; i--, n >>= 4)
        digits[i] = "0123456789abcdef"[n & 15];
}

void actor_dialog_id(struct actor *a, char id[37])
{
    memcpy(id, a->dialog_prefix, sizeof a->dialog_prefix);
    write_number(id + sizeof a->dialog_prefix, a->next_dialog++);
    id[36] = '\0';
}

bool actor_made_dialog(const struct actor *a, const char *id, size_t size)
{
    char next[DIALOG_DIGITS];
    if (size != 36 || memcmp(id, a->dialog_prefix, sizeof a->dialog_prefix) != 0)
        return false;
    write_number(next, a->next_dialog);
    return memcmp(id + sizeof a->dialog_prefix, next, DIALOG_DIGITS) <
           0; /* as texts they order as numbers do */
}

void actor_cancel(struct actor *a, const yoke_uid *canceller)
{
    if (a->cancel_called)
        return;
    a->cancel_called = true;
    a->canceller = canceller ? *canceller : a->uid;
    yoke_log(YOKE_CANCEL, "actor `%s` was cancelled by `%s`", a->uid.name, a->canceller.name);
    list_for_each(node, &a->peers)
        peer_cancel_served(container_of(node, struct peer, in_actor), &a->canceller);
    if (a->app_scope)
        scope_cancel_with(a->app_scope,
                          error_make_cancelled("cancelled: actor `%s` asked for it", a->canceller.name));
    if (!a->serving)
        yoke_event_set(&a->idle);
    yoke_event_set(&a->cancelled);
}

yoke_error *yoke_actor_cancel_self(void)
{
    struct actor *a;
    YOKE_TRY(actor_expect("yoke_actor_cancel_self", &a));
    actor_cancel(a, NULL);
    return NULL;
}

void actor_error_leaves(struct actor *a, yoke_error *e, const struct error_way *way)
{
    if (e && a->debug_mode && a->hooks && a->hooks->error_leaves)
        a->hooks->error_leaves(a, e, way);
}

void actor_serves(struct actor *a)
{
    a->serving++;
}

void actor_served(struct actor *a)
{
    if (--a->serving == 0 && a->cancel_called)
        yoke_event_set(&a->idle);
}
