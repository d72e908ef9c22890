/*
 * The debugger in a program whose loop is not ours: the thread is libuv's, the root actor a guest on it.
 * Stops in the root's main task, in a task of its child, and in a callback of the loop, where no task runs.
 *
 *     cc -g foreign_loop_bp.c $(pkg-config --cflags --libs yoke libuv) -o foreign_bp && YOKE_DEBUG=1
 * ./foreign_bp
 */
#include "../uv_guest.h"

#include <yoke.h>

struct program {
    uv_loop_t loop;
    uv_timer_t heartbeat, call;
    unsigned beats;
    uv_guest guest;
    yoke_event called;
    yoke_error *error; /* what went wrong, in tasks and in callbacks */
};

/* ---- the child: an actor like any other ---- */

static yoke_error *task_of_the_child(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_pause();
}
YOKE_MODULE(child, YOKE_CALL(task_of_the_child, none, none))

/* ---- the loop's own callbacks ---- */

static void on_heartbeat(uv_timer_t *timer)
{
    ((struct program *)timer->data)->beats++;
}

static void on_call(uv_timer_t *timer)
{
    struct program *p = timer->data;
    yoke_error *e = yoke_pause();
    yoke_event_set(&p->called);
    if (!e)
        return;
    p->error = yoke_error_join(p->error, e);
    yoke_guest_abort(p->guest.guest, "a callback of the loop has failed");
}

/* ---- the guest ---- */

static yoke_error *in_tree(struct program *p, yoke_actors *actors)
{
    yoke_portal *child;
    YOKE_TRY(yoke_pause());
    YOKE_TRY(yoke_actors_start(actors, "child", &(yoke_actor_options){.modules = "child"}, &child));
    YOKE_TRY(yoke_call(child, "child:task_of_the_child", NULL, NULL));
    uv_timer_start(&p->call, on_call, 0, 0); /* we are in one of its callbacks ourselves */
    YOKE_TRY(yoke_event_wait(&p->called));
    return yoke_portal_cancel_actor(child, 0, NULL);
}

static yoke_error *main_task(void *arg)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, in_tree(arg, actors));
}

static void on_end(void *arg, yoke_error *e)
{
    struct program *p = arg;
    p->error = yoke_error_join(p->error, e);
    uv_guest_close(&p->guest);
    uv_close((uv_handle_t *)&p->heartbeat, NULL);
    uv_close((uv_handle_t *)&p->call, NULL);
}

static yoke_error *run(struct program *p)
{
    uv_loop_init(&p->loop);
    yoke_event_init(&p->called);
    p->heartbeat.data = p->call.data = p;
    YOKE_TRY(uv_guest_start(&p->guest, &p->loop, main_task, p, on_end, p, NULL));
    uv_timer_init(&p->loop, &p->call);
    uv_timer_init(&p->loop, &p->heartbeat);
    uv_timer_start(&p->heartbeat, on_heartbeat, 0, 10);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
    return p->error;
}

int main(int argc, char **argv)
{
    int status;
    if (yoke_child_main(argc, argv, &status))
        return status;
    struct program p = {.beats = 0};
    yoke_error *e = run(&p);
    printf("the loop's heart has %s\n", p.beats ? "beaten" : "stood still");
    if (!e)
        return 0;
    yoke_error_print(stderr, e);
    yoke_error_free(e);
    return 1;
}
