/* Semaphores: a number that is not below zero, and those who wait for it to be above. It is above zero only
 * while nobody waits: a release goes to the first in the line, if there is one. */
#include "task/parking.h"

yoke_error *yoke_semaphore_init(yoke_semaphore *semaphore, int64_t initial, int64_t maximum)
{
    if (initial < 0)
        return yoke_raise(&YOKE_USAGE, "a semaphore's initial value of %lld", (long long)initial);
    if (maximum < initial)
        return yoke_raise(&YOKE_USAGE, "a semaphore's maximum of %lld, below its initial value of %lld",
                          (long long)maximum, (long long)initial);
    waiters_init(&semaphore->waiters);
    semaphore->value = initial;
    semaphore->maximum = maximum;
    return NULL;
}

static bool take_now(yoke_semaphore *semaphore)
{
    if (!semaphore->value)
        return false;
    semaphore->value--;
    return true;
}

yoke_error *yoke_semaphore_acquire(yoke_semaphore *semaphore)
{
    YOKE_TRY(waiters_operation(&semaphore->waiters, "yoke_semaphore_acquire"));
    return take_now(semaphore) ? NULL : wait_in(&semaphore->waiters.parked, NULL);
}

yoke_error *yoke_semaphore_acquire_nowait(yoke_semaphore *semaphore)
{
    YOKE_TRY(waiters_check(&semaphore->waiters, "yoke_semaphore_acquire_nowait"));
    return take_now(semaphore) ? NULL : yoke_raise(&YOKE_WOULD_BLOCK, "the semaphore's value is 0");
}

yoke_error *yoke_semaphore_release(yoke_semaphore *semaphore)
{
    YOKE_TRY(waiters_check(&semaphore->waiters, "yoke_semaphore_release"));
    if (wake_first(&semaphore->waiters.parked, NULL))
        return NULL;
    if (semaphore->value == semaphore->maximum)
        return yoke_raise(&YOKE_USAGE, "a semaphore is released above its maximum of %lld",
                          (long long)semaphore->maximum);
    semaphore->value++;
    return NULL;
}

void yoke_semaphore_get_statistics(const yoke_semaphore *semaphore, yoke_semaphore_statistics *out)
{
    *out = (yoke_semaphore_statistics){
        .value = semaphore->value,
        .maximum = semaphore->maximum,
        .waiting = waiters_count(&semaphore->waiters),
    };
}
