/*
 * Capacity limiters: so many tokens, each lent to a borrower. The borrower is an object of the user's that
 * stands for whoever uses the capacity, so that the same one can't borrow twice and nobody gives back what he
 * does not have, without a search and without memory. The total may fall below what is lent: then nothing is
 * taken away, and nothing lent till enough has come back.
 */
#include "task/parking.h"

static yoke_error *check_total(int64_t total)
{
    return total < 0 ? yoke_raise(&YOKE_USAGE, "a limiter's total of %lld", (long long)total) : NULL;
}

yoke_error *yoke_limiter_init(yoke_limiter *limiter, int64_t total)
{
    YOKE_TRY(check_total(total));
    waiters_init(&limiter->waiters);
    limiter->total = total;
    limiter->borrowed = 0;
    return NULL;
}

static void lend(yoke_limiter *limiter, yoke_borrower *borrower)
{
    limiter->borrowed++;
    *borrower = (yoke_borrower){.limiter = limiter};
}

/* Lends what is free to those who wait. */
static void serve(yoke_limiter *limiter)
{
    struct waiter *waiter;
    while (limiter->borrowed < limiter->total && (waiter = waiters_first(&limiter->waiters))) {
        lend(limiter, waiter->data);
        wake_first(&limiter->waiters.parked, NULL);
    }
}

static yoke_error *take_now(yoke_limiter *limiter, yoke_borrower *borrower, bool *done)
{
    *done = false;
    if (borrower->limiter)
        return yoke_raise(&YOKE_USAGE, "the borrower %s a token already",
                          borrower->waiting ? "waits for" : "has");
    if (limiter->borrowed >= limiter->total)
        return NULL;
    lend(limiter, borrower);
    *done = true;
    return NULL;
}

yoke_error *yoke_limiter_acquire(yoke_limiter *limiter, yoke_borrower *borrower)
{
    YOKE_TRY(waiters_operation(&limiter->waiters, "yoke_limiter_acquire"));
    bool done;
    YOKE_TRY(take_now(limiter, borrower, &done));
    if (done)
        return NULL;
    *borrower = (yoke_borrower){.limiter = limiter, .waiting = true};
    yoke_error *e = wait_in(&limiter->waiters.parked, borrower);
    if (e)
        *borrower = (yoke_borrower){0};
    return e;
}

yoke_error *yoke_limiter_acquire_nowait(yoke_limiter *limiter, yoke_borrower *borrower)
{
    YOKE_TRY(waiters_check(&limiter->waiters, "yoke_limiter_acquire_nowait"));
    bool done;
    YOKE_TRY(take_now(limiter, borrower, &done));
    if (done)
        return NULL;
    return yoke_raise(&YOKE_WOULD_BLOCK, "%lld of the limiter's %lld tokens are borrowed",
                      (long long)limiter->borrowed, (long long)limiter->total);
}

yoke_error *yoke_limiter_release(yoke_limiter *limiter, yoke_borrower *borrower)
{
    YOKE_TRY(waiters_check(&limiter->waiters, "yoke_limiter_release"));
    if (borrower->limiter != limiter || borrower->waiting)
        return yoke_raise(&YOKE_USAGE, "the borrower has no token of this limiter");
    *borrower = (yoke_borrower){0};
    limiter->borrowed--;
    serve(limiter);
    return NULL;
}

yoke_error *yoke_limiter_set_total(yoke_limiter *limiter, int64_t total)
{
    YOKE_TRY(waiters_check(&limiter->waiters, "yoke_limiter_set_total"));
    YOKE_TRY(check_total(total));
    limiter->total = total;
    serve(limiter);
    return NULL;
}

void yoke_limiter_get_statistics(const yoke_limiter *limiter, yoke_limiter_statistics *out)
{
    *out = (yoke_limiter_statistics){
        .total = limiter->total,
        .borrowed = limiter->borrowed,
        .waiting = waiters_count(&limiter->waiters),
    };
}
