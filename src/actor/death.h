/* How an actor's process ended: the errors that tell of it. */
#ifndef ACTOR_DEATH_H
#define ACTOR_DEATH_H

#include "actor/runtime.h"

/* An actor that ends gracefully because of a signal exits with this and the signal's number, as a shell has
 * it. */
enum { DEATH_OF_SIGNAL = 128 };

/* The error for child `uid`, whose wait status is `status`: YOKE_ACTOR_DIED or YOKE_ACTOR_EXITED, or
 * YOKE_ACTOR_CANCELLED when it ended gracefully because of a SIGTERM. asked: to end. loss: what made it exit,
 * or NULL; ownership passes. */
yoke_error *death_error(const yoke_uid *uid, pid_t pid, int status, bool asked, yoke_error *loss);
/* The same for one that somebody else has reaped: YOKE_ACTOR_EXITED. */
yoke_error *death_unknown(const yoke_uid *uid, pid_t pid, yoke_error *loss);
/* Whose death the error tells of, or NULL. */
const yoke_uid *death_uid(const yoke_error *e);
/* An error of one of these kinds came over the wire, with `number` as yoke_error_signal tells it; nothing for
 * other kinds. */
void death_restore(yoke_error *e, int number);

#endif
