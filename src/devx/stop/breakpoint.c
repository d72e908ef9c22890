#include "devx/stop/breakpoint.h"

#include "base/memory.h"
#include "devx/stop/stop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 64 };

/* YOKE_BREAK, read once, and kept till the process ends. */
static struct {
    pthread_once_t once;
    char text[4096];
    struct {
        const char *name;
        atomic_bool reached;
    } names[NAMES];
    atomic_int count; /* -1: not read yet */
} wanted = {.once = PTHREAD_ONCE_INIT, .count = -1};

static void read_environment(void)
{
    int count = 0;
    const char *text = getenv("YOKE_BREAK");
    if (text && strlen(text) >= sizeof wanted.text)
        yoke_log(YOKE_WARNING, "YOKE_BREAK is longer than %zu bytes: the rest is not read",
                 sizeof wanted.text - 1);
    snprintf(wanted.text, sizeof wanted.text, "%s", text ? text : "");
    char *rest = wanted.text;
    for (char *name; (name = strsep(&rest, ","));)
        if (*name && count < NAMES)
            wanted.names[count++].name = name;
        else if (*name)
            yoke_log(YOKE_WARNING, "YOKE_BREAK: more than %d names: `%s` is left out", NAMES, name);
    atomic_store(&wanted.count, count);
}

static bool is_wanted(const char *name)
{
    pthread_once(&wanted.once, read_environment);
    int count = atomic_load(&wanted.count);
    for (int i = 0; i < count; i++)
        if (strcmp(wanted.names[i].name, name) == 0) {
            atomic_store(&wanted.names[i].reached, true);
            return true;
        }
    if (count)
        yoke_log(YOKE_DEBUG, "yoke_breakpoint: YOKE_BREAK does not name `%s`", name);
    return false;
}

void breakpoint_tell_unused(void)
{
    pthread_once(&wanted.once, read_environment);
    for (int i = 0; i < atomic_load(&wanted.count); i++)
        if (!atomic_load(&wanted.names[i].reached))
            yoke_log(YOKE_INFO, "YOKE_BREAK: this actor came to no breakpoint `%s`", wanted.names[i].name);
}

static yoke_error *stop_named(const char *name, void *caller, void *frame)
{
    char why[128];
    snprintf(why, sizeof why, "breakpoint `%s`", name);
    return stop_call("yoke_breakpoint", "yoke_pause_shielded",
                     &(struct session_stop){.why = why, .caller = caller, .frame = frame});
}

/* Most programs, most of the time: none is named. */
__attribute__((noinline)) yoke_error *yoke_breakpoint(const char *name)
{
    if (atomic_load_explicit(&wanted.count, memory_order_relaxed) == 0 || !is_wanted(name))
        return NULL;
    yoke_error *e = stop_named(name, __builtin_return_address(0), __builtin_frame_address(0));
    STOP_KEEP_FRAME(e);
    return e;
}
