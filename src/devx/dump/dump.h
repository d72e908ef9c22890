/*
 * Dumps: what all tasks of an actor, and of the actors below it, are doing.
 *
 * SIGUSR1 makes an actor print one to stderr. The request goes down as a one-way stream, the runtime's
 * endpoint `yoke.dump:dump`, which every actor serves, also one that is ending: each asks its children at
 * once, looks at its own tasks meanwhile, and sends up what it has in one piece. While it waits for those
 * below, it sends empty items; so whoever is silent for a second is silent himself, however deep the tree is,
 * and is looked at from outside (devx/dump/silent.h).
 *
 * An actor whose scheduler does not take the signal, since a task runs on and on, writes the calls of that
 * task from the signal's handler.
 *
 * The command `yoke dump` sends the same signal with a value (sigqueue(3)), and listens at the abstract
 * socket that is named after its process and that value; the dump goes there.
 */
#ifndef DEVX_DUMP_H
#define DEVX_DUMP_H

#include <yoke/base.h>

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct actor;

/* From here to the end of the run SIGUSR1 is the dump's, unless the program has taken it, or the actor is to
 * have none. In a task. */
YOKE_MUST_USE yoke_error *dump_begin(struct actor *a);
/* Gives the signal back, and waits, shielded, till the last dump is written. */
void dump_end(struct actor *a);

/* The value of the signal: DUMP_ASKED, a number of the asker's, and whether it wants JSON. */
enum { DUMP_ASKED = 0x59000000, DUMP_ASKED_MASK = 0x7f000000, DUMP_JSON = 1 };
/* Where the dump goes that process `asker` has asked for by `value`; the length of the address. */
socklen_t dump_address(struct sockaddr_un *address, pid_t asker, int value);

#endif
