/*
 * An error stops once in the actor that it comes from: where it leaves the function of an endpoint, or the
 * app, or where it is raised (YOKE_DEBUG=raise). Whoever it is relayed to has it boxed, and is not asked
 * again, but by YOKE_DEBUG=levels. What is no failure never stops: cancellations, whoever asked for them,
 * ctrl-c, and the word of the debugger itself.
 */
#include "devx/stop/error_stop.h"

#include "actor/debug.h"
#include "base/error.h"
#include "devx/stop/stop.h"
#include "devx/stop/stop_hooks.h"

#include <stdlib.h>
#include <string.h>

/* ---- which of them ---- */

static bool is_no_failure(const yoke_error *leaf)
{
    const yoke_error_kind *const kinds[] = {&YOKE_CANCELLED,        &YOKE_CONTEXT_CANCELLED,
                                            &YOKE_INTERRUPTED,      &YOKE_DEBUGGER_QUIT,
                                            &YOKE_DEBUGGER_REFUSED, &YOKE_ACTOR_CANCELLED};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (yoke_error_is(leaf, kinds[i]))
            return true;
    return yoke_error_find(leaf, &YOKE_INTERRUPTED) != NULL;
}

/* It comes from another actor, by its own word, its death or its loss. */
static bool is_relayed(const yoke_error *leaf)
{
    return yoke_error_find(leaf, &YOKE_REMOTE) || yoke_error_find(leaf, &YOKE_ACTOR_DIED) ||
           yoke_error_find(leaf, &YOKE_ACTOR_EXITED) || yoke_error_find(leaf, &YOKE_TRANSPORT_CLOSED);
}

/* Somebody has it, or it is what came of that. */
static bool was_shown(const yoke_error *leaf)
{
    for (const yoke_error *e = leaf; e; e = yoke_error_cause(e))
        if (error_is_shown(e))
            return true;
    return false;
}

static bool stops(const struct actor *a, const yoke_error *leaf, enum error_leaves what)
{
    if (is_no_failure(leaf) || was_shown(leaf))
        return false;
    if (is_relayed(leaf))
        return a->debug_words & DEBUG_LEVELS;
    return what != ERROR_LEAVES_NURSERY && !yoke_error_find(leaf, &YOKE_DEBUGGER_QUIT);
}

/* The first leaf of `e` that stops, or NULL. */
static const yoke_error *find_cause(const struct actor *a, const yoke_error *e, enum error_leaves what)
{
    size_t count = yoke_error_count(e);
    const yoke_error *found = NULL;
    if (!count)
        return stops(a, e, what) ? e : NULL;
    for (size_t i = 0; i < count && !found; i++)
        found = find_cause(a, yoke_error_member(e, i), what);
    return found;
}

bool error_stop_is_failure(const yoke_error *e)
{
    bool is = !yoke_error_count(e) && !is_no_failure(e);
    for (size_t i = 0; i < yoke_error_count(e) && !is; i++)
        is = error_stop_is_failure(yoke_error_member(e, i));
    return is;
}

void error_stop_mark(const yoke_error *e)
{
    for (size_t i = 0; i < yoke_error_count(e); i++)
        error_stop_mark(yoke_error_member(e, i));
    if (!yoke_error_count(e))
        error_set_shown((yoke_error *)e);
}

/* ---- what is shown ---- */

/* The last line of the program's own that it came through. */
static void find_place(const yoke_error *leaf, struct session_stop *s)
{
    struct error_hop hop;
    s->file = yoke_error_file(leaf);
    s->line = yoke_error_line(leaf);
    for (size_t i = 0; error_hop_at(leaf, i, &hop); i++) {
        s->file = hop.file;
        s->line = hop.line;
    }
}

__attribute__((noinline)) void error_stop_leaves(struct actor *a, yoke_error *e, const struct error_way *way)
{
    const yoke_error *cause = find_cause(a, e, way->what);
    if (!cause)
        return;
    char *text = yoke_error_text(e);
    struct session_stop s = {.why = "error",
                             .caller = way->caller ? way->caller : __builtin_return_address(0),
                             .frame = way->frame ? way->frame : __builtin_frame_address(0),
                             .text = text};
    find_place(cause, &s);
    stop_at("an error", &s);
    error_stop_mark(e);
    free(text);
}

/* ---- where it is raised ---- */

/* The runtime's own make errors anew that came over the wire, with the places that they had. */
static bool is_programs_task(const yoke_task *t)
{
    return t->nursery != t->scheduler->system || strcmp(t->file, "src/actor/serve.c") == 0;
}

static void raised(yoke_error *e, void *caller, void *frame)
{
    struct actor *a = task_here() ? actor_here() : NULL;
    if (!a || !is_programs_task(task_here()) || !a->debug_mode || !(a->debug_words & DEBUG_RAISE) ||
        log_file_is_library(yoke_error_file(e)) || is_no_failure(e) || stop_hooks_run_here() ||
        session_process() == SESSION_FORK)
        return;
    char *text = yoke_error_text(e);
    stop_at("an error",
            &(struct session_stop){.why = "error", .caller = caller, .frame = frame, .text = text});
    error_set_shown(e);
    free(text);
}

void error_stop_begin(struct actor *a)
{
    if (a->debug_mode && a->debug_words & DEBUG_RAISE)
        error_on_raise(raised);
}

void error_stop_end(void)
{
    error_on_raise(NULL);
}

/* ---- by hand ---- */

static yoke_error *post_mortem(const char *call, const char *shielded_call, const yoke_error *e, void *caller,
                               void *frame)
{
    char *text = yoke_error_text(e);
    yoke_error *answer = stop_call(
        call, shielded_call,
        &(struct session_stop){.why = "post mortem", .caller = caller, .frame = frame, .text = text});
    free(text);
    return answer;
}

__attribute__((noinline)) yoke_error *yoke_post_mortem(const yoke_error *e)
{
    yoke_error *answer = post_mortem("yoke_post_mortem", "yoke_post_mortem_shielded", e,
                                     __builtin_return_address(0), __builtin_frame_address(0));
    STOP_KEEP_FRAME(answer);
    return answer;
}

__attribute__((noinline)) yoke_error *yoke_post_mortem_shielded(const yoke_error *e)
{
    yoke_error *answer = post_mortem("yoke_post_mortem_shielded", NULL, e, __builtin_return_address(0),
                                     __builtin_frame_address(0));
    STOP_KEEP_FRAME(answer);
    return answer;
}
