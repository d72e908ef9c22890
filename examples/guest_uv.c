/*
 * Tasks on libuv's loop, beside a timer and a socket of its own. How a guest is put on it: uv_guest.h.
 *
 *     cc guest_uv.c $(pkg-config --cflags --libs yoke libuv) -o guest_uv && ./guest_uv
 */
#include "guest_work.h"
#include "uv_guest.h"

struct program {
    struct work work;
    uv_guest guest;
    uv_timer_t timer;
    uv_poll_t socket;
};

static void stop_if_done(struct program *p)
{
    if (!work_is_done(&p->work) || uv_is_closing((uv_handle_t *)&p->timer))
        return;
    uv_close((uv_handle_t *)&p->timer, NULL);
    uv_close((uv_handle_t *)&p->socket, NULL);
}

static void on_timer(uv_timer_t *timer)
{
    struct program *p = timer->data;
    work_beat(&p->work);
    stop_if_done(p);
}

static void on_socket(uv_poll_t *socket, int status, int events)
{
    work_answer(&((struct program *)socket->data)->work);
}

static void on_end(void *arg, yoke_error *e)
{
    struct program *p = arg;
    work_ended(&p->work, e);
    uv_guest_close(&p->guest);
    stop_if_done(p);
}

static yoke_error *loop(struct program *p)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    YOKE_TRY(uv_guest_start(&p->guest, &loop, work_main, &p->work, on_end, p, NULL));
    p->timer.data = p->socket.data = p;
    uv_timer_init(&loop, &p->timer);
    uv_timer_start(&p->timer, on_timer, 0, PERIOD_MS);
    uv_poll_init(&loop, &p->socket, p->work.host_end);
    uv_poll_start(&p->socket, UV_READABLE, on_socket);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return NULL;
}

int main(void)
{
    struct program p;
    if (!work_open(&p.work))
        return 1;
    return work_close(&p.work, loop(&p));
}
