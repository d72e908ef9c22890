#include "actor/death.h"

#include "base/error.h"
#include "base/memory.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

YOKE_ERROR_KIND(YOKE_ACTOR_DIED, "yoke.ActorDied", NULL);
YOKE_ERROR_KIND(YOKE_ACTOR_EXITED, "yoke.ActorExited", NULL);
YOKE_ERROR_KIND(YOKE_ACTOR_CANCELLED, "yoke.ActorCancelled", NULL);

struct death {
    yoke_uid uid;
    int number; /* the signal, or minus the exit status */
};

static void death_free(void *data)
{
    memory_free(data);
}

static const struct error_details_ops death_ops = {.free = death_free};

static void attach(yoke_error *e, const yoke_uid *uid, int number)
{
    struct death *d = memory_calloc(1, sizeof *d);
    if (!d)
        return;
    if (uid)
        d->uid = *uid;
    d->number = number;
    error_set_details(e, &death_ops, d);
}

yoke_error *death_error(const yoke_uid *uid, pid_t pid, int status, bool asked, yoke_error *loss)
{
    yoke_error *e;
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        e = yoke_raise_at("", 0, "", &YOKE_ACTOR_DIED, "actor `%s` (pid %d) died of SIG%s", uid->name,
                          (int)pid, name ? name : "?");
        attach(e, uid, WTERMSIG(status));
        yoke_error_free(loss);
    } else if (WEXITSTATUS(status) == DEATH_OF_SIGNAL + SIGTERM) {
        e = yoke_raise_at("", 0, "", &YOKE_ACTOR_CANCELLED, "actor `%s` (pid %d) was ended by SIGTERM",
                          uid->name, (int)pid);
        attach(e, uid, SIGTERM);
        yoke_error_free(loss);
    } else {
        e = yoke_wrap_at("", 0, "", loss, &YOKE_ACTOR_EXITED, "actor `%s` (pid %d) ended with status %d, %s",
                         uid->name, (int)pid, WEXITSTATUS(status),
                         asked ? "when it had been asked to end" : "though nobody had asked it to");
        attach(e, uid, -WEXITSTATUS(status));
    }
    error_set_place(e, "", 0, "", uid->name, "");
    return e;
}

yoke_error *death_unknown(const yoke_uid *uid, pid_t pid, yoke_error *loss)
{
    yoke_error *e = yoke_wrap_at("", 0, "", loss, &YOKE_ACTOR_EXITED,
                                 "actor `%s` (pid %d) has ended, its status is unknown: reaped elsewhere",
                                 uid->name, (int)pid);
    attach(e, uid, 0);
    error_set_place(e, "", 0, "", uid->name, "");
    return e;
}

const yoke_uid *death_uid(const yoke_error *e)
{
    const struct death *d = e ? error_details(e, &death_ops) : NULL;
    return d && d->uid.uuid[0] ? &d->uid : NULL;
}

int yoke_error_signal(const yoke_error *e)
{
    const struct death *d = e ? error_details(e, &death_ops) : NULL;
    return d ? d->number : 0;
}

void death_restore(yoke_error *e, int number)
{
    const yoke_error_kind *kind = yoke_error_kind_of(e);
    if (number && (kind == &YOKE_ACTOR_DIED || kind == &YOKE_ACTOR_EXITED || kind == &YOKE_ACTOR_CANCELLED))
        attach(e, NULL, number);
}
