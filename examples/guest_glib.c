/*
 * Tasks on GLib's main loop (GTK's, and many a daemon's), beside a timer and a socket of its own. The guest
 * is a GSource: `prepare` tells when it is due, `check` whether it is, and `dispatch` ticks.
 *
 *     cc guest_glib.c $(pkg-config --cflags --libs yoke glib-2.0) -o guest_glib && ./guest_glib
 */
#include "guest_work.h"

#include <glib-unix.h>
#include <glib.h>

/* ---- the guest, for a program to copy ---- */

struct guest_source {
    GSource source;
    yoke_guest *guest;
    gpointer fd;
};

static gboolean guest_prepare(GSource *source, gint *timeout_ms)
{
    int64_t deadline = yoke_guest_deadline(((struct guest_source *)source)->guest);
    int64_t ns = deadline - g_get_monotonic_time() * 1000; /* the same clock */
    *timeout_ms = deadline == YOKE_NEVER ? -1 : ns > 0 ? (gint)MIN((ns + 999999) / 1000000, G_MAXINT) : 0;
    return *timeout_ms == 0;
}

static gboolean guest_check(GSource *source)
{
    struct guest_source *s = (struct guest_source *)source;
    gint left_ms;
    return g_source_query_unix_fd(source, s->fd) || guest_prepare(source, &left_ms);
}

static gboolean guest_dispatch(GSource *source, GSourceFunc callback, gpointer arg)
{
    yoke_error *e = yoke_guest_tick(((struct guest_source *)source)->guest);
    if (e)
        g_error("%s", yoke_error_message(e));
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs guest_functions = {
    .prepare = guest_prepare, .check = guest_check, .dispatch = guest_dispatch};

/* In the default context. At the end: g_source_destroy, g_source_unref. */
static GSource *guest_attach(yoke_guest *guest)
{
    GSource *source = g_source_new(&guest_functions, sizeof(struct guest_source));
    struct guest_source *s = (struct guest_source *)source;
    s->guest = guest;
    s->fd = g_source_add_unix_fd(source, yoke_guest_fd(guest), G_IO_IN);
    g_source_attach(source, NULL);
    return source;
}

/* ---- the program ---- */

struct program {
    struct work work;
    yoke_guest *guest;
    GSource *source;
    GMainLoop *loop;
};

static gboolean on_timer(gpointer arg)
{
    struct program *p = arg;
    work_beat(&p->work);
    if (work_is_done(&p->work))
        g_main_loop_quit(p->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean on_socket(gint fd, GIOCondition condition, gpointer arg)
{
    work_answer(&((struct program *)arg)->work);
    return G_SOURCE_CONTINUE;
}

static void on_end(void *arg, yoke_error *e)
{
    struct program *p = arg;
    work_ended(&p->work, e);
    g_source_destroy(p->source);
}

int main(void)
{
    struct program p;
    if (!work_open(&p.work))
        return 1;
    yoke_error *e = yoke_guest_start(&p.guest, work_main, &p.work, on_end, &p, NULL);
    if (e)
        return work_close(&p.work, e);
    p.loop = g_main_loop_new(NULL, FALSE);
    p.source = guest_attach(p.guest);
    guint timer = g_timeout_add(PERIOD_MS, on_timer, &p);
    guint socket = g_unix_fd_add(p.work.host_end, G_IO_IN, on_socket, &p);
    g_main_loop_run(p.loop);
    g_source_remove(timer);
    g_source_remove(socket);
    g_source_unref(p.source);
    g_main_loop_unref(p.loop);
    return work_close(&p.work, yoke_guest_close(p.guest, NULL));
}
