/* What the floor's other files ask of a memory channel. */
#ifndef TASK_CHANNEL_H
#define TASK_CHANNEL_H

#include <yoke/task.h>

/* The size of its items; `rx` is open. */
size_t channel_item_bytes(const yoke_receiver *rx);

#endif
