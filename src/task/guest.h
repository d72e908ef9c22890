/* A guest seen from the floors above, where something of theirs must wait on the thread of a guest's host. */
#ifndef TASK_GUEST_H
#define TASK_GUEST_H

#include <stdbool.h>
#include <stdint.h>

/* Is the calling thread's run a guest, and its host at work, between two ticks? */
bool guest_rests(void);
/* Only then. Waits till the guest has something to do, or for `most` ns (YOKE_NEVER: for ever), and ticks
 * once, in place of the host. The run may end in it. */
void guest_turn(int64_t most);

#endif
