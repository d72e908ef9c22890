#include "ipc/channel.h"

#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

YOKE_ERROR_KIND(YOKE_TRANSPORT_CLOSED, "yoke.TransportClosed", NULL);
YOKE_ERROR_KIND(YOKE_TRANSPORT_ENDED, "yoke.TransportEnded", &YOKE_TRANSPORT_CLOSED);
YOKE_ERROR_KIND(YOKE_TRANSPORT_RESET, "yoke.TransportReset", &YOKE_TRANSPORT_CLOSED);
YOKE_ERROR_KIND(YOKE_TRANSPORT_VANISHED, "yoke.TransportVanished", &YOKE_TRANSPORT_CLOSED);
YOKE_ERROR_KIND(YOKE_TRANSPORT_TORN, "yoke.TransportTorn", &YOKE_TRANSPORT_CLOSED);
YOKE_ERROR_KIND(YOKE_TRANSPORT_LOCAL, "yoke.TransportLocal", &YOKE_TRANSPORT_CLOSED);
YOKE_ERROR_KIND(YOKE_TRANSPORT_PROTOCOL, "yoke.TransportProtocol", &YOKE_TRANSPORT_CLOSED);

enum { HEADER_BYTES = 4 };

/* ---- errors ---- */

static void peer_free(void *data)
{
    memory_free(data);
}

static const struct error_details_ops peer_details = {.free = peer_free};

const yoke_uid *channel_error_peer(const yoke_error *e)
{
    return error_details(e, &peer_details);
}

static yoke_error *with_peer(const yoke_uid *uid, yoke_error *e)
{
    yoke_uid *peer = memory_alloc(sizeof *peer);
    if (peer) {
        *peer = *uid;
        error_set_details(e, &peer_details, peer);
    }
    return e;
}

yoke_error *channel_error(const yoke_uid *peer, int64_t pid, const yoke_error_kind *kind, yoke_error *cause,
                          const char *how)
{
    return with_peer(peer, yoke_wrap(cause, kind, "the channel to actor `%s` (pid %lld) is closed: %s",
                                     peer->name, (long long)pid, how));
}

yoke_error *channel_closed_again(struct channel *c, const yoke_error *e)
{
    return with_peer(&c->peer, yoke_wrap_at(yoke_error_file(e), yoke_error_line(e), yoke_error_function(e),
                                            yoke_error_dup(yoke_error_cause(e)), yoke_error_kind_of(e), "%s",
                                            yoke_error_message(e)));
}

static yoke_error *closed_error(struct channel *c, const yoke_error_kind *kind, const char *how)
{
    return channel_error(&c->peer, c->peer_pid, kind, NULL, how);
}

/* A system call that failed: the peer is gone, or something that tells nothing of it. */
static yoke_error *closed_errno(struct channel *c, const char *what, int number)
{
    char how[128];
    snprintf(how, sizeof how, "%s failed: %s", what, strerrordesc_np(number));
    if (number == EPIPE || number == ECONNRESET)
        return closed_error(c, &YOKE_TRANSPORT_RESET, how);
    if (number == ETIMEDOUT || number == EHOSTUNREACH || number == ENETUNREACH)
        return closed_error(c, &YOKE_TRANSPORT_VANISHED, how);
    return with_peer(&c->peer,
                     yoke_raise_errno(number, "the channel to actor `%s` (pid %lld) is broken: %s failed",
                                      c->peer.name, (long long)c->peer_pid, what));
}

yoke_error *channel_broken(struct channel *c)
{
    if (c->broken)
        return yoke_error_dup(c->broken);
    return closed_error(c, &YOKE_TRANSPORT_LOCAL, "closed by this side");
}

static size_t unsent(const struct channel *c)
{
    return loan_total(&c->out, &c->loan);
}

/* The lender has its memory back. */
static void end_loan(struct channel *c)
{
    c->loan.size = 0;
    wake_first(&c->lenders, NULL);
}

/* What was not sent yet will not be. */
static void end_sending(struct channel *c, const yoke_error *e)
{
    while (!list_empty(&c->senders))
        wake_first(&c->senders, yoke_error_dup(e));
    c->cut |= unsent(c) > 0;
    buffer_free(&c->out);
    end_loan(c);
    yoke_event_set(&c->drained);
}

/* The reason of a break as an error of the channel's. */
static yoke_error *speaks_of_peer(struct channel *c, yoke_error *e)
{
    if (channel_error_peer(e))
        return e;
    bool by_peer = yoke_error_is(e, &YOKE_PROTOCOL) || yoke_error_is(e, &YOKE_MSG_TYPE);
    return channel_error(&c->peer, c->peer_pid, by_peer ? &YOKE_TRANSPORT_PROTOCOL : &YOKE_TRANSPORT_CLOSED,
                         e, yoke_error_message(e));
}

static void wake_arrivals(struct channel *c)
{
    while (wake_first(&c->arrivals, NULL))
        ;
}

void channel_break(struct channel *c, yoke_error *e)
{
    if (c->broken || c->closed) {
        yoke_error_free(e);
        return;
    }
    c->broken = speaks_of_peer(c, e);
    e = c->broken;
    end_sending(c, e);
    wake_arrivals(c);
    if (c->watch.reader || c->watch.writer)
        poll_watch_close(&c->watch);
}

/* ---- open and close ---- */

static void flush_hook(struct pass_hook *hook);

static struct channel *make(int fd, const struct transport *transport, const struct msg_limits *limits)
{
    struct channel *c = memory_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->fd = fd;
    c->transport = transport;
    c->limits = limits ? *limits : msg_limits_default;
    c->scheduler = scheduler_here;
    strcpy(c->peer.name, "?");
    c->peer_user = geteuid();
    list_init(&c->senders);
    list_init(&c->lenders);
    list_init(&c->arrivals);
    yoke_event_init(&c->drained);
    c->flush.fn = flush_hook;
    c->written_in_pass = UINT64_MAX;
    return c;
}

yoke_error *channel_open(struct channel **channel, int fd, const struct transport *transport,
                         const struct msg_limits *limits)
{
    *channel = NULL;
    struct channel *c = make(fd, transport, limits);
    if (!c) {
        close(fd);
        return yoke_raise(&YOKE_NO_MEMORY, "a channel");
    }
    yoke_error *e = poll_watch_open(&c->watch, fd);
    if (e) {
        close(fd);
        memory_free(c);
        return e;
    }
    *channel = c;
    return NULL;
}

yoke_error *channel_open_here(struct channel *ends[2])
{
    for (int i = 0; i < 2; i++)
        ends[i] = make(-1, NULL, NULL);
    for (int i = 0; i < 2; i++)
        if (!ends[i]) {
            memory_free(ends[1 - i]);
            return yoke_raise(&YOKE_NO_MEMORY, "a channel");
        }
    for (int i = 0; i < 2; i++) {
        ends[i]->is_here = true;
        ends[i]->twin = ends[1 - i];
    }
    return NULL;
}

static void free_channel(struct channel *c)
{
    yoke_error_free(c->broken);
    yoke_error_free(c->mute);
    buffer_free(&c->in);
    large_end(&c->large);
    buffer_free(&c->out);
    memory_free(c);
}

static void leave_twin(struct channel *c)
{
    if (!c->twin)
        return;
    c->twin->twin = NULL;
    wake_arrivals(c->twin);
}

void channel_close(struct channel *c)
{
    if (!c || c->closed)
        return;
    channel_break(c, closed_error(c, &YOKE_TRANSPORT_LOCAL, "closed by this side"));
    c->closed = true;
    pass_hook_unset(&c->flush);
    if (c->is_here) {
        leave_twin(c);
    } else {
        poll_watch_close(&c->watch);
        close(c->fd);
        c->fd = -1;
    }
    if (!c->flushing)
        free_channel(c); /* else the channel's own task does it, woken by the closed watch */
}

void channel_hang_up(struct channel *c)
{
    c->hung_up = true;
    if (c->fd >= 0)
        c->transport->hang_up(c->fd);
    else if (c->twin)
        wake_arrivals(c->twin);
}

/* ---- sending ---- */

static void wake_senders(struct channel *c)
{
    if (buffer_size(&c->out) <= CHANNEL_HIGH_WATER / 2)
        while (wake_first(&c->senders, NULL))
            ;
    if (!c->loan.size)
        end_loan(c);
    if (!unsent(c))
        yoke_event_set(&c->drained);
}

/*
 * The peer takes no more bytes, most often because it has ended; but what it sent before that, its last
 * answers, is still to be read. So this ends the sending alone. The transport makes the end of what there is
 * to read come for sure, and that breaks the channel.
 */
static void go_mute(struct channel *c, yoke_error *e)
{
    c->mute = e;
    end_sending(c, e);
    if (c->fd >= 0)
        c->transport->end_reading(c->fd);
}

/* The other end takes it from where it is. */
static void hand_over(struct channel *c)
{
    if (c->twin && !c->twin->broken)
        wake_arrivals(c->twin);
    else
        go_mute(c, closed_error(c, &YOKE_TRANSPORT_RESET, "the other end is gone"));
}

/* Writes till nothing is left (true) or the socket says that it is full: only then does its next edge come.
 */
static bool write_out(struct channel *c)
{
    while (unsent(c)) {
        struct iovec parts[LOAN_PARTS];
        int count = loan_parts(&c->out, &c->loan, parts);
        ssize_t n = count == 1 ? c->transport->write(c->fd, parts[0].iov_base, parts[0].iov_len)
                               : c->transport->write_parts(c->fd, parts, (size_t)count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        if (n < 0) {
            go_mute(c, closed_errno(c, "writing", errno));
            return true;
        }
        c->bytes_out += (size_t)n;
        loan_consume(&c->out, &c->loan, (size_t)n);
        wake_senders(c);
    }
    buffer_shrink(&c->out, 4 * CHANNEL_READ_BYTES);
    return true;
}

/* The channel's own task: writes on whenever the socket has room again, till nothing is left. */
static yoke_error *flush_task(void *arg)
{
    struct channel *c = arg;
    yoke_scope shield;
    yoke_error *e = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (!e) {
        yoke_error *waited = NULL;
        while (!waited && unsent(c)) {
            waited = poll_watch_writable(&c->watch);
            if (!waited)
                write_out(c);
        }
        yoke_error_free(waited); /* the watch is closed, since the channel is */
        e = yoke_scope_close(&shield, NULL);
    }
    c->flushing = false;
    if (c->closed)
        free_channel(c);
    return e;
}

static void flush(struct channel *c)
{
    if (c->flushing || !unsent(c))
        return;
    c->written_in_pass = c->scheduler->passes;
    if (c->is_here) {
        hand_over(c);
        return;
    }
    /* The edge of a socket that takes more is remembered by the watch; it is stale before a write that finds
     * it full. */
    c->watch.writable = false;
    if (write_out(c))
        return;
    yoke_error *e = yoke_spawn_system(flush_task, c);
    if (!e)
        c->flushing = true;
    else
        channel_break(c, e);
}

/* With nobody ready there would be no pass after this one before something happens. */
static void flush_hook(struct pass_hook *hook)
{
    struct channel *c = container_of(hook, struct channel, flush);
    bool wait = c->held && !list_empty(&c->scheduler->ready);
    c->held = false;
    if (wait)
        pass_hook_set(c->scheduler, hook);
    else
        flush(c);
}

static bool can_send(const struct channel *c)
{
    return !c->broken && !c->closed && !c->mute;
}

static yoke_error *cannot_send(struct channel *c)
{
    return c->mute && !c->broken ? yoke_error_dup(c->mute) : channel_broken(c);
}

yoke_error *channel_takes(struct channel *c)
{
    return can_send(c) ? NULL : cannot_send(c);
}

/* loan NULL: all is copied. */
static yoke_error *append_frame(struct channel *c, const struct msg *m, struct loan *loan)
{
    YOKE_TRY(channel_takes(c));
    YOKE_TRY(msg_encode_lending(&c->out, m, &c->limits, loan));
    c->drained.set = false;
    c->frames_out++;
    return NULL;
}

static yoke_error *queue_frame(struct channel *c, const struct msg *m, struct loan *loan)
{
    YOKE_TRY(append_frame(c, m, loan));
    c->held = false;
    if (c->flushing)
        return NULL;
    if (c->written_in_pass != c->scheduler->passes || unsent(c) >= CHANNEL_CORK_BYTES)
        flush(c);
    else
        pass_hook_set(c->scheduler, &c->flush);
    return NULL;
}

yoke_error *channel_post(struct channel *c, const struct msg *m)
{
    return queue_frame(c, m, NULL);
}

yoke_error *channel_post_ahead(struct channel *c, const struct msg *m)
{
    bool alone = !unsent(c);
    YOKE_TRY(append_frame(c, m, NULL));
    if (c->flushing)
        return NULL;
    c->held = alone;
    pass_hook_set(c->scheduler, &c->flush);
    return NULL;
}

/* Not by the news: what is to be told of them is told by the lender's next checkpoint, and the frame stays.
 */
static enum yoke_abort stop_lending(yoke_task *task, void *arg)
{
    struct waiter *w = arg;
    list_remove(&w->link);
    yoke_reschedule(task, NULL);
    return YOKE_ABORT_REFUSED;
}

/* Till the socket has taken what `task` lends; a copy is made of what is left if it may not wait any longer.
 */
static yoke_error *lend(struct channel *c, yoke_task *task)
{
    if (!task_has_news(task)) {
        struct waiter w = {.task = task};
        list_append(&c->lenders, &w.link);
        yoke_error *none = task_park(task, stop_lending, &w);
        yoke_error_free(none);
    }
    if (!loan_take_back(&c->out, &c->loan))
        channel_break(c, yoke_raise(&YOKE_NO_MEMORY, "no memory for the rest of a message"));
    return can_send(c) ? NULL : cannot_send(c);
}

yoke_error *channel_send(struct channel *c, const struct msg *m)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("channel_send");
    YOKE_TRY(task_operation(task));
    while (buffer_size(&c->out) > CHANNEL_HIGH_WATER && can_send(c)) {
        if (task_has_news(task))
            return task_news(task);
        YOKE_TRY(wait_in(&c->senders, NULL));
    }
    if (c->loan.size) /* there is one at a time */
        return queue_frame(c, m, NULL);
    YOKE_TRY(queue_frame(c, m, &c->loan));
    return c->loan.size ? lend(c, task) : NULL;
}

yoke_error *channel_drain(struct channel *c)
{
    flush(c);
    if (unsent(c))
        YOKE_TRY(yoke_event_wait(&c->drained));
    else
        YOKE_TRY(yoke_checkpoint());
    return c->cut ? cannot_send(c) : NULL;
}

/* ---- receiving ---- */

static size_t frame_length(const uint8_t *header)
{
    return (size_t)header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16 | (size_t)header[3] << 24;
}

/* Is the next frame there from end to end? A length over the limit is refused before any of it is waited for.
 */
static yoke_error *look_for_frame(struct channel *c, bool *whole)
{
    size_t have = buffer_size(&c->in);
    *whole = false;
    if (have < HEADER_BYTES)
        return NULL;
    have -= HEADER_BYTES;
    size_t length = frame_length(buffer_begin(&c->in));
    if (length > c->limits.frame_bytes)
        return yoke_raise(&YOKE_PROTOCOL, "a frame of %zu bytes is over the limit of %zu", length,
                          c->limits.frame_bytes);
    if (have < length)
        large_look(&c->large, &c->in, HEADER_BYTES, length);
    *whole = large_is_whole(&c->large) && buffer_size(&c->in) - HEADER_BYTES >= length - c->large.size;
    return NULL;
}

/* Nothing more comes; what is left of the last frame is kept to itself. */
static yoke_error *torn(struct channel *c)
{
    size_t have = buffer_size(&c->in) + c->large.filled;
    char how[128];
    if (have < HEADER_BYTES)
        snprintf(how, sizeof how, "it ended in the middle of a frame's length: %zu of 4 bytes", have);
    else
        snprintf(how, sizeof how, "it ended in the middle of a frame: %zu of %zu bytes", have - HEADER_BYTES,
                 frame_length(buffer_begin(&c->in)));
    return closed_error(c, &YOKE_TRANSPORT_TORN, how);
}

static yoke_error *end_of_file(struct channel *c)
{
    if (yoke_error_is(c->mute, &YOKE_TRANSPORT_VANISHED)) /* which a write was told, and no read is again */
        return yoke_error_dup(c->mute);
    c->ended_by_peer = true;
    return buffer_size(&c->in) ? torn(c) : closed_error(c, &YOKE_TRANSPORT_ENDED, "the peer closed it");
}

static yoke_error *read_failed(struct channel *c, int number)
{
    if (number == ECONNRESET && buffer_size(&c->in))
        return torn(c);
    return closed_errno(c, "reading", number);
}

static yoke_error *fail(struct channel *c, yoke_error *e)
{
    channel_break(c, e);
    return channel_broken(c);
}

/* What the other end of this process has queued, as read_parts has it of a socket. */
static ssize_t take_here(struct channel *c, const struct iovec *to, size_t count)
{
    struct channel *from = c->twin;
    size_t taken = 0;
    for (size_t i = 0; from && i < count; i++) {
        uint8_t *at = to[i].iov_base;
        for (size_t room = to[i].iov_len; room && unsent(from);) {
            struct iovec parts[LOAN_PARTS];
            loan_parts(&from->out, &from->loan, parts);
            size_t n = parts[0].iov_len < room ? parts[0].iov_len : room;
            memcpy(at, parts[0].iov_base, n);
            loan_consume(&from->out, &from->loan, n);
            from->bytes_out += n;
            at += n, room -= n, taken += n;
        }
    }
    if (taken) {
        wake_senders(from);
        return (ssize_t)taken;
    }
    errno = EAGAIN;
    return from && !from->hung_up ? -1 : 0;
}

static yoke_error *wait_here(struct channel *c)
{
    while (c->twin && !unsent(c->twin) && !c->twin->hung_up && !c->broken)
        YOKE_TRY(wait_in(&c->arrivals, NULL));
    return c->broken ? yoke_raise(&YOKE_CLOSED, "the channel was closed") : NULL;
}

static yoke_error *wait_for_more(struct channel *c)
{
    return c->is_here ? wait_here(c) : poll_watch_readable(&c->watch);
}

static ssize_t read_parts(struct channel *c, struct iovec parts[LARGE_PARTS])
{
    if (c->is_here)
        return take_here(c, parts, LARGE_PARTS);
    return parts[1].iov_len ? c->transport->read_parts(c->fd, parts, LARGE_PARTS)
                            : c->transport->read(c->fd, parts[0].iov_base, parts[0].iov_len);
}

/*
 * Reads once, as much as there is; waits when there is nothing. Memory grows with the bytes that came, not
 * with the length announced. A read that gave less than there was room for has emptied the socket (epoll(7)),
 * so the next begins with the wait: a system call less a message. (On uds this holds as long as SO_PASSCRED
 * is off: with it a read ends where another process' bytes begin, see unix(7).)
 */
static yoke_error *read_more(struct channel *c)
{
    if (c->exhausted) {
        YOKE_TRY(wait_for_more(c));
        c->exhausted = false;
    }
    struct iovec parts[LARGE_PARTS];
    if (!buffer_reserve(&c->in, CHANNEL_READ_BYTES) || !large_parts(&c->large, &c->in, parts))
        return fail(c, yoke_raise(&YOKE_NO_MEMORY, "no memory for what it sends"));
    size_t room = parts[0].iov_len + parts[1].iov_len;
    ssize_t n = read_parts(c, parts);
    if (n > 0) {
        large_took(&c->large, &c->in, (size_t)n);
        c->exhausted = (size_t)n < room;
        c->bytes_in += (size_t)n;
        return NULL;
    }
    if (n == 0)
        return fail(c, end_of_file(c));
    if (errno == EINTR)
        return NULL;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        c->exhausted = true;
        return NULL;
    }
    return fail(c, read_failed(c, errno));
}

static yoke_error *protocol_error(struct channel *c, yoke_error *cause)
{
    yoke_log(YOKE_WARNING, "actor `%s` (pid %lld) broke the protocol, its channel is closed: %s",
             c->peer.name, (long long)c->peer_pid, yoke_error_message(cause));
    return fail(c, cause);
}

static yoke_error *receive(struct channel *c, struct msg *m)
{
    if (c->frame_left) {
        buffer_consume(&c->in, c->frame_left);
        c->frame_left = 0;
        if (c->large.looked)
            large_end(&c->large);
        if (!buffer_size(&c->in))
            buffer_shrink(&c->in, 4 * CHANNEL_READ_BYTES);
    }
    for (;;) {
        bool whole;
        yoke_error *e = look_for_frame(c, &whole);
        if (e)
            return protocol_error(c, e);
        if (whole)
            break;
        YOKE_TRY(read_more(c));
    }
    size_t length = frame_length(buffer_begin(&c->in)) - c->large.size;
    uint8_t *body = buffer_begin(&c->in) + HEADER_BYTES;
    yoke_error *e = msg_decode_aside(body, length, large_aside(&c->large, body), &c->limits, m);
    if (e)
        return protocol_error(c, e);
    c->large.expected = length + c->large.size >= LARGE_LEAST;
    c->frame_left = HEADER_BYTES + length;
    c->frames_in++;
    return NULL;
}

yoke_error *channel_receive(struct channel *c, struct msg *m)
{
    yoke_task *task = task_here();
    if (!task)
        return task_outside("channel_receive");
    YOKE_TRY(task_operation(task));
    if (c->broken || c->closed)
        return channel_broken(c);
    yoke_error *e = receive(c, m);
    if (!e || !c->broken)
        return e; /* a message; or the wait did not end well: cancelled, interrupted. The channel is as it was
                   */
    yoke_error_free(e); /* broken while we waited, or by what came: that is the reason */
    return channel_broken(c);
}
