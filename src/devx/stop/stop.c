/* The calls that stop: yoke_pause and its kin. Who speaks for a stop, and for which there is none. */
#include "devx/stop/stop.h"

#include "actor/debug.h"
#include "devx/stop/stop_hooks.h"
#include "task/guest.h"

#include <stdlib.h>

static void tell(const char *call, const char *what)
{
    yoke_log(YOKE_WARNING, "%s: %s: going on", call, what);
}

/* What the root has said is boxed by the way to here. */
static void tell_reason(const char *call, const char *prefix, const yoke_error *e)
{
    const yoke_error *cause = yoke_error_is(e, &YOKE_REMOTE) ? yoke_error_cause(e) : NULL;
    char text[1024];
    snprintf(text, sizeof text, "%s%s", prefix, yoke_error_message(cause ? cause : e));
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

/* ---- which way ---- */

/* A task of an actor, or of a run without one; any thread. Where an actor has no debug mode that is so for
 * what its process does, and who asked for a stop all the same (yoke_crash_handler_close) has it directly. */
static struct session_end stop_somehow(const struct session_stop *s)
{
    struct actor *a = task_here() ? actor_here() : NULL;
    if (a && a->debug_mode)
        return session_stop_task(a, s);
    return !a && session_process() == SESSION_DEBUG_ACTOR ? session_stop_thread(s) : session_stop_direct(s);
}

/* On the actor's own thread, and in no task: a host may wait, what a tick or a pass calls may not. */
static bool is_outside(const char *call)
{
    bool outside = actor_here() && !task_here() && !guest_rests();
    if (outside)
        tell(call,
             "what was posted, and an abort function, can't be stopped in: all tasks would stand still");
    return outside;
}

static bool is_refused(const char *call, struct session_stop *s)
{
    yoke_error *refused = stop_hooks_before(s);
    if (refused)
        tell_reason(call, "the program's hook refuses it: ", refused);
    yoke_error_free(refused);
    return refused;
}

enum pause_answer stop_at(const char *call, const struct session_stop *stop)
{
    struct session_stop s = *stop;
    if (stop_hooks_run_here()) {
        tell(call, "it is called by a hook of the debugger's");
        return PAUSE_ABANDONED;
    }
    if (session_is_here())
        return meet(call, stop);
    if (is_outside(call) || is_refused(call, &s))
        return PAUSE_ABANDONED;
    struct session_end end = stop_somehow(&s);
    if (end.no_debugger)
        tell_reason(call, "no debugger: ", end.no_debugger);
    yoke_error_free(end.no_debugger);
    if (!end.steps_on && s.over)
        s.over(s.arg);
    return end.answer;
}

/* ---- who may ---- */

/* NULL: it is on; else what to say. To be freed. */
static yoke_error *find_environment_off(void)
{
    struct debug debug;
    YOKE_TRY(debug_parse(&debug, getenv("YOKE_DEBUG"), false));
    return debug.on ? NULL : yoke_raise(&YOKE_USAGE, STOP_IS_OFF);
}

static yoke_error *why_not(void)
{
    enum session_process process = session_process();
    if (process == SESSION_FORK)
        return yoke_raise(&YOKE_USAGE, "this process was forked from an actor, and is none");
    if (process == SESSION_NO_ACTOR)
        return find_environment_off();
    return process == SESSION_DEBUG_ACTOR ? NULL : yoke_raise(&YOKE_USAGE, STOP_IS_OFF);
}

static bool can(const char *call)
{
    yoke_error *why = why_not();
    if (why)
        tell_reason(call, "", why);
    yoke_error_free(why);
    return !why;
}

enum pause_answer stop_if_can(const char *call, const struct session_stop *s)
{
    return can(call) ? stop_at(call, s) : PAUSE_ABANDONED;
}

yoke_error *stop_call(const char *call, const char *shielded_call, const struct session_stop *s)
{
    if (!can(call))
        return NULL;
    if (pause_owes_quit())
        return pause_result(PAUSE_QUIT);
    if (task_here() && shielded_call && task_has_news(task_here())) {
        yoke_log(YOKE_WARNING, "%s: no prompt in a scope that is cancelled: %s() opens one", call,
                 shielded_call);
        return task_news(task_here());
    }
    return pause_result(stop_at(call, s));
}

/* ---- the calls ---- */

static yoke_error *pause_at(const char *call, const char *shielded_call, void *caller, void *frame)
{
    return stop_call(call, shielded_call,
                     &(struct session_stop){.why = "pause", .caller = caller, .frame = frame});
}

__attribute__((noinline)) yoke_error *yoke_pause(void)
{
    yoke_error *e = pause_at("yoke_pause", "yoke_pause_shielded", __builtin_return_address(0),
                             __builtin_frame_address(0));
    STOP_KEEP_FRAME(e);
    return e;
}

__attribute__((noinline)) yoke_error *yoke_pause_shielded(void)
{
    yoke_error *e =
        pause_at("yoke_pause_shielded", NULL, __builtin_return_address(0), __builtin_frame_address(0));
    STOP_KEEP_FRAME(e);
    return e;
}

__attribute__((noinline)) yoke_error *yoke_pause_if(bool condition)
{
    yoke_error *e = condition ? pause_at("yoke_pause_if", "yoke_pause_shielded", __builtin_return_address(0),
                                         __builtin_frame_address(0))
                              : NULL;
    STOP_KEEP_FRAME(e);
    return e;
}
