/*
 * What an item costs from one task to another: by a channel that hands over, beside a jump of Boost.Context
 * there and back and Go's unbuffered channel, and by one with room for 128, beside Go's.
 */
#include <yoke/task.h>

#include "measure.h"
#include "peers.h"

enum { ROUNDS = 101, ITEMS = 20000, PAIRS = 10000 };

YOKE_CHANNEL(number, int64_t);

struct passing {
    size_t capacity;
    number_sender tx;
    double ns; /* an item */
};

static yoke_error *send_many(void *arg)
{
    struct passing *p = arg;
    yoke_error *e = NULL;
    for (int64_t i = 0; !e && i < ITEMS; i++)
        e = number_send(&p->tx, i);
    number_sender_close(&p->tx);
    return e;
}

static yoke_error *receive_all(number_receiver *rx)
{
    int64_t item, received = 0;
    yoke_error *e;
    while (!(e = number_recv(rx, &item)))
        received += item == received;
    YOKE_TRY(yoke_end_is_fine(e));
    return received == ITEMS ? NULL : yoke_raise(&YOKE_INTERNAL, "items were lost");
}

static yoke_error *pass(void *arg)
{
    struct passing *p = arg;
    number_receiver rx;
    YOKE_TRY(number_channel(&p->tx, &rx, p->capacity));
    double begun = measure_now_ns();
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, send_many, p);
    if (!e)
        e = receive_all(&rx);
    number_receiver_close(&rx);
    e = yoke_nursery_close(&n, e);
    p->ns = (measure_now_ns() - begun) / ITEMS;
    return e;
}

static double pass_ns(size_t capacity)
{
    struct passing p = {.capacity = capacity};
    measure_run(pass, &p);
    return p.ns;
}

int main(void)
{
    double ours[ROUNDS], roomy[ROUNDS], jumps[ROUNDS], go[ROUNDS], go_roomy[ROUNDS];
    measure_pin(measure_core(measure_cores() - 1));
    for (int i = 0; i < ROUNDS; i++) {
        ours[i] = pass_ns(0);
        jumps[i] = peers_fcontext_pair(PAIRS);
        go[i] = peers_go("hand-over", ITEMS);
        roomy[i] = pass_ns(128);
        go_roomy[i] = peers_go("channel", ITEMS);
    }
    measure_row_beside("hand-over channel, an item : fcontext jump there and back", ours, jumps, ROUNDS,
                       "<= 5", PEERS_FCONTEXT);
    measure_row_beside("hand-over channel, an item : Go's", ours, go, ROUNDS, "<= 1", PEERS_GO);
    measure_row_beside("channel of 128, an item : Go's", roomy, go_roomy, ROUNDS, "<= 1", PEERS_GO);
    return 0;
}
