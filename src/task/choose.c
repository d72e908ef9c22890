/*
 * Choosing among several channels. The task looks at all clauses; if one or more are ready, one is done and
 * nothing was waited for. Else each clause stands in its channel's line as a plain send or receive would, and
 * whoever makes one of them happen first takes the task out of all the others, so that exactly one takes
 * effect.
 *
 * Among several that are ready one is drawn, each as likely, so that a busy channel starves none of the
 * others whatever their order (the generator is Marsaglia's xorshift, "Xorshift RNGs", 2003).
 */
#include "task/channel.h"

#include "task/task.h"

struct yoke_choice {
    yoke_clause *clauses;
    size_t count;
    yoke_clause *made;
    yoke_task *task;
    yoke_timer timer;
};

static bool is_ready(const yoke_clause *clause)
{
    if (clause->send)
        return channel_send_is_ready(clause->send);
    return clause->receive && channel_receive_is_ready(clause->receive);
}

static uint64_t draw(struct scheduler *s)
{
    uint64_t x = s->chance ? s->chance : 0x9e3779b97f4a7c15u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    s->chance = x;
    return x;
}

/* The index of a clause that is ready, or YOKE_NO_CLAUSE. */
static size_t pick(struct scheduler *s, const yoke_clause *clauses, size_t count, bool in_order)
{
    size_t picked = YOKE_NO_CLAUSE, ready = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_ready(&clauses[i]))
            continue;
        if (in_order)
            return i;
        if (++ready == 1 || draw(s) % ready == 0)
            picked = i;
    }
    return picked;
}

static yoke_error *check(const yoke_clause *clauses, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (clauses[i].send && clauses[i].receive)
            return yoke_raise(&YOKE_USAGE, "clause %zu of a choice both sends and receives", i);
    return NULL;
}

/* Does a clause that is ready, if there is one. */
static yoke_error *choose_now(struct scheduler *s, yoke_clause *clauses, size_t count, size_t *chosen,
                              const yoke_choose_options *options)
{
    YOKE_TRY(check(clauses, count));
    size_t i = pick(s, clauses, count, options && options->in_order);
    *chosen = i;
    if (i == YOKE_NO_CLAUSE)
        return NULL;
    bool done;
    const yoke_clause *clause = &clauses[i];
    return clause->send ? channel_send_now(clause->send, clause->from, &done)
                        : channel_receive_now(clause->receive, clause->to, &done);
}

yoke_error *yoke_choose_nowait(yoke_clause *clauses, size_t count, size_t *chosen,
                               const yoke_choose_options *options)
{
    *chosen = YOKE_NO_CLAUSE;
    if (!scheduler_here)
        return task_outside("yoke_choose_nowait");
    YOKE_TRY(choose_now(scheduler_here, clauses, count, chosen, options));
    return *chosen == YOKE_NO_CLAUSE ? yoke_raise(&YOKE_WOULD_BLOCK, "no clause is ready") : NULL;
}

/* ---- waiting ---- */

static void leave(struct yoke_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++)
        list_remove(&choice->clauses[i].in_line);
    timer_unset(&choice->task->scheduler->timers, &choice->timer);
}

void choice_made(struct yoke_choice *choice, yoke_clause *made)
{
    choice->made = made;
    leave(choice);
}

static enum yoke_abort give_up(yoke_task *task, void *choice)
{
    (void)task;
    leave(choice);
    return YOKE_ABORT_DONE;
}

static yoke_error *too_slow(void)
{
    return yoke_raise(&YOKE_TOO_SLOW, "no clause was ready by the deadline");
}

static void deadline_passed(yoke_timer *timer)
{
    struct yoke_choice *choice = container_of(timer, struct yoke_choice, timer);
    leave(choice);
    yoke_reschedule(choice->task, too_slow());
}

static void line_up(struct yoke_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        yoke_clause *clause = &choice->clauses[i];
        clause->task = choice->task;
        clause->choice = choice;
        list_init(&clause->in_line);
        if (clause->send || clause->receive)
            channel_line_up(clause);
    }
}

yoke_error *yoke_choose(yoke_clause *clauses, size_t count, size_t *chosen,
                        const yoke_choose_options *options)
{
    *chosen = YOKE_NO_CLAUSE;
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_choose");
    YOKE_TRY(task_operation(task));
    struct scheduler *s = task->scheduler;
    YOKE_TRY(choose_now(s, clauses, count, chosen, options));
    if (*chosen != YOKE_NO_CLAUSE)
        return NULL;
    int64_t deadline = options && options->deadline ? options->deadline : YOKE_NEVER;
    if (deadline != YOKE_NEVER && deadline <= yoke_now())
        return too_slow();
    struct yoke_choice choice = {
        .clauses = clauses, .count = count, .task = task, .timer = {.fire = deadline_passed}};
    if (!timer_set(&s->timers, &choice.timer, deadline))
        return yoke_raise(&YOKE_NO_MEMORY, "the deadline of a choice");
    line_up(&choice);
    yoke_error *e = task_park(task, give_up, &choice);
    if (choice.made)
        *chosen = (size_t)(choice.made - clauses);
    return e;
}
