/*
 * Several functions at once, each in a task of one nursery. They differ in what ends the rest: the first that
 * ends (race), the first that succeeds (any), the first that fails (all), which is what a nursery does
 * anyway.
 *
 * A Cancelled is no result: it is the nursery's, and nobody has won by it.
 */
#include "base/error.h"
#include "base/memory.h"
#include "task/task.h"

#include <string.h>

enum rule { FIRST_END, FIRST_SUCCESS, NONE };

struct race {
    enum rule rule;
    yoke_nursery nursery;
    const yoke_branch *branches;
    bool decided;
    size_t winner;
    yoke_error *result;  /* of the winner */
    yoke_error **losers; /* FIRST_SUCCESS: the error of each that failed */
};

struct runner {
    struct race *race;
    size_t index;
};

static void decide(struct race *race, size_t index, yoke_error *result)
{
    race->decided = true;
    race->winner = index;
    race->result = result;
    yoke_nursery_cancel(&race->nursery, "another one was first");
}

/* What a branch returns to the nursery: what the rule has no use for. */
static yoke_error *run_branch(void *arg)
{
    const struct runner *r = arg;
    struct race *race = r->race;
    yoke_error *e = race->branches[r->index].fn(race->branches[r->index].arg);
    if (race->rule == NONE || yoke_error_is_cancelled(e))
        return e;
    if (race->rule == FIRST_SUCCESS && e) {
        race->losers[r->index] = e;
        return NULL;
    }
    if (race->decided)
        return e;
    decide(race, r->index, e);
    return NULL;
}

static yoke_error *spawn_all(struct race *race, size_t count, const char *file, int line)
{
    for (size_t i = 0; i < count; i++) {
        const yoke_branch *b = &race->branches[i];
        if (!b->fn)
            return yoke_raise_at(file, line, "", &YOKE_USAGE, "branch %zu has no function", i);
        struct runner r = {race, i};
        YOKE_TRY(yoke_spawn_value_at(file, line, b->name ? b->name : "branch", &race->nursery, run_branch, &r,
                                     sizeof r, &(yoke_spawn_options){.name = b->name}));
    }
    return NULL;
}

/* Runs them; what the nursery's close leaves. */
static yoke_error *run_all(struct race *race, size_t count, const char *file, int line)
{
    YOKE_TRY(yoke_nursery_open_at(file, line, &race->nursery));
    return yoke_nursery_close_flat(&race->nursery, spawn_all(race, count, file, line));
}

/* A winner's result took effect: the cancellation that came beside it is for the next checkpoint. */
static yoke_error *with_result(struct race *race, yoke_error *e, size_t *winner)
{
    if (!race->decided)
        return e;
    yoke_error *cancelled;
    yoke_error_split(&e, &YOKE_CANCELLED, &cancelled);
    yoke_error_free(cancelled);
    if (winner)
        *winner = race->winner;
    return yoke_error_join(race->result, e);
}

static yoke_error *none_to_run(const char *file, int line, const char *call)
{
    return yoke_raise_at(file, line, "", &YOKE_USAGE, "%s: nobody takes part", call);
}

yoke_error *yoke_race_at(const char *file, int line, const yoke_branch *branches, size_t count,
                         size_t *winner)
{
    if (!count)
        return none_to_run(file, line, "yoke_race");
    struct race race = {.rule = FIRST_END, .branches = branches};
    return with_result(&race, run_all(&race, count, file, line), winner);
}

yoke_error *yoke_all_at(const char *file, int line, const yoke_branch *branches, size_t count)
{
    struct race race = {.rule = NONE, .branches = branches};
    return run_all(&race, count, file, line);
}

static void forget(yoke_error **errors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        yoke_error_free(errors[i]);
}

yoke_error *yoke_any_at(const char *file, int line, const yoke_branch *branches, size_t count, size_t *winner)
{
    if (!count)
        return none_to_run(file, line, "yoke_any");
    struct race race = {
        .rule = FIRST_SUCCESS, .branches = branches, .losers = memory_calloc(count, sizeof(yoke_error *))};
    if (!race.losers)
        return yoke_raise_at(file, line, "", &YOKE_NO_MEMORY, "yoke_any of %zu", count);
    yoke_error *e = run_all(&race, count, file, line);
    if (race.decided)
        forget(race.losers, count);
    else
        e = yoke_error_join(yoke_error_group(race.losers, count, "none succeeded"), e);
    memory_free(race.losers);
    return with_result(&race, e, winner);
}
