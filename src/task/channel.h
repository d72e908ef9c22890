/* What the floor's other files ask of memory channels; the run's own thread. */
#ifndef TASK_CHANNEL_H
#define TASK_CHANNEL_H

#include <yoke/task.h>

/* The size of its items; `rx` is open. */
size_t channel_item_bytes(const yoke_receiver *rx);

/* Would the next call take effect, or fail, without waiting? */
bool channel_send_is_ready(const yoke_sender *tx);
bool channel_receive_is_ready(const yoke_receiver *rx);
/* Does it if that needs no waiting; `*done`: it took effect, or failed. */
yoke_error *channel_send_now(yoke_sender *tx, const void *item, bool *done);
yoke_error *channel_receive_now(yoke_receiver *rx, void *item, bool *done);
/* The last of those who wait; its channel end is open and not ready. Who wakes it takes it out. */
void channel_line_up(yoke_clause *clause);

/* The task that chooses leaves all lines, and its timer, before it is woken: `made` is the clause that takes
 * effect. */
void choice_made(struct yoke_choice *choice, yoke_clause *made);

#endif
