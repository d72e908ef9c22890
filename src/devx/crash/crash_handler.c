/* A block whose errors open the debugger, in a program that need not be an actor. */
#include "base/error.h"
#include "devx/stop/error_stop.h"
#include "devx/stop/stop.h"

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

__attribute__((noinline)) yoke_error *yoke_crash_handler_close(yoke_crash_handler *h, yoke_error *e)
{
    if (e && error_stop_is_failure(e) && is_chosen(h, e)) {
        char *text = yoke_error_text(e);
        struct session_stop s = {.why = "error",
                                 .caller = __builtin_return_address(0),
                                 .frame = __builtin_frame_address(0),
                                 .text = text};
        stop_at("yoke_crash_handler_close", &s);
        error_stop_mark(e);
        free(text);
    }
    STOP_KEEP_FRAME(e);
    return e;
}
