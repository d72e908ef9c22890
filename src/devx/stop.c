/* The calls that stop: yoke_pause and its kin. */
#include "devx/stop.h"

#include <stdlib.h>

static void tell(const char *call, const char *what)
{
    yoke_log(YOKE_WARNING, "%s: %s: going on", call, what);
}

/* What the root has said is boxed by the way to here. */
static void tell_reason(const char *call, const yoke_error *e)
{
    const yoke_error *cause = yoke_error_is(e, &YOKE_REMOTE) ? yoke_error_cause(e) : NULL;
    char text[1024];
    snprintf(text, sizeof text, "no debugger: %s", yoke_error_message(cause ? cause : e));
    tell(call, text);
}

static enum pause_answer meet(const char *call, const struct session_stop *s)
{
    enum pause_answer answer = session_meet(s);
    if (answer != PAUSE_WAITING)
        return answer;
    tell(call, "its debugger is here already");
    return PAUSE_CONTINUE;
}

enum pause_answer stop_at(const char *call, struct actor *a, const struct session_stop *s)
{
    if (session_is_here())
        return meet(call, s);
    yoke_error *no_debugger;
    enum pause_answer answer =
        task_here() ? session_stop_task(a, s, &no_debugger) : session_stop_thread(s, &no_debugger);
    if (no_debugger)
        tell_reason(call, no_debugger);
    yoke_error_free(no_debugger);
    return answer;
}

/* A task of a run without an actor, or any thread of a process without one. */
bool stop_can(const char *call, const struct actor *a)
{
    if (task_here() ? a && a->debug_mode : session_has_runtime())
        return true;
    tell(call, "the debugger is off (YOKE_DEBUG=1 in the environment turns it on)");
    return false;
}

yoke_error *stop_call(const char *call, bool shielded, const struct session_stop *s)
{
    struct actor *a = task_here() ? actor_here() : NULL;
    if (!stop_can(call, a))
        return NULL;
    if (pause_owes_quit())
        return pause_result(PAUSE_QUIT);
    if (task_here() && !shielded && task_has_news(task_here())) {
        yoke_log(YOKE_WARNING, "%s: no prompt in a scope that is cancelled: %s_shielded() opens one", call,
                 call);
        return task_news(task_here());
    }
    return pause_result(stop_at(call, a, s));
}

static yoke_error *pause_at(const char *call, bool shielded, void *caller, void *frame)
{
    return stop_call(call, shielded,
                     &(struct session_stop){.why = "pause", .caller = caller, .frame = frame});
}

__attribute__((noinline)) yoke_error *yoke_pause(void)
{
    yoke_error *e = pause_at("yoke_pause", false, __builtin_return_address(0), __builtin_frame_address(0));
    STOP_KEEP_FRAME(e);
    return e;
}

__attribute__((noinline)) yoke_error *yoke_pause_shielded(void)
{
    yoke_error *e =
        pause_at("yoke_pause_shielded", true, __builtin_return_address(0), __builtin_frame_address(0));
    STOP_KEEP_FRAME(e);
    return e;
}
