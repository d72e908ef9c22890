/*
 * Memory channels. A ring of items, a queue of parked senders, a queue of parked receivers. An item goes
 * straight from one task's memory to the other's when one of them waits, so that who waits comes first, and a
 * cancelled waiter has neither sent nor taken anything.
 *
 * What stands in the queues are clauses: one in the frame of a plain send or receive, or one of those among
 * which a task chooses. A task that chooses leaves all its queues the moment that one of its clauses takes
 * effect.
 */
#include "task/channel.h"

#include "base/memory.h"
#include "task/task.h"

#include <string.h>

#define ITEM_MAX_BYTES ((size_t)16 << 20)
enum { RING_FIRST = 16 }; /* items, of an unbounded channel */

struct yoke_channel {
    struct scheduler *scheduler;
    size_t item_bytes, capacity; /* capacity: as asked for */
    char *ring;
    size_t room, first, used, peak; /* room: of the ring, in items */
    size_t senders, receivers;
    list sending, receiving;
    void (*destroy)(void *item);
    bool dropping; /* destroy is being called, and may close an end of this very channel */
};

/* ---- the ring ---- */

static void *slot(struct yoke_channel *c, size_t i)
{
    size_t at = c->first + i;
    return c->ring + (at >= c->room ? at - c->room : at) * c->item_bytes;
}

static bool ring_grow(struct yoke_channel *c)
{
    size_t room = c->room ? 2 * c->room : RING_FIRST, bytes;
    if (__builtin_mul_overflow(room, c->item_bytes ? c->item_bytes : 1, &bytes))
        return false;
    char *ring = memory_alloc(bytes);
    if (!ring)
        return false;
    for (size_t i = 0; i < c->used; i++)
        memcpy(ring + i * c->item_bytes, slot(c, i), c->item_bytes);
    memory_free(c->ring);
    c->ring = ring;
    c->room = room;
    c->first = 0;
    return true;
}

static void ring_put(struct yoke_channel *c, const void *item)
{
    if (c->item_bytes)
        memcpy(slot(c, c->used), item, c->item_bytes);
    if (++c->used > c->peak)
        c->peak = c->used;
}

/* An unbounded channel that is drained gives back what it grew by. */
static void ring_shrink(struct yoke_channel *c)
{
    if (c->capacity != YOKE_UNBOUNDED || c->room <= RING_FIRST)
        return;
    memory_free(c->ring);
    c->ring = NULL;
    c->room = c->first = 0;
}

static void ring_take(struct yoke_channel *c, void *item)
{
    if (c->item_bytes)
        memcpy(item, slot(c, 0), c->item_bytes);
    if (++c->first == c->room)
        c->first = 0;
    if (--c->used == 0)
        ring_shrink(c);
}

/* ---- open, clone, close ---- */

yoke_error *yoke_channel_open(yoke_sender *tx, yoke_receiver *rx, size_t capacity, size_t item_bytes,
                              const yoke_channel_options *options)
{
    tx->channel = NULL;
    rx->channel = NULL;
    if (!scheduler_here)
        return task_outside("yoke_channel_open");
    size_t bytes, room = capacity == YOKE_UNBOUNDED ? 0 : capacity;
    if (item_bytes > ITEM_MAX_BYTES)
        return yoke_raise(&YOKE_USAGE, "items of %zu bytes: 16 MiB at most", item_bytes);
    if (__builtin_mul_overflow(room, item_bytes ? item_bytes : 1, &bytes) || bytes > PTRDIFF_MAX)
        return yoke_raise(&YOKE_USAGE, "a channel of %zu items of %zu bytes does not fit", capacity,
                          item_bytes);
    struct yoke_channel *c = memory_calloc(1, sizeof *c);
    char *ring = c && room ? memory_alloc(bytes) : NULL;
    if (!c || (room && !ring)) {
        memory_free(c);
        return yoke_raise(&YOKE_NO_MEMORY, "a channel of %zu items of %zu bytes", capacity, item_bytes);
    }
    c->scheduler = scheduler_here;
    c->item_bytes = item_bytes;
    c->capacity = capacity;
    c->ring = ring;
    c->room = room;
    c->senders = c->receivers = 1;
    c->destroy = options ? options->destroy : NULL;
    list_init(&c->sending);
    list_init(&c->receiving);
    tx->channel = c;
    rx->channel = c;
    return NULL;
}

yoke_error *yoke_sender_clone(const yoke_sender *tx, yoke_sender *clone)
{
    if (!tx->channel)
        return yoke_raise(&YOKE_CLOSED, "cloning a closed sender");
    clone->channel = tx->channel;
    clone->channel->senders++;
    return NULL;
}

yoke_error *yoke_receiver_clone(const yoke_receiver *rx, yoke_receiver *clone)
{
    if (!rx->channel)
        return yoke_raise(&YOKE_CLOSED, "cloning a closed receiver");
    clone->channel = rx->channel;
    clone->channel->receivers++;
    return NULL;
}

/* The clause takes effect, or fails: its task leaves every line that it stands in, and is woken. */
static void finish(yoke_clause *clause, yoke_error *outcome)
{
    if (clause->choice)
        choice_made(clause->choice, clause);
    else
        list_remove(&clause->in_line);
    yoke_reschedule(clause->task, outcome);
}

/* The first of a line, or NULL. */
static yoke_clause *first_of(const list *line)
{
    return list_empty(line) ? NULL : container_of(line->next, yoke_clause, in_line);
}

/* Wakes those of a line that wait on `end` (NULL: all) with an error of `kind`. A task may stand in it more
 * than once, so that the neighbours of one that is woken may leave with it. */
static void wake_waiters(list *line, const void *end, const yoke_error_kind *kind, const char *text)
{
    list all;
    list_init(&all);
    list_splice(&all, line);
    while (!list_empty(&all)) {
        yoke_clause *clause = first_of(&all);
        if (!end || clause->send == end || clause->receive == end) {
            finish(clause, yoke_raise(kind, "%s", text));
            continue;
        }
        list_remove(&clause->in_line);
        list_append(line, &clause->in_line);
    }
}

static void drop_items(struct yoke_channel *c)
{
    c->dropping = true;
    for (size_t i = 0; c->destroy && i < c->used; i++)
        c->destroy(slot(c, i));
    c->dropping = false;
    c->used = 0;
}

static void free_if_unused(struct yoke_channel *c)
{
    if (c->senders || c->receivers || c->dropping)
        return;
    memory_free(c->ring);
    memory_free(c);
}

void yoke_sender_close(yoke_sender *tx)
{
    struct yoke_channel *c = tx->channel;
    if (!c)
        return;
    tx->channel = NULL;
    wake_waiters(&c->sending, tx, &YOKE_CLOSED, "this sender was closed");
    if (--c->senders == 0)
        wake_waiters(&c->receiving, NULL, &YOKE_END_OF_CHANNEL, "every sender was closed");
    free_if_unused(c);
}

void yoke_receiver_close(yoke_receiver *rx)
{
    struct yoke_channel *c = rx->channel;
    if (!c)
        return;
    rx->channel = NULL;
    wake_waiters(&c->receiving, rx, &YOKE_CLOSED, "this receiver was closed");
    if (--c->receivers == 0) {
        wake_waiters(&c->sending, NULL, &YOKE_BROKEN_RESOURCE, "every receiver was closed");
        drop_items(c);
    }
    free_if_unused(c);
}

size_t channel_item_bytes(const yoke_receiver *rx)
{
    return rx->channel->item_bytes;
}

/* ---- send ---- */

void channel_line_up(yoke_clause *clause)
{
    struct yoke_channel *c = clause->send ? clause->send->channel : clause->receive->channel;
    list_append(clause->send ? &c->sending : &c->receiving, &clause->in_line);
}

static enum yoke_abort leave_line(yoke_task *task, void *clause)
{
    (void)task;
    list_remove(&((yoke_clause *)clause)->in_line);
    return YOKE_ABORT_DONE;
}

static yoke_error *check_thread(const struct yoke_channel *c)
{
    if (c->scheduler != scheduler_here)
        return yoke_raise(&YOKE_USAGE, "a channel is used outside of the run that it was opened in");
    return NULL;
}

bool channel_send_is_ready(const yoke_sender *tx)
{
    const struct yoke_channel *c = tx->channel;
    return !c || c->scheduler != scheduler_here || !c->receivers || !list_empty(&c->receiving) ||
           c->used < c->capacity;
}

yoke_error *channel_send_now(yoke_sender *tx, const void *item, bool *done)
{
    struct yoke_channel *c = tx->channel;
    *done = true;
    if (!c)
        return yoke_raise(&YOKE_CLOSED, "sending on a closed sender");
    YOKE_TRY(check_thread(c));
    if (!c->receivers)
        return yoke_raise(&YOKE_BROKEN_RESOURCE, "every receiver was closed");
    yoke_clause *receiver = first_of(&c->receiving);
    if (receiver) {
        if (c->item_bytes)
            memcpy(receiver->to, item, c->item_bytes);
        finish(receiver, NULL);
        return NULL;
    }
    if (c->capacity == YOKE_UNBOUNDED && c->used == c->room && !ring_grow(c))
        return yoke_raise(&YOKE_NO_MEMORY, "an unbounded channel of %zu items", c->used);
    if (c->used < c->capacity) {
        ring_put(c, item);
        return NULL;
    }
    *done = false;
    return NULL;
}

yoke_error *yoke_channel_send_nowait(yoke_sender *tx, const void *item)
{
    bool done;
    YOKE_TRY(channel_send_now(tx, item, &done));
    return done ? NULL : yoke_raise(&YOKE_WOULD_BLOCK, "the channel is full");
}

yoke_error *yoke_channel_send(yoke_sender *tx, const void *item)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_channel_send");
    /* The look and the yield come before the effect, so that a cancellation can't take back what was sent. */
    YOKE_TRY(task_operation(task));
    bool done;
    YOKE_TRY(channel_send_now(tx, item, &done));
    if (done)
        return NULL;
    yoke_clause clause = {.send = tx, .from = item, .task = task};
    channel_line_up(&clause);
    return task_park(task, leave_line, &clause);
}

/* ---- receive ---- */

bool channel_receive_is_ready(const yoke_receiver *rx)
{
    const struct yoke_channel *c = rx->channel;
    return !c || c->scheduler != scheduler_here || c->used || !list_empty(&c->sending) || !c->senders;
}

yoke_error *channel_receive_now(yoke_receiver *rx, void *item, bool *done)
{
    struct yoke_channel *c = rx->channel;
    *done = true;
    if (!c)
        return yoke_raise(&YOKE_CLOSED, "receiving on a closed receiver");
    YOKE_TRY(check_thread(c));
    yoke_clause *sender = first_of(&c->sending);
    if (!c->used && !sender) {
        if (!c->senders)
            return yoke_raise(&YOKE_END_OF_CHANNEL, "every sender was closed");
        *done = false;
        return NULL;
    }
    if (c->used) {
        ring_take(c, item);
        if (sender)
            ring_put(c, sender->from);
    } else if (c->item_bytes) {
        memcpy(item, sender->from, c->item_bytes);
    }
    if (sender)
        finish(sender, NULL);
    return NULL;
}

yoke_error *yoke_channel_receive_nowait(yoke_receiver *rx, void *item)
{
    bool done;
    YOKE_TRY(channel_receive_now(rx, item, &done));
    return done ? NULL : yoke_raise(&YOKE_WOULD_BLOCK, "the channel is empty");
}

yoke_error *yoke_channel_receive(yoke_receiver *rx, void *item)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_channel_receive");
    YOKE_TRY(task_operation(task));
    bool done;
    YOKE_TRY(channel_receive_now(rx, item, &done));
    if (done)
        return NULL;
    yoke_clause clause = {.receive = rx, .to = item, .task = task};
    channel_line_up(&clause);
    return task_park(task, leave_line, &clause);
}

yoke_error *yoke_end_is_fine(yoke_error *e)
{
    if (!yoke_error_is(e, &YOKE_END_OF_CHANNEL))
        return e;
    yoke_error_free(e);
    return NULL;
}

/* ---- statistics ---- */

static size_t length(const list *waiters)
{
    size_t n = 0;
    list_for_each(node, waiters)
        n++;
    return n;
}

static void statistics(const struct yoke_channel *c, yoke_channel_statistics *out)
{
    *out = (yoke_channel_statistics){0};
    if (!c)
        return;
    *out = (yoke_channel_statistics){
        .used = c->used,
        .capacity = c->capacity,
        .peak = c->peak,
        .open_senders = c->senders,
        .open_receivers = c->receivers,
        .waiting_senders = length(&c->sending),
        .waiting_receivers = length(&c->receiving),
    };
}

void yoke_sender_statistics(const yoke_sender *tx, yoke_channel_statistics *out)
{
    statistics(tx->channel, out);
}

void yoke_receiver_statistics(const yoke_receiver *rx, yoke_channel_statistics *out)
{
    statistics(rx->channel, out);
}
