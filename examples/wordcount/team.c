/*
 * One task a worker, and each task has an actor nursery of its own, so that a dead worker can be replaced
 * while the others go on. The tasks share one nursery: the first error that leaves a task cancels the rest.
 *
 * Exactly once: a chunk is either waiting, or sent to one worker, or merged. It is merged when its result has
 * arrived, and results arrive whole or not at all; so what a dead worker leaves is just what it was sent and
 * has not answered, and that waits again.
 */
#include "team.h"

#include "work.h"

#include <yoke.h>

#include <stdlib.h>

/* Chunks a worker has at a time: the next one is there when one is done, and few are left with the last
 * worker at the end. */
#define WINDOW 2
/* Chunks set aside for each worker at the start, so that none gets nothing since it was the last to start. */
#define DEALT 4

struct team;

struct member {
    struct team *team;
    char name[24];
    size_t own[DEALT + WINDOW]; /* chunks that wait for this one: the last goes first */
    size_t own_count;
    size_t sent[WINDOW]; /* chunks without an answer */
    size_t sent_count;
    struct vocabulary vocabulary; /* of this life */
    unsigned life;                /* 0: the first */
    pid_t pid;
    bool stopped; /* it was cancelled since another failed */
};

struct team {
    const struct options *options;
    const struct plan *plan;
    struct progress *progress;
    struct team_result *result;
    struct member *members;
    size_t *waiting; /* chunks for anyone: the last goes first */
    size_t waiting_count;
    yoke_nursery nursery;
};

/* ---- who gets which chunk ---- */

static bool take_chunk(struct member *m, size_t *chunk)
{
    struct team *team = m->team;
    if (m->own_count)
        *chunk = m->own[--m->own_count];
    else if (team->waiting_count)
        *chunk = team->waiting[--team->waiting_count];
    else
        return false;
    return true;
}

static void give_unanswered_back(struct member *m)
{
    while (m->sent_count)
        m->own[m->own_count++] = m->sent[--m->sent_count];
}

static bool forget_sent(struct member *m, uint64_t chunk)
{
    for (size_t i = 0; i < m->sent_count; i++) {
        if (m->sent[i] != chunk)
            continue;
        memmove(&m->sent[i], &m->sent[i + 1], (m->sent_count - i - 1) * sizeof m->sent[0]);
        m->sent_count--;
        return true;
    }
    return false;
}

/* The chunks wait in reverse, so that the first goes first; each member's first ones are set aside, a chunk a
 * member in turn. */
static void deal(struct team *team)
{
    unsigned workers = team->options->workers;
    for (size_t i = 0; i < team->plan->chunk_count; i++)
        team->waiting[i] = team->plan->chunk_count - 1 - i;
    team->waiting_count = team->plan->chunk_count;
    for (size_t i = 0; i < (size_t)DEALT * workers && team->waiting_count; i++) {
        struct member *m = &team->members[i % workers];
        memmove(&m->own[1], &m->own[0], m->own_count * sizeof m->own[0]);
        m->own[0] = team->waiting[--team->waiting_count];
        m->own_count++;
    }
}

/* ---- one life of a worker ---- */

static yoke_error *send_chunk(struct member *m, yoke_stream *stream, size_t number)
{
    const struct plan *plan = m->team->plan;
    const struct chunk *chunk = &plan->chunks[number];
    work_part parts[PLAN_PARTS_MOST];
    for (size_t i = 0; i < chunk->count; i++) {
        const struct part *part = &plan->parts[chunk->first + i];
        parts[i] = (work_part){.path = {(const uint8_t *)part->file->path, strlen(part->file->path)},
                               .from = part->from,
                               .to = part->to};
    }
    m->sent[m->sent_count++] = number;
    return yoke_send(stream, &(work_chunk){.number = number, .parts = {parts, chunk->count}});
}

static yoke_error *merge(struct member *m, const work_counts *counts)
{
    struct team *team = m->team;
    if (!forget_sent(m, counts->number))
        return yoke_raise(&WORDCOUNT_RESULT, "%s answered chunk %llu, which it was not asked", m->name,
                          (unsigned long long)counts->number);
    YOKE_TRY(tally_add(&team->result->tally, &m->vocabulary, counts->packed.data, counts->packed.size));
    team->result->bytes += counts->bytes;
    progress_add(team->progress, counts->bytes);
    return NULL;
}

static yoke_error *feed(struct member *m, yoke_stream *stream)
{
    for (;;) {
        size_t chunk;
        while (m->sent_count < WINDOW && take_chunk(m, &chunk))
            YOKE_TRY(send_chunk(m, stream, chunk));
        if (!m->sent_count)
            return NULL;
        work_counts counts;
        YOKE_TRY(yoke_recv(stream, &counts));
        yoke_error *e = merge(m, &counts);
        yoke_record_free(&yoke_record_work_counts, &counts);
        YOKE_TRY(e);
    }
}

static yoke_error *in_context(struct member *m, yoke_context *ctx)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    /* A worker that fails ends its stream first: why, the context knows. */
    return yoke_end_is_fine(yoke_stream_close(stream, feed(m, stream)));
}

static yoke_error *with_actor(struct member *m, yoke_actors *actors)
{
    const struct options *options = m->team->options;
    bool crashes = m == &m->team->members[0] && m->life == 0;
    const work_orders orders = {
        .crash_after = crashes ? options->crash_after : 0,
        .pause_at = options->pause_at ? options->pause_at : "",
    };
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, m->name, &(yoke_actor_options){.modules = "wordcount"}, &portal));
    m->pid = yoke_portal_pid(portal);
    YOKE_TRY(yoke_context_open(portal, &ctx, "wordcount:count", &orders, NULL));
    YOKE_TRY(yoke_context_close(ctx, in_context(m, ctx)));
    if (m->sent_count)
        return yoke_raise(&WORDCOUNT_RESULT, "%s ended with %zu chunks not answered", m->name, m->sent_count);
    return yoke_actors_cancel(actors);
}

static yoke_error *live(struct member *m)
{
    const struct options *options = m->team->options;
    const yoke_actors_options actors_options = {.backend = options->backend,
                                                .debug_mode = options->pause_at != NULL};
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, &actors_options));
    yoke_error *e = yoke_actors_close(actors, with_actor(m, actors));
    vocabulary_free(&m->vocabulary);
    return e;
}

/* ---- deaths ---- */

/* The death of a worker in e, or NULL. */
static const yoke_error *death_in(const yoke_error *e)
{
    const yoke_error *death = yoke_error_find(e, &YOKE_ACTOR_DIED);
    return death ? death : yoke_error_find(e, &YOKE_ACTOR_EXITED);
}

static bool may_be_replaced(const struct member *m, const yoke_error *e)
{
    const struct team *team = m->team;
    return death_in(e) && team->result->replaced < team->options->retry &&
           !yoke_scope_cancel_called(&team->nursery.scope);
}

static void bury(struct member *m, yoke_error *e)
{
    struct team *team = m->team;
    team->result->replaced++;
    progress_clear(team->progress);
    yoke_log(YOKE_WARNING, "%s; replaced (%u of %u), %zu unfinished chunks are counted again",
             yoke_error_message(death_in(e)), team->result->replaced, team->options->retry, m->sent_count);
    yoke_error_free(e);
    give_unanswered_back(m);
    m->life++;
}

static yoke_error *employ(void *arg)
{
    struct member *m = arg;
    for (;;) {
        yoke_error *e = live(m);
        if (e && may_be_replaced(m, e)) {
            bury(m, e);
            continue;
        }
        m->stopped = yoke_error_is_cancelled(e);
        if (death_in(e))
            yoke_error_note(e, "hint: with --retry=N another worker counts its %zu unfinished chunks",
                            m->sent_count);
        return e;
    }
}

static void note_the_stopped(const struct team *team, yoke_error *e)
{
    if (!death_in(e))
        return;
    for (unsigned i = 0; i < team->options->workers; i++)
        if (team->members[i].stopped)
            yoke_error_note(e, "cancelled with it: actor `%s` (pid %d)", team->members[i].name,
                            (int)team->members[i].pid);
}

static yoke_error *employ_all(struct team *team)
{
    for (unsigned i = 0; i < team->options->workers; i++)
        YOKE_TRY(yoke_spawn_with(&team->nursery, employ, &team->members[i],
                                 &(yoke_spawn_options){.name = team->members[i].name}));
    return NULL;
}

static yoke_error *run_team(struct team *team)
{
    for (unsigned i = 0; i < team->options->workers; i++) {
        struct member *m = &team->members[i];
        m->team = team;
        snprintf(m->name, sizeof m->name, "worker-%u", i + 1);
    }
    deal(team);
    YOKE_TRY(yoke_nursery_open(&team->nursery));
    yoke_error *e = yoke_nursery_close_flat(&team->nursery, employ_all(team));
    progress_clear(team->progress);
    if (e)
        note_the_stopped(team, e);
    return e;
}

yoke_error *team_count(const struct options *options, const struct plan *plan, struct progress *progress,
                       struct team_result *result)
{
    *result = (struct team_result){.bytes = 0};
    struct team team = {.options = options, .plan = plan, .progress = progress, .result = result};
    team.members = calloc(options->workers, sizeof *team.members);
    team.waiting = calloc(plan->chunk_count + 1, sizeof *team.waiting);
    yoke_error *e = team.members && team.waiting
                        ? run_team(&team)
                        : yoke_raise(&YOKE_NO_MEMORY, "no memory for %u workers", options->workers);
    free(team.members);
    free(team.waiting);
    return e;
}
