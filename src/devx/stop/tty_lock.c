#include "devx/stop/tty_lock.h"

#include <string.h>

YOKE_ERROR_KIND(YOKE_DEBUGGER_REFUSED, "yoke.DebuggerRefused", NULL);

void tty_lock_init(struct tty_lock *lock, struct actor *actor)
{
    *lock = (struct tty_lock){.actor = actor};
    list_init(&lock->waiters);
}

/* ---- the log ---- */

static void note(const struct tty_request *r, const char *what)
{
    yoke_log(YOKE_RUNTIME, "the terminal: actor `%s` (%s), task `%s`, cid %s %s", r->actor, r->uuid, r->task,
             r->cid, what);
}

static void note_wait(const struct tty_lock *lock, const struct tty_request *r)
{
    const struct tty_request *before =
        lock->waiting > 1 ? container_of(r->link.prev, struct tty_request, link) : lock->holder;
    char what[256];
    snprintf(what, sizeof what, "waits behind `%.100s/%.100s`", before->actor, before->task);
    note(r, what);
    if (lock->on_wait)
        lock->on_wait(r, lock->waiting + 1);
}

/* ---- who has it ---- */

static void hand_to(struct tty_lock *lock, struct tty_request *r)
{
    lock->holder = r;
    r->holds = r->freezes = true;
    freeze_begin(lock->actor);
    note(r, "has it");
}

static void thaw(const struct tty_lock *lock, struct tty_request *r)
{
    if (r->freezes)
        freeze_end(lock->actor);
    r->freezes = false;
}

static void leave_line(struct tty_lock *lock, struct tty_request *r)
{
    list_remove(&r->link);
    lock->waiting--;
}

/* Woken as the holder: nobody can come between. */
static void pass_on(struct tty_lock *lock)
{
    lock->holder = NULL;
    if (list_empty(&lock->waiters))
        return;
    struct tty_request *next = container_of(lock->waiters.next, struct tty_request, link);
    leave_line(lock, next);
    hand_to(lock, next);
    wake_first(&next->line, NULL);
}

bool tty_lock_reclaim(struct tty_lock *lock)
{
    struct tty_request *r = lock->holder;
    if (!r || !r->is_alive || r->is_alive(r))
        return false;
    yoke_log(YOKE_WARNING,
             "the terminal is taken back from actor `%s` (%s), task `%s`, which has no channel any more",
             r->actor, r->uuid, r->task);
    r->holds = false;
    if (r->session)
        scope_cancel_with(r->session, NULL);
    pass_on(lock);
    thaw(lock, r);
    return true;
}

static bool is_active(const struct tty_lock *lock, const char *cid)
{
    if (lock->holder && strcmp(lock->holder->cid, cid) == 0)
        return true;
    list_for_each(node, &lock->waiters)
        if (strcmp(container_of(node, struct tty_request, link)->cid, cid) == 0)
            return true;
    return false;
}

static yoke_error *wait_for_turn(struct tty_lock *lock, struct tty_request *r)
{
    list_append(&lock->waiters, &r->link);
    lock->waiting++;
    note_wait(lock, r);
    yoke_error *e = wait_in(&r->line, NULL);
    if (e && !list_empty(&r->link)) {
        leave_line(lock, r);
        note(r, "does not wait for it any more");
    }
    return e;
}

yoke_error *tty_lock_take(struct tty_lock *lock, struct tty_request *r)
{
    list_init(&r->link);
    list_init(&r->line);
    hold_begin(lock->actor, NULL);
    YOKE_TRY(yoke_checkpoint());
    note(r, "is asked for");
    tty_lock_reclaim(lock);
    if (lock->closed)
        return yoke_raise(&YOKE_DEBUGGER_REFUSED, "%s", lock->closed);
    if (is_active(lock, r->cid))
        return yoke_raise(&YOKE_USAGE, "a request for the terminal under the cid %s is active already",
                          r->cid);
    if (lock->holder)
        return wait_for_turn(lock, r);
    hand_to(lock, r);
    return NULL;
}

void tty_lock_give_back(struct tty_lock *lock, struct tty_request *r)
{
    if (r->holds) {
        r->holds = false;
        note(r, "has given it back");
        pass_on(lock);
        thaw(lock, r);
    }
    hold_end(lock->actor, NULL);
}

/* ---- the end ---- */

void tty_lock_close(struct tty_lock *lock, const char *why)
{
    if (lock->closed)
        return;
    lock->closed = why;
    while (!list_empty(&lock->waiters)) {
        struct tty_request *r = container_of(lock->waiters.next, struct tty_request, link);
        leave_line(lock, r);
        wake_first(&r->line, yoke_raise(&YOKE_DEBUGGER_QUIT, "%s", why));
    }
    if (!lock->holder)
        return;
    thaw(lock, lock->holder);
    if (lock->holder->session)
        scope_cancel_with(lock->holder->session, NULL);
}
