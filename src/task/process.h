/* Child processes for the floors above: one that was made by other means than yoke_process_open. */
#ifndef TASK_PROCESS_H
#define TASK_PROCESS_H

#include <yoke/task.h>

#include <signal.h>

/* As yoke_process_open; the program starts with the signals of `mask` blocked. */
YOKE_MUST_USE yoke_error *process_open_masked(yoke_process **process, char *const argv[],
                                              const yoke_process_options *options, const sigset_t *mask);
/*
 * Takes over the child `pid` of this process, of whatever exit signal (clone's 0 too), by its pidfd. Both are
 * the handle's from here on; without memory (YOKE_NO_MEMORY) they stay the caller's. It is waited for,
 * signalled and closed as any other.
 */
YOKE_MUST_USE yoke_error *process_adopt(yoke_process **process, pid_t pid, int pidfd);
/* Stays the handle's. Not to be waited for: that is yoke_process_wait's. */
int process_pidfd(const yoke_process *process);

#endif
