/* A block whose errors open the debugger, in a program that need not be an actor. */
#include "base/error.h"
#include "devx/direct.h"
#include "devx/error_stop.h"
#include "devx/stop.h"

#include <errno.h>
#include <stdlib.h>

void yoke_crash_handler_open(yoke_crash_handler *h, const yoke_error_kind *const kinds[], size_t count)
{
    *h = (yoke_crash_handler){.kinds = kinds, .count = count};
}

static bool is_chosen(const yoke_crash_handler *h, const yoke_error *e)
{
    bool chosen = !h->count;
    for (size_t i = 0; i < h->count && !chosen; i++)
        chosen = yoke_error_find(e, h->kinds[i]) != NULL;
    return chosen;
}

/* On this thread, which waits for the debugger's end. */
static yoke_error *debug_directly(const struct session_stop *s)
{
    volatile int answer;
    struct debugger_target target = {.request = pause_begin(&answer, s->caller, s->frame),
                                     .actor = program_invocation_short_name,
                                     .task = task_here() ? task_here()->name : "main",
                                     .why = s->why,
                                     .text = s->text,
                                     .crashed = true};
    YOKE_TRY(direct_begin());
    enum direct_end end = direct_debug(&target, &answer);
    direct_end();
    if (end == DIRECT_OVER)
        return NULL;
    return yoke_raise(&YOKE_NOT_FOUND, end == DIRECT_NO_TERMINAL
                                           ? "there is no terminal, or this program is in its background"
                                           : "it could not be started, or may not attach");
}

static void stop(const struct session_stop *s)
{
    struct actor *a = task_here() ? actor_here() : NULL;
    if (a && a->debug_mode) {
        stop_at("yoke_crash_handler_close", a, s);
        return;
    }
    yoke_error *e = debug_directly(s);
    if (e)
        yoke_log(YOKE_WARNING, "yoke_crash_handler_close: no debugger: %s", yoke_error_message(e));
    yoke_error_free(e);
}

__attribute__((noinline)) yoke_error *yoke_crash_handler_close(yoke_crash_handler *h, yoke_error *e)
{
    if (e && error_stop_is_failure(e) && is_chosen(h, e)) {
        char *text = yoke_error_text(e);
        struct session_stop s = {.why = "error",
                                 .caller = __builtin_return_address(0),
                                 .frame = __builtin_frame_address(0),
                                 .text = text};
        stop(&s);
        error_stop_mark(e);
        free(text);
    }
    STOP_KEEP_FRAME(e);
    return e;
}
