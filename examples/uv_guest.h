/*
 * A guest on a libuv loop: four handles, of which the loop sees nothing but that. For a program to copy.
 *
 *     prepare   right before the loop waits: sets `timer` to the guest's deadline, if there is one
 *     poll      wakes the loop when the guest's descriptor is readable; so does timer
 *     check     right after the wait: ticks
 */
#ifndef UV_GUEST_H
#define UV_GUEST_H

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>
#include <yoke/task.h>

typedef struct uv_guest {
    yoke_guest *guest;
    uv_prepare_t prepare;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_check_t check;
} uv_guest;

static void uv_guest_wakes_poll(uv_poll_t *handle, int status, int events)
{
}

static void uv_guest_wakes_timer(uv_timer_t *handle)
{
}

static void uv_guest_before_wait(uv_prepare_t *handle)
{
    uv_guest *g = (uv_guest *)handle->data;
    int64_t deadline = yoke_guest_deadline(g->guest);
    if (deadline == YOKE_NEVER) {
        uv_timer_stop(&g->timer);
        return;
    }
    int64_t ns = deadline - (int64_t)uv_hrtime(); /* the same clock */
    uv_update_time(handle->loop);
    uv_timer_start(&g->timer, uv_guest_wakes_timer, ns > 0 ? (uint64_t)(ns + 999999) / 1000000 : 0, 0);
}

static void uv_guest_after_wait(uv_check_t *handle)
{
    yoke_error *e = yoke_guest_tick(((uv_guest *)handle->data)->guest); /* which may close all of this */
    if (!e)
        return;
    yoke_error_print(stderr, e);
    abort();
}

/* As yoke_guest_start, on `loop`. `g` is the caller's, and stays where it is till the loop has ended. */
static inline yoke_error *uv_guest_start(uv_guest *g, uv_loop_t *loop, yoke_task_fn main_fn, void *arg,
                                         yoke_guest_ended_fn ended, void *ended_arg,
                                         const yoke_guest_options *options)
{
    YOKE_TRY(yoke_guest_start(&g->guest, main_fn, arg, ended, ended_arg, options));
    g->prepare.data = g->check.data = g;
    uv_prepare_init(loop, &g->prepare);
    uv_prepare_start(&g->prepare, uv_guest_before_wait);
    uv_poll_init(loop, &g->poll, yoke_guest_fd(g->guest));
    uv_poll_start(&g->poll, UV_READABLE, uv_guest_wakes_poll);
    uv_timer_init(loop, &g->timer);
    uv_check_init(loop, &g->check);
    uv_check_start(&g->check, uv_guest_after_wait);
    return NULL;
}

/* In the function that is told of the end. */
static inline void uv_guest_close(uv_guest *g)
{
    uv_close((uv_handle_t *)&g->prepare, NULL);
    uv_close((uv_handle_t *)&g->poll, NULL);
    uv_close((uv_handle_t *)&g->timer, NULL);
    uv_close((uv_handle_t *)&g->check, NULL);
    yoke_error_free(yoke_guest_close(g->guest, NULL)); /* none: the run is over */
}

#endif
