/*
 * Broadcast: one source, many subscribers, and no task between. The subscriber that needs an item first reads
 * the source for all; those that need one meanwhile wait for it, and one of them takes over when the reader
 * has to give up. Items lie in a ring at their position, counted from the first; a subscriber is a position,
 * and one that the ring has overtaken has lagged.
 *
 * With a destructor, an item that a subscriber was given must outlast its place in the ring. So places are
 * not positions: there is one for each position of the ring and one more for each subscriber, and the ring
 * says which place a position has.
 */
#include "base/memory.h"
#include "task/channel.h"
#include "task/task.h"

#include <string.h>

#define NO_PLACE SIZE_MAX

struct place {
    uint64_t position;
    size_t unread; /* subscribers that have not come to it */
    size_t held;   /* subscribers that were given it last */
    size_t next_free;
};

struct yoke_broadcast {
    struct scheduler *scheduler;
    yoke_broadcast_source source;
    void (*destroy)(void *item);
    size_t *ring; /* places, by position modulo ring_size */
    size_t ring_size;
    struct place *places;
    char *items; /* by place */
    size_t place_count, first_free;
    uint64_t next; /* position of the next item */
    size_t subscribers, calls;
    const yoke_subscriber *reader; /* who is in the source's receive; NULL: nobody */
    yoke_task *reader_task;
    yoke_scope *reader_scope;
    list waiting;
    yoke_error *end; /* what the source ended with */
};

/* ---- places ---- */

static char *item_at(struct yoke_broadcast *b, size_t place)
{
    return b->items + place * b->source.item_bytes;
}

/* Room for one more subscriber than there are. */
static bool places_grow(struct yoke_broadcast *b)
{
    size_t count = b->ring_size + (b->destroy ? b->subscribers + 1 : 0), bytes, record_bytes;
    if (count <= b->place_count)
        return true;
    if (__builtin_mul_overflow(count, b->source.item_bytes, &bytes) || bytes > PTRDIFF_MAX ||
        __builtin_mul_overflow(count, sizeof *b->places, &record_bytes) || record_bytes > PTRDIFF_MAX)
        return false;
    struct place *places = memory_realloc(b->places, record_bytes);
    if (!places)
        return false;
    b->places = places;
    char *items = memory_realloc(b->items, bytes);
    if (!items)
        return false;
    b->items = items;
    for (; b->place_count < count; b->place_count++) {
        places[b->place_count] = (struct place){.next_free = b->first_free};
        b->first_free = b->place_count;
    }
    return true;
}

static void drop_if_unused(struct yoke_broadcast *b, size_t place)
{
    struct place *p = &b->places[place];
    if (p->unread || p->held)
        return;
    if (b->destroy)
        b->destroy(item_at(b, place));
    size_t *in_ring = &b->ring[p->position % b->ring_size];
    if (*in_ring == place)
        *in_ring = NO_PLACE;
    p->next_free = b->first_free;
    b->first_free = place;
}

static uint64_t oldest(const struct yoke_broadcast *b)
{
    return b->next > b->ring_size ? b->next - b->ring_size : 0;
}

/* Would the next item take the place of one that somebody has not come to? */
static bool overtakes(const struct yoke_broadcast *b)
{
    size_t place = b->ring[b->next % b->ring_size];
    return place != NO_PLACE && b->places[place].unread;
}

static void hold(struct yoke_broadcast *b, yoke_subscriber *s, size_t place)
{
    if (!b->destroy)
        return;
    b->places[place].held++;
    s->held = place;
}

static void let_go(struct yoke_broadcast *b, yoke_subscriber *s)
{
    size_t place = s->held;
    if (place == NO_PLACE)
        return;
    s->held = NO_PLACE;
    b->places[place].held--;
    drop_if_unused(b, place);
}

/* The item that `s` has read from the source itself is the next one for all. */
static void put(struct yoke_broadcast *b, yoke_subscriber *s, const void *item)
{
    size_t *in_ring = &b->ring[b->next % b->ring_size];
    if (*in_ring != NO_PLACE) {
        size_t overtaken = *in_ring;
        b->places[overtaken].unread = 0;
        *in_ring = NO_PLACE;
        drop_if_unused(b, overtaken);
    }
    size_t place = b->first_free;
    b->first_free = b->places[place].next_free;
    bool subscribed = s->broadcast != NULL;
    b->places[place] = (struct place){.position = b->next, .unread = b->subscribers - subscribed};
    if (b->source.item_bytes)
        memcpy(item_at(b, place), item, b->source.item_bytes);
    *in_ring = place;
    b->next++;
    if (subscribed) {
        s->next = b->next;
        hold(b, s, place);
    }
    drop_if_unused(b, place);
}

static void get(struct yoke_broadcast *b, yoke_subscriber *s, void *item)
{
    size_t place = b->ring[s->next % b->ring_size];
    if (b->source.item_bytes)
        memcpy(item, item_at(b, place), b->source.item_bytes);
    s->next++;
    b->places[place].unread--;
    hold(b, s, place);
    drop_if_unused(b, place);
}

/* ---- open, subscribe, close ---- */

static void subscribe(struct yoke_broadcast *b, yoke_subscriber *s, bool no_lag)
{
    *s = (yoke_subscriber){.broadcast = b, .next = b->next, .held = NO_PLACE, .no_lag = no_lag};
    b->subscribers++;
}

static void broadcast_free(struct yoke_broadcast *b)
{
    yoke_error_free(b->end);
    memory_free(b->ring);
    memory_free(b->places);
    memory_free(b->items);
    memory_free(b);
}

static void free_if_unused(struct yoke_broadcast *b)
{
    if (!b->subscribers && !b->calls)
        broadcast_free(b);
}

yoke_error *yoke_broadcast_open_source(yoke_subscriber *first, const yoke_broadcast_source *source,
                                       size_t ring, const yoke_broadcast_options *options)
{
    first->broadcast = NULL;
    if (!scheduler_here)
        return task_outside("yoke_broadcast_open");
    if (!ring)
        return yoke_raise(&YOKE_USAGE, "a broadcast keeps at least one item");
    size_t bytes, ring_bytes;
    if (__builtin_mul_overflow(ring, source->item_bytes, &bytes) || bytes > PTRDIFF_MAX ||
        __builtin_mul_overflow(ring, sizeof(struct place), &ring_bytes) || ring_bytes > PTRDIFF_MAX)
        return yoke_raise(&YOKE_USAGE, "a broadcast that keeps %zu items of %zu bytes does not fit", ring,
                          source->item_bytes);
    struct yoke_broadcast *b = memory_calloc(1, sizeof *b);
    if (!b)
        return yoke_raise(&YOKE_NO_MEMORY, "a broadcast");
    b->scheduler = scheduler_here;
    b->source = *source;
    b->destroy = options ? options->destroy : NULL;
    b->ring_size = ring;
    b->first_free = NO_PLACE;
    list_init(&b->waiting);
    b->ring = memory_alloc(ring * sizeof *b->ring);
    if (!b->ring || !places_grow(b)) {
        broadcast_free(b);
        return yoke_raise(&YOKE_NO_MEMORY, "a broadcast that keeps %zu items of %zu bytes", ring,
                          source->item_bytes);
    }
    for (size_t i = 0; i < ring; i++)
        b->ring[i] = NO_PLACE;
    subscribe(b, first, options && options->no_lag);
    return NULL;
}

static yoke_error *receive_from_channel(void *source, void *item)
{
    return yoke_channel_receive(source, item);
}

static yoke_error *receive_from_channel_nowait(void *source, void *item)
{
    return yoke_channel_receive_nowait(source, item);
}

yoke_error *yoke_broadcast_open(yoke_subscriber *first, yoke_receiver *source, size_t ring,
                                const yoke_broadcast_options *options)
{
    first->broadcast = NULL;
    if (!source->channel)
        return yoke_raise(&YOKE_CLOSED, "broadcasting from a closed receiver");
    yoke_broadcast_source s = {
        .receive = receive_from_channel,
        .receive_nowait = receive_from_channel_nowait,
        .arg = source,
        .item_bytes = channel_item_bytes(source),
    };
    return yoke_broadcast_open_source(first, &s, ring, options);
}

static yoke_error *closed(void)
{
    return yoke_raise(&YOKE_CLOSED, "this subscriber was closed");
}

static yoke_error *check(const yoke_subscriber *s)
{
    if (!s->broadcast)
        return closed();
    if (s->broadcast->scheduler != scheduler_here)
        return yoke_raise(&YOKE_USAGE, "a broadcast is used outside of the run that it was opened in");
    return NULL;
}

yoke_error *yoke_broadcast_subscribe(const yoke_subscriber *of, yoke_subscriber *s,
                                     const yoke_broadcast_options *options)
{
    s->broadcast = NULL;
    YOKE_TRY(check(of));
    if (options && options->destroy)
        return yoke_raise(&YOKE_USAGE, "the destructor is given at the opening of the broadcast");
    if (!places_grow(of->broadcast))
        return yoke_raise(&YOKE_NO_MEMORY, "a subscriber's place of %zu bytes",
                          of->broadcast->source.item_bytes);
    subscribe(of->broadcast, s, options && options->no_lag);
    return NULL;
}

static void pass_unread(struct yoke_broadcast *b, yoke_subscriber *s)
{
    if (s->next < oldest(b))
        s->next = oldest(b);
    for (; s->next < b->next; s->next++) {
        size_t place = b->ring[s->next % b->ring_size];
        b->places[place].unread--;
        drop_if_unused(b, place);
    }
}

static void wake_closed(struct yoke_broadcast *b, const yoke_subscriber *s)
{
    list_for_each(node, &b->waiting) {
        struct waiter *w = container_of(node, struct waiter, link);
        if (w->data != s)
            continue;
        list_remove(&w->link);
        yoke_reschedule(w->task, closed());
        return;
    }
}

void yoke_broadcast_close(yoke_subscriber *s)
{
    struct yoke_broadcast *b = s->broadcast;
    if (!b)
        return;
    s->broadcast = NULL;
    let_go(b, s);
    pass_unread(b, s);
    b->subscribers--;
    if (b->reader == s)
        yoke_scope_cancel(b->reader_scope, "its subscriber was closed");
    else
        wake_closed(b, s);
    free_if_unused(b);
}

/* ---- receive ---- */

static void wake_all(struct yoke_broadcast *b)
{
    while (wake_first(&b->waiting, NULL))
        ;
}

/* Of the ring, or of what came after its last item. */
static yoke_error *take_now(struct yoke_broadcast *b, yoke_subscriber *s, void *item, bool *done)
{
    *done = true;
    if (s->next < oldest(b)) {
        s->missed = oldest(b) - s->next;
        s->next = oldest(b);
        if (!s->no_lag)
            return yoke_raise(&YOKE_LAGGED, "%llu items were missed: the broadcast keeps %zu",
                              (unsigned long long)s->missed, b->ring_size);
        yoke_log(YOKE_WARNING, "a subscriber missed %llu items: its broadcast keeps %zu",
                 (unsigned long long)s->missed, b->ring_size);
    }
    if (s->next < b->next) {
        get(b, s, item);
        return NULL;
    }
    if (b->end)
        return yoke_error_dup(b->end);
    *done = false;
    return NULL;
}

/* The source has ended for all, and not only for the task that reads. */
static bool is_end(const yoke_error *e)
{
    return yoke_error_is(e, &YOKE_END_OF_CHANNEL) || yoke_error_is(e, &YOKE_CLOSED) ||
           yoke_error_is(e, &YOKE_BROKEN_RESOURCE);
}

/* What a read of the source gave, to all that it concerns. NULL for `e`: an item. */
static yoke_error *tell(struct yoke_broadcast *b, yoke_subscriber *s, const void *item, yoke_error *e)
{
    if (!e) {
        put(b, s, item);
        wake_all(b);
        /* Without a destructor the item is the caller's own, and not lost to a close in the same moment. */
        return s->broadcast || !b->destroy ? NULL : closed();
    }
    if (is_end(e)) {
        b->end = yoke_error_dup(e);
        wake_all(b);
    }
    return e;
}

/* The scope is there so that a close of the subscriber can end the wait. */
static yoke_error *read_source(struct yoke_broadcast *b, yoke_subscriber *s, void *item)
{
    yoke_scope scope;
    YOKE_TRY(yoke_scope_open(&scope));
    b->reader = s;
    b->reader_task = task_here();
    b->reader_scope = &scope;
    yoke_error *e = b->source.receive(b->source.arg, item);
    bool got = !e;
    e = yoke_scope_close(&scope, e);
    b->reader = NULL;
    b->reader_task = NULL;
    b->reader_scope = NULL;
    return got || e ? tell(b, s, item, e) : closed();
}

static yoke_error *receive(struct yoke_broadcast *b, yoke_subscriber *s, void *item)
{
    yoke_task *task = task_here();
    bool yielded = false, done;
    for (;;) {
        if (!s->broadcast)
            return closed();
        YOKE_TRY(take_now(b, s, item, &done));
        if (done)
            return NULL;
        if (b->reader && task_has_news(task)) {
            return task_news(task);
        } else if (b->reader) {
            YOKE_TRY(wait_in(&b->waiting, s));
        } else if (!yielded && overtakes(b)) {
            /* Who is ready to read lags only if it is slow, and not since it had no turn. */
            yielded = true;
            task_yield(task);
            if (task_has_news(task))
                return task_news(task);
        } else {
            return read_source(b, s, item);
        }
    }
}

static yoke_error *check_free(const yoke_subscriber *s)
{
    YOKE_TRY(check(s));
    if (s->busy)
        return yoke_raise(&YOKE_BUSY_RESOURCE, "another task receives on this subscriber");
    return NULL;
}

yoke_error *yoke_broadcast_receive(yoke_subscriber *s, void *item)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("yoke_broadcast_receive");
    YOKE_TRY(task_operation(task));
    YOKE_TRY(check_free(s));
    struct yoke_broadcast *b = s->broadcast;
    s->busy = true;
    b->calls++;
    let_go(b, s);
    yoke_error *e = receive(b, s, item);
    s->busy = false;
    b->calls--;
    /* Whatever this call ended with, the source is read by somebody as long as somebody waits. */
    if (!b->reader)
        wake_first(&b->waiting, NULL);
    free_if_unused(b);
    return e;
}

yoke_error *yoke_broadcast_receive_nowait(yoke_subscriber *s, void *item)
{
    YOKE_TRY(check_free(s));
    struct yoke_broadcast *b = s->broadcast;
    bool done;
    let_go(b, s);
    YOKE_TRY(take_now(b, s, item, &done));
    if (done)
        return NULL;
    if (b->reader || !b->source.receive_nowait)
        return yoke_raise(&YOKE_WOULD_BLOCK, "nothing has come that this subscriber has not had");
    return tell(b, s, item, b->source.receive_nowait(b->source.arg, item));
}

uint64_t yoke_broadcast_missed(const yoke_subscriber *s)
{
    return s->missed;
}

void yoke_subscriber_statistics(const yoke_subscriber *s, yoke_broadcast_statistics *out)
{
    *out = (yoke_broadcast_statistics){0};
    const struct yoke_broadcast *b = s->broadcast;
    if (!b)
        return;
    uint64_t from = s->next < oldest(b) ? oldest(b) : s->next;
    *out = (yoke_broadcast_statistics){
        .ring = b->ring_size,
        .subscribers = b->subscribers,
        .queued = (size_t)(b->next - from),
        .missed = from - s->next,
        .reader = b->reader_task,
    };
    list_for_each(node, &b->waiting)
        out->waiting++;
}
