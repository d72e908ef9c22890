/* A guest seen from the floors above, where something of theirs must wait on the thread of a guest's host. */
#ifndef TASK_GUEST_H
#define TASK_GUEST_H

#include <stdbool.h>

/* Is the calling thread's run a guest, and its host at work, between two ticks? */
bool guest_rests(void);
/* Only then. Waits till the guest has something to do, and ticks once, in place of the host. What the run
 * ends of may make it end: nothing here says so. */
void guest_turn(void);

#endif
