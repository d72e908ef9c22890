/*
 * Tasks on a loop of plain poll(2), with a timer and a socket of its own.
 *
 *     cc guest_poll.c $(pkg-config --cflags --libs yoke) -o guest_poll && ./guest_poll
 */
#include "guest_work.h"

#include <poll.h>

/* Till the earlier of two times, for ppoll(2). */
static struct timespec time_till(int64_t a, int64_t b)
{
    int64_t ns = (a < b ? a : b) - clock_now();
    return ns > 0 ? (struct timespec){ns / YOKE_S(1), ns % YOKE_S(1)} : (struct timespec){0, 0};
}

static yoke_error *loop(struct work *w, yoke_guest *guest)
{
    work_beat(w);
    while (!work_is_done(w)) {
        struct pollfd fds[] = {{w->over ? -1 : yoke_guest_fd(guest), POLLIN, 0}, {w->host_end, POLLIN, 0}};
        struct timespec patience = time_till(yoke_guest_deadline(guest), w->due);
        ppoll(fds, 2, &patience, NULL);
        if (clock_now() >= w->due)
            work_beat(w);
        if (fds[1].revents)
            work_answer(w);
        if (!w->over)
            YOKE_TRY(yoke_guest_tick(guest));
    }
    return NULL;
}

int main(void)
{
    struct work w;
    yoke_guest *guest;
    if (!work_open(&w))
        return 1;
    yoke_error *e = yoke_guest_start(&guest, work_main, &w, work_ended, &w, NULL);
    return work_close(&w, e ? e : yoke_guest_close(guest, loop(&w, guest)));
}
